/*
 * Mounts below roots and on the way to them.
 *
 * Nobody tells of a file system that is mounted over a directory, or of the end of a mount whose
 * file system stays. So the kernel's list of mounts is waited for, and when it has changed all
 * is looked at that leads elsewhere now: roots, directories that are or were mount points, and
 * files that are. What that means for a directory is in look.c. The list is read as often as it
 * changes, but for no more than a twentieth of the time: it may be long, and be about others.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/engine.h"
#include "watcher/mount_points.h"

#define SHARE 20 /* reading takes one part in so many of the time */

struct mounted {
	uint32_t dir, gen;
	uint64_t mount;
	char *name; /* a file in the directory; NULL: the directory itself */
};

struct mounts {
	int fd; /* -1: none */
	uv_poll_t poll;
	uv_async_t heard_first;
	int open_handles;
	void (*closed)(void *arg);
	bool heard; /* the loop waits for changes by now */
	bool changed;
	bool news;     /* ... and not only the index, which has what was mounted over before */
	bool first;    /* files that are mount points are not known yet */
	bool lost;     /* directories were not noted, for want of memory */
	bool ahead;    /* the list is newer than the index: names in it may still come */
	bool unplaced; /* ... and one of them is not in the index */
	uint64_t applied; /* changes up to when it was read */
	uint64_t due_ns;
	struct mounted *known;
	uint32_t nknown, known_cap;
	struct suspect {
		uint32_t dir, gen, depth;
	} *suspects;   /* directories to be looked at */
	uint32_t nsuspects, suspects_cap;
	struct place { /* where the index begins */
		char *path; /* without symbolic links */
		uint32_t node;
	} *places;
	uint32_t nplaces, places_cap;
	struct bytes text;
};

/* Room for one more: NULL without memory. */
static void *room(void *items, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap ? *cap * 2 : 8;
	void *p;

	if (n < *cap)
		return items;
	if ((p = realloc(items, more * size)))
		*cap = more;
	return p;
}

/* ---- hearing of changes ---- */

static void on_change(uv_poll_t *poll, int status, int events)
{
	struct watcher *w = poll->data;

	(void)status;
	(void)events;
	if (w->mounts->changed && w->mounts->news) /* and waits until it is time */
		return;
	w->mounts->changed = w->mounts->news = true;
	watcher__pump(w);
}

/* A change is told once for a descriptor, and lost if that is when epoll takes the descriptor in:
 * so it stays there, and the list is first read when it surely is, which is before the loop calls
 * anybody. */
static void on_heard_first(uv_async_t *async)
{
	struct watcher *w = async->data;

	w->mounts->heard = w->mounts->changed = w->mounts->news = true;
	watcher__pump(w);
}

/* Where such a descriptor cannot be polled all is as without it. */
static void listen_on(struct watcher *w, struct mounts *m)
{
	m->poll.data = m->heard_first.data = w;
	m->open_handles = 1;
	uv_unref((uv_handle_t *)&m->heard_first);
	if (uv_poll_init(w->loop, &m->poll, m->fd) < 0) {
		close(m->fd);
		m->fd = -1;
		m->heard = true;
		return;
	}
	m->open_handles = 2;
	uv_poll_start(&m->poll, UV_PRIORITIZED, on_change);
	uv_unref((uv_handle_t *)&m->poll);
	uv_async_send(&m->heard_first);
}

int watcher__mounts_open(struct watcher *w)
{
	struct mounts *m = w->mounts;
	int fd;

	if (m) { /* there may be files that are mount points below the new root */
		m->changed |= m->heard && m->fd >= 0;
		return 0;
	}
	/* What looks at everything by its path finds all that in its rounds. */
	if (watcher__disk_is_users(&w->disk) || w->sources[0].ops->caps & BACKEND_SCANS)
		return 0;
	if ((fd = mount_points_open()) < 0)
		return 0;
	if (!(m = calloc(1, sizeof *m))) {
		close(fd);
		return UV_ENOMEM;
	}
	if (uv_async_init(w->loop, &m->heard_first, on_heard_first) < 0) {
		close(fd);
		free(m);
		return 0; /* for want of descriptors: the next root tries it again */
	}
	m->fd = fd;
	m->first = true;
	w->mounts = m;
	listen_on(w, m);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct watcher *w = handle->data;

	if (--w->mounts->open_handles)
		return;
	if (w->mounts->fd >= 0)
		close(w->mounts->fd);
	w->mounts->closed(w);
}

bool watcher__mounts_close(struct watcher *w, void (*closed)(void *arg))
{
	if (!w->mounts)
		return false;
	w->mounts->closed = closed;
	if (w->mounts->open_handles > 1)
		uv_close((uv_handle_t *)&w->mounts->poll, on_closed);
	uv_close((uv_handle_t *)&w->mounts->heard_first, on_closed);
	return true;
}

void watcher__mounts_free(struct watcher *w)
{
	struct mounts *m = w->mounts;

	if (!m)
		return;
	for (uint32_t i = 0; i < m->nknown; i++)
		free(m->known[i].name);
	free(m->known);
	free(m->suspects);
	free(m->places);
	bytes_free(&m->text);
	free(m);
	w->mounts = NULL;
}

bool watcher__mounts_heard(const struct watcher *w)
{
	return !w->mounts || w->mounts->heard;
}

bool watcher__mounts_due(struct watcher *w)
{
	struct mounts *m = w->mounts;

	if (!m)
		return false;
	if (w->nsyncs && !(m->changed && m->news) && mount_points_changed(m->fd))
		m->changed = m->news = true;
	return m->changed && (w->nsyncs || uv_hrtime() >= m->due_ns);
}

void watcher__mounts_doubt(struct watcher *w)
{
	if (w->mounts && w->mounts->fd >= 0)
		w->mounts->changed = w->mounts->news = true;
}

void watcher__mounts_came(struct watcher *w)
{
	if (w->mounts && w->mounts->fd >= 0)
		w->mounts->changed = true;
}

void watcher__mounts_moved(struct watcher *w)
{
	if (w->mounts && w->mounts->ahead)
		w->mounts->changed = w->mounts->news = true;
}

bool watcher__mounts_ahead(const struct watcher *w)
{
	return w->mounts && w->mounts->ahead;
}

void watcher__mounts_caught_up(struct watcher *w)
{
	struct mounts *m = w->mounts;

	/* What has left its name is in the index when it has come to another. */
	if (!m || !m->ahead || w->nhalves || w->npushed)
		return;
	m->ahead = false;
	if (m->unplaced && w->stats.events_in != m->applied)
		m->changed = m->news = true;
}

uint64_t watcher__mounts_due_ns(const struct watcher *w)
{
	return w->mounts && w->mounts->changed ? w->mounts->due_ns : 0;
}

/* ---- mount points that are known ---- */

static struct mounted *known_at(struct mounts *m, uint32_t dir, uint32_t gen, const char *name)
{
	for (uint32_t i = 0; i < m->nknown; i++) {
		struct mounted *k = &m->known[i];

		if (k->dir == dir && k->gen == gen && !k->name == !name &&
		    (!name || strcmp(k->name, name) == 0))
			return k;
	}
	return NULL;
}

/* False: out of memory. `name` is taken over then, and only then. */
static bool note(struct watcher *w, uint32_t dir, char *name, uint64_t mount)
{
	struct mounts *m = w->mounts;
	struct mounted *k = room(m->known, m->nknown, &m->known_cap, sizeof *k);

	if (!k)
		return false;
	m->known = k;
	m->known[m->nknown++] =
	    (struct mounted){ dir, tree_dir(&w->tree, dir)->gen, mount, name };
	return true;
}

void watcher__mounted(struct watcher *w, uint32_t dir, uint64_t mount)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct mounted *k;

	d->flags |= DIR_MOUNTED;
	if (!w->mounts)
		return;
	if ((k = known_at(w->mounts, dir, d->gen, NULL)))
		k->mount = mount;
	else if (!note(w, dir, NULL, mount))
		w->mounts->lost = true;
}

bool watcher__mounted_anew(struct watcher *w, uint32_t dir, int fd)
{
	const struct mounted *k = NULL;

	if (w->mounts && tree_dir(&w->tree, dir)->flags & DIR_MOUNTED)
		k = known_at(w->mounts, dir, tree_dir(&w->tree, dir)->gen, NULL);
	return k && k->mount != watcher__scan_mount(fd, NULL);
}

static void find_lost(struct watcher *w)
{
	struct mounts *m = w->mounts;

	m->lost = false;
	for (uint32_t i = 0; i < w->tree.nnodes && !m->lost; i++) {
		const struct dir *d = tree_dir(&w->tree, i);

		if (d->flags & DIR_USED && d->flags & DIR_MOUNTED &&
		    !known_at(m, i, d->gen, NULL) && !note(w, i, NULL, MOUNT_UNSURE))
			m->lost = true;
	}
}

/* To be looked at, after what it is in. */
static void suspect(struct watcher *w, uint32_t dir)
{
	struct mounts *m = w->mounts;
	struct suspect *s = room(m->suspects, m->nsuspects, &m->suspects_cap, sizeof *s);
	uint32_t depth = 0;

	if (!s) {
		m->changed = true; /* once more, later */
		return;
	}
	m->suspects = s;
	for (uint32_t at = dir; at != NO_DIR; at = tree_dir(&w->tree, at)->parent)
		depth++;
	m->suspects[m->nsuspects++] =
	    (struct suspect){ dir, tree_dir(&w->tree, dir)->gen, depth };
}

/* Another file has come to light at a name: the entry stays, for that is of the directory. */
static void file_changed(struct watcher *w, uint32_t dir, const char *name)
{
	uint32_t rec = tree_find(&w->tree, dir, name, strlen(name));
	struct news n = { .kind = WATCHER_MODIFIED,
			  .dir = dir,
			  .name = name,
			  .len = strlen(name),
			  .time_ns = w->now_ns,
			  .synthetic = true,
			  .complete = true };

	if (rec == NO_REC)
		return;
	n.type = tree_entry(&w->tree, dir, rec).type;
	if (n.type != WATCHER_TYPE_DIR)
		watcher__emit(w, &n);
}

/* False: it is no mount point any more. */
static bool check_known(struct watcher *w, struct mounted *k)
{
	const char *path;
	uint64_t now;

	if (!tree_alive(&w->tree, k->dir, k->gen) ||
	    (!k->name && !(tree_dir(&w->tree, k->dir)->flags & DIR_MOUNTED)))
		return false;
	path = watcher__path(w, k->dir, k->name, k->name ? strlen(k->name) : 0);
	if (!path) /* half of a move */
		return w->mounts->changed = true;
	now = watcher__scan_mount(-1, path);
	if (!k->name) {
		if (now != k->mount || now == MOUNT_UNSURE)
			suspect(w, k->dir);
		return true;
	}
	if (now != k->mount)
		file_changed(w, k->dir, k->name);
	k->mount = now;
	return now != 0;
}

static void check_all_known(struct watcher *w)
{
	struct mounts *m = w->mounts;

	if (m->lost)
		find_lost(w);
	for (uint32_t i = m->nknown; i-- > 0;) {
		if (check_known(w, &m->known[i]))
			continue;
		free(m->known[i].name);
		m->known[i] = m->known[--m->nknown];
	}
}

/* ---- mount points in the list ---- */

static void file_point(struct watcher *w, uint32_t dir, const char *name, uint64_t mount)
{
	struct mounts *m = w->mounts;
	char *copy;

	if (known_at(m, dir, tree_dir(&w->tree, dir)->gen, name))
		return;
	if (!(copy = strdup(name)) || !note(w, dir, copy, mount)) {
		free(copy);
		m->changed = true;
		return;
	}
	if (m->news && !m->first)
		file_changed(w, dir, name);
}

/* A name that is not in the index, though its directory has been read: it came later. */
static void not_yet_known(struct watcher *w, uint32_t dir, const char *path)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	if (d->id >= 0 && !(d->flags & (DIR_NARROW | DIR_NO_ACCESS | DIR_FAILED)) &&
	    watcher__scan_mount(-1, path))
		w->mounts->unplaced = true;
}

/* What is at `rel` below a node has been mounted over, perhaps lately. */
static void point_below(struct watcher *w, uint32_t node, const char *rel, const char *path)
{
	struct entry e;
	uint32_t rec;
	uint64_t mount;
	size_t len;

	for (;; node = e.node, rel += len + 1) {
		len = strcspn(rel, "/");
		rec = tree_find(&w->tree, node, rel, len);
		if (rec == NO_REC) {
			not_yet_known(w, node, path);
			return;
		}
		e = tree_entry(&w->tree, node, rec);
		if (!rel[len])
			break;
		if (e.node == NO_DIR)
			return;
	}
	if (e.node != NO_DIR && tree_dir(&w->tree, e.node)->flags & DIR_MOUNTED)
		return;
	if (!(mount = watcher__scan_mount(-1, path))) /* what it is in was mounted over, too */
		return;
	if (e.node != NO_DIR)
		suspect(w, e.node);
	else if (e.type != WATCHER_TYPE_DIR)
		file_point(w, node, rel, mount);
}

static void on_point(void *arg, const char *path)
{
	struct watcher *w = arg;
	struct mounts *m = w->mounts;

	for (uint32_t i = 0; i < m->nplaces; i++) {
		const char *top = m->places[i].path;
		size_t len = top[1] ? strlen(top) : 0;

		if (strncmp(top, path, len) == 0 && path[len] == '/' && path[len + 1])
			point_below(w, m->places[i].node, path + len + 1, path);
	}
}

/* Takes over the path. */
static void add_place(struct mounts *m, char *path, uint32_t node)
{
	struct place *p = path ? room(m->places, m->nplaces, &m->places_cap, sizeof *p) : NULL;

	if (!p) {
		m->changed = true;
		free(path);
		return;
	}
	m->places = p;
	m->places[m->nplaces++] = (struct place){ path, node };
}

/* Directories behind links are elsewhere, as the list has it. */
static void add_links(struct watcher *w)
{
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&w->tree, i);
		const char *path;
		char *real;

		if (!(d->flags & DIR_USED) || !(d->flags & DIR_LINK) ||
		    !(path = watcher__path(w, i, NULL, 0)))
			continue;
		if ((real = realpath(path, NULL)))
			add_place(w->mounts, real, i);
	}
}

static void add_places(struct watcher *w)
{
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(ri, rnext, &watch->roots) {
			const struct root *root = LIST_ENTRY(ri, struct root, link);

			if (root->node != NO_DIR)
				add_place(w->mounts, strdup(root->real), root->node);
		}
	}
	if (w->follow)
		add_links(w);
}

/* While the list was read for what has come to the index it has changed, too: what is in it may be
 * new, from `known` on. */
static void came_with_news(struct watcher *w, uint32_t known)
{
	struct mounts *m = w->mounts;

	m->changed = m->news = true;
	for (; known < m->nknown; known++)
		if (m->known[known].name)
			file_changed(w, m->known[known].dir, m->known[known].name);
}

static void read_points(struct watcher *w)
{
	struct mounts *m = w->mounts;
	uint32_t known = m->nknown;

	add_places(w);
	if (m->nplaces && mount_points_each(m->fd, &m->text, on_point, w) == UV_ENOMEM)
		m->changed = true;
	while (m->nplaces)
		free(m->places[--m->nplaces].path);
	if (!m->news && mount_points_changed(m->fd))
		came_with_news(w, known);
}

/* ---- seeing to it ---- */

static int by_depth(const void *a, const void *b)
{
	const struct suspect *x = a, *y = b;

	return x->depth < y->depth ? -1 : x->depth > y->depth;
}

void watcher__mounts_check(struct watcher *w)
{
	struct mounts *m = w->mounts;
	uint64_t start = uv_hrtime(), now;

	m->changed = m->unplaced = false;
	m->ahead = true;
	m->applied = w->stats.events_in;
	for (int i = 0; i < w->nsources; i++)
		if (w->sources[i].ops->remounted)
			w->sources[i].ops->remounted(w->sources[i].backend);
	watcher__roots_remounted(w);
	check_all_known(w);
	read_points(w);
	if (m->nsuspects)
		qsort(m->suspects, m->nsuspects, sizeof *m->suspects, by_depth);
	for (uint32_t i = 0; i < m->nsuspects; i++)
		watcher__look_at(w, m->suspects[i].dir);
	m->nsuspects = 0;
	m->first = false;
	m->news &= m->changed; /* to be tried again as it was */
	now = uv_hrtime();
	m->due_ns = now + (now - start) * SHARE;
}
