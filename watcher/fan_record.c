/*
 * From the kernel's records to changes. The kernel merges: what happened to one name of one
 * file by one process is one record whose bits have no order, and a record stands where its
 * first bit stood. So a name both created and deleted is a LOOK, and so is a rename onto a
 * name that something was renamed away from just before.
 */
#ifdef __linux__

#include "watcher/fan.h"

#include <string.h>

#include "watcher/tree.h"

#define RENAMED_MAX (256 * 1024) /* within one drain: then all is looked at */

/* The number of a directory that changes in it are wanted of; -1. *unknown: it may be one that
 * has not been read yet, also where it is on the way to a root. Of some only the end or a move is
 * wanted: they count as without. */
static int32_t listened(struct backend *b, const struct fan_key *key, const char *name,
			uint64_t mask, bool *unknown)
{
	int32_t id = fan_find(b, key);

	if (id >= 0 && b->dirs[id].level >= WATCH_ALL)
		return id;
	if (b->later.on && !fan_later_foreign(b, key)) {
		*unknown = true;
		return -1;
	}
	if (id >= 0 && b->dirs[id].level > WATCH_SELF)
		return id;
	if (strcmp(name, ".") == 0)
		return id;
	if (!(mask & (FAN_RENAME | FAN_ONDIR)))
		fan_noise_heard(&b->noise, b->fd, &b->places, key);
	return -1;
}

static int32_t place_hash(const struct fan_key *dir, const char *name)
{
	uint32_t h = name_hash((const char *)dir, fan_key_len(dir)) * 2654435761u;

	return (int32_t)((h ^ name_hash(name, strlen(name))) & INT32_MAX);
}

/* Afterwards the directory (-1: none) is to be looked at. */
static void look_at(struct fan_record *r, int32_t id)
{
	if (id >= 0)
		r->looks[r->nlooks++] = id;
}

/* The kernel may have merged a later rename with one like it: if names have been to and fro within one
 * drain, what is there now is looked up. That may also be where the first has led to. */
static void suspect(struct backend *b, struct fan_record *r, const struct fan_info *info)
{
	uint32_t led = ids_get(&b->renamed, place_hash(info->dir2, info->name2));

	if (!r->is_dir && info->object)
		fan_merged_note(b, info,
				FAN_NOTED_MOVE | (led == IDS_NONE ? 0 : FAN_NOTED_BACK));
	if (led != IDS_NONE) {
		look_at(r, r->id);
		look_at(r, r->id2);
		look_at(r, (int32_t)led - 1);
	}
	if (b->renamed.count < RENAMED_MAX &&
	    ids_set(&b->renamed, place_hash(info->dir, info->name), (uint32_t)(r->id2 + 1)) == 0)
		return;
	ids_free(&b->renamed);
	b->gap = true;
}

/* Bits that are of interest in a record about `id`. */
static uint64_t told_bits(const struct backend *b, const struct fan_record *r, uint64_t mask)
{
	uint64_t bits = mask & ~(uint64_t)FAN_ONDIR;

	if (r->is_dir)
		bits &= ~(uint64_t)(FAN_OPEN | FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE);
	if (!r->itself)
		return bits & ~(uint64_t)FAN_ACCESS;
	/* Others read it, too, while it is fenced. */
	return bits & (r->pid == b->pid ? FAN_ATTRIB | FAN_ACCESS : FAN_ATTRIB);
}

/* Takes up the next record, which may say nothing of interest. False if it cannot be, for what
 * it is about is not known yet. */
static bool take(struct backend *b)
{
	const char *start = b->memory + b->pos;
	struct fan_record *r = &b->now;
	struct fan_info info;
	bool unknown = false;

	fan_parse(start, &info);
	r->len = info.len;
	if (info.mask & FAN_Q_OVERFLOW) {
		b->gap = true;
		return true;
	}
	r->is_dir = info.mask & FAN_ONDIR;
	r->pid = info.pid;
	if (!info.dir && info.object && info.mask & FAN_ATTRIB)
		fan_merged_note(b, &info, FAN_NOTED_COUNT);
	if (info.dir) {
		r->id = listened(b, info.dir, info.name, info.mask, &unknown);
		r->itself = strcmp(info.name, ".") == 0;
		r->name = (uint32_t)(info.name - start);
	}
	if (info.dir2) {
		r->id2 = listened(b, info.dir2, info.name2, info.mask, &unknown);
		r->name2 = (uint32_t)(info.name2 - start);
	}
	if (unknown) {
		r->len = 0;
		return false;
	}
	if (r->is_dir)
		r->target = fan_find(b, info.object);
	if (r->id < 0 && r->id2 < 0 && r->target < 0)
		return true;
	r->bits = told_bits(b, r, info.mask);
	if (r->bits & FAN_RENAME && info.dir && info.dir2)
		suspect(b, r, &info);
	if (r->bits & FAN_MODIFY && info.object)
		fan_merged_note(b, &info, FAN_NOTED_WRITTEN);
	if (r->bits & (FAN_CREATE | FAN_DELETE) && !r->is_dir)
		b->merged.kinds |= FAN_NOTED_NAME;
	/* What was merged into this may have been done after the reading that is still to come,
	 * and be in what was read, or not. */
	if (r->id >= 0 && b->dirs[r->id].fenced && r->bits & FAN_DELETE && r->bits & ~FAN_DELETE)
		look_at(r, r->id);
	return true;
}

static bool take_bit(struct fan_record *r, uint64_t bit)
{
	if (!(r->bits & bit))
		return false;
	r->bits &= ~bit;
	return true;
}

/* The bits of a record in the order in which they can have come. */
static enum change_op next_op(struct fan_record *r)
{
	if (r->bits & FAN_CREATE && r->bits & FAN_DELETE) {
		r->bits &= ~(uint64_t)(FAN_CREATE | FAN_DELETE);
		return CHANGE_LOOK;
	}
	if (take_bit(r, FAN_CREATE))
		return CHANGE_CREATED;
	if (take_bit(r, FAN_RENAME))
		return CHANGE_RENAMED;
	if (take_bit(r, FAN_ACCESS))
		return CHANGE_READ;
	if (take_bit(r, FAN_ATTRIB))
		return r->itself ? CHANGE_SELF_ATTRIB : CHANGE_ATTRIB;
	if (take_bit(r, FAN_OPEN))
		return CHANGE_OPENED;
	if (take_bit(r, FAN_MODIFY))
		return CHANGE_WRITTEN;
	if (take_bit(r, FAN_CLOSE_WRITE))
		return CHANGE_CLOSED;
	if (take_bit(r, FAN_CLOSE_NOWRITE))
		return CHANGE_CLOSED_NO_WRITE;
	if (take_bit(r, FAN_DELETE))
		return CHANGE_REMOVED;
	r->bits = 0;
	return CHANGE_NONE;
}

/* What follows from a record for the watched directory it was about: one change at a time. */
static bool next_of_target(struct backend *b, struct change *c)
{
	struct fan_record *r = &b->now;
	int32_t id = r->target;
	enum watch_level level;
	struct fan_info info;

	if (r->nlooks) {
		c->op = CHANGE_LOOK;
		c->id = r->looks[--r->nlooks];
		return true;
	}
	if (id < 0)
		return false;
	r->target = -1;
	fan_parse(b->memory + b->pos, &info);
	if (fan_find(b, info.object) != id) /* unwatched since, and perhaps another's number */
		return false;
	level = b->dirs[id].level;
	if (r->name2 && level == WATCH_ALL)
		return false;
	c->id = id;
	c->op = CHANGE_SELF_MOVED;
	if (r->name2) /* a rename */
		return true;
	c->op = CHANGE_UNWATCHED;
	fan_unwatch(b, id);
	return true;
}

/* Twice says that it has to be read again. */
static void passed_fence(struct fan_dir *dir, struct fan_record *r)
{
	if (dir->torn)
		r->bits |= FAN_ACCESS;
	dir->fenced = dir->torn = false;
}

static bool next_of_record(struct backend *b, struct change *c)
{
	const char *start = b->memory + b->pos;
	struct fan_record *r = &b->now;

	/* Only its end and its moves are told of it. One that was made and removed is gone, too: no
	 * directory comes back under its handle. */
	if (r->bits && !(r->bits & (FAN_RENAME | FAN_DELETE)))
		r->target = -1;
	while (r->bits) {
		c->op = next_op(r);
		if (c->op == CHANGE_NONE)
			break;
		if (c->op == CHANGE_RENAMED ? r->id < 0 && r->id2 < 0 : r->id < 0)
			continue;
		c->id = r->id;
		c->id2 = r->id2;
		c->target = r->target < 0 && b->later.on ? TARGET_UNKNOWN : r->target;
		c->pid = r->pid;
		c->is_dir = r->is_dir;
		if (c->op == CHANGE_READ)
			passed_fence(&b->dirs[r->id], r);
		if (r->itself || c->op == CHANGE_LOOK)
			return true;
		c->name = start + r->name;
		c->name_len = (uint8_t)strlen(c->name);
		c->name2 = r->name2 ? start + r->name2 : NULL;
		c->name2_len = r->name2 ? (uint8_t)strlen(c->name2) : 0;
		return true;
	}
	return next_of_target(b, c);
}

int fan_next(struct backend *b, struct change *c)
{
	*c = (struct change){ .id = -1, .id2 = -1, .time_ns = b->time_ns };
	for (;;) {
		if (b->now.len && next_of_record(b, c))
			return 1;
		fan_pass(b);
		if (b->gap) {
			b->gap = false;
			c->op = CHANGE_GAP;
			return 1;
		}
		if (fan_merged_told(b, c))
			return 1;
		if (b->pos >= b->len)
			return 0;
		if (!take(b)) {
			c->op = CHANGE_UNKNOWN;
			return 1;
		}
	}
}

#endif
