/* Locks, which Windows needs not here: what is open cannot be removed. */
#ifndef WINDOWS_SYS_FILE_H
#define WINDOWS_SYS_FILE_H

#define LOCK_EX 2
#define LOCK_NB 4

static inline int flock(int fd, int how)
{
	(void)fd;
	(void)how;
	return 0;
}

#endif
