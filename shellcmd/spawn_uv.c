/*
 * The portable engine: uv_spawn. It needs a uv loop, and libuv handles SIGCHLD in the host's
 * process. A small shell does in the child what uv_spawn cannot (shim_uv.c). What is left: it
 * makes a session where a group would do, gives a user no groups but the first, cannot hand
 * over the host's terminal, does not close the host's descriptors in the child, and measures
 * nothing.
 */
#include "shellcmd/reap_linux.h"
#include "shellcmd/shim_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shellcmd/pipes.h"

enum { LOOK_MS = 100 };

/* ------------------------------------------------------------------ its end */

static void let_go(struct sh__child *c)
{
	sh__timer_close(&c->look);
	if (c->uv)
		sh__loop_close_handle(c->loop, (uv_handle_t *)c->uv, true);
	c->uv = NULL;
}

static void exited(uv_process_t *h, int64_t code, int signum)
{
	struct sh__child *c = h->data;

	if (signum)
		c->term_signal = signum;
	else
		c->exit_code = (int)code;
	c->exited = true;
	c->reaped = true;
	let_go(c);
	c->on_exit(c);
}

static void look_later(struct sh__child *c)
{
	sh__timer_set(&c->look, uv_hrtime() + LOOK_MS * UINT64_C(1000000));
}

/*
 * Libuv learns of an end by SIGCHLD only: not where the host has blocked it, or has put its own
 * handler there; and it waits for ever for a status that someone else took. What it knows first
 * it tells in exited().
 */
static void look_for_end(struct sh__timer *t)
{
	struct sh__child *c = t->arg;
	int status, pid;

	while ((pid = waitpid(c->pid, &status, WNOHANG)) < 0 && errno == EINTR)
		;
	if (pid == 0) {
		look_later(c);
		return;
	}
	if (pid < 0)
		c->lost = true;
	else if (WIFSIGNALED(status))
		c->term_signal = WTERMSIG(status);
	else
		c->exit_code = WEXITSTATUS(status);
	c->exited = true;
	c->reaped = true;
	let_go(c);
	c->on_exit(c);
}

/* ------------------------------------------------------------------ its start */

/* Slots by the child's numbers; those in between stay empty. */
static uv_stdio_container_t *make_stdio(const sh_fd_map *fds, size_t n_fds, int *count)
{
	int n = fds[n_fds - 1].child + 1;
	uv_stdio_container_t *v = calloc((size_t)n, sizeof *v);

	if (!v)
		return NULL;
	for (size_t i = 0; i < n_fds; i++) {
		v[fds[i].child].flags = UV_INHERIT_FD;
		v[fds[i].child].data.fd = fds[i].fd;
	}
	*count = n;
	return v;
}

/* uv_spawn makes the first three blocking, which the host's descriptor shares. */
static void keep_flags(const struct sh__spawn *s, int flags[3])
{
	for (int i = 0; i < 3; i++)
		flags[i] = fcntl(s->fds[i].fd, F_GETFL);
}

static void restore_flags(const struct sh__spawn *s, const int flags[3])
{
	for (int i = 0; i < 3; i++)
		if (flags[i] >= 0 && flags[i] & O_NONBLOCK)
			fcntl(s->fds[i].fd, F_SETFL, flags[i]);
}

/* The pipe that uv_spawn makes for the child's errno would be overwritten on 0, 1 or 2. */
static int try_spawn(struct sh__child *c, struct sh__loop *loop, uv_process_options_t *o)
{
	uv_process_t *h = calloc(1, sizeof *h);
	unsigned held;
	int r;

	if (!h)
		return UV_ENOMEM;
	held = sh__stdio_hold();
	r = uv_spawn(loop->uv, h, o);
	sh__stdio_release(held);
	loop->open_handles++;
	if (r < 0) {
		sh__loop_close_handle(loop, (uv_handle_t *)h, true);
		return r;
	}
	h->data = c;
	c->uv = h;
	c->pid = h->pid;
	return 0;
}

/* uv_spawn gives one errno for a directory, a user and a program. */
static enum sh__where guess_where(const struct sh__spawn *s, int r)
{
	struct stat st;

	if (s->cwd &&
	    (stat(s->cwd, &st) < 0 || !S_ISDIR(st.st_mode) || access(s->cwd, X_OK) < 0))
		return SH__AT_CWD;
	if (r == UV_EPERM && s->user)
		return SH__AT_USER;
	return r == UV_EAGAIN || r == UV_ENOMEM || r == UV_EMFILE || r == UV_ENFILE ||
		       r == UV_EPERM
		   ? SH__AT_CLONE
		   : SH__AT_EXEC;
}

/* uv_spawn takes all groups away and gives one back. */
static int set_user(uv_process_options_t *o, const struct sh__user *u)
{
	for (size_t i = 0; i < u->n_groups; i++)
		if (u->groups[i] != u->gid)
			return UV_ENOTSUP;
	o->uid = u->uid;
	o->gid = u->gid;
	o->flags |= UV_PROCESS_SETUID | UV_PROCESS_SETGID;
	return 0;
}

static void kill_and_reap(struct sh__child *c)
{
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	sh__loop_close_handle(c->loop, (uv_handle_t *)c->uv, true);
	c->uv = NULL;
	c->pid = 0;
}

static int spawn_through(struct sh__shim *shim, struct sh__child *c, struct sh__loop *loop,
			 uv_process_options_t *o, const struct sh__spawn *s,
			 enum sh__where *where)
{
	char *nothing[] = { NULL };
	int r;

	o->file = shim->argv[0];
	o->args = shim->argv;
	o->env = nothing;
	*where = SH__AT_CLONE;
	if ((r = try_spawn(c, loop, o)) < 0) {
		*where = guess_where(s, r);
		return r;
	}
	if ((r = sh__shim_talk(shim, s, c->pid, where)) < 0)
		kill_and_reap(c);
	return r;
}

static int spawn_plainly(struct sh__child *c, struct sh__loop *loop, uv_process_options_t *o,
			 const struct sh__spawn *s, enum sh__where *where)
{
	int r;

	o->file = s->file;
	o->args = (char **)s->argv;
	o->env = (char **)s->envp;
	r = try_spawn(c, loop, o);
	if (r == -ENOEXEC) { /* libuv before 1.53 runs it through sh by itself */
		o->file = s->sh_argv[0];
		o->args = (char **)s->sh_argv;
		r = try_spawn(c, loop, o);
	}
	if (r < 0)
		*where = guess_where(s, r);
	return r;
}

static int spawn_with(struct sh__child *c, struct sh__loop *loop, const struct sh__spawn *s,
		      struct sh__shim *shim, enum sh__where *where)
{
	uv_process_options_t o = { .exit_cb = exited, .cwd = s->cwd };
	int flags[3], r;

	o.flags = s->group || s->session ? UV_PROCESS_DETACHED : 0;
	if (*where = SH__AT_USER, s->user && (r = set_user(&o, s->user)) < 0)
		return r;
	*where = SH__AT_CLONE;
	o.stdio = make_stdio(shim->fds ? shim->fds : s->fds, shim->fds ? shim->n_fds : s->n_fds,
			     &o.stdio_count);
	if (!o.stdio)
		return UV_ENOMEM;
	keep_flags(s, flags);
	r = shim->fds ? spawn_through(shim, c, loop, &o, s, where)
		      : spawn_plainly(c, loop, &o, s, where);
	restore_flags(s, flags);
	free(o.stdio);
	return r;
}

static int spawn_with_uv(struct sh__child *c, struct sh__loop *loop, const struct sh__spawn *s,
			 enum sh__where *where)
{
	struct sh__shim shim = SH__NO_SHIM;
	int r = 0;

	c->loop = loop;
	c->group = s->group || s->session;
	if (sh__shim_is_needed(s))
		r = sh__shim_make(&shim, s, where);
	if (r == 0)
		r = spawn_with(c, loop, s, &shim, where);
	sh__shim_free(&shim);
	if (r < 0)
		return r;
	sh__timer_init(loop, &c->look, look_for_end, c);
	look_later(c);
	return 0;
}

/* ------------------------------------------------------------------ what is done to it */

/*
 * What has exited has been reaped. While members are left no process gets the number of their
 * group; if there is a process of that number, it is another's.
 */
static bool is_given_away(const struct sh__child *c)
{
	return c->exited && (!c->group || kill(c->pid, 0) == 0 || errno != ESRCH);
}

static int uv_engine_kill(struct sh__child *c, int signum)
{
	if (is_given_away(c))
		return UV_ESRCH;
	return kill(c->group ? -c->pid : c->pid, signum) < 0 ? -errno : 0;
}

static bool uv_engine_group_gone(struct sh__child *c)
{
	if (!c->exited || is_given_away(c) || (kill(-c->pid, 0) < 0 && errno == ESRCH))
		return c->exited;
#ifdef __linux__
	return !sh__reap_group_lives(c->pid); /* there may be only zombies */
#else
	return false;
#endif
}

/* libuv does not tell. */
static bool uv_engine_was_stopped(struct sh__child *c)
{
	(void)c;
	return false;
}

static void uv_engine_forget(struct sh__child *c)
{
	let_go(c);
}

const struct sh__engine sh__engine_uv = {
	.name = "uv",
	.can = SH__CAN_UMASK | SH__CAN_RLIMITS | SH__CAN_NICE | SH__CAN_PTY | SH__CAN_NOTICE,
	.needs_uv = true,
	.spawn = spawn_with_uv,
	.kill = uv_engine_kill,
	.group_gone = uv_engine_group_gone,
	.was_stopped = uv_engine_was_stopped,
	.forget = uv_engine_forget,
};
