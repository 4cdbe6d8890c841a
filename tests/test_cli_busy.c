/* The busy policy and the detection of commands that trigger themselves: no clock, no process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../cli/busy.h"
#include "../cli/options.h"
#include "../cli/own.h"

static void test_queue_owes_exactly_one_run(void **state)
{
	struct busy b = { .on_busy = ON_BUSY_QUEUE };

	(void)state;
	assert_int_equal(busy_ready(&b, 0), BUSY_START);
	assert_int_equal(busy_change(&b, 1), 0);
	assert_int_equal(busy_change(&b, 2), 0);
	assert_int_equal(busy_ended(&b, 3, 0), BUSY_START);
	assert_int_equal(busy_ended(&b, 4, 0), 0);
	assert_int_equal(busy_change(&b, 5), BUSY_START);
}

static void test_restart_stops_once_and_starts_after_the_end(void **state)
{
	struct busy b = { .on_busy = ON_BUSY_RESTART };

	(void)state;
	assert_int_equal(busy_ready(&b, 0), BUSY_START);
	assert_int_equal(busy_change(&b, 1), BUSY_STOP);
	assert_int_equal(busy_change(&b, 2), 0);
	assert_int_equal(busy_ended(&b, 3, 143), BUSY_START);
	assert_int_equal(busy_ended(&b, 4, 0), 0);
}

static void test_drop_and_signal_start_nothing(void **state)
{
	struct busy drop = { .on_busy = ON_BUSY_DROP }, sig = { .on_busy = ON_BUSY_SIGNAL };

	(void)state;
	busy_ready(&drop, 0);
	assert_int_equal(busy_change(&drop, 1), BUSY_DROP);
	assert_int_equal(busy_ended(&drop, 2, 0), 0);
	busy_ready(&sig, 0);
	assert_int_equal(busy_change(&sig, 1), BUSY_SIGNAL | BUSY_DROP);
	assert_int_equal(busy_ended(&sig, 2, 0), 0);
	assert_int_equal(busy_change(&sig, 3), BUSY_START);
}

static void test_quit_stops_then_kills_then_exits(void **state)
{
	struct busy b = { .on_busy = ON_BUSY_QUEUE };

	(void)state;
	busy_ready(&b, 0);
	assert_int_equal(busy_quit(&b), BUSY_STOP);
	assert_int_equal(busy_change(&b, 1), BUSY_DROP);
	assert_int_equal(busy_quit(&b), BUSY_KILL);
	assert_int_equal(busy_ended(&b, 2, 137), BUSY_EXIT);
	assert_int_equal(b.exit_code, 0);
	b = (struct busy){ .postpone = 1 };
	assert_int_equal(busy_ready(&b, 0), 0);
	assert_int_equal(busy_quit(&b), BUSY_EXIT);
}

static void test_once_ends_with_the_run_of_a_change(void **state)
{
	struct busy b = { .once = 1 };

	(void)state;
	assert_int_equal(busy_ready(&b, 0), BUSY_START);
	assert_int_equal(busy_ended(&b, 1, 1), 0);
	assert_int_equal(busy_change(&b, 2), BUSY_START);
	assert_int_equal(busy_ended(&b, 3, 7), BUSY_EXIT);
	assert_int_equal(b.exit_code, 7);
}

static void test_once_with_a_change_during_the_first_run(void **state)
{
	struct busy b = { .once = 1 };

	(void)state;
	busy_ready(&b, 0);
	assert_int_equal(busy_change(&b, 1), 0);
	assert_int_equal(busy_ended(&b, 2, 0), BUSY_START);
	assert_int_equal(busy_ended(&b, 3, 5), BUSY_EXIT);
	assert_int_equal(b.exit_code, 5);
}

static void test_exit_on_error_does_not_count_a_stopped_run(void **state)
{
	struct busy b = { .on_busy = ON_BUSY_RESTART, .exit_on_error = 1 };

	(void)state;
	busy_ready(&b, 0);
	busy_change(&b, 1);
	assert_int_equal(busy_ended(&b, 2, 143), BUSY_START);
	assert_int_equal(busy_ended(&b, 3, 2), BUSY_EXIT);
	assert_int_equal(b.exit_code, 2);
}

static void test_restart_on_exit_backs_off_and_a_change_ends_the_wait(void **state)
{
	static const int64_t waits[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct busy b = { .restart_on_exit = 1 };
	int64_t now = 0;

	(void)state;
	assert_int_equal(busy_ready(&b, now), BUSY_START);
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		assert_int_equal(busy_ended(&b, now, 1), 0);
		assert_int_equal(busy_next(&b), now + waits[i]);
		assert_int_equal(busy_tick(&b, now + waits[i] - 1), 0);
		now += waits[i];
		assert_int_equal(busy_tick(&b, now), BUSY_START);
	}
	busy_ended(&b, now, 1);
	assert_int_equal(busy_change(&b, now + 1), BUSY_START);
	busy_ended(&b, now + 1, 1);
	assert_int_equal(busy_next(&b), now + 1 + 100);
}

static void test_pause_keeps_changes(void **state)
{
	struct busy b = { .postpone = 1 };

	(void)state;
	busy_ready(&b, 0);
	assert_int_equal(busy_pause(&b, 1), 0);
	assert_int_equal(busy_change(&b, 2), 0);
	assert_int_equal(busy_pause(&b, 3), BUSY_START);
}

static void test_delay_and_every(void **state)
{
	struct busy b = { .postpone = 1, .delay_ms = 50, .every_ms = 1000 };

	(void)state;
	busy_ready(&b, 0);
	assert_int_equal(busy_next(&b), 1000);
	assert_int_equal(busy_change(&b, 10), 0);
	assert_int_equal(busy_next(&b), 60);
	assert_int_equal(busy_change(&b, 20), 0);
	assert_int_equal(busy_tick(&b, 60), BUSY_START);
	assert_int_equal(busy_ended(&b, 70, 0), 0);
	assert_int_equal(busy_next(&b), 1060);
	busy_tick(&b, 1060);
	assert_int_equal(busy_tick(&b, 1110), BUSY_START);
}

/* One run of a command that writes `path` itself; returns what its write is answered. */
static enum own_answer run_writing(struct own *o, const char *path)
{
	own_start(o);
	return own_change(o, path, 1);
}

static void test_own_writes_are_muted_after_two_runs(void **state)
{
	struct own o = { 0 };

	(void)state;
	assert_int_equal(own_change(&o, "a.c", 0), OWN_REACT);
	assert_int_equal(run_writing(&o, "out"), OWN_REACT);
	assert_int_equal(own_asks(&o), 0);
	assert_int_equal(run_writing(&o, "out"), OWN_REACT);
	assert_int_equal(own_asks(&o), 1);
	assert_int_equal(run_writing(&o, "out"), OWN_TELL);
	assert_int_equal(own_change(&o, "out", 1), OWN_MUTE);
	/* Somebody else's change, of the same path too, counts. */
	assert_int_equal(own_change(&o, "out", 0), OWN_REACT);
	own_free(&o);
}

static void test_other_paths_are_not_muted(void **state)
{
	struct own o = { 0 };

	(void)state;
	run_writing(&o, "1");
	run_writing(&o, "2");
	assert_int_equal(run_writing(&o, "3"), OWN_REACT);
	assert_int_equal(own_asks(&o), 0);
	own_free(&o);
}

static void test_another_cause_among_own_writes_starts_over(void **state)
{
	struct own o = { 0 };

	(void)state;
	own_change(&o, "a.c", 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(run_writing(&o, "out"), OWN_REACT);
		assert_int_equal(own_change(&o, "a.c", 0), OWN_REACT);
		assert_int_equal(own_asks(&o), 0);
	}
	own_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_owes_exactly_one_run),
		cmocka_unit_test(test_restart_stops_once_and_starts_after_the_end),
		cmocka_unit_test(test_drop_and_signal_start_nothing),
		cmocka_unit_test(test_quit_stops_then_kills_then_exits),
		cmocka_unit_test(test_once_ends_with_the_run_of_a_change),
		cmocka_unit_test(test_once_with_a_change_during_the_first_run),
		cmocka_unit_test(test_exit_on_error_does_not_count_a_stopped_run),
		cmocka_unit_test(test_restart_on_exit_backs_off_and_a_change_ends_the_wait),
		cmocka_unit_test(test_pause_keeps_changes),
		cmocka_unit_test(test_delay_and_every),
		cmocka_unit_test(test_own_writes_are_muted_after_two_runs),
		cmocka_unit_test(test_other_paths_are_not_muted),
		cmocka_unit_test(test_another_cause_among_own_writes_starts_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
