/* Starts the stages of a command, one after the other, each as soon as its wires are laid. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shellcmd/lookup.h"
#include "shellcmd/proc.h"
#include "shellcmd/wires.h"

enum { FEW_FDS = 8 };

void sh__stage_failed(struct sh__stage *st, int status, int sys_errno, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (st->status)
		return;
	st->status = status;
	st->sys_errno = sys_errno;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	/* Without memory the status has to do. */
	(void)bytes_adds(&st->reason, text);
}

/* ------------------------------------------------------------------ what went wrong */

static void not_found(struct sh__stage *st, char *const *env)
{
	const char *name = st->spec.argv[0];
	char *near = sh__near_name(name, (const char *const *)env);

	if (near)
		sh__stage_failed(st, SH_NOTFOUND, UV_ENOENT,
				 "there is no such program; did you mean %s?", near);
	else
		sh__stage_failed(st, SH_NOTFOUND, UV_ENOENT, "there is no such program%s",
				 strchr(name, '/') ? "" : " in PATH");
	free(near);
}

static void lookup_failed(struct sh__stage *st, int r, char *const *env)
{
	if (r == UV_ENOENT || r == UV_ENOTDIR || r == UV_EINVAL)
		not_found(st, env);
	else if (r == UV_EACCES)
		sh__stage_failed(st, SH_NOPERM, r,
				 "it is there, but it cannot be executed "
				 "(a directory, or no permission)");
	else if (r == UV_ENOMEM)
		sh__stage_failed(st, SH_NOMEM, r, "out of memory");
	else
		sh__stage_failed(st, SH_SPAWN, r, "it cannot be looked up: %s", uv_strerror(r));
}

static void exec_failed(struct sh__stage *st, int r)
{
	switch (r) {
	case UV_ENOENT: /* the file was found: it is the interpreter that is missing */
		sh__stage_failed(st, SH_NOTFOUND, r,
				 "its interpreter (the #! line, or the loader) does not exist");
		break;
	case UV_EACCES:
	case UV_EPERM:
		sh__stage_failed(st, SH_NOPERM, r, "it may not be executed: %s",
				 uv_strerror(r));
		break;
	case UV_E2BIG:
		sh__stage_failed(st, SH_SPAWN, r,
				 "its arguments and environment are too long for the system");
		break;
	default:
		sh__stage_failed(st, r == UV_ENOMEM ? SH_NOMEM : SH_SPAWN, r,
				 "it cannot be executed: %s", uv_strerror(r));
	}
}

static void cwd_failed(struct sh__stage *st, int r)
{
	const char *cwd = st->spec.call.cwd;

	if (r == UV_ENOENT)
		sh__stage_failed(st, SH_SPAWN, r, "the directory %s does not exist", cwd);
	else if (r == UV_ENOTDIR)
		sh__stage_failed(st, SH_SPAWN, r, "%s is not a directory", cwd);
	else
		sh__stage_failed(st, SH_SPAWN, r, "the directory %s cannot be entered: %s", cwd,
				 uv_strerror(r));
}

static void spawn_failed(struct sh__stage *st, int r, enum sh__where where)
{
	static const char *const what[] = {
		[SH__AT_CLONE] = "no process can be started",
		[SH__AT_GROUP] = "it cannot have a group of its own",
		[SH__AT_TTY] = "the terminal cannot be handed over",
		[SH__AT_FDS] = "a descriptor cannot be passed on (fds)",
		[SH__AT_UMASK] = "umask cannot be set",
		[SH__AT_RLIMIT] = "rlimits cannot be set",
		[SH__AT_NICE] = "nice cannot be set",
		[SH__AT_USER] = "user cannot be set",
		[SH__AT_PARENT] = "die_with_parent cannot be set",
	};

	if (where == SH__AT_CWD)
		cwd_failed(st, r);
	else if (r == UV_ENOTSUP)
		sh__stage_failed(st, SH_SPAWN, r, "%s by the engine \"%s\"", what[where],
				 sh__engine()->name);
	else if (where == SH__AT_EXEC)
		exec_failed(st, r);
	else
		sh__stage_failed(st, r == UV_ENOMEM ? SH_NOMEM : SH_SPAWN, r, "%s: %s",
				 what[where], uv_strerror(r));
}

/* ------------------------------------------------------------------ one stage */

static void stage_exited(struct sh__child *c)
{
	sh__proc_step(c->arg);
}

/* 0, 1, 2, then the others by number. */
static void sort_fds(sh_fd_map *fds, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		for (size_t j = i; j > 0 && fds[j].child < fds[j - 1].child; j--) {
			sh_fd_map t = fds[j];

			fds[j] = fds[j - 1];
			fds[j - 1] = t;
		}
	}
}

static void fill_fds(sh_fd_map *fds, const struct sh__wires *w, const sh_fds *more)
{
	for (int i = 0; i < 3; i++)
		fds[i] = (sh_fd_map){ i, w->fd[i] };
	if (more->n)
		memcpy(fds + 3, more->v, more->n * sizeof *fds);
	sort_fds(fds, 3 + more->n);
}

static bool first_reads_terminal(const sh_proc *p)
{
	const sh_io *in = &p->stages[0].spec.call.in;

	return (in->kind == SH_IO_INHERIT && isatty(0)) ||
	       (in->kind == SH_IO_FD && isatty(in->fd));
}

static void fill_spawn(const sh_proc *p, const struct sh__stage *st, struct sh__spawn *s)
{
	const sh_call *c = &st->spec.call;

	s->argv = st->spec.argv;
	s->cwd = c->cwd;
	s->rlimits = c->rlimits.v;
	s->n_rlimits = c->rlimits.n;
	s->umask = c->umask;
	s->nice = c->nice;
	s->tty_fd = p->tty_fd;
	s->session = c->session || c->detach || c->pty;
	s->group = p->tty_fd >= 0 || !(c->keep_group || first_reads_terminal(p));
	s->ctty = c->pty;
	s->die_with_parent = c->die_with_parent;
}

/* { "/bin/sh", file, argv[1] ... }: how a script without #! is run. */
static char **script_argv(const struct sh__spec *spec, char *file)
{
	static char shell[] = "/bin/sh";
	char **v = malloc((spec->argc + 2) * sizeof *v);

	if (!v)
		return NULL;
	v[0] = shell;
	v[1] = file;
	memcpy(v + 2, spec->argv + 1, spec->argc * sizeof *v);
	return v;
}

/* Taken as it is: what is wrong with it execve finds out, and only then it is looked at. */
static bool needs_no_lookup(const struct sh__stage *st)
{
	return st->spec.argv[0][0] == '/';
}

static int find_file(struct sh__stage *st, char **file, char *const *env)
{
	if (!needs_no_lookup(st))
		return sh__lookup(file, st->spec.argv[0], (const char *const *)env);
	*file = strdup(st->spec.argv[0]);
	return *file ? 0 : UV_ENOMEM;
}

static void tell_why(struct sh__stage *st, const struct sh__spawn *s, int r,
		     enum sh__where where)
{
	char *file = NULL;
	int found = 0;

	if (where == SH__AT_EXEC && needs_no_lookup(st))
		found = sh__lookup(&file, st->spec.argv[0], (const char *const *)s->envp);
	if (found < 0)
		lookup_failed(st, found, s->envp);
	else
		spawn_failed(st, r, where);
	free(file);
}

static void spawn_with(sh_proc *p, struct sh__stage *st, struct sh__spawn *s,
		       const struct sh__wires *w)
{
	size_t n = st->spec.call.fds.n;
	sh_fd_map few[FEW_FDS], *fds = few;
	enum sh__where where;
	int r;

	if (n + 3 > FEW_FDS && !(fds = malloc((n + 3) * sizeof *fds))) {
		sh__stage_failed(st, SH_NOMEM, UV_ENOMEM, "out of memory");
		return;
	}
	fill_fds(fds, w, &st->spec.call.fds);
	s->fds = fds;
	s->n_fds = n + 3;
	st->child.on_exit = stage_exited;
	st->child.arg = p;
	sh__guard_prepare(p, st, s);
	r = sh__engine()->spawn(&st->child, p->loop, s, &where);
	if (r < 0)
		tell_why(st, s, r, where);
	else
		st->started = true;
	st->guarded = st->started && s->guardian;
	if (fds != few)
		free(fds);
}

static int find_user(struct sh__stage *st, struct sh__user *u, struct sh__spawn *s)
{
	const char *name = st->spec.call.user;
	int r;

	if (!name)
		return 0;
	if ((r = sh__user_find(name, u)) < 0)
		sh__stage_failed(st, r == UV_ENOMEM ? SH_NOMEM : SH_SPAWN, r,
				 "user: there is no user or group \"%s\"", name);
	s->user = u;
	return r;
}

static void spawn_stage(sh_proc *p, struct sh__stage *st, const struct sh__wires *w)
{
	struct sh__user user = { 0 };
	struct sh__spawn s = { 0 };
	char **env = sh__env_make(&st->spec), **script = NULL, *file = NULL;
	int r;

	if (!env) {
		sh__stage_failed(st, SH_NOMEM, UV_ENOMEM, "out of memory");
		return;
	}
	fill_spawn(p, st, &s);
	if ((r = find_file(st, &file, env)) < 0) {
		lookup_failed(st, r, env);
	} else if (!(script = script_argv(&st->spec, file))) {
		sh__stage_failed(st, SH_NOMEM, UV_ENOMEM, "out of memory");
	} else if (find_user(st, &user, &s) == 0) {
		s.file = file;
		s.sh_argv = script;
		s.envp = env;
		spawn_with(p, st, &s, w);
	}
	free(user.groups);
	free(script);
	free(file);
	free(env);
}

static bool wants_shell_guardian(const struct sh__stage *st)
{
	const sh_call *c = &st->spec.call;
	bool dies = c->die_with_parent && !(sh__engine()->can & SH__CAN_DIE);

	return (c->guard || dies) && !st->guarded;
}

static bool start_stage(sh_proc *p, size_t i, int *in)
{
	struct sh__stage *st = &p->stages[i];
	struct sh__wires w;
	int r = sh__wires_make(p, i, *in, &w);

	if (r == 0)
		spawn_stage(p, st, &w);
	else if (r == UV_ENOMEM && !st->status)
		sh__stage_failed(st, SH_NOMEM, r, "out of memory");
	sh__wires_close(&w);
	*in = w.next_in;
	if (!st->started)
		return false;
	sh__trace_stage(p, i, SH_TRACE_START);
	if (wants_shell_guardian(st) && (r = sh__guard_start(p, st)) < 0) {
		sh__proc_fail(p, r == UV_ENOMEM ? SH_NOMEM : SH_SPAWN, r,
			      "its guardian could not be started");
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------ all stages */

static bool may_start(sh_proc *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->stages[i].status)
			return false;
	for (size_t i = 0; p->whole.dry_run && i < p->n; i++)
		sh__trace_stage(p, i, SH_TRACE_DRY);
	return !p->whole.dry_run;
}

static bool take_tty(sh_proc *p)
{
	int r;

	if (!p->stages[0].spec.call.foreground_tty || (r = sh__tty_take(p)) == 0)
		return true;
	sh__stage_failed(&p->stages[0], SH_SPAWN, r, "the terminal cannot be handed over: %s",
			 uv_strerror(r));
	return false;
}

void sh__start_stages(sh_proc *p)
{
	bool done = may_start(p) && take_tty(p);
	int in = -1;

	for (size_t i = 0; done && i < p->n; i++)
		done = start_stage(p, i, &in);
	if (in >= 0)
		close(in);
	if (!done)
		sh__stop_begin(p);
	/* Only now: a callback must find all stages there. */
	if (p->in.watch.fd >= 0)
		sh__source_start(&p->in, p->loop, p->in.watch.fd);
}
