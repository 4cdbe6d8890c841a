/* The Linux engine's second half: what can be done with a child that runs. See spawn.h. */
#ifndef SHELLCMD_REAP_LINUX_H
#define SHELLCMD_REAP_LINUX_H

#include "shellcmd/spawn.h"

int sh__reap_watch(struct sh__child *c, struct sh__loop *loop);
/* What waitid(2) said of its end. */
struct rusage;
void sh__reap_note(struct sh__child *c, int code, int status, const struct rusage *ru);
int sh__reap_kill(struct sh__child *c, int signum);
/* Whether a process that is not a zombie is in the group: reads /proc. */
bool sh__reap_group_lives(int pgrp);
bool sh__reap_group_gone(struct sh__child *c);
bool sh__reap_was_stopped(struct sh__child *c);
void sh__reap_forget(struct sh__child *c);

#endif
