/* The owner's side of a guardian: starts one, reads its notes, gives it orders. */
#ifdef __linux__
#include "shellcmd/guard_linux.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shellcmd/ahead_linux.h"
#include "shellcmd/pipes.h"
#include "shellcmd/reap_linux.h"
#include "shellcmd/tree_linux.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

/* As fork(2), without what other threads' libraries would do in the copy. */
static int copy_self(int flags, int *pidfd)
{
#if defined(__s390x__)
	return (int)syscall(SYS_clone, 0, flags | SIGCHLD, pidfd, 0, 0);
#else
	return (int)syscall(SYS_clone, flags | SIGCHLD, 0, pidfd, 0, 0);
#endif
}

static ssize_t take_note(int sock, struct sh__note *n, int flags)
{
	ssize_t got;

	while ((got = recv(sock, n, sizeof *n, flags)) < 0 && errno == EINTR)
		;
	return got < 0 ? -errno : got;
}

int sh__pidfd_of(int pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : sh__above_stdio(fd);
}

/* How it went, and the command's descriptor: the guardian says so before anything else. */
static int take_started(int sock, struct sh__note *n, int *pidfd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof *pidfd)];
	struct iovec text = { .iov_base = n, .iov_len = sizeof *n };
	struct msghdr m = { .msg_iov = &text,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof control };
	struct cmsghdr *h = (struct cmsghdr *)control;
	ssize_t got;

	while ((got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (got != (ssize_t)sizeof *n)
		return got < 0 ? -errno : UV_EIO;
	if (n->error)
		return n->error;
	/* Without: there was no room for one more here (EMFILE). */
	if (m.msg_controllen < sizeof *h || h->cmsg_type != SCM_RIGHTS)
		return UV_EMFILE;
	memcpy(pidfd, CMSG_DATA(h), sizeof *pidfd);
	*pidfd = sh__above_stdio(*pidfd);
	return *pidfd < 0 ? *pidfd : 0;
}

static int wait_started(struct sh__attempt *a, int sock, int *pid, int *pidfd)
{
	struct sh__note n = { .error = 0, .where = SH__AT_CLONE };
	int r = take_started(sock, &n, pidfd);

	a->where = n.error ? n.where : SH__AT_CLONE;
	*pid = n.pid;
	if (n.memory_shared)
		sh__memory_shared_is(n.memory_shared);
	return r;
}

int sh__guardian_clone(void (*live)(void *, int sock), void *what, int sock, int *pidfd)
{
	unsigned long old[2];
	int pid;

	*pidfd = -1;
	sh__signals_block(old);
	pid = copy_self(CLONE_PIDFD, pidfd);
	if (pid < 0 && errno == EINVAL)
		pid = copy_self(0, NULL);
	if (pid == 0)
		live(what, sock);
	pid = pid < 0 ? -errno : pid;
	sh__signals_restore(old);
	return pid;
}

static int adopt(struct sh__child *guardian, struct sh__loop *loop, int pid, int pidfd)
{
	guardian->pid = pid;
	guardian->pidfd = pidfd >= 0 ? sh__above_stdio(pidfd) : sh__pidfd_of(pid);
	return guardian->pidfd < 0 ? guardian->pidfd : sh__reap_watch(guardian, loop);
}

/* The end of the socket makes a guardian end what it has started. */
void sh__guarded_give_up(struct sh__child *c, struct sh__child *guardian)
{
	close(c->guard_fd);
	c->guard_fd = -1;
	sh__watch_stop(&guardian->watch);
	if (guardian->pidfd >= 0)
		close(guardian->pidfd);
	guardian->pidfd = -1;
	sh__reap_now(guardian->pid);
	guardian->pid = 0;
}

/* A new one, which starts at once. */
static int fork_guardian(struct sh__attempt *a, struct sh_guardian *g)
{
	int socks[2], r = sh__socket_pair(SOCK_SEQPACKET, socks);

	if (r < 0)
		return r;
	g->pid = sh__guardian_clone(sh__guardian_run, a, socks[1], &g->pidfd);
	close(socks[1]);
	g->sock = socks[0];
	if (g->pid < 0)
		close(socks[0]);
	return g->pid < 0 ? g->pid : 0;
}

int sh__guarded_start(struct sh__child *c, struct sh__loop *loop, struct sh__attempt *a,
		      int *pid, int *pidfd)
{
	struct sh__child *guardian = a->spawn->guardian;
	struct sh_guardian g;
	int r;

	*pidfd = -1;
	if (!sh__ahead_take(a->spawn->ahead, a, &g) && (r = fork_guardian(a, &g)) < 0)
		return r;
	c->guard_fd = g.sock;
	if ((r = adopt(guardian, loop, g.pid, g.pidfd)) < 0)
		a->where = SH__AT_CLONE;
	else
		r = wait_started(a, c->guard_fd, pid, pidfd);
	if (r < 0)
		sh__guarded_give_up(c, guardian);
	return r;
}

/* ------------------------------------------------------------------ notes */

static void lost_guardian(struct sh__child *c)
{
	struct sh__loop *loop = c->loop;

	sh__watch_stop(&c->watch);
	close(c->guard_fd);
	c->guard_fd = -1;
	c->empty = true;
	/* Killed by someone. The command may be alive, and may even be our own child now. */
	if (!c->exited && sh__reap_watch(c, loop) < 0)
		c->lost = c->exited = true;
	if (c->exited)
		c->on_exit(c);
}

static void ended(struct sh__child *c, const struct sh__note *n)
{
	sh__reap_note(c, n->code, n->status, &n->usage);
	c->exited = c->reaped = true;
	c->empty = n->empty;
	c->on_exit(c);
}

static void notes_ready(struct sh__watch *w)
{
	struct sh__child *c = w->arg;
	struct sh__note n;
	ssize_t got = take_note(c->guard_fd, &n, MSG_DONTWAIT);

	if (got == UV_EAGAIN)
		return;
	if (got != (ssize_t)sizeof n) {
		lost_guardian(c);
	} else if (n.kind == SH__NOTE_STOPPED) {
		c->stopped_by = n.status;
		if (c->on_stop)
			c->on_stop(c);
	} else if (n.kind == SH__NOTE_ENDED) {
		ended(c, &n);
	} else if (n.kind == SH__NOTE_EMPTY) {
		c->empty = true;
		c->on_exit(c);
	}
}

int sh__guarded_watch(struct sh__child *c, struct sh__loop *loop)
{
	c->loop = loop;
	c->watch = (struct sh__watch){ .fd = c->guard_fd, .ready = notes_ready, .arg = c };
	return sh__watch_start(loop, &c->watch, POLLIN);
}

/* ------------------------------------------------------------------ orders */

static int order(struct sh__child *c, enum sh__order_kind kind, int signum)
{
	const struct sh__order o = { kind, signum };

	return send(c->guard_fd, &o, sizeof o, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* For kernels that cannot signal a group by its leader's descriptor. */
int sh__guarded_kill(struct sh__child *c, int signum)
{
	return c->empty || order(c, SH__ORDER_GROUP, signum) < 0 ? UV_ESRCH : 0;
}

int sh__guarded_kill_others(struct sh__child *c, int signum)
{
	if (c->guard_fd < 0 || c->empty || order(c, SH__ORDER_OTHERS, signum) < 0)
		return UV_ESRCH;
	return 0;
}

bool sh__guarded_was_stopped(struct sh__child *c)
{
	bool was = c->stopped_by != 0;

	c->stopped_by = 0;
	return was && !c->exited;
}

void sh__guarded_dismiss(struct sh__child *c)
{
	if (c->guard_fd < 0)
		return;
	(void)order(c, SH__ORDER_DISMISS, 0);
	sh__watch_stop(&c->watch);
	close(c->guard_fd);
	c->guard_fd = -1;
}

void sh__guarded_drop(struct sh__child *c, struct sh__child *guardian)
{
	sh__guarded_dismiss(c);
	syscall(SYS_pidfd_send_signal, guardian->pidfd, SIGKILL, NULL, 0);
	sh__reap_now(guardian->pid);
	close(guardian->pidfd);
	guardian->pidfd = -1;
	guardian->pid = 0;
}

int sh__guarded_left(const struct sh__child *guardian, int *pids, size_t max)
{
	struct sh__tree t;
	size_t n = 0;
	int r = sh__tree_read(&t, guardian->pid);

	if (r < 0)
		return r;
	for (size_t i = 0; i < t.n; i++) {
		if (!t.v[i].alive)
			continue;
		if (n < max)
			pids[n] = t.v[i].pid;
		n++;
	}
	sh__tree_free(&t);
	return (int)n;
}
#endif
