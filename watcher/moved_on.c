/*
 * Moves of directories of which something has moved on: it was in them when they began to move, and is
 * told to move from where they are then. So it comes and ends there for those who see only one of
 * the two places.
 */
#include "watcher/look.h"

int watcher__note_left(struct watcher *w, const struct arrival *a)
{
	struct ids *left = &w->look->left;
	uint32_t dir = tree_alive(&w->tree, a->from_dir, a->from_gen) ? a->from_dir : NO_DIR;

	for (; dir != NO_DIR; dir = tree_dir(&w->tree, dir)->parent) {
		if (ids_get(left, (int32_t)dir) != IDS_NONE)
			break;
		if (ids_set(left, (int32_t)dir, 0) < 0)
			return UV_ENOMEM;
	}
	return 0;
}

bool watcher__has_left(const struct watcher *w, uint32_t node)
{
	return node != NO_DIR && ids_get(&w->look->left, (int32_t)node) != IDS_NONE;
}

/* Was it in that directory, as those know that who were told of everything so far? What it was in may
 * be on its way there only now. */
static bool was_in(struct watcher *w, const struct arrival *o, uint32_t node)
{
	const struct arrival *between;

	if (!o->from || o->done || !tree_alive(&w->tree, o->from_dir, o->from_gen) ||
	    !tree_is_below(&w->tree, o->from_dir, node))
		return false;
	for (uint32_t dir = o->from_dir; dir != node; dir = tree_dir(&w->tree, dir)->parent) {
		between = watcher__arrival_at(w, dir);
		if (between && !between->done)
			return false;
	}
	return true;
}

/* What has moved on out of a directory that moves: its own move is told after this, as one from where
 * the directory is then. To those who do not see that place it ends before the directory does. */
static void end_moved_on(struct watcher *w, uint32_t node, const struct news *like, int depth)
{
	struct look *l = w->look;

	for (size_t i = 0; i < l->norigins && depth < DEEP; i++) {
		const struct arrival *o = &l->arrivals[l->origins[i]];
		struct news n = *like;

		if (!was_in(w, o, node))
			continue;
		n.type = o->type;
		n.ino = o->ino;
		if (watcher__has_left(w, o->node))
			end_moved_on(w, o->node, like, depth + 1);
		news_at(&n, o->from_dir, o->from, o->from_len);
		if (o->node != NO_DIR)
			watcher__emit_gone_below(w, &n, n.dir, n.name, n.len, o->node);
		watcher__emit(w, &n);
	}
}

/* The same for those who see only that place: it comes there with the directory, and then moves. */
static void come_moved_on(struct watcher *w, uint32_t node, const struct news *like, int depth)
{
	struct look *l = w->look;

	for (size_t i = 0; i < l->norigins && depth < DEEP; i++) {
		const struct arrival *o = &l->arrivals[l->origins[i]];
		struct news n = *like;

		if (!was_in(w, o, node))
			continue;
		n.type = o->type;
		n.ino = o->ino;
		news_at(&n, o->from_dir, o->from, o->from_len);
		watcher__emit(w, &n);
		if (o->node == NO_DIR)
			continue;
		watcher__emit_created_below(w, &n, o->node);
		if (watcher__has_left(w, o->node))
			come_moved_on(w, o->node, like, depth + 1);
	}
}

void watcher__announce_whole_move(struct watcher *w, struct arrival *a, struct news *n)
{
	const struct news dest = { .dir = n->dest_dir, .name = n->dest, .len = n->dest_len };
	const struct news from = { .dir = n->dir, .name = n->name, .len = n->len };
	struct news like = watcher__news_found(w, WATCHER_DELETED, 0, 0);

	like.grafted = true; /* to a root in it, or that it is itself, nothing has moved but those */
	like.known_to = a->node;
	like.onto = &dest;
	if (watcher__ends_for_some(w, n))
		end_moved_on(w, a->node, &like, 0);
	watcher__emit_moved(w, n, a->node);
	a->done = true; /* what was in it is found where it is now */
	like.kind = WATCHER_CREATED;
	like.onto = &from;
	like.sub_move = true;
	like.complete = false;
	come_moved_on(w, a->node, &like, 0);
}
