/*
 * The fanotify backend, which reads a tree after it has told that it is ready: changes that came
 * before. What operations give which events is in the scenario table, random ones are in
 * test_replay, and what fails in test_watcher_faults.
 */
#include "watch_test.h"

#include "index_check.h"

#include <sys/syscall.h>

static watcher *w;
static struct told news;

static int enter(void **state)
{
	watcher_error err;

	if (watch_test_enter(state))
		return -1;
	news.text[0] = '\0';
	if (getuid() != 0)
		return 0;
	return mkdir("in", 0755) ||
	       watcher_open(&w, WATCHER(.backend = WATCHER_BACKEND_FANOTIFY), &err);
}

static int leave(void **state)
{
	watcher_close(w);
	w = NULL;
	return watch_test_leave(state);
}

#define FAN(f) cmocka_unit_test_setup_teardown(f, enter, leave)

static void needs_root(void)
{
	if (getuid() == 0)
		return;
	print_message("# skipped: fanotify needs root\n");
	skip();
}

static void check_index(void)
{
	char text[4000];

	if (index_check(w, text, sizeof text))
		fail_msg("the index is not what there is:\n%s", text);
}

/* The second record of an exchange is about the directory, which is nowhere by then. */
static void test_exchanged_before_it_was_read(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755), 0);
	put("in/d/x", "");
	put("in/f", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/f", AT_FDCWD, "in/d", 2), 0);
	sync_watcher(w);
	check_index();
	assert_non_null(strstr(news.text, "moved in/f in/d"));
	assert_non_null(strstr(news.text, "in/f/x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAN(test_exchanged_before_it_was_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
