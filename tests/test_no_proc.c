/*
 * Where /proc is not mounted a directory that is open can be watched by its path only, which may
 * lead to another by then; and what comes of it if that was not noticed.
 * link: -Wl,--wrap=inotify_add_watch
 */
#include "watch_test.h"

#include <sys/inotify.h>

#include "index_check.h"

static watcher *w;
static struct told seen;

static const char *tried;   /* the end of a path: when it is to be watched, */
static const char *command; /* this is done once before */
static const char *undo;    /* ... and this afterwards */

static const char *mistaken; /* is watched in place of the one that `tried` is the path of */

static bool ends_with(const char *path, const char *end)
{
	size_t len = strlen(path), n = strlen(end);

	return len >= n && strcmp(path + len - n, end) == 0;
}

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	const char *after = NULL;
	int wd;

	if (strncmp(path, "/proc/", 6) == 0) {
		errno = ENOENT;
		return -1;
	}
	if (tried && mistaken && ends_with(path, tried))
		return __real_inotify_add_watch(fd, mistaken, mask);
	if (tried && ends_with(path, tried)) {
		tried = NULL;
		after = undo;
		do_there(command);
	}
	wd = __real_inotify_add_watch(fd, path, mask);
	if (after)
		do_there(after);
	return wd;
}

static int enter(void **state)
{
	memset(&seen, 0, sizeof seen);
	tried = command = undo = mistaken = NULL;
	if (watch_test_enter(state) || mkdir("in", 0755) || mkdir("out", 0755) ||
	    mkdir("in/b", 0755))
		return -1;
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
	return 0;
}

static int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

/* What is in a directory is told, and what comes into it. */
static void assert_known(const char *dir)
{
	char name[64], text[80];

	seen.text[0] = '\0';
	snprintf(name, sizeof name, "%s/last", dir);
	put(name, "");
	sync_watcher(w);
	snprintf(text, sizeof text, "created %s", name);
	assert_string_equal(told(&seen), text);
}

/* A new directory has another path, or is gone, when it is watched. */
static void assert_found(const char *dir, const char *then, const char *and_back)
{
	char flaws[1000] = "", name[64];

	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(name, sizeof name, "%s/f", dir);
	put(name, "");
	command = then;
	undo = and_back;
	tried = dir;
	sync_watcher(w);
	assert_null(tried);
	index_check(w, flaws, sizeof flaws);
	assert_string_equal(flaws, "");
}

static void test_another_has_the_path(void **state)
{
	(void)state;
	assert_found("in/a", "mv in/a in/c && mkdir in/a && touch in/a/g", NULL);
	assert_known("in/a");
	assert_known("in/c");
}

static void test_another_has_moved_there(void **state)
{
	(void)state;
	assert_found("in/a", "mv in/a in/c && mv in/b in/a", NULL);
	assert_known("in/a");
	assert_known("in/c");
}

/* The directory above has moved, and what took its name has one of the same name. */
static void test_another_above(void **state)
{
	(void)state;
	do_there("mkdir out/q out/q/a && touch out/q/a/g");
	assert_int_equal(rename("in/b", "in/a"), 0);
	sync_watcher(w);
	assert_found("in/a/a", "mv in/a in/c && mv out/q in/a", NULL);
	assert_known("in/a/a");
	assert_known("in/c/a");
}

/* ... and has gone again by the time that it is asked. */
static void test_another_above_for_a_moment(void **state)
{
	(void)state;
	do_there("mkdir out/q out/q/a && touch out/q/a/g");
	assert_int_equal(rename("in/b", "in/a"), 0);
	sync_watcher(w);
	assert_found("in/a/a", "mv in/a in/c && mv out/q in/a", "mv in/a out/q && mv in/c in/a");
	assert_known("in/a/a");
}

/* What has another's watch is not taken to have moved to where that other is found. */
static void test_a_wrong_watch(void **state)
{
	char flaws[1000] = "";

	(void)state;
	do_there("mkdir out/q out/q/a && touch out/q/a/g");
	mistaken = "out/q/a";
	tried = "in/b/a";
	do_there("mkdir in/b/a && touch in/b/a/f");
	sync_watcher(w);
	tried = NULL;
	do_there("mv in/b in/c && mv out/q in/b");
	sync_watcher(w);
	index_check(w, flaws, sizeof flaws);
	assert_string_equal(flaws, "");
	assert_known("in/b/a");
	assert_known("in/c/a");
}

static void test_it_has_left(void **state)
{
	(void)state;
	assert_found("in/a", "mv in/a out/a && mkdir in/a && mkdir in/a/d", NULL);
	assert_known("in/a");
	assert_known("in/a/d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_another_has_the_path, enter, leave),
		cmocka_unit_test_setup_teardown(test_another_has_moved_there, enter, leave),
		cmocka_unit_test_setup_teardown(test_another_above, enter, leave),
		cmocka_unit_test_setup_teardown(test_another_above_for_a_moment, enter, leave),
		cmocka_unit_test_setup_teardown(test_a_wrong_watch, enter, leave),
		cmocka_unit_test_setup_teardown(test_it_has_left, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
