/*
 * Waiting until what happened before can be told from what comes by its times.
 *
 * The kernel gives files coarse times, and fine ones where somebody has just asked for the
 * times of the same file (multigrain timestamps, Linux 6.13): those may be ahead of the coarse
 * clock, by more than a tick if that was late. So it is the coarse clock that has to pass the
 * fine one.
 */
#ifndef TESTS_NEXT_TICK_H
#define TESTS_NEXT_TICK_H

#include <time.h>

static inline void next_tick(void)
{
	struct timespec then, now;

	clock_gettime(CLOCK_REALTIME, &then);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec < then.tv_sec || (now.tv_sec == then.tv_sec && now.tv_nsec <= then.tv_nsec));
}

#endif
