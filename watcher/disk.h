/*
 * Where directories are opened, looked up and read: the system, or the user's own functions.
 *
 * With the user's functions a directory that is "open" is a number of this disk's own, and
 * behind it are its path and what stat said of it when it was opened; everything about names
 * in it is asked by path. Without them the numbers are descriptors, nothing here has a state,
 * and threads may share a disk.
 */
#ifndef WATCHER_DISK_H
#define WATCHER_DISK_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "whendo/watcher.h"

/* How a directory is opened that is only gone through: that needs no right to read it. */
#if defined(O_PATH)
#define O_WAY O_PATH
#elif defined(O_SEARCH)
#define O_WAY O_SEARCH
#else
#define O_WAY O_RDONLY
#endif

struct listing;
struct identity;

struct disk {
	watcher_vfs vfs; /* .stat NULL: the system */
	struct opened_dir {
		char *path; /* NULL: the number is free */
		struct stat st;
	} *dirs;
	int ndirs;
};

/* Takes a copy of the user's functions; `vfs` may be NULL. UV_EINVAL: one is missing, or no
 * size; UV_E2BIG. Nothing is to be freed after a failure. */
int watcher__disk_init(struct disk *disk, const watcher_vfs *vfs, watcher_error *err);
void watcher__disk_fini(struct disk *disk);

static inline int64_t stat_mtime_ns(const struct stat *st)
{
#ifdef __APPLE__
	return st->st_mtimespec.tv_sec * INT64_C(1000000000) + st->st_mtimespec.tv_nsec;
#else
	return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
#endif
}

static inline int64_t stat_ctime_ns(const struct stat *st)
{
#ifdef __APPLE__
	return st->st_ctimespec.tv_sec * INT64_C(1000000000) + st->st_ctimespec.tv_nsec;
#else
	return st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec;
#endif
}

static inline bool watcher__disk_is_users(const struct disk *disk)
{
	return disk->vfs.stat != NULL;
}

/* All of these give 0, or a number, or a negative errno. */

/* Opens a directory for reading; without `follow` a symbolic link is refused. */
int watcher__disk_open(struct disk *disk, const char *path, bool follow);
void watcher__disk_close(struct disk *disk, int fd);
/* What an open directory is. */
int watcher__disk_stat(const struct disk *disk, int fd, struct stat *st);
/* What a name in an open directory is; links are not followed. */
int watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st);
/* What a path leads to; the user's stat is the same with and without `follow`. */
int watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
			    struct stat *st);
/* What tells a directory from all others: open as `fd`, or, with fd -1, at `path`. One without
 * an inode number is told by its path. */
int watcher__disk_identity(const struct disk *disk, int fd, const char *path,
			   struct identity *id);
/* As watcher__scan_read() and watcher__scan_stat(). */
void watcher__disk_read(const struct disk *disk, int fd, struct listing *l);
void watcher__disk_stat_listing(const struct disk *disk, int fd, struct listing *l);

#endif
