/*
 * The Linux engine, second half: how a child ends. Its pidfd becomes readable; the status is
 * left where it is, so that the zombie keeps pid and process group from being given away until
 * the command lets go of it. Where someone else has taken the
 * status (waitpid(-1), SIGCHLD ignored), kernels from 6.15 on still tell it through the
 * pidfd.
 */
#ifdef __linux__
#include "shellcmd/reap_linux.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shellcmd/guard_linux.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define SIGNAL_PROCESS_GROUP (1u << 2) /* PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9 */
#define INFO_EXIT	     (1u << 3) /* PIDFD_INFO_EXIT, Linux 6.15 */

/* struct pidfd_info in its first published size. */
struct exit_info {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
#define GET_INFO _IOWR(0xFF, 11, struct exit_info)

static uint64_t timeval_ns(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000000u + (uint64_t)tv->tv_usec * 1000u;
}

static void set_wait_status(struct sh__child *c, int status)
{
	if (WIFSIGNALED(status)) {
		c->term_signal = WTERMSIG(status);
		c->core = WCOREDUMP(status);
	} else {
		c->exit_code = WEXITSTATUS(status);
	}
}

static void recover_status(struct sh__child *c)
{
	struct exit_info info = { .mask = INFO_EXIT };

	if (ioctl(c->pidfd, GET_INFO, &info) == 0 && info.mask & INFO_EXIT)
		set_wait_status(c, info.exit_code);
	else
		c->lost = true;
	c->reaped = true;
}

/* waitid(2) with usage, which libc's has not. Linux 5.3 knows no P_PIDFD. */
static int wait_for(const struct sh__child *c, siginfo_t *si, int options, struct rusage *ru)
{
	int r = (int)syscall(SYS_waitid, P_PIDFD, c->pidfd, si, options, ru);

	if (r < 0 && errno == EINVAL)
		r = (int)syscall(SYS_waitid, P_PID, c->pid, si, options, ru);
	return r;
}

/* 1: the status is known, 0: not yet, negative: there is none any more. */
static int look(struct sh__child *c, siginfo_t *si, struct rusage *ru, int more)
{
	memset(si, 0, sizeof *si);
	while (wait_for(c, si, WEXITED | WNOHANG | more, ru) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return si->si_pid != 0;
}

void sh__reap_note(struct sh__child *c, int code, int status, const struct rusage *ru)
{
	if (code == CLD_EXITED)
		c->exit_code = status;
	else
		c->term_signal = status;
	c->core = code == CLD_DUMPED;
	c->user_ns = timeval_ns(&ru->ru_utime);
	c->sys_ns = timeval_ns(&ru->ru_stime);
	c->maxrss_kib = (uint64_t)ru->ru_maxrss;
}

static void reap(struct sh__child *c)
{
	struct rusage ru;
	siginfo_t si;
	int r = c->reaped ? 0 : look(c, &si, &ru, 0);

	if (r < 0)
		recover_status(c);
	else if (r)
		sh__reap_note(c, si.si_code, si.si_status, &ru);
	c->reaped |= r != 0;
}

/* That it has ended is all that is known: its status is taken when nobody needs its number. */
static void pidfd_ready(struct sh__watch *w)
{
	struct sh__child *c = w->arg;

	c->exited = true;
	sh__watch_stop(&c->watch);
	c->on_exit(c);
}

int sh__reap_watch(struct sh__child *c, struct sh__loop *loop)
{
	c->loop = loop;
	c->watch = (struct sh__watch){ .fd = c->pidfd, .ready = pidfd_ready, .arg = c };
	return sh__watch_start(loop, &c->watch, POLLIN);
}

/* UV_ENOSYS before Linux 5.1 (and under valgrind), UV_EINVAL for a flag it does not know. */
static int signal_by_pidfd(const struct sh__child *c, int signum, unsigned flags)
{
	return syscall(SYS_pidfd_send_signal, c->pidfd, signum, NULL, flags) < 0 ? -errno : 0;
}

/* Also if the loop has not told yet. */
static bool has_ended(const struct sh__child *c)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	return c->exited || poll(&p, 1, 0) == 1;
}

/* Somebody else may have taken the status, and with it what keeps the number ours. */
static void look_for_theft(struct sh__child *c)
{
	struct rusage ru;
	siginfo_t si;

	if (!c->reaped && has_ended(c) && look(c, &si, &ru, WNOWAIT) < 0)
		recover_status(c);
}

/*
 * Before Linux 6.9. While members are left no process gets the number of their group; if there
 * is a process of that number, it is another's.
 */
static int signal_leaderless(const struct sh__child *c, int signum)
{
	if (kill(c->pid, 0) == 0 || errno != ESRCH)
		return UV_ESRCH;
	return kill(-c->pid, signum) < 0 ? -errno : 0;
}

int sh__reap_kill(struct sh__child *c, int signum)
{
	int r;

	look_for_theft(c);
	if (!c->group) {
		r = c->exited ? UV_ESRCH : signal_by_pidfd(c, signum, 0);
		if (r == -ENOSYS && !c->reaped)
			r = kill(c->pid, signum) < 0 ? -errno : 0;
		return r;
	}
	/* Unreaped, the leader keeps the number of its group from anyone else. */
	if (!c->reaped && c->guard_fd < 0)
		return kill(-c->pid, signum) < 0 ? -errno : 0;
	r = signal_by_pidfd(c, signum, SIGNAL_PROCESS_GROUP);
	if (r == 0 || r == UV_ESRCH || r == UV_EPERM)
		return r < 0 ? UV_ESRCH : 0;
	return c->guard_fd >= 0 ? sh__guarded_kill(c, signum) : signal_leaderless(c, signum);
}

/* "pid (any name) S ppid pgrp ...": true if it is of the group and not dead. */
static bool lives_in_group(const char *stat, int pgrp)
{
	const char *after = strrchr(stat, ')');
	char state;
	int group;

	if (!after || sscanf(after + 1, " %c %*d %d", &state, &group) != 2)
		return false;
	return group == pgrp && state != 'Z' && state != 'X';
}

static bool proc_lives_in_group(const char *pid, int pgrp)
{
	char path[64], text[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return errno != ENOENT && errno != ESRCH && errno != EACCES;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return lives_in_group(text, pgrp);
}

/* Zombies whose new parent does not reap them count as dead: nothing can be done to them. */
bool sh__reap_group_lives(int pgrp)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = false;

	/* Not able to look (EMFILE) is not "gone"; the ladder goes on. Without /proc: gone. */
	if (!d)
		return errno != ENOENT;
	while (!found && (e = readdir(d)))
		found = isdigit((unsigned char)e->d_name[0]) &&
			proc_lives_in_group(e->d_name, pgrp);
	closedir(d);
	return found;
}

/*
 * From 6.9 on a pidfd names the group also when its leader is gone: reaping it makes "no such
 * process" mean an empty group. Before, /proc has to be read.
 */
bool sh__reap_group_gone(struct sh__child *c)
{
	int r;

	if (c->guard_fd >= 0)
		return c->empty;
	if (!c->group)
		return c->exited;
	r = signal_by_pidfd(c, 0, SIGNAL_PROCESS_GROUP);
	if (r == 0 || r == UV_EPERM || r == UV_ESRCH) {
		reap(c);
		if (signal_by_pidfd(c, 0, SIGNAL_PROCESS_GROUP) == UV_ESRCH)
			return true;
	}
	return !sh__reap_group_lives(c->pid);
}

bool sh__reap_was_stopped(struct sh__child *c)
{
	siginfo_t si = { 0 };

	if (c->guard_fd >= 0)
		return sh__guarded_was_stopped(c);
	return !c->exited && wait_for(c, &si, WSTOPPED | WNOHANG, NULL) == 0 && si.si_pid != 0;
}

void sh__reap_forget(struct sh__child *c)
{
	sh__watch_stop(&c->watch);
	if (c->exited)
		reap(c);
	if (c->pidfd >= 0)
		close(c->pidfd);
	c->pidfd = -1;
}
#endif
