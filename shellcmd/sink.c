/* Reads one output of a command: straight into what is kept where nobody else looks at it. */
#include "shellcmd/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "shellcmd/proc.h"

enum {
	FIRST_ROOM = 4096,
	MOST_ROOM = 1 << 20,
	PIPE_BYTES = 1 << 20,	/* what an unprivileged process may ask for */
	GROW_PIPE_FROM = 32768, /* a command that writes this much at once gains from it */
	READS_PER_TURN = 128,
	BYTES_PER_TURN = 1 << 24,
	STREAM_AHEAD = 1 << 20,
	TAIL_BYTES = 4096,
	BURST_NS = 1000000,
	BURST_BYTES = 1 << 17
};

void sh__sink_init(struct sh__sink *s, struct sh_proc *p, struct sh__kept *kept)
{
	*s = (struct sh__sink){ .proc = p, .kept = kept, .room = FIRST_ROOM, .tee_fd = -1 };
	s->watch.fd = -1;
}

static void sink_ready(struct sh__watch *w);

int sh__sink_start(struct sh__sink *s, struct sh__loop *l, int fd)
{
	int r;

	s->watch = (struct sh__watch){ .fd = fd, .ready = sink_ready, .arg = s };
	if ((r = sh__watch_start(l, &s->watch, POLLIN)) < 0)
		s->watch.fd = -1;
	return r;
}

void sh__kept_drop(struct sh__kept *k, size_t n)
{
	if (!n)
		return;
	memmove(k->b.data, k->b.data + n, k->b.len - n + 1);
	k->b.len -= n;
	k->next -= k->next < n ? k->next : n;
	k->scanned -= k->scanned < n ? k->scanned : n;
	k->matched -= k->matched < n ? k->matched : n;
	k->looked -= k->looked < n ? k->looked : n;
}

/* ------------------------------------------------------------------ keeping */

/* Called after bytes were added. */
static void cut_to_max(struct sh__sink *s)
{
	struct sh__kept *k = s->kept;

	if (k->b.len <= s->max)
		return;
	if (s->overflow == SH_KEEP_TAIL) {
		/* Twice the maximum, so that moving costs little per byte. */
		if (k->b.len / 2 >= s->max)
			sh__kept_drop(k, k->b.len - s->max);
		k->cut = true;
		return;
	}
	k->b.len = s->max;
	k->b.data[k->b.len] = '\0';
	k->cut = true;
	if (s->overflow == SH_OVERFLOW_FAIL) {
		s->keeps = false;
		sh__proc_overflow(s->proc, s);
	}
}

static void keep(struct sh__sink *s, const char *p, size_t n)
{
	struct sh__kept *k = s->kept;
	size_t left = s->max > k->b.len ? s->max - k->b.len : 0;

	if (s->overflow != SH_KEEP_TAIL && n > left) {
		n = left + (s->overflow == SH_OVERFLOW_FAIL);
		k->cut = true;
	}
	if (n && bytes_add(&k->b, p, n) < 0)
		sh__proc_fail(s->proc, SH_NOMEM, UV_ENOMEM, "out of memory for its output");
	cut_to_max(s);
}

/* The end of the errors nobody keeps; what is forgotten shows in kept->total. */
static void keep_tail(struct sh__sink *s, const char *p, size_t n)
{
	if (n > TAIL_BYTES) {
		p += n - TAIL_BYTES;
		n = TAIL_BYTES;
	}
	if (s->tail.len + n > 2 * TAIL_BYTES) {
		size_t drop = s->tail.len - TAIL_BYTES;

		memmove(s->tail.data, s->tail.data + drop, TAIL_BYTES);
		s->tail.len = TAIL_BYTES;
	}
	/* Without memory the message is shorter; the command is not the worse for it. */
	(void)bytes_add(&s->tail, p, n);
}

/* ------------------------------------------------------------------ passing on */

static int wait_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, -1);
}

/* The descriptor may be the host's and non-blocking; its flag is not ours to change. */
static void copy_to_tee(struct sh__sink *s, const char *p, size_t n)
{
	while (n) {
		ssize_t done = sh__write(s->tee_fd, p, n);

		if (done < 0 && errno == EAGAIN && wait_writable(s->tee_fd) >= 0)
			continue;
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			sh__proc_fail(s->proc, SH_IO, -errno, "its output could not be copied");
			close(s->tee_fd);
			s->tee_fd = -1;
			return;
		}
		p += done;
		n -= (size_t)done;
	}
}

static void call(struct sh__sink *s, const char *p, size_t n)
{
	int verdict = sh__proc_call_data(s->proc, s->cb, p, n, s->arg);

	if (verdict != 0)
		s->cb = NULL;
	if (verdict == SH_KILL)
		sh__proc_kill(s->proc);
}

static void call_lines(struct sh__sink *s)
{
	char *at = s->part.data, *end = at + s->part.len, *from = at + s->scanned, *nl;

	while (s->cb && (nl = memchr(from, '\n', (size_t)(end - from)))) {
		call(s, at, (size_t)(nl - at));
		at = from = nl + 1;
	}
	/* A line longer than anything may be kept comes in pieces. */
	if (s->cb && (size_t)(end - at) > s->max) {
		call(s, at, (size_t)(end - at));
		at = end;
	}
	if (!s->cb)
		at = end;
	if (at != s->part.data)
		memmove(s->part.data, at, (size_t)(end - at));
	s->part.len = s->scanned = (size_t)(end - at);
}

static void hand_out(struct sh__sink *s, size_t fresh)
{
	const char *p = s->part.data + s->part.len - fresh;

	if (s->keeps)
		keep(s, p, fresh);
	else if (s->is_err)
		keep_tail(s, p, fresh);
	if (s->tee_fd >= 0)
		copy_to_tee(s, p, fresh);
	if (s->cb && s->lines) {
		call_lines(s);
		return;
	}
	if (s->cb)
		call(s, p, fresh);
	s->part.len = 0;
}

/* ------------------------------------------------------------------ reading */

static void grow(struct sh__sink *s, size_t n)
{
	if (n == s->room && s->room < MOST_ROOM)
		s->room *= 2;
#ifdef F_SETPIPE_SZ
	if (n >= GROW_PIPE_FROM && s->room < MOST_ROOM) {
		/* May be refused (a limit per user): then it stays as it is. */
		(void)fcntl(s->watch.fd, F_SETPIPE_SZ, PIPE_BYTES);
		s->room = MOST_ROOM;
	}
#endif
}

/* Bytes read, 0 at the end, UV_EAGAIN, or an error that was told to the proc. */
static ssize_t read_some(struct sh__sink *s)
{
	bool direct = s->keeps && !s->cb && s->tee_fd < 0 && s->overflow != SH_KEEP_HEAD;
	struct bytes *b = direct ? &s->kept->b : &s->part;
	size_t room = s->room;
	ssize_t n;

	if (direct && s->overflow == SH_OVERFLOW_FAIL && room > s->max - b->len + 1)
		room = s->max - b->len + 1;
	if (bytes_reserve(b, room) < 0) {
		sh__proc_fail(s->proc, SH_NOMEM, UV_ENOMEM, "out of memory for its output");
		return UV_ENOMEM;
	}
	while ((n = read(s->watch.fd, b->data + b->len, room)) < 0 && errno == EINTR)
		;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return UV_EAGAIN;
	if (n < 0 && s->is_pty && errno == EIO)
		return 0; /* Linux's way to say that no one has the terminal open */
	if (n < 0) {
		sh__proc_fail(s->proc, SH_IO, -errno, "its output could not be read");
		return -1;
	}
	if (n == 0)
		return 0;
	b->len += (size_t)n;
	b->data[b->len] = '\0';
	s->kept->total += (size_t)n;
	sh__proc_saw_output(s->proc);
	if (direct)
		cut_to_max(s);
	else
		hand_out(s, (size_t)n);
	grow(s, (size_t)n);
	return n;
}

/*
 * Output that comes this fast is read on until there is none left: asking poll(2) before each
 * read costs as much as reading a small block.
 */
static bool is_burst(struct sh__sink *s, size_t n)
{
	uint64_t now;

	s->burst_bytes += n;
	if (s->burst_bytes >= BURST_BYTES) { /* asked for the time more often, it would show */
		now = uv_hrtime();
		s->fast = now - s->burst_at <= BURST_NS;
		s->burst_at = now;
		s->burst_bytes = 0;
	}
	return s->fast;
}

static bool too_far_ahead(const struct sh__sink *s)
{
	const struct sh__kept *k = s->kept;
	size_t from = k->scanned > k->next ? k->scanned : k->next;

	return s->is_stream && k->b.len - k->next > STREAM_AHEAD &&
	       memchr(k->b.data + from, '\n', k->b.len - from);
}

static bool has_to_wait(const struct sh__sink *s)
{
	return s->proc->is_paused || too_far_ahead(s);
}

static bool cannot_block(struct sh__sink *s)
{
	int r = s->nonblocking ? 0 : sh__nonblocking(s->watch.fd);

	s->nonblocking = r == 0;
	if (r < 0)
		sh__proc_fail(s->proc, SH_IO, r, "its output could not be read");
	return r == 0;
}

void sh__sink_pause(struct sh__sink *s)
{
	if (s->watch.fd < 0 || !s->watch.loop)
		return;
	sh__watch_stop(&s->watch);
	s->paused = true;
}

static void read_on(struct sh__sink *s, bool is_ready)
{
	size_t taken = 0;
	bool fast = false;
	ssize_t n = 1;

	for (int i = 0; i < READS_PER_TURN && taken < BYTES_PER_TURN && s->watch.fd >= 0; i++) {
		size_t asked = s->room;

		if (!(is_ready && i == 0) && !cannot_block(s)) {
			n = UV_EIO;
			break;
		}
		if ((n = read_some(s)) <= 0)
			break;
		taken += (size_t)n;
		fast = is_burst(s, (size_t)n);
		/* Less than was asked for: probably empty; the next turn will tell. */
		if (((size_t)n < asked && !fast) || has_to_wait(s))
			break;
	}
	/* When the writer has had its turn there is more to read at once. */
	if (n == UV_EAGAIN && fast)
		s->proc->loop->hold_off = true;
	if (s->watch.fd >= 0 && (n == 0 || (n < 0 && n != UV_EAGAIN))) {
		sh__sink_close(s);
	} else if (s->watch.loop && s->watch.loop->uv && has_to_wait(s)) {
		sh__sink_pause(s);
	}
	sh__proc_step(s->proc);
}

void sh__sink_read(struct sh__sink *s)
{
	read_on(s, false);
}

/* Most commands write nothing: their pipes end at the first read, and are spared the rest. */
static void sink_ready(struct sh__watch *w)
{
	read_on(w->arg, true);
}

void sh__sink_resume(struct sh__sink *s, struct sh__loop *l)
{
	if (!s->paused || has_to_wait(s))
		return;
	s->paused = false;
	if (s->watch.fd >= 0 && sh__watch_start(l, &s->watch, POLLIN) < 0)
		sh__proc_fail(s->proc, SH_NOMEM, UV_ENOMEM, "out of memory for its output");
}

void sh__sink_close(struct sh__sink *s)
{
	if (s->watch.fd < 0)
		return;
	sh__watch_stop(&s->watch);
	close(s->watch.fd);
	s->watch.fd = -1;
	s->paused = false;
	if (s->cb && s->lines && s->part.len)
		call(s, s->part.data, s->part.len);
	bytes_free(&s->part);
	if (s->tee_fd >= 0)
		close(s->tee_fd);
	s->tee_fd = -1;
	if (s->keeps && s->overflow == SH_KEEP_TAIL && s->kept->b.len > s->max)
		sh__kept_drop(s->kept, s->kept->b.len - s->max);
}

void sh__sink_free(struct sh__sink *s)
{
	s->cb = NULL;
	sh__sink_close(s);
	if (s->tee_fd >= 0)
		close(s->tee_fd);
	s->tee_fd = -1;
	bytes_free(&s->part);
	bytes_free(&s->tail);
}
