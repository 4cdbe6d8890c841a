/*
 * The barrier: a sync is told when the queue was found empty after it was asked for, with nothing
 * under way, and nothing left that is tried again; but for what was tried in vain for a while.
 */
#include <stdlib.h>

#include "watcher/engine.h"

#define SYNC_TRIES 9 /* that one waits for: 350 ms if all are in vain */

static int make_room(struct watcher *w)
{
	uint32_t cap = w->syncs_cap ? w->syncs_cap * 2 : 4;
	struct sync *p;

	if (w->nsyncs < w->syncs_cap)
		return 0;
	if (!(p = realloc(w->syncs, cap * sizeof *w->syncs)))
		return UV_ENOMEM;
	w->syncs = p;
	w->syncs_cap = cap;
	return 0;
}

/* There is room for it. */
static void begin(struct watcher *w, watcher_sync_cb cb)
{
	bool exact = true;

	for (int i = 0; i < w->nsources; i++) {
		const struct source *s = &w->sources[i];

		if (s->ops->caps & BACKEND_SCANS)
			s->ops->round(s->backend);
		exact &= (s->ops->caps & BACKEND_EXACT) != 0;
	}
	w->calm_rounds = 0; /* what waits to be looked at again is looked at first */
	w->limbo_due_ns = 0;
	w->syncs[w->nsyncs++] = (struct sync){ .cb = cb,
					       .number = w->head->sync_number,
					       .round = exact ? 1 : 3 };
	watcher__pump_soon(w);
}

int watcher_sync(watcher *head, watcher_sync_cb cb)
{
	if (!cb)
		return UV_EINVAL;
	if (head->closing)
		return UV_ECANCELED;
	EACH_ENGINE(w, head) {
		if (make_room(w) < 0)
			return UV_ENOMEM;
	}
	head->sync_number++;
	EACH_ENGINE(w, head) {
		if (!w->closing)
			begin(w, w == head ? cb : NULL);
	}
	return 0;
}

/* Does an engine behind the head still have that sync, or one before it? */
static bool is_behind(const struct watcher *head, uint64_t number)
{
	for (struct watcher *w = watcher__next_engine(head); w; w = watcher__next_engine(w))
		if (!w->closing && w->nsyncs && w->syncs[0].number <= number)
			return true;
	return false;
}

bool watcher__sync_is_new(const struct watcher *w)
{
	return w->nsyncs && !w->syncs[w->nsyncs - 1].held;
}

void watcher__syncs_tried(struct watcher *w)
{
	for (uint32_t i = 0; i < w->nsyncs; i++)
		w->syncs[i].tries++;
}

/* A round of looking is under way: its end turns the pump again. */
static bool scanning(const struct watcher *w)
{
	for (int i = 0; i < w->nsources; i++)
		if (w->sources[i].ops->busy && w->sources[i].ops->busy(w->sources[i].backend))
			return true;
	return false;
}

/* Not all could be found by the round that was asked for, but by another one now. */
static bool scans_again(struct watcher *w)
{
	bool again = false;

	for (int i = 0; i < w->nsources; i++)
		if (w->sources[i].ops->follow_up)
			again |= w->sources[i].ops->follow_up(w->sources[i].backend);
	return again;
}

/* Is something left that the timer tries again, that a sync is to wait for? */
static bool is_unsettled(const struct watcher *w)
{
	return w->recheck_roots || watcher__limbo_holds(w);
}

void watcher__syncs_cancel(struct watcher *w)
{
	for (uint32_t i = 0; i < w->nsyncs; i++) {
		watcher_sync_cb cb = w->syncs[i].cb;

		w->syncs[i].cb = NULL;
		w->dispatching++;
		if (cb)
			cb(w, UV_ECANCELED, w->options.arg);
		w->dispatching--;
	}
}

/* Each is in its place only: what a callback closes cancels those that are there. */
static void keep(struct watcher *w, uint32_t *kept, uint32_t i)
{
	struct sync s = w->syncs[i];

	w->syncs[i].cb = NULL;
	w->syncs[(*kept)++] = s;
}

static void tell(struct watcher *w, struct sync *s)
{
	watcher_sync_cb cb = s->cb;

	s->cb = NULL;
	if (!cb) {
		watcher__pump_soon(w->head);
		return;
	}
	w->dispatching++;
	cb(w, 0, w->options.arg);
	w->dispatching--;
}

void watcher__syncs_finish(struct watcher *w)
{
	uint32_t kept = 0, n = w->nsyncs;
	bool unsettled = is_unsettled(w);

	if (scanning(w) || watcher__late_active(w) || !watcher__mounts_heard(w))
		return;
	if (!unsettled && scans_again(w))
		return;
	for (uint32_t i = 0; i < n && !w->closing; i++) {
		if (unsettled && w->syncs[i].tries < SYNC_TRIES) {
			w->syncs[i].held = true;
			keep(w, &kept, i);
			continue;
		}
		if (w == w->head && is_behind(w, w->syncs[i].number)) {
			w->syncs[i].held = true;
			keep(w, &kept, i);
			continue;
		}
		if (--w->syncs[i].round > 0) {
			keep(w, &kept, i);
			watcher__pump_soon(w);
			continue;
		}
		watcher__limbo_give_up(w);
		tell(w, &w->syncs[i]);
	}
	/* Those that callbacks have added stay. */
	for (uint32_t i = n; i < w->nsyncs; i++)
		keep(w, &kept, i);
	w->nsyncs = kept;
	if (!w->dispatching)
		watcher__sweep_removed(w);
}
