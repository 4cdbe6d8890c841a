/*
 * Watching whole trees through one handle, as fsevent does on macOS and Windows, played here:
 * which handle tells when roots lie in each other, come and go, and that nothing is told twice.
 * What operations give which events is in the scenario table.
 */
#include "watch_test.h"

#include "watcher/options.h"

static watcher *w;
static struct told told_outer, told_inner;

static int enter(void **state)
{
	memset(&told_outer, 0, sizeof told_outer);
	memset(&told_inner, 0, sizeof told_inner);
	if (watch_test_enter(state) || mkdir("in", 0755) || mkdir("in/d", 0755) ||
	    mkdir("in/d/e", 0755) || mkdir("in/d/e/f", 0755))
		return -1;
	put("in/d/e/f/x", "");
	return watcher_open(&w, WATCHER(.backend = WATCHER_BACKEND_FSEVENT,
					.flags = WATCHER__WHOLE_TREES), NULL);
}

static int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

static watcher_watch *outer(void)
{
	return add_with(w, "in", WATCH(.on_batch = on_told, .arg = &told_outer));
}

static watcher_watch *inner(void)
{
	return add_with(w, "in/d/e", WATCH(.on_batch = on_told, .arg = &told_inner));
}

/* A file comes and goes far below both roots; who hears of it. */
static void check_told(bool by_outer, bool by_inner)
{
	static const char news[] = "created in/d/e/f/n", end[] = "deleted in/d/e/f/n";

	assert_int_equal(symlink("x", "in/d/e/f/n"), 0);
	sync_watcher(w);
	assert_string_equal(told(&told_outer), by_outer ? news : "");
	assert_string_equal(told(&told_inner), by_inner ? news : "");
	assert_int_equal(unlink("in/d/e/f/n"), 0);
	sync_watcher(w);
	assert_string_equal(told(&told_outer), by_outer ? end : "");
	assert_string_equal(told(&told_inner), by_inner ? end : "");
}

static void test_one_root(void **state)
{
	(void)state;
	outer();
	check_told(true, false);
	put("in/d/e/f/x", "more");
	sync_watcher(w);
	assert_string_equal(told(&told_outer), "modified in/d/e/f/x");
}

static void test_the_inner_root_comes_second(void **state)
{
	watcher_watch *out, *in;

	(void)state;
	out = outer();
	in = inner();
	check_told(true, true);
	watcher_remove(in);
	check_told(true, false);
	inner();
	watcher_remove(out); /* what it covered is heard of through a handle of its own now */
	check_told(false, true);
	/* The way to the root is looked up anew, and lets go of the tree it was covered by. */
	assert_int_equal(rename("in", "away"), 0);
	assert_int_equal(rename("away", "in"), 0);
	sync_watcher(w);
	check_told(false, true);
	put("in/d/e/f/x", "more");
	sync_watcher(w);
	assert_string_equal(told(&told_inner), "modified in/d/e/f/x");
}

static void test_the_outer_root_comes_second(void **state)
{
	watcher_watch *out, *in;

	(void)state;
	in = inner();
	out = outer();
	check_told(true, true);
	put("in/d/e/f/x", "more");
	sync_watcher(w);
	assert_string_equal(told(&told_outer), "modified in/d/e/f/x");
	assert_string_equal(told(&told_inner), "modified in/d/e/f/x");
	watcher_remove(in);
	check_told(true, false);
	inner();
	watcher_remove(out);
	check_told(false, true);
}

/* A directory that was renamed is known by what it is, also while the index has its old name. */
static void test_renamed_and_written_to(void **state)
{
	const char *text;

	(void)state;
	outer();
	assert_int_equal(rename("in/d", "in/g"), 0);
	put("in/g/e/f/x", "more");
	put("in/g/e/f/y", "");
	sync_watcher(w);
	text = told(&told_outer);
	assert_non_null(strstr(text, "moved in/d in/g"));
	assert_non_null(strstr(text, "moved in/d/e/f in/g/e/f"));
	assert_non_null(strstr(text, "created in/g/e/f/y"));
	assert_non_null(strstr(text, "modified in/g/e/f/x"));
	assert_int_equal(rename("in/g", "out"), 0);
	sync_watcher(w);
	told(&told_outer);
	put("out/e/f/x", "even more");
	sync_watcher(w);
	assert_string_equal(told(&told_outer), "");
}

/* A link leads out of the tree: what is behind it is a tree of its own. */
static void test_behind_a_link(void **state)
{
	(void)state;
	assert_int_equal(mkdir("far", 0755), 0);
	assert_int_equal(mkdir("far/d", 0755), 0);
	assert_int_equal(symlink("../far", "in/l"), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &told_outer, .follow_symlinks = 1));
	put("far/d/x", "");
	sync_watcher(w);
	assert_string_equal(told(&told_outer), "created in/l/d/x");
}

int main(void)
{
#define TREE(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		TREE(test_one_root),
		TREE(test_the_inner_root_comes_second),
		TREE(test_the_outer_root_comes_second),
		TREE(test_renamed_and_written_to),
		TREE(test_behind_a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
