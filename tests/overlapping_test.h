/* What tests of watches in one another share: the first, which others are added to. */
#ifndef TESTS_OVERLAPPING_TEST_H
#define TESTS_OVERLAPPING_TEST_H

#include "watch_test.h"

#include "add_meanwhile.h"
#include "index_check.h"
#include "watcher/engine.h"

static struct told first, second, third;

/* NULL where the backend is not permitted. */
static watcher *open_first_with(int backend, watch_options o)
{
	watcher_error err;
	watcher *w;

	if (watcher_open(&w, WATCHER(.backend = backend), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return NULL;
	}
	told(&first);
	told(&second);
	o.on_batch = on_told;
	o.arg = &first;
	add_with(w, ".", &o);
	sync_watcher(w);
	return w;
}

static watcher *open_first(watch_options o)
{
	return open_first_with(WATCHER_BACKEND_INOTIFY, o);
}

static void check_index(watcher *w)
{
	char text[4000];

	if (index_check(w, text, sizeof text))
		fail_msg("%s", text);
}

#endif
