/* The sweep after a run. How what is left is found is left.c's. */
#include "leftovers.h"

#include <signal.h>

#define SWEEP_MS      10
#define AFTER_KILL_NS 1000000000 /* one that does not end even then is left */

/* Members of the run's groups before the next run; all before the program ends. */
static enum left_whom whom(const struct runner *r)
{
	return r->after_sweep & BUSY_EXIT ? LEFT_ALL : LEFT_GROUP;
}

static size_t count(struct runner *r)
{
	return left_count(&r->left, whom(r));
}

static void signal_all(struct runner *r, int signum)
{
	left_signal(&r->left, signum, whom(r));
}

static void on_sweep(uv_timer_t *h)
{
	struct runner *r = h->data;

	if (count(r) > 0 && uv_hrtime() < r->sweep_end_ns && !r->kill_next)
		return;
	if (count(r) > 0 && !r->sweep_killed) {
		r->sweep_killed = 1;
		r->kill_next = 0;
		signal_all(r, SIGKILL);
		r->sweep_end_ns = uv_hrtime() + AFTER_KILL_NS;
		return;
	}
	uv_timer_stop(&r->sweep);
	runner_swept(r, r->after_sweep);
}

void leftovers_sweep(struct runner *r, unsigned then)
{
	size_t n;

	r->after_sweep = then;
	n = count(r);
	if (n == 0) {
		runner_swept(r, then);
		return;
	}
	say(r->voice, 1, SAY_DIM, "stopping %zu process%s that the command left behind", n,
	    n == 1 ? "" : "es");
	r->sweep_killed = 0;
	r->sweep_end_ns = uv_hrtime() + (uint64_t)r->s->stop_timeout_ms * 1000000;
	signal_all(r, r->s->stop_signal);
	uv_timer_start(&r->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

int leftovers_live(const struct runner *r)
{
	return left_any(&r->left, LEFT_GROUP);
}
