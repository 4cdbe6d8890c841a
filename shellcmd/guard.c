/*
 * The guardian: a small shell outside the command's group that holds the reading end of a
 * pipe only this process can write to. When this process vanishes, however it died, the
 * pipe ends, and the guardian kills the whole group. When the command ends, the guardian is
 * killed before the command's pid is given away.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shellcmd/proc.h"

static void guardian_exited(struct sh__child *c)
{
	sh__proc_step(c->arg);
}

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
	st->guardian.on_exit = guardian_exited;
	st->guardian.arg = p;
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
void sh__guard_dismiss(struct sh__stage *st)
{
	if (st->guard_fd < 0)
		return;
	sh__engine()->kill(&st->guardian, SIGKILL);
	close(st->guard_fd);
	st->guard_fd = -1;
}

bool sh__guard_gone(const struct sh__stage *st)
{
	return !st->guardian.pid || st->guardian.exited;
}
