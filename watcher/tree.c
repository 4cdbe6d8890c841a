/*
 * Storage of the index: nodes in chunks, entries packed in one block a directory.
 *
 * An entry is 8 bytes (inode, or the number of its node), 1 byte type and marks, 1 byte length,
 * and the name. An erased entry has type 0 and is squeezed out when half the block is dead.
 */
#include "watcher/tree.h"

#include <stdlib.h>
#include <string.h>

#include "whendo/watcher.h"

/* Below this many entries a look through the block is as fast as a hash. */
#define TIDY_FROM (16 * 1024) /* bytes that are not worth going through all */
#define HASH_FROM 12
#define HAS_NODE  (1 << 5)
#define TYPE_MASK 0x07
#define MARKS     (ENTRY_STAYED | ENTRY_SEEN | ENTRY_DOOMED | ENTRY_NEW)

static uint64_t rec_value(const struct dir *d, uint32_t rec)
{
	uint64_t v;

	memcpy(&v, d->block + rec, sizeof v);
	return v;
}

static void rec_set_value(struct dir *d, uint32_t rec, uint64_t v)
{
	memcpy(d->block + rec, &v, sizeof v);
}

static uint8_t rec_type(const struct dir *d, uint32_t rec)
{
	return (uint8_t)d->block[rec + 8];
}

static uint8_t rec_len(const struct dir *d, uint32_t rec)
{
	return (uint8_t)d->block[rec + 9];
}

static bool rec_is(const struct dir *d, uint32_t rec, const char *name, size_t len)
{
	uint8_t type = rec_type(d, rec);

	return type && !(type & ENTRY_DOOMED) && rec_len(d, rec) == len &&
	       memcmp(d->block + rec + PACKED_HEAD, name, len) == 0;
}

size_t packed_put(char *to, const char *name, size_t len, int type, uint64_t ino)
{
	memcpy(to, &ino, 8);
	to[8] = (char)type;
	to[9] = (char)len;
	memcpy(to + PACKED_HEAD, name, len);
	return PACKED_HEAD + len;
}

void tree_init(struct tree *t)
{
	memset(t, 0, sizeof *t);
	t->free_node = t->cut = NO_DIR;
}

void tree_fini(struct tree *t)
{
	for (uint32_t i = 0; i < t->nnodes; i++) {
		free(tree_dir(t, i)->block);
		free(tree_dir(t, i)->slots);
	}
	for (uint32_t i = 0; i < t->nchunks; i++)
		free(t->chunks[i]);
	free(t->chunks);
	tree_init(t);
}

static int add_chunk(struct tree *t)
{
	struct dir **chunks = realloc(t->chunks, (t->nchunks + 1) * sizeof *chunks);

	if (!chunks)
		return -1;
	t->chunks = chunks;
	chunks[t->nchunks] = calloc(TREE_CHUNK, sizeof **chunks);
	if (!chunks[t->nchunks])
		return -1;
	t->nchunks++;
	t->bytes += TREE_CHUNK * sizeof **chunks + sizeof *chunks;
	return 0;
}

uint32_t tree_dir_new(struct tree *t)
{
	uint32_t id = t->free_node, gen;
	struct dir *d;

	if (id != NO_DIR) {
		t->free_node = tree_dir(t, id)->parent;
	} else {
		if (t->nnodes == t->nchunks * TREE_CHUNK && add_chunk(t) < 0)
			return NO_DIR;
		id = t->nnodes++;
	}
	d = tree_dir(t, id);
	gen = d->gen;
	memset(d, 0, sizeof *d);
	d->gen = gen;
	d->flags = DIR_USED;
	d->parent = NO_DIR;
	d->rec = NO_REC;
	d->id = -1;
	t->dirs++;
	return id;
}

static void drop_entries(struct tree *t, struct dir *d)
{
	t->bytes -= d->cap + (uint64_t)d->nslots * sizeof *d->slots;
	free(d->block);
	free(d->slots);
	d->block = NULL;
	d->slots = NULL;
	d->len = d->cap = d->dead = d->count = d->nslots = d->nused = 0;
}

void tree_dir_free(struct tree *t, uint32_t id)
{
	struct dir *d = tree_dir(t, id);

	drop_entries(t, d);
	d->flags = 0;
	d->gen++;
	d->parent = t->free_node;
	t->free_node = id;
	t->dirs--;
}

/* Everything below a node that is cut off already is, too. */
static bool is_cut(const struct tree *t, uint32_t id, uint32_t top)
{
	for (; id != NO_DIR; id = tree_dir(t, id)->parent)
		if (id == top || !(tree_dir(t, id)->flags & DIR_USED))
			return true;
	return false;
}

/* Goes through all nodes, one after the other as they lie in memory: several times as fast as
 * down the tree, from each to its entries. */
void tree_cut(struct tree *t, uint32_t top)
{
	for (uint32_t id = 0; id < t->nnodes; id++) {
		struct dir *d = tree_dir(t, id);

		if (!(d->flags & DIR_USED) || !is_cut(t, id, top))
			continue;
		d->flags = 0;
		d->gen++;
		d->rec = t->cut;
		t->cut = id;
		t->dirs--;
	}
}

void tree_cut_free(struct tree *t)
{
	uint32_t id = t->cut;
	struct dir *d = tree_dir(t, id);

	t->cut = d->rec;
	drop_entries(t, d);
	d->parent = t->free_node;
	t->free_node = id;
}

static void slot_put(struct dir *d, uint32_t rec)
{
	uint32_t mask = d->nslots - 1;
	uint32_t i = name_hash(d->block + rec + PACKED_HEAD, rec_len(d, rec)) & mask;

	while (d->slots[i] && d->slots[i] != UINT32_MAX)
		i = (i + 1) & mask;
	if (!d->slots[i])
		d->nused++;
	d->slots[i] = rec + 1;
}

/* Makes the hash anew, large enough for one more entry. */
static int rehash(struct tree *t, struct dir *d)
{
	uint32_t n = 16, *slots;

	while (n * 3 / 4 <= d->count + 1)
		n *= 2;
	if (!(slots = calloc(n, sizeof *slots)))
		return -1;
	t->bytes += ((uint64_t)n - d->nslots) * sizeof *slots;
	free(d->slots);
	d->slots = slots;
	d->nslots = n;
	d->nused = 0;
	for (uint32_t rec = 0; rec < d->len; rec += PACKED_HEAD + rec_len(d, rec))
		if (rec_type(d, rec))
			slot_put(d, rec);
	return 0;
}

uint32_t tree_find(const struct tree *t, uint32_t dir, const char *name, size_t len)
{
	const struct dir *d = tree_dir(t, dir);
	uint32_t mask = d->nslots - 1, i;

	if (!d->nslots) {
		for (uint32_t rec = 0; rec < d->len; rec += PACKED_HEAD + rec_len(d, rec))
			if (rec_is(d, rec, name, len))
				return rec;
		return NO_REC;
	}
	for (i = name_hash(name, len) & mask; d->slots[i]; i = (i + 1) & mask)
		if (d->slots[i] != UINT32_MAX && rec_is(d, d->slots[i] - 1, name, len))
			return d->slots[i] - 1;
	return NO_REC;
}

static int block_grow(struct tree *t, struct dir *d, size_t more)
{
	size_t need = d->len + more, cap = d->cap;
	char *p;

	if (need <= cap)
		return 0;
	if (need > UINT32_MAX / 2)
		return -1;
	while (cap < need)
		cap += cap / 4 + 64;
	if (!(p = realloc(d->block, cap)))
		return -1;
	t->bytes += cap - d->cap;
	d->block = p;
	d->cap = (uint32_t)cap;
	return 0;
}

uint32_t tree_insert(struct tree *t, uint32_t dir, const char *name, size_t len, int type,
		     uint64_t ino)
{
	struct dir *d = tree_dir(t, dir);
	uint32_t rec = d->len;

	if (len > 255 || block_grow(t, d, PACKED_HEAD + len) < 0)
		return NO_REC;
	if ((d->nslots || d->count >= HASH_FROM) && (d->nused + 1) * 4 > d->nslots * 3 &&
	    rehash(t, d) < 0)
		return NO_REC;
	d->len += (uint32_t)packed_put(d->block + rec, name, len, type, ino);
	d->count++;
	if (d->nslots)
		slot_put(d, rec);
	return rec;
}

/* Squeezes erased entries out; nodes follow their entries. */
static void compact(struct tree *t, struct dir *d)
{
	uint32_t to = 0, size;

	for (uint32_t rec = 0; rec < d->len; rec += size) {
		size = PACKED_HEAD + rec_len(d, rec);
		if (!rec_type(d, rec))
			continue;
		if (rec_type(d, rec) & HAS_NODE)
			tree_dir(t, (uint32_t)rec_value(d, rec))->rec = to;
		memmove(d->block + to, d->block + rec, size);
		to += size;
	}
	d->len = to;
	d->dead = 0;
	if (d->nslots) {
		memset(d->slots, 0, d->nslots * sizeof *d->slots);
		d->nused = 0;
		for (uint32_t rec = 0; rec < d->len; rec += PACKED_HEAD + rec_len(d, rec))
			slot_put(d, rec);
	}
}

static void squeeze(struct tree *t, struct dir *d)
{
	if (!d->count)
		drop_entries(t, d);
	else if (d->dead > 512 && d->dead > d->len / 2)
		compact(t, d);
}

void tree_erase(struct tree *t, uint32_t dir, uint32_t rec)
{
	struct dir *d = tree_dir(t, dir);
	uint32_t mask = d->nslots - 1, i;

	if (d->nslots) {
		i = name_hash(d->block + rec + PACKED_HEAD, rec_len(d, rec)) & mask;
		while (d->slots[i] != rec + 1)
			i = (i + 1) & mask;
		d->slots[i] = UINT32_MAX;
	}
	d->block[rec + 8] = 0;
	d->dead += PACKED_HEAD + rec_len(d, rec);
	d->count--;
	if (t->pins)
		t->dead += PACKED_HEAD + rec_len(d, rec);
	else
		squeeze(t, d);
}

void tree_unpin(struct tree *t)
{
	t->pins--;
}

void tree_tidy(struct tree *t)
{
	if (t->pins || t->dead <= TIDY_FROM + t->bytes / 8)
		return;
	t->dead = 0;
	for (uint32_t id = 0; id < t->nnodes; id++)
		if (tree_dir(t, id)->flags & DIR_USED)
			squeeze(t, tree_dir(t, id));
}

struct entry tree_entry(const struct tree *t, uint32_t dir, uint32_t rec)
{
	const struct dir *d = tree_dir(t, dir);
	uint8_t type = rec_type(d, rec);
	uint64_t v = rec_value(d, rec);
	struct entry e = { d->block + rec + PACKED_HEAD, v, NO_DIR, rec, rec_len(d, rec),
			   type & TYPE_MASK, type & MARKS };

	if (type & HAS_NODE) {
		e.node = (uint32_t)v;
		e.ino = tree_dir(t, e.node)->ino;
	}
	return e;
}

void tree_attach(struct tree *t, uint32_t dir, uint32_t rec, uint32_t node)
{
	struct dir *d = tree_dir(t, dir), *n = tree_dir(t, node);

	if (!(rec_type(d, rec) & HAS_NODE) && !n->ino)
		n->ino = rec_value(d, rec);
	rec_set_value(d, rec, node);
	d->block[rec + 8] = (char)((rec_type(d, rec) & ~TYPE_MASK) | WATCHER_TYPE_DIR | HAS_NODE);
	n->parent = dir;
	n->rec = rec;
}

void tree_detach(struct tree *t, uint32_t dir, uint32_t rec)
{
	struct dir *d = tree_dir(t, dir), *n;

	if (!(rec_type(d, rec) & HAS_NODE))
		return;
	n = tree_dir(t, (uint32_t)rec_value(d, rec));
	rec_set_value(d, rec, n->ino);
	d->block[rec + 8] = (char)(rec_type(d, rec) & ~HAS_NODE);
	n->parent = NO_DIR;
	n->rec = NO_REC;
}

void tree_set_ino(struct tree *t, uint32_t dir, uint32_t rec, uint64_t ino)
{
	struct dir *d = tree_dir(t, dir);

	if (rec_type(d, rec) & HAS_NODE)
		tree_dir(t, (uint32_t)rec_value(d, rec))->ino = ino;
	else
		rec_set_value(d, rec, ino);
}

void tree_set_type(struct tree *t, uint32_t dir, uint32_t rec, int type)
{
	struct dir *d = tree_dir(t, dir);

	d->block[rec + 8] = (char)((rec_type(d, rec) & ~TYPE_MASK) | type);
}

void tree_set_marks(struct tree *t, uint32_t dir, uint32_t rec, uint8_t marks)
{
	struct dir *d = tree_dir(t, dir);

	d->block[rec + 8] =
	    (char)((rec_type(d, rec) & ~MARKS) | marks);
}

uint32_t tree_next(const struct tree *t, uint32_t dir, uint32_t rec)
{
	const struct dir *d = tree_dir(t, dir);

	rec = rec == NO_REC ? 0 : rec + PACKED_HEAD + rec_len(d, rec);
	while (rec < d->len && !rec_type(d, rec))
		rec += PACKED_HEAD + rec_len(d, rec);
	return rec < d->len ? rec : NO_REC;
}

int tree_fill(struct tree *t, uint32_t dir, const char *packed, size_t len, uint32_t count)
{
	struct dir *d = tree_dir(t, dir);

	drop_entries(t, d); /* those erased while they were pinned are still there */
	if (!len)
		return 0;
	if (len > UINT32_MAX / 2 || !(d->block = malloc(len)))
		return -1;
	memcpy(d->block, packed, len);
	d->len = d->cap = (uint32_t)len;
	d->count = count;
	t->bytes += len;
	if (count > HASH_FROM && rehash(t, d) < 0) {
		drop_entries(t, d);
		return -1;
	}
	return 0;
}

bool tree_is_below(const struct tree *t, uint32_t node, uint32_t top)
{
	for (; node != NO_DIR; node = tree_dir(t, node)->parent)
		if (node == top)
			return true;
	return false;
}

bool tree_is_foreign(const struct tree *t, uint32_t node)
{
	const struct dir *d = tree_dir(t, node);
	uint32_t dev = d->parent == NO_DIR ? 0 : tree_dir(t, d->parent)->dev;

	return dev && d->dev && d->dev != dev;
}
