/*
 * The first reading of a tree that is covered as a whole (late_ops): after the user has been
 * told that all is ready, in slices, between the changes that come meanwhile.
 *
 * What is read is put into the index as it was before the changes that are still to be applied:
 * these tell what has become of names since, and where directories were. So every change finds
 * the index as if all had been read at the start. A change of a file has the directories it is
 * about read first. One by which a directory comes or moves waits until all is read, and so do
 * those behind it: what is below such a directory is told of, too.
 *
 * Directories still to be read are nodes with DIR_UNREAD; they are found by going over all
 * nodes, so that nothing is needed to remember them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "watcher/apply.h"
#include "watcher/look.h"

#define RETRY_NS    50000000
#define DOUBT_NS    1000000
#define PROGRESS_NS 100000000

struct late {
	bool active;
	uint32_t next;       /* nodes before this one are read */
	bool again;          /* ... but for some that came since */
	bool held, asked;    /* a change waits; it was asked where it happened */
	struct change change;
	char name[256], name2[256]; /* its strings */
	struct listing listing;
	bool taking, failed; /* a listing is being taken in; there is no memory for all of it */
	uint32_t dir;        /* whose that is */
	uint32_t owner;      /* of the number that was to be a node's */
	bool told;           /* of what is tried again */
	uint64_t due_ns, progress_ns;
	int64_t since_ns;    /* wall clock before the first of it was to be read */
};

int watcher__late_init(struct watcher *w)
{
	w->late = calloc(1, sizeof *w->late);
	return w->late ? 0 : UV_ENOMEM;
}

void watcher__late_fini(struct watcher *w)
{
	if (w->late)
		free(w->late->listing.packed);
	free(w->late);
	w->late = NULL;
}

bool watcher__late_active(const struct watcher *w)
{
	return w->late->active;
}

uint64_t watcher__late_due_ns(const struct watcher *w)
{
	return w->late->due_ns;
}

static struct source *source_of(struct watcher *w, uint32_t dir)
{
	return &w->sources[tree_dir(&w->tree, dir)->backend];
}

static void read_later(struct watcher *w, uint32_t dir)
{
	tree_dir(&w->tree, dir)->flags |= DIR_UNREAD;
	w->late->again |= dir < w->late->next;
}

bool watcher__late_takes(struct watcher *w, uint32_t dir)
{
	if (w->late->taking)
		read_later(w, dir);
	return w->late->taking;
}

bool watcher__late_begin(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	const struct late_ops *ops = source_of(w, dir)->ops->late;

	if (d->flags & DIR_UNREAD)
		return true;
	if (!ops || d->count || d->flags & DIR_NARROW)
		return false;
	if (!w->late->active) {
		w->late->active = true;
		w->late->since_ns = clock_coarse_ns();
		ops->unread(w->sources[0].backend, true);
	}
	read_later(w, dir);
	return true;
}

/* ---- reading one ---- */

/* The directory of a root through which a node's file system can be reached. */
static const char *root_above(struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	while (d->parent != NO_DIR)
		d = tree_dir(&w->tree, d->parent);
	return d->roots ? d->roots->real : "/";
}

/* What is to come says which directory a name was. */
static void on_identity(void *arg, const struct mention *m)
{
	*(struct mention *)arg = *m;
}

/* Opens the directory of a node where directories have moved since, and paths may lead
 * elsewhere. */
static int open_moved(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = source_of(w, dir);
	const char *under = root_above(w, dir);
	struct mention m = { .present = false };
	uint32_t up = d->parent;
	char name[256];
	struct entry e;
	int in, fd, r;

	if (d->id >= 0 || up == NO_DIR)
		return s->ops->late->open_dir(s->backend, d->id, under);
	e = tree_entry(&w->tree, up, d->rec);
	memcpy(name, e.name, e.len);
	name[e.len] = '\0';
	in = s->ops->late->open_dir(s->backend, tree_dir(&w->tree, up)->id, under);
	fd = in < 0 ? in :
		      openat(in, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (in >= 0 && fd < 0)
		fd = -errno;
	if (in >= 0)
		s->ops->late->settle(in);
	if (in >= 0)
		close(in);
	/* Asked after it was opened: what is not mentioned then is what was opened. */
	r = s->ops->late->mentions(s->backend, tree_dir(&w->tree, up)->id, name, on_identity, &m);
	if (r == 0 && (!m.present || m.id < 0))
		return fd;
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return r;
	r = watcher__node_claim(w, dir, 0, m.id, &w->late->owner);
	if (r < 0)
		return r == UV_EEXIST ? r : -ESTALE;
	return s->ops->late->open_dir(s->backend, m.id, under);
}

/* Is what a path has led to what the index has there? Something may have been done to a name on
 * the way that is not among the changes yet; then it is not, or the change of it is. */
static bool is_expected(struct watcher *w, uint32_t dir, int fd)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	struct stat st;

	if (fd < 0 || d->parent == NO_DIR || fstat(fd, &st) < 0 || !st.st_nlink)
		return false;
	if (st.st_ino == tree_entry(&w->tree, d->parent, d->rec).ino &&
	    watcher__dev32(st.st_dev) == tree_dir(&w->tree, d->parent)->dev)
		return true;
	return watcher__scan_mount(fd, NULL) != 0;
}

static int open_late(struct watcher *w, uint32_t dir)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = source_of(w, dir);
	const char *path = watcher__path(w, dir, NULL, 0);
	bool link = d->flags & DIR_LINK;
	int fd, moved;

	bytes_clear(&w->look->path);
	if (!path || bytes_adds(&w->look->path, path) < 0)
		return UV_ENOMEM;
	fd = watcher__scan_open(path, link || d->parent == NO_DIR);
	if (link || !s->ops->late || (is_expected(w, dir, fd) && s->ops->late->still(s->backend)))
		return fd;
	moved = open_moved(w, dir);
	if (moved == -EPERM) /* to open by handles is not allowed */
		return fd;
	if (fd >= 0)
		close(fd);
	return moved;
}

/* The node is read (again) with nothing in it. */
static void empty_again(struct watcher *w, uint32_t dir)
{
	uint32_t rec;

	while ((rec = tree_next(&w->tree, dir, NO_REC)) != NO_REC) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		if (e.node != NO_DIR)
			watcher__node_drop(w, e.node);
		tree_erase(&w->tree, dir, rec);
	}
	read_later(w, dir);
}

/* The index gets what a name was before the changes that are to come. */
static void on_mention(void *arg, const struct mention *m)
{
	struct watcher *w = arg;
	uint32_t dir = w->late->dir, rec = tree_find(&w->tree, dir, m->name, m->len), owner;
	struct entry e = { .node = NO_DIR };
	struct source *s = source_of(w, dir);

	if (rec != NO_REC)
		e = tree_entry(&w->tree, dir, rec);
	if (rec != NO_REC && (!m->present || watcher__kernel_dir(w, &e) != m->is_dir)) {
		if (e.node != NO_DIR)
			watcher__node_drop(w, e.node);
		tree_erase(&w->tree, dir, rec);
		rec = NO_REC;
		e.node = NO_DIR;
	}
	if (m->present && rec == NO_REC) {
		rec = tree_insert(&w->tree, dir, m->name, m->len,
				  m->is_dir ? WATCHER_TYPE_DIR : WATCHER_TYPE_FILE, 0);
		w->late->failed |= rec == NO_REC;
		if (rec != NO_REC && m->is_dir)
			e.node = watcher__look_new_dir(w, dir, rec);
	}
	if (m->id < 0)
		return;
	if (e.node != NO_DIR && watcher__node_claim(w, e.node, 0, m->id, &owner) == UV_ENOMEM)
		w->late->failed = true;
	if (ids_get(&s->nodes, m->id) == IDS_NONE && ids_get(&s->anchors, m->id) == IDS_NONE)
		s->ops->unwatch(s->backend, m->id);
}

/* A directory that is gone held what is still to be told to have gone from it: nothing else.
 * What may be in its place by now is not it. */
static void nothing_in(struct watcher *w, uint32_t dir, struct listing *li)
{
	const struct dir *d = tree_dir(&w->tree, dir);

	li->error = 0;
	li->len = li->count = 0;
	li->ino = INO_UNKNOWN;
	li->ctime_ns = 0;
	li->mount = 0;
	li->dev = d->parent == NO_DIR ? 0 : tree_dir(&w->tree, d->parent)->dev;
}

/* It is indexed already: a root of its own, which belongs here now (by the very same path, or behind
 * a link that leads to it), or the same directory under a second path. */
static int known_already(struct watcher *w, uint32_t dir, uint32_t owner)
{
	struct dir *d = tree_dir(&w->tree, dir), *o = tree_dir(&w->tree, owner);
	uint32_t up = d->parent, rec = d->rec;
	uint16_t link = d->flags & DIR_LINK;
	bool here = up != NO_DIR && o->parent == NO_DIR && o->roots &&
		    (link || strcmp(w->look->path.data, o->roots->real) == 0) &&
		    !tree_is_below(&w->tree, up, owner);

	if (!here)
		watcher__alias_note(w, dir, owner);
	watcher__node_drop(w, dir);
	if (here) {
		tree_attach(&w->tree, up, rec, owner);
		o->flags |= link;
	}
	if (here && o->flags & DIR_NARROW) {
		o->flags &= (uint16_t)~DIR_NARROW;
		empty_again(w, owner);
	} else if (here) {
		w->late->taking = true;
		watcher__reconsider(w, owner); /* what only those above want */
		w->late->taking = false;
	}
	return UV_EEXIST;
}

/* 0; UV_EEXIST: there is nothing to read. */
static int read_listing(struct watcher *w, uint32_t dir, int fd, struct listing *li)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	uint32_t owner;
	int r = 0;

	if (fd == -ESTALE) {
		nothing_in(w, dir, li);
		return 0;
	}
	if (fd == UV_EEXIST)
		return known_already(w, dir, w->late->owner);
	if (fd < 0)
		return fd;
	if (d->parent != NO_DIR || d->id < 0) /* a root is watched already */
		r = watcher__node_watch(w, dir, fd, w->look->path.data, &owner);
	if (r == UV_EEXIST)
		return known_already(w, dir, owner);
	if (r < 0)
		return r;
	watcher__scan_read(fd, li);
	if (!li->error && w->gap)
		watcher__late_leave_out(fd, li, w->late->since_ns);
	if (li->error == UV_ENOENT) /* removed since it was opened */
		nothing_in(w, dir, li);
	return li->error;
}

/* Puts the directory into the index as it was before the changes that are to come. */
static int take_in(struct watcher *w, uint32_t dir, struct listing *li)
{
	struct source *s = source_of(w, dir);
	int32_t id = tree_dir(&w->tree, dir)->id;
	int r = 0;

	tree_dir(&w->tree, dir)->flags &= (uint16_t)~DIR_UNREAD;
	w->late->dir = dir;
	w->late->taking = true;
	if (!watcher__look_take(w, dir, li))
		r = UV_ENOMEM;
	else if (id >= 0 && s->ops->late)
		r = s->ops->late->mentions(s->backend, id, NULL, on_mention, w);
	if (w->late->failed)
		r = UV_ENOMEM;
	w->late->taking = w->late->failed = false;
	if (r < 0)
		empty_again(w, dir);
	return r;
}

/* Not the directory's fault. */
static void try_again(struct watcher *w, uint32_t dir, int code)
{
	const char *path = watcher__path(w, dir, NULL, 0);

	w->late->due_ns = uv_hrtime() + (code == UV_EAGAIN ? DOUBT_NS : RETRY_NS);
	if (code == UV_EAGAIN)
		return;
	if (!w->late->told)
		watcher__problem(w, path, code, "%s: cannot be read yet: %s", path ? path : "",
				 uv_strerror(code));
	w->late->told = true;
}

/* Reads a directory; false if that is to be tried again. */
static bool read_late(struct watcher *w, uint32_t dir)
{
	struct listing *li = &w->late->listing;
	int fd = open_late(w, dir), r = read_listing(w, dir, fd, li);

	if (fd >= 0)
		close(fd);
	if (r == 0)
		r = take_in(w, dir, li);
	if (r == UV_ENOMEM || r == UV_EMFILE || r == UV_ENFILE || r == UV_EAGAIN) {
		try_again(w, dir, r);
		return false;
	}
	w->late->told = false;
	if (r == UV_EEXIST)
		return true;
	tree_dir(&w->tree, dir)->flags &= (uint16_t)~DIR_UNREAD;
	if (r < 0)
		watcher__look_failed(w, dir, r);
	return true;
}

/* ---- all of them ---- */

static uint32_t next_unread(struct watcher *w)
{
	struct tree *t = &w->tree;

	for (;;) {
		for (; w->late->next < t->nnodes; w->late->next++) {
			const struct dir *d = tree_dir(t, w->late->next);

			/* Half of a move is nowhere at present. */
			if (d->flags & DIR_USED && d->flags & DIR_UNREAD)
				return w->late->next;
		}
		if (!w->late->again)
			return NO_DIR;
		w->late->again = false;
		w->late->next = 0;
	}
}

static void progress(struct watcher *w)
{
	uint64_t now = uv_hrtime();

	if (!w->options.on_progress || now - w->late->progress_ns < PROGRESS_NS)
		return;
	w->late->progress_ns = now;
	w->options.on_progress(w->head, w->look->directories, w->look->files, w->options.arg);
}

static void late_end(struct watcher *w)
{
	w->late->active = false;
	w->late->next = 0;
	free(w->late->listing.packed);
	w->late->listing = (struct listing){ .error = 0 };
	w->sources[0].ops->late->unread(w->sources[0].backend, false);
}

bool watcher__late_go(struct watcher *w, uint64_t until)
{
	uint64_t start = uv_hrtime(), now = start;
	uint32_t dir;
	bool more;

	if (w->late->due_ns > start)
		return false;
	w->late->due_ns = 0;
	while ((more = (dir = next_unread(w)) != NO_DIR)) {
		if (!read_late(w, dir))
			break;
		now = uv_hrtime();
		if (now > until)
			break;
	}
	w->stats.crawl_ns += now - start;
	if (!more)
		late_end(w);
	else
		progress(w);
	return !more;
}

/* ---- what a change needs ---- */

/* Reading moves the memory that a change's strings are in. */
static void keep_strings(struct watcher *w, struct change *c)
{
	if (c->name && c->name != w->late->name) {
		memcpy(w->late->name, c->name, c->name_len);
		c->name = w->late->name;
	}
	if (c->name2 && c->name2 != w->late->name2) {
		memcpy(w->late->name2, c->name2, c->name2_len);
		c->name2 = w->late->name2;
	}
}

/* The node that a path leads to through the index, reading on the way. NO_DIR: it is not wanted,
 * or below no root (*foreign), or not in the index. */
static uint32_t walk(struct watcher *w, const struct root *root, const char *path, bool *foreign)
{
	size_t len = strlen(root->real), n;
	uint32_t at = root->node, rec;
	struct entry e;

	*foreign = root->single || strncmp(path, root->real, len) != 0 ||
		   (len > 1 && path[len] && path[len] != '/');
	if (*foreign)
		return NO_DIR;
	for (path += len;; path += n) {
		if (tree_dir(&w->tree, at)->flags & DIR_UNREAD && !read_late(w, at))
			return NO_DIR;
		path += strspn(path, "/");
		if (!*path)
			return at;
		n = strcspn(path, "/");
		rec = tree_find(&w->tree, at, path, n);
		if (rec == NO_REC)
			return NO_DIR;
		e = tree_entry(&w->tree, at, rec);
		*foreign = e.node == NO_DIR;
		if (*foreign)
			return NO_DIR;
		at = e.node;
	}
}

/* A change in a directory that has not been read, or is under no root: which? Of one that is gone
 * that may be known only when all has been read. */
static bool resolve(struct watcher *w, uint64_t until)
{
	struct source *s = &w->sources[0];
	char path[PATH_MAX];
	bool all_foreign = true, foreign;
	int r;

	LIST_EACH(it, next, &w->watches) {
		LIST_EACH(ri, rnext, &LIST_ENTRY(it, struct watcher_watch, link)->roots) {
			const struct root *root = LIST_ENTRY(ri, struct root, link);

			if (root->node == NO_DIR)
				continue;
			r = s->ops->late->where(s->backend, root->real, path, sizeof path);
			if (!path[0])
				all_foreign = false;
			else if (walk(w, root, path, &foreign) != NO_DIR && !w->late->asked) {
				w->late->asked = true; /* next() knows it now, or says so again */
				return true;
			} else {
				all_foreign &= foreign && r == 0;
			}
		}
	}
	w->late->asked = false;
	return (all_foreign && s->ops->late->foreign(s->backend)) || watcher__late_go(w, until);
}

/* What a root around its own is to be told, too, waits for the reading to come from there. */
static bool read_if_unread(struct watcher *w, int32_t id, uint64_t until)
{
	uint32_t dir = id < 0 ? IDS_NONE : ids_get(&w->sources[0].nodes, id);

	if (dir == IDS_NONE)
		return true;
	if (watcher__graft_due(w, dir) && !watcher__late_go(w, until))
		return false;
	dir = ids_get(&w->sources[0].nodes, id); /* all of it may have been read by that */
	return dir == IDS_NONE || !(tree_dir(&w->tree, dir)->flags & DIR_UNREAD) ||
	       read_late(w, dir);
}

/* Does a file get the name of a directory? Only by an exchange: the directory moves next. */
static bool exchanges_dir(struct watcher *w, const struct change *c)
{
	uint32_t dir = c->op != CHANGE_RENAMED || c->id2 < 0 ?
			       IDS_NONE :
			       ids_get(&w->sources[0].nodes, c->id2);
	uint32_t rec = dir == IDS_NONE ? NO_REC :
					 tree_find(&w->tree, dir, c->name2, c->name2_len);

	return rec != NO_REC && tree_entry(&w->tree, dir, rec).type == WATCHER_TYPE_DIR;
}

/* Reads what the change needs. */
static bool prepare(struct watcher *w, const struct change *c, uint64_t until)
{
	switch (c->op) {
	case CHANGE_UNKNOWN:
		return resolve(w, until);
	case CHANGE_GAP:
	case CHANGE_READ:
		return true;
	case CHANGE_LOOK:
		return watcher__late_go(w, until);
	case CHANGE_CREATED:
	case CHANGE_MOVED_FROM:
	case CHANGE_MOVED_TO:
	case CHANGE_RENAMED:
		if (c->is_dir)
			return watcher__late_go(w, until);
		break;
	default:
		break;
	}
	w->late->asked = false;
	return read_if_unread(w, c->id, until) && read_if_unread(w, c->id2, until) &&
	       (!exchanges_dir(w, c) || watcher__late_go(w, until));
}

bool watcher__late_before(struct watcher *w, int source, struct change *c, uint64_t until)
{
	struct late *l = w->late;

	if (!l->active || source != 0)
		return true;
	keep_strings(w, c);
	if (l->due_ns <= uv_hrtime() && prepare(w, c, until))
		return true;
	l->held = c->op != CHANGE_UNKNOWN; /* that is said again */
	l->change = *c;
	return false;
}

int watcher__late_next(struct watcher *w, int source, struct change *c)
{
	struct source *s = &w->sources[source];

	if (source != 0 || !w->late->held)
		return s->ops->next(s->backend, c);
	w->late->held = false;
	*c = w->late->change;
	return 1;
}
