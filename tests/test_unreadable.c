/*
 * A directory that may not be read for a while is still there with all that was in it: nothing is told
 * gone, what happened meanwhile is found when it may be read again, and nothing else is doubted.
 */
#include "watch_test.h"

#include "next_tick.h"

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FSEVENT,
				WATCHER_BACKEND_POLL };

static struct told t;

static void told_after(watcher *w, const char *command, const char *want)
{
	next_tick();
	do_there(command);
	next_tick();
	sync_watcher(w);
	sync_watcher(w);
	assert_string_equal(told(&t), want);
}

/* While nobody reads the directory; the kernel tells of it all the same, where it is asked. */
static void meanwhile(watcher *w, const char *command, const char *want)
{
	char line[200];

	snprintf(line, sizeof line, "chmod 755 in/c; %s; chmod 0 in/c", command);
	do_there(line);
	next_tick();
	sync_watcher(w);
	told_after(w, "chmod 755 in/c", want);
	told_after(w, "chmod 0 in/c", "");
}

static void closed_for_a_while(int backend)
{
	watcher *w;

	do_there("rm -rf in; mkdir -p in/c/d in/e; : > in/c/f; : > in/c/g; : > in/c/d/h; : > in/e/i");
	next_tick();
	memset(&t, 0, sizeof t);
	w = open_with(WATCHER(.backend = backend, .poll_interval_ms = 3600000));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &t));
	sync_watcher(w);
	told_after(w, "chmod 0 in/c", "");
	told_after(w, ":", "");
	told_after(w, "echo > in/e/i", "modified in/e/i");
	told_after(w, "chmod 755 in/c", "");
	told_after(w, "echo > in/c/f", "modified in/c/f");
	told_after(w, "chmod 0 in/c", "");
	meanwhile(w, ": > in/c/k", "created in/c/k");
	meanwhile(w, "rm in/c/g", "deleted in/c/g");
	meanwhile(w, "echo >> in/c/f", "modified in/c/f");
	meanwhile(w, "mv in/c/d in/c/n", "moved in/c/d in/c/n, moved in/c/d/h in/c/n/h");
	watcher_close(w);
}

static void test_closed_for_a_while(void **state)
{
	(void)state;
	assert_int_equal(chmod(".", 0777), 0);
	if (getuid() == 0) /* who may read anything */
		assert_int_equal(seteuid(65534), 0);
	for (size_t i = 0; i < COUNT(backends); i++) {
		print_message("# %d\n", backends[i]);
		closed_for_a_while(backends[i]);
	}
	assert_int_equal(seteuid(getuid()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_closed_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
