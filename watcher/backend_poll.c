/*
 * The polling backend: directories are compared with what they were, in rounds.
 *
 * A round goes over all directories in slices; a slice is compared on the loop's thread pool,
 * so the loop is never held up (with the user's own stat and list: on the loop, in small
 * slices). A round begins an interval after the one before, and later if rounds are dear, so
 * that they take no more than a twentieth of the time. While a thread compares, the loop
 * leaves the records alone: directories given up in the meantime are forgotten afterwards.
 * Where a directory is now is asked of the engine, for it may have been moved.
 */
#include "watcher/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "watcher/keys.h"
#include "watcher/poll.h"

#define SLICE     256 /* directories in one piece of work */
#define OWN_SLICE 8   /* ... with the user's own stat and list, on the loop */
#define SHARE     20 /* rounds take one part in so many of the time */

struct job {
	struct polled *dir;
	int32_t id;
	uint32_t path; /* its place in `paths` */
	bool link;     /* that is a link to it */
};

struct backend {
	struct backend_config config;
	struct keys keys;
	struct polled **dirs; /* by number */
	int32_t cap;
	uv_timer_t timer;
	uv_work_t work;
	bool running; /* a round is under way */
	bool working; /* ... and a thread has the jobs */
	bool again;   /* another round right after this one */
	bool holding; /* a round is due, but what was found is still to be fetched */
	/* A round that was asked for has another one behind it if a directory was not where it was
	 * expected: when the engine has found where it is now, what was done in it before is compared. */
	bool asked, twice, owed;
	/* The file system's clock when this round began, or the last one; and when all that is older had
	 * been compared by the end of the last round, and by that of the one that has been fetched. */
	int64_t round_ns, compared_ns, known_ns;
	int64_t found_ns; /* when something was found last */
	bool gap;
	int32_t next; /* directory that the next slice begins with */
	struct job jobs[SLICE];
	int njobs;
	struct bytes paths;
	struct poll_work compare;
	uint64_t spent_ns; /* of this round */
	struct bytes found; /* what is handed out, from `pos` on */
	size_t pos;
	struct bytes at_once; /* ... before that, while a round is under way, too */
	size_t at_once_pos;
	int64_t time_ns;
	void (*closed)(void *arg);
	void *closed_arg;
};

static void on_timer(uv_timer_t *timer);
static void next_slice(struct backend *b);

static int poll_open(struct backend **out, const struct backend_config *config,
		     watcher_error *err)
{
	struct backend *b = calloc(1, sizeof *b);

	if (!b)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	b->config = *config;
	b->compare.disk = config->disk;
	b->round_ns = b->compared_ns = b->known_ns = clock_coarse_ns();
	keys_init(&b->keys);
	uv_timer_init(config->loop, &b->timer);
	b->timer.data = b->work.data = b;
	uv_timer_start(&b->timer, on_timer, (uint64_t)config->poll_interval_ms, 0);
	*out = b;
	return 0;
}

/* ---- rounds ---- */

static uint64_t thread_ns(void)
{
#ifdef CLOCK_THREAD_CPUTIME_ID
	return (uint64_t)clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
#else
	return uv_hrtime();
#endif
}

/* What comparing costs: the user's own functions may well wait for something. */
static uint64_t cost_ns(const struct backend *b)
{
	return watcher__disk_is_users(b->config.disk) ? uv_hrtime() : thread_ns();
}

/* On a thread, or with the user's own functions on the loop. */
static void compare_jobs(uv_work_t *work)
{
	struct backend *b = work->data;
	uint64_t start = cost_ns(b);

	for (int i = 0; i < b->njobs; i++)
		poll_compare(&b->compare, b->jobs[i].dir, b->jobs[i].id,
			     b->paths.data + b->jobs[i].path, b->jobs[i].link);
	b->spent_ns += cost_ns(b) - start;
}

static void forget(struct backend *b, int32_t id)
{
	keys_remove(&b->keys, id);
	poll_forget(b->dirs[id]);
	free(b->dirs[id]);
	b->dirs[id] = NULL;
}

static void end_round(struct backend *b)
{
	uint64_t wait = (uint64_t)b->config.poll_interval_ms, dear = b->spent_ns * SHARE / 1000000;

	b->running = false;
	bytes_clear(&b->compare.told.files);
	b->owed |= b->twice && b->compare.missed_ns < INT64_MAX;
	b->compared_ns = b->compare.missed_ns < b->round_ns ? b->compare.missed_ns : b->round_ns;
	if (dear > wait)
		wait = dear;
	uv_timer_start(&b->timer, on_timer, b->again ? 0 : wait, 0);
	b->config.wake(b->config.arg);
}

static void finish_close(struct backend *b);

static void on_compared(uv_work_t *work, int status)
{
	struct backend *b = work->data;

	(void)status;
	b->working = false;
	if (b->closed) {
		if (!b->timer.data)
			finish_close(b);
		return;
	}
	for (int i = 0; i < b->njobs; i++)
		if (b->jobs[i].dir->dead)
			forget(b, b->jobs[i].id);
	/* What was found once is not found again, whatever else was not. */
	if (bytes_add(&b->found, b->compare.found.data, b->compare.found.len) < 0 || b->compare.failed)
		b->gap = true;
	if (b->compare.found.len)
		b->found_ns = clock_coarse_ns();
	b->compare.failed = false;
	bytes_clear(&b->compare.found);
	next_slice(b);
}

/* When the index has read it: where the last comparison did not find the directory, before that. */
static void take_reading(const struct backend *b, struct polled *p)
{
	bool own = watcher__disk_is_users(b->config.disk);

	if (own ? p->asked_ns != 0 : !p->read_ns)
		p->read_ns = p->asked_ns;
	p->asked_ns = 0;
}

/* A directory for this slice, with its path of now. */
static void add_job(struct backend *b, int32_t id)
{
	bool link;
	const char *path = b->config.path_of(b->config.arg, id, &link);
	struct polled *p = b->dirs[id];
	size_t at = b->paths.len;

	if (!path) {
		path = p->path;
		link = p->link;
	}
	if (!path) { /* half of a move: it has no place just now */
		if (p->checked_ns < b->compare.missed_ns)
			b->compare.missed_ns = p->checked_ns;
		return;
	}
	if (p->wanted >= WATCH_ALL && p->level < WATCH_ALL) {
		p->fresh = true;
		/* A thread had it, and has since compared no more than the directory itself. */
		if (p->asked_ns && p->asked_ns < p->checked_ns)
			p->checked_ns = p->asked_ns;
	}
	p->level = p->wanted;
	take_reading(b, p);
	if (bytes_add(&b->paths, path, strlen(path) + 1) < 0)
		b->gap = true;
	else
		b->jobs[b->njobs++] = (struct job){ p, id, (uint32_t)at, link };
}

/* What is done to a file in the tick of the clock in which it was compared need not show in its times:
 * what was found is told after that tick, and of that, too. */
static bool is_in_tick(const struct backend *b)
{
	return b->found.len && !watcher__disk_is_users(b->config.disk) &&
	       clock_coarse_ns() == b->found_ns;
}

static void next_slice(struct backend *b)
{
	bool own = watcher__disk_is_users(b->config.disk);
	int max = own ? OWN_SLICE : SLICE;

	b->njobs = 0;
	bytes_clear(&b->paths);
	for (; b->next < b->keys.nslots && b->njobs < max; b->next++)
		if (b->next < b->cap && b->dirs[b->next])
			add_job(b, b->next);
	if (!b->njobs && is_in_tick(b)) {
		uv_timer_start(&b->timer, on_timer, 1, 0);
		return;
	}
	if (!b->njobs) {
		end_round(b);
		return;
	}
	b->working = true;
	if (own || uv_queue_work(b->config.loop, &b->work, compare_jobs, on_compared) < 0) {
		compare_jobs(&b->work);
		b->working = false;
		b->njobs = 0; /* what is given up from now on goes at once */
		uv_timer_start(&b->timer, on_timer, 0, 0); /* the loop has a turn in between */
	}
}

/* What a thread compares just then is left to it. */
static void compare_now(struct backend *b, int32_t id)
{
	size_t found = b->compare.found.len;

	if (b->working || id >= b->cap || !b->dirs[id])
		return;
	bytes_clear(&b->paths);
	b->njobs = 0;
	add_job(b, id);
	compare_jobs(&b->work);
	b->njobs = 0;
	b->gap |= b->compare.failed;
	b->compare.failed = false;
	if (b->compare.found.len > found) {
		if (bytes_add(&b->at_once, b->compare.found.data + found,
			      b->compare.found.len - found) < 0)
			b->gap = true;
		bytes_cut(&b->compare.found, found);
	}
	if (!watcher__disk_is_users(b->config.disk))
		poll_doubt_young(b->dirs[id]);
}

static void begin_round(struct backend *b)
{
	b->again = false;
	if (b->gap || b->found.len) { /* nobody has fetched the last one: no need to look on */
		b->holding = true;
		b->config.wake(b->config.arg);
		return;
	}
	b->running = true;
	b->known_ns = b->compared_ns;
	b->round_ns = clock_coarse_ns();
	b->twice = b->asked;
	b->asked = false;
	b->compare.missed_ns = INT64_MAX;
	bytes_clear(&b->compare.gone.files);
	b->spent_ns = 0;
	b->next = 0;
	next_slice(b);
}

static void on_timer(uv_timer_t *timer)
{
	struct backend *b = timer->data;

	if (!b->running)
		begin_round(b);
	else if (!b->working)
		on_compared(&b->work, 0);
}

static void round_now(struct backend *b)
{
	b->again = true;
	if (!b->running)
		uv_timer_start(&b->timer, on_timer, 0, 0);
}

static void poll_round(struct backend *b)
{
	b->asked = true;
	round_now(b);
}

static bool poll_busy(const struct backend *b)
{
	return b->running || b->again || b->holding;
}

static int64_t poll_known_ns(const struct backend *b)
{
	return b->running || b->gap || b->found.len || b->at_once.len ? b->known_ns : b->compared_ns;
}

static bool poll_follow_up(struct backend *b)
{
	if (!b->owed)
		return false;
	b->owed = false;
	round_now(b);
	return true;
}

/* ---- directories ---- */

static int make_room(struct backend *b, int32_t id)
{
	int32_t cap = b->cap ? b->cap : 64;
	struct polled **p;

	if (id < b->cap)
		return 0;
	while (cap <= id)
		cap *= 2;
	if (!(p = realloc(b->dirs, (size_t)cap * sizeof *p)))
		return UV_ENOMEM;
	memset(p + b->cap, 0, (size_t)(cap - b->cap) * sizeof *p);
	b->dirs = p;
	b->cap = cap;
	return 0;
}

static int add(struct backend *b, struct polled **now, int32_t *id)
{
	struct polled *p = *now;

	*id = keys_add(&b->keys, &p->self, sizeof p->self);
	if (*id < 0)
		return UV_ENOMEM;
	if (make_room(b, *id) < 0) {
		keys_remove(&b->keys, *id);
		return UV_ENOMEM;
	}
	b->dirs[*id] = p;
	*now = NULL;
	return 0;
}

static bool in_work(const struct backend *b, int32_t id)
{
	if (b->working)
		for (int i = 0; i < b->njobs; i++)
			if (b->jobs[i].id == id)
				return true;
	return false;
}

/* More is wanted of a directory than before: from what it is like now, `now`, if that is not
 * the record itself. */
static void widen(struct backend *b, int32_t id, enum watch_level level, const struct polled *now)
{
	struct polled *p = b->dirs[id];

	if (now && level >= WATCH_ALL && p->wanted < WATCH_ALL && !in_work(b, id)) {
		p->ctime_ns = now->ctime_ns;
		p->mtime_ns = now->mtime_ns;
		p->checked_ns = now->checked_ns;
	}
	if (level > p->wanted)
		p->wanted = (uint8_t)level;
}

static int keep_path(const struct disk *disk, struct polled *p, const char *path)
{
	struct stat st;
	char *copy;

	p->link = watcher__disk_stat_path(disk, path, false, &st) == 0 && S_ISLNK(st.st_mode);
	if (p->path && strcmp(p->path, path) == 0)
		return 0;
	if (!(copy = strdup(path)))
		return UV_ENOMEM;
	free(p->path);
	p->path = copy;
	return 0;
}

/* The index reads it now: at another time than it is compared? */
static void note_reading(struct backend *b, int32_t id, uint8_t was)
{
	struct polled *p = b->dirs[id];

	if (!p->asked_ns && (was >= WATCH_ALL || in_work(b, id)))
		p->asked_ns = clock_coarse_ns();
}

static int poll_watch(struct backend *b, int fd, const char *path, enum watch_level level,
		      int32_t *id)
{
	struct polled *p = calloc(1, sizeof *p);
	bool own = watcher__disk_is_users(b->config.disk);
	int64_t mtime;
	uint8_t was;
	int r;

	if (!p)
		return UV_ENOMEM;
	r = poll_begin(p, b->config.disk, fd, path);
	if (r < 0)
		goto out;
	mtime = p->mtime_ns;
	*id = keys_find(&b->keys, &p->self, sizeof p->self);
	if (*id < 0)
		r = add(b, &p, id);
	if (r < 0)
		goto out;
	b->dirs[*id]->dead = false;
	was = b->dirs[*id]->wanted;
	widen(b, *id, level, p);
	if (own)
		b->dirs[*id]->asked_ns = mtime;
	else
		note_reading(b, *id, was);
	if (own && level >= WATCH_ALL && was < WATCH_ALL)
		poll_remember(&b->compare, b->dirs[*id], path);
	if (level < WATCH_ALL)
		r = keep_path(b->config.disk, b->dirs[*id], path);
out:
	if (p) {
		poll_forget(p);
		free(p);
	}
	return r;
}

static int32_t poll_known(struct backend *b, int fd, const char *path)
{
	struct identity self;

	if (watcher__disk_identity(b->config.disk, fd, path, &self) < 0)
		return -1;
	return keys_find(&b->keys, &self, sizeof self);
}

static void poll_unwatch(struct backend *b, int32_t id)
{
	if (id >= b->cap || !b->dirs[id])
		return;
	if (in_work(b, id))
		b->dirs[id]->dead = true;
	else
		forget(b, id);
}

static bool poll_is_same(struct backend *b, int32_t id, const char *name, size_t len,
			 const struct stat *st)
{
	return poll_is_known(&b->compare, id >= 0 && id < b->cap ? b->dirs[id] : NULL, name, len, st);
}

static void poll_want(struct backend *b, unsigned kinds, bool merge)
{
	(void)b;
	(void)kinds;
	(void)merge;
}

/* ---- handing out ---- */

/* What was found stays found: with `discard` it waits, and no round begins meanwhile. Before a round
 * has ended nothing is handed out: both ends of a move are looked at together. */
static int poll_fill(struct backend *b, bool discard)
{
	b->time_ns = clock_wall_ns();
	return !discard && (b->at_once.len || (!b->running && (b->gap || b->found.len)));
}

/* The next thing that was found of a directory that is still watched. */
static bool next_of(const struct backend *b, struct bytes *found, size_t *pos, struct change *c)
{
	struct found f;

	while (*pos < found->len) {
		memcpy(&f, found->data + *pos, sizeof f);
		c->name = found->data + *pos + sizeof f;
		*pos += sizeof f + f.len;
		if (!keys_has(&b->keys, f.id))
			continue;
		c->op = f.op;
		c->id = f.id;
		c->is_dir = f.is_dir;
		c->name_len = f.len;
		c->since_ns = f.since_ns;
		c->taken_ns = f.taken_ns;
		return true;
	}
	*pos = 0;
	bytes_clear(found);
	return false;
}

static int poll_next(struct backend *b, struct change *c)
{
	*c = (struct change){ .id = -1, .id2 = -1, .time_ns = b->time_ns };
	if (next_of(b, &b->at_once, &b->at_once_pos, c))
		return 1;
	if (b->running)
		return 0;
	if (b->gap) {
		b->gap = false;
		c->op = CHANGE_GAP;
		c->since_ns = b->known_ns;
		return 1;
	}
	if (next_of(b, &b->found, &b->pos, c))
		return 1;
	if (b->holding) {
		b->holding = false;
		round_now(b);
	}
	return 0;
}

/* ---- the end ---- */

static void finish_close(struct backend *b)
{
	void (*closed)(void *) = b->closed;
	void *arg = b->closed_arg;

	for (int32_t i = 0; i < b->cap; i++)
		if (b->dirs[i]) {
			poll_forget(b->dirs[i]);
			free(b->dirs[i]);
		}
	free(b->dirs);
	keys_fini(&b->keys);
	bytes_free(&b->paths);
	bytes_free(&b->found);
	bytes_free(&b->at_once);
	poll_work_free(&b->compare);
	free(b);
	closed(arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct backend *b = handle->data;

	handle->data = NULL;
	if (!b->working)
		finish_close(b);
}

static void poll_close(struct backend *b, void (*closed)(void *), void *arg)
{
	b->closed = closed;
	b->closed_arg = arg;
	if (b->working)
		uv_cancel((uv_req_t *)&b->work); /* its end is told all the same */
	uv_close((uv_handle_t *)&b->timer, on_timer_closed);
}

const struct backend_ops watcher__poll = {
	.name = "poll",
	.number = WATCHER_BACKEND_POLL,
	.caps = BACKEND_SCANS,
	.open = poll_open,
	.watch = poll_watch,
	.known = poll_known,
	.unwatch = poll_unwatch,
	.want = poll_want,
	.is_same = poll_is_same,
	.fill = poll_fill,
	.next = poll_next,
	.round = poll_round,
	.busy = poll_busy,
	.compare = compare_now,
	.known_ns = poll_known_ns,
	.follow_up = poll_follow_up,
	.close = poll_close,
};
