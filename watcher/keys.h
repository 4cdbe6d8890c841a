/*
 * What a backend knows a directory by (device and inode, or a file handle), and the small
 * number it has for it. Numbers of keys that were removed are given out again.
 */
#ifndef WATCHER_KEYS_H
#define WATCHER_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define KEY_MAX    160 /* fsid, type, and MAX_HANDLE_SZ bytes */
#define KEY_INLINE 24

struct keys {
	struct key {
		uint32_t hash;
		int32_t next; /* in its bucket, or in the list of free ones */
		uint8_t len;  /* 0: free */
		union {
			unsigned char bytes[KEY_INLINE];
			unsigned char *far; /* longer than that */
		} at;
	} *slots;
	int32_t *buckets;
	int32_t nslots, cap, free, count;
	uint32_t nbuckets; /* a power of two */
};

void keys_init(struct keys *k);
void keys_fini(struct keys *k);
/* The number of a key, or -1. */
int32_t keys_find(const struct keys *k, const void *key, size_t len);
/* Adds a key that is not there: its number, or UV_ENOMEM. */
int32_t keys_add(struct keys *k, const void *key, size_t len);
void keys_remove(struct keys *k, int32_t number);
/* Removes all. */
static inline void keys_clear(struct keys *k)
{
	keys_fini(k);
	keys_init(k);
}

static inline int keys_has(const struct keys *k, int32_t number)
{
	return number >= 0 && number < k->nslots && k->slots[number].len;
}

static inline const unsigned char *keys_bytes(const struct key *key)
{
	return key->len > KEY_INLINE ? key->at.far : key->at.bytes;
}

#endif
