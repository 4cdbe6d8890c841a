/* Where a node is: its path, and the roots it lies under. */
#include <stdlib.h>
#include <string.h>

#include "watcher/engine.h"
#include "watcher/filter.h"

#define PATHS_CAP 4352 /* PATH_MAX and a name: had before it is needed */

static int make_room(struct backpath *p, size_t len)
{
	size_t cap = p->cap;
	char *buf;

	if (p->len + len + 1 <= p->cap)
		return 0;
	while (cap < p->len + len + 1)
		cap *= 2;
	if (!(buf = malloc(cap)))
		return UV_ENOMEM;
	buf[cap - 1] = '\0';
	if (p->len)
		memcpy(buf + cap - 1 - p->len, backpath_tail(p, p->len), p->len);
	free(p->buf);
	p->buf = buf;
	p->cap = cap;
	return 0;
}

static int prepend(struct backpath *p, const char *s, size_t len)
{
	if (make_room(p, len) < 0)
		return UV_ENOMEM;
	p->len += len;
	if (len)
		memcpy(p->buf + p->cap - 1 - p->len, s, len);
	return 0;
}

int watcher__paths_init(struct watcher *w)
{
	struct backpath *all[] = { &w->path, &w->dest_path, &w->work_path };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		if (!(all[i]->buf = malloc(PATHS_CAP)))
			return UV_ENOMEM;
		all[i]->buf[PATHS_CAP - 1] = '\0';
		all[i]->cap = PATHS_CAP;
	}
	return 0;
}

/* Puts the name of a directory, and a slash behind it if anything follows. */
static int prepend_dir(struct backpath *p, const char *name, size_t len)
{
	if (make_room(p, len + 1) < 0)
		return UV_ENOMEM;
	if (p->len)
		p->buf[p->cap - 1 - ++p->len] = '/';
	p->len += len;
	memcpy(p->buf + p->cap - 1 - p->len, name, len);
	return 0;
}

static int prepend_node(struct watcher *w, struct backpath *p, const struct dir *d)
{
	struct entry e = tree_entry(&w->tree, d->parent, d->rec);

	return prepend_dir(p, e.name, e.len);
}

static bool within_depth(const struct root *root, const char *rel, size_t len)
{
	int depth = root->watch->depth;

	if (!depth || !len)
		return true;
	for (const char *at = rel; depth && (at = memchr(at, '/', len - (size_t)(at - rel))); at++)
		depth--;
	return depth > 0;
}

bool watcher__root_sees(const struct root *root, const char *rel, size_t len)
{
	if (root->watch->removed)
		return false;
	if (root->single)
		return strlen(root->single) == len && memcmp(root->single, rel, len) == 0;
	return within_depth(root, rel, len);
}

/* Those that are attached to a node, behind the n that there are; the path so far is relative to it. */
static int add_hits(struct watcher *w, const struct backpath *p, uint32_t dir, struct hit *hits, int n)
{
	for (struct root *r = tree_dir(&w->tree, dir)->roots; r && n < HITS_MAX;
	     r = r->next_at_node) {
		/* A single file's events are about the root itself. */
		if (!watcher__root_sees(r, backpath_tail(p, p->len), p->len))
			continue;
		hits[n].root = r;
		hits[n++].rel_len = r->single ? 0 : p->len;
	}
	return n;
}

int watcher__hits(struct watcher *w, struct backpath *p, uint32_t dir, const char *name,
		  size_t len, struct hit *hits)
{
	const struct dir *d;
	int n = 0;

	p->len = 0;
	if (prepend(p, name, len) < 0)
		return UV_ENOMEM;
	for (;; dir = d->parent) {
		n = add_hits(w, p, dir, hits, n);
		d = tree_dir(&w->tree, dir);
		if (d->parent == NO_DIR)
			return n;
		if (prepend_node(w, p, d) < 0)
			return UV_ENOMEM;
	}
}

int watcher__hits_told(struct watcher *w, struct backpath *p, uint32_t dir, const char *name,
		       size_t len, struct hit *hits)
{
	int n = 0;

	if (!watcher__look_pending(w)) /* as in the index */
		return watcher__hits(w, p, dir, name, len, hits);
	p->len = 0;
	if (prepend(p, name, len) < 0)
		return UV_ENOMEM;
	for (;;) {
		n = add_hits(w, p, dir, hits, n);
		if ((dir = watcher__told_up(w, dir, &name, &len)) == NO_DIR)
			return n;
		if (prepend_dir(p, name, len) < 0)
			return UV_ENOMEM;
	}
}

const char *watcher__path(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	struct backpath *p = &w->work_path;
	const struct dir *d = tree_dir(&w->tree, dir);
	const char *top;

	p->len = 0;
	if (prepend(p, name, len) < 0)
		return NULL;
	for (; d->parent != NO_DIR; d = tree_dir(&w->tree, d->parent))
		if (prepend_node(w, p, d) < 0)
			return NULL;
	if (!d->roots) /* half of a move: nowhere at present */
		return NULL;
	top = d->roots->real;
	if (p->len && top[1] && prepend(p, "/", 1) < 0)
		return NULL;
	if (prepend(p, top, strlen(top)) < 0)
		return NULL;
	return backpath_tail(p, p->len);
}

/* Does it want what is in a directory with that path? */
static bool root_wants(const struct root *r, const char *rel, size_t len)
{
	int slashes = 1;

	if (r->single)
		return false;
	/* At its full depth a directory has an event, but none inside it has. */
	if (r->watch->depth) {
		for (size_t k = 0; k < len; k++)
			slashes += rel[k] == '/';
		if (slashes >= r->watch->depth)
			return false;
	}
	return !r->filter || watcher__filter_descend(r->filter, rel, len);
}

bool watcher__wanted(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	struct hit hits[HITS_MAX];
	int n = watcher__hits(w, &w->work_path, dir, name, len, hits);

	for (int i = 0; i < n; i++)
		if (root_wants(hits[i].root, backpath_tail(&w->work_path, hits[i].rel_len),
			       hits[i].rel_len))
			return true;
	return n == UV_ENOMEM;
}

bool watcher__covered(struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	for (const struct root *r = d->roots; r; r = r->next_at_node)
		if (!r->watch->removed)
			return true;
	return d->parent != NO_DIR && watcher__wanted(w, dir, NULL, 0);
}

bool watcher__narrow_wants(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	for (const struct root *r = tree_dir(&w->tree, dir)->roots; r; r = r->next_at_node)
		if (r->single && strlen(r->single) == len && memcmp(r->single, name, len) == 0)
			return true;
	return false;
}
