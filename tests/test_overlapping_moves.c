/*
 * Watches in one another, while what they have moves: what is found by reading before it is told, or
 * half of which is told, is told to each of them as it knows things.
 * link: -Wl,--wrap=watcher__catch_up,--wrap=watcher__compare_before
 */
#include "overlapping_test.h"

#include "next_tick.h"

#include <sys/syscall.h>

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

static void exchange(const char *a, const char *b)
{
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2), 0);
}

/* A place that is not watched. */
static const char *away(void)
{
	static char path[sizeof watch_test_top + 8];

	snprintf(path, sizeof path, "%s-away", watch_test_top);
	return path;
}

/* A directory is told to be there, and what is found at its name only then has moved there: to those
 * who do not know from where, it has not come once more. */
static void test_found_where_it_was_told_to_be(void **state)
{
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("n", 0755) | mkdir("x", 0755) | mkdir("x/b", 0755), 0);
	assert_int_equal(mkfifo("x/b/f", 0600), 0);
	w = open_first_with(WATCHER_BACKEND_POLL, *WATCH(.depth = 0));
	add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
	assert_int_equal(mkdir("n/a", 0755), 0);
	watcher__look_everywhere(w, w->calm_ns);
	for (int i = 0; i < 3; i++) /* ".", "n", "x" */
		watcher__look_one_queued(w);
	assert_int_equal(rmdir("n/a"), 0);
	assert_true(watcher__look_go(w, UINT64_MAX));
	assert_int_equal(rename("x/b", "n/a"), 0);
	watcher__pump(w);
	sync_watcher(w);
	assert_string_equal(told(&first), "created n/a, moved x/b n/a, moved x/b/f n/a/f");
	assert_string_equal(told(&second), "created n/a, created n/a/f");
	check_index(w);
	watcher_close(w);
}

/* The root of the second is another directory by now, which the index has where that was: what has
 * gone from it ends for the first there, and for the second in its root. */
static void exchanged_and_emptied(int backend, const char *root, const char *other)
{
	char expected[100], emptied[8];
	const char *seen;
	watcher *w;

	assert_int_equal(mkdir(root, 0755) | mkdir(other, 0755), 0);
	snprintf(emptied, sizeof emptied, "%s/f", other);
	assert_int_equal(mkfifo(emptied, 0600), 0);
	w = open_first_with(backend, *WATCH(.depth = 0));
	if (w)
		add_with(w, root, WATCH(.on_batch = on_told, .arg = &second));
	next_tick(); /* polling knows by its times what moved */
	exchange(root, other);
	snprintf(emptied, sizeof emptied, "%s/f", root);
	assert_int_equal(unlink(emptied), 0);
	if (w) {
		sync_watcher(w);
		seen = told(&second);
		snprintf(expected, sizeof expected, "deleted %s, created %s", root, root);
		assert_non_null(strstr(seen, expected));
		snprintf(expected, sizeof expected, "deleted %s/f", root);
		assert_true(!strstr(seen, "/f") || strstr(seen, expected));
		check_index(w);
		watcher_close(w);
	}
	assert_int_equal(rmdir(root) | rmdir(other), 0);
}

static void test_second_is_exchanged_and_emptied(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) { /* whichever name is read first */
		exchanged_and_emptied(backends[i], "n", "x");
		exchanged_and_emptied(backends[i], "x", "n");
	}
}

static void look_at_some(watcher *w, int n)
{
	while (n--)
		watcher__look_one_queued(w);
}

/* What was told to be in a directory that has moved since is replaced by another that moves: to those
 * who see only where the directory was, that was still in it. */
static void test_replaced_in_what_has_moved(void **state)
{
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("p", 0755) | mkdir("p/n", 0755) | mkdir("q", 0755), 0);
	assert_int_equal(mkdir("x", 0755) | mkdir("x/b", 0755) | mkfifo("x/b/f", 0600), 0);
	told(&third);
	w = open_first_with(WATCHER_BACKEND_POLL, *WATCH(.depth = 0));
	add_with(w, "p", WATCH(.on_batch = on_told, .arg = &second));
	add_with(w, "q", WATCH(.on_batch = on_told, .arg = &third));
	assert_int_equal(mkdir("p/n/a", 0755), 0);
	watcher__look_everywhere(w, w->calm_ns);
	look_at_some(w, 6); /* ".", the three in it, "p/n", "x/b" */
	assert_int_equal(rename("p/n", "q/n"), 0);
	assert_true(watcher__look_go(w, UINT64_MAX));
	watcher__look_everywhere(w, w->calm_ns);
	look_at_some(w, 7); /* ".", the three in it, "q/n", "x/b", "q/n" as what was "p/n" */
	assert_int_equal(rmdir("q/n/a") | rename("x/b", "q/n/a"), 0);
	sync_watcher(w);
	assert_string_equal(told(&first), "created p/n/a, moved p/n q/n, moved p/n/a q/n/a, "
					  "moved x/b q/n/a, moved x/b/f q/n/a/f");
	assert_string_equal(told(&second), "created p/n/a, deleted p/n/a, deleted p/n");
	assert_string_equal(told(&third), "created q/n, created q/n/a, created q/n/a/f");
	check_index(w);
	watcher_close(w);
}

/* A directory has moved to where only the third sees it, and what had left it before may still have
 * come to somewhere else. */
static void test_found_while_a_half_waits(void **state)
{
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("n", 0755) | mkdir("n/d", 0755) | mkdir("m", 0755), 0);
	assert_int_equal(mkfifo("n/d/f", 0600) | mkfifo("n/d/g", 0600), 0);
	told(&third);
	w = open_first(*WATCH(.depth = 0));
	add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
	add_with(w, "m", WATCH(.on_batch = on_told, .arg = &third));
	assert_int_equal(rename("n/d/f", away()) | mkdir("m/x", 0755) | rename("n/d", "m/x/d"), 0);
	sync_watcher(w);
	assert_int_equal(unlink(away()), 0);
	assert_string_equal(told(&first), "created m/x, deleted n/d/f, moved n/d m/x/d, "
					  "moved n/d/g m/x/d/g");
	assert_string_equal(told(&second), "deleted n/d/f, deleted n/d/g, deleted n/d");
	assert_string_equal(told(&third), "created m/x, created m/x/d, created m/x/d/g");
	check_index(w);
	watcher_close(w);
}

/* The root of the second has left its name, and come back, when it is read: to the first, who has not
 * heard of that yet, it is still there. */
static void test_read_while_it_is_half_moved(void **state)
{
	watcher *w = open_first(*WATCH(.depth = 0));

	(void)state;
	assert_int_equal(mkdir("n", 0755), 0);
	add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
	assert_int_equal(rename("n", away()) | rename(away(), "n") | mkdir("n/a", 0755), 0);
	sync_watcher(w);
	assert_string_equal(told(&first), meanwhile ?
			    "created n, created n/a, deleted n/a, deleted n, created n, created n/a" :
			    "created n, deleted n, created n, created n/a");
	check_index(w);
	watcher_close(w);
}

static uint32_t node_of(const watcher_watch *watch)
{
	return LIST_ENTRY(watch->roots.next, struct root, link)->node;
}

/* What a pass has found in the root of the second is told of nowhere, for the root itself has been
 * replaced; then the second does not hear of what is done to it, either. */
static void test_found_in_what_is_gone(void **state)
{
	watcher_watch *watch;
	const char *seen;
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("n", 0755), 0);
	w = open_first(*WATCH(.depth = 0));
	watch = add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
	put("n/f", "f");
	watcher__look_at(w, node_of(watch));
	watcher__look_one_queued(w);
	assert_int_equal(rename("n", away()) | mkdir("n", 0755), 0);
	watcher__look_at(w, tree_dir(&w->tree, node_of(watch))->parent);
	assert_true(watcher__look_go(w, UINT64_MAX));
	sync_watcher(w);
	seen = told(&second);
	assert_true(!strstr(seen, "n/f") || strstr(seen, "created n/f"));
	check_index(w);
	watcher_close(w);
	assert_int_equal(nftw(away(), watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Two have changed places, and both have moved on before anybody could look: which is which can only be
 * guessed, and is seen later. */
static void test_exchanged_before_it_was_seen(void **state)
{
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("b", 0755) | mkfifo("b/f", 0600) | mkdir("p", 0755), 0);
	w = open_first(*WATCH(.depth = 0));
	assert_int_equal(mkdir("a", 0755), 0);
	exchange("b", "a");
	assert_int_equal(rename("a", away()) | rename("b", "p/b"), 0);
	sync_watcher(w);
	check_index(w);
	watcher_close(w);
	assert_int_equal(nftw(away(), watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found_where_it_was_told_to_be),
		TEST(test_second_is_exchanged_and_emptied),
		TEST(test_replaced_in_what_has_moved),
		TEST(test_found_while_a_half_waits),
		TEST(test_read_while_it_is_half_moved),
		TEST(test_found_in_what_is_gone),
		TEST(test_exchanged_before_it_was_seen),
	};

	int failed = 0;

	for (int i = 0; i < 2; i++) {
		meanwhile = i;
		failed |= cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
