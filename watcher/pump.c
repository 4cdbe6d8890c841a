/*
 * The order of the work: drain, apply, look, settle, deliver.
 *
 * The pump is turned by backends that have something, by its timer, and by itself when a turn
 * has used up its time. One turn empties the kernel's queues into memory, applies what is
 * there one change at a time, and lets a pass over directories run to its end before the next
 * change. When nothing is left the pipeline is at rest: halves of moves have expired, lost
 * watches are looked for, gaps recovered from. Delivery happens between changes only.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "watcher/before.h"
#include "watcher/look.h"
#include "watcher/within.h"

#define TURN_NS        1000000 /* a turn gives the loop back after this */
#define LOOK_NS        1000000 /* ... and a long pass after this */
#define UNWATCH_NS     1000000 /* ... and a long list of watches to end */
#define RETRY_NS       50000000 /* what failed for want of something is tried again */
#define CATCH_UP_NS    1000000000 /* what came before an add is gone through; then it waits */
#define LATE_SLICES    200     /* of a first reading that still goes on then, and */
#define LATE_SLICE_NS  50000
#define REFILL_CHANGES 4096    /* the kernel's queue is emptied again after so many */

static void on_idle(uv_idle_t *idle)
{
	(void)idle;
}

static void on_more(uv_check_t *more)
{
	struct watcher *w = more->data;

	uv_check_stop(more);
	uv_idle_stop(&w->awake);
	w->all_heard = true;
	watcher__pump(w);
	w->all_heard = false;
}

static void on_timer(uv_timer_t *timer)
{
	watcher__pump(timer->data);
}

int watcher__pump_init(struct watcher *w)
{
	uv_timer_init(w->loop, &w->timer);
	uv_idle_init(w->loop, &w->awake);
	uv_check_init(w->loop, &w->more);
	w->timer.data = w->awake.data = w->more.data = w;
	uv_unref((uv_handle_t *)&w->timer);
	w->calm_ns = w->now_ns = clock_coarse_ns();
	w->owed_since_ns = w->put_off_ns = INT64_MAX;
	w->debounce.quiet_ns = (uint64_t)w->options.debounce_ms * 1000000;
	w->debounce.cap_ns = (uint64_t)w->options.debounce_max_ms * 1000000;
	w->debounce.leading_ns = (uint64_t)w->options.leading_ms * 1000000;
	return 0;
}

/*
 * At the end of the loop's turn, which does not wait meanwhile: what were done before it waits
 * would be seen by a host that makes one turn at a time (UV_RUN_ONCE, before libuv 1.45) only
 * when something else happens.
 */
void watcher__pump_soon(struct watcher *w)
{
	if (w->closing)
		return;
	uv_idle_start(&w->awake, on_idle);
	uv_check_start(&w->more, on_more);
}

/* ---- delivery ---- */

static void call_kind(struct watcher_watch *watch, const struct handler *h,
		      const watcher_event *e)
{
	void (*cb)(watcher_watch *, const watcher_event *, void *) = NULL;

	switch (e->kind) {
	case WATCHER_CREATED:
		cb = h->on.on_created;
		break;
	case WATCHER_MODIFIED:
		cb = h->on.on_modified;
		break;
	case WATCHER_DELETED:
		cb = h->on.on_deleted;
		break;
	case WATCHER_MOVED:
		cb = h->on.on_moved;
		break;
	case WATCHER_ATTRIB:
		cb = h->on.on_attrib;
		break;
	case WATCHER_OPENED:
		cb = h->on.on_opened;
		break;
	case WATCHER_CLOSED:
		cb = h->on.on_closed;
		break;
	case WATCHER_CLOSED_NO_WRITE:
		cb = h->on.on_closed_no_write;
		break;
	}
	if (h->on.on_any)
		h->on.on_any(watch, e, h->on.arg);
	if (cb && !h->removed && !watch->removed)
		cb(watch, e, h->on.arg);
}

static bool wants_single_events(const struct handler *h)
{
	return h->on.on_any || h->on.on_created || h->on.on_modified || h->on.on_deleted ||
	       h->on.on_moved || h->on.on_attrib || h->on.on_opened || h->on.on_closed ||
	       h->on.on_closed_no_write;
}

static void call_handler(struct watcher_watch *watch, struct handler *h,
			 struct watcher_batch *batch)
{
	watcher_event e;

	batch->cursor = 0;
	if (h->on.on_batch)
		h->on.on_batch(watch, batch, h->on.arg);
	if (!wants_single_events(h))
		return;
	batch->cursor = 0;
	while (!h->removed && !watch->removed && watcher_batch_next(batch, &e))
		call_kind(watch, h, &e);
}

static void deliver_watch(struct watcher_watch *watch)
{
	struct watcher *w = watch->w;
	struct watcher_batch *batch = watch->batch;

	watch->batch = watch->spare;
	watch->spare = NULL;
	batch->number = w->head->batch_number;
	w->stats.events_out += batch->n;
	LIST_EACH(it, next, &watch->handlers) {
		struct handler *h = LIST_ENTRY(it, struct handler, link);

		if (!h->removed && !watch->removed)
			call_handler(watch, h, batch);
	}
	batch_clear(batch);
	watch->spare = batch;
	if (!watch->batch->n) { /* the memory that is in use is used again */
		watch->spare = watch->batch;
		watch->batch = batch;
	}
}

void watcher__sweep_removed(struct watcher *w)
{
	w->leaving = false;
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(hi, hnext, &watch->handlers) {
			struct handler *h = LIST_ENTRY(hi, struct handler, link);

			if (h->removed) {
				list_remove(&h->link);
				free(h);
			}
		}
		if (watch->removed)
			watcher__watch_free(watch);
	}
}

static void deliver(struct watcher *w)
{
	bool any = false;

	debounce_delivered(&w->debounce);
	w->stats.backlog_bytes = 0;
	w->tight = false;
	LIST_EACH(it, next, &w->watches) {
		any |= LIST_ENTRY(it, struct watcher_watch, link)->batch->n > 0;
	}
	if (!any)
		return;
	w->head->batch_number++;
	w->stats.batches++;
	w->dispatching++;
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		if (!watch->removed && watch->batch->n && !w->closing)
			deliver_watch(watch);
	}
	w->dispatching--;
	if (!w->dispatching)
		watcher__sweep_removed(w);
}

/* ---- one turn ---- */

static void source_died(struct watcher *w, int source, int code)
{
	watcher__problem(w, NULL, code, "%s: %s", w->sources[source].ops->name,
			 uv_strerror(code));
}

/* Empties the kernel's queues: is there anything to apply, and is that all there is? */
static enum fill_result fill(struct watcher *w)
{
	enum fill_result filled = FILL_NOTHING;

	w->drain++;
	for (int i = 0; i < w->nsources; i++) {
		struct source *s = &w->sources[i];
		int r = s->ops->fill(s->backend, w->backlogged);

		if (r < 0)
			source_died(w, i, r);
		else if (r == FILL_SOME || filled == FILL_NOTHING)
			filled = (enum fill_result)r;
	}
	return filled;
}

enum applied {
	APPLIED_ALL,
	APPLIED_SOME, /* the kernel's queue is emptied before going on */
	TURN_OVER
};

/* Applies what is in memory. */
static enum applied apply_all(struct watcher *w, uint64_t until)
{
	uint64_t count = 0;
	struct change c;

	for (int i = 0; i < w->nsources; i++) {
		struct source *s = &w->sources[i];

		while (watcher__late_next(w, i, &c) == 1) {
			if (!watcher__late_before(w, i, &c, until))
				return TURN_OVER;
			w->stats.events_in++;
			watcher__apply(w, i, &c);
			/* Hints are looked at together: a move has two of them. */
			if (s->ops->caps & BACKEND_EXACT && watcher__look_pending(w) &&
			    !watcher__look_go(w, until))
				return TURN_OVER;
			if (w->tight)
				return TURN_OVER;
			if (++count % REFILL_CHANGES == 0)
				return uv_hrtime() > until ? TURN_OVER : APPLIED_SOME;
		}
	}
	return APPLIED_ALL;
}

/* Tries again what could not be looked at or looked up. */
static void retry(struct watcher *w)
{
	bool tried = w->recheck_roots;

	if (w->recheck_roots)
		watcher__recheck_roots(w);
	if (w->rules_due)
		watcher__outside_check(w);
	if (w->nlimbo)
		tried |= watcher__limbo_retry(w);
	if (tried)
		watcher__syncs_tried(w);
}

/* What is left to do when no change is: true if that made new work. With `all` no half of a move is
 * waited for. */
static bool settle_rest(struct watcher *w, int64_t before_ns, bool all)
{
	bool remounted;

	w->now_ns = clock_wall_ns(); /* of what is found now, and no change has told of */
	watcher__caught_up(w);
	watcher__halves_expire(w, all ? UINT64_MAX : uv_hrtime());
	remounted = watcher__mounts_due(w);
	if (remounted)
		watcher__mounts_check(w);
	if (w->naliases)
		watcher__aliases_check(w, remounted || !w->mounts);
	retry(w);
	if (watcher__look_pending(w))
		return true;
	if (w->gap) {
		w->gap = false;
		w->stats.overflows++;
		watcher__emit_control(w, WATCHER_OVERFLOW);
		watcher__look_everywhere(w, w->gap_since_ns ? w->gap_since_ns : watcher__known_ns(w));
		w->gap_since_ns = 0;
		watcher__doubt_roots(w);
		return true;
	}
	w->calm_ns = before_ns;
	return false;
}

static bool over_limit(const struct watcher *w)
{
	return w->tight || w->stats.backlog_bytes > w->options.max_backlog_bytes;
}

static void tell_problems(struct watcher *w)
{
	if (list_empty(&w->problems))
		return;
	w->dispatching++;
	while (!list_empty(&w->problems) && !w->closing) {
		struct problem *p = LIST_ENTRY(w->problems.next, struct problem, link);

		list_remove(&p->link);
		w->options.on_problem(w->head, p->has_path ? p->path : NULL, &p->err, w->options.arg);
		free(p);
	}
	w->dispatching--;
	watcher__sweep_removed(w);
}

static void announce_ready(struct watcher *w)
{
	w->ready_due = false;
	watcher__emit_control(w, WATCHER_READY);
	EACH_ENGINE(other, w->head) {
		if (other->ready_due)
			return; /* and says so for all */
	}
	if (!w->options.on_ready)
		return;
	w->dispatching++;
	w->options.on_ready(w->head, w->options.arg);
	w->dispatching--;
	watcher__sweep_removed(w);
}

/* Does nothing wait for the queue to be found empty? */
static bool nothing_waits(struct watcher *w)
{
	return !w->nhalves && !w->npushed && !w->nlimbo && !w->nahead && !w->uncertain &&
	       !w->recheck_roots && !w->rules_due && !w->gap && !w->nsyncs && !w->naliases &&
	       !watcher__late_active(w) && !watcher__look_pending(w) && !watcher__mounts_ahead(w) &&
	       !watcher__mounts_due(w);
}

/* True when the pipeline is at rest, false when it wants another turn. */
static bool turn(struct watcher *w)
{
	uint64_t until;
	enum fill_result filled;
	enum applied applied;
	int64_t before_ns;

	w->turn_ns = uv_hrtime();
	until = w->turn_ns + TURN_NS;
	if (watcher__look_pending(w) && !watcher__look_go(w, w->turn_ns + LOOK_NS))
		return false;
	if (w->leaving)
		watcher__sweep_removed(w);
	tree_tidy(&w->tree);
	for (;; w->turn_ns = uv_hrtime()) {
		before_ns = clock_coarse_ns();
		filled = fill(w);
		if (w->backlogged) {
			if (w->paused)
				return true;
			if (over_limit(w)) /* delivered before the gap is looked into */
				return false;
			w->backlogged = false;
		}
		if (filled != FILL_NOTHING) {
			applied = apply_all(w, until);
			w->backlogged = w->paused && over_limit(w);
			if (applied == TURN_OVER || over_limit(w))
				return watcher__late_due_ns(w) > uv_hrtime(); /* for its timer */
			if (filled == FILL_ALL && applied == APPLIED_ALL && nothing_waits(w)) {
				w->calm_ns = before_ns; /* the callback need not wait for more */
				return true;
			}
			if (uv_hrtime() > until)
				return false;
			continue;
		}
		if (over_limit(w)) { /* a look has told so much */
			w->backlogged = w->paused;
			return false;
		}
		if (watcher__late_active(w)) {
			if (!watcher__late_go(w, until))
				return watcher__late_due_ns(w) != 0;
			continue;
		}
		if (!settle_rest(w, before_ns, watcher__sync_is_new(w)))
			return true;
		if (!watcher__look_go(w, uv_hrtime() + LOOK_NS) || uv_hrtime() > until)
			return false; /* also when one gap follows another: no memory */
	}
}

/* The rest of a first reading, if it is little: the loop is not held for more. In slices, so that each
 * reads something, however busy the machine is. */
static bool read_late_rest(struct watcher *w)
{
	for (int i = 0; i < LATE_SLICES; i++)
		if (watcher__late_go(w, uv_hrtime() + LATE_SLICE_NS))
			return true;
	return false;
}

/*
 * What came before a call is told to those who are there, and not to whom the call adds: all that is
 * there is gone through, with what it leads to; but not for ever, if it does not end.
 */
void watcher__catch_up(struct watcher *w, bool look)
{
	uint64_t until = uv_hrtime() + CATCH_UP_NS;
	enum fill_result filled;
	enum applied applied;
	int64_t before_ns;
	bool over = false;

	for (;;) {
		watcher__look_go(w, UINT64_MAX);
		w->turn_ns = uv_hrtime();
		if (over || w->closing || w->backlogged || w->turn_ns > until)
			break;
		before_ns = clock_coarse_ns();
		filled = fill(w);
		/* Read as a whole: to ask where each strange directory is costs more, of many roots. */
		if (filled != FILL_NOTHING && watcher__late_active(w) && !read_late_rest(w)) {
			over = true; /* not all can be read just now */
		} else if (filled != FILL_NOTHING) {
			applied = apply_all(w, UINT64_MAX);
			w->backlogged = w->paused && over_limit(w);
			over = applied == TURN_OVER ||
			       (filled == FILL_ALL && applied == APPLIED_ALL && nothing_waits(w));
		} else if (!look) {
			over = watcher__late_active(w) || !settle_rest(w, before_ns, true);
		}
		if (look) { /* by the names of now, after what was told by those of before */
			watcher__look_for_names(w);
			look = over = false;
		}
	}
	watcher__pump_soon(w);
	watcher__created_done(w, false);
}

static void set_timer(struct watcher *w)
{
	uint64_t due = w->paused ? UINT64_MAX : debounce_due(&w->debounce), now, ms;

	if (w->nlimbo && w->limbo_due_ns && w->limbo_due_ns < due)
		due = w->limbo_due_ns;
	if (watcher__late_due_ns(w) && watcher__late_due_ns(w) < due)
		due = watcher__late_due_ns(w);
	if (watcher__mounts_due_ns(w) && watcher__mounts_due_ns(w) < due)
		due = watcher__mounts_due_ns(w);
	for (uint32_t i = 0; i < w->nhalves; i++)
		if (w->halves[i].deadline_ns < due)
			due = w->halves[i].deadline_ns;
	if (w->recheck_roots && due > w->turn_ns + RETRY_NS) /* for want of memory or descriptors */
		due = w->turn_ns + RETRY_NS;
	/* Another turn comes anyway; a timer that is due would be run in this one for ever. */
	if (due == UINT64_MAX || uv_is_active((uv_handle_t *)&w->more)) {
		uv_timer_stop(&w->timer);
		return;
	}
	now = uv_hrtime();
	ms = due > now ? (due - now + 999999) / 1000000 : 1;
	uv_update_time(w->loop);
	uv_timer_start(&w->timer, on_timer, ms, 0);
}

/* Without debouncing a batch is due before the clock has to be asked again. */
static bool batch_due(const struct watcher *w)
{
	uint64_t due = debounce_due(&w->debounce);

	return due <= w->turn_ns || (due != UINT64_MAX && due <= uv_hrtime());
}

void watcher__pump(struct watcher *w)
{
	bool covered = w->ready_due && watcher__late_active(w) && !watcher__look_pending(w);
	bool rest = false;

	if (w->closing || w->pumping || w->dispatching)
		return;
	w->pumping = true;
	if (!covered) /* else all is ready before anything is read */
		rest = turn(w);
	watcher__created_done(w, rest);
	w->pumping = false;
	if (!watcher__look_pending(w))
		tell_problems(w);
	if ((rest || covered) && w->ready_due && !w->closing)
		announce_ready(w);
	if (!w->closing && !w->paused && !watcher__look_pending(w) &&
	    (batch_due(w) || over_limit(w) || (rest && w->nsyncs)))
		deliver(w);
	if (rest && w->nsyncs && !w->closing && !w->paused) {
		if (w->all_heard)
			watcher__syncs_finish(w);
		else
			watcher__pump_soon(w);
	}
	if (w->closing)
		return;
	if (!rest && !(w->paused && w->backlogged))
		watcher__pump_soon(w);
	w->unwatched = 0;
	if ((w->nunwatch || w->tree.cut != NO_DIR) &&
	    !watcher__unwatch_rest(w, uv_hrtime() + UNWATCH_NS))
		watcher__pump_soon(w);
	set_timer(w);
	watcher__engine_leave(w);
}

void watcher_pause(watcher *head)
{
	EACH_ENGINE(w, head)
		w->paused = true;
}

void watcher_resume(watcher *head)
{
	EACH_ENGINE(w, head) {
		w->paused = false;
		watcher__pump_soon(w);
	}
}
