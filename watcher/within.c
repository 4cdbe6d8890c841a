/*
 * Roots of one watch in one another: which of them tells.
 *
 * What happens below both is told by the inner one. That the inner one itself comes or goes is told by the
 * one around it, which sees that in its own tree, and so is what was in it then: where a directory
 * ends, so do the roots in it, to be looked up anew. What the outer one does not see, for its
 * filter or its depth, the inner one tells.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "watcher/look.h"
#include "watcher/within.h"

/* The way from a directory to a path in it; NULL: the path is none in it. */
static const char *way_in(const char *dir, const char *path)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	return strncmp(dir, path, len) == 0 && path[len] == '/' && path[len + 1] ? path + len + 1 :
										   NULL;
}

/* The path of a root, or of something in it. 0, or UV_ENAMETOOLONG. */
static int path_of(const struct root *root, const char *rel, size_t len, char path[2 * PATH_MAX])
{
	const char *file = root->single ? root->single : "";
	int n = snprintf(path, 2 * PATH_MAX, "%s%s%s%s%.*s",
			 strcmp(root->real, "/") == 0 ? "" : root->real, *file ? "/" : "", file,
			 len ? "/" : "", (int)len, rel);

	return n < 2 * PATH_MAX ? 0 : UV_ENAMETOOLONG;
}

bool watcher__is_within(const struct root *around, const struct root *root)
{
	char path[2 * PATH_MAX];

	return around != root && around->watch == root->watch && !around->single &&
	       (around->node != NO_DIR || around->ended) && root->node != NO_DIR &&
	       path_of(root, "", 0, path) == 0 && way_in(around->real, path);
}

bool watcher__is_way(const struct root *around, const char *rel, const struct root *root)
{
	const char *way = way_in(around->real, root->real);
	size_t len = way ? strlen(way) : 0;

	return way && strncmp(rel, way, len) == 0 && (rel[len] == '/' || !rel[len]);
}

bool watcher__has_around(const struct root *root)
{
	if (!root->watch->w->several)
		return false;
	LIST_EACH(it, next, &root->watch->roots)
		if (watcher__is_within(LIST_ENTRY(it, struct root, link), root))
			return true;
	return false;
}

static bool tells(const struct root *root, const struct news *n, const char *path)
{
	const char *way = way_in(root->real, path);

	return way && watcher__root_passes(root, way, strlen(way), n->type, n->kind);
}

bool watcher__told_around(const struct root *root, const struct news *n, const char *rel, size_t len)
{
	char path[2 * PATH_MAX];

	if (!root->watch->w->several || path_of(root, rel, len, path) < 0)
		return false;
	LIST_EACH(it, next, &root->watch->roots) {
		const struct root *around = LIST_ENTRY(it, struct root, link);

		if (watcher__is_within(around, root) && tells(around, n, path))
			return true;
	}
	return false;
}

/* Is that the path of a root that is a file? */
static bool is_file(const struct root *root, const char *path)
{
	const char *way = root->single ? way_in(root->real, path) : NULL;

	return way && strcmp(way, root->single) == 0;
}

bool watcher__told_within(const struct root *root, const struct news *n, const char *rel, size_t len)
{
	char path[2 * PATH_MAX];

	if (!root->watch->w->several || path_of(root, rel, len, path) < 0)
		return false;
	LIST_EACH(it, next, &root->watch->roots) {
		const struct root *in = LIST_ENTRY(it, struct root, link);

		if (!in->over && (in->single ? is_file(in, path) :
					       watcher__is_within(root, in) && tells(in, n, path)))
			return true;
	}
	return false;
}

void watcher__over_at(struct watcher *w, uint32_t dir)
{
	for (struct root *r = tree_dir(&w->tree, dir)->roots; r; r = r->next_at_node) {
		r->recheck = w->recheck_roots = true;
		r->over |= watcher__has_around(r);
	}
}

void watcher__over_below(struct watcher *w, uint32_t dir)
{
	uint32_t rec;

	if (!w->several)
		return;
	watcher__over_at(w, dir);
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR)
			watcher__over_below(w, e.node);
	}
}

/* Its node, or that of the last directory on the way to it that the index has. */
static uint32_t last_on_way(const struct watcher *w, uint32_t node, const char *way)
{
	while (*way) {
		size_t len = strcspn(way, "/");
		uint32_t rec = tree_find(&w->tree, node, way, len), next;

		next = rec == NO_REC ? NO_DIR : tree_entry(&w->tree, node, rec).node;
		if (next == NO_DIR)
			return node;
		node = next;
		way += len + (way[len] == '/');
	}
	return node;
}

bool watcher__sought_around(struct watcher *w, struct root *root, const char *path)
{
	bool sought = root->sought;

	root->sought = false;
	if (!w->several || sought)
		return true;
	LIST_EACH(it, next, &root->watch->roots) {
		const struct root *around = LIST_ENTRY(it, struct root, link);
		const char *way = around->real && !around->single ? way_in(around->real, path) : NULL;
		uint32_t node;

		if (around == root || around->node == NO_DIR || !way)
			continue;
		node = last_on_way(w, around->node, way);
		watcher__look_at(w, node);
		if (node != around->node)
			watcher__look_at(w, tree_dir(&w->tree, node)->parent);
		root->sought = true;
	}
	return !root->sought;
}

void watcher__settle_around(struct watcher *w, const struct root *root)
{
	LIST_EACH(it, next, &root->watch->roots) {
		struct root *around = LIST_ENTRY(it, struct root, link);

		if (around->settled != w->settling && way_in(around->path, root->path))
			watcher__root_settle(w, around, false, NULL);
	}
}

void watcher__recheck_roots(struct watcher *w)
{
	w->recheck_roots = false;
	w->settling++;
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(ri, rnext, &watch->roots) {
			struct root *root = LIST_ENTRY(ri, struct root, link);

			if (root->recheck && root->settled != w->settling && !watch->removed)
				watcher__root_settle(w, root, false, NULL);
		}
	}
}
