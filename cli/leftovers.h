/*
 * What stayed behind when a runner's command ended: found, asked to end, and killed after the
 * grace time, before the next run and before the program ends.
 */
#ifndef CLI_LEFTOVERS_H
#define CLI_LEFTOVERS_H

#include "runner.h"

/* Ends what is left, then calls runner_swept() with `then` (BUSY_START or BUSY_EXIT); at once
 * if nothing is. */
void leftovers_sweep(struct runner *r, unsigned then);

/* Something of the last run is still there. */
int leftovers_live(const struct runner *r);

#endif
