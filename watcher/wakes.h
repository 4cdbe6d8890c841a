/*
 * Being woken by a descriptor that has something to read, but not for every single event.
 *
 * When wake-ups come thick (above some 4000 a second) the descriptor is left alone for a
 * millisecond at a time, for two to four if that goes on: the kernel otherwise wakes this thread
 * for each event, which costs the reader five times the processor time and slows the writer
 * down. The first event after a pause is never delayed.
 */
#ifndef WATCHER_WAKES_H
#define WATCHER_WAKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct wakes {
	int fd;
	uv_poll_t poll;
	uv_timer_t hold;
	uv_work_t closing;
	bool holding;
	size_t got; /* bytes, since the last look while holding */
	uint64_t storm_start;
	unsigned storm_wakes, ticks;
	void (*wake)(void *arg);
	void *arg;
	void (*closed)(void *arg); /* after wakes_close(); its argument is that of it */
	void *closed_arg;
	int open_parts;
};

/* The descriptor belongs to it from now on. */
void wakes_init(struct wakes *w, uv_loop_t *loop, int fd, void (*wake)(void *arg), void *arg);
/* So much was read from the descriptor. Where a whole pause brings nothing the storm is over:
 * the next event wakes at once. */
static inline void wakes_got(struct wakes *w, size_t bytes)
{
	w->got += bytes;
}
/* Closes the descriptor, too: in the thread pool, as close(2) waits there for a grace period of the
 * kernel, 10 to 100 ms. */
void wakes_close(struct wakes *w, void (*closed)(void *arg), void *arg);

#endif
