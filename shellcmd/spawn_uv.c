/*
 * The portable engine: uv_spawn. It needs a uv loop, and libuv handles SIGCHLD in the host's
 * process. It cannot set umask, limits, priority or user completely, cannot give a command
 * a controlling terminal, makes a session where a group would do, does not close the
 * host's descriptors in the child, and waits for ever for a status that someone else took.
 */
#include "shellcmd/reap_linux.h"
#include "shellcmd/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void exited(uv_process_t *h, int64_t code, int signum)
{
	struct sh__child *c = h->data;

	if (signum)
		c->term_signal = signum;
	else
		c->exit_code = (int)code;
	c->exited = true;
	c->reaped = true;
	c->on_exit(c);
}

/* Slots by the child's numbers; those in between stay empty. */
static uv_stdio_container_t *make_stdio(const struct sh__spawn *s, int *count)
{
	int n = s->fds[s->n_fds - 1].child + 1;
	uv_stdio_container_t *v = calloc((size_t)n, sizeof *v);

	if (!v)
		return NULL;
	for (size_t i = 0; i < s->n_fds; i++) {
		v[s->fds[i].child].flags = UV_INHERIT_FD;
		v[s->fds[i].child].data.fd = s->fds[i].fd;
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

static int try_spawn(struct sh__child *c, struct sh__loop *loop, uv_process_options_t *o)
{
	uv_process_t *h = calloc(1, sizeof *h);
	int r;

	if (!h)
		return UV_ENOMEM;
	r = uv_spawn(loop->uv, h, o);
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

/* uv_spawn gives one errno for a directory and for a program. */
static enum sh__where guess_where(const struct sh__spawn *s, int r)
{
	struct stat st;

	if (s->cwd &&
	    (stat(s->cwd, &st) < 0 || !S_ISDIR(st.st_mode) || access(s->cwd, X_OK) < 0))
		return SH__AT_CWD;
	return r == UV_EAGAIN || r == UV_ENOMEM || r == UV_EMFILE || r == UV_ENFILE ||
		       r == UV_EPERM
		   ? SH__AT_CLONE
		   : SH__AT_EXEC;
}

static int spawn_with_uv(struct sh__child *c, struct sh__loop *loop, const struct sh__spawn *s,
			 enum sh__where *where)
{
	uv_process_options_t o = { .exit_cb = exited };
	int flags[3], r;

	*where = SH__AT_CLONE;
	if (!(o.stdio = make_stdio(s, &o.stdio_count)))
		return UV_ENOMEM;
	o.file = s->file;
	o.args = (char **)s->argv;
	o.env = (char **)s->envp;
	o.cwd = s->cwd;
	o.flags = s->group || s->session ? UV_PROCESS_DETACHED : 0;
	keep_flags(s, flags);
	r = try_spawn(c, loop, &o);
	if (r == -ENOEXEC) { /* libuv before 1.53 runs it through sh by itself */
		o.file = s->sh_argv[0];
		o.args = (char **)s->sh_argv;
		r = try_spawn(c, loop, &o);
	}
	restore_flags(s, flags);
	free(o.stdio);
	c->loop = loop;
	c->group = s->group || s->session;
	if (r < 0)
		*where = guess_where(s, r);
	return r;
}

static int uv_engine_kill(struct sh__child *c, int signum)
{
	if (!c->group && c->exited)
		return UV_ESRCH;
	return kill(c->group ? -c->pid : c->pid, signum) < 0 ? -errno : 0;
}

static bool uv_engine_group_gone(struct sh__child *c)
{
	if (!c->exited || !c->group || (kill(-c->pid, 0) < 0 && errno == ESRCH))
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
	if (c->uv)
		sh__loop_close_handle(c->loop, (uv_handle_t *)c->uv, true);
	c->uv = NULL;
}

const struct sh__engine sh__engine_uv = {
	.name = "uv",
	.can = 0,
	.needs_uv = true,
	.spawn = spawn_with_uv,
	.kill = uv_engine_kill,
	.group_gone = uv_engine_group_gone,
	.was_stopped = uv_engine_was_stopped,
	.forget = uv_engine_forget,
};
