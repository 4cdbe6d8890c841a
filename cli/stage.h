/*
 * What every verb that goes on for a while stands on: the loop, its voice and outlet, and the
 * signals that end it.
 */
#ifndef CLI_STAGE_H
#define CLI_STAGE_H

#include <uv.h>

#include "options.h"
#include "outlet.h"
#include "say.h"
#include "whendo/shellcmd.h"

struct stage {
	/* INT, TERM or HUP came; called each time. Filled in by the caller. */
	void (*on_signal)(int signum, void *arg);
	void *arg;
	int ends_well; /* a signal that comes before stage_listen() means status 0, too */

	uv_loop_t loop;
	struct voice voice;
	struct outlet outlet; /* the voice's; a verb may add what is called back */
	sh_guardian *guardian; /* for the next command of any runner; NULL: none */
	uv_signal_t signals[3];
	uv_async_t alive;
};

/* Returns 0, or the exit status after having said what is wrong; nothing is open then. */
int stage_open(struct stage *st, const struct settings *s);

/* From now on the signals come to on_signal; before, they end the program at once. */
void stage_listen(struct stage *st);

/* Turns the loop until uv_stop(). */
void stage_run(struct stage *st);

/* Lets everything that is closing close, and ends the loop and the voice. */
void stage_close(struct stage *st);

#endif
