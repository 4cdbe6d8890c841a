/*
 * Detached commands whose handle was freed. They are still children of this process, and each
 * would be a zombie from its end to ours: they are reaped when a command is started or a
 * handle freed, as there is neither SIGCHLD nor a thread to do it at once.
 */
#ifndef SHELLCMD_DETACHED_H
#define SHELLCMD_DETACHED_H

/* From now on `pid`, a child that is not reaped, is looked for. */
void sh__detached_add(int pid);

/* Reaps those that have ended. On any thread. */
void sh__detached_reap(void);

#endif
