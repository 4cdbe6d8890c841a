/*
 * Two snapshots being compared: snapshot_match.c says which entries are the same thing,
 * snapshot_diff.c tells the way from one to the other.
 */
#ifndef WATCHER_SNAPSHOT_DIFF_H
#define WATCHER_SNAPSHOT_DIFF_H

#include "watcher/snapshot.h"

/* Of entries, old and new. */
enum {
	IS_DONE = 1 << 0,     /* new: it is in its place; old: it is told as gone */
	IS_BUSY = 1 << 1,     /* new: it is being put in its place */
	IS_REPLACED = 1 << 2, /* new: another inode than the old one of the same name */
	IS_UNREAD = 1 << 3    /* in a directory that was not read on either side: not compared */
};

struct diff {
	const watcher_snapshot *old, *new;
	unsigned flags;
	uint32_t *to_new, *to_old; /* the same thing on the other side, or NO_SNAP */
	uint8_t *was, *is;         /* flags of old and of new entries */
	struct bytes path, dest;
	unsigned depth, gently;
	watcher_diff_cb cb;
	void *arg;
	int result; /* of the callback; nothing is told once it is not 0 */
};

/* Fills in to_new, to_old, IS_REPLACED and IS_UNREAD. UV_ENOMEM. */
int watcher__diff_match(struct diff *d);

/* The old entry of the name of a new one, in the directory that has become its parent. */
uint32_t watcher__diff_namesake(const struct diff *d, uint32_t n);

#endif
