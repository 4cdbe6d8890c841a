/*
 * Trees that go deeper than the system takes paths (PATH_MAX): they are read in pieces, by
 * snapshots and by watches on every backend.
 */
#include "watch_test.h"

#define LEVELS 30 /* of names of 200 bytes */

static char name[201];

static int enter(void **state)
{
	memset(name, 'n', sizeof name - 1);
	if (watch_test_enter(state) || mkdir("in", 0755) || chdir("in"))
		return -1;
	for (int i = 0; i < LEVELS; i++)
		if (mkdir(name, 0755) || chdir(name))
			return -1;
	put("old", "");
	return chdir(watch_test_top);
}

static void at_the_bottom(void (*act)(void))
{
	assert_int_equal(chdir("in"), 0);
	for (int i = 0; i < LEVELS; i++)
		assert_int_equal(chdir(name), 0);
	act();
	assert_int_equal(chdir(watch_test_top), 0);
}

static void change(void)
{
	put("old", "more");
	put("new", "");
	assert_int_equal(rename("new", "newer"), 0);
}

static void change_again(void)
{
	assert_int_equal(unlink("newer"), 0);
}

static void remove_all(void)
{
	unlink("newer");
	unlink("old");
	for (int i = 0; i < LEVELS; i++)
		if (chdir("..") || rmdir(name))
			return;
}

static int leave(void **state)
{
	if (chdir(watch_test_top))
		return -1;
	at_the_bottom(remove_all);
	return watch_test_leave(state);
}

/* Events as kind and the last part of the path, once each. */
static void tell_end(char *to, const watcher_event *e)
{
	const char *path = e->dest ? e->dest : e->path;
	char text[64];

	assert_true(e->path_len > PATH_MAX);
	snprintf(text, sizeof text, "%s %s, ", watcher_kind_name(e->kind), strrchr(path, '/') + 1);
	if (!strstr(to, text))
		strcat(to, text);
}

static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	tell_end(arg, e);
}

static int on_difference(const watcher_event *e, void *arg)
{
	tell_end(arg, e);
	return 0;
}

static void test_snapshot(void **state)
{
	watcher_snapshot *old, *now;
	char text[512] = "";
	watcher_error err;

	(void)state;
	if (watcher_snapshot_take(&old, LIST("in"), NULL, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(watcher_snapshot_count(old, WATCHER_TYPE_DIR), LEVELS + 1);
	at_the_bottom(change);
	assert_int_equal(watcher_snapshot_take(&now, LIST("in"), NULL, NULL), 0);
	assert_int_equal(watcher_snapshot_diff(old, now, 0, on_difference, text), 0);
	assert_string_equal(text, "created newer, modified old, ");
	watcher_snapshot_free(old);
	watcher_snapshot_free(now);
}

static void add_relative(void)
{
	watcher_error err;
	watcher *w;

	assert_int_equal(watcher_open(&w, NULL, &err), 0);
	assert_int_equal(watcher_add(w, ".", NULL, &err), UV_ENAMETOOLONG);
	assert_string_equal(err.message, ".: the current directory: name too long");
	watcher_close(w);
}

static void test_relative_to_a_deep_directory(void **state)
{
	(void)state;
	at_the_bottom(add_relative);
}

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)w;
	(void)path;
	(void)arg;
	fail_msg("%s", err->message);
}

static void watch_with(int backend)
{
	char text[512] = "";
	watcher_stats_t stats;
	watcher_error err;
	watcher *w;

	if (watcher_open(&w, WATCHER(.backend = backend, .on_problem = on_problem,
				     .poll_interval_ms = 3600000), &err) < 0 ||
	    watcher_add(w, "in", WATCH(.on_any = on_any, .arg = text), &err) < 0)
		fail_msg("%s", err.message);
	sync_watcher(w);
	watcher_stats(w, &stats, sizeof stats);
	if (backend != WATCHER_BACKEND_FANOTIFY) /* which needs none of them in advance */
		assert_int_equal(stats.directories, LEVELS + 1);
	at_the_bottom(change);
	sync_watcher(w);
	if (!strstr(text, "modified old, ") || !strstr(text, " newer, "))
		fail_msg("told: %s", text);
	text[0] = '\0';
	at_the_bottom(change_again);
	sync_watcher(w);
	assert_string_equal(text, "deleted newer, ");
	watcher_close(w);
}

static void test_inotify(void **state)
{
	(void)state;
	watch_with(WATCHER_BACKEND_INOTIFY);
}

static void test_fanotify(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	watch_with(WATCHER_BACKEND_FANOTIFY);
}

static void test_fsevent(void **state)
{
	(void)state;
	watch_with(WATCHER_BACKEND_FSEVENT);
}

static void test_poll(void **state)
{
	(void)state;
	watch_with(WATCHER_BACKEND_POLL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_snapshot, enter, leave),
		cmocka_unit_test_setup_teardown(test_relative_to_a_deep_directory, enter, leave),
		cmocka_unit_test_setup_teardown(test_inotify, enter, leave),
		cmocka_unit_test_setup_teardown(test_fanotify, enter, leave),
		cmocka_unit_test_setup_teardown(test_fsevent, enter, leave),
		cmocka_unit_test_setup_teardown(test_poll, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
