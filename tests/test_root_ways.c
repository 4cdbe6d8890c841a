/*
 * What becomes of directories on the way to a root, and of its own: they are replaced, or come and
 * go, and the root hears of what its path leads to then.
 */
#include "roots_test.h"

/* Till nothing is looked up again for another reason. */
static void calm(watcher *w)
{
	for (int i = 0; i < 3; i++)
		check(w);
}

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

static bool can_use(int backend)
{
	return backend != WATCHER_BACKEND_FANOTIFY || getuid() == 0;
}

/* A directory that is empty is replaced by another, with the root in it. */
static void replaced_by_a_rename(int backend, bool with_outer, const char *from)
{
	char sub[100];
	watcher *w = open_watcher(backend);

	assert_int_equal(mkdir("in", 0755) | mkdir("in/c", 0755) | mkdir("in/c/d", 0755), 0);
	assert_int_equal(mkdir(from, 0755), 0);
	snprintf(sub, sizeof sub, "%s/d", from);
	assert_int_equal(mkdir(sub, 0755), 0);
	if (with_outer)
		add(w, "in", &outer);
	add(w, "in/c/d", &inner);
	calm(w);
	assert_int_equal(rmdir("in/c/d"), 0);
	calm(w);
	assert_string_equal(told(&inner), "deleted in/c/d");
	assert_int_equal(rename(from, "in/c"), 0);
	check(w);
	assert_string_equal(told(&inner), "created in/c/d");
	watcher_close(w);
	assert_int_equal(rmdir("in/c/d") | rmdir("in/c") | rmdir("in"), 0);
}

static void test_replaced_by_a_rename(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++)
		for (int around = 0; around < 2 && can_use(backends[i]); around++) {
			replaced_by_a_rename(backends[i], around, "away");
			replaced_by_a_rename(backends[i], around, "in/x");
		}
}

/* The root is empty, and is replaced by another directory. */
static void itself_replaced(int backend, bool with_outer, const char *from)
{
	char sub[100];
	watcher *w = open_watcher(backend);

	assert_int_equal(mkdir("in", 0755) | mkdir("in/c", 0755) | mkdir(from, 0755), 0);
	snprintf(sub, sizeof sub, "%s/d", from);
	assert_int_equal(mkdir(sub, 0755), 0);
	if (with_outer)
		add(w, "in", &outer);
	add(w, "in/c", &inner);
	calm(w);
	assert_int_equal(rename(from, "in/c"), 0);
	calm(w);
	assert_string_equal(told(&inner), "deleted in/c, created in/c, created in/c/d");
	assert_int_equal(rmdir("in/c/d"), 0);
	calm(w);
	assert_string_equal(told(&inner), "deleted in/c/d");
	watcher_close(w);
	assert_int_equal(rmdir("in/c") | rmdir("in"), 0);
}

static void test_itself_replaced(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++)
		for (int around = 0; around < 2 && can_use(backends[i]); around++) {
			itself_replaced(backends[i], around, "away");
			itself_replaced(backends[i], around, "in/x");
		}
}

/* Made before its way is walked again, and removed after that: the kernel makes one record of both. */
static void came_and_went(int backend)
{
	watcher *w = open_watcher(backend);
	watcher_watch *watch;

	assert_int_equal(mkdir("in", 0755), 0);
	watch = add(w, "in/c/d", &inner);
	calm(w);
	assert_int_equal(mkdir("in/c", 0755), 0);
	watcher__root_settle(w, LIST_ENTRY(watch->roots.next, struct root, link), false, NULL);
	assert_int_equal(rmdir("in/c"), 0);
	calm(w);
	assert_int_equal(mkdir("in/c", 0755) | mkdir("in/c/d", 0755), 0);
	check(w);
	assert_string_equal(told(&inner), "created in/c/d");
	watcher_close(w);
	assert_int_equal(rmdir("in/c/d") | rmdir("in/c") | rmdir("in"), 0);
}

static void test_came_and_went(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++)
		if (can_use(backends[i]))
			came_and_went(backends[i]);
}

/* A directory on the way may not be gone through for a while: nothing has moved. */
static void test_closed_for_a_while(void **state)
{
	watcher *w;

	(void)state;
	assert_int_equal(chmod(".", 0777), 0);
	if (getuid() == 0) /* who may go anywhere */
		assert_int_equal(seteuid(65534), 0);
	w = open_watcher(WATCHER_BACKEND_INOTIFY);
	assert_int_equal(mkdir("in", 0755) | mkdir("in/c", 0755) | mkdir("in/c/d", 0755), 0);
	add(w, "in", &outer);
	add(w, "in/c/d", &inner);
	for (int i = 0; i < 3; i++)
		sync_watcher(w);
	assert_int_equal(chmod("in/c", 0), 0);
	sync_watcher(w);
	assert_int_equal(chmod("in/c", 0755), 0);
	put("in/c/d/f", "");
	check(w);
	assert_string_equal(told(&inner), "created in/c/d/f");
	watcher_close(w);
	assert_int_equal(seteuid(getuid()), 0);
}

/* All that the kernel has told since is lost. */
static void lose(watcher *w)
{
	assert_true(w->sources[0].ops->fill(w->sources[0].backend, true) >= 0);
}

static void came_unheard(int backend)
{
	watcher *w = open_watcher(backend);

	assert_int_equal(mkdir("in", 0755), 0);
	add(w, "in/c/d", &inner);
	calm(w);
	assert_int_equal(mkdir("in/c", 0755) | mkdir("in/c/d", 0755), 0);
	lose(w);
	check(w);
	assert_string_equal(told(&inner), "created in/c/d");
	assert_int_equal(rename("in/c", "in/x"), 0);
	lose(w);
	check(w);
	assert_string_equal(told(&inner), "deleted in/c/d");
	watcher_close(w);
	assert_int_equal(rmdir("in/x/d") | rmdir("in/x") | rmdir("in"), 0);
}

static void test_came_unheard(void **state)
{
	(void)state;
	came_unheard(WATCHER_BACKEND_INOTIFY);
	if (can_use(WATCHER_BACKEND_FANOTIFY))
		came_unheard(WATCHER_BACKEND_FANOTIFY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replaced_by_a_rename),
		TEST(test_itself_replaced),
		TEST(test_came_and_went),
		TEST(test_closed_for_a_while),
		TEST(test_came_unheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
