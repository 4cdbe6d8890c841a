/*
 * Roots: from the path a user gave to a node of the index, and back to it when anything on the
 * way changes.
 *
 * When an anchor on the way to a root (see way.c) is hit, the way is walked again; a root that
 * leads elsewhere, or nowhere, has ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"
#include "watcher/filter.h"
#include "watcher/look.h"
#include "watcher/way.h"
#include "watcher/within.h"

/* ---- attaching to nodes ---- */

static void detach(struct watcher *w, struct root *root)
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

/* The node of a directory that is watched already, or a fresh one on top. Either hears of itself: the
 * fresh one is watched like that, which widens the watch that there is. */
static int top_node(struct watcher *w, int fd, const char *path, uint32_t *node, bool *fresh)
{
	int source = watcher__node_source(w, path), r;
	uint32_t owner = NO_DIR;

	*fresh = false;
	if ((*node = tree_dir_new(&w->tree)) == NO_DIR)
		return UV_ENOMEM;
	tree_dir(&w->tree, *node)->backend = (uint8_t)source;
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

/* A file is looked up by its name, and rules that lie about are not read for it. */
static int bind_file(struct filter_root **fr, const struct root *root, const struct way *y)
{
	struct bytes path = { 0 };
	int r = bytes_adds(&path, y->at.data);

	if (r == 0 && path.len > 1)
		r = bytes_addc(&path, '/');
	if (r == 0)
		r = bytes_adds(&path, y->name);
	if (r == 0)
		r = watcher__filter_bind_virtual(fr, root->watch->filter, path.data, root->given);
	bytes_free(&path);
	return r;
}

/* A root's rules are read from where it is now. */
static int bind_filter(struct watcher *w, struct root *root, const struct way *y)
{
	struct filter_root *fr = NULL;
	int64_t now_ns = clock_coarse_ns();
	int r;

	if (y->name[0])
		r = bind_file(&fr, root, y);
	else if (watcher__disk_is_users(&w->disk))
		r = watcher__filter_bind_virtual(&fr, root->watch->filter, y->at.data, root->given);
	else
		r = watcher__filter_bind(&fr, root->watch->filter, y->at.data, root->given);
	if (r < 0)
		return r;
	if (fr)
		watcher__filter_on_problem(fr, filter_problem, root);
	watcher__filter_unbind(root->filter);
	root->filter = fr;
	root->bound_ns = now_ns;
	root->outside = 0;
	return 0;
}

/* What is to be read of a directory that a root is attached to. */
enum reading {
	READ_NOTHING, /* it is known, and the file is all that is wanted */
	READ_REST,    /* it is known: what other roots do not want */
	READ_ALL
};

static int attach(struct watcher *w, struct root *root, struct way *y, enum reading *reading)
{
	struct dir *d;
	bool fresh, widen;
	int fd, r;

	/* What is still told of a watch that has ended is not news of this one. */
	watcher__unwatch_rest(w, UINT64_MAX);
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
		r = top_node(w, fd, y->at.data, &root->node, &fresh);
	if (r < 0) {
		watcher__disk_close(&w->disk, fd);
		root->node = NO_DIR;
		return r;
	}
	d = tree_dir(&w->tree, root->node);
	widen = fresh || d->flags & DIR_NARROW;
	if (root->single && fresh)
		d->flags |= DIR_NARROW;
	else if (!root->single && widen)
		d->flags &= (uint16_t)~DIR_NARROW;
	root->next_at_node = d->roots;
	d->roots = root;
	watcher__disk_close(&w->disk, fd);
	if (widen)
		*reading = READ_ALL;
	else
		*reading = root->single ? READ_NOTHING : READ_REST;
	return 0;
}

static void settle_later(struct watcher *w, struct root *root)
{
	root->recheck = w->recheck_roots = true;
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
			  .complete = kind != WATCHER_CREATED };

	watcher__emit(w, &n);
}

/* What has left its name by the first half of a move is told to have ended, or to have moved, when it
 * is known which: a root that comes back in between has it till then, one that ends has no later. */
static void tell_leaving(struct watcher *w, const struct news *like, uint32_t node)
{
	for (uint32_t i = 0; i < w->nhalves; i++) {
		const struct half_move *h = &w->halves[i];
		struct news n = *like;

		if (h->pushed || !tree_alive(&w->tree, h->dir, h->gen) ||
		    !tree_is_below(&w->tree, h->dir, node))
			continue;
		n.dir = h->dir;
		n.name = h->name;
		n.len = h->len;
		n.type = h->type;
		n.ino = h->ino;
		if (h->node != NO_DIR && n.kind == WATCHER_DELETED)
			watcher__emit_gone_below(w, &n, n.dir, n.name, n.len, h->node);
		watcher__emit(w, &n);
		if (h->node != NO_DIR && n.kind == WATCHER_CREATED)
			watcher__emit_created_below(w, &n, h->node);
	}
}

/* Does another root have the file? */
static bool is_shared(const struct watcher *w, const struct root *root)
{
	const struct dir *d = tree_dir(&w->tree, root->node);

	if (!(d->flags & DIR_NARROW))
		return true;
	for (const struct root *r = d->roots; r; r = r->next_at_node)
		if (r != root && strcmp(r->single, root->single) == 0)
			return true;
	return false;
}

/* The entry of a root that is a file, NO_REC if there is none: a directory is no such thing. */
static uint32_t single_rec(const struct watcher *w, const struct root *root)
{
	uint32_t rec = tree_find(&w->tree, root->node, root->single, strlen(root->single));

	if (rec != NO_REC && tree_entry(&w->tree, root->node, rec).type == WATCHER_TYPE_DIR)
		return NO_REC;
	return rec;
}

static void end_single(struct watcher *w, struct root *root)
{
	uint32_t rec = single_rec(w, root);

	if (rec == NO_REC)
		return;
	root_news(w, root, WATCHER_DELETED);
	if (!is_shared(w, root))
		tree_erase(&w->tree, root->node, rec);
}

/* What the index has of a root that came back: it was moved to where others watch it. What the
 * index does not have is found, and told, by reading. */
static void tell_known(struct watcher *w, struct root *root)
{
	struct news n = { .kind = WATCHER_CREATED,
			  .time_ns = w->now_ns,
			  .synthetic = true,
			  .only = root };

	if (!root->single)
		watcher__emit_created_in(w, &n, root->node);
	else if (single_rec(w, root) != NO_REC)
		root_news(w, root, WATCHER_CREATED);
	tell_leaving(w, &n, root->node);
}

/* Everything in it ends, then itself. */
static void end_one(struct watcher *w, struct root *root)
{
	struct news n = { .kind = WATCHER_DELETED, .time_ns = w->now_ns, .only = root };
	uint32_t node = root->node;

	root->over |= watcher__is_moving(w, node) && watcher__has_around(root);
	tell_leaving(w, &n, node);
	if (root->single) {
		end_single(w, root);
	} else {
		watcher__emit_gone_below(w, &n, node, "", 0, node);
		root_news(w, root, WATCHER_DELETED);
	}
	detach(w, root);
	watcher__release(w, node);
	root->over = false;
	if (!root->waiting)
		watcher__problem(w, root->given, UV_ENOENT, "%s: gone; waiting for it to come back",
				 root->given);
	root->waiting = true;
}

/* The root is not there any more, and nor are those of its watch in it, as far as has been told. */
static void end_root(struct watcher *w, struct root *root)
{
	end_one(w, root);
	root->ended = true;
	LIST_EACH(it, next, &root->watch->roots) {
		struct root *in = LIST_ENTRY(it, struct root, link);

		if (!watcher__is_within(root, in))
			continue;
		in->over = true;
		end_one(w, in);
		settle_later(w, in);
	}
	root->ended = false;
}

static int fail_root(const struct root *root, int code, watcher_error *err)
{
	return watcher__fail(err, code, "%s: cannot be watched: %s", root->given,
			     code == UV_ENOSPC ? "out of inotify watches: raise "
						 "fs.inotify.max_user_watches" :
						 uv_strerror(code));
}

/* Is the root attached to what its path leads to now? Not so where that has moved, and a link that
 * took its name leads after it: others find it where it is, and its rules may be others there. */
static bool leads_here(struct watcher *w, const struct root *root, const struct way *y)
{
	const struct source *s;
	const struct dir *d;
	struct stat st;

	if (root->node == NO_DIR || root->over || y->missing || y->error ||
	    watcher__disk_stat(&w->disk, y->fd, &st) < 0)
		return false;
	d = tree_dir(&w->tree, root->node);
	s = &w->sources[d->backend];
	if (s->ops->known && s->ops->known(s->backend, y->fd, y->at.data) != d->id)
		return false; /* made since the last comparison, with the inode of the one before */
	return d->id >= 0 && d->ino == st.st_ino && d->dev == watcher__dev32(st.st_dev) &&
	       strcmp(root->real, y->at.data) == 0 &&
	       strcmp(root->single ? root->single : "", y->name) == 0;
}

/* Is the root a file that is not there, in the directory that it was in? That one still tells. Not so
 * if what is not there is a link that led to it. */
static bool only_file_gone(struct watcher *w, const struct root *root, const struct way *y)
{
	const struct dir *d = tree_dir(&w->tree, root->node);
	struct stat st;

	return root->single && !root->over && y->missing && strcmp(y->lost, root->single) == 0 &&
	       d->id >= 0 && y->fd >= 0 &&
	       watcher__disk_stat(&w->disk, y->fd, &st) == 0 && d->ino == st.st_ino &&
	       d->dev == watcher__dev32(st.st_dev);
}

/* Nothing behind a link is covered until it is known where that leads: all is read at once then. */
static void read_links(struct watcher *w, const struct root *root)
{
	if (w->follow && !root->single && watcher__late_active(w))
		watcher__late_go(w, UINT64_MAX);
}

/* Reads what is below a root that has just been attached. Silent at first; later everything in
 * it is news. What others have, be it an empty directory, is read later for nobody: to them it would
 * be as it was before what they have been told of. */
static int read_in(struct watcher *w, struct root *root, bool first, enum reading reading)
{
	if (reading == READ_NOTHING)
		return 0;
	if (first) {
		int r = 0;

		if (root->single || reading != READ_ALL || !watcher__late_begin(w, root->node)) {
			w->adding = root;
			r = reading == READ_REST ? watcher__crawl_rest(w, root) :
						   watcher__crawl(w, root->node);
			w->adding = NULL;
			watcher__tell_limit(w);
		}
		if (r == 0)
			read_links(w, root);
		return r;
	}
	watcher__tell_limit(w);
	watcher__look_at(w, root->node);
	return 0;
}

/* Nothing is wrong with the root: it is looked up again in a moment. */
static bool for_want_of_means(int r)
{
	return r == UV_ENOMEM || r == UV_EMFILE || r == UV_ENFILE;
}

/* What its way led to is gone: nothing on that way tells when it comes back. */
static bool just_gone(int r)
{
	return r == UV_ENOENT || r == UV_ENOTDIR || r == UV_ELOOP;
}

/* A root that was not there, or not known, is. */
static void announce(struct watcher *w, struct root *root)
{
	if (!root->single)
		root_news(w, root, WATCHER_CREATED);
	if (root->waiting)
		watcher__problem(w, root->given, 0, root->was_there ? "%s: back" : "%s: there now",
				 root->given);
	tell_known(w, root);
}

/* Attaches a root to what its way leads to, and reads that. */
static int settle_at(struct watcher *w, struct root *root, struct way *y, bool first,
		     watcher_error *err)
{
	enum reading reading = READ_NOTHING;
	int r = attach(w, root, y, &reading);

	if (r < 0) {
		root->waiting = true;
		if (!first && (for_want_of_means(r) || just_gone(r)))
			settle_later(w, root);
		if (first)
			fail_root(root, r, err);
		return r;
	}
	watcher__outside_follow(w, root); /* before what they keep out is read */
	if (!first)
		announce(w, root);
	root->waiting = false;
	root->was_there = true;
	return read_in(w, root, first, reading);
}

/* A root's way has been walked anew: it leads where it led, elsewhere, or nowhere. */
static int follow_way(struct watcher *w, struct root *root, struct way *y, bool first,
		      watcher_error *err)
{
	if (first && y->error)
		return fail_root(root, y->error, err);
	if (for_want_of_means(y->error)) {
		settle_later(w, root);
		return y->error;
	}
	if (leads_here(w, root, y)) {
		watcher__outside_follow(w, root);
		return 0;
	}
	if (!first)
		watcher__settle_around(w, root);
	if (root->node != NO_DIR && !only_file_gone(w, root, y))
		end_root(w, root);
	if (root->node != NO_DIR) /* a single file that is gone: its directory still watches */
		return 0;
	if (y->error || y->missing) {
		root->waiting = true;
		root->sought = false;
		return 0;
	}
	if (!first && !watcher__sought_around(w, root, y->at.data)) {
		settle_later(w, root);
		return 0;
	}
	return settle_at(w, root, y, first, err);
}

int watcher__root_settle(struct watcher *w, struct root *root, bool first,
			 watcher_error *err)
{
	struct way y;
	int r;

	root->recheck = false;
	root->settled = w->settling;
	watcher__anchors_forget(w, root);
	watcher__way_walk(w, root, &y);
	r = follow_way(w, root, &y, first, err);
	watcher__way_free(w, &y);
	return r;
}

/* Is the root what its path led to before something was mounted? */
static bool leads_there(struct watcher *w, const struct root *root)
{
	const struct dir *d;
	struct stat st;

	if (root->node == NO_DIR)
		return false;
	d = tree_dir(&w->tree, root->node);
	if (watcher__disk_stat_path(&w->disk, root->real, false, &st) < 0 ||
	    st.st_ino != d->ino || watcher__dev32(st.st_dev) != d->dev)
		return false;
	if (root->single) /* another file of that name, behind a link that leads elsewhere now? */
		return strncmp(root->path, root->real, strlen(root->real)) == 0;
	return watcher__disk_stat_path(&w->disk, root->path, true, &st) == 0 &&
	       st.st_ino == d->ino && watcher__dev32(st.st_dev) == d->dev;
}

/* The file system is known, and may be new to the kernel. */
static void watch_again(struct watcher *w, struct root *root)
{
	const struct source *s = &w->sources[tree_dir(&w->tree, root->node)->backend];
	int fd = s->ops->remounted ? watcher__disk_open(&w->disk, root->real, true) : -1;
	uint32_t owner;

	if (fd < 0)
		return;
	if (watcher__found_at(w, root->node, fd) != THE_SAME)
		root->recheck = w->recheck_roots = true;
	else if (watcher__node_watch(w, root->node, fd, root->real, &owner) < 0)
		w->gap = true;
	watcher__disk_close(&w->disk, fd);
}

void watcher__roots_remounted(struct watcher *w)
{
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(ri, rnext, &watch->roots) {
			struct root *root = LIST_ENTRY(ri, struct root, link);

			if (leads_there(w, root))
				watch_again(w, root);
			else
				root->recheck = w->recheck_roots = true;
		}
	}
}

void watcher__doubt_roots(struct watcher *w)
{
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(ri, rnext, &watch->roots) {
			settle_later(w, LIST_ENTRY(ri, struct root, link));
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

int watcher__root_new(struct root **out, struct watcher_watch *watch, const char *given,
		      watcher_error *err)
{
	struct root *root;
	size_t len;
	int r;

	if (!given || !given[0])
		return watcher__fail(err, UV_EINVAL, "an empty path cannot be watched");
	if (!(root = calloc(1, sizeof *root)))
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	root->watch = watch;
	root->node = NO_DIR;
	list_init(&root->link);
	root->given = path_given(given);
	errno = ENOMEM;
	root->path = watcher__disk_is_users(&watch->w->disk) ? strdup(given) : path_absolute(given);
	r = root->path || errno == ENOMEM ? UV_ENOMEM : -errno;
	if (!root->given || !root->path) {
		watcher__root_free(watch->w, root);
		return watcher__fail(err, r, "%s: %s%s", given,
				     r == UV_ENOMEM ? "" : "the current directory: ",
				     uv_strerror(r));
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
		watcher__anchors_forget(w, root);
		if (node != NO_DIR) {
			detach(w, root);
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
