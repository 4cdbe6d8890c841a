/*
 * What is still to come, of directories that the engine has not read: see late_ops.
 *
 * While there are such, every record in the memory by which a name comes or goes is in a hash
 * by its directory, and by what has the name. Of a
 * rename onto a name the kernel does not say whether the name was taken, but that is told next:
 * the link count of what was pushed off has changed, or it goes to where the other came from.
 */
#ifdef __linux__

#include "watcher/fan.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "watcher/tree.h"

#define NONE        UINT32_MAX
#define NEXT_LOOKED 4096 /* records in which what follows a rename is looked for */
#define FOREIGN_MAX 4096
#define UP_MAX      64
#define ENDED_MAX   65536
#define GONE_NS     50000000
#define TAKEN_NS    UINT64_C(1000000000)

/* ---- the hash ---- */

static uint32_t key_hash(const struct fan_key *key)
{
	return name_hash((const char *)key, fan_key_len(key));
}

static bool same_key(const struct fan_key *a, const struct fan_key *b)
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

/* Has everything in the hash that has happened until now. UV_ENOMEM, UV_EAGAIN. */
static int note_all(struct backend *b)
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
		if (info.dir2 && !same_key(info.dir2, info.dir))
			add(l, info.dir2, l->noted);
		if (info.object)
			add(l, info.object, l->noted);
		l->leaving += leaves(&info);
	}
	return r;
}

static void forget_keys(struct keys *k)
{
	keys_fini(k);
	keys_init(k);
}

/* The kernel merges the end of a name into what it told of it before. */
static void note_end(struct keys *ended, const struct fan_info *info)
{
	size_t len = fan_key_len(info->object);
	int32_t i = keys_find(ended, info->object, len);

	if (!info->dir && i >= 0)
		keys_remove(ended, i);
	if (!(info->mask & FAN_DELETE) || info->mask == FAN_DELETE || i >= 0)
		return;
	if (ended->count >= ENDED_MAX)
		forget_keys(ended);
	keys_add(ended, info->object, len);
}

void fan_later_passed(struct backend *b, const struct fan_info *info)
{
	if (info->dir && leaves(info) && b->base + b->pos < b->later.noted)
		b->later.leaving--;
	if (info->object && !(info->mask & FAN_ONDIR))
		note_end(&b->later.ended, info);
	/* What is below a directory that moved may be under a root now. */
	if (info->mask & FAN_ONDIR && info->mask & FAN_RENAME && b->later.foreign.count)
		forget_keys(&b->later.foreign);
}

void fan_later_init(struct backend *b)
{
	b->later = (struct fan_later){ .on = false };
	keys_init(&b->later.foreign);
	keys_init(&b->later.ended);
}

void fan_later_fini(struct backend *b)
{
	struct fan_later *l = &b->later;

	free(l->items);
	free(l->buckets);
	keys_fini(&l->foreign);
	keys_fini(&l->ended);
	fan_later_init(b);
}

static void later_unread(struct backend *b, bool on)
{
	if (on)
		b->later.on = true;
	else
		fan_later_fini(b);
}

/* The newest record after `before` (NONE: of all) that is about a key. */
static uint32_t next_about(const struct backend *b, const struct fan_key *key, uint32_t before,
			   struct fan_info *info, uint64_t *at)
{
	const struct fan_later *l = &b->later;
	uint32_t hash = key_hash(key), i;

	if (!l->nitems)
		return NONE;
	i = before == NONE ? l->buckets[hash & (l->nbuckets - 1)] : l->items[before].next;
	for (; i != NONE; i = l->items[i].next) {
		*at = l->items[i].at;
		if (*at < b->base + b->pos)
			return NONE;
		if (l->items[i].hash != hash)
			continue;
		fan_parse(b->memory + (*at - b->base), info);
		if (same_key(info->dir, key) || same_key(info->dir2, key) ||
		    same_key(info->object, key))
			return i;
	}
	return NONE;
}

/* ---- what a name was ---- */

/* The directory whose entry `key` was, where it is gone now. */
static bool holder(const struct backend *b, const struct fan_key **key)
{
	const struct fan_key *found = NULL;
	struct fan_info info;
	uint64_t at;

	for (uint32_t i = next_about(b, *key, NONE, &info, &at); i != NONE;
	     i = next_about(b, *key, i, &info, &at))
		if (leaves(&info) && same_key(info.object, *key))
			found = info.dir;
	*key = found;
	return found != NULL;
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

	if (holder(b, &up))
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
	for (uint32_t i = next_about(b, attrib->object, NONE, &info, &at); i != NONE;
	     i = next_about(b, attrib->object, i, &info, &at))
		if (info.mask & (FAN_CREATE | FAN_DELETE) && info.pid == attrib->pid)
			return false;
	return true;
}

/* The record that would tell may be just about to be queued, if this one is young. */
static int not_yet(struct backend *b, struct fan_doubt *doubt, uint64_t at, uint64_t wait_ns)
{
	uint64_t now = uv_hrtime();

	if (now - doubt->mark_ns > wait_ns) {
		doubt->old = doubt->mark;
		doubt->mark = b->base + b->len;
		doubt->mark_ns = now;
	}
	return at < doubt->old ? 0 : UV_EAGAIN;
}

/* Does a thread of the process run, or wait within the kernel for what it has asked for? Then it
 * may be between one record and the next, for long where the processors are busy. */
static bool at_work(int32_t pid)
{
	char path[64], stat[512], *state;
	struct dirent *e;
	bool works = false;
	size_t n;
	FILE *f;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	if (!pid || !(d = opendir(path)))
		return !pid || errno != ENOENT;
	while (!works && (e = readdir(d))) {
		snprintf(path, sizeof path, "/proc/%d/task/%.16s/stat", pid, e->d_name);
		if (e->d_name[0] == '.' || !(f = fopen(path, "re")))
			continue;
		n = fread(stat, 1, sizeof stat - 1, f);
		stat[n] = '\0';
		state = strrchr(stat, ')');
		works = state && strchr("RD", state[1] ? state[2] : ' ');
		fclose(f);
	}
	closedir(d);
	return works;
}

/* A rename is the last that has been told of its process: 0 if nothing belongs to it. */
static int last_of(struct backend *b, uint64_t at, int32_t pid)
{
	struct pollfd p = { .fd = b->fd, .events = POLLIN };

	if (at_work(pid))
		return not_yet(b, &b->later.taken, at, TAKEN_NS);
	return poll(&p, 1, 0) == 0 ? 0 : UV_EAGAIN; /* it may have come since */
}

/* Does something get the name, or lose it? (Not what may have been merged in later.) */
static bool is_about(const struct fan_info *r, const struct fan_key *dir, const char *name)
{
	return (r->mask & (FAN_CREATE | FAN_RENAME) || r->mask == FAN_DELETE) &&
	       ((same_key(r->dir, dir) && strcmp(r->name, name) == 0) ||
		(same_key(r->dir2, dir) && strcmp(r->name2, name) == 0));
}

/* Is `back`, the next of its process, the other half of an exchange? Nobody else can do anything
 * with the two names between one half and the other. */
static bool is_exchange(const struct backend *b, uint64_t at, const struct fan_info *rename,
			const struct fan_info *back, size_t back_pos)
{
	struct fan_info info;

	if (!same_key(back->dir, rename->dir2) || !same_key(back->dir2, rename->dir) ||
	    strcmp(back->name, rename->name2) != 0 || strcmp(back->name2, rename->name) != 0 ||
	    same_key(back->object, rename->object))
		return false;
	for (size_t pos = at - b->base + rename->len; pos < back_pos; pos += info.len) {
		fan_parse(b->memory + pos, &info);
		if (is_about(&info, back->dir, back->name) ||
		    is_about(&info, back->dir2, back->name2))
			return false;
	}
	return true;
}

/* What the rename at `at` pushed off its new name, or exchanged with; 0: nothing. UV_EAGAIN. */
static int was_taken(struct backend *b, uint64_t at, const struct fan_info *rename,
		      bool *is_dir, const struct fan_key **object)
{
	size_t pos = at - b->base + rename->len;
	struct fan_info next;

	if (!next_of_same(b, rename->pid, &pos, &next))
		return pos < b->len ? 0 : last_of(b, at, rename->pid);
	*is_dir = next.mask & FAN_ONDIR;
	*object = next.object;
	if (next.mask & FAN_RENAME)
		return is_exchange(b, at, rename, &next, pos - next.len);
	if (!(next.mask & FAN_ATTRIB) || *is_dir != !!(rename->mask & FAN_ONDIR))
		return 0;
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
	bool is_dir = info->mask & FAN_ONDIR, was_dir;
	const struct fan_key *was;
	int r = 0, taken;

	if (info->mask & FAN_RENAME && same_key(info->dir2, q->key)) {
		if ((taken = was_taken(b, at, info, &was_dir, &was)) < 0)
			return taken;
		r = say(b, q, info->name2, taken, taken && was_dir, taken ? was : NULL);
	}
	if (r < 0 || !same_key(info->dir, q->key))
		return r;
	if (info->mask & FAN_RENAME)
		return say(b, q, info->name, true, is_dir, info->object);
	if (info->mask & FAN_CREATE)
		return say(b, q, info->name, false, is_dir, NULL);
	return say(b, q, info->name, true, is_dir, info->object);
}

static void key_of(const struct backend *b, int32_t id, struct fan_key *key)
{
	memcpy(key, keys_bytes(&b->keys.slots[id]), b->keys.slots[id].len);
}

static int later_mentions(struct backend *b, int32_t id, const char *name,
			  void (*one)(void *arg, const struct mention *m), void *arg)
{
	struct fan_key key;
	struct asked q = { &key, name, one, arg };
	struct fan_info info;
	uint64_t at;
	int r;

	if (!keys_has(&b->keys, id))
		return 0;
	key_of(b, id, &key);
	if ((r = note_all(b)) < 0)
		return r;
	for (uint32_t i = next_about(b, &key, NONE, &info, &at); i != NONE;
	     i = next_about(b, &key, i, &info, &at))
		if ((r = say_before(b, &q, &info, at)) < 0)
			return r;
	return 0;
}

static bool later_still(struct backend *b)
{
	return note_all(b) == 0 && !b->later.leaving;
}

/* ---- where a directory is ---- */

static int later_open_dir(struct backend *b, int32_t id, const char *under)
{
	struct fan_key key;

	if (!keys_has(&b->keys, id))
		return -ESTALE;
	key_of(b, id, &key);
	return fan_open(&b->places, &key, under, 0);
}

/* Changes of names are made, and told, while the directory is locked; so is reading it. */
static void later_settle(int fd)
{
	char buf[1024];

	syscall(SYS_getdents64, fd, buf, sizeof buf);
}

bool fan_later_foreign(const struct backend *b, const struct fan_key *key)
{
	return b->later.foreign.count &&
	       keys_find(&b->later.foreign, key, fan_key_len(key)) >= 0;
}

/* The directories of the record at the head that nothing is known of. */
static int unknown_keys(const struct backend *b, const struct fan_key *keys[2])
{
	const struct fan_key *of[2];
	struct fan_info info;
	int n = 0;

	if (b->pos == b->len)
		return 0;
	fan_parse(b->memory + b->pos, &info);
	of[0] = info.dir;
	of[1] = info.dir2;
	for (int i = 0; i < 2; i++) {
		int32_t id = fan_find(b, of[i]);

		if (of[i] && !fan_later_foreign(b, of[i]) &&
		    (id < 0 || b->dirs[id].level <= WATCH_SELF))
			keys[n++] = of[i];
	}
	return n;
}

/* Only the first: the other is asked about next. Without memory it is asked about again. */
static void later_foreign(struct backend *b)
{
	struct keys *f = &b->later.foreign;
	const struct fan_key *keys[2];

	if (!unknown_keys(b, keys))
		return;
	if (f->count >= FOREIGN_MAX)
		forget_keys(f);
	keys_add(f, keys[0], fan_key_len(keys[0]));
}

static int path_of_key(const struct backend *b, const struct fan_key *key, const char *under,
		       char *path, size_t size)
{
	char self[32];
	ssize_t n;
	int fd = fan_open(&b->places, key, under, 0);

	if (fd < 0)
		return fd;
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	n = readlink(self, path, size - 1);
	close(fd);
	if (n < 0 || (size_t)n >= size - 1)
		return UV_EAGAIN;
	path[n] = '\0';
	return 0;
}

static int later_where(struct backend *b, const char *under, char *path, size_t size)
{
	const struct fan_key *keys[2], *key;
	struct fan_key copy;
	int r = UV_EAGAIN, noted;

	path[0] = '\0';
	if (!unknown_keys(b, keys))
		return UV_EAGAIN;
	copy = (struct fan_key){ .bytes = 0 };
	memcpy(&copy, keys[0], fan_key_len(keys[0]));
	for (int i = 0; i < UP_MAX; i++) {
		r = path_of_key(b, &copy, under, path, size);
		if ((noted = note_all(b)) < 0)
			return noted;
		key = &copy;
		if (r != -ESTALE || !holder(b, &key))
			break;
		memcpy(&copy, key, fan_key_len(key));
		r = UV_EAGAIN;
	}
	if (r == -ESTALE) /* the record of its end may have been passed, or not be queued yet */
		return not_yet(b, &b->later.gone, b->base + b->pos, GONE_NS) < 0 ? UV_EAGAIN :
										  UV_ENOENT;
	if (r == UV_ENOENT) /* `under` itself */
		return UV_EAGAIN;
	return r == 0 && b->later.leaving ? UV_EAGAIN : r;
}

const struct late_ops fan_late_ops = {
	.unread = later_unread,
	.foreign = later_foreign,
	.where = later_where,
	.still = later_still,
	.open_dir = later_open_dir,
	.settle = later_settle,
	.mentions = later_mentions,
};

#endif
