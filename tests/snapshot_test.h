/* What the snapshot tests share: taking one, and the events between two of them as text. */
#ifndef TESTS_SNAPSHOT_TEST_H
#define TESTS_SNAPSHOT_TEST_H

#include "watch_test.h"

static inline void make(const char *dir)
{
	assert_int_equal(mkdir(dir, 0755), 0);
}

static inline watcher_snapshot *take_of(const char *const *roots, const watch_options *options)
{
	watcher_snapshot *s = NULL;
	watcher_error err = { 0 };
	int r = watcher_snapshot_take(&s, roots, options, &err);

	if (r < 0)
		print_error("%s\n", err.message);
	assert_int_equal(r, 0);
	return s;
}

static inline watcher_snapshot *take(void)
{
	return take_of(LIST("."), NULL);
}

/* ---- events as text ---- */

static char changes[8192];

static inline int tell(const watcher_event *e, void *arg)
{
	size_t len = strlen(changes);

	(void)arg;
	assert_int_equal(e->path_len, strlen(e->path));
	assert_non_null(e->root);
	snprintf(changes + len, sizeof changes - len, "%s%s %s%s%s%s", len ? ", " : "",
		 watcher_kind_name(e->kind), e->path, e->dest ? " " : "", e->dest ? e->dest : "",
		 e->synthetic ? " (follows)" : "");
	return 0;
}

/* The events between two snapshots, which are ended. */
static inline const char *between(watcher_snapshot *old, watcher_snapshot *new_, unsigned flags)
{
	changes[0] = '\0';
	assert_int_equal(watcher_snapshot_diff(old, new_, flags, tell, NULL), 0);
	watcher_snapshot_free(old);
	watcher_snapshot_free(new_);
	return changes;
}

static inline const char *since(watcher_snapshot *old)
{
	return between(old, take(), 0);
}

#endif
