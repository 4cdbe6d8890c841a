/*
 * sh_expect over much output: what it looks at is counted, not timed.
 *
 * link: -Wl,--wrap=pcre2_match_8
 */
#include "shell_test.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static size_t looked_at;

int __real_pcre2_match_8(const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length,
			 PCRE2_SIZE start, uint32_t options, pcre2_match_data *data,
			 pcre2_match_context *context);
int __wrap_pcre2_match_8(const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length,
			 PCRE2_SIZE start, uint32_t options, pcre2_match_data *data,
			 pcre2_match_context *context);

int __wrap_pcre2_match_8(const pcre2_code *code, PCRE2_SPTR subject, PCRE2_SIZE length,
			 PCRE2_SIZE start, uint32_t options, pcre2_match_data *data,
			 pcre2_match_context *context)
{
	looked_at += length - start;
	return __real_pcre2_match_8(code, subject, length, start, options, data, context);
}

enum { MUCH = 16 << 20 };

/* MUCH bytes in which every line begins as the prompt does, and then the prompt. */
static sh_proc *start_much(uv_loop_t *loop)
{
	return sh_start(SH("sh", "-c",
			   "yes 'login as: nobody in particular' | head -c 16777216; "
			   "printf '\\nlogin: '",
			   .loop = loop));
}

static void test_expect_looks_at_each_byte_once(void **state)
{
	sh_proc *p = start_much(NULL);

	(void)state;
	looked_at = 0;
	assert_int_equal(sh_expect(p, "^login: $", 60000), 1);
	assert_in_range(looked_at, MUCH, MUCH + MUCH / 4);
	sh_proc_free(p);
}

/* Asked again and again, as one does on a loop of one's own, or with a short time. */
static void test_expect_goes_on_where_it_was(void **state)
{
	sh_proc *p = start_much(NULL);
	int r;

	(void)state;
	looked_at = 0;
	while ((r = sh_expect(p, "^login: $", 0)) == UV_ETIMEDOUT)
		;
	assert_int_equal(r, 1);
	assert_in_range(looked_at, MUCH, MUCH + MUCH / 4);
	sh_proc_free(p);
}

static void test_expect_on_a_loop(void **state)
{
	uv_loop_t loop;
	sh_proc *p;
	int r;

	(void)state;
	uv_loop_init(&loop);
	p = start_much(&loop);
	looked_at = 0;
	while ((r = sh_expect(p, "^login: $", 0)) == UV_EAGAIN)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(r, 1);
	assert_in_range(looked_at, MUCH, MUCH + MUCH / 4);
	uv_run(&loop, UV_RUN_DEFAULT);
	sh_proc_free(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* A match that comes in pieces, each of which could be the whole of another. */
static void test_expect_across_pieces(void **state)
{
	static const struct {
		const char *before, *after, *pattern;
	} cases[] = {
		{ "Pass", "word: ", "Password: " },
		{ "a", "b\n", "^ab$" },
		{ "x\n", "y\n", "x\\ny" },
		{ "foo", "bar", "(?<=foo)bar" },
		{ "foo", "bar", "\\bfoobar\\b" },
		{ "one two", " three", "two(?! four) three" },
		{ "\n", "$ ", "^\\$ $" },
		{ "aaa", "aab", "a+b" },
		{ "aab", "ab", "(ab){2}" },
		{ "x", "", "y|\\z" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sh_proc *p =
		    sh_start(SH("sh", "-c", "printf %s \"$1\"; read x; printf %s \"$2\"", "sh",
				cases[i].before, cases[i].after, .in = SH_FEED));
		int r = sh_expect(p, cases[i].pattern, 100);

		if (cases[i].after[0])
			assert_int_equal(r, UV_ETIMEDOUT);
		assert_int_equal(sh_write(p, "\n", 1), 0);
		if (r != 1 && sh_expect(p, cases[i].pattern, 20000) != 1)
			fail_msg("%s then %s: no %s", cases[i].before, cases[i].after,
				 cases[i].pattern);
		sh_proc_free(p);
	}
}

static void test_expect_another_pattern_looks_at_all(void **state)
{
	sh_proc *p = sh_start(SH("echo", "one two three"));

	(void)state;
	assert_int_equal(sh_expect(p, "four", 20000), 0);
	assert_int_equal(sh_expect(p, "one", 20000), 1);
	assert_int_equal(sh_expect(p, "one", 20000), 0);
	assert_int_equal(sh_expect(p, "three", 20000), 1);
	assert_int_equal(sh_expect(p, "two", 20000), 0);
	sh_proc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expect_looks_at_each_byte_once),
		cmocka_unit_test(test_expect_goes_on_where_it_was),
		cmocka_unit_test(test_expect_on_a_loop),
		cmocka_unit_test(test_expect_across_pieces),
		cmocka_unit_test(test_expect_another_pattern_looks_at_all),
	};

	return RUN_ON_BOTH("expect", tests);
}
