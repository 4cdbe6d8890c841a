/*
 * From settings to a watcher at work: the roots as one watch, the filter, what is said when
 * all is watched. Shared by every verb that watches, and by rules.
 */
#ifndef CLI_WATCHING_H
#define CLI_WATCHING_H

#include <uv.h>

#include "options.h"
#include "say.h"
#include "whendo/watcher.h"

struct watching {
	/* Filled in by the caller; borrowed. */
	uv_loop_t *loop;
	const struct settings *s;
	const struct voice *voice;
	unsigned kinds; /* the default of --events, and control kinds */
	int64_t debounce_ms, debounce_max_ms, leading_ms;
	void (*on_batch)(watcher_batch *batch, void *arg);
	void (*on_ready)(void *arg); /* may be NULL */
	void *arg;

	/* The module's. */
	watcher *w;
	watcher_watch *watch;
	watcher_filter *filter;
	struct words files; /* of --files-from */
	uint64_t opened_ns;
	int progress_shown, is_ready;
};

/* The user's debounce, or the verb's own quiet time, and the cap that goes with it. */
void watching_set_debounce(struct watching *t, int64_t quiet_ms);

/*
 * Opens the watcher and its one watch. Returns 0, or the exit status after having said what
 * is wrong; watching_close() is due either way.
 */
int watching_open(struct watching *t);

/* The memory goes when the loop has turned. */
void watching_close(struct watching *t);

#endif
