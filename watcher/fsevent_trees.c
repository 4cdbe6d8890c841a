/*
 * Whole trees: where the system can, a directory is watched with all that is below it, through one
 * handle. Names are paths below it then, and the directory they are in is known by what is at its path
 * now. One that is not there any more, or not known yet, makes the nearest above it be looked at, with
 * the content of files. The others below it have handles that are not started. (Elsewhere this is
 * played for tests: they are started, and speak through the top.)
 */
#include "watcher/fsevent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "watcher/engine.h"

static bool lies_in(const char *path, const char *tree)
{
	size_t len = strlen(tree);

	return strncmp(path, tree, len) == 0 && (path[len] == '/' || !path[len] || len == 1);
}

/* Is it below its tree really, or behind a link? What is gone was. */
static bool is_in_place(const char *path)
{
	char *real = realpath(path, NULL);
	bool same = real ? strcmp(real, path) == 0 : errno == ENOENT;

	free(real);
	return same;
}

/* The handle through which a path is heard of: that of the smallest tree it is in, or NULL. */
static struct handle *tree_around(const struct backend *b, const char *path)
{
	struct handle *best = NULL;

	for (struct handle *h = b->trees; h; h = h->next_tree)
		if (lies_in(path, h->tree) && (!best || strlen(h->tree) > strlen(best->tree)))
			best = h;
	return best;
}

/* The directory at b->below, if it is one that is watched. */
static struct handle *handle_below(struct backend *b)
{
	struct identity self;

	if (b->below_id < 0 && watcher__scan_identity(-1, b->below.data, &self) == 0)
		b->below_id = keys_find(&b->keys, &self, sizeof self);
	return b->below_id < 0 ? NULL : b->handles[b->below_id];
}

/* Where the path in b->below is not one that is watched: the nearest above it is looked at. */
static void look_above(struct handle *top)
{
	struct backend *b = top->b;
	struct handle *h = NULL;

	while (!h && b->below.len > strlen(top->tree)) {
		bytes_cut(&b->below, (size_t)(strrchr(b->below.data, '/') - b->below.data));
		b->below_id = -1;
		h = handle_below(b);
	}
	h = h ? h : top;
	h->content = true;
	fsevent_look(h);
}

void fsevent_told_below(struct handle *top, const char *rel, int events)
{
	const char *name = strrchr(rel, '/') + 1;
	size_t len = strlen(top->tree), rel_len = (size_t)(name - rel) - 1;
	struct backend *b = top->b;
	struct handle *h;

	if (b->below.len != len + 1 + rel_len || memcmp(b->below.data, top->tree, len) != 0 ||
	    memcmp(b->below.data + len + 1, rel, rel_len) != 0)
		b->below_id = -1;
	bytes_clear(&b->below);
	if (bytes_add(&b->below, top->tree, len) < 0 || bytes_addc(&b->below, '/') < 0 ||
	    bytes_add(&b->below, rel, rel_len) < 0) {
		b->below_id = -1;
		fsevent_lose(b);
		return;
	}
	if (tree_around(b, b->below.data) != top)
		return; /* the smaller tree tells of it */
	if ((h = handle_below(b)))
		fsevent_told(h, name, events);
	else
		look_above(top);
}

/* A directory that is covered speaks through the tops of the trees it is in, as if there were no
 * handle on it: for tests where the system cannot watch whole trees. */
static void on_covered(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct handle *h = event->data;
	struct backend *b = h->b;
	const char *path = b->config.path_of(b->config.arg, h->id, NULL);
	struct bytes full = { 0 };

	if (!name || status < 0 || fsevent_means_itself(name) || !path || !is_in_place(path))
		return;
	if (bytes_addf(&full, "%s/%s", path, name) < 0)
		fsevent_lose(b);
	for (struct handle *top = full.len ? b->trees : NULL; top; top = top->next_tree)
		if (lies_in(full.data, top->tree) && full.data[strlen(top->tree)])
			fsevent_on_event(&top->event, full.data + strlen(top->tree) + (top->tree[1] != 0),
				 events, 0);
	bytes_free(&full);
}

static void end_tree(struct handle *h)
{
	struct handle **at = &h->b->trees;

	while (*at != h)
		at = &(*at)->next_tree;
	*at = h->next_tree;
	free(h->tree);
	h->tree = NULL;
}

int fsevent_start(struct handle *h, int fd, const char *path, enum watch_level level)
{
	struct backend *b = h->b;
	int r;

	if (!b->whole_trees || level < WATCH_ALL)
		return fsevent_start_alone(h, fd, path, fsevent_on_event, 0);
	if (tree_around(b, path) && is_in_place(path)) {
		h->covered = true;
		return HAS_WHOLE_TREES ? 0 : fsevent_start_alone(h, fd, path, on_covered, 0);
	}
	if (!(h->tree = strdup(path)))
		return UV_ENOMEM;
	h->next_tree = b->trees;
	b->trees = h;
	r = fsevent_start_alone(h, fd, path, fsevent_on_event, HAS_WHOLE_TREES ? UV_FS_EVENT_RECURSIVE : 0);
	if (r < 0)
		end_tree(h);
	return r;
}

void fsevent_stop(struct handle *h)
{
	uv_fs_event_stop(&h->event);
	h->covered = false;
	if (h->tree)
		end_tree(h);
}

bool fsevent_is_elsewhere(const struct handle *h, const char *path, enum watch_level level)
{
	if (!h->b->whole_trees || level < WATCH_ALL)
		return false;
	return h->level < WATCH_ALL ? !h->tree && !h->covered :
				      h->tree && strcmp(h->tree, path) != 0;
}

/* A tree has ended: what it covered, and is still wanted, gets handles of its own, those of the
 * shortest paths first, for they cover the others. */
void fsevent_cover_again(struct backend *b)
{
	const char *path;
	struct handle *h, *next;
	size_t least;

	do {
		next = NULL;
		least = SIZE_MAX;
		for (int32_t i = 0; i < b->cap; i++) {
			h = b->handles[i];
			path = h && h->covered ? b->config.path_of(b->config.arg, i, NULL) : NULL;
			if (path && !tree_around(b, path) && strlen(path) < least) {
				least = strlen(path);
				next = h;
			}
		}
		if (next && (path = b->config.path_of(b->config.arg, next->id, NULL))) {
			uv_fs_event_stop(&next->event);
			next->covered = false;
			if (fsevent_start(next, -1, path, (enum watch_level)next->level) < 0)
				fsevent_lose(b);
		}
	} while (next);
}
