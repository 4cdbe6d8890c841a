/*
 * Reading trees into a snapshot: one pass in level order, every entry looked up once, by the
 * descriptor of its directory. Links that are followed come last, so that a directory is
 * found under its own name first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "watcher/engine.h"
#include "watcher/filter.h"
#include "watcher/snapshot.h"

/* While reading only: what is in it is not wanted, or known under another name. */
#define SNAP_CLOSED (1 << 7)

/* Directories that were met: open addressing, at most half full. */
struct met {
	struct met_slot {
		uint64_t dev, inode;
		bool used, is_root;
	} *slots;
	size_t n, cap;
};

struct take {
	watcher_snapshot *s;
	watch_options o;
	struct disk disk;
	const watcher_filter *filter;
	struct filter_root **filters; /* one a root */
	struct met met;
	struct listing listing;
	struct name {
		const char *at;
		uint64_t inode;
		uint8_t len, type;
	} *sorted;
	size_t sorted_cap;
	uint32_t *links; /* followed, still to be read */
	size_t nlinks, links_cap;
	struct bytes path, rel;
	watcher_error *err;
};

static int no_memory(const struct take *t)
{
	return watcher__fail(t->err, UV_ENOMEM, "snapshot: out of memory");
}

/* ---- directories that were met ---- */

static struct met_slot *met_find(const struct met *m, uint64_t dev, uint64_t inode)
{
	size_t i = (size_t)((inode ^ dev << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	for (;; i++) {
		struct met_slot *slot = &m->slots[i & (m->cap - 1)];

		if (!slot->used || (slot->dev == dev && slot->inode == inode))
			return slot;
	}
}

static int met_add(struct met *m, uint64_t dev, uint64_t inode, bool is_root)
{
	struct met bigger = { .cap = m->cap ? m->cap * 2 : 64 };

	if (m->n * 2 >= m->cap) {
		if (!(bigger.slots = calloc(bigger.cap, sizeof *bigger.slots)))
			return UV_ENOMEM;
		for (size_t i = 0; i < m->cap; i++)
			if (m->slots[i].used)
				*met_find(&bigger, m->slots[i].dev, m->slots[i].inode) =
				    m->slots[i];
		free(m->slots);
		bigger.n = m->n;
		*m = bigger;
	}
	*met_find(m, dev, inode) = (struct met_slot){ dev, inode, true, is_root };
	m->n++;
	return 0;
}

static const struct met_slot *met(const struct take *t, const struct snap_entry *e)
{
	const struct met_slot *slot = t->met.cap ? met_find(&t->met, e->dev, e->inode) : NULL;

	return slot && slot->used ? slot : NULL;
}

static bool is_gone(int r)
{
	return r == UV_ENOENT || r == UV_ENOTDIR || r == UV_ELOOP;
}

static bool is_forbidden(int r)
{
	return r == UV_EACCES || r == UV_EPERM;
}

/* ---- roots ---- */

static bool given_before(const watcher_snapshot *s, const char *root, size_t len)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->entries[i].len == len &&
		    memcmp(snap_name(s, &s->entries[i]), root, len) == 0)
			return true;
	return false;
}

static int add_root(struct take *t, const char *given)
{
	size_t len = strlen(given);
	struct snap_entry found = { 0 }, *e;
	int r;

	while (len > 1 && given[len - 1] == '/')
		len--;
	if (!len)
		return watcher__fail(t->err, UV_EINVAL, "snapshot: an empty path");
	if (len > SNAP_ROOT_MAX)
		return watcher__fail(t->err, UV_ENAMETOOLONG, "snapshot: a path is too long");
	if (given_before(t->s, given, len))
		return 0;
	r = watcher__snap_look_up(&t->disk, AT_FDCWD, given, 0, &found);
	if (is_gone(r)) /* a link that leads nowhere is something, too */
		r = watcher__snap_look_up(&t->disk, AT_FDCWD, given, AT_SYMLINK_NOFOLLOW, &found);
	if (r < 0 && !is_gone(r))
		return watcher__fail(t->err, r, "%s: cannot be read: %s", given, uv_strerror(r));
	if (found.type == WATCHER_TYPE_DIR && met(t, &found))
		return 0;
	if (found.type == WATCHER_TYPE_DIR && met_add(&t->met, found.dev, found.inode, true) < 0)
		return no_memory(t);
	if (!(e = watcher__snap_add(t->s, NO_SNAP, given, len)))
		return no_memory(t);
	found.name = e->name;
	found.len = e->len;
	found.parent = NO_SNAP;
	*e = found;
	return 0;
}

static int bind_filters(struct take *t)
{
	watcher_snapshot *s = t->s;

	t->filters = calloc(s->nroots, sizeof(struct filter_root *));
	if (!t->filters)
		return no_memory(t);
	for (uint32_t i = 0; t->filter && i < s->nroots; i++) {
		const char *given = snap_name(s, &s->entries[i]);
		char *real;
		int r;

		if (s->entries[i].type == WATCHER_TYPE_UNKNOWN)
			continue;
		if (watcher__disk_is_users(&t->disk)) {
			r = watcher__filter_bind_virtual(&t->filters[i], t->filter, given, given);
		} else {
			real = realpath(given, NULL);
			if (!real && errno == ENOMEM)
				return no_memory(t);
			r = watcher__filter_bind(&t->filters[i], t->filter, real ? real : given,
						 given);
			free(real);
		}
		if (r < 0)
			return no_memory(t);
		if (!watcher__filter_pass(t->filters[i], "", 0, s->entries[i].type, 0))
			s->entries[i].flags |= SNAP_HIDDEN;
	}
	return 0;
}

static struct filter_root *filter_of(const struct take *t, uint32_t i)
{
	while (t->s->entries[i].parent != NO_SNAP)
		i = t->s->entries[i].parent;
	return t->filters[i];
}

/* ---- one directory ---- */

static int by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int c = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);

	return c ? c : x->len - y->len;
}

/* The names of the listing in order; how many, or UV_ENOMEM. */
static int64_t sort_names(struct take *t)
{
	const struct listing *l = &t->listing;
	size_t n = 0;

	if (l->count > t->sorted_cap) {
		struct name *p = realloc(t->sorted, l->count * sizeof *p);

		if (!p)
			return UV_ENOMEM;
		t->sorted = p;
		t->sorted_cap = l->count;
	}
	for (size_t at = 0; at < l->len; n++) {
		const unsigned char *p = (const unsigned char *)l->packed + at;
		struct name *name = &t->sorted[n];

		memcpy(&name->inode, p, sizeof name->inode);
		name->type = p[8] & 15;
		name->len = p[9];
		name->at = (const char *)p + PACKED_HEAD;
		at += PACKED_HEAD + name->len;
	}
	if (n)
		qsort(t->sorted, n, sizeof *t->sorted, by_name);
	return (int64_t)n;
}

/* t->rel becomes the path of directory `i` below its root; how deep that is, or UV_ENOMEM. */
static int rel_of(struct take *t, uint32_t i)
{
	const watcher_snapshot *s = t->s;
	uint32_t up[SNAP_DEPTH + 1];
	int n = 0, depth, r = 0;

	bytes_clear(&t->rel);
	for (; s->entries[i].parent != NO_SNAP; i = s->entries[i].parent) {
		if (n == SNAP_DEPTH)
			return UV_ENAMETOOLONG;
		up[n++] = i;
	}
	for (depth = n; r == 0 && n-- > 0;) {
		const struct snap_entry *e = &s->entries[up[n]];

		r = watcher__snap_join(&t->rel, snap_name(s, e), e->len);
	}
	return r < 0 ? r : depth;
}

static int read_rules(struct take *t, struct filter_root *fr, int64_t n)
{
	for (int64_t k = 0; fr && k < n; k++)
		if (watcher__filter_is_ignore_file(fr, t->sorted[k].at, t->sorted[k].len))
			return watcher__filter_reload(fr, t->rel.data ? t->rel.data : "",
						      t->rel.len);
	return 0;
}

static int defer_link(struct take *t, uint32_t i)
{
	size_t cap = t->links_cap ? t->links_cap * 2 : 16;
	uint32_t *p;

	if (t->nlinks == t->links_cap) {
		if (!(p = realloc(t->links, cap * sizeof *p)))
			return UV_ENOMEM;
		t->links = p;
		t->links_cap = cap;
	}
	t->links[t->nlinks++] = i;
	return 0;
}

/* Adds one name of directory `dir`, open on `fd`, whose path is t->rel[0..rel_len]. */
static int add_name(struct take *t, uint32_t dir, int fd, const struct name *name,
		    struct filter_root *fr, size_t rel_len)
{
	bool follow = t->o.follow_symlinks && name->type == WATCHER_TYPE_SYMLINK;
	bool holds = name->type == WATCHER_TYPE_DIR || follow, passes, open = false;
	struct snap_entry found = { 0 }, *e;
	const struct met_slot *before;
	char text[256];
	int r;

	bytes_cut(&t->rel, rel_len);
	if (watcher__snap_join(&t->rel, name->at, name->len) < 0)
		return UV_ENOMEM;
	passes = !fr || watcher__filter_pass(fr, t->rel.data, t->rel.len, name->type, 0);
	if (holds)
		open = !fr || watcher__filter_descend(fr, t->rel.data, t->rel.len);
	if (!passes && !open)
		return 0;
	memcpy(text, name->at, name->len);
	text[name->len] = '\0';
	r = watcher__snap_look_up(&t->disk, fd, text, AT_SYMLINK_NOFOLLOW, &found);
	if (r < 0)
		return is_gone(r) ? 0 : r;
	before = found.type == WATCHER_TYPE_DIR ? met(t, &found) : NULL;
	if (before && before->is_root)
		return 0; /* it has its place among the roots */
	if (found.type == WATCHER_TYPE_DIR && t->o.follow_symlinks && !before &&
	    met_add(&t->met, found.dev, found.inode, false) < 0)
		return UV_ENOMEM;
	if (!(e = watcher__snap_add(t->s, dir, text, name->len)))
		return UV_ENOMEM;
	found.name = e->name;
	found.len = e->len;
	found.parent = dir;
	found.flags = (uint8_t)((passes ? 0 : SNAP_HIDDEN) | (open && !before ? 0 : SNAP_CLOSED));
	*e = found;
	t->s->entries[dir].count++;
	if (follow && open && found.type == WATCHER_TYPE_SYMLINK)
		return defer_link(t, t->s->n - 1);
	return 0;
}

static int read_names(struct take *t, uint32_t dir, int fd)
{
	struct filter_root *fr = filter_of(t, dir);
	size_t names = t->s->names.len, rel_len = t->rel.len;
	uint32_t first = t->s->n;
	int64_t n;
	int r;

	watcher__disk_read(&t->disk, fd, &t->listing);
	if (t->listing.error)
		return t->listing.error;
	if ((n = sort_names(t)) < 0 || (r = read_rules(t, fr, n)) < 0)
		return UV_ENOMEM;
	t->s->entries[dir].first = first;
	for (int64_t k = 0; k < n && r >= 0; k++)
		r = add_name(t, dir, fd, &t->sorted[k], fr, rel_len);
	if (r < 0) { /* all of a directory or nothing */
		t->s->entries[dir].count = 0;
		t->s->n = first;
		bytes_cut(&t->s->names, names);
		while (t->nlinks && t->links[t->nlinks - 1] >= first)
			t->nlinks--;
	}
	return r < 0 ? r : 0;
}

/* Is what the link leads to, open on fd, met for the first time? */
static int meet_target(struct take *t, int fd)
{
	struct snap_entry target = { 0 };
	int r = watcher__snap_look_up_open(&t->disk, fd, &target);

	if (r < 0)
		return r;
	if (met(t, &target))
		return 0;
	r = met_add(&t->met, target.dev, target.inode, false);
	return r < 0 ? r : 1;
}

/* Since a directory was looked up its name may have become that of another: the entry is of the
 * one that is open on fd, and read. 1; 0: that is a root, and has its place there. */
static int meet_again(struct take *t, uint32_t dir, int fd)
{
	struct snap_entry *e = &t->s->entries[dir], now = { 0 };
	const struct met_slot *before;
	bool is_root = e->parent == NO_SNAP;
	int r = watcher__snap_look_up_open(&t->disk, fd, &now);

	if (r < 0 || (now.inode == e->inode && now.dev == e->dev))
		return r < 0 ? r : 1;
	now.name = e->name;
	now.len = e->len;
	now.parent = e->parent;
	now.flags = e->flags;
	*e = now;
	before = met(t, &now);
	if (before)
		return !before->is_root; /* of two names that were exchanged each is met */
	if (is_root || t->o.follow_symlinks)
		r = met_add(&t->met, now.dev, now.inode, is_root);
	return r < 0 ? r : 1;
}

static int read_dir(struct take *t, uint32_t dir)
{
	bool is_root = t->s->entries[dir].parent == NO_SNAP;
	bool is_link = t->s->entries[dir].type == WATCHER_TYPE_SYMLINK;
	int depth = rel_of(t, dir), fd, r = depth;

	if (depth >= 0 && t->o.depth && depth >= t->o.depth)
		return 0;
	if (r >= 0)
		r = watcher__snap_path(t->s, dir, &t->path);
	if (r >= 0) {
		r = fd = watcher__disk_open(&t->disk, t->path.data, is_root || is_link);
		if (r >= 0) {
			r = is_link ? meet_target(t, fd) : meet_again(t, dir, fd);
			if (r == 1)
				r = read_names(t, dir, fd);
			watcher__disk_close(&t->disk, fd);
		}
	}
	if (r >= 0 || is_gone(r))
		return 0;
	if (is_forbidden(r) && !is_root) {
		t->s->entries[dir].flags |= SNAP_UNREAD;
		return 0;
	}
	return r == UV_ENOMEM ? no_memory(t) :
				watcher__fail(t->err, r, "%s: cannot be read: %s",
					      t->path.data ? t->path.data : "", uv_strerror(r));
}

static int read_all(struct take *t)
{
	watcher_snapshot *s = t->s;
	uint32_t i = 0;
	size_t link = 0;
	int r = 0;

	for (;;) {
		for (; r == 0 && i < s->n; i++)
			if (s->entries[i].type == WATCHER_TYPE_DIR &&
			    !(s->entries[i].flags & SNAP_CLOSED))
				r = read_dir(t, i);
		if (r < 0 || link == t->nlinks)
			return r;
		r = read_dir(t, t->links[link++]);
	}
}

static int take(struct take *t, const char *const *roots)
{
	int r = 0;

	t->s->taken_ns = clock_wall_ns();
	if (!roots || !roots[0])
		return watcher__fail(t->err, UV_EINVAL, "snapshot: no path is given");
	for (; r == 0 && *roots; roots++)
		r = add_root(t, *roots);
	t->s->nroots = t->s->n;
	if (r == 0)
		r = bind_filters(t);
	if (r == 0)
		r = read_all(t);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < t->s->n; i++)
		t->s->entries[i].flags &= SNAP_FLAGS;
	r = watcher__snap_finish(t->s);
	return r == UV_ENOMEM ? no_memory(t) :
	       r < 0	      ? watcher__fail(t->err, r, "snapshot: the tree is too deep") :
				0;
}

int watcher_snapshot_take(watcher_snapshot **s, const char *const *roots,
			  const watch_options *options, watcher_error *err)
{
	struct take t = { .err = err };
	int r = watcher__watch_options(&t.o, options, err);

	if (r == 0)
		r = watcher__disk_init(&t.disk, t.o.vfs, err);
	if (r == 0)
		r = watcher__watch_filter(&t.filter, &t.o, err);
	if (r < 0)
		return r;
	t.s = calloc(1, sizeof *t.s);
	r = t.s ? take(&t, roots) : no_memory(&t);
	for (uint32_t i = 0; t.filters && i < t.s->nroots; i++)
		watcher__filter_unbind(t.filters[i]);
	watcher_filter_free((watcher_filter *)(uintptr_t)t.filter);
	free(t.filters);
	watcher__disk_fini(&t.disk);
	free(t.met.slots);
	free(t.listing.packed);
	free(t.sorted);
	free(t.links);
	bytes_free(&t.path);
	bytes_free(&t.rel);
	if (r < 0)
		watcher_snapshot_free(t.s);
	else
		*s = t.s;
	return r;
}
