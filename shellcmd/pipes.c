/*
 * Descriptors as this library needs them: never inherited by accident, and never on 0, 1 or
 * 2, which a host may have closed and would write its own messages to.
 */
#include "shellcmd/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int sh__above_stdio(int fd)
{
	int moved;

	if (fd > 2)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (moved < 0)
		moved = -errno;
	close(fd);
	return moved;
}

#ifdef __linux__
static int make_pipe(int fds[2])
{
	return pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
}
#else
static int make_pipe(int fds[2])
{
	if (pipe(fds) < 0)
		return -errno;
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	return 0;
}
#endif

#ifdef SOCK_CLOEXEC
static int make_sockets(int type, int fds[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}
#else
static int make_sockets(int type, int fds[2])
{
	if (socketpair(AF_UNIX, type, 0, fds) < 0)
		return -errno;
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	return 0;
}
#endif

/* 0, or a negative errno with both closed. */
static int both_above_stdio(int fds[2])
{
	if ((fds[0] = sh__above_stdio(fds[0])) < 0) {
		close(fds[1]);
		return fds[0];
	}
	if ((fds[1] = sh__above_stdio(fds[1])) < 0) {
		close(fds[0]);
		return fds[1];
	}
	return 0;
}

int sh__pipe(int fds[2])
{
	int r = make_pipe(fds);

	return r < 0 ? r : both_above_stdio(fds);
}

int sh__socket_pair(int type, int fds[2])
{
	int r = make_sockets(type, fds);

	return r < 0 ? r : both_above_stdio(fds);
}

int sh__nonblocking(int fd)
{
	int on = 1;

	return ioctl(fd, FIONBIO, &on) < 0 ? -errno : 0;
}

int sh__open_null(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : sh__above_stdio(fd);
}

unsigned sh__stdio_hold(void)
{
	unsigned held = 0;

	for (int fd = 0; fd < 3; fd++) {
		int got;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		got = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (got >= 0 && got < 3)
			held |= 1u << got;
		else if (got >= 0)
			close(got);
	}
	return held;
}

void sh__stdio_release(unsigned held)
{
	for (int fd = 0; fd < 3; fd++)
		if (held & 1u << fd)
			close(fd);
}
