/* A mount namespace of the process's own: see own_mounts.h. */
#include "own_mounts.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "watcher/mount_points.h"

/* 0, or why not. */
static int begin(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return errno;
	if ((fd = mount_points_open()) < 0) /* nor would the end of them be known */
		return -fd;
	close(fd);
	return 0;
}

static int why = -1; /* there are none; -1: not tried */

bool own_mounts(void)
{
	if (why < 0)
		why = begin();
	if (why)
		printf("# skipped: no mounts of its own: %s\n", strerror(why));
	return !why;
}

struct points {
	const char *base;
	char **paths;
	size_t n;
};

static void on_point(void *arg, const char *path)
{
	struct points *p = arg;

	if (strncmp(path, p->base, strlen(p->base)) != 0)
		return;
	p->paths = realloc(p->paths, (p->n + 1) * sizeof *p->paths);
	if (!p->paths || !(p->paths[p->n++] = strdup(path)))
		abort();
}

void own_mounts_end(const char *base)
{
	struct points p = { .base = base };
	struct bytes text = { 0 };
	int fd;

	if (why)
		return;
	fd = mount_points_open();
	if (fd < 0 || mount_points_each(fd, &text, on_point, &p) < 0)
		abort();
	close(fd);
	bytes_free(&text);
	while (p.n--) {
		umount2(p.paths[p.n], MNT_DETACH); /* it may have gone with one that was detached */
		free(p.paths[p.n]);
	}
	free(p.paths);
}
