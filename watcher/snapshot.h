/*
 * Snapshots as they lie in memory: an array of entries in level order and a block of names.
 *
 * The roots come first, then the entries of the first directory, of the second, and so on:
 * the entries of a directory stand together, in the order of their names' bytes, behind it.
 * A root's name is the root as it was given. A snapshot is not changed once it is made.
 */
#ifndef WATCHER_SNAPSHOT_H
#define WATCHER_SNAPSHOT_H

#include <stdbool.h>

#include "base/bytes.h"
#include "whendo/watcher.h"

#define NO_SNAP       UINT32_MAX
#define SNAP_MAX      (UINT32_MAX - 1) /* entries */
#define SNAP_DEPTH    4096
#define SNAP_NAME_MAX 255  /* of what is not a root */
#define SNAP_ROOT_MAX 65535

/* Flags of an entry. */
enum {
	SNAP_HIDDEN = 1 << 0, /* a root, or directory, that does not pass the filter: what is in it may */
	SNAP_UNREAD = 1 << 1, /* a directory that may not be read */
	SNAP_FLAGS = SNAP_HIDDEN | SNAP_UNREAD
};

struct disk;

struct snap_entry {
	uint64_t inode, dev, size, nlink;
	int64_t mtime_ns, ctime_ns, birth_ns;
	size_t name; /* place in the names */
	uint32_t mode, uid, gid;
	uint32_t parent; /* NO_SNAP: a root */
	uint32_t first, count; /* its entries, if it is a directory */
	uint16_t len;
	uint8_t type; /* UNKNOWN: a root that is not there */
	uint8_t flags;
};

struct watcher_snapshot {
	struct snap_entry *entries;
	struct bytes names;
	uint32_t n, cap, nroots;
	int64_t taken_ns;
	size_t max_path; /* length of the longest one */
};

static inline const char *snap_name(const watcher_snapshot *s, const struct snap_entry *e)
{
	return s->names.data + e->name;
}

/* Appends an entry with this name; the rest of it is the caller's. NULL when out of memory. */
struct snap_entry *watcher__snap_add(watcher_snapshot *s, uint32_t parent, const char *name,
				     size_t len);

/* Fills in all of `e` that the disk knows, of a name in the directory `fd` (a number of the
 * disk's), or, with fd AT_FDCWD, of a path; flags as fstatat(2). 0, or a negative errno. */
int watcher__snap_look_up(const struct disk *disk, int fd, const char *name, int flags,
			  struct snap_entry *e);
/* The same of the directory that is open as `fd`. */
int watcher__snap_look_up_open(const struct disk *disk, int fd, struct snap_entry *e);

/* Fills in what is derived: max_path. Negative if the tree is too deep: UV_ENAMETOOLONG. */
int watcher__snap_finish(watcher_snapshot *s);

/* The entry of that name in a directory, or NO_SNAP. */
uint32_t watcher__snap_child(const watcher_snapshot *s, uint32_t dir, const char *name,
			     size_t len);

/* Appends the path of an entry. */
int watcher__snap_path(const watcher_snapshot *s, uint32_t i, struct bytes *path);
/* Appends a name to the path of a directory, as events join them. */
int watcher__snap_join(struct bytes *path, const char *name, size_t len);

/* Walks: directories before (next) or after (next_after) what is in them. Start with NO_SNAP,
 * ends with NO_SNAP; `top`: only at and below it, NO_SNAP: everything. */
uint32_t watcher__snap_next(const watcher_snapshot *s, uint32_t top, uint32_t i);
/* As next, but leaves out what is in `i`. */
uint32_t watcher__snap_skip(const watcher_snapshot *s, uint32_t top, uint32_t i);
uint32_t watcher__snap_next_after(const watcher_snapshot *s, uint32_t i);

#define SNAP_MAGIC "whendo\0s" /* how such a file begins: 8 bytes */

/* The content of a snapshot file, and back; `file` is for messages only. */
int watcher__snap_encode(const watcher_snapshot *s, struct bytes *out);
int watcher__snap_decode(watcher_snapshot **s, const void *data, size_t len, const char *file,
			 watcher_error *err);
/* What protects a file's content: 64 bits of FNV-1a. */
uint64_t watcher__snap_hash(const void *data, size_t len);

#endif
