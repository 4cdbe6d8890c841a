/*
 * What was done before a root is added, where others have its tree, and that is only found by looking:
 * it is looked for, so that they hear of it, and the root begins with what is there.
 */
#include <stdlib.h>
#include <string.h>

#include "watcher/before.h"
#include "watcher/engine.h"

static bool lies_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len] || len == 1);
}

static const struct backend_ops *ops_of(const struct watcher *w, uint32_t dir)
{
	return w->sources[tree_dir(&w->tree, dir)->backend].ops;
}

/* Is what is at the path in that root, or that in it? */
static bool has_common(const struct watcher *w, const struct root *root, const char *real)
{
	if (root->node == NO_DIR || ops_of(w, root->node)->caps & BACKEND_EXACT)
		return false;
	return lies_in(root->real, real) ||
	       (root->single ? strcmp(root->path, real) == 0 : lies_in(real, root->real));
}

static bool any_has_common(const struct watcher *w, const char *real)
{
	LIST_EACH(it, next, &w->watches) {
		LIST_EACH(ri, rnext, &LIST_ENTRY(it, struct watcher_watch, link)->roots) {
			if (has_common(w, LIST_ENTRY(ri, struct root, link), real))
				return true;
		}
	}
	return false;
}

/* Is what changes in a directory at that path news of a root at `real`? */
static bool is_in(const char *path, const char *real)
{
	size_t len = strlen(path);

	return lies_in(path, real) || (lies_in(real, path) && !strchr(real + len + 1, '/'));
}

bool watcher__compare_before(struct watcher *w, const char *path)
{
	char *real = watcher__disk_is_users(&w->disk) ? strdup(path) : realpath(path, NULL);
	bool common = real && any_has_common(w, real);

	for (uint32_t i = 0; common && i < w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&w->tree, i);
		const char *at;

		if (d->flags & DIR_USED && d->id >= 0 && ops_of(w, i)->compare &&
		    (at = watcher__path(w, i, NULL, 0)) && is_in(at, real))
			ops_of(w, i)->compare(w->sources[d->backend].backend, d->id);
	}
	free(real);
	return common;
}

void watcher__look_for_names(struct watcher *w)
{
	for (uint32_t i = 0; i < w->tree.nnodes; i++)
		if (tree_dir(&w->tree, i)->flags & DIR_USED &&
		    !(ops_of(w, i)->caps & BACKEND_EXACT) && watcher__path(w, i, NULL, 0))
			watcher__look_at(w, i);
}
