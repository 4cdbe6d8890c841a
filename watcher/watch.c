/* Watches: what they want, their roots, their handlers. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watcher/before.h"
#include "watcher/filter.h"
#include "watcher/look.h"
#include "watcher/options.h"

/* ---- what the kernel is asked for ---- */

static void widen_all(struct watcher *w)
{
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		struct dir *d = tree_dir(&w->tree, i);
		const char *path;
		uint32_t owner;
		int fd;

		if (!(d->flags & DIR_USED) || d->id < 0)
			continue;
		if (d->parent != NO_DIR && !tree_is_foreign(&w->tree, i) &&
		    w->sources[d->backend].ops->late)
			continue; /* covered with the root, or with the top of its file system */
		path = watcher__path(w, i, NULL, 0);
		fd = path ? watcher__disk_open(&w->disk, path, true) : -1;
		if (fd >= 0 && watcher__found_at(w, i, fd) == THE_SAME)
			watcher__node_watch(w, i, fd, path, &owner);
		else
			watcher__node_limbo(w, i); /* it has moved, or ended: that is in the queue */
		if (fd >= 0)
			watcher__disk_close(&w->disk, fd);
	}
}

/* Tells the backends what all watches together want; what is watched already is widened. */
static void update_kinds(struct watcher *w)
{
	unsigned kinds = 0, before = w->kinds;
	bool exact = false, files = false;

	w->filters = 0;
	LIST_EACH(it, next, &w->watches) {
		const struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		if (watch->removed)
			continue;
		kinds |= watch->kinds;
		/* What is closed changes its directory, whether or not the closing is told. */
		if (watch->kinds & WATCHER_MODIFIED &&
		    watch->flags & (WATCHER_WATCHDOG_EVENTS | WATCHER_DIR_MODIFIED))
			kinds |= WATCHER_CLOSED;
		exact |= (watch->flags & WATCHER_WATCHDOG_EVENTS) != 0;
		w->filters += watch->filter != NULL;
		files |= watcher__filter_reads_files(watch->filter);
	}
	/* Ignore files are read again when they are written to, whatever is to be told. */
	if (files && !(kinds & WATCHER_MODIFIED))
		kinds |= WATCHER_CLOSED;
	/* A change is known to be complete when the file is closed. Else that is not asked for: of
	 * all a writer has to pay for, it would be a third. */
	if (kinds & WATCHER_MODIFIED && w->options.leading_ms)
		kinds |= WATCHER_CLOSED;
	w->kinds = kinds;
	w->exact_counts = exact;
	for (int i = 0; i < w->nsources; i++)
		w->sources[i].ops->want(w->sources[i].backend, kinds, !exact);
	if (kinds & ~before && before)
		widen_all(w);
}

/* ---- making ---- */

static int add_rules(watcher_filter *f, int rule, const char *const *list, const char *what,
		     watcher_error *err)
{
	int r = 0;

	for (; list && *list && r == 0; list++)
		r = watcher_filter_add(f, rule, *list, what, err);
	return r;
}

int watcher__watch_filter(const watcher_filter **out, const watch_options *o, watcher_error *err)
{
	watcher_filter *f = NULL;
	int r;

	if (!o->patterns && !o->ignores && !o->extensions) {
		*out = o->filter ? watcher__filter_ref(o->filter) : NULL;
		return 0;
	}
	r = o->filter ? watcher_filter_copy(&f, o->filter, err) : watcher_filter_new(&f, err);
	if (r == 0 && o->flags & WATCHER_IGNORE_CASE)
		r = watcher_filter_set(f, WATCHER_FILTER_IGNORE_CASE);
	if (r == 0)
		r = add_rules(f, WATCHER_RULE_PATTERN, o->patterns, "patterns", err);
	if (r == 0)
		r = add_rules(f, WATCHER_RULE_EXTENSION, o->extensions, "extensions", err);
	if (r == 0)
		r = add_rules(f, WATCHER_RULE_IGNORE, o->ignores, "ignores", err);
	if (r < 0)
		watcher_filter_free(f);
	else
		*out = f;
	return r;
}

int watcher__watch_options(watch_options *o, const watch_options *options, watcher_error *err)
{
	static const watch_options none = { .size = sizeof none };
	const unsigned flags = WATCHER_WATCHDOG_EVENTS | WATCHER_FULL_MOVES |
			       WATCHER_DIR_MODIFIED | WATCHER_IGNORE_DIRECTORIES |
			       WATCHER_IGNORE_CASE;
	int r;

	if (!options)
		options = &none;
	r = options_copy(o, sizeof *o, options, options->size);
	if (r < 0)
		return watcher__fail(err, r, "watch options: %s",
				     r == UV_E2BIG ? "made for a newer version of the library" :
						     "size is not set");
	if (o->depth < 0)
		return watcher__fail(err, UV_EINVAL, "watch options: depth is negative");
	if (o->flags & ~flags)
		return watcher__fail(err, UV_EINVAL, "watch options: unknown flags 0x%x", o->flags);
	if (o->kinds & ~(unsigned)(WATCHER_ALL | WATCHER_CONTROL))
		return watcher__fail(err, UV_EINVAL, "watch options: unknown kinds 0x%x", o->kinds);
	return 0;
}

static int add_handler(int *id, struct watcher_watch *watch, const watch_options *on)
{
	struct handler *h = calloc(1, sizeof *h);

	if (!h)
		return UV_ENOMEM;
	h->on = *on;
	h->id = watch->next_handler++;
	list_append(&watch->handlers, &h->link);
	if (id)
		*id = h->id;
	return 0;
}

static int watch_new(struct watcher_watch **out, struct watcher *w, const watch_options *o,
		     watcher_error *err)
{
	struct watcher_watch *watch = calloc(1, sizeof *watch);
	int r = UV_ENOMEM;

	if (!watch)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	watch->w = w;
	list_init(&watch->link);
	list_init(&watch->roots);
	list_init(&watch->handlers);
	watch->kinds = o->kinds & WATCHER_ALL ? o->kinds : o->kinds | WATCHER_CHANGES;
	watch->flags = o->flags;
	if (o->flags & WATCHER_WATCHDOG_EVENTS && watch->kinds & WATCHER_MODIFIED)
		watch->kinds |= WATCHER_ATTRIB; /* of which MODIFIED is made */
	watch->depth = o->depth;
	watch->batch = batch_new();
	watch->spare = batch_new();
	if (watch->batch && watch->spare)
		r = add_handler(NULL, watch, o);
	if (r < 0) {
		watcher__fail(err, r, "out of memory");
	} else {
		/* Without a quiet period a batch is one read, and the backend merges writes. */
		watch->batch->merge = watch->spare->merge =
		    !(o->flags & WATCHER_WATCHDOG_EVENTS) && w->options.debounce_ms;
		r = watcher__watch_filter(&watch->filter, o, err);
	}
	if (r < 0)
		watcher__watch_free(watch);
	else
		*out = watch;
	return r;
}

void watcher__watch_free(struct watcher_watch *watch)
{
	list_remove(&watch->link);
	watch->removed = true;
	LIST_EACH(it, next, &watch->roots) {
		watcher__root_free(watch->w, LIST_ENTRY(it, struct root, link));
	}
	LIST_EACH(it, next, &watch->handlers) {
		free(LIST_ENTRY(it, struct handler, link));
	}
	watcher_filter_free((watcher_filter *)(uintptr_t)watch->filter);
	batch_free(watch->batch);
	batch_free(watch->spare);
	free(watch);
}

static size_t without_slashes(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

/* Has its watch a root of that path? It would be told of everything twice. */
static bool is_there_already(const struct root *root)
{
	size_t len = without_slashes(root->path);

	LIST_EACH(it, next, &root->watch->roots) {
		const struct root *other = LIST_ENTRY(it, struct root, link);

		if (strncmp(other->path, root->path, len) == 0 &&
		    without_slashes(other->path) == len)
			return true;
	}
	return false;
}

static int add_root(struct watcher_watch *watch, const char *path, watcher_error *err)
{
	struct root *root;
	int r = watcher__root_new(&root, watch, path, err);

	if (r < 0)
		return r;
	if (is_there_already(root)) {
		watcher__root_free(watch->w, root);
		return 0;
	}
	watch->w->several |= !list_empty(&watch->roots);
	list_append(&watch->roots, &root->link);
	r = watcher__mounts_open(watch->w);
	if (r == 0)
		r = watcher__root_settle(watch->w, root, true, err);
	if (r < 0) {
		if (err && !err->message[0])
			watcher__fail(err, r, "%s: cannot be watched: %s", path, uv_strerror(r));
		batch_forget(watch->batch, root->given); /* told of while it was being added */
		watcher__root_free(watch->w, root);
	}
	return r;
}

/* What was done until now is told to those who are there, and no news to the roots that are added. */
static void catch_up(struct watcher *w, const char *path, const char *const *more)
{
	bool look = watcher__compare_before(w, path);

	for (; more && *more; more++)
		look |= watcher__compare_before(w, *more);
	watcher__catch_up(w, look);
}

int watcher_add(watcher *head, const char *path, const watch_options *options, watcher_error *err)
{
	struct watcher *w;
	struct watcher_watch *watch = NULL;
	watch_options o;
	int r;

	if (err)
		err->message[0] = '\0';
	if (head->closing)
		return watcher__fail(err, UV_ECANCELED, "the watcher is being closed");
	r = watcher__watch_options(&o, options, err);
	if (r == 0 && o.vfs)
		r = watcher__fail(err, UV_EINVAL, "watch options: vfs is given to watcher_open()");
	if (r == 0)
		r = watcher__engine_for(&w, head, o.follow_symlinks, err);
	if (r < 0)
		return r;
	catch_up(w, path, o.roots);
	r = watch_new(&watch, w, &o, err);
	if (r < 0) {
		watcher__engine_leave(w);
		return r;
	}
	list_append(&w->watches, &watch->link);
	update_kinds(w);
	r = add_root(watch, path, err);
	for (size_t i = 0; r == 0 && o.roots && o.roots[i]; i++)
		r = add_root(watch, o.roots[i], err);
	if (r < 0) {
		watcher__watch_free(watch);
		update_kinds(w);
		watcher__engine_leave(w);
		return r;
	}
	if (o.watch)
		*o.watch = watch;
	w->ready_due = true;
	watcher__pump_soon(w);
	return 0;
}

int watcher_watch_add_root(watcher_watch *watch, const char *path, watcher_error *err)
{
	int r;

	if (err)
		err->message[0] = '\0';
	if (watch->removed)
		return watcher__fail(err, UV_EINVAL, "the watch has been removed");
	catch_up(watch->w, path, NULL);
	r = add_root(watch, path, err);
	if (r < 0)
		return r;
	watch->w->ready_due = true;
	watcher__pump_soon(watch->w);
	return 0;
}

void watcher_remove(watcher_watch *watch)
{
	struct watcher *w = watch->w;

	if (watch->removed)
		return;
	watch->removed = true;
	if (!w->dispatching && watcher__look_pending(w))
		w->leaving = true; /* what the pass has found is in directories that would go */
	else if (!w->dispatching)
		watcher__watch_free(watch);
	if (!w->closing)
		update_kinds(w);
	watcher__engine_leave(w);
}

void watcher_remove_all(watcher *head)
{
	EACH_ENGINE(w, head) {
		LIST_EACH(it, next, &w->watches) {
			watcher_remove(LIST_ENTRY(it, struct watcher_watch, link));
		}
	}
}

const char *watcher_watch_root(const watcher_watch *watch, size_t i)
{
	for (struct link *it = watch->roots.next; it != &watch->roots; it = it->next)
		if (i-- == 0)
			return LIST_ENTRY(it, struct root, link)->given;
	return NULL;
}

watcher *watcher_watch_watcher(const watcher_watch *watch)
{
	return watch->w->head;
}

int watcher_watch_add_handler(int *id, watcher_watch *watch, const watch_options *handlers)
{
	watch_options o;
	int r;

	if (!handlers)
		return UV_EINVAL;
	r = options_copy(&o, sizeof o, handlers, handlers->size);
	return r < 0 ? r : add_handler(id, watch, &o);
}

int watcher_watch_remove_handler(watcher_watch *watch, int id)
{
	LIST_EACH(it, next, &watch->handlers) {
		struct handler *h = LIST_ENTRY(it, struct handler, link);

		if (h->id != id || h->removed)
			continue;
		h->removed = true;
		if (!watch->w->dispatching) {
			list_remove(&h->link);
			free(h);
		}
		return 0;
	}
	return UV_ENOENT;
}
