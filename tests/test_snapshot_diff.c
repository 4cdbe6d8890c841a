/* Comparing snapshots of real trees: the events for what was done in between. */
#include "snapshot_test.h"

#include <sys/syscall.h>
#include <time.h>

#include "watcher/statx_linux.h"

/* ---- single changes ---- */

static void test_nothing(void **state)
{
	(void)state;
	make("d");
	put("d/f", "x");
	assert_string_equal(since(take()), "");
}

static void test_created_and_deleted(void **state)
{
	watcher_snapshot *s;

	(void)state;
	make("d");
	put("d/f", "x");
	make("d/e");
	put("d/e/g", "");
	s = take();
	assert_int_equal(nftw("d", watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	make("n");
	put("n/b", "");
	put("n/a", "");
	assert_string_equal(since(s), "deleted d/e/g, deleted d/e, deleted d/f, deleted d, "
				      "created n, created n/a, created n/b");
}

static void test_everything_is_created(void **state)
{
	(void)state;
	make("d");
	put("d/f", "x");
	assert_string_equal(since(NULL), "created ., created d, created d/f");
	assert_string_equal(between(take(), NULL, 0), "deleted d/f, deleted d, deleted .");
	assert_string_equal(between(NULL, NULL, 0), "");
}

static void test_modified_and_attrib(void **state)
{
	struct timespec then[2] = { { 1000, 0 }, { 1000, 0 } }, now[2] = { { 1000, 0 }, { 2000, 0 } };
	watcher_snapshot *s;

	(void)state;
	put("size", "1");
	put("time", "1");
	put("mode", "1");
	put("both", "1");
	put("link", "1");
	put("same", "1");
	put("quiet", "1");
	assert_int_equal(utimensat(AT_FDCWD, "time", then, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, "quiet", then, 0), 0);
	s = take();
	put("size", "22");
	assert_int_equal(utimensat(AT_FDCWD, "time", now, 0), 0);
	assert_int_equal(chmod("mode", 0600), 0);
	put("both", "22");
	assert_int_equal(chmod("both", 0600), 0);
	assert_int_equal(link("link", "other"), 0);
	put("quiet", "2"); /* same size, and its time is set back */
	assert_int_equal(utimensat(AT_FDCWD, "quiet", then, 0), 0);
	assert_string_equal(since(s), "created other, modified both, attrib both, attrib link, "
				      "attrib mode, modified quiet, modified size, modified time");
}

static void test_directory_modified(void **state)
{
	struct timespec then[2] = { { 1000, 0 }, { 1000, 0 } };
	watcher_snapshot *s;

	(void)state;
	make("d");
	assert_int_equal(utimensat(AT_FDCWD, "d", then, 0), 0);
	s = take();
	put("d/f", "");
	assert_string_equal(between(s, take(), WATCHER_DIFF_DIR_MODIFIED), "created d/f, modified d");
}

static void test_moved(void **state)
{
	watcher_snapshot *s;

	(void)state;
	make("d");
	make("d/e");
	put("d/e/f", "x");
	put("a", "x");
	s = take();
	assert_int_equal(rename("d", "n"), 0);
	assert_int_equal(rename("a", "n/e/b"), 0);
	assert_string_equal(since(s), "moved d n, moved d/e n/e (follows), "
				      "moved d/e/f n/e/f (follows), moved a n/e/b");
}

static void test_moved_and_changed(void **state)
{
	watcher_snapshot *s;

	(void)state;
	put("a", "x");
	s = take();
	assert_int_equal(rename("a", "b"), 0);
	put("b", "longer");
	assert_string_equal(since(s), "moved a b, modified b");
}

static void test_moved_over(void **state)
{
	watcher_snapshot *s;

	(void)state;
	put("a", "x");
	put("b", "y");
	s = take();
	assert_int_equal(rename("a", "b"), 0);
	assert_string_equal(since(s), "deleted b, moved a b");
}

static void test_swapped(void **state)
{
	watcher_snapshot *s;

	(void)state;
	put("a", "x");
	put("b", "y");
	s = take();
	assert_int_equal(rename("a", "t"), 0);
	assert_int_equal(rename("b", "a"), 0);
	assert_int_equal(rename("t", "b"), 0);
	assert_string_equal(since(s), "deleted b, moved a b, created a");
}

static void test_turned_inside_out(void **state)
{
	watcher_snapshot *s;

	(void)state;
	make("a");
	make("a/b");
	put("a/b/x", "x");
	put("a/y", "y");
	s = take();
	assert_int_equal(rename("a/b", "b"), 0);
	assert_int_equal(rename("a", "b/a"), 0);
	assert_string_equal(since(s), "moved a/b b, moved a/b/x b/x (follows), moved a b/a, "
				      "moved a/y b/a/y (follows)");
	s = take();
	assert_int_equal(rename("b/a", "t"), 0);
	assert_int_equal(rename("b", "t/b"), 0);
	assert_int_equal(rename("t", "b"), 0); /* b was outer and is inner */
	changes[0] = '\0';
	assert_int_equal(watcher_snapshot_diff(s, NULL, 0, tell, NULL), 0);
	assert_string_equal(since(s), "deleted b/a/y, deleted b/a, deleted b/x, deleted b, created b, "
				      "created b/b, created b/b/x, created b/y");
}

static void test_moved_out_of_what_ended(void **state)
{
	watcher_snapshot *s;

	(void)state;
	make("d");
	put("d/keep", "x");
	put("d/lose", "y");
	s = take();
	assert_int_equal(rename("d/keep", "keep"), 0);
	assert_int_equal(unlink("d/lose"), 0);
	assert_int_equal(rmdir("d"), 0);
	assert_string_equal(since(s), "deleted d/lose, moved d/keep keep, deleted d");
}

/* What leaves a directory that moves is changes by its old path, once. */
static void test_moved_out_of_what_moved(void **state)
{
	watcher_snapshot *s;

	(void)state;
	make("d");
	put("d/f", "x");
	s = take();
	assert_int_equal(rename("d/f", "x"), 0);
	assert_int_equal(rename("d", "n"), 0);
	assert_string_equal(since(s), "moved d/f x, moved d n");
}

static void test_replaced(void **state)
{
	watcher_snapshot *s;

	(void)state;
	put("f", "x");
	put("f.new", "y");
	assert_int_equal(unlink("f.new"), 0);
	s = take();
	put("f.new", "y");
	assert_int_equal(rename("f.new", "f"), 0);
	assert_string_equal(since(s), "modified f");
	s = take();
	put("f.new", "z");
	assert_int_equal(rename("f.new", "f"), 0);
	assert_string_equal(between(s, take(), WATCHER_DIFF_REPLACED), "deleted f, created f");
}

static void test_other_type(void **state)
{
	watcher_snapshot *s;

	(void)state;
	put("f", "x");
	make("d");
	put("d/g", "x");
	s = take();
	assert_int_equal(unlink("f"), 0);
	make("f");
	assert_int_equal(unlink("d/g"), 0);
	assert_int_equal(rmdir("d"), 0);
	put("d", "x");
	assert_string_equal(since(s), "deleted d/g, deleted d, deleted f, created d, created f");
}

/* An inode number that was given to another file is no move; it takes a birth time to know. */
static void test_inode_used_again(void **state)
{
	watcher_snapshot *s;
	struct statx st;
	char name[32];
	int i;

	(void)state;
	put("old", "x");
	s = take();
	assert_int_equal(statx(AT_FDCWD, "old", 0, STATX_INO | STATX_BTIME, &st), 0);
	if (!(st.stx_mask & STATX_BTIME)) {
		watcher_snapshot_free(s);
		skip();
	}
	assert_int_equal(unlink("old"), 0);
	for (i = 0; i < 64; i++) {
		struct stat now;

		snprintf(name, sizeof name, "new%d", i);
		put(name, "x");
		assert_int_equal(stat(name, &now), 0);
		if (now.st_ino == st.stx_ino)
			break;
	}
	since(s);
	assert_memory_equal(changes, "deleted old, created new0", strlen("deleted old, created new0"));
	assert_null(strstr(changes, "moved"));
}

static void test_hard_links(void **state)
{
	watcher_snapshot *s;

	(void)state;
	put("a", "x");
	assert_int_equal(link("a", "b"), 0);
	s = take();
	assert_int_equal(unlink("a"), 0);
	assert_string_equal(since(s), "deleted a, attrib b");
}

static int stop(const watcher_event *e, void *arg)
{
	(void)e;
	return ++*(int *)arg == 2 ? -42 : 0;
}

static void test_stopped(void **state)
{
	watcher_snapshot *s;
	int n = 0;

	(void)state;
	put("a", "");
	put("b", "");
	s = take();
	assert_int_equal(watcher_snapshot_diff(NULL, s, 0, stop, &n), -42);
	assert_int_equal(n, 2);
	watcher_snapshot_free(s);
}

struct tally {
	int created, deleted, moved, other;
};

static int count(const watcher_event *e, void *arg)
{
	struct tally *t = arg;

	++*(e->kind == WATCHER_CREATED ? &t->created :
	    e->kind == WATCHER_DELETED ? &t->deleted :
	    e->kind == WATCHER_MOVED   ? &t->moved :
					 &t->other);
	return 0;
}

/* A chain of renames longer than is followed is cut into a few, not into single files. */
static void test_long_chain(void **state)
{
	watcher_snapshot *s, *now;
	char a[16], b[16];
	struct tally t = { 0 };
	int n = 2500;

	(void)state;
	for (int i = 0; i < n; i++) {
		snprintf(a, sizeof a, "f%05d", i);
		put(a, "");
	}
	s = take();
	for (int i = n; i-- > 0;) {
		snprintf(a, sizeof a, "f%05d", i);
		snprintf(b, sizeof b, "f%05d", i + 1);
		assert_int_equal(rename(a, b), 0);
	}
	now = take();
	assert_int_equal(watcher_snapshot_diff(s, now, 0, count, &t), 0);
	assert_int_equal(t.moved, n - 2);
	assert_int_equal(t.deleted, 2);
	assert_int_equal(t.created, 2);
	assert_int_equal(t.other, 0);
	watcher_snapshot_free(s);
	watcher_snapshot_free(now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing),
		TEST(test_created_and_deleted),
		TEST(test_everything_is_created),
		TEST(test_modified_and_attrib),
		TEST(test_directory_modified),
		TEST(test_moved),
		TEST(test_moved_and_changed),
		TEST(test_moved_over),
		TEST(test_swapped),
		TEST(test_turned_inside_out),
		TEST(test_moved_out_of_what_ended),
		TEST(test_moved_out_of_what_moved),
		TEST(test_replaced),
		TEST(test_other_type),
		TEST(test_inode_used_again),
		TEST(test_hard_links),
		TEST(test_stopped),
		TEST(test_long_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
