/*
 * What created names are, and other looks at names, each in its directory.
 */
#ifndef WATCHER_CREATED_H
#define WATCHER_CREATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "watcher/scan.h"

struct news;
struct watcher;

/* The directory that names were looked up in last. */
struct created {
	uint32_t dir, gen;
	int fd;                 /* open on it, or -1 */
	unsigned told, lookups; /* names created anywhere since, and those of them looked up */
	unsigned wait;          /* so many lookups before it may be read (again) */
	struct listing listing; /* what was read, if there are slots: see listing.c */
	uint32_t *slots, nslots;
	uint64_t end;           /* changes behind this place may be newer */
};

void watcher__created_init(struct watcher *w);
/* Fills in news->type and ->ino, if the name is there and no directory. */
void watcher__created_look(struct watcher *w, struct news *n);
/* What a name in a directory is now, several in a row at half the cost. 0, or negative errno. */
int watcher__name_stat(struct watcher *w, uint32_t dir, const char *name, size_t len,
		       struct stat *st);
/* Opens a directory, if its path leads to it. UV_ENOENT: to another, or nowhere. */
int watcher__open_dir(struct watcher *w, uint32_t dir);
/* The turn is over; with `rest`, and nothing is left to be told. */
void watcher__created_done(struct watcher *w, bool rest);

#endif
