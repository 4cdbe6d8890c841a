/*
 * A snapshot into its file: into another one beside it, which takes its place when it is
 * whole. What is written is snapshot_file.c's.
 *
 * The file beside is locked while it is written. One that is not was left by a process that
 * was killed, and the next save takes it away. That may be wrong in the moment before it is
 * locked and in the one before it is renamed: whose file is gone then begins again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/backend.h"
#include "watcher/snapshot.h"

#define MOST_BESIDE 1000
#define MOST_TRIES  10

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len < 1 << 20 ? len : 1 << 20);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A name as ours may be somebody else's file all the same: what is in it must be ours, too. */
static bool was_left(const char *name)
{
	int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char head[sizeof SNAP_MAGIC - 1];
	struct stat st;
	ssize_t n = -1;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
		n = read(fd, head, sizeof head);
	close(fd);
	return n == 0 || (n == (ssize_t)sizeof head && memcmp(head, SNAP_MAGIC, sizeof head) == 0);
}

static int open_new(const char *name, int mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	(void)flock(fd, LOCK_EX | LOCK_NB); /* some file systems have no locks */
	return fd;
}

/* A new file whose name begins with the first bytes of `file`; it is left in `name`. */
static int open_named(struct bytes *name, const char *file, size_t len, int mode)
{
	int r = UV_EEXIST;

	for (unsigned i = 0; i < MOST_BESIDE && r == UV_EEXIST; i++) {
		bytes_clear(name);
		if (bytes_addf(name, "%.*s.whendo-%u.new", (int)len, file, i) < 0)
			return UV_ENOMEM;
		r = open_new(name->data, mode);
		if (r == UV_EEXIST && was_left(name->data) && unlink(name->data) == 0)
			r = open_new(name->data, mode);
	}
	return r;
}

/* A new file beside `file`: of its name or, where that is too long, of none but its directory. */
static int open_beside(struct bytes *name, const char *file, int mode)
{
	const char *slash = strrchr(file, '/');
	int r = open_named(name, file, strlen(file), mode);

	if (r == UV_ENAMETOOLONG)
		r = open_named(name, file, slash ? (size_t)(slash - file) + 1 : 0, mode);
	return r;
}

/* The new name survives a crash once the directory is on disk, where that can be asked for. */
static void sync_directory(const char *file)
{
	const char *slash = strrchr(file, '/');
	size_t len = slash == file ? 1 : slash ? (size_t)(slash - file) : 0;
	char *dir = slash ? strndup(file, len) : NULL;
	int fd = slash && !dir ? -1 : open(dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(dir);
}

static int replace(const char *file, const struct bytes *content, int mode)
{
	struct bytes name = { 0 };
	int fd = open_beside(&name, file, mode), r = fd;

	if (r >= 0)
		r = write_all(fd, content->data, content->len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(name.data, file) < 0)
		r = -errno;
	if (r == 0)
		sync_directory(file);
	else if (fd >= 0)
		unlink(name.data);
	bytes_free(&name);
	return r;
}

/*
 * Only a file is replaced: a device would be gone for everybody. *mode is what the old one has
 * of rights: whoever hid the names in it hid those in the new one, too.
 */
static int may_replace(const char *file, int *mode)
{
	struct stat st;

	*mode = 0666;
	if (stat(file, &st) < 0)
		return 0;
	*mode = (int)st.st_mode & 0666;
	return S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? UV_EISDIR : UV_EINVAL;
}

/* The file a link leads to, for free(); a link that leads nowhere is itself replaced. */
static char *behind_links(const char *file)
{
	struct stat st;
	bool is_link = lstat(file, &st) == 0 && S_ISLNK(st.st_mode);
	char *real = is_link ? realpath(file, NULL) : NULL;

	return real ? real : strdup(file);
}

int watcher_snapshot_save(const watcher_snapshot *s, const char *file, watcher_error *err)
{
	struct bytes content = { 0 };
	char *real = NULL;
	int tries = MOST_TRIES, mode, r;

	if (!file || !file[0])
		return watcher__fail(err, UV_EINVAL, "snapshot: an empty path");
	if ((r = may_replace(file, &mode)) == UV_EINVAL)
		return watcher__fail(err, r, "%s: the snapshot cannot be saved: not a regular file",
				     file);
	if (r == 0)
		r = watcher__snap_encode(s, &content);
	if (r == 0 && !(real = behind_links(file)))
		r = UV_ENOMEM;
	if (r == 0) {
		do
			r = replace(real, &content, mode);
		while (r == UV_ENOENT && --tries > 0);
	}
	bytes_free(&content);
	free(real);
	if (r < 0)
		watcher__fail(err, r, "%s: the snapshot cannot be saved: %s", file, uv_strerror(r));
	return r;
}
