/*
 * A tree that is nowhere but in a test's memory, with the stat and list through which a watcher
 * or a snapshot sees it. Its clock is a counter: it has nothing to do with any other.
 */
#ifndef TESTS_MEMORY_TREE_H
#define TESTS_MEMORY_TREE_H

#include "watch_test.h"

struct thing {
	char path[128];
	watcher_vfs_stat st;
};

struct memory {
	struct thing things[256];
	int n;
	uint64_t inode;
	int64_t clock;
	bool no_inodes;
	const char *broken; /* list of this path fails with `code` */
	const char *lost;   /* stat and list of this one do */
	int code;
	const char *bad_name; /* list names this, too, everywhere */
	int stats, lists;
	/* The call of either, counted from 1, that fails with `code`; 0: none. What is said not to
	 * be there was away for this moment. */
	int fails_at;
};

static inline struct thing *thing_at(struct memory *m, const char *path)
{
	for (int i = 0; i < m->n; i++)
		if (strcmp(m->things[i].path, path) == 0)
			return &m->things[i];
	return NULL;
}

static inline bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static inline void touch_parent(struct memory *m, const char *path)
{
	char dir[128];
	char *slash;
	struct thing *t;

	strcpy(dir, path);
	if ((slash = strrchr(dir, '/'))) {
		*slash = '\0';
		if ((t = thing_at(m, dir)))
			t->st.mtime_ns = t->st.ctime_ns = ++m->clock;
	}
}

static inline void make(struct memory *m, const char *path, int type)
{
	struct thing *t = &m->things[m->n];

	assert_null(thing_at(m, path));
	assert_true(++m->n < (int)COUNT(m->things));
	*t = (struct thing){ .st = { .type = type, .dev = 7, .mode = 0640 } };
	strcpy(t->path, path);
	if (!m->no_inodes)
		t->st.inode = ++m->inode;
	t->st.mtime_ns = t->st.ctime_ns = ++m->clock;
	touch_parent(m, path);
}

static inline void make_file(struct memory *m, const char *path)
{
	make(m, path, WATCHER_TYPE_FILE);
}

static inline void make_dir(struct memory *m, const char *path)
{
	make(m, path, WATCHER_TYPE_DIR);
}

static inline void write_to(struct memory *m, const char *path)
{
	struct thing *t = thing_at(m, path);

	t->st.mtime_ns = t->st.ctime_ns = ++m->clock;
}

static inline void set_mode(struct memory *m, const char *path, uint32_t mode)
{
	struct thing *t = thing_at(m, path);

	t->st.mode = mode;
	t->st.ctime_ns = ++m->clock;
}

static inline void take_away(struct memory *m, const char *path)
{
	int kept = 0;

	touch_parent(m, path);
	for (int i = 0; i < m->n; i++)
		if (strcmp(m->things[i].path, path) != 0 && !below(m->things[i].path, path))
			m->things[kept++] = m->things[i];
	assert_true(kept < m->n);
	m->n = kept;
}

static inline void move(struct memory *m, const char *from, const char *to)
{
	char rest[128];

	if (thing_at(m, to))
		take_away(m, to);
	for (int i = 0; i < m->n; i++) {
		struct thing *t = &m->things[i];

		if (strcmp(t->path, from) != 0 && !below(t->path, from))
			continue;
		strcpy(rest, t->path + strlen(from));
		snprintf(t->path, sizeof t->path, "%s%s", to, rest);
	}
	touch_parent(m, from);
	touch_parent(m, to);
}

static inline bool call_fails(struct memory *m, const char *path)
{
	if (m->stats + m->lists != m->fails_at)
		return false;
	if (m->code == UV_ENOENT || m->code == UV_ENOTDIR)
		touch_parent(m, path);
	return true;
}

static inline int memory_stat(const char *path, watcher_vfs_stat *st, void *arg)
{
	struct memory *m = arg;
	const struct thing *t = thing_at(m, path);

	m->stats++;
	if (call_fails(m, path) || (m->lost && strcmp(path, m->lost) == 0))
		return m->code;
	if (!t)
		return UV_ENOENT;
	*st = t->st;
	return 0;
}

static inline int memory_list(const char *path, int (*add)(const char *name, void *into), void *into,
		       void *arg)
{
	struct memory *m = arg;
	const struct thing *dir = thing_at(m, path);
	int r = 0;

	m->lists++;
	if (call_fails(m, path) || (m->broken && strcmp(path, m->broken) == 0) ||
	    (m->lost && strcmp(path, m->lost) == 0))
		return m->code;
	if (!dir)
		return UV_ENOENT;
	if (dir->st.type != WATCHER_TYPE_DIR)
		return UV_ENOTDIR;
	if (m->bad_name)
		r = add(m->bad_name, into);
	for (int i = 0; r == 0 && i < m->n; i++) {
		const char *p = m->things[i].path;

		if (below(p, path) && !strchr(p + strlen(path) + 1, '/'))
			r = add(p + strlen(path) + 1, into);
	}
	return r;
}

#endif
