/* The private building blocks: bytes with a maximum, sorting where there is no qsort_r(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/sort.h"
#include "tests/dice.h"
#include "whendo/version.h"

static void test_bytes_keep_content_when_the_maximum_is_hit(void **state)
{
	struct bytes b = { .max = 5 };

	(void)state;
	assert_int_equal(bytes_adds(&b, "abc"), 0);
	assert_int_equal(bytes_adds(&b, "def"), UV_E2BIG);
	assert_string_equal(b.data, "abc");
	assert_int_equal(bytes_addf(&b, "%d", 45), 0);
	assert_string_equal(b.data, "abc45");
	bytes_free(&b);
	assert_null(b.data);
}

static void test_version_text_and_number_agree(void **state)
{
	char text[32];
	unsigned v = whendo_version();

	(void)state;
	snprintf(text, sizeof text, "%u.%u.%u", v >> 16, v >> 8 & 255, v & 255);
	assert_string_equal(whendo_version_string(), text);
}

static int by_key(const void *a, const void *b, void *keys)
{
	const int *k = keys;

	return k[*(const uint32_t *)a] - k[*(const uint32_t *)b];
}

static void test_sort_heap_orders_by_an_argument(void **state)
{
	uint32_t order[100];
	int keys[100], seen[100];

	(void)state;
	rng = 7;
	for (uint32_t n = 0; n <= 100; n++) {
		for (uint32_t i = 0; i < n; i++) {
			order[i] = i;
			seen[i] = 0;
			keys[i] = (int)dice(40);
		}
		sort_heap(order, n, sizeof *order, by_key, keys);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(seen[order[i]]++, 0);
			if (i)
				assert_true(keys[order[i - 1]] <= keys[order[i]]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_keep_content_when_the_maximum_is_hit),
		cmocka_unit_test(test_version_text_and_number_agree),
		cmocka_unit_test(test_sort_heap_orders_by_an_argument),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
