/*
 * Undelivered events of one watch, in order, their paths in one block of text.
 *
 * With merging, an event that is the same as the last one about its path is left out: a
 * thousand writes to a file are one MODIFIED in a batch. A move ends the history of both its
 * paths. Paths are told apart by a 64-bit hash and then by their bytes.
 *
 * Memory is had before it is needed: when no more can be had, a few dozen events can still be
 * stored. `tight` says so; whoever fills the batch stops then, until it has been delivered.
 */
#ifndef WATCHER_BATCH_H
#define WATCHER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "whendo/watcher.h"

struct stored_event {
	const char *root;
	uint64_t inode;
	int64_t time_ns;
	uint32_t path, path_len, dest, dest_len; /* places in the text; dest 0: none */
	uint32_t cookie;
	int32_t pid;
	uint16_t kind;
	uint8_t type, synthetic, recovered;
	uint8_t tree; /* a directory took a name, and what was below that name is gone */
	uint8_t over; /* something took its path since: the next event is no repetition of it */
	uint8_t follows; /* another event implies it: not worth the last of the memory */
};

struct watcher_batch {
	char *text;
	struct stored_event *events;
	uint32_t *slots; /* hash of paths: index + 1 of the last event about it */
	size_t text_len, text_cap, n, cap, nslots, cursor;
	uint64_t number;
	bool merge, tight;
};

/* NULL when out of memory. */
struct watcher_batch *batch_new(void);
void batch_free(struct watcher_batch *b);
/* Drops the events, keeps (most of) the memory. */
void batch_clear(struct watcher_batch *b);
/* Drops the events of a root that is about to be freed. */
void batch_forget(struct watcher_batch *b, const char *root);
size_t batch_bytes(const struct watcher_batch *b);

/* Appends one event; path and dest are given in two pieces, as root and rest. Returns 1 if it
 * was added, 0 if it was merged, UV_ENOMEM: not even the last memory is left. */
struct path_parts {
	const char *root, *rest;
	size_t root_len, rest_len;
};
int batch_add(struct watcher_batch *b, const struct stored_event *event,
	      const struct path_parts *path, const struct path_parts *dest);

#endif
