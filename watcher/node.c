/* Nodes of the index and the kernel watches that belong to them. */
#include <stdlib.h>
#include <string.h>

#include "watcher/limits.h"
#include "watcher/look.h"
#include "watcher/within.h"

#define UNWATCH_AT_ONCE 256 /* in a turn, and as many between looks at the clock */

static enum watch_level level_of(struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	/* A root, and what is to be one, and what is behind a link: it may move, or end, where nobody
	 * watches its name. */
	return d->parent == NO_DIR || d->roots || d->flags & DIR_LINK ? WATCH_TOP : WATCH_ALL;
}

uint32_t watcher__node_of(const struct watcher *w, int source, int32_t id)
{
	uint32_t dir = ids_get(&w->sources[source].nodes, id);

	return dir != IDS_NONE && tree_dir(&w->tree, dir)->flags & DIR_USED ? dir : IDS_NONE;
}

static void unmap(struct watcher *w, struct dir *d)
{
	if (d->id < 0)
		return;
	ids_erase(&w->sources[d->backend].nodes, d->id);
	d->id = -1;
}

int watcher__node_claim(struct watcher *w, uint32_t dir, int source, int32_t id,
			uint32_t *owner)
{
	struct source *s = &w->sources[source];
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t held = watcher__node_of(w, source, id);

	if (held != IDS_NONE && held != dir) {
		*owner = held;
		return UV_EEXIST;
	}
	if (d->id >= 0 && (d->id != id || d->backend != source))
		watcher__node_unwatch(w, dir);
	d->backend = (uint8_t)source;
	if (held == dir)
		return 0;
	if (ids_set(&s->nodes, id, dir) < 0) {
		if (ids_get(&s->anchors, id) == IDS_NONE)
			s->ops->unwatch(s->backend, id);
		return UV_ENOMEM;
	}
	d->id = id;
	return 0;
}

void watcher__tell_limit(struct watcher *w)
{
	unsigned long long polled = 0;
	const char *sysctl;
	long long limit;

	if (!w->watch_limit_due || w->head->watch_limit_told)
		return;
	w->watch_limit_due = false;
	w->head->watch_limit_told = true;
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&w->tree, i);

		polled += d->flags & DIR_USED && d->backend == 1;
	}
	limit = watcher__limit(LIMIT_WATCHES, &sysctl);
	watcher__problem(w, NULL, UV_ENOSPC,
			 "out of inotify watches (%s is %lld, shared by all programs of the user): "
			 "%llu of %llu directories are polled; to watch all: sysctl %s=%lld",
			 sysctl, limit, polled, (unsigned long long)w->tree.dirs, sysctl,
			 limit + (long long)polled + 1024);
}

/* The source that polls, opened when it is first needed; negative errno if it cannot be. */
static int polling_source(struct watcher *w)
{
	struct source *s = &w->sources[1];
	int r;

	if (w->nsources > 1)
		return 1;
	if (w->sources[0].ops->caps & BACKEND_SCANS)
		return UV_ENOTSUP;
	r = watcher__source_open(w, &watcher__poll, NULL);
	if (r < 0)
		return r;
	s->ops->want(s->backend, w->kinds, !w->exact_counts);
	return 1;
}

/* What cannot be watched is polled; the user is told once what would help. */
static int fall_back(struct watcher *w, uint32_t dir, const char *path, int why)
{
	struct dir *d = tree_dir(&w->tree, dir);
	int source;

	if (d->backend != 0 || (source = polling_source(w)) < 0)
		return why;
	if (why == UV_ENOSPC)
		w->watch_limit_due = true;
	else if (!w->head->unwatchable_told)
		watcher__problem(w, path, why, "%s: %s cannot watch here (%s): polled", path,
				 w->sources[0].ops->name, uv_strerror(why));
	w->head->unwatchable_told |= why != UV_ENOSPC;
	watcher__node_unwatch(w, dir); /* its number is that of the first source */
	d->backend = (uint8_t)source;
	return 0;
}

static bool unwatchable(int r)
{
	return r == UV_ENOSPC || r == UV_ENOTSUP || r == UV_EXDEV || r == UV_ENODEV ||
	       r == UV_ENOSYS;
}

/* Is a directory that could be watched under the new number `id` polled already, as another
 * node's? It was moved from where it could not be watched, and is polled from here on, too. */
static bool polled_elsewhere(struct watcher *w, uint32_t dir, int fd, const char *path, int32_t id,
			     uint32_t *owner)
{
	struct source *s = &w->sources[0], *polling = &w->sources[1];
	int32_t polled;

	if (w->nsources < 2 || tree_dir(&w->tree, dir)->backend != 0 ||
	    watcher__node_of(w, 0, id) != IDS_NONE)
		return false;
	polled = polling->ops->known(polling->backend, fd, path);
	*owner = polled < 0 ? IDS_NONE : ids_get(&polling->nodes, polled);
	if (*owner == IDS_NONE || *owner == dir)
		return false;
	/* To be read anew: what has changed since is not for the next round to find. */
	polling->ops->watch(polling->backend, fd, path, WATCH_ALL, &polled);
	if (ids_get(&s->anchors, id) == IDS_NONE)
		s->ops->unwatch(s->backend, id);
	return true;
}

int watcher__node_watch(struct watcher *w, uint32_t dir, int fd, const char *path,
			uint32_t *owner)
{
	enum watch_level level = level_of(w, dir);
	struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = &w->sources[d->backend];
	int32_t id;
	int r = s->ops->watch(s->backend, fd, path, level, &id);

	if (r == UV_ENOSPC && (w->nunwatch || w->tree.cut != NO_DIR)) {
		watcher__unwatch_rest(w, UINT64_MAX);
		r = s->ops->watch(s->backend, fd, path, level, &id);
	}
	if (unwatchable(r) && fall_back(w, dir, path, r) == 0) {
		s = &w->sources[d->backend];
		r = s->ops->watch(s->backend, fd, path, level, &id);
		if (!w->look->silent && d->parent != NO_DIR) /* of a root, when it has been read */
			watcher__tell_limit(w);
	}
	if (r < 0)
		return r;
	if (polled_elsewhere(w, dir, fd, path, id, owner))
		return UV_EEXIST;
	return watcher__node_claim(w, dir, d->backend, id, owner);
}

/* A large tree is let go of at once, and its watches a few at a time: a system call for each of
 * 100,000 takes 150 ms. What they tell meanwhile is nobody's. */
static bool unwatch_later(struct watcher *w, uint8_t source, int32_t id)
{
	uint32_t cap = w->unwatch_cap ? w->unwatch_cap * 2 : 1024;
	void *p;

	if (!(w->sources[source].ops->caps & BACKEND_SLOW_UNWATCH) ||
	    w->unwatched++ < UNWATCH_AT_ONCE)
		return false;
	if (w->nunwatch == w->unwatch_cap) {
		if (!(p = realloc(w->unwatch, cap * sizeof *w->unwatch)))
			return false;
		w->unwatch = p;
		w->unwatch_cap = cap;
	}
	w->unwatch[w->nunwatch].id = id;
	w->unwatch[w->nunwatch++].source = source;
	watcher__pump_soon(w);
	return true;
}

bool watcher__unwatch_rest(struct watcher *w, uint64_t until)
{
	for (w->unwatched = 0; w->nunwatch;) {
		int32_t id = w->unwatch[--w->nunwatch].id;
		struct source *s = &w->sources[w->unwatch[w->nunwatch].source];

		/* The directory may be watched again by now. */
		if (ids_get(&s->nodes, id) == IDS_NONE && ids_get(&s->anchors, id) == IDS_NONE)
			s->ops->unwatch(s->backend, id);
		if (w->nunwatch % UNWATCH_AT_ONCE == 0 && w->nunwatch && uv_hrtime() > until)
			return false;
	}
	free(w->unwatch);
	w->unwatch = NULL;
	w->unwatch_cap = 0;
	return watcher__cut_rest(w, until);
}

void watcher__node_unwatch(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = &w->sources[d->backend];
	int32_t id = d->id;

	if (id < 0)
		return;
	unmap(w, d);
	if (ids_get(&s->anchors, id) == IDS_NONE && !unwatch_later(w, d->backend, id))
		s->ops->unwatch(s->backend, id);
}

void watcher__node_ahead(struct watcher *w, uint32_t dir, bool fresh)
{
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t cap = w->ahead_cap ? w->ahead_cap * 2 : 16;
	void *p;

	if (d->flags & DIR_AHEAD) {
		d->flags |= fresh ? DIR_FRESH : 0;
		return;
	}
	if (w->nahead == w->ahead_cap) {
		if (!(p = realloc(w->ahead, cap * sizeof *w->ahead))) {
			w->uncertain = true;
			return;
		}
		w->ahead = p;
		w->ahead_cap = cap;
	}
	d->flags |= fresh ? DIR_AHEAD | DIR_FRESH : DIR_AHEAD;
	w->ahead[w->nahead].dir = dir;
	w->ahead[w->nahead++].gen = d->gen;
}

void watcher__node_read(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);

	if (d->flags & DIR_AHEAD)
		d->flags &= (uint16_t)~(DIR_AHEAD | DIR_FRESH);
	else /* changed while it was read in pieces, or read by others, too */
		watcher__node_limbo(w, dir);
}

void watcher__caught_up(struct watcher *w)
{
	for (uint32_t i = 0; i < w->nahead; i++)
		if (tree_alive(&w->tree, w->ahead[i].dir, w->ahead[i].gen))
			tree_dir(&w->tree, w->ahead[i].dir)->flags &=
			    (uint16_t)~(DIR_AHEAD | DIR_FRESH);
	w->nahead = 0;
	w->uncertain = false;
	watcher__mounts_caught_up(w);
}

/* Its entry in the parent is one without a node. */
static void leave_entry(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t up = d->parent, rec = d->rec;

	if (d->flags & DIR_MOUNTED || tree_is_foreign(&w->tree, dir))
		d->ino = 0; /* the entry has that of the directory below the mount */
	if (up != NO_DIR)
		tree_detach(&w->tree, up, rec);
	if (up != NO_DIR && d->flags & DIR_LINK) { /* the entry is that of the link again */
		tree_set_type(&w->tree, up, rec, WATCHER_TYPE_SYMLINK);
		tree_set_ino(&w->tree, up, rec, 0);
	}
}

void watcher__node_uproot(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);

	for (struct root *r = d->roots; r; r = r->next_at_node) {
		r->node = NO_DIR;
		r->recheck = w->recheck_roots = true;
	}
	d->roots = NULL;
	leave_entry(w, dir);
}

/* A root stays, on top of its own tree, until it has been looked up: what is in it ends for those
 * above it, and for the root only if it is gone. */
static void spare(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	uint64_t ino = d->ino;

	watcher__over_at(w, dir);
	leave_entry(w, dir);
	d->ino = ino;
	d->flags &= (uint16_t)~DIR_LINK;
	watcher__node_limbo(w, dir); /* what was in it may have been told to have ended */
}

void watcher__node_drop(struct watcher *w, uint32_t dir)
{
	uint32_t rec;

	if (tree_dir(&w->tree, dir)->roots) {
		spare(w, dir);
		return;
	}
	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR)
			watcher__node_drop(w, e.node);
	}
	watcher__node_unwatch(w, dir);
	watcher__node_uproot(w, dir);
	tree_dir_free(&w->tree, dir);
}

void watcher__reconsider(struct watcher *w, uint32_t dir)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.type == WATCHER_TYPE_SYMLINK && e.node == NO_DIR &&
		    !(e.marks & ENTRY_DOOMED) && w->follow)
			watcher__look_behind(w, dir, rec);
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

static int source_if(struct watcher *w, bool notifies)
{
	int source = notifies ? 0 : polling_source(w);

	return source < 0 ? 0 : source;
}

int watcher__node_source(struct watcher *w, const char *path)
{
	return source_if(w, w->options.backend != WATCHER_BACKEND_AUTO ||
				watcher__mount_notifies(path, NULL));
}

int watcher__node_source_below(struct watcher *w, const char *path)
{
	return source_if(w, w->options.backend != WATCHER_BACKEND_AUTO ||
				watcher__mount_notifies_below(path));
}

int watcher__watch_way(struct watcher *w, int fd, const char *path, enum watch_level level,
		       int *source, int32_t *id)
{
	struct source *s;
	int r;

	*source = watcher__node_source(w, path);
	s = &w->sources[*source];
	r = s->ops->watch(s->backend, fd, path, level, id);
	if (!unwatchable(r) || *source != 0 || polling_source(w) < 0)
		return r;
	*source = 1;
	s = &w->sources[1];
	return s->ops->watch(s->backend, fd, path, level, id);
}
