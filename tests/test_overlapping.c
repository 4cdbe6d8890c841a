/*
 * A watch is added where another is already: it takes nothing from that one, and what only the
 * later one wants below is read for it.
 * link: -Wl,--wrap=watcher__catch_up,--wrap=watcher__compare_before
 */
#include "overlapping_test.h"

#include "next_tick.h"

#include <sys/syscall.h>

/* What has happened, and was not heard of yet, when the second begins. */
static void test_first_hears_of_what_was_before(void **state)
{
	static const char *const paths[] = { ".", "d", "d/e" };

	(void)state;
	assert_int_equal(mkdir("d", 0755) | mkdir("d/e", 0755), 0);
	for (size_t i = 0; i < COUNT(paths); i++) {
		watcher *w = open_first(*WATCH(.depth = 0));
		char path[32], expected[300];

		snprintf(path, sizeof path, "%s/f", paths[i]);
		assert_int_equal(mkfifo(path, 0600), 0);
		snprintf(path, sizeof path, "%s/n", paths[i]);
		assert_int_equal(mkdir(path, 0755), 0);
		snprintf(path, sizeof path, "%s/n/f", paths[i]);
		assert_int_equal(mkfifo(path, 0600), 0);
		add_with(w, paths[i], WATCH(.on_batch = on_told, .arg = &second));
		sync_watcher(w);
		snprintf(expected, sizeof expected, "created %s%sf, created %s%sn, created %s%sn/f",
			 i ? paths[i] : "", i ? "/" : "", i ? paths[i] : "", i ? "/" : "",
			 i ? paths[i] : "", i ? "/" : "");
		assert_string_equal(told(&first), expected);
		check_index(w);
		for (int k = 0; k < 3; k++) {
			snprintf(path, sizeof path, "%s/%s", paths[i],
				 (const char *const[]){ "f", "n/f", "n" }[k]);
			assert_int_equal(remove(path), 0);
		}
		sync_watcher(w);
		snprintf(expected, sizeof expected, "deleted %s%sf, deleted %s%sn/f, deleted %s%sn",
			 i ? paths[i] : "", i ? "/" : "", i ? paths[i] : "", i ? "/" : "",
			 i ? paths[i] : "", i ? "/" : "");
		assert_string_equal(told(&first), expected);
		check_index(w);
		watcher_close(w);
	}
}

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

/* The second is around the first: what is read for it is not what that one was still to hear of. */
static void test_second_is_added_around_the_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher_error err;
		watcher *w;

		assert_int_equal(mkdir("n", 0755) | mkdir("n/d", 0755), 0);
		if (watcher_open(&w, WATCHER(.backend = backends[i]), &err) < 0) {
			assert_int_equal(backends[i], WATCHER_BACKEND_FANOTIFY);
			assert_int_equal(rmdir("n/d") | rmdir("n"), 0);
			continue;
		}
		told(&first);
		add_with(w, "n/d", WATCH(.on_batch = on_told, .arg = &first));
		sync_watcher(w);
		assert_int_equal(mkdir("n/d/e", 0755) | mkfifo("n/d/e/f", 0600), 0);
		add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
		sync_watcher(w);
		assert_string_equal(told(&first), "created n/d/e, created n/d/e/f");
		check_index(w);
		watcher_close(w);
		assert_int_equal(unlink("n/d/e/f") | rmdir("n/d/e") | rmdir("n/d") | rmdir("n"), 0);
	}
}

/* What a pass has begun to find is no news to a watch that is added then; to those who are there
 * it is. */
static void test_second_is_added_within_a_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w = open_first_with(backends[i], *WATCH(.depth = 0));

		if (!w)
			continue;
		assert_int_equal(mkdir("n", 0755) | mkdir("n/d", 0755) | mkfifo("n/d/f", 0600), 0);
		watcher__look_everywhere(w, w->calm_ns);
		add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
		sync_watcher(w);
		assert_string_equal(told(&first), "created n, created n/d, created n/d/f");
		assert_string_equal(told(&second), "");
		assert_int_equal(unlink("n/d/f") | rmdir("n/d"), 0);
		sync_watcher(w);
		assert_string_equal(told(&first), "deleted n/d/f, deleted n/d");
		assert_string_equal(told(&second), "deleted n/d/f, deleted n/d");
		check_index(w);
		watcher_close(w);
		assert_int_equal(rmdir("n"), 0);
	}
}

/* A pass has found that there is nothing in it any more, before that was heard of. */
static void test_second_is_added_to_what_was_emptied(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		assert_int_equal(mkdir("n", 0755) | mkfifo("n/f", 0600), 0);
		w = open_first_with(backends[i], *WATCH(.depth = 0));
		assert_int_equal(unlink("n/f"), 0);
		if (w) {
			watcher__look_everywhere(w, w->calm_ns);
			add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
			sync_watcher(w);
			assert_string_equal(told(&first), "deleted n/f");
			assert_string_equal(told(&second), "");
			check_index(w);
			watcher_close(w);
		}
		assert_int_equal(rmdir("n"), 0);
	}
}

/* The directory that a root is to come to is on its way only, and no less a part of what is added around
 * it: what is done there before that has been read is told. */
static void test_second_is_added_around_what_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher_error err;
		watcher *w;

		assert_int_equal(mkdir("n", 0755) | mkdir("n/d", 0755) | mkfifo("n/f", 0600), 0);
		if (watcher_open(&w, WATCHER(.backend = backends[i]), &err) < 0) {
			assert_int_equal(backends[i], WATCHER_BACKEND_FANOTIFY);
			assert_int_equal(unlink("n/f") | rmdir("n/d") | rmdir("n"), 0);
			continue;
		}
		told(&first);
		told(&second);
		add_with(w, "n/d/e", WATCH(.on_batch = on_told, .arg = &first));
		add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
		assert_int_equal(link("n/f", "n/d/g"), 0);
		sync_watcher(w);
		assert_int_equal(mkfifo("n/d/e", 0600), 0);
		sync_watcher(w);
		assert_string_equal(told(&first), "created n/d/e");
		assert_string_equal(told(&second), "created n/d/g, created n/d/e");
		check_index(w);
		watcher_close(w);
		assert_int_equal(unlink("n/d/g") | unlink("n/d/e") | unlink("n/f") | rmdir("n/d") |
				 rmdir("n"), 0);
	}
}

/* What the one in it does not want is not known of it, and wanted by the one around it. */
static void test_second_wants_less(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w = open_first_with(backends[i], *WATCH(.depth = 0));

		if (!w)
			continue;
		assert_int_equal(mkdir("n", 0755) | mkdir("n/d", 0755) | mkdir("n/d/e", 0755) |
				 mkfifo("n/d/e/f", 0600), 0);
		add_with(w, "n", WATCH(.depth = 2, .on_batch = on_told, .arg = &second));
		sync_watcher(w);
		assert_string_equal(told(&first), "created n, created n/d, created n/d/e, "
						  "created n/d/e/f");
		check_index(w);
		assert_int_equal(unlink("n/d/e/f") | rmdir("n/d/e") | rmdir("n/d"), 0);
		sync_watcher(w);
		assert_string_equal(told(&first), "deleted n/d/e/f, deleted n/d/e, deleted n/d");
		watcher_close(w);
		assert_int_equal(rmdir("n"), 0);
	}
}

/* The wider one comes second: what it finds of that is no news to it. */
static void test_first_wants_less(void **state)
{
	(void)state;
	assert_int_equal(mkdir("n", 0755) | mkdir("n/d", 0755) | mkdir("n/d/e", 0755) |
			 mkdir("n/d/e/g", 0755), 0);
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher_error err;
		watcher *w;

		if (watcher_open(&w, WATCHER(.backend = backends[i]), &err) < 0) {
			assert_int_equal(backends[i], WATCHER_BACKEND_FANOTIFY);
			continue;
		}
		told(&first);
		told(&second);
		add_with(w, "n", WATCH(.depth = 2, .on_batch = on_told, .arg = &first));
		sync_watcher(w);
		add_with(w, ".", WATCH(.on_batch = on_told, .arg = &second));
		sync_watcher(w);
		check_index(w);
		assert_int_equal(mkfifo("n/d/e/g/f", 0600), 0);
		sync_watcher(w);
		assert_string_equal(told(&first), "");
		assert_string_equal(told(&second), "created n/d/e/g/f");
		check_index(w);
		watcher_close(w);
		assert_int_equal(unlink("n/d/e/g/f"), 0);
	}
}

/* A watch is removed when a pass has found changes in it, and in others, and told of none. */
static void test_second_is_removed_within_a_pass(void **state)
{
	(void)state;
	assert_int_equal(mkdir("in", 0755) | mkdir("out", 0755) | mkdir("out/d", 0755), 0);
	put("in/f", "");
	put("out/f", "");
	next_tick(); /* to polling what was written in the same one may have been so later */
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w = open_with(WATCHER(.backend = backends[i]));
		watcher_watch *watch;

		add_with(w, "in", WATCH(.on_batch = on_told, .arg = &first));
		watch = add_with(w, "out", WATCH(.on_batch = on_told, .arg = &second));
		sync_watcher(w);
		told(&first);
		watcher__look_everywhere(w, 0);
		watcher__look_one_queued(w);
		watcher__look_one_queued(w);
		watcher_remove(watch);
		sync_watcher(w);
		assert_string_equal(told(&first), "modified in/f");
		assert_string_equal(told(&second), "");
		check_index(w);
		watcher_close(w);
	}
}

/* The first one is not interested in all of it: the rest is read, and not told to anybody. */
static void test_second_wants_more(void **state)
{
	static const char *const ignored[] = { "b/", NULL };
	const watch_options narrower[] = {
		*WATCH(.depth = 1), *WATCH(.depth = 2), *WATCH(.depth = 3),
		*WATCH(.ignores = ignored),
	};

	(void)state;
	assert_int_equal(mkdir("a", 0755) | mkdir("a/b", 0755) | mkdir("a/b/c", 0755) |
			     mkdir("a/b/c/d", 0755),
			 0);
	put("a/b/c/d/before", "");
	for (size_t i = 0; i < COUNT(narrower); i++) {
		watcher *w = open_first(narrower[i]);

		add_with(w, ".", WATCH(.on_batch = on_told, .arg = &second));
		sync_watcher(w);
		assert_string_equal(told(&second), "");
		assert_int_equal(mkfifo("a/b/c/d/f", 0600), 0);
		assert_int_equal(unlink("a/b/c/d/f"), 0);
		sync_watcher(w);
		assert_string_equal(told(&first), "");
		assert_string_equal(told(&second), "created a/b/c/d/f, deleted a/b/c/d/f");
		check_index(w);
		watcher_close(w);
	}
}

/* The second wants to hear of more. At the name of a directory that has moved, which was not heard
 * of yet, there is another by then: what the first was still to hear of that one is not lost. */
static void test_wider_than_the_first(void **state)
{
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	w = open_first(*WATCH(.kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED));
	assert_int_equal(rename("d", "e") | mkdir("d", 0755) | mkfifo("e/f", 0600) | remove("e/f"), 0);
	add_with(w, ".", WATCH(.on_batch = on_told, .arg = &second, .kinds = WATCHER_ATTRIB));
	sync_watcher(w);
	assert_string_equal(told(&first), "moved d e, created d, created e/f, deleted e/f");
	check_index(w);
	assert_int_equal(mkfifo("e/g", 0600) | mkfifo("d/g", 0600), 0);
	assert_int_equal(chmod("e/g", 0644) | chmod("d/g", 0644), 0);
	sync_watcher(w);
	assert_string_equal(told(&second), "attrib e/g, attrib d/g");
	watcher_close(w);
}

/* What the second reads first has come from where the first one has it: to that it is told. */
static void test_second_reads_what_has_moved(void **state)
{
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("a", 0755) | mkdir("a/b", 0755), 0);
	put("a/b/f", "");
	w = open_first(*WATCH(.depth = 0));
	assert_int_equal(mkdir("n", 0755) | rename("a", "n/a"), 0);
	add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
	sync_watcher(w);
	assert_string_equal(told(&first), meanwhile ?
			    "deleted a/b/f, deleted a/b, deleted a, created n, created n/a, "
			    "created n/a/b, created n/a/b/f" :
			    "created n, moved a n/a, moved a/b n/a/b, moved a/b/f n/a/b/f");
	check_index(w);
	assert_true(!*told(&second) || meanwhile);
	assert_int_equal(mkfifo("n/a/b/g", 0600), 0);
	sync_watcher(w);
	assert_string_equal(told(&first), "created n/a/b/g");
	assert_string_equal(told(&second), "created n/a/b/g");
	watcher_close(w);
}

/* Of its directory only a file was read, by the very pass that finds the directory for the first. */
static void test_second_waited_for_a_file(void **state)
{
	watcher *w = open_first(*WATCH(.depth = 0));

	(void)state;
	assert_int_equal(mkdir("n", 0755), 0);
	add_with(w, "n/f", WATCH(.on_batch = on_told, .arg = &second));
	assert_int_equal(rmdir("n") | mkdir("n", 0755) | mkfifo("n/f", 0600) | mkfifo("n/g", 0600), 0);
	sync_watcher(w);
	assert_non_null(strstr(told(&first), "created n/g"));
	assert_string_equal(told(&second), "created n/f");
	check_index(w);
	watcher_close(w);
}

/* The root of the second leaves its name by an exchange, and comes back by another, before the
 * first has heard of it. */
static void test_second_is_exchanged_and_back(void **state)
{
	watcher *w = open_first(*WATCH(.depth = 0));

	(void)state;
	assert_int_equal(mkdir("n", 0755) | mkfifo("n/f", 0600), 0);
	add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
	assert_int_equal(mkdir("m", 0755) | mkfifo("m/g", 0600), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "m", AT_FDCWD, "n", 2), 0);
	sync_watcher(w);
	check_index(w);
	told(&first);
	told(&second);
	assert_int_equal(unlink("n/f") | unlink("m/g"), 0);
	sync_watcher(w);
	assert_string_equal(told(&first), "deleted n/f, deleted m/g");
	assert_string_equal(told(&second), "deleted n/f");
	check_index(w);
	watcher_close(w);
}

/* A directory moves out of the root of the second, and something in it moves on before that is
 * heard of: to the second both end. */
static void test_moved_on_outside_of_the_second(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		assert_int_equal(mkdir("n", 0755) | mkdir("n/d", 0755) | mkdir("n/d/b", 0755), 0);
		assert_int_equal(mkfifo("n/d/b/f", 0600), 0);
		w = open_first_with(backends[i], *WATCH(.depth = 0));
		if (w)
			add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
		next_tick(); /* polling knows by its times what moved */
		assert_int_equal(rename("n/d", "x") | mkdir("x/m", 0755), 0);
		assert_int_equal(rename("x/b", "x/m/b"), 0);
		if (w) {
			watcher__look_everywhere(w, w->calm_ns);
			sync_watcher(w);
			assert_string_equal(told(&second),
					    "deleted n/d/b/f, deleted n/d/b, deleted n/d");
			check_index(w);
			watcher_close(w);
		}
		assert_int_equal(remove("x/m/b/f") | rmdir("x/m/b") | rmdir("x/m") | rmdir("x"), 0);
		assert_int_equal(rmdir("n"), 0);
	}
}

/* A directory moves into the root of the second, and something in it moves on: both come to it. The
 * directory is a root itself, to which nothing comes. */
static void test_moved_on_inside_of_the_second(void **state)
{
	static const char moved_on[] =
	    "created n/d, created n/d/b, created n/d/b/f, created n/d/m, "
	    "moved n/d/b n/d/m/b, moved n/d/b/f n/d/m/b/f";

	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		assert_int_equal(mkdir("n", 0755) | mkdir("x", 0755) | mkdir("x/b", 0755), 0);
		assert_int_equal(mkfifo("x/b/f", 0600), 0);
		w = open_first_with(backends[i], *WATCH(.depth = 0));
		if (w) {
			told(&third);
			add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
			add_with(w, "x", WATCH(.on_batch = on_told, .arg = &third));
		}
		next_tick(); /* polling knows by its times what moved */
		assert_int_equal(rename("x", "n/d") | mkdir("n/d/m", 0755), 0);
		assert_int_equal(rename("n/d/b", "n/d/m/b"), 0);
		if (w) {
			watcher__look_everywhere(w, w->calm_ns);
			sync_watcher(w);
			/* What inotify then says of this is told again, as something else. */
			assert_memory_equal(told(&second), moved_on, strlen(moved_on));
			assert_null(strstr(told(&third), "created x/b"));
			check_index(w);
			watcher_close(w);
		}
		assert_int_equal(remove("n/d/m/b/f") | rmdir("n/d/m/b") | rmdir("n/d/m"), 0);
		assert_int_equal(rmdir("n/d") | rmdir("n"), 0);
	}
}

/* A directory moves out of the root of the second into one that moves, too, and what was in it moves
 * on: that was not in the latter as the second knows it. */
static void test_moved_into_what_moves(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		assert_int_equal(mkdir("n", 0755) | mkdir("n/x", 0755) | mkdir("n/x/d", 0755), 0);
		assert_int_equal(mkdir("p", 0755) | mkfifo("n/x/d/f", 0600), 0);
		w = open_first_with(backends[i], *WATCH(.depth = 0));
		if (w)
			add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
		next_tick(); /* polling knows by its times what moved */
		assert_int_equal(rename("p", "q") | rename("n/x", "q/x") | mkdir("q/x/m", 0755), 0);
		assert_int_equal(rename("q/x/d", "q/x/m/d"), 0);
		if (w) {
			watcher__look_everywhere(w, w->calm_ns);
			sync_watcher(w);
			assert_string_equal(told(&second),
					    "deleted n/x/d/f, deleted n/x/d, deleted n/x");
			check_index(w);
			watcher_close(w);
		}
		assert_int_equal(unlink("q/x/m/d/f") | rmdir("q/x/m/d") | rmdir("q/x/m"), 0);
		assert_int_equal(rmdir("q/x") | rmdir("q") | rmdir("n"), 0);
	}
}

/* What has moved away from a directory is waited for when that one's name is taken from outside of
 * the second: to that all of it ends, the innermost first. */
static void test_replaced_while_a_half_waits(void **state)
{
	char away[sizeof watch_test_top + 8];
	watcher *w;

	(void)state;
	snprintf(away, sizeof away, "%s-away", watch_test_top);
	assert_int_equal(mkdir("n", 0755) | mkdir("n/x", 0755) | mkdir("n/x/a", 0755), 0);
	assert_int_equal(mkdir("d", 0755) | mkfifo("n/x/a/f", 0600), 0);
	w = open_first(*WATCH(.depth = 0));
	add_with(w, "n", WATCH(.on_batch = on_told, .arg = &second));
	assert_int_equal(rename("n/x/a/f", away), 0);
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "d", AT_FDCWD, "n/x", 2), 0);
	sync_watcher(w);
	assert_int_equal(unlink(away), 0);
	assert_string_equal(told(&second),
			    "deleted n/x/a/f, deleted n/x/a, deleted n/x, created n/x");
	check_index(w);
	watcher_close(w);
}

/* The root of the second has moved to where a third is added, before anybody has heard of that: what
 * has come into it is not read silently. */
static void test_second_has_moved_into_the_third(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;
		const char *ended;

		assert_int_equal(mkdir("d", 0755), 0);
		w = open_first_with(backends[i], *WATCH(.depth = 0));
		if (w)
			add_with(w, "d", WATCH(.on_batch = on_told, .arg = &second));
		assert_int_equal(mkdir("n", 0755) | mkfifo("d/f", 0600) | rename("d", "n/d"), 0);
		if (w) {
			add_with(w, "n", WATCH(.on_batch = on_told, .arg = &third));
			sync_watcher(w);
			ended = told(&second);
			assert_non_null(strstr(ended, "deleted d"));
			assert_true(!strstr(ended, "deleted d/f") == !strstr(ended, "created d/f"));
			check_index(w);
			watcher_close(w);
		}
		assert_int_equal(unlink("n/d/f") | rmdir("n/d") | rmdir("n"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_hears_of_what_was_before),
		TEST(test_second_is_added_around_the_first),
		TEST(test_second_is_added_within_a_pass),
		TEST(test_second_is_added_to_what_was_emptied),
		TEST(test_second_is_added_around_what_waits),
		TEST(test_second_wants_less),
		TEST(test_first_wants_less),
		TEST(test_second_is_removed_within_a_pass),
		TEST(test_second_wants_more),
		TEST(test_wider_than_the_first),
		TEST(test_second_reads_what_has_moved),
		TEST(test_second_waited_for_a_file),
		TEST(test_second_is_exchanged_and_back),
		TEST(test_moved_on_outside_of_the_second),
		TEST(test_moved_on_inside_of_the_second),
		TEST(test_moved_into_what_moves),
		TEST(test_replaced_while_a_half_waits),
		TEST(test_second_has_moved_into_the_third),
	};

	int failed = 0;

	for (int i = 0; i < 2; i++) {
		meanwhile = i;
		failed |= cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
