/* Descriptors are always ready here: what is waited for is a pipe or a file, and blocks. */
#ifndef WINDOWS_POLL_H
#define WINDOWS_POLL_H

#include <winsock2.h>

static inline int windows_poll(struct pollfd *fds, unsigned n, int ms)
{
	(void)ms;
	for (unsigned i = 0; i < n; i++)
		fds[i].revents = fds[i].events;
	return (int)n;
}
#define poll(fds, n, ms) windows_poll(fds, (unsigned)(n), ms)

#endif
