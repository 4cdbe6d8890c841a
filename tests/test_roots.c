/*
 * Several roots in one another and beside each other: whatever the order in which they are
 * added and come back, each hears of what is below it, and once.
 * link: -Wl,--wrap=watcher__catch_up,--wrap=watcher__compare_before
 */
#include "roots_test.h"

#include "add_meanwhile.h"

#include <sys/syscall.h>

#include "next_tick.h"

static void test_inner_root_first(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);

	(void)state;
	make_tree();
	add(w, "in/c", &inner);
	add(w, "in", &outer);
	check(w);
	assert_string_equal(told(&inner), "");
	assert_string_equal(told(&outer), "");
	put("in/c/g", "");
	put("in/c/d/h", "");
	check(w);
	assert_string_equal(told(&inner), "created in/c/g, created in/c/d/h");
	assert_string_equal(told(&outer), "created in/c/g, created in/c/d/h");
	watcher_close(w);
}

static void test_file_in_it_first(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);

	(void)state;
	make_tree();
	add(w, "in/c/f", &inner);
	add(w, "in", &outer);
	check(w);
	put("in/c/g", "");
	assert_int_equal(unlink("in/c/f"), 0);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/f");
	assert_string_equal(told(&outer), "created in/c/g, deleted in/c/f");
	watcher_close(w);
}

static void test_one_watch_hears_once(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);
	watcher_watch *watch;

	(void)state;
	make_tree();
	watch = add(w, "in/c", &inner);
	assert_int_equal(watcher_watch_add_root(watch, "in", NULL), 0);
	put("in/c/d/h", "");
	put("in/i", "");
	check(w);
	assert_string_equal(told(&inner), "created in/c/d/h, created in/i");
	watcher_close(w);
}

/* A root that the watch has is no other with a slash behind it, nor by its whole path. */
static void test_root_is_added_again(void **state)
{
	char whole[4096 + 8];

	(void)state;
	assert_non_null(getcwd(whole, 4096));
	strcat(whole, "/in");
	for (size_t i = 0; i < COUNT(all_backends); i++) {
		watcher *w = open_watcher(all_backends[i].number);
		watcher_watch *watch = add_with(w, "in", WATCH(.roots = LIST("in", "in/", whole),
							       .kinds = WATCHER_CREATED |
									WATCHER_DELETED,
							       .on_batch = on_told, .arg = &inner));

		assert_int_equal(watcher_watch_add_root(watch, "in//", NULL), 0);
		assert_string_equal(watcher_watch_root(watch, 0), "in");
		assert_null(watcher_watch_root(watch, 1));
		assert_int_equal(mkdir("in", 0755), 0);
		check(w);
		assert_string_equal(told(&inner), "created in");
		put("in/f", "");
		check(w);
		assert_string_equal(told(&inner), "created in/f");
		run("rm -r in");
		check(w);
		assert_string_equal(told(&inner), "deleted in/f, deleted in");
		watcher_close(w);
	}
}

/* What has moved in the inner root, which the outer one has not heard of yet: to that it has only
 * come, if it was made while the inner one was added. */
static void moved_before_the_outer_knows(int backend)
{
	watcher *w = open_watcher(backend);

	assert_int_equal(mkdir("in", 0755), 0);
	add(w, "in", &outer);
	sync_watcher(w);
	assert_int_equal(mkdir("in/c", 0755) | mkdir("in/c/d", 0755), 0);
	put("in/c/d/f", "");
	add(w, "in/c", &inner);
	next_tick();
	assert_int_equal(rename("in/c/d", "in/c/e"), 0);
	check(w);
	assert_string_equal(told(&inner), "moved in/c/d in/c/e, moved in/c/d/f in/c/e/f");
	assert_string_equal(told(&outer), meanwhile ?
			    "created in/c, created in/c/e, created in/c/e/f" :
			    "created in/c, created in/c/d, created in/c/d/f, "
			    "moved in/c/d in/c/e, moved in/c/d/f in/c/e/f");
	assert_int_equal(unlink("in/c/e/f"), 0);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/e/f");
	assert_string_equal(told(&outer), "deleted in/c/e/f");
	watcher_close(w);
	assert_int_equal(rmdir("in/c/e") | rmdir("in/c") | rmdir("in"), 0);
}

static void test_moved_before_the_outer_knows(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		meanwhile = way;
		moved_before_the_outer_knows(WATCHER_BACKEND_POLL);
		moved_before_the_outer_knows(WATCHER_BACKEND_FSEVENT);
	}
	meanwhile = false;
}

/* A pass finds the inner root in the outer one before it has been read. */
static void test_found_before_it_is_read(void **state)
{
	watcher *w = NULL;

	(void)state;
	if (watcher_open(&w, WATCHER(.backend = WATCHER_BACKEND_FANOTIFY), NULL) < 0)
		skip();
	make_tree();
	assert_int_equal(rmdir("in/c/d") | mkdir("out", 0755), 0);
	outer.text[0] = inner.text[0] = '\0';
	add(w, "out", &outer);
	sync_watcher(w);
	assert_int_equal(rename("in", "out/in"), 0);
	add(w, "out/in", &inner);
	watcher__look_everywhere(w, w->calm_ns);
	check(w);
	assert_string_equal(told(&inner), "");
	assert_string_equal(told(&outer), "created out/in, created out/in/c, created out/in/c/f");
	watcher_close(w);
}

/* Both end, and are there again at once: the inner one is looked for first. */
static void test_both_come_back(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);

	(void)state;
	make_tree();
	assert_int_equal(rmdir("in/c/d"), 0); /* what a directory holds comes in any order */
	add(w, "in/c", &inner);
	add(w, "in", &outer);
	sync_watcher(w);
	assert_int_equal(rename("in", "away"), 0);
	sync_watcher(w);
	assert_string_equal(told(&inner), "deleted in/c/f, deleted in/c");
	assert_string_equal(told(&outer),
			    "deleted in/c/f, deleted in/c, deleted in");
	assert_int_equal(rename("away", "in"), 0);
	check(w);
	assert_string_equal(told(&inner), "created in/c, created in/c/f");
	assert_string_equal(told(&outer),
			    "created in, created in/c, created in/c/f");
	put("in/c/h", "");
	check(w);
	assert_string_equal(told(&inner), "created in/c/h");
	assert_string_equal(told(&outer), "created in/c/h");
	watcher_close(w);
}

static void move(watcher *w, const char *from, const char *to)
{
	next_tick(); /* polling knows by its times what moved */
	assert_int_equal(rename(from, to), 0);
	check(w);
}

/* What is moved within the outer root leaves the inner one, and comes back to it whole. */
static void moved_in_the_outer(int backend, bool outer_first)
{
	watcher *w = open_watcher(backend);

	make_tree();
	assert_int_equal(rmdir("in/c/d"), 0);
	add(w, outer_first ? "in" : "in/c", outer_first ? &outer : &inner);
	add(w, outer_first ? "in/c" : "in", outer_first ? &inner : &outer);
	sync_watcher(w);
	move(w, "in/c", "in/x");
	assert_string_equal(told(&inner), "deleted in/c/f, deleted in/c");
	assert_string_equal(told(&outer), "moved in/c in/x, moved in/c/f in/x/f");
	put("in/x/g", "");
	check(w);
	assert_string_equal(told(&inner), "");
	assert_string_equal(told(&outer), "created in/x/g");
	assert_int_equal(unlink("in/x/g"), 0);
	check(w);
	told(&outer);
	move(w, "in/x", "in/c");
	assert_string_equal(told(&inner), "created in/c, created in/c/f");
	assert_string_equal(told(&outer), "moved in/x in/c, moved in/x/f in/c/f");
	assert_int_equal(unlink("in/c/f"), 0);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/f");
	assert_string_equal(told(&outer), "deleted in/c/f");
	watcher_close(w);
	assert_int_equal(rmdir("in/c"), 0);
	assert_int_equal(rmdir("in"), 0);
}

static void test_moved_in_the_outer(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		moved_in_the_outer(WATCHER_BACKEND_INOTIFY, first);
		moved_in_the_outer(WATCHER_BACKEND_FSEVENT, first);
		moved_in_the_outer(WATCHER_BACKEND_POLL, first);
	}
}

/* The same of a directory between the two: the inner root has not moved itself. */
static void moved_around_the_inner(int backend, bool outer_first)
{
	watcher *w = open_watcher(backend);

	make_tree();
	put("in/c/d/g", "");
	add(w, outer_first ? "in" : "in/c/d", outer_first ? &outer : &inner);
	add(w, outer_first ? "in/c/d" : "in", outer_first ? &inner : &outer);
	for (int i = 0; i < 3; i++) /* till nothing is to be looked up again for another reason */
		check(w);
	move(w, "in/c", "in/x");
	assert_string_equal(told(&inner), "deleted in/c/d/g, deleted in/c/d");
	assert_non_null(strstr(told(&outer), "moved in/c/d/g in/x/d/g"));
	move(w, "in/x", "in/c");
	assert_string_equal(told(&inner), "created in/c/d, created in/c/d/g");
	assert_non_null(strstr(told(&outer), "moved in/x/d/g in/c/d/g"));
	watcher_close(w);
	assert_int_equal(unlink("in/c/d/g") | rmdir("in/c/d") | unlink("in/c/f"), 0);
	assert_int_equal(rmdir("in/c") | rmdir("in"), 0);
}

static void test_moved_around_the_inner(void **state)
{
	static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
					WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++)
		for (int first = 0; first < 2; first++)
			if (backends[i] != WATCHER_BACKEND_FANOTIFY || getuid() == 0)
				moved_around_the_inner(backends[i], first);
}

static void test_of_a_directory_that_was_removed(void **state)
{
	watcher_error err;
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("gone", 0700) | chdir("gone") | rmdir("../gone"), 0);
	assert_int_equal(watcher_open(&w, NULL, &err), 0);
	assert_int_equal(watcher_add(w, ".", NULL, &err), UV_ENOENT);
	assert_string_equal(err.message,
			    ".: the current directory: no such file or directory");
	assert_int_equal(chdir(watch_test_top), 0);
	assert_int_equal(watcher_add(w, ".", NULL, &err), 0);
	watcher_close(w);
}

/* A directory between the two is moved out, and back, and removed. */
static void moved_out_around_the_inner(int backend)
{
	watcher *w = open_watcher(backend);

	make_tree();
	put("in/c/d/g", "");
	add(w, "in", &outer);
	add(w, "in/c/d", &inner);
	sync_watcher(w);
	move(w, "in/c", "away");
	assert_string_equal(told(&inner), "deleted in/c/d/g, deleted in/c/d");
	assert_non_null(strstr(told(&outer), "deleted in/c/d/g, deleted in/c/d"));
	put("away/d/h", "");
	sync_watcher(w);
	assert_string_equal(told(&inner), "");
	assert_int_equal(unlink("away/d/h"), 0);
	move(w, "away", "in/c");
	assert_string_equal(told(&inner), "created in/c/d, created in/c/d/g");
	assert_non_null(strstr(told(&outer), "created in/c/d/g"));
	assert_int_equal(unlink("in/c/d/g"), 0);
	assert_int_equal(rmdir("in/c/d"), 0);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/d/g, deleted in/c/d");
	assert_string_equal(told(&outer), "deleted in/c/d/g, deleted in/c/d");
	watcher_close(w);
	assert_int_equal(unlink("in/c/f"), 0);
	assert_int_equal(rmdir("in/c"), 0);
	assert_int_equal(rmdir("in"), 0);
}

static void test_moved_out_around_the_inner(void **state)
{
	(void)state;
	moved_out_around_the_inner(WATCHER_BACKEND_INOTIFY);
	moved_out_around_the_inner(WATCHER_BACKEND_FSEVENT);
	moved_out_around_the_inner(WATCHER_BACKEND_POLL);
}

/* A file that is a root ends for that root only. */
static void test_a_file_moved_in_the_outer(void **state)
{
	static struct told other;
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);

	(void)state;
	make_tree();
	assert_int_equal(rmdir("in/c/d"), 0);
	add(w, "in/c/f", &inner);
	add(w, "in/c/f", &other);
	add(w, "in", &outer);
	check(w);
	move(w, "in/c", "in/x");
	assert_string_equal(told(&inner), "deleted in/c/f");
	assert_string_equal(told(&other), "deleted in/c/f");
	told(&outer);
	move(w, "in/x/f", "in/x/g");
	assert_string_equal(told(&outer), "moved in/x/f in/x/g");
	move(w, "in/x/g", "in/x/f");
	move(w, "in/x", "in/c");
	assert_string_equal(told(&inner), "created in/c/f");
	assert_string_equal(told(&other), "created in/c/f");
	watcher_close(w);
}

/* Two roots beside each other: what one hears of a move from the other is that it ends, or comes. */
static void moved_between_two(int backend)
{
	watcher *w = open_watcher(backend);

	assert_int_equal(mkdir("one", 0755) | mkdir("one/d", 0755) | mkdir("one/d/e", 0755), 0);
	put("one/d/e/f", "");
	assert_int_equal(mkdir("two", 0755), 0);
	add(w, "one", &inner);
	add(w, "two", &outer);
	check(w);
	move(w, "one/d", "two/d");
	assert_string_equal(told(&inner), "deleted one/d/e/f, deleted one/d/e, deleted one/d");
	assert_string_equal(told(&outer), "created two/d, created two/d/e, created two/d/e/f");
	watcher_close(w);
	assert_int_equal(unlink("two/d/e/f"), 0);
	assert_int_equal(rmdir("two/d/e") | rmdir("two/d") | rmdir("one") | rmdir("two"), 0);
}

/* The same onto names that are taken. */
static void moved_between_two_onto(int backend)
{
	watcher *w = open_watcher(backend);

	assert_int_equal(mkdir("one", 0755) | mkdir("one/d", 0755) | mkdir("two", 0755) |
			     mkdir("two/d", 0755) | symlink("nowhere", "one/l"),
			 0);
	put("one/f", "");
	put("one/d/f", "");
	put("two/f", "");
	put("two/l", "");
	next_tick();
	add_with(w, "one", WATCH(.on_batch = on_told, .arg = &inner));
	add_with(w, "two", WATCH(.on_batch = on_told, .arg = &outer));
	check(w);
	move(w, "one/f", "two/f");
	assert_string_equal(told(&inner), "deleted one/f");
	assert_string_equal(told(&outer), "modified two/f");
	move(w, "one/l", "two/l");
	assert_string_equal(told(&inner), "deleted one/l");
	assert_string_equal(told(&outer), "deleted two/l, created two/l");
	move(w, "one/d", "two/d");
	assert_string_equal(told(&inner), "deleted one/d/f, deleted one/d");
	assert_string_equal(told(&outer), "deleted two/d, created two/d, created two/d/f");
	watcher_close(w);
	assert_int_equal(unlink("two/d/f") | rmdir("two/d") | unlink("two/f") | unlink("two/l"), 0);
	assert_int_equal(rmdir("one") | rmdir("two"), 0);
}

static void test_moved_between_two(void **state)
{
	static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FSEVENT,
					WATCHER_BACKEND_POLL };

	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		moved_between_two(backends[i]);
		moved_between_two_onto(backends[i]);
	}
}

/* Another directory has the name of the one that a file was in: nothing is kept of that. */
static void test_directory_of_a_file_made_anew(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);

	(void)state;
	make_tree();
	assert_int_equal(rmdir("in/c/d"), 0);
	add(w, "in/c/f", &inner);
	check(w);
	assert_int_equal(unlink("in/c/f") | rmdir("in/c") | mkdir("in/c", 0755), 0);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/f");
	put("in/c/f", "");
	check(w);
	assert_string_equal(told(&inner), "created in/c/f");
	watcher_close(w);
}

/* Each hears of the one name that it has, which something else gets. */
static void test_exchanged_between_two(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_AUTO);

	(void)state;
	make_tree();
	assert_int_equal(mkdir("in/e", 0755), 0);
	put("in/e/g", "");
	add_with(w, "in/c", WATCH(.on_batch = on_told, .arg = &inner));
	add_with(w, "in/e", WATCH(.on_batch = on_told, .arg = &outer));
	check(w);
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/c/f", AT_FDCWD, "in/e/g", 2), 0);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/f, created in/c/f");
	assert_string_equal(told(&outer), "modified in/e/g");
	watcher_close(w);
}

/* What leaves the root when that has just left, or come back, and may have moved within the outer one
 * for all that is known then. */
static void test_comes_back_while_a_half_waits(void **state)
{
	watcher *w = open_watcher(WATCHER_BACKEND_INOTIFY);
	const char *text;

	(void)state;
	make_tree();
	put("in/c/d/g", "");
	put("in/c/h", "");
	assert_int_equal(mkdir("out", 0755), 0);
	add(w, "in", &outer);
	add(w, "in/c", &inner);
	assert_int_equal(rename("in/c", "in/e") | rename("in/e/h", "out/h"), 0);
	while (!inner.text[0])
		uv_run(watcher_loop(w), UV_RUN_ONCE);
	check(w);
	assert_non_null(strstr(told(&inner), "deleted in/c/h"));
	assert_int_equal(rename("in/e", "in/c"), 0);
	assert_int_equal(rename("in/c/f", "out/f") | rename("in/c/d", "out/d"), 0);
	while (!inner.text[0]) /* a sync would not let it wait */
		uv_run(watcher_loop(w), UV_RUN_ONCE);
	check(w);
	text = told(&inner);
	assert_ptr_equal(strstr(text, "created in/c"), text);
	/* On a busy machine either may have waited long enough before. */
	if (strstr(text, "deleted in/c/f"))
		assert_non_null(strstr(text, "created in/c/f"));
	if (strstr(text, "deleted in/c/d"))
		assert_non_null(strstr(text, "created in/c/d, created in/c/d/g"));
	watcher_close(w);
}

/* What was done to the file of a root when the directory around it was added, and nobody had looked. */
enum meanwhile { REPLACED, MADE_A_DIRECTORY, BACK, MEANWHILES };

static void do_meanwhile(enum meanwhile what)
{
	if (what != BACK)
		assert_int_equal(unlink("in/c/f"), 0);
	if (what == MADE_A_DIRECTORY)
		assert_int_equal(mkdir("in/c/f", 0755), 0);
	else
		put("in/c/f", "");
}

/* Its end and its coming are told by turns. */
static void assert_by_turns(const char *text, bool is_there)
{
	for (const char *at = text; *at; at += strcspn(at, ","), at += strspn(at, ", ")) {
		if (strncmp(at, is_there ? "deleted in/c/f" : "created in/c/f", 14) != 0)
			fail_msg("%s", text);
		is_there = !is_there;
	}
	if (!is_there)
		fail_msg("it is there: %s", text);
}

static void added_around_meanwhile(int backend, enum meanwhile what)
{
	watcher *w = open_watcher(backend);

	make_tree();
	add(w, "in/c/f", &inner);
	sync_watcher(w);
	if (what == BACK) {
		assert_int_equal(unlink("in/c/f"), 0);
		sync_watcher(w);
		assert_string_equal(told(&inner), "deleted in/c/f");
	}
	do_meanwhile(what);
	add(w, "in/c", &outer);
	check(w);
	assert_by_turns(told(&inner), what != BACK);
	assert_int_equal(remove("in/c/f"), 0);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/f");
	watcher_close(w);
	assert_int_equal(rmdir("in/c/d") | rmdir("in/c") | rmdir("in"), 0);
}

static void test_what_a_file_became_is_told_when_its_directory_is_added(void **state)
{
	(void)state;
	for (int what = 0; what < MEANWHILES; what++) {
		added_around_meanwhile(WATCHER_BACKEND_INOTIFY, (enum meanwhile)what);
		added_around_meanwhile(WATCHER_BACKEND_FSEVENT, (enum meanwhile)what);
		added_around_meanwhile(WATCHER_BACKEND_POLL, (enum meanwhile)what);
		if (getuid() == 0)
			added_around_meanwhile(WATCHER_BACKEND_FANOTIFY, (enum meanwhile)what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_inner_root_first),
		TEST(test_file_in_it_first),
		TEST(test_one_watch_hears_once),
		TEST(test_root_is_added_again),
		TEST(test_moved_before_the_outer_knows),
		TEST(test_found_before_it_is_read),
		TEST(test_both_come_back),
		TEST(test_of_a_directory_that_was_removed),
		TEST(test_moved_in_the_outer),
		TEST(test_moved_around_the_inner),
		TEST(test_moved_out_around_the_inner),
		TEST(test_comes_back_while_a_half_waits),
		TEST(test_a_file_moved_in_the_outer),
		TEST(test_what_a_file_became_is_told_when_its_directory_is_added),
		TEST(test_moved_between_two),
		TEST(test_directory_of_a_file_made_anew),
		TEST(test_exchanged_between_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
