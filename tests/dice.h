/* Numbers that look random, the same after the same seed on every system. */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stdint.h>

static uint64_t rng; /* set to the seed */

/* From 0 to n - 1. */
static unsigned dice(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(rng >> 33) % n;
}

#endif
