/* Undelivered events: storage, merging, and the public walk through them. */
#include "watcher/batch.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/hash.h"

#define KEEP_BYTES (512 * 1024) /* memory a delivered batch may keep for the next one */
#define FEW_SLOTS  64           /* ... and slots, which have to be wiped */
#define TEXT_SPARE  (8 * 1024)  /* had before it is needed; two of the longest paths */
#define EVENT_SPARE 32

void batch_free(struct watcher_batch *b)
{
	if (!b)
		return;
	free(b->text);
	free(b->events);
	free(b->slots);
	free(b);
}

/* Back to the size of a new one; what is not given back is kept. */
static void shrink(struct watcher_batch *b)
{
	struct stored_event *events = realloc(b->events, 2 * EVENT_SPARE * sizeof *events);
	char *text = realloc(b->text, 2 * TEXT_SPARE);

	if (events) {
		b->events = events;
		b->cap = 2 * EVENT_SPARE;
	}
	if (text) {
		b->text = text;
		b->text_cap = 2 * TEXT_SPARE;
	}
}

void batch_clear(struct watcher_batch *b)
{
	if (b->text_cap > KEEP_BYTES)
		shrink(b);
	if (b->nslots > FEW_SLOTS) {
		free(b->slots);
		b->slots = NULL;
		b->nslots = 0;
	} else if (b->nslots) {
		memset(b->slots, 0, b->nslots * sizeof *b->slots);
	}
	b->text_len = b->n = b->cursor = 0;
	b->tight = false;
}

size_t batch_bytes(const struct watcher_batch *b)
{
	return b->text_len + b->n * sizeof *b->events + b->nslots * sizeof *b->slots;
}

static int grow_text(struct watcher_batch *b, size_t need)
{
	size_t cap = b->text_cap ? b->text_cap : 2 * TEXT_SPARE;
	char *p;

	if (need <= b->text_cap)
		return 0;
	while (cap < need)
		cap *= 2;
	if (cap > UINT32_MAX || !(p = realloc(b->text, cap)))
		return UV_ENOMEM;
	b->text = p;
	b->text_cap = cap;
	return 0;
}

static int grow_events(struct watcher_batch *b, size_t need)
{
	size_t cap = b->cap ? b->cap * 2 : 2 * EVENT_SPARE;
	struct stored_event *p;

	if (need <= b->cap)
		return 0;
	if (!(p = realloc(b->events, cap * sizeof *p)))
		return UV_ENOMEM;
	b->events = p;
	b->cap = cap;
	return 0;
}

/* Room for one event, from what is spare if more cannot be had and it is worth that. */
static int room(struct watcher_batch *b, size_t text, bool follows)
{
	b->tight = grow_text(b, b->text_len + text + TEXT_SPARE) < 0;
	b->tight |= grow_events(b, b->n + 1 + EVENT_SPARE) < 0;
	if (!b->tight)
		return 0;
	return !follows && b->text_len + text <= b->text_cap && b->n < b->cap ? 0 : UV_ENOMEM;
}

struct watcher_batch *batch_new(void)
{
	struct watcher_batch *b = calloc(1, sizeof *b);

	if (b && room(b, 0, false) == 0 && !b->tight)
		return b;
	batch_free(b);
	return NULL;
}

/* "a/b" of root "a" and rest "b"; "b" of root "."; "a" where there is no rest. */
static uint32_t put_path(struct watcher_batch *b, const struct path_parts *p, uint32_t *len)
{
	char *at = b->text + b->text_len, *start = at;
	bool bare = p->root_len == 1 && p->root[0] == '.' && p->rest_len;

	if (!bare) {
		memcpy(at, p->root, p->root_len);
		at += p->root_len;
		if (p->rest_len && !(p->root_len && p->root[p->root_len - 1] == '/'))
			*at++ = '/';
	}
	if (p->rest_len)
		memcpy(at, p->rest, p->rest_len);
	at += p->rest_len;
	*at++ = '\0';
	*len = (uint32_t)(at - start - 1);
	b->text_len += (size_t)(at - start);
	return (uint32_t)(start - b->text);
}

static int grow_slots(struct watcher_batch *b)
{
	size_t n = b->nslots ? b->nslots * 2 : FEW_SLOTS;
	uint32_t *slots = calloc(n, sizeof *slots);
	size_t i, at;

	if (!slots)
		return UV_ENOMEM;
	for (i = 0; i < b->nslots; i++) {
		const struct stored_event *e;

		if (!b->slots[i])
			continue;
		e = &b->events[b->slots[i] - 1];
		at = bytes_hash(b->text + e->path, e->path_len) & (n - 1);
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = b->slots[i];
	}
	free(b->slots);
	b->slots = slots;
	b->nslots = n;
	return 0;
}

/* The slot of a path: the one that holds it, or the free one where it would be put. */
static uint32_t *slot_of(struct watcher_batch *b, const char *path, size_t len)
{
	size_t at = bytes_hash(path, len) & (b->nslots - 1);

	for (; b->slots[at]; at = (at + 1) & (b->nslots - 1)) {
		const struct stored_event *e = &b->events[b->slots[at] - 1];

		if (e->path_len == len && memcmp(b->text + e->path, path, len) == 0)
			break;
	}
	return &b->slots[at];
}

/* A slot for one event more; without memory nothing is known of what was told so far. */
static bool slots_ready(struct watcher_batch *b)
{
	if ((b->n + 1) * 4 <= b->nslots * 3 || grow_slots(b) == 0)
		return true;
	if (b->nslots)
		memset(b->slots, 0, b->nslots * sizeof *b->slots);
	return false;
}

/* Remembers event `i` as the last one about its path; true if it repeats the one before: if of another
 * file, which has taken the name, that is of this one now. */
static bool repeats(struct watcher_batch *b, size_t i)
{
	struct stored_event *e = &b->events[i];
	uint32_t *slot = slot_of(b, b->text + e->path, e->path_len);
	struct stored_event *last = *slot ? &b->events[*slot - 1] : NULL;

	if (last && last->kind == e->kind && !e->dest && !last->dest && !last->over) {
		if (e->inode)
			last->inode = e->inode;
		return true;
	}
	if (e->tree) {
		memset(b->slots, 0, b->nslots * sizeof *b->slots);
		return false;
	}
	*slot = (uint32_t)i + 1;
	if (e->dest && *(slot = slot_of(b, b->text + e->dest, e->dest_len)))
		b->events[*slot - 1].over = 1;
	return false;
}

int batch_add(struct watcher_batch *b, const struct stored_event *event,
	      const struct path_parts *path, const struct path_parts *dest)
{
	size_t text = path->root_len + path->rest_len + 3, before = b->text_len;
	struct stored_event *e;

	if (dest)
		text += dest->root_len + dest->rest_len + 3;
	if (room(b, text, event->follows) < 0)
		return UV_ENOMEM;
	e = &b->events[b->n];
	*e = *event;
	e->path = put_path(b, path, &e->path_len);
	e->dest = dest ? put_path(b, dest, &e->dest_len) : 0;
	if (b->merge && slots_ready(b) && repeats(b, b->n)) {
		b->text_len = before;
		return 0;
	}
	b->n++;
	return 1;
}

void batch_forget(struct watcher_batch *b, const char *root)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->n; i++)
		if (b->events[i].root != root)
			b->events[kept++] = b->events[i];
	if (kept < b->n && b->nslots) /* they say which event is the last one of a path */
		memset(b->slots, 0, b->nslots * sizeof *b->slots);
	b->n = kept;
}

int watcher_batch_next(watcher_batch *b, watcher_event *event)
{
	const struct stored_event *e;

	if (b->cursor >= b->n)
		return 0;
	e = &b->events[b->cursor++];
	*event = (watcher_event){
		.kind = e->kind,
		.type = e->type,
		.path = b->text + e->path,
		.dest = e->dest ? b->text + e->dest : NULL,
		.root = e->root,
		.path_len = e->path_len,
		.dest_len = e->dest ? e->dest_len : 0,
		.time_ns = e->time_ns,
		.inode = e->inode,
		.batch = b->number,
		.cookie = e->cookie,
		.pid = e->pid,
		.synthetic = e->synthetic,
		.recovered = e->recovered,
	};
	return 1;
}

void watcher_batch_rewind(watcher_batch *b)
{
	b->cursor = 0;
}

size_t watcher_batch_count(const watcher_batch *b)
{
	return b->n;
}

uint64_t watcher_batch_number(const watcher_batch *b)
{
	return b->number;
}

static const struct {
	int kind;
	const char *name;
} kinds[] = {
	{ WATCHER_CREATED, "created" },
	{ WATCHER_MODIFIED, "modified" },
	{ WATCHER_DELETED, "deleted" },
	{ WATCHER_MOVED, "moved" },
	{ WATCHER_ATTRIB, "attrib" },
	{ WATCHER_OPENED, "opened" },
	{ WATCHER_CLOSED, "closed" },
	{ WATCHER_CLOSED_NO_WRITE, "closed_no_write" },
	{ WATCHER_OVERFLOW, "overflow" },
	{ WATCHER_READY, "ready" },
};

const char *watcher_kind_name(int kind)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "unknown";
}

int watcher_kind_of(const char *name)
{
	for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	return 0;
}

const char *watcher_type_name(int type)
{
	static const char *const names[] = { "unknown", "file", "dir", "symlink", "other" };

	return type >= 0 && type < 5 ? names[type] : names[0];
}
