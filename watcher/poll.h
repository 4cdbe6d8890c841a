/*
 * What polling remembers of one directory, and comparing it with what is there now.
 *
 * Comparing touches nothing but the directory's own memory and the list of what was found, so
 * it runs on any thread. Files are told apart by name, inode and change time; their content
 * by size and modification time. Nothing but directories is ever opened.
 */
#ifndef WATCHER_POLL_H
#define WATCHER_POLL_H

#include "watcher/engine.h"

/* One name as it was when last looked at. */
struct polled_entry {
	uint64_t ino;
	int64_t ctime_ns;
	uint32_t content, meta; /* hashes: of size and mtime; of mode, owner and links */
	uint32_t name;          /* its place in polled.names */
	uint8_t len, type;
};

struct polled {
	struct identity self;
	int64_t ctime_ns, mtime_ns; /* of the listing in `entries`; ctime 0: read it again */
	int64_t checked_ns;         /* the file system's clock before the last comparison */
	char *path;                 /* of a directory on the way to a root, or to a file of rules; else NULL */
	bool link;                  /* ... which is a link to it */
	struct polled_entry *entries; /* by name */
	struct bytes names;
	uint32_t count, meta;
	uint8_t level, wanted; /* enum watch_level: of the comparison, and of the next one */
	/* The clock when the index first read it since the comparison before, or during that, for the
	 * comparison and for the next one; 0: what it read is what was compared. A name may have
	 * come and gone again between two comparisons, and the index have read it there. A comparison
	 * that does not find the directory leaves that to the next one. With the user's own functions,
	 * whose clock is another: the modification time it had then. */
	int64_t read_ns, asked_ns;
	bool fresh;    /* never compared yet */
	bool dead;     /* given up while a thread compares it */
};

/* What a comparison has found, one after the other; the name follows. */
struct found {
	int64_t since_ns, taken_ns; /* as in struct change */
	int32_t id;
	uint8_t op, is_dir, len;
};

/* Files by inode, each with a hash of its size and modification time. */
struct poll_files {
	struct bytes files;
	bool sorted;
};

/* Memory that is used for one directory after the other, and what was found. */
struct poll_work {
	struct disk *disk;
	struct listing listing;
	struct polled_entry *entries;
	size_t entries_cap;
	struct bytes names;
	struct bytes found;
	/* With the user's own functions: files whose names are no longer theirs, as they were before, since
	 * the round began; and those that have moved, as they were when that was told, since it ended. */
	struct poll_files gone, told;
	/* When that of the directories that were not at their paths was last compared which was not for
	 * the longest time. INT64_MAX: all were. */
	int64_t missed_ns;
	bool failed; /* out of memory: something may have been left out */
};

/* Notes what a directory is like before anybody reads it: what changes later is found. `fd` is
 * open on it. 0, or a negative errno. */
int poll_begin(struct polled *p, struct disk *disk, int fd, const char *path);
/* Reads it to the last entry, and finds nothing yet: for the user's own functions, whose clock
 * cannot say what has changed since poll_begin(). */
void poll_remember(struct poll_work *w, struct polled *p, const char *path);
/* Compares the directory, expected at `path`, or where that leads if it is a link to it, with what is
 * remembered of it. */
void poll_compare(struct poll_work *w, struct polled *p, int32_t id, const char *path, bool link);
/* Is a file that has moved, and of which stat says `st` now, known to have had this size and modification
 * time when it was last compared, as `name` in `p` (NULL: that is not known)? It is about to be told of as it
 * is now. Only of the user's own; a name that is not there any more is known for a round. */
bool poll_is_known(struct poll_work *w, const struct polled *p, const char *name, size_t len,
		   const struct stat *st);
/* What was done to a file in the tick of the clock in which it has just been compared need not show in
 * its times: if there was anything, it is found once more. */
void poll_doubt_young(struct polled *p);
void poll_forget(struct polled *p);
void poll_work_free(struct poll_work *w);

#endif
