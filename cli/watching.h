/*
 * From settings to a watcher at work: the roots as one watch, the filter, what is said when
 * all is watched, and the signals that end a verb. Shared by every verb that watches.
 */
#ifndef CLI_WATCHING_H
#define CLI_WATCHING_H

#include <uv.h>

#include "options.h"
#include "say.h"
#include "whendo/watcher.h"

struct watching {
	/* Filled in by the caller. */
	const struct settings *s;
	unsigned kinds; /* the default of --events, and control kinds */
	int64_t debounce_ms, debounce_max_ms, leading_ms;
	void (*on_batch)(watcher_batch *batch, void *arg);
	void (*on_ready)(void *arg); /* may be NULL */
	/* INT, TERM or HUP; called each time. */
	void (*on_signal)(int signum, void *arg);
	void *arg;

	/* The module's. */
	uv_loop_t *loop;
	watcher *w;
	watcher_watch *watch;
	struct voice voice;
	struct words files; /* of --files-from */
	uint64_t opened_ns;
	uv_signal_t signals[3];
	int progress_shown, is_ready;
};

/* Whether and in which colours the verb speaks. Returns 0 or an exit status. */
int voice_open(struct voice *v, const struct settings *s);
void voice_close(struct voice *v);

/* The default of --debounce and its cap where the user set none. */
int64_t setting_or(int64_t value, int64_t verb_default);

/*
 * Opens the loop, the watcher and its one watch. Returns 0, or the exit status after having
 * said what is wrong; nothing is left open then. uv_run(t->loop) does the rest.
 */
int watching_open(struct watching *t);

/* Makes uv_run() return. */
void watching_stop(struct watching *t);

/* Ends all of it, the loop included. */
void watching_close(struct watching *t);

#endif
