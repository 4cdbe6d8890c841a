/*
 * Names that a listing has twice. A directory that changes while it is read in pieces may give
 * a name again that went and came back behind the place of reading: the index has each once.
 */
#include <stdlib.h>
#include <string.h>

#include "watcher/engine.h"

#define NONE UINT32_MAX

static uint8_t name_len_at(const struct listing *l, size_t at)
{
	return (uint8_t)l->packed[at + 9];
}

static bool same_name(const struct listing *l, size_t a, size_t b)
{
	return name_len_at(l, a) == name_len_at(l, b) &&
	       memcmp(l->packed + a + PACKED_HEAD, l->packed + b + PACKED_HEAD,
		      name_len_at(l, a)) == 0;
}

/* Where in the table the name at `at` is, or would be. */
static uint32_t *slot_of(const struct listing *l, uint32_t *slots, uint32_t size, size_t at)
{
	uint32_t i = name_hash(l->packed + at + PACKED_HEAD, name_len_at(l, at)) & (size - 1);

	while (slots[i] != NONE && !same_name(l, slots[i], at))
		i = (i + 1) & (size - 1);
	return &slots[i];
}

/* Leaves out the entries that have no type. */
static void compact(struct listing *l)
{
	size_t from, to = 0, n;

	for (from = 0; from < l->len; from += n) {
		n = PACKED_HEAD + name_len_at(l, from);
		if (!l->packed[from + 8])
			continue;
		memmove(l->packed + to, l->packed + from, n);
		to += n;
	}
	l->len = to;
}

int watcher__listing_unrepeat(struct listing *l)
{
	uint32_t size = 64, n = l->count, *slots, *slot;

	while (size / 2 < n)
		size *= 2;
	if (!(slots = malloc(size * sizeof *slots)))
		return UV_ENOMEM;
	memset(slots, 0xff, size * sizeof *slots);
	for (size_t at = 0; at < l->len; at += PACKED_HEAD + name_len_at(l, at)) {
		slot = slot_of(l, slots, size, at);
		if (*slot != NONE) {
			l->packed[*slot + 8] = 0;
			l->count--;
		}
		*slot = (uint32_t)at;
	}
	free(slots);
	if (l->count < n)
		compact(l);
	return 0;
}
