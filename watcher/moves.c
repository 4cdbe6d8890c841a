/*
 * Moves of which the kernel tells in two halves.
 *
 * A first half waits for the second in `halves`, outside the index. One whose second half does
 * not come has moved out of sight, and is told to have gone; a second half without a first is
 * something new. A move onto a name that is taken pushes off what is there: see pushed_off.c.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "watcher/look.h"
#include "watcher/moves.h"

#define HALVES_MAX   256 /* that wait; then those that are older than COOKIE_GAP renames end */

bool watcher__half_room(struct watcher *w, struct half_move **items, uint32_t n, uint32_t *cap)
{
	uint32_t more = *cap ? *cap * 2 : 4;
	struct half_move *p;

	if (n < *cap)
		return true;
	if (!(p = realloc(*items, more * sizeof *p))) {
		w->gap = true;
		return false;
	}
	*items = p;
	*cap = more;
	return true;
}

struct half_move watcher__half_of(const struct watcher *w, uint32_t dir, const struct entry *e,
				  const struct change *c)
{
	struct half_move h = { .cookie = c->cookie,
			       .dir = dir,
			       .gen = tree_dir(&w->tree, dir)->gen,
			       .node = e->node,
			       .back_dir = NO_DIR,
			       .drain = w->drain,
			       .deadline_ns = uv_hrtime() + HALF_WAIT_NS,
			       .type = watcher__type_of_entry(w, e),
			       .ino = e->ino,
			       .pid = c->pid,
			       .time_ns = c->time_ns,
			       .is_dir = watcher__kernel_dir(w, e),
			       .ahead = watcher__may_be_ahead(w, e),
			       .len = e->len };

	memcpy(h.name, e->name, e->len);
	return h;
}

/* ---- the end of a half ---- */

void watcher__half_drop(struct watcher *w, uint32_t node)
{
	if (node == NO_DIR)
		return;
	watcher__halves_below_gone(w, node);
	watcher__node_drop(w, node);
}

/* Where it was, there is nothing any more. */
static void tell_gone(struct watcher *w, const struct half_move *h)
{
	struct news n = { .kind = WATCHER_DELETED,
			  .type = h->type,
			  .dir = h->dir,
			  .name = h->name,
			  .len = h->len,
			  .ino = h->ino,
			  .time_ns = h->time_ns,
			  .cookie = h->cookie,
			  .pid = h->pid,
			  .half_move = true,
			  .complete = true };

	if (!tree_alive(&w->tree, h->dir, h->gen))
		return;
	if (h->node != NO_DIR)
		watcher__emit_gone_below(w, &n, n.dir, n.name, n.len, h->node);
	watcher__emit(w, &n);
}

static void half_gone(struct watcher *w, struct half_move *h)
{
	if (h->node != NO_DIR)
		watcher__halves_below_gone(w, h->node);
	tell_gone(w, h);
	if (h->node != NO_DIR)
		watcher__node_drop(w, h->node);
}

/* Was a directory found at its name only after what is moved away from there now had left? */
static bool came_later(const struct watcher *w, const struct entry *e)
{
	const struct dir *d = e->node == NO_DIR ? NULL : tree_dir(&w->tree, e->node);

	return d && watcher__kernel_dir(w, e) && d->flags & DIR_FRESH && !d->roots;
}

struct half_move watcher__take_out(struct watcher *w, uint32_t dir, uint32_t rec,
				   const struct change *c)
{
	struct entry e = tree_entry(&w->tree, dir, rec);
	struct half_move h;

	if (e.node != NO_DIR)
		watcher__halves_below_gone(w, e.node);
	if (came_later(w, &e))
		watcher__unbind(w, dir, rec, c);
	e = tree_entry(&w->tree, dir, rec);
	h = watcher__half_of(w, dir, &e, c);
	if (e.node != NO_DIR)
		tree_detach(&w->tree, dir, rec);
	tree_erase(&w->tree, dir, rec);
	return h;
}

static bool is_of(const struct half_move *halves, uint32_t n, uint32_t node)
{
	for (uint32_t i = 0; i < n; i++)
		if (halves[i].node == node)
			return true;
	return false;
}

bool watcher__is_half(const struct watcher *w, uint32_t node)
{
	return is_of(w->halves, w->nhalves, node) || is_of(w->pushed, w->npushed, node);
}

/* No second half has come. */
static void half_ends(struct watcher *w, struct half_move *h)
{
	struct change c = { .cookie = h->cookie, .is_dir = h->is_dir, .time_ns = h->time_ns };

	if (!h->pushed || watcher__pushed_ends(w, h, &c))
		half_gone(w, h);
}

static struct half_move remove_half(struct watcher *w, uint32_t i)
{
	struct half_move h = w->halves[i];

	w->halves[i] = w->halves[--w->nhalves];
	return h;
}

void watcher__halves_below_gone(struct watcher *w, uint32_t node)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->nhalves;) {
		h = w->halves[i];
		if (!tree_alive(&w->tree, h.dir, h.gen) || !tree_is_below(&w->tree, h.dir, node)) {
			i++;
			continue;
		}
		remove_half(w, i);
		half_ends(w, &h);
		i = 0;
	}
	watcher__pushed_below_gone(w, node);
}

void watcher__half_found(struct watcher *w, uint32_t node)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->nhalves; i++) {
		if (w->halves[i].node != node || w->halves[i].pushed)
			continue;
		h = remove_half(w, i);
		tell_gone(w, &h);
		return;
	}
}

static void half_left(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->nhalves; i++)
		if (half_is(&w->halves[i], dir, name, len)) {
			h = remove_half(w, i);
			half_ends(w, &h);
			return;
		}
}

void watcher__name_taken(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	if (w->nhalves)
		half_left(w, dir, name, len);
	if (w->npushed + w->noverdue)
		watcher__pushed_name_taken(w, dir, name, len);
}

/* The name may be that of another thing which took it: in an exchange with what is not watched the
 * kernel tells that something has come, or nothing where it makes one of that and what came before,
 * and that something has left. */
static void verify_gone(struct watcher *w, const struct half_move *h)
{
	if (tree_alive(&w->tree, h->dir, h->gen) &&
	    tree_find(&w->tree, h->dir, h->name, h->len) == NO_REC &&
	    watcher__ino_at(w, h->dir, h->name, h->len))
		watcher__node_limbo(w, h->dir);
}

void watcher__halves_expire(struct watcher *w, uint64_t now_ns)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->nhalves;) {
		h = w->halves[i];
		if (half_waits(w, &h, now_ns)) {
			i++;
			continue;
		}
		remove_half(w, i);
		half_ends(w, &h);
		verify_gone(w, &h);
		i = 0; /* the end of one may be that of others */
	}
	watcher__pushed_expire(w, now_ns);
}

/* Thousands of names moved out at once would all be looked through for each. The other half of
 * one comes right behind it, but for what other threads do in between. */
static void thin_out(struct watcher *w, uint32_t cookie)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->nhalves;) {
		if (cookie - w->halves[i].cookie < COOKIE_GAP) {
			i++;
			continue;
		}
		h = remove_half(w, i);
		half_ends(w, &h);
		i = 0;
	}
}

bool watcher__left_already(struct watcher *w, uint32_t dir)
{
	uint32_t top = dir;
	struct half_move h;

	while (tree_dir(&w->tree, top)->parent != NO_DIR)
		top = tree_dir(&w->tree, top)->parent;
	for (uint32_t i = 0; i < w->nhalves; i++)
		if (w->halves[i].node == top && !w->halves[i].pushed) {
			h = remove_half(w, i);
			half_gone(w, &h);
			return true;
		}
	return false;
}

void watcher__half_skipped(struct watcher *w, const struct change *c)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->nhalves; i++)
		if (w->halves[i].cookie == c->cookie) {
			h = remove_half(w, i);
			half_ends(w, &h);
			return;
		}
}

/* ---- away ---- */

bool watcher__is_another(const struct watcher *w, const struct change *c, uint32_t node)
{
	const struct dir *d = node == NO_DIR ? NULL : tree_dir(&w->tree, node);

	return d && c->is_dir && d->id >= 0 && d->id != c->target && c->target != TARGET_UNKNOWN &&
	       w->sources[d->backend].ops->caps & BACKEND_TARGETS;
}

void watcher__moved_from(struct watcher *w, const struct change *c, uint32_t dir)
{
	uint32_t rec;
	struct entry e;

	if (w->nhalves >= HALVES_MAX)
		thin_out(w, c->cookie);
	half_left(w, dir, c->name, c->name_len);
	if (w->npushed + w->noverdue && watcher__pushed_leaves(w, c, dir))
		return;
	rec = tree_find(&w->tree, dir, c->name, c->name_len);
	if (rec == NO_REC)
		return;
	e = tree_entry(&w->tree, dir, rec);
	if (watcher__kernel_dir(w, &e) != c->is_dir)
		return;
	if (!came_later(w, &e) && watcher__is_another(w, c, e.node)) {
		watcher__node_limbo(w, dir);
		return;
	}
	if (watcher__half_room(w, &w->halves, w->nhalves, &w->halves_cap)) {
		struct half_move h = watcher__take_out(w, dir, rec, c);

		w->halves[w->nhalves++] = h;
	}
}

/* ---- and to ---- */

bool watcher__file_over_file(struct watcher *w, struct news *n, const struct entry *e)
{
	struct stat st;

	n->type = e->type;
	if (watcher__name_stat(w, n->dir, n->name, n->len, &st) == 0 && !S_ISDIR(st.st_mode)) {
		n->type = watcher__type_of_mode(st.st_mode);
		n->ino = st.st_ino;
	}
	if (n->type != e->type)
		return false;
	n->overwrites = true;
	tree_set_ino(&w->tree, n->dir, e->rec, 0);
	watcher__emit(w, n);
	return true;
}

/* The other half never came from a watched place, or is not to be believed. */
static void appeared(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct news n = watcher__news_of(c, WATCHER_CREATED, dir), gone = n;
	struct half_move h;
	uint32_t rec, gen = tree_dir(&w->tree, dir)->gen;
	struct entry e = { .name = c->name, .len = c->name_len, .node = NO_DIR };

	watcher__name_taken(w, dir, c->name, c->name_len);
	rec = tree_find(&w->tree, dir, c->name, c->name_len);
	if (rec != NO_REC)
		e = tree_entry(&w->tree, dir, rec);
	/* With its other name outside, an exchange looks like this and a move away. */
	h = watcher__half_of(w, dir, &e, c);
	h.node = NO_DIR;
	watcher__pushed_remember(w, &h);
	if (!tree_alive(&w->tree, dir, gen)) /* it was in what was pushed off long ago */
		return;
	n.half_move = n.complete = true;
	n.cookie = c->cookie;
	if (rec != NO_REC) {
		if (!watcher__kernel_dir(w, &e) && !c->is_dir && watcher__file_over_file(w, &n, &e))
			return;
		e = tree_entry(&w->tree, dir, rec);
		gone.kind = WATCHER_DELETED;
		watcher__remove_entry(w, dir, &e, &gone);
	}
	watcher__add_entry(w, &n);
	if (c->is_dir)
		watcher__mounts_came(w);
	rec = c->is_dir ? tree_find(&w->tree, dir, c->name, c->name_len) : NO_REC;
	if (rec != NO_REC && (e = tree_entry(&w->tree, dir, rec)).node != NO_DIR)
		tree_dir(&w->tree, e.node)->flags |= DIR_CAME;
}

/* Created and moved at once: what it is can be seen only now. */
static void look_up_late(struct watcher *w, struct news *n, uint32_t rec)
{
	struct stat st;

	if (w->options.flags & WATCHER_NO_STAT ||
	    watcher__name_stat(w, n->dest_dir, n->dest, n->dest_len, &st) < 0 || S_ISDIR(st.st_mode))
		return;
	n->type = watcher__type_of_mode(st.st_mode);
	n->ino = st.st_ino;
	tree_set_type(&w->tree, n->dest_dir, rec, n->type);
}

/* The directory is where it is said to be; is it still wanted, or to be read? */
static void landed_dir(struct watcher *w, uint32_t dir, uint32_t rec, uint32_t node)
{
	if (node != NO_DIR)
		watcher__mounts_moved(w);
	if (node == NO_DIR)
		watcher__look_new_dir(w, dir, rec);
	else if (!watcher__covered(w, node))
		watcher__release(w, node);
	else if (tree_dir(&w->tree, node)->id < 0 &&
		 !(tree_dir(&w->tree, node)->flags & DIR_NO_ACCESS))
		watcher__look_at(w, node);
	else if (w->uncertain)
		watcher__node_limbo(w, node);
}

/* A link is where it is said to be; what it leads to from there may be something else, or what it
 * did not lead to when it was looked at. */
static void landed_link(struct watcher *w, struct news *n, uint32_t rec, uint32_t node)
{
	struct news gone = *n;

	if (node != NO_DIR && !watcher__leads_elsewhere(w, node)) {
		landed_dir(w, n->dest_dir, rec, node);
		if (tree_entry(&w->tree, n->dest_dir, rec).node == node)
			watcher__node_limbo(w, node); /* it may lead nowhere */
		return;
	}
	if (node != NO_DIR) {
		gone.kind = WATCHER_DELETED;
		watcher__emit_gone_below(w, &gone, n->dest_dir, n->dest, n->dest_len, node);
		watcher__node_drop(w, node);
	}
	if (w->follow)
		watcher__look_behind(w, n->dest_dir, rec);
}

/* Is it at that name, as far as can be seen? If nothing is, it has moved on. */
static bool is_there(struct watcher *w, const struct half_move *h, const struct change *c,
		     uint32_t dir)
{
	struct stat st;

	if (watcher__name_stat(w, dir, c->name, c->name_len, &st) == 0)
		return st.st_ino == h->ino;
	return watcher__ino_at(w, dir, c->name, c->name_len) != INO_UNKNOWN;
}

/* What has landed may be another thing than what is said to have moved: after a guess, or because
 * inotify leaves out a move that follows onto the same name, from where nothing is watched. Its inode
 * number tells when things are calm. */
static void verify(struct watcher *w, const struct half_move *h, const struct change *c,
		   uint32_t dir)
{
	struct news n = watcher__news_of(c, WATCHER_MODIFIED, dir);

	if (h->doubt && h->type != WATCHER_TYPE_DIR) {
		n.type = h->type;
		n.synthetic = true;
		watcher__emit(w, &n);
	}
	if (h->ino && h->node == NO_DIR && !(w->options.flags & WATCHER_NO_STAT) &&
	    !is_there(w, h, c, dir))
		watcher__node_limbo(w, dir);
}

static struct news news_of_move(const struct half_move *h, const struct change *c, uint32_t dir)
{
	return (struct news){ .kind = WATCHER_MOVED,
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
			      .exchange = h->pushed,
			      .guessed = h->guessed,
			      .complete = true };
}

/* What is in what was told to be empty, before it was known to be half of an exchange, is new to all. */
static void tell_landed(struct watcher *w, const struct half_move *h, struct news *n)
{
	struct news born = *n;

	if (!h->pushed || !h->ahead || h->node == NO_DIR) {
		watcher__emit_moved(w, n, h->node);
		return;
	}
	watcher__emit(w, n);
	news_at(&born, n->dest_dir, n->dest, n->dest_len);
	born.kind = WATCHER_CREATED;
	born.dest = NULL;
	born.exchange = born.complete = false;
	born.synthetic = true;
	watcher__emit_created_below(w, &born, h->node);
}

static void land(struct watcher *w, const struct change *c, uint32_t dir, struct half_move *h)
{
	struct news n = news_of_move(h, c, dir);
	uint32_t rec = NO_REC, gen = tree_dir(&w->tree, dir)->gen;
	int replaced = 0;

	watcher__name_taken(w, dir, c->name, c->name_len);
	/* What is leaving it meanwhile is not among what will be told to be in it. */
	if (h->pushed && h->node != NO_DIR)
		watcher__halves_below_gone(w, h->node);
	if (!tree_alive(&w->tree, h->dir, h->gen))
		n.dir = NO_DIR;
	if (tree_alive(&w->tree, dir, gen))
		replaced = watcher__tell_replaced(w, &n);
	watcher__push_off(w, c, dir, h);
	if (!tree_alive(&w->tree, h->dir, h->gen))
		n.dir = NO_DIR;
	if (tree_alive(&w->tree, dir, gen)) /* it may have been in what was pushed off long ago */
		rec = tree_insert(&w->tree, dir, c->name, c->name_len, h->type, h->ino);
	if (rec == NO_REC) {
		w->gap = true; /* found where it is by the pass that follows */
		half_gone(w, h);
		return;
	}
	if (h->node != NO_DIR) {
		tree_attach(&w->tree, dir, rec, h->node);
		watcher__rules_arrived(w, h->node);
	} else if (h->type == WATCHER_TYPE_FILE && !h->ino) {
		look_up_late(w, &n, rec);
	}
	if (replaced)
		watcher__emit_replaced(w, &n, replaced);
	tell_landed(w, h, &n);
	verify(w, h, c, dir);
	if (h->node != NO_DIR && n.dir != NO_DIR)
		watcher__rules_left(w, n.dir, n.name, n.len);
	if (n.type == WATCHER_TYPE_SYMLINK)
		landed_link(w, &n, rec, h->node);
	else if (h->type == WATCHER_TYPE_DIR || h->node != NO_DIR)
		landed_dir(w, dir, rec, h->node);
	if (h->node == NO_DIR || tree_entry(&w->tree, dir, rec).node != h->node)
		return;
	/* By its new path, or by rules, other things in it are wanted. What came to be in it while it was
	 * nowhere was wanted by nobody. */
	if (w->filters || h->pushed)
		watcher__reconsider(w, h->node);
	if (h->is_dir && w->follow)
		watcher__look_behind_below(w, h->node);
}

/* Does the index have it coming out of what it replaces? That cannot be. */
static bool from_within(struct watcher *w, const struct half_move *h, const struct change *c,
			uint32_t dir)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len), node;

	if (rec == NO_REC || !tree_alive(&w->tree, h->dir, h->gen))
		return false;
	node = tree_entry(&w->tree, dir, rec).node;
	return node != NO_DIR && tree_is_below(&w->tree, h->dir, node);
}

/* What waits for another second half has moved out of sight before this came; first that which had the name
 * that this takes: nobody need look what has it now. */
static void others_left(struct watcher *w, const struct change *c, uint32_t dir)
{
	half_left(w, dir, c->name, c->name_len);
	watcher__halves_expire(w, UINT64_MAX);
}

void watcher__moved_to(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct half_move h = { .node = NO_DIR };
	uint32_t gen = tree_dir(&w->tree, dir)->gen;
	bool found = false;

	for (uint32_t i = 0; i < w->nhalves && !found; i++)
		if (w->halves[i].cookie == c->cookie) {
			h = remove_half(w, i);
			found = true;
		}
	if (found && h.found && watcher__pushed_found(w, &h, c, dir)) {
		/* the index has it, but where it was told to have been replaced? */
		if (tree_find(&w->tree, dir, c->name, c->name_len) != NO_REC)
			return;
		found = false;
	}
	if (found && h.pushed && !watcher__pushed_lands(w, &h, c, dir)) {
		watcher__half_drop(w, h.node);
		found = false;
	}
	if (found && h.is_dir == c->is_dir &&
	    (h.node == NO_DIR || !tree_is_below(&w->tree, dir, h.node)) &&
	    !from_within(w, &h, c, dir)) {
		land(w, c, dir, &h);
		return;
	}
	if (found)
		half_ends(w, &h); /* the index is newer than the move */
	else
		others_left(w, c, dir);
	if (tree_alive(&w->tree, dir, gen)) /* it may have been in what has ended */
		appeared(w, c, dir);
}
