/*
 * Changes that fanotify loses before the tree has been read. The kernel's own queue has no end; but
 * what waits for the reading is held up to a limit, and memory may be short.
 */
#include "fanotify_test.h"

#include "next_tick.h"

/* What is read of the queue now is lost. */
static void lose_changes(void)
{
	assert_true(fan_read(w->sources[0].backend, true) > 0);
}

static bool was_told(const char *event)
{
	return strstr(news.text, event) != NULL;
}

/* What was made meanwhile is told of, and all that it holds. */
static void test_made_before_it_was_read(void **state)
{
	const char *dir;

	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755) | mkdir("in/d/kept", 0755), 0);
	put("in/d/old", "");
	next_tick();
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	put("in/file", "");
	put("in/d/old", "more");
	assert_int_equal(mkfifo("in/d/fifo", 0600), 0);
	assert_int_equal(symlink("old", "in/d/link"), 0);
	assert_int_equal(mkdir("in/d/dir", 0755), 0);
	put("in/d/dir/x", "");
	lose_changes();
	sync_watcher(w);
	check_index();
	assert_int_equal(w->stats.overflows, 1);
	assert_true(was_told("created in/file"));
	assert_true(was_told("modified in/d/old"));
	assert_true(was_told("created in/d/fifo"));
	assert_true(was_told("created in/d/link"));
	dir = strstr(news.text, "created in/d/dir, ");
	assert_true(dir && strstr(dir, "created in/d/dir/x"));
	assert_false(was_told("created in/d,") || was_told("created in/d/old") ||
		     was_told("in/d/kept"));
}

/* What is made next, and goes, makes sense after it. */
static void test_goes_on(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755), 0);
	next_tick();
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	put("in/d/a", "");
	assert_int_equal(mkdir("in/d/b", 0755), 0);
	lose_changes();
	put("in/d/a", "more");
	put("in/d/b/x", "");
	assert_int_equal(rename("in/d/b", "in/c"), 0);
	sync_watcher(w);
	check_index();
	assert_true(was_told("created in/d/a"));
	assert_true(was_told("in/c/x"));
	news.text[0] = '\0';
	assert_int_equal(unlink("in/d/a") | unlink("in/c/x"), 0);
	sync_watcher(w);
	assert_string_equal(news.text, "deleted in/d/a, deleted in/c/x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAN(test_made_before_it_was_read),
		FAN(test_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
