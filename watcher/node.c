/* Nodes of the index and the kernel watches that belong to them. */
#include <string.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include "watcher/engine.h"

enum watch_level watcher__node_level(struct watcher *w, uint32_t dir)
{
	return tree_dir(&w->tree, dir)->roots ? WATCH_TOP : WATCH_ALL;
}

static void unmap(struct watcher *w, struct dir *d)
{
	if (d->id < 0)
		return;
	ids_erase(&w->sources[d->backend].nodes, d->id);
	w->stats.watches--;
	d->id = -1;
}

int watcher__node_claim(struct watcher *w, uint32_t dir, int source, int32_t id,
			uint32_t *owner)
{
	struct source *s = &w->sources[source];
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t held = ids_get(&s->nodes, id);

	if (held != IDS_NONE && held != dir) {
		*owner = held;
		return UV_EEXIST;
	}
	if (d->id >= 0 && (d->id != id || d->backend != source))
		watcher__node_unwatch(w, dir);
	d->backend = (uint8_t)source;
	if (held == dir)
		return 0;
	if (ids_set(&s->nodes, id, dir) < 0)
		return UV_ENOMEM;
	d->id = id;
	w->stats.watches++;
	return 0;
}

/* Out of watches: what is left is polled, and the user is told once what would help. */
static int fall_back(struct watcher *w, struct dir *d, const char *path)
{
	if (d->backend != 0 || w->nsources < 2)
		return UV_ENOSPC;
	if (!w->watch_limit_told) {
		w->watch_limit_told = true;
		watcher__problem(w, path, UV_ENOSPC,
				 "out of inotify watches after %llu directories: polling the rest; "
				 "raise fs.inotify.max_user_watches (sysctl) to more than the number "
				 "of directories",
				 (unsigned long long)w->stats.watches);
	}
	d->backend = 1;
	return 0;
}

int watcher__node_watch(struct watcher *w, uint32_t dir, int fd, const char *path,
			uint32_t *owner)
{
	enum watch_level level = watcher__node_level(w, dir);
	struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = &w->sources[d->backend];
	int32_t id;
	int r = s->ops->watch(s->backend, fd, path, level, &id);

	if (r == UV_ENOSPC && fall_back(w, d, path) == 0) {
		s = &w->sources[d->backend];
		r = s->ops->watch(s->backend, fd, path, level, &id);
	}
	if (r < 0)
		return r;
	return watcher__node_claim(w, dir, d->backend, id, owner);
}

void watcher__node_unwatch(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = &w->sources[d->backend];
	int32_t id = d->id;

	if (id < 0)
		return;
	unmap(w, d);
	if (ids_get(&s->anchors, id) == IDS_NONE)
		s->ops->unwatch(s->backend, id);
}

void watcher__node_limbo(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t cap = w->limbo_cap ? w->limbo_cap * 2 : 16;
	void *p;

	if (d->flags & DIR_LIMBO)
		return;
	if (w->nlimbo == w->limbo_cap) {
		if (!(p = realloc(w->limbo, cap * sizeof *w->limbo))) {
			w->gap = true;
			return;
		}
		w->limbo = p;
		w->limbo_cap = cap;
	}
	d->flags |= DIR_LIMBO;
	w->limbo[w->nlimbo].dir = dir;
	w->limbo[w->nlimbo++].gen = d->gen;
}

void watcher__node_drop(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t rec;

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR)
			watcher__node_drop(w, e.node);
	}
	for (struct root *r = d->roots; r; r = r->next_at_node) {
		r->node = NO_DIR;
		r->recheck = w->recheck_roots = true;
	}
	d->roots = NULL;
	watcher__node_unwatch(w, dir);
	if (d->parent != NO_DIR)
		tree_detach(&w->tree, d->parent, d->rec);
	tree_dir_free(&w->tree, dir);
}

void watcher__release(struct watcher *w, uint32_t dir)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR)
			watcher__release(w, e.node);
	}
	if (watcher__covered(w, dir))
		return;
	/* Roots below stay, on top of their own trees. */
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR && tree_dir(&w->tree, e.node)->roots)
			tree_detach(&w->tree, dir, rec);
	}
	watcher__node_drop(w, dir);
}

void watcher__reconsider(struct watcher *w, uint32_t dir)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.type != WATCHER_TYPE_DIR || e.marks & ENTRY_DOOMED)
			continue;
		if (e.node == NO_DIR) {
			watcher__look_new_dir(w, dir, rec);
			continue;
		}
		if (watcher__covered(w, e.node))
			watcher__reconsider(w, e.node);
		else
			watcher__release(w, e.node);
	}
}

#ifdef __linux__
/* File systems on which inotify watches succeed and stay silent about changes made elsewhere,
 * or about any change at all. Numbers of statfs(2) and linux/magic.h. */
static bool notifies(const char *path)
{
	static const unsigned long silent[] = {
		0x6969,     0x517B,     0xFF534D42, 0xFE534D42, 0x01021997, 0x65735546,
		0x5346414F, 0x00c36400, 0x73757245, 0x564c,     0x786f4256, 0x7461636f,
		0x01161970, 0x0BD00BD0, 0x47504653, 0x53464846, 0x9fa0,     0x62656572,
		0x64626720, 0x74726163, 0x27e0eb,   0x63677270,
	};
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return true;
	for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
		if ((unsigned long)fs.f_type == silent[i])
			return false;
	return true;
}
#else
static bool notifies(const char *path)
{
	(void)path;
	return true;
}
#endif

int watcher__node_source(struct watcher *w, const char *path)
{
	return w->nsources > 1 && !notifies(path) ? 1 : 0;
}
