/* A hash of bytes, eight at a time: for tables that hold their keys, never for what is kept. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_step(uint64_t h, uint64_t piece)
{
	h = (h ^ piece) * UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 32;
}

/* Its low bits are as good as any. */
static inline uint64_t bytes_hash(const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	uint64_t h = len * UINT64_C(0x9E3779B97F4A7C15), piece;
	uint32_t first, last;

	for (; len > 8; at += 8, len -= 8) {
		memcpy(&piece, at, 8);
		h = hash_step(h, piece);
	}
	if (len >= 4) {
		memcpy(&first, at, 4);
		memcpy(&last, at + len - 4, 4);
		return hash_step(h, (uint64_t)first << 32 | last);
	}
	return len ? hash_step(h, (uint64_t)at[0] << 16 | at[len / 2] << 8 | at[len - 1]) : h;
}

#endif
