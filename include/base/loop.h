/*
 * A loop of libuv's that can be opened, or not. The first one in a process makes a pipe for signals,
 * and libuv (1.44 to 1.52) calls abort() where there are no descriptors left for that.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#define LOOP_FDS 5 /* a poll, two for signals in the process, two for those of this loop */

/* As uv_loop_init(), but UV_EMFILE or UV_ENFILE where there are too few descriptors. */
static inline int loop_open(uv_loop_t *loop)
{
#ifndef _WIN32
	int fd[LOOP_FDS], n = 0, r = 0;

	while (n < LOOP_FDS && (fd[n] = open("/", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	if (n < LOOP_FDS)
		r = uv_translate_sys_error(errno);
	while (n > 0)
		close(fd[--n]);
	if (r == UV_EMFILE || r == UV_ENFILE)
		return r;
#endif
	return uv_loop_init(loop);
}

#endif
