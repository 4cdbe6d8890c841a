/* Time limits, signals, groups that must be empty. Numbers are those of the behaviours. */
#include "shell_test.h"

static bool took(const sh_result *r, unsigned least_ms, unsigned most_ms)
{
	return r->wall_ns >= least_ms * (uint64_t)MS && r->wall_ns <= most_ms * (uint64_t)MS;
}

static void test_stop_36_a_timeout_is_on_time(void **state)
{
	sh_result *r = sh("sleep", "10", .timeout_ms = 100);

	(void)state;
	assert_status(r, SH_TIMEOUT);
	assert_int_equal(r->flags, SH_TIMED_OUT);
	assert_int_equal(r->sys_errno, UV_ETIMEDOUT);
	assert_int_equal(r->term_signal, SIGTERM);
	assert_true(took(r, 100, 200));
	assert_string_equal(r->message, "sleep 10: it was stopped after its time limit, "
					"timeout_ms (100 ms)");
	assert_int_equal(sh_shell_code(r), 124);
	sh_free(r);
}

static void test_stop_37_the_deaf_and_the_stopped_are_killed(void **state)
{
	sh_result *r = sh(child(), "deaf", .timeout_ms = 100, .grace_ms = 100);

	(void)state;
	assert_status(r, SH_TIMEOUT);
	assert_int_equal(r->term_signal, SIGKILL);
	assert_int_equal(r->flags, SH_TIMED_OUT | SH_KILLED);
	assert_true(took(r, 200, 600));
	sh_free(r);
	/* A stopped process can act on SIGTERM: SIGCONT comes with it. */
	r = sh("sh", "-c", "kill -STOP $$; sleep 10", .timeout_ms = 100, .grace_ms = 5000);
	assert_status(r, SH_TIMEOUT);
	assert_int_equal(r->term_signal, SIGTERM);
	assert_true(took(r, 100, 1000));
	sh_free(r);
}

static void test_stop_38_nobody_of_the_group_survives(void **state)
{
	sh_result *r = sh("sh", "-c", "sleep 99 & echo $!; wait", .timeout_ms = 500);

	(void)state;
	assert_status(r, SH_TIMEOUT);
	assert_true(atoi(r->out) > 0);
	assert_false(is_alive(atoi(r->out)));
	sh_free(r);
}

static void test_stop_38_the_end_is_when_the_last_of_the_group_is_gone(void **state)
{
	sh_proc *p = sh_start(
	    SH("sh", "-c", "(trap '' TERM; echo go; sleep 99) & wait", .grace_ms = 200));
	uint64_t from;
	sh_line line;
	const sh_result *r;

	(void)state;
	assert_int_equal(sh_next(p, &line), 1);
	from = uv_hrtime();
	assert_int_equal(sh_stop(p), 0);
	r = sh_wait(p, -1);
	assert_true(uv_hrtime() - from >= 200 * (uint64_t)MS);
	assert_status(r, SH_CANCELED);
	/* The leader obeyed, its child did not. */
	assert_int_equal(r->term_signal, SIGTERM);
	assert_int_equal(r->flags, SH_KILLED);
	sh_proc_free(p);
}

static void test_stop_39_a_held_pipe_is_drained_and_cut(void **state)
{
	sh_result *r = sh("sh", "-c", "sleep 3 & echo hi", .drain_ms = 100);

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "hi\n");
	assert_int_equal(r->flags, SH_DRAIN_CUT);
	assert_true(took(r, 100, 400));
	sh_free(r);
	r = sh("sh", "-c", "(sleep 0.2; echo late) & echo hi", .drain_ms = SH_FOREVER);
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "hi\nlate\n");
	assert_int_equal(r->flags, 0);
	sh_free(r);
}

static void test_stop_40_output_keeps_it_alive(void **state)
{
	sh_result *r = sh("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.05; done",
			  .idle_ms = 200);

	(void)state;
	assert_status(r, SH_DONE);
	assert_true(took(r, 400, 2000));
	sh_free(r);
	r = sh("sh", "-c", "echo a; sleep 10", .idle_ms = 200);
	assert_status(r, SH_TIMEOUT);
	assert_string_equal(r->out, "a\n");
	assert_contains(r->message, "wrote nothing for idle_ms (200 ms)");
	assert_true(took(r, 200, 500));
	sh_free(r);
}

static void test_stop_41_waiting_can_be_given_up_and_taken_up(void **state)
{
	sh_proc *p = sh_start(SH("sleep", "0.3"));
	uint64_t from = uv_hrtime();

	(void)state;
	assert_null(sh_wait(p, 50));
	assert_true(uv_hrtime() - from >= 50 * (uint64_t)MS);
	assert_true(is_alive(sh_pid(p)));
	assert_null(sh_wait(p, 0));
	assert_int_equal(sh_wait(p, -1)->status, SH_DONE);
	sh_proc_free(p);
}

static void test_stop_42_what_has_ended_is_not_signalled(void **state)
{
	sh_proc *p = sh_start(SH("true"));

	(void)state;
	assert_int_equal(sh_wait(p, -1)->status, SH_DONE);
	assert_int_equal(sh_signal(p, SIGTERM), UV_ESRCH);
	assert_int_equal(sh_stop(p), UV_ESRCH);
	assert_int_equal(sh_signal(p, 999), UV_EINVAL);
	sh_proc_free(p);
}

static void test_stop_43_detached_survive_the_handle(void **state)
{
	sh_proc *p = sh_start(SH("sleep", "100", .detach = true));
	int pid = sh_pid(p);

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(getsid(pid), pid);
	sh_proc_free(p);
	assert_true(is_alive(pid));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The host leads a session on a terminal and ends: others of its session get SIGHUP. */
static void test_stop_43_detached_survive_the_host(void **state)
{
	int fds[2], pid = 0, status;
	pid_t host;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	if ((host = fork()) == 0) {
		int tty = posix_openpt(O_RDWR | O_NOCTTY);

		setsid();
		if (tty < 0 || grantpt(tty) < 0 || unlockpt(tty) < 0 ||
		    open(ptsname(tty), O_RDWR) < 0)
			_exit(1);
		pid = sh_pid(sh_start(SH("sleep", "100", .detach = true)));
		_exit(write(fds[1], &pid, sizeof pid) < 0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &pid, sizeof pid), sizeof pid);
	close(fds[0]);
	assert_int_equal(waitpid(host, &status, 0), host);
	usleep(20000); /* for a signal that must not come */
	assert_true(is_alive(pid));
	kill(pid, SIGKILL);
}

static void test_stop_43_others_end_with_it(void **state)
{
	sh_proc *p = sh_start(SH("sh", "-c", "sleep 100 & wait"));
	int pid = sh_pid(p);

	(void)state;
	assert_true(is_alive(pid));
	sh_proc_free(p);
	assert_false(is_alive(pid));
	assert_no_children();
}

static void test_stop_signals_reach_the_group(void **state)
{
	sh_proc *p = sh_start(SH("sh", "-c",
				 "trap 'echo got; exit 5' USR1; echo up; "
				 "while :; do sleep 0.02; done"));
	sh_line line;
	const sh_result *r;

	(void)state;
	assert_int_equal(sh_next(p, &line), 1);
	/* USR1 ends the sleep that is in the group too. */
	assert_int_equal(sh_signal(p, SIGUSR1), 0);
	r = sh_wait(p, -1);
	assert_int_equal(r->exit_code, 5);
	assert_string_equal(r->out, "up\ngot\n");
	sh_proc_free(p);
}

static void test_stop_by_policy(void **state)
{
	sh_proc *p =
	    sh_start(SH("sh", "-c", "trap 'exit 7' INT; echo up; while :; do sleep 0.02; done",
			.stop_signal = SIGINT));
	sh_line line;
	const sh_result *r;

	(void)state;
	assert_int_equal(sh_next(p, &line), 1);
	assert_int_equal(sh_stop(p), 0);
	r = sh_wait(p, -1);
	assert_status(r, SH_CANCELED);
	assert_int_equal(r->exit_code, 7);
	sh_proc_free(p);
	p = sh_start(SH(child(), "deaf", .grace_ms = 60000));
	assert_int_equal(sh_next(p, &line), 1);
	assert_int_equal(sh_stop(p), 0);
	assert_null(sh_wait(p, 50));
	assert_int_equal(sh_stop(p), 0);
	r = sh_wait(p, -1);
	assert_status(r, SH_CANCELED);
	assert_int_equal(r->term_signal, SIGKILL);
	sh_proc_free(p);
}

/* In a process of its own, which is killed: what it started must die. */
static int start_and_die(const sh_call *call)
{
	int fds[2], status, pid = 0;
	pid_t host;

	assert_int_equal(pipe(fds), 0);
	if ((host = fork()) == 0) {
		sh_proc *p = sh_start(call);
		sh_line line;
		int told;

		if (sh_next(p, &line) != 1)
			_exit(1);
		told = (int)strtol(line.data, NULL, 10);
		if (write(fds[1], &told, sizeof told) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &pid, sizeof pid), sizeof pid);
	close(fds[0]);
	assert_true(is_alive(pid));
	kill(host, SIGKILL);
	waitpid(host, &status, 0);
	return pid;
}

static void test_stop_die_with_parent(void **state)
{
	(void)state;
	NEEDS(SH__CAN_DIE);
	assert_true(is_gone_soon(
	    start_and_die(SH("sh", "-c", "echo $$; exec sleep 100", .die_with_parent = true))));
}

static void test_stop_a_guardian_kills_grandchildren_too(void **state)
{
	(void)state;
	assert_true(is_gone_soon(start_and_die(
	    SH("sh", "-c", "sleep 100 & echo $!; wait", .guard = true, .err = SH_NULL))));
}

static void test_stop_a_guardian_leaves_no_trace(void **state)
{
	size_t fds = count_fds();
	sh_result *r = sh("sh", "-c", "echo ok", .guard = true);

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "ok\n");
	sh_free(r);
	assert_int_equal(count_fds(), fds);
	assert_no_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_36_a_timeout_is_on_time),
		cmocka_unit_test(test_stop_37_the_deaf_and_the_stopped_are_killed),
		cmocka_unit_test(test_stop_38_nobody_of_the_group_survives),
		cmocka_unit_test(test_stop_38_the_end_is_when_the_last_of_the_group_is_gone),
		cmocka_unit_test(test_stop_39_a_held_pipe_is_drained_and_cut),
		cmocka_unit_test(test_stop_40_output_keeps_it_alive),
		cmocka_unit_test(test_stop_41_waiting_can_be_given_up_and_taken_up),
		cmocka_unit_test(test_stop_42_what_has_ended_is_not_signalled),
		cmocka_unit_test(test_stop_43_detached_survive_the_handle),
		cmocka_unit_test(test_stop_43_detached_survive_the_host),
		cmocka_unit_test(test_stop_43_others_end_with_it),
		cmocka_unit_test(test_stop_signals_reach_the_group),
		cmocka_unit_test(test_stop_by_policy),
		cmocka_unit_test(test_stop_die_with_parent),
		cmocka_unit_test(test_stop_a_guardian_kills_grandchildren_too),
		cmocka_unit_test(test_stop_a_guardian_leaves_no_trace),
	};

	return RUN_ON_BOTH("stop", tests);
}
