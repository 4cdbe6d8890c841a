/* What a watcher and its watches are given: options, paths, and what is wrong with them. */
#include "watch_test.h"

static void test_option_sizes(void **state)
{
	struct {
		watcher_options o;
		char tail[16];
	} larger = { .o = { .size = sizeof larger } };
	struct {
		watch_options o;
		char tail[16];
	} more = { .o = { .size = sizeof more } };
	watcher_options smaller = { .size = offsetof(watcher_options, debounce_ms),
				    .debounce_ms = -1 };
	watch_options less = { .size = offsetof(watch_options, depth), .depth = -1 };
	watcher *w = NULL;
	watcher_error err;

	(void)state;
	assert_int_equal(watcher_open(&w, &larger.o, NULL), 0);
	assert_int_equal(watcher_add(w, ".", &more.o, NULL), 0);
	assert_int_equal(watcher_add(w, ".", &less, NULL), 0); /* what is beyond is not read */
	more.tail[15] = 1;
	assert_int_equal(watcher_add(w, ".", &more.o, &err), UV_E2BIG);
	assert_string_equal(err.message,
			    "watch options: made for a newer version of the library");
	watcher_close(w);
	w = NULL;
	larger.tail[0] = 1;
	assert_int_equal(watcher_open(&w, &larger.o, &err), UV_E2BIG);
	assert_string_equal(err.message,
			    "watcher options: made for a newer version of the library");
	assert_null(w);
	assert_int_equal(watcher_open(&w, &smaller, NULL), 0);
	watcher_close(w);
	watcher_close(NULL);
}

static void test_bad_watcher_options(void **state)
{
	static const watcher_vfs vfs;
	const struct {
		watcher_options o;
		int code;
		const char *message;
	} bad[] = {
		{ { 0 }, UV_EINVAL, "watcher options: size is not set" },
		{ { .size = sizeof bad->o, .debounce_ms = -1 }, UV_EINVAL,
		  "watcher options: a negative time" },
		{ { .size = sizeof bad->o, .leading_ms = -1 }, UV_EINVAL,
		  "watcher options: a negative time" },
		{ { .size = sizeof bad->o, .poll_interval_ms = -1 }, UV_EINVAL,
		  "watcher options: a negative time" },
		{ { .size = sizeof bad->o, .flags = 1u << 29 }, UV_EINVAL,
		  "watcher options: unknown flags 0x20000000" },
		{ { .size = sizeof bad->o, .backend = 99 }, UV_EINVAL,
		  "watcher options: backend 99 does not exist here" },
		{ { .size = sizeof bad->o, .backend = -1 }, UV_EINVAL,
		  "watcher options: backend -1 does not exist here" },
		{ { .size = sizeof bad->o, .vfs = &vfs, .backend = WATCHER_BACKEND_INOTIFY },
		  UV_EINVAL, "watcher options: vfs needs WATCHER_BACKEND_POLL" },
	};
	watcher_error err;
	watcher *w = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int r = watcher_open(&w, &bad[i].o, &err);

		assert_int_equal(r, bad[i].code);
		assert_int_equal(err.code, bad[i].code);
		assert_string_equal(err.message, bad[i].message);
		assert_null(w);
	}
}

static void test_bad_watches(void **state)
{
	char long_path[PATH_MAX + 100];
	const struct {
		const char *path;
		watch_options o;
		int code;
		const char *message;
	} bad[] = {
		{ "", { .size = sizeof bad->o }, UV_EINVAL, "an empty path cannot be watched" },
		{ ".", { 0 }, UV_EINVAL, "watch options: size is not set" },
		{ ".", { .size = sizeof bad->o, .depth = -1 }, UV_EINVAL,
		  "watch options: depth is negative" },
		{ ".", { .size = sizeof bad->o, .flags = 1 << 20 }, UV_EINVAL,
		  "watch options: unknown flags 0x100000" },
		{ ".", { .size = sizeof bad->o, .kinds = 1 << 20 }, UV_EINVAL,
		  "watch options: unknown kinds 0x100000" },
		{ ".", { .size = sizeof bad->o, .patterns = LIST("*.c", "a[") }, UV_EINVAL, "a[" },
		{ ".", { .size = sizeof bad->o, .roots = LIST("ok", "") }, UV_EINVAL,
		  "an empty path cannot be watched" },
		{ "f/x", { .size = sizeof bad->o }, UV_ENOTDIR, "f/x" },
		{ "loop/x", { .size = sizeof bad->o }, UV_ELOOP, "loop/x" },
		{ long_path, { .size = sizeof bad->o }, UV_ENAMETOOLONG, NULL },
	};
	watcher *w = open_with(NULL);
	watcher_stats_t stats;
	watcher_error err;

	(void)state;
	memset(long_path, 'x', sizeof long_path - 1);
	long_path[sizeof long_path - 1] = '\0';
	put("f", "");
	assert_int_equal(mkdir("ok", 0755), 0);
	assert_int_equal(symlink("loop", "loop"), 0);
	for (size_t i = 0; i < COUNT(bad); i++) {
		watcher_watch *watch = NULL;
		watch_options o = bad[i].o;
		int r;

		if (o.size)
			o.watch = &watch;
		r = watcher_add(w, bad[i].path, &o, &err);
		if (r != bad[i].code)
			fail_msg("%zu: %d %s: %s", i, r, r ? uv_err_name(r) : "", err.message);
		assert_int_equal(err.code, bad[i].code);
		if (bad[i].message && !strstr(err.message, bad[i].message))
			fail_msg("%zu: %s", i, err.message);
		assert_null(watch);
	}
	watcher_stats(w, &stats, sizeof stats);
	assert_int_equal(stats.directories, 0);
	assert_int_equal(stats.watches, 0);
	watcher_close(w);
}

static void test_unreadable_root(void **state)
{
	watcher *w;
	watcher_error err;
	int r;

	(void)state;
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(mkdir("d", 0), 0);
	w = open_with(NULL);
	if (getuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	r = watcher_add(w, "d", NULL, &err);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, UV_EACCES);
	assert_non_null(strstr(err.message, "d"));
	watcher_close(w);
}

static void test_missing_path_is_waited_for(void **state)
{
	static struct told t;
	watcher *w = open_with(NULL);

	(void)state;
	add_with(w, "a/b", WATCH(.on_batch = on_told, .arg = &t));
	assert_int_equal(mkdir("a", 0755), 0);
	assert_int_equal(mkdir("a/b", 0755), 0);
	sync_watcher(w);
	assert_string_equal(told(&t), "created a/b");
	put("a/b/f", "");
	sync_watcher(w);
	assert_string_equal(told(&t), "created a/b/f");
	watcher_close(w);
}

static void on_problem_line(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)w;
	assert_string_equal(path, "mis\nsing");
	memcpy(arg, err->message, sizeof err->message);
}

/* Whatever is in a path. */
static void test_messages_are_one_line(void **state)
{
	char said[sizeof(watcher_error)] = "";
	watcher *w = open_with(WATCHER(.on_problem = on_problem_line, .arg = said));
	watcher_error err;

	(void)state;
	put("fi\nle", "");
	assert_int_equal(watcher_add(w, "fi\nle/\033[1mx", NULL, &err), UV_ENOTDIR);
	assert_string_equal(err.message, "fi?le/?[1mx: cannot be watched: not a directory");
	add_with(w, "mis\nsing", WATCH(0));
	assert_int_equal(mkdir("mis\nsing", 0755), 0);
	sync_watcher(w);
	assert_string_equal(said, "mis?sing: there now");
	watcher_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_option_sizes),
		TEST(test_bad_watcher_options),
		TEST(test_bad_watches),
		TEST(test_unreadable_root),
		TEST(test_missing_path_is_waited_for),
		TEST(test_messages_are_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
