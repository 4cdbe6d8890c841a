/*
 * One engine for each watch that follows links, and one for all others.
 *
 * The index has one place for a directory. What is in the tree and behind a link as well, though, is at
 * another place for each watch that follows the link, and only where it is for those that do not. So
 * a watch that follows links has an engine of its own: an index, a backend, and its debouncing. What
 * the user opened is the first, the head: its callbacks are called for all, its sync waits for all.
 * One that no watch is left in is kept for the next: the kernel takes up to 100 ms to end an instance of
 * inotify, and a user has few of them.
 */
#include "watcher/engine.h"

struct watcher *watcher__next_engine(const struct watcher *w)
{
	struct watcher *next = LIST_ENTRY(w->ring.next, struct watcher, ring);

	return next == w->head ? NULL : next;
}

/* One that is there already: with its like, or with nothing in it. */
static struct watcher *fitting(struct watcher *head, bool follow)
{
	struct watcher *empty = NULL;

	EACH_ENGINE(w, head) {
		if (w->closing)
			continue;
		if (list_empty(&w->watches))
			empty = empty ? empty : w;
		else if (!follow && !w->follow)
			return w;
	}
	return empty;
}

int watcher__engine_for(struct watcher **out, struct watcher *head, bool follow,
			watcher_error *err)
{
	struct watcher *w = fitting(head, follow);
	int r = w ? 0 : watcher__open_behind(&w, head, err);

	if (r < 0)
		return r;
	w->follow = follow;
	*out = w;
	return 0;
}

/* What the user is still to be told, and has counted. */
static void leave_to_head(struct watcher *w)
{
	struct watcher *head = w->head;

	head->ready_due |= w->ready_due;
	w->ready_due = false;
	LIST_EACH(it, next, &w->problems) {
		list_remove(it);
		list_append(&head->problems, it);
	}
	head->stats.events_in += w->stats.events_in;
	head->stats.events_out += w->stats.events_out;
	head->stats.batches += w->stats.batches;
	head->stats.overflows += w->stats.overflows;
	head->stats.recoveries += w->stats.recoveries;
	head->stats.crawl_ns += w->stats.crawl_ns;
}

/* The one with no watch that is kept for the next. Not where another backend had to take over. */
static bool is_spare(const struct watcher *w)
{
	EACH_ENGINE(other, w->head) {
		if (other != w && !other->closing && list_empty(&other->watches))
			return false;
	}
	return w->sources[0].ops == w->head->sources[0].ops;
}

void watcher__engine_leave(struct watcher *w)
{
	struct watcher *head = w->head;

	if (w == head || w->closing || w->dispatching || w->pumping || !list_empty(&w->watches) ||
	    is_spare(w))
		return;
	leave_to_head(w);
	watcher__close_behind(w);
	watcher__pump_soon(head); /* its sync waits for this one no more */
}

bool watcher__calls(const struct watcher *head)
{
	for (const struct watcher *w = head; w; w = watcher__next_engine(w))
		if (w->dispatching)
			return true;
	return false;
}
