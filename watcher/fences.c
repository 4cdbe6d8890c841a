/* Places of readings in a queue, in their order: see fences.h. */
#include "watcher/fences.h"

#include <stdlib.h>
#include <uv.h>

int fences_begin(struct fences *f, int32_t id, uint64_t place)
{
	uint32_t cap = f->cap ? f->cap * 2 : 16;
	struct fence *items;

	if (f->n == f->cap) {
		if (!(items = realloc(f->items, cap * sizeof *items)))
			return UV_ENOMEM;
		f->items = items;
		f->cap = cap;
	}
	f->items[f->n++] = (struct fence){ .id = id, .begin = place, .end = UINT64_MAX };
	return 0;
}

void fences_end(struct fences *f, uint64_t place)
{
	f->items[f->n - 1].end = place;
}

void fences_give_up(struct fences *f)
{
	if (f->first == --f->n)
		f->first = f->n = 0;
}

void fences_changed(struct fences *f, int32_t id, uint64_t place)
{
	for (uint32_t i = f->first; i < f->n && f->items[i].begin <= place; i++)
		f->items[i].torn |= f->items[i].id == id;
}

bool fences_reached(const struct fences *f, uint64_t place)
{
	return f->n && place >= f->items[f->first].end;
}

int32_t fences_pass(struct fences *f)
{
	struct fence *next = &f->items[f->first];
	int32_t id = next->id;

	if (next->torn)
		next->torn = false;
	else if (++f->first == f->n)
		f->first = f->n = 0;
	return id;
}

void fences_free(struct fences *f)
{
	free(f->items);
}
