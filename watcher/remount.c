/*
 * A directory that a mount, or the end of one, has brought to light where the index has another.
 * Its entry stays, for nothing has happened to that; what was in it ends, what is in it now is new.
 * See look.h; that there is something to look at is found in mounted.c.
 */
#include <sys/stat.h>

#include "watcher/look.h"

enum found watcher__found_at(struct watcher *w, uint32_t dir, int fd)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	bool same_dev, unmounted = d->flags & DIR_UNMOUNTED;
	struct stat st;

	if (!d->ino || !d->dev || watcher__disk_stat(&w->disk, fd, &st) < 0)
		return THE_SAME;
	same_dev = d->dev == watcher__dev32(st.st_dev);
	if (d->ino == st.st_ino && same_dev)
		return unmounted ? REMOUNTED : THE_SAME;
	if (watcher__disk_is_users(&w->disk))
		return same_dev ? ANOTHER : THE_SAME;
	if (d->parent == NO_DIR || (same_dev && !unmounted && !(d->flags & DIR_MOUNTED) &&
				    !watcher__scan_mount(fd, NULL)))
		return ANOTHER;
	return REMOUNTED;
}

bool watcher__below_unmounted(const struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	if (!(d->flags & DIR_UNMOUNTED))
		return false;
	while (d->parent != NO_DIR) {
		d = tree_dir(&w->tree, d->parent);
		if (d->flags & DIR_UNMOUNTED)
			return true;
	}
	return false;
}

void watcher__look_leave(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t rec;

	w->look->strange = true;
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (!(e.marks & (ENTRY_NEW | ENTRY_DOOMED)))
			watcher__depart(w, dir, &e);
	}
	w->look->strange = false;
	watcher__node_unwatch(w, dir);
	d->ino = 0;
	d->dev = 0;
	d->flags &= (uint16_t)~(DIR_MOUNTED | DIR_UNMOUNTED | DIR_AHEAD | DIR_FRESH);
	watcher__node_limbo(w, dir);
}

void watcher__choose_source(struct watcher *w, uint32_t dir, int fd, const char *path)
{
	struct dir *d = tree_dir(&w->tree, dir), *up;
	struct stat st;
	int source;

	if (w->options.backend != WATCHER_BACKEND_AUTO || d->parent == NO_DIR ||
	    watcher__disk_stat(&w->disk, fd, &st) < 0)
		return;
	up = tree_dir(&w->tree, d->parent);
	source = up->dev == watcher__dev32(st.st_dev) ? up->backend :
							watcher__node_source_below(w, path);
	if (source == d->backend)
		return;
	watcher__node_unwatch(w, dir);
	d->backend = (uint8_t)source;
}
