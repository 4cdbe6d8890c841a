/*
 * Exact changes: what the kernel says happened, put into the index and made into events
 * without a look at the disk.
 *
 * The index may be newer than a change (a directory was read after the change was queued), so
 * every change is checked against it: what is there already is not told twice, what is gone is
 * not told at all. Where the two cannot both be right the directory is looked at. Halves of
 * moves wait for each other in `halves`, outside the index.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/filter.h"
#include "watcher/look.h"

#define HALF_WAIT_NS UINT64_C(10000000)

static void half_gone(struct watcher *w, struct half_move *h);
static void half_ends(struct watcher *w, struct half_move *h);

static struct news news_of(const struct watcher *w, const struct change *c, int kind,
			   uint32_t dir)
{
	(void)w;
	return (struct news){ .kind = kind,
			      .type = c->is_dir ? WATCHER_TYPE_DIR : WATCHER_TYPE_FILE,
			      .dir = dir,
			      .name = c->name,
			      .len = c->name_len,
			      .time_ns = c->time_ns,
			      .pid = c->pid,
			      .type_known = c->is_file };
}

/* Does the kernel call this entry a directory? A link that is followed is none to it. */
static bool kernel_dir(const struct watcher *w, const struct entry *e)
{
	if (e->node != NO_DIR && tree_dir(&w->tree, e->node)->flags & DIR_LINK)
		return false;
	return e->type == WATCHER_TYPE_DIR;
}

/* Halves of moves out of a directory are told before the directory's own end. */
static void halves_below_gone(struct watcher *w, uint32_t node)
{
	for (uint32_t i = 0; i < w->nhalves;) {
		struct half_move h = w->halves[i];

		if (!tree_alive(&w->tree, h.dir, h.gen) || !tree_is_below(&w->tree, h.dir, node)) {
			i++;
			continue;
		}
		w->halves[i] = w->halves[--w->nhalves];
		half_ends(w, &h);
		i = 0;
	}
}

void watcher__name_taken(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	for (uint32_t i = 0; i < w->nhalves; i++) {
		struct half_move h = w->halves[i];

		if (h.dir != dir || h.len != len || memcmp(h.name, name, len) != 0)
			continue;
		w->halves[i] = w->halves[--w->nhalves];
		half_gone(w, &h);
		return;
	}
}

/* Takes an entry out of the index, with everything below it, and tells of it. */
static void remove_entry(struct watcher *w, uint32_t dir, const struct entry *e,
			 struct news *n)
{
	char name[255];
	uint8_t len = e->len;

	memcpy(name, e->name, len);
	n->dir = dir;
	n->name = name;
	n->len = len;
	n->type = kernel_dir(w, e) ? WATCHER_TYPE_DIR :
		  e->node != NO_DIR ? WATCHER_TYPE_SYMLINK :
				      e->type;
	n->ino = e->ino;
	n->complete = true;
	if (e->node != NO_DIR) {
		halves_below_gone(w, e->node);
		watcher__emit_gone_below(w, n, dir, name, len, e->node);
		watcher__node_drop(w, e->node);
	}
	tree_erase(&w->tree, dir, e->rec);
	watcher__emit(w, n);
}

/* What is at a name now: 0 if that cannot be said. */
static uint64_t ino_at(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	const char *path = watcher__path(w, dir, name, len);
	struct stat st;

	return path && lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* Directories have been read lately: the index may be newer than the queue. */
static bool unsettled(const struct watcher *w)
{
	return w->drain - w->last_scan < 2;
}

static void look_below(struct watcher *w, uint32_t node)
{
	uint32_t rec;

	watcher__look_at(w, node);
	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		struct entry e = tree_entry(&w->tree, node, rec);

		if (e.node != NO_DIR)
			look_below(w, e.node);
	}
}

/* A directory that the index has at a place where the kernel says one has come: the very same
 * if its inode is; else its parent is looked at, where the difference shows. If directories
 * were read lately all of it is compared. */
static void recheck_dir(struct watcher *w, uint32_t node)
{
	struct dir *d = tree_dir(&w->tree, node);
	struct entry e = tree_entry(&w->tree, d->parent, d->rec);

	if (d->id < 0 || ino_at(w, d->parent, e.name, e.len) != d->ino)
		watcher__look_at(w, d->parent);
	if (d->id < 0 || unsettled(w))
		look_below(w, node);
}

static void add_entry(struct watcher *w, struct news *n)
{
	uint32_t rec;

	watcher__name_taken(w, n->dir, n->name, n->len);
	/* Its inode stays unknown: what a look at the name would find now may be a later file. */
	rec = tree_insert(&w->tree, n->dir, n->name, n->len, n->type, 0);
	if (rec == NO_REC) {
		w->gap = true;
		return;
	}
	watcher__emit(w, n);
	if (n->type == WATCHER_TYPE_DIR) {
		watcher__look_new_dir(w, n->dir, rec);
		return;
	}
	tree_set_type(&w->tree, n->dir, rec, n->type);
	if (n->type == WATCHER_TYPE_SYMLINK && watcher__follows(w, n->dir))
		watcher__look_behind(w, n->dir, rec);
}

static void created(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct news n = news_of(w, c, WATCHER_CREATED, dir), gone = n;
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	struct entry e;

	if (rec != NO_REC) {
		e = tree_entry(&w->tree, dir, rec);
		if (kernel_dir(w, &e) == c->is_dir) {
			if (e.node != NO_DIR)
				recheck_dir(w, e.node);
			else if (c->is_dir)
				watcher__look_new_dir(w, dir, rec);
			return;
		}
		gone.kind = WATCHER_DELETED;
		remove_entry(w, dir, &e, &gone);
	}
	n.complete = c->is_dir;
	add_entry(w, &n);
}

static void removed(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct news n = news_of(w, c, WATCHER_DELETED, dir);
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	struct entry e;

	if (rec == NO_REC)
		return;
	e = tree_entry(&w->tree, dir, rec);
	if (kernel_dir(w, &e) == c->is_dir)
		remove_entry(w, dir, &e, &n);
}

/* ---- moves ---- */

/* The index was newer than the first half of the move: what moved away is there. */
static bool put_back(struct watcher *w, const struct half_move *h)
{
	uint64_t ino = ino_at(w, h->dir, h->name, h->len);
	uint32_t rec;

	if (!ino || (h->ino && ino != h->ino) || (h->is_dir && !h->ino) ||
	    tree_find(&w->tree, h->dir, h->name, h->len) != NO_REC)
		return false;
	rec = tree_insert(&w->tree, h->dir, h->name, h->len, h->type, h->ino);
	if (rec == NO_REC)
		return false;
	if (h->node != NO_DIR)
		tree_attach(&w->tree, h->dir, rec, h->node);
	return true;
}

static void half_gone(struct watcher *w, struct half_move *h)
{
	struct news n = { .kind = WATCHER_DELETED,
			  .type = h->type,
			  .dir = h->dir,
			  .name = h->name,
			  .len = h->len,
			  .ino = h->ino,
			  .time_ns = h->time_ns,
			  .pid = h->pid,
			  .half_move = true,
			  .complete = true };
	bool alive = tree_alive(&w->tree, h->dir, h->gen);

	if (h->node != NO_DIR) {
		halves_below_gone(w, h->node);
		if (alive)
			watcher__emit_gone_below(w, &n, h->dir, h->name, h->len, h->node);
		watcher__node_drop(w, h->node);
	}
	if (alive)
		watcher__emit(w, &n);
}

/* No second half has come. */
static void half_ends(struct watcher *w, struct half_move *h)
{
	if (!unsettled(w) || !tree_alive(&w->tree, h->dir, h->gen) || !put_back(w, h))
		half_gone(w, h);
}

void watcher__halves_expire(struct watcher *w, uint64_t now_ns)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < w->nhalves; i++) {
		struct half_move h = w->halves[i];

		if (now_ns != UINT64_MAX && h.deadline_ns > now_ns && h.drain + 1 >= w->drain)
			w->halves[kept++] = h;
		else
			half_ends(w, &h);
	}
	w->nhalves = kept;
}

/* A change inside a directory whose move is half told: the other half did not follow at once,
 * so it has left. True if the change's directory went with it. */
static bool left_already(struct watcher *w, uint32_t dir)
{
	uint32_t top = dir;

	while (tree_dir(&w->tree, top)->parent != NO_DIR)
		top = tree_dir(&w->tree, top)->parent;
	for (uint32_t i = 0; i < w->nhalves; i++)
		if (w->halves[i].node == top) {
			struct half_move h = w->halves[i];

			w->halves[i] = w->halves[--w->nhalves];
			half_gone(w, &h);
			return true;
		}
	return false;
}

/* Something took the name of what was there: the kernel may go on to say that the name moved
 * away, in the second half of an exchange, and it will have to be seen whether it did. */
static void remember_exchange(struct watcher *w, uint32_t dir, const char *name, size_t len,
			      uint32_t from_dir, const char *from, size_t from_len)
{
	w->exchanged[0].dir = dir;
	w->exchanged[0].hash = name_hash(name, len);
	w->exchanged[1].dir = from_dir;
	w->exchanged[1].hash = name_hash(from, from_len);
	w->exchanged[0].drain = w->exchanged[1].drain = w->drain;
}

/* One of the two names that were exchanged last? */
static bool exchanged_lately(const struct watcher *w, uint32_t dir, const char *name,
			     size_t len)
{
	for (int i = 0; i < 2; i++)
		if (w->exchanged[i].dir == dir && w->exchanged[i].drain + 1 >= w->drain &&
		    w->exchanged[i].hash == name_hash(name, len))
			return true;
	return false;
}

/* Is what the index has at this name there now, so that the index is newer than the move? */
static bool here_already(struct watcher *w, uint32_t dir, const struct change *c,
			 const struct entry *e)
{
	bool exchanged = exchanged_lately(w, dir, c->name, c->name_len);

	if (!e->ino)
		return exchanged && ino_at(w, dir, c->name, c->name_len);
	return (c->is_dir || exchanged || unsettled(w)) &&
	       ino_at(w, dir, c->name, c->name_len) == e->ino;
}

static void moved_from(struct watcher *w, const struct change *c, uint32_t dir)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len), cap;
	struct half_move *h;
	struct entry e;

	if (rec == NO_REC)
		return;
	e = tree_entry(&w->tree, dir, rec);
	if (kernel_dir(w, &e) != c->is_dir)
		return;
	if (here_already(w, dir, c, &e))
		return;
	if (e.node != NO_DIR)
		halves_below_gone(w, e.node);
	e = tree_entry(&w->tree, dir, rec);
	if (w->nhalves == w->halves_cap) {
		cap = w->halves_cap ? w->halves_cap * 2 : 4;
		if (!(h = realloc(w->halves, cap * sizeof *h))) {
			w->gap = true;
			return;
		}
		w->halves = h;
		w->halves_cap = cap;
	}
	h = &w->halves[w->nhalves++];
	*h = (struct half_move){ .cookie = c->cookie,
				 .dir = dir,
				 .gen = tree_dir(&w->tree, dir)->gen,
				 .node = e.node,
				 .drain = w->drain,
				 .deadline_ns = uv_hrtime() + HALF_WAIT_NS,
				 .type = e.node != NO_DIR && !c->is_dir ? WATCHER_TYPE_SYMLINK :
									  e.type,
				 .ino = e.ino,
				 .pid = c->pid,
				 .time_ns = c->time_ns,
				 .is_dir = c->is_dir,
				 .len = c->name_len };
	memcpy(h->name, c->name, c->name_len);
	if (e.node != NO_DIR)
		tree_detach(&w->tree, dir, rec);
	tree_erase(&w->tree, dir, rec);
}

/* Something took the place of a file that was known: told as MODIFIED if it is of the same
 * type; false if it is another. */
static bool file_over_file(struct watcher *w, struct news *n, const struct entry *e)
{
	const char *path = watcher__path(w, n->dir, n->name, n->len);
	struct stat st;

	n->type = e->type;
	if (path && lstat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		n->type = watcher__type_of_mode(st.st_mode);
		n->ino = st.st_ino;
		if ((e->ino == n->ino && unsettled(w)) ||
		    ((e->ino == n->ino || !e->ino) &&
		     exchanged_lately(w, n->dir, n->name, n->len)))
			return true;
	}
	if (n->type != e->type)
		return false;
	/* With its other name outside, an exchange looks like this and a move away. */
	remember_exchange(w, n->dir, n->name, n->len, NO_DIR, NULL, 0);
	n->overwrites = true;
	tree_set_ino(&w->tree, n->dir, e->rec, 0);
	watcher__emit(w, n);
	return true;
}

/* The other half never came from a watched place, or is not to be believed. */
static void appeared(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct news n = news_of(w, c, WATCHER_CREATED, dir), gone = n;
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	struct entry e;

	n.half_move = n.complete = true;
	if (rec != NO_REC) {
		e = tree_entry(&w->tree, dir, rec);
		if (kernel_dir(w, &e) == c->is_dir && c->is_dir) {
			if (e.node != NO_DIR)
				recheck_dir(w, e.node);
			else
				watcher__look_new_dir(w, dir, rec);
			return;
		}
		if (kernel_dir(w, &e) == c->is_dir && file_over_file(w, &n, &e))
			return;
		e = tree_entry(&w->tree, dir, rec);
		gone.kind = WATCHER_DELETED;
		remove_entry(w, dir, &e, &gone);
	}
	add_entry(w, &n);
}

/* Created and moved at once: what it is can be seen only now. */
static void look_up_late(struct watcher *w, struct news *n, uint32_t rec)
{
	const char *path = watcher__path(w, n->dest_dir, n->dest, n->dest_len);
	struct stat st;

	if (w->options.flags & WATCHER_NO_STAT || !path || lstat(path, &st) < 0 ||
	    S_ISDIR(st.st_mode))
		return;
	n->type = watcher__type_of_mode(st.st_mode);
	n->ino = st.st_ino;
	tree_set_type(&w->tree, n->dest_dir, rec, n->type);
}

/* What a rename has put at the place of `dest`: the entry that was there, taken out. */
struct victim {
	uint32_t node;
	uint64_t ino;
	int type;
	bool exchanged; /* it is where the moved thing came from: renameat2(2), RENAME_EXCHANGE */
};

/* What a move lands on leaves without an event of its own. */
static struct victim take_victim(struct watcher *w, uint32_t dir, uint32_t rec,
				 const struct half_move *h)
{
	uint64_t there;
	struct entry e = tree_entry(&w->tree, dir, rec);
	struct victim v = { .node = e.node,
			    .ino = e.ino,
			    .type = e.node != NO_DIR && !kernel_dir(w, &e) ? WATCHER_TYPE_SYMLINK :
									     e.type };

	there = tree_alive(&w->tree, h->dir, h->gen) ? ino_at(w, h->dir, h->name, h->len) : 0;
	v.exchanged = v.ino && there == v.ino;
	if (there && !v.exchanged) { /* perhaps: the names will show */
		watcher__look_at(w, dir);
		if (h->dir != dir && tree_alive(&w->tree, h->dir, h->gen))
			watcher__look_at(w, h->dir);
	}
	remember_exchange(w, dir, e.name, e.len, h->dir, h->name, h->len);
	if (e.node != NO_DIR)
		tree_detach(&w->tree, dir, rec);
	tree_erase(&w->tree, dir, rec);
	if (!v.exchanged && v.node != NO_DIR) {
		halves_below_gone(w, v.node);
		watcher__node_drop(w, v.node);
	}
	return v;
}

/* The second half of an exchange, told at once; what the kernel will say of it is known. */
static void land_exchanged(struct watcher *w, const struct news *first, const struct victim *v)
{
	struct news n = *first;
	uint32_t rec;

	n.dir = first->dest_dir;
	n.name = first->dest;
	n.len = first->dest_len;
	n.dest_dir = first->dir;
	n.dest = first->name;
	n.dest_len = first->len;
	n.type = v->type;
	n.ino = v->ino;
	n.exchange = true;
	rec = tree_insert(&w->tree, n.dest_dir, n.dest, n.dest_len, v->type, v->ino);
	if (rec == NO_REC) {
		w->gap = true;
		return;
	}
	if (v->node != NO_DIR)
		tree_attach(&w->tree, n.dest_dir, rec, v->node);
	watcher__emit(w, &n);
	if (v->node != NO_DIR)
		watcher__emit_moved_below(w, &n, v->node);
}

static void land(struct watcher *w, const struct change *c, uint32_t dir, struct half_move *h)
{
	struct news n = { .kind = WATCHER_MOVED,
			  .type = h->type,
			  .dir = h->dir,
			  .name = h->name,
			  .len = h->len,
			  .dest_dir = dir,
			  .dest = c->name,
			  .dest_len = c->name_len,
			  .ino = h->ino,
			  .time_ns = c->time_ns,
			  .cookie = c->cookie,
			  .pid = c->pid,
			  .complete = true };
	struct victim v = { .node = NO_DIR };
	bool alive = tree_alive(&w->tree, h->dir, h->gen);
	uint32_t rec;

	watcher__name_taken(w, dir, c->name, c->name_len);
	rec = tree_find(&w->tree, dir, c->name, c->name_len);
	if (rec != NO_REC)
		v = take_victim(w, dir, rec, h);
	rec = tree_insert(&w->tree, dir, c->name, c->name_len, h->type, h->ino);
	if (rec == NO_REC) {
		w->gap = true;
		if (h->node != NO_DIR)
			watcher__node_drop(w, h->node);
		return;
	}
	if (h->node != NO_DIR)
		tree_attach(&w->tree, dir, rec, h->node);
	else if (h->type == WATCHER_TYPE_FILE && !h->ino)
		look_up_late(w, &n, rec);
	if (alive)
		watcher__emit(w, &n);
	if (h->node != NO_DIR && alive)
		watcher__emit_moved_below(w, &n, h->node);
	if (v.exchanged && alive)
		land_exchanged(w, &n, &v);
	if (h->node != NO_DIR) {
		if (!watcher__covered(w, h->node))
			watcher__release(w, h->node);
		else if (unsettled(w))
			look_below(w, h->node);
	} else if (h->type == WATCHER_TYPE_DIR) {
		watcher__look_new_dir(w, dir, rec);
	}
}

/* Is what the index has at the destination there now, and not what is said to have come? */
static bool dest_is_newer(struct watcher *w, const struct change *c, uint32_t dir,
			  const struct half_move *h)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	uint64_t ino;

	if (rec == NO_REC || !(ino = tree_entry(&w->tree, dir, rec).ino) || ino == h->ino)
		return false;
	return ino_at(w, dir, c->name, c->name_len) == ino;
}

static void moved_to(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct half_move h = { .node = NO_DIR };
	bool found = false;

	for (uint32_t i = 0; i < w->nhalves && !found; i++)
		if (w->halves[i].cookie == c->cookie) {
			h = w->halves[i];
			w->halves[i] = w->halves[--w->nhalves];
			found = true;
		}
	if (!found) {
		watcher__halves_expire(w, UINT64_MAX); /* it left before this came */
		appeared(w, c, dir);
	} else if (h.is_dir != c->is_dir ||
		   (h.node != NO_DIR && tree_is_below(&w->tree, dir, h.node))) {
		half_ends(w, &h); /* the index is newer than the move */
		appeared(w, c, dir);
	} else if (dest_is_newer(w, c, dir, &h)) {
		half_ends(w, &h);
	} else {
		land(w, c, dir, &h);
	}
}

/* ---- content and metadata ---- */

/* A name the index does not have: newer than it, or dead already. */
static bool adopt_unknown(struct watcher *w, const struct change *c, struct news *n)
{
	const char *path = watcher__path(w, n->dir, c->name, c->name_len);
	struct news born = *n;
	struct stat st;

	/* A hint is followed by a look, which finds it without guessing. */
	if (!(w->sources[tree_dir(&w->tree, n->dir)->backend].ops->caps & BACKEND_EXACT))
		return false;
	if (!path || lstat(path, &st) < 0 || S_ISDIR(st.st_mode) != c->is_dir) {
		n->dead = true;
		return w->exact_counts;
	}
	born.kind = WATCHER_CREATED;
	born.type = n->type = watcher__type_of_mode(st.st_mode);
	born.ino = n->ino = st.st_ino;
	born.synthetic = true;
	tree_dir(&w->tree, n->dir)->ctime_ns = 0;
	add_entry(w, &born);
	return true;
}

static void touched(struct watcher *w, const struct change *c, uint32_t dir, struct news *n)
{
	uint32_t hash = name_hash(c->name, c->name_len);

	if (c->op == CHANGE_ATTRIB) {
		w->touched.dir = dir;
		w->touched.hash = hash;
		return;
	}
	if (c->op == CHANGE_WRITTEN && w->touched.dir == dir && w->touched.hash == hash)
		w->touched.dir = NO_DIR;
	/* Opened for writing, times set, closed without a write: what touch(1) does. */
	if (c->op == CHANGE_CLOSED && w->touched.dir == dir && w->touched.hash == hash) {
		struct news t = *n;

		t.kind = WATCHER_ATTRIB;
		t.touched = true;
		watcher__emit(w, &t);
		w->touched.dir = NO_DIR;
	}
}

static void happened(struct watcher *w, const struct change *c, uint32_t dir, int kind)
{
	struct news n = news_of(w, c, kind, dir);
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	struct entry e;

	if (rec == NO_REC && !adopt_unknown(w, c, &n))
		return;
	if (rec != NO_REC) {
		e = tree_entry(&w->tree, dir, rec);
		if (kernel_dir(w, &e) != c->is_dir)
			return;
		n.type = e.node != NO_DIR && !c->is_dir ? WATCHER_TYPE_SYMLINK : e.type;
		n.ino = e.ino;
		if (kind == WATCHER_ATTRIB && c->is_dir &&
		    (e.node == NO_DIR || tree_dir(&w->tree, e.node)->flags & DIR_NO_ACCESS)) {
			if (e.node == NO_DIR)
				watcher__look_new_dir(w, dir, rec);
			else
				watcher__look_at(w, e.node);
		}
	}
	if (kind == WATCHER_CLOSED && !(w->asked_kinds & WATCHER_CLOSED) &&
	    !w->options.leading_ms && w->touched.dir == NO_DIR)
		return;
	n.complete = kind == WATCHER_CLOSED;
	if (c->op == CHANGE_ATTRIB || w->touched.dir != NO_DIR)
		touched(w, c, dir, &n);
	watcher__emit(w, &n);
}

static void metadata_changed(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct news n = { .kind = WATCHER_ATTRIB,
			  .type = WATCHER_TYPE_DIR,
			  .dir = dir,
			  .name = "",
			  .time_ns = c->time_ns,
			  .pid = c->pid,
			  .root_only = true };

	if (d->flags & DIR_NO_ACCESS)
		watcher__look_at(w, dir);
	if (d->roots)
		watcher__emit(w, &n);
	if (d->parent == NO_DIR || !(w->sources[d->backend].ops->caps & BACKEND_DIR_ATTRIB))
		return;
	struct entry e = tree_entry(&w->tree, d->parent, d->rec);

	n.dir = d->parent;
	n.name = e.name;
	n.len = e.len;
	n.ino = e.ino;
	n.root_only = false;
	watcher__emit(w, &n);
}

static void about_itself(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);

	if (c->op == CHANGE_SELF_ATTRIB) {
		metadata_changed(w, c, dir);
		return;
	}
	for (struct root *r = d->roots; r; r = r->next_at_node)
		r->recheck = w->recheck_roots = true;
	if (c->op == CHANGE_UNWATCHED) {
		ids_erase(&w->sources[d->backend].nodes, d->id);
		d->id = -1;
		w->stats.watches--;
		watcher__node_limbo(w, dir);
	}
}

static void apply_named(struct watcher *w, const struct change *c, uint32_t dir)
{
	if (tree_dir(&w->tree, dir)->flags & DIR_NARROW) {
		if (!watcher__narrow_wants(w, dir, c->name, c->name_len))
			return;
		if (c->is_dir) { /* a directory where a file was */
			for (struct root *r = tree_dir(&w->tree, dir)->roots; r; r = r->next_at_node)
				r->recheck = w->recheck_roots = true;
			return;
		}
	}
	/* The change may be older than the listing the index has: then its counterpart may be
	 * among what an overflow lost, and the directory's change time would not show it. */
	if (c->op <= CHANGE_MOVED_TO)
		tree_dir(&w->tree, dir)->ctime_ns = 0;
	switch (c->op) {
	case CHANGE_CREATED:
		created(w, c, dir);
		break;
	case CHANGE_REMOVED:
		removed(w, c, dir);
		break;
	case CHANGE_MOVED_FROM:
		moved_from(w, c, dir);
		break;
	case CHANGE_MOVED_TO:
		moved_to(w, c, dir);
		break;
	case CHANGE_WRITTEN:
		happened(w, c, dir, WATCHER_MODIFIED);
		break;
	case CHANGE_ATTRIB:
		happened(w, c, dir, WATCHER_ATTRIB);
		break;
	case CHANGE_OPENED:
		happened(w, c, dir, WATCHER_OPENED);
		break;
	case CHANGE_CLOSED:
		happened(w, c, dir, WATCHER_CLOSED);
		break;
	case CHANGE_CLOSED_NO_WRITE:
		happened(w, c, dir, WATCHER_CLOSED_NO_WRITE);
		break;
	default:
		watcher__look_at(w, dir);
	}
	if (c->name[0] == '.' && c->op != CHANGE_OPENED && c->op != CHANGE_CLOSED_NO_WRITE &&
	    watcher__rules_read(w, dir, c->name, c->name_len))
		watcher__reconsider(w, dir);
}

/* Both halves in one: told as two, with a number no kernel gives. */
static void renamed(struct watcher *w, int source, const struct change *c)
{
	struct change half = *c;

	half.cookie = UINT32_MAX - w->nhalves;
	half.op = CHANGE_MOVED_FROM;
	if (c->id >= 0)
		watcher__apply(w, source, &half);
	half.op = CHANGE_MOVED_TO;
	half.id = c->id2;
	half.name = c->name2;
	half.name_len = c->name2_len;
	if (c->id2 >= 0)
		watcher__apply(w, source, &half);
	else
		watcher__halves_expire(w, UINT64_MAX);
}

void watcher__apply(struct watcher *w, int source, const struct change *c)
{
	struct source *s = &w->sources[source];
	uint32_t dir;

	w->now_ns = c->time_ns;
	if (c->op == CHANGE_GAP) {
		w->gap = true;
		if (c->since_ns && (!w->gap_since_ns || c->since_ns < w->gap_since_ns))
			w->gap_since_ns = c->since_ns;
		return;
	}
	if (c->op == CHANGE_RENAMED) {
		renamed(w, source, c);
		return;
	}
	if (s->anchors.count)
		watcher__anchor_hit(w, source, c);
	/* Where the very order is asked for, only the other half may follow the first. */
	if (w->exact_counts && w->nhalves && c->op != CHANGE_MOVED_TO && c->op != CHANGE_SELF_MOVED)
		watcher__halves_expire(w, UINT64_MAX);
	dir = ids_get(&s->nodes, c->id);
	if (dir == IDS_NONE || (w->nhalves && c->op != CHANGE_SELF_MOVED &&
				left_already(w, dir)))
		return;
	switch (c->op) {
	case CHANGE_SELF_REMOVED:
	case CHANGE_SELF_MOVED:
	case CHANGE_SELF_ATTRIB:
	case CHANGE_UNMOUNTED:
	case CHANGE_UNWATCHED:
		about_itself(w, c, dir);
		break;
	case CHANGE_LOOK:
		watcher__look_hint(w, dir, c);
		break;
	default:
		apply_named(w, c, dir);
	}
}

void watcher__limbo_retry(struct watcher *w)
{
	uint32_t n = w->nlimbo;

	w->nlimbo = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t dir = w->limbo[i].dir;

		if (!tree_alive(&w->tree, dir, w->limbo[i].gen))
			continue;
		if (!watcher__path(w, dir, NULL, 0)) { /* half of a move: not now */
			w->limbo[w->nlimbo++] = w->limbo[i];
			continue;
		}
		tree_dir(&w->tree, dir)->flags &= (uint8_t)~DIR_LIMBO;
		watcher__look_at(w, dir);
	}
}
