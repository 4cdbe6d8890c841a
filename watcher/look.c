/* The reading half of a pass: see look.h. It announces nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/filter.h"
#include "watcher/look.h"

#define TOLD_MAX 4352 /* had before it is needed: PATH_MAX and a name */

int watcher__look_init(struct watcher *w)
{
	w->look = calloc(1, sizeof *w->look);
	return w->look ? bytes_reserve(&w->look->told, TOLD_MAX) : UV_ENOMEM;
}

void watcher__look_fini(struct watcher *w)
{
	struct look *l = w->look;

	if (!l)
		return;
	free(l->queue);
	for (size_t i = 0; i < l->narrivals; i++)
		free(l->arrivals[i].from);
	free(l->arrivals);
	free(l->departures);
	free(l->origins);
	ids_free(&l->by_node);
	bytes_free(&l->told);
	free(l->changed);
	free(l->seen);
	free(l->listing.packed);
	bytes_free(&l->path);
	free(l);
	w->look = NULL;
}

bool watcher__look_room(struct look *l, void **items, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return true;
	if (!(p = realloc(*items, more * size))) {
		l->failed = true;
		return false;
	}
	*items = p;
	*cap = more;
	return true;
}

void watcher__look_at(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;

	if (!l->active) {
		l->active = true;
		l->since_ns = w->calm_ns;
		tree_pin(&w->tree);
	}
	if (watcher__look_room(l, (void **)&l->queue, l->nqueue, &l->queue_cap,
			       sizeof *l->queue))
		l->queue[l->nqueue++] = (struct looked){ dir, tree_dir(&w->tree, dir)->gen };
}

void watcher__look_hint(struct watcher *w, uint32_t dir, const struct change *hint)
{
	struct look *l = w->look;

	watcher__look_at(w, dir);
	l->content |= hint->content;
	if (hint->since_ns && hint->since_ns < l->since_ns)
		l->since_ns = hint->since_ns;
}

void watcher__look_everywhere(struct watcher *w, int64_t since_ns)
{
	struct look *l = w->look;

	l->everywhere = true;
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&w->tree, i);

		if (d->flags & DIR_USED && d->parent == NO_DIR && d->roots)
			watcher__look_at(w, i);
	}
	if (l->active)
		l->since_ns = since_ns;
}

bool watcher__look_pending(const struct watcher *w)
{
	return w->look->active;
}

uint32_t watcher__look_new_dir(struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct entry e = tree_entry(&w->tree, dir, rec);
	const struct dir *d = tree_dir(&w->tree, dir);
	uint32_t node;

	if (d->flags & DIR_NARROW || !watcher__wanted(w, dir, e.name, e.len))
		return NO_DIR;
	if ((node = tree_dir_new(&w->tree)) == NO_DIR) {
		w->gap = true;
		return NO_DIR;
	}
	tree_dir(&w->tree, node)->backend = d->backend;
	tree_attach(&w->tree, dir, rec, node);
	watcher__look_at(w, node);
	return node;
}

/* Directories behind a symbolic link: only where asked for, and never one that is an ancestor. */
void watcher__look_behind(struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct entry e = tree_entry(&w->tree, dir, rec);
	const char *path = watcher__path(w, dir, e.name, e.len);
	struct stat st;
	uint32_t node;

	if (!path || watcher__disk_stat_path(&w->disk, path, true, &st) < 0 ||
	    !S_ISDIR(st.st_mode))
		return;
	for (uint32_t at = dir; at != NO_DIR; at = tree_dir(&w->tree, at)->parent)
		if (tree_dir(&w->tree, at)->ino == st.st_ino &&
		    tree_dir(&w->tree, at)->dev == watcher__dev32(st.st_dev))
			return;
	node = watcher__look_new_dir(w, dir, rec);
	if (node != NO_DIR)
		tree_dir(&w->tree, node)->flags |= DIR_LINK;
}

/* An entry that the index did not have. Without memory it stays out: nothing in the index is
 * left to be told by a pass that has not noted it. */
static void arrive(struct watcher *w, uint32_t dir, const char *name, uint8_t len, int type,
		   uint64_t ino, uint32_t twin)
{
	struct look *l = w->look;
	uint32_t rec;

	if (!watcher__look_room(l, (void **)&l->arrivals, l->narrivals, &l->arrivals_cap,
				sizeof *l->arrivals))
		return;
	watcher__name_taken(w, dir, name, len);
	/* Without memory to tell of it, it is not known either: found again by another pass. */
	if (!l->silent && !watcher__look_room(l, (void **)&l->arrivals, l->narrivals,
					      &l->arrivals_cap, sizeof *l->arrivals))
		return;
	rec = tree_insert(&w->tree, dir, name, len, type, ino);
	if (rec == NO_REC) {
		l->failed = true;
		return;
	}
	if (!l->silent) {
		tree_set_marks(&w->tree, dir, rec, ENTRY_NEW);
		l->arrivals[l->narrivals++] = (struct arrival){ .dir = dir,
								.gen = tree_dir(&w->tree, dir)->gen,
								.rec = rec,
								.ino = ino,
								.type = (uint8_t)type,
								.departure = NO_ITEM,
								.node = NO_DIR,
								.twin = twin };
	}
	if (type == WATCHER_TYPE_DIR)
		watcher__look_new_dir(w, dir, rec);
	else if (type == WATCHER_TYPE_SYMLINK && watcher__follows(w, dir))
		watcher__look_behind(w, dir, rec);
}

bool watcher__depart(struct watcher *w, uint32_t dir, const struct entry *e)
{
	struct look *l = w->look;

	if (!watcher__look_room(l, (void **)&l->departures, l->ndepartures, &l->departures_cap,
				sizeof *l->departures))
		return false;
	tree_set_marks(&w->tree, dir, e->rec, ENTRY_DOOMED);
	l->departures[l->ndepartures++] = (struct departure){ .dir = dir,
							      .gen = tree_dir(&w->tree, dir)->gen,
							      .rec = e->rec,
							      .ino = e->ino,
							      .type = e->type,
							      .had_node = e->node != NO_DIR,
							      .arrival = NO_ITEM };
	return true;
}

static int64_t file_ctime_ns(const struct stat *st)
{
#ifdef __APPLE__
	return st->st_ctimespec.tv_sec * INT64_C(1000000000) + st->st_ctimespec.tv_nsec;
#else
	return st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec;
#endif
}

/* Was a file that stayed in place written to while changes were lost? Its change time tells. */
static void look_at_content(struct watcher *w, int fd, uint32_t dir, const struct entry *e)
{
	struct look *l = w->look;
	char name[256];
	struct stat st;

	memcpy(name, e->name, e->len);
	name[e->len] = '\0';
	if (watcher__disk_stat_name(&w->disk, fd, name, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (!e->ino)
		tree_set_ino(&w->tree, dir, e->rec, st.st_ino);
	if (file_ctime_ns(&st) >= l->since_ns &&
	    watcher__look_room(l, (void **)&l->changed, l->nchanged, &l->changed_cap,
			       sizeof *l->changed))
		l->changed[l->nchanged++] = (struct looked){ dir, e->rec };
}

/* Is what the index holds still what the listing names? */
static bool same_thing(const struct watcher *w, const struct entry *e, int type, uint64_t ino)
{
	bool link = e->node != NO_DIR && tree_dir(&w->tree, e->node)->flags & DIR_LINK;

	if (link)
		return type == WATCHER_TYPE_SYMLINK;
	if (e->type != type)
		return false;
	if (e->node != NO_DIR && tree_dir(&w->tree, e->node)->flags & DIR_FOREIGN)
		return true; /* the listing has the inode below the mount point */
	return !e->ino || !ino || e->ino == ino;
}

static void compare_one(struct watcher *w, uint32_t dir, const char *name, uint8_t len,
			int type, uint64_t ino)
{
	uint32_t rec = tree_find(&w->tree, dir, name, len);
	struct look *l = w->look;
	struct entry e;

	if (rec == NO_REC) {
		arrive(w, dir, name, len, type, ino, NO_ITEM);
		rec = tree_find(&w->tree, dir, name, len);
		if (rec != NO_REC)
			tree_set_marks(&w->tree, dir, rec,
				       tree_entry(&w->tree, dir, rec).marks | ENTRY_SEEN);
		return;
	}
	e = tree_entry(&w->tree, dir, rec);
	if (same_thing(w, &e, type, ino)) {
		if (!e.ino && e.node == NO_DIR)
			tree_set_ino(&w->tree, dir, rec, ino);
		if (e.type != type && e.node == NO_DIR)
			tree_set_type(&w->tree, dir, rec, type);
		tree_set_marks(&w->tree, dir, rec, e.marks | ENTRY_SEEN);
		if (type == WATCHER_TYPE_DIR && e.node == NO_DIR)
			watcher__look_new_dir(w, dir, rec);
		return;
	}
	if (e.type != WATCHER_TYPE_DIR && type != WATCHER_TYPE_DIR && e.type == 0)
		tree_set_type(&w->tree, dir, rec, type);
	if (!watcher__depart(w, dir, &e))
		return;
	arrive(w, dir, name, len, type, ino, (uint32_t)l->ndepartures - 1);
	if (l->narrivals && l->arrivals[l->narrivals - 1].twin == l->ndepartures - 1)
		l->arrivals[l->narrivals - 1].replaces =
		    e.type == type && type != WATCHER_TYPE_DIR;
	rec = tree_find(&w->tree, dir, name, len);
	if (rec != NO_REC)
		tree_set_marks(&w->tree, dir, rec,
			       tree_entry(&w->tree, dir, rec).marks | ENTRY_SEEN);
}

/* A fresh node in a silent pass takes the listing as it is. */
static bool take_whole(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;
	uint32_t rec;

	if (!l->silent || tree_dir(&w->tree, dir)->count ||
	    tree_dir(&w->tree, dir)->flags & DIR_NARROW)
		return false;
	if (tree_fill(&w->tree, dir, l->listing.packed, l->listing.len, l->listing.count) < 0) {
		l->failed = true;
		return true;
	}
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.type == WATCHER_TYPE_DIR)
			watcher__look_new_dir(w, dir, rec);
		else if (e.type == WATCHER_TYPE_SYMLINK && watcher__follows(w, dir))
			watcher__look_behind(w, dir, rec);
	}
	return true;
}

/* What the listing did not name is gone; what stayed may have been written to. */
static void sweep(struct watcher *w, uint32_t dir, int fd)
{
	struct look *l = w->look;
	uint32_t rec;

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.marks & ENTRY_DOOMED)
			continue;
		if (!(e.marks & ENTRY_SEEN) && !(e.marks & ENTRY_NEW)) {
			watcher__depart(w, dir, &e);
			continue;
		}
		tree_set_marks(&w->tree, dir, rec, e.marks & ENTRY_NEW);
		if (e.marks & ENTRY_NEW)
			continue;
		if ((l->everywhere || l->content) && fd >= 0 && e.type == WATCHER_TYPE_FILE)
			look_at_content(w, fd, dir, &e);
		if (e.node != NO_DIR &&
		    (l->everywhere ||
		     (l->content && tree_dir(&w->tree, e.node)->flags & DIR_NO_ACCESS)))
			watcher__look_at(w, e.node);
	}
}

static void note_listing(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct listing *li = &w->look->listing;

	d->ino = li->ino;
	d->dev = li->dev;
	d->ctime_ns = li->ctime_ns;
	d->flags &= (uint16_t)~(DIR_NO_ACCESS | DIR_FOREIGN | DIR_FAILED);
	if (d->parent != NO_DIR && tree_dir(&w->tree, d->parent)->dev != d->dev)
		d->flags |= DIR_FOREIGN;
}

/* Rules in the directory are known before its entries are judged by them. */
static void read_rules(struct watcher *w, uint32_t dir)
{
	const struct listing *li = &w->look->listing;

	for (size_t at = 0; at < li->len; at += PACKED_HEAD + (uint8_t)li->packed[at + 9])
		if (li->packed[at + PACKED_HEAD] == '.')
			watcher__rules_read(w, dir, li->packed + at + PACKED_HEAD,
					    (uint8_t)li->packed[at + 9]);
}

static void compare_names(struct watcher *w, uint32_t dir, int fd)
{
	const struct listing *li = &w->look->listing;
	bool narrow = tree_dir(&w->tree, dir)->flags & DIR_NARROW;

	if (take_whole(w, dir))
		return;
	for (size_t at = 0; at < li->len; at += PACKED_HEAD + (uint8_t)li->packed[at + 9]) {
		const char *name = li->packed + at + PACKED_HEAD;
		uint8_t len = (uint8_t)li->packed[at + 9];
		uint64_t ino;

		memcpy(&ino, li->packed + at, 8);
		if (!narrow || watcher__narrow_wants(w, dir, name, len))
			compare_one(w, dir, name, len, (uint8_t)li->packed[at + 8], ino);
	}
	sweep(w, dir, fd);
}

static void compare(struct watcher *w, uint32_t dir, int fd)
{
	struct look *l = w->look;

	note_listing(w, dir);
	read_rules(w, dir);
	l->directories++;
	l->files += l->listing.count;
	compare_names(w, dir, fd);
	if (l->failed) /* not all of it was taken: read again, changed or not */
		tree_dir(&w->tree, dir)->ctime_ns = 0;
}

/* What does not fit will be told in a moment by a source that tells everything. */
static bool waits(const struct watcher *w, uint32_t dir)
{
	const struct source *s = &w->sources[tree_dir(&w->tree, dir)->backend];

	return s->ops->caps & BACKEND_EXACT && !w->look->calm && !w->look->everywhere &&
	       !w->look->silent;
}

/* The directory cannot be opened or watched. */
static void look_failed(struct watcher *w, uint32_t dir, int code)
{
	struct dir *d = tree_dir(&w->tree, dir), *up;

	switch (code) {
	case UV_EACCES:
	case UV_EPERM:
		if (!(d->flags & DIR_NO_ACCESS))
			watcher__problem(w, w->look->path.data, code,
					 "%s: cannot be read: not watched", w->look->path.data);
		d->flags |= DIR_NO_ACCESS;
		return;
	case UV_ENOENT:
	case UV_ENOTDIR:
	case UV_ELOOP:
		break;
	case UV_ENOSPC:
		return; /* told by node_watch */
	case UV_ENOMEM:
	case UV_EMFILE:
	case UV_ENFILE:
		w->look->error = code; /* not the directory's fault: a first crawl fails */
		/* fall through */
	default:
		if (!(d->flags & DIR_FAILED))
			watcher__problem(w, w->look->path.data, code, "%s: %s",
					 w->look->path.data, uv_strerror(code));
		d->flags |= DIR_FAILED;
		watcher__node_limbo(w, dir);
		return;
	}
	for (struct root *r = d->roots; r; r = r->next_at_node)
		r->recheck = w->recheck_roots = true;
	if (w->look->silent && d->parent == NO_DIR)
		w->look->error = code; /* gone before it could be read: the caller hears of it */
	/* It was there a moment ago. If it still is, it is to be read all the same. */
	watcher__node_limbo(w, dir);
	if (d->parent == NO_DIR)
		return;
	up = tree_dir(&w->tree, d->parent);
	if (!waits(w, dir) && !(up->flags & DIR_LOOKED))
		watcher__look_at(w, d->parent);
}

/* Has this pass found that the directory, or one above it, is not where the index has it? */
static bool doomed(const struct watcher *w, uint32_t dir)
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
	struct stat st;

	return path && !doomed(w, node) &&
	       watcher__disk_stat_path(&w->disk, path, false, &st) == 0 &&
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

/* Finds the waiting half of a move that took `node` away; its name goes to the arrival. */
static bool take_half(struct watcher *w, uint32_t node, struct arrival *a)
{
	for (uint32_t i = 0; i < w->nhalves; i++) {
		struct half_move *h = &w->halves[i];

		if (h->node != node)
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

/* Notes where a node is now, before it is taken away from there. */
static bool note_origin(struct watcher *w, uint32_t node, struct arrival *a)
{
	struct dir *n = tree_dir(&w->tree, node);
	struct entry old;

	if (n->parent == NO_DIR)
		return take_half(w, node, a);
	old = tree_entry(&w->tree, n->parent, n->rec);
	if (old.marks & ENTRY_NEW || !(a->from = malloc(old.len)))
		return false;
	memcpy(a->from, old.name, old.len);
	a->from_len = old.len;
	a->from_dir = n->parent;
	a->from_gen = tree_dir(&w->tree, n->parent)->gen;
	return true;
}

/* The directory at this place is one that the index has elsewhere, and it is not there any
 * more: it was moved here. Its node takes the place of the fresh one. */
static bool adopt(struct watcher *w, uint32_t fresh, uint32_t node)
{
	struct dir *f = tree_dir(&w->tree, fresh), *n = tree_dir(&w->tree, node);
	uint32_t dir = f->parent, rec = f->rec, old_dir = n->parent, old_rec = n->rec;
	struct arrival *a = NULL;

	if (dir == NO_DIR || f->roots || f->count || tree_is_below(&w->tree, dir, node))
		return false;
	if (n->parent == NO_DIR && n->roots && !w->look->silent)
		return false;
	if (!w->look->silent) {
		a = arrival_of(w, dir, rec);
		if (!a || a->from || !note_origin(w, node, a))
			return false;
		a->node = node;
		tree_set_marks(&w->tree, dir, rec, ENTRY_NEW);
	}
	if (old_dir != NO_DIR) {
		tree_detach(&w->tree, old_dir, old_rec);
		tree_erase(&w->tree, old_dir, old_rec);
	}
	tree_detach(&w->tree, dir, rec);
	watcher__node_unwatch(w, fresh); /* what was here before, in the same inode number */
	tree_dir_free(&w->tree, fresh);
	tree_attach(&w->tree, dir, rec, node);
	if (waits(w, node))
		return true;
	watcher__look_at(w, node);
	if (old_dir != NO_DIR) /* it was not as believed: what has the old name now? */
		watcher__node_limbo(w, old_dir);
	return true;
}

/* A root's own tree is at the place of this node: it becomes a part of this one. What is in it
 * is news, but not for the roots it has already. */
static bool graft(struct watcher *w, uint32_t fresh, uint32_t top)
{
	struct dir *f = tree_dir(&w->tree, fresh), *t = tree_dir(&w->tree, top);
	uint32_t dir = f->parent, rec = f->rec;
	struct arrival *a;

	if (dir == NO_DIR || f->roots || f->count || tree_is_below(&w->tree, dir, top))
		return false;
	if (!w->look->silent) {
		a = arrival_of(w, dir, rec);
		if (!a || a->from)
			return false;
		a->node = top;
		a->grafted = true;
		tree_set_marks(&w->tree, dir, rec, ENTRY_NEW);
	}
	tree_detach(&w->tree, dir, rec);
	watcher__node_unwatch(w, fresh);
	tree_dir_free(&w->tree, fresh);
	tree_attach(&w->tree, dir, rec, top);
	t->flags &= (uint16_t)~DIR_NARROW;
	watcher__look_at(w, top);
	return true;
}

/* Is the owner of the watch the top of a root's own tree, by the very same path? */
static bool is_root_here(struct watcher *w, uint32_t dir, uint32_t owner)
{
	const struct dir *o = tree_dir(&w->tree, owner);
	const char *path = watcher__path(w, dir, NULL, 0);

	return path && o->parent == NO_DIR && o->roots && strcmp(path, o->roots->real) == 0;
}

/* Has this pass found the entry of the node? */
static bool is_new(const struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	return d->parent != NO_DIR &&
	       tree_entry(&w->tree, d->parent, d->rec).marks & ENTRY_NEW;
}

/* Another node holds the watch of the directory that is at this node's path. True if it is
 * this node's now, and the directory is to be read. */
static bool contested(struct watcher *w, uint32_t dir, uint32_t owner, int fd)
{
	struct dir *d = tree_dir(&w->tree, dir), *o = tree_dir(&w->tree, owner);
	uint32_t above = o->parent;
	struct stat st;

	if (watcher__disk_stat(&w->disk, fd, &st) < 0)
		return false;
	if (is_root_here(w, dir, owner) && graft(w, dir, owner))
		return false;
	if (d->parent != NO_DIR && !d->roots && still_there(w, owner, &st)) {
		/* At both places at once, or on its way between them just now? */
		if (may_alias(w, dir, owner, fd) && still_there(w, dir, &st))
			watcher__node_drop(w, dir);
		else
			watcher__node_limbo(w, dir);
		return false;
	}
	if (waits(w, dir) && !is_new(w, dir)) {
		watcher__node_limbo(w, dir);
		return false;
	}
	if (adopt(w, dir, owner))
		return false;
	if (waits(w, dir)) {
		watcher__node_limbo(w, dir);
		return false;
	}
	/* The owner's path has been recycled: it loses the watch and is looked for anew. */
	watcher__node_unwatch(w, dir);
	if (ids_set(&w->sources[o->backend].nodes, o->id, dir) < 0)
		return false;
	d->id = o->id;
	d->backend = o->backend;
	o->id = -1;
	watcher__node_limbo(w, owner);
	if (above != NO_DIR)
		watcher__look_at(w, above);
	return true;
}

/* Only the content of files is to be looked at: the names have not changed. */
static bool unchanged(struct watcher *w, uint32_t dir, int fd)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	struct look *l = w->look;
	uint32_t rec;

	if (!l->everywhere || !d->ctime_ns)
		return false;
	watcher__disk_stat_listing(&w->disk, fd, &l->listing);
	if (l->listing.error || l->listing.ctime_ns != d->ctime_ns ||
	    l->listing.ino != d->ino || l->listing.dev != d->dev)
		return false;
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec))
		tree_set_marks(&w->tree, dir, rec,
			       tree_entry(&w->tree, dir, rec).marks | ENTRY_SEEN);
	sweep(w, dir, fd);
	return true;
}

static void mark_looked(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;
	struct dir *d = tree_dir(&w->tree, dir);

	if (watcher__look_room(l, (void **)&l->seen, l->nseen, &l->seen_cap, sizeof *l->seen))
		l->seen[l->nseen++] = (struct looked){ dir, d->gen };
	d->flags |= DIR_LOOKED;
}

/* Is another directory at the node's path than the one it stands for? Then it is its parent
 * that has changed. What was mounted on it, or unmounted, is compared in place. */
static bool replaced(struct watcher *w, uint32_t dir, int fd)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct stat st;

	if (!d->ino || watcher__disk_stat(&w->disk, fd, &st) < 0 || d->ino == st.st_ino ||
	    d->dev != watcher__dev32(st.st_dev))
		return false;
	if (d->parent == NO_DIR) {
		for (struct root *r = d->roots; r; r = r->next_at_node)
			r->recheck = w->recheck_roots = true;
	} else {
		watcher__node_limbo(w, dir);
		if (!waits(w, dir) && !(tree_dir(&w->tree, d->parent)->flags & DIR_LOOKED))
			watcher__look_at(w, d->parent);
	}
	return true;
}

/* Opens the directory of a node. One that is not watched yet is known by its path only, and is
 * opened within its parent if that is where the index has it. */
static int open_node(struct watcher *w, uint32_t dir, const char *path)
{
	const struct dir *d = tree_dir(&w->tree, dir), *up;
	char name[256];
	struct entry e;
	struct stat st;
	int fd, in, r;

	if (d->id >= 0 || d->parent == NO_DIR || d->flags & DIR_LINK ||
	    watcher__disk_is_users(&w->disk))
		return watcher__disk_open(&w->disk, path,
					  d->parent == NO_DIR || d->flags & DIR_LINK);
	up = tree_dir(&w->tree, d->parent);
	e = tree_entry(&w->tree, d->parent, d->rec);
	memcpy(name, e.name, e.len);
	name[e.len] = '\0';
	path = watcher__path(w, d->parent, NULL, 0);
	if (!path || (in = watcher__scan_open(path, true)) < 0)
		return path ? in : UV_ENOMEM;
	if (fstat(in, &st) < 0 ||
	    (up->ino && (st.st_ino != up->ino || watcher__dev32(st.st_dev) != up->dev)))
		r = UV_ENOENT;
	else if ((fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK |
					    O_NOFOLLOW)) < 0)
		r = -errno;
	else
		r = fd;
	close(in);
	return r;
}

/* Reads the directory; if the backend can tell where in its queue that was, what is older will
 * not be taken for news. False: that could not be had just now. */
static bool read_fenced(struct watcher *w, uint32_t dir, int fd, bool fresh)
{
	struct look *l = w->look;
	const struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = &w->sources[d->backend];
	bool top = d->roots || ids_get(&s->anchors, d->id) != IDS_NONE;
	enum watch_level level = top ? WATCH_TOP : WATCH_ALL;
	bool fenced = !l->silent && !l->everywhere && s->ops->fence;

	if (fenced && s->ops->fence(s->backend, d->id, fd, level, true) < 0) {
		if (fresh)
			watcher__node_unwatch(w, dir);
		watcher__node_limbo(w, dir);
		return false;
	}
	watcher__disk_read(&w->disk, fd, &l->listing);
	if (fenced && s->ops->fence(s->backend, d->id, fd, level, false) < 0)
		watcher__node_limbo(w, dir); /* the next look takes it away */
	if (fenced && !l->listing.error)
		watcher__node_ahead(w, dir, fresh);
	else
		w->uncertain = true;
	return true;
}

static void look_one(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;
	struct dir *d = tree_dir(&w->tree, dir);
	const char *path = watcher__path(w, dir, NULL, 0);
	uint32_t owner;
	bool fresh;
	int fd, r;

	mark_looked(w, dir);
	bytes_clear(&l->path);
	if (!path || bytes_adds(&l->path, path) < 0) {
		l->failed = true;
		watcher__node_limbo(w, dir);
		return;
	}
	if (d->flags & DIR_AHEAD && !l->everywhere) { /* once the queue is there */
		watcher__node_limbo(w, dir);
		return;
	}
	fresh = d->id < 0;
	fd = open_node(w, dir, l->path.data);
	if (fd < 0) {
		look_failed(w, dir, fd);
		return;
	}
	if (replaced(w, dir, fd)) {
		watcher__disk_close(&w->disk, fd);
		return;
	}
	r = watcher__node_watch(w, dir, fd, l->path.data, &owner);
	if (r == UV_EEXIST && !contested(w, dir, owner, fd)) {
		watcher__disk_close(&w->disk, fd);
		return;
	}
	if (r < 0 && r != UV_EEXIST) {
		look_failed(w, dir, r);
	} else if (!unchanged(w, dir, fd) && read_fenced(w, dir, fd, fresh)) {
		if (l->listing.error)
			look_failed(w, dir, l->listing.error);
		else
			compare(w, dir, fd);
	}
	watcher__disk_close(&w->disk, fd);
}

void watcher__look_result(struct watcher *w, uint32_t dir, int watched, int32_t id,
			  struct listing *li)
{
	struct look *l = w->look;
	struct listing own = l->listing;
	uint32_t owner;

	if (watched == 0)
		watched = watcher__node_claim(w, dir, tree_dir(&w->tree, dir)->backend, id, &owner);
	if (watched < 0 || li->error) {
		look_one(w, dir); /* whatever is wrong is found out, and told, there */
		return;
	}
	mark_looked(w, dir);
	l->listing = *li;
	w->uncertain = true;
	compare(w, dir, -1);
	*li = l->listing;
	l->listing = own;
}

static void finish(struct watcher *w)
{
	struct look *l = w->look;

	for (size_t i = 0; i < l->nseen; i++)
		if (tree_alive(&w->tree, l->seen[i].dir, l->seen[i].gen))
			tree_dir(&w->tree, l->seen[i].dir)->flags &= (uint16_t)~DIR_LOOKED;
	l->nseen = l->nqueue = l->head = 0;
	watcher__settle(w);
	if (l->everywhere)
		w->stats.recoveries++;
	/* Without memory something was left out: look at everything once more. */
	if (l->failed && !l->silent) {
		w->gap = true;
		if (!w->gap_since_ns || l->since_ns < w->gap_since_ns)
			w->gap_since_ns = l->since_ns;
	}
	if (l->failed)
		l->error = UV_ENOMEM;
	l->active = l->everywhere = l->calm = l->content = l->failed = false;
	tree_unpin(&w->tree);
}

void watcher__look_one_queued(struct watcher *w)
{
	struct look *l = w->look;
	struct looked next;

	if (!l->active || l->head == l->nqueue)
		return;
	next = l->queue[l->head++];
	if (!tree_alive(&w->tree, next.dir, next.gen) ||
	    tree_dir(&w->tree, next.dir)->flags & DIR_LOOKED)
		return;
	if (doomed(w, next.dir))
		watcher__node_limbo(w, next.dir); /* it may be found again, moved */
	else
		look_one(w, next.dir);
}

bool watcher__look_go(struct watcher *w, uint64_t until)
{
	struct look *l = w->look;

	while (l->active && l->head < l->nqueue) {
		watcher__look_one_queued(w);
		if (until != UINT64_MAX && uv_hrtime() > until && l->head < l->nqueue)
			return false;
	}
	if (l->active)
		finish(w);
	return true;
}
