/* Walking to a root, and the anchors that this leaves on its way. */
#ifndef WATCHER_WAY_H
#define WATCHER_WAY_H

#include <limits.h>

#include "watcher/engine.h"

/* Where a root's path leads. */
struct way {
	int fd;            /* the last directory, open for its path only; -1 */
	struct bytes at;   /* its path, without links */
	char *rest;        /* what is still to be walked; owned */
	int links;
	char name[NAME_MAX + 1]; /* a file in it: its name, else "" */
	bool missing;      /* the next name is not there */
	char lost[NAME_MAX + 1]; /* ... which is this */
	int error;
};

/* Walks all of a root's path, leaving anchors. 0 with *y filled, also where something is
 * missing; a negative errno, in y->error, too. The way is to be freed in any case. */
int watcher__way_walk(struct watcher *w, struct root *root, struct way *y);
void watcher__way_free(struct watcher *w, struct way *y);

/* Wants to hear of `name` (NULL: of itself) in the directory open as fd: rules of the root are in
 * it, or below it. A negative errno: it cannot be watched. */
int watcher__anchor_rules(struct watcher *w, struct root *root, int fd, const char *path,
			  const char *name, enum watch_level level);

/* Takes away the anchors of a root. */
void watcher__anchors_forget(struct watcher *w, const struct root *root);

#endif
