/* A uv_poll_t with a hold-off: see wakes.h. */
#include "watcher/wakes.h"

#include <unistd.h>

#define STORM_WAKES 8       /* so many wake-ups ... */
#define STORM_NS    2000000 /* ... within this time are a storm */
#define HOLD_MS     1
#define LONG_STORM  8 /* so many of these in a row, then longer ones: a fraction of the cost */
#define LONG_MS     4 /* ... but not if so much comes that the queue might fill up */
#define MUCH_BYTES  (32 * 1024) /* some thousand events */
#define MUCH_MS     2

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_hold(uv_timer_t *timer)
{
	struct wakes *w = timer->data;

	w->wake(w->arg);
	if (++w->ticks >= LONG_STORM)
		uv_timer_set_repeat(timer, w->got > MUCH_BYTES ? MUCH_MS : LONG_MS);
	if (!w->got && !uv_is_closing((uv_handle_t *)timer)) {
		w->holding = false;
		uv_timer_stop(&w->hold);
		uv_poll_start(&w->poll, UV_READABLE, on_readable);
	}
	w->got = 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct wakes *w = poll->data;
	uint64_t now = uv_hrtime();

	(void)status;
	(void)events;
	if (now - w->storm_start > STORM_NS) {
		w->storm_start = now;
		w->storm_wakes = 0;
	}
	if (++w->storm_wakes > STORM_WAKES) {
		w->holding = true;
		w->ticks = 0;
		uv_poll_stop(&w->poll);
		uv_timer_start(&w->hold, on_hold, HOLD_MS, HOLD_MS);
	}
	w->wake(w->arg);
}

void wakes_init(struct wakes *w, uv_loop_t *loop, int fd, void (*wake)(void *arg), void *arg)
{
	*w = (struct wakes){ .fd = fd, .wake = wake, .arg = arg };
	uv_timer_init(loop, &w->hold);
	/* uv_poll_init fails for a descriptor epoll refuses only; a queue is none of those. */
	uv_poll_init(loop, &w->poll, fd);
	w->hold.data = w->poll.data = w;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

static void end_part(struct wakes *w)
{
	if (--w->open_parts == 0)
		w->closed(w->closed_arg);
}

static void on_closed(uv_handle_t *handle)
{
	end_part(handle->data);
}

static void close_fd(uv_work_t *work)
{
	close(((struct wakes *)work->data)->fd);
}

static void on_fd_closed(uv_work_t *work, int status)
{
	(void)status;
	end_part(work->data);
}

void wakes_close(struct wakes *w, void (*closed)(void *arg), void *arg)
{
	w->closed = closed;
	w->closed_arg = arg;
	w->open_parts = 3;
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->hold, on_closed);
	uv_close((uv_handle_t *)&w->poll, on_closed);
	w->closing.data = w;
	if (uv_queue_work(w->poll.loop, &w->closing, close_fd, on_fd_closed) < 0) {
		close(w->fd);
		w->open_parts--;
	}
}
