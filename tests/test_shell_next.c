/* Lines one by one: sh_next(), and streams that are read by it. */
#include "shell_test.h"

static void test_stream_next_gives_lines_as_they_come(void **state)
{
	sh_proc *p = sh_start(
	    SH("sh", "-c", "echo a; echo b >&2; sleep 0.05; printf c", .out = SH_STREAM));
	char got[64] = "";
	sh_line line;
	int r;

	(void)state;
	while ((r = sh_next(p, &line)) == 1) {
		strncat(got, line.data, line.len);
		strcat(got, line.from_err ? "!" : ".");
	}
	assert_int_equal(r, 0);
	assert_true(!strcmp(got, "a.b!c.") || !strcmp(got, "b!a.c."));
	assert_int_equal(sh_next(p, &line), 0);
	assert_int_equal(sh_wait(p, -1)->status, SH_DONE);
	sh_proc_free(p);
}

static void test_stream_of_lines_is_not_captured(void **state)
{
	sh_proc *p = sh_start(SH("sh", "-c", "echo out; echo err >&2; echo more",
				 .out = SH_STREAM, .err = SH_STREAM));
	const sh_result *r = sh_wait(p, -1);
	sh_line line;

	(void)state;
	assert_status(r, SH_DONE);
	assert_int_equal(r->out_total, 9);
	assert_int_equal(r->err_total, 4);
	assert_string_equal(r->out, "");
	assert_int_equal(r->out_len, 0);
	assert_string_equal(r->err, "");
	assert_int_equal(r->err_len, 0);
	assert_int_equal(sh_next(p, &line), 1); /* but still to be read */
	assert_int_equal(line.len, 3);
	sh_proc_free(p);
}

static uint64_t own_cpu_ns(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ((uint64_t)ru.ru_utime.tv_sec + (uint64_t)ru.ru_stime.tv_sec) * 1000 * MS +
	       ((uint64_t)ru.ru_utime.tv_usec + (uint64_t)ru.ru_stime.tv_usec) * 1000;
}

static void test_stream_next_sleeps_until_there_is_a_line(void **state)
{
	sh_proc *p = sh_start(SH("sh", "-c", "sleep 1; echo x", .out = SH_STREAM));
	uint64_t before = own_cpu_ns();
	sh_line line;

	(void)state;
	assert_int_equal(sh_next(p, &line), 1);
	assert_true(own_cpu_ns() - before < 200 * (uint64_t)MS);
	sh_proc_free(p);
}

static void test_stream_next_forgets_what_was_read(void **state)
{
	long before = rss_kib();
	sh_proc *p = sh_start(SH("seq", "3000000", .out = SH_STREAM));
	sh_line line;
	long n = 0;

	(void)state;
	while (sh_next(p, &line) == 1)
		assert_true(++n == strtol(line.data, NULL, 10));
	assert_int_equal(n, 3000000);
	sh_proc_free(p);
	assert_true(!RSS_COUNTS || rss_kib() - before < 16 * 1024);
}

/* Lines end anywhere in what was read, and are longer than what a stream runs ahead. */
static void test_stream_next_joins_what_came_in_parts(void **state)
{
	sh_proc *p =
	    sh_start(SH("sh", "-c",
			"i=0; while [ $i -lt 40 ]; do head -c $((i * i * 1000)) /dev/zero |"
			" tr '\\0' x; echo; echo $i; i=$((i + 1)); done; printf end",
			.out = SH_STREAM));
	char number[16];
	sh_line line;

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		assert_int_equal(sh_next(p, &line), 1);
		assert_int_equal(line.len, i * i * 1000);
		if (line.len)
			assert_true(line.data[0] == 'x' && line.data[line.len - 1] == 'x');
		assert_int_equal(sh_next(p, &line), 1);
		snprintf(number, sizeof number, "%zu", i);
		assert_int_equal(line.len, strlen(number));
		assert_memory_equal(line.data, number, line.len);
	}
	assert_int_equal(sh_next(p, &line), 1);
	assert_int_equal(line.len, 3);
	assert_int_equal(sh_next(p, &line), 0);
	sh_proc_free(p);
}

static void test_stream_next_can_be_left_early(void **state)
{
	sh_proc *p = sh_start(SH("yes", .out = SH_STREAM));
	sh_line line;

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(sh_next(p, &line), 1);
	assert_memory_equal(line.data, "y", 1);
	sh_proc_free(p);
	assert_no_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream_next_forgets_what_was_read),
		cmocka_unit_test(test_stream_of_lines_is_not_captured),
		cmocka_unit_test(test_stream_next_gives_lines_as_they_come),
		cmocka_unit_test(test_stream_next_sleeps_until_there_is_a_line),
		cmocka_unit_test(test_stream_next_joins_what_came_in_parts),
		cmocka_unit_test(test_stream_next_can_be_left_early),
	};

	return RUN_ON_BOTH("next", tests);
}
