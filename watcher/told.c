/*
 * Places as those know them who were told of everything so far. In a pass the index is ahead of
 * them: what was found elsewhere is there already, and its move is not announced yet. See look.h.
 */
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

/* Where they have a directory: below the node that is given back, by the path in `rel` (empty: it
 * is that node). */
static uint32_t told_place(struct watcher *w, uint32_t dir, struct bytes *rel)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	const struct arrival *a = watcher__arrival_at(w, dir);
	struct entry e;
	uint32_t base;
	int r = 0;

	if (d->parent == NO_DIR) {
		bytes_clear(rel);
		return dir;
	}
	if (a && a->from && !a->done && tree_alive(&w->tree, a->from_dir, a->from_gen)) {
		base = told_place(w, a->from_dir, rel);
		if (rel->len)
			r = bytes_addc(rel, '/');
		if (r < 0 || bytes_add(rel, a->from, a->from_len) < 0)
			w->gap = true;
		return base;
	}
	base = told_place(w, d->parent, rel);
	if (!rel->len)
		return dir;
	e = tree_entry(&w->tree, d->parent, d->rec);
	if (bytes_addc(rel, '/') < 0 || bytes_add(rel, e.name, e.len) < 0)
		w->gap = true;
	return base;
}

void watcher__tell_at(struct watcher *w, struct news *n, uint32_t dir, const char *name, size_t len)
{
	struct bytes *rel = &w->look->told;

	n->dir = told_place(w, dir, rel);
	n->name = name;
	n->len = len;
	if (!rel->len)
		return;
	if (bytes_addc(rel, '/') < 0 || bytes_add(rel, name, len) < 0)
		w->gap = true;
	n->name = rel->data;
	n->len = rel->len;
}

void watcher__as_told(struct watcher *w, struct news *n)
{
	if (w->look->active)
		watcher__tell_at(w, n, n->dir, n->name, n->len);
}
