/*
 * News becomes events of the watches it concerns: which roots see it, under which path, does
 * the filter pass it, what else Watchdog would say of it. Everything that is specific to one
 * watch happens here; the stages before know only directories and names.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/one_line.h"
#include "watcher/engine.h"
#include "watcher/filter.h"
#include "watcher/within.h"

#define TOUCH_NS 5000000 /* a tick of the clock of file times, or until this has looked */

int watcher__fail(watcher_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		err->code = code;
		err->offset = 0;
		va_start(ap, fmt);
		vsnprintf(err->message, sizeof err->message, fmt, ap);
		va_end(ap);
		one_line(err->message);
	}
	return code;
}

void watcher__problem(struct watcher *w, const char *path, int code, const char *fmt, ...)
{
	struct problem *p;
	va_list ap;

	if (!w->options.on_problem || w->closing)
		return;
	if (!(p = calloc(1, sizeof *p + (path ? strlen(path) + 1 : 0))))
		return;
	va_start(ap, fmt);
	vsnprintf(p->err.message, sizeof p->err.message, fmt, ap);
	va_end(ap);
	one_line(p->err.message);
	p->err.code = code;
	p->has_path = path != NULL;
	if (path)
		strcpy(p->path, path);
	list_append(&w->problems, &p->link);
	watcher__pump_soon(w);
}

/* One side of an event as a watch sees it. */
struct side {
	const struct root *root; /* NULL: that side is outside the watch */
	const char *rel;
	size_t len;
};

static struct path_parts parts_of(const struct side *s)
{
	if (!s->root)
		return (struct path_parts){ "", "", 0, 0 };
	return (struct path_parts){ s->root->given, s->rel, strlen(s->root->given), s->len };
}

static bool passes(const struct root *root, const char *rel, size_t len, int type, int kind)
{
	return !root->filter || watcher__filter_pass(root->filter, rel, len, type, (unsigned)kind);
}

bool watcher__root_passes(const struct root *root, const char *rel, size_t len, int type, int kind)
{
	return watcher__root_sees(root, rel, len) && passes(root, rel, len, type, kind);
}

static bool side_passes(const struct side *s, int type, int kind)
{
	return s->root && passes(s->root, s->rel, s->len, type, kind);
}

/* Of what a rename did itself: not of what follows from it, nor of what an exchange put in the
 * place of what moved away. */
static uint32_t cookie_of(const struct news *n, int kind)
{
	return n->sub_move || (n->exchange && kind == WATCHER_CREATED) ? 0 : n->cookie;
}

static void store(struct watcher_watch *watch, const struct news *n, int kind, int type,
		  const struct side *src, const struct side *dest)
{
	struct watcher *w = watch->w;
	struct path_parts path = parts_of(src), to;
	struct stored_event e = {
		.root = (src->root ? src : dest)->root->given,
		.inode = type == n->type && n->ino != UINT64_MAX ? n->ino : 0,
		.time_ns = n->time_ns,
		.cookie = cookie_of(n, kind),
		.pid = n->pid,
		.kind = (uint16_t)kind,
		.type = (uint8_t)type,
		.synthetic = n->synthetic,
		.recovered = n->recovered,
		.tree = type == WATCHER_TYPE_DIR && n->kind == WATCHER_MOVED && !n->sub_move,
		.follows = n->sub_move,
	};
	int r;

	if (dest)
		to = parts_of(dest);
	r = batch_add(watch->batch, &e, &path, dest ? &to : NULL);
	w->tight |= watch->batch->tight;
	if (r < 0)
		w->gap = true; /* the index has it; the pass that follows does not: say so */
	if (r == 1)
		w->stats.backlog_bytes += path.root_len + path.rest_len + sizeof e;
	/* One that repeats the event before it is no quiet, either. */
	if (r >= 0)
		debounce_event(&w->debounce, w->turn_ns, n->complete);
}

/* Watchdog's MODIFIED on the directory that holds what the event is about. */
static void store_parent(struct watcher_watch *watch, const struct news *n,
			 const struct side *of)
{
	struct news parent = { .kind = WATCHER_MODIFIED,
			       .type = WATCHER_TYPE_DIR,
			       .time_ns = n->time_ns,
			       .sub_move = true,
			       .synthetic = n->synthetic,
			       .recovered = n->recovered };
	struct side up = *of;
	struct root holder;
	char given[4096];
	const char *slash;

	if (!of->root || (!of->len && !of->root->single) ||
	    (watch->flags & WATCHER_IGNORE_DIRECTORIES))
		return;
	if (of->root->single) { /* the directory around a single file */
		slash = strrchr(of->root->given, '/');
		snprintf(given, sizeof given, "%.*s",
			 slash ? (int)(slash - of->root->given) : 1,
			 slash ? of->root->given : ".");
		holder = *of->root;
		holder.given = given;
		parent.kind = WATCHER_MODIFIED;
		up = (struct side){ &holder, "", 0 };
		struct path_parts path = parts_of(&up);
		struct stored_event e = { .root = of->root->given,
					  .time_ns = n->time_ns,
					  .kind = WATCHER_MODIFIED,
					  .type = WATCHER_TYPE_DIR,
					  .follows = 1 };

		if (batch_add(watch->batch, &e, &path, NULL) < 0)
			watch->w->gap = true;
		return;
	}
	while (up.len && up.rel[up.len - 1] != '/')
		up.len--;
	if (up.len)
		up.len--;
	if (side_passes(&up, WATCHER_TYPE_DIR, WATCHER_MODIFIED))
		store(watch, &parent, WATCHER_MODIFIED, WATCHER_TYPE_DIR, &up, NULL);
}

/* Looks at a created thing once it is known that somebody wants to hear of it. */
static void look_up_type(struct watcher *w, struct news *n)
{
	if (n->ino || n->type_known || n->type == WATCHER_TYPE_DIR || n->synthetic ||
	    n->kind != WATCHER_CREATED || (w->options.flags & WATCHER_NO_STAT))
		return;
	watcher__created_look(w, n);
}

/* Were the times of a file set to now, which changes nothing else in it? What touches it may
 * have set its mode, too, before this could look. */
static bool was_touched(struct watcher *w, const struct news *n)
{
	struct stat st;
	int64_t ago;

	if (watcher__name_stat(w, n->dir, n->name, n->len, &st) < 0)
		return false;
	ago = stat_ctime_ns(&st) - stat_mtime_ns(&st);
	return ago <= TOUCH_NS && ago >= -TOUCH_NS;
}

static bool is_told(const struct watcher_watch *watch, const struct news *n, int kind)
{
	if (!(watch->kinds & (unsigned)kind))
		return false;
	return kind == n->kind || !n->may_touch || watch->flags & WATCHER_WATCHDOG_EVENTS ||
	       was_touched(watch->w, n);
}

static int wanted_kind(const struct watcher_watch *watch, const struct news *n, int kind)
{
	if (watch->flags & WATCHER_WATCHDOG_EVENTS)
		return kind == WATCHER_ATTRIB ? WATCHER_MODIFIED : kind;
	if (n->dead)
		return 0;
	if (n->may_touch && kind == WATCHER_ATTRIB && !(watch->kinds & WATCHER_ATTRIB))
		return WATCHER_MODIFIED; /* if it is one: see is_told() */
	return kind == WATCHER_CREATED && n->overwrites ? WATCHER_MODIFIED : kind;
}

static void tell(struct watcher_watch *watch, struct news *n, int kind,
		 const struct side *src, const struct side *dest)
{
	bool is_dir = n->type == WATCHER_TYPE_DIR;
	unsigned parents = watch->flags & (WATCHER_WATCHDOG_EVENTS | WATCHER_DIR_MODIFIED);

	kind = wanted_kind(watch, n, kind);
	if (!kind || !watch->batch)
		return;
	if (!side_passes(src, n->type, kind) && !(dest && side_passes(dest, n->type, kind)))
		goto parents;
	if (is_dir && watch->flags & WATCHER_IGNORE_DIRECTORIES)
		goto parents;
	if (is_told(watch, n, kind)) {
		look_up_type(watch->w, n);
		store(watch, n, kind, n->type, src, dest);
	} else if (n->complete && watch->w->debounce.open) {
		watch->w->debounce.complete = true;
	}
parents:
	if (!parents || n->sub_move || n->came || !(watch->kinds & WATCHER_MODIFIED))
		return;
	if (kind & (WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED | WATCHER_CLOSED)) {
		store_parent(watch, n, src);
		if (dest)
			store_parent(watch, n, dest);
	}
}

/* A watch hears of a thing once, below its nearest root; but where two roots are the same
 * directory under two names, by each of them. */
static bool told_before(const struct hit *hits, int i)
{
	const struct root *r = hits[i].root;

	for (int k = 0; k < i; k++)
		if (hits[k].root->watch == r->watch &&
		    (hits[k].root->node != r->node || hits[k].root->single || r->single))
			return true;
	return false;
}

/* Is the first around the second, as the index has them? */
static bool is_around(const struct hit *hits, int k, int i)
{
	const struct root *a = hits[k].root, *r = hits[i].root;

	return a->watch == r->watch && !a->single &&
	       (a->node == r->node ? r->single != NULL : k > i);
}

/* Is what is news to one root only, or to those above something, told by others of the watch? */
static bool others_tell(struct watcher *w, const struct news *n, const struct hit *hits, int nhits, int i)
{
	const char *rel = backpath_tail(&w->path, hits[i].rel_len);

	if (n->grafted)
		return watcher__told_below(w, hits[i].root->node, n->known_to) ||
		       watcher__told_within(hits[i].root, n, rel, hits[i].rel_len);
	if (!n->only)
		return false;
	if (n->only->over || !hits[i].rel_len)
		return watcher__told_around(n->only, n, rel, hits[i].rel_len);
	for (int k = 0; k < nhits; k++)
		if (is_around(hits, k, i) && passes(hits[k].root, backpath_tail(&w->path, hits[k].rel_len),
						    hits[k].rel_len, n->type, n->kind))
			return true;
	return false;
}

/* The hit of that root, or else of its watch, or -1. */
static int partner(const struct hit *hits, int n, const struct root *root)
{
	for (int k = 0; k < n; k++)
		if (hits[k].root == root)
			return k;
	for (int k = 0; k < n; k++)
		if (hits[k].root->watch == root->watch)
			return k;
	return -1;
}

/* A directory has the name of a root that is a file: it is that root when its way has been walked
 * anew, and is told of then. */
static bool is_no_file(struct watcher *w, const struct news *n, struct root *root)
{
	if (!root->single || n->type != WATCHER_TYPE_DIR)
		return false;
	root->recheck = w->recheck_roots = true;
	return true;
}

/* Is what a root is attached to told to have ended, or to be elsewhere, by one around it? It has moved
 * there, or is still to be told to come from there. Behind links it has other names. */
static bool is_elsewhere(struct watcher *w, const struct news *news, const struct backpath *p,
			 const struct hit *hits, int n, int i)
{
	const struct root *r = hits[i].root;

	if (news->only == r)
		return false;
	if (r->over && watcher__told_around(r, news, backpath_tail(p, hits[i].rel_len),
					    hits[i].rel_len))
		return true;
	for (int k = i + 1; w->several && !w->follow && k < n; k++)
		if (hits[k].root->watch == r->watch && hits[k].root->node != r->node &&
		    !watcher__is_way(hits[k].root, backpath_tail(p, hits[k].rel_len), r))
			return true;
	return false;
}

/* Of the roots over a name those that are to be told the news. */
static int kept(struct watcher *w, const struct news *news, const struct backpath *p, struct hit *hits,
		int n)
{
	int left = 0;

	for (int i = 0; i < n; i++) {
		struct root *root = hits[i].root;

		if (root != w->adding && !is_no_file(w, news, root) &&
		    !is_elsewhere(w, news, p, hits, n, i))
			hits[left++] = hits[i];
	}
	return n < 0 ? n : left;
}

static int hits_from(struct watcher *w, const struct news *n, struct hit *hits)
{
	return kept(w, n, &w->path, hits,
		    watcher__hits_told(w, &w->path, n->dir, n->name, n->len, hits));
}

static int hits_to(struct watcher *w, const struct news *n, struct hit *hits)
{
	return kept(w, n, &w->dest_path, hits,
		    watcher__hits_told(w, &w->dest_path, n->dest_dir, n->dest, n->dest_len, hits));
}

static struct side side_of(const struct backpath *p, const struct hit *hit)
{
	return (struct side){ hit->root, backpath_tail(p, hit->rel_len), hit->rel_len };
}

/* Something has come to the name of a root that is a file. If it is a link, the root is what that leads
 * to, or nothing. */
static void recheck_file(struct watcher *w, const struct news *n, struct root *root)
{
	if (root->single && n->only != root)
		root->recheck = w->recheck_roots = true;
}

/* Is what has moved something new to a watch, which has another thing at its old name? */
static bool is_new(const struct watcher_watch *watch, const struct news *n)
{
	return n->exchange && (n->guessed || !(watch->flags & WATCHER_WATCHDOG_EVENTS));
}

static void emit_move(struct watcher *w, struct news *n, const struct hit *src, int nsrc)
{
	const struct side nowhere = { NULL, "", 0 };
	struct hit dst[HITS_MAX];
	struct side from, to;
	int k, ndst = hits_to(w, n, dst);

	if (ndst < 0) {
		w->gap = true;
		return;
	}
	for (int i = 0; i < nsrc; i++) {
		struct watcher_watch *watch = src[i].root->watch;

		k = partner(dst, ndst, src[i].root);
		if (told_before(src, i) || (n->sub_move && n->ending != (k < 0)))
			continue;
		from = side_of(&w->path, &src[i]);
		if (k >= 0) {
			to = side_of(&w->dest_path, &dst[k]);
			if (is_new(watch, n))
				tell(watch, n, WATCHER_CREATED, &to, NULL);
			else
				tell(watch, n, WATCHER_MOVED, &from, &to);
		} else if (is_new(watch, n)) {
			continue; /* its name is that of the other by now, as has been told */
		} else if (watch->flags & WATCHER_FULL_MOVES && !n->ending) {
			tell(watch, n, WATCHER_MOVED, &from, &nowhere);
		} else {
			tell(watch, n, WATCHER_DELETED, &from, NULL);
		}
	}
	for (int i = 0; i < ndst && !n->ending; i++) {
		struct watcher_watch *watch = dst[i].root->watch;

		recheck_file(w, n, dst[i].root);
		if (told_before(dst, i) || partner(src, nsrc, dst[i].root) >= 0 ||
		    (n->was_told && !n->sub_move))
			continue;
		to = side_of(&w->dest_path, &dst[i]);
		if (watch->flags & WATCHER_FULL_MOVES)
			tell(watch, n, WATCHER_MOVED, &nowhere, &to);
		else
			tell(watch, n, WATCHER_CREATED, &to, NULL);
	}
}

void watcher__emit_replaced(struct watcher *w, struct news *move, int type)
{
	struct news gone = { .kind = WATCHER_DELETED,
			     .type = type,
			     .dir = move->dest_dir,
			     .name = move->dest,
			     .len = move->dest_len,
			     .time_ns = move->time_ns,
			     .pid = move->pid,
			     .synthetic = move->synthetic,
			     .recovered = move->recovered,
			     .onto = move };

	move->overwrites = type == move->type && type != WATCHER_TYPE_DIR;
	if (!move->overwrites)
		watcher__emit(w, &gone);
}

/* Is a move told to those who see where it began, or do they want neither side of it? */
static bool move_passes(struct watcher *w, const struct news *move, const struct hit *from)
{
	struct hit dst[HITS_MAX];
	struct side side = side_of(&w->dest_path, from);
	int n, k;

	if (move->type == WATCHER_TYPE_DIR && from->root->watch->flags & WATCHER_IGNORE_DIRECTORIES)
		return false;
	if (side_passes(&side, move->type, WATCHER_MOVED))
		return true;
	n = watcher__hits_told(w, &w->work_path, move->dest_dir, move->dest, move->dest_len, dst);
	k = partner(dst, n, from->root);
	if (k < 0)
		return false;
	side = side_of(&w->work_path, &dst[k]);
	return side_passes(&side, move->type, WATCHER_MOVED);
}

/* Those who are told of the move that the news is of where it began: count, or UV_ENOMEM. */
static int told_of_move(struct watcher *w, const struct news *n, struct hit *hits)
{
	const struct news *m = n->onto;
	int count, left = 0;

	if (!m || m->dir == NO_DIR)
		return 0;
	count = watcher__hits_told(w, &w->dest_path, m->dir, m->name, m->len, hits);
	for (int i = 0; i < count; i++)
		if (move_passes(w, m, &hits[i]))
			hits[left++] = hits[i];
	return count < 0 ? count : left;
}

/* Does the source that has this news know nothing but what it finds by looking? */
static bool is_polled(const struct watcher *w, const struct news *n)
{
	uint32_t dir = n->dir == NO_DIR ? n->dest_dir : n->dir;

	return w->sources[tree_dir(&w->tree, dir)->backend].ops->caps & BACKEND_SCANS;
}

bool watcher__ends_for_some(struct watcher *w, const struct news *n)
{
	struct hit src[HITS_MAX], dst[HITS_MAX];
	int nsrc, ndst;

	if (n->dir == NO_DIR)
		return false;
	nsrc = hits_from(w, n, src);
	ndst = hits_to(w, n, dst);
	for (int i = 0; i < nsrc; i++) {
		int k = partner(dst, ndst, src[i].root);

		if (k < 0 || dst[k].root->watch->depth) /* it ends, or what is deep in it may */
			return true;
	}
	return false;
}

void watcher__emit(struct watcher *w, struct news *n)
{
	const struct side nowhere = { NULL, "", 0 };
	struct hit hits[HITS_MAX], others[HITS_MAX];
	struct side at;
	int nhits = n->dir == NO_DIR ? 0 : hits_from(w, n, hits);
	int nothers = told_of_move(w, n, others);

	if (nhits < 0 || nothers < 0) {
		w->gap = true;
		return;
	}
	n->synthetic |= is_polled(w, n);
	w->created.told += n->kind == WATCHER_CREATED;
	if (n->kind == WATCHER_MOVED && n->dest) {
		emit_move(w, n, hits, nhits);
		return;
	}
	for (int i = 0; i < nhits; i++) {
		struct watcher_watch *watch = hits[i].root->watch;
		bool full = watch->flags & WATCHER_FULL_MOVES && n->half_move;

		if (n->kind == WATCHER_CREATED)
			recheck_file(w, n, hits[i].root);
		if ((n->only && hits[i].root != n->only) || (!n->only && told_before(hits, i)) ||
		    (n->root_only && hits[i].rel_len) ||
		    partner(others, nothers, hits[i].root) >= 0 ||
		    others_tell(w, n, hits, nhits, i))
			continue;
		at = side_of(&w->path, &hits[i]);
		if (full && n->kind == WATCHER_DELETED)
			tell(watch, n, WATCHER_MOVED, &at, &nowhere);
		else if (full && n->kind == WATCHER_CREATED)
			tell(watch, n, WATCHER_MOVED, &nowhere, &at);
		else
			tell(watch, n, n->kind, &at, NULL);
	}
}

void watcher__emit_control(struct watcher *w, int kind)
{
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);
		struct news n = { .kind = kind, .time_ns = w->now_ns, .complete = true };
		struct side at;

		if (watch->removed || !(watch->kinds & (unsigned)kind) || list_empty(&watch->roots))
			continue;
		at = (struct side){ LIST_ENTRY(watch->roots.next, struct root, link), "", 0 };
		store(watch, &n, kind, WATCHER_TYPE_DIR, &at, NULL);
	}
}
