/*
 * A root's own tree, found where a wider root has a directory: it becomes a part of that one's tree.
 *
 * What is in it is news, but not to the roots that it has already. A pass changes nothing of that
 * before its end: until all that it has found is told, to those who have that tree on its own, what
 * is in it is nothing to those above. Then they are told of it as it is. See look.h.
 */
#include <string.h>

#include "watcher/look.h"

bool watcher__is_root_here(struct watcher *w, uint32_t dir, uint32_t owner)
{
	const struct dir *o = tree_dir(&w->tree, owner);
	const char *path;

	if (o->parent != NO_DIR || !o->roots || watcher__is_half(w, owner))
		return false;
	if (tree_dir(&w->tree, dir)->flags & DIR_LINK)
		return true;
	path = watcher__path(w, dir, NULL, 0);
	return path && strcmp(path, o->roots->real) == 0;
}

bool watcher__graft_due(const struct watcher *w, uint32_t dir)
{
	const char *top;
	size_t len;

	while (tree_dir(&w->tree, dir)->parent != NO_DIR)
		dir = tree_dir(&w->tree, dir)->parent;
	if (!tree_dir(&w->tree, dir)->roots)
		return false;
	top = tree_dir(&w->tree, dir)->roots->real;
	LIST_EACH(it, next, &w->watches) {
		LIST_EACH(ri, rnext, &LIST_ENTRY(it, struct watcher_watch, link)->roots) {
			const struct root *root = LIST_ENTRY(ri, struct root, link);

			len = root->real ? strlen(root->real) : 0;
			if (root->node != NO_DIR && root->node != dir && !root->single &&
			    strncmp(root->real, top, len) == 0 && (len == 1 || top[len] == '/'))
				return true;
		}
	}
	return false;
}

static bool may_hold(const struct watcher *w, uint32_t fresh, uint32_t top)
{
	const struct dir *f = tree_dir(&w->tree, fresh);

	return f->parent != NO_DIR && !f->roots && !f->count &&
	       !tree_is_below(&w->tree, f->parent, top);
}

static void graft(struct watcher *w, uint32_t fresh, uint32_t top)
{
	struct dir *f = tree_dir(&w->tree, fresh), *t = tree_dir(&w->tree, top);
	uint32_t dir = f->parent, rec = f->rec;
	bool narrow = t->flags & DIR_NARROW;

	if (narrow && t->flags & DIR_LOOKED)
		watcher__node_limbo(w, top); /* read by this pass already, and not all of it */
	t->flags = (uint16_t)((t->flags & ~DIR_NARROW) | (f->flags & DIR_LINK));
	tree_detach(&w->tree, dir, rec);
	watcher__node_unwatch(w, fresh);
	tree_dir_free(&w->tree, fresh);
	tree_attach(&w->tree, dir, rec, top);
	watcher__rules_arrived(w, top);
	/* What is read silently would be no news to those who have the tree. */
	if (narrow || !w->look->silent)
		watcher__look_at(w, top);
	watcher__reconsider(w, top); /* what only those above want */
}

bool watcher__graft(struct watcher *w, uint32_t fresh, uint32_t top)
{
	struct look *l = w->look;

	if (!may_hold(w, fresh, top))
		return false;
	if (l->silent) {
		graft(w, fresh, top);
		return true;
	}
	if (watcher__look_room(l, (void **)&l->grafts, l->ngrafts, &l->grafts_cap,
			       sizeof *l->grafts))
		l->grafts[l->ngrafts++] =
		    (struct graft){ .fresh = { fresh, tree_dir(&w->tree, fresh)->gen },
				    .top = { top, tree_dir(&w->tree, top)->gen },
				    .recovered = l->everywhere };
	return true;
}

/* Has half of a move left the tree? Its end is still to be told, and not to those above. */
static bool misses_half(const struct watcher *w, uint32_t top)
{
	for (uint32_t i = 0; i < w->nhalves; i++)
		if (tree_alive(&w->tree, w->halves[i].dir, w->halves[i].gen) &&
		    tree_is_below(&w->tree, w->halves[i].dir, top))
			return true;
	return w->npushed > 0;
}

/* Is all still as the pass has found it, and the name told of to those above? What is still to be
 * read for the first time is news to nobody then: it is read before. */
static bool may_graft(struct watcher *w, const struct graft *g)
{
	const struct dir *f = tree_dir(&w->tree, g->fresh.dir);

	return !watcher__late_active(w) && tree_alive(&w->tree, g->top.dir, g->top.gen) &&
	       may_hold(w, g->fresh.dir, g->top.dir) &&
	       !(tree_entry(&w->tree, f->parent, f->rec).marks & (ENTRY_NEW | ENTRY_DOOMED)) &&
	       watcher__is_root_here(w, g->fresh.dir, g->top.dir) && !misses_half(w, g->top.dir);
}

static void tell_grafted(struct watcher *w, const struct graft *g)
{
	const struct dir *t = tree_dir(&w->tree, g->top.dir);
	struct entry e = tree_entry(&w->tree, t->parent, t->rec);
	struct news n = { .kind = WATCHER_CREATED,
			  .dir = t->parent,
			  .name = e.name,
			  .len = e.len,
			  .time_ns = w->now_ns,
			  .synthetic = true,
			  .recovered = g->recovered,
			  .grafted = true,
			  .known_to = g->top.dir };

	watcher__emit_created_below(w, &n, g->top.dir);
}

void watcher__grafts_make(struct watcher *w)
{
	struct look *l = w->look;

	for (size_t i = 0; i < l->ngrafts; i++) {
		const struct graft *g = &l->grafts[i];

		if (!tree_alive(&w->tree, g->fresh.dir, g->fresh.gen))
			continue;
		if (!may_graft(w, g)) {
			watcher__node_limbo(w, g->fresh.dir);
			continue;
		}
		graft(w, g->fresh.dir, g->top.dir);
		tell_grafted(w, g);
	}
	l->ngrafts = 0;
}
