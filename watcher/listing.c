/*
 * The names of a listing: where one is, and those that are there twice. A directory that changes
 * while it is read in pieces may give a name again that went and came back behind the place of
 * reading: the last is what counts.
 */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "watcher/scan.h"
#include "watcher/tree.h"

#define NONE UINT32_MAX

static uint8_t name_len_at(const struct listing *l, size_t at)
{
	return (uint8_t)l->packed[at + 9];
}

static bool has_name(const struct listing *l, size_t at, const char *name, size_t len)
{
	return name_len_at(l, at) == len && memcmp(l->packed + at + PACKED_HEAD, name, len) == 0;
}

/* Where in the table the name is, or would be. */
static uint32_t *slot_of(const struct listing *l, uint32_t *slots, uint32_t size, const char *name,
			 size_t len)
{
	uint32_t i = name_hash(name, len) & (size - 1);

	while (slots[i] != NONE && !has_name(l, slots[i], name, len))
		i = (i + 1) & (size - 1);
	return &slots[i];
}

uint32_t *watcher__listing_slots(struct listing *l, uint32_t *size)
{
	uint32_t *slots, *slot;

	for (*size = 64; *size / 2 < l->count;)
		*size *= 2;
	if (!(slots = malloc(*size * sizeof *slots)))
		return NULL;
	memset(slots, 0xff, *size * sizeof *slots);
	for (size_t at = 0; at < l->len; at += PACKED_HEAD + name_len_at(l, at)) {
		slot = slot_of(l, slots, *size, l->packed + at + PACKED_HEAD, name_len_at(l, at));
		if (*slot != NONE) {
			l->packed[*slot + 8] = 0;
			l->count--;
		}
		*slot = (uint32_t)at;
	}
	return slots;
}

const char *watcher__listing_find(const struct listing *l, uint32_t *slots, uint32_t size,
				  const char *name, size_t len)
{
	uint32_t at = *slot_of(l, slots, size, name, len);

	return at == NONE ? NULL : l->packed + at;
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
	uint32_t size, n = l->count, *slots = watcher__listing_slots(l, &size);

	if (!slots)
		return UV_ENOMEM;
	free(slots);
	if (l->count < n)
		compact(l);
	return 0;
}
