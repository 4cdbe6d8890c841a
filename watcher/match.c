/*
 * Which of what a pass has found gone is what it has found new: the same inode and type, where
 * that proves anything. See look.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/sort.h"
#include "watcher/look.h"
#include "watcher/statx_linux.h"

/* Is a link gone, and what it led to a root, or holds one? That has not ended with it. */
static bool led_to_root(struct watcher *w, uint32_t node)
{
	if (!(tree_dir(&w->tree, node)->flags & DIR_LINK))
		return false;
	LIST_EACH(it, next, &w->watches) {
		LIST_EACH(ri, rnext, &LIST_ENTRY(it, struct watcher_watch, link)->roots) {
			const struct root *root = LIST_ENTRY(ri, struct root, link);

			if (root->node != NO_DIR && tree_is_below(&w->tree, root->node, node))
				return true;
		}
	}
	return false;
}

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
	if (led_to_root(w, node)) /* what is in it ends only for those who had it here */
		return;
	l->departures[i].inside = (uint32_t)l->ndepartures;
	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		e = tree_entry(&w->tree, node, rec);
		if (e.marks & (ENTRY_NEW | ENTRY_DOOMED))
			continue;
		if (!d.ino) /* on another file system than what is there now */
			e.ino = 0;
		watcher__depart(w, node, &e);
	}
	l->departures[i].ninside = (uint32_t)l->ndepartures - l->departures[i].inside;
}

static int by_ino_arrival(const void *a, const void *b, void *look)
{
	const struct look *l = look;
	uint64_t x = l->arrivals[*(const uint32_t *)a].ino, y = l->arrivals[*(const uint32_t *)b].ino;

	return x < y ? -1 : x > y;
}

bool watcher__born_since(struct watcher *w, uint32_t dir, const char *name, size_t len, int64_t since_ns)
{
#ifdef STATX_BTIME
	const char *path;
	struct statx st;

	if (watcher__disk_is_users(&w->disk))
		return false;
	path = watcher__path(w, dir, name, len);
	if (!path || statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st) < 0 ||
	    !(st.stx_mask & STATX_BTIME))
		return false;
	return st.stx_btime.tv_sec * INT64_C(1000000000) + st.stx_btime.tv_nsec >= since_ns;
#else
	(void)w;
	(void)dir;
	(void)name;
	(void)len;
	(void)since_ns;
	return false;
#endif
}

/* Was this inode born after the changes were lost? Then it is a new file in an old number. */
static bool born_later(struct watcher *w, const struct arrival *a)
{
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);

	return watcher__born_since(w, a->dir, e.name, e.len, w->look->since_ns);
}

/* The times of a user's disk are not of this pass's clock: the source remembers what it was like. */
static bool is_same_to_source(struct watcher *w, const struct departure *d, const struct stat *st)
{
	const struct dir *from = tree_dir(&w->tree, d->dir);
	const struct source *s = &w->sources[from->backend];
	struct entry e = tree_entry(&w->tree, d->dir, d->rec);

	return s->ops->is_same && s->ops->is_same(s->backend, from->id, e.name, e.len, st);
}

/* Was a file that has moved written to, too, in what this pass finds? The move is in its change time.
 * If it has moved on, what finds it there looks at what came later. */
static bool written_since(struct watcher *w, const struct departure *d, const struct arrival *a)
{
	struct entry e = tree_entry(&w->tree, a->dir, a->rec);
	const char *path;
	struct stat st;
	int r;

	if (a->type != WATCHER_TYPE_FILE || !(path = watcher__path(w, a->dir, e.name, e.len)))
		return false;
	r = watcher__disk_stat_path(&w->disk, path, false, &st);
	if (r < 0) /* what nothing says of a user's file again is told */
		return r == UV_ENOENT || r == UV_ENOTDIR || watcher__disk_is_users(&w->disk);
	return watcher__disk_is_users(&w->disk) ? !is_same_to_source(w, d, &st) :
						  stat_mtime_ns(&st) >= w->look->since_ns;
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
		/* No memory to say that it was written to, too: it is gone, and another came. */
		if (a->type == WATCHER_TYPE_FILE && !watcher__changed_room(w))
			return;
		a->departure = di;
		d->arrival = order[lo];
		if (written_since(w, d, a))
			watcher__note_changed(w, a->dir, a->rec);
		return;
	}
}

int watcher__match(struct watcher *w)
{
	struct look *l = w->look;
	uint32_t *order;
	size_t n = 0;

	for (size_t i = 0; i < l->ndepartures; i++)
		expand(w, i);
	if (!l->narrivals || !l->ndepartures)
		return 0;
	if (!(order = malloc(l->narrivals * sizeof *order)))
		return UV_ENOMEM;
	for (uint32_t i = 0; i < l->narrivals; i++)
		if (l->arrivals[i].ino && !l->arrivals[i].from)
			order[n++] = i;
	sort_items(order, n, sizeof *order, by_ino_arrival, l);
	for (uint32_t i = 0; i < l->ndepartures; i++)
		/* A directory with a node is known again by its watch; without that what is in it
		 * has come and gone by itself. */
		if (!l->departures[i].done && l->departures[i].ino && !l->departures[i].had_node)
			match_one(w, i, order, n);
	free(order);
	return 0;
}
