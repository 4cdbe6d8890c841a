/*
 * Runners beside each other, whose commands may start each other by what they change. Decides
 * nothing.
 */
#ifndef CLI_CIRCLE_H
#define CLI_CIRCLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct runner;

/* A zeroed one is empty; a runner that is alone needs none. */
struct circle {
	struct runner *first;
};

/* In runner_open() and runner_close(). */
void circle_join(struct runner *r);
void circle_leave(struct runner *r);

/* Another one whose run had just begun at that time, so that it may have made the change;
 * most likely one that this one has started. A run that goes on for long is no reason to
 * think so. NULL: there is none. */
const struct runner *circle_maker(const struct runner *r, int64_t time_ns);

/* The living processes of all commands, this runner's (`arg`) first: n_own of them; returns how
 * many, of which at most max are in pids. */
size_t circle_family(pid_t *pids, size_t max, size_t *n_own, void *arg);

#endif
