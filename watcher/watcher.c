/* Opening, turning and closing a watcher. */
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "watcher/limits.h"
#include "watcher/look.h"
#include "watcher/options.h"

#define MANY_DIRS 4096 /* to free an index of these takes a third of a millisecond */
#define DEFAULT_BACKLOG (64u * 1024 * 1024)

/* By preference. */
static const struct backend_ops *const backends[] = {
#ifdef __linux__
	&watcher__inotify,
	&watcher__fanotify,
#endif
	&watcher__fsevent,
	&watcher__poll,
	NULL,
};

static const struct backend_ops *find_backend(int number)
{
	for (int i = 0; backends[i]; i++)
		if (number == WATCHER_BACKEND_AUTO || backends[i]->number == number)
			return backends[i];
	return NULL;
}

static const char *path_of(void *arg, int32_t id, bool *link)
{
	struct source *s = arg;
	uint32_t dir = watcher__node_of(s->w, (int)(s - s->w->sources), id);

	if (link)
		*link = dir != IDS_NONE && tree_dir(&s->w->tree, dir)->flags & DIR_LINK;
	return dir == IDS_NONE ? NULL : watcher__path(s->w, dir, NULL, 0);
}

static void wake(void *arg)
{
	const struct source *s = arg;
	struct watcher *w = s->w;

	if (watcher__disk_is_users(&w->disk)) /* the end of a round */
		watcher__waiting_roots(w);
	else if (s->ops->caps & BACKEND_SCANS)
		watcher__outside_round(w);
	watcher__pump(w);
}

int watcher__source_open(struct watcher *w, const struct backend_ops *ops, watcher_error *err)
{
	struct source *s = &w->sources[w->nsources];
	struct backend_config config = { .loop = w->loop,
					 .poll_interval_ms = w->options.poll_interval_ms,
					 .disk = &w->disk,
					 .nameless = w->options.flags & WATCHER__NAMELESS,
					 .whole_trees = w->options.flags & WATCHER__WHOLE_TREES,
					 .wake = wake,
					 .path_of = path_of,
					 .arg = s };
	int r = ops->open(&s->backend, &config, err);

	if (r < 0)
		return r;
	s->w = w;
	s->ops = ops;
	w->nsources++;
	return 0;
}

/* Told once, when the loop turns. */
static void say_taken_over(struct watcher *w)
{
	const char *sysctl;
	long long limit = watcher__limit(LIMIT_INSTANCES, &sysctl);
	char line[200];

	if (w->head->instances_told)
		return;
	w->head->instances_told = true;
	watcher__say_instances(line, sizeof line);
	watcher__problem(w, NULL, UV_EMFILE,
			 "%s: the backend is %s; for inotify: sysctl %s=%lld", line,
			 w->sources[0].ops->name, sysctl, limit + 128);
}

/* Opens the backend that is asked for. Where that is any, and the kernel has no instance left of the
 * first, it is the next that needs none: *instead is true then. */
static int open_first(struct watcher *w, bool *instead, watcher_error *err)
{
	int r = watcher__source_open(w, find_backend(w->options.backend), err);

	*instead = r == UV_EMFILE && w->options.backend == WATCHER_BACKEND_AUTO &&
		   watcher__out_of_instances();
	for (int i = 1; *instead && r < 0 && backends[i]; i++)
		if (backends[i] != &watcher__fsevent)
			r = watcher__source_open(w, backends[i], NULL);
	return r;
}

static int check_options(struct watcher *w, const watcher_options *options, watcher_error *err)
{
	static const watcher_options none = { .size = sizeof none };
	watcher_options *o = &w->options;
	int r;

	if (!options)
		options = &none;
	r = options_copy(o, sizeof *o, options, options->size);
	if (r < 0)
		return watcher__fail(err, r, "watcher options: %s",
				     r == UV_E2BIG ? "made for a newer version of the library" :
						     "size is not set");
	if (o->debounce_ms < 0 || o->debounce_max_ms < 0 || o->leading_ms < 0 ||
	    o->poll_interval_ms < 0)
		return watcher__fail(err, UV_EINVAL, "watcher options: a negative time");
	if (o->flags & ~(unsigned)(WATCHER_NO_STAT | WATCHER__NAMELESS | WATCHER__WHOLE_TREES))
		return watcher__fail(err, UV_EINVAL, "watcher options: unknown flags 0x%x", o->flags);
	if (!find_backend(o->backend))
		return watcher__fail(err,
				     o->backend < 0 || o->backend > WATCHER_BACKEND_POLL ?
					 UV_EINVAL :
					 UV_ENOTSUP,
				     "watcher options: backend %d does not exist here", o->backend);
	if (o->vfs && o->backend != WATCHER_BACKEND_POLL)
		return watcher__fail(err, UV_EINVAL,
				     "watcher options: vfs needs WATCHER_BACKEND_POLL");
	r = watcher__disk_init(&w->disk, o->vfs, err);
	if (r < 0)
		return r;
	o->vfs = NULL; /* the caller's; the disk has a copy */
	if (!o->debounce_max_ms)
		o->debounce_max_ms = o->debounce_ms * 10;
	if (!o->poll_interval_ms)
		o->poll_interval_ms = 1000;
	if (!o->max_backlog_bytes)
		o->max_backlog_bytes = DEFAULT_BACKLOG;
	return 0;
}

static struct watcher *new_engine(struct watcher *head)
{
	struct watcher *w = calloc(1, sizeof *w);

	if (!w)
		return NULL;
	w->head = head ? head : w;
	list_init(&w->ring);
	tree_init(&w->tree);
	list_init(&w->watches);
	list_init(&w->problems);
	watcher__created_init(w);
	return w;
}

/* Of what could not be opened. */
static void free_engine(struct watcher *w)
{
	if (w->own)
		uv_loop_close(&w->own_loop);
	watcher__look_fini(w);
	watcher__late_fini(w);
	free(w->path.buf);
	free(w->dest_path.buf);
	free(w->work_path.buf);
	free(w);
}

/* Its options and its disk are there. */
static int open_engine(struct watcher *w, watcher_error *err)
{
	bool instead;
	int r;

	if (watcher__paths_init(w) < 0 || watcher__look_init(w) < 0 || watcher__late_init(w) < 0)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	w->loop = w->options.loop;
	if (!w->loop) {
		r = loop_open(&w->own_loop);
		if (r < 0)
			return watcher__fail(err, r, "cannot open a loop: %s", uv_strerror(r));
		w->own = true;
		w->loop = &w->own_loop;
	}
	r = open_first(w, &instead, err);
	if (r < 0)
		return r;
	watcher__pump_init(w);
	if (instead)
		say_taken_over(w);
	return 0;
}

int watcher_open(watcher **out, const watcher_options *options, watcher_error *err)
{
	struct watcher *w = new_engine(NULL);
	int r;

	if (!w)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	r = check_options(w, options, err);
	if (r == 0)
		r = open_engine(w, err);
	if (r < 0)
		free_engine(w);
	else
		*out = w;
	return r;
}

int watcher__open_behind(struct watcher **out, struct watcher *head, watcher_error *err)
{
	const watcher_vfs *vfs = watcher__disk_is_users(&head->disk) ? &head->disk.vfs : NULL;
	struct watcher *w = new_engine(head);
	int r;

	if (!w)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	w->options = head->options;
	w->options.loop = head->loop;
	w->options.on_closed = NULL;
	w->paused = head->paused;
	r = watcher__disk_init(&w->disk, vfs, err);
	if (r == 0)
		r = open_engine(w, err);
	if (r < 0) {
		free_engine(w);
		return r;
	}
	list_append(&head->ring, &w->ring);
	*out = w;
	return 0;
}

struct uv_loop_s *watcher_loop(watcher *w)
{
	return w->loop;
}

static void part_closed(struct watcher *w);

static void free_all(struct watcher *w)
{
	struct watcher *head = w->head;

	list_remove(&w->ring);
	watcher__look_fini(w);
	watcher__late_fini(w);
	for (int i = 0; i < w->nsources; i++) {
		ids_free(&w->sources[i].nodes);
		ids_free(&w->sources[i].anchors);
	}
	watcher__mounts_free(w);
	watcher__aliases_free(w);
	tree_fini(&w->tree);
	watcher__disk_fini(&w->disk);
	for (uint32_t i = 0; i < w->nanchors; i++) {
		for (uint32_t k = 0; k < w->anchors[i].nwants; k++)
			free(w->anchors[i].wants[k].name);
		free(w->anchors[i].wants);
	}
	LIST_EACH(it, next, &w->problems) {
		free(LIST_ENTRY(it, struct problem, link));
	}
	free(w->anchors);
	free(w->halves);
	free(w->pushed);
	free(w->overdue);
	free(w->ahead);
	free(w->limbo);
	free(w->unwatch);
	watcher__created_done(w, true);
	free(w->syncs);
	free(w->path.buf);
	free(w->dest_path.buf);
	free(w->work_path.buf);
	if (w->options.on_closed)
		w->options.on_closed(w->options.arg);
	if (head != w && head->closing)
		part_closed(head);
	free(w);
}

static void free_index(uv_work_t *work)
{
	struct watcher *w = work->data;

	tree_fini(&w->tree);
}

static void on_index_freed(uv_work_t *work, int status)
{
	(void)status;
	free_all(work->data);
}

static void finish_shared(struct watcher *w)
{
	w->freeing.data = w;
	if (w->tree.nnodes < MANY_DIRS ||
	    uv_queue_work(w->loop, &w->freeing, free_index, on_index_freed) < 0)
		free_all(w);
}

/* When the last handle is closed, nobody looks at the index any more. But for watcher_run(), which
 * frees the watcher itself, as does whoever turns a private loop. */
static void part_closed(struct watcher *w)
{
	if (--w->open_handles == 0 && !w->own && !w->running)
		finish_shared(w);
}

static void on_source_closed(void *arg)
{
	part_closed(arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

static void finish_private(struct watcher *w)
{
	int alive = 1;

	while (w->open_handles)
		uv_run(w->loop, UV_RUN_ONCE);
	/* Commands that handlers have started are being stopped on it. */
	while (uv_loop_close(&w->own_loop) == UV_EBUSY && alive)
		alive = uv_run(w->loop, UV_RUN_ONCE);
	free_all(w);
}

static void close_engine(struct watcher *w)
{
	w->closing = true;
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		watch->removed = true;
		if (!w->dispatching)
			watcher__watch_free(watch);
	}
	w->open_handles = 3 + w->nsources + watcher__mounts_close(w, on_source_closed);
	uv_close((uv_handle_t *)&w->timer, on_handle_closed);
	uv_close((uv_handle_t *)&w->awake, on_handle_closed);
	uv_close((uv_handle_t *)&w->more, on_handle_closed);
	for (int i = 0; i < w->nsources; i++)
		w->sources[i].ops->close(w->sources[i].backend, on_source_closed, w);
}

void watcher__close_behind(struct watcher *w)
{
	close_engine(w);
}

void watcher_close(watcher *w)
{
	if (!w || (w->closing && (!w->closed_in_callback || watcher__calls(w))))
		return;
	if (w->closing) {
		finish_private(w);
		return;
	}
	w->closing = true;
	watcher__syncs_cancel(w);
	close_engine(w);
	for (struct watcher *e = watcher__next_engine(w); e; e = watcher__next_engine(e)) {
		w->open_handles++;
		if (!e->closing)
			close_engine(e);
	}
	if (!w->own)
		return;
	if (w->running)
		uv_stop(w->loop);
	else if (watcher__calls(w)) /* somebody else turns the loop, which lies in the watcher */
		w->closed_in_callback = true;
	else
		finish_private(w);
}

int watcher_run(watcher *w)
{
	if (w->running || watcher__calls(w))
		return UV_EBUSY;
	w->running = true;
	w->stop = false;
	while (!w->stop && uv_run(w->loop, UV_RUN_ONCE) && !w->closing)
		;
	w->running = false;
	if (w->closing && w->own)
		finish_private(w);
	else if (w->closing && !w->open_handles)
		finish_shared(w);
	return 0;
}

void watcher_stop(watcher *w)
{
	w->stop = true;
	uv_stop(w->loop);
}

/* Entries that are no directories, be those indexed or pruned. */
static uint64_t files_in(const struct tree *t, uint32_t dir)
{
	uint64_t n = 0;

	for (uint32_t rec = tree_next(t, dir, NO_REC); rec != NO_REC; rec = tree_next(t, dir, rec))
		n += tree_entry(t, dir, rec).type != WATCHER_TYPE_DIR;
	return n;
}

/* Directories are watched for what is in them, or because they are on the way to a root. */
static void count_watches(const struct source *s, watcher_stats_t *stats)
{
	if (s->ops->caps & BACKEND_SCANS) {
		stats->polled_directories += s->nodes.count;
		return;
	}
	if (s->ops->marks) {
		stats->watches += s->ops->marks(s->backend);
		return;
	}
	stats->watches += s->nodes.count;
	for (uint32_t i = 0; i < s->anchors.nslots; i++)
		stats->watches += s->anchors.slots[i].id >= 0 &&
				  ids_get(&s->nodes, s->anchors.slots[i].id) == IDS_NONE;
}

static void count_engine(const struct watcher *w, watcher_stats_t *s)
{
	s->events_in += w->stats.events_in;
	s->events_out += w->stats.events_out;
	s->batches += w->stats.batches;
	s->overflows += w->stats.overflows;
	s->recoveries += w->stats.recoveries;
	s->backlog_bytes += w->stats.backlog_bytes;
	s->crawl_ns += w->stats.crawl_ns;
	s->directories += w->tree.dirs;
	for (uint32_t i = 0; i < w->tree.nnodes; i++)
		if (tree_dir(&w->tree, i)->flags & DIR_USED)
			s->files += files_in(&w->tree, i);
	s->index_bytes += w->tree.bytes;
	for (int i = 0; i < w->nsources; i++) {
		s->index_bytes += w->sources[i].nodes.nslots * sizeof(struct ids_slot);
		count_watches(&w->sources[i], s);
	}
}

void watcher_stats(const watcher *w, watcher_stats_t *stats, size_t stats_size)
{
	watcher_stats_t s = { .backend = w->sources[0].ops->name };

	for (const struct watcher *e = w; e; e = watcher__next_engine(e))
		if (e == w || !e->closing)
			count_engine(e, &s);
	memcpy(stats, &s, stats_size < sizeof s ? stats_size : sizeof s);
}
