/* Time limits, signals, groups that must be empty. Numbers are those of the behaviours. */
#include "shell_test.h"

enum { PATIENCE_MS = 60000 };

/* No run ends early; one of many ends in time, also where others keep the machine busy. */
static bool is_in_time(const sh_result *r, int64_t least_ms, int64_t most_ms, uint64_t give_up)
{
	int64_t took = (int64_t)(r->wall_ns / MS);

	assert_true(took >= least_ms);
	if (took > most_ms && uv_hrtime() > give_up)
		fail_msg("no run of %s took %d ms at most, the last one %d", r->command,
			 (int)most_ms, (int)took);
	return took <= most_ms;
}

static sh_result *run_in_time(const sh_call *c, int64_t least_ms, int64_t most_ms)
{
	uint64_t give_up = uv_hrtime() + PATIENCE_MS * (uint64_t)MS;

	for (;;) {
		sh_result *r = sh_run(c);

		if (is_in_time(r, least_ms, most_ms, give_up))
			return r;
		sh_free(r);
	}
}

/*
 * The same for a command that says so when it is where its time limit should meet it, and has
 * that much more time if it did not get there. It ends least_ms to most_ms after the limit.
 */
static sh_result *run_till_it_speaks(sh_call *c, int64_t least_ms, int64_t most_ms)
{
	uint64_t give_up = uv_hrtime() + PATIENCE_MS * (uint64_t)MS;

	for (;;) {
		sh_result *r = sh_run(c);
		int64_t limit = c->timeout_ms + c->idle_ms;

		if (r->out_len && is_in_time(r, limit + least_ms, limit + most_ms, give_up))
			return r;
		assert_true(r->out_len || limit < PATIENCE_MS);
		if (!r->out_len) {
			c->timeout_ms *= 2;
			c->idle_ms *= 2;
		}
		sh_free(r);
	}
}

static void test_stop_36_a_timeout_is_on_time(void **state)
{
	sh_result *r = run_in_time(SH("sleep", "10", .timeout_ms = 100), 100, 200);

	(void)state;
	assert_status(r, SH_TIMEOUT);
	assert_int_equal(r->flags, SH_TIMED_OUT);
	assert_int_equal(r->sys_errno, UV_ETIMEDOUT);
	assert_int_equal(r->term_signal, SIGTERM);
	assert_string_equal(r->message, "sleep 10: it was stopped after its time limit, "
					"timeout_ms (100 ms)");
	assert_int_equal(sh_shell_code(r), 124);
	sh_free(r);
}

static void test_stop_37_the_deaf_and_the_stopped_are_killed(void **state)
{
	sh_call c = *SH(child(), "deaf", .timeout_ms = 100, .grace_ms = 100);
	sh_result *r = run_till_it_speaks(&c, 100, 500);

	(void)state;
	assert_status(r, SH_TIMEOUT);
	assert_int_equal(r->term_signal, SIGKILL);
	assert_int_equal(r->flags, SH_TIMED_OUT | SH_KILLED);
	sh_free(r);
	/* A stopped process can act on SIGTERM: SIGCONT comes with it. */
	r = run_in_time(
	    SH("sh", "-c", "kill -STOP $$; sleep 10", .timeout_ms = 100, .grace_ms = 5000), 100,
	    1000);
	assert_status(r, SH_TIMEOUT);
	assert_int_equal(r->term_signal, SIGTERM);
	sh_free(r);
}

static void test_stop_38_nobody_of_the_group_survives(void **state)
{
	sh_call c = *SH("sh", "-c", "sleep 99 & echo $!; wait", .timeout_ms = 100);
	sh_result *r = run_till_it_speaks(&c, 0, 10000);

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
	sh_result *r =
	    run_in_time(SH("sh", "-c", "sleep 3 & echo hi", .drain_ms = 100), 100, 400);

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "hi\n");
	assert_int_equal(r->flags, SH_DRAIN_CUT);
	sh_free(r);
	r = sh("sh", "-c", "(sleep 0.2; echo late) & echo hi", .drain_ms = SH_FOREVER);
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "hi\nlate\n");
	assert_int_equal(r->flags, 0);
	sh_free(r);
}

/* Eight times it is silent for a quarter of the limit, or longer where it must wait. */
static sh_result *count_slowly(int idle_ms)
{
	char count[128];

	snprintf(count, sizeof count,
		 "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep %d.%03d; done",
		 idle_ms / 4 / 1000, idle_ms / 4 % 1000);
	return sh("sh", "-c", count, .idle_ms = idle_ms);
}

static void test_stop_40_output_keeps_it_alive(void **state)
{
	sh_call c = *SH("sh", "-c", "echo a; sleep 10", .idle_ms = 100);
	char text[64];
	int idle_ms = 200;
	sh_result *r;

	(void)state;
	while ((r = count_slowly(idle_ms))->status == SH_TIMEOUT && idle_ms < PATIENCE_MS) {
		sh_free(r);
		idle_ms *= 2;
	}
	assert_status(r, SH_DONE);
	assert_true(r->wall_ns >= 2 * (uint64_t)idle_ms * MS);
	sh_free(r);
	r = run_till_it_speaks(&c, 0, 300);
	assert_status(r, SH_TIMEOUT);
	assert_string_equal(r->out, "a\n");
	snprintf(text, sizeof text, "wrote nothing for idle_ms (%d ms)", (int)c.idle_ms);
	assert_contains(r->message, text);
	sh_free(r);
}

static void test_stop_41_waiting_can_be_given_up_and_taken_up(void **state)
{
	sh_proc *p = sh_start(SH("cat", .in = SH_FEED));
	uint64_t from = uv_hrtime();

	(void)state;
	assert_null(sh_wait(p, 50));
	assert_true(uv_hrtime() - from >= 50 * (uint64_t)MS);
	assert_true(is_alive(sh_pid(p)));
	assert_null(sh_wait(p, 0));
	assert_int_equal(sh_eof(p), 0);
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

static void test_stop_43_detached_are_no_zombies(void **state)
{
	sh_proc *p = sh_start(SH("sleep", "100", .detach = true));
	int lasts = sh_pid(p);
	siginfo_t si = { 0 };

	(void)state;
	assert_true(lasts > 0);
	sh_proc_free(p);
	p = sh_start(SH("true", .detach = true));
	waitid(P_PID, (id_t)sh_pid(p), &si, WEXITED | WNOWAIT);
	sh_proc_free(p); /* it has ended already */
	assert_true(waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && !si.si_pid);
	kill(lasts, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)lasts, &si, WEXITED | WNOWAIT), 0);
	sh_free(sh("true"));
	assert_no_children();
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
			.stop_signal = SIGINT, .grace_ms = PATIENCE_MS));
	sh_line line;
	const sh_result *r;

	(void)state;
	assert_int_equal(sh_next(p, &line), 1);
	assert_int_equal(sh_stop(p), 0);
	r = sh_wait(p, -1);
	assert_status(r, SH_CANCELED);
	assert_int_equal(r->exit_code, 7);
	sh_proc_free(p);
	p = sh_start(SH(child(), "deaf", .grace_ms = PATIENCE_MS));
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
	assert_true(is_gone_soon(
	    start_and_die(SH("sh", "-c", "echo $$; exec sleep 100", .die_with_parent = true))));
}

static void test_stop_a_guardian_kills_grandchildren_too(void **state)
{
	(void)state;
	assert_true(is_gone_soon(start_and_die(
	    SH("sh", "-c", "sleep 100 & echo $!; wait", .guard = true, .err = SH_NULL))));
}

/* A daemon as the book has it: two forks, a session, deaf; says its number, is left behind. */
#define DAEMON                                                                                 \
	"(setsid sh -c 'trap \"\" TERM INT HUP; cd /; echo $$; exec >&- 2>&-; "                \
	"while :; do sleep 0.05; done' &)"

static void test_stop_a_guardian_finds_daemons(void **state)
{
	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_true(
	    is_gone_soon(start_and_die(SH("sh", "-c", DAEMON "; sleep 100", .guard = true))));
	assert_true(is_gone_soon(start_and_die(
	    SH("sh", "-c", "setsid sh -c 'echo $$; sleep 100' & wait", .guard = true))));
	/* In a clean environment, and the command itself has gone. */
	assert_true(is_gone_soon(start_and_die(
	    SH("sh", "-c", "env -i setsid sh -c 'echo $$; sleep 100 & sleep 100' & exit 0",
	       .guard = true))));
}

static int first_number(sh_proc *p)
{
	sh_line line;

	assert_int_equal(sh_next(p, &line), 1);
	return (int)strtol(line.data, NULL, 10);
}

static void test_stop_what_left_the_group_ends_too(void **state)
{
	sh_proc *p;
	int daemon, pids[16], n;

	(void)state;
	NEEDS(SH__CAN_TREE);
	p = sh_start(SH("sh", "-c", DAEMON "; setsid sleep 100 & sleep 100", .guard = true,
			.grace_ms = 100));
	daemon = first_number(p);
	/* The daemon may speak before the command has come to what else it starts. */
	for (int i = 0; (n = sh_left(p, pids, 16)) < 3 && i < 2000; i++)
		usleep(5000);
	assert_in_range(n, 3, 16);
	assert_int_equal(sh_stop(p), 0);
	assert_int_equal(sh_wait(p, -1)->status, SH_CANCELED);
	assert_true(sh_wait(p, -1)->flags & SH_KILLED);
	assert_false(is_alive(daemon));
	for (int i = 0; i < n; i++)
		assert_false(is_alive(pids[i]));
	assert_int_equal(sh_left(p, NULL, 0), 0);
	sh_proc_free(p);
}

static void test_stop_a_time_limit_reaches_what_left_the_group(void **state)
{
	sh_call c = *SH("sh", "-c", "setsid sh -c 'echo $$; sleep 100' & sleep 100",
			.guard = true, .timeout_ms = 100);
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_TREE);
	r = run_till_it_speaks(&c, 0, 10000);
	assert_status(r, SH_TIMEOUT);
	assert_true(atoi(r->out) > 0);
	assert_false(is_alive(atoi(r->out)));
	sh_free(r);
}

/* A daemon's children are killed in the same moment, but may end in the next. */
static bool is_empty_soon(const sh_proc *p)
{
	for (int i = 0; i < 2000 && sh_left(p, NULL, 0) > 0; i++)
		usleep(5000);
	return sh_left(p, NULL, 0) == 0;
}

/* A daemon is its command's wish: it ends with the handle's owner, or when it is told. */
static void test_stop_what_was_left_behind(void **state)
{
	sh_proc *p;
	int daemon, left = 0;

	(void)state;
	NEEDS(SH__CAN_TREE);
	p = sh_start(SH("sh", "-c", DAEMON, .guard = true));
	daemon = first_number(p);
	assert_status(sh_wait(p, -1), SH_DONE);
	assert_true(is_alive(daemon));
	assert_in_range(sh_left(p, &left, 1), 1, 3);
	assert_int_not_equal(left, 0);
	assert_int_equal(sh_signal(p, SIGTERM), 0);
	assert_true(is_alive(daemon));
	assert_int_equal(sh_signal(p, SIGKILL), 0);
	assert_true(is_gone_soon(daemon));
	assert_true(is_empty_soon(p));
	assert_int_equal(sh_stop(p), UV_ESRCH);
	sh_proc_free(p);

	p = sh_start(SH("sh", "-c", DAEMON, .guard = true));
	daemon = first_number(p);
	assert_status(sh_wait(p, -1), SH_DONE);
	sh_proc_free(p);
	assert_true(is_alive(daemon));
	kill(daemon, SIGKILL);
}

static void test_stop_a_guarded_command_tells_how_it_ended(void **state)
{
	sh_result *r = sh("sh", "-c", "exit 7", .guard = true, .ok = SH_OK(7));

	(void)state;
	assert_status(r, SH_DONE);
	assert_int_equal(r->exit_code, 7);
	sh_free(r);
	r = sh("sh", "-c", "kill -USR1 $$", .guard = true);
	assert_status(r, SH_SIGNAL);
	assert_int_equal(r->term_signal, SIGUSR1);
	sh_free(r);
	r = sh("echo", "x", .guard = true, .die_with_parent = true);
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "x\n");
	sh_free(r);
	r = sh("no-such-program-here", .guard = true);
	assert_status(r, SH_NOTFOUND);
	sh_free(r);
	r = sh("true", .guard = true, .cwd = "/nowhere");
	assert_status(r, SH_SPAWN);
	assert_contains(r->message, "the directory /nowhere does not exist");
	sh_free(r);
	r = sh_pipe(SH("seq", "100000", .guard = true), SH("tail", "-1", .guard = true));
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "100000\n");
	if (sh__engine()->can & SH__CAN_TREE)
		assert_true(r->maxrss_kib > 100 && r->user_ns + r->sys_ns > 0);
	sh_free(r);
}

static void note_stop(sh_proc *p, int signum, void *arg)
{
	*(int *)arg = signum;
	assert_int_equal(sh_signal(p, SIGCONT), 0);
}

static void test_stop_a_stop_is_told(void **state)
{
	int signum = 0;
	sh_proc *p;

	(void)state;
	NEEDS(SH__CAN_TREE);
	p = sh_start(SH("sh", "-c", "kill -TSTP $$; exit 3", .guard = true,
			.stopped = note_stop, .arg = &signum));
	assert_int_equal(sh_wait(p, -1)->exit_code, 3);
	assert_int_equal(signum, SIGTSTP);
	sh_proc_free(p);
}

/* Whoever ends the guardian does not end the command, nor what is known of it. */
static void kill_guardian_of(const sh_proc *p)
{
	char text[32], out[32] = "";
	pid_t guardian;
	FILE *f;

	snprintf(text, sizeof text, "/proc/%d/status", sh_pid(p));
	assert_non_null(f = fopen(text, "r"));
	while (fgets(out, sizeof out, f) && strncmp(out, "PPid:", 5) != 0)
		;
	fclose(f);
	guardian = (pid_t)strtol(out + 5, NULL, 10);
	assert_int_not_equal(guardian, getpid());
	kill(guardian, SIGKILL);
}

static void test_stop_a_guardian_that_is_killed(void **state)
{
	sh_proc *p;

	(void)state;
	NEEDS(SH__CAN_TREE);
	p = sh_start(SH("sleep", "100", .guard = true, .die_with_parent = true));
	kill_guardian_of(p);
	if (sh_wait(p, -1)->status != SH_LOST)
		assert_int_equal(sh_wait(p, -1)->term_signal, SIGKILL);
	sh_proc_free(p);

	p = sh_start(SH("sh", "-c", "echo; read x; exit 0", .guard = true, .in = SH_FEED));
	first_number(p);
	kill_guardian_of(p);
	assert_null(sh_wait(p, 50));
	assert_int_equal(sh_eof(p), 0);
	/* Its code can be had of kernels from 6.15 on. */
	if (sh_wait(p, -1)->status != SH_LOST)
		assert_status(sh_wait(p, -1), SH_DONE);
	sh_proc_free(p);
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
		cmocka_unit_test(test_stop_43_detached_are_no_zombies),
		cmocka_unit_test(test_stop_43_detached_survive_the_host),
		cmocka_unit_test(test_stop_43_others_end_with_it),
		cmocka_unit_test(test_stop_signals_reach_the_group),
		cmocka_unit_test(test_stop_by_policy),
		cmocka_unit_test(test_stop_die_with_parent),
		cmocka_unit_test(test_stop_a_guardian_kills_grandchildren_too),
		cmocka_unit_test(test_stop_a_guardian_finds_daemons),
		cmocka_unit_test(test_stop_what_left_the_group_ends_too),
		cmocka_unit_test(test_stop_a_time_limit_reaches_what_left_the_group),
		cmocka_unit_test(test_stop_what_was_left_behind),
		cmocka_unit_test(test_stop_a_guarded_command_tells_how_it_ended),
		cmocka_unit_test(test_stop_a_stop_is_told),
		cmocka_unit_test(test_stop_a_guardian_that_is_killed),
		cmocka_unit_test(test_stop_a_guardian_leaves_no_trace),
	};

	return RUN_ON_BOTH("stop", tests);
}
