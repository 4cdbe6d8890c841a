/*
 * Rounds of polling: what directories that are watched, and watched for more, have compared, and when
 * what is older is known.
 */
#include "poll_test.h"

static const char *path_of(void *arg, int32_t id, bool *link)
{
	(void)arg;
	(void)id;
	if (link)
		*link = false;
	return dir;
}

static void on_wake(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

static uv_sem_t gate;

static void wait_at_gate(uv_work_t *work_item)
{
	(void)work_item;
	uv_sem_wait(&gate);
}

static void on_passed(uv_work_t *work_item, int status)
{
	(void)work_item;
	(void)status;
}

static int level_of_dir(struct backend *b, enum watch_level level)
{
	int fd = watcher__scan_open(dir, true);
	int32_t id;
	int r;

	assert_true(fd >= 0);
	r = watcher__poll.watch(b, fd, dir, level, &id);
	close(fd);
	return r;
}

/* Not by UV_RUN_ONCE: a turn whose timers end the round goes on to wait for the next one. */
static void wait_while_busy(struct backend *b, uv_loop_t *loop)
{
	do
		uv_run(loop, UV_RUN_NOWAIT);
	while (watcher__poll.busy(b));
}

static int found_in_round(struct backend *b, uv_loop_t *loop, enum change_op op)
{
	struct change c;
	int n = 0;

	watcher__poll.round(b);
	wait_while_busy(b, loop);
	watcher__poll.fill(b, false);
	while (watcher__poll.next(b, &c) == 1)
		n += c.op == op;
	return n;
}

/* What the index had from the first time may have been written to before the second. */
static void test_names_are_read_twice_between_comparisons(void **state)
{
	struct backend_config config = { .poll_interval_ms = 3600000, .disk = &disk,
					 .wake = on_wake, .path_of = path_of };
	struct backend *b;
	uv_loop_t loop;
	bool closed = false;
	int found = 0;
	struct change c;

	(void)state;
	wait_until_old();
	assert_int_equal(uv_loop_init(&loop), 0);
	config.loop = &loop;
	assert_int_equal(watcher__poll.open(&b, &config, NULL), 0);
	assert_int_equal(level_of_dir(b, WATCH_ALL), 0);
	assert_int_equal(found_in_round(b, &loop, CHANGE_LOOK), 0);
	make("a");
	next_tick();
	assert_int_equal(level_of_dir(b, WATCH_ALL), 0);
	extract("a");
	next_tick();
	assert_int_equal(level_of_dir(b, WATCH_ALL), 0);
	watcher__poll.round(b);
	wait_while_busy(b, &loop);
	watcher__poll.fill(b, false);
	while (watcher__poll.next(b, &c) == 1)
		found += c.op == CHANGE_WRITTEN;
	assert_int_equal(found, 1);
	watcher__poll.close(b, on_closed, &closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(closed);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* Where a directory is that two rounds in a row did not find, what was done in it before is not known. */
static void test_what_is_known_is_what_was_compared(void **state)
{
	struct backend_config config = { .poll_interval_ms = 3600000, .disk = &disk,
					 .wake = on_wake, .path_of = path_of };
	char here[sizeof dir];
	struct backend *b;
	uv_loop_t loop;
	bool closed = false;
	int64_t written_ns;

	(void)state;
	wait_until_old();
	assert_int_equal(uv_loop_init(&loop), 0);
	config.loop = &loop;
	assert_int_equal(watcher__poll.open(&b, &config, NULL), 0);
	assert_int_equal(level_of_dir(b, WATCH_ALL), 0);
	next_tick();
	written_ns = clock_coarse_ns();
	next_tick();
	strcpy(here, dir);
	strcpy(dir, "/nowhere");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(found_in_round(b, &loop, CHANGE_LOOK), 1);
		assert_true(watcher__poll.known_ns(b) < written_ns);
	}
	strcpy(dir, here);
	assert_int_equal(found_in_round(b, &loop, CHANGE_LOOK), 0);
	assert_true(watcher__poll.known_ns(b) > written_ns);
	watcher__poll.close(b, on_closed, &closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(closed);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* All threads are at the gate: a round that has begun goes on when they pass. */
#define THREADS 4

/* A directory on the way to a root is watched for what is in it while a thread has it, which compares
 * it after a change: what two rounds find. */
static int found_after(void (*change)(void), enum change_op op)
{
	uv_work_t at_gate[THREADS];
	struct backend_config config = { .poll_interval_ms = 3600000, .disk = &disk,
					 .wake = on_wake, .path_of = path_of };
	struct backend *b;
	uv_loop_t loop;
	bool closed = false;
	int n;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_sem_init(&gate, 0), 0);
	config.loop = &loop;
	assert_int_equal(watcher__poll.open(&b, &config, NULL), 0);
	assert_int_equal(level_of_dir(b, WATCH_SELF), 0);
	found_in_round(b, &loop, op);
	for (int i = 0; i < THREADS; i++)
		uv_queue_work(&loop, &at_gate[i], wait_at_gate, on_passed);
	watcher__poll.round(b);
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_run(&loop, UV_RUN_NOWAIT);
	next_tick();
	assert_int_equal(level_of_dir(b, WATCH_ALL), 0); /* and it is read now */
	next_tick();
	change();
	wait_until_old();
	for (int i = 0; i < THREADS; i++)
		uv_sem_post(&gate);
	n = found_in_round(b, &loop, op);
	n += found_in_round(b, &loop, op);
	watcher__poll.close(b, on_closed, &closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(closed);
	uv_sem_destroy(&gate);
	assert_int_equal(uv_loop_close(&loop), 0);
	return n;
}

static void test_a_directory_on_the_way_is_watched_while_a_thread_has_it(void **state)
{
	(void)state;
	assert_true(found_after(make_new, CHANGE_LOOK) > 0);
}

static void write_to_old(void)
{
	write_to("old");
	next_tick();
}

static void test_a_write_where_a_directory_on_the_way_is_watched_while_a_thread_has_it(void **state)
{
	(void)state;
	make("old");
	make("untouched");
	next_tick();
	assert_int_equal(found_after(write_to_old, CHANGE_WRITTEN), 1);
}

static void set_mode_of_inner(void)
{
	set_mode("inner");
	next_tick();
}

static void test_a_mode_where_a_directory_on_the_way_is_watched_while_a_thread_has_it(void **state)
{
	char path[80];

	(void)state;
	snprintf(path, sizeof path, "%s/inner", dir);
	assert_int_equal(mkdir(path, 0), 0);
	next_tick();
	assert_int_equal(found_after(set_mode_of_inner, CHANGE_ATTRIB), 1);
}

int main(void)
{
#define POLL(f) cmocka_unit_test_setup_teardown(f, poll_test_enter, poll_test_leave)
	const struct CMUnitTest tests[] = {
		POLL(test_names_are_read_twice_between_comparisons),
		POLL(test_what_is_known_is_what_was_compared),
		POLL(test_a_directory_on_the_way_is_watched_while_a_thread_has_it),
		POLL(test_a_write_where_a_directory_on_the_way_is_watched_while_a_thread_has_it),
		POLL(test_a_mode_where_a_directory_on_the_way_is_watched_while_a_thread_has_it),
	};

	setenv("UV_THREADPOOL_SIZE", "4", 1); /* THREADS */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
