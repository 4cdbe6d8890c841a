/*
 * Guardians: what ends a command when this process vanishes, however it died. Where the
 * engine has its own, that is the command's parent and ends all its descendants. Elsewhere
 * it is a small shell outside the command's group that holds the reading end of a pipe only
 * this process can write to; when the pipe ends, it kills the group.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shellcmd/proc.h"

static void guardian_exited(struct sh__child *c)
{
	sh__proc_step(c->arg);
}

static void command_stopped(struct sh__child *c)
{
	sh_proc *p = c->arg;

	int signum = c->stopped_by;

	if (!p->whole.stopped || p->freed)
		return;
	c->stopped_by = 0;
	p->busy++;
	p->whole.stopped(p, signum, p->whole.arg);
	p->busy--;
	sh__proc_step(p);
}

void sh__guard_prepare(sh_proc *p, struct sh__stage *st, struct sh__spawn *s)
{
	st->guardian.on_exit = guardian_exited;
	st->guardian.arg = p;
	st->child.on_stop = command_stopped;
	if (st->spec.call.guard && sh__engine()->can & SH__CAN_TREE)
		s->guardian = &st->guardian;
	s->ahead = st->spec.call.guardian;
}

/* ------------------------------------------------------------------ ahead of a command */

sh_guardian *sh_guardian_new(void)
{
	sh_guardian *g = calloc(1, sizeof *g);

	if (g)
		g->pidfd = g->sock = -1;
	return g;
}

int sh_guardian_ready(sh_guardian *g)
{
	if (!g)
		return UV_EINVAL;
	return sh__engine()->can & SH__CAN_TREE ? sh__engine()->ahead(g) : UV_ENOTSUP;
}

void sh_guardian_free(sh_guardian *g)
{
	if (g && g->pid)
		sh__engine()->ahead_end(g);
	free(g);
}

/* ------------------------------------------------------------------ a shell */

static int start(sh_proc *p, struct sh__stage *st, int in)
{
	char whom[24], sh[] = "/bin/sh", opt[] = "-c", name[] = "guard";
	char script[] = "read -r line || kill -s KILL -- \"$1\"";
	char *argv[] = { sh, opt, script, name, whom, NULL }, *env[] = { NULL };
	enum sh__where where;
	int null = sh__open_null(), r;
	sh_fd_map fds[3] = { { 0, in }, { 1, null }, { 2, null } };
	struct sh__spawn s = { .file = sh,
			       .argv = argv,
			       .sh_argv = argv,
			       .envp = env,
			       .fds = fds,
			       .n_fds = 3,
			       .tty_fd = -1,
			       .session = true };

	if (null < 0)
		return null;
	snprintf(whom, sizeof whom, "%d", st->child.group ? -st->child.pid : st->child.pid);
	r = sh__engine()->spawn(&st->guardian, p->loop, &s, &where);
	close(null);
	return r;
}

int sh__guard_start(sh_proc *p, struct sh__stage *st)
{
	int fds[2], r = sh__pipe(fds);

	if (r < 0)
		return r;
	r = start(p, st, fds[0]);
	close(fds[0]);
	if (r < 0)
		close(fds[1]);
	else
		st->guard_fd = fds[1];
	return r;
}

/* Killed first: the end of the pipe must not be news to it. */
static void dismiss_shell(struct sh__stage *st)
{
	if (st->guard_fd < 0)
		return;
	sh__engine()->kill(&st->guardian, SIGKILL);
	close(st->guard_fd);
	st->guard_fd = -1;
}

/* ------------------------------------------------------------------ their end */

bool sh__guards_gone(sh_proc *p)
{
	bool gone = true;

	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		dismiss_shell(st);
		if (st->guarded)
			sh__engine()->dismiss(&st->child);
		gone &= !st->guardian.pid || st->guardian.exited;
	}
	return gone;
}

bool sh__guards_stay(const sh_proc *p)
{
	if (p->waited || p->freed)
		return false;
	for (size_t i = 0; i < p->n; i++)
		if (p->stages[i].guarded && !p->stages[i].child.empty)
			return true;
	return false;
}

/* The loop has nothing to wait for any more: what is left ends, or lives on, by itself. */
void sh__guards_keep(sh_proc *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		if (st->child.guard_fd < 0)
			continue;
		sh__watch_stop(&st->child.watch);
		sh__watch_stop(&st->guardian.watch);
	}
}

void sh__guards_end(sh_proc *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct sh__stage *st = &p->stages[i];

		if (st->child.guard_fd >= 0)
			sh__engine()->drop_guardian(&st->child, &st->guardian);
	}
}

/* ------------------------------------------------------------------ what is left */

int sh__guards_signal(sh_proc *p, int signum)
{
	int r = UV_ESRCH;

	for (size_t i = 0; i < p->n; i++) {
		struct sh__child *c = &p->stages[i].child;

		if (c->guard_fd < 0)
			continue;
		if (sh__engine()->kill(c, signum) == 0)
			r = 0;
		if (sh__engine()->kill_others(c, signum) == 0)
			r = 0;
	}
	return r;
}

int sh_left(const sh_proc *p, int *pids, size_t max)
{
	int n = 0;

	if (!p || (max && !pids))
		return UV_EINVAL;
	for (size_t i = 0; i < p->n; i++) {
		const struct sh__stage *st = &p->stages[i];
		size_t got = (size_t)n < max ? (size_t)n : max;
		int r;

		if (st->child.guard_fd < 0)
			continue;
		r = sh__engine()->left(&st->guardian, pids + got, max - got);
		if (r < 0)
			return r;
		n += r;
	}
	return n;
}
