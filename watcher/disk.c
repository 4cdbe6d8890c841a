/* The system's directories, or the user's: see disk.h. */
#include "watcher/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watcher/engine.h"
#include "watcher/options.h"
#include "watcher/snapshot.h"

int watcher__disk_init(struct disk *disk, const watcher_vfs *vfs, watcher_error *err)
{
	watcher_vfs own = { .size = sizeof own };
	int r;

	*disk = (struct disk){ 0 };
	if (!vfs)
		return 0;
	r = options_copy(&own, sizeof own, vfs, vfs->size);
	if (r < 0)
		return watcher__fail(err, r, "vfs: %s",
				     r == UV_E2BIG ? "made for a newer version of the library" :
						     "size is not set");
	if (!own.stat || !own.list)
		return watcher__fail(err, UV_EINVAL, "vfs: %s is missing",
				     own.stat ? "list" : "stat");
	disk->vfs = own;
	return 0;
}

void watcher__disk_fini(struct disk *disk)
{
	for (int i = 0; i < disk->ndirs; i++)
		free(disk->dirs[i].path);
	free(disk->dirs);
	disk->dirs = NULL;
	disk->ndirs = 0;
}

/* ---- the user's ---- */

static mode_t mode_of(const watcher_vfs_stat *st)
{
	mode_t bits = st->mode & 07777;

	switch (st->type) {
	case WATCHER_TYPE_DIR:
		return S_IFDIR | bits;
	case WATCHER_TYPE_SYMLINK:
		return S_IFLNK | bits;
	case WATCHER_TYPE_OTHER:
		return S_IFIFO | bits;
	case WATCHER_TYPE_UNKNOWN:
		return st->mode & S_IFMT ? (mode_t)st->mode : S_IFREG | bits;
	default:
		return S_IFREG | bits;
	}
}

static struct timespec timespec_of(int64_t ns)
{
	int64_t s = ns / 1000000000 - (ns % 1000000000 < 0);

	return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)(ns - s * 1000000000) };
}

static int ask(const struct disk *disk, const char *path, struct stat *st)
{
	watcher_vfs_stat of = { 0 };
	int r = disk->vfs.stat(path, &of, disk->vfs.arg);

	if (r < 0)
		return r;
	memset(st, 0, sizeof *st);
	st->st_dev = (dev_t)of.dev;
	st->st_ino = (ino_t)of.inode;
	st->st_size = (off_t)of.size;
	st->st_mode = mode_of(&of);
	st->st_nlink = 1;
#ifdef __APPLE__
	st->st_mtimespec = timespec_of(of.mtime_ns);
	st->st_ctimespec = timespec_of(of.ctime_ns ? of.ctime_ns : of.mtime_ns);
#else
	st->st_mtim = timespec_of(of.mtime_ns);
	st->st_ctim = timespec_of(of.ctime_ns ? of.ctime_ns : of.mtime_ns);
#endif
	return 0;
}

static int join(struct bytes *path, const char *dir, const char *name)
{
	int r = bytes_adds(path, dir);

	if (r == 0 && path->len && path->data[path->len - 1] != '/')
		r = bytes_addc(path, '/');
	return r < 0 ? r : bytes_adds(path, name);
}

static int ask_name(const struct disk *disk, int fd, const char *name, struct stat *st)
{
	struct bytes path = { 0 };
	int r = join(&path, disk->dirs[fd].path, name);

	if (r == 0)
		r = ask(disk, path.data, st);
	bytes_free(&path);
	return r;
}

static int free_number(struct disk *disk)
{
	struct opened_dir *more;
	int i = 0;

	while (i < disk->ndirs && disk->dirs[i].path)
		i++;
	if (i < disk->ndirs)
		return i;
	if (!(more = realloc(disk->dirs, (size_t)(i + 4) * sizeof *more)))
		return UV_ENOMEM;
	memset(more + i, 0, 4 * sizeof *more);
	disk->dirs = more;
	disk->ndirs = i + 4;
	return i;
}

static int open_users(struct disk *disk, const char *path)
{
	struct stat st;
	int r = ask(disk, path, &st), i;

	if (r < 0)
		return r;
	if (S_ISLNK(st.st_mode)) /* not even with `follow`: there is nobody to ask what is behind */
		return UV_ELOOP;
	if (!S_ISDIR(st.st_mode))
		return UV_ENOTDIR;
	if ((i = free_number(disk)) < 0)
		return i;
	if (!(disk->dirs[i].path = strdup(path)))
		return UV_ENOMEM;
	disk->dirs[i].st = st;
	return i;
}

struct names {
	const struct disk *disk;
	const char *dir;
	struct listing *listing;
	int error; /* the first one: the user's list may forget about it */
};

static int add_users(const char *name, void *into)
{
	struct names *n = into;
	struct bytes path = { 0 };
	struct stat st = { .st_mode = S_IFREG };
	int r = n->error;

	if (r == 0 && (!name || !name[0] || strchr(name, '/')))
		r = UV_EINVAL;
	if (r == 0 && !n->listing->names_only) {
		r = join(&path, n->dir, name);
		if (r == 0)
			r = ask(n->disk, path.data, &st);
		bytes_free(&path);
		if (r == UV_ENOENT) /* gone since */
			return 0;
		if (r == UV_EACCES || r == UV_EPERM) /* it is there, whatever it is */
			r = 0;
	}
	if (r == 0)
		r = watcher__listing_add(n->listing, name, watcher__type_of_mode(st.st_mode),
					 st.st_ino);
	n->error = r;
	return r;
}

static void read_users(const struct disk *disk, int fd, struct listing *l)
{
	struct names names = { .disk = disk, .dir = disk->dirs[fd].path, .listing = l };
	int r = disk->vfs.list(names.dir, add_users, &names, disk->vfs.arg);

	l->error = names.error ? names.error : r < 0 ? r : 0;
}

/* ---- either ---- */

int watcher__disk_open(struct disk *disk, const char *path, bool follow)
{
	return watcher__disk_is_users(disk) ? open_users(disk, path) :
					      watcher__scan_open(path, follow);
}

void watcher__disk_close(struct disk *disk, int fd)
{
	if (!watcher__disk_is_users(disk)) {
		close(fd);
		return;
	}
	free(disk->dirs[fd].path);
	disk->dirs[fd].path = NULL;
}

int watcher__disk_stat(const struct disk *disk, int fd, struct stat *st)
{
	if (watcher__disk_is_users(disk))
		*st = disk->dirs[fd].st;
	else if (fstat(fd, st) < 0)
		return -errno;
	return 0;
}

int watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st)
{
	if (watcher__disk_is_users(disk))
		return ask_name(disk, fd, name, st);
	return fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
			    struct stat *st)
{
	if (watcher__disk_is_users(disk))
		return ask(disk, path, st);
	return (follow ? stat(path, st) : lstat(path, st)) < 0 ? -errno : 0;
}

int watcher__disk_identity(const struct disk *disk, int fd, const char *path,
			   struct identity *id)
{
	struct stat st;
	int r = 0;

	if (!watcher__disk_is_users(disk))
		return watcher__scan_identity(fd, path, id);
	if (fd >= 0)
		st = disk->dirs[fd].st;
	else
		r = ask(disk, path, &st);
	if (r < 0)
		return r;
	*id = (struct identity){ .dev = (uint64_t)st.st_dev, .ino = st.st_ino };
	if (!id->ino) { /* no inode has a birth time here, so nothing is the same as this */
		id->ino = watcher__snap_hash(path, strlen(path));
		id->birth = 1;
	}
	return 0;
}

/* A user's directory has no change time to be trusted: nobody knows the grain of that clock,
 * or how it goes against this one. */
void watcher__disk_stat_listing(const struct disk *disk, int fd, struct listing *l)
{
	if (!watcher__disk_is_users(disk)) {
		watcher__scan_stat(fd, l);
		return;
	}
	l->error = 0;
	l->len = l->count = 0;
	l->ino = disk->dirs[fd].st.st_ino;
	l->dev = watcher__dev32(disk->dirs[fd].st.st_dev);
	l->ctime_ns = 0;
	l->mount = 0;
}

void watcher__disk_read(const struct disk *disk, int fd, struct listing *l)
{
	if (!watcher__disk_is_users(disk)) {
		watcher__scan_read(fd, l);
		return;
	}
	watcher__disk_stat_listing(disk, fd, l);
	read_users(disk, fd, l);
}
