/*
 * The index: which names there are below the watched roots.
 *
 * A directory that is watched is a node; every node holds its entries (name, type, inode) in
 * one packed block of bytes, with a hash over it once it has more than a few. Paths are never
 * stored: a node has a parent and its entry there, so renaming a directory changes one entry
 * and nothing below it can be stale. Nodes are named by small numbers that stay valid until
 * the node is freed; `gen` of a number changes then, so that a stored number can be checked.
 *
 * Entries are named by their offset in the block. An offset stays valid until the entry is
 * erased, or until any erase in that directory while the tree is not pinned (erasing
 * compacts). The index knows nothing of kernels, events or filters.
 */
#ifndef WATCHER_TREE_H
#define WATCHER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

#define NO_DIR UINT32_MAX
#define NO_REC UINT32_MAX

struct root;

/* Flags of a node. */
enum {
	DIR_USED = 1 << 0,
	DIR_LIMBO = 1 << 1,    /* listed in the limbo set: its watch is gone or never came */
	DIR_NARROW = 1 << 2,   /* only names that single-file roots ask for are indexed */
	DIR_NO_ACCESS = 1 << 3, /* may not be read: tried again when its mode changes */
	DIR_LOOKED = 1 << 4,   /* read in the current pass */
	DIR_GIVEN_UP = 1 << 6, /* a sync has waited in vain for it to be read: no other does */
	DIR_LINK = 1 << 7,     /* reached through a symbolic link that is followed */
	DIR_AHEAD = 1 << 8,    /* its entries are newer than the queue, up to its CHANGE_READ */
	DIR_FRESH = 1 << 9,    /* ... and it was first found, by its path, when they were read */
	DIR_FAILED = 1 << 10,  /* could not be read, which has been told */
	DIR_UNREAD = 1 << 11,  /* not read yet, see late.c: it has no entries */
	DIR_CAME = 1 << 12,    /* moved in with what is in it, which is not read yet */
	DIR_MOUNTED = 1 << 13, /* a mount point when it was last read */
	DIR_UNMOUNTED = 1 << 14, /* its file system is gone: another directory is at its path */
	DIR_OWED = 1 << 15     /* to be read with all below it: a pass could not */
};

struct dir {
	uint64_t ino;
	int64_t ctime_ns;      /* when last read, 0: not to be trusted */
	int64_t read_ns;       /* the clock of change times before that */
	char *block;           /* entries, see tree.c */
	uint32_t *slots;       /* hash: offset + 1 of an entry, 0 free, UINT32_MAX erased */
	struct root *roots;    /* roots that are attached here */
	uint32_t parent, rec;  /* the node it is in, and its entry there; NO_DIR: a top */
	uint32_t dev;
	int32_t id;            /* the backend's number of its watch, -1: none */
	uint32_t len, cap, dead; /* of the block */
	uint32_t count;        /* live entries */
	uint32_t nslots, nused; /* slots, and those not free */
	uint32_t gen;
	uint16_t flags;
	uint8_t backend; /* which of the watcher's backends `id` belongs to */
	bool by_number;  /* found in the directory above by its inode number, which another may have */
};

/* What an entry says. `name` points into the block: valid until the next insert there. */
struct entry {
	const char *name;
	uint64_t ino;  /* 0: not known */
	uint32_t node; /* of a directory that is indexed, else NO_DIR */
	uint32_t rec;
	uint8_t len, type, marks;
};

/* Marks of an entry during a pass over directories (see look.h), and one that stays after it. */
enum {
	ENTRY_STAYED = 1 << 3, /* when its directory was last compared, it was no news */
	ENTRY_SEEN = 1 << 4,   /* in the listing that is being compared */
	ENTRY_DOOMED = 1 << 6, /* no longer there, its event is still to be made */
	ENTRY_NEW = 1 << 7,    /* there, its event is still to be made */
	/* Both of these: told of, as something empty, before it was known to have moved there. */
	ENTRY_TOLD = ENTRY_NEW | ENTRY_STAYED
};

static inline bool entry_is_told(const struct entry *e)
{
	return (e->marks & ENTRY_TOLD) == ENTRY_TOLD;
}

struct tree {
	struct dir **chunks;
	uint32_t nchunks, nnodes, free_node;
	uint32_t cut; /* nodes that are cut off, chained by `rec`; NO_DIR: none */
	uint64_t dirs, bytes;
	unsigned pins; /* > 0: erasing does not compact */
	uint64_t dead; /* bytes that were erased then, since tree_tidy() has gone through all */
};

void tree_init(struct tree *t);
void tree_fini(struct tree *t);

/* A fresh node without parent, or NO_DIR when out of memory. */
uint32_t tree_dir_new(struct tree *t);
/* Frees one node; its entries' nodes are the caller's business. */
void tree_dir_free(struct tree *t, uint32_t id);
/* Cuts off a node, which is in no other any more, with all below it: none of them is used from
 * then on, as if freed. What they have (block, slots, id, backend) stays until each, in its turn
 * as t->cut, is given back. */
void tree_cut(struct tree *t, uint32_t top);
void tree_cut_free(struct tree *t);

#define TREE_CHUNK 1024
static inline struct dir *tree_dir(const struct tree *t, uint32_t id)
{
	return &t->chunks[id / TREE_CHUNK][id % TREE_CHUNK];
}

static inline bool tree_alive(const struct tree *t, uint32_t id, uint32_t gen)
{
	return id < t->nnodes && tree_dir(t, id)->flags & DIR_USED && tree_dir(t, id)->gen == gen;
}

/* The live entry of that name: its offset, or NO_REC. Doomed ones are not found. */
uint32_t tree_find(const struct tree *t, uint32_t dir, const char *name, size_t len);
/* Adds an entry, whatever is there already; NO_REC when out of memory. */
uint32_t tree_insert(struct tree *t, uint32_t dir, const char *name, size_t len, int type,
		     uint64_t ino);
void tree_erase(struct tree *t, uint32_t dir, uint32_t rec);
struct entry tree_entry(const struct tree *t, uint32_t dir, uint32_t rec);
/* Ties a node to its entry: the node's parent and name are those of the entry. */
void tree_attach(struct tree *t, uint32_t dir, uint32_t rec, uint32_t node);
/* The entry stays, as a directory that is not indexed. */
void tree_detach(struct tree *t, uint32_t dir, uint32_t rec);
void tree_set_ino(struct tree *t, uint32_t dir, uint32_t rec, uint64_t ino);
/* Of an entry that has no node. */
void tree_set_type(struct tree *t, uint32_t dir, uint32_t rec, int type);
void tree_set_marks(struct tree *t, uint32_t dir, uint32_t rec, uint8_t marks);
/* Walks the entries, doomed and new ones too: start with NO_REC, ends with NO_REC. */
uint32_t tree_next(const struct tree *t, uint32_t dir, uint32_t rec);
/* Fills an empty node from a packed listing (see packed_add) in one go. */
int tree_fill(struct tree *t, uint32_t dir, const char *packed, size_t len, uint32_t count);
/* Gives the pins back; compacts nothing by itself. */
static inline void tree_pin(struct tree *t)
{
	t->pins++;
}
void tree_unpin(struct tree *t);
/* Squeezes out what was erased while the tree was pinned, once that is much: not while it is. */
void tree_tidy(struct tree *t);

/* True if `node` is `top` or below it. */
bool tree_is_below(const struct tree *t, uint32_t node, uint32_t top);
/* Is it on another file system than the directory it is in, as far as both have been read? */
bool tree_is_foreign(const struct tree *t, uint32_t node);

/*
 * A packed listing: 10 bytes of head (inode, type, length of name) and the name, one after the
 * other. What reading a directory gives, and what a node's block is made of.
 */
#define PACKED_HEAD 10
#define PACKED_MAX  (PACKED_HEAD + 255)
size_t packed_put(char *to, const char *name, size_t len, int type, uint64_t ino);

static inline uint32_t name_hash(const char *name, size_t len)
{
	return (uint32_t)bytes_hash(name, len);
}

#endif
