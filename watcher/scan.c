/*
 * Reading one directory into a packed listing: getdents64 into one buffer, no stat per entry.
 * What is read is what was opened, by descriptor, so the listing and a watch put on the same
 * descriptor are about the same directory. getdents(2); DT_UNKNOWN is looked up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#endif

#include "base/clock.h"
#include "watcher/engine.h"
#include "watcher/statx_linux.h"

/* A directory's change time proves nothing while it is younger than the clock's grain (a tick, 4 ms
 * at HZ=250, up to 10 ms): another change may share it. */
#define YOUNG_NS 20000000

int watcher__type_of_mode(unsigned mode)
{
	if (S_ISREG(mode))
		return WATCHER_TYPE_FILE;
	if (S_ISDIR(mode))
		return WATCHER_TYPE_DIR;
	return S_ISLNK(mode) ? WATCHER_TYPE_SYMLINK : WATCHER_TYPE_OTHER;
}

#ifdef STATX_BTIME
/* An inode number, and often the tick of its birth, is soon had by the next directory; a file
 * handle has the inode's generation, too. name_to_handle_at(2); 0 where there is none. */
static uint64_t generation(int fd, const char *path)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} h = { .handle.handle_bytes = MAX_HANDLE_SZ };
	uint64_t hash = UINT64_C(14695981039346656037);
	int mount, r;

	r = fd >= 0 ? name_to_handle_at(fd, "", &h.handle, &mount, AT_EMPTY_PATH) :
		      name_to_handle_at(AT_FDCWD, path, &h.handle, &mount, AT_SYMLINK_FOLLOW);
	if (r < 0)
		return 0;
	for (unsigned i = 0; i < h.handle.handle_bytes; i++)
		hash = (hash ^ h.handle.f_handle[i]) * UINT64_C(1099511628211);
	return hash;
}

int watcher__scan_identity(int fd, const char *path, struct identity *id)
{
	struct statx st;
	int r = fd >= 0 ? statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) :
			  statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &st);

	if (r < 0)
		return -errno;
	*id = (struct identity){ .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
				 .ino = st.stx_ino,
				 .birth = generation(fd, path) };
	if (st.stx_mask & STATX_BTIME)
		id->birth ^= (uint64_t)st.stx_btime.tv_sec * UINT64_C(1000000000) +
			     st.stx_btime.tv_nsec;
	return 0;
}
#else
int watcher__scan_identity(int fd, const char *path, struct identity *id)
{
	struct stat st;

	if ((fd >= 0 ? fstat(fd, &st) : stat(path, &st)) < 0)
		return -errno;
	*id = (struct identity){ .dev = (uint64_t)st.st_dev, .ino = st.st_ino };
#ifdef __APPLE__
	id->birth = (uint64_t)st.st_birthtimespec.tv_sec * UINT64_C(1000000000) +
		    (uint64_t)st.st_birthtimespec.tv_nsec;
#endif
	return 0;
}
#endif

uint32_t watcher__dev32(dev_t dev)
{
	return (uint32_t)(dev ^ (uint64_t)dev >> 32);
}

/* Without the directory that is read (-1) it is not looked up. */
static int type_of_entry(int fd, const char *name, unsigned char d_type)
{
	struct stat st;

	switch (d_type) {
	case DT_REG:
		return WATCHER_TYPE_FILE;
	case DT_DIR:
		return WATCHER_TYPE_DIR;
	case DT_LNK:
		return WATCHER_TYPE_SYMLINK;
	case DT_UNKNOWN:
		if (fd < 0)
			return WATCHER_TYPE_UNKNOWN;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return watcher__type_of_mode(st.st_mode);
		return WATCHER_TYPE_FILE;
	default:
		return WATCHER_TYPE_OTHER;
	}
}

/* A path longer than the system takes at once is gone along in pieces: *at is the directory
 * that *path, the last of them, is to be opened in. 0, or a negative errno. */
static int open_way(int *at, const char **path)
{
	char piece[PATH_MAX];
	int from;

	for (*at = AT_FDCWD; strlen(*path) >= PATH_MAX;) {
		size_t len = PATH_MAX - 1;

		while (len && (*path)[len] != '/')
			len--;
		memcpy(piece, *path, len);
		piece[len] = '\0';
		*path += len + strspn(*path + len, "/");
		from = *at;
		*at = openat(from, piece, O_WAY | O_DIRECTORY | O_CLOEXEC);
		int r = *at < 0 ? -errno : 0;

		if (from >= 0)
			close(from);
		if (r < 0)
			return r;
	}
	return 0;
}

int watcher__scan_open(const char *path, bool follow)
{
	int at, fd, r = open_way(&at, &path);

	if (r < 0)
		return r;
	fd = openat(at, path,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
	r = fd < 0 ? -errno : fd;
	if (at >= 0)
		close(at);
	return r;
}

int watcher__listing_add(struct listing *l, const char *name, int type, uint64_t ino)
{
	size_t len = strlen(name), cap = l->cap ? l->cap * 2 : 4096;
	char *p;

	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return 0;
	if (len > 255)
		return 0;
	if (l->cap - l->len < PACKED_MAX) {
		if (!(p = realloc(l->packed, cap)))
			return UV_ENOMEM;
		l->packed = p;
		l->cap = cap;
	}
	l->len += packed_put(l->packed + l->len, name, len, type, ino);
	l->count++;
	return 0;
}

#ifdef STATX_MNT_ID
/* In headers that are older than the kernel. */
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000
#endif
#define STATX_OF_DIR (STATX_INO | STATX_CTIME | STATX_MNT_ID | STATX_MNT_ID_UNIQUE)

/* Linux 5.8; numbers that are not given out again: 6.8. */
static uint64_t mount_of(const struct statx *st)
{
	if (!(st->stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	return st->stx_mask & STATX_MNT_ID_UNIQUE ? st->stx_mnt_id : MOUNT_UNSURE;
}

uint64_t watcher__scan_mount(int fd, const char *path)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
	struct statx st;
	int r = fd >= 0 ? statx(fd, "", AT_EMPTY_PATH, STATX_OF_DIR, &st) :
			  statx(AT_FDCWD, path, flags, STATX_OF_DIR, &st);

	return r < 0 ? 0 : mount_of(&st);
}

static int stat_open(int fd, struct listing *l)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_OF_DIR, &st) < 0)
		return -errno;
	l->ino = st.stx_ino;
	l->dev = watcher__dev32(makedev(st.stx_dev_major, st.stx_dev_minor));
	l->ctime_ns = st.stx_ctime.tv_sec * INT64_C(1000000000) + st.stx_ctime.tv_nsec;
	l->mount = mount_of(&st);
	return 0;
}
#else
uint64_t watcher__scan_mount(int fd, const char *path)
{
	(void)fd;
	(void)path;
	return 0;
}

static int stat_open(int fd, struct listing *l)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	l->ino = st.st_ino;
	l->dev = watcher__dev32(st.st_dev);
	l->ctime_ns = stat_ctime_ns(&st);
	l->mount = 0;
	return 0;
}
#endif

void watcher__scan_stat(int fd, struct listing *l)
{
	int64_t now_ns = clock_wall_ns();

	l->len = 0;
	l->count = 0;
	l->read_ns = clock_coarse_ns();
	l->error = stat_open(fd, l);
	if (l->ctime_ns > now_ns - YOUNG_NS)
		l->ctime_ns = 0;
}

/* It was read in more than one piece. */
static int scan_end(int fd, struct listing *l)
{
	struct stat st;

	if (l->ctime_ns && fstat(fd, &st) == 0 && stat_ctime_ns(&st) == l->ctime_ns)
		return 0; /* it has not changed meanwhile */
	return watcher__listing_unrepeat(l);
}

#ifdef __linux__
struct linux_dirent {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

/* Adds what comes next of a directory, types that it does not tell as asked of `look_in`. How many
 * bytes that was of, 0 at the end, or a negative errno. */
static long read_piece(int fd, int look_in, struct listing *l)
{
	char buf[32768] __attribute__((aligned(8)));
	long n = syscall(SYS_getdents64, fd, buf, sizeof buf);
	int r = 0;

	for (long at = 0; at < n && r == 0;) {
		const struct linux_dirent *e = (const void *)(buf + at);

		r = watcher__listing_add(l, e->d_name, type_of_entry(look_in, e->d_name, e->d_type),
					 e->d_ino);
		at += e->d_reclen;
	}
	if (n < 0)
		r = -errno;
	return r < 0 ? r : n;
}

/* btrfs (since Linux 6.5) lists what there was when the directory was opened, or rewound last: a
 * name made since then, but before the watch or the stat, would be in no list and no event. */
static void scan_start(int fd, struct listing *l)
{
	watcher__scan_stat(fd, l);
	if (!l->error && lseek(fd, 0, SEEK_SET) < 0)
		l->error = -errno;
}

void watcher__scan_read(int fd, struct listing *l)
{
	int pieces = 0;
	long n;

	scan_start(fd, l);
	if (l->error)
		return;
	while ((n = read_piece(fd, fd, l)) > 0)
		pieces++;
	if (n == UV_ENOENT && l->mount)
		return; /* removed where it was mounted from: it stays, and nothing comes into it */
	if (n < 0)
		l->error = (int)n;
	else if (pieces > 1)
		l->error = scan_end(fd, l);
}

void watcher__scan_names(int fd, struct listing *l, uint32_t most)
{
	long n = 1;

	scan_start(fd, l);
	while (!l->error && n > 0 && l->count < most)
		if ((n = read_piece(fd, -1, l)) < 0)
			l->error = (int)n;
}
#else
void watcher__scan_read(int fd, struct listing *l)
{
	int copy, r = 0;
	struct dirent *e;
	DIR *dir;

	watcher__scan_stat(fd, l);
	if (l->error)
		return;
	copy = dup(fd);
	if (copy < 0 || !(dir = fdopendir(copy))) {
		l->error = -errno;
		if (copy >= 0)
			close(copy);
		return;
	}
	rewinddir(dir);
	while (r == 0 && (e = readdir(dir)))
		r = watcher__listing_add(l, e->d_name, type_of_entry(fd, e->d_name, e->d_type),
					 e->d_ino);
	closedir(dir);
	l->error = r == 0 ? scan_end(fd, l) : r;
}

void watcher__scan_names(int fd, struct listing *l, uint32_t most)
{
	(void)most;
	watcher__scan_read(fd, l);
}
#endif
