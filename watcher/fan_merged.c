/*
 * What the kernel has merged into records that stand too early to tell of it.
 *
 * What happens to one name of one file makes one record until that is read, and so do renames
 * of a file from one name to another. Where a file leaves a name and gets it again meanwhile,
 * what is done after that, even the end of the name, is told of where the name was first heard
 * of. A file gets its name again by a link, or by a rename while it has several, and loses one by
 * more than renames: its link count has changed, which is told of it without a name. So where
 * a file was renamed and its link count changed before the queue was empty, the names that it was
 * renamed from and to are looked at when all of that has been told; and those that it got and
 * lost, where more than one process changed its link count: each has a record of its own. (What is
 * only moved to and fro is looked at by fan_record.c.)
 */
#ifdef __linux__

#include "watcher/fan.h"

#include <stdlib.h>
#include <string.h>

#define NOTES_MAX  (1024 * 1024) /* then all is looked at */
#define NAMES_MAX  (64 * NOTES_MAX)
#define KEPT_MAX   1024 /* notes that there is always room for */
#define SINGLY_MAX 1024 /* names; then directories are looked at as a whole */

/* How the key of a name that is to be looked at begins. */
struct suspect {
	int32_t id;
	int32_t written;
};

/* A short one, for it is asked for often. */
static uint64_t object_hash(const struct fan_key *key)
{
	uint64_t h = key->bytes;
	uint32_t word;

	for (uint32_t i = 0; i + sizeof word <= key->bytes; i += sizeof word) {
		memcpy(&word, key->handle + i, sizeof word);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return h;
}

static int32_t slot_of(uint64_t hash)
{
	return (int32_t)(hash & INT32_MAX);
}

void fan_merged_init(struct backend *b)
{
	b->merged = (struct fan_merged){ .names.max = NAMES_MAX, .end = UINT64_MAX, .out = -1 };
	keys_init(&b->merged.suspects);
}

void fan_merged_fini(struct backend *b)
{
	keys_fini(&b->merged.suspects);
	bytes_free(&b->merged.names);
	free(b->merged.notes);
}

/* ---- what was done ---- */

static void forget(struct fan_merged *m)
{
	if (m->cap > KEPT_MAX) {
		bytes_free(&m->names);
		free(m->notes);
		m->notes = NULL;
		m->cap = 0;
	}
	bytes_clear(&m->names);
	m->nnotes = 0;
	m->kinds = 0;
	m->mixed = false;
}

static int add(struct fan_merged *m, const struct fan_note *note)
{
	uint32_t cap = m->cap ? m->cap * 2 : 64;
	void *p;

	if (m->nnotes == m->cap) {
		if (cap > NOTES_MAX || !(p = realloc(m->notes, cap * sizeof *m->notes)))
			return UV_ENOMEM;
		m->notes = p;
		m->cap = cap;
	}
	m->kinds |= note->kinds;
	m->notes[m->nnotes++] = *note;
	return 0;
}

void fan_merged_note(struct backend *b, const struct fan_info *info, unsigned kinds)
{
	struct fan_merged *m = &b->merged;
	struct fan_note note = { .hash = object_hash(info->object), .kinds = kinds };
	int r = 0;

	if (kinds & FAN_NOTED_COUNT) {
		m->mixed |= m->kinds & FAN_NOTED_COUNT && m->pid != info->pid;
		m->pid = info->pid;
	}
	if (kinds & FAN_NOTED_MOVE) {
		note.id = b->now.id;
		note.id2 = b->now.id2;
		note.name = (uint32_t)m->names.len;
		r = bytes_add(&m->names, info->name, strlen(info->name) + 1);
		note.name2 = (uint32_t)m->names.len;
		if (r == 0)
			r = bytes_add(&m->names, info->name2, strlen(info->name2) + 1);
	}
	if (r < 0 || add(m, &note) < 0) {
		forget(m);
		b->gap = true;
	}
}

void fan_merged_read(struct backend *b)
{
	if (b->merged.end == UINT64_MAX && b->all && b->pos < b->len)
		b->merged.end = b->base + b->len;
}

void fan_merged_begin(struct backend *b)
{
	forget(&b->merged);
	b->merged.begin = b->base + b->pos;
	b->merged.end = UINT64_MAX;
	fan_merged_read(b);
}

/* ---- names to be looked at ---- */

static void add_suspect(struct backend *b, int32_t id, const char *name, bool written)
{
	struct keys *names = &b->merged.suspects;
	struct suspect head = { id, written };
	size_t len = strlen(name);
	char key[KEY_MAX];

	if (id < 0)
		return;
	if (len > sizeof key - sizeof head || names->count >= SINGLY_MAX)
		len = 0;
	memcpy(key, &head, sizeof head);
	memcpy(key + sizeof head, name, len);
	len += sizeof head;
	if (keys_find(names, key, len) < 0 && keys_add(names, key, len) < 0)
		b->gap = true;
}

/* What is written to under a name that it has for the second time is told of its first. */
static void suspect(struct backend *b, const struct fan_note *move, unsigned kinds)
{
	bool written = kinds & FAN_NOTED_WRITTEN;

	if (!(kinds & FAN_NOTED_COUNT) && !(written && move->kinds & FAN_NOTED_BACK))
		return;
	add_suspect(b, move->id, b->merged.names.data + move->name, false);
	add_suspect(b, move->id2, b->merged.names.data + move->name2, written);
}

/* Several processes have changed the link counts of these files: what one has done to a name it may
 * have done before and after what another did. They are few: their names are not noted. */
static void suspect_names(struct backend *b, const struct ids *several)
{
	struct fan_info info;

	b->gap |= b->merged.begin < b->base;
	for (uint64_t at = b->merged.begin; !b->gap && at < b->base + b->pos; at += info.len) {
		fan_parse(b->memory + (at - b->base), &info);
		if (info.mask & (FAN_CREATE | FAN_DELETE) && !(info.mask & FAN_ONDIR) && info.dir &&
		    info.object && ids_get(several, slot_of(object_hash(info.object))) != IDS_NONE)
			add_suspect(b, fan_find(b, info.dir), info.name, false);
	}
}

/* The link count of a file has changed more than once: by several processes, for what one does to
 * it is merged. */
static void compare_counts(struct backend *b)
{
	const struct fan_merged *m = &b->merged;
	struct ids first = { .slots = NULL }, several = first;
	uint32_t i, k;

	for (i = 0; i < m->nnotes; i++) {
		int32_t slot = slot_of(m->notes[i].hash);

		if (!(m->notes[i].kinds & FAN_NOTED_COUNT))
			continue;
		if ((k = ids_get(&first, slot)) == IDS_NONE)
			b->gap |= ids_set(&first, slot, i) < 0;
		else if (m->notes[k].hash == m->notes[i].hash)
			b->gap |= ids_set(&several, slot, i) < 0;
	}
	if (several.count)
		suspect_names(b, &several);
	ids_free(&first);
	ids_free(&several);
}

/* Which of the moves are in doubt? */
static void compare_moves(struct backend *b)
{
	const struct fan_note *notes = b->merged.notes, *end = notes + b->merged.nnotes, *n;
	struct ids kinds = { .slots = NULL };
	struct ids_slot *s;

	for (n = notes; n < end; n++)
		if (n->kinds & FAN_NOTED_MOVE)
			b->gap |= ids_set(&kinds, slot_of(n->hash), 0) < 0;
	for (n = notes; n < end; n++)
		if (!(n->kinds & FAN_NOTED_MOVE) && (s = ids_slot(&kinds, slot_of(n->hash))))
			s->value |= n->kinds;
	for (n = notes; n < end; n++)
		if (n->kinds & FAN_NOTED_MOVE && (s = ids_slot(&kinds, slot_of(n->hash))))
			suspect(b, n, s->value);
	ids_free(&kinds);
}

static void next_name(struct fan_merged *m, struct change *c)
{
	const struct key *key;
	struct suspect head;

	while (!keys_has(&m->suspects, ++m->out))
		;
	key = &m->suspects.slots[m->out];
	memcpy(&head, keys_bytes(key), sizeof head);
	c->op = CHANGE_LOOK;
	c->id = head.id;
	c->content = head.written;
	c->name_len = (uint8_t)(key->len - sizeof head);
	if (c->name_len)
		c->name = (const char *)keys_bytes(key) + sizeof head;
}

bool fan_merged_told(struct backend *b, struct change *c)
{
	struct fan_merged *m = &b->merged;

	if (m->out >= 0)
		keys_remove(&m->suspects, m->out);
	if (b->base + b->pos >= m->end) {
		if (m->kinds & FAN_NOTED_MOVE && m->kinds & (FAN_NOTED_COUNT | FAN_NOTED_WRITTEN))
			compare_moves(b);
		if (m->mixed && m->kinds & FAN_NOTED_NAME)
			compare_counts(b);
		fan_merged_begin(b);
	}
	if (!m->suspects.count) {
		m->out = -1;
		return false;
	}
	next_name(m, c);
	return true;
}

#endif
