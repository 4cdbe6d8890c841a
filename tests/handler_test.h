/* What tests of the ready-made handlers share: a watcher, and a directory "in" to be watched. */
#ifndef TESTS_HANDLER_TEST_H
#define TESTS_HANDLER_TEST_H

#include "watch_test.h"

static watcher *w;

/* Setup and teardown of a test. */
static inline int enter(void **state)
{
	if (watch_test_enter(state) || mkdir("in", 0755))
		return -1;
	return watcher_open(&w, NULL, NULL);
}

static inline int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

static inline void open_watch(void (*on_batch)(watcher_watch *, watcher_batch *, void *),
			      void *arg, unsigned kinds)
{
	watcher_error err;

	if (watcher_add(w, "in", WATCH(.on_batch = on_batch, .arg = arg, .kinds = kinds), &err) < 0)
		fail_msg("%s", err.message);
}

static inline void change_and_sync(const char *path)
{
	assert_int_equal(symlink("x", path), 0);
	sync_watcher(w);
}

#endif
