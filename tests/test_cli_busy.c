/* The busy policy and the detection of commands that trigger themselves: no clock, no process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
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

/* One run of a command that writes `path` itself; returns whether it is left alone. */
static int run_writing(struct own *o, const char *path)
{
	own_start(o);
	own_change(o, path, 10, NULL);
	own_end(o, 20);
	return own_is_own(o, 0);
}

static void test_own_writes_are_left_alone_after_two_runs(void **state)
{
	struct own o = { 0 };

	(void)state;
	own_other(&o);
	assert_int_equal(run_writing(&o, "out"), 0);
	assert_int_equal(own_asks(&o), 0);
	assert_int_equal(run_writing(&o, "out"), 0);
	assert_int_equal(own_asks(&o), 1);
	assert_int_equal(run_writing(&o, "out"), 1);
	/* Somebody else's change counts, and starts over. */
	own_other(&o);
	assert_int_equal(own_is_own(&o, 0), 0);
	assert_int_equal(run_writing(&o, "out"), 0);
	assert_int_equal(run_writing(&o, "out"), 0);
	assert_int_equal(run_writing(&o, "out"), 1);
	own_free(&o);
}

static void expect_pattern(const char *first, const char *then, const char *root,
			   const char *want)
{
	struct own o = { 0 };
	char *got;

	run_writing(&o, first);
	own_start(&o);
	own_change(&o, then, 10, NULL);
	got = own_pattern(&o, then, root);
	if (want) {
		assert_non_null(got);
		assert_string_equal(got, want);
	} else {
		assert_null(got);
	}
	free(got);
	own_free(&o);
}

static void test_a_pattern_ignores_what_it_writes(void **state)
{
	(void)state;
	expect_pattern("t/out", "t/out", "t", "/out");
	expect_pattern("t/a/out", "t/a/out", "t", "a/out");
	expect_pattern("out", "out", ".", "/out");
	expect_pattern("/x/t/out", "/x/t/out", "/x/t", "/out");
	expect_pattern("t/out", "t/out", "t/out", "out");
	expect_pattern("t/out.12", "t/out.34", "t", "/out.[0-9]*");
	expect_pattern("t/12", "t/345", "t", "/[0-9]*");
	expect_pattern("t/r12.log", "t/r13.log", "t", "/r[0-9]*.log");
	expect_pattern("t/r119.log", "t/r129.log", "t", "/r[0-9]*.log");
	expect_pattern("t/a/tmp.xyz", "t/a/tmp.uvw", "t", "a/tmp.*");
	expect_pattern("t/[1]", "t/[2]", "t", "/\\[[0-9]*\\]");
	expect_pattern("t/a.c", "t/b.c", "t", NULL);
	expect_pattern("t/a/1", "t/b/2", "t", NULL);
}

static void test_new_names_take_more_runs(void **state)
{
	static const char *const names[] = { "qwe", "out.1", "uio", "out.2", "out.3" };
	struct own o = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(run_writing(&o, names[i]), 0);
	assert_int_equal(run_writing(&o, names[4]), 1);
	own_free(&o);
}

static int long_run(struct own *o, int64_t at_ms, int64_t run_ms)
{
	own_start(o);
	own_change(o, "a.c", at_ms, NULL);
	own_end(o, run_ms);
	return own_is_own(o, 0);
}

static void test_saves_at_any_time_of_long_runs_count(void **state)
{
	static const int at[] = { 3000, 12000, 700, 18000, 9000, 5000, 15000 };
	struct own o = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof at / sizeof *at; i++)
		assert_int_equal(long_run(&o, at[i], 20000), 0);
	own_free(&o);
}

static void test_the_same_time_of_long_runs_is_the_command_s(void **state)
{
	struct own o = { 0 };

	(void)state;
	assert_int_equal(long_run(&o, 5000, 20000), 0);
	assert_int_equal(long_run(&o, 5010, 21000), 0);
	assert_int_equal(long_run(&o, 5020, 20000), 1);
	/* Counted from the end: a compiler's output. */
	own_free(&o);
	o = (struct own){ 0 };
	assert_int_equal(long_run(&o, 19990, 20000), 0);
	assert_int_equal(long_run(&o, 15990, 16000), 0);
	assert_int_equal(long_run(&o, 18990, 19000), 1);
	own_free(&o);
}

/* It is restarted by each change; returns whether that is the command's own doing. */
static int restarted_by(struct own *o, const char *path, int64_t at_ms, int is_proven)
{
	own_start(o);
	own_change(o, path, at_ms, NULL);
	return own_is_own(o, is_proven);
}

static void test_a_restart_is_left_out_on_proof_only(void **state)
{
	struct own o = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(restarted_by(&o, "log", 100, 0), 0);
	assert_int_equal(restarted_by(&o, "log", 100, 1), 1);
	own_free(&o);
	o = (struct own){ 0 };
	assert_int_equal(restarted_by(&o, "log", 100, 1), 0);
	assert_int_equal(restarted_by(&o, "log", 700, 1), 0);
	assert_int_equal(restarted_by(&o, "log", 300, 1), 1);
	own_free(&o);
}

static void test_steady_restarts_are_paced(void **state)
{
	struct own o = { 0 };

	(void)state;
	for (int i = 0; i < 6; i++) {
		restarted_by(&o, "db", 100 + i, 0);
		assert_int_equal(own_pace_ms(&o), 0);
	}
	restarted_by(&o, "db", 100, 0);
	assert_int_equal(own_pace_ms(&o), 1000);
	assert_int_equal(own_asks(&o), 0);
	restarted_by(&o, "db", 400, 0);
	assert_int_equal(own_pace_ms(&o), 0);
	assert_int_equal(own_asks(&o), 0);
	own_free(&o);
}

static void test_the_pace_slows_down_and_ends_with_another_cause(void **state)
{
	struct own o = { 0 };
	int64_t pace = 1000;

	(void)state;
	for (int i = 0; i < 7; i++)
		restarted_by(&o, "db", 100, 0);
	for (; pace <= 64000; pace *= 2) {
		assert_int_equal(own_pace_ms(&o), pace);
		restarted_by(&o, "db", 100, 0);
	}
	assert_int_equal(own_pace_ms(&o), 64000);
	own_change(&o, "a.c", 300, NULL);
	assert_int_equal(own_pace_ms(&o), 0);
	own_other(&o);
	for (int i = 0; i < 30; i++) {
		restarted_by(&o, "db", i % 2 * 300, 0);
		assert_int_equal(own_pace_ms(&o), 0);
	}
	restarted_by(&o, "db", 0, 0);
	assert_int_equal(own_pace_ms(&o), 1000);
	own_free(&o);
}

static void test_what_is_known_is_left_alone_at_once(void **state)
{
	struct own o = { 0 };

	(void)state;
	own_start(&o);
	own_change(&o, "log", 100, NULL);
	assert_int_equal(own_is_proven(&o, "log"), 0);
	own_learn(&o, "log");
	assert_int_equal(own_is_proven(&o, "log"), 1);
	assert_int_equal(own_is_proven(&o, "a.c"), 0);
	own_forget(&o);
	own_other(&o);
	own_start(&o);
	own_change(&o, "log", 100, NULL);
	assert_int_equal(own_is_proven(&o, "log"), 1);
	own_free(&o);
}

/* Stopped by what nobody is suspected of, as long after its start as the time before. */
static void test_what_stops_it_again_at_the_same_time_is_suspected(void **state)
{
	struct own o = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		own_start(&o);
		assert_int_equal(own_suspects(&o), i == 2);
		own_change(&o, "db", 5000 + 1000 * i, NULL);
		assert_int_equal(own_is_proven(&o, "db"), i == 2);
		own_other(&o);
		own_end(&o, -1);
	}
	own_start(&o);
	own_change(&o, "db", 30000, NULL);
	own_other(&o);
	own_start(&o);
	assert_int_equal(own_suspects(&o), 0);
	own_free(&o);
}

/* A run of `by` has changed `path`; returns whether the other one leaves it alone. */
static int run_by(struct own *o, const struct own *by, const char *path)
{
	own_change(o, path, 10, by);
	if (own_is_own(o, 0))
		return 1;
	own_start(o);
	own_end(o, 20);
	return 0;
}

static void test_rules_that_start_each_other(void **state)
{
	struct own a = { .name = "a" }, b = { .name = "b" };
	char *loop;

	(void)state;
	for (int user = 0; user < 2; user++) {
		own_change(&a, "src", 0, NULL);
		own_other(&a);
		assert_int_equal(run_by(&a, NULL, "src"), 0);
		assert_int_equal(run_by(&b, &a, "y"), 0);
		assert_int_equal(b.streak, 0);
		assert_int_equal(run_by(&a, &b, "x"), 0);
		assert_int_equal(a.streak, 1);
		assert_int_equal(own_descends(&a, &b), 1);
		assert_int_equal(run_by(&b, &a, "y"), 0);
		assert_int_equal(run_by(&a, &b, "x"), 0);
		assert_int_equal(run_by(&b, &a, "y"), 0);
		assert_int_equal(run_by(&a, &b, "x"), 1);
		loop = own_loop(&a);
		assert_string_equal(loop, "b, which rule a starts by changing y");
		free(loop);
		own_forget(&a);
	}
	own_free(&a);
	own_free(&b);
}

static void test_a_rule_that_runs_behind_another_is_none_of_these(void **state)
{
	struct own a = { .name = "a" }, b = { .name = "b" };

	(void)state;
	for (int i = 0; i < 10; i++) {
		own_other(&a);
		assert_int_equal(run_by(&a, NULL, "src"), 0);
		assert_int_equal(run_by(&b, &a, "y"), 0);
		assert_int_equal(own_asks(&b), 0);
		assert_null(own_loop(&b));
		assert_int_equal(own_descends(&a, &b), 0);
	}
	own_free(&a);
	own_free(&b);
}

static void test_another_cause_among_own_writes_starts_over(void **state)
{
	struct own o = { 0 };

	(void)state;
	own_other(&o);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(run_writing(&o, "out"), 0);
		own_other(&o);
		assert_int_equal(own_is_own(&o, 0), 0);
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
		cmocka_unit_test(test_own_writes_are_left_alone_after_two_runs),
		cmocka_unit_test(test_a_pattern_ignores_what_it_writes),
		cmocka_unit_test(test_new_names_take_more_runs),
		cmocka_unit_test(test_saves_at_any_time_of_long_runs_count),
		cmocka_unit_test(test_the_same_time_of_long_runs_is_the_command_s),
		cmocka_unit_test(test_a_restart_is_left_out_on_proof_only),
		cmocka_unit_test(test_steady_restarts_are_paced),
		cmocka_unit_test(test_the_pace_slows_down_and_ends_with_another_cause),
		cmocka_unit_test(test_what_is_known_is_left_alone_at_once),
		cmocka_unit_test(test_what_stops_it_again_at_the_same_time_is_suspected),
		cmocka_unit_test(test_rules_that_start_each_other),
		cmocka_unit_test(test_a_rule_that_runs_behind_another_is_none_of_these),
		cmocka_unit_test(test_another_cause_among_own_writes_starts_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
