/*
 * What a directory that is read late held before changes were lost, as far as that can be seen:
 * names of what was made since are left out of what was read. The pass that follows the loss finds
 * them, and tells of them. (Of what was moved or removed meanwhile nobody knows where it was.)
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "watcher/engine.h"
#include "watcher/statx_linux.h"

#ifdef STATX_BTIME
static bool is_younger(int fd, const char *name, size_t len, int64_t since_ns)
{
	struct statx st;
	char buf[256];

	memcpy(buf, name, len);
	buf[len] = '\0';
	return statx(fd, buf, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st) == 0 &&
	       st.stx_mask & STATX_BTIME &&
	       st.stx_btime.tv_sec * INT64_C(1000000000) + st.stx_btime.tv_nsec >= since_ns;
}
#else
static bool is_younger(int fd, const char *name, size_t len, int64_t since_ns)
{
	(void)fd;
	(void)name;
	(void)len;
	(void)since_ns;
	return false;
}
#endif

void watcher__late_leave_out(int fd, struct listing *l, int64_t since_ns)
{
	size_t from, to = 0, n;

	for (from = 0; from < l->len; from += n) {
		const char *e = l->packed + from;
		uint8_t len = (uint8_t)e[9];

		n = PACKED_HEAD + len;
		if (is_younger(fd, e + PACKED_HEAD, len, since_ns)) {
			l->count--;
			continue;
		}
		memmove(l->packed + to, e, n);
		to += n;
	}
	if (to < l->len)
		l->ctime_ns = 0; /* it is to be read again, changed or not */
	l->len = to;
}
