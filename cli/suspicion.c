/* Who made a change, as far as can be told. Starts and stops nothing itself. */
#include "suspicion.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "leftovers.h"
#include "report.h"

#define LATE_NS	   20000000   /* after the end of a run its last write may be read */
#define STRAY_NS   1000000000 /* so long after it what it left behind may write */
#define YOUNG_NS   1000000000 /* a command this old is no short one */
#define READ_MS	   2	      /* the loop has turned by then, and read what was there */
#define DOUBT_MS   50
#define MAX_LOOKS  8 /* into /proc, for one batch */
#define MAX_LIKELY 8

enum whose {
	OTHERS,
	OWN,	  /* or somebody's who saved meanwhile */
	DOUBTFUL, /* the same, but it would stop the command */
	PROVEN,	  /* the command has opened it */
	SEEN	  /* the run that is owed begins after it */
};

static const char *path_of(const watcher_event *e)
{
	return e->dest && e->dest_len ? e->dest : e->path;
}

/* It is proven that the command has changed it. */
static int holds(struct runner *r, const char *path, int *looks)
{
	return openers_of(&r->openers, path) == OPENER_COMMAND ||
	       ((*looks)++ < MAX_LOOKS && witness_holds(&r->witness, path));
}

/* Looking for proof is worth it. */
static int may_be_proven(const struct runner *r, const char *path)
{
	return own_suspects(&r->own) || own_knows(&r->own, path);
}

/* The command runs, and changes restart it. */
static enum whose whose_in_restart(struct runner *r, const watcher_event *e, int *looks)
{
	const char *path = path_of(e);
	int is_young = e->time_ns < r->begun_wall_ns + YOUNG_NS;

	if (own_is_proven(&r->own, path) && holds(r, path, looks))
		return PROVEN;
	if (r->own.mixed)
		return OTHERS;
	return is_young ? DOUBTFUL : holds(r, path, looks) ? PROVEN : OTHERS;
}

/* By what is known of the current run, or the last one. */
static enum whose whose_of_run(struct runner *r, const watcher_event *e, int *looks)
{
	if (r->is_stopped && r->busy.pending && (r->running > 0 || r->is_syncing))
		return SEEN;
	if (r->run == 0 || e->time_ns < r->begun_wall_ns)
		return OTHERS;
	if (openers_of(&r->openers, path_of(e)) & OPENER_OTHER)
		return OTHERS;
	if (r->running > 0 && r->s->on_busy == ON_BUSY_RESTART)
		return whose_in_restart(r, e, looks);
	if (r->running > 0 || r->is_syncing || e->time_ns <= r->ended_wall_ns)
		return may_be_proven(r, path_of(e)) && holds(r, path_of(e), looks) ? PROVEN
										   : OWN;
	/* With a suspicion all of the run has been read when it ends. */
	if (r->own.streak > 0 && r->stray_wall_ns == r->ended_wall_ns)
		return OTHERS;
	return e->time_ns < r->ended_wall_ns + STRAY_NS &&
		       e->time_ns < r->stray_wall_ns + LATE_NS
		   ? OWN
		   : OTHERS;
}

/* The same; `*by` is set if it is the command of another rule. */
static enum whose whose(struct runner *r, const watcher_event *e, int *looks,
			const struct runner **by)
{
	unsigned openers = openers_of(&r->openers, path_of(e));
	enum whose w = whose_of_run(r, e, looks);
	const struct runner *maker = circle_maker(r, e->time_ns);

	*by = NULL;
	if (w == SEEN || (openers & OPENER_OTHER))
		return w;
	if (openers == OPENER_NEIGHBOUR) {
		*by = maker;
		return maker ? PROVEN : OTHERS;
	}
	if (w == OTHERS)
		*by = maker;
	return *by ? OWN : w;
}

static void tell(struct runner *r, const char *path, const char *root, enum report_own how)
{
	char *pattern = own_pattern(&r->own, path, root ? root : "");
	char *loop = own_loop(&r->own), *maker;

	if (loop)
		maker = alloc_text("rule %s", loop);
	else
		maker = alloc_text("the command itself%s%s", r->own.rival ? " or by rule " : "",
				   r->own.rival ? r->own.rival : "");
	if (own_tell(&r->own, pattern ? pattern : ""))
		report_own(r, path, pattern, how, maker);
	free(pattern);
	free(maker);
	free(loop);
}

/* The first one that has not been left alone yet. */
static const char *suspect(const struct runner *r)
{
	const struct words *seen = &r->own.seen;
	size_t i = 0;

	while (i + 1 < seen->n && own_knows(&r->own, seen->v[i]))
		i++;
	return seen->v[i];
}

static void leave_alone(struct runner *r)
{
	if (r->next.count)
		tell(r, suspect(r), r->next.root, OWN_LEFT);
	witness_stop(&r->witness);
	changes_clear(&r->next);
	own_forget(&r->own);
}

/* Each of the run's changes is proven to be the command's. */
static int is_proven(struct runner *r)
{
	const struct words *seen = &r->own.seen;
	int looks = 0;

	for (size_t i = 0; i < seen->n; i++)
		if (!holds(r, seen->v[i], &looks))
			return 0;
	return 1;
}

/*
 * Where changes restart the command, its own write must not stop it before it is known for a
 * short one that would have ended by itself: the restart has waited a moment for that, but
 * the command went on. It waits longer the more often nothing else has been the cause.
 */
static void on_doubt(uv_timer_t *h)
{
	struct runner *r = h->data;
	int64_t pace_ms = own_pace_ms(&r->own);
	int64_t age_ms = (clock_wall_ns() - r->begun_wall_ns) / 1000000;

	if (own_is_own(&r->own, r->own.streak > 1 && is_proven(r))) {
		for (size_t i = 0; i < r->own.seen.n; i++)
			own_learn(&r->own, r->own.seen.v[i]);
		leave_alone(r);
		return;
	}
	if (pace_ms)
		tell(r, suspect(r), r->next.root, OWN_PACED);
	if (age_ms >= 0 && age_ms < pace_ms)
		uv_timer_start(h, on_doubt, (uint64_t)(pace_ms - age_ms), 0);
	else
		runner_act(r, busy_change(&r->busy, (int64_t)uv_now(r->loop)));
}

static void doubt(struct runner *r)
{
	int is_waiting = uv_is_active((uv_handle_t *)&r->doubt);

	if (is_waiting && uv_timer_get_due_in(&r->doubt) > DOUBT_MS &&
	    own_pace_ms(&r->own) == 0)
		is_waiting = 0;
	if (!is_waiting)
		uv_timer_start(&r->doubt, on_doubt, DOUBT_MS, 0);
}

/* Somebody must have written it: it was changed, or made, and is not empty. */
static int has_content(const watcher_event *e)
{
	struct stat st;

	return (e->kind == WATCHER_CREATED || e->kind == WATCHER_MODIFIED) &&
	       lstat(e->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

/* Notes an event; returns 1 if it is to be left alone. */
static int note(struct runner *r, const watcher_event *e, enum whose w, const struct runner *by)
{
	const char *path = path_of(e);
	int64_t at_ms = (e->time_ns - r->begun_wall_ns) / 1000000;
	const struct runner *rival =
	    !by && (w == OWN || w == DOUBTFUL) ? circle_maker(r, e->time_ns) : NULL;

	if (w == SEEN || (w == OTHERS && r->own.mixed))
		return 0;
	own_change(&r->own, path, at_ms, by ? &by->own : NULL);
	if (rival)
		own_rival(&r->own, &rival->own);
	if (w == OTHERS) {
		own_other(&r->own);
		r->likely_alibis = 0;
	} else if (w != PROVEN && !by && !openers_of(&r->openers, path)) {
		witness_ask(&r->witness, e->time_ns, has_content(e));
	}
	if (w != PROVEN || !own_is_proven(&r->own, path))
		return 0;
	if (!own_knows(&r->own, path))
		tell(r, path, e->root, OWN_LEFT);
	own_learn(&r->own, path);
	return 1;
}

/* What came after the end of a run, and is suspected to be of it. */
static int is_late_own(struct runner *r)
{
	if (r->running > 0 || r->is_syncing || r->own.mixed)
		return 0;
	if (own_is_own(&r->own, 0)) {
		leave_alone(r);
		if (!r->s->restart_on_exit)
			busy_disown(&r->busy);
		return 1;
	}
	if (own_asks(&r->own))
		r->busy.settle_ms = OWN_SETTLE_MS;
	return 0;
}

/* Returns whose it is, or -1 if it is to be left alone. */
static int collect(struct runner *r, const watcher_event *e, int *looks)
{
	const struct runner *by;
	enum whose w = whose(r, e, looks, &by);

	say(r->voice, 2, SAY_DIM, "%s %s%s%s", watcher_kind_name(e->kind), e->path,
	    e->dest ? " -> " : "", e->dest ? e->dest : "");
	if (note(r, e, w, by)) {
		if (r->next.count == 0)
			own_forget(&r->own);
		return -1;
	}
	changes_add(&r->next, e, r->s->feed == STDIN_JSON);
	return (int)w;
}

int suspicion_collect(struct runner *r, watcher_batch *batch)
{
	int count[SEEN + 1] = { 0 }, looks = 0, w;
	watcher_event e;

	while (watcher_batch_next(batch, &e)) {
		if (e.kind & WATCHER_CONTROL)
			say(r->voice, 1, SAY_DIM,
			    "the kernel dropped events; looking what changed");
		else if ((w = collect(r, &e, &looks)) >= 0)
			count[w]++;
	}
	if (r->own.mixed)
		r->busy.settle_ms = 0;
	if (count[OTHERS] + count[OWN] + count[PROVEN] > 0) {
		uv_timer_stop(&r->doubt);
		return !is_late_own(r);
	}
	if (count[DOUBTFUL])
		doubt(r);
	return 0;
}

/* A command that writes without write(2) must not have an alibi for ever. */
static void on_alibi(enum alibi alibi, void *arg)
{
	struct runner *r = arg;

	if (alibi == ALIBI_ASLEEP)
		r->likely_alibis = 0;
	else if (r->likely_alibis++ >= MAX_LIKELY)
		return;
	own_other(&r->own);
}

/* Whoever reacts to files that are opened would react to us. */
static int may_open(const struct runner *r)
{
	return !(r->s->kinds & (WATCHER_OPENED | WATCHER_CLOSED_NO_WRITE));
}

static void watch_openers(struct runner *r)
{
	const struct own *o = &r->own;

	openers_forget(&r->openers);
	if (!may_open(r))
		return;
	for (size_t i = 0; own_suspects(o) && i < o->cause.n && i < MAX_LEASED; i++)
		openers_watch(&r->openers, o->cause.v[i]);
	for (size_t i = 0; i < o->known.n && i < MAX_LEASED; i++)
		openers_watch(&r->openers, o->known.v[i]);
}

void suspicion_begin(struct runner *r)
{
	own_start(&r->own);
	r->begun_wall_ns = clock_wall_ns();
	witness_stop(&r->witness);
	if (r->own.streak > 0)
		witness_start(&r->witness);
	watch_openers(r);
}

static void on_read(uv_timer_t *h)
{
	struct runner *r = h->data;

	r->is_syncing = 0;
	runner_ended(r);
}

void suspicion_gone(struct runner *r)
{
	if (r->own.streak == 0) {
		runner_ended(r);
		return;
	}
	r->is_syncing = 1;
	uv_timer_start(&r->reading, on_read, READ_MS, 0);
}

void suspicion_end(struct runner *r)
{
	r->ended_wall_ns = clock_wall_ns();
	own_end(&r->own, r->is_stopped ? -1 : (r->ended_wall_ns - r->begun_wall_ns) / 1000000);
	r->stray_wall_ns = leftovers_live(r) ? INT64_MAX - LATE_NS : r->ended_wall_ns;
	r->was_doubted = uv_is_active((uv_handle_t *)&r->doubt);
	uv_timer_stop(&r->doubt);
}

void suspicion_reaped(struct runner *r)
{
	if (r->stray_wall_ns == INT64_MAX - LATE_NS && !leftovers_live(r))
		r->stray_wall_ns = clock_wall_ns();
}

int suspicion_needs_sync(const struct runner *r)
{
	return r->is_stopped && r->s->on_busy == ON_BUSY_RESTART;
}

void suspicion_settle(struct runner *r)
{
	witness_settle(&r->witness);
	witness_stop(&r->witness);
	if (!r->circle)
		openers_release(&r->openers);
	if (own_is_own(&r->own, 0)) {
		leave_alone(r);
		busy_disown(&r->busy);
	} else if (r->was_doubted) {
		busy_owe(&r->busy);
	}
	r->was_doubted = 0;
	r->busy.settle_ms = own_asks(&r->own) ? OWN_SETTLE_MS : 0;
}

void suspicion_open(struct runner *r)
{
	uv_timer_init(r->loop, &r->doubt);
	uv_timer_init(r->loop, &r->reading);
	r->doubt.data = r->reading.data = r;
	r->witness = (struct witness){
		.loop = r->loop, .groups = &r->groups, .on_alibi = on_alibi, .arg = r
	};
	witness_open(&r->witness);
	r->own.name = r->name;
	r->openers = (struct openers){ .loop = r->loop, .family = circle_family, .arg = r };
	openers_open(&r->openers);
}

void suspicion_close(struct runner *r)
{
	uv_close((uv_handle_t *)&r->doubt, NULL);
	uv_close((uv_handle_t *)&r->reading, NULL);
	witness_close(&r->witness);
	openers_close(&r->openers);
	own_free(&r->own);
}
