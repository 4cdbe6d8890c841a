/*
 * What a name was before the records that are still to be handed out, the latest of which is
 * gone back from first.
 *
 * Of a rename onto a name the kernel does not say whether the name was taken, but that is told
 * next, before anything else is done in the directory: the link count of what was pushed off has
 * changed, or it goes to where the other came from.
 */
#ifdef __linux__

#include "watcher/fan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NEXT_LOOKED 4096 /* records in which what follows a rename is looked for */
#define ENDED_MAX   65536

/* The kernel merges the end of a name into what it told of it before. */
void fan_before_passed(struct backend *b, const struct fan_info *info)
{
	struct keys *ended = &b->later.ended;
	size_t len = fan_key_len(info->object);
	int32_t i = keys_find(ended, info->object, len);

	if (!info->dir && i >= 0)
		keys_remove(ended, i);
	if (!(info->mask & FAN_DELETE) || info->mask == FAN_DELETE || i >= 0)
		return;
	if (ended->count >= ENDED_MAX)
		keys_clear(ended);
	keys_add(ended, info->object, len);
}

/* The next record of the process that made the one before `*pos`. */
static bool next_of_same(const struct backend *b, int32_t pid, size_t *pos, struct fan_info *next)
{
	for (int i = 0; i < NEXT_LOOKED && *pos < b->len; i++) {
		fan_parse(b->memory + *pos, next);
		*pos += next->len;
		if (next->pid == pid)
			return true;
	}
	return false;
}

/* Is a directory gone without a record that says so? Then one was renamed onto it. */
static bool pushed_dir(struct backend *b, const struct fan_key *key)
{
	const struct fan_key *up = key;
	int fd;

	if (fan_holder(b, &up))
		return false;
	fd = fan_open(&b->places, key, NULL, 0);
	if (fd >= 0)
		close(fd);
	return fd == -ESTALE;
}

/* The link count of something has changed. If it has got or lost a name by itself that was why;
 * the record of that may be anywhere, merged into an earlier one. */
static bool pushed_file(const struct backend *b, const struct fan_info *attrib)
{
	struct fan_info info;
	uint64_t at;

	if (keys_find(&b->later.ended, attrib->object, fan_key_len(attrib->object)) >= 0)
		return false;
	for (uint32_t i = fan_next_about(b, attrib->object, FAN_NONE, &info, &at); i != FAN_NONE;
	     i = fan_next_about(b, attrib->object, i, &info, &at))
		if (info.mask & (FAN_CREATE | FAN_DELETE) && info.pid == attrib->pid)
			return false;
	return true;
}

/* Does something get the name, or lose it? (Not what may have been merged in later.) */
static bool is_about(const struct fan_info *r, const struct fan_key *dir, const char *name)
{
	return (r->mask & (FAN_CREATE | FAN_RENAME) || r->mask == FAN_DELETE) &&
	       ((fan_same_key(r->dir, dir) && strcmp(r->name, name) == 0) ||
		(fan_same_key(r->dir2, dir) && strcmp(r->name2, name) == 0));
}

/* Is `back`, the next of its process, the other half of an exchange? Nobody else can do anything
 * with the two names between one half and the other. */
static bool is_exchange(const struct backend *b, uint64_t at, const struct fan_info *rename,
			const struct fan_info *back, size_t back_pos)
{
	struct fan_info info;

	if (!fan_same_key(back->dir, rename->dir2) || !fan_same_key(back->dir2, rename->dir) ||
	    strcmp(back->name, rename->name2) != 0 || strcmp(back->name2, rename->name) != 0 ||
	    fan_same_key(back->object, rename->object))
		return false;
	for (size_t pos = at - b->base + rename->len; pos < back_pos; pos += info.len) {
		fan_parse(b->memory + pos, &info);
		if (is_about(&info, back->dir, back->name) ||
		    is_about(&info, back->dir2, back->name2))
			return false;
	}
	return true;
}

/* What the rename at `at` pushed off its new name, or exchanged with; false: nothing. */
static bool was_taken(struct backend *b, uint64_t at, const struct fan_info *rename,
		      bool *is_dir, const struct fan_key **object)
{
	size_t pos = at - b->base + rename->len;
	struct fan_info next;

	if (!next_of_same(b, rename->pid, &pos, &next))
		return false;
	*is_dir = next.mask & FAN_ONDIR;
	*object = next.object;
	if (next.mask & FAN_RENAME)
		return is_exchange(b, at, rename, &next, pos - next.len);
	if (!(next.mask & FAN_ATTRIB) || *is_dir != !!(rename->mask & FAN_ONDIR))
		return false;
	if (!*is_dir)
		return !next.dir && next.object && pushed_file(b, &next);
	*object = next.dir;
	return next.dir && strcmp(next.name, ".") == 0 && pushed_dir(b, next.dir);
}

struct asked {
	const struct fan_key *key;
	const char *name;
	void (*one)(void *arg, const struct mention *m);
	void *arg;
};

static int say(struct backend *b, const struct asked *q, const char *name, bool present,
	       bool is_dir, const struct fan_key *object)
{
	struct mention m = { name, strlen(name), present, is_dir, -1 };

	if (q->name && strcmp(q->name, name) != 0)
		return 0;
	if (is_dir && object && (m.id = fan_number(b, object, WATCH_ALL)) < 0)
		return m.id;
	q->one(q->arg, &m);
	return 0;
}

/* What was there before a record. */
static int say_before(struct backend *b, const struct asked *q, const struct fan_info *info,
		      uint64_t at)
{
	bool is_dir = info->mask & FAN_ONDIR, was_dir = false;
	const struct fan_key *was = NULL;
	bool taken;
	int r = 0;

	if (info->mask & FAN_RENAME && fan_same_key(info->dir2, q->key)) {
		taken = was_taken(b, at, info, &was_dir, &was);
		r = say(b, q, info->name2, taken, taken && was_dir, taken ? was : NULL);
	}
	if (r < 0 || !fan_same_key(info->dir, q->key))
		return r;
	if (info->mask & FAN_RENAME)
		return say(b, q, info->name, true, is_dir, info->object);
	if (info->mask & FAN_CREATE)
		return say(b, q, info->name, false, is_dir, NULL);
	return say(b, q, info->name, true, is_dir, info->object);
}

/* Is a rename into the directory the last that is told of its process? */
static bool is_half_told(const struct backend *b, const struct fan_key *key)
{
	struct fan_info info, next;
	uint64_t at;
	size_t pos;

	for (uint32_t i = fan_next_about(b, key, FAN_NONE, &info, &at); i != FAN_NONE;
	     i = fan_next_about(b, key, i, &info, &at)) {
		pos = at - b->base + info.len;
		if (info.mask & FAN_RENAME && fan_same_key(info.dir2, key) &&
		    !next_of_same(b, info.pid, &pos, &next))
			return true;
	}
	return false;
}

/* Has in the hash what was done until now, and what is told next of a rename into the directory: as
 * long as that is to come the directory is locked. *end: what is behind it was done later. */
static int note_whole(struct backend *b, const struct fan_key *key, uint64_t *end)
{
	int r = fan_note_all(b), fd;

	*end = b->base + b->len;
	if (r < 0 || !is_half_told(b, key))
		return r;
	fd = fan_open(&b->places, key, NULL, 0);
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return fd;
	if (fd >= 0) { /* else it is gone, and was locked for that */
		fan_settle(fd);
		close(fd);
	}
	return fan_note_all(b);
}

int fan_before(struct backend *b, int32_t id, const char *name,
	       void (*one)(void *arg, const struct mention *m), void *arg)
{
	struct fan_key key;
	struct asked q = { &key, name, one, arg };
	struct fan_info info;
	uint64_t at, end;
	int r;

	if (!keys_has(&b->keys, id))
		return 0;
	fan_key_of(b, id, &key);
	if ((r = note_whole(b, &key, &end)) < 0)
		return r;
	for (uint32_t i = fan_next_about(b, &key, FAN_NONE, &info, &at); i != FAN_NONE;
	     i = fan_next_about(b, &key, i, &info, &at))
		if (at < end && (r = say_before(b, &q, &info, at)) < 0)
			return r;
	return 0;
}

#endif
