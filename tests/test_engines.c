/*
 * Watches that follow links have engines of their own: to the user there is one watcher.
 */
#include "roots_test.h"

#include <sys/resource.h>

#define FOLLOW 1

static int ready, closed, problems, statuses[64], nstatuses;

static void on_ready(watcher *w, void *arg)
{
	assert_ptr_equal(w, *(watcher **)arg);
	ready++;
}

static void on_closed(void *arg)
{
	(void)arg;
	closed++;
}

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)path;
	(void)err;
	assert_ptr_equal(w, *(watcher **)arg);
	problems++;
}

static void on_status(watcher *w, int status, void *arg)
{
	assert_ptr_equal(w, *(watcher **)arg);
	assert_true(nstatuses < (int)COUNT(statuses));
	statuses[nstatuses++] = status;
}

static watcher *the_watcher;

static void open_it(int backend)
{
	ready = closed = problems = nstatuses = 0;
	outer.text[0] = inner.text[0] = '\0';
	assert_int_equal(mkdir("in", 0755) | mkdir("out", 0755) | symlink("../out", "in/l"), 0);
	the_watcher = open_with(WATCHER(.backend = backend, .on_ready = on_ready, .on_closed = on_closed,
					.on_problem = on_problem, .arg = &the_watcher));
}

static void close_it(void)
{
	watcher_close(the_watcher);
	assert_int_equal(closed, 1);
	assert_int_equal(system("rm -rf in out"), 0);
}

static watcher_watch *add_it(const char *path, struct told *to, int follow)
{
	return add_with(the_watcher, path,
			WATCH(.on_batch = on_told, .arg = to, .follow_symlinks = follow,
			      .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_READY));
}

static bool has_statuses(void *arg)
{
	return nstatuses == *(int *)arg;
}

static void sync_it(void)
{
	int n = nstatuses + 1;

	assert_int_equal(watcher_sync(the_watcher, on_status), 0);
	turn_until(watcher_loop(the_watcher), has_statuses, &n);
	assert_int_equal(statuses[n - 1], 0);
}

static bool has_descriptors(void *arg)
{
	return count_descriptors() == *(int *)arg;
}

static unsigned engines(void)
{
	unsigned n = 0;

	EACH_ENGINE(w, the_watcher)
		n += !w->closing;
	return n;
}

/* Each watch has the control event, the watcher says it once. */
static void test_ready_once(void **state)
{
	(void)state;
	open_it(WATCHER_BACKEND_AUTO);
	add_it("in", &inner, 0);
	add_it("in", &outer, FOLLOW);
	sync_it();
	assert_int_equal(ready, 1);
	assert_string_equal(told(&inner), "ready in");
	assert_string_equal(told(&outer), "ready in");
	add_it("out", &outer, FOLLOW);
	sync_it();
	assert_int_equal(ready, 2);
	assert_string_equal(told(&outer), "ready out");
	close_it();
}

/* The one that is still to be is removed before. */
static void test_ready_without_the_one_that_left(void **state)
{
	(void)state;
	open_it(WATCHER_BACKEND_AUTO);
	add_it("in", &inner, 0);
	watcher_remove(add_it("in", &outer, FOLLOW));
	sync_it();
	assert_int_equal(ready, 1);
	close_it();
}

/* As many as there must be, and one for the next; what else is left behind goes. */
static void test_as_many_as_needed(void **state)
{
	watcher_watch *first, *plain, *second, *third;
	int fds;

	(void)state;
	open_it(WATCHER_BACKEND_AUTO);
	first = add_it("in", &outer, FOLLOW);
	assert_int_equal(engines(), 1);
	plain = add_it("in", &inner, 0);
	assert_int_equal(engines(), 2);
	add_it("out", &inner, 0);
	assert_int_equal(engines(), 2);
	watcher_remove(add_it("in", &outer, FOLLOW));
	assert_int_equal(engines(), 3);
	sync_it();
	fds = count_descriptors();
	for (int i = 0; i < 20; i++) {
		second = add_it("in", &outer, FOLLOW);
		assert_int_equal(engines(), 3);
		third = add_it("in", &outer, FOLLOW);
		assert_int_equal(engines(), 4);
		sync_it();
		watcher_remove(second);
		watcher_remove(third);
		assert_int_equal(engines(), 3);
		sync_it();
	}
	turn_until(watcher_loop(the_watcher), has_descriptors, &fds);
	watcher_remove(first);
	sync_it();
	assert_int_equal(engines(), 2); /* the head is free for the next */
	add_it("in", &outer, FOLLOW); /* where the first was */
	assert_int_equal(engines(), 2);
	watcher_remove(plain);
	sync_it();
	told(&outer);
	told(&inner);
	put("out/f", "");
	sync_it();
	assert_string_equal(told(&outer), "created in/l/f");
	assert_string_equal(told(&inner), "created out/f");
	watcher_remove_all(the_watcher);
	put("out/g", "");
	sync_it();
	assert_string_equal(told(&outer), "");
	assert_string_equal(told(&inner), "");
	close_it();
}

/* One that is not used any more is used again: the kernel takes its time to end an instance, of which
 * there are few. */
static void test_many_come_and_go(void **state)
{
	int fds;

	(void)state;
	open_it(WATCHER_BACKEND_INOTIFY);
	add_it("in", &inner, 0);
	for (int turned = 0; turned < 2; turned++) {
		watcher_remove(add_it("in", &outer, FOLLOW));
		fds = count_descriptors();
		for (int i = 0; i < 300; i++) {
			watcher_remove(add_it("in", &outer, FOLLOW));
			assert_int_equal(count_descriptors(), fds);
			if (turned)
				uv_run(watcher_loop(the_watcher), UV_RUN_NOWAIT);
		}
	}
	add_it("in", &outer, FOLLOW);
	sync_it();
	told(&outer);
	put("out/f", "");
	sync_it();
	assert_string_equal(told(&outer), "created in/l/f");
	close_it();
}

/* Those that do not follow links share one, also where the first that there was is free again. */
static void test_one_for_all_others(void **state)
{
	watcher_stats_t before, after;
	watcher_watch *first;

	(void)state;
	open_it(WATCHER_BACKEND_INOTIFY);
	first = add_it("in", &outer, FOLLOW);
	add_it("in", &inner, 0);
	watcher_remove(first);
	watcher_stats(the_watcher, &before, sizeof before);
	add_it("in", &inner, 0);
	watcher_stats(the_watcher, &after, sizeof after);
	assert_int_equal(after.directories, before.directories);
	assert_int_equal(after.watches, before.watches);
	close_it();
}

/* One that is removed holds up no sync; one that is there does. */
static void test_sync_waits_for_all(void **state)
{
	watcher_watch *follower;
	int n;

	(void)state;
	open_it(WATCHER_BACKEND_AUTO);
	add_it("in", &inner, 0);
	follower = add_it("in", &outer, FOLLOW);
	sync_it();
	told(&outer);
	put("out/f", "");
	watcher_pause(the_watcher);
	assert_int_equal(watcher_sync(the_watcher, on_status), 0);
	for (int i = 0; i < 50; i++)
		uv_run(watcher_loop(the_watcher), UV_RUN_NOWAIT);
	assert_int_equal(nstatuses, 1);
	assert_string_equal(told(&outer), "");
	watcher_resume(the_watcher);
	n = 2;
	turn_until(watcher_loop(the_watcher), has_statuses, &n);
	assert_string_equal(told(&outer), "created in/l/f");
	assert_int_equal(watcher_sync(the_watcher, on_status), 0);
	assert_int_equal(watcher_sync(the_watcher, on_status), 0);
	watcher_remove(follower);
	n = 4;
	turn_until(watcher_loop(the_watcher), has_statuses, &n);
	assert_int_equal(statuses[2] | statuses[3], 0);
	add_it("in", &outer, FOLLOW);
	assert_int_equal(watcher_sync(the_watcher, on_status), 0);
	close_it();
	assert_int_equal(nstatuses, 5);
	assert_int_equal(statuses[4], UV_ECANCELED);
}

/* The counters are of all, and of those that have left, too. */
static void test_counts(void **state)
{
	watcher_stats_t one, both, left;
	watcher_watch *follower;

	(void)state;
	open_it(WATCHER_BACKEND_INOTIFY);
	add_it("in", &inner, 0);
	sync_it();
	watcher_stats(the_watcher, &one, sizeof one);
	follower = add_it("in", &outer, FOLLOW);
	assert_ptr_equal(watcher_watch_watcher(follower), the_watcher);
	put("out/f", "");
	sync_it();
	watcher_stats(the_watcher, &both, sizeof both);
	assert_int_equal(both.directories, one.directories + 2);
	assert_int_equal(both.files, one.files + 1);
	assert_true(both.watches > one.watches);
	assert_true(both.events_out > one.events_out && both.batches > one.batches);
	watcher_remove(follower);
	watcher_stats(the_watcher, &left, sizeof left);
	assert_int_equal(left.directories, one.directories);
	assert_int_equal(left.watches, one.watches);
	assert_int_equal(left.events_out, both.events_out);
	assert_int_equal(left.batches, both.batches);
	close_it();
}

/* No engine can be had for it: the error says so, and the others go on. */
static void test_no_descriptors_for_another(void **state)
{
	struct rlimit limit, none;
	watcher_error err = { 0 };

	(void)state;
	open_it(WATCHER_BACKEND_INOTIFY);
	add_it("in", &inner, 0);
	sync_it();
	told(&inner);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)dup(0);
	close((int)none.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(watcher_add(the_watcher, "in",
				     WATCH(.on_batch = on_told, .arg = &outer, .follow_symlinks = 1),
				     &err),
			 UV_EMFILE);
	assert_non_null(strstr(err.message, "out of descriptors"));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(engines(), 1);
	put("in/f", "");
	sync_it();
	assert_string_equal(told(&inner), "created in/f");
	close_it();
}

/* Of the watches' batches each has a number of its own. */
static uint64_t numbers[8];
static unsigned nnumbers;

static void on_number(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)watch;
	(void)arg;
	assert_true(nnumbers < COUNT(numbers));
	numbers[nnumbers++] = watcher_batch_number(batch);
}

static void test_numbers_of_batches(void **state)
{
	(void)state;
	open_it(WATCHER_BACKEND_AUTO);
	nnumbers = 0;
	add_with(the_watcher, "in", WATCH(.on_batch = on_number, .kinds = WATCHER_CREATED));
	add_with(the_watcher, "in",
		 WATCH(.on_batch = on_number, .kinds = WATCHER_CREATED, .follow_symlinks = 1));
	sync_it();
	put("in/f", "");
	sync_it();
	put("in/g", "");
	sync_it();
	assert_int_equal(nnumbers, 4);
	for (unsigned i = 0; i < nnumbers; i++)
		assert_int_equal(numbers[i], i + 1);
	close_it();
}

static void close_at_once(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)batch;
	++*(int *)arg;
	assert_int_equal(watcher_run(watcher_watch_watcher(watch)), UV_EBUSY);
	watcher_close(watcher_watch_watcher(watch));
}

/* By a callback of any, on a private loop that somebody else turns, or watcher_run(). */
static void test_close_by_one_behind(void **state)
{
	(void)state;
	for (int turned = 0; turned < 2; turned++) {
		int batches = 0;

		open_it(WATCHER_BACKEND_AUTO);
		add_it("in", &inner, 0);
		add_with(the_watcher, "in",
			 WATCH(.on_batch = close_at_once, .arg = &batches, .follow_symlinks = 1,
			       .kinds = WATCHER_CREATED));
		put("out/f", "");
		if (turned) {
			uv_run(watcher_loop(the_watcher), UV_RUN_DEFAULT);
			assert_int_equal(closed, 0);
			watcher_close(the_watcher);
		} else {
			assert_int_equal(watcher_run(the_watcher), 0);
		}
		assert_int_equal(batches, 1);
		assert_int_equal(closed, 1);
		assert_int_equal(system("rm -rf in out"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ready_once),
		TEST(test_ready_without_the_one_that_left),
		TEST(test_as_many_as_needed),
		TEST(test_many_come_and_go),
		TEST(test_one_for_all_others),
		TEST(test_sync_waits_for_all),
		TEST(test_counts),
		TEST(test_no_descriptors_for_another),
		TEST(test_numbers_of_batches),
		TEST(test_close_by_one_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
