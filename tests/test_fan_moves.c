/*
 * Moves as fanotify tells of them, which makes one record of several where they have not been read:
 * with that of another move, or with what was told of a directory before.
 */
#include "fanotify_test.h"

#include <sys/syscall.h>

static bool has_moved(void *arg)
{
	(void)arg;
	return strstr(news.text, "moved in/b in/a") != NULL;
}

/* That a directory was replaced the kernel says with what it has told of it before, if that has not been
 * read: it is not what moves on from there when that has been told. */
static void replaced_after_a_change(const char *to, const char *told)
{
	needs_root();
	assert_int_equal(mkdir("in/a", 0755) | mkdir("in/b", 0755), 0);
	put("in/b/x", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	assert_int_equal(chmod("in/a", 0700), 0);
	assert_int_equal(rename("in/b", "in/a"), 0);
	turn_until(watcher_loop(w), has_moved, NULL);
	assert_int_equal(rename("in/a", to), 0);
	sync_watcher(w);
	check_index();
	assert_string_equal(news.text, told);
}

static void test_replaced_after_a_change_and_back(void **state)
{
	(void)state;
	replaced_after_a_change("in/b", "moved in/b in/a, moved in/b/x in/a/x, "
					"moved in/a in/b, moved in/a/x in/b/x");
}

static void test_replaced_after_a_change_and_away(void **state)
{
	(void)state;
	replaced_after_a_change("away", "moved in/b in/a, moved in/b/x in/a/x, "
					"deleted in/a/x, deleted in/a");
}

/* The kernel makes one record of two moves that are alike, with hundreds of others between them. */
static void test_to_and_fro_with_others_between(void **state)
{
	char from[32], to[32];

	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/a", 0755), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	assert_int_equal(rename("in/a", "in/b"), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(from, sizeof from, "in/from%d", i);
		snprintf(to, sizeof to, "in/to%d", i);
		put(from, "");
		assert_int_equal(rename(from, to), 0);
	}
	assert_int_equal(rename("in/b", "in/a"), 0);
	assert_int_equal(rename("in/a", "in/b"), 0);
	sync_watcher(w);
	check_index();
}

static void move_along(const char *const *places, int n)
{
	for (int i = 1; i < n; i++)
		assert_int_equal(rename(places[i - 1], places[i]), 0);
}

/* The same where one of the places is nobody's. */
static void test_to_and_fro_from_outside(void **state)
{
	static const char *const places[] = { "d", "in/d", "d", "in/d" };

	(void)state;
	needs_root();
	assert_int_equal(mkdir("d", 0755), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	move_along(places, COUNT(places));
	sync_watcher(w);
	check_index();
}

/* And where it comes back over a third. */
static void test_round_and_round(void **state)
{
	static const char *const places[] = { "in/a", "in/b/a", "in/c/a", "in/a", "in/b/a" };

	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/a", 0755) | mkdir("in/b", 0755) | mkdir("in/c", 0755), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	move_along(places, COUNT(places));
	sync_watcher(w);
	check_index();
}

/* Takes a record of a move from that name out of what has been read. */
static size_t take_move_out(struct backend *b, const char *name, char *to)
{
	struct fan_info info;

	for (size_t at = b->pos; at < b->len; at += info.len) {
		char *rec = b->memory + at;

		fan_parse(rec, &info);
		if (!info.name2 || strcmp(info.name, name) != 0)
			continue;
		memcpy(to, rec, info.len);
		b->len -= info.len;
		memmove(rec, rec + info.len, b->len - at);
		return info.len;
	}
	fail_msg("no move of %s", name);
	return 0;
}

/* Something else happens to the other directory between the two halves of an exchange, and is read
 * before the second. */
static void test_changed_between_the_halves_of_an_exchange(void **state)
{
	struct backend *b;
	char second[1024];
	size_t len;

	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/a", 0755) | mkdir("in/b", 0755), 0);
	put("in/a/x", "");
	put("in/b/y", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	b = w->sources[0].backend;
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/b", AT_FDCWD, "in/a", 2), 0);
	do_there("chmod 700 in/b");
	assert_int_equal(fan_read_all(b), 0);
	len = take_move_out(b, "a", second);
	turn_until(watcher_loop(w), has_moved, NULL);
	memcpy(b->memory + b->len, second, len);
	b->len += len;
	sync_watcher(w);
	check_index();
	assert_string_equal(news.text, "moved in/b in/a, moved in/b/y in/a/y, "
				       "created in/b, created in/b/x");
}

/* What was done before a watch is none of its news, where the kernel has still to tell of it. */
static void test_done_before_it_was_added(void **state)
{
	watcher_watch *watch;

	(void)state;
	needs_root();
	for (int turned = 0; turned < 2; turned++) {
		watch = add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
		sync_watcher(w);
		assert_int_equal(mkdir("in/d", 0755) | mkfifo("in/d/a", 0600) |
				 rename("in/d", "in/e") | chmod("in/e/a", 0644), 0);
		watcher_remove(watch);
		if (turned)
			uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		watch = add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
		assert_int_equal(unlink("in/e/a"), 0);
		sync_watcher(w);
		assert_string_equal(told(&news), "deleted in/e/a");
		check_index();
		watcher_remove(watch);
		assert_int_equal(rmdir("in/e"), 0);
	}
}

/* The kernel makes one record of both times that a file gets a name, and tells of the first. */
static void test_linked_where_it_was_moved_from(void **state)
{
	static const char *const places[] = { "in/a", "in/d/a" };

	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	for (size_t i = 0; i < COUNT(places); i++) {
		char want[100];

		assert_int_equal(mkfifo("in/b", 0600) | rename("in/b", places[i]) |
				 link(places[i], "in/b"), 0);
		sync_watcher(w);
		check_index();
		snprintf(want, sizeof want, "created in/b, moved in/b %s, created in/b", places[i]);
		assert_string_equal(told(&news), want);
		assert_int_equal(unlink("in/b") | unlink(places[i]), 0);
		sync_watcher(w);
		told(&news);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAN(test_replaced_after_a_change_and_back),
		FAN(test_replaced_after_a_change_and_away),
		FAN(test_to_and_fro_with_others_between),
		FAN(test_to_and_fro_from_outside),
		FAN(test_round_and_round),
		FAN(test_changed_between_the_halves_of_an_exchange),
		FAN(test_done_before_it_was_added),
		FAN(test_linked_where_it_was_moved_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
