/*
 * The first reading of a tree, on threads that end with it.
 *
 * A thread opens a directory, stands in it, watches "." and reads it: the cheapest way to be
 * sure that watch and listing are of the same directory (inotify_add_watch has no *at form).
 * For that it has a working directory of its own (unshare(CLONE_FS), no privilege needed). The
 * calling thread hands out paths and puts listings into the index; nothing else is shared.
 * Where threads cannot be had, or the backend does not allow them, the calling thread reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "watcher/look.h"

#define THREADS_MAX 4
#define JOBS        64 /* more cost memory that is new to the kernel, and bring nothing */
#define TAKE        8 /* jobs a thread takes at a time */
#define WAKE_DONE   32 /* finished jobs that are worth waking the calling thread for */
#define PROGRESS_NS 100000000

struct job {
	struct looked what;
	struct bytes path;
	struct listing listing;
	int watched; /* 0 with id, or a negative errno */
	int32_t id;
	struct job *next;
};

struct crawl {
	const struct source *source;
	uv_mutex_t lock;
	uv_cond_t todo_cond, done_cond;
	struct job *todo, **todo_end, *done, *idle;
	bool end;
	int sleepers, ndone;
	struct job jobs[JOBS];
};

static void read_one(const struct source *s, struct job *j, bool own_directory)
{
	int fd = watcher__scan_open(j->path.data, false);

	if (fd < 0) {
		j->watched = fd;
		return;
	}
	if (own_directory && fchdir(fd) == 0)
		j->watched = s->ops->watch(s->backend, fd, ".", WATCH_ALL, &j->id);
	else
		j->watched = s->ops->watch(s->backend, fd, j->path.data, WATCH_ALL, &j->id);
	if (j->watched == 0)
		watcher__scan_read(fd, &j->listing);
	close(fd);
}

static struct job *take(struct crawl *c)
{
	struct job *first = c->todo, *last = first;

	for (int i = 1; i < TAKE && last->next; i++)
		last = last->next;
	c->todo = last->next;
	if (!c->todo)
		c->todo_end = &c->todo;
	last->next = NULL;
	return first;
}

static void thread_main(void *arg)
{
	struct crawl *c = arg;
	struct job *jobs, *last;
	bool own = false;
	int n;

#ifdef __linux__
	own = unshare(CLONE_FS) == 0;
#endif
	uv_mutex_lock(&c->lock);
	for (;;) {
		while (!c->todo && !c->end) {
			c->sleepers++;
			uv_cond_wait(&c->todo_cond, &c->lock);
			c->sleepers--;
		}
		if (!c->todo)
			break;
		jobs = take(c);
		uv_mutex_unlock(&c->lock);
		for (n = 1, last = jobs;; last = last->next, n++) {
			read_one(c->source, last, own);
			if (!last->next)
				break;
		}
		uv_mutex_lock(&c->lock);
		last->next = c->done;
		c->done = jobs;
		c->ndone += n;
		if (c->ndone >= WAKE_DONE || !c->todo)
			uv_cond_signal(&c->done_cond);
	}
	uv_mutex_unlock(&c->lock);
}

/* Moves directories from the pass's queue to the threads. Returns how many. */
static int hand_out(struct watcher *w, struct crawl *c)
{
	struct look *l = w->look;
	struct job *first = NULL, **end = &first, *j;
	const char *path;
	int n = 0;

	while (c->idle && l->head < l->nqueue) {
		struct looked what = l->queue[l->head++];
		struct dir *d;

		if (!tree_alive(&w->tree, what.dir, what.gen))
			continue;
		d = tree_dir(&w->tree, what.dir);
		j = c->idle;
		path = watcher__path(w, what.dir, NULL, 0);
		bytes_clear(&j->path);
		if (d->id >= 0 || d->roots || d->flags & DIR_LINK || !path || d->backend != 0 ||
		    bytes_adds(&j->path, path) < 0) {
			l->head--;
			break; /* for this thread: it is special */
		}
		c->idle = j->next;
		j->what = what;
		j->next = NULL;
		*end = j;
		end = &j->next;
		n++;
	}
	if (n) {
		uv_mutex_lock(&c->lock);
		*c->todo_end = first;
		c->todo_end = end;
		if (c->sleepers)
			uv_cond_broadcast(&c->todo_cond);
		uv_mutex_unlock(&c->lock);
	}
	return n;
}

static int collect(struct watcher *w, struct crawl *c, bool wait)
{
	struct job *done, *next;
	int n = 0;

	uv_mutex_lock(&c->lock);
	while (!c->done && wait)
		uv_cond_wait(&c->done_cond, &c->lock);
	done = c->done;
	c->done = NULL;
	c->ndone = 0;
	uv_mutex_unlock(&c->lock);
	for (; done; done = next) {
		next = done->next;
		if (tree_alive(&w->tree, done->what.dir, done->what.gen))
			watcher__look_result(w, done->what.dir, done->watched, done->id,
					     &done->listing);
		done->next = c->idle;
		c->idle = done;
		n++;
	}
	return n;
}

static void progress(struct watcher *w, uint64_t *told)
{
	uint64_t now;

	if (!w->options.on_progress)
		return;
	now = uv_hrtime();
	if (now - *told < PROGRESS_NS)
		return;
	*told = now;
	w->options.on_progress(w->head, w->look->directories, w->look->files, w->options.arg);
}

static void run(struct watcher *w, struct crawl *c)
{
	struct look *l = w->look;
	uint64_t told = uv_hrtime();
	int out = 0;

	for (;;) {
		out += hand_out(w, c);
		if (l->head < l->nqueue && c->idle) /* the special ones */
			watcher__look_one_queued(w);
		else if (out)
			out -= collect(w, c, true);
		else if (l->head == l->nqueue)
			return;
		progress(w, &told);
	}
}

static int thread_count(const struct watcher *w)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (!(w->sources[0].ops->caps & BACKEND_ANY_THREAD))
		return 0;
	return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (int)n;
}

static void run_threads(struct watcher *w)
{
	struct crawl *c = calloc(1, sizeof *c);
	uv_thread_t threads[THREADS_MAX];
	int n = 0, want = thread_count(w);

	if (!c)
		return;
	c->source = &w->sources[0];
	c->todo_end = &c->todo;
	for (int i = 0; i < JOBS; i++) {
		c->jobs[i].next = c->idle;
		c->idle = &c->jobs[i];
	}
	if (uv_mutex_init(&c->lock) < 0)
		goto out;
	if (uv_cond_init(&c->todo_cond) < 0)
		goto out_lock;
	if (uv_cond_init(&c->done_cond) < 0)
		goto out_todo;
	while (n < want && uv_thread_create(&threads[n], thread_main, c) == 0)
		n++;
	if (n)
		run(w, c);
	uv_mutex_lock(&c->lock);
	c->end = true;
	uv_cond_broadcast(&c->todo_cond);
	uv_mutex_unlock(&c->lock);
	while (n)
		uv_thread_join(&threads[--n]);
	uv_cond_destroy(&c->done_cond);
out_todo:
	uv_cond_destroy(&c->todo_cond);
out_lock:
	uv_mutex_destroy(&c->lock);
	for (int i = 0; i < JOBS; i++) {
		bytes_free(&c->jobs[i].path);
		free(c->jobs[i].listing.packed);
	}
out:
	free(c);
}

/* No pass is under way: see add_root() in watch.c. */
static void begin(struct watcher *w)
{
	struct look *l = w->look;

	l->silent = true;
	l->error = 0;
	l->directories = l->files = 0;
}

/* What is read here is read without fences, which would be as many system calls. Nothing in the index is
 * newer than the queue if that is empty now, as it is where nothing has changed meanwhile. */
static void compare_to_queue(struct watcher *w)
{
	struct source *s = &w->sources[0];

	if (!w->uncertain || !(s->ops->caps & BACKEND_EXACT) || watcher__late_active(w))
		return;
	if (s->ops->fill(s->backend, w->backlogged) == FILL_NOTHING)
		w->uncertain = false;
	else
		watcher__pump_soon(w); /* the kernel does not wake anybody for it any more */
}

static int end(struct watcher *w, uint64_t start)
{
	struct look *l = w->look;

	if (l->nqueue - l->head > 8) /* a tree of one directory needs no threads */
		run_threads(w);
	watcher__look_go(w, UINT64_MAX);
	l->silent = false;
	compare_to_queue(w);
	w->stats.crawl_ns += uv_hrtime() - start;
	return l->error;
}

int watcher__crawl(struct watcher *w, uint32_t top)
{
	uint64_t start = uv_hrtime();

	begin(w);
	watcher__look_at(w, top);
	watcher__look_one_queued(w);
	return end(w, start);
}

int watcher__crawl_rest(struct watcher *w, const struct root *root)
{
	uint64_t start = uv_hrtime();

	begin(w);
	if (!watcher__wants_all(w, root->node, root))
		watcher__reconsider(w, root->node);
	return end(w, start);
}
