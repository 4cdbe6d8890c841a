/*
 * What uv_spawn cannot do to a child, a small shell does in the child before it becomes the
 * command: umask, limits, priority, a controlling terminal. It costs the start of two more
 * programs, and only those that ask for one of these pay.
 */
#ifndef SHELLCMD_SHIM_UV_H
#define SHELLCMD_SHIM_UV_H

#include "base/bytes.h"
#include "shellcmd/spawn.h"

struct sh__shim {
	struct bytes script;
	char **argv;	/* of the shell */
	sh_fd_map *fds; /* those of the command, and the shell's end of the talk */
	size_t n_fds;
	int ours, theirs; /* the talk; -1: none */
};

#define SH__NO_SHIM ((struct sh__shim){ .ours = -1, .theirs = -1 })

bool sh__shim_is_needed(const struct sh__spawn *s);

/* 0, or an error with *where set; sh__shim_free() after both. Begins as SH__NO_SHIM. */
int sh__shim_make(struct sh__shim *shim, const struct sh__spawn *s, enum sh__where *where);

/* Once the shell runs as `pid`: gives it the word and waits until it becomes the command. An
 * error, with *where set, if it does not; it ends then, and is to be reaped. */
int sh__shim_talk(struct sh__shim *shim, const struct sh__spawn *s, int pid,
		  enum sh__where *where);

void sh__shim_free(struct sh__shim *shim);

#endif
