/*
 * The seam between the engine and what tells it of changes.
 *
 * A backend turns the kernel's words into `struct change`, in the kernel's order, and nothing
 * else: it never looks at the index, never makes an event, never sleeps. The engine pulls:
 * fill() empties the kernel's queue into the backend's memory, next() hands out one change at
 * a time. A directory is known to both by the number that watch() gave it.
 */
#ifndef WATCHER_BACKEND_H
#define WATCHER_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "whendo/watcher.h"

struct backend;
struct disk;

enum change_op {
	CHANGE_NONE = 0,
	/* Exact: what happened to `name` in the directory `id`. */
	CHANGE_CREATED,
	CHANGE_REMOVED,
	CHANGE_MOVED_FROM, /* the other half has the same cookie */
	CHANGE_MOVED_TO,
	CHANGE_RENAMED,    /* both halves in one: to `name2` in `id2`, -1: not watched */
	CHANGE_WRITTEN,
	CHANGE_ATTRIB,
	CHANGE_OPENED,
	CHANGE_CLOSED,
	CHANGE_CLOSED_NO_WRITE,
	/* Exact, about the directory `id` itself; no name. */
	CHANGE_SELF_REMOVED,
	CHANGE_SELF_MOVED,
	CHANGE_SELF_ATTRIB,
	CHANGE_UNMOUNTED,
	CHANGE_UNWATCHED, /* the kernel ended the watch; `id` is free */
	CHANGE_READ,      /* its entries were read between fence() on and off: what came before
			   * is in what was read, what follows is not; said twice: but for some
			   * that came before, which may not be */
	/* Hints. */
	CHANGE_LOOK, /* compare the directory `id` (or only `name` in it) with the index */
	CHANGE_GAP,  /* changes were lost: below `id`, or anywhere if it is -1 */
	/* No change: see late_ops. */
	CHANGE_UNKNOWN
};

#define TARGET_UNKNOWN (-2)

struct change {
	enum change_op op;
	bool is_dir;      /* of what `name` names, where the backend knows it */
	bool is_file;     /* CREATED: a file, as it was written to next, or nothing now */
	uint8_t name_len, name2_len;
	int32_t id, id2;
	int32_t target;   /* RENAMED, of BACKEND_TARGETS: the number of the directory that was; -1: it has
			   * none, or TARGET_UNKNOWN */
	uint32_t cookie;
	int32_t pid;
	int64_t time_ns;   /* wall clock when it was read */
	int64_t since_ns;  /* LOOK, GAP, with taken_ns WRITTEN, and of BACKEND_BY_PATH UNWATCHED: what
			    * is older was known; 0: since the queue was last empty */
	bool content;      /* LOOK: at the change times of files, too */
	int64_t taken_ns;  /* WRITTEN: 0, or the name was another's, or nobody's, when it was compared
			    * last, and this is the change time of the file that has it now; INT64_MAX:
			    * that says nothing. It is told where the name itself is no news */
	uint64_t ino;      /* WRITTEN, ATTRIB: of what has the name now; 0: not looked at */
	const char *name, *name2; /* valid until next() is called again; not NUL-ended */
};

/* What a backend can do; the engine asks nothing it does not declare. */
enum {
	BACKEND_EXACT = 1 << 0,      /* says what happened, not only where to look */
	BACKEND_PAIRS = 1 << 1,      /* both halves of a move can be told to belong together */
	BACKEND_GAPS = 1 << 2,       /* reports what it lost */
	BACKEND_PID = 1 << 3,        /* names who did it */
	BACKEND_OPENS = 1 << 4,      /* opened, closed, closed_no_write */
	BACKEND_ANY_THREAD = 1 << 5, /* watch() may be called on a crawl thread */
	BACKEND_SCANS = 1 << 6,      /* finds changes only by itself looking: sync() is a round */
	BACKEND_DIR_ATTRIB = 1 << 7, /* tells of a directory's metadata as SELF_ATTRIB only, and no
				      * more where another is renamed onto it */
	BACKEND_BY_PATH = 1 << 8,    /* hears of paths: hints for what has just moved go astray */
	BACKEND_SLOW_UNWATCH = 1 << 9, /* thousands of unwatch() are better spread over time */
	BACKEND_TARGETS = 1 << 10    /* says which directory it is that was renamed */
};

/* How much of a directory is wanted. A wider watch on the same directory widens, never narrows. */
enum watch_level {
	WATCH_SELF,  /* it being removed or moved */
	WATCH_NAMES, /* and names coming and going in it */
	WATCH_FILES, /* and files in it that have been written to */
	WATCH_ALL,   /* and everything the kinds ask for */
	WATCH_TOP    /* WATCH_ALL and WATCH_SELF: a root */
};

enum fill_result {
	FILL_NOTHING, /* nothing to next(), and nothing in the kernel's queue */
	FILL_SOME,    /* there is something to next() */
	FILL_ALL      /* ... and it is all there was: it left the kernel's queue empty */
};

/* What the changes that are still to come say of a name in a directory: what it is now, before
 * any of them. */
struct mention {
	const char *name;
	size_t len;
	bool present, is_dir;
	int32_t id; /* of the directory that it is, or was next, -1 */
};

/*
 * Of a backend that tells of everything below a watched directory, whatever has been watched
 * there: the directories below may be read later. A reading is then newer than the changes
 * that were not yet handed out; what these say of names gives back what was there before them.
 */
struct late_ops {
	/* With `on`, a change in a directory that has no number is not left out: next() says
	 * CHANGE_UNKNOWN instead, again and again, until the directory is watched, foreign() is
	 * called, or this with !`on`. */
	void (*unread)(struct backend *b, bool on);
	/* The directory that CHANGE_UNKNOWN is about is under no root, as where() has said for each
	 * of them. False: that cannot be remembered. */
	bool (*foreign)(struct backend *b);
	/* Where that directory is now, as seen from the directory `under`. UV_EAGAIN: it is gone
	 * (`path` is "", or that of the one it was in), or that may not be where it was. */
	int (*where)(struct backend *b, const char *under, char *path, size_t size);
	/* Is every directory that is watched, or in one that is, still where it was? */
	bool (*still)(struct backend *b);
	/* Opens a directory wherever it is now; -ESTALE: it is gone. */
	int (*open_dir)(struct backend *b, int32_t id, const char *under);
	/* What is being done to the names in a directory, open as fd, is among the changes when this
	 * returns: the kernel tells of it after it has done it. */
	void (*settle)(int fd);
	/* Calls `one` for each mention of a name (NULL: any) in a directory, the latest first: what
	 * comes after is what counts. UV_EAGAIN, UV_ENOMEM, UV_EMFILE or UV_ENFILE if not all can be
	 * told now. */
	int (*mentions)(struct backend *b, int32_t id, const char *name,
			void (*one)(void *arg, const struct mention *m), void *arg);
};

struct backend_config {
	uv_loop_t *loop;
	int poll_interval_ms;
	struct disk *disk; /* borrowed */
	bool nameless; /* fsevent: as if the system gave no names */
	bool whole_trees; /* fsevent: as if the system watched directories with all below them */
	/* Called on the loop when there is, or may be, something to fill() from. Never from
	 * within a call of ops. */
	void (*wake)(void *arg);
	/* The path of a directory, for backends that work by path: valid until called again. If it is given
	 * one, `link` says whether that is a link to it, which is followed; nothing else of it may be one. */
	const char *(*path_of)(void *arg, int32_t id, bool *link);
	void *arg;
};

struct backend_ops {
	const char *name;
	int number; /* WATCHER_BACKEND_... */
	unsigned caps;
	/* UV_ENOTSUP where the system has no such thing; else as watcher_open(). */
	int (*open)(struct backend **b, const struct backend_config *config, watcher_error *err);
	/*
	 * Watches the directory that `fd` is open on (a number of the disk's, where the user's
	 * functions are asked); `path` leads to it too. Gives the number
	 * that changes will carry: the same one again for the same directory.
	 * UV_ENOSPC: a limit; UV_ENOENT: gone; UV_EACCES.
	 */
	int (*watch)(struct backend *b, int fd, const char *path, enum watch_level level,
		     int32_t *id);
	/* The number of a directory that is watched already, open as `fd`; -1: it is not. Of
	 * polling only, which may have what another backend can watch by now, or an inode of what is
	 * gone, as its next comparison will find; else NULL. */
	int32_t (*known)(struct backend *b, int fd, const char *path);
	void (*unwatch)(struct backend *b, int32_t id);
	/* NULL where it does not matter. File systems were mounted or unmounted: what is watched
	 * from now on may be on one that is known, and new to the kernel. */
	void (*remounted)(struct backend *b);
	/* NULL where it cannot be done. The watched directory `id`, that `fd` is open on, is read
	 * between a call with `on` and one without: CHANGE_READ will be among its changes, where
	 * it was read. An errno: it will not be. */
	int (*fence)(struct backend *b, int32_t id, int fd, bool on);
	const struct late_ops *late; /* NULL: directories are read when they are watched */
	/* What is wanted from now on; watches that exist are widened when watched again. With
	 * `merge`, a write that follows another write to the same name is left out. */
	void (*want)(struct backend *b, unsigned kinds, bool merge);
	/* NULL where the kernel has a watch for each directory: how many marks it has. */
	uint64_t (*marks)(const struct backend *b);
	/* Moves what the kernel holds into memory: one of enum fill_result, or a negative errno
	 * after which the backend is dead. With `discard` what is read is thrown away and
	 * reported as one CHANGE_GAP. */
	int (*fill)(struct backend *b, bool discard);
	/* 1 with *c filled, 0 when memory is empty. */
	int (*next)(struct backend *b, struct change *c);
	/* NULL, both, where that is not known. How many of the changes that come next, all of them
	 * of the directory `id`, are names created there of which nothing is known (is_file)? *end
	 * gets the last place of these changes; if they are `enough`, and all in memory, then of
	 * those that the kernel holds, too. */
	uint32_t (*creates)(const struct backend *b, int32_t id, uint32_t enough, uint64_t *end);
	/* The place of the change that was handed out last; it only grows. */
	uint64_t (*place)(const struct backend *b);
	/* BACKEND_SCANS: looks at everything now instead of at the next interval; busy() until
	 * that is done, and wake() is called at its end whatever was found. */
	void (*round)(struct backend *b);
	bool (*busy)(const struct backend *b);
	/* NULL where there is nothing to compare with. Compares the directory `id` now, if it can: what is
	 * found is among the changes. */
	void (*compare)(struct backend *b, int32_t id);
	/* What happened before this has been found, and fetched; what happened later may still be to
	 * be found. The file system's clock. */
	int64_t (*known_ns)(const struct backend *b);
	/* All that it found has been looked at: begins another round, once, if directories were not
	 * where they were expected. False: they were. */
	bool (*follow_up)(struct backend *b);
	/* Of polling only, with the user's own functions, whose clock says nothing; else NULL. Is a file that
	 * is to be told as moved, and of which stat says `st` now, as it was when it was last compared, as
	 * `name` in the directory `id`? False: it was written to since, or that is not known any more. */
	bool (*is_same)(struct backend *b, int32_t id, const char *name, size_t len,
			const struct stat *st);
	/* Ends it without blocking the loop; `closed` is called on the loop when all is gone. */
	void (*close)(struct backend *b, void (*closed)(void *arg), void *arg);
};

/* Those of a system are listed in watcher.c. */
extern const struct backend_ops watcher__inotify, watcher__fanotify, watcher__fsevent,
    watcher__poll;

/* Fills in err (which may be NULL) and gives back `code`. */
int watcher__fail(watcher_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
