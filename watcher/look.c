/*
 * The reading half of a pass: which directories are read, and how each is opened, watched and
 * read with a fence. It announces nothing; see look.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/look.h"

int watcher__look_init(struct watcher *w)
{
	w->look = calloc(1, sizeof *w->look);
	return w->look ? 0 : UV_ENOMEM;
}

void watcher__look_fini(struct watcher *w)
{
	struct look *l = w->look;

	if (!l)
		return;
	free(l->queue);
	for (size_t i = 0; i < l->narrivals; i++)
		free(l->arrivals[i].from);
	free(l->arrivals);
	free(l->departures);
	ids_free(&l->by_node);
	ids_free(&l->by_from);
	ids_free(&l->by_dir);
	free(l->changed);
	free(l->seen);
	free(l->rules);
	free(l->grafts);
	free(l->listing.packed);
	bytes_free(&l->path);
	free(l);
	w->look = NULL;
}

bool watcher__look_room(struct look *l, void **items, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return true;
	if (!(p = realloc(*items, more * size))) {
		l->failed = true;
		return false;
	}
	*items = p;
	*cap = more;
	return true;
}

/* When the queue was last empty, and nothing was left that has to be found by looking again. */
static int64_t at_rest_ns(const struct watcher *w)
{
	return w->put_off_ns < w->calm_ns ? w->put_off_ns : w->calm_ns;
}

int64_t watcher__known_ns(const struct watcher *w)
{
	int64_t since = at_rest_ns(w), known;

	for (int i = 0; i < w->nsources; i++) {
		if (!w->sources[i].ops->known_ns)
			continue;
		known = w->sources[i].ops->known_ns(w->sources[i].backend);
		if (known < since)
			since = known;
	}
	return since;
}

void watcher__look_at(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;

	if (!l->active) {
		l->active = true;
		l->since_ns = watcher__known_ns(w);
		tree_pin(&w->tree);
	}
	if (watcher__look_room(l, (void **)&l->queue, l->nqueue, &l->queue_cap,
			       sizeof *l->queue))
		l->queue[l->nqueue++] = (struct looked){ dir, tree_dir(&w->tree, dir)->gen };
}

void watcher__look_hint(struct watcher *w, uint32_t dir, const struct change *hint)
{
	struct look *l = w->look;
	bool first = !l->active;

	watcher__look_at(w, dir);
	l->content |= hint->content;
	if (first && hint->since_ns)
		l->since_ns = at_rest_ns(w);
	if (hint->since_ns && hint->since_ns < l->since_ns)
		l->since_ns = hint->since_ns;
}

void watcher__owe(struct watcher *w, uint32_t dir, int64_t since_ns)
{
	tree_dir(&w->tree, dir)->flags |= DIR_OWED;
	if (since_ns < w->owed_since_ns)
		w->owed_since_ns = since_ns;
}

void watcher__look_rules(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;

	if (watcher__look_room(l, (void **)&l->rules, l->nrules, &l->rules_cap, sizeof *l->rules))
		l->rules[l->nrules++] = (struct looked){ dir, tree_dir(&w->tree, dir)->gen };
}

void watcher__look_everywhere(struct watcher *w, int64_t since_ns)
{
	struct look *l = w->look;

	l->everywhere = true;
	if (since_ns < w->owed_since_ns)
		w->owed_since_ns = since_ns;
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&w->tree, i);

		if (!(d->flags & DIR_USED) || !d->roots)
			continue;
		if (watcher__rules_again(w, i))
			watcher__look_rules(w, i);
		if (d->parent == NO_DIR)
			watcher__look_at(w, i);
	}
	if (l->active)
		l->since_ns = since_ns;
}

bool watcher__look_pending(const struct watcher *w)
{
	return w->look->active;
}

uint32_t watcher__look_new_dir(struct watcher *w, uint32_t dir, uint32_t rec)
{
	struct entry e = tree_entry(&w->tree, dir, rec);
	const struct dir *d = tree_dir(&w->tree, dir);
	uint32_t node;

	if (d->flags & DIR_NARROW || !watcher__wanted(w, dir, e.name, e.len))
		return NO_DIR;
	if ((node = tree_dir_new(&w->tree)) == NO_DIR) {
		w->gap = w->look->failed = true;
		return NO_DIR;
	}
	tree_dir(&w->tree, node)->backend = d->backend;
	tree_attach(&w->tree, dir, rec, node);
	if (!watcher__late_takes(w, node))
		watcher__look_at(w, node);
	return node;
}

bool watcher__look_waits(const struct watcher *w, uint32_t dir)
{
	const struct source *s = &w->sources[tree_dir(&w->tree, dir)->backend];

	return s->ops->caps & BACKEND_EXACT && !w->look->calm && !w->look->everywhere &&
	       !w->look->silent;
}

/* The directory cannot be opened or watched. */
void watcher__look_failed(struct watcher *w, uint32_t dir, int code)
{
	struct dir *d = tree_dir(&w->tree, dir), *up;

	switch (code) {
	case UV_EACCES:
	case UV_EPERM:
		if (!(d->flags & DIR_NO_ACCESS))
			watcher__problem(w, w->look->path.data, code,
					 "%s: cannot be read: not watched", w->look->path.data);
		d->flags |= DIR_NO_ACCESS;
		return;
	case UV_ENOENT:
	case UV_ENOTDIR:
	case UV_ELOOP:
		break;
	case UV_ENOSPC:
		return; /* told by node_watch */
	case UV_ENOMEM:
	case UV_EMFILE:
	case UV_ENFILE:
		w->look->error = code; /* not the directory's fault: a first crawl fails */
		/* fall through */
	default:
		/* What a first crawl fails of, its caller hears. */
		if (!(d->flags & DIR_FAILED) && !(w->adding && w->look->error == code))
			watcher__problem(w, w->look->path.data, code, "%s: %s",
					 w->look->path.data, uv_strerror(code));
		d->flags |= DIR_FAILED;
		watcher__node_limbo(w, dir);
		return;
	}
	if (d->flags & DIR_LINK && !watcher__look_waits(w, dir) && watcher__dangles(w, dir)) {
		watcher__look_leave(w, dir); /* until it leads to something again */
		return;
	}
	for (struct root *r = d->roots; r; r = r->next_at_node)
		r->recheck = w->recheck_roots = true;
	if (w->look->silent && d->parent == NO_DIR)
		w->look->error = code; /* gone before it could be read: the caller hears of it */
	/* It was there a moment ago. If it still is, it is to be read all the same. */
	watcher__node_limbo(w, dir);
	if (d->parent == NO_DIR)
		return;
	up = tree_dir(&w->tree, d->parent);
	if (!watcher__look_waits(w, dir) && !w->look->silent && !(up->flags & DIR_LOOKED))
		watcher__look_at(w, d->parent);
}

static void mark_looked(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;
	struct dir *d = tree_dir(&w->tree, dir);

	if (!watcher__look_room(l, (void **)&l->seen, l->nseen, &l->seen_cap, sizeof *l->seen))
		return; /* the mark would stay */
	l->seen[l->nseen++] = (struct looked){ dir, d->gen };
	d->flags |= DIR_LOOKED;
}

/* The node's directory is not at its path. */
static void not_there(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);

	if (d->parent == NO_DIR) {
		for (struct root *r = d->roots; r; r = r->next_at_node)
			r->recheck = w->recheck_roots = true;
		return;
	}
	watcher__node_limbo(w, dir);
	/* What others have read is not read silently. */
	if (!watcher__look_waits(w, dir) && !w->look->silent &&
	    !(tree_dir(&w->tree, d->parent)->flags & DIR_LOOKED))
		watcher__look_at(w, d->parent);
}

/* Is the directory of a node found by its path only, and not in that of the node above? */
static bool by_path_only(const struct watcher *w, const struct dir *d)
{
	return d->parent == NO_DIR || d->flags & DIR_LINK || watcher__disk_is_users(&w->disk);
}

/* Opens the directory above that of a node, and gives the node's name there. UV_ENOENT: what is at
 * its path is not the one that the index has. */
static int open_above(struct watcher *w, uint32_t dir, char name[256])
{
	const struct dir *d = tree_dir(&w->tree, dir), *up = tree_dir(&w->tree, d->parent);
	struct entry e = tree_entry(&w->tree, d->parent, d->rec);
	const char *path;
	struct stat st;
	int fd;

	memcpy(name, e.name, e.len);
	name[e.len] = '\0';
	path = watcher__path(w, d->parent, NULL, 0);
	if (!path || (fd = watcher__scan_open(path, true)) < 0)
		return path ? fd : UV_ENOMEM;
	if (fstat(fd, &st) == 0 &&
	    (!up->ino || (st.st_ino == up->ino && watcher__dev32(st.st_dev) == up->dev)))
		return fd;
	close(fd);
	return UV_ENOENT;
}

/* Opens the directory that has the node's name in the very directory that the index has above. */
static int open_within(struct watcher *w, uint32_t dir)
{
	char name[256];
	int in = open_above(w, dir, name), r;

	if (in < 0)
		return in;
	r = openat(in, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (r < 0)
		r = -errno;
	close(in);
	return r;
}

/* Opens the directory of a node. At the path of one that is watched the same is found nearly
 * always. What else may be taken for its own is opened within the one above: the path may lead
 * through a mount over any of those above, which is gone before the list of mounts is read. */
static int open_node(struct watcher *w, uint32_t dir, const char *path, enum found *found)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	bool by_path = by_path_only(w, d);
	bool follow = d->parent == NO_DIR || d->flags & DIR_LINK;
	int fd = by_path || d->id >= 0 ? watcher__disk_open(&w->disk, path, follow) :
					 open_within(w, dir);

	if (fd < 0)
		return fd;
	*found = watcher__found_at(w, dir, fd);
	if (by_path || d->id < 0 || *found != REMOUNTED)
		return fd;
	close(fd);
	fd = open_within(w, dir);
	if (fd >= 0)
		*found = watcher__found_at(w, dir, fd);
	return fd;
}

/* Reads the directory; if the backend can tell where in its queue that was, what is older will
 * not be taken for news. False: that could not be had just now. */
static bool read_fenced(struct watcher *w, uint32_t dir, int fd, bool fresh)
{
	struct look *l = w->look;
	const struct dir *d = tree_dir(&w->tree, dir);
	struct source *s = &w->sources[d->backend];
	bool fenced = !l->silent && s->ops->fence;

	if (fenced && s->ops->fence(s->backend, d->id, fd, true) < 0) {
		if (fresh)
			watcher__node_unwatch(w, dir);
		watcher__node_limbo(w, dir);
		return false;
	}
	watcher__disk_read(&w->disk, fd, &l->listing);
	if (fenced && s->ops->fence(s->backend, d->id, fd, false) < 0)
		watcher__node_limbo(w, dir); /* the next look takes it away */
	if (l->listing.error)
		return true; /* nothing has been read */
	if (fenced)
		watcher__node_ahead(w, dir, fresh);
	else
		w->uncertain = true;
	return true;
}

/* Watches what is at the node's path, open as fd, and takes its listing in. */
static void look_at_open(struct watcher *w, uint32_t dir, int fd, enum found found)
{
	struct look *l = w->look;
	struct dir *d = tree_dir(&w->tree, dir);
	int32_t before = d->id;
	uint8_t source = d->backend;
	uint32_t owner;
	int r;

	if (before < 0 || found == REMOUNTED)
		watcher__choose_source(w, dir, fd, l->path.data);
	r = watcher__node_watch(w, dir, fd, l->path.data, &owner);
	if (r == UV_EEXIST && found == REMOUNTED && d->count) {
		watcher__look_leave(w, dir);
		return;
	}
	if (r == UV_EEXIST && !watcher__contested(w, dir, owner, fd))
		return;
	if (r < 0 && r != UV_EEXIST) {
		watcher__look_failed(w, dir, r);
		return;
	}
	/* A file system may be told from the one before it by nothing else. */
	l->strange = found == REMOUNTED || (before < 0 && watcher__mounted_anew(w, dir, fd)) ||
		     (before >= 0 && before != d->id && d->flags & DIR_MOUNTED);
	if (l->strange)
		d->flags |= DIR_UNMOUNTED; /* until it has been read */
	l->renewed = !l->strange && before >= 0 && before != d->id && source == d->backend;
	if (!watcher__compare_unchanged(w, dir, fd) && read_fenced(w, dir, fd, before < 0)) {
		if (l->listing.error)
			watcher__look_failed(w, dir, l->listing.error);
		else
			watcher__compare(w, dir, fd);
	}
	l->strange = l->renewed = false;
}

static void look_one(struct watcher *w, uint32_t dir)
{
	struct look *l = w->look;
	struct dir *d = tree_dir(&w->tree, dir);
	const char *path = watcher__path(w, dir, NULL, 0);
	enum found found;
	int fd;

	if (d->flags & DIR_UNREAD)
		return; /* not for this pass: nothing in it is news */
	mark_looked(w, dir);
	if (l->everywhere)
		d->flags |= DIR_OWED; /* until it has been compared */
	bytes_clear(&l->path);
	if (!path || bytes_adds(&l->path, path) < 0) {
		l->failed = true;
		watcher__node_limbo(w, dir);
		return;
	}
	if (d->flags & DIR_AHEAD && !l->everywhere) { /* once the queue is there */
		watcher__node_limbo(w, dir);
		return;
	}
	fd = open_node(w, dir, l->path.data, &found);
	if (fd < 0) {
		watcher__look_failed(w, dir, fd);
		return;
	}
	if (found == ANOTHER)
		not_there(w, dir);
	else if (found == REMOUNTED &&
		 (watcher__look_waits(w, dir) || watcher__below_unmounted(w, dir)))
		watcher__node_limbo(w, dir); /* it may be that one of them moves */
	else
		look_at_open(w, dir, fd, found);
	watcher__disk_close(&w->disk, fd);
}

/* A crawl thread watches everything in the same way. */
static bool other_source(struct watcher *w, uint32_t dir, const struct listing *li)
{
	const char *path;

	return li->mount && w->options.backend == WATCHER_BACKEND_AUTO &&
	       (path = watcher__path(w, dir, NULL, 0)) && watcher__node_source_below(w, path) != 0;
}

/* A crawl thread goes by paths. Is what it found there not in the directory that the index has
 * above, but in what was mounted just then over one of those above? */
static bool is_another(struct watcher *w, uint32_t dir, const struct listing *li)
{
	const struct dir *d = tree_dir(&w->tree, dir);
	bool same_dev = tree_dir(&w->tree, d->parent)->dev == li->dev;
	char name[256];
	struct stat st;
	int in, r;

	if (li->mount || (same_dev && tree_entry(&w->tree, d->parent, d->rec).ino == li->ino))
		return false;
	/* Not all file systems have the same numbers in listings as elsewhere. */
	if ((in = open_above(w, dir, name)) < 0)
		return true;
	r = fstatat(in, name, &st, AT_SYMLINK_NOFOLLOW);
	close(in);
	return r < 0 || st.st_ino != li->ino || watcher__dev32(st.st_dev) != li->dev;
}

void watcher__look_result(struct watcher *w, uint32_t dir, int watched, int32_t id,
			  struct listing *li)
{
	struct look *l = w->look;
	struct listing own = l->listing;
	uint32_t owner;

	if (watched == 0)
		watched = watcher__node_claim(w, dir, tree_dir(&w->tree, dir)->backend, id, &owner);
	if (watched == 0 && !li->error &&
	    (is_another(w, dir, li) || other_source(w, dir, li))) {
		watcher__node_unwatch(w, dir);
		watched = UV_EXDEV;
	}
	if (watched < 0 || li->error) {
		look_one(w, dir); /* whatever is wrong is found out, and told, there */
		return;
	}
	mark_looked(w, dir);
	l->listing = *li;
	w->uncertain = true;
	watcher__compare(w, dir, -1);
	*li = l->listing;
	l->listing = own;
}

bool watcher__look_take(struct watcher *w, uint32_t dir, struct listing *li)
{
	struct look *l = w->look;
	struct listing own = l->listing;
	bool silent = l->silent, failed = l->failed, taken;

	l->silent = l->past = true;
	l->failed = false;
	l->listing = *li;
	watcher__compare(w, dir, -1);
	*li = l->listing;
	l->listing = own;
	taken = !l->failed;
	l->past = false;
	l->silent = silent;
	l->failed = failed;
	return taken;
}

static void finish(struct watcher *w)
{
	struct look *l = w->look;

	for (size_t i = 0; i < l->nseen; i++)
		if (tree_alive(&w->tree, l->seen[i].dir, l->seen[i].gen))
			tree_dir(&w->tree, l->seen[i].dir)->flags &=
			    (uint16_t)~(DIR_LOOKED | DIR_CAME);
	l->nseen = l->nqueue = l->head = 0;
	watcher__settle(w);
	if (!w->nlimbo)
		w->owed_since_ns = w->put_off_ns = INT64_MAX;
	if (l->everywhere)
		w->stats.recoveries++;
	/* Without memory something was left out: look at everything once more. */
	if (l->failed && !l->silent) {
		w->gap = true;
		if (!w->gap_since_ns || l->since_ns < w->gap_since_ns)
			w->gap_since_ns = l->since_ns;
	}
	if (l->failed)
		l->error = UV_ENOMEM;
	l->active = l->everywhere = l->calm = l->content = l->failed = false;
	tree_unpin(&w->tree);
	watcher__grafts_make(w);
	while (l->nrules) {
		struct looked rules = l->rules[--l->nrules];

		if (tree_alive(&w->tree, rules.dir, rules.gen))
			watcher__reconsider(w, rules.dir);
	}
}

/* A pass after hints has not read the directory, which may be at another path by now: what it was to
 * find there, another is. */
static void put_off(struct watcher *w, const struct looked *at)
{
	struct look *l = w->look;
	const struct dir *d;

	if (l->silent || l->everywhere || !tree_alive(&w->tree, at->dir, at->gen))
		return;
	d = tree_dir(&w->tree, at->dir);
	if (!(d->flags & DIR_LIMBO))
		return;
	if (w->sources[d->backend].ops->caps & BACKEND_BY_PATH)
		watcher__owe(w, at->dir, l->since_ns);
	if (w->sources[d->backend].ops->caps & BACKEND_SCANS && l->since_ns < w->put_off_ns)
		w->put_off_ns = l->since_ns;
}

void watcher__look_one_queued(struct watcher *w)
{
	struct look *l = w->look;
	uint64_t read = l->directories;
	struct looked next;
	struct dir *d;

	if (!l->active || l->head == l->nqueue)
		return;
	next = l->queue[l->head++];
	if (!tree_alive(&w->tree, next.dir, next.gen))
		return;
	d = tree_dir(&w->tree, next.dir);
	if (d->flags & DIR_LOOKED) {
		if (d->flags & DIR_OWED) /* but not with all below it */
			watcher__node_limbo(w, next.dir);
		return;
	}
	if (!watcher__doomed(w, next.dir)) {
		look_one(w, next.dir);
		if (l->directories == read)
			put_off(w, &next);
		return;
	}
	if (l->everywhere)
		d->flags |= DIR_OWED;
	watcher__node_limbo(w, next.dir); /* it may be found again, moved */
	put_off(w, &next);
}

bool watcher__look_go(struct watcher *w, uint64_t until)
{
	struct look *l = w->look;

	while (l->active && l->head < l->nqueue) {
		watcher__look_one_queued(w);
		if (until != UINT64_MAX && uv_hrtime() > until && l->head < l->nqueue)
			return false;
	}
	if (l->active)
		finish(w);
	return true;
}
