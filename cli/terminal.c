/* Terminal modes, foreground group and keys. Knows nothing of runs. */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int terminal_is_ours(void)
{
	return isatty(0) && tcgetpgrp(0) == getpgrp();
}

/* Changing a terminal from its background would stop us: tcsetpgrp(3). */
static void set_group(int fd, pid_t group)
{
	sigset_t ttou, old;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	tcsetpgrp(fd, group);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void set_modes(struct terminal *t, int raw)
{
	struct termios modes = t->saved;

	if (t->fd < 0 || t->is_raw == raw)
		return;
	if (raw) {
		/* ^C and ^Z stay signals, and output looks as ever. */
		modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		modes.c_cc[VMIN] = 1;
		modes.c_cc[VTIME] = 0;
	}
	if (tcsetattr(t->fd, TCSADRAIN, &modes) == 0)
		t->is_raw = raw;
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct terminal *t = h->data;
	char keys[64];
	ssize_t n = status < 0 ? 0 : read(t->in, keys, sizeof keys);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == EIO))
		return;
	if (n <= 0) {
		uv_poll_stop(h);
		if (t->on_end)
			t->on_end(t->arg);
		return;
	}
	for (ssize_t i = 0; i < n && t->want_keys; i++)
		t->on_key(keys[i], t->arg);
	/* ^D on a terminal in raw mode. */
	if (t->is_raw && t->on_end && memchr(keys, t->saved.c_cc[VEOF], (size_t)n))
		t->on_end(t->arg);
}

static void listen_keys(struct terminal *t, int on)
{
	if (!t->has_poll)
		return;
	if (on)
		uv_poll_start(&t->poll, UV_READABLE, on_readable);
	else
		uv_poll_stop(&t->poll);
}

static void on_tstp(uv_signal_t *h, int signum)
{
	struct terminal *t = h->data;

	(void)signum;
	set_modes(t, 0);
	t->on_stop(1, t->arg);
	kill(getpid(), SIGSTOP);
}

static void on_cont(uv_signal_t *h, int signum)
{
	struct terminal *t = h->data;

	(void)signum;
	if (t->fd >= 0 && tcgetpgrp(t->fd) == getpgrp()) {
		tcgetattr(t->fd, &t->saved);
		if (t->group)
			set_group(t->fd, t->group);
		else
			set_modes(t, t->want_keys);
	}
	t->on_stop(0, t->arg);
}

static void start_signal(struct terminal *t, uv_signal_t *h, uv_signal_cb cb, int signum)
{
	uv_signal_init(t->loop, h);
	h->data = t;
	uv_signal_start(h, cb, signum);
	uv_unref((uv_handle_t *)h);
}

/* With something else on stdin: a command may still ask at /dev/tty, for a password. Keys are
 * not read there. */
static int open_other(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && tcgetpgrp(fd) != getpgrp()) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* stdin opened once more: without blocking it would be so for all who share it. After su the
 * terminal is another user's; by its other name anybody may open it who has it. */
static int open_again(const struct terminal *t)
{
	int how = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = open("/dev/fd/0", how);

	return fd < 0 && t->fd == 0 ? open("/dev/tty", how) : fd;
}

void terminal_open(struct terminal *t, int watch_end)
{
	t->fd = terminal_is_ours() ? 0 : open_other();
	t->in = -1;
	if (t->fd >= 0 && tcgetattr(t->fd, &t->saved) < 0)
		t->fd = -1;
	t->want_keys = t->want_keys && t->fd == 0;
	if (t->want_keys || watch_end)
		t->in = open_again(t);
	if (t->in >= 0 && uv_poll_init(t->loop, &t->poll, t->in) == 0) {
		t->has_poll = 1;
		t->poll.data = t;
		listen_keys(t, 1);
		uv_unref((uv_handle_t *)&t->poll);
	} else if (watch_end && t->on_end) {
		/* A file or /dev/null has nothing to wait for. */
		t->on_end(t->arg);
	}
	t->want_keys = t->want_keys && t->has_poll;
	set_modes(t, t->want_keys);
	if (t->fd < 0)
		return;
	start_signal(t, &t->tstp, on_tstp, SIGTSTP);
	start_signal(t, &t->cont, on_cont, SIGCONT);
}

int terminal_stopped(struct terminal *t, pid_t group, int signum)
{
	if (t->fd < 0 || group <= 0)
		return 0;
	if (tcgetpgrp(t->fd) == group) {
		/* ^Z in the command's foreground: stop with it, as one job. */
		set_group(t->fd, getpgrp());
		kill(getpid(), SIGSTOP);
		return 0;
	}
	if (signum != SIGTTIN && signum != SIGTTOU)
		return 0;
	listen_keys(t, 0);
	set_modes(t, 0);
	t->group = group;
	set_group(t->fd, group);
	kill(-group, SIGCONT);
	return 1;
}

int terminal_check(struct terminal *t, pid_t group)
{
	siginfo_t info = { 0 };

	if (group <= 0 || waitid(P_PID, (id_t)group, &info, WSTOPPED | WNOHANG) < 0 ||
	    info.si_pid == 0)
		return 0;
	return terminal_stopped(t, group, info.si_status);
}

void terminal_take(struct terminal *t)
{
	struct termios modes;

	if (t->fd < 0 || !t->group)
		return;
	t->group = 0;
	/* The kernel tells of a hang-up who has the terminal, and that was the command. */
	if (tcgetattr(t->fd, &modes) < 0 && errno == EIO && !t->is_closing)
		kill(getpid(), SIGHUP);
	set_group(t->fd, getpgrp());
	/* Whatever the command left the modes as, the user had them like this. */
	t->is_raw = -1;
	set_modes(t, t->want_keys);
	listen_keys(t, 1);
}

static void close_handle(uv_handle_t *h)
{
	if (h->data && !uv_is_closing(h))
		uv_close(h, NULL);
}

void terminal_close(struct terminal *t)
{
	t->is_closing = 1;
	terminal_take(t);
	set_modes(t, 0);
	if (t->has_poll)
		close_handle((uv_handle_t *)&t->poll);
	close_handle((uv_handle_t *)&t->tstp);
	close_handle((uv_handle_t *)&t->cont);
	if (t->in >= 0)
		close(t->in);
	if (t->fd > 0)
		close(t->fd);
	t->in = t->fd = -1;
}
