/* Clocks in nanoseconds; those of the wall count from 1970. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static inline int64_t clock_wall_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

/* The clock that change times are taken from: up to a tick of the kernel behind the other. */
static inline int64_t clock_coarse_ns(void)
{
#ifdef CLOCK_REALTIME_COARSE
	return clock_read_ns(CLOCK_REALTIME_COARSE);
#else
	return clock_wall_ns();
#endif
}

#endif
