/*
 * What is mounted over what is watched, and unmounted again: told by the difference. Each test is
 * in a mount namespace of its own making, so nobody else sees any of it.
 * link: -Wl,--wrap=mount_points_open,--wrap=mount_points_each,--wrap=mount_points_changed,--wrap=statfs,--wrap=watcher__scan_read,--wrap=watcher__scan_open,--wrap=watcher__look_everywhere
 */
#include "mounts_test.h"

/* ---- over a directory ---- */

static void test_mounts_bind_is_told_by_the_difference(void **state)
{
	(void)state;
	begin("mkdir -p in/d out; echo > in/d/a; echo > in/d/b; echo > out/b; echo > out/c");
	assert_string_equal(sorted_after("mount --bind out in/d"),
			    "created in/d/c, deleted in/d/a, modified in/d/b");
	assert_string_equal(after("echo > out/e"), "created in/d/e, modified in/d/e");
	assert_string_equal(sorted_after("umount in/d"),
			    "created in/d/a, deleted in/d/c, deleted in/d/e, modified in/d/b");
	assert_string_equal(after("echo x > in/d/a; echo x > out/c"), "modified in/d/a");
}

/* Same device number, same inode numbers: another directory all the same. */
static void test_mounts_one_memory_after_another(void **state)
{
	(void)state;
	begin("mkdir -p in/d; mount -t tmpfs none in/d; mkdir in/d/s; echo > in/d/s/a");
	assert_string_equal(sorted_after("umount in/d; mount -t tmpfs none in/d; mkdir in/d/s; "
					 "echo > in/d/s/b"),
			    "created in/d/s, created in/d/s/b, deleted in/d/s, deleted in/d/s/a");
	assert_string_equal(after("echo > in/d/s/c"), "created in/d/s/c, modified in/d/s/c");
	assert_string_equal(sorted_after("umount -l in/d"),
			    "deleted in/d/s, deleted in/d/s/b, deleted in/d/s/c");
}

/* It is not known from what it is like: that it is another must not be forgotten. */
static void test_mounts_one_memory_after_another_in_vain(void **state)
{
	if (!own_mounts() || (*(int *)*state == WATCHER_BACKEND_FANOTIFY && getuid() != 0))
		skip();
	assert_int_equal(system("mkdir -p in/d; mount -t tmpfs none in/d; echo > in/d/a"), 0);
	begin_with(*(int *)*state, "in");
	read_error = UV_EMFILE;
	assert_string_equal(after("umount in/d; mount -t tmpfs none in/d; echo x > in/d/a"),
			    "modified in/d/a");
	assert_int_equal(read_error, 0);
	assert_string_equal(after("mkdir in/d/c"), "created in/d/c");
}

static void test_mounts_in_a_mount(void **state)
{
	(void)state;
	begin("mkdir -p in/d; mount -t tmpfs none in/d; mkdir in/d/s; echo > in/d/s/a");
	assert_string_equal(sorted_after("mount -t tmpfs none in/d/s; echo > in/d/s/b"),
			    "created in/d/s/b, deleted in/d/s/a");
	assert_string_equal(after("echo > in/d/s/c"), "created in/d/s/c, modified in/d/s/c");
	assert_string_equal(sorted_after("mount -t tmpfs none in/d"),
			    "deleted in/d/s, deleted in/d/s/b, deleted in/d/s/c");
	assert_string_equal(sorted_after("umount in/d"),
			    "created in/d/s, created in/d/s/b, created in/d/s/c");
	assert_string_equal(sorted_after("umount -l in/d"),
			    "deleted in/d/s, deleted in/d/s/b, deleted in/d/s/c");
}

static void test_mounts_that_move(void **state)
{
	(void)state;
	begin("mkdir -p in/d in/e; mount -t tmpfs none in/d; echo > in/d/a");
	assert_string_equal(sorted_after("mount --move in/d in/e"), "created in/e/a, deleted in/d/a");
	assert_string_equal(after("echo x > in/e/a; mv in/e/a in/e/b"),
			    "modified in/e/a, moved in/e/a in/e/b");
	/* The way there is renamed, of which no list of mounts tells. */
	assert_string_equal(sorted_after("mkdir -p in/up/m; mount -t tmpfs none in/up/m; "
					 "echo > in/up/m/a"),
			    "created in/up, created in/up/m, created in/up/m/a");
	assert_string_equal(sorted_after("mv in/up in/to"),
			    "moved in/up in/to, moved in/up/m in/to/m, moved in/up/m/a in/to/m/a");
	assert_string_equal(after("umount in/to/m"), "deleted in/to/m/a");
}

static void test_mounts_over_odd_names(void **state)
{
	(void)state;
	begin("mkdir -p 'in/a b\\c' \"in/$(printf 'x\\ny')\" out; echo > out/f");
	assert_string_equal(after("mount -n --bind out 'in/a b\\c'"), "created in/a b\\c/f");
	assert_string_equal(sorted_after("umount -n 'in/a b\\c'; mount -n --bind out in/x*"),
			    "created in/x\ny/f, deleted in/a b\\c/f");
}

/* ---- a directory at two places ---- */

/* Told of at one of the two; at the other, when that is the only one. */
static void test_mounts_of_what_is_watched(void **state)
{
	(void)state;
	begin("mkdir -p in/a in/b; echo > in/a/f; echo > in/b/g");
	assert_string_equal(after("mount --bind in/a in/b"), "deleted in/b/g");
	assert_string_equal(after("echo > in/b/h"), "created in/a/h, modified in/a/h");
	assert_string_equal(sorted_after("mount -t tmpfs none in/a"),
			    "created in/b/f, created in/b/h, deleted in/a/f, deleted in/a/h");
	assert_string_equal(after("echo > in/b/i"), "created in/b/i, modified in/b/i");
	assert_string_equal(sorted_after("umount in/b"),
			    "created in/b/g, deleted in/b/f, deleted in/b/h, deleted in/b/i");
}

/* ---- over a file ---- */

static void test_mounts_over_a_file(void **state)
{
	(void)state;
	begin("mkdir in; echo > in/f; echo > in/g; echo > other; mount --bind other in/g");
	assert_string_equal(after("mount --bind other in/f"), "modified in/f");
	assert_string_equal(after("mkdir x; mount -t tmpfs none x; umount x"), "");
	assert_string_equal(after("umount in/f"), "modified in/f");
	assert_string_equal(after("umount in/g"), "modified in/g");
}

/* ---- over a root, or the way to it ---- */

static void test_mounts_over_a_root(void **state)
{
	(void)state;
	begin("mkdir -p up/in other; ln -s up/in in; echo > in/a; echo > other/b");
	assert_string_equal(after("mount --bind other up/in"),
			    "deleted in/a, deleted in, created in, created in/b");
	assert_string_equal(after("echo > other/c"), "created in/c, modified in/c");
	assert_string_equal(after("rm other/c; umount up/in"),
			    "deleted in/c, deleted in/b, deleted in, created in, created in/a");
	assert_string_equal(after("mount -t tmpfs none up"), "deleted in/a, deleted in");
	assert_string_equal(problem, "in: gone; waiting for it to come back");
	assert_string_equal(after("mkdir up/in; echo > up/in/d"), "created in, created in/d");
	assert_string_equal(after("umount -l up"),
			    "deleted in/d, deleted in, created in, created in/a");
}

/* ---- what it costs, and where it is not to be had ---- */

static bool was_read(void *before)
{
	return lists_read > *(int *)before;
}

/* However often others mount something: reading the list takes a twentieth of the time. */
static void test_mounts_elsewhere_cost_little(void **state)
{
	uint64_t start, spent;
	int before;

	(void)state;
	begin("mkdir -p in x");
	list_takes_ms = 10;
	before = lists_read;
	start = uv_hrtime();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(mount("none", "x", "tmpfs", 0, NULL), 0);
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		assert_int_equal(umount("x"), 0);
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	}
	turn_until(watcher_loop(w), was_read, &before); /* what was put off is not forgotten */
	spent = (uv_hrtime() - start) / 1000000;
	assert_true((uint64_t)(lists_read - before) <= spent / (20 * 10) + 1);
	sync_watcher(w);
	assert_string_equal(told(&told_of), "");
}

static void test_mounts_without_a_list(void **state)
{
	(void)state;
	no_list = true;
	begin("mkdir -p in/d out; echo > in/d/a; echo > out/b");
	assert_int_equal(system("mount --bind out in/d"), 0);
	sync_watcher(w);
	assert_string_equal(told(&told_of), "");
	assert_string_equal(problem, "");
	assert_int_equal(system("umount in/d"), 0);
	assert_string_equal(after("echo > in/d/c"), "created in/d/c, modified in/d/c");
}

static uint64_t polled(void)
{
	watcher_stats_t stats;

	watcher_stats(w, &stats, sizeof stats);
	return stats.polled_directories;
}

static void test_mounts_that_tell_nothing_are_polled(void **state)
{
	(void)state;
	if (!own_mounts())
		skip();
	silent = "/net";
	assert_int_equal(system("mkdir -p in/a/net in/b/net/s; mount -t tmpfs none in/a/net; "
				"mkdir in/a/net/s in/c"), 0);
	begin_with(WATCHER_BACKEND_AUTO, "in");
	assert_int_equal(polled(), 2);
	assert_string_equal(sorted_after("echo > in/a/net/s/f; echo > in/c/f"),
			    "created in/a/net/s/f, created in/c/f, modified in/c/f");
	assert_string_equal(after("mount -t tmpfs none in/b/net"), "deleted in/b/net/s");
	assert_int_equal(polled(), 3);
	assert_string_equal(after("echo > in/b/net/g"), "created in/b/net/g");
	assert_string_equal(sorted_after("umount in/b/net"),
			    "created in/b/net/s, deleted in/b/net/g");
	assert_int_equal(polled(), 2);
	assert_string_equal(sorted_after("umount in/a/net"),
			    "deleted in/a/net/s, deleted in/a/net/s/f");
	assert_int_equal(polled(), 0);
	assert_string_equal(after("echo > in/b/net/s/x"), "created in/b/net/s/x, modified in/b/net/s/x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mounts_bind_is_told_by_the_difference),
		TEST(test_mounts_one_memory_after_another),
		TEST_ON(test_mounts_one_memory_after_another_in_vain, inotify),
		TEST_ON(test_mounts_one_memory_after_another_in_vain, fanotify),
		TEST_ON(test_mounts_one_memory_after_another_in_vain, fsevent),
		TEST(test_mounts_in_a_mount),
		TEST(test_mounts_that_move),
		TEST(test_mounts_over_odd_names),
		TEST(test_mounts_of_what_is_watched),
		TEST(test_mounts_over_a_file),
		TEST(test_mounts_over_a_root),
		TEST(test_mounts_elsewhere_cost_little),
		TEST(test_mounts_without_a_list),
		TEST(test_mounts_that_tell_nothing_are_polled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
