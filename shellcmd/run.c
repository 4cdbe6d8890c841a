/* The calls a program makes: run, start, wait, feed, stop, free. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shellcmd/detached.h"
#include "shellcmd/proc.h"
#include "shellcmd/words.h"

enum { MOST_WAITING = 256 << 20, LAST_SIGNAL = 64 };

/* ------------------------------------------------------------------ run and wait */

static bool has_private_loop(const sh_proc *p)
{
	return p->loop == &p->own_loop && !p->whole.loop;
}

static uint64_t deadline(int64_t timeout_ms)
{
	if (timeout_ms < 0 || timeout_ms >= SH_FOREVER / 1000000)
		return UINT64_MAX;
	return timeout_ms ? uv_hrtime() + (uint64_t)timeout_ms * 1000000u : 0;
}

/*
 * Turns a private loop once. False: time is up, it has ended, or there is no memory to wait
 * with (then it is stopped, and waited for all the same).
 */
bool sh__proc_turn(sh_proc *p, uint64_t until_ns)
{
	if (p->phase != SH__RUNNING)
		return false;
	if (sh__loop_turn(p->loop, until_ns) < 0)
		sh__proc_fail(p, SH_NOMEM, UV_ENOMEM, "out of memory");
	if (p->phase != SH__RUNNING)
		return false;
	return until_ns == UINT64_MAX || (until_ns && uv_hrtime() < until_ns);
}

static const sh_result *result_of(const sh_proc *p)
{
	if (p->phase != SH__ENDED)
		return NULL;
	return p->result ? p->result : &sh__result_nomem;
}

/* A callback has let go of it while we turned its loop: then this is where it ends. */
bool sh__proc_was_freed(sh_proc *p)
{
	if (!p->freed || p->busy || !has_private_loop(p))
		return false;
	while (sh__proc_turn(p, UINT64_MAX))
		;
	sh__proc_destroy(p);
	return true;
}

const sh_result *sh_wait(sh_proc *p, int64_t timeout_ms)
{
	uint64_t until = deadline(timeout_ms);

	if (!p)
		return NULL;
	if (p->phase != SH__RUNNING || p->busy || !has_private_loop(p))
		return result_of(p);
	while (sh__proc_turn(p, until))
		;
	return sh__proc_was_freed(p) ? NULL : result_of(p);
}

static sh_result *finish(sh_proc *p)
{
	sh_result *r;

	sh__proc_release(p);
	while (sh__proc_turn(p, UINT64_MAX))
		;
	if (!(r = p->result)) {
		r = (sh_result *)&sh__result_nomem;
	} else {
		sh__result_own(r, p);
		p->result = NULL;
	}
	sh__proc_destroy(p);
	return r;
}

sh_result *sh_run_stages(const sh_call *const *stages, size_t n)
{
	sh_proc *p = sh__proc_new(stages, n, SH__WAITED);

	return p ? finish(p) : (sh_result *)&sh__result_nomem;
}

sh_result *sh_run(const sh_call *call)
{
	return sh_run_stages(&call, 1);
}

/* A format that cannot be read is an invalid call, and the message says where and why. */
static sh_result *run_unreadable(const char *fmt, int r, const struct sh__unreadable *bad)
{
	sh_proc *p;
	const sh_call call = { .size = sizeof call, .argv = { fmt } };
	const sh_call *calls = &call;

	if (r == UV_ENOMEM || !(p = sh__proc_new(&calls, 1, SH__WAITED)))
		return (sh_result *)&sh__result_nomem;
	sh__stage_failed(&p->stages[0], SH_INVALID, UV_EINVAL, "at byte %zu of the format: %s",
			 bad->offset, bad->why ? bad->why : "it cannot be read");
	return finish(p);
}

sh_result *sh_f(const char *fmt, ...)
{
	struct sh__unreadable bad = { 0 };
	struct sh__words words = { 0 };
	sh_result *result;
	char **argv = NULL;
	va_list ap;
	int r;

	if (!fmt)
		return sh_run(&(const sh_call){ .size = sizeof(sh_call) });
	va_start(ap, fmt);
	r = sh__words_format(&words, fmt, ap, &bad);
	va_end(ap);
	if (r == 0)
		r = sh__words_take(&words, &argv);
	if (r == 0)
		result = sh_run(&(const sh_call){ .size = sizeof(sh_call),
						  .args = (const char *const *)argv });
	else
		result = run_unreadable(fmt, r, &bad);
	sh__words_free(&words);
	sh_words_free(argv);
	return result;
}

/* ------------------------------------------------------------------ start */

sh_proc *sh_start_stages(const sh_call *const *stages, size_t n)
{
	sh_proc *p = sh__proc_new(stages, n, SH__BACKGROUND);

	if (p && !p->whole.held)
		sh__proc_release(p);
	return p;
}

sh_proc *sh_start(const sh_call *call)
{
	return sh_start_stages(&call, 1);
}

int sh_release(sh_proc *p)
{
	if (!p)
		return UV_EINVAL;
	if (p->phase != SH__HELD)
		return UV_EALREADY;
	sh__proc_release(p);
	return 0;
}

/* ------------------------------------------------------------------ input and signals */

int sh_write(sh_proc *p, const void *data, size_t len)
{
	struct sh__source *s;
	int r = 0;

	if (!p || (len && !data))
		return UV_EINVAL;
	s = &p->in;
	if (!s->feeds && !(s->pull && !len))
		return UV_EINVAL;
	if (s->watch.fd < 0 || s->ended || p->phase != SH__RUNNING)
		return UV_EPIPE;
	if (len > MOST_WAITING - (s->queue.len - s->sent))
		return UV_ENOBUFS;
	if (s->sent && s->sent * 2 > s->queue.len) {
		memmove(s->queue.data, s->queue.data + s->sent, s->queue.len - s->sent);
		s->queue.len -= s->sent;
		s->sent = 0;
	}
	if (len && (r = bytes_add(&s->queue, data, len)) < 0)
		return r;
	if (!s->pulling) /* it will look again when its callback returns */
		sh__source_push(s);
	return s->broken ? UV_EPIPE : 0;
}

int sh_eof(sh_proc *p)
{
	if (!p || !p->in.feeds)
		return UV_EINVAL;
	if (p->in.watch.fd < 0 || p->in.ended)
		return UV_EPIPE;
	p->in.ended = true;
	sh__source_push(&p->in);
	return 0;
}

int sh_signal(sh_proc *p, int signum)
{
	if (!p || signum < 0 || signum > LAST_SIGNAL)
		return UV_EINVAL;
	return p->phase == SH__RUNNING ? sh__stop_signal(p, signum)
				       : sh__guards_signal(p, signum);
}

int sh_stop(sh_proc *p)
{
	if (!p)
		return UV_EINVAL;
	if (p->phase == SH__HELD) {
		p->stages[0].status = SH_CANCELED;
		return 0;
	}
	if (p->phase != SH__RUNNING)
		return UV_ESRCH;
	if (p->stop == SH__LEFT_ASKED) /* done already, but not for a caller */
		p->stop = SH__ASKED;
	else if (p->stop != SH__NOT_STOPPING)
		sh__stop_force(p);
	else
		sh__proc_fail(p, SH_CANCELED, 0, "stopped");
	return 0;
}

int sh_stage_pid(const sh_proc *p, size_t i)
{
	return p && i < p->n ? p->stages[i].child.pid : 0;
}

int sh_pid(const sh_proc *p)
{
	return sh_stage_pid(p, 0);
}

static int set_paused(sh_proc *p, bool is_paused)
{
	if (!p || !p->whole.loop)
		return UV_EINVAL;
	if (p->phase == SH__ENDED)
		return UV_ESRCH;
	p->is_paused = is_paused;
	for (size_t i = 0; p->phase == SH__RUNNING && i <= p->n; i++) {
		struct sh__sink *s = i < p->n ? &p->stages[i].err : &p->out;

		if (is_paused)
			sh__sink_pause(s);
		else
			sh__sink_resume(s, p->loop);
	}
	return 0;
}

int sh_pause(sh_proc *p)
{
	return set_paused(p, true);
}

int sh_resume(sh_proc *p)
{
	return set_paused(p, false);
}

/* ------------------------------------------------------------------ free */

static void silence(sh_proc *p)
{
	p->freed = true;
	p->out.cb = NULL;
	p->in.pull = NULL;
	for (size_t i = 0; i < p->n; i++)
		p->stages[i].err.cb = NULL;
}

static bool is_detached(const sh_proc *p)
{
	return p->stages[0].spec.call.detach;
}

/* A detached command goes on by itself; what it holds of ours is let go. */
static void abandon(sh_proc *p)
{
	sh__source_close(&p->in);
	sh__sink_close(&p->out);
	for (size_t i = 0; i < p->n; i++) {
		sh__sink_close(&p->stages[i].err);
		if (p->stages[i].started) {
			sh__engine()->forget(&p->stages[i].child);
			if (!p->stages[i].child.reaped)
				sh__detached_add(p->stages[i].child.pid);
		}
	}
	sh__timer_close(&p->timer);
	p->phase = SH__ENDED;
}

void sh_proc_free(sh_proc *p)
{
	if (!p)
		return;
	silence(p);
	if (p->phase == SH__RUNNING && is_detached(p))
		abandon(p);
	else if (p->phase == SH__RUNNING)
		sh__proc_fail(p, SH_CANCELED, 0, "stopped");
	sh__detached_reap();
	/* Inside a callback the stack still uses it; who turns the loop ends it then. */
	if (p->busy)
		return;
	if (p->phase == SH__RUNNING && has_private_loop(p))
		while (sh__proc_turn(p, UINT64_MAX))
			;
	if (p->phase == SH__HELD ||
	    (p->phase == SH__ENDED && (p->own_loop.owns_uv || p->own_loop.open_handles == 0)))
		sh__proc_destroy(p);
}
