/*
 * What a sync waits for: a directory that cannot be watched just now, and a root that cannot be
 * looked up, are tried again before it is told; but not for ever.
 * link: -Wl,--wrap=inotify_add_watch,--wrap=open,--wrap=uv_hrtime
 */
#include "watch_test.h"

#include <sys/inotify.h>

#define FOR_EVER   1000000000
#define MANY_TURNS 100

static watcher *w;
static struct told seen;
static ino_t refused; /* a directory that cannot be watched, for so many tries */
static long tries;
static long no_descriptors; /* so many times "/" cannot be opened */
static uint64_t stopped_ns; /* the time, if it has been stopped: nothing that waits becomes due */

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __real_open(const char *path, int flags, int mode);
int __wrap_open(const char *path, int flags, int mode);

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	bool first = strncmp(path, "/proc/", 6) == 0; /* else it is tried by its path, then */
	struct stat st;

	if (!tries || stat(path, &st) < 0 || st.st_ino != refused)
		return __real_inotify_add_watch(fd, path, mask);
	tries -= !first;
	errno = ENOENT;
	return -1;
}

int __wrap_open(const char *path, int flags, int mode)
{
	if (!no_descriptors || strcmp(path, "/") != 0)
		return __real_open(path, flags, mode);
	no_descriptors--;
	errno = EMFILE;
	return -1;
}

uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);

uint64_t __wrap_uv_hrtime(void)
{
	return stopped_ns ? stopped_ns : __real_uv_hrtime();
}

static int enter(void **state)
{
	memset(&seen, 0, sizeof seen);
	tries = no_descriptors = 0;
	stopped_ns = 0;
	if (watch_test_enter(state) || mkdir("in", 0755))
		return -1;
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
	return 0;
}

static int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

static void make_refused(const char *dir, long times)
{
	char name[40];
	struct stat st;

	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(name, sizeof name, "%.20s/f", dir);
	put(name, "");
	assert_int_equal(stat(dir, &st), 0);
	refused = st.st_ino;
	tries = times;
}

static void test_what_fails_some_times(void **state)
{
	char dir[32], text[100];

	(void)state;
	for (int k = 1; k <= 8; k++) {
		snprintf(dir, sizeof dir, "in/%d", k);
		make_refused(dir, k);
		sync_watcher(w);
		assert_int_equal(tries, 0);
		snprintf(text, sizeof text, "created %.30s, created %.30s/f", dir, dir);
		assert_string_equal(told(&seen), text);
	}
}

/* Is a sync told, though nothing is tried again that was tried in vain? */
static bool is_told_at_once(void)
{
	stopped_ns = uv_hrtime();
	watch_test_synced = false;
	assert_int_equal(watcher_sync(w, on_watch_test_sync), 0);
	for (int turns = 0; turns < MANY_TURNS && !watch_test_synced; turns++)
		uv_run(watcher_loop(w), UV_RUN_ONCE);
	stopped_ns = 0;
	return watch_test_synced;
}

static bool has_told_file(void *arg)
{
	(void)arg;
	return strstr(seen.text, "in/a/f") != NULL;
}

/* It holds up one, and not those after it; and is told when it can be watched. */
static void test_what_always_fails(void **state)
{
	(void)state;
	make_refused("in/a", FOR_EVER);
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/a");
	assert_true(is_told_at_once());
	assert_true(is_told_at_once());
	assert_true(tries > 0);
	tries = 0;
	turn_until(watcher_loop(w), has_told_file, NULL);
	assert_string_equal(told(&seen), "created in/a/f");
	make_refused("in/b", 8); /* and what fails then is waited for */
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/b, created in/b/f");
}

static void test_a_root_that_cannot_be_looked_up(void **state)
{
	(void)state;
	assert_int_equal(rename("in", "out"), 0);
	sync_watcher(w);
	assert_string_equal(told(&seen), "deleted in");
	assert_int_equal(mkdir("in", 0755), 0);
	put("in/f", "");
	no_descriptors = 3;
	sync_watcher(w);
	assert_int_equal(no_descriptors, 0);
	assert_string_equal(told(&seen), "created in, created in/f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_fails_some_times, enter, leave),
		cmocka_unit_test_setup_teardown(test_what_always_fails, enter, leave),
		cmocka_unit_test_setup_teardown(test_a_root_that_cannot_be_looked_up, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
