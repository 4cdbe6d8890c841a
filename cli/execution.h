/*
 * One run of a runner: its command, or with --each its commands, from start to result.
 */
#ifndef CLI_EXECUTION_H
#define CLI_EXECUTION_H

#include "runner.h"

/* Starts a run with the changes collected; runner_ended() is called when all of it is over. */
void execution_begin(struct runner *r);

/* Has ready what lets the next command start at once. */
void execution_prepare(struct runner *r);

/* Stops what runs by the stop policy and starts nothing more of the run; called again: kills.
 */
void execution_stop(struct runner *r);

/* What the commands write is not read (1), so that they wait, or read again (0). */
void execution_pause_output(struct runner *r, int is_paused);

/* Sends the signal of --on-busy signal. */
void execution_signal(struct runner *r);

#endif
