/* Reading what a command has written so far: line by line, or up to what is expected. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "shellcmd/proc.h"

enum { DROP_FROM = 1 << 16 };

static bool has_lines(const struct sh__sink *s)
{
	return s->keeps && !s->cb;
}

/* 1: *line is the next one; 0: not (yet) a whole line. */
static int take_line(struct sh__kept *k, bool at_end, sh_line *line)
{
	size_t left = k->b.len - k->next, from = k->scanned > k->next ? k->scanned : k->next;
	const char *at, *nl;

	if (!left)
		return 0;
	at = k->b.data + k->next;
	nl = memchr(k->b.data + from, '\n', k->b.len - from);
	k->scanned = k->b.len;
	if (!nl && !at_end)
		return 0;
	line->data = at;
	line->len = nl ? (size_t)(nl - at) : left;
	k->next += line->len + (nl != NULL);
	k->scanned = k->next;
	return 1;
}

static bool err_is_open(const sh_proc *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->stages[i].err.watch.fd >= 0)
			return true;
	return false;
}

/* The line given out last is not looked at any more: a stream forgets it. */
static void forget_read(struct sh__sink *s, struct sh__loop *loop)
{
	struct sh__kept *k = s->kept;

	/* Only if more is given up than is moved, so that moving costs little per byte. */
	if (s->is_stream && k->next >= DROP_FROM && k->next >= k->b.len - k->next)
		sh__kept_drop(k, k->next);
	sh__sink_resume(s, loop);
}

/* Takes turns, so that neither stream can starve the other. */
static int take_any(sh_proc *p, sh_line *line)
{
	bool out_ended = p->out.watch.fd < 0, err_ended = !err_is_open(p);

	for (int i = 0; i < 2; i++) {
		bool from_err = p->next_from_err ^ (i == 1);
		int got = from_err ? take_line(&p->kept_err, err_ended, line)
				   : take_line(&p->kept_out, out_ended, line);

		if (got) {
			line->from_err = from_err;
			p->next_from_err = !from_err;
			return 1;
		}
	}
	return 0;
}

/* What could not be started has no lines, but for another reason. */
static bool was_started(const sh_proc *p)
{
	return p->stages[p->n - 1].started;
}

static int next_line(sh_proc *p, sh_line *line, bool may_wait)
{
	bool can = false;

	if (!p || !line)
		return UV_EINVAL;
	can = has_lines(&p->out);
	for (size_t i = 0; i < p->n; i++)
		can |= has_lines(&p->stages[i].err);
	if (!can && p->phase == SH__RUNNING && was_started(p))
		return UV_EINVAL;
	if (p->loop && p->phase == SH__RUNNING) {
		forget_read(&p->out, p->loop);
		for (size_t i = 0; i < p->n; i++)
			forget_read(&p->stages[i].err, p->loop);
	}
	for (;;) {
		if (take_any(p, line))
			return 1;
		if (p->phase == SH__ENDED)
			return 0;
		if (p->whole.loop || p->busy || p->phase == SH__HELD)
			return UV_EAGAIN;
		sh__proc_turn(p, may_wait ? UINT64_MAX : 0);
		if (sh__proc_was_freed(p))
			return 0;
		if (!may_wait && p->phase == SH__RUNNING)
			return take_any(p, line) ? 1 : UV_EAGAIN;
	}
}

int sh_next(sh_proc *p, sh_line *line)
{
	return next_line(p, line, true);
}

int sh_try_next(sh_proc *p, sh_line *line)
{
	return next_line(p, line, false);
}

/* ------------------------------------------------------------------ expect */

/*
 * 1: matched, and forgotten up to its end; 0: not there; negative: an error of PCRE2. A
 * partial match says where the first match can begin that needs what is yet to come; before
 * that nobody has to look again, so that much output costs no more than it has bytes.
 */
static int match(struct sh__kept *k, const pcre2_code *code, pcre2_match_data *found)
{
	PCRE2_SPTR at = (PCRE2_SPTR)(k->b.len ? k->b.data + k->matched : "");
	size_t left = k->b.len - k->matched;
	size_t from = k->looked > k->matched ? k->looked - k->matched : 0;
	int n = pcre2_match(code, at, left, from, PCRE2_PARTIAL_SOFT, found, NULL);

	if (n == PCRE2_ERROR_NOMATCH || n == PCRE2_ERROR_PARTIAL) {
		k->looked = n == PCRE2_ERROR_PARTIAL
				? k->matched + pcre2_get_ovector_pointer(found)[0]
				: k->b.len;
		return 0;
	}
	if (n < 0)
		return UV_EINVAL;
	k->matched += pcre2_get_ovector_pointer(found)[1];
	return 1;
}

/* Asked again for the same, sh_expect goes on where it was. */
static int remember_pattern(struct sh__kept *k, const char *pattern)
{
	if (k->pattern && !strcmp(k->pattern, pattern))
		return 0;
	free(k->pattern);
	k->looked = 0;
	k->pattern = strdup(pattern);
	return k->pattern ? 0 : UV_ENOMEM;
}

static int expect(sh_proc *p, const pcre2_code *code, pcre2_match_data *found, uint64_t until)
{
	bool more = true;

	for (;;) {
		int r = match(&p->kept_out, code, found);

		if (r)
			return r;
		if (p->phase == SH__ENDED || p->out.watch.fd < 0)
			return 0;
		if (p->whole.loop || p->busy)
			return UV_EAGAIN;
		if (!more)
			return UV_ETIMEDOUT;
		more = sh__proc_turn(p, until) || p->phase != SH__RUNNING;
		if (sh__proc_was_freed(p))
			return 0;
	}
}

int sh_expect(sh_proc *p, const char *pattern, int64_t timeout_ms)
{
	uint64_t until = timeout_ms < 0 ? UINT64_MAX
			 : timeout_ms	? uv_hrtime() + (uint64_t)timeout_ms * 1000000u
					: 0;
	pcre2_match_data *found;
	pcre2_code *code;
	PCRE2_SIZE at;
	int r, error;

	if (!p || !pattern || p->phase == SH__HELD || (was_started(p) && !has_lines(&p->out)))
		return UV_EINVAL;
	code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_MULTILINE,
			     &error, &at, NULL);
	if (!code)
		return error == PCRE2_ERROR_HEAP_FAILED ? UV_ENOMEM : UV_EINVAL;
	found = pcre2_match_data_create_from_pattern(code, NULL);
	r = found ? remember_pattern(&p->kept_out, pattern) : UV_ENOMEM;
	if (r == 0)
		r = expect(p, code, found, until);
	pcre2_match_data_free(found);
	pcre2_code_free(code);
	return r;
}
