/* From the busy policy's words to runs and back. Reads no events and no keys. */
#include "runner.h"

#include <stdlib.h>
#include <unistd.h>

#include "execution.h"
#include "leftovers.h"
#include "report.h"
#include "suspicion.h"
#include "verbs.h"

static int64_t now_ms(struct runner *r)
{
	return (int64_t)uv_now(r->loop);
}

/* ---- delays and --every */

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

	runner_act(r, busy_tick(&r->busy, now_ms(r)));
}

/* ---- what happens between runs */

void runner_ended(struct runner *r)
{
	if (r->on_gone)
		r->on_gone(r->arg);
	if (!r->is_stopped || r->busy.quitting == 0)
		report_end(r);
	report_notify(r);
	if (r->on_end)
		r->on_end(r->code, r->arg);
	suspicion_end(r);
	/* It cuts the quiet time of a batch short, so not after every run. */
	if (!r->busy.quitting && suspicion_needs_sync(r) && r->sync && r->sync(r->arg) == 0) {
		r->is_syncing = 1;
		return;
	}
	runner_synced(r);
}

void runner_synced(struct runner *r)
{
	r->is_syncing = 0;
	if (r->running > 0)
		return;
	suspicion_settle(r);
	runner_act(r, busy_ended(&r->busy, now_ms(r), r->code));
}

void runner_swept(struct runner *r, unsigned then)
{
	if (then & BUSY_EXIT) {
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
		execution_begin(r);
}

static void stop_run(struct runner *r)
{
	execution_stop(r);
	/* Between the command's end and the next start there is nothing to stop. */
	if (r->running == 0 && !r->is_syncing && !uv_is_active((uv_handle_t *)&r->sweep))
		runner_synced(r);
}

void runner_act(struct runner *r, unsigned actions)
{
	if (actions & BUSY_SIGNAL)
		execution_signal(r);
	if (actions & BUSY_DROP)
		changes_clear(&r->next);
	if (actions & BUSY_KILL) {
		r->kill_next = 1;
		execution_stop(r);
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
		leftovers_sweep(r, BUSY_START);
	if (actions & BUSY_EXIT)
		leftovers_sweep(r, BUSY_EXIT);
	set_timer(r);
}

/* ---- the interface */

int runner_collect(struct runner *r, watcher_batch *batch)
{
	r->next.base = r->base;
	if (!r->changed_ns)
		r->changed_ns = uv_hrtime();
	return suspicion_collect(r, batch);
}

void runner_batch(struct runner *r, watcher_batch *batch)
{
	if (runner_collect(r, batch))
		runner_act(r, busy_change(&r->busy, now_ms(r)));
}

void runner_release(struct runner *r)
{
	runner_act(r, busy_run_now(&r->busy, now_ms(r)));
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
	uv_timer_init(r->loop, &r->timer);
	uv_timer_init(r->loop, &r->sweep);
	r->timer.data = r->sweep.data = r;
	suspicion_open(r);
	circle_join(r);
	return 0;
}

void runner_ready(struct runner *r)
{
	runner_act(r, busy_ready(&r->busy, now_ms(r)));
	execution_prepare(r);
}

void runner_run_now(struct runner *r)
{
	own_other(&r->own);
	runner_act(r, busy_run_now(&r->busy, now_ms(r)));
}

void runner_restart(struct runner *r)
{
	own_other(&r->own);
	runner_act(r, busy_restart(&r->busy, now_ms(r)));
}

void runner_pause(struct runner *r)
{
	unsigned actions = busy_pause(&r->busy, now_ms(r));

	say(r->voice, 0, SAY_NOTE, r->busy.paused ? "paused; p goes on" : "going on");
	runner_act(r, actions);
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
	runner_act(r, actions);
}

pid_t runner_group(const struct runner *r)
{
	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i])
			return sh_pid(r->procs[i]);
	return 0;
}

void runner_suspend(struct runner *r)
{
	openers_forget(&r->openers);
}

void runner_reap(struct runner *r)
{
	suspicion_reaped(r);
}

void runner_close(struct runner *r)
{
	if (!r->procs)
		return;
	circle_leave(r);
	uv_close((uv_handle_t *)&r->timer, NULL);
	uv_close((uv_handle_t *)&r->sweep, NULL);
	suspicion_close(r);
	changes_clear(&r->next);
	changes_clear(&r->now);
	command_free(&r->command);
	free(r->base);
	free(r->procs);
	groups_free(&r->groups);
	left_free(&r->left);
	r->procs = NULL;
}
