/* Writes a command's input: text, what sh_write queued, or what a callback has. */
#include "shellcmd/stream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "shellcmd/proc.h"

enum { PULL_BYTES = 65536 };

/* A SIGPIPE that our write raised is taken back; one that was pending before stays. */
ssize_t sh__write(int fd, const void *p, size_t n)
{
	sigset_t sigpipe, old, pending;
	bool was_pending;
	ssize_t done;
	int saved, got;

	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE);
	done = write(fd, p, n);
	saved = errno;
	if (done < 0 && saved == EPIPE && !was_pending) {
		sigpending(&pending);
		if (sigismember(&pending, SIGPIPE))
			sigwait(&sigpipe, &got);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return done;
}

static void source_ready(struct sh__watch *w)
{
	struct sh__source *s = w->arg;

	sh__source_push(s);
	sh__proc_step(s->proc);
}

int sh__source_start(struct sh__source *s, struct sh__loop *l, int fd)
{
	s->loop = l;
	s->watch = (struct sh__watch){ .fd = fd, .ready = source_ready, .arg = s };
	sh__source_push(s);
	return 0;
}

void sh__source_close(struct sh__source *s)
{
	if (s->watch.fd < 0)
		return;
	sh__watch_stop(&s->watch);
	close(s->watch.fd);
	s->watch.fd = -1;
}

void sh__source_free(struct sh__source *s)
{
	sh__source_close(s);
	bytes_free(&s->queue);
}

/* 1: there is something in the queue; 0: nothing now; negative: told to the proc. */
static int pull(struct sh__source *s)
{
	int n;

	s->sent = s->queue.len = 0;
	if (bytes_reserve(&s->queue, PULL_BYTES) < 0) {
		sh__proc_fail(s->proc, SH_NOMEM, UV_ENOMEM, "out of memory for its input");
		return UV_ENOMEM;
	}
	s->pulling = true;
	n = sh__proc_call_pull(s->proc, s->pull, s->queue.data, PULL_BYTES, s->arg);
	s->pulling = false;
	if (n == UV_EAGAIN)
		return 0;
	if (n < 0 || n > PULL_BYTES) {
		sh__proc_fail(s->proc, SH_IO, n < 0 ? n : UV_EINVAL, "its input failed");
		return UV_EIO;
	}
	s->queue.len = (size_t)n;
	s->ended |= n == 0;
	return n > 0;
}

/* What is to be written next; 0 bytes: nothing now. */
static int next_bytes(struct sh__source *s, const char **p, size_t *n)
{
	*n = 0;
	if (s->text_len) {
		*p = s->text;
		*n = s->text_len;
	} else if (s->sent < s->queue.len || (s->pull && !s->ended && pull(s) > 0)) {
		*p = s->queue.data + s->sent;
		*n = s->queue.len - s->sent;
	}
	return s->watch.fd < 0 ? UV_EPIPE : 0; /* the callback may have ended it all */
}

static void advance(struct sh__source *s, const char *p, size_t n)
{
	if (s->is_pty)
		s->mid_line = p[n - 1] != '\n';
	if (s->text_len) {
		s->text += n;
		s->text_len -= n;
		return;
	}
	s->sent += n;
	if (s->sent == s->queue.len)
		s->sent = s->queue.len = 0;
}

/* A terminal has no end; ^D ends a read, and in the middle of a line it only sends that. */
static bool has_end_to_write(struct sh__source *s)
{
	static const char ends[] = "\4\4";

	if (!s->is_pty || s->end_written)
		return false;
	s->end_written = true;
	s->text_len = s->mid_line ? 2 : 1;
	s->text = ends;
	return true;
}

static void watch(struct sh__source *s)
{
	int r = sh__watch_start(s->loop, &s->watch, POLLOUT);

	if (r < 0)
		sh__proc_fail(s->proc, SH_IO, r, "its input cannot be watched");
}

/* That it reads no more (EIO: a terminal that it has closed) is its own affair. */
static void give_up(struct sh__source *s, int error)
{
	s->broken = true;
	sh__source_close(s);
	if (error != EPIPE && !(s->is_pty && error == EIO))
		sh__proc_fail(s->proc, SH_IO, -error, "its input could not be written");
}

void sh__source_push(struct sh__source *s)
{
	const char *p = NULL;
	size_t n;
	ssize_t done;

	while (s->watch.fd >= 0) {
		if (next_bytes(s, &p, &n) < 0)
			return;
		if (!n && s->ended) {
			if (has_end_to_write(s))
				continue;
			sh__source_close(s);
			return;
		}
		if (!n) {
			sh__watch_stop(&s->watch);
			return;
		}
		done = sh__write(s->watch.fd, p, n);
		if (done > 0) {
			advance(s, p, (size_t)done);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			watch(s);
			return;
		} else if (errno != EINTR) {
			give_up(s, errno);
		}
	}
}
