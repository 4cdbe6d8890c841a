/*
 * Watching and taking snapshots of a tree that is nowhere but in this program's memory, through
 * the user's own stat and list.
 */
#include "memory_tree.h"

/* ---- a watcher of it ---- */

struct run {
	struct memory m;
	struct told told;
	watcher *w;
	watcher_watch *watch;
	int problems, not_synthetic;
	char problem[500];
};

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	struct run *r = arg;

	(void)w;
	(void)path;
	r->problems++;
	strcpy(r->problem, err->message);
}

static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct run *r = arg;

	(void)watch;
	r->not_synthetic += !e->synthetic;
	tell_event(&r->told, e);
}

static struct run *begin(void)
{
	struct run *r = calloc(1, sizeof *r);
	const watcher_vfs vfs = { .size = sizeof vfs,
				  .stat = memory_stat,
				  .list = memory_list,
				  .arg = &r->m };
	watcher_error err;

	if (watcher_open(&r->w,
			 WATCHER(.backend = WATCHER_BACKEND_POLL, .poll_interval_ms = 5, .vfs = &vfs,
				 .on_problem = on_problem, .arg = r),
			 &err) < 0)
		fail_msg("%s", err.message);
	return r;
}

static void end(struct run *r)
{
	assert_int_equal(r->not_synthetic, 0);
	watcher_close(r->w);
	free(r);
}

static void watch(struct run *r, const char *root)
{
	watcher_error err;

	if (watcher_add(r->w, root,
			WATCH(.on_any = on_any, .arg = r, .watch = &r->watch,
			      .kinds = WATCHER_CHANGES | WATCHER_ATTRIB),
			&err) < 0)
		fail_msg("%s", err.message);
}

#define assert_told(r, what)                                \
	do {                                                \
		sync_watcher((r)->w);                       \
		assert_string_equal(told(&(r)->told), what); \
	} while (0)

/* ---- events ---- */

static void test_files(void **state)
{
	struct run *r = begin();

	(void)state;
	make_dir(&r->m, "box");
	make_file(&r->m, "box/old");
	watch(r, "box");
	write_to(&r->m, "box/old"); /* at once: no round has been made yet */
	assert_told(r, "modified box/old");
	make_file(&r->m, "box/new");
	assert_told(r, "created box/new");
	write_to(&r->m, "box/new");
	assert_told(r, "modified box/new");
	set_mode(&r->m, "box/new", 0600);
	assert_told(r, "attrib box/new");
	move(&r->m, "box/new", "box/moved");
	assert_told(r, "moved box/new box/moved");
	write_to(&r->m, "box/moved");
	assert_told(r, "modified box/moved");
	take_away(&r->m, "box/moved");
	assert_told(r, "deleted box/moved");
	move(&r->m, "box/old", "elsewhere");
	assert_told(r, "deleted box/old");
	assert_told(r, "");
	assert_int_equal(r->problems, 0);
	end(r);
}

static void test_directories(void **state)
{
	struct run *r = begin();

	(void)state;
	make_dir(&r->m, "box");
	make_dir(&r->m, "box/a");
	make_dir(&r->m, "box/a/b");
	make_file(&r->m, "box/a/b/f");
	watch(r, "box");
	write_to(&r->m, "box/a/b/f");
	assert_told(r, "modified box/a/b/f");
	make_dir(&r->m, "box/n");
	make_dir(&r->m, "box/n/o");
	make_file(&r->m, "box/n/o/p");
	assert_told(r, "created box/n, created box/n/o, created box/n/o/p");
	write_to(&r->m, "box/n/o/p");
	assert_told(r, "modified box/n/o/p");
	move(&r->m, "box/a", "box/n/a");
	assert_told(r, "moved box/a box/n/a, moved box/a/b box/n/a/b, "
		       "moved box/a/b/f box/n/a/b/f");
	write_to(&r->m, "box/n/a/b/f");
	assert_told(r, "modified box/n/a/b/f");
	move(&r->m, "box/n/a/b", "outside");
	assert_told(r, "deleted box/n/a/b/f, deleted box/n/a/b");
	move(&r->m, "outside", "box/back");
	assert_told(r, "created box/back, created box/back/f");
	take_away(&r->m, "box/n");
	assert_told(r, "deleted box/n/o/p, deleted box/n/o, deleted box/n/a, deleted box/n");
	end(r);
}

static void test_a_file_replaced_in_its_place(void **state)
{
	struct run *r = begin();

	(void)state;
	make_dir(&r->m, "box");
	make_file(&r->m, "box/f");
	make_dir(&r->m, "box/d");
	watch(r, "box");
	make_file(&r->m, "box/f.tmp");
	move(&r->m, "box/f.tmp", "box/f");
	assert_told(r, "modified box/f");
	take_away(&r->m, "box/d");
	make_file(&r->m, "box/d");
	assert_told(r, "deleted box/d, created box/d");
	end(r);
}

/* Times go backwards, stand still, are before 1970: only being another one counts. */
static void test_its_clock_is_its_own(void **state)
{
	static const int64_t times[] = { INT64_C(4102444800000000000), 1, -5, 1 };
	struct run *r = begin();

	(void)state;
	make_dir(&r->m, "box");
	make_file(&r->m, "box/f");
	watch(r, "box");
	for (size_t i = 0; i < COUNT(times); i++) {
		r->m.clock = times[i];
		write_to(&r->m, "box/f");
		assert_told(r, "modified box/f");
	}
	thing_at(&r->m, "box")->st.mtime_ns = thing_at(&r->m, "box")->st.ctime_ns = 0;
	make_file(&r->m, "box/g");
	thing_at(&r->m, "box")->st.mtime_ns = thing_at(&r->m, "box")->st.ctime_ns = 0;
	assert_told(r, "created box/g");
	make_file(&r->m, "box/h");
	thing_at(&r->m, "box")->st.mtime_ns = thing_at(&r->m, "box")->st.ctime_ns = 0;
	assert_told(r, "created box/h");
	assert_told(r, "");
	end(r);
}

static void test_without_inodes_moves_are_two_events(void **state)
{
	struct run *r = begin();

	(void)state;
	r->m.no_inodes = true;
	make_dir(&r->m, "box");
	make_dir(&r->m, "box/d");
	make_file(&r->m, "box/d/f");
	make_file(&r->m, "box/g");
	watch(r, "box");
	write_to(&r->m, "box/d/f");
	assert_told(r, "modified box/d/f");
	move(&r->m, "box/g", "box/h");
	assert_told(r, "created box/h, deleted box/g");
	move(&r->m, "box/d", "box/e");
	assert_told(r, "created box/e, created box/e/f, deleted box/d/f, deleted box/d");
	write_to(&r->m, "box/e/f");
	assert_told(r, "modified box/e/f");
	end(r);
}

/* A stat that follows links shows a directory in itself: it is entered once. */
static void test_a_directory_in_itself(void **state)
{
	struct run *r = begin();

	(void)state;
	make_dir(&r->m, "box");
	make_dir(&r->m, "box/d");
	make_dir(&r->m, "box/d/up");
	thing_at(&r->m, "box/d/up")->st.inode = thing_at(&r->m, "box")->st.inode;
	watch(r, "box");
	make_file(&r->m, "box/d/f");
	assert_told(r, "created box/d/f");
	assert_null(strstr(r->problem, "/up"));
	end(r);
}

/* ---- roots ---- */

static void test_a_root_that_comes_and_goes(void **state)
{
	struct run *r = begin();

	(void)state;
	watch(r, "host:/box");
	make_dir(&r->m, "host:/box");
	make_file(&r->m, "host:/box/f");
	assert_told(r, "created host:/box, created host:/box/f");
	assert_string_equal(r->problem, "host:/box: there now");
	write_to(&r->m, "host:/box/f");
	assert_told(r, "modified host:/box/f");
	take_away(&r->m, "host:/box");
	assert_told(r, "deleted host:/box/f, deleted host:/box");
	assert_string_equal(r->problem, "host:/box: gone; waiting for it to come back");
	make_dir(&r->m, "host:/box");
	assert_told(r, "created host:/box");
	assert_string_equal(r->problem, "host:/box: back");
	make_file(&r->m, "host:/box/g");
	assert_told(r, "created host:/box/g");
	end(r);
}

static void test_a_single_file(void **state)
{
	struct run *r = begin();

	(void)state;
	make_dir(&r->m, ".");
	make_dir(&r->m, "box");
	make_file(&r->m, "box/f");
	make_file(&r->m, "box/other");
	watch(r, "box/f");
	write_to(&r->m, "box/other");
	write_to(&r->m, "box/f");
	assert_told(r, "modified box/f");
	take_away(&r->m, "box/f");
	assert_told(r, "deleted box/f");
	make_file(&r->m, "box/f");
	assert_told(r, "created box/f");
	write_to(&r->m, "box/f");
	assert_told(r, "modified box/f");
	end(r);
}

static void test_filters_and_depth(void **state)
{
	struct run *r = begin();
	watcher_filter *f;

	(void)state;
	make_dir(&r->m, "box");
	make_dir(&r->m, "box/skip");
	make_dir(&r->m, "box/d");
	put("box", "a file of this name is on the disk");
	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE | WATCHER_FILTER_DOT_IGNORE),
			 0);
	assert_int_equal(watcher_filter_add(f, WATCHER_RULE_IGNORE, "skip/", NULL, NULL), 0);
	assert_int_equal(watcher_filter_add(f, WATCHER_RULE_PATTERN, "*.c", NULL, NULL), 0);
	assert_int_equal(watcher_add(r->w, "box",
				     WATCH(.on_any = on_any, .arg = r, .filter = f, .depth = 2),
				     NULL),
			 0);
	watcher_filter_free(f);
	r->m.lists = 0;
	make_file(&r->m, "box/.gitignore");
	make_file(&r->m, "box/a.c");
	make_file(&r->m, "box/a.h");
	make_file(&r->m, "box/skip/b.c");
	make_file(&r->m, "box/d/c.c");
	make_dir(&r->m, "box/d/e");
	make_file(&r->m, "box/d/e/too-deep.c");
	assert_told(r, "created box/a.c, created box/d/c.c");
	end(r);
}

/* ---- trouble ---- */

static void test_errors_of_the_root_are_the_callers(void **state)
{
	struct run *r = begin();
	watcher_error err;

	(void)state;
	make_dir(&r->m, "box");
	r->m.lost = "box";
	r->m.code = UV_ETIMEDOUT;
	assert_int_equal(watcher_add(r->w, "box", NULL, &err), UV_ETIMEDOUT);
	assert_string_equal(err.message, "box: cannot be watched: connection timed out");
	assert_int_equal(watcher_add(r->w, "", NULL, &err), UV_EINVAL);
	r->m.lost = NULL;
	watch(r, "box");
	make_file(&r->m, "box/f");
	assert_told(r, "created box/f");
	end(r);
}

static void test_what_may_not_be_read(void **state)
{
	struct run *r = begin();

	(void)state;
	make_dir(&r->m, "box");
	make_dir(&r->m, "box/d");
	make_file(&r->m, "box/d/f");
	r->m.broken = "box/d";
	r->m.code = UV_EACCES;
	watch(r, "box");
	make_file(&r->m, "box/g");
	assert_told(r, "created box/g");
	assert_int_equal(r->problems, 1);
	assert_string_equal(r->problem, "box/d: cannot be read: not watched");
	end(r);
}

/* A server that does not answer for a while loses nothing, and is complained about once. */
static void test_errors_that_pass(void **state)
{
	struct run *r = begin();
	const char *text;

	(void)state;
	make_dir(&r->m, "box");
	make_dir(&r->m, "box/d");
	make_file(&r->m, "box/d/f");
	watch(r, "box");
	r->m.code = UV_ETIMEDOUT;
	for (int i = 0; i < 2; i++) {
		assert_told(r, "");
		r->problems = 0;
		*(i ? &r->m.lost : &r->m.broken) = "box/d";
		for (int n = 0; n < 5; n++)
			assert_told(r, "");
		assert_int_equal(r->problems, 1 + i);
		assert_non_null(strstr(r->problem, ": connection timed out"));
		write_to(&r->m, "box/d/f");
		make_file(&r->m, i ? "box/d/h" : "box/d/g");
		assert_told(r, "");
		r->m.broken = r->m.lost = NULL;
		/* Which of the two looks ends first is the loop's business. */
		sync_watcher(r->w);
		text = told(&r->told);
		if (strncmp(text, "modified", 8) == 0)
			assert_string_equal(text, i ? "modified box/d/f, created box/d/h" :
						      "modified box/d/f, created box/d/g");
		else
			assert_string_equal(text, i ? "created box/d/h, modified box/d/f" :
						      "created box/d/g, modified box/d/f");
	}
	end(r);
}

static void test_names_that_are_none(void **state)
{
	static char longest[300];
	static const char *const fine[] = { ".", "..", longest };
	static const char *const bad[] = { "a/b", "" };
	struct run *r = begin();
	watcher_error err;

	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	make_dir(&r->m, "box");
	make_file(&r->m, "box/f");
	for (size_t i = 0; i < COUNT(fine); i++) {
		r->m.bad_name = fine[i];
		watch(r, "box");
		write_to(&r->m, "box/f");
		assert_told(r, "modified box/f");
		watcher_remove(r->watch);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		watcher_snapshot *s = NULL;
		const watcher_vfs vfs = { sizeof vfs, memory_stat, memory_list, &r->m };

		r->m.bad_name = bad[i];
		assert_int_equal(watcher_snapshot_take(&s, LIST("box"), WATCH(.vfs = &vfs), &err),
				 UV_EINVAL);
		assert_string_equal(err.message, "box: cannot be read: invalid argument");
		assert_null(s);
	}
	end(r);
}

static void test_options(void **state)
{
	const watcher_vfs no_list = { .size = sizeof no_list, .stat = memory_stat },
			  no_stat = { .size = sizeof no_stat, .list = memory_list },
			  no_size = { .stat = memory_stat, .list = memory_list };
	struct {
		watcher_vfs vfs;
		char tail[8];
	} larger = { { sizeof larger, memory_stat, memory_list, NULL }, { 1 } };
	const struct {
		const watcher_vfs *vfs;
		int code;
		const char *message;
	} bad[] = {
		{ &no_list, UV_EINVAL, "vfs: list is missing" },
		{ &no_stat, UV_EINVAL, "vfs: stat is missing" },
		{ &no_size, UV_EINVAL, "vfs: size is not set" },
		{ &larger.vfs, UV_E2BIG, "vfs: made for a newer version of the library" },
	};
	watcher_snapshot *s = NULL;
	watcher *w = NULL;
	watcher_error err;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(watcher_open(&w, WATCHER(.backend = WATCHER_BACKEND_POLL,
							  .vfs = bad[i].vfs), &err),
				 bad[i].code);
		assert_string_equal(err.message, bad[i].message);
		assert_int_equal(watcher_snapshot_take(&s, LIST("."), WATCH(.vfs = bad[i].vfs), &err),
				 bad[i].code);
		assert_string_equal(err.message, bad[i].message);
	}
	assert_null(w);
	assert_null(s);
	assert_int_equal(watcher_open(&w, NULL, NULL), 0);
	assert_int_equal(watcher_add(w, ".", WATCH(.vfs = &no_list), &err), UV_EINVAL);
	assert_string_equal(err.message, "watch options: vfs is given to watcher_open()");
	watcher_close(w);
}

/* In the middle of a round, which goes over eight directories in a turn of the loop. */
static void test_removed_and_closed_within_a_round(void **state)
{
	char path[32];

	(void)state;
	for (int turns = 1; turns < 12; turns++) {
		struct run *r = begin();

		make_dir(&r->m, "box");
		for (int i = 0; i < 40; i++) {
			snprintf(path, sizeof path, "box/d%d", i);
			make_dir(&r->m, path);
		}
		watch(r, "box");
		for (int i = 0; i < turns; i++)
			uv_run(watcher_loop(r->w), UV_RUN_ONCE);
		watcher_remove(r->watch);
		if (turns % 2)
			sync_watcher(r->w);
		end(r);
	}
}

/* What is asked for once, not over and over: a stat for each thing a round, a list for each
 * directory. */
static void test_a_round_asks_once(void **state)
{
	struct run *r = begin();
	char path[32];

	(void)state;
	make_dir(&r->m, "box");
	make_dir(&r->m, "box/d");
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof path, "box/d/f%d", i);
		make_file(&r->m, path);
	}
	watch(r, "box");
	assert_told(r, "");
	r->m.stats = r->m.lists = 0;
	assert_told(r, "");
	assert_true(r->m.lists > 0 && r->m.lists % 2 == 0);
	/* 101 entries, and each of the two directories when it is opened. */
	assert_int_equal(r->m.stats, r->m.lists / 2 * 103);
	end(r);
}

/* ---- snapshots ---- */

static int on_difference(const watcher_event *e, void *arg)
{
	tell_event(arg, e);
	return 0;
}

static void test_snapshots(void **state)
{
	static struct memory m;
	static struct told told_;
	const watcher_vfs vfs = { sizeof vfs, memory_stat, memory_list, &m };
	watcher_snapshot *old, *now, *loaded;
	watcher_snapshot_entry e;

	(void)state;
	m = (struct memory){ .inode = 100 };
	make_dir(&m, "sftp://h/box");
	make_dir(&m, "sftp://h/box/d");
	make_file(&m, "sftp://h/box/d/f");
	make_file(&m, "sftp://h/box/gone");
	make(&m, "sftp://h/box/link", WATCHER_TYPE_SYMLINK);
	thing_at(&m, "sftp://h/box/d/f")->st.size = 12;
	assert_int_equal(watcher_snapshot_take(&old, LIST("sftp://h/box", "none"),
					       WATCH(.vfs = &vfs, .follow_symlinks = 1,
						     .ignores = LIST("*.o")),
					       NULL),
			 0);
	assert_int_equal(watcher_snapshot_count(old, WATCHER_TYPE_UNKNOWN), 5);
	assert_int_equal(watcher_snapshot_count(old, WATCHER_TYPE_SYMLINK), 1);
	assert_int_equal(watcher_snapshot_find(old, "sftp://h/box/d/f", &e), 0);
	assert_int_equal(e.inode, 103);
	assert_int_equal(e.dev, 7);
	assert_int_equal(e.size, 12);
	assert_int_equal(e.mode, S_IFREG | 0640);
	assert_true(e.mtime_ns == thing_at(&m, "sftp://h/box/d/f")->st.mtime_ns);
	assert_int_equal(watcher_snapshot_save(old, "saved", NULL), 0);
	assert_int_equal(watcher_snapshot_load(&loaded, "saved", NULL), 0);
	move(&m, "sftp://h/box/d", "sftp://h/box/e");
	write_to(&m, "sftp://h/box/e/f");
	take_away(&m, "sftp://h/box/gone");
	make_file(&m, "sftp://h/box/x.o");
	make_file(&m, "sftp://h/box/new");
	assert_int_equal(watcher_snapshot_take(&now, LIST("sftp://h/box", "none"),
					       WATCH(.vfs = &vfs, .ignores = LIST("*.o")), NULL),
			 0);
	assert_int_equal(watcher_snapshot_diff(loaded, now, 0, on_difference, &told_), 0);
	assert_string_equal(told(&told_),
			    "deleted sftp://h/box/gone, moved sftp://h/box/d sftp://h/box/e, "
			    "moved sftp://h/box/d/f sftp://h/box/e/f, "
			    "created sftp://h/box/new, modified sftp://h/box/e/f");
	watcher_snapshot_free(old);
	watcher_snapshot_free(now);
	watcher_snapshot_free(loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files),
		TEST(test_directories),
		TEST(test_a_file_replaced_in_its_place),
		TEST(test_its_clock_is_its_own),
		TEST(test_without_inodes_moves_are_two_events),
		TEST(test_a_directory_in_itself),
		TEST(test_a_root_that_comes_and_goes),
		TEST(test_a_single_file),
		TEST(test_filters_and_depth),
		TEST(test_errors_of_the_root_are_the_callers),
		TEST(test_what_may_not_be_read),
		TEST(test_errors_that_pass),
		TEST(test_names_that_are_none),
		TEST(test_options),
		TEST(test_removed_and_closed_within_a_round),
		TEST(test_a_round_asks_once),
		TEST(test_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
