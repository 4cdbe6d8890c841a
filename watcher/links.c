/*
 * Directories behind symbolic links, where links are followed: when there is one, and whether the
 * link still leads to it. How they are read is in look.c, like that of all others.
 */
#include <sys/stat.h>

#include "watcher/engine.h"

bool watcher__leads_elsewhere(struct watcher *w, uint32_t node)
{
	const struct dir *d = tree_dir(&w->tree, node);
	const char *path = watcher__path(w, node, NULL, 0);
	struct stat st;

	if (!d->dev || !path) /* before it is read for the first time nothing is known */
		return false;
	if (watcher__disk_stat_path(&w->disk, path, true, &st) == 0)
		return st.st_ino != d->ino || watcher__dev32(st.st_dev) != d->dev;
	watcher__node_limbo(w, node);
	return false;
}

void watcher__look_behind(struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct entry e = tree_entry(&w->tree, dir, rec);
	const char *path;
	struct stat st;
	uint32_t node;

	if (!watcher__wanted(w, dir, e.name, e.len) ||
	    !(path = watcher__path(w, dir, e.name, e.len)) ||
	    watcher__disk_stat_path(&w->disk, path, true, &st) < 0 ||
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

/* Is it a link, told of as created where nobody could look at it any more? */
static bool turns_out_link(struct watcher *w, uint32_t dir, const struct entry *e)
{
	const char *path;
	struct stat st;

	if (e->type != WATCHER_TYPE_FILE || e->ino ||
	    !(path = watcher__path(w, dir, e->name, e->len)) ||
	    watcher__disk_stat_path(&w->disk, path, false, &st) < 0 || !S_ISLNK(st.st_mode))
		return false;
	tree_set_type(&w->tree, dir, e->rec, WATCHER_TYPE_SYMLINK);
	return true;
}

void watcher__look_behind_below(struct watcher *w, uint32_t node)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		struct entry e = tree_entry(&w->tree, node, rec);

		if (e.node != NO_DIR && tree_dir(&w->tree, e.node)->flags & DIR_LINK)
			watcher__node_limbo(w, e.node);
		else if (e.node != NO_DIR)
			watcher__look_behind_below(w, e.node);
		else if (e.type == WATCHER_TYPE_SYMLINK || turns_out_link(w, node, &e))
			watcher__look_behind(w, node, rec);
	}
}

bool watcher__dangles(struct watcher *w, uint32_t node)
{
	const char *path = watcher__path(w, node, NULL, 0);
	struct stat st;

	return path && watcher__disk_stat_path(&w->disk, path, false, &st) == 0 &&
	       S_ISLNK(st.st_mode);
}
