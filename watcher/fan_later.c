/*
 * Directories that the engine has not read yet, while it hears of what happens in them: where one
 * is now, and whether it is under a root at all. See late_ops; what was in one before what is still
 * to come is found in fan_before.c.
 */
#ifdef __linux__

#include "watcher/fan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOREIGN_MAX 4096
#define UP_MAX      64

static bool add_foreign(struct backend *b, const struct fan_key *key)
{
	struct keys *f = &b->later.foreign;

	if (f->count >= FOREIGN_MAX)
		keys_clear(f);
	return fan_later_foreign(b, key) || keys_add(f, key, fan_key_len(key)) >= 0;
}

void fan_later_passed(struct backend *b, const struct fan_info *info)
{
	fan_noted_passed(b, info);
	if (info->object && !(info->mask & FAN_ONDIR))
		fan_before_passed(b, info);
	/* It may be gone by now, and that be told already. */
	if (info->mask & FAN_ONDIR && info->mask & FAN_CREATE && info->object &&
	    fan_later_foreign(b, info->dir))
		add_foreign(b, info->object);
	/* What is below a directory that moved may be under a root now. */
	if (info->mask & FAN_ONDIR && info->mask & FAN_RENAME && b->later.foreign.count)
		keys_clear(&b->later.foreign);
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

static bool later_still(struct backend *b)
{
	return fan_note_all(b) == 0 && !b->later.leaving;
}

/* ---- where a directory is ---- */

static int later_open_dir(struct backend *b, int32_t id, const char *under)
{
	struct fan_key key;

	if (!keys_has(&b->keys, id))
		return -ESTALE;
	fan_key_of(b, id, &key);
	return fan_open(&b->places, &key, under, 0);
}

/* Changes of names are made, and told, while the directory is locked; so is reading it. */
void fan_settle(int fd)
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
		    (id < 0 || b->dirs[id].level < WATCH_ALL))
			keys[n++] = of[i];
	}
	return n;
}

/* Is a directory now where it is at the head of the queue? It, and any that it is in, is seen at a new
 * place before that is told; until then the directory above is locked. */
static bool is_settled(struct backend *b, const struct fan_key *key)
{
	int fd = fan_open(&b->places, key, NULL, 0), up;
	struct stat st = { .st_ino = 0 }, above;
	const struct fan_key *left;
	bool top = false, known;
	struct fan_key at;

	while (fd >= 0 && !top && fstat(fd, &st) == 0) {
		known = fan_key_of_fd(fd, &at) == 0; /* else nothing is told of its file system */
		up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		if ((fd = up) < 0 || fstat(fd, &above) < 0)
			break;
		fan_settle(fd);
		left = &at;
		if (fan_note_all(b) < 0 || (known && fan_holder(b, &left)))
			break;
		top = above.st_ino == st.st_ino && above.st_dev == st.st_dev;
	}
	if (fd >= 0)
		close(fd);
	return top;
}

/* Only the first: the other is asked about next. */
static bool later_foreign(struct backend *b)
{
	const struct fan_key *keys[2];

	return !unknown_keys(b, keys) || add_foreign(b, keys[0]);
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
		if ((noted = fan_note_all(b)) < 0)
			return noted;
		key = &copy;
		if (r != -ESTALE || !fan_holder(b, &key))
			break;
		memcpy(&copy, key, fan_key_len(key));
		r = UV_EAGAIN;
	}
	return r == 0 && is_settled(b, &copy) ? 0 : UV_EAGAIN;
}

const struct late_ops fan_late_ops = {
	.unread = later_unread,
	.foreign = later_foreign,
	.where = later_where,
	.still = later_still,
	.open_dir = later_open_dir,
	.settle = fan_settle,
	.mentions = fan_before,
};

#endif
