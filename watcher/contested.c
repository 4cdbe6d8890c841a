/*
 * Whose directory is it? A directory that is found at one place may be one that the index has
 * at another: its watch says so. It was moved, or it is at both places (a mount, a link), or
 * the index has it wrong there. See look.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "watcher/look.h"
#include "watcher/moves.h"
#include "watcher/statx_linux.h"

bool watcher__doomed(const struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	for (; d->parent != NO_DIR; d = tree_dir(&w->tree, d->parent))
		if (tree_entry(&w->tree, d->parent, d->rec).marks & ENTRY_DOOMED)
			return true;
	return false;
}

/* Is the owner of the watch still where the index has it? Then this is the same directory
 * under a second path (a bind mount, or a link that is followed). */
static bool still_there(struct watcher *w, uint32_t node, const struct stat *here)
{
	const char *path = watcher__path(w, node, NULL, 0);
	bool link = tree_dir(&w->tree, node)->flags & DIR_LINK;
	struct stat st;

	return path && !watcher__doomed(w, node) &&
	       watcher__disk_stat_path(&w->disk, path, link, &st) == 0 &&
	       st.st_ino == here->st_ino && st.st_dev == here->st_dev;
}

/* A directory is at two places at once only by a mount, or behind a link. */
static bool may_alias(struct watcher *w, uint32_t dir, uint32_t owner, int fd)
{
#ifdef STATX_MNT_ID
	const char *path = watcher__path(w, owner, NULL, 0);
	struct statx a, b;

	if (watcher__disk_is_users(&w->disk) ||
	    (tree_dir(&w->tree, dir)->flags | tree_dir(&w->tree, owner)->flags) & DIR_LINK)
		return true;
	if (!path || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) < 0 ||
	    statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &b) < 0 ||
	    !(a.stx_mask & b.stx_mask & STATX_MNT_ID))
		return true;
	return a.stx_mnt_id != b.stx_mnt_id;
#else
	(void)w;
	(void)dir;
	(void)owner;
	(void)fd;
	return true;
#endif
}

/* Is it in what has left its name by half of a move, or by another that took it? Where that is,
 * or that it is gone, is known in a moment. */
static bool is_between(const struct watcher *w, uint32_t node)
{
	const struct dir *d = tree_dir(&w->tree, node);

	if (d->parent == NO_DIR)
		return false;
	while (d->parent != NO_DIR)
		d = tree_dir(&w->tree, d->parent);
	return !d->roots;
}

/* Finds the waiting half of a move that took `node` away; its name goes to the arrival. */
static bool take_half(struct watcher *w, uint32_t node, struct arrival *a)
{
	for (uint32_t i = 0; i < w->nhalves; i++) {
		struct half_move *h = &w->halves[i];

		if (h->node != node || h->pushed)
			continue;
		if (!(a->from = malloc(h->len)))
			return false;
		memcpy(a->from, h->name, h->len);
		a->from_len = h->len;
		a->from_dir = h->dir;
		a->from_gen = h->gen;
		*h = w->halves[--w->nhalves];
		return true;
	}
	return false;
}

/* What was pushed off its name by the first half of an exchange has been found before the second:
 * it has come to where it is. */
static bool take_pushed(struct watcher *w, uint32_t node)
{
	for (uint32_t i = 0; i < w->npushed; i++) {
		if (w->pushed[i].node != node)
			continue;
		w->pushed[i].node = NO_DIR;
		w->pushed[i].found = true;
		return true;
	}
	return false;
}

/* The arrival of an entry; one that was told as created already may still turn out moved. */
static struct arrival *arrival_of(struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct look *l = w->look;

	for (size_t i = l->narrivals; i-- > 0;)
		if (l->arrivals[i].dir == dir && l->arrivals[i].rec == rec)
			return &l->arrivals[i];
	if (!watcher__look_room(l, (void **)&l->arrivals, l->narrivals, &l->arrivals_cap,
				sizeof *l->arrivals))
		return NULL;
	l->arrivals[l->narrivals] = (struct arrival){ .dir = dir,
						      .gen = tree_dir(&w->tree, dir)->gen,
						      .rec = rec,
						      .type = WATCHER_TYPE_DIR,
						      .departure = NO_ITEM,
						      .twin = NO_ITEM,
						      .told = true,
						      .node = NO_DIR };
	return &l->arrivals[l->narrivals++];
}

/* Notes where a node is now, if it is anywhere, before it is taken away from there. */
static bool note_origin(struct watcher *w, uint32_t node, struct arrival *a)
{
	struct dir *n = tree_dir(&w->tree, node);
	struct entry old;

	if (n->parent == NO_DIR)
		return take_half(w, node, a) || take_pushed(w, node);
	old = tree_entry(&w->tree, n->parent, n->rec);
	if (old.marks & ENTRY_NEW || !(a->from = malloc(old.len)))
		return false;
	memcpy(a->from, old.name, old.len);
	a->from_len = old.len;
	a->from_dir = n->parent;
	a->from_gen = tree_dir(&w->tree, n->parent)->gen;
	return true;
}

/* What has moved, and, where hints for what is in it may have been lost on the way, all of it. What is
 * in a root that has moved is not read silently: it would be no news to that one. */
static void look_moved(struct watcher *w, uint32_t node, bool in_root)
{
	uint32_t rec;

	in_root |= tree_dir(&w->tree, node)->roots != NULL;
	if (in_root && w->look->silent)
		watcher__node_limbo(w, node);
	else
		watcher__look_at(w, node);
	if (!(w->sources[tree_dir(&w->tree, node)->backend].ops->caps & BACKEND_BY_PATH))
		return;
	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		struct entry e = tree_entry(&w->tree, node, rec);

		if (e.node != NO_DIR)
			look_moved(w, e.node, in_root);
	}
}

/* Is there something where the index has a node? Another directory, as it was found elsewhere. */
static bool is_taken(struct watcher *w, uint32_t node)
{
	const char *path = watcher__path(w, node, NULL, 0);
	struct stat st;

	return path && watcher__disk_stat_path(&w->disk, path, false, &st) == 0;
}

/* Is a node a mount point, or below one? */
static bool behind_mount(const struct watcher *w, uint32_t node)
{
	for (; node != NO_DIR; node = tree_dir(&w->tree, node)->parent)
		if (tree_dir(&w->tree, node)->flags & DIR_MOUNTED)
			return true;
	return false;
}

/* A mount puts a directory at a second place, and does not move with it; nor can a directory that
 * is mounted over be renamed, but for a link to it: what is mounted here, or was there, has not moved
 * by itself. Nor has what is behind a link here, and was not there. */
static bool may_have_moved(struct watcher *w, uint32_t dir, uint32_t owner, int fd)
{
	uint16_t here = tree_dir(&w->tree, dir)->flags, there = tree_dir(&w->tree, owner)->flags;
	bool was = there & DIR_MOUNTED, is;

	if ((here ^ there) & DIR_LINK)
		return false;
	if (watcher__disk_is_users(&w->disk))
		return true;
	is = watcher__scan_mount(fd, NULL) != 0;
	return here & DIR_LINK ? was == is : !was && !is;
}

/* A first crawl has found it elsewhere, which is no news to the root that is being added. To the
 * others it ends where it was, with all that is in it. */
static void end_where_it_was(struct watcher *w, uint32_t node)
{
	struct dir *d = tree_dir(&w->tree, node);
	struct news n = { .kind = WATCHER_DELETED,
			  .type = WATCHER_TYPE_DIR,
			  .dir = d->parent,
			  .time_ns = w->now_ns,
			  .ino = d->ino,
			  .synthetic = true,
			  .complete = true };
	struct entry e;

	if (d->parent == NO_DIR) {
		watcher__half_found(w, node);
		take_pushed(w, node);
		return;
	}
	e = tree_entry(&w->tree, d->parent, d->rec);
	n.name = e.name;
	n.len = e.len;
	watcher__emit_gone_below(w, &n, n.dir, n.name, n.len, node);
	watcher__emit(w, &n);
}

/* The directory at this place is one that the index has elsewhere, and it is not there any
 * more: it was moved here. Its node takes the place of the fresh one. */
static bool adopt(struct watcher *w, uint32_t fresh, uint32_t node)
{
	struct dir *f = tree_dir(&w->tree, fresh), *n = tree_dir(&w->tree, node);
	uint32_t dir = f->parent, rec = f->rec, old_dir = n->parent, old_rec = n->rec;
	bool taken = old_dir != NO_DIR && is_taken(w, node);
	bool mounts = behind_mount(w, node) || behind_mount(w, fresh);
	struct arrival *a = NULL;

	if (dir == NO_DIR || f->roots || f->count || tree_is_below(&w->tree, dir, node))
		return false;
	if (n->parent == NO_DIR && n->roots && !w->look->silent)
		return false;
	watcher__halves_below_gone(w, node); /* from where they were told to be */
	if (!w->look->silent) {
		a = arrival_of(w, dir, rec);
		if (!a || a->from || !note_origin(w, node, a))
			return false;
		a->node = node;
		tree_set_marks(&w->tree, dir, rec, a->told ? ENTRY_TOLD : ENTRY_NEW);
	} else {
		end_where_it_was(w, node);
	}
	if (old_dir != NO_DIR) {
		tree_detach(&w->tree, old_dir, old_rec);
		tree_erase(&w->tree, old_dir, old_rec);
	}
	tree_detach(&w->tree, dir, rec);
	watcher__node_unwatch(w, fresh); /* what was here before, in the same inode number */
	tree_dir_free(&w->tree, fresh);
	tree_attach(&w->tree, dir, rec, node);
	watcher__rules_arrived(w, node);
	if (w->filters)
		watcher__look_rules(w, node);
	/* It was not as believed: what has the old name now? The kernel tells, but for a mount. */
	if (taken || (old_dir != NO_DIR && (mounts || !watcher__look_waits(w, node))))
		watcher__node_limbo(w, old_dir);
	/* It may have come by a move that the queue still holds, which is then one onto itself. */
	if (!w->look->silent && !w->look->everywhere)
		watcher__node_limbo(w, node);
	if (!watcher__look_waits(w, node)) {
		look_moved(w, node, false);
		watcher__mounts_doubt(w);
	}
	return true;
}

/* Has this pass found elsewhere what was in it? That is still to be told to have come from here. */
static bool has_lost(const struct watcher *w, uint32_t dir)
{
	const struct look *l = w->look;

	for (size_t i = 0; i < l->narrivals; i++)
		if (l->arrivals[i].from && l->arrivals[i].from_dir == dir)
			return true;
	return false;
}

/* Has this pass found the entry of the node? */
static bool is_new(const struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	return d->parent != NO_DIR &&
	       tree_entry(&w->tree, d->parent, d->rec).marks & ENTRY_NEW;
}

/* Is the watch of a node that of another directory than the one it was read as? By its path, which
 * is all there is without /proc, what had just come there was watched in its place. */
static bool has_wrong_watch(const struct watcher *w, uint32_t node, const struct stat *watched)
{
	const struct dir *d = tree_dir(&w->tree, node);

	return d->ino && d->dev && !watcher__disk_is_users(&w->disk) &&
	       (d->ino != watched->st_ino || d->dev != watcher__dev32(watched->st_dev));
}

/* The owner loses the watch and is looked for anew. */
static bool take_watch(struct watcher *w, uint32_t dir, uint32_t owner)
{
	struct dir *d = tree_dir(&w->tree, dir), *o = tree_dir(&w->tree, owner);
	uint32_t above = o->parent;

	watcher__node_unwatch(w, dir);
	if (ids_set(&w->sources[o->backend].nodes, o->id, dir) < 0)
		return false;
	d->id = o->id;
	d->backend = o->backend;
	o->id = -1;
	watcher__node_limbo(w, owner);
	if (above != NO_DIR && w->look->silent) /* what others have read is not read silently */
		watcher__node_limbo(w, above);
	else if (above != NO_DIR)
		watcher__look_at(w, above);
	return true;
}

bool watcher__contested(struct watcher *w, uint32_t dir, uint32_t owner, int fd)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct stat st;

	if (watcher__disk_stat(&w->disk, fd, &st) < 0)
		return false;
	if (has_wrong_watch(w, owner, &st))
		return take_watch(w, dir, owner);
	if (watcher__is_root_here(w, dir, owner)) {
		if (watcher__graft(w, dir, owner))
			return false;
		/* Another had the name, and even the inode number, of which the index knows more. */
		if (d->count && !d->roots && !watcher__look_waits(w, dir)) {
			watcher__look_leave(w, dir);
			return false;
		}
	}
	if (is_between(w, owner)) {
		watcher__node_limbo(w, dir);
		return false;
	}
	if (d->parent != NO_DIR && !d->roots && still_there(w, owner, &st)) {
		/* At both places at once, or on its way between them just now? */
		if (!may_alias(w, dir, owner, fd) || !still_there(w, dir, &st)) {
			watcher__node_limbo(w, dir);
		} else if (d->count || has_lost(w, dir)) {
			watcher__look_leave(w, dir);
		} else {
			watcher__alias_note(w, dir, owner);
			watcher__node_drop(w, dir);
		}
		return false;
	}
	if (watcher__look_waits(w, dir) && !is_new(w, dir)) {
		watcher__node_limbo(w, dir);
		return false;
	}
	if (may_have_moved(w, dir, owner, fd) && adopt(w, dir, owner))
		return false;
	if (watcher__look_waits(w, dir)) {
		watcher__node_limbo(w, dir);
		return false;
	}
	return take_watch(w, dir, owner); /* the owner's path has been recycled */
}
