/* The Linux engine's first half: one attempt at starting a child. See spawn.h. */
#ifndef SHELLCMD_SPAWN_LINUX_H
#define SHELLCMD_SPAWN_LINUX_H

#include "shellcmd/spawn.h"

/* Between clone and execve only raw system calls are made, and instrumented code would mark
 * a borrowed stack in the host's shadow memory. */
#define SH__IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

/* What the child reads, and the words it writes before it exits or executes. */
struct sh__attempt {
	const struct sh__spawn *spawn;
	int *fds; /* spawn->n_fds numbers the child may change */
	pid_t parent;
	volatile int error;
	volatile enum sh__where where;
	bool signals_are_default; /* already, for the whole process */
	int report_fd; /* -1, or where it says the same in a pipe */
};

/* A child of the calling process: 0, or an error with a->where set and no child left. */
int sh__attempt_start(struct sh__attempt *a, int *pid, int *pidfd);

/* Whether a child shares its parent's memory until execve: 0 not known, 1 yes, -1 no. A fact
 * about the system, which a guardian finds out for its owner. */
int sh__memory_shared(void);
void sh__memory_shared_is(int known);

/* Blocks all signals, also the two glibc keeps for itself; `old` is for the other. */
void sh__signals_block(unsigned long old[2]);
void sh__signals_restore(const unsigned long old[2]);

/* Default dispositions for all signals; the mask stays. */
void sh__signals_default(void);

/* Closes what is from `first` to `last`. */
void sh__close_between(unsigned first, unsigned last);

/* Waits for a child that must not be left, killed first if `kill_it`. */
void sh__reap_now(int pid);

#endif
