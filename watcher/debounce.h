/*
 * When a batch is due: a quiet period with a cap, and a leading edge. Pure: the time is an
 * argument, in nanoseconds of any steady clock.
 *
 * A batch opens with its first event and is due `quiet` after its last one, but never later
 * than `cap` after its first. If nothing had happened for `leading` before it opened, it is
 * due at once when it holds a complete change (a file closed after writing, moved in, or
 * deleted); what follows is an ordinary batch, so a save makes one or two batches, never more.
 */
#ifndef WATCHER_DEBOUNCE_H
#define WATCHER_DEBOUNCE_H

#include <stdbool.h>
#include <stdint.h>

struct debounce {
	uint64_t quiet_ns, cap_ns, leading_ns;
	uint64_t first_ns, last_ns; /* of the open batch */
	uint64_t seen_ns;           /* last event of any batch, 0: none yet */
	bool open, idle_before, complete;
};

/* Events arrived. */
static inline void debounce_event(struct debounce *d, uint64_t now_ns, bool complete)
{
	if (!d->open) {
		d->open = true;
		d->complete = false;
		d->first_ns = now_ns;
		d->idle_before =
		    d->leading_ns && (!d->seen_ns || now_ns - d->seen_ns >= d->leading_ns);
	}
	d->complete |= complete;
	d->last_ns = d->seen_ns = now_ns;
}

/* When the open batch is due; UINT64_MAX if none is open. */
static inline uint64_t debounce_due(const struct debounce *d)
{
	uint64_t quiet = d->last_ns + d->quiet_ns, cap = d->first_ns + d->cap_ns;

	if (!d->open)
		return UINT64_MAX;
	if (d->idle_before && d->complete)
		return 0;
	return quiet < cap ? quiet : cap;
}

static inline void debounce_delivered(struct debounce *d)
{
	d->open = false;
}

#endif
