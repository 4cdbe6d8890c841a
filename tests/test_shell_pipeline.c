/* Pipelines over kernel pipes. Numbers are those of the behaviours. */
#include "shell_test.h"

#include <sys/resource.h>

static uint64_t own_io_bytes(void)
{
	FILE *f = fopen("/proc/thread-self/io", "r");
	unsigned long long rchar = 0, wchar = 0;

	if (!f || fscanf(f, "rchar: %llu\nwchar: %llu", &rchar, &wchar) != 2)
		rchar = 0;
	if (f)
		fclose(f);
	return rchar + wchar;
}

static void test_pipeline_31_no_byte_passes_through_the_parent(void **state)
{
	uint64_t before = own_io_bytes();
	sh_result *r =
	    sh_pipe(SH("head", "-c", "104857600", "/dev/zero"), SH("cat"), SH("wc", "-c"));

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "104857600\n");
	assert_true(own_io_bytes() - before < 65536);
	assert_int_equal(r->n_stages, 3);
	assert_string_equal(r->command, "head -c 104857600 /dev/zero | cat | wc -c");
	sh_free(r);
}

static void test_pipeline_32_a_failing_producer_is_a_failure(void **state)
{
	sh_result *r = sh_pipe(SH("sh", "-c", "echo x; echo broken >&2; exit 2"), SH("cat"));

	(void)state;
	assert_status(r, SH_EXIT);
	assert_int_equal(r->stage, 0);
	assert_int_equal(r->exit_code, 2);
	assert_string_equal(r->out, "x\n");
	assert_string_equal(r->message,
			    "sh -c 'echo x; echo broken >&2; exit 2' | cat: stage 0 (sh): exit "
			    "code 2\nbroken");
	assert_int_equal(r->stages[1].status, SH_DONE);
	sh_free(r);
	r = sh_pipe(SH("sh", "-c", "echo x; exit 2", .ok = SH_OK(2)), SH("grep", "-q", "y"));
	assert_status(r, SH_EXIT);
	assert_int_equal(r->stage, 1);
	sh_free(r);
	r = sh_pipe(SH("sh", "-c", "echo x; exit 2", .ok = SH_OK(2)),
		    SH("grep", "-q", "y", .ok = SH_ANY));
	assert_status(r, SH_DONE);
	assert_int_equal(r->exit_code, 1);
	sh_free(r);
}

static void test_pipeline_33_a_reader_that_had_enough_is_success(void **state)
{
	sh_result *r = sh_pipe(SH("yes"), SH("head", "-1"));

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "y\n");
	assert_int_equal(r->stages[0].term_signal, SIGPIPE);
	assert_int_equal(r->stages[0].status, SH_DONE);
	assert_true(r->wall_ns < 20000 * (uint64_t)MS);
	sh_free(r);
}

static void test_pipeline_34_a_stage_that_cannot_start_stops_the_others(void **state)
{
	size_t fds = count_fds();
	sh_result *r = sh_pipe(SH("sleep", "100"), SH("whendo-no-such-program"),
			       SH("cat", .grace_ms = 60000));

	(void)state;
	assert_status(r, SH_NOTFOUND);
	assert_int_equal(r->stage, 1);
	assert_contains(r->message,
			"stage 1 (whendo-no-such-program): there is no such program");
	assert_true(r->stages[0].pid > 0);
	assert_int_equal(r->stages[0].term_signal, SIGTERM);
	assert_int_equal(r->stages[2].pid, 0);
	assert_true(r->wall_ns < 50000 * (uint64_t)MS);
	sh_free(r);
	assert_int_equal(count_fds(), fds);
	assert_no_children();
}

static void test_pipeline_35_a_timeout_ends_every_stage(void **state)
{
	sh_result *r = sh_pipe(SH("sleep", "100"), SH("sleep", "101"), SH("sleep", "102"),
			       SH("cat", .timeout_ms = 50, .grace_ms = 60000));

	(void)state;
	assert_status(r, SH_TIMEOUT);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(r->stages[i].term_signal, SIGTERM);
		assert_false(is_alive(r->stages[i].pid));
	}
	sh_free(r);
}

static void test_pipeline_streams_at_both_ends(void **state)
{
	sh_result *r = sh_pipe(SH("cat", .in = SH_TEXT("b\na\nb\n")), SH("sort"),
			       SH("uniq", "-c", .out = SH_CAPTURE));

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "      1 a\n      2 b\n");
	sh_free(r);
	r = sh_pipe(SH("sh", "-c", "echo err1 >&2"), SH("sh", "-c", "cat; echo err2 >&2"));
	assert_int_equal(r->err_len, 10);
	assert_contains(r->err, "err1\n");
	assert_contains(r->err, "err2\n");
	sh_free(r);
	r = sh_pipe(SH("sh", "-c", "echo a; echo b >&2", .err = SH_MERGE), SH("cat"));
	assert_string_equal(r->out, "a\nb\n");
	sh_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipeline_31_no_byte_passes_through_the_parent),
		cmocka_unit_test(test_pipeline_32_a_failing_producer_is_a_failure),
		cmocka_unit_test(test_pipeline_33_a_reader_that_had_enough_is_success),
		cmocka_unit_test(test_pipeline_34_a_stage_that_cannot_start_stops_the_others),
		cmocka_unit_test(test_pipeline_35_a_timeout_ends_every_stage),
		cmocka_unit_test(test_pipeline_streams_at_both_ends),
	};

	return RUN_ON_BOTH("pipeline", tests);
}
