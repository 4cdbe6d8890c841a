/* A hash of short byte strings with chains of numbers; see keys.h. */
#include "watcher/keys.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "watcher/tree.h"

void keys_init(struct keys *k)
{
	memset(k, 0, sizeof *k);
	k->free = -1;
}

void keys_fini(struct keys *k)
{
	for (int32_t i = 0; i < k->nslots; i++)
		if (k->slots[i].len > KEY_INLINE)
			free(k->slots[i].at.far);
	free(k->slots);
	free(k->buckets);
	keys_init(k);
}

int32_t keys_find(const struct keys *k, const void *key, size_t len)
{
	uint32_t hash = name_hash(key, len);
	int32_t i;

	if (!k->nbuckets)
		return -1;
	for (i = k->buckets[hash & (k->nbuckets - 1)]; i >= 0; i = k->slots[i].next)
		if (k->slots[i].hash == hash && k->slots[i].len == len &&
		    memcmp(keys_bytes(&k->slots[i]), key, len) == 0)
			return i;
	return -1;
}

static void chain(struct keys *k, int32_t number)
{
	struct key *key = &k->slots[number];
	int32_t *bucket = &k->buckets[key->hash & (k->nbuckets - 1)];

	key->next = *bucket;
	*bucket = number;
}

static int grow_buckets(struct keys *k)
{
	uint32_t n = k->nbuckets ? k->nbuckets * 2 : 64;
	int32_t *buckets = malloc(n * sizeof *buckets);

	if (!buckets)
		return k->nbuckets ? 0 : UV_ENOMEM; /* longer chains will do */
	memset(buckets, 0xff, n * sizeof *buckets);
	free(k->buckets);
	k->buckets = buckets;
	k->nbuckets = n;
	for (int32_t i = 0; i < k->nslots; i++)
		if (k->slots[i].len)
			chain(k, i);
	return 0;
}

static int32_t take_slot(struct keys *k)
{
	int32_t i = k->free, cap = k->cap ? k->cap * 2 : 32;
	struct key *p;

	if (i >= 0) {
		k->free = k->slots[i].next;
		return i;
	}
	if (k->nslots == k->cap) {
		if (!(p = realloc(k->slots, (size_t)cap * sizeof *p)))
			return UV_ENOMEM;
		k->slots = p;
		k->cap = cap;
	}
	return k->nslots++;
}

int32_t keys_add(struct keys *k, const void *key, size_t len)
{
	unsigned char *far = NULL;
	int32_t i;

	if ((uint32_t)k->count >= k->nbuckets && grow_buckets(k) < 0)
		return UV_ENOMEM;
	if (len > KEY_INLINE && !(far = malloc(len)))
		return UV_ENOMEM;
	if ((i = take_slot(k)) < 0) {
		free(far);
		return UV_ENOMEM;
	}
	k->slots[i].len = (uint8_t)len;
	k->slots[i].hash = name_hash(key, len);
	if (far)
		k->slots[i].at.far = far;
	memcpy(far ? far : k->slots[i].at.bytes, key, len);
	chain(k, i);
	k->count++;
	return i;
}

void keys_remove(struct keys *k, int32_t number)
{
	struct key *key = &k->slots[number];
	int32_t *at = &k->buckets[key->hash & (k->nbuckets - 1)];

	while (*at != number)
		at = &k->slots[*at].next;
	*at = key->next;
	if (key->len > KEY_INLINE)
		free(key->at.far);
	key->len = 0;
	key->next = k->free;
	k->free = number;
	k->count--;
}
