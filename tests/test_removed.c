/* clang-format off */
/*
 * A large tree whose watch has been removed: it is nobody's at once, and what it holds is given
 * back a few directories at a time. Other trees, and the same one, may be watched meanwhile.
 *
 * link: -Wl,--wrap=inotify_add_watch,--wrap=read,--wrap=uv_hrtime,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
 */
/* clang-format on */
#define DEADLINE_MS 60000
#define ABOVE	    3 /* directories on the way to what is watched: of the test, and what is above that */
#include "watch_test.h"

#include <sys/inotify.h>

#include "failing_memory.h"
#include "index_check.h"
#include "watcher/engine.h"

/* Names are what makes it large: of one file, for that takes less time. */
enum { DIRS = 600, LINKS = 14, LINKS_FROM = 300 };

static bool no_memory, limit_reached;

static bool memory_fails(void)
{
	return no_memory;
}

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	if (!limit_reached)
		return __real_inotify_add_watch(fd, path, mask);
	limit_reached = false;
	errno = ENOSPC;
	return -1;
}

/* With `only_one` the next event is heard, and no other, and the clock stands still. */
static bool only_one, one_heard;
static uint64_t stopped_ns;

ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size);

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	ssize_t n;

	if (!only_one || size <= sizeof(struct inotify_event) + NAME_MAX)
		return __real_read(fd, buf, size);
	if (one_heard) {
		errno = EAGAIN;
		return -1;
	}
	n = __real_read(fd, buf, sizeof(struct inotify_event) + 16);
	one_heard = n > 0;
	return n;
}

uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);

uint64_t __wrap_uv_hrtime(void)
{
	return only_one ? stopped_ns : __real_uv_hrtime();
}

static void hear_only_one(watcher *w)
{
	stopped_ns = uv_hrtime();
	only_one = true;
	one_heard = false;
	while (!one_heard) /* and not one turn more, for halves of moves end by the second */
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
}

static int make_trees(void **state)
{
	char path[32];

	if (watch_test_enter(state) || mkdir("t", 0755) || mkdir("other", 0755))
		return -1;
	for (int i = 0; i < DIRS; i++) {
		snprintf(path, sizeof path, "t/d%d", i);
		if (mkdir(path, 0755))
			return -1;
	}
	put("t/file", "");
	for (int i = 0; i < (DIRS - LINKS_FROM) * LINKS; i++) {
		snprintf(path, sizeof path, "t/d%d/%d", LINKS_FROM + i / LINKS, i);
		if (link("t/file", path))
			return -1;
	}
	return mkdir("t/d7/x", 0755) || mkdir("t/d7/x/y", 0755) || mkdir("t/d8/x", 0755) ||
			       mkdir("t/d8/x/y", 0755) ?
		       -1 :
		       0;
}

static struct told t, u;

/* A watch of the large tree, and of one beside it. */
static watcher *open_both(watcher_watch **large)
{
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));

	told(&t);
	told(&u);
	add_with(w, "other", WATCH(.on_batch = on_told, .arg = &u));
	*large = add_with(w, "t", WATCH(.on_batch = on_told, .arg = &t));
	sync_watcher(w);
	return w;
}

static watcher_stats_t stats_of(const watcher *w)
{
	watcher_stats_t s;

	watcher_stats(w, &s, sizeof s);
	return s;
}

static bool is_given_back(void *w)
{
	return ((struct watcher *)w)->tree.cut == NO_DIR && !((struct watcher *)w)->nunwatch;
}

static void give_back(watcher *w)
{
	turn_until(watcher_loop(w), is_given_back, w);
}

static void check_index(watcher *w)
{
	char text[4000];

	if (index_check(w, text, sizeof text))
		fail_msg("%s", text);
}

/* Not given back in the call, nor within a turn or two; all of it in the end. */
static void test_it_ends_at_once_and_goes_in_parts(void **state)
{
	watcher_watch *large;
	watcher *w = open_both(&large);
	watcher_stats_t s = stats_of(w);

	(void)state;
	assert_int_equal(s.directories, DIRS + 6);
	assert_int_equal(s.watches, DIRS + 6 + ABOVE);
	watcher_remove(large);
	s = stats_of(w);
	assert_int_equal(s.directories, 1);
	assert_int_equal(s.files, 0);
	assert_int_equal(s.watches, DIRS + 6 + ABOVE);
	put("t/d0/f", "");
	assert_int_equal(rename("t/d0/f", "other/f"), 0);
	give_back(w);
	s = stats_of(w);
	assert_int_equal(s.watches, 1 + ABOVE);
	sync_watcher(w);
	assert_string_equal(told(&t), "");
	assert_string_equal(told(&u), "created other/f");
	assert_int_equal(w->sources[0].nodes.count, 1);
	check_index(w);
	watcher_close(w);
	assert_int_equal(unlink("other/f"), 0);
}

static void test_the_same_tree_again(void **state)
{
	watcher_watch *large;
	watcher *w = open_both(&large);
	watcher_stats_t before = stats_of(w), s;

	(void)state;
	for (int turns = 0; turns < 3; turns++) {
		put("t/d1/before", "");
		watcher_remove(large);
		put("t/d2/before", "");
		for (int i = 0; i < turns; i++)
			uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		large = add_with(w, "t", WATCH(.on_batch = on_told, .arg = &t));
		sync_watcher(w);
		assert_string_equal(told(&t), "");
		assert_int_equal(symlink("x", "t/d0/g"), 0);
		assert_int_equal(symlink("x", "t/d599/g"), 0);
		sync_watcher(w);
		assert_string_equal(told(&t), "created t/d0/g, created t/d599/g");
		for (int i = 0; i < 2; i++)
			assert_int_equal(unlink(i ? "t/d0/g" : "t/d599/g"), 0);
		assert_int_equal(unlink("t/d1/before") | unlink("t/d2/before"), 0);
		sync_watcher(w);
		told(&t);
		s = stats_of(w);
		assert_int_equal(s.directories, before.directories);
		assert_int_equal(s.watches, before.watches);
		check_index(w);
	}
	watcher_close(w);
}

/* Directories go from what has been removed to what is watched, before their watches have ended. */
static void test_what_moves_out_of_it_is_watched(void **state)
{
	watcher_watch *large;
	watcher *w = open_both(&large);
	char from[32], to[32];

	(void)state;
	watcher_remove(large);
	for (int i = 10; i < LINKS_FROM; i += 100) {
		snprintf(from, sizeof from, "t/d%d", i);
		snprintf(to, sizeof to, "other/d%d", i);
		assert_int_equal(rename(from, to), 0);
	}
	sync_watcher(w);
	assert_string_equal(told(&u), "created other/d10, created other/d110, created other/d210");
	give_back(w);
	for (int i = 10; i < LINKS_FROM; i += 100) {
		snprintf(to, sizeof to, "other/d%d/f", i);
		assert_int_equal(mkfifo(to, 0600), 0);
	}
	sync_watcher(w);
	assert_string_equal(told(&u), "created other/d10/f, created other/d110/f, "
				      "created other/d210/f");
	check_index(w);
	assert_int_equal(stats_of(w).watches, 4 + ABOVE);
	watcher_close(w);
	for (int i = 10; i < LINKS_FROM; i += 100) {
		snprintf(to, sizeof to, "other/d%d/f", i);
		assert_int_equal(unlink(to), 0);
		snprintf(to, sizeof to, "other/d%d", i);
		assert_int_equal(rmdir(to), 0);
		snprintf(from, sizeof from, "t/d%d", i);
		assert_int_equal(mkdir(from, 0755), 0);
	}
}

/* A watch below stays, as far as it reaches; one of the same directory keeps all. */
static void test_overlapping_watches(void **state)
{
	static struct told below, all_below, same;
	watcher_watch *large, *twin;
	watcher *w = open_both(&large);

	(void)state;
	add_with(w, "t/d7", WATCH(.depth = 1, .on_batch = on_told, .arg = &below));
	add_with(w, "t/d7/x/y", WATCH(.on_batch = on_told, .arg = &below));
	assert_int_equal(mkdir("t/late", 0755) | rename("t/d8/x", "t/late/x"), 0);
	sync_watcher(w); /* ... and what is in it came into the index before it */
	add_with(w, "t/late", WATCH(.on_batch = on_told, .arg = &all_below));
	add_with(w, "t/late/x/y", WATCH(.on_batch = on_told, .arg = &below));
	twin = add_with(w, "t", WATCH(.on_batch = on_told, .arg = &same));
	sync_watcher(w);
	watcher_remove(large);
	assert_true(is_given_back(w));
	assert_int_equal(stats_of(w).directories, DIRS + 7);
	told(&t);
	put("t/d5/f", "");
	assert_int_equal(unlink("t/d5/f"), 0);
	sync_watcher(w);
	assert_string_equal(told(&t), "");
	assert_string_equal(told(&same), "created t/d5/f, deleted t/d5/f");

	watcher_remove(twin);
	assert_false(is_given_back(w));
	assert_int_equal(stats_of(w).directories, 6);
	give_back(w);
	assert_int_equal(stats_of(w).watches, 6 + ABOVE + 2); /* t, and t/d7/x, are on the way */
	assert_int_equal(mkfifo("t/d7/f", 0600), 0);
	assert_int_equal(mkfifo("t/d7/x/f", 0600), 0);
	assert_int_equal(mkfifo("t/d7/x/y/f", 0600), 0);
	assert_int_equal(mkfifo("t/late/x/y/f", 0600), 0);
	sync_watcher(w);
	assert_string_equal(told(&same), "");
	assert_string_equal(told(&all_below), "created t/late/x/y/f");
	assert_string_equal(told(&below),
			    "created t/d7/f, created t/d7/x/y/f, created t/late/x/y/f");
	watcher_close(w);
	assert_int_equal(unlink("t/d7/f") | unlink("t/d7/x/f") | unlink("t/d7/x/y/f") |
			     unlink("t/late/x/y/f") | rename("t/late/x", "t/d8/x") |
			     rmdir("t/late"),
			 0);
}

/* Two roots of one watch, one below the other. */
static void test_both_roots_of_a_watch(void **state)
{
	watcher_watch *large;
	watcher *w = open_both(&large);

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(watcher_watch_add_root(large, "t/d7", NULL), 0);
		assert_int_equal(watcher_watch_add_root(large, "t/d7/x/y", NULL), 0);
		watcher_remove(large);
		assert_int_equal(stats_of(w).directories, 1);
		give_back(w);
		assert_int_equal(stats_of(w).watches, 1 + ABOVE);
		if (i == 0)
			large = add_with(w, "t", WATCH(.on_batch = on_told, .arg = &t));
	}
	check_index(w);
	watcher_close(w);
}

/* The index is sound: what comes next has its place in it. */
static void check_new(watcher *w)
{
	check_index(w);
	assert_int_equal(mkdir("other/new", 0755), 0);
	assert_int_equal(mkdir("other/new/d", 0755), 0);
	sync_watcher(w);
	assert_string_equal(told(&u), "created other/new, created other/new/d");
	check_index(w);
	assert_int_equal(rmdir("other/new/d") | rmdir("other/new"), 0);
}

static bool is_told(void *text)
{
	return *(char *)text != '\0';
}

/* A directory that has a watch of its own leaves the watch above: half of a move, and no root. */
static void test_root_that_leaves(void **state)
{
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));

	(void)state;
	assert_int_equal(mkdir("other/m", 0755) | mkdir("other/m/d", 0755), 0);
	told(&u);
	add_with(w, "other", WATCH(.on_batch = on_told, .arg = &u));
	add_with(w, "other/m", WATCH(.depth = 0));
	sync_watcher(w);
	assert_int_equal(rename("other/m", "elsewhere"), 0);
	turn_until(watcher_loop(w), is_told, u.text); /* sync would have it end at once */
	assert_string_equal(told(&u), "deleted other/m/d, deleted other/m");
	check_new(w);
	watcher_close(w);
	assert_int_equal(rmdir("elsewhere/d") | rmdir("elsewhere"), 0);
}

/* The watch of its own ends while it is between two names, and nobody's but the move's. It comes
 * to another name, or to none that is watched. */
static void test_watch_of_what_is_moving(void **state)
{
	static const char *const to[] = { "other/moved", "elsewhere" };

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(to); i++) {
		watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
		const char *dest = to[i % COUNT(to)];
		watcher_watch *inner;
		bool below = i >= COUNT(to);

		assert_int_equal(mkdir("other/m", 0755) | mkdir("other/m/d", 0755), 0);
		told(&u);
		add_with(w, "other", WATCH(.on_batch = on_told, .arg = &u));
		inner = add_with(w, below ? "other/m/d" : "other/m", WATCH(.depth = 0));
		sync_watcher(w);
		assert_int_equal(rename("other/m", dest), 0);
		hear_only_one(w);
		assert_int_equal(w->nhalves, 1);
		watcher_remove(inner);
		only_one = false;
		sync_watcher(w);
		assert_string_equal(told(&u), i % COUNT(to) ? "deleted other/m/d, deleted other/m" :
							      "moved other/m other/moved, "
							      "moved other/m/d other/moved/d");
		check_new(w);
		watcher_close(w);
		assert_int_equal(rename(dest, "gone") | rmdir("gone/d") | rmdir("gone"), 0);
	}
}

static void test_closing_meanwhile(void **state)
{
	uv_loop_t loop;

	(void)state;
	for (int turns = 0; turns < 4; turns++) {
		watcher *w;

		assert_int_equal(uv_loop_init(&loop), 0);
		w = open_with(WATCHER(.loop = &loop, .backend = WATCHER_BACKEND_INOTIFY));
		watcher_remove(add_with(w, "t", WATCH(.depth = 0)));
		for (int i = 0; i < turns; i++)
			uv_run(&loop, UV_RUN_NOWAIT);
		watcher_close(w);
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&loop), 0);
	}
}

/* Nothing is allocated for it. */
static void test_without_memory(void **state)
{
	watcher_watch *large;
	watcher *w = open_both(&large);

	(void)state;
	no_memory = true;
	watcher_remove(large);
	assert_int_equal(stats_of(w).directories, 1);
	while (!is_given_back(w))
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	no_memory = false;
	assert_int_equal(stats_of(w).watches, 1 + ABOVE);
	put("other/f", "");
	sync_watcher(w);
	assert_string_equal(told(&u), "created other/f");
	check_index(w);
	watcher_close(w);
	assert_int_equal(unlink("other/f"), 0);
}

/* The watches that are still to end are those that are missing. */
static void test_watches_run_out(void **state)
{
	watcher_watch *large;
	watcher *w = open_both(&large);

	(void)state;
	watcher_remove(large);
	assert_int_equal(mkdir("other/d", 0755), 0);
	limit_reached = true;
	sync_watcher(w);
	assert_false(limit_reached);
	assert_int_equal(stats_of(w).watches, 2 + ABOVE);
	assert_int_equal(stats_of(w).polled_directories, 0);
	assert_int_equal(mkfifo("other/d/f", 0600), 0);
	sync_watcher(w);
	assert_string_equal(told(&u), "created other/d, created other/d/f");
	watcher_close(w);
	assert_int_equal(unlink("other/d/f") | rmdir("other/d"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_ends_at_once_and_goes_in_parts),
		cmocka_unit_test(test_the_same_tree_again),
		cmocka_unit_test(test_what_moves_out_of_it_is_watched),
		cmocka_unit_test(test_overlapping_watches),
		cmocka_unit_test(test_both_roots_of_a_watch),
		cmocka_unit_test(test_root_that_leaves),
		cmocka_unit_test(test_watch_of_what_is_moving),
		cmocka_unit_test(test_closing_meanwhile),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_watches_run_out),
	};

	return cmocka_run_group_tests(tests, make_trees, watch_test_leave);
}
