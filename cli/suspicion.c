/* Who made a change, as far as can be told. Starts and stops nothing itself. */
#include "suspicion.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

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
	PROVEN,	  /* the command has it open */
	SEEN	  /* the run that is owed begins after it */
};

static int64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static const char *path_of(const watcher_event *e)
{
	return e->dest && e->dest_len ? e->dest : e->path;
}

/* The command runs, and changes restart it. */
static enum whose whose_in_restart(struct runner *r, const watcher_event *e, int *looks)
{
	if (!r->own.mixed && e->time_ns < r->begun_wall_ns + YOUNG_NS)
		return DOUBTFUL;
	if (!r->own.mixed && (*looks)++ < MAX_LOOKS && witness_holds(&r->witness, path_of(e)))
		return PROVEN;
	return OTHERS;
}

static enum whose whose(struct runner *r, const watcher_event *e, int *looks)
{
	if (r->is_stopped && r->busy.pending && (r->running > 0 || r->is_syncing))
		return SEEN;
	if (r->run == 0 || e->time_ns < r->begun_wall_ns)
		return OTHERS;
	if (r->running > 0)
		return r->s->on_busy == ON_BUSY_RESTART ? whose_in_restart(r, e, looks) : OWN;
	if (r->is_syncing)
		return OWN;
	if (e->time_ns <= r->ended_wall_ns)
		return OWN;
	/* With a suspicion all of the run has been read when it ends. */
	if (r->own.streak > 0 && r->stray_wall_ns == r->ended_wall_ns)
		return OTHERS;
	return e->time_ns < r->ended_wall_ns + STRAY_NS &&
		       e->time_ns < r->stray_wall_ns + LATE_NS
		   ? OWN
		   : OTHERS;
}

static void tell(struct runner *r, int is_paced)
{
	const char *path = r->own.seen.v[0];
	char *pattern = own_pattern(&r->own, path, r->next.root ? r->next.root : "");

	if (own_tell(&r->own, pattern ? pattern : ""))
		report_own(r, path, pattern, is_paced);
	free(pattern);
}

static void leave_alone(struct runner *r)
{
	tell(r, 0);
	witness_stop(&r->witness);
	changes_clear(&r->next);
}

/* Each of the run's changes is proven to be the command's. */
static int is_proven(struct runner *r)
{
	const struct words *seen = &r->own.seen;

	for (size_t i = 0; i < seen->n; i++)
		if (i >= MAX_LOOKS || !witness_holds(&r->witness, seen->v[i]))
			return 0;
	return 1;
}

/*
 * Where changes restart the command, its own write must not stop it before it is known for a
 * short one that would have ended by itself: the restart has waited a moment for that, but
 * the command went on.
 */
static void on_doubt(uv_timer_t *h)
{
	struct runner *r = h->data;

	if (own_is_own(&r->own, r->own.streak > 1 && is_proven(r))) {
		leave_alone(r);
		return;
	}
	if (own_paces(&r->own))
		tell(r, 1);
	runner_act(r, busy_change(&r->busy, (int64_t)uv_now(r->loop)));
}

/* Somebody must have written it: it was changed, or made, and is not empty. */
static int has_content(const watcher_event *e)
{
	struct stat st;

	return (e->kind == WATCHER_CREATED || e->kind == WATCHER_MODIFIED) &&
	       lstat(e->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

/* Notes an event; returns 1 if it is to be left alone. */
static int note(struct runner *r, const watcher_event *e, enum whose w)
{
	if (w == OTHERS) {
		own_other(&r->own);
		r->likely_alibis = 0;
	} else if (w != SEEN) {
		own_change(&r->own, path_of(e), (e->time_ns - r->begun_wall_ns) / 1000000);
		witness_ask(&r->witness, e->time_ns, has_content(e));
	}
	return w == PROVEN && own_is_own(&r->own, 1);
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

int suspicion_collect(struct runner *r, watcher_batch *batch)
{
	int count[SEEN + 1] = { 0 }, looks = 0, reacts;
	watcher_event e;

	while (watcher_batch_next(batch, &e)) {
		enum whose w;

		if (e.kind & WATCHER_CONTROL) {
			say(r->voice, 1, SAY_DIM,
			    "the kernel dropped events; looking what changed");
			continue;
		}
		say(r->voice, 2, SAY_DIM, "%s %s%s%s", watcher_kind_name(e.kind), e.path,
		    e.dest ? " -> " : "", e.dest ? e.dest : "");
		w = whose(r, &e, &looks);
		if (note(r, &e, w)) {
			if (!r->next.root)
				r->next.root = alloc_copy(e.root);
			tell(r, 0);
			continue;
		}
		changes_add(&r->next, &e, r->s->feed == STDIN_JSON);
		count[w]++;
	}
	if (r->own.mixed)
		r->busy.settle_ms = 0;
	reacts = count[OTHERS] + count[OWN] + count[PROVEN] > 0;
	if (reacts) {
		uv_timer_stop(&r->doubt);
		return !is_late_own(r);
	}
	if (count[DOUBTFUL] && !uv_is_active((uv_handle_t *)&r->doubt))
		uv_timer_start(&r->doubt, on_doubt, DOUBT_MS, 0);
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

void suspicion_begin(struct runner *r)
{
	own_start(&r->own);
	r->begun_wall_ns = wall_ns();
	witness_stop(&r->witness);
	if (r->own.streak > 0)
		witness_start(&r->witness);
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
	r->ended_wall_ns = wall_ns();
	own_end(&r->own, r->is_stopped ? -1 : (r->ended_wall_ns - r->begun_wall_ns) / 1000000);
	r->stray_wall_ns = leftovers_live(r) ? INT64_MAX - LATE_NS : r->ended_wall_ns;
	r->was_doubted = uv_is_active((uv_handle_t *)&r->doubt);
	uv_timer_stop(&r->doubt);
}

void suspicion_reaped(struct runner *r)
{
	if (r->stray_wall_ns == INT64_MAX - LATE_NS && !leftovers_live(r))
		r->stray_wall_ns = wall_ns();
}

int suspicion_needs_sync(const struct runner *r)
{
	return r->is_stopped && r->s->on_busy == ON_BUSY_RESTART;
}

void suspicion_settle(struct runner *r)
{
	witness_settle(&r->witness);
	witness_stop(&r->witness);
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
}

void suspicion_close(struct runner *r)
{
	uv_close((uv_handle_t *)&r->doubt, NULL);
	uv_close((uv_handle_t *)&r->reading, NULL);
	witness_close(&r->witness);
	own_free(&r->own);
}
