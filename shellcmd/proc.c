/* The life of a command: from one state to the next. */
#include "shellcmd/proc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shellcmd/detached.h"

enum { STOPPED_DRAIN_MS = 500 };

/* ------------------------------------------------------------------ making and ending */

static void init_stage(sh_proc *p, struct sh__stage *st)
{
	memset(st, 0, sizeof *st);
	st->child.pidfd = st->guardian.pidfd = st->guard_fd = -1;
	st->child.guard_fd = st->guardian.guard_fd = -1;
	sh__sink_init(&st->err, p, &p->kept_err);
	st->err.is_err = true;
}

static int copy_calls(sh_proc *p, const sh_call *const *calls, size_t n)
{
	if (!(p->stages = malloc(n * sizeof *p->stages)))
		return UV_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		init_stage(p, &p->stages[i]);
		p->n = i + 1;
		if (sh__spec_init(&p->stages[i].spec, calls ? calls[i] : NULL) < 0)
			return UV_ENOMEM;
	}
	return 0;
}

static int judge(sh_proc *p, enum sh__manner manner)
{
	struct sh__spec *specs = malloc(p->n * sizeof *specs);

	if (!specs)
		return UV_ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		specs[i] = p->stages[i].spec;
	sh__spec_whole(specs, p->n, manner, &p->whole);
	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		st->spec = specs[i];
		if (st->spec.invalid[0])
			sh__stage_failed(st, SH_INVALID, st->spec.invalid_errno, "%s",
					 st->spec.invalid);
	}
	free(specs);
	/* They made the call invalid: its end comes without turning the one or calling the other. */
	if (manner == SH__WAITED) {
		p->whole.loop = NULL;
		p->whole.done = NULL;
	}
	return 0;
}

sh_proc *sh__proc_new(const sh_call *const *calls, size_t n, enum sh__manner manner)
{
	sh_proc *p = calloc(1, sizeof *p);
	int r;

	sh__detached_reap();
	if (!p)
		return NULL;
	p->pty_fd = p->tty_fd = p->in.watch.fd = -1;
	p->in.proc = p;
	p->waited = manner == SH__WAITED;
	sh__sink_init(&p->out, p, &p->kept_out);
	r = copy_calls(p, n ? calls : NULL, n ? n : 1);
	if (r == 0)
		r = judge(p, manner);
	if (r < 0) {
		sh__proc_destroy(p);
		return NULL;
	}
	return p;
}

void sh__proc_destroy(sh_proc *p)
{
	sh__guards_end(p);
	for (size_t i = 0; i < p->n; i++) {
		sh__sink_free(&p->stages[i].err);
		bytes_free(&p->stages[i].reason);
		sh__spec_free(&p->stages[i].spec);
	}
	sh__sink_free(&p->out);
	sh__source_free(&p->in);
	sh__loop_fini(&p->own_loop);
	free(p->stages);
	bytes_free(&p->kept_out.b);
	free(p->kept_out.pattern);
	bytes_free(&p->kept_err.b);
	sh_free(p->result);
	free(p);
}

/* The caller's loop has let go of the last handle. */
static void loop_let_go(struct sh__loop *l)
{
	sh_proc *p = l->arg;

	if (p->freed && p->phase == SH__ENDED && !p->busy)
		sh__proc_destroy(p);
}

/* ------------------------------------------------------------------ starting */

void sh__proc_start(sh_proc *p, struct sh__loop *loop)
{
	p->loop = loop;
	p->phase = SH__RUNNING;
	p->started_ns = p->last_output_ns = uv_hrtime();
	sh__timer_init(loop, &p->timer, sh__stop_timer, p);
	p->busy++;
	sh__start_stages(p);
	p->busy--;
	sh__stop_set_limits(p);
	/* Also a command that could not be started ends from the loop. */
	if (sh__proc_all_exited(p))
		p->look_at = 1;
	sh__stop_set_timer(p);
}

void sh__proc_release(sh_proc *p)
{
	int r = 0;

	if (p->whole.loop) {
		sh__loop_init(&p->own_loop, p->whole.loop);
		p->own_loop.closed = loop_let_go;
		p->own_loop.arg = p;
	} else if (sh__engine()->needs_uv) {
		r = sh__loop_init_own_uv(&p->own_loop);
	} else {
		sh__loop_init(&p->own_loop, NULL);
	}
	if (r < 0) {
		sh__loop_init(&p->own_loop, NULL);
		sh__stage_failed(&p->stages[0], r == UV_ENOMEM ? SH_NOMEM : SH_SPAWN, r,
				 "no event loop: %s", uv_strerror(r));
	}
	sh__proc_start(p, &p->own_loop);
}

/* ------------------------------------------------------------------ events */

int sh__proc_call_data(sh_proc *p, sh_data_cb cb, const char *data, size_t len, void *arg)
{
	int verdict;

	p->busy++;
	verdict = cb(p, data, len, arg);
	p->busy--;
	return verdict;
}

int sh__proc_call_pull(sh_proc *p, sh_pull_cb cb, char *buf, size_t cap, void *arg)
{
	int n;

	p->busy++;
	n = cb(p, buf, cap, arg);
	p->busy--;
	return n;
}

void sh__proc_fail(sh_proc *p, int status, int sys_errno, const char *reason)
{
	if (p->phase != SH__RUNNING)
		return;
	if (!p->status) {
		p->status = status;
		p->sys_errno = sys_errno;
		p->reason = reason;
	}
	sh__stop_begin(p);
}

void sh__proc_overflow(sh_proc *p, struct sh__sink *s)
{
	sh__proc_fail(p, SH_OVERFLOW, UV_E2BIG,
		      s->is_err ? "its errors are longer than max_out"
				: "its output is longer than max_out");
}

/* The timer looks at this when it fires; nothing is set anew for every read. */
void sh__proc_saw_output(sh_proc *p)
{
	if (p->whole.idle_ms)
		p->last_output_ns = uv_hrtime();
}

void sh__proc_kill(sh_proc *p)
{
	p->flags |= SH_KILLED;
	sh__stop_force(p);
}

/* ------------------------------------------------------------------ ending */

bool sh__proc_all_exited(const sh_proc *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->stages[i].started && !p->stages[i].child.exited)
			return false;
	return true;
}

static bool any_sink_open(const sh_proc *p)
{
	bool open = p->out.watch.fd >= 0;

	for (size_t i = 0; i < p->n; i++)
		open |= p->stages[i].err.watch.fd >= 0;
	return open;
}

static void forget_children(sh_proc *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		if (st->started)
			sh__engine()->forget(&st->child);
		if (st->guardian.pid && st->child.guard_fd < 0) {
			sh__engine()->forget(&st->guardian);
			st->guardian.pid = 0;
		}
	}
}

static void end(sh_proc *p)
{
	p->ended_ns = uv_hrtime();
	sh__guards_keep(p);
	forget_children(p);
	sh__tty_give_back(p);
	if (p->pty_fd >= 0)
		close(p->pty_fd);
	p->pty_fd = -1;
	p->result = sh__result_new(p);
	p->phase = SH__ENDED;
	sh__timer_close(&p->timer);
	p->busy++;
	sh__trace_exit(p->result ? p->result : &sh__result_nomem);
	if (p->whole.done && !p->freed)
		p->whole.done(p, p->result ? p->result : &sh__result_nomem, p->whole.arg);
	p->busy--;
}

/* What is stopped is not waited for without end, whatever the caller would grant it. */
static void drain(sh_proc *p)
{
	int64_t ms = p->whole.drain_ms;

	if (p->drain_at)
		return;
	if (p->stop != SH__NOT_STOPPING && ms > STOPPED_DRAIN_MS)
		ms = STOPPED_DRAIN_MS;
	p->drain_at = ms == SH_FOREVER ? UINT64_MAX : uv_hrtime() + (uint64_t)ms * 1000000u;
	sh__stop_set_timer(p);
}

void sh__proc_step(sh_proc *p)
{
	/* Inside a callback the stack still uses the handle; the one who called goes on. */
	if (p->phase != SH__RUNNING || p->busy || !sh__proc_all_exited(p))
		return;
	sh__source_close(&p->in);
	if (p->whole.stop_left)
		sh__stop_left(p);
	if (p->stop != SH__NOT_STOPPING && !sh__stop_all_gone(p))
		return;
	if (any_sink_open(p)) {
		drain(p);
		return;
	}
	if (sh__guards_stay(p) || sh__guards_gone(p))
		end(p);
}
