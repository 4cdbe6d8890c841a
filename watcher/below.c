/*
 * What the end, the creation or the move of a directory is for everything below it: an event
 * each, with the path put together on the way down. See look.h.
 */
#include <string.h>

#include "watcher/apply.h"
#include "watcher/look.h"
#include "watcher/within.h"

/* Calls one() for every announced entry below `node`, with the way to it behind what `rel` holds
 * already. */
typedef void below_cb(struct watcher *w, const struct bytes *rel, const struct entry *e, void *arg);

enum walk {
	BEFORE, /* a directory before its content */
	AFTER   /* ... and after it */
};

/* The next of what is told to be in a node; its name is put behind the first `len` bytes of `rel`. */
static bool next_in(struct watcher *w, uint32_t node, struct told_one *t, struct bytes *rel,
		    size_t len)
{
	rel->len = len;
	if (!watcher__told_next(w, node, t))
		return false;
	if ((!len || bytes_addc(rel, '/') == 0) && bytes_add(rel, t->e.name, t->e.len) == 0)
		return true;
	w->gap = true;
	return false;
}

static void walk_below(struct watcher *w, uint32_t node, struct bytes *rel, enum walk how,
		       below_cb *one, void *arg)
{
	size_t len = rel->len;
	struct told_one t = TOLD_NONE;

	while (next_in(w, node, &t, rel, len)) {
		if (how != AFTER)
			one(w, rel, &t.e, arg);
		if (t.e.node != NO_DIR)
			walk_below(w, t.e.node, rel, how, one, arg);
		if (how == AFTER)
			one(w, rel, &t.e, arg);
	}
}

/* Of what has moved, as Watchdog tells it: the directories, the rest, then what is in them. */
enum pass { DIRECTORIES, OTHERS, INSIDE };

static bool has_turn(const struct entry *e, enum pass pass)
{
	if (pass == INSIDE)
		return e->node != NO_DIR;
	return (e->type == WATCHER_TYPE_DIR) == (pass == DIRECTORIES);
}

static void walk_levels(struct watcher *w, uint32_t node, struct bytes *rel, enum pass pass,
			below_cb *one, void *arg)
{
	size_t len = rel->len;
	struct told_one t = TOLD_NONE;

	while (next_in(w, node, &t, rel, len)) {
		if (!has_turn(&t.e, pass))
			continue;
		if (pass != INSIDE)
			one(w, rel, &t.e, arg);
		for (int next = DIRECTORIES; pass == INSIDE && next <= INSIDE; next++)
			walk_levels(w, t.e.node, rel, (enum pass)next, one, arg);
	}
}

/* News like that of what is there. */
static struct news news_below(struct watcher *w, const struct news *like, const struct bytes *rel,
			      const struct entry *e)
{
	struct news n = *like;

	n.name = rel->data;
	n.len = rel->len;
	n.type = watcher__type_of_entry(w, e);
	n.ino = e->ino;
	n.sub_move = true;
	return n;
}

static void gone_one(struct watcher *w, const struct bytes *rel, const struct entry *e, void *arg)
{
	struct news n = news_below(w, arg, rel, e);

	n.kind = WATCHER_DELETED;
	n.synthetic = true;
	watcher__emit(w, &n);
}

void watcher__emit_gone_below(struct watcher *w, const struct news *like, uint32_t dir,
			      const char *name, size_t len, uint32_t node)
{
	struct news n = *like;
	struct bytes rel = { 0 };

	n.dir = dir;
	n.dest = NULL;
	n.half_move = n.complete = false;
	if (bytes_add(&rel, name, len) < 0)
		w->gap = true;
	else
		walk_below(w, node, &rel, AFTER, gone_one, &n);
	bytes_free(&rel);
}

static void created_one(struct watcher *w, const struct bytes *rel, const struct entry *e, void *arg)
{
	struct news n = news_below(w, arg, rel, e);

	watcher__emit(w, &n);
}

void watcher__emit_created_below(struct watcher *w, struct news *n, uint32_t node)
{
	struct bytes rel = { 0 };

	if (bytes_add(&rel, n->name, n->len) < 0)
		w->gap = true;
	else
		walk_below(w, node, &rel, BEFORE, created_one, n);
	bytes_free(&rel);
}

void watcher__emit_created_in(struct watcher *w, const struct news *like, uint32_t node)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		struct entry e = tree_entry(&w->tree, node, rec);
		struct news n = *like;

		if (e.marks & (ENTRY_NEW | ENTRY_DOOMED))
			continue;
		n.dir = node;
		n.name = e.name;
		n.len = e.len;
		n.type = watcher__type_of_entry(w, &e);
		n.ino = e.ino;
		watcher__emit(w, &n);
		if (e.node != NO_DIR)
			watcher__emit_created_below(w, &n, e.node);
	}
}

struct moved_below {
	struct news like;
	struct bytes src;
	size_t src_len, dest_len;
};

static void moved_one(struct watcher *w, const struct bytes *rel, const struct entry *e, void *arg)
{
	struct moved_below *m = arg;
	struct news n = news_below(w, &m->like, rel, e);

	m->src.len = m->src_len;
	if (bytes_add(&m->src, n.name + m->dest_len, n.len - m->dest_len) < 0) {
		w->gap = true;
		return;
	}
	n.dest = n.name;
	n.dest_len = n.len;
	n.name = m->src.data;
	n.len = m->src.len;
	n.synthetic = true;
	watcher__emit(w, &n);
}

static void moved_below(struct watcher *w, const struct news *like, uint32_t node, bool ending)
{
	struct moved_below m = { .like = *like, .src_len = like->len, .dest_len = like->dest_len };
	struct bytes rel = { 0 };

	m.like.ending = ending;
	if (bytes_add(&m.src, like->name, like->len) < 0 ||
	    bytes_add(&rel, like->dest, like->dest_len) < 0)
		w->gap = true;
	else if (ending)
		walk_below(w, node, &rel, AFTER, moved_one, &m);
	else
		for (int pass = DIRECTORIES; pass <= INSIDE; pass++)
			walk_levels(w, node, &rel, (enum pass)pass, moved_one, &m);
	bytes_free(&rel);
	bytes_free(&m.src);
}

void watcher__emit_moved(struct watcher *w, struct news *n, uint32_t node)
{
	if (node != NO_DIR && watcher__ends_for_some(w, n))
		moved_below(w, n, node, true);
	watcher__emit(w, n);
	if (node == NO_DIR)
		return;
	moved_below(w, n, node, false);
	watcher__over_below(w, node);
}
