/*
 * The guardian of the Linux engine: a copy of this process between it and the command. It is
 * the command's parent and, as a child subreaper, becomes the parent of every descendant
 * whose own parent ends, whatever session or group that has gone to. So it always knows all
 * of them, and when its owner vanishes, it ends them all.
 *
 * Both talk over a socket: notes go up to the owner, orders come down. The end of the socket
 * without a dismissal is the owner's end.
 */
#ifndef SHELLCMD_GUARD_LINUX_H
#define SHELLCMD_GUARD_LINUX_H

#include <sys/resource.h>

#include "shellcmd/spawn_linux.h"

enum sh__note_kind {
	SH__NOTE_STARTED, /* or not: error, where */
	SH__NOTE_STOPPED, /* the command, by signal `status` */
	SH__NOTE_ENDED,	  /* the command: code and status as in siginfo_t, usage */
	SH__NOTE_EMPTY	  /* it has ended, and so has everything below the guardian */
};

struct sh__note {
	enum sh__note_kind kind;
	int error;
	enum sh__where where;
	int pid;
	int memory_shared; /* SH__NOTE_STARTED: what the guardian has found out about it */
	int code, status;
	bool empty; /* SH__NOTE_ENDED: nothing is left below */
	struct rusage usage;
};

enum sh__order_kind {
	SH__ORDER_START,   /* the command that is in the room, with the descriptors sent along */
	SH__ORDER_DISMISS, /* let go of what there is */
	SH__ORDER_GROUP,   /* signal the members of the command's group */
	SH__ORDER_OTHERS,  /* signal those that are not in it; SIGKILL: again until all end */
};

struct sh__order {
	enum sh__order_kind kind;
	int signum;
};

/*
 * guardian_linux.c: the life of the guardian, after it was cloned. Neither returns. The first
 * begins with starting the command, the second waits for SH__ORDER_START first.
 */
void sh__guardian_run(void *attempt, int sock) __attribute__((noreturn));
void sh__guardian_wait(void *room, int sock) __attribute__((noreturn));

/* guard_linux.c: the owner's side. Starts the guardian, which starts the command. */
int sh__guarded_start(struct sh__child *c, struct sh__loop *loop, struct sh__attempt *a,
		      int *pid, int *pidfd);
/* A copy of this process that lives as said; its pid, or an error. *pidfd may stay -1. */
int sh__guardian_clone(void (*live)(void *, int sock), void *what, int sock, int *pidfd);
int sh__pidfd_of(int pid);
/* Ends both after a start; nothing is left of them. */
void sh__guarded_give_up(struct sh__child *c, struct sh__child *guardian);
int sh__guarded_watch(struct sh__child *c, struct sh__loop *loop);
int sh__guarded_kill(struct sh__child *c, int signum);
int sh__guarded_kill_others(struct sh__child *c, int signum);
bool sh__guarded_was_stopped(struct sh__child *c);
void sh__guarded_dismiss(struct sh__child *c);
void sh__guarded_drop(struct sh__child *c, struct sh__child *guardian);
int sh__guarded_left(const struct sh__child *guardian, int *pids, size_t max);

#endif
