/* When a batch is due: quiet time, cap and leading edge, on a clock that is passed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "watcher/debounce.h"

static void test_nothing_is_due(void **state)
{
	struct debounce d = { .quiet_ns = 10, .cap_ns = 100 };

	(void)state;
	assert_true(debounce_due(&d) == UINT64_MAX);
	debounce_event(&d, 5, false);
	debounce_delivered(&d);
	assert_true(debounce_due(&d) == UINT64_MAX);
}

static void test_quiet_time_begins_anew(void **state)
{
	struct debounce d = { .quiet_ns = 10, .cap_ns = 100 };

	(void)state;
	debounce_event(&d, 1000, false);
	assert_int_equal(debounce_due(&d), 1010);
	debounce_event(&d, 1009, true);
	assert_int_equal(debounce_due(&d), 1019);
}

static void test_never_later_than_the_cap(void **state)
{
	struct debounce d = { .quiet_ns = 10, .cap_ns = 25 };

	(void)state;
	for (uint64_t t = 1000; t < 1100; t += 5)
		debounce_event(&d, t, false);
	assert_int_equal(debounce_due(&d), 1025);
	debounce_delivered(&d);
	debounce_event(&d, 1101, false);
	assert_int_equal(debounce_due(&d), 1111);
}

static void test_without_quiet_time(void **state)
{
	struct debounce d = { 0 };

	(void)state;
	debounce_event(&d, 7, false);
	assert_int_equal(debounce_due(&d), 7);
}

static void test_leading_edge(void **state)
{
	struct debounce d = { .quiet_ns = 10, .cap_ns = 100, .leading_ns = 50 };

	(void)state;
	debounce_event(&d, 1000, false); /* the first ever, but not complete */
	assert_int_equal(debounce_due(&d), 1010);
	debounce_event(&d, 1002, true);
	assert_int_equal(debounce_due(&d), 0);
	debounce_delivered(&d);
	debounce_event(&d, 1004, true); /* no silence before it: an ordinary batch */
	assert_int_equal(debounce_due(&d), 1014);
	debounce_delivered(&d);
	debounce_event(&d, 1053, true); /* 49 of silence */
	assert_int_equal(debounce_due(&d), 1063);
	debounce_delivered(&d);
	debounce_event(&d, 1103, true); /* 50 */
	assert_int_equal(debounce_due(&d), 0);
}

/* A batch that was not complete when delivered does not make the next one so. */
static void test_complete_is_of_one_batch(void **state)
{
	struct debounce d = { .quiet_ns = 10, .cap_ns = 100, .leading_ns = 50 };

	(void)state;
	debounce_event(&d, 1000, true);
	debounce_delivered(&d);
	debounce_event(&d, 2000, false);
	assert_int_equal(debounce_due(&d), 2010);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_due),
		cmocka_unit_test(test_quiet_time_begins_anew),
		cmocka_unit_test(test_never_later_than_the_cap),
		cmocka_unit_test(test_without_quiet_time),
		cmocka_unit_test(test_leading_edge),
		cmocka_unit_test(test_complete_is_of_one_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
