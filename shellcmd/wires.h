/*
 * The three standard descriptors of a stage while it is being started, and the sinks and the
 * source at our end of them.
 */
#ifndef SHELLCMD_WIRES_H
#define SHELLCMD_WIRES_H

#include "shellcmd/proc.h"

struct sh__wires {
	int fd[3];
	bool ours[3]; /* to be closed once the child has its copy */
	int next_in;  /* what the next stage reads, or -1 */
};

/* Fills `w` for stage i, which reads `in` (-1 for the first). A failure is told with
 * sh__stage_failed() and returned; the wires are to be closed in either case. */
int sh__wires_make(sh_proc *p, size_t i, int in, struct sh__wires *w);
void sh__wires_close(struct sh__wires *w);

#endif
