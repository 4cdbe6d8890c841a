/*
 * What is mounted where, as this process sees it: proc_pid_mountinfo(5). Where the
 * system has no list of it, nothing is ever mounted.
 */
#ifndef WATCHER_MOUNT_POINTS_H
#define WATCHER_MOUNT_POINTS_H

#include "base/bytes.h"

/* The list of mounts: a descriptor that is POLLPRI when something has been mounted or unmounted
 * since it was polled last. A negative errno where there is no such list. */
int mount_points_open(void);
/* Has it changed since it was polled last? */
int mount_points_changed(int fd);
/* Calls `one` with the path of each mount point, of one that is mounted over, too; `text` is
 * used to read the list into. 0, or a negative errno. */
int mount_points_each(int fd, struct bytes *text, void (*one)(void *arg, const char *path),
		      void *arg);

#endif
