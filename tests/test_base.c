/* The private building blocks: bytes with a maximum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_keep_content_when_the_maximum_is_hit),
		cmocka_unit_test(test_version_text_and_number_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
