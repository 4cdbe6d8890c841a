/*
 * Does nothing, from one file and without a C library to start up: what starting a process
 * costs at least.
 *
 * link: -static -nostartfiles
 */
#include <unistd.h>

void _start(void);

void _start(void)
{
	_exit(0);
}
