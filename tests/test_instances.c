/*
 * What a watcher does where the kernel has no instance of inotify left for it: the next backend
 * takes over, which is told once. Of descriptors it needs some of its own.
 * link: -Wl,--wrap=inotify_init1,--wrap=fanotify_init
 */
#include "watch_test.h"

#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/resource.h>

static bool no_instances, no_fanotify;

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);
int __real_fanotify_init(unsigned flags, unsigned event_flags);
int __wrap_fanotify_init(unsigned flags, unsigned event_flags);

int __wrap_inotify_init1(int flags)
{
	errno = EMFILE;
	return no_instances ? -1 : __real_inotify_init1(flags);
}

int __wrap_fanotify_init(unsigned flags, unsigned event_flags)
{
	errno = EPERM;
	return no_fanotify ? -1 : __real_fanotify_init(flags, event_flags);
}

static struct {
	int n, code;
	char last[sizeof(watcher_error)];
} said;

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)w;
	(void)path;
	(void)arg;
	said.n++;
	said.code = err->code;
	strcpy(said.last, err->message);
}

static int enter(void **state)
{
	memset(&said, 0, sizeof said);
	no_instances = true;
	no_fanotify = false;
	return watch_test_enter(state);
}

static void is_watched_by(const char *name)
{
	static struct told seen;
	watcher_stats_t stats;
	char wanted[80];
	watcher *w = open_with(WATCHER(.poll_interval_ms = 10, .on_problem = on_problem));

	memset(&seen, 0, sizeof seen);
	assert_int_equal(mkdir("in", 0755), 0);
	add_with(w, "in", WATCH(.kinds = WATCHER_CREATED, .on_batch = on_told, .arg = &seen));
	put("in/f", "");
	sync_watcher(w);
	assert_string_equal(told(&seen), "created in/f");
	watcher_stats(w, &stats, sizeof stats);
	assert_string_equal(stats.backend, name);
	assert_int_equal(said.n, 1);
	assert_int_equal(said.code, UV_EMFILE);
	assert_int_equal(strncmp(said.last, "out of inotify instances (", 26), 0);
	snprintf(wanted, sizeof wanted, "the backend is %s; for inotify: sysctl ", name);
	assert_non_null(strstr(said.last, wanted));
	assert_non_null(strstr(said.last, "max_"));
	watcher_close(w);
}

static void test_polling_takes_over(void **state)
{
	(void)state;
	no_fanotify = true;
	is_watched_by("poll");
}

static void test_fanotify_takes_over_where_it_may(void **state)
{
	int fd = __real_fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME_TARGET, O_RDONLY);

	(void)state;
	if (fd < 0)
		skip();
	close(fd);
	is_watched_by("fanotify");
}

/* A watch that follows links, which needs one of its own, has left by the time it can be told. */
static void test_told_when_the_watch_has_left(void **state)
{
	struct told seen = { 0 };
	watcher_watch *follower;
	watcher *w;

	(void)state;
	no_instances = false;
	no_fanotify = true;
	assert_int_equal(mkdir("in", 0755), 0);
	w = open_with(WATCHER(.on_problem = on_problem));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
	no_instances = true;
	follower = add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen, .follow_symlinks = 1));
	watcher_remove(follower);
	sync_watcher(w);
	assert_int_equal(said.n, 1);
	assert_int_equal(said.code, UV_EMFILE);
	watcher_close(w);
}

static void test_inotify_alone_says_which_limit(void **state)
{
	watcher_error err = { 0 };
	watcher *w = NULL;

	(void)state;
	assert_int_equal(watcher_open(&w, WATCHER(.backend = WATCHER_BACKEND_INOTIFY), &err),
			 UV_EMFILE);
	assert_null(w);
	assert_int_equal(strncmp(err.message, "cannot watch: out of inotify instances (", 40), 0);
	assert_non_null(strstr(err.message, "max_"));
	assert_null(strstr(err.message, "descriptors"));
}

/* Others would not do any better. */
static void test_out_of_descriptors(void **state)
{
	struct rlimit was, none;
	watcher_error err = { 0 };
	watcher *w = NULL;
	uv_loop_t loop;
	int r;

	(void)state;
	no_instances = false;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = watcher_open(&w, WATCHER(.loop = &loop, .on_problem = on_problem), &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(r, UV_EMFILE);
	assert_null(w);
	assert_string_equal(err.message, "cannot watch: out of descriptors");
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
#define OURS(f) cmocka_unit_test_setup_teardown(f, enter, watch_test_leave)
	const struct CMUnitTest tests[] = {
		OURS(test_polling_takes_over),
		OURS(test_fanotify_takes_over_where_it_may),
		OURS(test_told_when_the_watch_has_left),
		OURS(test_inotify_alone_says_which_limit),
		OURS(test_out_of_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
