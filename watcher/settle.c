/*
 * The announcing half of a pass: see look.h.
 *
 * Order: directories before what is in them; a name is freed before it is taken; moves out of
 * a directory before its end; ends after everything that may have come out of them, deepest
 * first; last, files whose content changed. Where moves form a ring (two names swapped), one
 * of them is told as deleted and created.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "watcher/filter.h"
#include "watcher/look.h"

/* ---- what follows for everything below a directory ---- */

/* Calls one() for every announced entry below `node`, with its path relative to it behind what
 * `rel` holds already; `after`: the content of a directory before the directory. */
typedef void below_cb(struct watcher *w, const struct bytes *rel, const struct entry *e,
		      void *arg);

static void walk_below(struct watcher *w, uint32_t node, struct bytes *rel, bool after,
		       below_cb *one, void *arg)
{
	size_t len = rel->len;
	uint32_t rec;

	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		struct entry e = tree_entry(&w->tree, node, rec);

		if (e.marks & (ENTRY_NEW | ENTRY_DOOMED))
			continue;
		if (bytes_addc(rel, '/') < 0 || bytes_add(rel, e.name, e.len) < 0) {
			w->gap = true;
			return;
		}
		if (!after)
			one(w, rel, &e, arg);
		if (e.node != NO_DIR)
			walk_below(w, e.node, rel, after, one, arg);
		if (after)
			one(w, rel, &e, arg);
		rel->len = len;
	}
}

static void gone_one(struct watcher *w, const struct bytes *rel, const struct entry *e, void *arg)
{
	struct news n = *(const struct news *)arg;

	n.kind = WATCHER_DELETED;
	n.name = rel->data;
	n.len = rel->len;
	n.type = e->type;
	n.ino = e->ino;
	n.sub_move = true;
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
		walk_below(w, node, &rel, true, gone_one, &n);
	bytes_free(&rel);
}

void watcher__emit_gone_in(struct watcher *w, const struct news *like, uint32_t node)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		struct entry e = tree_entry(&w->tree, node, rec);
		struct bytes name = { 0 };
		struct news n = *like;

		if (e.marks & (ENTRY_NEW | ENTRY_DOOMED))
			continue;
		n.dir = node;
		if (e.node != NO_DIR)
			watcher__emit_gone_below(w, &n, node, e.name, e.len, e.node);
		if (bytes_add(&name, e.name, e.len) < 0)
			w->gap = true;
		else
			gone_one(w, &name, &e, &n);
		bytes_free(&name);
	}
}

static void created_one(struct watcher *w, const struct bytes *rel, const struct entry *e,
			void *arg)
{
	struct news n = *(const struct news *)arg;

	n.name = rel->data;
	n.len = rel->len;
	n.type = e->type;
	n.ino = e->ino;
	n.sub_move = true;
	watcher__emit(w, &n);
}

/* A directory that came with its content: both are told as created. */
static void emit_created_below(struct watcher *w, struct news *n, uint32_t node)
{
	struct bytes rel = { 0 };

	if (bytes_add(&rel, n->name, n->len) < 0)
		w->gap = true;
	else
		walk_below(w, node, &rel, false, created_one, n);
	bytes_free(&rel);
}

struct moved_below {
	struct news like;
	struct bytes src;
	size_t src_len, dest_len;
};

static void moved_one(struct watcher *w, const struct bytes *rel, const struct entry *e,
		      void *arg)
{
	struct moved_below *m = arg;
	struct news n = m->like;

	m->src.len = m->src_len;
	if (bytes_add(&m->src, rel->data + m->dest_len, rel->len - m->dest_len) < 0) {
		w->gap = true;
		return;
	}
	n.name = m->src.data;
	n.len = m->src.len;
	n.dest = rel->data;
	n.dest_len = rel->len;
	n.type = e->type;
	n.ino = e->ino;
	n.synthetic = n.sub_move = true;
	n.cookie = 0;
	watcher__emit(w, &n);
}

void watcher__emit_moved_below(struct watcher *w, const struct news *like, uint32_t node)
{
	struct moved_below m = { .like = *like, .src_len = like->len, .dest_len = like->dest_len };
	struct bytes rel = { 0 };

	if (bytes_add(&m.src, like->name, like->len) < 0 ||
	    bytes_add(&rel, like->dest, like->dest_len) < 0)
		w->gap = true;
	else
		walk_below(w, node, &rel, false, moved_one, &m);
	bytes_free(&rel);
	bytes_free(&m.src);
}

/* ---- matching ---- */

/* Everything below a directory that is gone is gone, but for what was found elsewhere. */
static void expand(struct watcher *w, size_t i)
{
	struct look *l = w->look;
	struct departure d = l->departures[i];
	struct entry e;
	uint32_t node, rec;

	if (!tree_alive(&w->tree, d.dir, d.gen))
		return;
	e = tree_entry(&w->tree, d.dir, d.rec);
	if (!d.had_node)
		return;
	if (e.node == NO_DIR) { /* it was found elsewhere and has left this entry */
		l->departures[i].done = true;
		return;
	}
	node = e.node;
	l->departures[i].inside = (uint32_t)l->ndepartures;
	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		e = tree_entry(&w->tree, node, rec);
		if (e.marks & (ENTRY_NEW | ENTRY_DOOMED))
			continue;
		tree_set_marks(&w->tree, node, rec, ENTRY_DOOMED);
		if (watcher__look_room(l, (void **)&l->departures, l->ndepartures,
				       &l->departures_cap, sizeof *l->departures))
			l->departures[l->ndepartures++] = (struct departure){
				node, tree_dir(&w->tree, node)->gen, rec, e.ino, e.type, false,
				e.node != NO_DIR, NO_ITEM, 0, 0
			};
	}
	l->departures[i].ninside = (uint32_t)l->ndepartures - l->departures[i].inside;
}

static int by_ino_arrival(const void *a, const void *b, void *look)
{
	const struct look *l = look;
	uint64_t x = l->arrivals[*(const uint32_t *)a].ino, y = l->arrivals[*(const uint32_t *)b].ino;

	return x < y ? -1 : x > y;
}

/* Was this inode born after the changes were lost? Then it is a new file in an old number. */
static bool born_later(struct watcher *w, const struct arrival *a)
{
#ifdef STATX_BTIME
	const char *path;
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);
	struct statx st;

	path = watcher__path(w, a->dir, e.name, e.len);
	if (!path || statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st) < 0 ||
	    !(st.stx_mask & STATX_BTIME))
		return false;
	return st.stx_btime.tv_sec * INT64_C(1000000000) + st.stx_btime.tv_nsec >=
	       w->look->since_ns;
#else
	(void)w;
	(void)a;
	return false;
#endif
}

static void match_one(struct watcher *w, uint32_t di, const uint32_t *order, size_t n)
{
	struct look *l = w->look;
	struct departure *d = &l->departures[di];
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->arrivals[order[mid]].ino < d->ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < n && l->arrivals[order[lo]].ino == d->ino; lo++) {
		struct arrival *a = &l->arrivals[order[lo]];

		if (a->departure != NO_ITEM || a->from || a->type != d->type ||
		    (a->dir == d->dir && a->replaces) || born_later(w, a))
			continue;
		a->departure = di;
		d->arrival = order[lo];
		return;
	}
}

/* Moves: the same inode and type gone in one place and new in another. */
static int match(struct watcher *w)
{
	struct look *l = w->look;
	uint32_t *order;
	size_t n = 0;

	if (!l->narrivals || !l->ndepartures)
		return 0;
	if (!(order = malloc(l->narrivals * sizeof *order)))
		return UV_ENOMEM;
	for (uint32_t i = 0; i < l->narrivals; i++)
		if (l->arrivals[i].ino && !l->arrivals[i].from)
			order[n++] = i;
	qsort_r(order, n, sizeof *order, by_ino_arrival, l);
	for (uint32_t i = 0; i < l->ndepartures; i++)
		if (!l->departures[i].done && l->departures[i].ino)
			match_one(w, i, order, n);
	free(order);
	return 0;
}

/* ---- announcing ---- */

static struct news news_for(struct watcher *w, int kind, int type, uint64_t ino)
{
	return (struct news){ .kind = kind,
			      .type = type,
			      .ino = ino,
			      .time_ns = w->now_ns,
			      .synthetic = true,
			      .complete = true,
			      .recovered = w->look->everywhere };
}

static void announce_arrival(struct watcher *w, uint32_t i, int depth);

/* A departure that turned out not to be a move, or whose move cannot be told as one. */
static void announce_end(struct watcher *w, uint32_t i, int depth)
{
	struct look *l = w->look;
	struct departure *d = &l->departures[i];
	struct news n;
	struct entry e;

	if (d->done || !tree_alive(&w->tree, d->dir, d->gen))
		return;
	d->done = true;
	if (d->arrival != NO_ITEM) {
		l->arrivals[d->arrival].departure = NO_ITEM;
		d->arrival = NO_ITEM;
	}
	for (uint32_t k = d->inside; k < d->inside + d->ninside; k++) {
		if (!l->departures[k].done && l->departures[k].arrival != NO_ITEM && depth < 32)
			announce_arrival(w, l->departures[k].arrival, depth + 1);
		announce_end(w, k, depth + 1);
	}
	n = news_for(w, WATCHER_DELETED, d->type, d->ino);
	e = tree_entry(&w->tree, d->dir, d->rec);
	n.dir = d->dir;
	n.name = e.name;
	n.len = e.len;
	watcher__emit(w, &n);
}

static uint32_t find_arrival(const struct look *l, uint32_t dir, uint32_t rec)
{
	for (uint32_t i = 0; i < l->narrivals; i++)
		if (l->arrivals[i].dir == dir && l->arrivals[i].rec == rec)
			return i;
	return NO_ITEM;
}

/* What is above an arrival is announced before it. */
static void announce_above(struct watcher *w, uint32_t dir, int depth)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	uint32_t i;

	if (d->parent == NO_DIR || !(tree_entry(&w->tree, d->parent, d->rec).marks & ENTRY_NEW))
		return;
	i = find_arrival(w->look, d->parent, d->rec);
	if (i != NO_ITEM)
		announce_arrival(w, i, depth);
}

/* What has left the name that an arrival takes is told before. */
static void announce_origins(struct watcher *w, const struct arrival *a, int depth)
{
	struct look *l = w->look;
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);

	for (uint32_t i = 0; l->norigins && i < l->narrivals; i++) {
		const struct arrival *o = &l->arrivals[i];

		if (o->from && !o->done && o->from_dir == a->dir && o->from_len == e.len &&
		    memcmp(o->from, e.name, e.len) == 0)
			announce_arrival(w, i, depth);
	}
}

static void announce_move(struct watcher *w, struct arrival *a, const struct entry *e)
{
	struct look *l = w->look;
	struct news n = news_for(w, WATCHER_MOVED, a->type, a->ino);
	struct entry old;

	n.dest_dir = a->dir;
	n.dest = e->name;
	n.dest_len = e->len;
	if (a->from) {
		n.dir = a->from_dir;
		n.name = a->from;
		n.len = a->from_len;
	} else {
		struct departure *d = &l->departures[a->departure];

		d->done = true;
		old = tree_entry(&w->tree, d->dir, d->rec);
		n.dir = d->dir;
		n.name = old.name;
		n.len = old.len;
	}
	watcher__emit(w, &n);
	if (a->node != NO_DIR)
		watcher__emit_moved_below(w, &n, a->node);
}

/* Has the name it came from been taken, and told of, in the meantime? (Names were swapped.) */
static bool origin_taken(struct watcher *w, const struct arrival *a)
{
	uint32_t rec;

	if (!tree_alive(&w->tree, a->from_dir, a->from_gen))
		return true;
	rec = tree_find(&w->tree, a->from_dir, a->from, a->from_len);
	return rec != NO_REC &&
	       !(tree_entry(&w->tree, a->from_dir, rec).marks & ENTRY_NEW);
}

static bool above_is_new(struct watcher *w, const struct arrival *a)
{
	const struct dir *d = tree_dir(&w->tree, a->dir);

	return d->parent != NO_DIR && tree_entry(&w->tree, d->parent, d->rec).marks & ENTRY_NEW;
}

/* A directory that moved below what has taken its old name: the move cannot be told as one.
 * Its end is told now, and its arrival as something created in its turn. */
static void break_ring(struct watcher *w, struct arrival *a)
{
	struct news n = news_for(w, WATCHER_DELETED, a->type, a->ino);

	n.dir = a->from_dir;
	n.name = a->from;
	n.len = a->from_len;
	if (tree_alive(&w->tree, a->from_dir, a->from_gen)) {
		if (a->node != NO_DIR)
			watcher__emit_gone_below(w, &n, n.dir, n.name, n.len, a->node);
		watcher__emit(w, &n);
	}
	free(a->from);
	a->from = NULL;
	w->look->norigins--;
}

static void announce_arrival(struct watcher *w, uint32_t i, int depth)
{
	struct look *l = w->look;
	struct arrival *a = &l->arrivals[i];
	bool replaced = false;
	struct entry e;
	struct news n;
	uint32_t twin;

	if (a->done || a->busy || !tree_alive(&w->tree, a->dir, a->gen))
		return;
	a->busy = true;
	if (depth < 64)
		announce_above(w, a->dir, depth + 1);
	if (depth && a->from && above_is_new(w, a)) {
		break_ring(w, a);
		a->busy = false;
		return;
	}
	announce_origins(w, a, depth + 1);
	twin = a->twin;
	if (twin != NO_ITEM && l->departures[twin].arrival != NO_ITEM && depth < 64)
		announce_arrival(w, l->departures[twin].arrival, depth + 1);
	if (twin != NO_ITEM && !l->departures[twin].done) {
		if (a->replaces && a->departure == NO_ITEM && !a->from &&
		    l->departures[twin].arrival == NO_ITEM)
			l->departures[twin].done = replaced = true;
		else if (a->departure == NO_ITEM || a->type == WATCHER_TYPE_DIR ||
			 l->departures[twin].type == WATCHER_TYPE_DIR)
			announce_end(w, twin, depth + 1);
		else
			l->departures[twin].done = true; /* overwritten by the move */
	}
	a = &l->arrivals[i];
	a->done = true;
	e = tree_entry(&w->tree, a->dir, a->rec);
	tree_set_marks(&w->tree, a->dir, a->rec, 0);
	if (a->departure != NO_ITEM && l->departures[a->departure].done)
		a->departure = NO_ITEM;
	if (a->departure != NO_ITEM || (a->from && !origin_taken(w, a))) {
		announce_move(w, a, &e);
		return;
	}
	n = news_for(w, replaced ? WATCHER_MODIFIED : WATCHER_CREATED, a->type, a->ino);
	n.dir = a->dir;
	n.name = e.name;
	n.len = e.len;
	watcher__emit(w, &n);
	if (a->node != NO_DIR)
		emit_created_below(w, &n, a->node);
}

/* The doomed entries leave the index, with the nodes that are still theirs. */
static void bury(struct watcher *w)
{
	struct look *l = w->look;

	for (size_t i = l->ndepartures; i-- > 0;) {
		struct departure *d = &l->departures[i];
		struct entry e;

		if (!tree_alive(&w->tree, d->dir, d->gen))
			continue;
		e = tree_entry(&w->tree, d->dir, d->rec);
		if (!e.type || !(e.marks & ENTRY_DOOMED))
			continue;
		if (e.node != NO_DIR)
			watcher__node_drop(w, e.node);
		tree_erase(&w->tree, d->dir, d->rec);
	}
}

static void announce_changed(struct watcher *w)
{
	struct look *l = w->look;

	for (size_t i = 0; i < l->nchanged; i++) {
		struct entry e = tree_entry(&w->tree, l->changed[i].dir, l->changed[i].gen);
		struct news n = news_for(w, WATCHER_MODIFIED, e.type, e.ino);

		if (!e.type || e.marks & (ENTRY_NEW | ENTRY_DOOMED))
			continue;
		n.dir = l->changed[i].dir;
		n.name = e.name;
		n.len = e.len;
		watcher__emit(w, &n);
	}
}

void watcher__settle(struct watcher *w)
{
	struct look *l = w->look;

	if (l->ndepartures)
		watcher__halves_expire(w, UINT64_MAX);
	for (size_t i = 0; i < l->ndepartures; i++)
		expand(w, i);
	if (match(w) < 0)
		l->failed = true;
	for (uint32_t i = 0; i < l->narrivals; i++)
		announce_arrival(w, i, 0);
	for (uint32_t i = 0; i < l->ndepartures; i++)
		announce_end(w, i, 0);
	announce_changed(w);
	bury(w);
	for (size_t i = 0; i < l->narrivals; i++)
		free(l->arrivals[i].from);
	l->narrivals = l->ndepartures = l->nchanged = l->norigins = 0;
}
