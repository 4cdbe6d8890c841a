/*
 * Roots that are symbolic links, or that links in others lead to.
 */
#include "roots_test.h"

#include "next_tick.h"

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

/* A root, or the directory above it, moves, and a link to where it is takes its name: the root is the same directory, at another place. If it has been so for a while, nothing of it is so
 * young that polling would look at it once more. */
static void the_way_moves(int backend, bool known_around, bool for_a_while, bool itself)
{
	watcher *w = open_watcher(backend);

	make_tree();
	if (known_around)
		add(w, "in", &outer);
	add(w, itself ? "in/c" : "in/c/d", &inner);
	check(w);
	assert_int_equal(rename("in/c", "in/a") | symlink("a", "in/c"), 0);
	if (for_a_while) {
		uv_sleep(40);
		sync_watcher(w);
	}
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
	for (unsigned k = 0; k < 8; k++) {
		for (size_t i = 0; i < COUNT(backends); i++)
			the_way_moves(backends[i], k & 1, k & 2, k & 4);
		if (getuid() == 0)
			the_way_moves(WATCHER_BACKEND_FANOTIFY, k & 1, k & 2, k & 4);
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

/* The tree of these tests: a link, a directory with another, and where they lead to. */
static void make_links(void)
{
	assert_int_equal(mkdir("in", 0755) | mkdir("in/d", 0755) | mkdir("out", 0755), 0);
	assert_int_equal(mkdir("out/o", 0755) | mkdir("far", 0755) | mkdir("far/e", 0755), 0);
	put("out/o/h", "");
	put("far/e/k", "");
	assert_int_equal(symlink("../out", "in/l") | symlink("../../far", "in/d/m"), 0);
}

static void remove_links(void)
{
	assert_int_equal(unlink("in/l") | unlink("in/d/m"), 0);
	assert_int_equal(unlink("out/o/h") | unlink("far/e/k"), 0);
	assert_int_equal(rmdir("in/d") | rmdir("in") | rmdir("out/o") | rmdir("out"), 0);
	assert_int_equal(rmdir("far/e") | rmdir("far"), 0);
}

/* `inner` does not follow links, `outer` does. */
static watcher_watch *add_both(watcher *w, bool plain_first)
{
	watch_options o = { .on_batch = on_told, .arg = &outer, .follow_symlinks = 1,
			    .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED };
	watcher_watch *watch;

	o.size = sizeof o;
	if (plain_first)
		add(w, "in", &inner);
	watch = add_with(w, "in", &o);
	if (!plain_first)
		add(w, "in", &inner);
	sync_watcher(w);
	return watch;
}

static void expect(watcher *w, const char *to_follower, const char *to_plain)
{
	sync_watcher(w);
	assert_string_equal(told(&outer), to_follower);
	assert_string_equal(told(&inner), to_plain);
}

/* Two directories in each other's places: not all of it can be told as moves. */
static void swapped(watcher *w)
{
	assert_int_equal(mkdir("in/o", 0755), 0);
	sync_watcher(w);
	for (int back = 0; back < 2; back++) {
		told(&outer);
		told(&inner);
		assert_int_equal(rename("in/d", "in/x") | rename("in/o", "in/d"), 0);
		assert_int_equal(rename("in/x", "in/o"), 0);
		sync_watcher(w);
		assert_non_null(strstr(told(&outer), "/m/e/k"));
		assert_null(strstr(told(&inner), "/m/"));
	}
	assert_int_equal(rmdir("in/o"), 0);
	sync_watcher(w);
	told(&outer);
	told(&inner);
}

/* What is behind a link is for the watch that follows it, the link itself for both. */
static void only_one_follows(watcher *w, int backend, bool plain_first)
{
	make_links();
	if (backend == WATCHER_BACKEND_FSEVENT || backend == WATCHER_BACKEND_POLL)
		next_tick(); /* a link born in the same one may have the number of another */
	add_both(w, plain_first);
	assert_int_equal(mkdir("out/f", 0755), 0);
	expect(w, "created in/l/f", "");
	assert_int_equal(mkdir("out/o/f", 0755), 0);
	expect(w, "created in/l/o/f", "");
	assert_int_equal(rename("out/o/f", "out/g"), 0);
	expect(w, "moved in/l/o/f in/l/g", "");
	assert_int_equal(rename("out/g", "in/g"), 0);
	expect(w, "moved in/l/g in/g", "created in/g");
	assert_int_equal(rename("in/g", "out/g"), 0);
	expect(w, "moved in/g in/l/g", "deleted in/g");
	assert_int_equal(rmdir("out/f") | rmdir("out/g"), 0);
	sync_watcher(w);
	told(&outer);
	assert_string_equal(told(&inner), "");
	assert_int_equal(rename("in/l", "in/n"), 0);
	expect(w, "moved in/l in/n, moved in/l/o in/n/o, moved in/l/o/h in/n/o/h",
	       "moved in/l in/n");
	assert_int_equal(rename("in/d", "in/c"), 0);
	expect(w, "moved in/d in/c, moved in/d/m in/c/m, moved in/d/m/e in/c/m/e, "
		  "moved in/d/m/e/k in/c/m/e/k",
	       "moved in/d in/c, moved in/d/m in/c/m");
	assert_int_equal(rename("in/c", "d"), 0);
	expect(w, "deleted in/c/m/e/k, deleted in/c/m/e, deleted in/c/m, deleted in/c",
	       "deleted in/c/m, deleted in/c");
	assert_int_equal(unlink("in/n"), 0);
	expect(w, "deleted in/n/o/h, deleted in/n/o, deleted in/n", "deleted in/n");
	assert_int_equal(rename("d", "in/d"), 0);
	expect(w, "created in/d, created in/d/m, created in/d/m/e, created in/d/m/e/k",
	       "created in/d, created in/d/m");
	assert_int_equal(symlink("../out", "in/l"), 0);
	expect(w, "created in/l, created in/l/o, created in/l/o/h", "created in/l");
	swapped(w);
}

/* Once it is removed nobody hears from there, nor is it watched; a root there has its own. */
static void the_follower_leaves(watcher *w, bool plain_first)
{
	watcher_watch *follower = add_both(w, plain_first);
	static struct told there;
	watcher_stats_t before, after;

	add(w, "out/o", &there);
	sync_watcher(w);
	put("out/o/f", "");
	expect(w, "created in/l/o/f", "");
	assert_string_equal(told(&there), "created out/o/f");
	watcher_stats(w, &before, sizeof before);
	watcher_remove(follower);
	sync_watcher(w);
	watcher_stats(w, &after, sizeof after);
	assert_int_equal(after.directories, before.directories - 6); /* in, in/d, out, out/o, far, far/e */
	assert_int_equal(unlink("out/o/f"), 0);
	put("far/f", "");
	put("in/d/f", "");
	expect(w, "", "created in/d/f");
	assert_string_equal(told(&there), "deleted out/o/f");
	assert_int_equal(unlink("far/f") | unlink("in/d/f"), 0);
}

/* What is behind a link is not watched any more where only those have it who do not follow. */
static void moved_out_of_sight(watcher *w)
{
	watcher_stats_t before, after;

	make_links();
	assert_int_equal(mkdir("in/o", 0755), 0);
	add(w, "in", &inner);
	add_with(w, "in/d", WATCH(.on_batch = on_told, .arg = &outer, .follow_symlinks = 1,
				  .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED));
	sync_watcher(w);
	assert_int_equal(mkdir("in/d/c", 0755) | rename("in/d/m", "m"), 0);
	assert_int_equal(symlink("../../../far", "in/d/c/m"), 0);
	sync_watcher(w);
	told(&outer);
	told(&inner);
	watcher_stats(w, &before, sizeof before);
	assert_int_equal(rename("in/d/c", "in/o/c"), 0);
	expect(w, "deleted in/d/c/m/e/k, deleted in/d/c/m/e, deleted in/d/c/m, deleted in/d/c",
	       "moved in/d/c in/o/c, moved in/d/c/m in/o/c/m");
	watcher_stats(w, &after, sizeof after);
	assert_int_equal(after.directories, before.directories - 3); /* in/d/c, far, far/e */
	put("far/f", "");
	expect(w, "", "");
	assert_int_equal(unlink("far/f") | unlink("in/o/c/m") | rename("m", "in/d/m"), 0);
	assert_int_equal(rmdir("in/o/c") | rmdir("in/o"), 0);
	remove_links();
}

/* What the link leads to is in the tree, too: told of at one of the two to the one that follows. */
static void linked_within(watcher *w, bool plain_first)
{
	watcher_watch *follower = add_both(w, plain_first);

	put("in/d/f", "");
	sync_watcher(w);
	if (strcmp(outer.text, "created in/a/f"))
		assert_string_equal(outer.text, "created in/d/f");
	told(&outer);
	assert_string_equal(told(&inner), "created in/d/f");
	watcher_remove(follower);
	assert_int_equal(unlink("in/d/f"), 0);
	sync_watcher(w);
	assert_string_equal(told(&inner), "deleted in/d/f");
}

static void test_links_that_only_one_follows(void **state)
{
	static const int all[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FSEVENT,
				   WATCHER_BACKEND_POLL, WATCHER_BACKEND_FANOTIFY };

	(void)state;
	for (size_t i = 0; i < COUNT(all) - (getuid() != 0); i++) {
		for (int plain_first = 0; plain_first < 2; plain_first++) {
			watcher *w = open_watcher(all[i]);

			only_one_follows(w, all[i], plain_first);
			watcher_close(w);
			w = open_watcher(all[i]);
			the_follower_leaves(w, plain_first);
			watcher_close(w);
			remove_links();
			w = open_watcher(all[i]);
			moved_out_of_sight(w);
			watcher_close(w);
			for (int link_first = 0; link_first < 2; link_first++) {
				assert_int_equal(mkdir("in", 0755), 0);
				assert_int_equal(link_first ? symlink("d", "in/a") : 0, 0);
				assert_int_equal(mkdir("in/d", 0755), 0);
				assert_int_equal(link_first ? 0 : symlink("d", "in/a"), 0);
				w = open_watcher(all[i]);
				linked_within(w, plain_first);
				watcher_close(w);
				assert_int_equal(unlink("in/a") | rmdir("in/d") | rmdir("in"), 0);
			}
		}
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
		TEST(test_links_that_only_one_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
