/*
 * Directories that nobody has asked for and that much happens in: fanotify is told to leave
 * them out, so that neither their writers nor we pay for them.
 *
 * What is left out are creations, deletions, writes and the like of files. Renames are still
 * told, for their other end may be watched, and so is what happens to directories, for a root
 * may be among them. The marks do not pin the directories (Linux 6.0; without that nothing is
 * left out); when the kernel has forgotten one it is made again.
 */
#ifndef WATCHER_FAN_NOISE_H
#define WATCHER_FAN_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watcher/keys.h"

#define FAN_NOISE_SLOTS 64

struct fan_noise {
	struct keys silenced;
	struct {
		uint32_t hash, heard;
	} slots[FAN_NOISE_SLOTS]; /* foreign directories heard of lately */
	struct fan_place {
		unsigned char fsid[8];
		char *path; /* some directory on it: handles are opened through it */
	} *places;
	int nplaces;
	bool unable;
};

void fan_noise_init(struct fan_noise *n);
void fan_noise_fini(struct fan_noise *n);
/* `path` is a directory on the file system `fsid` (8 bytes). */
void fan_noise_place(struct fan_noise *n, const void *fsid, const char *path);
/* A directory on the file system, or NULL. */
const char *fan_noise_path(const struct fan_noise *n, const void *fsid);
/* Something happened in a foreign directory; `key` begins with the fsid, then the handle. */
void fan_noise_heard(struct fan_noise *n, int fan, const void *key, size_t len);
/* The directory open as `fd` is to be heard of from now on. */
void fan_noise_listen(struct fan_noise *n, int fan, int fd, const void *key, size_t len);

#endif
