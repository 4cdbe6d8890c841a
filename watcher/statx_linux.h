/*
 * statx(2) with birth times and mount numbers, also where the C library's headers have no such
 * call (musl before 1.2.5) or an older one: then it is the kernel's own, under its name.
 * Without Linux this is empty, and STATX_BTIME is not defined.
 */
#ifndef WATCHER_STATX_LINUX_H
#define WATCHER_STATX_LINUX_H

#include <sys/stat.h>

#if defined(__linux__) && !defined(STATX_MNT_ID)
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#undef STATX_BASIC_STATS
#undef STATX_INO
#undef STATX_CTIME
#undef STATX_BTIME
#define STATX_CTIME	  0x0080
#define STATX_INO	  0x0100
#define STATX_BASIC_STATS 0x07ff
#define STATX_BTIME	  0x0800
#define STATX_MNT_ID	  0x1000

struct whendo_statx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t spare;
};

struct whendo_statx {
	uint32_t stx_mask, stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink, stx_uid, stx_gid;
	uint16_t stx_mode, spare0;
	uint64_t stx_ino, stx_size, stx_blocks, stx_attributes_mask;
	struct whendo_statx_time stx_atime, stx_btime, stx_ctime, stx_mtime;
	uint32_t stx_rdev_major, stx_rdev_minor, stx_dev_major, stx_dev_minor;
	uint64_t stx_mnt_id;
	uint64_t spare[13];
};
_Static_assert(sizeof(struct whendo_statx) == 256, "the kernel's structure");

static inline int whendo_statx(int dir, const char *path, int flags, unsigned mask,
			       struct whendo_statx *st)
{
	return (int)syscall(SYS_statx, dir, path, flags, mask, st);
}

#define statx		whendo_statx
#define statx_timestamp whendo_statx_time
#endif

#endif
