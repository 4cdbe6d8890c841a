/*
 * Ready-made handlers without memory: each allocation fails in turn while one is made, while it
 * is given events, and while its command runs. Making says so and leaves nothing; an event has
 * its run, or counts as dropped; and the next event has its run again. What is supervised is
 * restarted, now or when it is tried again.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
 */
#include "handler_test.h"

#include <signal.h>

#include "failing_memory.h"

static struct {
	long countdown; /* the allocation that fails; 0: none */
	long in_batch;  /* ... counted from the delivery of the next batch on */
	bool failed;
} fault;

static bool memory_fails(void)
{
	if (fault.countdown == 0 || --fault.countdown > 0)
		return false;
	fault.failed = true;
	return true;
}

static void arm(long k)
{
	fault.failed = false;
	fault.countdown = k;
}

static int runs, states;

static void on_done(watcher_command_handler *h, int code, const char *message, void *arg)
{
	(void)h;
	(void)arg;
	runs++;
	assert_true(code == 0 || message[0] != '\0');
}

static void on_state(watcher_supervise_handler *h, int state, int code, const char *message,
		     void *arg)
{
	(void)h;
	(void)arg;
	states++;
	assert_true(state != WATCHER_SUPERVISE_EXITED || code == 0 || message[0] != '\0');
}

static const watcher_command_options command = {
	.size = sizeof command,
	.command = LIST("true", "an argument"),
	.env = LIST("NAME=value"),
	.cwd = ".",
	.append_paths = 1,
	.on_done = on_done,
};

static const watcher_supervise_options supervised = {
	.size = sizeof supervised,
	.command = LIST("sleep", "60"),
	.env = LIST("NAME=value"),
	.cwd = ".",
	.on_state = on_state,
};

/* ---- making ---- */

static int make_log(watcher_error *err)
{
	watcher_log_handler *h = NULL;
	int r = watcher_log_handler_new(&h, NULL, err);

	assert_true((r == 0) == (h != NULL));
	watcher_log_handler_free(h);
	return r;
}

static int make_command(watcher_error *err)
{
	watcher_command_handler *h = NULL;
	int r = watcher_command_handler_new(&h, w, &command, err);

	assert_true((r == 0) == (h != NULL));
	watcher_command_handler_free(h);
	return r;
}

static int make_supervise(watcher_error *err)
{
	watcher_supervise_handler *h = NULL;
	int r = watcher_supervise_handler_new(&h, w, &supervised, err);

	assert_true((r == 0) == (h != NULL));
	watcher_supervise_handler_free(h);
	return r;
}

static void test_making(void **state)
{
	static int (*const make[])(watcher_error *err) = { make_log, make_command, make_supervise };
	static const char *const who[] = { "log handler", "command handler", "supervise handler" };

	(void)state;
	for (size_t i = 0; i < COUNT(make); i++) {
		long k = 1;

		for (fault.failed = true; fault.failed; k++) {
			watcher_error err = { 0 };
			int r;

			arm(k);
			r = make[i](&err);
			fault.countdown = 0;
			if (!fault.failed)
				assert_int_equal(r, 0);
			if (r == 0)
				continue;
			assert_int_equal(r, UV_ENOMEM);
			assert_int_equal(err.code, UV_ENOMEM);
			assert_memory_equal(err.message, who[i], strlen(who[i]));
		}
		assert_true(k > 2);
	}
}

/* ---- events ---- */

static bool command_rests(void *h)
{
	return watcher_command_handler_running(h) == 0;
}

static void batch_without_memory(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	arm(fault.in_batch);
	fault.in_batch = 0;
	watcher_command_handler_batch(watch, batch, arg);
	fault.countdown = 0;
}

/* One event, with the k-th allocation from its delivery on failing; true if one did. */
static bool one_event(watcher_command_handler *h, long k, const char *name)
{
	uint64_t dropped = watcher_command_handler_dropped(h);
	int before = runs;
	bool failed;

	put(name, "");
	fault.failed = false;
	fault.in_batch = k;
	sync_watcher(w);
	turn_until(watcher_loop(w), command_rests, h);
	failed = fault.failed;
	dropped = watcher_command_handler_dropped(h) - dropped;
	if (runs - before + (int)dropped != 1)
		fail_msg("at %ld: %d runs, %d dropped", k, runs - before, (int)dropped);
	return failed;
}

static void test_command_events(void **state)
{
	watcher_command_handler *h;
	char name[32];
	long k = 1;
	bool failed = true;

	(void)state;
	assert_int_equal(watcher_command_handler_new(&h, w, &command, NULL), 0);
	assert_int_equal(watcher_add(w, "in", WATCH(.on_batch = batch_without_memory, .arg = h,
						    .kinds = WATCHER_CREATED), NULL),
			 0);
	for (; failed; k++) {
		sprintf(name, "in/a%ld", k);
		failed = one_event(h, k, name);
		sprintf(name, "in/b%ld", k);
		assert_false(one_event(h, 0, name));
	}
	assert_true(k > 5);
	watcher_command_handler_free(h);
}

static bool supervised_runs(void *h)
{
	return watcher_supervise_handler_pid(h) > 0;
}

static void test_supervise_start(void **state)
{
	watcher_supervise_handler *h;
	long k = 1;

	(void)state;
	for (fault.failed = true; fault.failed; k++) {
		assert_int_equal(watcher_supervise_handler_new(&h, w, &supervised, NULL), 0);
		arm(k);
		watcher_supervise_handler_start(h);
		fault.countdown = 0;
		/* Started now, or, as after any exit, tried again. */
		turn_until(watcher_loop(w), supervised_runs, h);
		watcher_supervise_handler_free(h);
	}
	assert_true(k > 3);
}

static void supervise_without_memory(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	if (fault.in_batch)
		arm(fault.in_batch);
	fault.in_batch = 0;
	watcher_supervise_handler_batch(watch, batch, arg);
}

static int pid_before;

static bool another_runs(void *h)
{
	int pid = watcher_supervise_handler_pid(h);

	return pid > 0 && pid != pid_before;
}

/* One change, with the k-th allocation from its delivery to the next start on failing. */
static void one_restart(watcher_supervise_handler *h, long k)
{
	uint64_t restarts = watcher_supervise_handler_restarts(h);
	char name[32];

	pid_before = watcher_supervise_handler_pid(h);
	sprintf(name, "in/%ld", k);
	put(name, "");
	fault.failed = false;
	fault.in_batch = k;
	sync_watcher(w);
	turn_until(watcher_loop(w), another_runs, h);
	fault.countdown = 0;
	assert_true(watcher_supervise_handler_restarts(h) > restarts);
	assert_int_equal(kill(pid_before, 0), -1); /* gone, and reaped */
	assert_int_equal(errno, ESRCH);
}

static void test_supervise_restarts(void **state)
{
	watcher_supervise_handler *h;
	long k = 1;

	(void)state;
	assert_int_equal(watcher_supervise_handler_new(&h, w, &supervised, NULL), 0);
	assert_int_equal(watcher_add(w, "in", WATCH(.on_batch = supervise_without_memory, .arg = h,
						    .kinds = WATCHER_CREATED), NULL),
			 0);
	watcher_supervise_handler_start(h);
	turn_until(watcher_loop(w), supervised_runs, h);
	for (fault.failed = true; fault.failed; k++)
		one_restart(h, k);
	assert_true(k > 3);
	watcher_supervise_handler_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_making, enter, leave),
		cmocka_unit_test_setup_teardown(test_command_events, enter, leave),
		cmocka_unit_test_setup_teardown(test_supervise_start, enter, leave),
		cmocka_unit_test_setup_teardown(test_supervise_restarts, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
