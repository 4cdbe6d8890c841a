/* Which paths changed, each once. Does not know what is run for them. */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include "format.h"

static size_t hash(const char *s)
{
	size_t h = 1469598103934665603u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

static size_t *find_slot(const struct changes *c, const char *path)
{
	size_t i = hash(path) & (c->cap - 1);

	while (c->slots[i] && strcmp(c->paths.v[c->slots[i] - 1], path) != 0)
		i = (i + 1) & (c->cap - 1);
	return &c->slots[i];
}

static void grow(struct changes *c)
{
	size_t cap = c->cap ? c->cap * 2 : 64;

	free(c->slots);
	c->slots = alloc_zero(cap, sizeof *c->slots);
	c->cap = cap;
	for (size_t i = 0; i < c->paths.n; i++)
		*find_slot(c, c->paths.v[i]) = i + 1;
}

static void add_path(struct changes *c, const char *path)
{
	size_t *slot;

	if (c->paths.n * 2 >= c->cap)
		grow(c);
	slot = find_slot(c, path);
	if (*slot)
		return;
	words_add(&c->paths, path);
	*slot = c->paths.n;
}

static char *seen_from_command(const struct changes *c, const char *path)
{
	if (!c->base || path[0] == '/')
		return alloc_copy(path);
	return alloc_text("%s/%s", c->base, path);
}

void changes_add(struct changes *c, const watcher_event *e, int keep_json)
{
	int has_dest = e->dest && e->dest_len;
	char *path = seen_from_command(c, e->path);
	char *dest = has_dest ? seen_from_command(c, e->dest) : NULL;

	add_path(c, has_dest ? dest : path);
	if (c->count++ == 0) {
		c->kind = e->kind;
		c->path = path;
		c->dest = dest;
		c->root = alloc_copy(e->root ? e->root : "");
	} else {
		free(path);
		free(dest);
	}
	c->batch = e->batch;
	if (keep_json) {
		struct format f;
		char why[256];

		format_init(&f, "json", 0, 0, why);
		format_event(&f, &c->json, e);
	}
}

void changes_clear(struct changes *c)
{
	words_free(&c->paths);
	bytes_free(&c->json);
	free(c->path);
	free(c->dest);
	free(c->root);
	free(c->slots);
	*c = (struct changes){ 0 };
}
