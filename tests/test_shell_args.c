/*
 * Arguments, programs, environment and the judgement of calls. The number in a test's name
 * is the behaviour it shows.
 */
#include "shell_test.h"

#include <sys/stat.h>

#include "shellcmd/proc.h"

static void test_args_01_reach_the_child_byte_for_byte(void **state)
{
	static const char *const odd[] = {
		"a b", "it's \"q\"", "line\nbreak", "$HOME;`x`|&", "\xff\xfe\x80", "",
		"-n",  "*",	     "\\",	    "\x1b[2J",	   "last"
	};
	char want[256], *p = want;
	sh_result *r;

	(void)state;
	p += sprintf(p, "11") + 1;
	for (size_t i = 0; i < 11; i++)
		p += sprintf(p, "%s", odd[i]) + 1;
	r = sh(child(), "args", odd[0], odd[1], odd[2], odd[3], odd[4], odd[5], odd[6], odd[7],
	       odd[8], odd[9], odd[10]);
	assert_status(r, SH_DONE);
	assert_int_equal(r->out_len, p - want);
	assert_memory_equal(r->out, want, r->out_len);
	sh_free(r);
}

static void test_args_02_a_hole_is_invalid_and_skip_is_dropped(void **state)
{
	sh_result *r = sh(child(), "args", NULL, "after");

	(void)state;
	assert_status(r, SH_INVALID);
	assert_contains(r->message, "argument 2 is NULL, but more follow it");
	assert_int_equal(r->stages[0].pid, 0);
	sh_free(r);
	r = sh(child(), "args", SH_SKIP, "x", SH_SKIP);
	assert_int_equal(r->out_len, 4);
	assert_memory_equal(r->out, "1\0x", 4);
	sh_free(r);
}

static void test_args_02_more_than_fit_are_invalid(void **state)
{
	sh_call c = { .size = sizeof c };
	sh_result *r;

	(void)state;
	for (int i = 0; i < SH_ARGV_MAX; i++)
		c.argv[i] = "true";
	r = sh_run(&c);
	assert_status(r, SH_DONE);
	sh_free(r);
	c.argv_end = (const void *)"one more";
	r = sh_run(&c);
	assert_status(r, SH_INVALID);
	assert_contains(r->message, "more than 64 arguments: pass them with .args");
	sh_free(r);
}

static void test_args_03_too_long_is_e2big(void **state)
{
	char *big;
	sh_result *r;

	(void)state;
	NOT_IN_VALGRIND();
	big = malloc(200 * 1024);
	memset(big, 'x', 200 * 1024 - 1);
	big[200 * 1024 - 1] = '\0';
	r = sh("echo", big);
	assert_status(r, SH_SPAWN);
	assert_int_equal(r->sys_errno, UV_E2BIG);
	sh_free(r);
	free(big);
}

static void test_args_03_too_many_are_e2big(void **state)
{
	enum { COUNT = 60, LENGTH = 120 * 1024 };
	const char *list[COUNT + 1] = { NULL };
	char *one;
	sh_result *r;

	(void)state;
	NOT_IN_VALGRIND();
	one = calloc(1, LENGTH);
	memset(one, 'x', LENGTH - 1);
	for (int i = 0; i < COUNT; i++)
		list[i] = one;
	r = sh("true", .args = list);
	assert_status(r, SH_SPAWN);
	assert_int_equal(r->sys_errno, UV_E2BIG);
	assert_contains(r->message, "too long for the system");
	sh_free(r);
	free(one);
}

static void test_args_04_format_makes_one_argument_of_each_conversion(void **state)
{
	sh_result *r = sh_f("printf %%s: %s", "a b; c");

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "a b; c:");
	sh_free(r);
	r = sh_f("echo 'open");
	assert_status(r, SH_INVALID);
	assert_contains(r->message, "of the format");
	sh_free(r);
}

static void test_args_05_recipes_keep_order_and_their_base(void **state)
{
	sh_cmd *one = sh_bake(SH(child(), "args", "1", .env = SH_LIST("A=1", "B=1")));
	sh_cmd *two = sh_bake(SH("2", .base = one, .env = SH_LIST("B=2")));
	sh_result *r = sh_call(two, "3");

	(void)state;
	assert_int_equal(r->out_len, 8);
	assert_memory_equal(r->out, "3\0001\0002\0003\0", 8);
	sh_free(r);
	r = sh_call(one, "x");
	assert_memory_equal(r->out, "2\0001\0x", 6);
	sh_free(r);
	sh_cmd_free(one);
	r = sh_run(SH("-c", "echo $A$B", .base = two, .args = SH_LIST("4")));
	assert_memory_equal(r->out, "5\0001\0002\000-c\0", 9);
	sh_free(r);
	sh_cmd_free(two);
	one = sh_bake(SH("sh", "-c", "echo $A$B", .env = SH_LIST("A=1", "B=1")));
	r = sh_call(one, SH_SKIP, .env = SH_LIST("B=2"));
	assert_string_equal(r->out, "12\n");
	sh_free(r);
	sh_cmd_free(one);
}

static void test_args_06_a_missing_program_is_told_with_a_near_name(void **state)
{
	size_t fds = count_fds();
	sh_result *r = sh("gti", "status");

	(void)state;
	assert_status(r, SH_NOTFOUND);
	assert_int_equal(r->sys_errno, UV_ENOENT);
	assert_string_equal(r->message,
			    "gti status: there is no such program; did you mean git?");
	sh_free(r);
	assert_int_equal(count_fds(), fds);
	assert_no_children();
}

static char *make_dir(void)
{
	static char dir[] = "/tmp/whendo-args-XXXXXX";

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir);
}

static void make_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static void remove_dir(const char *dir)
{
	sh_free(sh("rm", "-rf", dir));
}

static void test_args_07_what_cannot_be_executed_is_skipped(void **state)
{
	char *dir = make_dir(), path[300], sub[300];
	sh_result *r;

	(void)state;
	make_file(dir, "whendo-plain", "echo no\n", 0644);
	snprintf(path, sizeof path, "PATH=%s:/usr/bin:/bin", dir);
	r = sh("whendo-plain", .env = SH_LIST(path));
	assert_status(r, SH_NOPERM);
	assert_int_equal(sh_shell_code(r), 126);
	sh_free(r);
	snprintf(sub, sizeof sub, "%s/echo", dir);
	mkdir(sub, 0755);
	r = sh("echo", "found", .env = SH_LIST(path));
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "found\n");
	sh_free(r);
	remove_dir(dir);
}

static void test_args_08_relative_programs_are_the_hosts(void **state)
{
	char *dir = make_dir(), here[4096];
	sh_result *r;

	(void)state;
	assert_non_null(getcwd(here, sizeof here));
	make_file(dir, "tool", "#!/bin/sh\npwd\n", 0755);
	assert_int_equal(chdir(dir), 0);
	r = sh("./tool", .cwd = "/");
	assert_int_equal(chdir(here), 0);
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "/\n");
	sh_free(r);
	remove_dir(dir);
}

static void test_args_09_a_script_without_shebang_is_run_by_sh(void **state)
{
	char *dir = make_dir(), path[300];
	sh_result *r;

	(void)state;
	make_file(dir, "script", "echo \"script $1\"\n", 0755);
	snprintf(path, sizeof path, "%s/script", dir);
	r = sh(path, "a b");
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "script a b\n");
	sh_free(r);
	remove_dir(dir);
}

static void test_args_09_an_interpreter_may_be_missing(void **state)
{
	char *dir, path[300];
	sh_result *r;

	(void)state;
	NOT_IN_VALGRIND();
	dir = make_dir();
	snprintf(path, sizeof path, "%s/script", dir);
	make_file(dir, "script", "#!/no/such/interpreter\n", 0755);
	r = sh(path);
	assert_status(r, SH_NOTFOUND);
	assert_contains(r->message, "its interpreter");
	sh_free(r);
	remove_dir(dir);
}

static void test_args_10_the_environment_is_what_was_asked_for(void **state)
{
	sh_result *r;

	(void)state;
	setenv("WHENDO_A", "host", 1);
	setenv("WHENDO_B", "host", 1);
	r = sh("sh", "-c", "echo $WHENDO_A $WHENDO_B $WHENDO_C",
	       .env = SH_LIST("WHENDO_A=x", "WHENDO_C=1", "WHENDO_C=2"),
	       .unset = SH_LIST("WHENDO_B"));
	assert_string_equal(r->out, "x 2\n");
	sh_free(r);
	r = sh("env", .env_clear = true, .env = SH_LIST("ONLY=this"));
	assert_string_equal(r->out, "ONLY=this\n");
	sh_free(r);
	/* The PATH that is searched is the one the child gets. */
	r = sh("echo", .env = SH_LIST("PATH=/nonexistent"));
	assert_status(r, SH_NOTFOUND);
	sh_free(r);
	unsetenv("WHENDO_A");
	unsetenv("WHENDO_B");
}

static void test_args_11_a_glob_never_yields_its_pattern(void **state)
{
	char **words = NULL;

	(void)state;
	assert_int_equal(sh_glob(&words, "/nonexistent/*.c", 0), UV_ENOENT);
	assert_int_equal(sh_glob(&words, "/nonexistent/*.c", SH_GLOB_NULL), 0);
	assert_null(words[0]);
	sh_words_free(words);
}

static void never_stopped(sh_proc *p, int signum, void *arg)
{
	(void)p, (void)arg;
	fail_msg("stopped by %d", signum);
}

/* Each with what its message must say. */
static void test_args_17_conflicts_name_both_fields(void **state)
{
	const struct {
		const sh_call *call;
		const char *says;
	} cases[] = {
		{ SH("true", .session = true, .keep_group = true),
		  "session and keep_group exclude each other" },
		{ SH("true", .detach = true, .die_with_parent = true),
		  "detach and die_with_parent exclude each other" },
		{ SH("true", .guard = true, .keep_group = true),
		  "guard and keep_group exclude each other" },
		{ SH("true", .detach = true, .guard = true),
		  "detach and guard exclude each other" },
		{ SH("true", .detach = true, .keep_group = true),
		  "detach and keep_group exclude each other" },
		{ SH("true", .detach = true, .foreground_tty = true),
		  "detach and foreground_tty exclude each other" },
		{ SH("true", .session = true, .foreground_tty = true),
		  "session and foreground_tty exclude each other" },
		{ SH("true", .stop_left = true, .keep_group = true),
		  "stop_left and keep_group exclude each other" },
		{ SH("true", .foreground_tty = true, .keep_group = true),
		  "foreground_tty and keep_group exclude each other" },
		{ SH("true", .pty = true, .keep_group = true),
		  "pty and keep_group exclude each other" },
		{ SH("true", .pty = true, .detach = true),
		  "pty and detach exclude each other" },
		{ SH("true", .pty = true, .foreground_tty = true),
		  "pty and foreground_tty exclude each other" },
		{ SH("true", .pty = true, .in = SH_FILE("/dev/null")),
		  "pty and in exclude each other" },
		{ SH("true", .pty = true, .out = SH_NULL), "pty and out exclude each other" },
		{ SH("true", .nice = 41), "nice is 41" },
		{ SH("true", .unset = SH_LIST("A=1")), "unset: \"A=1\" is not a name" },
		{ SH("true", .cwd = ""), "cwd is empty" },
		{ SH("true", .user = ""), "user is empty" },
		{ SH("true", .stopped = never_stopped), "stopped is set, but guard is not" },
		{ SH("true", .guardian = (sh_guardian *)cases),
		  "guardian is set, but guard is not" },
		{ SH("true", .pty = true, .err = SH_NULL), "pty and err exclude each other" },
		{ SH("true", .rows = 10), "rows is set, but pty is not" },
		{ SH("true", .timeout_ms = -1), "timeout_ms is negative" },
		{ SH("true", .idle_ms = -1), "idle_ms is negative" },
		{ SH("true", .grace_ms = -1), "grace_ms is negative" },
		{ SH("true", .drain_ms = -1), "drain_ms is negative" },
		{ SH("true", .overflow = 9), "overflow has the unknown value 9" },
		{ SH("true", .stop_signal = 99), "there is no signal 99" },
		{ SH("true", .umask = 077), "write SH_UMASK(077)" },
		{ SH("true", .in = SH_MERGE), "in cannot be SH_MERGE" },
		{ SH("true", .out = SH_MERGE), "out cannot be SH_MERGE" },
		{ SH("true", .out = SH_TEXT("x")), "out cannot be SH_BYTES" },
		{ SH("true", .out = SH_FILE(NULL)), "the path of SH_FILE is NULL" },
		{ SH("true", .out = SH_LINES(NULL, NULL)), "callback of SH_LINES is NULL" },
		{ SH("true", .out = SH_TEE(SH_TEE(SH_NULL))), "cannot be SH_TEE" },
		{ SH("true", .in = { .kind = 99 }), "in has the unknown kind 99" },
		{ SH("true", .fds = SH_FDS({ 1, 2 })), "the child's must be 3 or more" },
		{ SH("true", .fds = SH_FDS({ 3, 1 }, { 3, 2 })), "the child's 3 twice" },
		{ SH("true", .env = SH_LIST("NOVALUE")), "\"NOVALUE\" is not NAME=value" },
		{ SH("true", .in = SH_FEED), "nothing can call sh_write()" },
		{ SH("true", .idle_ms = 5, SH_FOREGROUND), "idle_ms is set" },
		{ SH("true", .held = true), "held is for sh_start()" },
		{ SH("true", .out = SH_FD(-1)), "SH_FD(-1) is no descriptor" },
		{ SH_OPTS(.cwd = "/"), "there is no command" },
		{ NULL, "the call is NULL" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sh_result *r = sh_run(cases[i].call);

		assert_status(r, SH_INVALID);
		assert_int_equal(r->sys_errno, UV_EINVAL);
		assert_contains(r->message, cases[i].says);
		assert_int_equal(r->stages[0].pid, 0);
		sh_free(r);
	}
}

static void test_args_17_stages_that_differ_are_invalid(void **state)
{
	sh_result *r = sh_pipe(SH("true", .timeout_ms = 5), SH("true", .timeout_ms = 6));

	(void)state;
	assert_status(r, SH_INVALID);
	assert_contains(r->message, "timeout_ms concerns the whole pipeline");
	sh_free(r);
	r = sh_pipe(SH("true"), SH("true", .in = SH_NULL));
	assert_status(r, SH_INVALID);
	assert_int_equal(r->stage, 1);
	assert_contains(r->message, "in is set, but the stage reads from the pipeline");
	sh_free(r);
}

static void test_args_17_no_stages_are_invalid(void **state)
{
	const sh_call *none[] = { (const sh_call *)(uintptr_t)8 };
	sh_result *r = sh_run_stages(none, 0); /* what is not counted is not looked at */

	(void)state;
	assert_status(r, SH_INVALID);
	assert_contains(r->message, "the call is NULL");
	sh_free(r);
}

static void test_args_62_other_sizes_of_the_struct(void **state)
{
	struct {
		sh_call c;
		char more[16];
	} newer = { .c = { .size = sizeof newer, .argv = { "true" } } };
	sh_call older = { .size = offsetof(sh_call, in), .argv = { "true" } };
	sh_result *r = sh_run(&newer.c);
	sh_cmd *cmd;

	(void)state;
	assert_status(r, SH_DONE);
	sh_free(r);
	newer.more[8] = 1;
	r = sh_run(&newer.c);
	assert_status(r, SH_INVALID);
	assert_int_equal(r->sys_errno, UV_E2BIG);
	assert_contains(r->message, "does not know");
	sh_free(r);
	cmd = sh_bake(&newer.c);
	r = sh_call(cmd, "x");
	assert_status(r, SH_INVALID);
	assert_int_equal(r->sys_errno, UV_E2BIG);
	sh_free(r);
	sh_cmd_free(cmd);
	older.timeout_ms = -1; /* beyond what this caller's header had: not looked at */
	r = sh_run(&older);
	assert_status(r, SH_DONE);
	sh_free(r);
	older.size = 0;
	r = sh_run(&older);
	assert_status(r, SH_INVALID);
	assert_contains(r->message, "sizeof(sh_call)");
	sh_free(r);
}

static void test_args_63_the_command_of_a_result_can_be_typed_again(void **state)
{
	sh_result *r =
	    sh(child(), "args", "a b", "it's", "$HOME `x` \"q\" \\ *", "", "\xc3\xa9");
	sh_result *again = sh("sh", "-c", r->command);

	(void)state;
	assert_status(again, SH_DONE);
	assert_int_equal(again->out_len, r->out_len);
	assert_memory_equal(again->out, r->out, r->out_len);
	sh_free(r);
	sh_free(again);
	r = sh(child(), "args", "line\nbreak", "\x1b[2J", "\xff");
	assert_null(strpbrk(r->command, "\n\x1b\xff"));
	again = sh("bash", "-c", r->command);
	if (again->status != SH_NOTFOUND) {
		assert_int_equal(again->out_len, r->out_len);
		assert_memory_equal(again->out, r->out, r->out_len);
	}
	sh_free(r);
	sh_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_args_01_reach_the_child_byte_for_byte),
		cmocka_unit_test(test_args_02_a_hole_is_invalid_and_skip_is_dropped),
		cmocka_unit_test(test_args_02_more_than_fit_are_invalid),
		cmocka_unit_test(test_args_03_too_long_is_e2big),
		cmocka_unit_test(test_args_03_too_many_are_e2big),
		cmocka_unit_test(test_args_04_format_makes_one_argument_of_each_conversion),
		cmocka_unit_test(test_args_05_recipes_keep_order_and_their_base),
		cmocka_unit_test(test_args_06_a_missing_program_is_told_with_a_near_name),
		cmocka_unit_test(test_args_07_what_cannot_be_executed_is_skipped),
		cmocka_unit_test(test_args_08_relative_programs_are_the_hosts),
		cmocka_unit_test(test_args_09_a_script_without_shebang_is_run_by_sh),
		cmocka_unit_test(test_args_09_an_interpreter_may_be_missing),
		cmocka_unit_test(test_args_10_the_environment_is_what_was_asked_for),
		cmocka_unit_test(test_args_11_a_glob_never_yields_its_pattern),
		cmocka_unit_test(test_args_17_conflicts_name_both_fields),
		cmocka_unit_test(test_args_17_stages_that_differ_are_invalid),
		cmocka_unit_test(test_args_17_no_stages_are_invalid),
		cmocka_unit_test(test_args_62_other_sizes_of_the_struct),
		cmocka_unit_test(test_args_63_the_command_of_a_result_can_be_typed_again),
	};

	return RUN_ON_BOTH("args", tests);
}
