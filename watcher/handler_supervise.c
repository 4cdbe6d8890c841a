/*
 * A handler that keeps a command running and restarts it on changes. One command at a time:
 * the next is started only after the last, with its process group, has ended. What is left of
 * the group of one that exits by itself is stopped before that counts as its end.
 */
#include <stdlib.h>
#include <uv.h>

#include "watcher/backend.h"
#include "watcher/handler_words.h"
#include "watcher/options.h"
#include "whendo/shellcmd.h"

struct watcher_supervise_handler {
	watcher_supervise_options o;
	struct handler_words words;
	uv_loop_t *loop;
	uv_timer_t quiet, backoff; /* since the last change; until the next try */
	int open_handles;
	sh_proc *proc;
	uint64_t started_at_ms, restarts;
	int delay_ms;  /* before it is started the next time it exits by itself */
	bool was_started, stopped; /* stopped by the caller */
	bool stopping; /* the command was told to end */
	bool again;    /* to be started once it has */
	bool freed;
};

static void start(watcher_supervise_handler *h);

static void tell(watcher_supervise_handler *h, int state, int code, const char *message)
{
	if (h->o.on_state && !h->freed)
		h->o.on_state(h, state, code, message, h->o.arg);
}

static void on_backoff(uv_timer_t *timer)
{
	watcher_supervise_handler *h = timer->data;

	if (!h->proc && !h->stopped)
		start(h);
}

/* It has ended by itself. */
static void ended(watcher_supervise_handler *h)
{
	int delay = h->delay_ms, max = h->o.backoff_max_ms;

	if (h->o.stay_down)
		return;
	if (uv_now(h->loop) - h->started_at_ms >= (uint64_t)max)
		delay = 0;
	h->delay_ms = !delay ? h->o.backoff_ms : delay > max / 2 ? max : delay * 2;
	uv_timer_start(&h->backoff, on_backoff, (uint64_t)delay, 0);
	tell(h, WATCHER_SUPERVISE_WAITING, delay, "");
}

static void on_ended(sh_proc *proc, const sh_result *result, void *arg)
{
	watcher_supervise_handler *h = arg;
	bool again = h->again;

	h->proc = NULL;
	h->again = h->stopping = false;
	/* No callback of this handler is in the middle of anything: it may be freed in one, but
	 * the memory stays until the loop has closed its timers. */
	tell(h, WATCHER_SUPERVISE_EXITED, sh_shell_code(result), result->message);
	sh_proc_free(proc);
	if (h->freed || h->proc)
		return;
	if (again && !h->stopped)
		start(h);
	else if (!h->stopped)
		ended(h);
}

static void start(watcher_supervise_handler *h)
{
	sh_io out = h->o.quiet ? SH_NULL : SH_INHERIT;

	uv_timer_stop(&h->backoff);
	uv_update_time(h->loop);
	h->started_at_ms = uv_now(h->loop);
	h->restarts += h->was_started;
	h->was_started = true;
	h->proc = sh_start(SH_OPTS(.args = (const char *const *)h->words.argv,
				   .env = (const char *const *)h->words.env,
				   .cwd = h->words.cwd, .out = out, .err = out,
				   .stop_signal = h->o.stop_signal, .stop_left = true,
				   .grace_ms = h->o.kill_after_ms, .loop = h->loop,
				   .done = on_ended, .arg = h));
	if (!h->proc) {
		tell(h, WATCHER_SUPERVISE_EXITED, 125, "out of memory");
		if (!h->freed && !h->stopped)
			ended(h);
		return;
	}
	if (sh_pid(h->proc))
		tell(h, WATCHER_SUPERVISE_STARTED, sh_pid(h->proc), "");
}

/* Once: the second sh_stop() would kill. */
static void end(watcher_supervise_handler *h)
{
	if (!h->stopping)
		sh_stop(h->proc);
	h->stopping = true;
}

void watcher_supervise_handler_start(watcher_supervise_handler *h)
{
	h->stopped = false;
	if (!h->proc)
		start(h);
	else if (h->stopping)
		h->again = true;
}

void watcher_supervise_handler_stop(watcher_supervise_handler *h)
{
	h->stopped = true;
	h->again = false;
	uv_timer_stop(&h->quiet);
	uv_timer_stop(&h->backoff);
	if (h->proc)
		end(h);
}

void watcher_supervise_handler_restart(watcher_supervise_handler *h)
{
	h->stopped = false;
	h->delay_ms = 0;
	uv_timer_stop(&h->quiet);
	if (!h->proc) {
		start(h);
		return;
	}
	h->again = true;
	end(h);
}

static void on_quiet(uv_timer_t *timer)
{
	watcher_supervise_handler_restart(timer->data);
}

void watcher_supervise_handler_batch(watcher_watch *watch, watcher_batch *batch, void *handler)
{
	watcher_supervise_handler *h = handler;
	watcher_event e;
	bool any = false;

	(void)watch;
	while (!any && watcher_batch_next(batch, &e))
		any = watcher__words_for(&e);
	if (!any || h->stopped)
		return;
	if (h->o.debounce_ms) {
		uv_update_time(h->loop);
		uv_timer_start(&h->quiet, on_quiet, (uint64_t)h->o.debounce_ms, 0);
	} else {
		watcher_supervise_handler_restart(h);
	}
}

int watcher_supervise_handler_pid(const watcher_supervise_handler *h)
{
	return h->proc ? sh_pid(h->proc) : 0;
}

uint64_t watcher_supervise_handler_restarts(const watcher_supervise_handler *h)
{
	return h->restarts;
}

/* ---- making and ending ---- */

static int check(watcher_supervise_handler *h, const watcher_supervise_options *options,
		 watcher_error *err)
{
	static const char who[] = "supervise handler";
	watcher_supervise_options *o = &h->o;
	int r = options ? options_copy(o, sizeof *o, options, options->size) : UV_EINVAL;

	if (r == UV_E2BIG)
		return watcher__fail(err, r, "%s: options of a newer version of the library", who);
	if (r < 0)
		return watcher__fail(err, r, "%s: no options, or their size is not set", who);
	if (o->kill_after_ms < 0 || o->debounce_ms < 0 || o->backoff_ms < 0 ||
	    o->backoff_max_ms < 0)
		return watcher__fail(err, UV_EINVAL, "%s: a negative time", who);
	if (o->stop_signal < 0 || o->stop_signal > 64)
		return watcher__fail(err, UV_EINVAL, "%s: no signal has number %d", who,
				     o->stop_signal);
	if (!o->kill_after_ms)
		o->kill_after_ms = 10000;
	if (!o->backoff_ms)
		o->backoff_ms = 100;
	if (!o->backoff_max_ms)
		o->backoff_max_ms = 10000;
	r = watcher__words_copy(&h->words, who, o->command, o->shell, err);
	return r < 0 ? r : watcher__words_place(&h->words, who, o->cwd, o->env, err);
}

int watcher_supervise_handler_new(watcher_supervise_handler **out, watcher *w,
				  const watcher_supervise_options *options, watcher_error *err)
{
	watcher_supervise_handler *h = calloc(1, sizeof *h);
	int r;

	if (!h)
		return watcher__fail(err, UV_ENOMEM, "supervise handler: out of memory");
	h->loop = watcher_loop(w);
	r = check(h, options, err);
	if (r < 0) {
		watcher__words_free(&h->words);
		free(h);
		return r;
	}
	uv_timer_init(h->loop, &h->quiet);
	uv_timer_init(h->loop, &h->backoff);
	h->quiet.data = h->backoff.data = h;
	h->open_handles = 2;
	*out = h;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	watcher_supervise_handler *h = handle->data;

	if (--h->open_handles == 0)
		free(h);
}

void watcher_supervise_handler_free(watcher_supervise_handler *h)
{
	if (!h || h->freed)
		return;
	h->freed = h->stopped = true;
	sh_proc_free(h->proc);
	h->proc = NULL;
	watcher__words_free(&h->words);
	uv_close((uv_handle_t *)&h->quiet, on_closed);
	uv_close((uv_handle_t *)&h->backoff, on_closed);
}
