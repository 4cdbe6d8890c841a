/* What moves from one watch to another: each hears of its side, in an order that makes sense. */
#include "watch_test.h"

#include <sys/syscall.h>

#include "next_tick.h"

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

static struct told left, right;

/* Two watches with a handler each; NULL where the backend is not permitted. */
static watcher *open_both(int backend, int follow)
{
	const unsigned kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED;
	watcher_error err;
	watcher *w;

	told(&left);
	told(&right);
	if (watcher_open(&w, WATCHER(.backend = backend, .poll_interval_ms = 20), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return NULL;
	}
	add_with(w, "left", WATCH(.on_batch = on_told, .arg = &left, .kinds = kinds));
	add_with(w, "right", WATCH(.on_batch = on_told, .arg = &right, .kinds = kinds,
				   .follow_symlinks = follow));
	sync_watcher(w);
	return w;
}

static void make(void)
{
	assert_int_equal(mkdir("left", 0755) | mkdir("right", 0755) | mkdir("left/d", 0755) |
			 mkdir("left/d/e", 0755) | mkfifo("left/d/e/f", 0600), 0);
}

static void clean(void)
{
	unlink("right/d/l");
	assert_int_equal(unlink("right/d/e/f") | rmdir("right/d/e") | rmdir("right/d") |
			 rmdir("right") | rmdir("left"), 0);
}

static void test_what_is_in_it_ends_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		make();
		if ((w = open_both(backends[i], 0))) {
			next_tick();
			assert_int_equal(rename("left/d", "right/d"), 0);
			sync_watcher(w);
			assert_string_equal(told(&left), "deleted left/d/e/f, deleted left/d/e, "
							 "deleted left/d");
			assert_string_equal(told(&right), "created right/d, created right/d/e, "
							  "created right/d/e/f");
			watcher_close(w);
		}
		clean();
	}
}

/* So it does, too, where it ended at the new place before that was looked at. */
static void test_what_was_in_it_ends_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		make();
		if ((w = open_both(backends[i], 0))) {
			next_tick();
			assert_int_equal(rename("left/d", "right/d") | unlink("right/d/e/f") |
					 rmdir("right/d/e"), 0);
			sync_watcher(w);
			assert_string_equal(told(&left), "deleted left/d/e/f, deleted left/d/e, "
							 "deleted left/d");
			assert_string_equal(told(&right), "created right/d, created right/d/e, "
							  "created right/d/e/f, deleted right/d/e/f, "
							  "deleted right/d/e");
			watcher_close(w);
			assert_int_equal(mkdir("right/d/e", 0755) | mkfifo("right/d/e/f", 0600), 0);
		} else {
			assert_int_equal(rename("left/d", "right/d"), 0);
		}
		clean();
	}
}

/* To those who are told, the directory comes from below the one that is in it now. */
static void test_a_link_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		make();
		if ((w = open_both(backends[i], 1))) {
			next_tick();
			assert_int_equal(rename("left/d", "right/d"), 0);
			assert_int_equal(symlink("../../left", "right/d/l"), 0);
			sync_watcher(w);
			assert_string_equal(told(&left), "deleted left/d/e/f, deleted left/d/e, "
							 "deleted left/d");
			assert_int_equal(mkfifo("left/f", 0600), 0);
			sync_watcher(w);
			assert_string_equal(told(&left), "created left/f");
			assert_non_null(strstr(told(&right), "created right/d/l/f"));
			watcher_close(w);
			assert_int_equal(unlink("left/f"), 0);
		}
		clean();
	}
}

/* The second watch is added while the move is on its way to the first: that hears of the end, and
 * the second of everything that comes after. `turns` of the loop are between the two. */
static void added_meanwhile(int backend, int turns)
{
	const unsigned kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED;
	watcher_error err;
	watcher *w;
	const char *got;

	if (watcher_open(&w, WATCHER(.backend = backend, .poll_interval_ms = 20), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return;
	}
	told(&left);
	told(&right);
	add_with(w, "left", WATCH(.on_batch = on_told, .arg = &left, .kinds = kinds));
	sync_watcher(w);
	next_tick();
	assert_int_equal(rename("left/d", "right/d"), 0);
	for (int i = 0; i < turns; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	add_with(w, "right", WATCH(.on_batch = on_told, .arg = &right, .kinds = kinds));
	sync_watcher(w);
	assert_string_equal(told(&left), "deleted left/d/e/f, deleted left/d/e, deleted left/d");
	assert_string_equal(told(&right), "");
	assert_int_equal(mkfifo("right/d/1", 0600) | mkfifo("right/d/e/2", 0600), 0);
	sync_watcher(w);
	got = told(&right);
	assert_int_equal(strlen(got), strlen("created right/d/1, created right/d/e/2"));
	assert_non_null(strstr(got, "created right/d/1"));
	assert_non_null(strstr(got, "created right/d/e/2"));
	watcher_close(w);
	assert_int_equal(unlink("right/d/1") | unlink("right/d/e/2"), 0);
}

static void test_the_second_is_added_meanwhile(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++)
		for (int turns = 0; turns < 3; turns++) {
			make();
			added_meanwhile(backends[i], turns);
			if (access("left/d", F_OK) == 0)
				assert_int_equal(rename("left/d", "right/d"), 0);
			clean();
		}
}

/* The first, and one around it, that is read later; with `rested` the first has been read by then. NULL:
 * it cannot be had here. */
static watcher *open_around(int backend, bool rested)
{
	const unsigned kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED;
	watcher_error err;
	watcher *w;

	if (watcher_open(&w, WATCHER(.backend = backend, .poll_interval_ms = 20), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return NULL;
	}
	told(&left);
	told(&right);
	add_with(w, "left/d", WATCH(.on_batch = on_told, .arg = &left, .kinds = kinds));
	if (rested)
		sync_watcher(w);
	add_with(w, "left", WATCH(.on_batch = on_told, .arg = &right, .kinds = kinds));
	return w;
}

/* The one around is told of what is in the first's tree from the call on. */
static void added_around(int backend, bool rested)
{
	watcher *w = open_around(backend, rested);

	if (!w)
		return;
	assert_int_equal(mkfifo("left/d/e/g", 0600), 0);
	sync_watcher(w);
	assert_string_equal(told(&left), "created left/d/e/g");
	assert_string_equal(told(&right), "created left/d/e/g");
	assert_int_equal(unlink("left/d/e/g"), 0);
	watcher_close(w);
}

/* The first's own directory moves before the one around it has been read: with all that is in it. */
static void moves_unread(int backend, bool rested)
{
	watcher *w = open_around(backend, rested);

	if (!w)
		return;
	assert_int_equal(rename("left/d", "left/x"), 0);
	sync_watcher(w);
	assert_string_equal(told(&left), "deleted left/d/e/f, deleted left/d/e, deleted left/d");
	assert_string_equal(told(&right), "moved left/d left/x, moved left/d/e left/x/e, "
					  "moved left/d/e/f left/x/e/f");
	watcher_close(w);
	assert_int_equal(rename("left/x", "left/d"), 0);
}

static void test_the_second_is_added_around(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++)
		for (int rested = 0; rested < 2; rested++) {
			make();
			next_tick();
			added_around(backends[i], rested);
			moves_unread(backends[i], rested);
			assert_int_equal(rename("left/d", "right/d"), 0);
			clean();
		}
}

/* What is told of a path is told by a watch that has it below one of its roots. */
static void root_is_its_own(watcher_watch *watch, const watcher_event *e, void *arg)
{
	tell_event(arg, e);
	assert_string_equal(e->root, watcher_watch_root(watch, 0));
}

static void test_exchange_between_same_handlers(void **state)
{
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));

	(void)state;
	assert_int_equal(mkdir("left", 0755) | mkdir("right", 0755) | mkfifo("left/a", 0600) |
			 mkfifo("right/b", 0600), 0);
	told(&left);
	add_with(w, "left", WATCH(.on_any = root_is_its_own, .arg = &left));
	add_with(w, "right", WATCH(.on_any = root_is_its_own, .arg = &left));
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "left/a", AT_FDCWD, "right/b", 2), 0);
	sync_watcher(w);
	assert_string_equal(told(&left), "deleted left/a, created left/a, modified right/b");
	watcher_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_in_it_ends_first),
		TEST(test_what_was_in_it_ends_there),
		TEST(test_a_link_back),
		TEST(test_the_second_is_added_meanwhile),
		TEST(test_the_second_is_added_around),
		TEST(test_exchange_between_same_handlers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
