/*
 * The barrier: a sync is told when the queue was found empty after it was asked for, with nothing
 * under way, and nothing left that is tried again; but for what was tried in vain for a while.
 */
#include <stdlib.h>

#include "watcher/engine.h"

#define SYNC_TRIES 9 /* that one waits for: 350 ms if all are in vain */

int watcher_sync(watcher *w, watcher_sync_cb cb)
{
	uint32_t cap = w->syncs_cap ? w->syncs_cap * 2 : 4;
	struct sync *p;
	bool exact = true;

	if (!cb)
		return UV_EINVAL;
	if (w->closing)
		return UV_ECANCELED;
	if (w->nsyncs == w->syncs_cap) {
		if (!(p = realloc(w->syncs, cap * sizeof *w->syncs)))
			return UV_ENOMEM;
		w->syncs = p;
		w->syncs_cap = cap;
	}
	for (int i = 0; i < w->nsources; i++) {
		const struct source *s = &w->sources[i];

		if (s->ops->caps & BACKEND_SCANS)
			s->ops->round(s->backend);
		exact &= (s->ops->caps & BACKEND_EXACT) != 0;
	}
	w->calm_rounds = 0; /* what waits to be looked at again is looked at first */
	w->limbo_due_ns = 0;
	w->syncs[w->nsyncs++] = (struct sync){ .cb = cb, .round = exact ? 1 : 3 };
	watcher__pump_soon(w);
	return 0;
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
		if (--w->syncs[i].round > 0) {
			keep(w, &kept, i);
			watcher__pump_soon(w);
			continue;
		}
		watcher__limbo_give_up(w);
		watcher_sync_cb cb = w->syncs[i].cb;

		w->syncs[i].cb = NULL;
		w->dispatching++;
		cb(w, 0, w->options.arg);
		w->dispatching--;
	}
	/* Those that callbacks have added stay. */
	for (uint32_t i = n; i < w->nsyncs; i++)
		keep(w, &kept, i);
	w->nsyncs = kept;
	if (!w->dispatching)
		watcher__sweep_removed(w);
}
