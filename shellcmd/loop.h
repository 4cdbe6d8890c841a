/*
 * What a command waits for: descriptors that become ready, and one moment in time. Either
 * on the caller's uv loop, or on a loop of our own over poll(2), which a synchronous call
 * turns. The own loop needs no descriptor and cannot fail to be made; libuv aborts the
 * process when its first loop meets EMFILE.
 */
#ifndef SHELLCMD_LOOP_H
#define SHELLCMD_LOOP_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"

struct sh__watch;
struct sh__timer;
typedef void (*sh__ready_fn)(struct sh__watch *);
typedef void (*sh__timer_fn)(struct sh__timer *);

struct sh__loop {
	uv_loop_t *uv; /* NULL: our own poll(2) loop */
	bool owns_uv;
	struct link watches, timers;
	struct sh__watch **polled; /* while the ready ones are being called */
	size_t n_watches, n_polled;
	bool hold_off;	  /* own loop: let the writer go on before the next look, see sink.c */
	int open_handles; /* uv handles whose memory is still in use by uv */
	void (*closed)(struct sh__loop *); /* called when open_handles is 0 again, if set */
	void *arg;
};

/* `fd`, `ready` and `arg` are the user's to set before the first start. */
struct sh__watch {
	int fd;
	sh__ready_fn ready;
	void *arg;
	struct sh__loop *loop; /* NULL: not watching */
	short events;	       /* POLLIN or POLLOUT */
	size_t polled_at;      /* index in loop->polled */
	struct link link;
	uv_poll_t *uv;
};

struct sh__timer {
	struct sh__loop *loop;
	sh__timer_fn fire;
	void *arg;
	uint64_t at_ns; /* 0: off */
	struct link link;
	uv_timer_t uv;
};

void sh__loop_init(struct sh__loop *l, uv_loop_t *uv);

/* Our own loop, but a uv loop, for the engine that needs one. */
int sh__loop_init_own_uv(struct sh__loop *l);

/* Ends what sh__loop_init_own_uv made, turning it until its handles are closed. */
void sh__loop_fini(struct sh__loop *l);

/* Waits at most until `until_ns` (0: not at all; UINT64_MAX: for ever) and calls what is
 * ready. Own loops only. 0, or UV_ENOMEM with nothing called. */
int sh__loop_turn(struct sh__loop *l, uint64_t until_ns);

/* Begins, or goes on with other events. 0 or an error of uv_poll_start; UV_ENOMEM. */
int sh__watch_start(struct sh__loop *l, struct sh__watch *w, short events);
void sh__watch_stop(struct sh__watch *w);

void sh__timer_init(struct sh__loop *l, struct sh__timer *t, sh__timer_fn fire, void *arg);
void sh__timer_set(struct sh__timer *t, uint64_t at_ns);
void sh__timer_close(struct sh__timer *t);

/* Closes a uv handle and counts it until uv has let go of it; `done` frees it, or is NULL. */
void sh__loop_close_handle(struct sh__loop *l, uv_handle_t *h, bool free_it);

#endif
