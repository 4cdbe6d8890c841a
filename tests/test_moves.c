/*
 * Moves that meet directories read ahead of them: the kernel's queue still has what led there
 * when a directory is found, by the path it has now, that the index knows at another place.
 * link: -Wl,--wrap=inotify_add_watch
 */
#include "watch_test.h"

#include <sys/inotify.h>

#include "next_tick.h"

static watcher *w;
static struct told seen;

/* ---- the limit of watches, for one directory ---- */

static ino_t unwatchable; /* 0: none */

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	struct stat st;

	if (unwatchable && stat(path, &st) == 0 && st.st_ino == unwatchable) {
		errno = ENOSPC;
		return -1;
	}
	return __real_inotify_add_watch(fd, path, mask);
}

/* ---- the tests ---- */

static int enter(void **state)
{
	memset(&seen, 0, sizeof seen);
	unwatchable = 0;
	if (watch_test_enter(state) || mkdir("in", 0755) || mkdir("out", 0755) ||
	    mkdir("in/d", 0755) || mkdir("in/d/e", 0755))
		return -1;
	put("in/d/e/f", "");
	next_tick();
	return 0;
}

static int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

/* Rounds of polling come when they are asked for. */
static void watch_in(void)
{
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY, .poll_interval_ms = 3600000));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
}

/* In it is a directory that the index has in another, which has left its name: it is told to
 * have ended there before it is told here. */
static void test_out_of_what_has_left(void **state)
{
	(void)state;
	watch_in();
	assert_int_equal(rename("in/d", "out/d"), 0);
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(rename("out/d/e", "in/n/e"), 0);
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n, created in/n/e, deleted in/d/e/f, "
					 "deleted in/d/e, deleted in/d, created in/n/e/f");
}

/* What is polled, and could be watched by now, is not told twice. */
static void test_polled_found_elsewhere(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat("in/d", &st), 0);
	unwatchable = st.st_ino;
	watch_in();
	unwatchable = 0;
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(rmdir("in/n"), 0);
	assert_int_equal(rename("in/d", "in/n"), 0);
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n, deleted in/n, moved in/d in/n, "
					 "moved in/d/e in/n/e, moved in/d/e/f in/n/e/f");
	put("in/n/g", "");
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n/g");
}

#define MOVES_TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOVES_TEST(test_out_of_what_has_left),
		MOVES_TEST(test_polled_found_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
