/*
 * What created names are: the kernel says no more than whether they are directories.
 *
 * A name is looked up in its directory, which is open for a turn of the pump at most, so that it
 * keeps no mount busy. Where many names of one directory are to come next, and it does not hold
 * many more, it is read once instead, which costs a third. What was read is used for changes that
 * the kernel had told of before that: as what a look at the name finds, it is what became of the
 * name after the change, and nothing older.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watcher/engine.h"

#define FEW    32    /* names are looked up each before it is asked whether as many are to come */
#define OF_ALL 4     /* one in so many names of the directory is to come, at least */
#define MOST   16384 /* names are read at once: some milliseconds */

static void forget_listing(struct created *c)
{
	free(c->listing.packed);
	free(c->slots);
	c->listing = (struct listing){ .error = 0 };
	c->slots = NULL;
}

static void close_dir(struct created *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void forget(struct created *c)
{
	close_dir(c);
	forget_listing(c);
	*c = (struct created){ .dir = NO_DIR, .fd = -1, .wait = FEW };
}

void watcher__created_init(struct watcher *w)
{
	w->created.fd = -1;
	forget(&w->created);
}

void watcher__created_done(struct watcher *w, bool rest)
{
	if (rest)
		forget(&w->created);
	else
		close_dir(&w->created);
}

static bool is_at(const struct watcher *w, uint32_t dir)
{
	return w->created.dir == dir && w->created.gen == tree_dir(&w->tree, dir)->gen;
}

/* ---- one name ---- */

static bool is_node(struct watcher *w, uint32_t dir, const struct stat *st)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	return st->st_ino == d->ino && watcher__dev32(st->st_dev) == d->dev;
}

int watcher__open_dir(struct watcher *w, uint32_t dir)
{
	const char *path = watcher__path(w, dir, NULL, 0);
	struct stat st;
	int fd = path ? watcher__scan_open(path, true) : UV_ENOENT;

	if (fd < 0 || (fstat(fd, &st) == 0 && is_node(w, dir, &st)))
		return fd;
	close(fd);
	return UV_ENOENT;
}

/* By its path. Nearly all are files, as what nobody has looked at is taken for: for what is none the
 * directory is asked for, too. */
static int stat_path(struct watcher *w, uint32_t dir, const char *name, size_t len, struct stat *st)
{
	const char *path = watcher__path(w, dir, name, len);
	struct stat up;

	if (!path)
		return UV_ENOENT;
	if (lstat(path, st) < 0)
		return -errno;
	if (S_ISREG(st->st_mode))
		return 0;
	path = watcher__path(w, dir, NULL, 0);
	return path && stat(path, &up) == 0 && is_node(w, dir, &up) ? 0 : UV_ENOENT;
}

int watcher__name_stat(struct watcher *w, uint32_t dir, const char *name, size_t len,
		       struct stat *st)
{
	struct created *c = &w->created;
	bool again = is_at(w, dir);
	char buf[256];
	int fd;

	if (again && c->fd < 0) {
		if ((fd = watcher__open_dir(w, dir)) == UV_ENOENT)
			return UV_ENOENT;
		c->fd = fd;
	}
	if (again && c->fd >= 0 && len < sizeof buf) {
		memcpy(buf, name, len);
		buf[len] = '\0';
		return fstatat(c->fd, buf, st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	}
	if (!again) {
		forget(c);
		c->dir = dir;
		c->gen = tree_dir(&w->tree, dir)->gen;
	}
	return stat_path(w, dir, name, len, st);
}

/* ---- many names ---- */

static const struct source *source_of(const struct watcher *w, uint32_t dir)
{
	return &w->sources[tree_dir(&w->tree, dir)->backend];
}

/* Is what was read of that directory, and newer than the change that is being told of? */
static bool is_newer(const struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	const struct source *s = source_of(w, dir);
	const struct created *c = &w->created;

	return c->listing.ino == d->ino && c->listing.dev == d->dev && s->ops->place &&
	       s->ops->place(s->backend) <= c->end;
}

static bool listed(const struct created *c, const struct news *n, int *type, uint64_t *ino)
{
	const char *e = watcher__listing_find(&c->listing, c->slots, c->nslots, n->name, n->len);

	if (!e || e[8] == WATCHER_TYPE_UNKNOWN)
		return false;
	*type = e[8];
	memcpy(ino, e, sizeof *ino);
	return true;
}

/* There are file systems whose directories do not say the truth of inodes (FUSE, overlayfs): the
 * name that is asked for is looked up, too. */
static bool tells_truth(struct watcher *w, const struct news *n)
{
	struct stat st;
	uint64_t ino;
	int type;

	return listed(&w->created, n, &type, &ino) &&
	       watcher__name_stat(w, n->dir, n->name, n->len, &st) == 0 && st.st_ino == ino &&
	       watcher__type_of_mode(st.st_mode) == type;
}

/* Will so much be looked up in it next that it is better read, if that goes on as it has so far?
 * Else not before what is known to come has. */
static bool is_worth_it(struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	const struct source *s = source_of(w, dir);
	struct created *c = &w->created;
	uint32_t enough = d->count / OF_ALL > FEW ? d->count / OF_ALL : FEW, next;

	c->wait = FEW;
	if (!s->ops->creates || c->fd < 0 || c->told > 2 * c->lookups || d->count > MOST ||
	    d->flags & DIR_NARROW)
		return false;
	next = s->ops->creates(s->backend, d->id, enough, &c->end);
	if (next > FEW)
		c->wait = next;
	return next >= enough;
}

static void read_names(struct watcher *w, const struct news *n)
{
	struct created *c = &w->created;
	struct listing *l = &c->listing;

	if (!is_worth_it(w, n->dir))
		return;
	watcher__scan_names(c->fd, l, MOST);
	if (!l->error && is_newer(w, n->dir) &&
	    (c->slots = watcher__listing_slots(l, &c->nslots)) && tells_truth(w, n))
		return;
	if (c->wait < l->count) /* reading in vain is never most of the cost */
		c->wait = l->count;
	forget_listing(c);
}

static bool look_in_listing(struct watcher *w, const struct news *n, int *type, uint64_t *ino)
{
	struct created *c = &w->created;

	if (!is_at(w, n->dir))
		return false;
	if (c->slots && !is_newer(w, n->dir))
		forget_listing(c);
	if (c->wait > 0)
		c->wait--;
	else if (!c->slots)
		read_names(w, n);
	return c->slots && listed(c, n, type, ino);
}

void watcher__created_look(struct watcher *w, struct news *n)
{
	struct stat st;
	uint64_t ino;
	int type;

	if (!look_in_listing(w, n, &type, &ino)) {
		if (watcher__name_stat(w, n->dir, n->name, n->len, &st) < 0)
			return;
		ino = st.st_ino;
		type = watcher__type_of_mode(st.st_mode);
	}
	w->created.lookups++;
	if (type == WATCHER_TYPE_DIR) /* a later one */
		return;
	n->ino = ino;
	n->type = type;
}
