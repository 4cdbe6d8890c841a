/* Status lines, the bell and notifications of a runner. Decides nothing. */
#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emit.h"

void report_clear(const struct settings *s)
{
	const char *code = s->clear == CLEAR_RESET ? "\033c" : "\033[H\033[2J\033[3J";
	int fd = isatty(1) ? 1 : 2;

	if (s->clear == CLEAR_NOT || !isatty(fd))
		return;
	if (write(fd, code, strlen(code)) < 0)
		return;
}

void report_start(const struct runner *r)
{
	char *shown = command_shown(&r->command);
	const struct changes *c = &r->now;

	if (c->paths.n == 0)
		say(r->voice, 0, SAY_NOTE, "run %lu: %s", r->run, shown);
	else if (c->paths.n == 1)
		say(r->voice, 0, SAY_NOTE, "run %lu: %s (%s %s)", r->run, shown,
		    watcher_kind_name(c->kind), c->paths.v[0]);
	else
		say(r->voice, 0, SAY_NOTE, "run %lu: %s (%s %s and %zu more)", r->run, shown,
		    watcher_kind_name(c->kind), c->paths.v[0], c->paths.n - 1);
	free(shown);
}

void report_end(const struct runner *r)
{
	struct bytes took = { 0 }, user = { 0 }, sys = { 0 }, late = { 0 };
	char code[40];

	snprintf(code, sizeof code, "exit %d", r->code);
	emit_duration(&took, (int64_t)(uv_hrtime() - r->begun_ns));
	say(r->voice, 0,
	    r->is_stopped ? SAY_DIM
	    : r->code	  ? SAY_BAD
			  : SAY_GOOD,
	    "run %lu: %s in %s", r->run,
	    r->why    ? r->why
	    : r->code ? code
		      : "ok",
	    took.data);
	if (r->s->timings) {
		emit_duration(&user, (int64_t)r->user_ns);
		emit_duration(&sys, (int64_t)r->sys_ns);
		emit_duration(&late, (int64_t)r->late_ns);
		say(r->voice, 0, SAY_DIM,
		    "run %lu: started %s after the batch; user %s, system %s, at most %llu KiB",
		    r->run, late.data, user.data, sys.data, (unsigned long long)r->maxrss_kib);
	}
	bytes_free(&took);
	bytes_free(&user);
	bytes_free(&sys);
	bytes_free(&late);
}

static void on_notified(sh_proc *p, const sh_result *result, void *arg)
{
	(void)result;
	(void)arg;
	sh_proc_free(p);
}

void report_notify(const struct runner *r)
{
	char *shown, *text;

	if (r->s->bell && write(2, "\a", 1) < 0)
		say(r->voice, 1, SAY_DIM, "no terminal to ring");
	if (!r->s->notify)
		return;
	shown = command_shown(&r->command);
	text = alloc_text("%s: %s", r->code ? "failed" : "ok", shown);
	if (isatty(2)) {
		/* Terminals that know OSC 9 show it even where no desktop listens. */
		struct bytes osc = { 0 };

		emit(&osc, "\033]9;whendo: ");
		emit_safe(&osc, text, strlen(text), EMIT_TERMINAL);
		emit(&osc, "\033\\");
		if (write(2, osc.data, osc.len) < 0)
			say(r->voice, 1, SAY_DIM, "no terminal to notify");
		bytes_free(&osc);
	}
	sh_start(SH("notify-send", "whendo", text, .out = SH_NULL, .err = SH_NULL,
		    .loop = r->loop, .done = on_notified));
	free(shown);
	free(text);
}

void report_own(const struct runner *r, const char *path, const char *pattern,
		enum report_own how, const char *maker)
{
	char *quoted = sh_quote(SH_LIST(pattern ? pattern : "PATTERN"));

	say(r->voice, 0, SAY_BAD, "%s is changed by %s%s: %s; %s %s ignores it for good",
	    path, maker, how == OWN_PACED ? ", it seems" : "",
	    how == OWN_PACED ? "restarting ever more slowly until something else changes"
			     : "not reacting to it until something else changes",
	    r->name ? "ignore:" : "-i", quoted ? quoted : "PATTERN");
	free(quoted);
}
