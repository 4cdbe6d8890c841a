/*
 * Tells the command's own changes from everybody else's, for a runner: what may be its own is
 * noted, held back where it would stop the command, looked into, and left alone when the
 * command starts itself again by it (own.h, witness.h).
 */
#ifndef CLI_SUSPICION_H
#define CLI_SUSPICION_H

#include "runner.h"

void suspicion_open(struct runner *r);
void suspicion_close(struct runner *r);

/* Nothing of the run is left: calls runner_ended(), but with a suspicion only when all that it
 * wrote has been read, so that who reacts to its end is not taken for it. */
void suspicion_gone(struct runner *r);

/* A run begins, or has ended by itself or by being stopped. */
void suspicion_begin(struct runner *r);
void suspicion_end(struct runner *r);
/* Something the run left behind has ended. */
void suspicion_reaped(struct runner *r);

/* Collects the changes of a batch; returns whether they ask for a run (now). */
int suspicion_collect(struct runner *r, watcher_batch *batch);

/* Whether what was written up to the end of the run has to be delivered before the next one
 * starts: a command that is stopped may save something, which must not restart the next one.
 */
int suspicion_needs_sync(const struct runner *r);

/* The run is over: takes back the run that is owed for the command's own
 * changes, or lets it wait for a quiet moment. */
void suspicion_settle(struct runner *r);

#endif
