/* What tests of the fanotify backend share: one that is open, for the directory "in". */
#ifndef TESTS_FANOTIFY_TEST_H
#define TESTS_FANOTIFY_TEST_H

#include "watch_test.h"

#include <sys/mount.h>

#include "index_check.h"
#include "watcher/engine.h"
#include "watcher/fan.h"

static watcher *w;
static struct told news;

static inline int enter(void **state)
{
	watcher_error err;

	if (watch_test_enter(state))
		return -1;
	news.text[0] = '\0';
	if (getuid() != 0)
		return 0;
	return mkdir("in", 0755) ||
	       watcher_open(&w, WATCHER(.backend = WATCHER_BACKEND_FANOTIFY), &err);
}

static inline int leave(void **state)
{
	watcher_close(w);
	w = NULL;
	umount2("in/m", MNT_DETACH); /* of a test that failed */
	return watch_test_leave(state);
}

#define FAN(f) cmocka_unit_test_setup_teardown(f, enter, leave)

static inline void needs_root(void)
{
	if (getuid() == 0)
		return;
	print_message("# skipped: fanotify needs root\n");
	skip();
}

static inline void check_index(void)
{
	char text[4000];

	if (index_check(w, text, sizeof text))
		fail_msg("the index is not what there is:\n%s", text);
}

#endif
