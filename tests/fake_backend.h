/*
 * A backend that says what a test wants it to say, in place of a kernel. It numbers directories
 * by inode, in the order in which they are watched.
 */
#ifndef TESTS_FAKE_BACKEND_H
#define TESTS_FAKE_BACKEND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "watcher/engine.h"

#define FAKE_DIRS    64
#define FAKE_CHANGES 256

struct fake_change {
	struct change change;
	char name[32], name2[32];
};

struct backend {
	const char *base; /* where the directories are that fake_tell() names */
	ino_t inodes[FAKE_DIRS];
	int n, queued, at, watched_calls;
	struct fake_change queue[FAKE_CHANGES];
	void (*on_watch)(struct backend *b);
	void *arg;
};

static inline int fake_watch(struct backend *b, int fd, const char *path, enum watch_level level,
		      int32_t *id)
{
	struct stat st;

	(void)path;
	(void)level;
	assert_int_equal(fstat(fd, &st), 0);
	for (*id = 0; *id < b->n && b->inodes[*id] != st.st_ino; ++*id)
		;
	if (*id == b->n) {
		assert_true(b->n < FAKE_DIRS);
		b->inodes[b->n++] = st.st_ino;
	}
	b->watched_calls++;
	if (b->on_watch)
		b->on_watch(b);
	return 0;
}

static inline void fake_unwatch(struct backend *b, int32_t id)
{
	b->inodes[id] = 0;
}

static inline void fake_want(struct backend *b, unsigned kinds, bool merge)
{
	(void)b;
	(void)kinds;
	(void)merge;
}

static inline int fake_fill(struct backend *b, bool discard)
{
	(void)discard;
	return b->at < b->queued;
}

static inline int fake_next(struct backend *b, struct change *c)
{
	const struct fake_change *t = &b->queue[b->at];

	if (b->at == b->queued) {
		b->at = b->queued = 0;
		return 0;
	}
	b->at++;
	if (t->change.op == CHANGE_NONE) /* as if the queue had been read to its end here */
		return 0;
	*c = t->change;
	c->name = t->name;
	c->name2 = t->name2;
	c->name_len = (uint8_t)strlen(t->name);
	c->name2_len = (uint8_t)strlen(t->name2);
	return 1;
}

static inline void fake_close(struct backend *b, void (*closed)(void *), void *arg)
{
	(void)b;
	closed(arg);
}

static const struct backend_ops fake_backend = {
	.name = "fake",
	.caps = BACKEND_EXACT | BACKEND_PAIRS | BACKEND_GAPS,
	.watch = fake_watch,
	.unwatch = fake_unwatch,
	.want = fake_want,
	.fill = fake_fill,
	.next = fake_next,
	.close = fake_close,
};

static inline void fake_closed(void *arg)
{
	(void)arg;
}

/* Takes the place of the backend that the watcher has been opened with. */
static inline void fake_install(struct watcher *w, struct backend *b, const char *base)
{
	struct source *s = &w->sources[0];

	*b = (struct backend){ .base = base };
	s->ops->close(s->backend, fake_closed, NULL);
	s->ops = &fake_backend;
	s->backend = b;
}

/* The number of a directory below the base, -1 if it is not watched. */
static inline int32_t fake_id(const struct backend *b, const char *dir)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", b->base, dir);
	assert_int_equal(stat(path, &st), 0);
	for (int32_t id = 0; id < b->n; id++)
		if (b->inodes[id] == st.st_ino)
			return id;
	return -1;
}

static inline struct change *fake_queue(struct backend *b, enum change_op op, int32_t id,
					const char *name)
{
	struct fake_change *t = &b->queue[b->queued];

	assert_true(b->queued++ < FAKE_CHANGES);
	*t = (struct fake_change){ .change = { .op = op, .id = id, .id2 = -1, .time_ns = 1 } };
	strcpy(t->name, name ? name : "");
	return &t->change;
}

/* Directories are named by where they are now. */
static inline void fake_tell(struct backend *b, enum change_op op, const char *dir,
			     const char *name, const char *dir2, const char *name2)
{
	struct change *c = fake_queue(b, op, dir ? fake_id(b, dir) : -1, name);

	if (dir2)
		c->id2 = fake_id(b, dir2);
	strcpy(b->queue[b->queued - 1].name2, name2 ? name2 : "");
}

#endif
