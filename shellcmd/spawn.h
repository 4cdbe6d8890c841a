/*
 * The seam between commands and the engines that start processes: what a child is to be,
 * and what can be done with one. There are two engines: spawn_linux.c (a vfork-style child
 * and a pidfd), and spawn_uv.c (libuv's uv_spawn, which is less able and declares it).
 * Nothing else in the library starts, signals or waits for a process.
 */
#ifndef SHELLCMD_SPAWN_H
#define SHELLCMD_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shellcmd/loop.h"
#include "whendo/shellcmd.h"

/* Where the way to the program's first instruction broke off. */
enum sh__where {
	SH__AT_CLONE,
	SH__AT_GROUP,
	SH__AT_TTY,
	SH__AT_FDS,
	SH__AT_UMASK,
	SH__AT_RLIMIT,
	SH__AT_NICE,
	SH__AT_USER,
	SH__AT_CWD,
	SH__AT_PARENT,
	SH__AT_EXEC
};

struct sh__user {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
};

/* All of it is borrowed for the time of the call. */
struct sh__spawn {
	const char *file; /* for execve */
	char *const *argv;
	char *const
	    *sh_argv; /* { "/bin/sh", file, argv[1] ... }, if file has no known format */
	char *const *envp;
	const char *cwd;      /* or NULL */
	const sh_fd_map *fds; /* sorted by child number; starts with 0, 1, 2 */
	size_t n_fds;
	const sh_rlimit *rlimits;
	size_t n_rlimits;
	const struct sh__user *user; /* or NULL */
	int umask;		     /* SH_UMASK(..) or 0 */
	int nice;
	int tty_fd;	     /* the terminal that is handed over, or -1 */
	bool group, session; /* setpgid; setsid */
	bool ctty;	     /* child's 0 becomes the controlling terminal */
	bool die_with_parent;
	struct sh__child *guardian; /* NULL, or what becomes the parent of the child and of
				     * its orphans (SH__CAN_TREE) */
	struct sh_guardian *ahead;  /* NULL, or one that may be ready to become that */
};

struct sh__child {
	int pid;	   /* 0: none */
	int pidfd;	   /* -1: none */
	bool group;	   /* pid leads a group */
	bool exited, lost; /* lost: exited, and its status went elsewhere */
	bool reaped;
	bool core;
	int exit_code, term_signal;
	uint64_t user_ns, sys_ns, maxrss_kib;
	void (*on_exit)(struct sh__child *);
	void *arg;
	struct sh__loop *loop;
	struct sh__watch watch;
	uv_process_t *uv;
	struct sh__timer look; /* for an end that libuv does not see */

	/* With a guardian. */
	int guard_fd;			     /* -1, or the socket to it */
	bool empty;			     /* nothing is left below it */
	int stopped_by;			     /* a signal, not yet asked for */
	void (*on_stop)(struct sh__child *); /* stopped_by was set */
};

/* A guardian that waits for its command. */
struct sh_guardian {
	int pid;   /* 0: none waits */
	int pidfd; /* -1: none */
	int sock;
	uid_t users[3]; /* this process's when it was forked: real, effective, saved */
	gid_t groups[3];
	struct sh__room *room; /* what both see: the command it is to start */
};

enum sh__can {
	SH__CAN_UMASK = 1 << 0,
	SH__CAN_RLIMITS = 1 << 1,
	SH__CAN_NICE = 1 << 2,
	SH__CAN_PTY = 1 << 3,
	SH__CAN_DIE = 1 << 4,	  /* by itself; without, guard.c does it */
	SH__CAN_GROUPS = 1 << 5,  /* a group without a session; all groups of a user */
	SH__CAN_TTY = 1 << 6,	  /* hands over the host's terminal */
	SH__CAN_CLOSE = 1 << 7,	  /* keeps the host's descriptors from the child */
	SH__CAN_NOTICE = 1 << 8,  /* an exit that is not told, or whose status was taken */
	SH__CAN_RECOVER = 1 << 9, /* such a status, where the kernel keeps it */
	SH__CAN_MEASURE = 1 << 10,
	SH__CAN_TREE = 1 << 11 /* guardians; without, guard.c makes a simpler one */
};

struct sh__engine {
	const char *name;
	unsigned can;
	bool needs_uv; /* a private loop must be a uv loop */

	/* 0 with child->pid set and on_exit to come, or an error with *where set and no
	 * child left. on_exit, arg are set before. */
	int (*spawn)(struct sh__child *, struct sh__loop *, const struct sh__spawn *,
		     enum sh__where *where);

	/* To the group if it leads one. UV_ESRCH: nobody there. */
	int (*kill)(struct sh__child *, int signum);

	/* Whether nobody of the group is alive any more; with a guardian, no descendant. Only
	 * after `exited`. */
	bool (*group_gone)(struct sh__child *);

	/* Whether it was stopped (^Z) since it was last asked. */
	bool (*was_stopped)(struct sh__child *);

	/* Lets go of an exited child: reaps it, closes what belongs to it. */
	void (*forget)(struct sh__child *);

	/* The rest is for a child with a guardian (SH__CAN_TREE, else NULL). Lets the
	 * guardian go, which ends; what is left below it goes on. */
	void (*dismiss)(struct sh__child *);

	/* To the descendants that have left the group; SIGKILL goes to all descendants, again
	 * and again until none is left. UV_ESRCH: none. */
	int (*kill_others)(struct sh__child *, int signum);

	/* Ends its guardian and reaps it; the same for what is left. After the command's end,
	 * when both are watched no more. */
	void (*drop_guardian)(struct sh__child *, struct sh__child *guardian);

	/* Who is alive below the guardian: fills in at most `max`, returns how many there are,
	 * or what made it impossible to look. */
	int (*left)(const struct sh__child *guardian, int *pids, size_t max);

	/* Forks one that waits; 0 or an error with none. And ends one that does. */
	int (*ahead)(struct sh_guardian *);
	void (*ahead_end)(struct sh_guardian *);
};

extern const struct sh__engine sh__engine_linux, sh__engine_uv;

/* The engine of this build; a test program may define its own choice. */
const struct sh__engine *sh__engine(void);

#endif
