/*
 * Makes the result of a command that has ended, and the message that says what a person can
 * do about it: the command as it would be typed, the reason, and the end of its errors.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shellcmd/proc.h"
#include "shellcmd/quote.h"

enum {
	MESSAGE_TAIL = 2000,
	MESSAGE_COMMAND = 1000,
	MOST_CONTINUATION = 3 /* bytes of a UTF-8 character */
};

/* What is behind the sh_result a caller sees. */
struct made {
	sh_result r;
	struct bytes out, err, command, message;
	sh_stage *stages;
};

const sh_result sh__result_nomem = {
	.status = SH_NOMEM,
	.exit_code = -1,
	.sys_errno = UV_ENOMEM,
	.out = "",
	.err = "",
	.command = "",
	.message = "out of memory",
};

void sh_free(sh_result *r)
{
	struct made *m = (struct made *)(void *)r;

	if (!r || r == &sh__result_nomem)
		return;
	bytes_free(&m->out);
	bytes_free(&m->err);
	bytes_free(&m->command);
	bytes_free(&m->message);
	free(m->stages);
	free(m);
}

/* ------------------------------------------------------------------ what counts as failure */

static bool is_ok(const sh_codes *ok, int code)
{
	if (ok->n == (size_t)-1 && !ok->v)
		return true;
	if (!ok->n)
		return code == 0;
	for (size_t i = 0; i < ok->n; i++)
		if (ok->v[i] == code)
			return true;
	return false;
}

static void judge_stage(const sh_proc *p, size_t i, sh_stage *out)
{
	const struct sh__stage *st = &p->stages[i];
	const struct sh__child *c = &st->child;

	*out = (sh_stage){ .status = st->status, .exit_code = -1, .pid = c->pid };
	if (st->status || !st->started)
		return;
	if (c->lost) {
		out->status = SH_LOST;
	} else if (c->term_signal) {
		out->term_signal = c->term_signal;
		/* Its reader had enough: that is how a pipeline ends. */
		if (!(i + 1 < p->n && c->term_signal == SIGPIPE) &&
		    !is_ok(&st->spec.call.ok, -c->term_signal))
			out->status = SH_SIGNAL;
	} else {
		out->exit_code = c->exit_code;
		if (!is_ok(&st->spec.call.ok, c->exit_code))
			out->status = SH_EXIT;
	}
}

/* Stages that were stopped because another could not be started are not the cause. */
static size_t failed_stage(const sh_proc *p, const sh_stage *stages)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->stages[i].status)
			return i;
	for (size_t i = 0; i < p->n; i++)
		if (stages[i].status)
			return i;
	return p->n - 1;
}

static void set_outcome(const sh_proc *p, struct made *m)
{
	size_t at = failed_stage(p, m->stages);
	const sh_stage *s = &m->stages[at];
	sh_result *r = &m->r;

	r->status = p->status ? p->status : s->status;
	r->exit_code = s->exit_code;
	r->term_signal = s->term_signal;
	r->sys_errno = p->status ? p->sys_errno : p->stages[at].sys_errno;
	r->stage = r->status ? (int)at : 0;
	r->flags = p->flags | (p->whole.dry_run ? SH_DRY : 0);
	if (p->kept_out.cut || p->kept_err.cut)
		r->flags |= SH_TRUNCATED;
	r->wall_ns = p->started_ns ? p->ended_ns - p->started_ns : 0;
	for (size_t i = 0; i < p->n; i++) {
		const struct sh__child *c = &p->stages[i].child;

		r->flags |= c->core ? SH_CORE : 0;
		r->user_ns += c->user_ns;
		r->sys_ns += c->sys_ns;
		if (c->maxrss_kib > r->maxrss_kib)
			r->maxrss_kib = c->maxrss_kib;
	}
}

/* ------------------------------------------------------------------ the message */

static int add_command(struct bytes *b, const sh_proc *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		if (i)
			r = bytes_adds(b, " | ");
		if (r == 0)
			r = sh__quote_command(b, (const char *const *)p->stages[i].spec.argv);
	}
	return r ? r : bytes_adds(b, "");
}

/* Shown to a person: nothing in it moves a cursor. What is in `as_is` stays. */
static int add_printable(struct bytes *b, const char *p, size_t n, const char *as_is)
{
	int r = 0;

	while (r == 0 && n) {
		size_t len = *p && strchr(as_is, *p) ? 1 : sh__printable(p, n);

		r = len ? bytes_add(b, p, len) : bytes_addf(b, "\\x%02x", (unsigned char)*p);
		len = len ? len : 1;
		p += len;
		n -= len;
	}
	return r;
}

static int add_reason(struct bytes *b, const sh_proc *p, const sh_result *r)
{
	const struct sh__stage *st = &p->stages[r->stage];
	const char *name = r->term_signal ? strsignal(r->term_signal) : NULL;

	if (!p->status && st->reason.len)
		return add_printable(b, st->reason.data, st->reason.len, "");
	switch (r->status) {
	case SH_EXIT:
		return bytes_addf(b, "exit code %d", r->exit_code);
	case SH_SIGNAL:
		return bytes_addf(b, "died by signal %d (%s)%s", r->term_signal,
				  name ? name : "unknown",
				  r->flags & SH_CORE ? ", core dumped" : "");
	case SH_LOST:
		return bytes_adds(b, "it has ended, but its exit code was taken by another "
				     "part of this program (waitpid(-1), or SIGCHLD ignored)");
	case SH_CANCELED:
		return bytes_adds(b, "stopped");
	default:
		break;
	}
	if (p->reason && p->sys_errno && r->status == SH_IO)
		return bytes_addf(b, "%s: %s", p->reason, uv_strerror(p->sys_errno));
	return bytes_adds(b, p->reason ? p->reason : sh_status_name(r->status));
}

static int add_reason_numbers(struct bytes *b, const sh_proc *p, const sh_result *r)
{
	const struct sh__whole *w = &p->whole;

	if (r->status == SH_OVERFLOW)
		return bytes_addf(b, " (%zu bytes)", w->max_out);
	if (r->status != SH_TIMEOUT)
		return 0;
	return bytes_addf(b, " (%lld ms)", (long long)(p->silent ? w->idle_ms : w->timeout_ms));
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* From the start of a line, where that does not cost much, and not from within a character. */
static void tail_of(const char *data, size_t len, const char **p, size_t *n)
{
	size_t from = len > MESSAGE_TAIL ? len - MESSAGE_TAIL : 0;
	const char *nl;

	if (from && (nl = memchr(data + from, '\n', len - from - 1)) &&
	    nl - (data + from) < 200)
		from = (size_t)(nl + 1 - data);
	for (int i = 0; i < MOST_CONTINUATION && from && is_continuation(data[from]); i++)
		from++;
	*p = data + from;
	*n = len - from;
	while (*n && ((*p)[*n - 1] == '\n' || (*p)[*n - 1] == '\r'))
		(*n)--;
}

/* The end of its errors; of its output, where the two are one. */
static int add_tail(struct bytes *b, const sh_proc *p, const sh_result *r)
{
	const struct sh__stage *st = &p->stages[r->stage];
	int merged = st->spec.call.err.kind == SH_IO_MERGE || st->spec.call.pty;
	const struct sh__kept *k = merged ? &p->kept_out : &p->kept_err;
	const struct bytes *from = k->b.len ? &k->b : &st->err.tail;
	const char *tail, *what = merged ? "output" : "errors";
	size_t n, cut;
	int err = 0;

	if (!from->len)
		return 0;
	tail_of(from->data, from->len, &tail, &n);
	if (!n)
		return 0;
	/* Its end was not kept (max_out): what is shown is not the tail; say what is missing.
	 */
	cut = (size_t)(tail - from->data) + (size_t)(k->total - from->len);
	if (cut)
		err = bytes_addf(b, "\n[%zu bytes of its %s are not shown]", cut, what);
	if (err == 0)
		err = bytes_adds(b, "\n");
	return err ? err : add_printable(b, tail, n, "\n\t");
}

/* All of it is in the result's `command`; who reads the message wants to see the reason. */
static int add_short_command(struct bytes *b, const struct bytes *command)
{
	size_t n = command->len < MESSAGE_COMMAND ? command->len : MESSAGE_COMMAND;
	int err;

	if (!command->len)
		return bytes_adds(b, "(no command)");
	if (n == command->len)
		return bytes_add(b, command->data, n);
	for (int i = 0; i < MOST_CONTINUATION && is_continuation(command->data[n]); i++)
		n--;
	err = bytes_add(b, command->data, n);
	return err ? err : bytes_addf(b, "[%zu bytes more]", command->len - n);
}

/* "a | b: stage 1 (b): " */
static int add_place(struct bytes *b, const struct bytes *command, const sh_proc *p, size_t at)
{
	const struct sh__spec *spec = &p->stages[at].spec;
	const char *name = spec->argc ? spec->argv[0] : "";
	int err = add_short_command(b, command);

	if (err == 0 && p->n > 1) {
		err = bytes_addf(b, ": stage %zu (", at);
		if (err == 0)
			err = add_printable(b, name, strlen(name), "");
		if (err == 0)
			err = bytes_adds(b, ")");
	}
	return err ? err : bytes_adds(b, ": ");
}

static int add_message(struct made *m, const sh_proc *p)
{
	struct bytes *b = &m->message;
	const sh_result *r = &m->r;
	int err;

	if (!r->status)
		return bytes_adds(b, "");
	err = add_place(b, &m->command, p, (size_t)r->stage);
	if (err == 0)
		err = add_reason(b, p, r);
	if (err == 0)
		err = add_reason_numbers(b, p, r);
	return err ? err : add_tail(b, p, r);
}

/* ------------------------------------------------------------------ putting it together */

/* What sh_next() reads is not captured: how much of it is still held here is chance. */
static bool errors_are_read(const sh_proc *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->stages[i].err.is_stream)
			return true;
	return false;
}

static int take_streams(struct made *m, sh_proc *p)
{
	sh_result *r = &m->r;

	if (bytes_reserve(&p->kept_out.b, 0) < 0 || bytes_reserve(&p->kept_err.b, 0) < 0)
		return UV_ENOMEM;
	p->kept_out.b.data[p->kept_out.b.len] = '\0';
	p->kept_err.b.data[p->kept_err.b.len] = '\0';
	r->out = p->out.is_stream ? "" : p->kept_out.b.data;
	r->out_len = p->out.is_stream ? 0 : p->kept_out.b.len;
	r->err = errors_are_read(p) ? "" : p->kept_err.b.data;
	r->err_len = errors_are_read(p) ? 0 : p->kept_err.b.len;
	r->out_total = p->kept_out.total;
	r->err_total = p->kept_err.total;
	return 0;
}

static int fill(struct made *m, sh_proc *p)
{
	int r;

	if (!(m->stages = calloc(p->n, sizeof *m->stages)))
		return UV_ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		judge_stage(p, i, &m->stages[i]);
	set_outcome(p, m);
	if ((r = add_command(&m->command, p)) < 0 || (r = add_message(m, p)) < 0 ||
	    (r = take_streams(m, p)) < 0)
		return r;
	m->r.command = m->command.data;
	m->r.message = m->message.data;
	m->r.stages = m->stages;
	m->r.n_stages = p->n;
	return 0;
}

/* The streams stay the proc's, where sh_next still reads them, until sh__result_own(). */
sh_result *sh__result_new(sh_proc *p)
{
	struct made *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	if (fill(m, p) < 0) {
		sh_free(&m->r);
		return NULL;
	}
	return &m->r;
}

void sh__result_own(sh_result *r, sh_proc *p)
{
	struct made *m = (struct made *)(void *)r;

	m->out = p->kept_out.b;
	m->err = p->kept_err.b;
	p->kept_out.b = p->kept_err.b = (struct bytes){ 0 };
}

/* ------------------------------------------------------------------ names and numbers */

const char *sh_status_name(int status)
{
	static const char *const names[] = {
		"done",	    "exit",	"signal", "timeout", "notfound", "noperm", "spawn",
		"overflow", "canceled", "lost",	  "invalid", "nomem",	 "io",
	};

	if (status < 0 || (size_t)status >= sizeof names / sizeof *names)
		return "unknown";
	return names[status];
}

int sh_shell_code(const sh_result *r)
{
	switch (r ? r->status : SH_NOMEM) {
	case SH_DONE:
	case SH_EXIT:
	case SH_SIGNAL:
		return r->term_signal	  ? 128 + r->term_signal
		       : r->exit_code > 0 ? r->exit_code
					  : 0;
	case SH_TIMEOUT:
		return 124;
	case SH_NOPERM:
		return 126;
	case SH_NOTFOUND:
		return 127;
	case SH_CANCELED:
		return r->term_signal ? 128 + r->term_signal : 125;
	default:
		return 125;
	}
}
