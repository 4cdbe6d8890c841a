/*
 * Directories that are read while they change: what comes while one is read is told once, and none
 * of it is lost between the watch and the reading.
 * link: -Wl,--wrap=inotify_add_watch,--wrap=watcher__scan_read
 */
#include "watch_test.h"

#include <sys/inotify.h>
#include <sys/syscall.h>

#include "index_check.h"
#include "watcher/engine.h"

static watcher *w;
static struct told seen;

/* ---- the kernel ---- */

static unsigned narrowed; /* watches that were set anew */

/* What is done, once, when a directory is watched that has this file in it. */
static struct {
	const char *mark;
	void (*act)(void);
} watched[2];

static bool is_at(const char *path, const char *name)
{
	char at[PATH_MAX];

	snprintf(at, sizeof at, "%s/%s", path, name);
	return access(at, F_OK) == 0;
}

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	int wd = __real_inotify_add_watch(fd, path, mask);

	narrowed += !(mask & (IN_MASK_ADD | IN_MASK_CREATE));
	for (size_t i = 0; i < COUNT(watched); i++)
		if (watched[i].mark && is_at(path, watched[i].mark)) {
			watched[i].mark = NULL;
			watched[i].act();
		}
	return wd;
}

/* What is done, once, before and after a directory is read that has this file in it. */
static const char *mark, *before, *after;
static bool fails; /* the next reading of it does */

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);

static void do_once(const char **command)
{
	const char *now = *command;

	*command = NULL;
	if (now)
		assert_int_equal(system(now), 0);
}

void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	bool marked = mark && faccessat(fd, mark, F_OK, 0) == 0;

	if (marked)
		do_once(&before);
	__real_watcher__scan_read(fd, l);
	if (marked)
		do_once(&after);
	if (marked && fails) {
		fails = false;
		l->error = UV_ENOENT;
	}
}

/* ---- the tests ---- */

static int enter(void **state)
{
	memset(&seen, 0, sizeof seen);
	mark = before = after = watched[0].mark = watched[1].mark = NULL;
	fails = false;
	narrowed = 0;
	return watch_test_enter(state) || mkdir("in", 0755);
}

static int leave(void **state)
{
	if (w)
		watcher_close(w);
	w = NULL;
	return watch_test_leave(state);
}

static void watch_in(int backend)
{
	w = open_with(WATCHER(.backend = backend));
	add_with(w, "in", WATCH(.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED,
				.on_batch = on_told, .arg = &seen));
	sync_watcher(w);
}

static void assert_told(const char *want)
{
	char flaws[1000];

	sync_watcher(w);
	assert_string_equal(told(&seen), want);
	if (index_check(w, flaws, sizeof flaws))
		fail_msg("%s", flaws);
}

/* The kernel has no mask for a moment where one is set anew, and what happens then is not told. */
static void test_fences_keep_the_watch(void **state)
{
	(void)state;
	watch_in(WATCHER_BACKEND_INOTIFY);
	assert_int_equal(system("mkdir -p in/d/e; : > in/d/e/f"), 0);
	assert_told("created in/d, created in/d/e, created in/d/e/f");
	assert_int_equal(system("mv in/d in/x; mkdir in/d; mv in/x/e in/d; rmdir in/x"), 0);
	sync_watcher(w);
	assert_int_equal(narrowed, 0);
}

static void exchange_with_outside(void)
{
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "out", AT_FDCWD, "in/d/e", 2), 0);
}

static void move_outside(void)
{
	assert_int_equal(rename("in/d/e", "away"), 0);
}

/* The kernel makes one of two moves away from a name, where nothing else is told in between. One comes
 * before the directory is read, the other afterwards. */
static void test_fences_moves_made_one(void **state)
{
	(void)state;
	watch_in(WATCHER_BACKEND_INOTIFY);
	assert_int_equal(system("mkdir -p d/e out; : > d/mark; : > out/mark_of_e"), 0);
	watched[0].mark = "mark";
	watched[0].act = exchange_with_outside;
	watched[1].mark = "mark_of_e";
	watched[1].act = move_outside;
	assert_int_equal(rename("d", "in/d"), 0);
	sync_watcher(w);
	assert_null(watched[1].mark);
	told(&seen);
	assert_told("");
}

static unsigned times_told(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

/* Names come and go between the two ends of a reading, before it and after it. */
static void assert_between(int backend)
{
	static const char *const once[] = { "created in/d,", "created in/d/mark",
					    "created in/d/three", "created in/d/four/f" };
	const char *text;
	char flaws[1000];

	watch_in(backend);
	mark = "mark";
	before = ": > in/d/one; mkdir in/d/two";
	after = ": > in/d/three; rm in/d/one; mv in/d/two in/d/four; : > in/d/four/f";
	assert_int_equal(system("mkdir out; : > out/mark; mv out in/d"), 0);
	sync_watcher(w);
	assert_null(after);
	text = told(&seen);
	for (size_t i = 0; i < COUNT(once); i++)
		if (times_told(text, once[i]) != 1)
			fail_msg("not told once: %s\n  told: %s", once[i], text);
	assert_int_equal(times_told(text, "created in/d/one"), times_told(text, "deleted in/d/one"));
	assert_int_equal(times_told(text, "moved in/d/two in/d/four") +
			     times_told(text, "created in/d/four,"),
			 1);
	if (index_check(w, flaws, sizeof flaws))
		fail_msg("%s", flaws);
	/* What follows is told as it comes. */
	assert_int_equal(system("mv in/d/four in/d/five; rm in/d/five/f"), 0);
	assert_told("moved in/d/four in/d/five, moved in/d/four/f in/d/five/f, "
		    "deleted in/d/five/f");
}

static void test_fences_changed_while_read(void **state)
{
	(void)state;
	assert_between(WATCHER_BACKEND_INOTIFY);
}

static void test_fences_changed_while_read_fanotify(void **state)
{
	(void)state;
	if (getuid() != 0) {
		print_message("# skipped: fanotify needs root\n");
		skip();
	}
	assert_between(WATCHER_BACKEND_FANOTIFY);
}

/* What is done meanwhile is not told, but found again from the index. */
static void do_unseen(const char *command)
{
	watcher_pause(w);
	put("in/noise", ""); /* more than may wait */
	for (int i = 0; i < 3; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	assert_int_equal(system(command), 0);
	for (int i = 0; i < 3; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	watcher_resume(w);
}

/* A directory of which a name came before it could be read is not on another file system than that:
 * what takes the name is another. */
static void test_fences_read_before_what_it_is_in(void **state)
{
	(void)state;
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY, .max_backlog_bytes = 1));
	add_with(w, "in", WATCH(.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED,
				.on_batch = on_told, .arg = &seen));
	sync_watcher(w);
	mark = "mark";
	fails = true;
	after = "mkdir in/d/sub; : > in/d/sub/a";
	assert_int_equal(system("mkdir -p out other/x; : > out/mark; mv out in/d"), 0);
	assert_told("created in/d, created in/d/sub, created in/d/sub/a, created in/d/mark");
	assert_false(fails);
	do_unseen("mv in/d/sub away; mv other in/d/sub");
	assert_told("created in/noise, deleted in/d/sub/a, deleted in/d/sub, created in/d/sub, "
		    "created in/d/sub/x");
}

/* The tree is read first without a fence. What comes onto a directory before that is read, with what is in
 * it, was not in what had the name: that is told to be empty before the other is told to move there. */
static void test_fences_replaced_while_the_tree_is_read_first(void **state)
{
	(void)state;
	mark = "mark";
	after = "mv -T in/m in/n";
	assert_int_equal(system("mkdir in/n in/m; : > in/mark; : > in/m/f"), 0);
	watch_in(WATCHER_BACKEND_INOTIFY);
	assert_null(after);
	assert_told("deleted in/n/f, moved in/m in/n, created in/n/f");
}

/* Where what had the name turns out to be half of an exchange it is new with all that is in it, also to
 * those who are told of both moves of an exchange: what had the name may not have been it, then. */
static void test_fences_exchanged_when_the_tree_has_been_read_first(void **state)
{
	(void)state;
	mark = "mark";
	after = "rm in/mark"; /* its end is in the queue */
	assert_int_equal(system("mkdir -p in/d in/e/s; : > in/mark; : > in/d/f; : > in/e/s/g"), 0);
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	add_with(w, "in", WATCH(.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED,
				.flags = WATCHER_WATCHDOG_EVENTS, .on_batch = on_told, .arg = &seen));
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/d", AT_FDCWD, "in/e", 2), 0);
	assert_told("deleted in/mark, deleted in/e/s/g, deleted in/e/s, moved in/d in/e, "
		    "moved in/d/f in/e/f, created in/d, created in/d/s, created in/d/s/g");
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/d", AT_FDCWD, "in/e", 2), 0);
	assert_told("moved in/d in/e, moved in/d/s in/e/s, moved in/d/s/g in/e/s/g, "
		    "moved in/e in/d, moved in/e/f in/d/f");
}

static void move_back_while_read(void)
{
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	add_with(w, "in", WATCH(.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED,
				.flags = WATCHER_WATCHDOG_EVENTS, .on_batch = on_told, .arg = &seen));
	sync_watcher(w);
	mark = "mark";
	after = "mv -T in/b in/a";
	assert_int_equal(system("mkdir in/b in/a; : > in/a/mark; mv -T in/a in/b"), 0);
}

/* A directory is read when another has its name already, and that moves back then: to those who are told
 * of both moves of an exchange, too, this is none. */
static void test_fences_moved_back_while_read(void **state)
{
	(void)state;
	move_back_while_read();
	assert_told("created in/b, created in/b/mark, created in/a, deleted in/b/mark, moved in/a in/b, "
		    "moved in/b in/a, created in/a/mark");
	assert_null(after);
}

static void test_fences_moved_back_when_watched(void **state)
{
	(void)state;
	fails = true;
	move_back_while_read();
	assert_told("created in/b, created in/a, moved in/a in/b, moved in/b in/a, created in/a/mark");
	assert_false(fails);
}

static void move_back(void)
{
	assert_int_equal(rename("in/a", "in/b"), 0);
}

/* The same where the tree is read first, and without a fence. */
static void test_fences_moved_back_while_the_tree_is_read_first(void **state)
{
	(void)state;
	mark = "mark";
	after = "mv -T in/b in/a";
	watched[0].mark = "f";
	watched[0].act = move_back;
	assert_int_equal(system("mkdir in/a in/b; : > in/mark; : > in/b/f"), 0);
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	add_with(w, "in", WATCH(.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED,
				.flags = WATCHER_WATCHDOG_EVENTS, .on_batch = on_told, .arg = &seen));
	assert_told("deleted in/a/f, moved in/b in/a, moved in/a in/b, created in/b/f");
	assert_null(watched[0].mark);
}

static void watch_in_as_watchdog(void)
{
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	add_with(w, "in", WATCH(.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED,
				.flags = WATCHER_WATCHDOG_EVENTS, .on_batch = on_told, .arg = &seen));
	sync_watcher(w);
}

/* A directory that moves there and back is found where it goes then, in one that is read before the queue
 * comes to that. Where it is said to come from is nothing any more, though something had it before. */
static void test_fences_found_before_it_moves_back(void **state)
{
	(void)state;
	assert_int_equal(mkdir("in/b", 0755), 0);
	watch_in_as_watchdog();
	assert_int_equal(rename("in/b", "in/a") | mkdir("in/c", 0755) | rename("in/a", "in/b"), 0);
	assert_int_equal(rename("in/b", "in/c/x") | mkdir("in/a", 0755), 0);
	assert_told("moved in/b in/a, created in/c, moved in/a in/c/x, created in/b, deleted in/b, "
		    "created in/a");
}

#define FENCES_TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FENCES_TEST(test_fences_keep_the_watch),
		FENCES_TEST(test_fences_moves_made_one),
		FENCES_TEST(test_fences_changed_while_read),
		FENCES_TEST(test_fences_changed_while_read_fanotify),
		FENCES_TEST(test_fences_read_before_what_it_is_in),
		FENCES_TEST(test_fences_replaced_while_the_tree_is_read_first),
		FENCES_TEST(test_fences_exchanged_when_the_tree_has_been_read_first),
		FENCES_TEST(test_fences_moved_back_while_read),
		FENCES_TEST(test_fences_moved_back_when_watched),
		FENCES_TEST(test_fences_moved_back_while_the_tree_is_read_first),
		FENCES_TEST(test_fences_found_before_it_moves_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
