/*
 * A directory's listing against what the index has of it: what is new is marked and noted, what
 * is gone, too, and what stayed may have been written to. Nothing is announced; see look.h.
 */
#include <string.h>
#include <sys/stat.h>

#include "watcher/filter.h"
#include "watcher/look.h"

/* What is read silently is news all the same to others for whom this very file, or one in this
 * directory (no name), is a root. */
static bool is_root_of_others(const struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	for (const struct root *r = tree_dir(&w->tree, dir)->roots; r; r = r->next_at_node)
		if (r->single && r != w->adding &&
		    (!name || (strlen(r->single) == len && memcmp(r->single, name, len) == 0)))
			return true;
	return false;
}

/* An entry that the index did not have. Without memory it stays out: nothing in the index is
 * left to be told by a pass that has not noted it. */
static void arrive(struct watcher *w, uint32_t dir, const char *name, uint8_t len, int type,
		   uint64_t ino, uint32_t twin)
{
	bool came = tree_dir(&w->tree, dir)->flags & DIR_CAME;
	struct look *l = w->look;
	bool silent = l->silent && (l->past || !is_root_of_others(w, dir, name, len));
	uint32_t rec, node;

	/* Without memory to tell of it, it is not known either: found again by another pass. */
	if (!watcher__look_room(l, (void **)&l->arrivals, l->narrivals, &l->arrivals_cap,
				sizeof *l->arrivals))
		return;
	watcher__name_taken(w, dir, name, len);
	rec = tree_insert(&w->tree, dir, name, len, type, ino);
	if (rec == NO_REC) {
		l->failed = true;
		return;
	}
	if (!silent) {
		tree_set_marks(&w->tree, dir, rec, ENTRY_NEW);
		l->arrivals[l->narrivals++] = (struct arrival){ .dir = dir,
								.gen = tree_dir(&w->tree, dir)->gen,
								.rec = rec,
								.ino = ino,
								.type = (uint8_t)type,
								.came = came,
								.departure = NO_ITEM,
								.node = NO_DIR,
								.twin = twin };
	}
	if (type == WATCHER_TYPE_DIR) {
		node = watcher__look_new_dir(w, dir, rec);
		if (came && node != NO_DIR)
			tree_dir(&w->tree, node)->flags |= DIR_CAME;
		if (!silent && !watcher__look_waits(w, dir)) /* else it is told whether it came */
			watcher__mounts_came(w);
	} else if (type == WATCHER_TYPE_SYMLINK && w->follow) {
		watcher__look_behind(w, dir, rec);
	}
}

bool watcher__depart(struct watcher *w, uint32_t dir, const struct entry *e)
{
	bool link = e->node != NO_DIR && tree_dir(&w->tree, e->node)->flags & DIR_LINK;
	struct look *l = w->look;

	if (!watcher__look_room(l, (void **)&l->departures, l->ndepartures, &l->departures_cap,
				sizeof *l->departures))
		return false;
	tree_set_marks(&w->tree, dir, e->rec,
		       ENTRY_DOOMED | (e->marks & ENTRY_NEW ? e->marks & ENTRY_TOLD : 0));
	l->departures[l->ndepartures++] = (struct departure){ .dir = dir,
							      .gen = tree_dir(&w->tree, dir)->gen,
							      .rec = e->rec,
							      .ino = l->strange || link ? 0 : e->ino,
							      .type = link ? WATCHER_TYPE_SYMLINK :
									     e->type,
							      .had_node = e->node != NO_DIR,
							      .arrived = (e->marks & ENTRY_NEW) != 0,
							      .arrival = NO_ITEM };
	return true;
}

bool watcher__changed_room(struct watcher *w)
{
	struct look *l = w->look;

	return watcher__look_room(l, (void **)&l->changed, l->nchanged, &l->changed_cap,
				  sizeof *l->changed);
}

void watcher__note_changed(struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct look *l = w->look;

	if (watcher__changed_room(w))
		l->changed[l->nchanged++] =
		    (struct changed){ dir, tree_dir(&w->tree, dir)->gen, rec };
}

/* Was a file that stayed in place written to while changes were lost? Its change time tells; if it has
 * left since it was read, nothing does. */
static void look_at_content(struct watcher *w, int fd, uint32_t dir, const struct entry *e)
{
	struct look *l = w->look;
	char name[256];
	struct stat st;
	int r;

	memcpy(name, e->name, e->len);
	name[e->len] = '\0';
	r = watcher__disk_stat_name(&w->disk, fd, name, &st);
	if (r == 0 && !e->ino && S_ISREG(st.st_mode))
		tree_set_ino(&w->tree, dir, e->rec, st.st_ino);
	if (r < 0 ? r == UV_ENOENT : stat_ctime_ns(&st) >= l->since_ns)
		watcher__note_changed(w, dir, e->rec);
}

/* Is what the index holds still what the listing names? */
static bool same_thing(struct watcher *w, const struct entry *e, int type, uint64_t ino)
{
	bool link = e->node != NO_DIR && tree_dir(&w->tree, e->node)->flags & DIR_LINK;

	if (link)
		return type == WATCHER_TYPE_SYMLINK && !watcher__leads_elsewhere(w, e->node);
	if (e->type != type)
		return false;
	if (e->node != NO_DIR && (tree_is_foreign(&w->tree, e->node) ||
				  tree_dir(&w->tree, e->node)->flags & DIR_MOUNTED))
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
	if (!l->strange && same_thing(w, &e, type, ino)) {
		if (!e.ino && e.node == NO_DIR)
			tree_set_ino(&w->tree, dir, rec, ino);
		if (e.type != type && e.node == NO_DIR)
			tree_set_type(&w->tree, dir, rec, type);
		tree_set_marks(&w->tree, dir, rec, e.marks | ENTRY_SEEN);
		if (type == WATCHER_TYPE_DIR && e.node == NO_DIR)
			watcher__look_new_dir(w, dir, rec);
		else if (type == WATCHER_TYPE_SYMLINK && e.node == NO_DIR && w->follow)
			watcher__look_behind(w, dir, rec); /* to where it did not lead before */
		else if (type == WATCHER_TYPE_DIR)
			tree_dir(&w->tree, e.node)->by_number = true;
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
	    tree_dir(&w->tree, dir)->flags & DIR_NARROW || is_root_of_others(w, dir, NULL, 0))
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
		else if (e.type == WATCHER_TYPE_SYMLINK && w->follow)
			watcher__look_behind(w, dir, rec);
	}
	return true;
}

/* Is all that is below to be looked at, too? If not by this pass, then since when? */
static bool goes_deep(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	bool owed = d->flags & DIR_OWED;

	d->flags &= (uint16_t)~DIR_OWED;
	if (owed && !w->look->everywhere && w->owed_since_ns < w->look->since_ns)
		w->look->since_ns = w->owed_since_ns;
	return owed || w->look->everywhere;
}

/* What the listing did not name is gone; what stayed may have been written to. */
static void sweep(struct watcher *w, uint32_t dir, int fd)
{
	struct look *l = w->look;
	bool deep = goes_deep(w, dir);
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
		tree_set_marks(&w->tree, dir, rec,
			       e.marks & ENTRY_NEW ? e.marks & ENTRY_TOLD : ENTRY_STAYED);
		if (e.marks & ENTRY_NEW)
			continue;
		if (l->renewed && e.type == WATCHER_TYPE_FILE)
			watcher__note_changed(w, dir, e.rec);
		else if ((deep || l->content) && fd >= 0 && e.type == WATCHER_TYPE_FILE)
			look_at_content(w, fd, dir, &e);
		if (e.node != NO_DIR && deep && !l->everywhere)
			tree_dir(&w->tree, e.node)->flags |= DIR_OWED;
		if (e.node != NO_DIR &&
		    (deep || l->renewed || (l->content && tree_dir(&w->tree, e.node)->flags & DIR_NO_ACCESS)))
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
	d->read_ns = li->read_ns;
	d->flags &= (uint16_t)~(DIR_NO_ACCESS | DIR_FAILED | DIR_MOUNTED | DIR_UNMOUNTED |
				DIR_GIVEN_UP);
	if (d->parent != NO_DIR && li->mount)
		watcher__mounted(w, dir, li->mount);
}

/* Rules in the directory are known before its entries are judged by them. */
static void read_rules(struct watcher *w, uint32_t dir)
{
	const struct listing *li = &w->look->listing;
	bool changed = watcher__rules_none(w, dir);

	for (size_t at = 0; at < li->len; at += PACKED_HEAD + (uint8_t)li->packed[at + 9])
		if (li->packed[at + PACKED_HEAD] == '.')
			changed |= watcher__rules_read(w, dir, li->packed + at + PACKED_HEAD,
						       (uint8_t)li->packed[at + 9]);
	if (changed && tree_dir(&w->tree, dir)->count)
		watcher__look_rules(w, dir);
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

void watcher__compare(struct watcher *w, uint32_t dir, int fd)
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

bool watcher__compare_unchanged(struct watcher *w, uint32_t dir, int fd)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct look *l = w->look;
	uint32_t rec;

	if (!l->everywhere || !d->ctime_ns || l->strange || l->renewed)
		return false;
	watcher__disk_stat_listing(&w->disk, fd, &l->listing);
	if (l->listing.error || l->listing.ctime_ns != d->ctime_ns ||
	    l->listing.ino != d->ino || l->listing.dev != d->dev)
		return false;
	d->read_ns = l->listing.read_ns;
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec))
		tree_set_marks(&w->tree, dir, rec,
			       tree_entry(&w->tree, dir, rec).marks | ENTRY_SEEN);
	sweep(w, dir, fd);
	return true;
}
