/*
 * Moves that meet directories read ahead of them: the kernel's queue still has what led there
 * when a directory is found, by the path it has now, that the index knows at another place, or
 * is read with what the queue is still to tell of.
 * link: -Wl,--wrap=inotify_add_watch,--wrap=watcher__look_everywhere,--wrap=uv_hrtime
 */
#include "watch_test.h"

#include <sys/inotify.h>
#include <sys/syscall.h>

#include "index_check.h"
#include "next_tick.h"
#include "watcher/engine.h"

static watcher *w;
static struct told seen;

/* ---- what cannot be watched, or changes between that and being read ---- */

static ino_t unwatchable, exchanged, tried, missing; /* 0: none */
static const char *when_tried; /* what is done, once, when `tried` is to be watched */
static ino_t only;	       /* not 0: nothing else can be watched */

/* By a thread that stands elsewhere. */
static void exchange(const char *one, const char *other)
{
	char a[PATH_MAX], b[PATH_MAX];

	snprintf(a, sizeof a, "%s/%s", watch_test_top, one);
	snprintf(b, sizeof b, "%s/%s", watch_test_top, other);
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2), 0);
}

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	ino_t ino = 0;
	struct stat st;
	int wd;

	if ((unwatchable || exchanged || tried || missing || only) && stat(path, &st) == 0)
		ino = st.st_ino;
	if (ino && ino == tried) {
		tried = 0;
		do_there(when_tried);
	}
	if (ino && ino == missing) {
		errno = ENOENT;
		return -1;
	}
	if (ino && (ino == unwatchable || (only && ino != only))) {
		errno = ENOSPC;
		return -1;
	}
	wd = __real_inotify_add_watch(fd, path, mask);
	if (ino && ino == exchanged) {
		exchanged = 0;
		exchange("in/d/e", "in/f");
	}
	return wd;
}

/* ---- a half of a move that waits while everything is looked at ---- */

static uint64_t stopped_ns; /* the time, if it has been stopped */

uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);

uint64_t __wrap_uv_hrtime(void)
{
	return stopped_ns ? stopped_ns : __real_uv_hrtime();
}

static const char *before_look; /* what is done, once, before everything is looked at */

void __real_watcher__look_everywhere(watcher *w, int64_t since_ns);
void __wrap_watcher__look_everywhere(watcher *w, int64_t since_ns);

void __wrap_watcher__look_everywhere(watcher *of, int64_t since_ns)
{
	const char *now = before_look;

	before_look = NULL;
	if (now)
		assert_int_equal(system(now), 0);
	__real_watcher__look_everywhere(of, since_ns);
}

/* ---- the tests ---- */

static int enter(void **state)
{
	memset(&seen, 0, sizeof seen);
	unwatchable = exchanged = tried = missing = only = stopped_ns = 0;
	before_look = NULL;
	if (watch_test_enter(state) || mkdir("in", 0755) || mkdir("out", 0755) ||
	    mkdir("in/d", 0755) || mkdir("in/d/e", 0755))
		return -1;
	put("in/d/e/f", "");
	next_tick();
	return 0;
}

static int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

/* Rounds of polling come when they are asked for. */
static void watch_in(void)
{
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY, .poll_interval_ms = 3600000));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
}

/* Everything is looked at right after one change, before the other is heard of: what is told. What was
 * found is not told again when it is heard of. */
static void assert_lost(const char *change, const char *other, const char *want)
{
	char flaws[1000] = "";

	watch_in();
	sync_watcher(w);
	assert_int_equal(system(change), 0);
	before_look = other;
	stopped_ns = __real_uv_hrtime();
	w->gap = true;
	while (before_look)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	stopped_ns = 0;
	sync_watcher(w);
	index_check(w, flaws, sizeof flaws);
	assert_string_equal(flaws, "");
	assert_string_equal(told(&seen), want);
}

/* In it is a directory that the index has in another, which has left its name: it is told to
 * have ended there before it is told here. */
static void test_out_of_what_has_left(void **state)
{
	(void)state;
	watch_in();
	assert_int_equal(rename("in/d", "out/d"), 0);
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(rename("out/d/e", "in/n/e"), 0);
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n, created in/n/e, deleted in/d/e/f, "
					 "deleted in/d/e, deleted in/d, created in/n/e/f");
}

/* A directory is read when another has come onto it, with what is in that: it is told to be empty before
 * the other is told to move there. */
static void read_as_what_replaced_it(int backend)
{
	w = open_with(WATCHER(.backend = backend, .poll_interval_ms = 3600000));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
	sync_watcher(w);
	assert_int_equal(mkdir("in/n", 0755) | mkdir("in/m", 0755), 0);
	put("in/m/f", "");
	assert_int_equal(rename("in/m", "in/n"), 0);
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n, created in/n/f, created in/m, deleted in/n/f, "
					 "moved in/m in/n, created in/n/f");
}

static void test_read_as_what_replaced_it(void **state)
{
	(void)state;
	read_as_what_replaced_it(WATCHER_BACKEND_INOTIFY);
}

static void test_read_as_what_replaced_it_fanotify(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	read_as_what_replaced_it(WATCHER_BACKEND_FANOTIFY);
}

/* A directory is found where the last of its moves has led it when that was not in the queue yet: by then
 * it comes onto itself. */
static void test_moves_onto_itself(void **state)
{
	struct stat st;
	char text[4000];

	(void)state;
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
	sync_watcher(w);
	assert_int_equal(mkdir("in/c", 0755) | mkdir("in/c/z", 0755) | mkdir("in/c/x", 0755), 0);
	assert_int_equal(rename("in/d/e", "in/b") | stat("in/c/x", &st), 0);
	tried = st.st_ino;
	when_tried = "mv -T in/b in/c/z";
	sync_watcher(w);
	assert_int_equal(tried, 0);
	assert_string_equal(told(&seen), "created in/c, created in/c/x, moved in/d/e in/c/z, "
					 "moved in/d/e/f in/c/z/f, created in/b, deleted in/c/z/f, "
					 "moved in/b in/c/z, created in/c/z/f");
	if (index_check(w, text, sizeof text))
		fail_msg("%s", text);
}

/* What is polled, and could be watched by now, is not told twice. */
static void test_polled_found_elsewhere(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat("in/d", &st), 0);
	unwatchable = st.st_ino;
	watch_in();
	unwatchable = 0;
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(rmdir("in/n"), 0);
	assert_int_equal(rename("in/d", "in/n"), 0);
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n, deleted in/n, moved in/d in/n, "
					 "moved in/d/e in/n/e, moved in/d/e/f in/n/e/f");
	put("in/n/g", "");
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n/g");
}

/* What is polled is found at a place where, to those who are told, it was replaced; it has changed
 * since it was read: all of that is told as what comes there. */
static void test_polled_found_where_replaced(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat("in", &st), 0);
	only = st.st_ino;
	watch_in();
	assert_int_equal(mkdir("in/k", 0755), 0);
	put("in/k/g", "");
	assert_int_equal(mkdir("in/c", 0755), 0);
	assert_int_equal(rename("in/k", "in/c"), 0);
	assert_int_equal(mkdir("in/z", 0755), 0);
	assert_int_equal(rename("in/c", "out/c"), 0);
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(rename("in/n", "in/c"), 0);
	assert_int_equal(rename("in/c", "out/n"), 0);
	assert_int_equal(rename("out/c", "in/c"), 0);
	assert_int_equal(stat("in/z", &st), 0);
	tried = st.st_ino;
	when_tried = "rm in/c/g";
	sync_watcher(w);
	assert_int_equal(tried, 0);
	assert_string_equal(told(&seen),
			    "created in/k, created in/c, created in/c/g, deleted in/c/g, "
			    "moved in/k in/c, created in/c/g, created in/z, created in/n, "
			    "deleted in/c/g, moved in/n in/c, created in/c/g, deleted in/c/g, "
			    "deleted in/c, created in/c");
}

/* What an exchange moves to a name was found there before that was told, so that it seems to be what
 * was pushed off the name: that is something else, and comes to where the exchange moves it. */
static void test_exchange_with_what_is_there(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat("in", &st), 0);
	only = st.st_ino;
	watch_in();
	assert_int_equal(rename("in/d", "out/d"), 0);
	assert_int_equal(mkdir("in/d", 0755), 0);
	assert_int_equal(stat("in/d", &st), 0);
	missing = st.st_ino;
	assert_int_equal(mkdir("in/l", 0755), 0);
	assert_int_equal(symlink("x", "in/l/g"), 0);
	exchange("in/l", "in/d");
	sync_watcher(w);
	assert_string_equal(told(&seen), "deleted in/d/e/f, deleted in/d/e, deleted in/d, created in/d, "
					 "created in/d/g, created in/l, deleted in/d/g, moved in/l in/d, "
					 "created in/d/g, created in/l");
}

/* A directory and a file have changed places, and one of both places was read after that: what
 * leaves a name is known by what it is. */
static void test_exchange_read_in_half(void **state)
{
	struct stat st;

	(void)state;
	put("in/f", "");
	next_tick();
	assert_int_equal(stat("in/d", &st), 0);
	exchanged = st.st_ino;
	watch_in();
	sync_watcher(w);
	assert_int_equal(exchanged, 0);
	assert_string_equal(told(&seen), "deleted in/f, created in/f, created in/f/f, modified in/d/e");
}

/* A file has replaced another and gone back, and the name has been given a third time by the time
 * that is looked at. */
static void test_there_and_back_is_no_exchange(void **state)
{
	(void)state;
	put("in/f", "");
	put("in/g", "");
	watch_in();
	sync_watcher(w);
	assert_int_equal(rename("in/f", "in/g"), 0);
	assert_int_equal(rename("in/g", "in/f"), 0);
	put("in/g", "");
	sync_watcher(w);
	assert_string_equal(told(&seen), "moved in/f in/g, moved in/g in/f, created in/g");
}

static uint64_t kernel_watches(const watcher *of)
{
	watcher_stats_t stats;

	watcher_stats(of, &stats, sizeof stats);
	return stats.watches;
}

/* What has come leaves again, soon, and goes on elsewhere: nothing is told of there. */
static void test_in_and_out_is_no_exchange(void **state)
{
	uint64_t watches;

	(void)state;
	assert_int_equal(mkdir("out/m", 0755) | mkdir("out/m/e", 0755), 0);
	watch_in();
	sync_watcher(w);
	stopped_ns = __real_uv_hrtime();
	watches = kernel_watches(w);
	assert_int_equal(rename("out/m", "in/m"), 0);
	while (kernel_watches(w) < watches + 2)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	assert_int_equal(rename("in/m", "out/m"), 0);
	put("out/m/e/ghost", "");
	sync_watcher(w);
	stopped_ns = 0;
	assert_string_equal(told(&seen),
			    "created in/m, created in/m/e, deleted in/m/e, deleted in/m");
}

/* The kernel tells of what has come, and of what it was exchanged with, as of one. The directory has
 * moved by the time that is heard of: what has the name is not asked for there. */
static void test_exchanged_in_a_directory_that_moves(void **state)
{
	char flaws[1000];

	(void)state;
	put("out/s", "");
	put("out/p", "");
	watch_in();
	sync_watcher(w);
	assert_int_equal(rename("out/s", "in/d/q"), 0);
	exchange("out/p", "in/d/q");
	assert_int_equal(rename("in/d", "in/e"), 0);
	sync_watcher(w);
	if (index_check(w, flaws, sizeof flaws))
		fail_msg("%s\n  told: %s", flaws, told(&seen));
	assert_non_null(strstr(told(&seen), "moved in/d/q in/e/q"));
}

/* It was replaced before it could be watched, and what replaced it moved on. */
static void test_move_over_the_unwatched(void **state)
{
	(void)state;
	watch_in();
	sync_watcher(w);
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(rename("in/d", "in/n"), 0);
	assert_int_equal(rename("in/n", "out/n"), 0);
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/n, moved in/d in/n, moved in/d/e in/n/e, "
					 "moved in/d/e/f in/n/e/f, deleted in/n/e/f, "
					 "deleted in/n/e, deleted in/n");
}

/* It was exchanged before it could be watched, and what came to its place moved on: nothing is
 * there any more that tells the exchange from a move there and back. */
static void test_exchange_with_the_unwatched(void **state)
{
	char flaws[1000] = "";

	(void)state;
	assert_int_equal(mkdir("in/c", 0755), 0);
	assert_int_equal(rename("in/d", "in/c/d"), 0);
	watch_in();
	sync_watcher(w);
	assert_int_equal(mkdir("in/n", 0755), 0);
	exchange("in/c/d", "in/n");
	assert_int_equal(rename("in/n", "out/n"), 0);
	sync_watcher(w);
	sync_watcher(w);
	index_check(w, flaws, sizeof flaws);
	assert_string_equal(flaws, "");
	assert_non_null(strstr(told(&seen), "deleted in/c/d/e/f"));
	put("in/c/d/more", "");
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/c/d/more");
}

/* The kernel makes one of the two moves away from "in/d", and tells the first number only. */
static void test_moves_made_one(void **state)
{
	char flaws[1000] = "";

	(void)state;
	assert_int_equal(mkdir("in/c", 0755), 0);
	assert_int_equal(mkdir("in/c/b", 0755), 0);
	assert_int_equal(mkdir("out/a", 0755), 0);
	watch_in();
	sync_watcher(w);
	exchange("out/a", "in/d");
	exchange("in/d", "in/c/b");
	put("in/c/b/last", "");
	sync_watcher(w);
	sync_watcher(w);
	index_check(w, flaws, sizeof flaws);
	assert_string_equal(flaws, "");
	put("in/c/b/more", "");
	sync_watcher(w);
	assert_non_null(strstr(told(&seen), "created in/c/b/more"));
}

/* What it was in is found where it has moved to, which is not told yet. */
static void test_half_in_what_is_found_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(mkdir("in/n", 0755), 0);
	put("in/y", "");
	assert_lost("mv in/d/e/f out/f", "mv in/d in/n/d; rm in/y",
		    "deleted in/d/e/f, moved in/d in/n/d, moved in/d/e in/n/d/e, deleted in/y");
}

/* Its name is taken, in what is found elsewhere. */
static void test_half_whose_name_is_taken_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_lost("mv in/d/e out/e", "mv in/d in/n/d; mkdir in/n/d/e",
		    "deleted in/d/e/f, deleted in/d/e, moved in/d in/n/d, created in/n/d/e");
}

/* What is told of a name that is gone is not about what is at the path by now: that is in another
 * directory, for this one has moved. */
static void told_of_the_dead(int backend, unsigned flags)
{
	char flaws[1000] = "";
	int fd;

	w = open_with(WATCHER(.backend = backend, .poll_interval_ms = 3600000));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen, .flags = flags,
				.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED |
					 WATCHER_CLOSED));
	sync_watcher(w);
	fd = open("in/d/e/f", O_WRONLY);
	assert_int_equal(unlink("in/d/e/f"), 0);
	sync_watcher(w);
	told(&seen);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(rename("in/d/e", "in/d/n") | mkdir("in/d/e", 0755) | mkfifo("in/d/e/f", 0600), 0);
	sync_watcher(w);
	assert_null(strstr(told(&seen), "n/f"));
	index_check(w, flaws, sizeof flaws);
	assert_string_equal(flaws, "");
}

static void test_dead_in_what_has_moved(void **state)
{
	(void)state;
	told_of_the_dead(WATCHER_BACKEND_INOTIFY, WATCHER_WATCHDOG_EVENTS);
}

static void test_dead_in_what_has_moved_fanotify(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	told_of_the_dead(WATCHER_BACKEND_FANOTIFY, 0);
}

/* Like on_told, and what is said to be no file. */
static void on_told_types(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct told *t = arg;

	(void)watch;
	if (e->type == WATCHER_TYPE_DIR)
		return;
	tell_event(t, e);
	if (e->type != WATCHER_TYPE_FILE)
		strcat(t->text, " (no file)");
}

/* The path of a directory leads to another by the time that what happened in it is heard of. */
static void types_where_another_is(int backend)
{
	const char *want = "created in/d/e/a, created in/d/e/b, modified in/d/e/f, "
			   "moved in/d/e/b in/d/e/c";
	char flaws[1000] = "";
	const char *all;

	assert_int_equal(system("mkdir in/g; cd in/g; mkfifo a b c f; : > ../../out/f"), 0);
	w = open_with(WATCHER(.backend = backend, .poll_interval_ms = 3600000));
	add_with(w, "in", WATCH(.on_any = on_told_types, .arg = &seen,
				.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED |
					 WATCHER_MODIFIED));
	sync_watcher(w);
	assert_int_equal(system("cd in/d/e; : > a; : > b; mv ../../../out/f f; mv b c"), 0);
	exchange("in/d/e", "in/g");
	sync_watcher(w);
	all = told(&seen);
	if (strncmp(all, want, strlen(want)) != 0 || strstr(all, "in/g/a (no file)"))
		assert_string_equal(all, want);
	index_check(w, flaws, sizeof flaws);
	assert_string_equal(flaws, "");
}

static void test_types_where_another_is(void **state)
{
	(void)state;
	types_where_another_is(WATCHER_BACKEND_INOTIFY);
}

static void test_types_where_another_is_fanotify(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	types_where_another_is(WATCHER_BACKEND_FANOTIFY);
}

#define MOVES_TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOVES_TEST(test_out_of_what_has_left),
		MOVES_TEST(test_read_as_what_replaced_it),
		MOVES_TEST(test_read_as_what_replaced_it_fanotify),
		MOVES_TEST(test_moves_onto_itself),
		MOVES_TEST(test_polled_found_elsewhere),
		MOVES_TEST(test_polled_found_where_replaced),
		MOVES_TEST(test_exchange_with_what_is_there),
		MOVES_TEST(test_there_and_back_is_no_exchange),
		MOVES_TEST(test_in_and_out_is_no_exchange),
		MOVES_TEST(test_exchanged_in_a_directory_that_moves),
		MOVES_TEST(test_exchange_read_in_half),
		MOVES_TEST(test_move_over_the_unwatched),
		MOVES_TEST(test_exchange_with_the_unwatched),
		MOVES_TEST(test_moves_made_one),
		MOVES_TEST(test_half_in_what_is_found_elsewhere),
		MOVES_TEST(test_half_whose_name_is_taken_elsewhere),
		MOVES_TEST(test_dead_in_what_has_moved),
		MOVES_TEST(test_dead_in_what_has_moved_fanotify),
		MOVES_TEST(test_types_where_another_is),
		MOVES_TEST(test_types_where_another_is_fanotify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
