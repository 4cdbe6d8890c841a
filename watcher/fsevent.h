/*
 * What the files of the portable backend share: backend_fsevent.c, where hints come in and are handed
 * out, and fsevent_trees.c, which knows through which handle a directory is heard of.
 *
 *   libuv -> on_event ──────────────────────────> told -> hints -> next()
 *                 └─> a path below a whole tree ─┘
 */
#ifndef WATCHER_FSEVENT_H
#define WATCHER_FSEVENT_H

#include "watcher/backend.h"

#include "base/bytes.h"
#include "watcher/keys.h"

#if defined(__APPLE__) || defined(_WIN32)
#define HAS_WHOLE_TREES true
#else
#define HAS_WHOLE_TREES false
#endif

struct handle {
	uv_fs_event_t event;
	struct backend *b;
	int32_t id;
	uint8_t level;
	bool looked_at; /* a LOOK is waiting to be handed out */
	bool dead;      /* ... or an UNWATCHED */
	bool content;   /* ... and the LOOK is at content, too */
	bool covered;   /* heard of through a handle above it */
	char *tree;     /* the path of a whole tree that is heard of through this one; else NULL */
	struct handle *next_tree;
	uint8_t selves; /* what it was told of itself in this turn */
	uint32_t turn, serial;
};

/* One thing to hand out; the name, if any, is in `names`. */
struct hint {
	int32_t id;
	uint8_t op, len; /* WRITTEN: written or metadata set */
	bool perhaps;    /* ... or nothing of it */
	uint32_t name, serial; /* of the handle: numbers are given out again */
	int64_t since_ns;
};

struct hints {
	struct hint *items;
	uint32_t n, cap, at;
};

struct backend {
	struct backend_config config;
	struct keys keys;
	struct handle **handles; /* by number */
	int32_t cap;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t more;
	int held; /* turns in a row that what was told has waited for more */
	int64_t calm_ns, polling_ns; /* known up to; the clock before this turn's polling */
	uint32_t turn, calls, serial;
	bool whole_trees;
	struct handle *trees;
	bool lost, wake_due;
	struct hints writes, looks;
	struct bytes names, path;
	struct bytes below; /* the directory that the last path below a tree was in */
	int32_t below_id;   /* ... -1: asked anew */
	int64_t time_ns, lost_since_ns;
	int open_handles; /* uv handles that are not closed yet */
	void (*closed)(void *arg);
	void *closed_arg;
};

/* ---- backend_fsevent.c ---- */
/* Something may not have been told. */
void fsevent_lose(struct backend *b);
/* The directory is to be looked at. */
void fsevent_look(struct handle *h);
/* Something happened to a name in the directory, or (NULL) to one that is not known. */
void fsevent_told(struct handle *h, const char *name, int events);
/* libuv's name of a directory itself, in what is told of it. */
bool fsevent_means_itself(const char *name);
void fsevent_on_event(uv_fs_event_t *event, const char *name, int events, int status);
/* Starts the handle for the directory open as fd (-1: by path), flags as uv_fs_event_start(). */
int fsevent_start_alone(struct handle *h, int fd, const char *path, uv_fs_event_cb cb,
			unsigned flags);

/* ---- fsevent_trees.c ---- */
/* Makes the directory be heard of: through its own handle, or through that of a tree around it. */
int fsevent_start(struct handle *h, int fd, const char *path, enum watch_level level);
void fsevent_stop(struct handle *h);
/* Does the handle not tell of all there is to tell of at this path? */
bool fsevent_is_elsewhere(const struct handle *h, const char *path, enum watch_level level);
/* Something is told of a path below the tree of `top`. */
void fsevent_told_below(struct handle *top, const char *rel, int events);
/* A tree has ended: what it covered, and is still wanted, is heard of in other ways. */
void fsevent_cover_again(struct backend *b);

#endif
