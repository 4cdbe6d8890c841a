/*
 * The way to a root: from "/" along the path a user gave, name by name.
 *
 * Every directory on the way, and on the way of every symbolic link met, gets an anchor before
 * the next name is looked up in it, so that no change can be missed: itself being moved or
 * removed, and, where a name is a link or is missing, that name coming or going. What a hit
 * anchor means for a root is in root.c.
 */
#include "watcher/way.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/apply.h"

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

/* Notes in whose interest the directory of that number is watched. */
static int want(struct watcher *w, int source, int32_t id, struct root *root, const char *name,
		bool rules)
{
	struct anchor_want *wants;
	struct anchor *a;
	uint32_t cap;

	if (!(a = anchor_of(w, source, id))) {
		if (ids_get(&w->sources[source].nodes, id) == IDS_NONE)
			w->sources[source].ops->unwatch(w->sources[source].backend, id);
		return UV_ENOMEM;
	}
	if (a->nwants == a->cap) {
		cap = a->cap ? a->cap * 2 : 2;
		if (!(wants = realloc(a->wants, cap * sizeof *wants)))
			return UV_ENOMEM;
		a->wants = wants;
		a->cap = cap;
	}
	a->wants[a->nwants] = (struct anchor_want){ root, name ? strdup(name) : NULL, rules };
	if (name && !a->wants[a->nwants].name)
		return UV_ENOMEM;
	a->nwants++;
	return 0;
}

/* Wants to hear of `name` (NULL: of the directory itself) in the directory open as fd. A
 * directory that may not be watched is passed over: most paths begin in some. */
static int anchor_add(struct watcher *w, struct root *root, int fd, const char *path,
		      const char *name)
{
	int32_t id;
	int source, r = watcher__watch_way(w, fd, path, name ? WATCH_NAMES : WATCH_SELF,
					       &source, &id);

	if (r < 0)
		return name && r != UV_EACCES ? r : 0;
	return want(w, source, id, root, name, false);
}

int watcher__anchor_rules(struct watcher *w, struct root *root, int fd, const char *path,
			  const char *name, enum watch_level level)
{
	int32_t id;
	int source, r = watcher__watch_way(w, fd, path, level, &source, &id);

	return r < 0 ? r : want(w, source, id, root, name, true);
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

void watcher__anchors_forget(struct watcher *w, const struct root *root)
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
		    (c->op == CHANGE_SELF_ATTRIB && !keeps_its_place(w, source, c)) ||
		    c->op == CHANGE_UNMOUNTED || c->op == CHANGE_UNWATCHED ||
		    c->op == CHANGE_LOOK;
	bool names = c->op == CHANGE_CREATED || c->op == CHANGE_REMOVED ||
		     c->op == CHANGE_MOVED_FROM || c->op == CHANGE_MOVED_TO;
	bool files = names || c->op == CHANGE_WRITTEN || c->op == CHANGE_CLOSED ||
		     c->op == CHANGE_ATTRIB;

	if (i == IDS_NONE)
		return;
	a = &w->anchors[i];
	for (uint32_t k = 0; k < a->nwants; k++) {
		const struct anchor_want *it = &a->wants[k];
		bool named = it->name && strlen(it->name) == c->name_len &&
			     memcmp(it->name, c->name, c->name_len) == 0;

		if (it->rules && (self || (files && named)))
			it->root->rules_due = w->rules_due = true;
		else if (!it->rules && (self || (names && named)))
			it->root->recheck = w->recheck_roots = true;
	}
	if (c->op == CHANGE_UNWATCHED)
		anchor_drop(w, a, false);
}

/* ---- the way from "/" ---- */

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

/* What a name is: *st of what *fd is open on. Without O_PATH only directories are opened, and *fd
 * may stay -1. 0, or a negative errno. */
static int way_open(const struct way *y, const char *name, int *fd, struct stat *st)
{
	int r;
#ifndef O_PATH
	if (fstatat(y->fd, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st->st_mode))
		return 0;
#endif
	*fd = openat(y->fd, name, O_WAY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd >= 0 && fstat(*fd, st) == 0)
		return 0;
	r = -errno;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return r;
}

/* The link that way_open() found, read with the call for what was opened, if it was. */
static ssize_t way_read_link(const struct way *y, int fd, const char *name, char *to, size_t size)
{
	return fd >= 0 ? readlinkat(fd, "", to, size) : readlinkat(y->fd, name, to, size);
}

/* A link: what it points to comes before the rest. */
static int way_link(struct way *y, int fd, const char *name)
{
	char target[PATH_MAX], *rest;
	ssize_t n = way_read_link(y, fd, name, target, sizeof target - 1);
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
		if ((up = open("/", O_WAY | O_DIRECTORY | O_CLOEXEC)) < 0)
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

/* Is there nothing more to be walked? */
static bool at_end(const struct way *y)
{
	return y->rest[strspn(y->rest, "/")] == '\0';
}

/* One name further. Stops (false) at the end, at a file, at what is missing, at an error. */
static bool way_step(struct watcher *w, struct root *root, struct way *y)
{
	char name[NAME_MAX + 1];
	struct stat st;
	int fd = -1, r;

	if (!way_next(y, name))
		return false;
	if (strcmp(name, ".") == 0)
		return true;
	if ((y->error = anchor_add(w, root, y->fd, y->at.data, NULL)) < 0)
		return false;
	r = way_open(y, name, &fd, &st);
	if (r == UV_ENOENT) {
		if ((y->error = anchor_add(w, root, y->fd, y->at.data, name)) < 0)
			return false;
		r = way_open(y, name, &fd, &st);
	}
	if (r < 0) {
		y->missing = r == UV_ENOENT;
		y->error = y->missing ? 0 : r;
		strcpy(y->lost, name);
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		y->error = way_enter(y, fd, name);
		return y->error == 0;
	} else if (S_ISLNK(st.st_mode)) {
		y->error = anchor_add(w, root, y->fd, y->at.data, name);
		if (y->error == 0)
			y->error = way_link(y, fd, name);
		if (fd >= 0)
			close(fd);
		return y->error == 0;
	} else if (at_end(y)) {
		strcpy(y->name, name);
	} else {
		anchor_add(w, root, y->fd, y->at.data, name);
		y->error = UV_ENOTDIR;
	}
	if (fd >= 0)
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
	snprintf(y->missing ? y->lost : y->name, sizeof y->name, "%s",
		 slash ? slash + 1 : root->path);
	return 0;
}

int watcher__way_walk(struct watcher *w, struct root *root, struct way *y)
{
	if (watcher__disk_is_users(&w->disk))
		return way_ask(w, root, y);
	*y = (struct way){ .fd = open("/", O_WAY | O_DIRECTORY | O_CLOEXEC) };
	if (y->fd < 0)
		return y->error = -errno;
	y->rest = strdup(root->path);
	if (!y->rest || bytes_adds(&y->at, "/") < 0)
		return y->error = UV_ENOMEM;
	while (way_step(w, root, y))
		;
	return y->error;
}

void watcher__way_free(struct watcher *w, struct way *y)
{
	if (y->fd >= 0)
		watcher__disk_close(&w->disk, y->fd);
	bytes_free(&y->at);
	free(y->rest);
}
