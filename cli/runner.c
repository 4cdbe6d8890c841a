/* From the busy policy's words to processes and back. Reads no events and no keys. */
#include "runner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "orphans.h"
#include "report.h"
#include "verbs.h"

#define SWEEP_MS 5
#define LATE_NS	 20000000
#define YOUNG_NS 1000000000 /* a command this old is no short one */
#define DOUBT_MS 50

static void act(struct runner *r, unsigned actions);

static int64_t now_ms(struct runner *r)
{
	return (int64_t)uv_now(r->loop);
}

static int64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- timers */

static void on_timer(uv_timer_t *h);

static void set_timer(struct runner *r)
{
	int64_t next = busy_next(&r->busy), now = now_ms(r);

	if (next < 0)
		uv_timer_stop(&r->timer);
	else
		uv_timer_start(&r->timer, on_timer, next > now ? (uint64_t)(next - now) : 0, 0);
}

static void on_timer(uv_timer_t *h)
{
	struct runner *r = h->data;

	act(r, busy_tick(&r->busy, now_ms(r)));
}

/* ---- leftovers: what stayed behind when its command ended */

static size_t leftovers(struct runner *r)
{
	size_t n = 0;

	if ((r->after_sweep & BUSY_EXIT) && !r->has_neighbours)
		return orphans_count_all();
	for (int i = 0; i < r->s->jobs; i++)
		n += orphans_count(r->groups[i]);
	return n;
}

static void signal_leftovers(struct runner *r, int signum)
{
	if ((r->after_sweep & BUSY_EXIT) && !r->has_neighbours) {
		orphans_signal_all(signum);
		return;
	}
	for (int i = 0; i < r->s->jobs; i++)
		orphans_signal(r->groups[i], signum);
}

static void after_sweep(struct runner *r);

static void on_sweep(uv_timer_t *h)
{
	struct runner *r = h->data;

	if (leftovers(r) > 0 && uv_hrtime() < r->sweep_end_ns && !r->kill_next)
		return;
	if (leftovers(r) > 0 && !r->sweep_killed) {
		r->sweep_killed = 1;
		r->kill_next = 0;
		signal_leftovers(r, SIGKILL);
		r->sweep_end_ns = uv_hrtime() + 1000000000;
		return;
	}
	uv_timer_stop(&r->sweep);
	after_sweep(r);
}

static void sweep(struct runner *r, unsigned then)
{
	size_t n;

	r->after_sweep = then;
	n = leftovers(r);
	if (n == 0) {
		after_sweep(r);
		return;
	}
	say(r->voice, 1, SAY_DIM, "stopping %zu process%s that the command left behind", n,
	    n == 1 ? "" : "es");
	r->sweep_killed = 0;
	r->sweep_end_ns = uv_hrtime() + (uint64_t)r->s->stop_timeout_ms * 1000000;
	signal_leftovers(r, r->s->stop_signal);
	uv_timer_start(&r->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

/* ---- a run */

static void on_done(sh_proc *p, const sh_result *result, void *arg);
static void start_more(struct runner *r);
static void settle_doubt(struct runner *r);

static void finish_run(struct runner *r)
{
	if (!r->is_stopped || r->busy.quitting == 0)
		report_end(r);
	report_notify(r);
	if (r->on_end)
		r->on_end(r->code, r->arg);
	r->ended_wall_ns = wall_ns();
	settle_doubt(r);
	/* Once it seems to trigger itself, what it wrote has to be known before the run counts
	 * as over. This cuts the quiet time of a batch short, so not after every run. */
	if (!r->busy.quitting && r->own.streak > 0 && r->sync && r->sync(r->arg) == 0) {
		r->is_syncing = 1;
		return;
	}
	runner_synced(r);
}

void runner_synced(struct runner *r)
{
	unsigned actions;

	r->is_syncing = 0;
	if (r->running > 0)
		return;
	r->busy.settle_ms = own_asks(&r->own) ? OWN_SETTLE_MS : 0;
	actions = busy_ended(&r->busy, now_ms(r), r->code);
	act(r, actions);
}

static void start_words(struct runner *r, int slot, struct words *argv, const char *path)
{
	const struct settings *s = r->s;
	struct words env = { 0 };
	struct bytes input = { 0 };
	sh_call call = { .size = sizeof call };

	command_environment(&env, &r->command, &r->now, path, r->run);
	command_input(&input, &r->command, &r->now);
	call.argv[0] = argv->v[0];
	call.args = words_list(argv) + 1;
	call.env = words_list(&env);
	call.cwd = s->workdir;
	/* By name: a command that is given the terminal's descriptor stays in our group. */
	call.in = SH_NULL;
	if (s->feed != STDIN_NONE)
		call.in = SH_BYTES(input.data ? input.data : "", input.len);
	else if (r->inherit_stdin)
		call.in = SH_FILE("/dev/tty");
	call.out = r->on_output ? SH_LINES(r->on_output, r->arg) : SH_INHERIT;
	call.err = r->on_error ? SH_LINES(r->on_error, r->arg) : SH_INHERIT;
	call.timeout_ms = s->timeout_ms;
	call.stop_signal = s->stop_timeout_ms ? s->stop_signal : SIGKILL;
	call.grace_ms = s->stop_timeout_ms;
	call.die_with_parent = true;
	call.guard = true;
	call.foreground_tty = r->foreground && s->feed == STDIN_NONE;
	call.loop = r->loop;
	call.done = on_done;
	call.arg = r;
	r->procs[slot] = sh_start(&call);
	if (!r->procs[slot]) {
		say_error("out of memory");
		exit(EXIT_FAILED);
	}
	r->groups[slot] = sh_pid(r->procs[slot]);
	r->running++;
	if (r->on_start && r->groups[slot])
		r->on_start(r->groups[slot], r->arg);
	words_free(&env);
	bytes_free(&input);
}

/* Fills the free slots with what is left of the run. */
static void start_more(struct runner *r)
{
	const struct words *paths = &r->now.paths;

	for (int i = 0; i < r->s->jobs && !r->is_stopped; i++) {
		struct words argv = { 0 }, one = { 0 };
		const char *path = NULL;

		if (r->procs[i])
			continue;
		if (r->is_begun && r->next_path >= paths->n)
			return;
		r->is_begun = 1;
		if (r->s->each) {
			size_t zero = 0;

			path = paths->v[r->next_path++];
			words_add(&one, path);
			command_words(&argv, &r->command, &one, &zero);
		} else {
			command_words(&argv, &r->command, paths, &r->next_path);
		}
		start_words(r, i, &argv, path);
		words_free(&argv);
		words_free(&one);
		if (!r->s->each)
			return;
	}
}

static void begin_run(struct runner *r)
{
	changes_clear(&r->now);
	r->now = r->next;
	r->next = (struct changes){ 0 };
	own_start(&r->own);
	r->busy.settle_ms = 0;
	r->code = r->by_signal = r->is_stopped = 0;
	r->user_ns = r->sys_ns = r->maxrss_kib = 0;
	r->why = NULL;
	r->next_path = 0;
	r->is_begun = 0;
	r->run++;
	report_clear(r->s);
	report_start(r);
	r->begun_ns = uv_hrtime();
	r->late_ns = r->changed_ns ? r->begun_ns - r->changed_ns : 0;
	r->changed_ns = 0;
	r->begun_wall_ns = wall_ns();
	start_more(r);
}

/* A command that cannot be started at all is a mistake the user wants to see at once; one
 * that was started before is being rebuilt. */
static void cannot_start(struct runner *r, const sh_result *result)
{
	say_error("%s", result->message);
	if (!r->was_ok && (result->status == SH_NOTFOUND || result->status == SH_NOPERM)) {
		r->busy.quitting = 1;
		r->busy.exit_code = sh_shell_code(result);
	}
}

static void note_result(struct runner *r, const sh_result *result)
{
	int code = sh_shell_code(result);

	if (code && !r->code)
		r->code = code;
	r->user_ns += result->user_ns;
	r->sys_ns += result->sys_ns;
	if (result->maxrss_kib > r->maxrss_kib)
		r->maxrss_kib = result->maxrss_kib;
	r->by_signal = result->term_signal;
	switch (result->status) {
	case SH_DONE:
	case SH_EXIT:
		r->was_ok = 1;
		return;
	case SH_SIGNAL:
		r->was_ok = 1;
		snprintf(r->ending, sizeof r->ending, "ended by SIG%s",
			 signal_name(result->term_signal));
		break;
	case SH_TIMEOUT:
		snprintf(r->ending, sizeof r->ending, "timed out");
		break;
	case SH_CANCELED:
		snprintf(r->ending, sizeof r->ending, "stopped%s",
			 result->flags & SH_KILLED ? " by SIGKILL" : "");
		break;
	default:
		cannot_start(r, result);
		snprintf(r->ending, sizeof r->ending, "not started");
	}
	r->why = r->ending;
}

static void on_done(sh_proc *p, const sh_result *result, void *arg)
{
	struct runner *r = arg;

	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i] == p)
			r->procs[i] = NULL;
	note_result(r, result);
	r->running--;
	sh_proc_free(p);
	if (r->s->exit_on_error && r->code)
		r->next_path = r->now.paths.n;
	start_more(r);
	if (r->running == 0)
		finish_run(r);
}

static void each_proc(struct runner *r, int (*what)(sh_proc *))
{
	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i])
			what(r->procs[i]);
}

static void stop_run(struct runner *r)
{
	r->is_stopped = 1;
	each_proc(r, sh_stop);
	/* Between the command's end and the next start there is nothing to stop. */
	if (r->running == 0 && !r->is_syncing && !uv_is_active((uv_handle_t *)&r->sweep))
		runner_synced(r);
}

static void signal_run(struct runner *r)
{
	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i])
			sh_signal(r->procs[i], r->s->signal);
	say(r->voice, 0, SAY_DIM, "run %lu: sent SIG%s", r->run, signal_name(r->s->signal));
}

static void after_sweep(struct runner *r)
{
	if (r->after_sweep & BUSY_EXIT) {
		if (!r->is_over) {
			r->is_over = 1;
			r->on_exit(r->busy.exit_code, r->arg);
		}
		return;
	}
	/* Somebody may have asked for something else meanwhile. */
	if (r->busy.state != BUSY_RUNNING)
		runner_synced(r);
	else
		begin_run(r);
}

static void act(struct runner *r, unsigned actions)
{
	if (actions & BUSY_SIGNAL)
		signal_run(r);
	if (actions & BUSY_DROP)
		changes_clear(&r->next);
	if (actions & BUSY_KILL) {
		r->kill_next = 1;
		each_proc(r, sh_stop);
	}
	if (actions & BUSY_STOP)
		stop_run(r);
	if ((actions & BUSY_START) && r->command.needs_path && r->next.paths.n == 0) {
		say(r->voice, 1, SAY_DIM, "no changed path yet; nothing to run");
		r->code = 0;
		actions &= ~(unsigned)BUSY_START;
		busy_ended(&r->busy, now_ms(r), 0);
	}
	if (actions & BUSY_START)
		sweep(r, BUSY_START);
	if (actions & BUSY_EXIT)
		sweep(r, BUSY_EXIT);
	set_timer(r);
}

/* ---- the interface */

/* Was it read while the command ran? Without a sync at its end what it wrote last may be read
 * a moment later; at first such a doubt does no harm. */
static int is_during_run(const struct runner *r, const watcher_event *e)
{
	if (e->time_ns < r->begun_wall_ns)
		return 0;
	if (r->running > 0)
		return r->s->on_busy != ON_BUSY_RESTART;
	if (r->is_syncing)
		return 1;
	return r->run > 0 && r->own.streak == 0 && e->time_ns < r->ended_wall_ns + LATE_NS;
}

/*
 * Where changes restart the command, its own write must not stop it before it is known for a
 * short one that would have ended by itself: the restart waits a moment for that.
 */
static int is_doubtful(const struct runner *r, const watcher_event *e)
{
	return r->s->on_busy == ON_BUSY_RESTART && r->running > 0 && !r->is_stopped &&
	       !r->own.mixed && e->time_ns >= r->begun_wall_ns &&
	       e->time_ns < r->begun_wall_ns + YOUNG_NS;
}

/* The command went on: somebody else made the change. */
static void on_doubt(uv_timer_t *h)
{
	struct runner *r = h->data;

	r->own.mixed = 1;
	act(r, busy_change(&r->busy, now_ms(r)));
}

/* The command ended by itself: it may have made the change. */
static void settle_doubt(struct runner *r)
{
	int kept = 0;

	if (!uv_is_active((uv_handle_t *)&r->doubt))
		return;
	uv_timer_stop(&r->doubt);
	for (size_t i = 0; i < r->next.paths.n; i++) {
		enum own_answer a = own_change(&r->own, r->next.paths.v[i], 1);

		if (a == OWN_TELL)
			report_own(r, r->next.paths.v[i]);
		kept |= a == OWN_REACT;
	}
	if (kept)
		busy_owe(&r->busy);
	else
		changes_clear(&r->next);
}

static int is_ours(struct runner *r, const watcher_event *e)
{
	enum own_answer a = own_change(&r->own, e->dest && e->dest_len ? e->dest : e->path,
				       is_during_run(r, e));

	if (a == OWN_TELL)
		report_own(r, e->path);
	return a != OWN_REACT;
}

int runner_collect(struct runner *r, watcher_batch *batch)
{
	size_t before = r->next.count;
	int doubtful, all_doubtful = 1;
	watcher_event e;

	r->next.base = r->base;
	while (watcher_batch_next(batch, &e)) {
		if (e.kind & WATCHER_CONTROL) {
			say(r->voice, 1, SAY_DIM,
			    "the kernel dropped events; looking what changed");
			continue;
		}
		say(r->voice, 2, SAY_DIM, "%s %s%s%s", watcher_kind_name(e.kind), e.path,
		    e.dest ? " -> " : "", e.dest ? e.dest : "");
		doubtful = is_doubtful(r, &e);
		if (doubtful || !is_ours(r, &e))
			changes_add(&r->next, &e, r->s->feed == STDIN_JSON);
		all_doubtful &= doubtful;
	}
	if (!r->changed_ns)
		r->changed_ns = uv_hrtime();
	if (r->own.mixed)
		r->busy.settle_ms = 0;
	if (r->next.count == before)
		return 0;
	if (all_doubtful) {
		if (!uv_is_active((uv_handle_t *)&r->doubt))
			uv_timer_start(&r->doubt, on_doubt, DOUBT_MS, 0);
		return 0;
	}
	uv_timer_stop(&r->doubt);
	return 1;
}

void runner_batch(struct runner *r, watcher_batch *batch)
{
	if (runner_collect(r, batch))
		act(r, busy_change(&r->busy, now_ms(r)));
}

int runner_open(struct runner *r)
{
	const struct settings *s = r->s;

	if (s->command.n == 0) {
		say_error("%s: no command; write whendo [PATH...] -- COMMAND", s->verb->name);
		return EXIT_USAGE;
	}
	command_init(&r->command, s);
	if (s->workdir)
		r->base = getcwd(NULL, 0);
	r->busy = (struct busy){
		.on_busy = s->on_busy,
		.postpone = s->postpone || r->command.needs_path,
		.once = s->once,
		.exit_on_error = s->exit_on_error,
		.restart_on_exit = s->restart_on_exit,
		.delay_ms = s->delay_ms,
		.every_ms = s->every_ms,
	};
	r->procs = alloc_zero((size_t)s->jobs, sizeof(sh_proc *));
	r->groups = alloc_zero((size_t)s->jobs, sizeof *r->groups);
	uv_timer_init(r->loop, &r->timer);
	uv_timer_init(r->loop, &r->sweep);
	uv_timer_init(r->loop, &r->doubt);
	r->timer.data = r->sweep.data = r->doubt.data = r;
	return 0;
}

void runner_ready(struct runner *r)
{
	act(r, busy_ready(&r->busy, now_ms(r)));
}

void runner_run_now(struct runner *r)
{
	act(r, busy_run_now(&r->busy, now_ms(r)));
}

void runner_restart(struct runner *r)
{
	act(r, busy_restart(&r->busy, now_ms(r)));
}

void runner_pause(struct runner *r)
{
	unsigned actions = busy_pause(&r->busy, now_ms(r));

	say(r->voice, 0, SAY_NOTE, r->busy.paused ? "paused; p goes on" : "going on");
	act(r, actions);
}

void runner_quit(struct runner *r)
{
	unsigned actions;

	if (r->is_over)
		return;
	if (uv_is_active((uv_handle_t *)&r->sweep)) {
		/* Leftovers are being stopped; asked again they are killed. */
		r->kill_next = r->busy.quitting;
		busy_quit(&r->busy);
		return;
	}
	actions = busy_quit(&r->busy);
	if (actions & BUSY_STOP)
		say(r->voice, 0, SAY_DIM, "stopping (again: kill)");
	act(r, actions);
}

pid_t runner_group(const struct runner *r)
{
	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i])
			return sh_pid(r->procs[i]);
	return 0;
}

void runner_reap(struct runner *r)
{
	for (int i = 0; r->groups && i < r->s->jobs; i++)
		if (r->groups[i])
			orphans_reap(r->groups[i]);
}

void runner_close(struct runner *r)
{
	if (!r->procs)
		return;
	uv_close((uv_handle_t *)&r->timer, NULL);
	uv_close((uv_handle_t *)&r->sweep, NULL);
	uv_close((uv_handle_t *)&r->doubt, NULL);
	changes_clear(&r->next);
	changes_clear(&r->now);
	own_free(&r->own);
	command_free(&r->command);
	free(r->base);
	free(r->procs);
	free(r->groups);
	r->procs = NULL;
	r->groups = NULL;
}
