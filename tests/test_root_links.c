/*
 * Roots that are symbolic links, or that links in others lead to.
 */
#include "roots_test.h"

/* What a link of one root leads to is another root: both are told, in whatever order they came. */
static void linked(int backend, bool link_first)
{
	watcher *w = open_watcher(backend);

	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(symlink("../out", "in/l"), 0);
	if (!link_first)
		add(w, "out", &inner);
	if (watcher_add(w, "in",
			WATCH(.on_batch = on_told, .arg = &outer, .follow_symlinks = 1,
			      .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED),
			NULL) < 0)
		fail_msg("in cannot be watched");
	if (link_first)
		add(w, "out", &inner);
	sync_watcher(w);
	put("out/f", "");
	sync_watcher(w);
	assert_string_equal(told(&inner), "created out/f");
	assert_string_equal(told(&outer), "created in/l/f");
	assert_int_equal(unlink("in/l"), 0);
	sync_watcher(w);
	assert_string_equal(told(&outer), "deleted in/l/f, deleted in/l");
	assert_string_equal(told(&inner), "");
	put("out/g", "");
	sync_watcher(w);
	assert_string_equal(told(&inner), "created out/g");
	assert_string_equal(told(&outer), "");
	watcher_close(w);
	assert_int_equal(unlink("out/f"), 0);
	assert_int_equal(unlink("out/g"), 0);
	assert_int_equal(rmdir("out"), 0);
	assert_int_equal(rmdir("in"), 0);
}

static void test_a_link_to_another_root(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		linked(WATCHER_BACKEND_INOTIFY, first);
		linked(WATCHER_BACKEND_FSEVENT, first);
		linked(WATCHER_BACKEND_POLL, first);
		if (getuid() == 0)
			linked(WATCHER_BACKEND_FANOTIFY, first);
	}
}

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FSEVENT,
				WATCHER_BACKEND_POLL };

/* The link in the path of a root is gone, not the file beside it that it led to. */
static void test_a_link_to_a_file_beside_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w = open_watcher(backends[i]);

		make_tree();
		assert_int_equal(symlink("f", "in/c/l"), 0);
		add(w, "in/c/l", &inner);
		add(w, "in", &outer);
		check(w);
		assert_int_equal(unlink("in/c/l"), 0);
		check(w);
		assert_string_equal(told(&outer), "deleted in/c/l");
		assert_string_equal(told(&inner), "deleted in/c/l");
		assert_int_equal(symlink("f", "in/c/l"), 0);
		check(w);
		assert_string_equal(told(&outer), "created in/c/l");
		assert_string_equal(told(&inner), "created in/c/l");
		assert_int_equal(unlink("in/c/f"), 0);
		check(w);
		assert_string_equal(told(&outer), "deleted in/c/f");
		assert_string_equal(told(&inner), "deleted in/c/l");
		watcher_close(w);
		assert_int_equal(unlink("in/c/l") | rmdir("in/c/d") | rmdir("in/c") | rmdir("in"), 0);
	}
}

/* The last of what was told. */
static const char *last(struct told *t)
{
	const char *text = told(t), *comma = strrchr(text, ',');

	return comma ? comma + 2 : text;
}

/* A link takes the name of the file: the root is what it leads to, if that is anything. */
static void a_link_comes(int backend, bool known_around)
{
	watcher *w = open_with(WATCHER(.backend = backend));

	assert_int_equal(mkdir("in", 0755) | mkfifo("in/f", 0600), 0);
	put("in/g", "");
	add_with(w, "in/f", WATCH(.on_batch = on_told, .arg = &inner));
	if (known_around)
		add_with(w, "in", WATCH(.on_batch = on_told, .arg = &outer));
	sync_watcher(w);
	assert_int_equal(unlink("in/f") | symlink("nowhere", "in/f"), 0);
	sync_watcher(w);
	assert_string_equal(last(&inner), "deleted in/f");
	assert_int_equal(unlink("in/f") | mkfifo("in/f", 0600), 0);
	sync_watcher(w);
	assert_string_equal(last(&inner), "created in/f");
	assert_int_equal(symlink("nowhere", "in/l") | rename("in/l", "in/f"), 0);
	sync_watcher(w);
	assert_string_equal(last(&inner), "deleted in/f");
	assert_int_equal(unlink("in/f") | mkfifo("in/f", 0600), 0);
	sync_watcher(w);
	assert_string_equal(last(&inner), "created in/f");
	assert_int_equal(unlink("in/f") | symlink("g", "in/f"), 0);
	sync_watcher(w);
	assert_string_equal(last(&inner), "created in/f");
	put("in/g", "more");
	sync_watcher(w);
	assert_string_equal(last(&inner), "modified in/f");
	if (known_around)
		check(w);
	watcher_close(w);
	assert_int_equal(unlink("in/f") | unlink("in/g") | rmdir("in"), 0);
}

static void test_a_link_takes_the_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		a_link_comes(backends[i], false);
		a_link_comes(backends[i], true);
	}
}

static void on_time(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* What a link led to is gone: that is looked for ever less often, and found at once when the link is
 * made anew. */
static void test_a_link_that_leads_nowhere(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);
	bool over = false;
	uv_timer_t timer;
	int turns = 0;

	(void)state;
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(symlink("../out", "in/l"), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &outer, .follow_symlinks = 1,
				.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED));
	assert_int_equal(rmdir("out"), 0);
	sync_watcher(w);
	uv_timer_init(watcher_loop(w), &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_time, 2000, 0);
	while (!over) {
		uv_run(watcher_loop(w), UV_RUN_ONCE);
		turns++;
	}
	uv_close((uv_handle_t *)&timer, NULL);
	if (turns > 25) /* at the start some at once, and then four or five looks */
		fail_msg("%d turns of the loop in 2 s", turns);
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(unlink("in/l"), 0);
	assert_int_equal(symlink("../out", "in/l"), 0);
	sync_watcher(w);
	told(&outer);
	put("out/f", "");
	sync_watcher(w);
	assert_string_equal(told(&outer), "created in/l/f");
	watcher_close(w);
}

/* The directory above a root moves, and a link to where it is takes its name: the root is the same
 * directory, at another place. */
static void the_way_moves(int backend, bool known_around)
{
	watcher *w = open_watcher(backend);

	make_tree();
	if (known_around)
		add(w, "in", &outer);
	add(w, "in/c/d", &inner);
	check(w);
	assert_int_equal(rename("in/c", "in/a") | symlink("a", "in/c"), 0);
	if (!known_around) {
		sync_watcher(w);
		add(w, "in", &outer);
	}
	check(w);
	told(&outer);
	told(&inner);
	put("in/a/d/g", "");
	check(w);
	assert_string_equal(told(&outer), "created in/a/d/g");
	assert_string_equal(told(&inner), "created in/c/d/g");
	watcher_close(w);
	assert_int_equal(unlink("in/a/d/g") | rmdir("in/a/d") | unlink("in/a/f") | rmdir("in/a"), 0);
	assert_int_equal(unlink("in/c") | rmdir("in"), 0);
}

static void test_a_link_to_where_the_way_moved(void **state)
{
	(void)state;
	for (int around = 0; around < 2; around++) {
		for (size_t i = 0; i < COUNT(backends); i++)
			the_way_moves(backends[i], around);
		if (getuid() == 0)
			the_way_moves(WATCHER_BACKEND_FANOTIFY, around);
	}
}

/* Another watch has the tree, and does not follow what this one does. */
static void test_links_that_only_the_second_follows(void **state)
{
	static const int kinds = WATCHER_CREATED | WATCHER_DELETED;
	static const int looking[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FSEVENT,
				       WATCHER_BACKEND_POLL };

	(void)state;
	assert_int_equal(mkdir("in", 0755) | mkdir("in/d", 0755) | mkdir("out", 0755), 0);
	assert_int_equal(mkdir("out/o", 0755), 0);
	assert_int_equal(symlink("../../out", "in/d/l"), 0);
	for (size_t i = 0; i < COUNT(looking); i++) {
		watcher *w = open_watcher(looking[i]);

		add_with(w, "in", WATCH(.on_batch = on_told, .arg = &inner, .kinds = kinds));
		sync_watcher(w);
		add_with(w, "in", WATCH(.on_batch = on_told, .arg = &outer, .kinds = kinds,
					.follow_symlinks = 1));
		assert_int_equal(mkdir("out/o/n", 0755), 0);
		sync_watcher(w);
		assert_string_equal(told(&outer), "created in/d/l/o/n");
		assert_int_equal(rmdir("out/o/n"), 0);
		sync_watcher(w);
		assert_string_equal(told(&outer), "deleted in/d/l/o/n");
		told(&inner);
		watcher_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_link_to_another_root),
		TEST(test_a_link_to_a_file_beside_it),
		TEST(test_a_link_takes_the_name),
		TEST(test_a_link_that_leads_nowhere),
		TEST(test_a_link_to_where_the_way_moved),
		TEST(test_links_that_only_the_second_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
