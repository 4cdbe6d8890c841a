/*
 * The backends that every system has, on Windows: through the public API alone, and with what
 * libuv has for files, so that it can be tried elsewhere, too. A marker file moved in after a
 * change, and waited for, says that everything before it has been told. (A new file might get
 * the inode number of what was deleted before, not with NTFS, but with Wine.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "whendo/watcher.h"

#define DEADLINE_NS (60 * UINT64_C(1000000000))
#define MARKERS	    8
#define MANY	    3000 /* more than fit into what Windows keeps for a watched directory */

#ifdef _WIN32
#define SEPARATOR '\\'
#else
#define SEPARATOR '/'
#endif

static char top[1024], home[1024];
static char *text; /* what was told since the last marker: "created f\n" ... */
static size_t text_len, text_cap;
static char marker[32];
static const char *marker_dir; /* "", or one that all watches have that are waited for */
static bool synced;
static int markers, marked, watches, overflows;
static watcher_watch *first;
static watcher *w;

/* ---- files ---- */

static void remove_all(const char *dir)
{
	uv_fs_t list, r;
	uv_dirent_t e;
	char path[2048];

	assert_true(uv_fs_scandir(NULL, &list, dir, 0, NULL) >= 0);
	while (uv_fs_scandir_next(&list, &e) == 0) {
		snprintf(path, sizeof path, "%s/%s", dir, e.name);
		if (e.type == UV_DIRENT_DIR)
			remove_all(path);
		else
			assert_int_equal(uv_fs_unlink(NULL, &r, path, NULL), 0);
	}
	uv_fs_req_cleanup(&list);
	assert_int_equal(uv_fs_rmdir(NULL, &r, dir, NULL), 0);
}

static void put(const char *path, const char *content)
{
	uv_fs_t r;
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)content, (unsigned)strlen(content));
	int fd = uv_fs_open(NULL, &r, path, UV_FS_O_CREAT | UV_FS_O_WRONLY, 0644, NULL);

	if (fd < 0)
		fail_msg("%s: %s", path, uv_strerror(fd));
	if (buf.len)
		assert_int_equal(uv_fs_write(NULL, &r, fd, &buf, 1, -1, NULL), buf.len);
	assert_int_equal(uv_fs_close(NULL, &r, fd, NULL), 0);
}

static void make(const char *path)
{
	uv_fs_t r;

	assert_int_equal(uv_fs_mkdir(NULL, &r, path, 0755, NULL), 0);
}

static void rename_to(const char *from, const char *to)
{
	uv_fs_t r;

	assert_int_equal(uv_fs_rename(NULL, &r, from, to, NULL), 0);
}

static void delete(const char *path)
{
	uv_fs_t r;

	assert_int_equal(uv_fs_unlink(NULL, &r, path, NULL), 0);
}

/* ---- what is told ---- */

/* `arg`: what the lines of the watch begin with, NULL for the first. */
static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	const char *name = strrchr(e->path, '/');
	char line[2200];
	int n;

	(void)watch;
	if (e->kind == WATCHER_OVERFLOW) {
		overflows++;
		return;
	}
	if (strncmp(name ? name + 1 : e->path, "m.", 2) == 0) {
		marked += e->kind == WATCHER_CREATED && strcmp(e->path, marker) == 0;
		return;
	}
	n = snprintf(line, sizeof line, "%s%s %s%s%s\n", arg ? (const char *)arg : "",
		     watcher_kind_name(e->kind), e->path, e->dest ? " " : "", e->dest ? e->dest : "");
#ifdef _WIN32 /* tells of each step of one write */
	if (text_len >= (size_t)n && memcmp(text + text_len - n, line, (size_t)n) == 0 &&
	    (text_len == (size_t)n || text[text_len - n - 1] == '\n'))
		return;
#endif
	if (text_len + (size_t)n >= text_cap) {
		text_cap = text_cap * 2 + (size_t)n + 1024;
		text = realloc(text, text_cap);
	}
	memcpy(text + text_len, line, (size_t)n + 1);
	text_len += (size_t)n;
}

static int on_difference(const watcher_event *e, void *arg)
{
	on_any(NULL, e, arg);
	return 0;
}

static void wake_up(uv_timer_t *timer)
{
	(void)timer;
}

static void on_sync(watcher *of, int status, void *arg)
{
	(void)of;
	(void)arg;
	synced = status == 0;
}

static void wait_for_marker(void)
{
	uint64_t end = uv_hrtime() + DEADLINE_NS;
	uv_timer_t timer;
	bool asked = false, late = false;
	char from[48];

	snprintf(marker, sizeof marker, "%sm.%d", marker_dir, ++markers);
	snprintf(from, sizeof from, "../markers/m.%d", markers);
	marked = 0;
	synced = false;
	rename_to(from, marker);
	uv_timer_init(watcher_loop(w), &timer);
	uv_timer_start(&timer, wake_up, 100, 100);
	while (!late && (marked < watches || !synced)) {
		if (marked == watches && !asked) { /* of polling it says that this round was a whole one */
			asked = true;
			assert_int_equal(watcher_sync(w, on_sync), 0);
		}
		uv_run(watcher_loop(w), UV_RUN_ONCE);
		late = uv_hrtime() > end;
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	if (late)
		fail_msg("%s was not told; told was: %s", marker, text_len ? text : "nothing");
}

static void check_told(const char *expected)
{
	wait_for_marker();
	assert_string_equal(text_len ? text : "", expected);
	text_len = 0;
}

static bool was_told(const char *line)
{
	const char *at = text_len ? strstr(text, line) : NULL;

	while (at && at != text && at[-1] != '\n')
		at = strstr(at + 1, line);
	return at != NULL;
}

/* Each line, in whatever order. */
static void check_was_told(const char *lines)
{
	char line[200];
	size_t len;

	for (; *lines; lines += len) {
		len = strcspn(lines, "\n") + 1;
		snprintf(line, sizeof line, "%.*s", (int)len, lines);
		if (!was_told(line))
			fail_msg("not told: %stold: %s", line, text_len ? text : "nothing");
	}
}

static int64_t born_ns(const char *path)
{
	uv_fs_t r;
	int64_t ns;

	assert_int_equal(uv_fs_stat(NULL, &r, path, NULL), 0);
	ns = r.statbuf.st_birthtim.tv_sec * INT64_C(1000000000) + r.statbuf.st_birthtim.tv_nsec;
	uv_fs_req_cleanup(&r);
	return ns;
}

static int64_t remove_clock(void)
{
	int64_t ns = born_ns("../markers/clock");

	delete ("../markers/clock");
	return ns;
}

/* What was born in the same moment as the change before it cannot be told from a new file in an
 * old inode number, nor what was written just before a move from what was written just after it:
 * waits until the file system's clock has gone on, and the watcher has seen that nothing more comes.
 * It is between two rounds of polling then. */
static void let_grow_old(const char *path)
{
	do
		put("../markers/clock", "");
	while (remove_clock() - born_ns(path) < 100000000);
	synced = false;
	assert_int_equal(watcher_sync(w, on_sync), 0);
	while (!synced)
		uv_run(watcher_loop(w), UV_RUN_ONCE);
}

/* ---- in and out ---- */

static int backend_of(void **state)
{
	return *(const int *)*state;
}

static int enter(void **state)
{
	char tmp[900], name[1000];
	size_t size = sizeof tmp, home_size = sizeof home;
	watcher_error err = { 0 };
	uv_fs_t r;

	if (uv_os_tmpdir(tmp, &size) || uv_cwd(home, &home_size))
		return -1;
	snprintf(name, sizeof name, "%s/whendo-XXXXXX", tmp);
	if (uv_fs_mkdtemp(NULL, &r, name, NULL))
		return -1;
	snprintf(top, sizeof top, "%s", r.path);
	uv_fs_req_cleanup(&r);
	text_len = 0;
	overflows = 0;
	marker_dir = "";
	watches = 1;
	if (uv_chdir(top))
		return -1;
	make("markers");
	markers = 0;
	for (int i = 1; i <= MARKERS; i++) {
		snprintf(name, sizeof name, "markers/m.%d", i);
		put(name, "");
	}
	make("in");
	if (uv_chdir("in") ||
	    watcher_open(&w, WATCHER(.backend = backend_of(state), .poll_interval_ms = 20), &err) ||
	    watcher_add(w, ".", WATCH(.kinds = WATCHER_CHANGES | WATCHER_OVERFLOW, .on_any = on_any,
				      .watch = &first), &err)) {
		print_message("%s\n", err.message);
		return -1;
	}
	return 0;
}

static int leave(void **state)
{
	(void)state;
	watcher_close(w);
	if (uv_chdir(home))
		return -1;
	remove_all(top);
	free(text);
	text = NULL;
	text_len = text_cap = 0;
	return 0;
}

/* ---- the tests ---- */

/* Wine tells of what happens in a directory that was renamed under the old path. */
static bool misses_renamed(void **state)
{
#ifdef _WIN32
	return backend_of(state) == WATCHER_BACKEND_FSEVENT;
#else
	(void)state;
	return false;
#endif
}

static void test_a_file(void **state)
{
	(void)state;
	put("f", "");
	check_told("created f\n");
	put("f", "one");
	check_told("modified f\n");
	let_grow_old("f");
	rename_to("f", "g");
	check_told("moved f g\n");
	delete ("g");
	check_told("deleted g\n");
}

static void test_a_tree(void **state)
{
	make("a");
	make("a/b");
	make("a/b/c");
	put("a/b/c/x", "");
	check_told("created a\ncreated a/b\ncreated a/b/c\ncreated a/b/c/x\n");
	put("a/b/c/x", "more");
	check_told("modified a/b/c/x\n");
	let_grow_old("a/b/c/x");
	rename_to("a/b", "z");
	check_told("moved a/b z\nmoved a/b/c z/c\nmoved a/b/c/x z/c/x\n");
	if (!misses_renamed(state)) {
		put("z/c/y", "");
		check_told("created z/c/y\n");
		delete ("z/c/y");
		check_told("deleted z/c/y\n");
	}
	rename_to("z", "a/b");
	check_told("moved z a/b\nmoved z/c a/b/c\nmoved z/c/x a/b/c/x\n");
	remove_all("a");
	check_told("deleted a/b/c/x\ndeleted a/b/c\ndeleted a/b\ndeleted a\n");
}

/* A tree is renamed before anything of what was done in it has been told. What is new comes before
 * what ends, which might give it its inode number. */
static void test_changes_in_a_tree_that_is_renamed(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	make("a/b/c");
	put("a/b/c/old", "");
	put("a/b/c/gone", "");
	put("a/b/here", "");
	wait_for_marker();
	text_len = 0;
	let_grow_old("a/b/here");
	put("a/b/c/old", "new");
	put("a/b/c/1", "");
	rename_to("a/b/here", "a/b/there");
	rename_to("a/b", "z");
	put("z/c/2", "");
	make("z/d");
	put("z/d/3", "");
	delete ("z/c/gone");
	wait_for_marker();
	check_was_told("moved a/b z\nmoved a/b/c z/c\nmoved z/here z/there\ncreated z/c/1\n"
		       "created z/c/2\ncreated z/d\ncreated z/d/3\ndeleted z/c/gone\n");
	assert_true(was_told("modified z/c/old\n") || was_told("modified a/b/c/old\n"));
}

static watcher_watch *add(const char *path, int follow, const char *begins)
{
	watcher_error err = { 0 };
	watcher_watch *watch;

	if (watcher_add(w, path, WATCH(.on_any = on_any, .arg = (void *)(uintptr_t)begins,
				       .follow_symlinks = follow, .watch = &watch), &err) < 0)
		fail_msg("%s", err.message);
	return watch;
}

/* As check_told(), in any order. */
static void check_told_all(const char *expected)
{
	wait_for_marker();
	check_was_told(expected);
	assert_int_equal(text_len, strlen(expected));
	text_len = 0;
}

/* They come and go while there is something to tell; that which follows links hears of all through
 * an index and a handle of its own. */
static void test_watches_in_one_another(void **state)
{
	watcher_watch *inner, *links;

	(void)state;
	make("a");
	wait_for_marker(); /* it is watched: Wine does not tell of what is in it before */
	make("a/b");
	wait_for_marker();
	put("a/b/x", "");
	wait_for_marker();
	text_len = 0;
	inner = add("a", 0, "a: ");
	links = add(".", 1, "l: ");
	watches = 2;
	put("a/b/1", "");
	check_told_all("created a/b/1\na: created a/b/1\nl: created a/b/1\n");
	marker_dir = "a/";
	put("a/b/2", "");
	watcher_remove(first);
	put("a/b/3", "");
	check_told_all("a: created a/b/2\na: created a/b/3\nl: created a/b/2\nl: created a/b/3\n");
	watcher_remove(links);
	add("a/b", 0, "b: ");
	marker_dir = "a/b/";
	put("a/b/4", "");
	check_told_all("a: created a/b/4\nb: created a/b/4\n");
	watches = 1;
	put("a/b/5", "");
	watcher_remove(inner);
	put("a/b/6", "");
	check_told_all("b: created a/b/5\nb: created a/b/6\n");
}

/* Nobody turns the loop meanwhile, so that a small queue runs over, and one of another index, too. */
static void test_more_than_a_queue_holds(void **state)
{
	char name[32], line[64];

	make("d");
	put("d/old", "");
	put("d/gone", "");
	put("d/here", "");
	wait_for_marker();
	text_len = 0;
	add(".", 1, "l: ");
	watches = 2;
	let_grow_old("d/here");
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		put(name, "");
	}
	put("d/old", "new");
	delete ("d/gone");
	rename_to("d/here", "d/there");
	wait_for_marker();
	for (int i = 0; i < MANY; i++) {
		snprintf(line, sizeof line, "created d/%d\n", i);
		if (!was_told(line))
			fail_msg("not told: %s", line);
	}
	check_was_told("modified d/old\ndeleted d/gone\nmoved d/here d/there\n");
	check_was_told("l: modified d/old\nl: deleted d/gone\nl: moved d/here d/there\n");
#ifdef _WIN32
	assert_true(overflows > 0 || backend_of(state) == WATCHER_BACKEND_POLL);
#else
	(void)state;
#endif
}

/* An absolute path as Windows writes it, and a root that is not there yet. */
static void test_an_absolute_path(void **state)
{
	char path[1100], expected[1300], slashes[1100];
	watcher_error err = { 0 };

	(void)state;
	snprintf(path, sizeof path, "%s%clater", top, SEPARATOR);
	watcher_remove_all(w);
	if (watcher_add(w, path, WATCH(.on_any = on_any), &err) < 0 ||
	    watcher_add(w, ".", WATCH(.on_any = on_any), &err) < 0)
		fail_msg("%s", err.message);
	make("../later");
	put("../later/f", "");
	wait_for_marker();
	strcpy(slashes, path);
	for (char *c = slashes; *c; c++)
		if (*c == '\\')
			*c = '/';
	snprintf(expected, sizeof expected, "created %s\ncreated %s/f\n", slashes, slashes);
	assert_string_equal(text_len ? text : "", expected);
}

static void test_snapshots(void **state)
{
	watcher_snapshot *before = NULL, *read = NULL, *after = NULL;
	watcher_error err = { 0 };

	(void)state;
	make("s");
	put("s/gone", "");
	put("s/here", "");
	put("s/old", "");
	if (watcher_snapshot_take(&before, LIST("s"), NULL, &err) < 0 ||
	    watcher_snapshot_save(before, "../saved", &err) < 0 ||
	    watcher_snapshot_load(&read, "../saved", &err) < 0)
		fail_msg("%s", err.message);
	put("s/old", "new");
	rename_to("s/here", "s/there");
	delete ("s/gone");
	if (watcher_snapshot_take(&after, LIST("s"), NULL, &err) < 0)
		fail_msg("%s", err.message);
	wait_for_marker();
	text_len = 0;
	assert_true(watcher_snapshot_diff(read, after, 0, on_difference, NULL) == 0);
	assert_true(was_told("deleted s/gone\n"));
	assert_true(was_told("moved s/here s/there\n"));
	assert_true(was_told("modified s/old\n"));
	watcher_snapshot_free(before);
	watcher_snapshot_free(read);
	watcher_snapshot_free(after);
}

#define ON(test, number) \
	{ #test " on " #number, test, enter, leave, &(int){ WATCHER_BACKEND_##number } }

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_a_file, FSEVENT),
		ON(test_a_tree, FSEVENT),
		ON(test_changes_in_a_tree_that_is_renamed, FSEVENT),
		ON(test_watches_in_one_another, FSEVENT),
		ON(test_more_than_a_queue_holds, FSEVENT),
		ON(test_an_absolute_path, FSEVENT),
		ON(test_a_file, POLL),
		ON(test_a_tree, POLL),
		ON(test_changes_in_a_tree_that_is_renamed, POLL),
		ON(test_watches_in_one_another, POLL),
		ON(test_more_than_a_queue_holds, POLL),
		ON(test_an_absolute_path, AUTO),
		ON(test_snapshots, AUTO),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
