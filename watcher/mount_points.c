/* The list of mounts, read and taken apart: see mount_points.h. */
#include "watcher/mount_points.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE 16384

int mount_points_open(void)
{
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int mount_points_changed(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	return poll(&p, 1, 0) > 0;
}

static int read_all(int fd, struct bytes *text)
{
	ssize_t n;

	bytes_clear(text);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	do {
		if (bytes_reserve(text, READ_SIZE) < 0)
			return UV_ENOMEM;
		n = read(fd, text->data + text->len, READ_SIZE);
		if (n > 0)
			text->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	text->data[text->len] = '\0';
	return n < 0 ? -errno : 0;
}

/* Blanks, line ends and backslashes are written as \040 and so on. */
static void unescape(char *path)
{
	char *to = path;

	for (const char *at = path; *at; to++) {
		if (at[0] == '\\' && at[1] && at[2] && at[3]) {
			*to = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 4;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /inside /mount/point rw,noatime ...": the fifth word. */
static char *point_of(char *line)
{
	for (int i = 0; i < 4 && line; i++)
		if ((line = strchr(line, ' ')))
			line++;
	if (!line)
		return NULL;
	line[strcspn(line, " ")] = '\0';
	unescape(line);
	return line;
}

int mount_points_each(int fd, struct bytes *text, void (*one)(void *arg, const char *path),
		      void *arg)
{
	char *line, *next, *path;
	int r = read_all(fd, text);

	if (r < 0)
		return r;
	for (line = text->data; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if ((path = point_of(line)))
			one(arg, path);
	}
	return 0;
}

#else

int mount_points_open(void)
{
	return UV_ENOTSUP;
}

int mount_points_changed(int fd)
{
	(void)fd;
	return 0;
}

int mount_points_each(int fd, struct bytes *text, void (*one)(void *arg, const char *path),
		      void *arg)
{
	(void)fd;
	(void)text;
	(void)one;
	(void)arg;
	return UV_ENOTSUP;
}

#endif
