/* Bounded, buffered output on a loop. Formats nothing. */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"

#define FULL_BYTES  (1u << 20) /* told to pause */
#define EMPTY_BYTES (1u << 16) /* told to go on */
#define RETRY_MS    5

struct sink {
	uv_poll_t poll; /* only if own_fd is not -1 */
	uv_timer_t retry;
	int fd;	      /* what is written to */
	int own_fd;   /* the same file, opened again without blocking; -1: could not */
	int is_plain; /* a regular file: never blocks for long */
	int is_full, code, handles;
	size_t sent; /* of buffer, already written */
	struct bytes buffer;
	struct sink_events events;
};

static void on_writable(uv_poll_t *h, int status, int events);

static void on_retry(uv_timer_t *h)
{
	sink_flush(h->data);
}

/* A pipe or terminal whose reader goes away is noticed even while nothing is written. */
static void wait_for(struct sink *s, int events)
{
	if (s->own_fd >= 0)
		uv_poll_start(&s->poll, events, on_writable);
}

struct sink *sink_open(uv_loop_t *loop, int fd, const struct sink_events *events)
{
	struct sink *s = alloc_zero(1, sizeof *s);
	struct stat st;
	char path[40];

	s->events = *events;
	s->fd = fd;
	s->own_fd = -1;
	s->is_plain = fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
	if (!s->is_plain && (S_ISFIFO(st.st_mode) || isatty(fd))) {
		snprintf(path, sizeof path, "/dev/fd/%d", fd);
		s->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (s->own_fd >= 0 && uv_poll_init(loop, &s->poll, s->own_fd) == 0) {
			s->fd = s->own_fd;
			s->poll.data = s;
			s->handles++;
			wait_for(s, UV_DISCONNECT);
			uv_unref((uv_handle_t *)&s->poll);
		} else if (s->own_fd >= 0) {
			close(s->own_fd);
			s->own_fd = -1;
		}
	}
	uv_timer_init(loop, &s->retry);
	s->retry.data = s;
	s->handles++;
	return s;
}

struct bytes *sink_buffer(struct sink *s)
{
	return &s->buffer;
}

static void fail(struct sink *s, int code)
{
	if (s->code)
		return;
	s->code = code;
	bytes_clear(&s->buffer);
	s->sent = 0;
	if (s->own_fd >= 0)
		uv_poll_stop(&s->poll);
	uv_timer_stop(&s->retry);
	s->events.failed(code, s->events.arg);
}

/* How much may be written without blocking; 0: not now. */
static size_t room(const struct sink *s, size_t want)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	if (s->is_plain || s->own_fd >= 0)
		return want;
	/* A writable pipe takes PIPE_BUF bytes: pipe(7). */
	if (poll(&p, 1, 0) <= 0)
		return 0;
	return want < 4096 ? want : 4096;
}

/* Writes until it would block. Returns 0, UV_EAGAIN or an error. */
static int push(struct sink *s)
{
	while (s->sent < s->buffer.len) {
		size_t n = room(s, s->buffer.len - s->sent);
		ssize_t done = n ? write(s->fd, s->buffer.data + s->sent, n) : -1;

		if (!n || (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)))
			return UV_EAGAIN;
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		s->sent += (size_t)done;
	}
	return 0;
}

static void set_full(struct sink *s, int is_full)
{
	if (s->is_full == is_full)
		return;
	s->is_full = is_full;
	s->events.full(is_full, s->events.arg);
}

void sink_flush(struct sink *s)
{
	int r;
	size_t left;

	if (s->code) {
		bytes_clear(&s->buffer);
		return;
	}
	r = push(s);
	if (r < 0 && r != UV_EAGAIN) {
		fail(s, r);
		return;
	}
	left = s->buffer.len - s->sent;
	if (left == 0) {
		bytes_clear(&s->buffer);
		s->sent = 0;
	} else if (s->sent > left) {
		memmove(s->buffer.data, s->buffer.data + s->sent, left);
		s->buffer.len = left;
		s->sent = 0;
	}
	if (r == UV_EAGAIN && s->own_fd < 0)
		uv_timer_start(&s->retry, on_retry, RETRY_MS, 0);
	else
		wait_for(s, UV_DISCONNECT | (r == UV_EAGAIN ? UV_WRITABLE : 0));
	if (left > FULL_BYTES)
		set_full(s, 1);
	else if (left < EMPTY_BYTES)
		set_full(s, 0);
}

static void on_writable(uv_poll_t *h, int status, int events)
{
	struct sink *s = h->data;
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	if (status < 0) {
		fail(s, status == UV_EBADF ? UV_EPIPE : status);
		return;
	}
	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)))
		fail(s, UV_EPIPE);
	else if (events & UV_WRITABLE)
		sink_flush(s);
}

static void on_closed(uv_handle_t *h)
{
	struct sink *s = h->data;

	if (--s->handles > 0)
		return;
	if (s->own_fd >= 0)
		close(s->own_fd);
	bytes_free(&s->buffer);
	free(s);
}

int sink_close(struct sink *s, int timeout_ms)
{
	uint64_t end = uv_hrtime() / 1000000 + (uint64_t)timeout_ms, now;
	int r = s->code;

	while (r == 0 && (r = push(s)) == UV_EAGAIN) {
		struct pollfd p = { .fd = s->fd, .events = POLLOUT };

		now = uv_hrtime() / 1000000;
		if (now >= end)
			break;
		if (poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR)
			break;
		r = 0;
	}
	if (s->own_fd >= 0)
		uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->retry, on_closed);
	return r;
}
