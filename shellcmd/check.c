/*
 * Judges calls: what makes no sense is refused with the fields named, before anything is
 * started. What only the kernel can know (a path, a limit, a permission) is not judged here.
 */
#include "shellcmd/spec.h"

#include <signal.h>
#include <string.h>

#include "shellcmd/spawn.h"

enum {
	DEFAULT_GRACE_MS = 2000,
	DEFAULT_DRAIN_MS = 500,
	LAST_SIGNAL = 64,
	OK_IN = 1,
	OK_OUT = 2,
	OK_ERR = 4,
	OK_TEE = 8
};

#define DEFAULT_MAX_OUT (SIZE_MAX / 4 < 0x80000000u ? SIZE_MAX / 8 : 0x80000000u)

/* In the order of enum sh_io_kind: its name, and where it may stand. */
static const struct {
	const char *name;
	int ok;
} kinds[] = {
	{ "the default", OK_IN | OK_OUT | OK_ERR },
	{ "SH_CAPTURE", OK_OUT | OK_ERR },
	{ "SH_NULL", OK_IN | OK_OUT | OK_ERR },
	{ "SH_INHERIT", OK_IN | OK_OUT | OK_ERR | OK_TEE },
	{ "SH_MERGE", OK_ERR },
	{ "SH_FD", OK_IN | OK_OUT | OK_ERR | OK_TEE },
	{ "SH_FILE", OK_IN | OK_OUT | OK_ERR | OK_TEE },
	{ "SH_APPEND", OK_OUT | OK_ERR | OK_TEE },
	{ "SH_BYTES", OK_IN },
	{ "SH_LINES", OK_OUT | OK_ERR | OK_TEE },
	{ "SH_CHUNKS", OK_OUT | OK_ERR | OK_TEE },
	{ "SH_PULL", OK_IN },
	{ "SH_TEE", OK_OUT | OK_ERR },
	{ "SH_FEED", OK_IN },
	{ "SH_STREAM", OK_OUT | OK_ERR },
};

static void check_io(struct sh__spec *s, const char *name, const sh_io *io, int place)
{
	if (io->kind < 0 || (size_t)io->kind >= sizeof kinds / sizeof *kinds) {
		sh__spec_invalid(s, "%s has the unknown kind %d", name, io->kind);
		return;
	}
	if (!(kinds[io->kind].ok & place))
		sh__spec_invalid(s, "%s cannot be %s", name, kinds[io->kind].name);
	if ((io->kind == SH_IO_FILE || io->kind == SH_IO_APPEND) && !io->ptr)
		sh__spec_invalid(s, "%s: the path of %s is NULL", name, kinds[io->kind].name);
	if (io->kind == SH_IO_FD && io->fd < 0)
		sh__spec_invalid(s, "%s: SH_FD(%d) is no descriptor", name, io->fd);
	if ((io->kind == SH_IO_LINES || io->kind == SH_IO_CHUNKS) && !io->data)
		sh__spec_invalid(s, "%s: the callback of %s is NULL", name,
				 kinds[io->kind].name);
	if (io->kind == SH_IO_PULL && !io->pull)
		sh__spec_invalid(s, "%s: the callback of SH_PULL is NULL", name);
	if (io->kind == SH_IO_TEE && !io->to)
		sh__spec_invalid(s, "%s: SH_TEE(NULL)", name);
	else if (io->kind == SH_IO_TEE)
		check_io(s, "the target of SH_TEE", io->to, OK_TEE);
}

static void check_numbers(struct sh__spec *s)
{
	const sh_call *c = &s->call;
	const struct {
		const char *name;
		int64_t ms;
	} times[] = {
		{ "timeout_ms", c->timeout_ms },
		{ "idle_ms", c->idle_ms },
		{ "grace_ms", c->grace_ms },
		{ "drain_ms", c->drain_ms },
	};

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (times[i].ms < 0)
			sh__spec_invalid(s, "%s is negative", times[i].name);
	if (c->stop_signal < 0 || c->stop_signal > LAST_SIGNAL)
		sh__spec_invalid(s, "stop_signal: there is no signal %d", c->stop_signal);
	if (c->overflow < SH_OVERFLOW_FAIL || c->overflow > SH_KEEP_TAIL)
		sh__spec_invalid(s, "overflow has the unknown value %d", c->overflow);
	if (c->umask && (c->umask & ~0777) != SH_UMASK(0))
		sh__spec_invalid(s, "umask is %#o: write SH_UMASK(%#o)", (unsigned)c->umask,
				 (unsigned)c->umask & 0777u);
	if (c->nice < -40 || c->nice > 40)
		sh__spec_invalid(s, "nice is %d: -40 to 40 make a difference", c->nice);
	if ((c->rows || c->cols) && !c->pty)
		sh__spec_invalid(s, "%s is set, but pty is not", c->rows ? "rows" : "cols");
	if (c->cwd && !*c->cwd)
		sh__spec_invalid(s, "cwd is empty");
	if (c->user && !*c->user)
		sh__spec_invalid(s, "user is empty");
	if (c->stopped && !c->guard)
		sh__spec_invalid(s, "stopped is set, but guard is not");
	if (c->guardian && !c->guard)
		sh__spec_invalid(s, "guardian is set, but guard is not");
}

static void check_lists(struct sh__spec *s)
{
	const sh_call *c = &s->call;

	for (size_t i = 0; c->env && c->env[i]; i++)
		if (c->env[i][0] == '=' || !strchr(c->env[i], '='))
			sh__spec_invalid(s, "env: \"%.60s\" is not NAME=value", c->env[i]);
	for (size_t i = 0; c->unset && c->unset[i]; i++)
		if (!c->unset[i][0] || strchr(c->unset[i], '='))
			sh__spec_invalid(s, "unset: \"%.60s\" is not a name", c->unset[i]);
	if (c->ok.n && !c->ok.v && c->ok.n != (size_t)-1)
		sh__spec_invalid(s, "ok has a count but no codes");
	if (c->fds.n && !c->fds.v)
		sh__spec_invalid(s, "fds has a count but no descriptors");
	if (c->rlimits.n && !c->rlimits.v)
		sh__spec_invalid(s, "rlimits has a count but no limits");
	if (s->invalid[0])
		return;
	for (size_t i = 0; i < c->fds.n; i++) {
		if (c->fds.v[i].child < 3 || c->fds.v[i].fd < 0)
			sh__spec_invalid(s,
					 "fds: { %d, %d }: the child's must be 3 or more, "
					 "and ours 0 or more",
					 c->fds.v[i].child, c->fds.v[i].fd);
		for (size_t j = 0; j < i; j++)
			if (c->fds.v[i].child == c->fds.v[j].child)
				sh__spec_invalid(s, "fds has the child's %d twice",
						 c->fds.v[i].child);
	}
}

static void check_conflicts(struct sh__spec *s)
{
	const sh_call *c = &s->call;
	bool redirected =
	    c->in.kind == SH_IO_INHERIT || c->in.kind == SH_IO_FILE || c->in.kind == SH_IO_FD;
	int out = c->out.kind;
	const struct {
		bool both;
		const char *one, *other;
	} pairs[] = {
		{ c->pty && c->keep_group, "pty", "keep_group" },
		{ c->pty && c->detach, "pty", "detach" },
		{ c->pty && c->foreground_tty, "pty", "foreground_tty" },
		{ c->pty && c->err.kind && c->err.kind != SH_IO_MERGE, "pty", "err" },
		{ c->pty && redirected, "pty", "in" },
		{ c->pty && (out == SH_IO_INHERIT || out == SH_IO_FILE || out == SH_IO_FD ||
			     out == SH_IO_APPEND || out == SH_IO_NULL),
		  "pty", "out" },
		{ c->session && c->keep_group, "session", "keep_group" },
		{ c->session && c->foreground_tty, "session", "foreground_tty" },
		{ c->detach && c->keep_group, "detach", "keep_group" },
		{ c->detach && c->foreground_tty, "detach", "foreground_tty" },
		{ c->detach && c->die_with_parent, "detach", "die_with_parent" },
		{ c->detach && c->guard, "detach", "guard" },
		{ c->guard && c->keep_group, "guard", "keep_group" },
		{ c->stop_left && c->keep_group, "stop_left", "keep_group" },
		{ c->foreground_tty && c->keep_group, "foreground_tty", "keep_group" },
	};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (pairs[i].both)
			sh__spec_invalid(s, "%s and %s exclude each other", pairs[i].one,
					 pairs[i].other);
}

static void check_engine(struct sh__spec *s)
{
	const struct sh__engine *e = sh__engine();
	const sh_call *c = &s->call;
	const struct {
		bool wanted;
		unsigned can;
		const char *name;
	} needs[] = {
		{ c->pty, SH__CAN_PTY, "pty" },
		{ c->umask != 0, SH__CAN_UMASK, "umask" },
		{ c->rlimits.n != 0, SH__CAN_RLIMITS, "rlimits" },
		{ c->nice != 0, SH__CAN_NICE, "nice" },
		{ c->foreground_tty, SH__CAN_TTY, "foreground_tty" },
	};

	for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
		if (needs[i].wanted && !(e->can & needs[i].can))
			sh__spec_invalid(s, "%s cannot be done by the engine \"%s\"",
					 needs[i].name, e->name);
}

static bool is_seen(const sh_io *io)
{
	switch (io->kind) {
	case SH_IO_DEFAULT:
	case SH_IO_CAPTURE:
	case SH_IO_LINES:
	case SH_IO_CHUNKS:
	case SH_IO_TEE:
	case SH_IO_STREAM:
		return true;
	default:
		return false;
	}
}

static bool has_callback(const sh_io *io)
{
	return io->data || (io->kind == SH_IO_TEE && io->to && io->to->data);
}

static void check_spec(struct sh__spec *s)
{
	if (s->invalid[0])
		return;
	if (!s->argc)
		sh__spec_invalid(s, "there is no command");
	check_io(s, "in", &s->call.in, OK_IN);
	check_io(s, "out", &s->call.out, OK_OUT);
	check_io(s, "err", &s->call.err, OK_ERR);
	check_numbers(s);
	check_lists(s);
	check_conflicts(s);
	check_engine(s);
}

/* ------------------------------------------------------------------ all stages together */

#define WHOLE(field)                                                                           \
	do {                                                                                   \
		if (c->field && w->field && c->field != w->field)                              \
			sh__spec_invalid(s, #field " concerns the whole pipeline, but two "    \
						   "stages differ");                           \
		if (c->field)                                                                  \
			w->field = c->field;                                                   \
	} while (0)

static void join_whole(struct sh__spec *s, struct sh__whole *w)
{
	const sh_call *c = &s->call;

	WHOLE(timeout_ms);
	WHOLE(idle_ms);
	WHOLE(grace_ms);
	WHOLE(drain_ms);
	WHOLE(stop_signal);
	WHOLE(overflow);
	WHOLE(max_out);
	WHOLE(loop);
	WHOLE(done);
	WHOLE(arg);
	WHOLE(held);
	WHOLE(dry_run);
	WHOLE(stopped);
	WHOLE(stop_left);
}

static void check_place(struct sh__spec *s, size_t i, size_t n)
{
	const sh_call *c = &s->call;

	if (i > 0 && c->in.kind)
		sh__spec_invalid(s, "in is set, but the stage reads from the pipeline");
	if (i + 1 < n && c->out.kind)
		sh__spec_invalid(s, "out is set, but the stage writes into the pipeline");
	if (n > 1 && (c->pty || c->foreground_tty))
		sh__spec_invalid(s, "%s is for a single command, not for a pipeline",
				 c->pty ? "pty" : "foreground_tty");
}

static void check_manner(struct sh__spec *specs, size_t n, const struct sh__whole *w,
			 enum sh__manner manner)
{
	struct sh__spec *s = &specs[0], *last = &specs[n - 1];
	bool calls_back = false, seen = is_seen(&last->call.out) || last->call.pty;

	for (size_t i = 0; i < n; i++) {
		calls_back |=
		    has_callback(&specs[i].call.out) || has_callback(&specs[i].call.err);
		seen |= is_seen(&specs[i].call.err);
	}
	if (manner == SH__WAITED && (w->loop || w->done || w->held))
		sh__spec_invalid(s, "%s is for sh_start(), not for a call that waits",
				 w->loop   ? "loop"
				 : w->done ? "done"
					   : "held");
	if (manner == SH__WAITED && s->call.in.kind == SH_IO_FEED && !calls_back)
		sh__spec_invalid(s, "in is SH_FEED, but nothing can call sh_write()");
	if (manner == SH__WAITED && specs[n - 1].call.out.kind == SH_IO_STREAM)
		sh__spec_invalid(last, "out is SH_STREAM, but nothing can call sh_next()");
	if (w->idle_ms && !seen)
		sh__spec_invalid(s, "idle_ms is set, but neither out nor err is seen here");
}

int sh__spec_whole(struct sh__spec *specs, size_t n, enum sh__manner manner,
		   struct sh__whole *w)
{
	*w = (struct sh__whole){ 0 };
	for (size_t i = 0; i < n; i++) {
		check_spec(&specs[i]);
		join_whole(&specs[i], w);
		check_place(&specs[i], i, n);
	}
	check_manner(specs, n, w, manner);
	w->stop_signal = w->stop_signal ? w->stop_signal : SIGTERM;
	w->grace_ms = w->grace_ms ? w->grace_ms : DEFAULT_GRACE_MS;
	w->drain_ms = w->drain_ms ? w->drain_ms : DEFAULT_DRAIN_MS;
	w->max_out = w->max_out ? w->max_out : DEFAULT_MAX_OUT;
	for (size_t i = 0; i < n; i++)
		if (specs[i].invalid[0])
			return (int)i;
	return -1;
}
