/* Terminals: one made for a command, and the host's own, handed over for a while. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "shellcmd/proc.h"

enum { DEFAULT_ROWS = 24, DEFAULT_COLS = 80 };

static int set_size(int fd, unsigned short rows, unsigned short cols)
{
	struct winsize ws = { .ws_row = rows, .ws_col = cols };

	return ioctl(fd, TIOCSWINSZ, &ws) < 0 ? -errno : 0;
}

/*
 * Lines, ^C and ^D work as on any terminal. What is written to it is not echoed, and "\n"
 * stays "\n": the output is what the program wrote.
 */
static int set_modes(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return -errno;
	t.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	t.c_oflag &= ~(tcflag_t)OPOST;
	return tcsetattr(fd, TCSANOW, &t) < 0 ? -errno : 0;
}

static int open_theirs(int ours, const sh_call *c)
{
	char name[64];
	int fd, r;

	if (grantpt(ours) < 0 || unlockpt(ours) < 0)
		return -errno;
	if ((r = ptsname_r(ours, name, sizeof name)) != 0)
		return -r;
	if ((fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
		return -errno;
	if ((fd = sh__above_stdio(fd)) < 0)
		return fd;
	r = set_modes(fd);
	if (r == 0)
		r = set_size(fd, c->rows ? c->rows : DEFAULT_ROWS,
			     c->cols ? c->cols : DEFAULT_COLS);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

int sh__pty_open(const sh_call *c, int *ours, int *theirs)
{
	int m = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), s;

	if (m < 0)
		return -errno;
	if ((m = sh__above_stdio(m)) < 0)
		return m;
	if ((s = sh__nonblocking(m)) < 0 || (s = open_theirs(m, c)) < 0) {
		close(m);
		return s;
	}
	*ours = m;
	*theirs = s;
	return 0;
}

int sh_resize(sh_proc *p, unsigned short rows, unsigned short cols)
{
	if (!p || !p->n || !p->stages[0].spec.call.pty)
		return UV_EINVAL;
	return p->pty_fd < 0 ? UV_ESRCH : set_size(p->pty_fd, rows, cols);
}

/* ------------------------------------------------------------------ the host's terminal */

/* No terminal is no failure: there is nothing to hand over. */
int sh__tty_take(sh_proc *p)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
	if ((fd = sh__above_stdio(fd)) < 0)
		return fd;
	/* A host in the background has no foreground to give. */
	if (tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &p->tty_modes) < 0) {
		close(fd);
		return 0;
	}
	p->tty_fd = fd;
	return 0;
}

/* As a background process of that terminal we would be stopped for touching it: SIGTTOU. */
static void set_foreground(int fd, pid_t group, const struct termios *modes)
{
	sigset_t ttou, old;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	tcsetpgrp(fd, group);
	tcsetattr(fd, TCSADRAIN, modes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void sh__tty_give_back(sh_proc *p)
{
	if (p->tty_fd < 0)
		return;
	if (!p->tty_suspended)
		set_foreground(p->tty_fd, getpgrp(), &p->tty_modes);
	close(p->tty_fd);
	p->tty_fd = -1;
}

/*
 * ^Z stopped the command. What a shell would do with its job: take the terminal back and
 * stop as well, so that whoever started the host gets the terminal. Where that has no
 * effect (no job control above us), the command goes on at once.
 */
static void suspend(sh_proc *p)
{
	if (tcgetattr(p->tty_fd, &p->command_modes) < 0)
		p->command_modes = p->tty_modes;
	set_foreground(p->tty_fd, getpgrp(), &p->tty_modes);
	p->tty_suspended = true;
	kill(0, SIGTSTP);
}

void sh__tty_look(sh_proc *p)
{
	struct sh__child *c = &p->stages[0].child;

	if (p->tty_fd < 0 || p->phase != SH__RUNNING || p->stop != SH__NOT_STOPPING)
		return;
	if (!p->tty_suspended && sh__engine()->was_stopped(c))
		suspend(p);
	/* Put into the background, it stays stopped until we are in the foreground again. */
	if (p->tty_suspended && tcgetpgrp(p->tty_fd) == getpgrp()) {
		p->tty_suspended = false;
		set_foreground(p->tty_fd, c->pid, &p->command_modes);
		sh__engine()->kill(c, SIGCONT);
	}
}
