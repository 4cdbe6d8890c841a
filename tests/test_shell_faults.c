/* clang-format off */
/*
 * Behaviour 51: every allocation and every system call of each scenario fails once. What
 * comes back is a clean error or the right result, and nothing is left behind: no
 * descriptor, no child, no block of memory.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=pipe2,--wrap=clone,--wrap=syscall,--wrap=open,--wrap=fcntl,--wrap=read,--wrap=write,--wrap=poll,--wrap=posix_openpt,--wrap=socketpair,--wrap=send,--wrap=sendmsg,--wrap=recv,--wrap=recvmsg,--wrap=ioctl
 */
/* clang-format on */
#include "shell_faults.h"

static bool run_with_options(void)
{
	return checked(
	    sh("sh", "-c", "cat; echo $A; cat <&7", .in = SH_TEXT("text "), .cwd = "/",
	       .env = SH_LIST("A=1"), .unset = SH_LIST("B"), .ok = SH_OK(0, 3),
	       .args = SH_LIST("more", "words"), .timeout_ms = 20000,
	       .fds = SH_FDS({ 7, 0 }, { 8, 0 }, { 9, 0 }, { 10, 0 }, { 11, 0 }, { 12, 0 })),
	    "text 1\n");
}

static bool run_with_limits(void)
{
	return checked(sh("sh", "-c", "umask; ulimit -t", .umask = SH_UMASK(077), .nice = 1,
			  .rlimits = SH_RLIMITS({ RLIMIT_CPU, 77, 77 }),
			  .die_with_parent = true),
		       "0077\n77\n");
}

static bool run_pipeline(void)
{
	return checked(sh_pipe(SH("echo", "x"), SH("cat", .err = SH_MERGE), SH("cat")), "x\n");
}

static int ignore_line(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)p, (void)data, (void)len;
	++*(int *)arg;
	return 0;
}

static bool run_with_callbacks(void)
{
	int lines = 0;

	return checked(sh("sh", "-c", "seq 3; seq 3 >&2", .out = SH_TEE(SH_FILE("/dev/null")),
			  .err = SH_LINES(ignore_line, &lines)),
		       "1\n2\n3\n");
}

static bool run_with_files(void)
{
	return checked(sh("cat", .in = SH_FILE("/dev/null"), .out = SH_APPEND("/dev/null"),
			  .err = SH_NULL),
		       "");
}

static bool run_recipe(void)
{
	sh_cmd *one = sh_bake(SH("echo", "a", .env = SH_LIST("A=1")));
	sh_cmd *two = one ? sh_bake(SH("b", .base = one, .env = SH_LIST("B=1"))) : NULL;
	bool clean = !two || checked(sh_call(two, "c"), "a b c\n");

	sh_cmd_free(one);
	sh_cmd_free(two);
	return clean;
}

static bool run_format(void)
{
	return checked(sh_f("echo %s %d", "a  b", 5), "a  b 5\n");
}

static bool run_guarded(void)
{
	return checked(sh("echo", "x", .guard = true), "x\n");
}

static bool run_guarded_ahead(void)
{
	sh_guardian *g;
	bool clean;

	if (!(sh__engine()->can & SH__CAN_TREE))
		return true;
	if (!(g = sh_guardian_new()))
		return fault.kind == MEMORY;
	/* Whether it is ready or not. */
	(void)sh_guardian_ready(g);
	clean = checked(sh("echo", "x", .guard = true, .guardian = g), "x\n");
	sh_guardian_free(g);
	return clean;
}

static bool run_guarded_daemon(void)
{
	sh_result *r = sh("sh", "-c", "setsid sleep 10 & sleep 10", .guard = true,
			  .timeout_ms = 30, .grace_ms = 30);
	bool clean = is_clean_failure(r, SH_TIMEOUT);

	sh_free(r);
	return clean;
}

static bool run_on_pty(void)
{
	return !(sh__engine()->can & SH__CAN_PTY) ||
	       checked(sh("cat", .pty = true, .in = SH_TEXT("x\n")), "x\n");
}

static bool run_big_input(void)
{
	size_t n = 300000;
	char *in = __real_calloc(1, n);
	sh_result *r = sh("wc", "-c", .in = SH_BYTES(in, n));

	__real_free(in);
	return checked(r, "300000\n");
}

static bool run_missing(void)
{
	sh_result *r = sh("gti");
	bool clean = is_clean_failure(r, SH_NOTFOUND);

	sh_free(r);
	return clean;
}

static bool run_stopped(void)
{
	sh_result *r = sh("sh", "-c", "sleep 10 & wait", .timeout_ms = 20);
	bool clean = is_clean_failure(r, SH_TIMEOUT);

	sh_free(r);
	return clean;
}

static bool iterate(void)
{
	sh_proc *p = sh_start(
	    SH("sh", "-c", "echo a; read x; echo $x", .in = SH_FEED, .out = SH_STREAM));
	sh_line line;
	bool clean = true;
	int n = 0, r;

	if (!p)
		return fault.kind == MEMORY;
	if (sh_write(p, "b\n", 2) < 0 || sh_eof(p) < 0) {
		sh_proc_free(p);
		return true;
	}
	while ((r = sh_next(p, &line)) == 1)
		n++;
	clean = sh_wait(p, -1)->status ? is_clean(sh_wait(p, -1), "") : n == 2;
	sh_proc_free(p);
	return clean;
}

static void count_done(sh_proc *p, const sh_result *r, void *arg)
{
	(void)p, (void)r;
	++*(int *)arg;
}

static bool start_on_loop(void)
{
	uv_loop_t loop;
	sh_proc *p;
	int calls = 0;
	bool clean = true;

	uv_loop_init(&loop);
	p = sh_start(SH("echo", "x", .loop = &loop, .done = count_done, .arg = &calls));
	uv_run(&loop, UV_RUN_DEFAULT);
	if (p)
		clean = calls == 1 && is_clean(sh_wait(p, 0), "x\n");
	sh_proc_free(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) == 0 && clean;
}

static bool run_all(void)
{
	sh_proc *p[3];
	bool clean = true, complete = true;

	for (int i = 0; i < 3; i++) {
		p[i] = sh_start(SH("echo", "x", .held = true));
		complete &= p[i] != NULL;
	}
	if (complete && sh_all(p, 3, 2) >= 0)
		for (int i = 0; i < 3; i++)
			clean &= is_clean(sh_wait(p[i], 0), "x\n");
	for (int i = 0; i < 3; i++)
		sh_proc_free(p[i]);
	return clean;
}

static const struct scenario scenarios[] = {
	{ "options", run_with_options, false },
	{ "limits", run_with_limits, false },
	{ "pipeline", run_pipeline, false },
	{ "callbacks", run_with_callbacks, false },
	{ "files", run_with_files, false },
	{ "recipe", run_recipe, false },
	{ "format", run_format, false },
	{ "guard", run_guarded, false },
	{ "guarded ahead", run_guarded_ahead, false },
	{ "guarded daemon", run_guarded_daemon, true },
	{ "pty", run_on_pty, false },
	{ "big input", run_big_input, false },
	{ "missing", run_missing, false },
	{ "stopped", run_stopped, true },
	{ "iterate", iterate, false },
	{ "loop", start_on_loop, false },
	{ "all", run_all, false },
};

enum { COUNT = sizeof scenarios / sizeof *scenarios };

static void test_faults_51_each_allocation(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, MEMORY, ENOMEM);
}

static void test_faults_51_each_call_with_emfile(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, SYSTEM, EMFILE);
}

static void test_faults_51_each_call_with_eagain(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, SYSTEM, EAGAIN);
}

static void test_faults_51_each_call_with_enomem(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, SYSTEM, ENOMEM);
}

static void test_faults_46_each_call_with_eintr(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, SYSTEM, EINTR);
}

static void test_faults_kernels_that_lack_the_newer_calls(void **state)
{
	sh_proc *p;
	sh_line line;
	int sleeper;

	(void)state;
	NEEDS(SH__CAN_RECOVER);
	NOT_IN_VALGRIND();
	fault.countdown = 0;
	fault.old_kernel = true;
	for (size_t i = 0; i < COUNT; i++)
		if (!scenarios[i].run())
			fail_msg("%s", scenarios[i].name);
	p = sh_start(
	    SH("sh", "-c", "(trap '' TERM; echo go; sleep 99) & wait", .grace_ms = 100));
	assert_int_equal(sh_next(p, &line), 1);
	assert_int_equal(sh_stop(p), 0);
	assert_int_equal(sh_wait(p, -1)->flags, SH_KILLED);
	sh_proc_free(p);
	p = sh_start(SH("sh", "-c", "sleep 100 & echo $!; read x", .in = SH_FEED));
	assert_int_equal(sh_next(p, &line), 1);
	sleeper = (int)strtol(line.data, NULL, 10);
	assert_int_equal(sh_eof(p), 0);
	assert_int_equal(waitpid(-1, NULL, 0), sh_pid(p)); /* its leader is stolen */
	sh_proc_free(p);
	assert_true(is_gone_soon(sleeper));
	fault.old_kernel = false;
	assert_no_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults_51_each_allocation),
		cmocka_unit_test(test_faults_51_each_call_with_emfile),
		cmocka_unit_test(test_faults_51_each_call_with_eagain),
		cmocka_unit_test(test_faults_51_each_call_with_enomem),
		cmocka_unit_test(test_faults_46_each_call_with_eintr),
		cmocka_unit_test(test_faults_kernels_that_lack_the_newer_calls),
	};

	return RUN_ON_BOTH("faults", tests);
}
