/*
 * Processes a command left behind. Where the system allows it (Linux), they become children
 * of this program when their parent ends, so that they can be found, ended and reaped:
 * group members before the next run, everything before the program ends. Elsewhere these
 * calls find nothing.
 */
#ifndef CLI_ORPHANS_H
#define CLI_ORPHANS_H

#include <stddef.h>
#include <sys/types.h>

/* To be called once, before the first command. */
void orphans_adopt(void);

/*
 * Reaps adopted processes of the group that have ended, but never the leader, whom somebody
 * else waits for.
 */
void orphans_reap(pid_t group);

/* Adopted, living members of the group, after reaping; `all`: adopted processes of any group.
 */
size_t orphans_count(pid_t group);
size_t orphans_count_all(void);

/* Sends a signal (and CONT) to the group, if it has adopted members, or to all adopted. */
void orphans_signal(pid_t group, int signum);
void orphans_signal_all(int signum);

#endif
