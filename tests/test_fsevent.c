/*
 * The portable backend hears of a file by the path that its directory had: what is written to it is
 * told, too, where another directory has that path, or none, by the time of the look. With names, and
 * as on systems that give none. Nor is it lost where the kernel tells of it late.
 * link: -Wl,--wrap=uv_fs_event_start
 */
#include "watch_test.h"

#include "next_tick.h"
#include "watcher/engine.h"
#include "watcher/options.h"

static watcher *w;
static struct told events;
static bool late; /* something is written to before a directory is watched the next time */

int __real_uv_fs_event_start(uv_fs_event_t *event, uv_fs_event_cb cb, const char *path, unsigned flags);
int __wrap_uv_fs_event_start(uv_fs_event_t *event, uv_fs_event_cb cb, const char *path, unsigned flags);

/* What is told of "a" while `holding` is told together with what comes after that. */
static bool holding;
static uv_fs_event_t *held;
static uv_fs_event_cb backend;

static void on_event(uv_fs_event_t *event, const char *name, int what, int status)
{
	uv_fs_event_t *before = held;

	if (holding && name && strcmp(name, "a") == 0) {
		held = event;
		return;
	}
	if (before && !holding) {
		held = NULL;
		backend(before, "a", UV_CHANGE, 0);
	}
	backend(event, name, what, status);
}

int __wrap_uv_fs_event_start(uv_fs_event_t *event, uv_fs_event_cb cb, const char *path, unsigned flags)
{
	if (late)
		put("in/d/a", "more");
	late = false;
	backend = cb;
	return __real_uv_fs_event_start(event, on_event, path, flags);
}

static int enter(void **state)
{
	memset(&events, 0, sizeof events);
	if (watch_test_enter(state) || mkdir("in", 0755) || mkdir("in/d", 0755) ||
	    mkdir("in/d/e", 0755))
		return -1;
	put("in/d/a", "");
	put("in/d/e/a", "");
	return 0;
}

static int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

static void begin(unsigned flags)
{
	next_tick(); /* what is there is older than all that follows */
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_FSEVENT, .flags = flags));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &events));
	sync_watcher(w);
}

static void check_told(const char *either, const char *or)
{
	const char *text = told(&events);

	if (!strstr(text, either) && !strstr(text, or))
		fail_msg("neither %s nor %s in: %s", either, or, text);
}

static void write_and_move(unsigned flags)
{
	begin(flags);
	put("in/d/a", "more");
	assert_int_equal(rename("in/d", "in/g"), 0);
	sync_watcher(w);
	check_told("modified in/d/a", "modified in/g/a");
	put("in/g/e/a", "more");
	assert_int_equal(rename("in/g", "in/h"), 0);
	sync_watcher(w);
	check_told("modified in/g/e/a", "modified in/h/e/a");
}

static void test_a_write_and_a_move_of_the_directory(void **state)
{
	(void)state;
	write_and_move(0);
}

static void test_a_write_and_a_move_of_the_directory_without_names(void **state)
{
	(void)state;
	write_and_move(WATCHER__NAMELESS);
}

/* By its path the file is a directory now. */
static void write_and_replace(unsigned flags)
{
	assert_int_equal(mkdir("in/f", 0755), 0);
	assert_int_equal(mkdir("in/f/a", 0755), 0);
	begin(flags);
	put("in/d/a", "more");
	assert_int_equal(rename("in/d", "in/g"), 0);
	assert_int_equal(rename("in/f", "in/d"), 0);
	sync_watcher(w);
	check_told("modified in/d/a", "modified in/g/a");
}

static void test_a_write_and_another_directory_in_its_place(void **state)
{
	(void)state;
	write_and_replace(0);
}

static void test_a_write_and_another_directory_in_its_place_without_names(void **state)
{
	(void)state;
	write_and_replace(WATCHER__NAMELESS);
}

/* It is taken for one that is gone, and watched anew. */
static void move_twice_and_write(unsigned flags)
{
	begin(flags);
	assert_int_equal(rename("in/d", "in/g"), 0);
	assert_int_equal(rename("in/g", "in/d"), 0);
	late = true;
	sync_watcher(w);
	assert_false(late);
	assert_string_equal(told(&events), "modified in/d/a");
}

static void test_a_write_to_a_directory_that_was_moved_twice(void **state)
{
	(void)state;
	move_twice_and_write(0);
}

static void test_a_write_to_a_directory_that_was_moved_twice_without_names(void **state)
{
	(void)state;
	move_twice_and_write(WATCHER__NAMELESS);
}

/* It is where it was when it is looked at, and was written to by another name, which is nobody's. */
static void test_a_write_to_a_file_that_moved_away_and_back(void **state)
{
	(void)state;
	begin(0);
	assert_int_equal(rename("in/d/a", "in/d/e/b"), 0);
	put("in/d/e/b", "more");
	assert_int_equal(rename("in/d/e/b", "in/d/a"), 0);
	sync_watcher(w);
	assert_string_equal(told(&events), "modified in/d/a");
}

/* Directories are looked at again before the system has told of what happened in them; it does not tell
 * what happened in one that is new. */
static void test_a_write_and_a_move_that_are_seen_before_they_are_told_of(void **state)
{
	(void)state;
	begin(0);
	put("in/d/a", "more");
	assert_int_equal(mkdir("in/n", 0755) | rename("in/d/a", "in/n/b"), 0);
	next_tick();
	watcher__pump(w); /* nothing is left to be done, as far as it knows */
	for (uint32_t i = 0; i < w->tree.nnodes; i++)
		watcher__look_at(w, i);
	watcher__pump(w);
	sync_watcher(w);
	assert_string_equal(told(&events), "created in/n, moved in/d/a in/n/b, modified in/n/b");
}

/* The time of a write(2) is that of its beginning, and it is told of at its end. */
static void test_a_write_that_takes_long(void **state)
{
	(void)state;
	begin(0);
	holding = true;
	put("in/d/a", "more");
	next_tick();
	sync_watcher(w);
	assert_non_null(held);
	holding = false;
	next_tick();
	put("in/d/e/a", "more");
	sync_watcher(w);
	assert_null(held);
	assert_string_equal(told(&events), "modified in/d/a, modified in/d/e/a");
}

/* As a write's, and it is not taken for one. */
static void test_a_mode_that_is_told_of_late(void **state)
{
	(void)state;
	begin(0);
	holding = true;
	assert_int_equal(chmod("in/d/a", 0600), 0);
	next_tick();
	sync_watcher(w);
	assert_non_null(held);
	holding = false;
	next_tick();
	put("in/d/e/a", "more");
	sync_watcher(w);
	assert_string_equal(told(&events), "modified in/d/e/a");
}

/* For a directory libuv says of it what it says of a move, too. */
static void test_the_mode_of_a_root(void **state)
{
	static struct told of_root;

	(void)state;
	begin(0);
	add_with(w, "in/d", WATCH(.kinds = WATCHER_ATTRIB, .on_batch = on_told, .arg = &of_root));
	add_with(w, "in", WATCH(.kinds = WATCHER_ATTRIB, .on_batch = on_told, .arg = &of_root));
	sync_watcher(w);
	assert_int_equal(chmod("in", 0700), 0);
	sync_watcher(w);
	assert_string_equal(told(&of_root), "attrib in");
	assert_int_equal(chmod("in/d", 0700), 0);
	sync_watcher(w);
	assert_string_equal(told(&of_root), "attrib in/d, attrib in/d");
	assert_int_equal(unlink("in/d/e/a"), 0);
	sync_watcher(w);
	assert_int_equal(chmod("in/d/e", 0700) | rmdir("in/d/e"), 0);
	sync_watcher(w);
	assert_string_equal(told(&events), "deleted in/d/e/a, deleted in/d/e");
}

int main(void)
{
#define HINTS(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		HINTS(test_a_write_and_a_move_of_the_directory),
		HINTS(test_a_write_and_a_move_of_the_directory_without_names),
		HINTS(test_a_write_and_another_directory_in_its_place),
		HINTS(test_a_write_and_another_directory_in_its_place_without_names),
		HINTS(test_a_write_to_a_directory_that_was_moved_twice),
		HINTS(test_a_write_to_a_directory_that_was_moved_twice_without_names),
		HINTS(test_a_write_to_a_file_that_moved_away_and_back),
		HINTS(test_a_write_and_a_move_that_are_seen_before_they_are_told_of),
		HINTS(test_a_write_that_takes_long),
		HINTS(test_the_mode_of_a_root),
		HINTS(test_a_mode_that_is_told_of_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
