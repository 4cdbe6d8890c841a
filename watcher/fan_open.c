/* Directories by their file handles: see fan_open.h. open_by_handle_at(2). */
#ifdef __linux__

#include "watcher/fan_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static const char *path_on(const struct fan_places *p, const fan_fsid *fsid)
{
	for (int i = 0; i < p->n; i++)
		if (memcmp(&p->items[i].fsid, fsid, sizeof *fsid) == 0)
			return p->items[i].path;
	return NULL;
}

void fan_places_fini(struct fan_places *p)
{
	for (int i = 0; i < p->n; i++)
		free(p->items[i].path);
	free(p->items);
}

void fan_places_add(struct fan_places *p, const fan_fsid *fsid, const char *path)
{
	struct fan_place *items;
	char *copy;

	if (path_on(p, fsid) || !(copy = strdup(path)))
		return;
	if (!(items = realloc(p->items, (size_t)(p->n + 1) * sizeof *items))) {
		free(copy);
		return;
	}
	p->items = items;
	items[p->n++] = (struct fan_place){ *fsid, copy };
}

/* Some directory on a file system. */
static int open_fs(const struct fan_places *p, const fan_fsid *fsid, const char *under)
{
	const char *paths[] = { under, path_on(p, fsid) };
	int fd, r = -ENOENT;
	struct statfs fs;

	for (int i = 0; i < 2; i++) {
		if (!paths[i])
			continue;
		fd = open(paths[i], OPEN_DIR);
		if (fd < 0) {
			r = -errno;
			continue;
		}
		if (fstatfs(fd, &fs) == 0 && memcmp(&fs.f_fsid, fsid, sizeof *fsid) == 0)
			return fd;
		close(fd);
	}
	return r;
}

int fan_open(const struct fan_places *p, const struct fan_key *key, const char *under, int flags)
{
	union {
		struct file_handle fh;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	int fd, r, fs = open_fs(p, &key->fsid, under);
	struct stat st;

	if (fs < 0)
		return fs;
	u.fh.handle_bytes = key->bytes;
	u.fh.handle_type = key->type;
	memcpy(u.fh.f_handle, key->handle, key->bytes);
	fd = open_by_handle_at(fs, &u.fh, OPEN_DIR | O_NONBLOCK | flags);
	r = fd < 0 ? -errno : fd;
	close(fs);
	/* Removed, but somebody stands in it. */
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 0) {
		close(fd);
		return -ESTALE;
	}
	return r;
}

#endif
