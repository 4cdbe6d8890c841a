/*
 * What the parts of the fanotify backend share.
 *
 *   kernel -> fan_queue (memory) -> fan_record (one change at a time) -> engine
 *                   └-> fan_noted (names that come and go: for directories that are read later)
 *                           ├-> fan_before (what a name was before that)
 *                           └-> fan_later (where a directory is)
 *   fan_record -> fan_merged (what records stand too early to tell of)
 *
 * Directories are known by their file handles: see fan_open.h.
 *
 * The kernel makes a change of names, and then tells of it, while the directories that it is in are
 * locked, as they are while they are read. So all that is seen by reading a directory has been told
 * by then; but that a directory is gone, or elsewhere, is seen before it is told, by any time. From
 * that nothing follows until those have been read that may be locked for it.
 */
#ifndef WATCHER_FAN_H
#define WATCHER_FAN_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/fanotify.h>
#include <uv.h>

#include "base/bytes.h"
#include "watcher/backend.h"
#include "watcher/fan_noise.h"
#include "watcher/fan_open.h"
#include "watcher/ids.h"
#include "watcher/keys.h"
#include "watcher/wakes.h"

/* Linux 5.17; headers may be older than the kernel. */
#ifndef FAN_RENAME
#define FAN_RENAME			   0x10000000
#define FAN_EVENT_INFO_TYPE_OLD_DFID_NAME 10
#define FAN_EVENT_INFO_TYPE_NEW_DFID_NAME 12
#endif
#ifndef FAN_REPORT_DFID_NAME_TARGET
#define FAN_REPORT_DFID_NAME_TARGET (FAN_REPORT_DFID_NAME | FAN_REPORT_FID | 0x1000)
#endif

/* A record, taken apart; everything points into the memory, NULL: not said. */
struct fan_info {
	uint64_t mask;
	uint32_t len;
	int32_t pid;
	const struct fan_key *dir, *dir2, *object;
	const char *name, *name2; /* in dir; in dir2, of a rename */
};

/* The record that is being handed out, in pieces. It stays in the memory until it is done with;
 * names are known by their place in it, for the memory may be moved meanwhile. */
struct fan_record {
	uint64_t bits; /* still to be handed out */
	uint32_t len;  /* of the record, 0: none */
	bool is_dir, itself; /* itself: about the directory `id`, not about a name in it */
	int32_t pid, id, id2, target;
	uint32_t name, name2; /* offsets in the record, 0: none */
	int32_t looks[4];     /* directories to be looked at afterwards, the last first */
	uint8_t nlooks;
};

/* What there is to know of a directory beside its key. */
struct fan_dir {
	uint8_t level; /* enum watch_level */
	bool fenced;   /* it was read, and the place of that in the queue is still to come */
	bool torn;     /* ... but changed while that was done */
};

/* Where in the memory names come and go, by directory: only while there are directories that
 * the engine has not read. */
struct fan_later {
	bool on;
	struct fan_mention {
		uint32_t hash, next;
		uint64_t at; /* counted from the first byte ever read */
	} *items;
	uint32_t *buckets; /* newest first */
	uint32_t nitems, cap, nbuckets;
	uint64_t noted;      /* records before this place are in it */
	uint32_t leaving;    /* of those, the ones by which a directory leaves its name */
	struct keys foreign; /* directories that are under no root */
	struct keys ended;   /* files whose end has been passed, and not that of their link count */
};

/* What was done to files, up to a place before which the queue was empty; see fan_merged.c. */
enum {
	FAN_NOTED_MOVE = 1 << 0,
	FAN_NOTED_BACK = 1 << 1,  /* ... to a name that something was moved away from */
	FAN_NOTED_COUNT = 1 << 2, /* its link count changed */
	FAN_NOTED_WRITTEN = 1 << 3,
	FAN_NOTED_NAME = 1 << 4	  /* of all: some file got or lost a name */
};

struct fan_merged {
	struct fan_note {
		uint64_t hash; /* of the file */
		uint32_t kinds;
		int32_t id, id2; /* of a move */
		uint32_t name, name2; /* ... in `names` */
	} *notes;
	struct bytes names;
	uint32_t nnotes, cap;
	unsigned kinds; /* of all of them */
	int32_t pid;	/* who has changed a link count last */
	bool mixed;	/* others have, too */
	/* Of the records that may have been merged with one another, counted from the first byte ever
	 * read. End UINT64_MAX: it has not been read yet. */
	uint64_t begin, end;
	struct keys suspects; /* names that are to be looked at */
	int32_t out;	      /* the one that was handed out last */
};

struct backend {
	struct backend_config config;
	int fd;
	struct wakes wakes;
	uint64_t mask;
	struct keys keys;
	struct fan_dir *dirs; /* by number */
	int32_t dirs_cap;
	int32_t pid; /* our own */
	struct fs_mark {
		fan_fsid fsid;
		uint64_t mask;
	} *marks;
	int nmarks;
	struct fan_places places;
	struct fan_noise noise;
	char *memory;
	size_t len, cap, pos, got; /* got: by the last fan_read() */
	uint64_t base; /* what was read before memory[0] */
	uint64_t fence; /* where what has come since the last fence() on begins */
	struct fan_record now;
	struct fan_later later;
	struct fan_merged merged;
	struct ids renamed; /* hashes of names renamed away in this drain -> number of where to, + 1 */
	bool gap, all; /* all: what was read last was all there was */
	int64_t time_ns;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* ---- backend_fanotify.c ---- */
/* The number of a directory (NULL: none), or -1. */
int32_t fan_find(const struct backend *b, const struct fan_key *key);
/* ... made if it has none. UV_ENOMEM. */
int32_t fan_number(struct backend *b, const struct fan_key *key, enum watch_level level);
void fan_unwatch(struct backend *b, int32_t id);
/* The key of an open directory. UV_ENOTSUP, or another negative errno. */
int fan_key_of_fd(int fd, struct fan_key *key);

static inline void fan_key_of(const struct backend *b, int32_t id, struct fan_key *key)
{
	memcpy(key, keys_bytes(&b->keys.slots[id]), b->keys.slots[id].len);
}

/* ---- fan_queue.c ---- */
void fan_parse(const char *at, struct fan_info *info);
/* Memory to begin with, so that there is always some to read into. UV_ENOMEM. */
int fan_queue_init(struct backend *b);
/* Moves what the kernel holds into the memory; how much that was, or a negative errno. What there
 * is no room for stays with the kernel, with `discard` it is lost. */
ssize_t fan_read(struct backend *b, bool discard);
/* ... all of it. UV_ENOMEM: there is more; UV_EAGAIN: more comes as fast as it is read. */
int fan_read_all(struct backend *b);
/* Nothing is watched, and the kernel told of nothing more: what is left is nobody's. */
void fan_forget(struct backend *b);
/* The record at the head is done with. */
void fan_pass(struct backend *b);

/* ---- fan_record.c ---- */
int fan_next(struct backend *b, struct change *c);

/* ---- fan_merged.c ---- */
void fan_merged_init(struct backend *b);
void fan_merged_fini(struct backend *b);
/* The record that was taken up tells of a file. */
void fan_merged_note(struct backend *b, const struct fan_info *info, unsigned kinds);
/* More is in the memory. */
void fan_merged_read(struct backend *b);
/* What comes next is merged with nothing of what was noted; or that is lost. */
void fan_merged_begin(struct backend *b);
/* If what may have been merged with one another has been told: the next name that is to be looked at
 * for it. False: there is none. */
bool fan_merged_told(struct backend *b, struct change *c);

/* ---- fan_noted.c ---- */
#define FAN_NONE UINT32_MAX
bool fan_same_key(const struct fan_key *a, const struct fan_key *b);
/* Has everything in the hash that has happened until now. UV_ENOMEM, UV_EAGAIN. */
int fan_note_all(struct backend *b);
/* A record is done with. */
void fan_noted_passed(struct backend *b, const struct fan_info *info);
/* The newest record after `before` (FAN_NONE: of all) that is about a key, and where it is. */
uint32_t fan_next_about(const struct backend *b, const struct fan_key *key, uint32_t before,
			struct fan_info *info, uint64_t *at);
/* The directory whose entry `key` was, where it is gone now. */
bool fan_holder(const struct backend *b, const struct fan_key **key);

/* ---- fan_before.c ---- */
/* As late_ops.mentions. */
int fan_before(struct backend *b, int32_t id, const char *name,
	       void (*one)(void *arg, const struct mention *m), void *arg);
/* A record about a file is done with. */
void fan_before_passed(struct backend *b, const struct fan_info *info);

/* ---- fan_later.c ---- */
extern const struct late_ops fan_late_ops;
void fan_later_passed(struct backend *b, const struct fan_info *info);
void fan_later_init(struct backend *b);
void fan_later_fini(struct backend *b);
/* As late_ops.settle. */
void fan_settle(int fd);
/* Is the directory, which has no number, known to be under no root? */
bool fan_later_foreign(const struct backend *b, const struct fan_key *key);

#endif
