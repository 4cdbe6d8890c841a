/* The events of a watcher applied to what its roots held at the start: each must make sense
 * after those before it. */
#ifndef TESTS_REPLAY_EVENTS_H
#define TESTS_REPLAY_EVENTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "replay_model.h"
#include "whendo/watcher.h"

struct replay {
	struct model model;
	const char *roots[2]; /* the second one or NULL */
	bool no_exchanges;    /* no move of the kernel's is the first half of one */
	bool watchdog;        /* told as Watchdog is: of what comes onto a file as of something new, and of
				 the dead; a second half of an exchange leaves nothing where it began */
	bool gone;            /* the first has been told as deleted */
	unsigned events, bad, recovered, overflows;
	char first_bad[PATH_MAX * 2 + 200];
	FILE *trace;          /* or NULL */
	const char *name;     /* of the watch, in the trace; "" or with a space behind it */
};

/* An on_batch callback; its argument is the replay. */
void replay_on_batch(watcher_watch *watch, watcher_batch *batch, void *replay);

#endif
