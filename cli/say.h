/*
 * What the program says on stderr: one line each, `whendo: thing: reason`, with control
 * characters escaped. Status lines are silent with -q and coloured on a terminal only.
 */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include <stdarg.h>

struct outlet;

/* An error; always printed. */
__attribute__((format(printf, 1, 2))) void say_error(const char *fmt, ...);

/* The colours a line may have. */
enum say_color { SAY_PLAIN, SAY_DIM, SAY_GOOD, SAY_BAD, SAY_NOTE };

/* How much is said, to whom: part of the settings of a verb. */
struct voice {
	int level;	 /* -1: errors only, 0: status, 1: and why, 2: and each event */
	int color;	 /* escape sequences on stderr */
	int log_fd;	 /* --log-file: everything said goes there too, with time; -1: none */
	const char *tag; /* of a rule, before each line; NULL: none */
	struct outlet *outlet; /* takes the lines without waiting for a reader; NULL: none */
};

/* A status line, if the voice is at `level` or above it. */
__attribute__((format(printf, 4, 5))) void say(const struct voice *v, int level,
					       enum say_color color, const char *fmt, ...);

/* The entry of `names` (NULL-ended) that `word` most likely meant, NULL if none is near. */
const char *say_nearest(const char *word, const char *const *names);

/* The same as the end of a line: "; did you mean NAME?", or "". */
enum { SAY_HINT = 100 };
const char *say_hint(char hint[SAY_HINT], const char *word, const char *const *names);

#endif
