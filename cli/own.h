/*
 * Does the command start itself again? It does if what changed while it ran, and nothing
 * else, made it run again, twice in a row on the same paths, or more often on new names. What
 * it changes is left alone then, until something else changes. Pure: times are arguments.
 *
 * Somebody else may save a file during each of these runs. So a run with that suspicion waits
 * for a quiet moment first (own_asks), and where runs are long enough to save in by chance, the
 * changes have to come at the same time of every run. Who is proven not to have made a change
 * is the caller's business (witness.h): it reports such a change as somebody else's.
 */
#ifndef CLI_OWN_H
#define CLI_OWN_H

#include <stdint.h>

#include "alloc.h"

#define OWN_SETTLE_MS 1000

struct own {
	int streak;	/* runs in a row that had no other cause */
	int mixed;	/* something else is among the changes collected so far */
	int is_strange; /* this run changed a path that is none of its cause */
	int steady;	/* runs in a row whose changes came at the same time of the run */
	int64_t run_ms; /* how long the current run took; -1: it did not end by itself */
	int64_t first_ms, last_ms;	       /* of the changes, from the start of the run */
	int64_t cause_first_ms, cause_tail_ms; /* of the run before; tail: up to its end */
	struct words cause;		       /* the paths that caused the current run */
	struct words seen;		       /* paths changed during the current run */
	char *told;			       /* the last pattern the user was told of */
};

/* A path changed during the run, `at_ms` after its start. */
void own_change(struct own *o, const char *path, int64_t at_ms);
/* Somebody else changed something, or wants a run. */
void own_other(struct own *o);
/* The run ended after run_ms, or was stopped: -1. */
void own_end(struct own *o, int64_t run_ms);
/* Whether all changes so far are the command's own, to be left alone. Asked at the end of a
 * run; with `is_proven` (the caller knows who made them) also while it goes on. */
int own_is_own(const struct own *o, int is_proven);
/* For a command that changes restart: it was restarted again and again by what came at the
 * same time after its start. No proof, but a reason to slow down and to tell. */
int own_paces(const struct own *o);
/* A run ended and another is owed: 1 if it is to wait for OWN_SETTLE_MS of quiet. */
int own_asks(const struct own *o);
/* A run starts, for the changes since the last one. */
void own_start(struct own *o);
void own_free(struct own *o);

/*
 * A glob for what the command changes, relative to the root: the path itself, or, where it
 * takes new names, what they have in common ("/out.[0-9]*"). NULL if that is nothing.
 */
char *own_pattern(const struct own *o, const char *path, const char *root);
/* Remembers the pattern; 1 if it was not the last one told. */
int own_tell(struct own *o, const char *pattern);

#endif
