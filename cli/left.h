/*
 * Processes that commands have left behind: a background job, a daemon. They are guarded (see
 * sh_left in shellcmd.h) as long as this list holds their command's handle, so that they can
 * be found and ended, and end with this program whatever happens to it. Where the library
 * has no such guardians, nothing is ever found.
 */
#ifndef CLI_LEFT_H
#define CLI_LEFT_H

#include <stddef.h>

#include "whendo/shellcmd.h"

struct left {
	sh_proc **v;
	size_t n, cap;
};

/* What is meant of a command's processes. */
enum left_whom { LEFT_GROUP, LEFT_ALL };

/* Takes over the handle of a command that has ended; frees it and returns 0 if nothing was
 * left behind. */
int left_keep(struct left *l, sh_proc *p);

/* How many are alive; handles without any are freed. */
size_t left_count(struct left *l, enum left_whom whom);

int left_any(const struct left *l, enum left_whom whom);

/* Sends a signal, and CONT behind it. */
void left_signal(struct left *l, int signum, enum left_whom whom);

/* "12 (sleep), 15 (sh)": what a command still has, for free(). */
char *left_names(const sh_proc *p);

/* Lets go: what still lives goes on. */
void left_free(struct left *l);

#endif
