/*
 * What tests of the watcher share: an empty directory to be in, turning a loop until something
 * is true or a deadline passes, the barrier, and a census of what may leak.
 */
#ifndef TESTS_WATCH_TEST_H
#define TESTS_WATCH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "whendo/watcher.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#ifndef DEADLINE_MS
#define DEADLINE_MS 60000
#endif

static char watch_test_top[64], watch_test_cwd[PATH_MAX];

static inline int watch_test_unlink(const char *path, const struct stat *st, int what,
				    struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (what == FTW_DNR)
		chmod(path, 0700);
	return remove(path);
}

/* Setup and teardown of a test: in and out of an empty directory. */
static inline int watch_test_enter(void **state)
{
	(void)state;
	strcpy(watch_test_top, "/tmp/whendo-watch-XXXXXX");
	return !getcwd(watch_test_cwd, sizeof watch_test_cwd) || !mkdtemp(watch_test_top) ||
		       chdir(watch_test_top) ?
		   -1 :
		   0;
}

static inline int watch_test_leave(void **state)
{
	(void)state;
	return chdir(watch_test_cwd) ||
		       nftw(watch_test_top, watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS) ?
		   -1 :
		   0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, watch_test_enter, watch_test_leave)

static inline void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A command in the directory of the test, wherever the process is. */
static inline void do_there(const char *command)
{
	char line[2 * PATH_MAX];

	snprintf(line, sizeof line, "cd %s && %s", watch_test_top, command);
	assert_int_equal(system(line), 0);
}

/* The content of a file, in a static buffer; "" if there is none. */
static inline const char *get(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n = 0;

	if (f) {
		n = fread(text, 1, sizeof text - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

static inline void wake_up(uv_timer_t *timer)
{
	(void)timer;
}

static inline bool is_set(void *flag)
{
	return *(bool *)flag;
}

/* Turns the loop until done(arg); the deadline is a failure. */
static inline void turn_until(uv_loop_t *loop, bool (*done)(void *arg), void *arg)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * UINT64_C(1000000);
	uv_timer_t timer;

	uv_timer_init(loop, &timer);
	uv_timer_start(&timer, wake_up, 100, 100); /* so that the deadline is seen */
	while (!done(arg)) {
		uv_run(loop, UV_RUN_ONCE);
		if (uv_hrtime() > end)
			fail_msg("it has not happened within %d ms", DEADLINE_MS);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

/* ---- opening, adding, waiting ---- */

static inline watcher *open_with(const watcher_options *options)
{
	watcher_error err;
	watcher *w = NULL;

	if (watcher_open(&w, options, &err) < 0)
		fail_msg("%s", err.message);
	return w;
}

static inline watcher_watch *add_with(watcher *w, const char *path, const watch_options *options)
{
	watch_options o = *options;
	watcher_watch *watch = NULL;
	watcher_error err;

	o.watch = &watch;
	if (watcher_add(w, path, &o, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(watch);
	return watch;
}

static bool watch_test_synced;

static inline void on_watch_test_sync(watcher *w, int status, void *arg)
{
	(void)w;
	(void)arg;
	assert_int_equal(status, 0);
	watch_test_synced = true;
}

/* Everything that happened before has been delivered when this returns. */
static inline void sync_watcher(watcher *w)
{
	watch_test_synced = false;
	assert_int_equal(watcher_sync(w, on_watch_test_sync), 0);
	turn_until(watcher_loop(w), is_set, &watch_test_synced);
}

static inline int count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static inline int count_descriptors(void)
{
	return count_entries("/proc/self/fd");
}

static inline int count_threads(void)
{
	return count_entries("/proc/self/task");
}

/* ---- events as text ---- */

struct told {
	char text[16384];
	int batches;
};

static inline void tell_event(struct told *t, const watcher_event *e)
{
	size_t len = strlen(t->text);

	snprintf(t->text + len, sizeof t->text - len, "%s%s %s%s%s", len ? ", " : "",
		 watcher_kind_name(e->kind), e->path, e->dest ? " " : "", e->dest ? e->dest : "");
}

static inline void on_told(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct told *t = arg;
	watcher_event e;

	(void)watch;
	t->batches++;
	while (watcher_batch_next(batch, &e))
		tell_event(t, &e);
}

/* What was told since the last call. */
static inline const char *told(struct told *t)
{
	static char text[sizeof t->text];

	strcpy(text, t->text);
	t->text[0] = '\0';
	return text;
}

#endif
