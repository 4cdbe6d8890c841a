/*
 * A pass over directories: reading them, comparing with the index, and making events of the
 * differences. It is the one path for hints, gaps, new directories, and first crawls (silent).
 *
 * look.c reads directories (remount.c: others than those in the index; links.c: which are behind
 * links), and compare.c compares them with the index. What is new gets an entry marked NEW, what is
 * gone has its entry marked DOOMED; nothing is announced before the whole pass has been read. Moves
 * are found by the kernel's watch while reading (contested.c), and then by inode among the two
 * (match.c). settle.c announces everything in an order in which each event makes sense after those
 * before it, and takes the marks away; told.c knows what is where for those who are told, and below.c
 * is what that means for all that is in a directory. Last, a
 * root's own tree that was found in another's becomes a part of that (graft.c).
 */
#ifndef WATCHER_LOOK_H
#define WATCHER_LOOK_H

#include "watcher/engine.h"

#define NO_ITEM UINT32_MAX
#define DEEP    2000 /* of recursion, along paths and from one announcement to another */

/* An entry that is new, or a known directory that turned up at a new place. */
struct arrival {
	uint32_t dir, gen, rec;
	uint64_t ino;
	uint8_t type;
	bool done, busy;
	bool breaking; /* its move is to be told as an end, once what may leave it has */
	bool dropped; /* its place is gone again */
	bool told; /* its entry was told as created before it was known to be a move */
	uint32_t departure; /* the other end of the move, NO_ITEM: created */
	uint32_t node;      /* a node that kept its watch on the way, else NO_DIR */
	/* Where that node was, if its old entry is gone already (half of a move): its name. */
	uint32_t from_dir, from_gen;
	uint8_t from_len;
	char *from;
	uint32_t same_from; /* settling: the next one that may be from the same name, or NO_ITEM */
	uint32_t same_dir;  /* ... and from the same directory */
	bool came;          /* with a directory that was moved in */
	uint32_t twin; /* the departure that held this very name, or NO_ITEM */
	bool replaces; /* ... and was of the same type, not a directory */
};

struct departure {
	uint32_t dir, gen, rec;
	uint64_t ino; /* 0: not known, or not to be found again */
	uint8_t type;
	bool done, had_node;
	bool ending; /* it is to be told, once what may leave it has */
	bool arrived; /* ... in this very pass: its entry is that of an arrival, too */
	uint32_t arrival; /* NO_ITEM: deleted */
	uint32_t inside, ninside; /* of a directory: the departures of its entries */
};

struct looked {
	uint32_t dir, gen;
};

/* A file that was written to while nobody listened. */
struct changed {
	uint32_t dir, gen, rec;
};

/* A root's own tree, which is to become a part of another where a fresh node is. */
struct graft {
	struct looked fresh, top;
	bool recovered;
};

struct look {
	struct looked *queue;
	size_t nqueue, queue_cap, head;
	struct arrival *arrivals;
	size_t narrivals, arrivals_cap;
	struct ids by_node;   /* settling: node -> its arrival; empty while reading */
	struct ids by_from;   /* ... those with a `from`: the first from a name, by its hash */
	struct ids by_dir;    /* ... and the first from a directory */
	struct departure *departures;
	size_t ndepartures, departures_cap;
	size_t departed;        /* the one that was asked for last */
	struct changed *changed;
	size_t nchanged, changed_cap;
	struct looked *seen;    /* nodes that have the LOOKED flag */
	size_t nseen, seen_cap;
	struct looked *rules;   /* nodes below which other directories may be wanted now */
	size_t nrules, rules_cap;
	struct graft *grafts;   /* for the end of the pass */
	size_t ngrafts, grafts_cap;
	int64_t since_ns;
	bool active, silent, everywhere, failed;
	bool past; /* silent: what is read is as it was before the changes that are still to come */
	bool calm;    /* the queue was empty twice: what does not fit is not on its way */
	bool content; /* change times of files are looked at, too */
	bool strange; /* what is being compared is another directory than the one in the index */
	bool renewed; /* ... is a new one with the inode number of that: so may be what is in it */
	int error; /* why a pass could not read all there is; 0: it could */
	struct listing listing;
	struct bytes path;
	uint64_t directories, files;
};

/* Grows an array to hold one more; false (and the pass marked as failed) without memory. */
bool watcher__look_room(struct look *l, void **items, size_t n, size_t *cap, size_t size);

/* Ignore files in the directory have changed: seen to when the pass has been announced. */
void watcher__look_rules(struct watcher *w, uint32_t dir);
/* Takes the listing that was read (look->listing) of a directory open as fd, -1: not open. */
void watcher__compare(struct watcher *w, uint32_t dir, int fd);
/* Only the content of files is to be looked at, and now has been: the names are the same. */
bool watcher__compare_unchanged(struct watcher *w, uint32_t dir, int fd);
/* A file has been written to while nobody listened: told when the pass is announced. */
void watcher__note_changed(struct watcher *w, uint32_t dir, uint32_t rec);
/* Is there memory for that to be noted? False: the pass has failed. */
bool watcher__changed_room(struct watcher *w);
/* An entry is gone: marks it, and notes its end. False without memory: it stays as it was. */
bool watcher__depart(struct watcher *w, uint32_t dir, const struct entry *e);

/* Another node holds the watch of the directory that is at this node's path, open as fd. True
 * if it is this node's now, and the directory is to be read. */
bool watcher__contested(struct watcher *w, uint32_t dir, uint32_t owner, int fd);
/* Is the owner of the watch the top of a root's own tree, by the very same path as `dir`, or behind a
 * link that leads to it? */
bool watcher__is_root_here(struct watcher *w, uint32_t dir, uint32_t owner);
/* The tree is to take the place of the node, at the end of the pass; at once in a silent one. False:
 * it cannot. */
bool watcher__graft(struct watcher *w, uint32_t fresh, uint32_t top);
void watcher__grafts_make(struct watcher *w);
/* Is it in a root's own tree, below another root by its path, which has not been read so far? */
bool watcher__graft_due(const struct watcher *w, uint32_t dir);
/* What is at a node's path. */
enum found {
	THE_SAME, /* the directory that the index has there */
	ANOTHER,  /* its parent has changed */
	REMOUNTED /* nothing has: what was mounted, or unmounted, has brought another to light */
};
enum found watcher__found_at(struct watcher *w, uint32_t dir, int fd);
/* Has a directory above lost its file system, too? What is found below that is not of it. */
bool watcher__below_unmounted(const struct watcher *w, uint32_t dir);
/* With AUTO each mount is watched as its file system allows; below that it is inherited. */
void watcher__choose_source(struct watcher *w, uint32_t dir, int fd, const char *path);
/* What is at the node's path is told of elsewhere: what was known to be there ends, and the node
 * is looked at again, as one that holds nothing. */
void watcher__look_leave(struct watcher *w, uint32_t dir);
/* Has this pass found that the directory, or one above it, is not where the index has it? */
bool watcher__doomed(const struct watcher *w, uint32_t dir);
/* What does not fit will be told in a moment by a source that tells everything. */
bool watcher__look_waits(const struct watcher *w, uint32_t dir);

/* Finds moves among what is gone and what is new; what is below what is gone is gone, too, but
 * for what was found elsewhere. 0, or UV_ENOMEM. */
int watcher__match(struct watcher *w);
/* Was what has the name born since then? False where that is not known. */
bool watcher__born_since(struct watcher *w, uint32_t dir, const char *name, size_t len, int64_t since_ns);
/* Announces what the pass has found. */
void watcher__settle(struct watcher *w);
/* News of something that the pass has found. */
struct news watcher__news_found(const struct watcher *w, int kind, int type, uint64_t ino);
static inline void news_at(struct news *n, uint32_t dir, const char *name, size_t len)
{
	n->dir = dir;
	n->name = name;
	n->len = len;
}
/* Does a move lead, to those who are told, to where it was? It moved away and back while it was read. By
 * the same path it may have come to be below another root, whose tree is not a part of this one yet. */
bool watcher__is_back(struct watcher *w, const struct news *move);
/* The arrival of a node whose entry is new, or NULL. */
struct arrival *watcher__arrival_at(struct watcher *w, uint32_t dir);
/* Is it a move that is not told yet? */
static inline bool watcher__is_pending(const struct watcher *w, const struct arrival *a)
{
	return a->from && !a->done && tree_alive(&w->tree, a->from_dir, a->from_gen);
}

/* What is in a directory, to those who were told of everything so far: each of its entries, and what
 * has moved out of it since. */
struct told_one {
	struct entry e;
	uint32_t arrival;   /* of what has moved, else NO_ITEM */
	uint32_t departure; /* of what has ended, else NO_ITEM */
	size_t departed;    /* where the next one of those may be */
};
#define TOLD_NONE                                                                             \
	((struct told_one){                                                                   \
	    .e.rec = NO_REC, .arrival = NO_ITEM, .departure = NO_ITEM, .departed = SIZE_MAX })
/* What has moved, as it is told to be so far. */
struct entry watcher__told_entry(const struct arrival *a);
bool watcher__told_next(struct watcher *w, uint32_t dir, struct told_one *t);
/* What is in a directory that has ended is asked for next. */
void watcher__told_enter(const struct watcher *w, uint32_t departure);

/* The events for the end of everything below `name` in `dir`, whose node is (or was) `node`:
 * what is deepest first. Entries of moved or new directories are left out. No name: `node` is `dir`. */
void watcher__emit_gone_below(struct watcher *w, const struct news *like, uint32_t dir,
			      const char *name, size_t len, uint32_t node);
/* A directory that came with its content: what is in it is told as created, like itself. */
void watcher__emit_created_below(struct watcher *w, struct news *like, uint32_t node);
/* The same for everything in a node that a root was attached to; like->only says which. */
void watcher__emit_created_in(struct watcher *w, const struct news *like, uint32_t node);
/* The move of `node` (NO_DIR: of what is no directory), and those that follow from it for what is
 * in it; to those who had only where it was, that ends before it does. */
void watcher__emit_moved(struct watcher *w, struct news *move, uint32_t node);

#endif
