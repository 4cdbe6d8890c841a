/*
 * What a guardian does: starts the command, tells its owner how it goes, reaps what becomes
 * its child, and ends everything when the owner vanishes. See guard_linux.h.
 *
 * It is a copy of a process that may have had other threads, and instruments: nothing here
 * may take a lock that one of them held.
 */
#ifdef __linux__
#include "shellcmd/ahead_linux.h"
#include "shellcmd/guard_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shellcmd/tree_linux.h"

enum {
	SOCK = 0,
	CHILD_SIGNALS = 1,
	FIRST_PASS_MS = 1,   /* between two rounds of SIGKILL; then twice as long each time */
	MOST_PASS_MS = 1024, /* another user's process cannot be killed, only waited for */
	KERNEL_SIGSET_BYTES = 8
};

struct guardian {
	pid_t self, command;
	bool ended;   /* the command */
	bool empty;   /* no child is left */
	bool killing; /* until it is empty */
	bool orphaned;
	int pass_ms;
};

static void __attribute__((noreturn)) quit(void)
{
	for (;;)
		syscall(SYS_exit_group, 0);
}

/* The owner is waited for, unless it does not look and there is a lot in front of this. */
static void tell(int sock, const struct sh__note *n, int flags)
{
	while (send(sock, n, sizeof *n, flags | MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* With the command's descriptor: its number may be another's by the time this is read. */
static void tell_started(int sock, struct sh__note *n, int pidfd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof pidfd)] = { 0 };
	struct iovec text = { .iov_base = n, .iov_len = sizeof *n };
	struct msghdr m = { .msg_iov = &text, .msg_iovlen = 1 };

	if (pidfd >= 0) {
		struct cmsghdr *h = (struct cmsghdr *)control;

		m.msg_control = control;
		m.msg_controllen = sizeof control;
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof pidfd);
		memcpy(CMSG_DATA(h), &pidfd, sizeof pidfd);
	}
	while (sendmsg(sock, &m, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* ------------------------------------------------------------------ becoming one */

static long long stat_field(const char *stat, int which)
{
	const char *at = strrchr(stat, ')');

	for (int i = 2; at && i < which; i++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at + 1, NULL, 10) : 0;
}

/*
 * The words of a command line are where the kernel says (proc(5), arg_start and arg_end). It
 * is asked to write there: an emulator has something else at that address.
 */
static void overwrite(off_t from, off_t end, const char *name, size_t n)
{
	static const char zeros[256];
	int fd = open("/proc/self/mem", O_WRONLY | O_CLOEXEC);
	ssize_t done = fd < 0 ? -1 : pwrite(fd, name, n, from);

	for (off_t at = from + (off_t)n; done > 0 && at < end; at += done) {
		size_t left = (size_t)(end - at);

		done = pwrite(fd, zeros, left < sizeof zeros ? left : sizeof zeros, at);
	}
	if (fd >= 0)
		close(fd);
}

/* Whoever kills its owner by name does not mean the guardian as well. */
static void rename_self(void)
{
	static const char name[] = "guardian";
	char text[1024];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	long long from, end;

	if (fd >= 0)
		close(fd);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	if (n <= 0)
		return;
	text[n] = '\0';
	from = stat_field(text, 48);
	end = stat_field(text, 49);
	if (from > 0 && end - from > (long long)sizeof name)
		overwrite((off_t)from, (off_t)end, name, sizeof name);
}

/* Holds nothing of its owner's: no descriptor, no directory, and is no part of its group. */
static void settle(int sock)
{
	unsigned long mask = 1ul << (SIGCHLD - 1);
	int fd;

	syscall(SYS_setpgid, 0, 0);
	syscall(SYS_chdir, "/");
	if (sock != SOCK)
		syscall(SYS_dup3, sock, SOCK, 0);
	sh__close_between(SOCK + 1, ~0u);
	fd = (int)syscall(SYS_signalfd4, -1, &mask, KERNEL_SIGSET_BYTES,
			  SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd >= 0 && fd != CHILD_SIGNALS)
		syscall(SYS_dup3, fd, CHILD_SIGNALS, 0);
	rename_self();
}

/* ------------------------------------------------------------------ children */

static bool is_stop(const siginfo_t *si)
{
	return si->si_code == CLD_STOPPED || si->si_code == CLD_TRAPPED;
}

static void command_changed(struct guardian *g, const siginfo_t *si, struct sh__note *ended)
{
	if (is_stop(si)) {
		tell(SOCK,
		     &(const struct sh__note){ .kind = SH__NOTE_STOPPED,
					       .status = si->si_status },
		     MSG_DONTWAIT);
		return;
	}
	ended->kind = SH__NOTE_ENDED;
	ended->code = si->si_code;
	ended->status = si->si_status;
	g->ended = true;
}

/* Reaps everything: the owner knows the command by a descriptor, not by its number. */
static void look_at_children(struct guardian *g)
{
	struct sh__note news = { .kind = SH__NOTE_EMPTY };
	struct rusage usage;
	siginfo_t si;
	long r;

	for (;;) {
		memset(&si, 0, sizeof si);
		r = syscall(SYS_waitid, P_ALL, 0, &si, WEXITED | WSTOPPED | WNOHANG | __WALL,
			    &usage);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 || !si.si_pid)
			break;
		if (si.si_pid != g->command || g->ended)
			continue;
		news.usage = usage;
		command_changed(g, &si, &news);
	}
	g->empty = news.empty = r < 0;
	if (news.kind == SH__NOTE_ENDED || (g->empty && !g->orphaned))
		tell(SOCK, &news, 0);
}

/* ------------------------------------------------------------------ signals */

static void signal_tree(const struct guardian *g, const struct sh__order *o)
{
	struct sh__tree t;
	/* Killing, what was missed in the first round is found in another. */
	bool quick = !g->killing || g->pass_ms == FIRST_PASS_MS;

	if ((quick ? sh__tree_glance : sh__tree_read)(&t, g->self) < 0) {
		/* Nothing to see with: the group at least, as long as its leader is there. */
		if (!g->ended)
			kill(-g->command, o->signum);
		return;
	}
	for (size_t i = 0; i < t.n; i++) {
		bool is_member = t.v[i].group == g->command;

		if (t.v[i].alive && (g->killing || is_member == (o->kind == SH__ORDER_GROUP)))
			sh__tree_signal(&t.v[i], o->signum);
	}
	sh__tree_free(&t);
}

static void kill_pass(struct guardian *g)
{
	const struct sh__order all = { SH__ORDER_OTHERS, SIGKILL };

	signal_tree(g, &all);
	g->pass_ms = g->pass_ms < MOST_PASS_MS ? g->pass_ms * 2 : MOST_PASS_MS;
}

static void start_killing(struct guardian *g)
{
	g->killing = true;
	g->pass_ms = FIRST_PASS_MS;
}

static void obey(struct guardian *g, const struct sh__order *o)
{
	if (o->kind == SH__ORDER_DISMISS)
		quit();
	if (o->kind == SH__ORDER_OTHERS && o->signum == SIGKILL)
		start_killing(g);
	else
		signal_tree(g, o);
}

static void take_order(struct guardian *g)
{
	struct sh__order o;
	ssize_t n = recv(SOCK, &o, sizeof o, MSG_DONTWAIT);

	if (n == (ssize_t)sizeof o) {
		obey(g, &o);
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		g->orphaned = true;
		start_killing(g);
	}
}

/* ------------------------------------------------------------------ its life */

/*
 * While it kills, time is what wakes it: each round finds the children of those that the
 * round before has ended.
 */
static void wait_for_news(struct guardian *g)
{
	struct signalfd_siginfo news;
	struct pollfd fds[2] = { { .fd = g->orphaned ? -1 : SOCK, .events = POLLIN },
				 { .fd = g->killing ? -1 : CHILD_SIGNALS, .events = POLLIN } };

	if (poll(fds, 2, g->killing ? g->pass_ms : -1) < 0)
		fds[0].revents = fds[1].revents = 0;
	while (!g->killing && read(CHILD_SIGNALS, &news, sizeof news) > 0)
		;
	if (fds[0].revents)
		take_order(g);
}

static void __attribute__((noreturn)) live(struct guardian *g)
{
	for (;;) {
		look_at_children(g);
		if (g->empty && (g->ended || g->orphaned))
			quit();
		if (g->killing)
			kill_pass(g);
		wait_for_news(g);
	}
}

static int become_parent(void)
{
	sh__signals_default();
	return syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* `error`: why it cannot be. */
static void start(struct guardian *g, struct sh__attempt *a, int sock, int error)
{
	struct sh__note started = { .kind = SH__NOTE_STARTED, .error = error };
	int pidfd = -1, pid = 0;

	a->signals_are_default = true;
	a->parent = g->self = (pid_t)syscall(SYS_getpid);
	if (!error)
		started.error = sh__attempt_start(a, &pid, &pidfd);
	started.where = a->where;
	started.memory_shared = sh__memory_shared();
	started.pid = g->command = pid;
	tell_started(sock, &started, started.error ? -1 : pidfd);
	if (started.error)
		quit();
}

void sh__guardian_run(void *attempt, int sock)
{
	struct guardian g = { 0 };

	start(&g, attempt, sock, become_parent());
	settle(sock);
	live(&g);
}

/* ------------------------------------------------------------------ ahead of a command */

/* The descriptors the order brings: 0, or an error. Without an order, nobody wants it. */
static int take_work(struct sh__room *room)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * (SH__ROOM_FDS + 1))];
	struct sh__order order;
	struct iovec text = { .iov_base = &order, .iov_len = sizeof order };
	struct msghdr m = { .msg_iov = &text,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof control };
	struct cmsghdr *h = (struct cmsghdr *)control;
	size_t n;
	int fds[SH__ROOM_FDS + 1];
	ssize_t got;

	while ((got = recvmsg(SOCK, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (got != (ssize_t)sizeof order || order.kind != SH__ORDER_START)
		quit();
	n = room->spawn.n_fds;
	if (m.msg_controllen < sizeof *h || h->cmsg_len != CMSG_LEN(sizeof(int) * (n + 1)))
		return UV_EMFILE;
	memcpy(fds, CMSG_DATA(h), sizeof(int) * (n + 1));
	for (size_t i = 0; i < n; i++)
		room->fds[i].fd = fds[i];
	room->attempt.where = SH__AT_CWD;
	if (syscall(SYS_fchdir, fds[n]) < 0)
		return -errno;
	room->attempt.where = SH__AT_CLONE;
	return 0;
}

void sh__guardian_wait(void *what, int sock)
{
	struct sh__room *room = what;
	struct guardian g = { 0 };
	int r = become_parent(), taken;

	settle(sock);
	taken = take_work(room);
	start(&g, &room->attempt, SOCK, r < 0 ? r : taken);
	syscall(SYS_munmap, room, SH__ROOM_BYTES);
	syscall(SYS_chdir, "/");
	sh__close_between(CHILD_SIGNALS + 1, ~0u);
	live(&g);
}
#endif
