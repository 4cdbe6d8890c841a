/*
 * Mounts that come and go while something else does, or while what they are over is read.
 * link: -Wl,--wrap=mount_points_open,--wrap=mount_points_each,--wrap=mount_points_changed,--wrap=statfs,--wrap=watcher__scan_read,--wrap=watcher__scan_open,--wrap=watcher__look_everywhere
 */
#include "mounts_test.h"

/* A directory is found where it is mounted, too, while what it is in moves: it is not where it was
 * just then, but has not moved to the mount. */
static void test_mounts_are_no_moves(void **state)
{
	const char *all;

	(void)state;
	begin("mkdir -p in/p/d; echo > in/p/d/f");
	while_read = "mv in/p in/q";
	all = after("mkdir -p in/n/m; mount --bind in/p/d in/n/m");
	assert_null(while_read);
	check_index();
	assert_null(strstr(all, "moved in/p/d in/n/m"));
	assert_null(strstr(all, "moved in/q/d in/n/m"));
	assert_non_null(strstr(all, "moved in/p in/q"));
	assert_string_equal(after("umount in/n/m; echo > in/q/d/g"), "created in/q/d/g, modified in/q/d/g");
}

/* The list names what is mounted by the name that the way there has got meanwhile. */
static void test_mounts_whose_way_is_renamed(void **state)
{
	(void)state;
	begin("mkdir -p in/up/m in/other/m; echo > in/f");
	before_listed = "mv in/up in/to";
	assert_string_equal(sorted_after("mount -t tmpfs none in/up/m; echo > in/up/m/a"),
			    "created in/to/m/a, moved in/up in/to, moved in/up/m in/to/m");
	assert_string_equal(after("umount in/to/m"), "deleted in/to/m/a");
	before_listed = "mv in/other in/up; mv in/to in/other";
	assert_string_equal(sorted_after("mount -t tmpfs none in/to/m; echo > in/to/m/b"),
			    "created in/other/m/b, moved in/other in/up, moved in/other/m in/up/m, "
			    "moved in/to in/other, moved in/to/m in/other/m");
	assert_string_equal(after("umount in/other/m"), "deleted in/other/m/b");
}

/* A file that the list has before the index does. */
static void test_mounts_over_a_file_not_yet_known(void **state)
{
	(void)state;
	begin("mkdir in; echo > other");
	before_asked = "touch in/f; mount --bind other in/f";
	sync_watcher(w);
	assert_null(before_asked);
	after("true");
	assert_string_equal(after("umount in/f"), "modified in/f");
}

/* What is mounted has not moved to where it is mounted, too, when its own place is mounted over: the
 * directory there is where it was, and is not to be seen. */
static void test_mounts_hidden_by_others(void **state)
{
	(void)state;
	begin("mkdir -p in/c/m in/n in/t out; echo > out/f; mount --bind out in/c/m");
	assert_string_equal(sorted_after("mount --bind out in/n; mount --bind in/t in/c"),
			    "created in/n/f, deleted in/c/m, deleted in/c/m/f");
	assert_string_equal(after("umount in/n"), "deleted in/n/f");
	assert_string_equal(sorted_after("umount in/c"), "created in/c/m, created in/c/m/f");
}

/* What it was in is mounted over by what is told of elsewhere, so that it is not told of itself: the
 * move is, all the same (and once more as something new, when it is heard of). */
static void test_mounts_over_where_all_has_moved_from(void **state)
{
	const char *all;

	(void)state;
	begin("mkdir -p in/c/x/s in/t");
	before_look = "mv in/c/x in/y; mount --bind in/t in/c";
	w->gap = true;
	all = after("true");
	assert_null(before_look);
	assert_ptr_equal(strstr(all, "moved in/c/x in/y, moved in/c/x/s in/y/s"), all);
	assert_string_equal(after("umount in/c; touch in/c/f"), "created in/c/f");
}

/* What is above a directory is mounted over, while that is looked at by its path, and no longer: there
 * is nothing to be told, and nothing that the list of mounts would tell later. What is mounted has
 * the same inode numbers. */
static void make_two_alike(const int *backend)
{
	if (!own_mounts())
		skip();
	if (*backend == WATCHER_BACKEND_FANOTIFY && getuid() != 0)
		skip();
	assert_int_equal(system("mkdir in other; mount -t tmpfs none in; mount -t tmpfs none other; "
				"mkdir -p in/c/a/s/f in/c/a/f other/x/a/s/g other/x/a/g"), 0);
	snprintf(over, sizeof over, "%s/in/c", watch_test_top);
	snprintf(over_with, sizeof over_with, "%s/other/x", watch_test_top);
	over_while[0] = "/in/c/a";
}

static void check_all_is_known(void)
{
	assert_int_equal(over_times, 0);
	assert_string_equal(told(&told_of), "");
	check_index();
	assert_string_equal(sorted_after("mkdir in/c/a/h; rmdir in/c/a/s/f"),
			    "created in/c/a/h, deleted in/c/a/s/f");
}

static void test_mounts_above_that_nobody_hears_of(void **state)
{
	make_two_alike(*state);
	begin_with(*(int *)*state, "in");
	over_times = 1;
	w->gap = true; /* so that everything is looked at */
	sync_watcher(w);
	check_all_is_known();
}

static void test_mounts_above_that_come_again(void **state)
{
	make_two_alike(*state);
	begin_with(*(int *)*state, "in");
	over_while[1] = "/in/c";
	over_times = 3; /* in/c itself, in/c/a, and in/c once more, to open that in it */
	w->gap = true;
	sync_watcher(w);
	check_all_is_known();
}

static void test_mounts_above_while_all_is_read(void **state)
{
	make_two_alike(*state);
	assert_int_equal(system("for i in 1 2 3 4 5 6 7 8 9; do mkdir in/$i in/c/$i; done"), 0);
	over_times = 1;
	begin_with(*(int *)*state, "in");
	check_all_is_known();
}

/* No mount has come, nor the end of one: a directory has, and in it a file that is mounted over. */
static void test_mounts_over_a_file_that_is_moved_in(void **state)
{
	if (!own_mounts())
		skip();
	if (*(int *)*state == WATCHER_BACKEND_FANOTIFY && getuid() != 0)
		skip();
	assert_int_equal(system("mkdir -p in out/d/e; echo > other; echo > out/d/e/f; "
				"mount --bind other out/d/e/f"), 0);
	begin_with(*(int *)*state, "in");
	assert_string_equal(after("mv out/d in/d"), "created in/d, created in/d/e, created in/d/e/f");
	assert_string_equal(after("mv in/d in/c"),
			    "moved in/d in/c, moved in/d/e in/c/e, moved in/d/e/f in/c/e/f");
	assert_string_equal(after("umount in/c/e/f"), "modified in/c/e/f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mounts_are_no_moves),
		TEST(test_mounts_whose_way_is_renamed),
		TEST(test_mounts_over_a_file_not_yet_known),
		TEST(test_mounts_hidden_by_others),
		TEST(test_mounts_over_where_all_has_moved_from),
		TEST_ON(test_mounts_over_a_file_that_is_moved_in, inotify),
		TEST_ON(test_mounts_over_a_file_that_is_moved_in, fanotify),
		TEST_ON(test_mounts_over_a_file_that_is_moved_in, fsevent),
		TEST_ON(test_mounts_above_that_nobody_hears_of, inotify),
		TEST_ON(test_mounts_above_that_nobody_hears_of, fanotify),
		TEST_ON(test_mounts_above_that_nobody_hears_of, fsevent),
		TEST_ON(test_mounts_above_that_come_again, inotify),
		TEST_ON(test_mounts_above_that_come_again, fanotify),
		TEST_ON(test_mounts_above_that_come_again, fsevent),
		TEST_ON(test_mounts_above_while_all_is_read, inotify),
		TEST_ON(test_mounts_above_while_all_is_read, fanotify),
		TEST_ON(test_mounts_above_while_all_is_read, fsevent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
