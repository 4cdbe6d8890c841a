/*
 * The events that lead from one snapshot to another, in an order in which each makes sense:
 *
 * 1. what is gone with all that was in it, content first;
 * 2. every new entry is put in its place, directories first: the name it takes is vacated
 *    (what is there moves on, or ends), and things leave a directory before it moves;
 * 3. what is gone and had something in it that moved out;
 * 4. what changed in place.
 *
 * Where moves form a ring, or a chain of more than CHAIN_MAX, a link of it is cut: told as
 * deleted and created.
 */
#include <stdlib.h>
#include <string.h>

#include "watcher/snapshot_diff.h"

#define CHAIN_MAX 1000

static bool place(struct diff *d, uint32_t n);

/* ---- where things are at the moment ---- */

/* Same name in the same directory, whatever that one is called now? */
static bool stays(const struct diff *d, uint32_t n)
{
	uint32_t o = d->to_old[n];

	return o != NO_SNAP && watcher__diff_namesake(d, n) == o;
}

static bool has_left(const struct diff *d, uint32_t o)
{
	uint32_t n = d->to_new[o];

	return d->was[o] & IS_DONE ||
	       (n != NO_SNAP && d->is[n] & IS_DONE && !stays(d, n));
}

/* The path of an old entry now, when directories above it may have moved. */
static int path_now(const struct diff *d, uint32_t o, struct bytes *path)
{
	uint32_t up[SNAP_DEPTH + 1];
	int n = 0, r = 0;

	for (; o != NO_SNAP; o = d->old->entries[o].parent) {
		if (d->to_new[o] != NO_SNAP && d->is[d->to_new[o]] & IS_DONE)
			break;
		up[n++] = o;
	}
	bytes_clear(path);
	if (o != NO_SNAP)
		r = watcher__snap_path(d->new, d->to_new[o], path);
	while (r == 0 && n-- > 0) {
		const struct snap_entry *e = &d->old->entries[up[n]];

		if (e->parent == NO_SNAP)
			r = bytes_add(path, snap_name(d->old, e), e->len);
		else
			r = watcher__snap_join(path, snap_name(d->old, e), e->len);
	}
	return r;
}

static const char *root_of(const watcher_snapshot *s, uint32_t i)
{
	while (s->entries[i].parent != NO_SNAP)
		i = s->entries[i].parent;
	return snap_name(s, &s->entries[i]);
}

/* ---- telling ---- */

static void tell(struct diff *d, watcher_event *e, const struct bytes *path,
		 const struct bytes *dest)
{
	if (d->result)
		return;
	e->path = path->data;
	e->path_len = path->len;
	if (dest) {
		e->dest = dest->data;
		e->dest_len = dest->len;
	}
	e->time_ns = d->new->taken_ns;
	d->result = d->cb(e, d->arg);
}

static void tell_new(struct diff *d, int kind, uint32_t n)
{
	const struct snap_entry *s = &d->new->entries[n];
	watcher_event e = { .kind = kind, .type = s->type, .inode = s->inode };

	if (s->flags & SNAP_HIDDEN || !s->type)
		return;
	watcher__snap_path(d->new, n, &d->path);
	e.root = root_of(d->new, n);
	tell(d, &e, &d->path, NULL);
}

static void tell_deleted(struct diff *d, uint32_t o)
{
	const struct snap_entry *s = &d->old->entries[o];
	watcher_event e = { .kind = WATCHER_DELETED, .type = s->type, .inode = s->inode };

	if (!(s->flags & SNAP_HIDDEN) && s->type) {
		path_now(d, o, &d->path);
		e.root = root_of(d->old, o);
		tell(d, &e, &d->path, NULL);
	}
	d->was[o] |= IS_DONE;
}

/* Appends the names that lead from `top` down to `o` to both paths. */
static void append_below(struct diff *d, uint32_t top, uint32_t o)
{
	const watcher_snapshot *s = d->old;
	uint32_t up[SNAP_DEPTH + 1];
	int n = 0;

	for (; o != top; o = s->entries[o].parent)
		up[n++] = o;
	while (n-- > 0) {
		const struct snap_entry *e = &s->entries[up[n]];

		watcher__snap_join(&d->path, snap_name(s, e), e->len);
		watcher__snap_join(&d->dest, snap_name(s, e), e->len);
	}
}

/* What is in a directory that is just moving from d->path to d->dest. */
static void tell_moved_below(struct diff *d, uint32_t top, const char *root, bool told)
{
	const watcher_snapshot *s = d->old;
	size_t from = d->path.len, to = d->dest.len;
	uint32_t o = watcher__snap_next(s, top, top);

	while (o != NO_SNAP && !d->result) {
		const struct snap_entry *e = &s->entries[o];
		watcher_event event = { .kind = WATCHER_MOVED,
					.type = e->type,
					.inode = e->inode,
					.root = root,
					.synthetic = told };

		if (has_left(d, o)) {
			o = watcher__snap_skip(s, top, o);
			continue;
		}
		if (!(e->flags & SNAP_HIDDEN) && !(d->was[o] & IS_UNREAD)) {
			append_below(d, top, o);
			tell(d, &event, &d->path, &d->dest);
			bytes_cut(&d->path, from);
			bytes_cut(&d->dest, to);
		}
		o = watcher__snap_next(s, top, o);
	}
}

static void tell_moved(struct diff *d, uint32_t o, uint32_t n)
{
	const struct snap_entry *s = &d->new->entries[n];
	bool told = !(s->flags & d->old->entries[o].flags & SNAP_HIDDEN);
	watcher_event e = { .kind = WATCHER_MOVED, .type = s->type, .inode = s->inode };

	path_now(d, o, &d->path);
	watcher__snap_path(d->new, n, &d->dest);
	e.root = root_of(d->old, o);
	if (told)
		tell(d, &e, &d->path, &d->dest);
	if (d->old->entries[o].count)
		tell_moved_below(d, o, e.root, told);
}

/* ---- making room ---- */

static bool vacate(struct diff *d, uint32_t o);

/* The end of an old entry: what is in it goes where it belongs, or ends too. */
static bool end(struct diff *d, uint32_t o)
{
	const struct snap_entry *e = &d->old->entries[o];

	for (uint32_t k = e->first; k < e->first + e->count; k++)
		if (!has_left(d, k) && !vacate(d, k))
			return false;
	if (d->to_new[o] != NO_SNAP) {
		if (d->gently)
			return false;
		d->to_old[d->to_new[o]] = NO_SNAP;
		d->to_new[o] = NO_SNAP;
	}
	tell_deleted(d, o);
	return true;
}

/* Frees the name of an old entry. False only when that must be done gently. */
static bool vacate(struct diff *d, uint32_t o)
{
	uint32_t n = d->to_new[o];

	if (n != NO_SNAP && place(d, n) && has_left(d, o))
		return true;
	if (d->gently && d->to_new[o] != NO_SNAP)
		return false;
	return has_left(d, o) || end(d, o);
}

/* What will not be in a directory any more leaves it before it moves, if it can already. */
static void leave_first(struct diff *d, uint32_t top)
{
	const watcher_snapshot *s = d->old;

	d->gently++;
	for (uint32_t o = watcher__snap_next(s, top, top); o != NO_SNAP;
	     o = watcher__snap_next(s, top, o)) {
		uint32_t n = d->to_new[o];

		if (n != NO_SNAP && !(d->is[n] & (IS_DONE | IS_BUSY)) && !stays(d, n))
			place(d, n);
	}
	d->gently--;
}

/* The name a new entry takes is free afterwards. */
static bool make_room(struct diff *d, uint32_t n)
{
	uint32_t o = watcher__diff_namesake(d, n);

	return o == NO_SNAP || o == d->to_old[n] || has_left(d, o) || vacate(d, o);
}

static bool put(struct diff *d, uint32_t n)
{
	uint32_t parent = d->new->entries[n].parent, o;

	if (parent != NO_SNAP && !place(d, parent))
		return false;
	if (!stays(d, n)) {
		if (!make_room(d, n))
			return false;
		o = d->to_old[n];
		if (o != NO_SNAP && d->old->entries[o].count)
			leave_first(d, o);
		o = d->to_old[n];
		if (o != NO_SNAP)
			tell_moved(d, o, n);
		else if (!(d->is[n] & IS_UNREAD))
			tell_new(d, WATCHER_CREATED, n);
	}
	d->is[n] |= IS_DONE;
	return true;
}

/* Puts a new entry in its place, and before it what must come before. False if that cannot be
 * done now: it is being done further up, or would cut a link that need not be cut. */
static bool place(struct diff *d, uint32_t n)
{
	bool done;

	if (d->is[n] & IS_DONE)
		return true;
	if (d->is[n] & IS_BUSY || d->depth >= CHAIN_MAX)
		return false;
	d->depth++;
	d->is[n] |= IS_BUSY;
	done = put(d, n);
	d->is[n] &= (uint8_t)~IS_BUSY;
	d->depth--;
	return done;
}

/* ---- the four steps ---- */

static void end_wholly_gone(struct diff *d, uint32_t *alive)
{
	uint32_t o = NO_SNAP;

	for (uint32_t i = 0; i < d->old->n; i++)
		alive[i] = d->old->entries[i].count;
	while ((o = watcher__snap_next_after(d->old, o)) != NO_SNAP) {
		uint32_t up = d->old->entries[o].parent;

		if (d->to_new[o] != NO_SNAP || alive[o])
			continue;
		if (d->was[o] & IS_UNREAD)
			d->was[o] |= IS_DONE;
		else
			tell_deleted(d, o);
		if (up != NO_SNAP)
			alive[up]--;
	}
}

static void end_rest(struct diff *d)
{
	uint32_t o = NO_SNAP;

	while ((o = watcher__snap_next_after(d->old, o)) != NO_SNAP)
		if (!(d->was[o] & (IS_DONE | IS_UNREAD)) && d->to_new[o] == NO_SNAP)
			tell_deleted(d, o);
}

static void tell_changed(struct diff *d, uint32_t n)
{
	uint32_t o = d->to_old[n];
	const struct snap_entry *a, *b = &d->new->entries[n];
	bool attrib, content, ctime;

	if (o == NO_SNAP || d->is[n] & IS_UNREAD)
		return;
	a = &d->old->entries[o];
	attrib = a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
		 (a->nlink != b->nlink && b->type != WATCHER_TYPE_DIR);
	ctime = a->ctime_ns != b->ctime_ns;
	if (b->type == WATCHER_TYPE_DIR)
		content = d->flags & WATCHER_DIFF_DIR_MODIFIED &&
			  (a->mtime_ns != b->mtime_ns || (ctime && !attrib && stays(d, n)));
	else /* a rename changes the change time, too */
		content = d->is[n] & IS_REPLACED || a->size != b->size ||
			  a->mtime_ns != b->mtime_ns || (ctime && !attrib && stays(d, n));
	if (content)
		tell_new(d, WATCHER_MODIFIED, n);
	if (attrib)
		tell_new(d, WATCHER_ATTRIB, n);
}

static int prepare(struct diff *d)
{
	size_t longest = d->old->max_path + d->new->max_path + 2;

	d->to_new = malloc((d->old->n + (size_t)1) * sizeof *d->to_new);
	d->to_old = malloc((d->new->n + (size_t)1) * sizeof *d->to_old);
	d->was = calloc(d->old->n + (size_t)1, 1);
	d->is = calloc(d->new->n + (size_t)1, 1);
	if (!d->to_new || !d->to_old || !d->was || !d->is ||
	    bytes_reserve(&d->path, longest) < 0 || bytes_reserve(&d->dest, longest) < 0)
		return UV_ENOMEM;
	memset(d->to_new, 0xff, d->old->n * sizeof *d->to_new);
	memset(d->to_old, 0xff, d->new->n * sizeof *d->to_old);
	return watcher__diff_match(d);
}

static int tell_all(struct diff *d)
{
	uint32_t *alive = malloc((d->old->n + (size_t)1) * sizeof *alive), n = NO_SNAP;

	if (!alive)
		return UV_ENOMEM;
	end_wholly_gone(d, alive);
	free(alive);
	while ((n = watcher__snap_next(d->new, NO_SNAP, n)) != NO_SNAP && !d->result)
		place(d, n);
	end_rest(d);
	for (n = NO_SNAP; (n = watcher__snap_next(d->new, NO_SNAP, n)) != NO_SNAP && !d->result;)
		tell_changed(d, n);
	return d->result;
}

int watcher_snapshot_diff(const watcher_snapshot *old, const watcher_snapshot *new_,
			  unsigned flags, watcher_diff_cb cb, void *arg)
{
	static const watcher_snapshot nothing;
	struct diff d = { .old = old ? old : &nothing,
			  .new = new_ ? new_ : &nothing,
			  .flags = flags,
			  .cb = cb,
			  .arg = arg };
	int r;

	if (!cb || flags & ~(unsigned)(WATCHER_DIFF_IGNORE_DEVICE | WATCHER_DIFF_REPLACED |
				       WATCHER_DIFF_DIR_MODIFIED))
		return UV_EINVAL;
	r = prepare(&d);
	if (r == 0)
		r = tell_all(&d);
	free(d.to_new);
	free(d.to_old);
	free(d.was);
	free(d.is);
	bytes_free(&d.path);
	bytes_free(&d.dest);
	return r;
}
