/*
 * Does the command start itself again? It does if what changed while it ran, and nothing
 * else, made it run again, twice in a row, on the same paths. Those paths are muted then,
 * until something else changes. Pure: times are arguments.
 *
 * Somebody else may have written the same paths during the same runs, so the second such
 * run waits for a quiet moment first (OWN_ASK): what is written in a run that nobody else's
 * change can have reached is the command's own.
 */
#ifndef CLI_OWN_H
#define CLI_OWN_H

#include "alloc.h"

#define OWN_SETTLE_MS 1000

struct own {
	int streak; /* runs in a row that had no other cause */
	int mixed;  /* something else is among the changes collected so far */
	int told;
	struct words cause; /* the paths that caused the current run */
	struct words seen;  /* paths changed during the current run */
	int muted;
};

enum own_answer {
	OWN_REACT, /* a change like any other */
	OWN_MUTE,  /* the command's own: leave it */
	OWN_TELL   /* the same, and for the first time: tell the user */
};

/* A changed path; `during_run`: it was read while the command ran. */
enum own_answer own_change(struct own *o, const char *path, int during_run);
/* A run ended and another is owed: 1 if it is to wait for OWN_SETTLE_MS of quiet. */
int own_asks(const struct own *o);
/* A run starts, for the changes since the last one. */
void own_start(struct own *o);
void own_free(struct own *o);

#endif
