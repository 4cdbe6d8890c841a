/*
 * Directories by their file handles, which is how fanotify names them.
 *
 * A handle is opened through any directory on its file system: one that was watched there is
 * remembered by its path, for an open one would keep the file system from being unmounted.
 */
#ifndef WATCHER_FAN_OPEN_H
#define WATCHER_FAN_OPEN_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/fanotify.h>

/* The C libraries name it differently. */
typedef __typeof__(((struct fanotify_event_info_fid *)NULL)->fsid) fan_fsid;

/* What a record has: the file system, length and type of the handle, its bytes. */
struct fan_key {
	fan_fsid fsid;
	uint32_t bytes;
	int32_t type;
	unsigned char handle[MAX_HANDLE_SZ];
};
static inline size_t fan_key_len(const struct fan_key *key)
{
	return offsetof(struct fan_key, handle) + key->bytes;
}

struct fan_places {
	struct fan_place {
		fan_fsid fsid;
		char *path;
	} *items;
	int n;
};

void fan_places_fini(struct fan_places *p);
/* `path` is a directory on the file system. Without memory it is not remembered. */
void fan_places_add(struct fan_places *p, const fan_fsid *fsid, const char *path);
/* Opens a directory for reading, or with O_PATH as `flags`, through `under` (may be NULL) if that
 * is on its file system, or through what is remembered. -ESTALE: it is gone; -ENOENT: its file
 * system cannot be reached; another negative errno. */
int fan_open(const struct fan_places *p, const struct fan_key *key, const char *under, int flags);

#endif
