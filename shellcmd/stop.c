/*
 * Time limits, and how a command is made to end: the stop signal and SIGCONT to its group,
 * SIGKILL after the grace, and then waiting until nobody of the group is left. One timer
 * stands for all moments there are.
 */
#include "shellcmd/proc.h"

#include <signal.h>

#define NS_PER_MS 1000000u

enum {
	FIRST_LOOK_NS = 1000000, /* whether a group is empty; then twice as long each time */
	MOST_LOOK_NS = 50000000,
	TTY_LOOK_MS = 100, /* no event tells that a child was stopped, but SIGCHLD */
	GIVE_UP_LOOKS = 25 /* after SIGKILL, in a second: what lives on is in the kernel's hands */
};

static uint64_t after_ms(uint64_t from_ns, int64_t ms)
{
	return ms >= SH_FOREVER / (int64_t)NS_PER_MS ? UINT64_MAX
						     : from_ns + (uint64_t)ms * NS_PER_MS;
}

void sh__stop_set_limits(sh_proc *p)
{
	if (p->whole.timeout_ms)
		p->timeout_at = after_ms(p->started_ns, p->whole.timeout_ms);
	if (p->tty_fd >= 0)
		p->tty_at = after_ms(p->started_ns, TTY_LOOK_MS);
	if (p->whole.idle_ms)
		p->idle_at = after_ms(p->started_ns, p->whole.idle_ms);
}

void sh__stop_set_timer(sh_proc *p)
{
	const uint64_t at[] = { p->timeout_at, p->idle_at,  p->force_at,
				p->look_at,    p->drain_at, p->tty_at };
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < sizeof at / sizeof *at; i++)
		if (at[i] && at[i] < first)
			first = at[i];
	if (p->phase == SH__RUNNING)
		sh__timer_set(&p->timer, first == UINT64_MAX ? 0 : first);
}

/* ------------------------------------------------------------------ signals */

/* To whatever is left of it, also to what has left its group where that is known. */
static int signal_all(sh_proc *p, int signum)
{
	int r = UV_ESRCH;

	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		if (!st->started || st->gone)
			continue;
		if (sh__engine()->kill(&st->child, signum) == 0)
			r = 0;
		if (st->guarded && sh__engine()->kill_others(&st->child, signum) == 0)
			r = 0;
	}
	return r;
}

int sh__stop_signal(sh_proc *p, int signum)
{
	int r = UV_ESRCH;

	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		if (!st->started || st->gone || st->child.exited)
			continue;
		if (sh__engine()->kill(&st->child, signum) == 0)
			r = 0;
	}
	return r;
}

static void start_looking(sh_proc *p)
{
	p->look_every = FIRST_LOOK_NS;
	p->look_at = uv_hrtime() + p->look_every;
}

/* A stopped process cannot act on a signal: SIGCONT comes behind it. */
void sh__stop_begin(sh_proc *p)
{
	if (p->phase != SH__RUNNING || p->stop != SH__NOT_STOPPING)
		return;
	if (p->whole.stop_signal == SIGKILL) {
		sh__stop_force(p);
		return;
	}
	p->stop = SH__ASKED;
	p->timeout_at = p->idle_at = p->drain_at = 0;
	signal_all(p, p->whole.stop_signal);
	signal_all(p, SIGCONT);
	p->force_at = after_ms(uv_hrtime(), p->whole.grace_ms);
	start_looking(p);
	sh__stop_set_timer(p);
}

void sh__stop_force(sh_proc *p)
{
	if (p->phase != SH__RUNNING || p->stop == SH__FORCED)
		return;
	p->stop = SH__FORCED;
	p->timeout_at = p->idle_at = p->force_at = p->drain_at = 0;
	if (signal_all(p, SIGKILL) == 0)
		p->flags |= SH_KILLED;
	p->looks_left = GIVE_UP_LOOKS;
	start_looking(p);
	sh__stop_set_timer(p);
}

/*
 * Asked again by the timer as long as it says no. Looks are counted, not time: where this
 * process had to wait for its turn, those that were killed may still wait for theirs.
 */
bool sh__stop_all_gone(sh_proc *p)
{
	bool all = true;

	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		if (st->started && !st->gone)
			st->gone = sh__engine()->group_gone(&st->child);
		all &= !st->started || st->gone;
	}
	if (all) {
		p->force_at = p->look_at = 0;
		return true;
	}
	if (p->stop == SH__FORCED && !p->looks_left) {
		p->flags |= SH_ESCAPED;
		return true;
	}
	if (!p->look_at) {
		p->look_every = p->look_every < MOST_LOOK_NS ? p->look_every * 2 : MOST_LOOK_NS;
		p->look_at = uv_hrtime() + p->look_every;
	}
	sh__stop_set_timer(p);
	return false;
}

/* All have ended by themselves; what is left of their groups goes the same way. */
void sh__stop_left(sh_proc *p)
{
	if (p->stop != SH__NOT_STOPPING || sh__stop_all_gone(p))
		return;
	sh__stop_begin(p);
	if (p->stop == SH__ASKED)
		p->stop = SH__LEFT_ASKED;
}

/* ------------------------------------------------------------------ moments */

static void cut_drain(sh_proc *p)
{
	for (size_t i = 0; i <= p->n; i++) {
		struct sh__sink *s = i < p->n ? &p->stages[i].err : &p->out;

		/* A reader that takes its time is waited for, unless it has given up. */
		if (s->watch.fd < 0 || (s->paused && p->stop == SH__NOT_STOPPING))
			continue;
		/* The first takes what is there, the second sees whether that was all. */
		sh__sink_read(s);
		if (s->watch.fd >= 0)
			sh__sink_read(s);
		if (s->watch.fd >= 0)
			p->flags |= SH_DRAIN_CUT;
		sh__sink_close(s);
	}
}

static void time_out(sh_proc *p, const char *reason)
{
	/* What has exited, and is only being drained, is in time. */
	if (sh__proc_all_exited(p))
		return;
	p->flags |= SH_TIMED_OUT;
	sh__proc_fail(p, SH_TIMEOUT, UV_ETIMEDOUT, reason);
}

static bool is_due(uint64_t *at, uint64_t now)
{
	if (!*at || *at > now)
		return false;
	*at = 0;
	return true;
}

/* Output that came since the timer was set moves the limit, and so does not reading it. */
static bool is_idle(sh_proc *p, uint64_t now)
{
	uint64_t at = after_ms(p->is_paused ? now : p->last_output_ns, p->whole.idle_ms);

	if (!p->idle_at || p->idle_at > now)
		return false;
	p->idle_at = at > now ? at : 0;
	return at <= now;
}

void sh__stop_timer(struct sh__timer *t)
{
	sh_proc *p = t->arg;
	uint64_t now = uv_hrtime();

	p->busy++;
	if (is_due(&p->look_at, now) && p->looks_left)
		p->looks_left--;
	if (is_due(&p->tty_at, now)) {
		sh__tty_look(p);
		p->tty_at = after_ms(uv_hrtime(), TTY_LOOK_MS);
	}
	if (is_due(&p->timeout_at, now))
		time_out(p, "it was stopped after its time limit, timeout_ms");
	if (is_idle(p, now)) {
		p->silent = p->status == 0;
		time_out(p, "it was stopped because it wrote nothing for idle_ms");
	}
	if (is_due(&p->force_at, now))
		sh__stop_force(p);
	if (is_due(&p->drain_at, now)) {
		cut_drain(p);
		p->drain_at = UINT64_MAX;
	}
	p->busy--;
	sh__stop_set_timer(p);
	sh__proc_step(p);
}
