/*
 * Roots: from the path a user gave to a node of the index, and back to it when anything on the
 * way changes.
 *
 * Every directory on the way, and on the way of every symbolic link met, gets an anchor before
 * the next name is looked up in it, so that no change can be missed: itself being moved or
 * removed, and, where a name is a link or is missing, that name coming or going. When an
 * anchor is hit the way is walked again; a root that leads elsewhere, or nowhere, has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/filter.h"
#include "watcher/look.h"

#define LINKS_MAX 40 /* as path_resolution(7) */

/* ---- anchors ---- */

static struct anchor *anchor_of(struct watcher *w, int source, int32_t id)
{
	struct source *s = &w->sources[source];
	uint32_t i = ids_get(&s->anchors, id), cap;
	struct anchor *a;

	if (i != IDS_NONE)
		return &w->anchors[i];
	for (i = 0; i < w->nanchors && w->anchors[i].id >= 0; i++)
		;
	if (i == w->anchors_cap) {
		cap = w->anchors_cap ? w->anchors_cap * 2 : 16;
		if (!(a = realloc(w->anchors, cap * sizeof *a)))
			return NULL;
		w->anchors = a;
		w->anchors_cap = cap;
	}
	if (ids_set(&s->anchors, id, i) < 0)
		return NULL;
	if (i == w->nanchors)
		w->nanchors++;
	w->anchors[i] = (struct anchor){ .id = id, .source = (uint8_t)source };
	return &w->anchors[i];
}

/* Wants to hear of `name` (NULL: of the directory itself) in the directory open as fd. A
 * directory that may not be watched is passed over: most paths begin in some. */
static int anchor_add(struct watcher *w, struct root *root, int fd, const char *path,
		      const char *name)
{
	struct anchor_want *wants;
	struct anchor *a;
	uint32_t cap;
	int32_t id;
	int source, r = watcher__watch_way(w, fd, path, name ? WATCH_NAMES : WATCH_SELF,
					       &source, &id);

	if (r < 0)
		return name && r != UV_EACCES ? r : 0;
	if (!(a = anchor_of(w, source, id)))
		return UV_ENOMEM;
	if (a->nwants == a->cap) {
		cap = a->cap ? a->cap * 2 : 2;
		if (!(wants = realloc(a->wants, cap * sizeof *wants)))
			return UV_ENOMEM;
		a->wants = wants;
		a->cap = cap;
	}
	a->wants[a->nwants] = (struct anchor_want){ root, name ? strdup(name) : NULL };
	if (name && !a->wants[a->nwants].name)
		return UV_ENOMEM;
	a->nwants++;
	return 0;
}

static void anchor_drop(struct watcher *w, struct anchor *a, bool unwatch)
{
	struct source *s = &w->sources[a->source];

	ids_erase(&s->anchors, a->id);
	if (unwatch && ids_get(&s->nodes, a->id) == IDS_NONE)
		s->ops->unwatch(s->backend, a->id);
	for (uint32_t i = 0; i < a->nwants; i++)
		free(a->wants[i].name);
	free(a->wants);
	*a = (struct anchor){ .id = -1 };
}

static void anchors_forget(struct watcher *w, const struct root *root)
{
	for (uint32_t i = 0; i < w->nanchors; i++) {
		struct anchor *a = &w->anchors[i];
		uint32_t kept = 0;

		if (a->id < 0)
			continue;
		for (uint32_t k = 0; k < a->nwants; k++)
			if (a->wants[k].root == root)
				free(a->wants[k].name);
			else
				a->wants[kept++] = a->wants[k];
		a->nwants = kept;
		if (!kept)
			anchor_drop(w, a, true);
	}
}

void watcher__anchor_hit(struct watcher *w, int source, const struct change *c)
{
	uint32_t i = ids_get(&w->sources[source].anchors, c->id);
	struct anchor *a;
	bool self = c->op == CHANGE_SELF_MOVED || c->op == CHANGE_SELF_REMOVED ||
		    c->op == CHANGE_UNMOUNTED || c->op == CHANGE_UNWATCHED ||
		    c->op == CHANGE_LOOK;
	bool names = c->op == CHANGE_CREATED || c->op == CHANGE_REMOVED ||
		     c->op == CHANGE_MOVED_FROM || c->op == CHANGE_MOVED_TO;

	if (i == IDS_NONE)
		return;
	a = &w->anchors[i];
	for (uint32_t k = 0; k < a->nwants; k++) {
		const struct anchor_want *want = &a->wants[k];

		if (self || (names && want->name && strlen(want->name) == c->name_len &&
			     memcmp(want->name, c->name, c->name_len) == 0))
			want->root->recheck = w->recheck_roots = true;
	}
	if (c->op == CHANGE_UNWATCHED)
		anchor_drop(w, a, false);
}

/* ---- the way from "/" ---- */

/* Where a root's path leads. */
struct way {
	int fd;            /* the last directory, open for its path only; -1 */
	struct bytes at;   /* its path, without links */
	char *rest;        /* what is still to be walked; owned */
	int links;
	char name[NAME_MAX + 1]; /* a file in it: its name, else "" */
	bool missing;      /* the next name is not there */
	int error;
};

static int way_enter(struct way *y, int fd, const char *name)
{
	close(y->fd);
	y->fd = fd;
	if (strcmp(name, "..") == 0) {
		while (y->at.len > 1 && y->at.data[--y->at.len] != '/')
			;
		if (y->at.len == 0)
			y->at.len = 1;
		y->at.data[y->at.len] = '\0';
		return 0;
	}
	if (y->at.len > 1 && bytes_addc(&y->at, '/') < 0)
		return UV_ENOMEM;
	return bytes_adds(&y->at, name);
}

/* A link: what it points to comes before the rest. */
static int way_link(struct way *y, int fd)
{
	char target[PATH_MAX], *rest;
	ssize_t n = readlinkat(fd, "", target, sizeof target - 1);
	int up;

	if (n < 0)
		return -errno;
	if (++y->links > LINKS_MAX)
		return UV_ELOOP;
	target[n] = '\0';
	if (!(rest = malloc((size_t)n + strlen(y->rest) + 2)))
		return UV_ENOMEM;
	sprintf(rest, "%s/%s", target, y->rest);
	free(y->rest);
	y->rest = rest;
	if (target[0] == '/') {
		if ((up = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
			return -errno;
		close(y->fd);
		y->fd = up;
		y->at.len = 1;
		y->at.data[1] = '\0';
	}
	return 0;
}

/* Cuts the next name off the rest; NULL at its end. */
static bool way_next(struct way *y, char *name)
{
	char *from = y->rest + strspn(y->rest, "/");
	size_t len = strcspn(from, "/");

	if (!len)
		return false;
	if (len > NAME_MAX) {
		y->error = UV_ENAMETOOLONG;
		return false;
	}
	memcpy(name, from, len);
	name[len] = '\0';
	memmove(y->rest, from + len, strlen(from + len) + 1);
	return true;
}

static bool way_at_end(const struct way *y)
{
	return y->rest[strspn(y->rest, "/")] == '\0';
}

/* One name further. Stops (false) at the end, at a file, at what is missing, at an error. */
static bool way_step(struct watcher *w, struct root *root, struct way *y)
{
	char name[NAME_MAX + 1];
	struct stat st;
	int fd;

	if (!way_next(y, name))
		return false;
	if (strcmp(name, ".") == 0)
		return true;
	if ((y->error = anchor_add(w, root, y->fd, y->at.data, NULL)) < 0)
		return false;
	fd = openat(y->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		if ((y->error = anchor_add(w, root, y->fd, y->at.data, name)) < 0)
			return false;
		fd = openat(y->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0) {
		y->missing = errno == ENOENT;
		y->error = y->missing ? 0 : -errno;
		return false;
	}
	if (fstat(fd, &st) < 0) {
		y->error = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		y->error = way_enter(y, fd, name);
		return y->error == 0;
	} else if (S_ISLNK(st.st_mode)) {
		y->error = anchor_add(w, root, y->fd, y->at.data, name);
		if (y->error == 0)
			y->error = way_link(y, fd);
		close(fd);
		return y->error == 0;
	} else if (way_at_end(y)) {
		strcpy(y->name, name);
	} else {
		anchor_add(w, root, y->fd, y->at.data, name);
		y->error = UV_ENOTDIR;
	}
	close(fd);
	return false;
}

/* With the user's own functions a path is theirs to understand: it is asked about as it is. What
 * is not there yet is asked for again after each round (see watcher__waiting_roots()). */
static int way_ask(struct watcher *w, struct root *root, struct way *y)
{
	const char *slash = strrchr(root->path, '/');
	size_t dir_len = slash ? (size_t)(slash - root->path) + (slash == root->path) : 0;
	struct stat st;

	*y = (struct way){ .fd = -1 };
	if (!(y->rest = strdup("")) || bytes_adds(&y->at, root->path) < 0)
		return y->error = UV_ENOMEM;
	y->fd = watcher__disk_open(&w->disk, root->path, true);
	if (y->fd >= 0)
		return 0;
	if (y->fd != UV_ENOTDIR && y->fd != UV_ELOOP && y->fd != UV_ENOENT)
		return y->error = y->fd;
	/* A file, or nothing: both are seen from the directory around it. */
	y->missing = watcher__disk_stat_path(&w->disk, root->path, false, &st) < 0;
	bytes_clear(&y->at);
	if (bytes_add(&y->at, slash ? root->path : ".", slash ? dir_len : 1) < 0)
		return y->error = UV_ENOMEM;
	y->fd = watcher__disk_open(&w->disk, y->at.data, true);
	if (y->fd < 0 && !y->missing)
		return y->error = y->fd;
	if (y->fd < 0)
		bytes_clear(&y->at);
	if (!y->missing)
		snprintf(y->name, sizeof y->name, "%s", slash ? slash + 1 : root->path);
	return 0;
}

static int way_walk(struct watcher *w, struct root *root, struct way *y)
{
	if (watcher__disk_is_users(&w->disk))
		return way_ask(w, root, y);
	*y = (struct way){ .fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	if (y->fd < 0)
		return y->error = -errno;
	y->rest = strdup(root->path);
	if (!y->rest || bytes_adds(&y->at, "/") < 0)
		return y->error = UV_ENOMEM;
	while (way_step(w, root, y))
		;
	return y->error;
}

static void way_free(struct watcher *w, struct way *y)
{
	if (y->fd >= 0)
		watcher__disk_close(&w->disk, y->fd);
	bytes_free(&y->at);
	free(y->rest);
}

/* ---- attaching to nodes ---- */

void watcher__root_detach(struct watcher *w, struct root *root)
{
	struct dir *d;

	if (root->node == NO_DIR)
		return;
	d = tree_dir(&w->tree, root->node);
	for (struct root **at = &d->roots; *at; at = &(*at)->next_at_node)
		if (*at == root) {
			*at = root->next_at_node;
			break;
		}
	root->node = NO_DIR;
}

/* The node of a directory that is watched already, or a fresh one on top. */
static int top_node(struct watcher *w, int fd, const char *path, uint32_t *node, bool *fresh)
{
	int source = watcher__node_source(w, path), r;
	uint32_t owner = NO_DIR;

	*fresh = false;
	if ((*node = tree_dir_new(&w->tree)) == NO_DIR)
		return UV_ENOMEM;
	tree_dir(&w->tree, *node)->backend = (uint8_t)source;
	tree_dir(&w->tree, *node)->flags |= DIR_ROOTED;
	r = watcher__node_watch(w, *node, fd, path, &owner);
	if (r == UV_EEXIST) {
		tree_dir_free(&w->tree, *node);
		*node = owner;
		return 0;
	}
	if (r < 0)
		watcher__node_drop(w, *node);
	else
		*fresh = true;
	return r;
}

static void filter_problem(const char *path, const watcher_error *err, void *arg)
{
	const struct root *root = arg;

	watcher__problem(root->watch->w, path, err->code, "%s", err->message);
}

/* A root's rules are read from where it is now; a file named as a root passes them all. */
static int bind_filter(struct watcher *w, struct root *root, const struct way *y)
{
	struct filter_root *fr = NULL;
	int r = 0;

	if (root->watch->filter && !y->name[0])
		r = watcher__disk_is_users(&w->disk) ?
			watcher__filter_bind_virtual(&fr, root->watch->filter, y->at.data,
						     root->given) :
			watcher__filter_bind(&fr, root->watch->filter, y->at.data, root->given);
	if (r < 0)
		return r;
	if (fr)
		watcher__filter_on_problem(fr, filter_problem, root);
	watcher__filter_unbind(root->filter);
	root->filter = fr;
	return 0;
}

static int attach(struct watcher *w, struct root *root, struct way *y, bool *fresh)
{
	struct dir *d;
	bool widen;
	int fd, r;

	fd = watcher__disk_open(&w->disk, y->at.data, true);
	if (fd < 0)
		return fd;
	free(root->real);
	free(root->single);
	root->real = strdup(y->at.data);
	root->single = y->name[0] ? strdup(y->name) : NULL;
	if (!root->real || (y->name[0] && !root->single)) {
		watcher__disk_close(&w->disk, fd);
		return UV_ENOMEM;
	}
	r = bind_filter(w, root, y);
	if (r == 0)
		r = top_node(w, fd, y->at.data, &root->node, fresh);
	if (r < 0) {
		watcher__disk_close(&w->disk, fd);
		root->node = NO_DIR;
		return r;
	}
	d = tree_dir(&w->tree, root->node);
	widen = *fresh || d->flags & DIR_NARROW;
	if (root->single && *fresh)
		d->flags |= DIR_NARROW;
	else if (!root->single && widen)
		d->flags &= (uint16_t)~DIR_NARROW;
	root->next_at_node = d->roots;
	d->roots = root;
	/* Once more, now that it is a root: it wants to hear of itself. */
	if (d->id >= 0) {
		struct source *s = &w->sources[d->backend];
		int32_t id;

		r = s->ops->watch(s->backend, fd, y->at.data, WATCH_TOP, &id);
	}
	watcher__disk_close(&w->disk, fd);
	*fresh = widen || root->watch->filter || root->watch->depth || !root->single;
	return 0;
}

/* ---- news of roots ---- */

static void root_news(struct watcher *w, struct root *root, int kind)
{
	struct news n = { .kind = kind,
			  .type = root->single ? WATCHER_TYPE_FILE : WATCHER_TYPE_DIR,
			  .dir = root->node,
			  .name = root->single ? root->single : "",
			  .len = root->single ? strlen(root->single) : 0,
			  .time_ns = w->now_ns,
			  .synthetic = kind == WATCHER_CREATED,
			  .only = root,
			  .complete = true };

	watcher__emit(w, &n);
}

static void end_single(struct watcher *w, struct root *root)
{
	uint32_t rec = tree_find(&w->tree, root->node, root->single, strlen(root->single));

	if (rec == NO_REC)
		return;
	root_news(w, root, WATCHER_DELETED);
	tree_erase(&w->tree, root->node, rec);
}

/* The root is not there any more: everything in it ends, then itself. */
static void end_root(struct watcher *w, struct root *root)
{
	struct news n = { .time_ns = w->now_ns, .only = root };
	uint32_t node = root->node;

	if (root->single) {
		end_single(w, root);
	} else {
		watcher__emit_gone_in(w, &n, node);
		root_news(w, root, WATCHER_DELETED);
	}
	watcher__root_detach(w, root);
	watcher__release(w, node);
	if (!root->waiting)
		watcher__problem(w, root->given, UV_ENOENT, "%s: gone; waiting for it to come back",
				 root->given);
	root->waiting = true;
}

static int fail_way(const struct root *root, const struct way *y, watcher_error *err)
{
	return watcher__fail(err, y->error, "%s: cannot be watched: %s", root->given,
			     uv_strerror(y->error));
}

/* Is the root attached to what its path leads to now? */
static bool leads_here(struct watcher *w, const struct root *root, const struct way *y)
{
	const struct dir *d;
	struct stat st;

	if (root->node == NO_DIR || y->missing || y->error ||
	    watcher__disk_stat(&w->disk, y->fd, &st) < 0)
		return false;
	d = tree_dir(&w->tree, root->node);
	return d->id >= 0 && d->ino == st.st_ino && d->dev == watcher__dev32(st.st_dev) &&
	       strcmp(root->single ? root->single : "", y->name) == 0;
}

/* Reads what is below a root that has just been attached. Silent at first; later everything in
 * it is news. */
static int read_in(struct watcher *w, struct root *root, bool first, bool look)
{
	if (!look)
		return 0;
	if (first) {
		int r = watcher__crawl(w, root->node);

		watcher__tell_limit(w);
		return r;
	}
	watcher__look_at(w, root->node);
	return 0;
}

/* Nothing is wrong with the root: it is looked up again in a moment. */
static bool for_want_of_means(int r)
{
	return r == UV_ENOMEM || r == UV_EMFILE || r == UV_ENFILE;
}

static void settle_later(struct watcher *w, struct root *root)
{
	root->recheck = w->recheck_roots = true;
}

int watcher__root_settle(struct watcher *w, struct root *root, bool first,
			 watcher_error *err)
{
	bool look = false, had = root->node != NO_DIR;
	struct way y;
	int r;

	root->recheck = false;
	anchors_forget(w, root);
	way_walk(w, root, &y);
	if (first && y.error) {
		r = fail_way(root, &y, err);
		goto out;
	}
	if (for_want_of_means(y.error)) {
		settle_later(w, root);
		r = y.error;
		goto out;
	}
	r = 0;
	if (leads_here(w, root, &y))
		goto out;
	if (had && !(root->single && y.name[0] == '\0' && y.missing &&
		     strcmp(root->real, y.at.data) == 0))
		end_root(w, root);
	if (root->node != NO_DIR) /* a single file that is gone: its directory still watches */
		goto out;
	if (y.error || (y.missing && !way_at_end(&y))) {
		root->waiting = true;
		goto out;
	}
	if (y.missing) {
		root->waiting = true;
		goto out;
	}
	r = attach(w, root, &y, &look);
	if (r < 0) {
		root->waiting = true;
		if (for_want_of_means(r) && !first)
			settle_later(w, root);
		if (first)
			watcher__fail(err, r, "%s: cannot be watched: %s", root->given,
				      r == UV_ENOSPC ? "out of inotify watches: raise "
						       "fs.inotify.max_user_watches" :
						       uv_strerror(r));
		goto out;
	}
	if (!first && !root->single)
		root_news(w, root, WATCHER_CREATED);
	if (!first && root->waiting)
		watcher__problem(w, root->given, 0, root->was_there ? "%s: back" : "%s: there now",
				 root->given);
	root->waiting = false;
	root->was_there = true;
	r = read_in(w, root, first, look);
out:
	way_free(w, &y);
	return r;
}

void watcher__recheck_roots(struct watcher *w)
{
	w->recheck_roots = false;
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(ri, rnext, &watch->roots) {
			struct root *root = LIST_ENTRY(ri, struct root, link);

			if (root->recheck && !watch->removed)
				watcher__root_settle(w, root, false, NULL);
		}
	}
}

void watcher__waiting_roots(struct watcher *w)
{
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(ri, rnext, &watch->roots) {
			struct root *root = LIST_ENTRY(ri, struct root, link);

			if (root->node == NO_DIR)
				root->recheck = w->recheck_roots = true;
		}
	}
}

/* ---- making and ending ---- */

static char *absolute(const char *path)
{
	char cwd[PATH_MAX], *out;

	if (path[0] == '/')
		return strdup(path);
	if (!getcwd(cwd, sizeof cwd))
		return NULL;
	if ((out = malloc(strlen(cwd) + strlen(path) + 2)))
		sprintf(out, "%s/%s", cwd, path);
	return out;
}

int watcher__root_new(struct root **out, struct watcher_watch *watch, const char *given,
		      watcher_error *err)
{
	struct root *root;
	size_t len;

	if (!given || !given[0])
		return watcher__fail(err, UV_EINVAL, "an empty path cannot be watched");
	if (!(root = calloc(1, sizeof *root)))
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	root->watch = watch;
	root->node = NO_DIR;
	list_init(&root->link);
	root->given = strdup(given);
	root->path = watcher__disk_is_users(&watch->w->disk) ? strdup(given) : absolute(given);
	if (!root->given || !root->path) {
		watcher__root_free(watch->w, root);
		return watcher__fail(err, UV_ENOMEM, "%s: out of memory", given);
	}
	for (len = strlen(root->given); len > 1 && root->given[len - 1] == '/'; len--)
		root->given[len - 1] = '\0';
	if (watcher__disk_is_users(&watch->w->disk))
		strcpy(root->path, root->given);
	*out = root;
	return 0;
}

void watcher__root_free(struct watcher *w, struct root *root)
{
	uint32_t node = root->node;

	list_remove(&root->link);
	if (!w->closing) { /* else the backend ends all watches at once, and the index goes whole */
		anchors_forget(w, root);
		if (node != NO_DIR) {
			watcher__root_detach(w, root);
			watcher__release(w, node);
		}
	}
	watcher__filter_unbind(root->filter);
	free(root->given);
	free(root->path);
	free(root->real);
	free(root->single);
	free(root);
}
