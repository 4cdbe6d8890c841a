/* Makes what a stage reads and writes: pipes, files, the host's descriptors, a terminal. */
#include "shellcmd/wires.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20 };

static int set(struct sh__wires *w, int which, int fd, bool ours)
{
	w->fd[which] = fd;
	w->ours[which] = ours;
	return fd < 0 ? fd : 0;
}

void sh__wires_close(struct sh__wires *w)
{
	for (int i = 0; i < 3; i++) {
		if (w->ours[i] && w->fd[i] >= 0)
			close(w->fd[i]);
		w->fd[i] = -1;
		w->ours[i] = false;
	}
}

static int no_pipe(struct sh__stage *st, int r)
{
	sh__stage_failed(st, r == UV_ENOMEM ? SH_NOMEM : SH_SPAWN, r, "no pipe for it: %s",
			 uv_strerror(r));
	return r;
}

static int wire_null(struct sh__stage *st, struct sh__wires *w, int which)
{
	int r = set(w, which, sh__open_null(), true);

	if (r < 0)
		sh__stage_failed(st, SH_SPAWN, r, "/dev/null cannot be opened: %s",
				 uv_strerror(r));
	return r;
}

static int open_file(struct sh__stage *st, const sh_io *io, int flags)
{
	int fd = open(io->ptr, flags | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : sh__above_stdio(fd);

	if (r < 0)
		sh__stage_failed(
		    st, SH_SPAWN, r, "cannot open %s for %s: %s", (const char *)io->ptr,
		    (flags & O_ACCMODE) == O_RDONLY ? "input" : "output", uv_strerror(r));
	return r;
}

static int file_flags(const sh_io *io, int which)
{
	if (which == 0)
		return O_RDONLY;
	return O_WRONLY | O_CREAT | (io->kind == SH_IO_APPEND ? O_APPEND : O_TRUNC);
}

/* What both directions have in common: files and descriptors. */
static int wire_plain(struct sh__stage *st, struct sh__wires *w, int which, const sh_io *io)
{
	int fd = io->kind == SH_IO_INHERIT ? which : io->fd;

	switch (io->kind) {
	case SH_IO_FILE:
	case SH_IO_APPEND:
		return set(w, which, open_file(st, io, file_flags(io, which)), true);
	case SH_IO_FD:
	case SH_IO_INHERIT:
		if (fcntl(fd, F_GETFD) >= 0)
			return set(w, which, fd, false);
		if (io->kind == SH_IO_INHERIT) /* the host runs without it */
			return wire_null(st, w, which);
		sh__stage_failed(st, SH_SPAWN, UV_EBADF, "%s: SH_FD(%d) is not open here",
				 which == 0 ? "in" : which == 1 ? "out" : "err", fd);
		return UV_EBADF;
	default:
		return wire_null(st, w, which);
	}
}

/* ------------------------------------------------------------------ input */

static int wire_source(sh_proc *p, struct sh__wires *w, const sh_io *io)
{
	struct sh__stage *st = &p->stages[0];
	int fds[2], r = sh__pipe(fds);

	(void)io; /* its length matters where pipes can be made larger */
	if (r < 0)
		return no_pipe(st, r);
	set(w, 0, fds[0], true);
	if ((r = sh__nonblocking(fds[1])) < 0) {
		close(fds[1]);
		return no_pipe(st, r);
	}
#ifdef F_SETPIPE_SZ
	if (io->len > 65536)
		(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
#endif
	p->in.watch.fd = fds[1];
	return 0;
}

static void set_source(sh_proc *p, const sh_io *io)
{
	p->in.pull = io->kind == SH_IO_PULL ? io->pull : NULL;
	p->in.arg = io->arg;
	p->in.text = io->kind == SH_IO_BYTES ? io->ptr : NULL;
	p->in.text_len = io->kind == SH_IO_BYTES ? io->len : 0;
	p->in.feeds = io->kind == SH_IO_FEED;
	p->in.ended = io->kind != SH_IO_PULL && io->kind != SH_IO_FEED;
}

static int wire_in(sh_proc *p, struct sh__wires *w)
{
	const sh_io *io = &p->stages[0].spec.call.in;

	if (io->kind == SH_IO_PULL || io->kind == SH_IO_FEED ||
	    (io->kind == SH_IO_BYTES && io->len)) {
		set_source(p, io);
		return wire_source(p, w, io);
	}
	return wire_plain(&p->stages[0], w, 0, io);
}

/* ------------------------------------------------------------------ output */

static int set_tee(struct sh__stage *st, struct sh__sink *s, const sh_io *to, int which)
{
	int fd = to->kind == SH_IO_INHERIT ? which : to->fd;

	if (to->data)
		return 0;
	if (to->kind == SH_IO_FILE || to->kind == SH_IO_APPEND) {
		s->tee_fd = open_file(st, to, file_flags(to, which));
	} else if ((s->tee_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
		s->tee_fd = -errno;
		sh__stage_failed(st, SH_SPAWN, s->tee_fd,
				 "descriptor %d cannot be copied to: %s", fd,
				 uv_strerror(s->tee_fd));
	}
	return s->tee_fd < 0 ? s->tee_fd : 0;
}

static int set_sink(sh_proc *p, struct sh__stage *st, struct sh__sink *s, const sh_io *io)
{
	const sh_io *calls = io->kind == SH_IO_TEE ? io->to : io;

	s->max = p->whole.max_out;
	s->overflow = p->whole.overflow;
	s->keeps = io->kind != SH_IO_LINES && io->kind != SH_IO_CHUNKS;
	s->is_stream = io->kind == SH_IO_STREAM;
	s->cb = calls->data;
	s->arg = calls->arg;
	s->lines = calls->kind == SH_IO_LINES;
	return io->kind == SH_IO_TEE ? set_tee(st, s, io->to, s->is_err ? 2 : 1) : 0;
}

static int wire_sink(sh_proc *p, struct sh__stage *st, struct sh__wires *w, int which,
		     const sh_io *io)
{
	struct sh__sink *s = which == 1 ? &p->out : &st->err;
	int fds[2], r;

	if ((r = set_sink(p, st, s, io)) < 0)
		return r;
	if ((r = sh__pipe(fds)) < 0)
		return no_pipe(st, r);
	set(w, which, fds[1], true);
	if ((r = sh__sink_start(s, p->loop, fds[0])) < 0) {
		close(fds[0]);
		return no_pipe(st, r);
	}
	return 0;
}

static int wire_out(sh_proc *p, struct sh__stage *st, struct sh__wires *w, int which)
{
	const sh_call *c = &st->spec.call;
	const sh_io *io = which == 1 ? &c->out : &c->err;

	switch (io->kind) {
	case SH_IO_MERGE:
		return set(w, 2, w->fd[1], false);
	case SH_IO_DEFAULT:
		if (c->detach)
			return wire_null(st, w, which);
		return wire_sink(p, st, w, which, io);
	case SH_IO_CAPTURE:
	case SH_IO_LINES:
	case SH_IO_CHUNKS:
	case SH_IO_TEE:
	case SH_IO_STREAM:
		return wire_sink(p, st, w, which, io);
	default:
		return wire_plain(st, w, which, io);
	}
}

/* ------------------------------------------------------------------ between, and a pty */

static int wire_next(struct sh__stage *st, struct sh__wires *w)
{
	int fds[2], r = sh__pipe(fds);

	if (r < 0)
		return no_pipe(st, r);
#ifdef F_SETPIPE_SZ
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
#endif
	w->next_in = fds[0];
	return set(w, 1, fds[1], true);
}

static int no_terminal(struct sh__stage *st, int r)
{
	sh__stage_failed(st, r == UV_ENOMEM ? SH_NOMEM : SH_SPAWN, r, "no terminal for it: %s",
			 uv_strerror(r));
	return r;
}

static int wire_pty(sh_proc *p, struct sh__wires *w)
{
	struct sh__stage *st = &p->stages[0];
	const sh_io *in = &st->spec.call.in;
	int ours, theirs, r = sh__pty_open(&st->spec.call, &ours, &theirs);

	if (r < 0)
		return no_terminal(st, r);
	set(w, 0, theirs, true);
	set(w, 1, theirs, false);
	set(w, 2, theirs, false);
	p->out.is_pty = p->in.is_pty = true;
	p->pty_fd = fcntl(ours, F_DUPFD_CLOEXEC, 3);
	p->in.watch.fd = fcntl(ours, F_DUPFD_CLOEXEC, 3);
	r = p->pty_fd < 0 || p->in.watch.fd < 0 ? -errno : 0;
	if (r == 0)
		r = set_sink(p, st, &p->out, &st->spec.call.out);
	if (r == 0)
		r = sh__sink_start(&p->out, p->loop, ours);
	p->out.nonblocking = true;
	if (r < 0) {
		close(ours);
		return no_terminal(st, r);
	}
	set_source(p, in);
	/* Whoever can write to it decides when its input ends. */
	if (in->kind == SH_IO_DEFAULT && (!p->waited || p->out.cb)) {
		p->in.feeds = true;
		p->in.ended = false;
	}
	return 0;
}

int sh__wires_make(sh_proc *p, size_t i, int in, struct sh__wires *w)
{
	struct sh__stage *st = &p->stages[i];
	int r;

	*w = (struct sh__wires){ .fd = { -1, -1, -1 }, .next_in = -1 };
	if (st->spec.call.pty)
		return wire_pty(p, w);
	r = i ? set(w, 0, in, true) : wire_in(p, w);
	if (r == 0)
		r = i + 1 < p->n ? wire_next(st, w) : wire_out(p, st, w, 1);
	if (r == 0)
		r = wire_out(p, st, w, 2);
	return r;
}
