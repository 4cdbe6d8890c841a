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
	const struct arrival *a = w->look->active ? watcher__arrival_at(w, dir) : NULL;
	const struct dir *d = tree_dir(&w->tree, dir);
	const struct half_move *h;
	struct entry e;

	if (a && a->from && !a->done && tree_alive(&w->tree, a->from_dir, a->from_gen)) {
		*name = a->from;
		*len = a->from_len;
		return a->from_dir;
	}
	if (d->parent == NO_DIR) {
		/* What changes in it is found by a pass only: there is a root in it. */
		if (!w->look->active || !(h = half_of(w, dir)))
			return NO_DIR;
		*name = h->name;
		*len = h->len;
		return h->dir;
	}
	e = tree_entry(&w->tree, d->parent, d->rec);
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
