/* Snapshots of real trees: what they hold. Files of snapshots are test_snapshot_file.c. */
#include "snapshot_test.h"

static int join(const watcher_snapshot_entry *e, void *arg)
{
	char *text = arg;

	assert_int_equal(e->path_len, strlen(e->path));
	sprintf(text + strlen(text), "%s%s%s", text[0] ? " " : "", e->path,
		e->type == WATCHER_TYPE_DIR ? "/" : e->type == WATCHER_TYPE_SYMLINK ? "@" : "");
	return 0;
}

static const char *all(watcher_snapshot *s)
{
	static char text[4096];

	text[0] = '\0';
	assert_int_equal(watcher_snapshot_each(s, NULL, join, text), 0);
	watcher_snapshot_free(s);
	return text;
}

static int stop_at_b(const watcher_snapshot_entry *e, void *arg)
{
	++*(int *)arg;
	return strcmp(e->path, "src/b") == 0 ? 7 : 0;
}

static void test_lookups(void **state)
{
	watcher_snapshot *s;
	watcher_snapshot_entry e;
	char text[64] = "", path[8];
	size_t size = 2;
	struct stat st;
	int n = 0;

	(void)state;
	make("src");
	make("src/b");
	put("src/b/c", "123");
	put("src/b.c", "");
	put("src/a", "");
	s = take_of(LIST("src/"), NULL);
	assert_int_equal(watcher_snapshot_each(s, NULL, join, text), 0);
	assert_string_equal(text, "src/ src/a src/b/ src/b/c src/b.c");
	text[0] = '\0';
	assert_int_equal(watcher_snapshot_each(s, "src/b", join, text), 0);
	assert_string_equal(text, "src/b/ src/b/c");
	assert_int_equal(watcher_snapshot_each(s, NULL, stop_at_b, &n), 7);
	assert_int_equal(n, 3);
	assert_int_equal(watcher_snapshot_each(s, "src/x", join, text), UV_ENOENT);
	assert_int_equal(watcher_snapshot_count(s, 0), 5);
	assert_int_equal(watcher_snapshot_count(s, WATCHER_TYPE_FILE), 3);
	assert_int_equal(watcher_snapshot_count(s, WATCHER_TYPE_DIR), 2);
	assert_string_equal(watcher_snapshot_root(s, 0), "src");
	assert_null(watcher_snapshot_root(s, 1));
	assert_int_equal(stat("src/b/c", &st), 0);
	assert_int_equal(watcher_snapshot_find(s, "src/b/c", &e), 0);
	assert_string_equal(e.path, "src/b/c");
	assert_string_equal(e.root, "src");
	assert_int_equal(e.size, 3);
	assert_int_equal(e.inode, st.st_ino);
	assert_int_equal(e.dev, st.st_dev);
	assert_int_equal(e.mode, st.st_mode);
	assert_int_equal(e.uid, getuid());
	assert_int_equal(e.gid, st.st_gid);
	assert_int_equal(e.nlink, 1);
	assert_int_equal(e.type, WATCHER_TYPE_FILE);
	assert_true(e.mtime_ns == st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec);
	assert_true(e.ctime_ns == st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec);
	assert_int_equal(watcher_snapshot_find(s, "src/b/d", &e), UV_ENOENT);
	assert_int_equal(watcher_snapshot_find(s, "b/c", &e), UV_ENOENT);
	assert_int_equal(watcher_snapshot_find(s, "srcs", &e), UV_ENOENT);
	assert_int_equal(watcher_snapshot_path_of(s, st.st_dev, st.st_ino, path, &size), UV_ENOBUFS);
	assert_int_equal(size, 8);
	assert_int_equal(watcher_snapshot_path_of(s, st.st_dev, st.st_ino, path, &size), 0);
	assert_string_equal(path, "src/b/c");
	assert_int_equal(size, 7);
	assert_int_equal(watcher_snapshot_path_of(s, 0, 0, path, &size), UV_ENOENT);
	assert_true(watcher_snapshot_time(s) / 1000000000 >= time(NULL) - 60);
	watcher_snapshot_free(s);
}

static void test_filters(void **state)
{
	watcher_snapshot *s;

	(void)state;
	make("src");
	put("src/a.c", "");
	put("src/a.o", "");
	make("skip");
	put("skip/b.c", "");
	assert_string_equal(all(take_of(LIST("."), WATCH(.patterns = LIST("*.c"),
							 .ignores = LIST("skip")))),
			    "src/a.c");
	assert_string_equal(all(take_of(LIST("."), WATCH(.depth = 1))), "./ skip/ src/");
	assert_string_equal(all(take_of(LIST("."), WATCH(.extensions = LIST("O"),
							 .flags = WATCHER_IGNORE_CASE))),
			    "src/a.o");
	s = take_of(LIST("."), WATCH(.patterns = LIST("*.c")));
	assert_int_equal(rename("src", "dst"), 0);
	put("src", "");
	assert_string_equal(between(s, take_of(LIST("."), WATCH(.patterns = LIST("*.c"))), 0),
			    "moved src/a.c dst/a.c");
}

static void test_ignore_files(void **state)
{
	watcher_filter *f;

	(void)state;
	make("d");
	put("d/.gitignore", "*.o\nbuild/\n");
	put("d/a.o", "");
	put("d/a.c", "");
	make("d/build");
	put("d/build/x.c", "");
	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE), 0);
	assert_string_equal(all(take_of(LIST("d"), WATCH(.filter = f))), "d/ d/.gitignore d/a.c");
	watcher_filter_free(f);
}

static void test_links(void **state)
{
	(void)state;
	make("d");
	put("d/f", "");
	assert_int_equal(symlink("d", "a"), 0);
	assert_int_equal(symlink("..", "d/up"), 0);
	assert_int_equal(symlink("nowhere", "z"), 0);
	make("other");
	put("other/g", "");
	assert_string_equal(all(take_of(LIST("d"), NULL)), "d/ d/f d/up@");
	assert_string_equal(all(take_of(LIST("d"), WATCH(.follow_symlinks = 1))),
			    "d/ d/f d/up@ d/up/a@ d/up/other/ d/up/other/g d/up/z@");
	assert_string_equal(all(take_of(LIST("a"), NULL)), "a/ a/f a/up@");
}

static void test_roots(void **state)
{
	watcher_snapshot *s;

	(void)state;
	make("d");
	put("d/f", "");
	make("d/sub");
	put("d/sub/g", "");
	put("single", "");
	s = take_of(LIST("d", "./d", "d/", "d/sub", "single", "none", "d/f/x"), NULL);
	assert_string_equal(all(s), "d/ d/f d/sub/ d/sub/g single");
	s = take_of(LIST("single", "none"), NULL);
	assert_int_equal(rename("single", "none"), 0);
	assert_string_equal(between(s, take_of(LIST("single", "none"), NULL), 0),
			    "moved single none");
	s = take_of(LIST("d", "none"), NULL);
	assert_int_equal(rename("d/f", "d/sub/f"), 0);
	assert_int_equal(unlink("none"), 0);
	assert_string_equal(between(s, take_of(LIST("d", "none"), NULL), 0),
			    "deleted none, moved d/f d/sub/f");
}

static void test_root_of_everything(void **state)
{
	watcher_snapshot *s = take_of(LIST("/"), WATCH(.depth = 1));
	watcher_snapshot_entry e;

	(void)state;
	assert_int_equal(watcher_snapshot_find(s, "/tmp", &e), 0);
	assert_int_equal(e.type, WATCHER_TYPE_DIR);
	assert_string_equal(e.root, "/");
	assert_int_equal(watcher_snapshot_find(s, "/", &e), 0);
	watcher_snapshot_free(s);
}

/* A directory that cannot be read is not taken for an empty one. */
static void test_unreadable(void **state)
{
	watcher_snapshot *s, *now = NULL;
	watcher_error err;
	int r, root;

	(void)state;
	assert_int_equal(chmod(".", 0777), 0);
	make("d");
	put("d/f", "");
	make("d/e");
	s = take();
	assert_int_equal(chmod("d", 0), 0);
	if (getuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	r = watcher_snapshot_take(&now, LIST("."), NULL, &err);
	root = watcher_snapshot_take(&now, LIST("d"), NULL, &err);

	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, 0);
	assert_int_equal(root, UV_EACCES);
	assert_string_equal(err.message, "d: cannot be read: permission denied");
	assert_string_equal(between(s, now, 0), "attrib d");
}

/* Directories that are exchanged once all names beside `at` have been looked up. */
struct exchange {
	const char *at, *one, *other;
};

static int exchange_at(const char *path, int type, unsigned kind, void *arg)
{
	const struct exchange *x = arg;

	(void)type;
	(void)kind;
	if (strcmp(path, x->at) == 0) {
		assert_int_equal(rename(x->one, "aside"), 0);
		assert_int_equal(rename(x->other, x->one), 0);
		assert_int_equal(rename("aside", x->other), 0);
	}
	return 1;
}

static watcher_snapshot *take_during(struct exchange *x, const char *const *roots, int follow)
{
	watcher_snapshot *s;
	watcher_filter *f;

	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_predicate(f, exchange_at, x), 0);
	s = take_of(roots, WATCH(.filter = f, .follow_symlinks = follow));
	watcher_filter_free(f);
	return s;
}

/* A directory is told by the identity of the one whose content was read. */
static void test_exchanged_while_read(void **state)
{
	struct exchange x = { "z", "t/a", "t/b" };
	watcher_snapshot *s;

	(void)state;
	make("t");
	make("t/a");
	make("t/b");
	put("t/a/in_a", "");
	put("t/b/in_b", "");
	put("t/z", "");
	for (int follow = 0; follow < 2; follow++) {
		s = take_during(&x, LIST("t"), follow);
		assert_string_equal(between(s, take_of(LIST("t"), NULL), 0), "");
	}
}

/* What is a root has its place there, and only there. */
static void test_exchanged_with_a_root(void **state)
{
	struct exchange x = { "z", "r/d", "s" };

	(void)state;
	make("r");
	make("r/d");
	make("s");
	put("r/d/in_d", "");
	put("r/z", "");
	put("s/in_s", "");
	assert_string_equal(all(take_during(&x, LIST("r", "s"), 0)), "r/ r/d/ r/z s/ s/in_d");
}

static void test_bad_input(void **state)
{
	watcher_snapshot *s = NULL, *good = take();
	watcher_error err;
	struct {
		const char *const *roots;
		const watch_options *options;
		int code;
		const char *message;
	} bad[] = {
		{ NULL, NULL, UV_EINVAL, "snapshot: no path is given" },
		{ (const char *const[]){ NULL }, NULL, UV_EINVAL, "snapshot: no path is given" },
		{ LIST(""), NULL, UV_EINVAL, "snapshot: an empty path" },
		{ LIST("."), WATCH(.depth = -1), UV_EINVAL, "watch options: depth is negative" },
		{ LIST("."), &(const watch_options){ 0 }, UV_EINVAL, "watch options: size is not set" },
		{ LIST("."), WATCH(.patterns = LIST("a[")), UV_EINVAL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int r = watcher_snapshot_take(&s, bad[i].roots, bad[i].options, &err);

		assert_int_equal(r, bad[i].code);
		assert_int_equal(err.code, bad[i].code);
		if (bad[i].message)
			assert_string_equal(err.message, bad[i].message);
		assert_null(s);
	}
	assert_int_equal(watcher_snapshot_diff(good, NULL, 1 << 20, tell, NULL), UV_EINVAL);
	assert_int_equal(watcher_snapshot_diff(good, NULL, 0, NULL, NULL), UV_EINVAL);
	watcher_snapshot_free(good);
	watcher_snapshot_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lookups),
		TEST(test_filters),
		TEST(test_ignore_files),
		TEST(test_links),
		TEST(test_roots),
		TEST(test_root_of_everything),
		TEST(test_unreadable),
		TEST(test_exchanged_while_read),
		TEST(test_exchanged_with_a_root),
		TEST(test_bad_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
