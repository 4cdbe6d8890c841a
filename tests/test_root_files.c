/*
 * A root that is a file, in a directory that another watch is around: what takes its name is told,
 * be it a directory, and that one is watched then; and so the other way round.
 */
#include "watch_test.h"

#include "index_check.h"
#include "watcher/engine.h"

#include <sys/syscall.h>

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

static struct told inner, outer;

/* Commands run one after another, but "@a b", which exchanges the two names. */
static const struct row {
	const char *run, *inner, *outer;
} rows[] = {
	{ "rm in/f; mkdir in/f; mkfifo in/f/x", "deleted in/f, created in/f, created in/f/x",
	  "deleted in/f, created in/f, created in/f/x" },
	{ "rm in/f; mv in/d in/f", "deleted in/f, created in/f, created in/f/x",
	  "deleted in/f, moved in/d in/f, moved in/d/x in/f/x" },
	{ "mv in/f in/g; mv in/d in/f", "deleted in/f, created in/f, created in/f/x",
	  "moved in/f in/g, moved in/d in/f, moved in/d/x in/f/x" },
	{ "@in/f in/d", "deleted in/f, created in/f, created in/f/x",
	  "moved in/f in/d, created in/f, created in/f/x" },
	{ "@in/d in/f", "deleted in/f, created in/f, created in/f/x",
	  "moved in/d in/f, moved in/d/x in/f/x, created in/d" },
};

static void do_row(const char *run)
{
	char a[20], b[20];

	if (sscanf(run, "@%19s %19s", a, b) == 2)
		assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2), 0);
	else
		do_there(run);
}

static void check(watcher *w, bool whole)
{
	char text[4000];

	if (whole && index_check(w, text, sizeof text))
		fail_msg("%s", text);
}

static void run_row(const struct row *row, int backend, bool around)
{
	bool exact = backend == WATCHER_BACKEND_INOTIFY || backend == WATCHER_BACKEND_FANOTIFY;
	watcher_error err;
	watcher *w;

	do_there("rm -rf in; mkdir -p in/d; mkfifo in/f in/d/x");
	if (watcher_open(&w, WATCHER(.backend = backend), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return;
	}
	if (around)
		add_with(w, "in", WATCH(.on_batch = on_told, .arg = &outer));
	add_with(w, "in/f", WATCH(.on_batch = on_told, .arg = &inner));
	sync_watcher(w);
	assert_string_equal(told(&inner), "");
	do_row(row->run);
	sync_watcher(w);
	check(w, around);
	assert_string_equal(told(&inner), row->inner);
	if (around && exact)
		assert_string_equal(told(&outer), row->outer);
	do_there("mkfifo in/f/z");
	sync_watcher(w);
	assert_string_equal(told(&inner), "created in/f/z");
	do_there("rm -r in/f; mkfifo in/f");
	sync_watcher(w);
	check(w, around);
	told(&inner);
	do_there("rm in/f");
	sync_watcher(w);
	assert_string_equal(told(&inner), "deleted in/f");
	told(&outer);
	watcher_close(w);
}

static void test_a_directory_in_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t b = 0; b < COUNT(backends); b++)
			run_row(&rows[i], backends[b], true);
}

static void test_a_directory_in_its_place_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t b = 0; b < COUNT(backends); b++)
			run_row(&rows[i], backends[b], false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_directory_in_its_place),
		TEST(test_a_directory_in_its_place_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
