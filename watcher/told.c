/*
 * Places as those know them who were told of everything so far. In a pass the index is ahead of
 * them: what was found elsewhere is there already, and its move is not announced yet. See look.h.
 */
#include <string.h>

#include "watcher/look.h"

struct arrival *watcher__arrival_at(struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	struct look *l = w->look;
	uint32_t i;

	if (d->parent == NO_DIR || !(tree_entry(&w->tree, d->parent, d->rec).marks & ENTRY_NEW))
		return NULL;
	if (l->by_node.count) {
		i = ids_get(&l->by_node, (int32_t)dir);
		return i == IDS_NONE ? NULL : &l->arrivals[i];
	}
	for (i = 0; i < l->narrivals; i++)
		if (l->arrivals[i].dir == d->parent && l->arrivals[i].rec == d->rec)
			return &l->arrivals[i];
	return NULL;
}

/* The first half of a move by which the node has left where it is told to be. */
static const struct half_move *half_of(const struct watcher *w, uint32_t node)
{
	for (uint32_t i = 0; i < w->nhalves; i++)
		if (w->halves[i].node == node && !w->halves[i].pushed &&
		    tree_alive(&w->tree, w->halves[i].dir, w->halves[i].gen))
			return &w->halves[i];
	return NULL;
}

uint32_t watcher__told_up(struct watcher *w, uint32_t dir, const char **name, size_t *len)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	const struct half_move *h;
	const struct arrival *a;
	struct entry e;

	if (d->parent == NO_DIR) {
		/* What changes in it is found by a pass only: there is a root in it. */
		if (!w->look->active || !(h = half_of(w, dir)))
			return NO_DIR;
		*name = h->name;
		*len = h->len;
		return h->dir;
	}
	e = tree_entry(&w->tree, d->parent, d->rec);
	a = w->look->active && e.marks & ENTRY_NEW ? watcher__arrival_at(w, dir) : NULL;
	if (a && watcher__is_pending(w, a)) {
		*name = a->from;
		*len = a->from_len;
		return a->from_dir;
	}
	*name = e.name;
	*len = e.len;
	return d->parent;
}

bool watcher__told_below(struct watcher *w, uint32_t dir, uint32_t top)
{
	const char *name;
	size_t len;

	while (dir != NO_DIR && dir != top)
		dir = watcher__told_up(w, dir, &name, &len);
	return dir == top;
}

static uint32_t told_top(struct watcher *w, uint32_t dir)
{
	const char *name;
	uint32_t up;
	size_t len;

	while ((up = watcher__told_up(w, dir, &name, &len)) != NO_DIR)
		dir = up;
	return dir;
}

/* The departure of an entry, or NO_ITEM. */
static uint32_t departure_of(const struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct look *l = w->look;

	/* Mostly they are asked for in the order in which they were noted. */
	for (size_t n = l->ndepartures; n--; l->departed++) {
		l->departed %= l->ndepartures;
		if (l->departures[l->departed].dir == dir && l->departures[l->departed].rec == rec)
			return (uint32_t)l->departed;
	}
	return NO_ITEM;
}

void watcher__told_enter(const struct watcher *w, uint32_t departure)
{
	if (w->look->departures[departure].ninside)
		w->look->departed = w->look->departures[departure].inside;
}

/* Are they told of the entry? What ends, and is to be told to after this, is there so far. */
static bool is_told(struct watcher *w, uint32_t dir, struct told_one *t)
{
	struct look *l = w->look;

	t->departure = NO_ITEM;
	if (t->e.marks & ENTRY_NEW && !entry_is_told(&t->e))
		return false;
	if (entry_is_told(&t->e)) /* what is in it now is not known to be there */
		t->e.node = NO_DIR;
	if (!(t->e.marks & ENTRY_DOOMED))
		return true;
	if (t->departed != SIZE_MAX)
		l->departed = t->departed;
	if ((t->departure = departure_of(w, dir, t->e.rec)) == NO_ITEM)
		return false;
	t->departed = l->departed;
	watcher__told_enter(w, t->departure);
	return !l->departures[t->departure].done;
}

struct entry watcher__told_entry(const struct arrival *a)
{
	return (struct entry){ .name = a->from,
			       .len = a->from_len,
			       .type = a->type,
			       .ino = a->ino,
			       .node = a->node,
			       .rec = NO_REC };
}

bool watcher__told_next(struct watcher *w, uint32_t dir, struct told_one *t)
{
	struct look *l = w->look;

	if (t->arrival == NO_ITEM) {
		while ((t->e.rec = tree_next(&w->tree, dir, t->e.rec)) != NO_REC) {
			t->e = tree_entry(&w->tree, dir, t->e.rec);
			if (is_told(w, dir, t))
				return true;
		}
		t->arrival = ids_get(&l->by_dir, (int32_t)dir);
	} else {
		t->arrival = l->arrivals[t->arrival].same_dir;
	}
	t->departure = NO_ITEM;
	while (t->arrival != NO_ITEM && !watcher__is_pending(w, &l->arrivals[t->arrival]))
		t->arrival = l->arrivals[t->arrival].same_dir;
	if (t->arrival == NO_ITEM)
		return false;
	t->e = watcher__told_entry(&l->arrivals[t->arrival]);
	return true;
}

bool watcher__is_back(struct watcher *w, const struct news *n)
{
	const struct backpath *from = &w->path, *to = &w->dest_path;
	struct hit hits[HITS_MAX];

	return told_top(w, n->dir) == told_top(w, n->dest_dir) &&
	       watcher__hits_told(w, &w->path, n->dir, n->name, n->len, hits) >= 0 &&
	       watcher__hits_told(w, &w->dest_path, n->dest_dir, n->dest, n->dest_len, hits) >= 0 &&
	       from->len == to->len &&
	       memcmp(backpath_tail(from, from->len), backpath_tail(to, to->len), to->len) == 0;
}
