/*
 * Snapshots of real trees: what they hold, and that the events of a comparison lead from one
 * to the other, step by step. Files of snapshots are test_snapshot_file.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "whendo/watcher.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char top[64], cwd[PATH_MAX];

static int unlink_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (what == FTW_DNR || what == FTW_D)
		chmod(path, 0700);
	return remove(path);
}

/* Every test runs in an empty directory of its own. */
static int enter(void **state)
{
	(void)state;
	strcpy(top, "/tmp/whendo-snapshot-XXXXXX");
	return !getcwd(cwd, sizeof cwd) || !mkdtemp(top) || chdir(top) ? -1 : 0;
}

static int leave(void **state)
{
	(void)state;
	return chdir(cwd) || nftw(top, unlink_one, 16, FTW_DEPTH | FTW_PHYS) ? -1 : 0;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void make(const char *dir)
{
	assert_int_equal(mkdir(dir, 0755), 0);
}

static watcher_snapshot *take_of(const char *const *roots, const watch_options *options)
{
	watcher_snapshot *s = NULL;
	watcher_error err = { 0 };
	int r = watcher_snapshot_take(&s, roots, options, &err);

	if (r < 0)
		print_error("%s\n", err.message);
	assert_int_equal(r, 0);
	return s;
}

static watcher_snapshot *take(void)
{
	return take_of(LIST("."), NULL);
}

/* ---- events as text ---- */

static char told[8192];

static int tell(const watcher_event *e, void *arg)
{
	size_t len = strlen(told);

	(void)arg;
	assert_int_equal(e->path_len, strlen(e->path));
	assert_non_null(e->root);
	snprintf(told + len, sizeof told - len, "%s%s %s%s%s%s", len ? ", " : "",
		 watcher_kind_name(e->kind), e->path, e->dest ? " " : "", e->dest ? e->dest : "",
		 e->synthetic ? " (follows)" : "");
	return 0;
}

/* The events between two snapshots, which are ended. */
static const char *between(watcher_snapshot *old, watcher_snapshot *new_, unsigned flags)
{
	told[0] = '\0';
	assert_int_equal(watcher_snapshot_diff(old, new_, flags, tell, NULL), 0);
	watcher_snapshot_free(old);
	watcher_snapshot_free(new_);
	return told;
}

static const char *since(watcher_snapshot *old)
{
	return between(old, take(), 0);
}

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
	assert_int_equal(nftw("d", unlink_one, 16, FTW_DEPTH | FTW_PHYS), 0);
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
	told[0] = '\0';
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

/* What leaves a directory that moves is told by its old path, once. */
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
	assert_memory_equal(told, "deleted old, created new0", strlen("deleted old, created new0"));
	assert_null(strstr(told, "moved"));
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

/* ---- what is in a snapshot ---- */

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

/* ---- any changes: the events lead from one state to the other ---- */

struct model {
	struct item {
		char path[128];
		uint64_t inode;
	} items[4000];
	size_t n;
	const char *bad;
	char event[400];
};

static struct item *find(struct model *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->items[i].path, path) == 0)
			return &m->items[i];
	return NULL;
}

static void add(struct model *m, const char *path, uint64_t inode)
{
	assert_true(m->n < COUNT(m->items));
	snprintf(m->items[m->n].path, sizeof m->items->path, "%s", path);
	m->items[m->n++].inode = inode;
}

static bool is_empty(const struct model *m, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < m->n; i++)
		if (strncmp(m->items[i].path, path, len) == 0 && m->items[i].path[len] == '/')
			return false;
	return true;
}

static bool has_parent(struct model *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	char up[128];

	snprintf(up, sizeof up, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return find(m, up) != NULL;
}

static const char *step(struct model *m, const watcher_event *e)
{
	struct item *at = find(m, e->path);

	switch (e->kind) {
	case WATCHER_CREATED:
		if (at)
			return "created, but it is there";
		if (!has_parent(m, e->path))
			return "created in nothing";
		add(m, e->path, e->inode);
		return NULL;
	case WATCHER_DELETED:
		if (!at)
			return "deleted, but it is not there";
		if (!is_empty(m, e->path))
			return "deleted with something in it";
		*at = m->items[--m->n];
		return NULL;
	case WATCHER_MOVED:
		if (!at)
			return "moved, but it is not there";
		if (find(m, e->dest))
			return "moved to a name that is taken";
		if (!has_parent(m, e->dest))
			return "moved into nothing";
		if (at->inode != e->inode)
			return "moved, but it is another";
		snprintf(at->path, sizeof at->path, "%s", e->dest);
		return NULL;
	default:
		if (!at)
			return "changed, but it is not there";
		at->inode = e->inode; /* perhaps replaced */
		return NULL;
	}
}

static int apply(const watcher_event *e, void *arg)
{
	struct model *m = arg;
	const char *bad = step(m, e);

	if (bad && !m->bad) {
		m->bad = bad;
		snprintf(m->event, sizeof m->event, "%s %s %s", watcher_kind_name(e->kind), e->path,
			 e->dest ? e->dest : "");
	}
	return 0;
}

static void read_model(struct model *m, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	char path[128];

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (strcmp(dir, ".") == 0)
			snprintf(path, sizeof path, "%.100s", e->d_name);
		else
			snprintf(path, sizeof path, "%.60s/%.60s", dir, e->d_name);
		assert_int_equal(lstat(path, &st), 0);
		add(m, path, st.st_ino);
		if (S_ISDIR(st.st_mode))
			read_model(m, path);
	}
	closedir(d);
}

static void read_top(struct model *m)
{
	struct stat st;

	memset(m, 0, sizeof *m);
	assert_int_equal(stat(".", &st), 0);
	add(m, ".", st.st_ino);
	read_model(m, ".");
}

static uint64_t rng;

static unsigned dice(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(rng >> 33) % n;
}

static const char *some_path(char *buf)
{
	static const char *const names[] = { "a", "b", "c", "a.b", "long name" };
	char *at = buf;

	for (int depth = 1 + (int)dice(4); depth--;)
		at += sprintf(at, "%s%s", at == buf ? "" : "/", names[dice(COUNT(names))]);
	return buf;
}

static void append(const char *path)
{
	FILE *f = fopen(path, "a");

	if (f) {
		fputs("more", f);
		fclose(f);
	}
}

static void one_change(void)
{
	char a[128], b[128];

	some_path(a);
	some_path(b);
	switch (dice(12)) {
	case 0:
	case 1:
	case 2:
		mkdir(a, 0755);
		break;
	case 3:
	case 4:
		append(a);
		break;
	case 5:
		unlink(a);
		break;
	case 6:
		nftw(a, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
		break;
	case 7:
	case 8:
		rename(a, b);
		break;
	case 9:
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
		break;
	case 10:
		if (link(a, b) < 0)
			chmod(a, dice(2) ? 0700 : 0755);
		break;
	default:
		if (symlink("a", a) < 0)
			append(a);
	}
}

static void check_round(uint64_t seed, unsigned flags, struct model *before, struct model *after)
{
	watcher_snapshot *old, *now;

	rng = seed;
	for (unsigned i = dice(60); i--;)
		one_change();
	read_top(before);
	old = take();
	for (unsigned i = 1 + dice(dice(2) ? 4 : 40); i--;)
		one_change();
	now = take();
	read_top(after);
	assert_int_equal(watcher_snapshot_diff(old, now, flags, apply, before), 0);
	for (size_t i = 0; i < after->n && !before->bad; i++) {
		const struct item *at = find(before, after->items[i].path);

		if (!at || at->inode != after->items[i].inode) {
			before->bad = at ? "it is another in the end" : "it is there in the end";
			strcpy(before->event, after->items[i].path);
		}
	}
	if (!before->bad && before->n != after->n)
		before->bad = "more than is there in the end";
	if (before->bad)
		fail_msg("seed %" PRIu64 " flags %u: %s: %s", seed, flags, before->event, before->bad);
	watcher_snapshot_free(old);
	watcher_snapshot_free(now);
}

static void test_any_changes(void **state)
{
	const char *from = getenv("SNAPSHOT_SEED"), *rounds = getenv("SNAPSHOT_ROUNDS");
	uint64_t seed = from ? strtoull(from, NULL, 10) : (uint64_t)time(NULL) * 1000;
	struct model *before = malloc(sizeof *before), *after = malloc(sizeof *after);

	(void)state;
	assert_true(before && after);
	for (int i = rounds ? atoi(rounds) : 400; i-- > 0; seed++) {
		make("in");
		assert_int_equal(chdir("in"), 0);
		check_round(seed, i % 2 ? 0 : WATCHER_DIFF_REPLACED, before, after);
		assert_int_equal(chdir(".."), 0);
		assert_int_equal(nftw("in", unlink_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	}
	free(before);
	free(after);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
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
		TEST(test_lookups),
		TEST(test_filters),
		TEST(test_ignore_files),
		TEST(test_links),
		TEST(test_roots),
		TEST(test_root_of_everything),
		TEST(test_unreadable),
		TEST(test_bad_input),
		TEST(test_stopped),
		TEST(test_long_chain),
		TEST(test_any_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
