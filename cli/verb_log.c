/* log and wait: events on stdout, until a signal, or until the first batch. */
#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "options.h"
#include "sink.h"
#include "stage.h"
#include "watching.h"

#define LAST_WRITE_MS 500

struct stream {
	struct stage stage;
	struct watching t;
	struct format format;
	struct sink *sink;
	uv_timer_t timeout;
	int is_wait;
	int status, is_ended;
	size_t gone; /* roots, with --watchdog */
};

/* The first reason to end counts. */
static void end(struct stream *l, int status)
{
	if (!l->is_ended)
		l->status = status;
	l->is_ended = 1;
	uv_stop(&l->stage.loop);
}

/* Watchdog's emitter ends with its root: when none of them is there any more. */
static int is_last_root(struct stream *l, const watcher_event *e)
{
	if (!l->t.s->watchdog || strcmp(e->path, e->root) != 0)
		return 0;
	if (e->kind == WATCHER_CREATED && l->gone)
		l->gone--;
	if (e->kind != WATCHER_DELETED)
		return 0;
	l->gone++;
	return !watcher_watch_root(l->t.watch, l->gone);
}

static void on_batch(watcher_batch *batch, void *arg)
{
	struct stream *l = arg;
	struct bytes *out = sink_buffer(l->sink);
	int seen = 0;
	watcher_event e;

	while (watcher_batch_next(batch, &e)) {
		format_event(&l->format, out, &e);
		seen |= !(e.kind & WATCHER_CONTROL);
		if (is_last_root(l, &e))
			end(l, 0);
		if (out->len > 1u << 18)
			sink_flush(l->sink);
	}
	sink_flush(l->sink);
	if (l->is_wait && seen)
		end(l, 0);
}

static void on_full(int is_full, void *arg)
{
	struct stream *l = arg;

	if (is_full)
		watcher_pause(l->t.w);
	else
		watcher_resume(l->t.w);
}

static void on_failed(int code, void *arg)
{
	struct stream *l = arg;

	if (code == UV_EPIPE) {
		end(l, EXIT_SIGNAL + SIGPIPE);
		return;
	}
	say_error("stdout: %s", strerror(-code));
	end(l, EXIT_FAILED);
}

static void on_signal(int signum, void *arg)
{
	end(arg, EXIT_SIGNAL + signum);
}

static void on_timeout(uv_timer_t *h)
{
	end(h->data, EXIT_TIMEOUT);
}

static void on_started(void *arg)
{
	struct stream *l = arg;

	if (l->is_wait && l->t.s->timeout_ms)
		uv_timer_start(&l->timeout, on_timeout, (uint64_t)l->t.s->timeout_ms, 0);
}

static int run_stream(struct stream *l)
{
	struct sink_events events = { on_full, on_failed, l };
	int r = stage_open(&l->stage, l->t.s);

	if (r)
		return r;
	l->sink = sink_open(&l->stage.loop, 1, &events);
	uv_timer_init(&l->stage.loop, &l->timeout);
	l->timeout.data = l;
	r = watching_open(&l->t);
	if (r == 0) {
		stage_listen(&l->stage);
		stage_run(&l->stage);
		r = l->status;
	}
	watching_close(&l->t);
	l->status = r;
	r = sink_close(l->sink, LAST_WRITE_MS);
	if (r < 0 && r != UV_EAGAIN && l->status < EXIT_FAILED)
		on_failed(r, l);
	uv_close((uv_handle_t *)&l->timeout, NULL);
	stage_close(&l->stage);
	return l->status;
}

static int open_stream(struct settings *s, int is_wait)
{
	struct stream l = { .is_wait = is_wait };
	char why[256];

	if (format_init(&l.format, s->format, s->nul, s->show_time, why) < 0) {
		say_error("--format: '%s' %s", s->format, why);
		return EXIT_USAGE;
	}
	l.format.terminal = isatty(1);
	/* Of wait a script wants to see the change and nothing else. */
	s->loudness -= is_wait;
	l.stage.on_signal = on_signal;
	l.stage.arg = &l;
	l.t = (struct watching){
		.loop = &l.stage.loop,
		.s = s,
		.voice = &l.stage.voice,
		.kinds = (is_wait ? WATCHER_CHANGES : WATCHER_CHANGES | WATCHER_ATTRIB) |
			 WATCHER_OVERFLOW |
			 (s->print_ready || s->watchdog ? WATCHER_READY : 0u) |
			 (s->watchdog ? WATCHER_ALL : 0u),
		.on_batch = on_batch,
		.on_ready = on_started,
		.arg = &l,
	};
	watching_set_debounce(&l.t, is_wait ? 50 : 0);
	return run_stream(&l);
}

int verb_log(struct settings *s)
{
	return open_stream(s, 0);
}

int verb_wait(struct settings *s)
{
	return open_stream(s, 1);
}
