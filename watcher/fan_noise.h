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

#include "watcher/fan_open.h"
#include "watcher/keys.h"

#define FAN_NOISE_SLOTS 64

struct fan_noise {
	struct keys silenced;
	struct {
		uint32_t hash, heard;
	} slots[FAN_NOISE_SLOTS]; /* foreign directories heard of lately */
	bool unable;
};

void fan_noise_init(struct fan_noise *n);
void fan_noise_fini(struct fan_noise *n);
/* Something happened in a foreign directory. */
void fan_noise_heard(struct fan_noise *n, int fan, const struct fan_places *places,
		     const struct fan_key *key);
/* The directory open as `fd` is to be heard of from now on. */
void fan_noise_listen(struct fan_noise *n, int fan, int fd, const struct fan_key *key);

#endif
