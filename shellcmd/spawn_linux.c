/*
 * The Linux engine, first half: starting a child. It is made with clone(CLONE_VM |
 * CLONE_VFORK): it borrows our memory on a stack of its own until execve, so that the cost
 * does not grow with the host, and says what went wrong by writing it down. What happens to
 * a child after that is in reap_linux.c.
 *
 * Between clone and execve only raw system calls are made: libc's setuid and friends would
 * signal the host's other threads, which exist in this memory but not in this process.
 */
#ifdef __linux__
#include "shellcmd/ahead_linux.h"
#include "shellcmd/guard_linux.h"
#include "shellcmd/pipes.h"
#include "shellcmd/reap_linux.h"
#include "shellcmd/spawn_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* on every processor; Linux 5.9 */
#endif
#ifndef SYS_setgroups32
#define SYS_setgroups32 SYS_setgroups
#define SYS_setresgid32 SYS_setresgid
#define SYS_setresuid32 SYS_setresuid
#endif

enum {
	CHILD_STACK = 16 * 1024,
	KERNEL_SIGSET_BYTES = 8, /* _NSIG / 8, not sizeof(sigset_t) */
	LAST_SIGNAL = 64,
	FEW_FDS = 8
};

/*
 * Under qemu-user and valgrind the child gets a copy of our memory, and we do not wait for
 * it: then it reports through a pipe. The first start finds out; a fact about the system
 * that is the same for all threads. 0: not known, 1: shared, -1: a copy.
 */
static atomic_int memory_is_shared;

int sh__memory_shared(void)
{
	return atomic_load(&memory_is_shared);
}

void sh__memory_shared_is(int known)
{
	atomic_store(&memory_is_shared, known);
}

/* ------------------------------------------------------------------ in the child */

SH__IN_CHILD static int child_group(const struct sh__spawn *s)
{
	if (s->session)
		return syscall(SYS_setsid) < 0 ? -1 : 0;
	return s->group ? (int)syscall(SYS_setpgid, 0, 0) : 0;
}

/* All signals are blocked, so that TIOCSPGRP does not stop this background process. */
SH__IN_CHILD static int child_tty(const struct sh__spawn *s)
{
	if (s->ctty && syscall(SYS_ioctl, s->fds[0].fd, TIOCSCTTY, 0) < 0)
		return -1;
	if (s->tty_fd >= 0) {
		pid_t self = (pid_t)syscall(SYS_getpid);

		return (int)syscall(SYS_ioctl, s->tty_fd, TIOCSPGRP, &self);
	}
	return 0;
}

SH__IN_CHILD static bool is_target(const struct sh__spawn *s, int fd)
{
	for (size_t i = 0; i < s->n_fds; i++)
		if (s->fds[i].child == fd)
			return true;
	return false;
}

/* For kernels before 5.9. The limit may be high; 64 Ki is what a host can be asked to wait. */
SH__IN_CHILD static void close_one_by_one(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd < 65536; fd++)
		syscall(SYS_close, fd);
}

SH__IN_CHILD void sh__close_between(unsigned first, unsigned last)
{
	if (first <= last && syscall(SYS_close_range, first, last, 0) < 0)
		close_one_by_one(first, last);
}

/*
 * Every source that sits on a number somebody else is to get moves out of the way first;
 * then no order of the moves can overwrite a source that is still needed.
 */
SH__IN_CHILD static int child_fds(struct sh__attempt *a)
{
	const struct sh__spawn *s = a->spawn;
	int above = s->fds[s->n_fds - 1].child + 1;
	unsigned next = 0;

	if (a->report_fd >= 0) {
		long moved = syscall(SYS_fcntl, a->report_fd, F_DUPFD_CLOEXEC, above);

		if (moved < 0)
			return -1;
		a->report_fd = (int)moved;
	}
	for (size_t i = 0; i < s->n_fds; i++) {
		a->fds[i] = s->fds[i].fd;
		if (a->fds[i] == s->fds[i].child || !is_target(s, a->fds[i]))
			continue;
		a->fds[i] = (int)syscall(SYS_fcntl, a->fds[i], F_DUPFD_CLOEXEC, above);
		if (a->fds[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < s->n_fds; i++) {
		int to = s->fds[i].child;
		long r = a->fds[i] == to ? syscall(SYS_fcntl, to, F_SETFD, 0)
					 : syscall(SYS_dup3, a->fds[i], to, 0);

		if (r < 0)
			return -1;
	}
	for (size_t i = 0; i < s->n_fds; i++) {
		unsigned to = (unsigned)s->fds[i].child;

		if (to > next)
			sh__close_between(next, to - 1);
		next = to + 1;
	}
	if (a->report_fd >= 0) {
		sh__close_between(next, (unsigned)a->report_fd - 1);
		next = (unsigned)a->report_fd + 1;
	}
	sh__close_between(next, ~0u);
	return 0;
}

SH__IN_CHILD static int child_limits(const struct sh__spawn *s)
{
	for (size_t i = 0; i < s->n_rlimits; i++) {
		const sh_rlimit *l = &s->rlimits[i];
		uint64_t pair[2] = { l->soft, l->hard };

		if (syscall(SYS_prlimit64, 0, l->resource, pair, NULL) < 0)
			return -1;
	}
	return 0;
}

SH__IN_CHILD static int child_nice(const struct sh__spawn *s)
{
	long now;

	if (!s->nice)
		return 0;
	if ((now = syscall(SYS_getpriority, PRIO_PROCESS, 0)) < 0)
		return -1;
	/* The system call gives 20 - nice, so that it is never negative. */
	return (int)syscall(SYS_setpriority, PRIO_PROCESS, 0, 20 - (int)now + s->nice);
}

SH__IN_CHILD static int child_user(const struct sh__user *u)
{
	if (!u)
		return 0;
	if (syscall(SYS_setgroups32, u->n_groups, u->groups) < 0 ||
	    syscall(SYS_setresgid32, u->gid, u->gid, u->gid) < 0)
		return -1;
	return (int)syscall(SYS_setresuid32, u->uid, u->uid, u->uid);
}

/* After the user: a change of uid clears the setting. The parent may be gone already. */
SH__IN_CHILD static int child_parent(const struct sh__attempt *a)
{
	if (!a->spawn->die_with_parent)
		return 0;
	if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -1;
	if (syscall(SYS_getppid) != a->parent) {
		errno = ESRCH;
		return -1;
	}
	return 0;
}

SH__IN_CHILD void sh__signals_default(void)
{
	unsigned long action[4] = { 0 }; /* SIG_DFL, no flags, no restorer, empty mask */

	for (int s = 1; s <= LAST_SIGNAL; s++)
		if (s != SIGKILL && s != SIGSTOP)
			syscall(SYS_rt_sigaction, s, action, NULL, KERNEL_SIGSET_BYTES);
}

/* Handlers first, mask second: the host's handlers must not run on its memory from here. */
SH__IN_CHILD static void child_signals(const struct sh__attempt *a)
{
	unsigned long mask[2] = { 0 };

	if (!a->signals_are_default)
		sh__signals_default();
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, NULL, KERNEL_SIGSET_BYTES);
}

SH__IN_CHILD static int child_main(void *arg)
{
	struct sh__attempt *a = arg;
	const struct sh__spawn *s = a->spawn;

	if (a->where = SH__AT_GROUP, child_group(s) < 0)
		goto fail;
	if (a->where = SH__AT_TTY, child_tty(s) < 0)
		goto fail;
	if (a->where = SH__AT_FDS, child_fds(a) < 0)
		goto fail;
	if (s->umask)
		syscall(SYS_umask, s->umask & 0777);
	if (a->where = SH__AT_NICE, child_nice(s) < 0)
		goto fail;
	if (a->where = SH__AT_RLIMIT, child_limits(s) < 0)
		goto fail;
	if (a->where = SH__AT_USER, child_user(s->user) < 0)
		goto fail;
	if (a->where = SH__AT_CWD, s->cwd && syscall(SYS_chdir, s->cwd) < 0)
		goto fail;
	if (a->where = SH__AT_PARENT, child_parent(a) < 0)
		goto fail;
	a->where = SH__AT_EXEC;
	child_signals(a);
	syscall(SYS_execve, s->file, s->argv, s->envp);
	if (errno == ENOEXEC)
		syscall(SYS_execve, s->sh_argv[0], s->sh_argv, s->envp);
fail:
	a->error = errno ? errno : EIO;
	if (a->report_fd >= 0) {
		int report[2] = { a->error, (int)a->where };

		syscall(SYS_write, a->report_fd, report, sizeof report);
	}
	syscall(SYS_exit_group, 127);
	return 127;
}

/* ------------------------------------------------------------------ in the host */

void sh__signals_block(unsigned long old[2])
{
	unsigned long all[2] = { ~0ul, ~0ul };

	old[0] = old[1] = 0;
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, all, old, KERNEL_SIGSET_BYTES);
}

void sh__signals_restore(const unsigned long old[2])
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, old, NULL, KERNEL_SIGSET_BYTES);
}

/* Signals stay blocked while the child runs on this thread's memory: a handler in between
 * would run in the wrong process. */
static int clone_child(struct sh__attempt *a, char *stack, int *pidfd)
{
	/* Through a pointer, which is set when the program is loaded: a function that is
	 * called is looked up at the first call, and guardians make no other. */
	static int (*const volatile make)(int (*)(void *), void *, int, void *, ...) = clone;
	unsigned long old[2];
	int flags = CLONE_VM | CLONE_VFORK | SIGCHLD, saved, pid;
	char *top = stack + CHILD_STACK;

	sh__signals_block(old);
	*pidfd = -1;
	pid = make(child_main, top, flags | CLONE_PIDFD, a, pidfd);
	if (pid < 0 && errno == EINVAL)
		pid = make(child_main, top, flags, a);
	saved = errno;
	sh__signals_restore(old);
	errno = saved;
	return pid;
}

void sh__reap_now(int pid)
{
	siginfo_t si;

	while (waitid(P_PID, (id_t)pid, &si, WEXITED) < 0 && errno == EINTR)
		;
}

static void kill_and_reap(int pid)
{
	kill(pid, SIGKILL);
	sh__reap_now(pid);
}

/* Makes sure there is a pidfd, and not on one of the standard numbers. */
static int settle_pidfd(int pid, int *pidfd)
{
	int moved, r;

	if (*pidfd < 0 && (*pidfd = (int)syscall(SYS_pidfd_open, pid, 0)) < 0)
		return -errno;
	if (*pidfd > 2)
		return 0;
	moved = fcntl(*pidfd, F_DUPFD_CLOEXEC, 3);
	r = moved < 0 ? -errno : 0;
	close(*pidfd);
	*pidfd = moved;
	return r;
}

/* The pipe ends with execve, or after the report. */
static void read_report(struct sh__attempt *a, int fd)
{
	int report[2];
	ssize_t n;

	while ((n = read(fd, report, sizeof report)) < 0 && errno == EINTR)
		;
	if (n < 0) {
		a->error = errno;
		return;
	}
	a->error = n == sizeof report ? report[0] : 0;
	a->where = n == sizeof report ? (enum sh__where)report[1] : SH__AT_EXEC;
}

/* Starts the child; says with the pipe or without what became of it. */
static int clone_reporting(struct sh__attempt *a, char *stack, int *pidfd)
{
	int known = sh__memory_shared(), fds[2] = { -1, -1 }, pid, r = 0;

	if (known < 1 && (r = sh__pipe(fds)) < 0)
		return r;
	a->report_fd = fds[1];
	pid = clone_child(a, stack, pidfd);
	r = pid < 0 ? -errno : pid;
	if (known == 1)
		return r;
	close(fds[1]);
	if (pid > 0 && a->where == SH__AT_CLONE) {
		sh__memory_shared_is(-1);
		read_report(a, fds[0]);
	} else if (pid > 0) {
		sh__memory_shared_is(1);
	}
	close(fds[0]);
	return r;
}

int sh__attempt_start(struct sh__attempt *a, int *pid_out, int *pidfd)
{
	/* Ours is suspended until the child has let go of this. */
	_Alignas(64) char stack[CHILD_STACK];
	int pid = clone_reporting(a, stack, pidfd), r = 0;

	if (pid < 0)
		return pid;
	if (a->error) {
		r = -a->error;
		kill_and_reap(pid);
	} else if ((r = settle_pidfd(pid, pidfd)) < 0) {
		a->where = SH__AT_CLONE;
		kill_and_reap(pid);
	}
	if (r < 0 && *pidfd >= 0)
		close(*pidfd);
	*pid_out = pid;
	return r;
}

static int start(struct sh__child *c, struct sh__loop *loop, struct sh__attempt *a)
{
	int pid = 0, pidfd = -1, r;

	r = a->spawn->guardian ? sh__guarded_start(c, loop, a, &pid, &pidfd)
			       : sh__attempt_start(a, &pid, &pidfd);
	if (r < 0)
		return r;
	c->pid = pid;
	c->pidfd = pidfd;
	c->group = a->spawn->group || a->spawn->session;
	r = a->spawn->guardian ? sh__guarded_watch(c, loop) : sh__reap_watch(c, loop);
	if (r == 0)
		return 0;
	a->where = SH__AT_CLONE;
	if (a->spawn->guardian)
		sh__guarded_give_up(c, a->spawn->guardian);
	else
		kill_and_reap(pid);
	close(pidfd);
	c->pid = 0;
	c->pidfd = -1;
	return r;
}

static int linux_spawn(struct sh__child *c, struct sh__loop *loop, const struct sh__spawn *s,
		       enum sh__where *where)
{
	int few[FEW_FDS], r;
	struct sh__attempt a = { .spawn = s,
				 .fds = few,
				 .parent = s->die_with_parent ? getpid() : 0,
				 .where = SH__AT_CLONE,
				 .report_fd = -1 };

	*where = SH__AT_CLONE;
	if (s->n_fds > FEW_FDS && !(a.fds = malloc(s->n_fds * sizeof *a.fds)))
		return UV_ENOMEM;
	r = start(c, loop, &a);
	*where = a.where;
	if (a.fds != few)
		free(a.fds);
	return r;
}

const struct sh__engine sh__engine_linux = {
	.name = "linux",
	.can = SH__CAN_UMASK | SH__CAN_RLIMITS | SH__CAN_NICE | SH__CAN_PTY | SH__CAN_DIE |
	       SH__CAN_GROUPS | SH__CAN_TTY | SH__CAN_CLOSE | SH__CAN_NOTICE |
	       SH__CAN_RECOVER | SH__CAN_MEASURE | SH__CAN_TREE,
	.spawn = linux_spawn,
	.kill = sh__reap_kill,
	.group_gone = sh__reap_group_gone,
	.was_stopped = sh__reap_was_stopped,
	.forget = sh__reap_forget,
	.dismiss = sh__guarded_dismiss,
	.kill_others = sh__guarded_kill_others,
	.drop_guardian = sh__guarded_drop,
	.left = sh__guarded_left,
	.ahead = sh__ahead_start,
	.ahead_end = sh__ahead_end,
};
#endif
