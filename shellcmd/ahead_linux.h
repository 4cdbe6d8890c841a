/*
 * A guardian that is forked before there is a command for it (guard_linux.h). What it is to
 * start it finds in a room of memory that it shares with its owner, at the same address, so
 * that pointers mean the same to both; descriptors come with the order to start.
 */
#ifndef SHELLCMD_AHEAD_LINUX_H
#define SHELLCMD_AHEAD_LINUX_H

#include "shellcmd/spawn_linux.h"

enum { SH__ROOM_FDS = 8, SH__ROOM_BYTES = 64 << 10 };

struct sh__room {
	struct sh__attempt attempt;
	struct sh__spawn spawn;
	sh_fd_map fds[SH__ROOM_FDS];
	int moved[SH__ROOM_FDS]; /* for attempt.fds */
	size_t used;		 /* of `bytes` */
	_Alignas(void *) char bytes[];
};

int sh__ahead_start(struct sh_guardian *g);
void sh__ahead_end(struct sh_guardian *g);

/*
 * Orders a guardian that waits to start the attempt's command. True: `taken` has it, `g` none
 * any more. False: there is none (`g` may be NULL), or it is not fit for that command.
 */
bool sh__ahead_take(struct sh_guardian *g, const struct sh__attempt *a,
		    struct sh_guardian *taken);

#endif
