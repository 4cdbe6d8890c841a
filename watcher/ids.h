/*
 * A map from a backend's numbers to small values: open addressing, linear probing. What it
 * does not hold maps to IDS_NONE. Only for non-negative numbers.
 */
#ifndef WATCHER_IDS_H
#define WATCHER_IDS_H

#include <stdint.h>
#include <stdlib.h>

#define IDS_NONE UINT32_MAX

struct ids {
	struct ids_slot {
		int32_t id; /* -1 free, -2 erased */
		uint32_t value;
	} *slots;
	uint32_t nslots, nused, count;
};

static inline void ids_free(struct ids *m)
{
	free(m->slots);
	m->slots = NULL;
	m->nslots = m->nused = m->count = 0;
}

static inline struct ids_slot *ids_slot(const struct ids *m, int32_t id)
{
	uint32_t mask = m->nslots - 1, i;

	if (!m->nslots || id < 0)
		return NULL;
	for (i = (uint32_t)id * 2654435769u >> 7 & mask; m->slots[i].id != -1; i = (i + 1) & mask)
		if (m->slots[i].id == id)
			return &m->slots[i];
	return NULL;
}

static inline uint32_t ids_get(const struct ids *m, int32_t id)
{
	struct ids_slot *s = ids_slot(m, id);

	return s ? s->value : IDS_NONE;
}

static inline void ids_place(struct ids *m, int32_t id, uint32_t value)
{
	uint32_t mask = m->nslots - 1, i = (uint32_t)id * 2654435769u >> 7 & mask;

	while (m->slots[i].id >= 0)
		i = (i + 1) & mask;
	if (m->slots[i].id == -1)
		m->nused++;
	m->slots[i] = (struct ids_slot){ id, value };
	m->count++;
}

/* 0, or -1 when out of memory (only for a number that is new). */
static inline int ids_set(struct ids *m, int32_t id, uint32_t value)
{
	struct ids_slot *s = ids_slot(m, id), *old = m->slots;
	uint32_t n = 64, nold = m->nslots;

	if (s) {
		s->value = value;
		return 0;
	}
	if (!m->nslots || (m->nused + 1) * 4 > m->nslots * 3) {
		while (n * 3 / 4 <= (m->count + 1) * 5 / 4)
			n *= 2;
		if (!(m->slots = malloc(n * sizeof *m->slots))) {
			m->slots = old;
			return -1;
		}
		m->nslots = n;
		m->nused = m->count = 0;
		for (uint32_t i = 0; i < n; i++)
			m->slots[i].id = -1;
		for (uint32_t i = 0; i < nold; i++)
			if (old[i].id >= 0)
				ids_place(m, old[i].id, old[i].value);
		free(old);
	}
	ids_place(m, id, value);
	return 0;
}

static inline void ids_erase(struct ids *m, int32_t id)
{
	struct ids_slot *s = ids_slot(m, id);

	if (s) {
		s->id = -2;
		m->count--;
	}
}

#endif
