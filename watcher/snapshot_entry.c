/*
 * What the disk says of one entry of a snapshot: statx(2), with the birth time, where there is
 * such a call, else stat(2), or the user's own.
 */
#include "watcher/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

#include "watcher/engine.h"
#include "watcher/statx_linux.h"

static int64_t ns_of(const struct timespec *ts)
{
	return ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec;
}

static void from_stat(const struct stat *st, struct snap_entry *e)
{
	e->dev = (uint64_t)st->st_dev;
	e->inode = st->st_ino;
	e->size = (uint64_t)st->st_size;
	e->nlink = st->st_nlink;
	e->mode = st->st_mode;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
#ifdef __APPLE__
	e->mtime_ns = ns_of(&st->st_mtimespec);
	e->ctime_ns = ns_of(&st->st_ctimespec);
	e->birth_ns = ns_of(&st->st_birthtimespec);
#else
	e->mtime_ns = ns_of(&st->st_mtim);
	e->ctime_ns = ns_of(&st->st_ctim);
#endif
	e->type = (uint8_t)watcher__type_of_mode(e->mode);
}

#ifdef STATX_BTIME
static int64_t ns_of_statx(const struct statx_timestamp *ts)
{
	return ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec;
}

static int look_up(int fd, const char *name, int flags, struct snap_entry *e)
{
	struct statx st;

	if (statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return -errno;
	e->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	e->inode = st.stx_ino;
	e->size = st.stx_size;
	e->nlink = st.stx_nlink;
	e->mode = st.stx_mode;
	e->uid = st.stx_uid;
	e->gid = st.stx_gid;
	e->mtime_ns = ns_of_statx(&st.stx_mtime);
	e->ctime_ns = ns_of_statx(&st.stx_ctime);
	e->birth_ns = st.stx_mask & STATX_BTIME ? ns_of_statx(&st.stx_btime) : 0;
	e->type = (uint8_t)watcher__type_of_mode(e->mode);
	return 0;
}

/* Not by the name ".": that may be forbidden where reading is not. */
static int look_up_open(int fd, struct snap_entry *e)
{
	return look_up(fd, "", AT_EMPTY_PATH, e);
}
#else
static int look_up(int fd, const char *name, int flags, struct snap_entry *e)
{
	struct stat st;

	if (fstatat(fd, name, &st, flags) < 0)
		return -errno;
	from_stat(&st, e);
	return 0;
}

static int look_up_open(int fd, struct snap_entry *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	from_stat(&st, e);
	return 0;
}
#endif

int watcher__snap_look_up_open(const struct disk *disk, int fd, struct snap_entry *e)
{
	struct stat st;
	int r;

	if (!watcher__disk_is_users(disk))
		return look_up_open(fd, e);
	r = watcher__disk_stat(disk, fd, &st);
	if (r == 0)
		from_stat(&st, e);
	return r;
}

int watcher__snap_look_up(const struct disk *disk, int fd, const char *name, int flags,
			  struct snap_entry *e)
{
	struct stat st;
	int r;

	if (!watcher__disk_is_users(disk))
		return look_up(fd, name, flags, e);
	if (fd == AT_FDCWD)
		r = watcher__disk_stat_path(disk, name, true, &st);
	else
		r = watcher__disk_stat_name(disk, fd, name, &st);
	if (r == 0)
		from_stat(&st, e);
	return r;
}
