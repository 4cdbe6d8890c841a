/*
 * Which entry of an old snapshot is which of a new one. Told apart: an inode that is used
 * again has another birth time; of hard links the one that kept its name is the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sort.h"
#include "watcher/snapshot_diff.h"

static bool same_name(const watcher_snapshot *a, const struct snap_entry *x,
		      const watcher_snapshot *b, const struct snap_entry *y)
{
	return x->len == y->len && memcmp(snap_name(a, x), snap_name(b, y), x->len) == 0;
}

static bool same_inode(const struct diff *d, const struct snap_entry *o,
		       const struct snap_entry *n)
{
	if (o->inode != n->inode || o->type != n->type || !o->type)
		return false;
	if (o->dev != n->dev && !(d->flags & WATCHER_DIFF_IGNORE_DEVICE))
		return false;
	return !o->birth_ns || !n->birth_ns || o->birth_ns == n->birth_ns;
}

/* For what is found under another name: without a birth time the number alone proves little. */
static bool same_elsewhere(const struct diff *d, const struct snap_entry *o,
			   const struct snap_entry *n)
{
	if (!same_inode(d, o, n))
		return false;
	if ((o->birth_ns && n->birth_ns) || o->type == WATCHER_TYPE_DIR)
		return true;
	return o->mtime_ns == n->mtime_ns && o->size == n->size;
}

static void tie(struct diff *d, uint32_t o, uint32_t n)
{
	d->to_new[o] = n;
	d->to_old[n] = o;
}

uint32_t watcher__diff_namesake(const struct diff *d, uint32_t n)
{
	const struct snap_entry *e = &d->new->entries[n];
	uint32_t parent;

	if (e->parent == NO_SNAP) {
		for (uint32_t o = 0; o < d->old->nroots; o++)
			if (same_name(d->old, &d->old->entries[o], d->new, e))
				return o;
		return NO_SNAP;
	}
	parent = d->to_old[e->parent];
	return parent == NO_SNAP ?
		   NO_SNAP :
		   watcher__snap_child(d->old, parent, snap_name(d->new, e), e->len);
}

/* Ties what has kept its place in a directory that is the same; parents come first. */
static void tie_in_place(struct diff *d, uint32_t n)
{
	uint32_t o = watcher__diff_namesake(d, n);

	if (o != NO_SNAP && d->to_new[o] == NO_SNAP &&
	    same_inode(d, &d->old->entries[o], &d->new->entries[n]))
		tie(d, o, n);
}

static int by_inode(const void *a, const void *b, void *diff)
{
	const struct diff *d = diff;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	const struct snap_entry *x = &d->old->entries[i], *y = &d->old->entries[k];

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return i < k ? -1 : i > k;
}

/* The first of the sorted entries with this inode. */
static uint32_t lower(const struct diff *d, const uint32_t *sorted, uint32_t count, uint64_t inode)
{
	uint32_t lo = 0, hi = count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (d->old->entries[sorted[mid]].inode < inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void tie_elsewhere(struct diff *d, uint32_t n, const uint32_t *sorted, uint32_t count)
{
	const struct snap_entry *e = &d->new->entries[n];
	uint32_t best = NO_SNAP;

	for (uint32_t k = lower(d, sorted, count, e->inode);
	     k < count && d->old->entries[sorted[k]].inode == e->inode; k++) {
		const struct snap_entry *o = &d->old->entries[sorted[k]];

		if (d->to_new[sorted[k]] != NO_SNAP || !same_elsewhere(d, o, e))
			continue;
		if (best == NO_SNAP || same_name(d->old, o, d->new, e))
			best = sorted[k];
	}
	if (best != NO_SNAP)
		tie(d, best, n);
}

/* Another file of the same type under the same name has its content replaced. */
static void tie_replaced(struct diff *d, uint32_t n)
{
	uint32_t o = watcher__diff_namesake(d, n);
	const struct snap_entry *e = &d->new->entries[n];

	if (o == NO_SNAP || d->to_new[o] != NO_SNAP || e->type == WATCHER_TYPE_DIR ||
	    e->type != d->old->entries[o].type || !e->type || e->count ||
	    d->old->entries[o].count)
		return;
	tie(d, o, n);
	d->is[n] |= IS_REPLACED;
}

/* What is in a directory that could not be read, then or now, is nobody's news. */
static void leave_unread(struct diff *d)
{
	for (uint32_t i = d->old->nroots; i < d->old->n; i++) {
		uint32_t up = d->old->entries[i].parent, n = d->to_new[up];

		if (d->was[up] & IS_UNREAD || d->old->entries[up].flags & SNAP_UNREAD ||
		    (n != NO_SNAP && d->new->entries[n].flags & SNAP_UNREAD))
			d->was[i] |= IS_UNREAD;
	}
	for (uint32_t i = d->new->nroots; i < d->new->n; i++) {
		uint32_t up = d->new->entries[i].parent, o = d->to_old[up];

		if (d->is[up] & IS_UNREAD || d->new->entries[up].flags & SNAP_UNREAD ||
		    (o != NO_SNAP && d->old->entries[o].flags & SNAP_UNREAD))
			d->is[i] |= IS_UNREAD;
	}
}

int watcher__diff_match(struct diff *d)
{
	uint32_t *sorted = malloc((d->old->n + (size_t)1) * sizeof *sorted), count = 0;

	if (!sorted)
		return UV_ENOMEM;
	for (uint32_t n = 0; n < d->new->n; n++)
		tie_in_place(d, n);
	for (uint32_t o = 0; o < d->old->n; o++)
		if (d->to_new[o] == NO_SNAP)
			sorted[count++] = o;
	if (count)
		sort_items(sorted, count, sizeof *sorted, by_inode, d);
	for (uint32_t n = 0; n < d->new->n; n++) {
		if (d->to_old[n] == NO_SNAP)
			tie_in_place(d, n); /* in a directory that was found elsewhere */
		if (d->to_old[n] == NO_SNAP)
			tie_elsewhere(d, n, sorted, count);
	}
	free(sorted);
	for (uint32_t n = 0; n < d->new->n && !(d->flags & WATCHER_DIFF_REPLACED); n++)
		if (d->to_old[n] == NO_SNAP)
			tie_replaced(d, n);
	leave_unread(d);
	return 0;
}
