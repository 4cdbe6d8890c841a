/* Descriptors as this library needs them: see pipes.c. */
#ifndef SHELLCMD_PIPES_H
#define SHELLCMD_PIPES_H

/* 0 and both ends, close-on-exec and above 2; or a negative errno with nothing left open. */
int sh__pipe(int fds[2]);

/* The same for a pair of connected sockets of AF_UNIX; `type` is SOCK_... */
int sh__socket_pair(int type, int fds[2]);

/* The descriptor, moved above 2 if need be; or a negative errno with it closed. */
int sh__above_stdio(int fd);
int sh__nonblocking(int fd);
int sh__open_null(void);

/*
 * Takes those of 0, 1 and 2 that are free, while somebody else (libuv) makes descriptors; what
 * was taken is given back with the mask of them.
 */
unsigned sh__stdio_hold(void);
void sh__stdio_release(unsigned held);

#endif
