/*
 * The announcing half of a pass: see look.h.
 *
 * Order: directories before what is in them; a name is freed before it is taken; moves out of
 * a directory before its end; ends after everything that may have come out of them, deepest
 * first; last, files whose content changed.
 *
 * What has to be told before something else is gone after, and told. Where that leads back to where
 * it began, as with two names that were swapped, one of the moves is told as deleted and created:
 * what is to leave ends at once, where it is told to be (told.c), with all that is told to be in
 * it. For that nothing needs to be told before, so whatever has moved, it always can be.
 */
#include <stdlib.h>
#include <string.h>

#include "watcher/apply.h"
#include "watcher/look.h"

struct news watcher__news_found(const struct watcher *w, int kind, int type, uint64_t ino)
{
	return (struct news){ .kind = kind,
			      .type = type,
			      .ino = ino,
			      .time_ns = w->now_ns,
			      .synthetic = true,
			      /* What is new may still be written to, or filled. */
			      .complete = kind != WATCHER_CREATED,
			      .recovered = w->look->everywhere };
}

static void announce_arrival(struct watcher *w, uint32_t i, int depth);
static void announce_end(struct watcher *w, uint32_t i, int depth);
static void end_inside(struct watcher *w, uint32_t i, int depth);
static void leave(struct watcher *w, uint32_t dir, int depth);

/* The end of a match: both are told for themselves. */
static void unmatch(struct look *l, struct departure *d)
{
	if (d->arrival == NO_ITEM)
		return;
	l->arrivals[d->arrival].departure = NO_ITEM;
	d->arrival = NO_ITEM;
}

/* What was told as created before it was known to have moved there has ended. */
static void end_told(struct watcher *w, struct arrival *a)
{
	struct news n = watcher__news_found(w, WATCHER_DELETED, a->type, a->ino);
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);

	news_at(&n, a->dir, e.name, e.len);
	watcher__emit(w, &n);
	a->told = false;
	tree_set_marks(&w->tree, a->dir, a->rec, e.marks & (uint8_t)~ENTRY_STAYED);
}

static struct arrival *told_arrival(struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct look *l = w->look;

	for (uint32_t i = 0; i < l->narrivals; i++)
		if (l->arrivals[i].told && l->arrivals[i].dir == dir && l->arrivals[i].rec == rec)
			return &l->arrivals[i];
	return NULL;
}

static void end_one(struct watcher *w, uint32_t dir, const struct told_one *t);

/* It is still in what was `top`: that it has ended is for those only who had it in there. */
static void end_with(struct watcher *w, const struct news *top, const struct bytes *rel,
		     const struct entry *e)
{
	struct news n = *top;

	n.type = watcher__type_of_entry(w, e);
	n.ino = e->ino;
	n.name = rel->data;
	n.len = rel->len;
	n.sub_move = true;
	n.complete = false;
	watcher__emit(w, &n);
}

/* All that is told to be in a node ends, what is deepest first. `rel` holds its path from where
 * `top` is, or nothing: it is that. */
static void end_all_in(struct watcher *w, uint32_t node, const struct news *top, struct bytes *rel)
{
	struct told_one t = TOLD_NONE;
	size_t len = rel->len;

	while (watcher__told_next(w, node, &t)) {
		if (t.arrival != NO_ITEM || t.departure != NO_ITEM || entry_is_told(&t.e)) {
			end_one(w, node, &t);
			continue;
		}
		rel->len = len;
		if ((!len && bytes_add(rel, top->name, top->len) < 0) || bytes_addc(rel, '/') < 0 ||
		    bytes_add(rel, t.e.name, t.e.len) < 0) {
			w->gap = true;
			continue;
		}
		if (t.e.node != NO_DIR)
			end_all_in(w, t.e.node, top, rel);
		end_with(w, top, rel, &t.e);
	}
	rel->len = len;
}

/* What has moved, or ended, is told to end where it was, with all that is told to be in it. What
 * has moved out of that will be something new where it is. */
static void end_one(struct watcher *w, uint32_t dir, const struct told_one *t)
{
	struct look *l = w->look;
	struct departure *d = t->departure == NO_ITEM ? NULL : &l->departures[t->departure];
	struct news n = watcher__news_found(w, WATCHER_DELETED,
					    d ? d->type : watcher__type_of_entry(w, &t->e),
					    d ? d->ino : t->e.ino);
	struct bytes rel = { 0 };
	struct arrival *here = entry_is_told(&t->e) ? told_arrival(w, dir, t->e.rec) : NULL;

	news_at(&n, dir, t->e.name, t->e.len);
	if (here) {
		end_told(w, here);
	} else {
		if (t->e.node != NO_DIR)
			end_all_in(w, t->e.node, &n, &rel);
		watcher__emit(w, &n);
	}
	bytes_free(&rel);
	if (t->arrival != NO_ITEM) {
		free(l->arrivals[t->arrival].from);
		l->arrivals[t->arrival].from = NULL;
	}
	if (d) {
		unmatch(l, d);
		d->done = true;
	}
}

/* A directory whose move cannot be told as one: it ends where it was, and its arrival will be that
 * of something new. What can leave it does so before; where that leads back to here, there is no
 * time for it. */
static void break_move(struct watcher *w, struct arrival *a, int depth)
{
	struct told_one t = TOLD_NONE;
	bool again = a->breaking;

	a->breaking = true;
	if (!again && watcher__is_pending(w, a) && a->node != NO_DIR)
		leave(w, a->node, depth);
	if (!watcher__is_pending(w, a))
		return;
	t.arrival = (uint32_t)(a - w->look->arrivals);
	t.e = watcher__told_entry(a);
	end_one(w, a->from_dir, &t);
}

/* What is told to be in a directory that is to end leaves it, if it can, or ends before. */
static void leave(struct watcher *w, uint32_t dir, int depth)
{
	struct told_one t = TOLD_NONE;

	while (depth < DEEP && watcher__told_next(w, dir, &t)) {
		if (t.arrival != NO_ITEM) {
			announce_arrival(w, t.arrival, depth + 1);
			break_move(w, &w->look->arrivals[t.arrival], depth + 1);
		} else if (t.departure != NO_ITEM) {
			end_inside(w, t.departure, depth + 1);
		} else if (t.e.node != NO_DIR) {
			leave(w, t.e.node, depth + 1);
		}
	}
}

/* Something in a directory that ends: moved out of it, or it ends, too. */
static void end_inside(struct watcher *w, uint32_t i, int depth)
{
	const struct departure *d = &w->look->departures[i];

	if (!d->done && d->arrival != NO_ITEM && depth < DEEP)
		announce_arrival(w, d->arrival, depth);
	announce_end(w, i, depth);
}

/* Is the last memory for events in use? Then what can be found again is put off to another
 * pass, and what cannot, for the index has moved it, is told as long as that lasts. */
static bool puts_off(const struct watcher *w)
{
	return w->tight && !w->look->by_dir.count;
}

/* The index forgets it. */
static void put_off_arrival(struct watcher *w, struct arrival *a)
{
	struct look *l = w->look;
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);

	l->failed = a->done = true;
	if (a->departure != NO_ITEM)
		unmatch(l, &l->departures[a->departure]);
	if (a->told)
		return;
	if (e.node != NO_DIR)
		watcher__node_drop(w, e.node);
	tree_erase(&w->tree, a->dir, a->rec);
}

/* The index keeps it. */
static void put_off_end(struct watcher *w, struct departure *d)
{
	struct entry e = tree_entry(&w->tree, d->dir, d->rec);

	w->look->failed = d->done = true;
	unmatch(w->look, d);
	if (e.type)
		tree_set_marks(&w->tree, d->dir, d->rec, e.marks & (uint8_t)~ENTRY_DOOMED);
}

/* What came and went in one pass is told to have come first. */
static void announce_coming(struct watcher *w, const struct departure *d, int depth)
{
	struct look *l = w->look;

	for (uint32_t i = 0; d->arrived && depth < DEEP && i < l->narrivals; i++)
		if (l->arrivals[i].dir == d->dir && l->arrivals[i].rec == d->rec)
			announce_arrival(w, i, depth + 1);
}

/* A departure that turned out not to be a move, or whose move cannot be told as one. Where what can
 * leave it leads back to here, it ends at once, too. */
static void announce_end(struct watcher *w, uint32_t i, int depth)
{
	struct departure *d = &w->look->departures[i];
	struct told_one t = TOLD_NONE;

	if (d->done || !tree_alive(&w->tree, d->dir, d->gen))
		return;
	if (!d->ending && !puts_off(w)) {
		d->ending = true;
		announce_coming(w, d, depth);
		t.e = tree_entry(&w->tree, d->dir, d->rec);
		watcher__told_enter(w, i);
		if (t.e.node != NO_DIR)
			leave(w, t.e.node, depth);
	}
	if (d->done)
		return;
	if (puts_off(w)) {
		put_off_end(w, d);
		return;
	}
	t.departure = i;
	t.e = tree_entry(&w->tree, d->dir, d->rec);
	/* Where nothing has moved, nothing is left in it. */
	if (!w->look->by_dir.count && d->ninside && depth < DEEP)
		t.e.node = NO_DIR;
	watcher__told_enter(w, i);
	if (t.e.marks & ENTRY_NEW && !entry_is_told(&t.e))
		d->done = true; /* nobody was told that it came */
	else
		end_one(w, d->dir, &t);
}

/* What is above an arrival is announced before it; false if that cannot be, yet. */
static bool announce_above(struct watcher *w, uint32_t dir, int depth)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	struct arrival *a;

	if (d->parent == NO_DIR)
		return true;
	if (depth > DEEP || !announce_above(w, d->parent, depth + 1))
		return false;
	a = watcher__arrival_at(w, dir);
	if (!a)
		return true;
	announce_arrival(w, (uint32_t)(a - w->look->arrivals), depth + 1);
	return a->done;
}

static int32_t from_hash(uint32_t dir, const char *name, size_t len)
{
	return (int32_t)((name_hash(name, len) ^ dir * 2654435769u) & INT32_MAX);
}

/* What has left the name that an arrival takes is told before. */
static void announce_origins(struct watcher *w, const struct arrival *a, int depth)
{
	struct look *l = w->look;
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);

	for (uint32_t k = ids_get(&l->by_from, from_hash(a->dir, e.name, e.len)); k != NO_ITEM;
	     k = l->arrivals[k].same_from) {
		struct arrival *o = &l->arrivals[k];

		if (o == a || !watcher__is_pending(w, o) || o->from_dir != a->dir ||
		    o->from_len != e.len || memcmp(o->from, e.name, e.len) != 0)
			continue;
		announce_arrival(w, k, depth + 1);
		break_move(w, o, depth + 1);
	}
}

/* What held the name is told of before it is taken, unless it was replaced in place: then its type
 * is the result, else 0. */
static int free_name(struct watcher *w, const struct arrival *a, int depth)
{
	struct look *l = w->look;
	struct departure *d = a->twin == NO_ITEM ? NULL : &l->departures[a->twin];
	bool moved;

	announce_origins(w, a, depth);
	if (d && d->arrival != NO_ITEM && depth < DEEP)
		announce_arrival(w, d->arrival, depth + 1);
	if (!d || d->done)
		return 0;
	moved = a->departure != NO_ITEM || a->from;
	if ((!moved && !(a->replaces && d->arrival == NO_ITEM)) || a->type == WATCHER_TYPE_DIR ||
	    d->type == WATCHER_TYPE_DIR) {
		announce_end(w, a->twin, depth + 1);
		return 0;
	}
	unmatch(l, d);
	d->done = true;
	return d->type;
}

static void announce_move(struct watcher *w, struct arrival *a, const struct entry *e, int replaced)
{
	struct look *l = w->look;
	struct news n = watcher__news_found(w, WATCHER_MOVED, a->type, a->ino);
	struct departure *d;
	struct entry old;

	if (a->from) {
		news_at(&n, a->from_dir, a->from, a->from_len);
	} else {
		d = &l->departures[a->departure];
		d->done = true;
		old = tree_entry(&w->tree, d->dir, d->rec);
		news_at(&n, d->dir, old.name, old.len);
	}
	n.was_told = a->told;
	n.dest_dir = a->dir;
	n.dest = e->name;
	n.dest_len = e->len;
	if (watcher__is_back(w, &n))
		return;
	if (replaced)
		watcher__emit_replaced(w, &n, replaced);
	watcher__emit_moved(w, &n, a->node);
}

/* An arrival in a place that is gone again: only that it left where it was is told. A root there is
 * read once more. */
static void drop_arrival(struct watcher *w, struct arrival *a, int depth)
{
	if (a->departure != NO_ITEM)
		unmatch(w->look, &w->look->departures[a->departure]);
	break_move(w, a, depth);
	a->done = a->dropped = true;
	if (a->told)
		end_told(w, a);
}

/* It may have gone again in this pass: that is told after this. */
static void unmark_new(struct watcher *w, const struct arrival *a)
{
	uint8_t marks = tree_entry(&w->tree, a->dir, a->rec).marks;

	tree_set_marks(&w->tree, a->dir, a->rec, marks & ENTRY_DOOMED);
}

/* It was to be a move, and is told as something new of another type. */
static void announce_replaced(struct watcher *w, struct news n, int type)
{
	n.kind = WATCHER_DELETED;
	n.type = type;
	n.ino = 0;
	watcher__emit(w, &n);
}

static void announce_new(struct watcher *w, const struct arrival *a, const struct entry *e,
			 int replaced)
{
	struct news n = watcher__news_found(w, replaced == a->type ? WATCHER_MODIFIED : WATCHER_CREATED,
				 a->type, a->ino);

	n.dir = a->dir;
	n.name = e->name;
	n.len = e->len;
	if (replaced && replaced != a->type)
		announce_replaced(w, n, replaced);
	n.came = a->came;
	if (!a->told)
		watcher__emit(w, &n);
	if (a->node != NO_DIR)
		watcher__emit_created_below(w, &n, a->node);
}

/* Its turn has come, and what had its name has been told of. */
static void announce_now(struct watcher *w, struct arrival *a, int replaced)
{
	struct look *l = w->look;
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);

	if (a->departure != NO_ITEM && l->departures[a->departure].done)
		a->departure = NO_ITEM;
	if (a->departure != NO_ITEM || watcher__is_pending(w, a)) {
		/* Its old place is found while it counts as not announced. */
		announce_move(w, a, &e, replaced);
		a->done = true;
		unmark_new(w, a);
		return;
	}
	a->done = true;
	unmark_new(w, a);
	announce_new(w, a, &e, replaced);
}

static void announce_arrival(struct watcher *w, uint32_t i, int depth)
{
	struct look *l = w->look;
	struct arrival *a = &l->arrivals[i];
	int replaced;

	if (a->done || a->busy || !tree_alive(&w->tree, a->dir, a->gen))
		return;
	if (puts_off(w)) {
		put_off_arrival(w, a);
		return;
	}
	if (watcher__doomed(w, a->dir)) {
		drop_arrival(w, a, depth);
		return;
	}
	a->busy = true;
	if (!announce_above(w, a->dir, depth)) {
		/* What waits for this one to leave comes first; so it leaves now. */
		if (a->departure != NO_ITEM)
			unmatch(l, &l->departures[a->departure]);
		break_move(w, a, depth);
		a->busy = false;
		return;
	}
	if (!tree_alive(&w->tree, a->dir, a->gen)) /* what is above was put off */
		return;
	replaced = free_name(w, a, depth);
	if (puts_off(w))
		put_off_arrival(w, a);
	else
		announce_now(w, a, replaced);
}

/* Those whose old place is known, by that. */
static int index_origins(struct watcher *w)
{
	struct look *l = w->look;

	for (uint32_t i = (uint32_t)l->narrivals; i-- > 0;) {
		struct arrival *o = &l->arrivals[i];
		int32_t hash;

		if (!o->from || !tree_alive(&w->tree, o->dir, o->gen))
			continue;
		hash = from_hash(o->from_dir, o->from, o->from_len);
		o->same_from = ids_get(&l->by_from, hash);
		o->same_dir = ids_get(&l->by_dir, (int32_t)o->from_dir);
		if (ids_set(&l->by_from, hash, i) < 0 ||
		    ids_set(&l->by_dir, (int32_t)o->from_dir, i) < 0)
			return UV_ENOMEM;
	}
	return 0;
}

static int index_arrivals(struct watcher *w)
{
	struct look *l = w->look;
	struct entry e;

	ids_free(&l->by_node);
	ids_free(&l->by_from);
	ids_free(&l->by_dir);
	for (uint32_t i = 0; i < l->narrivals; i++) {
		const struct arrival *a = &l->arrivals[i];

		if (!tree_alive(&w->tree, a->dir, a->gen))
			continue;
		e = tree_entry(&w->tree, a->dir, a->rec);
		if (e.node != NO_DIR && ids_set(&l->by_node, (int32_t)e.node, i) < 0)
			return UV_ENOMEM;
	}
	return index_origins(w);
}

static void bury_one(struct watcher *w, uint32_t dir, uint32_t gen, uint32_t rec, uint8_t mark)
{
	struct entry e;

	if (!tree_alive(&w->tree, dir, gen))
		return;
	e = tree_entry(&w->tree, dir, rec);
	if (!e.type || !(e.marks & mark))
		return;
	if (e.node != NO_DIR)
		watcher__node_drop(w, e.node);
	tree_erase(&w->tree, dir, rec);
}

/* The doomed entries leave the index, with the nodes that are still theirs; and what was found in
 * them, of which a root there was told nothing. */
static void bury(struct watcher *w)
{
	struct look *l = w->look;

	for (size_t i = l->narrivals; i-- > 0;)
		if (l->arrivals[i].dropped)
			bury_one(w, l->arrivals[i].dir, l->arrivals[i].gen, l->arrivals[i].rec,
				 ENTRY_NEW);
	for (size_t i = l->ndepartures; i-- > 0;)
		bury_one(w, l->departures[i].dir, l->departures[i].gen, l->departures[i].rec,
			 ENTRY_DOOMED);
}

static void announce_changed(struct watcher *w)
{
	struct look *l = w->look;

	for (size_t i = 0; i < l->nchanged; i++) {
		if (w->tight) {
			l->failed = true;
			return;
		}
		const struct changed *c = &l->changed[i];
		struct entry e;
		struct news n;

		if (!tree_alive(&w->tree, c->dir, c->gen))
			continue;
		e = tree_entry(&w->tree, c->dir, c->rec);
		if (!e.type || e.marks & (ENTRY_NEW | ENTRY_DOOMED))
			continue;
		n = watcher__news_found(w, WATCHER_MODIFIED, e.type, e.ino);
		news_at(&n, c->dir, e.name, e.len);
		watcher__emit(w, &n);
	}
}

void watcher__settle(struct watcher *w)
{
	struct look *l = w->look;

	if (l->ndepartures)
		watcher__halves_expire(w, UINT64_MAX);
	if (watcher__match(w) < 0 || index_arrivals(w) < 0)
		l->failed = true;
	for (uint32_t i = 0; i < l->narrivals; i++)
		announce_arrival(w, i, 0);
	for (uint32_t i = 0; i < l->ndepartures; i++)
		announce_end(w, i, 0);
	announce_changed(w);
	bury(w);
	for (size_t i = 0; i < l->narrivals; i++)
		free(l->arrivals[i].from);
	ids_free(&l->by_node);
	ids_free(&l->by_from);
	ids_free(&l->by_dir);
	l->narrivals = l->ndepartures = l->nchanged = 0;
}
