/*
 * Does the command start itself again? It does if what changed while it ran, and nothing
 * else, made it run again, twice in a row on the same paths, or more often on new names. What
 * it changes is left alone then, until something else changes. Pure: times are arguments.
 *
 * Commands of several rules may start each other: what each of them changes starts the next
 * one. So a run knows the chain of runs that led to it without any other cause; the command
 * starts itself if it is in there already.
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
	const char *name; /* of the rule; NULL: there is only one. Borrowed */
	int streak;	  /* runs in a row that had no other cause */
	int mixed;	  /* something else is among the changes collected so far */
	int is_strange;	  /* this run changed a path that is none of its cause */
	int steady;	  /* runs in a row whose changes came at the same time of the run */
	int repeats;	  /* runs in a row that one path has stopped, whoever changed it */
	int is_self;	  /* this run's own changes are among those collected so far */
	int64_t run_ms;	  /* how long the current run took; -1: it did not end by itself */
	int64_t first_ms, last_ms;	       /* of the changes, from the start of the run */
	int64_t cause_first_ms, cause_tail_ms; /* of the run before; tail: up to its end */
	struct words cause;		       /* the paths that caused the current run */
	struct words seen;		       /* paths changed during the current run */
	struct words known;		       /* paths that are proven to be its own */
	/* The runs that led to the current one, which is the last, and the first path that
	 * caused each; those behind changes that other rules have made. */
	struct own_chain {
		struct words names, paths;
	} chain, led;
	char *rival; /* a rule whose command ran, too, when one of the changes was made */
	struct words told; /* the patterns the user was told of */
};

/* A path changed `at_ms` after the start of the run, which did that, or the run of another
 * rule (`by`, not NULL). */
void own_change(struct own *o, const char *path, int64_t at_ms, const struct own *by);
/* The current run of another rule is a reason to run. */
void own_led(struct own *o, const struct own *by);
/* A change that is taken for this command's own may be that of another rule, whose command ran
 * at the same time. */
void own_rival(struct own *o, const struct own *other);
/* Whether the current run of `maker` was started by a run of this one. */
int own_descends(const struct own *maker, const struct own *o);
/* Somebody else changed something, or wants a run. */
void own_other(struct own *o);
/* The run ended after run_ms, or was stopped: -1. */
void own_end(struct own *o, int64_t run_ms);
/* Whether all changes so far are the command's own, to be left alone. Asked at the end of a
 * run; with `is_proven` (the caller knows who made them) also while it goes on. */
int own_is_own(const struct own *o, int is_proven);
/* The same for one path, of which it is proven that the command has changed it. */
int own_is_proven(const struct own *o, const char *path);
/* A proven path that is left alone: from now on at once, in every run. */
void own_learn(struct own *o, const char *path);
int own_knows(const struct own *o, const char *path);
/* Whether it is worth finding out who changes the paths that caused this run. */
int own_suspects(const struct own *o);
/* All changes so far are left alone; the next one is judged by itself. */
void own_forget(struct own *o);
/* For a command that changes restart: it was restarted again and again by what came at the
 * same time after its start. No proof, but a reason to tell, and to let it run for so many
 * ms before it is restarted by that, longer each time; 0: not the case. */
int64_t own_pace_ms(const struct own *o);
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
/* How rules start each other: "b, which rule a starts by changing src/x"; NULL: there is only
 * one in it. */
char *own_loop(const struct own *o);
/* Remembers the pattern; 1 if it was not told before. */
int own_tell(struct own *o, const char *pattern);

#endif
