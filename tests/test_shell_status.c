/* How a command ended, and what the message says. Numbers are those of the behaviours. */
#include "shell_test.h"

static void test_status_12_exit_codes_and_the_accepted_ones(void **state)
{
	sh_result *r = sh("sh", "-c", "echo why >&2; exit 3");

	(void)state;
	assert_status(r, SH_EXIT);
	assert_int_equal(r->exit_code, 3);
	assert_int_equal(r->term_signal, 0);
	assert_string_equal(r->command, "sh -c 'echo why >&2; exit 3'");
	assert_string_equal(r->message, "sh -c 'echo why >&2; exit 3': exit code 3\nwhy");
	assert_int_equal(sh_shell_code(r), 3);
	sh_free(r);
	r = sh("sh", "-c", "exit 3", .ok = SH_OK(0, 3));
	assert_status(r, SH_DONE);
	assert_int_equal(r->exit_code, 3);
	assert_string_equal(r->message, "");
	sh_free(r);
	r = sh("true", .ok = SH_OK(3));
	assert_status(r, SH_EXIT);
	sh_free(r);
	r = sh("sh", "-c", "exit 77", .ok = SH_ANY);
	assert_status(r, SH_DONE);
	sh_free(r);
}

static void test_status_13_death_by_each_signal(void **state)
{
	static const int signals[] = { SIGTERM, SIGKILL, SIGSEGV, SIGHUP, SIGPIPE };
	char number[8];

	(void)state;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		sh_result *r;

		snprintf(number, sizeof number, "%d", signals[i]);
		r = sh(child(), "raise", number);
		assert_status(r, SH_SIGNAL);
		assert_int_equal(r->term_signal, signals[i]);
		assert_int_equal(r->exit_code, -1);
		assert_int_equal(sh_shell_code(r), 128 + signals[i]);
		sh_free(r);
	}
	snprintf(number, sizeof number, "%d", SIGTERM);
	{
		sh_result *r = sh(child(), "raise", number, .ok = SH_OK(-SIGTERM));

		assert_status(r, SH_DONE);
		assert_int_equal(r->term_signal, SIGTERM);
		sh_free(r);
	}
}

static void test_status_14_143_is_not_sigterm(void **state)
{
	sh_result *code = sh("sh", "-c", "exit 143"), *sig = sh("sh", "-c", "kill -TERM $$");

	(void)state;
	assert_status(code, SH_EXIT);
	assert_int_equal(code->exit_code, 143);
	assert_status(sig, SH_SIGNAL);
	assert_int_equal(sig->term_signal, SIGTERM);
	assert_int_equal(sh_shell_code(code), sh_shell_code(sig));
	sh_free(code);
	sh_free(sig);
}

static void test_status_15_waiting_twice_gives_the_same(void **state)
{
	sh_proc *p = sh_start(SH("sh", "-c", "exit 4"));
	const sh_result *one = sh_wait(p, -1), *two = sh_wait(p, -1);

	(void)state;
	assert_ptr_equal(one, two);
	assert_int_equal(one->exit_code, 4);
	assert_int_equal(two->status, SH_EXIT);
	sh_proc_free(p);
}

static void test_status_16_the_message_ends_with_the_tail_of_the_errors(void **state)
{
	sh_result *r = sh("sh", "-c",
			  "head -c 10485760 /dev/zero | tr '\\0' x | fold -w 63 >&2; "
			  "printf 'the \\033[31mlast\\033[0m line' >&2; exit 1");
	const char *end = "the \\x1b[31mlast\\x1b[0m line";
	size_t len = strlen(r->message), cut;

	(void)state;
	assert_status(r, SH_EXIT);
	assert_string_equal(r->message + len - strlen(end), end);
	assert_non_null(strstr(r->message, "exit code 1\n["));
	cut = strtoull(strstr(r->message, "exit code 1\n[") + 13, NULL, 10);
	assert_true(cut > 10485760 && cut < r->err_len);
	assert_true(len < 4096);
	sh_free(r);
	/* The same where nobody keeps the errors. */
	r = sh("sh", "-c", "seq 100000 >&2; exit 1", .err = SH_NULL);
	assert_string_equal(r->message, "sh -c 'seq 100000 >&2; exit 1': exit code 1");
	sh_free(r);
}

static void test_status_16_the_message_is_short_whatever_the_command(void **state)
{
	char *script = calloc(1, 100001);
	sh_result *r;

	(void)state;
	memset(script, ' ', 100000);
	memcpy(script, "echo because >&2; exit 3", 24);
	r = sh("sh", "-c", script);
	assert_status(r, SH_EXIT);
	assert_int_equal(strlen(r->command), 6 + 100002);
	assert_true(strlen(r->message) < 1200);
	assert_contains(r->message, "[99008 bytes more]: exit code 3\nbecause");
	sh_free(r);
	free(script);
}

static int count_line(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)p, (void)data, (void)len;
	++*(int *)arg;
	return 0;
}

static void test_status_16_the_tail_is_there_when_a_callback_took_the_errors(void **state)
{
	int n = 0;
	sh_result *r =
	    sh("sh", "-c", "seq 100000 >&2; exit 1", .err = SH_LINES(count_line, &n));
	size_t len = strlen(r->message);

	(void)state;
	assert_int_equal(n, 100000);
	assert_int_equal(r->err_len, 0);
	assert_int_equal(r->err_total, 588895);
	assert_string_equal(r->message + len - 13, "\n99999\n100000");
	assert_contains(r->message, "bytes of its errors are not shown]");
	sh_free(r);
}

/* One of each kind that a terminal would obey or that could pass for something else. */
#define NASTY                                                                                  \
	"printf 'a\\033]0;t\\007b\\000c\\rd\\177e\\010\\n" /* ESC, BEL, NUL, CR, DEL, BS */    \
	"\\302\\233f\\342\\200\\256g\\330\\234h\\342\\201\\246i" /* C1 CSI, RLO, ALM, LRI */   \
	"\\377j\\300\\257k\\355\\240\\200l\\302\\255m"		 /* no UTF-8; soft hyphen */   \
	"\\t\\303\\251 \\360\\237\\230\\200 \\303\\r\\n'"	 /* shown; half a character */
#define TAMED                                                                                  \
	"a\\x1b]0;t\\x07b\\x00c\\x0dd\\x7fe\\x08\n"                                            \
	"\\xc2\\x9bf\\xe2\\x80\\xaeg\\xd8\\x9ch\\xe2\\x81\\xa6i"                               \
	"\\xffj\\xc0\\xafk\\xed\\xa0\\x80l\\xc2\\xadm"                                         \
	"\t\303\251 \360\237\230\200 \\xc3"

static void assert_ends(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	if (len < n || strcmp(text + len - n, end) != 0)
		fail_msg("\"%s\" does not end with \"%s\"", text, end);
}

static void test_status_16_nothing_of_the_child_is_obeyed(void **state)
{
	sh_result *r = sh("sh", "-c", NASTY " >&2; exit 1");

	(void)state;
	assert_ends(r->message, "exit code 1\n" TAMED);
	sh_free(r);
	r = sh("sh", "-c", NASTY "; exit 1", .err = SH_MERGE);
	assert_ends(r->message, "exit code 1\n" TAMED);
	sh_free(r);
	r = sh("\x1b[2J\xe2\x80\xae", .cwd = "/");
	assert_status(r, SH_NOTFOUND);
	assert_null(strchr(r->message, '\x1b'));
	assert_null(strstr(r->message, "\xe2\x80\xae"));
	sh_free(r);
}

static void test_status_16_a_line_without_end_is_cut_between_characters(void **state)
{
	const char *shown;
	sh_result *r = sh("sh", "-c",
			  "i=0; while [ $i -lt 1000 ]; do printf '\342\202\254%03d' $i; "
			  "i=$((i+1)); done >&2; printf end >&2; exit 1");

	(void)state;
	assert_status(r, SH_EXIT);
	assert_int_equal(r->err_len, 6003);
	assert_ends(r->message, "\342\202\254999end");
	assert_null(strstr(r->message, "\\x"));
	shown = strstr(r->message, " are not shown]\n");
	assert_non_null(shown);
	shown += strlen(" are not shown]\n");
	assert_in_range(strlen(shown), 1900, 2000);
	assert_int_equal(strtoull(strstr(r->message, "\n[") + 2, NULL, 10) + strlen(shown),
			 6003);
	sh_free(r);
}

static void test_status_names(void **state)
{
	(void)state;
	assert_string_equal(sh_status_name(SH_DONE), "done");
	assert_string_equal(sh_status_name(SH_LOST), "lost");
	assert_string_equal(sh_status_name(SH_IO), "io");
	assert_string_equal(sh_status_name(99), "unknown");
}

static void test_status_usage_is_measured(void **state)
{
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_MEASURE);
	r = sh("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
	assert_status(r, SH_DONE);
	assert_true(r->wall_ns >= r->user_ns / 2);
	assert_true(r->user_ns + r->sys_ns > 0);
	assert_true(r->maxrss_kib > 100);
	sh_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_12_exit_codes_and_the_accepted_ones),
		cmocka_unit_test(test_status_13_death_by_each_signal),
		cmocka_unit_test(test_status_14_143_is_not_sigterm),
		cmocka_unit_test(test_status_15_waiting_twice_gives_the_same),
		cmocka_unit_test(test_status_16_the_message_ends_with_the_tail_of_the_errors),
		cmocka_unit_test(test_status_16_the_message_is_short_whatever_the_command),
		cmocka_unit_test(
		    test_status_16_the_tail_is_there_when_a_callback_took_the_errors),
		cmocka_unit_test(test_status_16_nothing_of_the_child_is_obeyed),
		cmocka_unit_test(test_status_16_a_line_without_end_is_cut_between_characters),
		cmocka_unit_test(test_status_names),
		cmocka_unit_test(test_status_usage_is_measured),
	};

	return RUN_ON_BOTH("status", tests);
}
