/*
 * Letting go of what no root wants any more. A large tree is cut off at once; the watches and the
 * memory of its nodes are given back a few at a time, for all that would hold the loop.
 */
#include "watcher/engine.h"

#define MANY   4096 /* entries: to go through them takes a third of a millisecond */
#define A_FEW  128  /* nodes are given back between looks at the clock */

/* Counts entries at and below a node until there are none `left` to count. */
static bool holds_many(const struct tree *t, uint32_t dir, unsigned *left)
{
	uint32_t rec;

	for (rec = tree_next(t, dir, NO_REC); rec != NO_REC; rec = tree_next(t, dir, rec)) {
		struct entry e = tree_entry(t, dir, rec);

		if (*left == 0 || (e.node != NO_DIR && holds_many(t, e.node, left)))
			return true;
		--*left;
	}
	return false;
}

bool watcher__wants_all(const struct watcher *w, uint32_t dir, const struct root *but)
{
	for (; dir != NO_DIR; dir = tree_dir(&w->tree, dir)->parent)
		for (const struct root *r = tree_dir(&w->tree, dir)->roots; r; r = r->next_at_node)
			if (r != but && !r->watch->removed && !r->single && !r->filter && !r->watch->depth)
				return true;
	return false;
}

static void release(struct watcher *w, uint32_t dir)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR)
			release(w, e.node);
	}
	if (watcher__covered(w, dir))
		return;
	/* Roots below stay, on top of their own trees. */
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR && tree_dir(&w->tree, e.node)->roots)
			tree_detach(&w->tree, dir, rec);
	}
	watcher__node_drop(w, dir);
}

/* Is a node with roots below another, and nothing between them has any? */
static bool is_first_below(const struct tree *t, uint32_t node, uint32_t top)
{
	do
		node = tree_dir(t, node)->parent;
	while (node != NO_DIR && node != top && !tree_dir(t, node)->roots);
	return node == top;
}

static void spare_roots_below(struct watcher *w, uint32_t top)
{
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		struct dir *d = tree_dir(&w->tree, i);

		if (!(d->flags & DIR_USED) || !d->roots || !is_first_below(&w->tree, i, top))
			continue;
		tree_detach(&w->tree, d->parent, d->rec);
		watcher__release(w, i);
	}
}

/* Their watches still count as such, until they end. */
static void cut(struct watcher *w, uint32_t dir)
{
	spare_roots_below(w, dir);
	watcher__node_uproot(w, dir);
	tree_cut(&w->tree, dir);
	watcher__pump_soon(w);
}

bool watcher__is_moving(const struct watcher *w, uint32_t dir)
{
	while (tree_dir(&w->tree, dir)->parent != NO_DIR)
		dir = tree_dir(&w->tree, dir)->parent;
	return watcher__is_half(w, dir);
}

void watcher__release(struct watcher *w, uint32_t dir)
{
	unsigned left = MANY;

	if (watcher__wants_all(w, dir, NULL) || watcher__is_moving(w, dir))
		return;
	/* Numbers of nodes that are cut off may stay in use where each is a watch of its own. */
	if (w->nsources == 1 && w->sources[0].ops->caps & BACKEND_SLOW_UNWATCH &&
	    holds_many(&w->tree, dir, &left) && !watcher__covered(w, dir))
		cut(w, dir);
	else
		release(w, dir);
}

static void give_back(struct watcher *w)
{
	uint32_t dir = w->tree.cut;
	const struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = &w->sources[d->backend];
	int32_t id = d->id;

	/* Another node may have the number by now. */
	if (id >= 0 && ids_get(&s->nodes, id) == dir) {
		ids_erase(&s->nodes, id);
		if (ids_get(&s->anchors, id) == IDS_NONE)
			s->ops->unwatch(s->backend, id);
	}
	tree_cut_free(&w->tree);
}

bool watcher__cut_rest(struct watcher *w, uint64_t until)
{
	for (unsigned n = 1; w->tree.cut != NO_DIR; n++) {
		give_back(w);
		if (n % A_FEW == 0 && w->tree.cut != NO_DIR && uv_hrtime() > until)
			return false;
	}
	return true;
}
