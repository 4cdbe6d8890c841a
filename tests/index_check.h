/* What must be true of a watcher's index once nothing happens any more. */
#ifndef TESTS_INDEX_CHECK_H
#define TESTS_INDEX_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct watcher;

/*
 * Nothing of a pass or of a race is left: every directory is watched (one that mounts have put at
 * several places at one of them), by a number that leads back to it, is what the disk has at its
 * path, and holds the names that are on the disk; and no half of a move, nor anything in limbo,
 * waits. The inode numbers of names are those of the disk, where they are known. The count of what is
 * wrong, with a line for each in `text`. To be called after watcher_sync(), in its callback or before
 * the loop turns.
 */
unsigned index_check(struct watcher *w, char *text, size_t size);
/* The same where not all directories are wanted: those that are not must not be watched. */
unsigned index_check_wanted(struct watcher *w, char *text, size_t size,
			    bool (*wanted)(const char *path, void *arg), void *arg);

#endif
