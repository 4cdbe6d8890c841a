/*
 * When an event was read: not before what it tells of had happened, though that was while the queue was
 * read, or is found by a look that nothing else has asked for.
 * link: -Wl,--wrap=read
 */
#include "watch_test.h"

#include <sys/resource.h>

#include "base/clock.h"

static watcher *w;
static bool armed;      /* something happens before a queue is read the next time */
static int64_t since_ns; /* and has happened then */
static int64_t told_ns;

ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size);

static bool is_queue(int fd)
{
	char path[40], link[40] = "";

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return readlink(path, link, sizeof link - 1) > 0 &&
	       (strstr(link, "inotify") || strstr(link, "fanotify"));
}

ssize_t __wrap_read(int fd, void *to, size_t size)
{
	if (armed && is_queue(fd)) {
		armed = false;
		put("in/late", "");
		since_ns = clock_wall_ns();
	}
	return __real_read(fd, to, size);
}

static void on_created(watcher_watch *watch, const watcher_event *e, void *name)
{
	(void)watch;
	if (strcmp(e->path, name) == 0)
		told_ns = e->time_ns;
}

static bool is_told(void *arg)
{
	(void)arg;
	return told_ns != 0;
}

static void on_problem(watcher *of, const char *path, const watcher_error *err, void *arg)
{
	(void)of;
	(void)path;
	(void)err;
	*(bool *)arg = true;
}

static int enter(void **state)
{
	told_ns = since_ns = 0;
	return watch_test_enter(state) || mkdir("in", 0755) ? -1 : 0;
}

static int leave(void **state)
{
	watcher_close(w);
	w = NULL;
	return watch_test_leave(state);
}

static void write_while_it_is_read(int backend)
{
	w = open_with(WATCHER(.backend = backend));
	add_with(w, "in", WATCH(.on_created = on_created, .arg = (void *)(uintptr_t)"in/late"));
	sync_watcher(w);
	armed = true;
	put("in/early", "");
	turn_until(watcher_loop(w), is_told, NULL);
	assert_false(armed);
	assert_true(told_ns >= since_ns);
}

static void test_a_change_while_inotify_is_read(void **state)
{
	(void)state;
	write_while_it_is_read(WATCHER_BACKEND_INOTIFY);
}

static void test_a_change_while_fanotify_is_read(void **state)
{
	(void)state;
	if (getuid() != 0) {
		print_message("# a change while fanotify is read: skipped: fanotify needs root\n");
		skip();
	}
	write_while_it_is_read(WATCHER_BACKEND_FANOTIFY);
}

/* No descriptor is left to read a directory with, which is tried again. */
static void test_a_change_that_is_found_later(void **state)
{
	struct rlimit was, few;
	bool failed = false;

	(void)state;
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY, .on_problem = on_problem,
			      .arg = &failed));
	add_with(w, "in", WATCH(.on_created = on_created, .arg = (void *)(uintptr_t)"in/d/late"));
	sync_watcher(w);
	assert_int_equal(mkdir("in/d", 0755), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	few.rlim_cur = (rlim_t)dup(0);
	close((int)few.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	turn_until(watcher_loop(w), is_set, &failed);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	put("in/d/late", "");
	since_ns = clock_wall_ns();
	turn_until(watcher_loop(w), is_told, NULL);
	assert_true(told_ns >= since_ns);
}

int main(void)
{
#define TIMES(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		TIMES(test_a_change_while_inotify_is_read),
		TIMES(test_a_change_while_fanotify_is_read),
		TIMES(test_a_change_that_is_found_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
