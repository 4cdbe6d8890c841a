/* The sweep after a run. What an orphan is and where it is found is orphans.c's. */
#include "leftovers.h"

#include <signal.h>

#include "orphans.h"

#define SWEEP_MS      5
#define AFTER_KILL_NS 1000000000 /* one that does not end even then is left */

static size_t count(const struct runner *r)
{
	size_t n = 0;

	if ((r->after_sweep & BUSY_EXIT) && !r->has_neighbours)
		return orphans_count_all();
	for (size_t i = 0; i < r->groups.n; i++)
		n += orphans_count(r->groups.v[i]);
	return n;
}

static void signal_all(const struct runner *r, int signum)
{
	if ((r->after_sweep & BUSY_EXIT) && !r->has_neighbours) {
		orphans_signal_all(signum);
		return;
	}
	for (size_t i = 0; i < r->groups.n; i++)
		orphans_signal(r->groups.v[i], signum);
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
	for (size_t i = 0; i < r->groups.n; i++)
		if (orphans_count(r->groups.v[i]) > 0)
			return 1;
	return 0;
}
