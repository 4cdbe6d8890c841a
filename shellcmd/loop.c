/* Readiness and one timer, over the caller's uv loop or over poll(2). Knows no command. */
#include "shellcmd/loop.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "base/loop.h"
#include "shellcmd/pipes.h"

#define NS_PER_MS  1000000u
#define POLL_SMALL 16

void sh__loop_init(struct sh__loop *l, uv_loop_t *uv)
{
	*l = (struct sh__loop){ .uv = uv };
	list_init(&l->watches);
	list_init(&l->timers);
}

int sh__loop_init_own_uv(struct sh__loop *l)
{
	uv_loop_t *uv = malloc(sizeof *uv);
	unsigned held;
	int r;

	if (!uv)
		return UV_ENOMEM;
	held = sh__stdio_hold();
	r = loop_open(uv);
	sh__stdio_release(held);
	if (r < 0) {
		free(uv);
		return r;
	}
	sh__loop_init(l, uv);
	l->owns_uv = true;
	return 0;
}

void sh__loop_fini(struct sh__loop *l)
{
	if (!l->owns_uv)
		return;
	while (l->open_handles > 0)
		uv_run(l->uv, UV_RUN_ONCE);
	uv_run(l->uv, UV_RUN_NOWAIT);
	uv_loop_close(l->uv);
	free(l->uv);
	l->uv = NULL;
	l->owns_uv = false;
}

static void count_closed(uv_handle_t *h, bool free_it)
{
	struct sh__loop *l = h->data;

	if (free_it)
		free(h);
	if (--l->open_handles == 0 && l->closed)
		l->closed(l);
}

static void closed_free(uv_handle_t *h)
{
	count_closed(h, true);
}

static void closed_keep(uv_handle_t *h)
{
	count_closed(h, false);
}

void sh__loop_close_handle(struct sh__loop *l, uv_handle_t *h, bool free_it)
{
	h->data = l;
	uv_close(h, free_it ? closed_free : closed_keep);
}

/* ------------------------------------------------------------------ descriptors */

static void uv_ready(uv_poll_t *h, int status, int events)
{
	struct sh__watch *w = h->data;

	/* A negative status is POLLERR: the next read or write has the real errno. */
	(void)status, (void)events;
	w->ready(w);
}

/*
 * libuv tells the kernel of a descriptor only when it polls, and aborts the process when the
 * kernel has no room for it (ENOMEM, ENOSPC: fs.epoll.max_user_watches). What is there already
 * it only changes, which needs no room; so it is put there now, while it can be refused.
 */
#ifdef __linux__
static int make_room(uv_loop_t *uv, int fd)
{
	struct epoll_event e = { .data.fd = fd };

	if (epoll_ctl(uv_backend_fd(uv), EPOLL_CTL_ADD, fd, &e) == 0 || errno == EEXIST)
		return 0;
	return -errno;
}
#else
static int make_room(uv_loop_t *uv, int fd)
{
	(void)uv, (void)fd;
	return 0;
}
#endif

static int watch_start_uv(struct sh__loop *l, struct sh__watch *w, short events)
{
	int r;

	if (!w->uv) {
		if (!(w->uv = malloc(sizeof *w->uv)))
			return UV_ENOMEM;
		if ((r = uv_poll_init(l->uv, w->uv, w->fd)) < 0) {
			free(w->uv);
			w->uv = NULL;
			return r;
		}
		w->uv->data = w;
		l->open_handles++;
	}
	w->loop = l;
	w->events = events;
	r = uv_poll_start(w->uv, events & POLLOUT ? UV_WRITABLE : UV_READABLE, uv_ready);
	if (r == 0)
		r = make_room(l->uv, w->fd);
	if (r < 0)
		sh__watch_stop(w);
	return r;
}

int sh__watch_start(struct sh__loop *l, struct sh__watch *w, short events)
{
	if (l->uv)
		return watch_start_uv(l, w, events);
	if (!w->loop) {
		list_append(&l->watches, &w->link);
		l->n_watches++;
	}
	w->loop = l;
	w->events = events;
	return 0;
}

void sh__watch_stop(struct sh__watch *w)
{
	struct sh__loop *l = w->loop;

	if (!l)
		return;
	w->loop = NULL;
	if (l->uv) {
		sh__loop_close_handle(l, (uv_handle_t *)w->uv, true);
		w->uv = NULL;
		return;
	}
	list_remove(&w->link);
	l->n_watches--;
	if (w->polled_at < l->n_polled && l->polled[w->polled_at] == w)
		l->polled[w->polled_at] = NULL;
}

/* ------------------------------------------------------------------ time */

static void uv_fire(uv_timer_t *h)
{
	struct sh__timer *t = h->data;

	t->at_ns = 0;
	t->fire(t);
}

void sh__timer_init(struct sh__loop *l, struct sh__timer *t, sh__timer_fn fire, void *arg)
{
	*t = (struct sh__timer){ .loop = l, .fire = fire, .arg = arg };
	list_init(&t->link);
	if (l->uv) {
		uv_timer_init(l->uv, &t->uv); /* cannot fail */
		t->uv.data = t;
		l->open_handles++;
	} else {
		list_append(&l->timers, &t->link);
	}
}

void sh__timer_set(struct sh__timer *t, uint64_t at_ns)
{
	uint64_t now;

	if (t->at_ns == at_ns)
		return;
	t->at_ns = at_ns;
	if (!t->loop->uv)
		return;
	if (!at_ns) {
		uv_timer_stop(&t->uv);
		return;
	}
	now = uv_hrtime();
	uv_update_time(t->loop->uv);
	uv_timer_start(&t->uv, uv_fire, at_ns > now ? (at_ns - now) / NS_PER_MS + 1 : 0, 0);
}

void sh__timer_close(struct sh__timer *t)
{
	if (!t->loop)
		return;
	if (t->loop->uv)
		sh__loop_close_handle(t->loop, (uv_handle_t *)&t->uv, false);
	else
		list_remove(&t->link);
	t->loop = NULL;
	t->at_ns = 0;
}

/* ------------------------------------------------------------------ turning */

static uint64_t first_deadline(struct sh__loop *l, uint64_t until_ns)
{
	LIST_EACH(it, next, &l->timers)
	{
		uint64_t at = LIST_ENTRY(it, struct sh__timer, link)->at_ns;

		if (at && at < until_ns)
			until_ns = at;
	}
	return until_ns;
}

static int poll_ms(uint64_t until_ns)
{
	uint64_t now, ms;

	if (until_ns == UINT64_MAX)
		return -1;
	now = uv_hrtime();
	if (until_ns <= now)
		return 0;
	ms = (until_ns - now) / NS_PER_MS + 1;
	return ms > 1000000 ? 1000000 : (int)ms;
}

/* One due timer at a time: what it calls may end any other. */
static void fire_due(struct sh__loop *l)
{
	uint64_t now = uv_hrtime();
	bool again = true;

	while (again) {
		again = false;
		LIST_EACH(it, next, &l->timers)
		{
			struct sh__timer *t = LIST_ENTRY(it, struct sh__timer, link);

			if (!t->at_ns || t->at_ns > now)
				continue;
			t->at_ns = 0;
			t->fire(t);
			again = true;
			break;
		}
	}
}

static void call_ready(struct sh__loop *l, const struct pollfd *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sh__watch *w = l->polled[i];

		if (w && fds[i].revents)
			w->ready(w);
	}
}

static int turn_poll(struct sh__loop *l, uint64_t until_ns)
{
	struct pollfd small_fds[POLL_SMALL], *fds = small_fds;
	struct sh__watch *small_watches[POLL_SMALL], **watches = small_watches;
	size_t n = 0;
	int r;

	if (l->n_watches > POLL_SMALL) {
		fds = malloc(l->n_watches * (sizeof *fds + sizeof(struct sh__watch *)));
		if (!fds)
			return UV_ENOMEM;
		watches = (struct sh__watch **)(void *)(fds + l->n_watches);
	}
	LIST_EACH(it, next, &l->watches)
	{
		struct sh__watch *w = LIST_ENTRY(it, struct sh__watch, link);

		fds[n] = (struct pollfd){ .fd = w->fd, .events = w->events };
		w->polled_at = n;
		watches[n++] = w;
	}
	l->polled = watches;
	l->n_polled = n;
	if (l->hold_off)
		sched_yield();
	l->hold_off = false;
	r = poll(fds, n, poll_ms(first_deadline(l, until_ns)));
	if (r > 0)
		call_ready(l, fds, n);
	l->polled = NULL;
	l->n_polled = 0;
	if (fds != small_fds)
		free(fds);
	/* EINTR is a signal of the host; ENOMEM may pass. Both: look again. */
	fire_due(l);
	return 0;
}

static void wake(uv_timer_t *h)
{
	(void)h;
}

static int turn_uv(struct sh__loop *l, uint64_t until_ns)
{
	uv_timer_t *limit;

	if (until_ns == 0 || until_ns == UINT64_MAX) {
		uv_run(l->uv, until_ns ? UV_RUN_ONCE : UV_RUN_NOWAIT);
		return 0;
	}
	if (!(limit = malloc(sizeof *limit)))
		return UV_ENOMEM;
	uv_timer_init(l->uv, limit);
	l->open_handles++;
	uv_update_time(l->uv);
	uv_timer_start(limit, wake, (uint64_t)poll_ms(until_ns), 0);
	uv_run(l->uv, UV_RUN_ONCE);
	sh__loop_close_handle(l, (uv_handle_t *)limit, true);
	return 0;
}

int sh__loop_turn(struct sh__loop *l, uint64_t until_ns)
{
	return l->uv ? turn_uv(l, until_ns) : turn_poll(l, until_ns);
}
