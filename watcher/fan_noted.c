/*
 * The names that come and go in the memory, while there are directories that the engine has not
 * read: every record by which one does is in a hash by its directory, and by what has the name.
 * What such records mean for a directory is in fan_before.c and fan_later.c.
 */
#ifdef __linux__

#include "watcher/fan.h"

#include <stdlib.h>
#include <string.h>

#include "watcher/tree.h"

static uint32_t key_hash(const struct fan_key *key)
{
	return name_hash((const char *)key, fan_key_len(key));
}

bool fan_same_key(const struct fan_key *a, const struct fan_key *b)
{
	return a && a->bytes == b->bytes && memcmp(a, b, fan_key_len(a)) == 0;
}

static int grow(struct fan_later *l)
{
	uint32_t cap = l->cap ? l->cap * 2 : 256, n = cap, *buckets;
	struct fan_mention *items = realloc(l->items, cap * sizeof *items);

	if (!items)
		return UV_ENOMEM;
	l->items = items;
	if (!(buckets = malloc(n * sizeof *buckets)))
		return UV_ENOMEM;
	memset(buckets, 0xff, n * sizeof *buckets);
	free(l->buckets);
	l->buckets = buckets;
	l->nbuckets = n;
	l->cap = cap;
	for (uint32_t i = 0; i < l->nitems; i++) {
		uint32_t *bucket = &buckets[items[i].hash & (n - 1)];

		items[i].next = *bucket;
		*bucket = i;
	}
	return 0;
}

static void add(struct fan_later *l, const struct fan_key *key, uint64_t at)
{
	uint32_t hash = key_hash(key), *bucket = &l->buckets[hash & (l->nbuckets - 1)];

	l->items[l->nitems] = (struct fan_mention){ hash, *bucket, at };
	*bucket = l->nitems++;
}

static bool leaves(const struct fan_info *info)
{
	return info->mask & FAN_ONDIR && info->mask & (FAN_RENAME | FAN_DELETE) && info->object;
}

static void forget(struct fan_later *l)
{
	if (l->nitems)
		memset(l->buckets, 0xff, l->nbuckets * sizeof *l->buckets);
	l->nitems = l->leaving = 0;
}

int fan_note_all(struct backend *b)
{
	struct fan_later *l = &b->later;
	struct fan_info info;
	int r = fan_read_all(b);

	if (r < 0 && r != UV_ENOMEM)
		r = UV_EAGAIN;
	if (l->noted <= b->base + b->pos) { /* what is in it has been passed */
		forget(l);
		l->noted = b->base + b->pos;
	}
	for (; r == 0 && l->noted < b->base + b->len; l->noted += info.len) {
		if (l->nitems + 3 > l->cap && grow(l) < 0)
			return UV_ENOMEM;
		fan_parse(b->memory + (l->noted - b->base), &info);
		if (!(info.mask & (FAN_CREATE | FAN_DELETE | FAN_RENAME)) || !info.dir)
			continue;
		add(l, info.dir, l->noted);
		if (info.dir2 && !fan_same_key(info.dir2, info.dir))
			add(l, info.dir2, l->noted);
		if (info.object)
			add(l, info.object, l->noted);
		l->leaving += leaves(&info);
	}
	return r;
}

void fan_noted_passed(struct backend *b, const struct fan_info *info)
{
	if (info->dir && leaves(info) && b->base + b->pos < b->later.noted)
		b->later.leaving--;
}

uint32_t fan_next_about(const struct backend *b, const struct fan_key *key, uint32_t before,
			struct fan_info *info, uint64_t *at)
{
	const struct fan_later *l = &b->later;
	uint32_t hash = key_hash(key), i;

	if (!l->nitems)
		return FAN_NONE;
	i = before == FAN_NONE ? l->buckets[hash & (l->nbuckets - 1)] : l->items[before].next;
	for (; i != FAN_NONE; i = l->items[i].next) {
		*at = l->items[i].at;
		if (*at < b->base + b->pos)
			return FAN_NONE;
		if (l->items[i].hash != hash)
			continue;
		fan_parse(b->memory + (*at - b->base), info);
		if (fan_same_key(info->dir, key) || fan_same_key(info->dir2, key) ||
		    fan_same_key(info->object, key))
			return i;
	}
	return FAN_NONE;
}

bool fan_holder(const struct backend *b, const struct fan_key **key)
{
	const struct fan_key *found = NULL;
	struct fan_info info;
	uint64_t at;

	for (uint32_t i = fan_next_about(b, *key, FAN_NONE, &info, &at); i != FAN_NONE;
	     i = fan_next_about(b, *key, i, &info, &at))
		if (leaves(&info) && fan_same_key(info.object, *key))
			found = info.dir;
	*key = found;
	return found != NULL;
}

#endif
