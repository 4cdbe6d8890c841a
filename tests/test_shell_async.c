/* Commands on the caller's loop. Numbers are those of the behaviours. */
#include "shell_test.h"

#include <pthread.h>
#include <sys/resource.h>

struct told {
	int calls, status, lines, after_done;
	bool free_it;
	sh_proc *p;
	pthread_t thread;
	char out[64];
	uv_loop_t *loop;
};

static void done(sh_proc *p, const sh_result *r, void *arg)
{
	struct told *t = arg;

	t->calls++;
	t->status = r->status;
	t->thread = pthread_self();
	snprintf(t->out, sizeof t->out, "%s", r->out);
	if (t->free_it) {
		sh_proc_free(p);
		t->p = NULL;
	}
}

static int count(sh_proc *p, const char *data, size_t len, void *arg)
{
	struct told *t = arg;

	(void)p, (void)data, (void)len;
	t->lines++;
	t->after_done += t->calls > 0;
	return 0;
}

/* Everything was let go of: the loop can be closed. */
static void close_loop(uv_loop_t *loop)
{
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}

static void test_async_58_done_is_called_once_and_last(void **state)
{
	struct told t = { 0 };
	uv_loop_t loop;
	sh_proc *p;

	(void)state;
	uv_loop_init(&loop);
	p = sh_start(SH("sh", "-c", "echo a; echo b; exit 3", .loop = &loop, .done = done,
			.arg = &t, .out = SH_TEE(SH_LINES(count, &t))));
	assert_int_equal(t.calls, 0);
	assert_null(sh_wait(p, -1)); /* never waits on a loop that is not its own */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.lines, 2);
	assert_int_equal(t.after_done, 0);
	assert_int_equal(t.status, SH_EXIT);
	assert_string_equal(t.out, "a\nb\n");
	assert_true(pthread_equal(t.thread, pthread_self()));
	assert_int_equal(sh_wait(p, 0)->exit_code, 3);
	sh_proc_free(p);
	close_loop(&loop);
}

static void test_async_58_done_tells_of_failures_to_start(void **state)
{
	const sh_call *calls[] = {
		SH("whendo-no-such-program", .done = done),
		SH("true", .cwd = "/nonexistent", .done = done),
		SH("true", .timeout_ms = -1, .done = done),
	};
	const int status[] = { SH_NOTFOUND, SH_SPAWN, SH_INVALID };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct told t = { 0 };
		sh_call c = *calls[i];
		uv_loop_t loop;
		sh_proc *p;

		uv_loop_init(&loop);
		c.loop = &loop;
		c.arg = &t;
		p = sh_start(&c);
		assert_non_null(p);
		assert_int_equal(t.calls, 0);
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(t.calls, 1);
		assert_int_equal(t.status, status[i]);
		sh_proc_free(p);
		close_loop(&loop);
	}
}

static void test_async_59_free_inside_done(void **state)
{
	struct told t = { .free_it = true };
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	t.p = sh_start(SH("echo", "x", .loop = &loop, .done = done, .arg = &t));
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(t.calls, 1);
	close_loop(&loop);
	/* On a private loop too: sh_wait has nothing to give then. */
	t = (struct told){ .free_it = true };
	t.p = sh_start(SH("echo", "x", .done = done, .arg = &t));
	assert_null(sh_wait(t.p, -1));
	assert_int_equal(t.calls, 1);
	assert_no_children();
}

static int free_at_line(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)data, (void)len;
	++*(int *)arg;
	sh_proc_free(p);
	return 0;
}

static void test_async_59_free_inside_a_line(void **state)
{
	struct told t = { 0 };
	uv_loop_t loop;
	int lines = 0;
	sh_proc *p;

	(void)state;
	uv_loop_init(&loop);
	sh_start(SH("sh", "-c", "yes & yes; wait", .loop = &loop, .done = done, .arg = &t,
		    .out = SH_LINES(free_at_line, &lines)));
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(lines, 1);
	assert_int_equal(t.calls, 0);
	close_loop(&loop);
	assert_no_children();
	lines = 0;
	p = sh_start(SH("yes", .out = SH_LINES(free_at_line, &lines)));
	assert_null(sh_wait(p, -1));
	assert_int_equal(lines, 1);
	assert_no_children();
}

static void test_async_59_free_inside_a_line_while_reading(void **state)
{
	int lines = 0;
	sh_line line;
	sh_proc *p = sh_start(
	    SH("sh", "-c", "echo a >&2; sleep 100", .err = SH_LINES(free_at_line, &lines)));

	(void)state;
	assert_int_equal(sh_next(p, &line), 0);
	assert_int_equal(lines, 1);
	assert_no_children();
	p = sh_start(
	    SH("sh", "-c", "echo a >&2; sleep 100", .err = SH_LINES(free_at_line, &lines)));
	assert_null(sh_wait(p, 300)); /* the time is up before its child has ended, or not */
	assert_int_equal(lines, 2);
	assert_no_children();
	p = sh_start(
	    SH("sh", "-c", "echo a >&2; sleep 100", .err = SH_LINES(free_at_line, &lines)));
	assert_int_equal(sh_expect(p, "never", 5000), 0);
	assert_no_children();
}

static int pull_later(sh_proc *p, char *buf, size_t cap, void *arg)
{
	int *n = arg;

	assert_true(cap >= 2);
	if (++*n == 1)
		return UV_EAGAIN;
	assert_int_equal(sh_write(p, NULL, 0), 0); /* not asked again from inside */
	memcpy(buf, "x\n", 2);
	return *n == 2 ? 2 : 0;
}

static int wake_pull(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)data, (void)len, (void)arg;
	assert_int_equal(sh_write(p, NULL, 0), 0);
	return SH_STOP_CALLING;
}

static void test_async_27_a_pull_may_have_nothing_yet(void **state)
{
	int n = 0;
	sh_result *r = sh("sh", "-c", "echo up; cat", .in = SH_PULL(pull_later, &n),
			  .out = SH_TEE(SH_LINES(wake_pull, NULL)));

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "up\nx\n");
	assert_int_equal(n, 3);
	sh_free(r);
}

static int free_at_pull(sh_proc *p, char *buf, size_t cap, void *arg)
{
	(void)buf, (void)cap;
	++*(int *)arg;
	sh_proc_free(p);
	return 0;
}

static int stop_at_pull(sh_proc *p, char *buf, size_t cap, void *arg)
{
	(void)buf, (void)cap, (void)arg;
	assert_int_equal(sh_stop(p), 0);
	return UV_EAGAIN;
}

static void test_async_59_free_and_stop_inside_a_pull(void **state)
{
	struct told t = { 0 };
	uv_loop_t loop;
	int pulls = 0;
	sh_result *r;

	(void)state;
	uv_loop_init(&loop);
	sh_start(SH("sleep", "100", .loop = &loop, .done = done, .arg = &t,
		    .in = SH_PULL(free_at_pull, &pulls)));
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(pulls, 1);
	assert_int_equal(t.calls, 0);
	close_loop(&loop);
	assert_no_children();
	r = sh("sleep", "100", .in = SH_PULL(stop_at_pull, NULL));
	assert_status(r, SH_CANCELED);
	sh_free(r);
}

static void free_at_stop(sh_proc *p, int signum, void *arg)
{
	*(int *)arg = signum;
	sh_proc_free(p);
}

static void test_async_59_free_when_it_is_stopped(void **state)
{
	int signum = 0;
	sh_proc *p;

	(void)state;
	NEEDS(SH__CAN_TREE);
	p = sh_start(SH("sh", "-c", "kill -STOP $$", .guard = true, .stopped = free_at_stop,
			.arg = &signum));
	assert_null(sh_wait(p, -1));
	assert_int_equal(signum, SIGSTOP);
	assert_no_children();
}

static int stop_at_line(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)data, (void)len, (void)arg;
	assert_int_equal(sh_stop(p), 0);
	return SH_STOP_CALLING;
}

static void test_async_59_stop_inside_a_line(void **state)
{
	sh_result *r = sh("yes", .out = SH_LINES(stop_at_line, NULL));

	(void)state;
	assert_status(r, SH_CANCELED);
	assert_int_equal(r->term_signal, SIGTERM);
	sh_free(r);
}

static void test_async_59_free_of_what_runs_on_a_loop(void **state)
{
	struct told t = { 0 };
	uv_loop_t loop;
	sh_proc *p;
	int pid;

	(void)state;
	uv_loop_init(&loop);
	p = sh_start(SH("sleep", "100", .loop = &loop, .done = done, .arg = &t));
	pid = sh_pid(p);
	sh_proc_free(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(t.calls, 0);
	assert_false(is_alive(pid));
	close_loop(&loop);
	assert_no_children();
}

/* ------------------------------------------------------------------ whose loop turns */

static void tick(uv_timer_t *t)
{
	++*(int *)t->data;
}

static void run_sync(uv_timer_t *t)
{
	int before = *(int *)t->data;
	sh_result *r = sh("sleep", "0.1");

	/* The other timer is due all the time, and must not have fired. */
	if (r->status == 0 && *(int *)t->data == before)
		*(int *)t->data = 1000;
	sh_free(r);
	uv_stop(t->loop);
}

static void test_async_61_a_waiting_call_does_not_turn_the_callers_loop(void **state)
{
	uv_timer_t often, once;
	uv_loop_t loop;
	int ticks = 0;

	(void)state;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &often);
	uv_timer_init(&loop, &once);
	often.data = once.data = &ticks;
	uv_timer_start(&often, tick, 1, 1);
	uv_timer_start(&once, run_sync, 20, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(ticks >= 1000 && ticks <= 1001);
	uv_close((uv_handle_t *)&often, NULL);
	uv_close((uv_handle_t *)&once, NULL);
	close_loop(&loop);
}

/* Nor does one that says that a loop has no place in it: a callback may be what calls. */
static void test_async_61_nor_does_one_that_is_wrong_to_have_it(void **state)
{
	struct told t = { 0 };
	uv_timer_t often;
	uv_loop_t loop;
	int ticks = 0;
	sh_result *r;

	(void)state;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &often);
	often.data = &ticks;
	uv_timer_start(&often, tick, 0, 1);
	r = sh("true", .loop = &loop, .done = done, .arg = &t);
	assert_status(r, SH_INVALID);
	assert_contains(r->message, "loop is for sh_start()");
	sh_free(r);
	assert_int_equal(ticks, 0);
	assert_int_equal(t.calls, 0);
	uv_close((uv_handle_t *)&often, NULL);
	close_loop(&loop);
}

/* ------------------------------------------------------------------ lines and what is left */

static void test_async_null_is_fine_where_it_is_promised(void **state)
{
	sh_line line;

	(void)state;
	sh_free(NULL);
	sh_proc_free(NULL);
	sh_cmd_free(NULL);
	assert_null(sh_wait(NULL, -1));
	assert_int_equal(sh_next(NULL, &line), UV_EINVAL);
	assert_int_equal(sh_write(NULL, "x", 1), UV_EINVAL);
	assert_int_equal(sh_eof(NULL), UV_EINVAL);
	assert_int_equal(sh_signal(NULL, 1), UV_EINVAL);
	assert_int_equal(sh_stop(NULL), UV_EINVAL);
	assert_int_equal(sh_resize(NULL, 1, 1), UV_EINVAL);
	assert_int_equal(sh_release(NULL), UV_EINVAL);
	assert_int_equal(sh_pause(NULL), UV_EINVAL);
	assert_int_equal(sh_resume(NULL), UV_EINVAL);
	assert_int_equal(sh_expect(NULL, "x", 1), UV_EINVAL);
	assert_int_equal(sh_pid(NULL), 0);
}

static void test_async_lines_from_a_loop_wait_for_their_reader(void **state)
{
	uv_loop_t loop;
	sh_line line;
	sh_proc *p;
	long n = 0;
	int r;

	(void)state;
	uv_loop_init(&loop);
	p = sh_start(SH("seq", "1000000", .loop = &loop, .out = SH_STREAM));
	for (;;) {
		uv_run(&loop, UV_RUN_NOWAIT);
		while ((r = sh_try_next(p, &line)) == 1)
			assert_int_equal(strtol(line.data, NULL, 10), ++n);
		if (r == 0)
			break;
		assert_int_equal(r, UV_EAGAIN);
	}
	assert_int_equal(n, 1000000);
	sh_proc_free(p);
	close_loop(&loop);
}

static void stop_loop(uv_timer_t *t)
{
	uv_stop(t->loop);
}

static int pause_it(sh_proc *p, const char *data, size_t len, void *arg)
{
	struct told *t = arg;

	(void)data;
	t->status += (int)len;
	t->lines++;
	assert_int_equal(sh_pause(p), 0);
	return 0;
}

static void test_async_what_is_paused_is_not_read(void **state)
{
	struct told read = { 0 }, end = { 0 };
	uv_timer_t timer;
	uv_loop_t loop;
	sh_proc *p;

	(void)state;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &timer);
	p = sh_start(SH("head", "-c", "5000000", "/dev/zero", .loop = &loop, .done = done,
			.arg = &end, .out = SH_CHUNKS(pause_it, &read), .idle_ms = 10000));
	while (!end.calls) {
		int calls = read.lines;

		assert_int_equal(sh_resume(p), 0);
		uv_timer_start(&timer, stop_loop, 20, 0);
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_true(read.lines <= calls + 1);
	}
	assert_int_equal(end.status, SH_DONE);
	assert_int_equal(read.status, 5000000);
	assert_int_equal(sh_pause(p), UV_ESRCH);
	sh_proc_free(p);
	uv_close((uv_handle_t *)&timer, NULL);
	close_loop(&loop);
	p = sh_start(SH("true"));
	assert_int_equal(sh_pause(p), UV_EINVAL);
	sh_proc_free(p);
}

static void test_async_a_stream_nobody_reads_does_not_grow(void **state)
{
	struct rusage before, after;
	uv_timer_t timer;
	uv_loop_t loop;
	sh_line line;
	sh_proc *p;

	(void)state;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, stop_loop, 300, 0);
	getrusage(RUSAGE_SELF, &before);
	p = sh_start(SH("yes", .loop = &loop, .out = SH_STREAM));
	uv_run(&loop, UV_RUN_DEFAULT);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
	for (int i = 0; i < 5000000; i++)
		if (sh_try_next(p, &line) != 1)
			uv_run(&loop, UV_RUN_ONCE);
	assert_memory_equal(line.data, "y\n", 2);
	sh_proc_free(p);
	uv_close((uv_handle_t *)&timer, NULL);
	close_loop(&loop);
}

static void test_async_an_unread_rest_does_not_keep_the_loop(void **state)
{
	uv_timer_t timer;
	uv_loop_t loop;
	sh_proc *p;

	(void)state;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, stop_loop, 700, 0);
	p = sh_start(SH("seq", "1000000", .loop = &loop, .out = SH_STREAM, .drain_ms = 20));
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&timer, NULL);
	sh_proc_free(p);
	close_loop(&loop);
	assert_no_children();
}

/* Its grandchild has left the group and holds the pipe for long. */
static void test_async_stopping_does_not_wait_for_ever(void **state)
{
	sh_proc *p =
	    sh_start(SH("sh", "-c", "setsid sleep 60 & echo $!", .drain_ms = SH_FOREVER));
	uint64_t from = uv_hrtime();
	sh_line line;
	int sleeper;

	(void)state;
	assert_int_equal(sh_next(p, &line), 1);
	sleeper = (int)strtol(line.data, NULL, 10);
	assert_null(sh_wait(p, 100));
	sh_proc_free(p);
	assert_true(uv_hrtime() - from < 30000 * (uint64_t)MS);
	assert_int_equal(kill(sleeper, SIGKILL), 0);
}

/*
 * What it left behind speaks and ends within the time it has for that, but the loop is turned
 * only later. False: it had no time, because this process came too late.
 */
static bool ends_behind_our_back(int drain_ms)
{
	int let_go[2], gone[2];
	uint64_t from, took;
	uv_loop_t loop;
	siginfo_t si;
	sh_proc *p;
	char c;

	uv_loop_init(&loop);
	assert_int_equal(pipe2(let_go, O_CLOEXEC) | pipe2(gone, O_CLOEXEC), 0);
	p = sh_start(SH("sh", "-c", "(read x <&3; echo late) & echo hi", .loop = &loop,
			.fds = SH_FDS({ 3, let_go[0] }, { 4, gone[1] }), .drain_ms = drain_ms));
	close(let_go[0]);
	close(gone[1]);
	assert_int_equal(waitid(P_PID, (id_t)sh_pid(p), &si, WEXITED | WNOWAIT), 0);
	from = uv_hrtime();
	for (int i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	close(let_go[1]);
	assert_int_equal(read(gone[0], &c, 1), 0);
	took = uv_hrtime() - from;
	close(gone[0]);
	usleep((useconds_t)drain_ms * 1000);
	uv_run(&loop, UV_RUN_DEFAULT);
	if (took < drain_ms * (uint64_t)MS) {
		assert_status(sh_wait(p, 0), SH_DONE);
		assert_string_equal(sh_wait(p, 0)->out, "hi\nlate\n");
		assert_int_equal(sh_wait(p, 0)->flags, 0);
	}
	sh_proc_free(p);
	close_loop(&loop);
	return took < drain_ms * (uint64_t)MS;
}

static void test_async_what_ended_while_the_host_was_busy_is_whole(void **state)
{
	int drain_ms = 20;

	(void)state;
	while (!ends_behind_our_back(drain_ms))
		drain_ms *= 2;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_async_58_done_is_called_once_and_last),
		cmocka_unit_test(test_async_58_done_tells_of_failures_to_start),
		cmocka_unit_test(test_async_59_free_inside_done),
		cmocka_unit_test(test_async_59_free_inside_a_line),
		cmocka_unit_test(test_async_59_free_inside_a_line_while_reading),
		cmocka_unit_test(test_async_27_a_pull_may_have_nothing_yet),
		cmocka_unit_test(test_async_59_free_and_stop_inside_a_pull),
		cmocka_unit_test(test_async_59_free_when_it_is_stopped),
		cmocka_unit_test(test_async_59_stop_inside_a_line),
		cmocka_unit_test(test_async_59_free_of_what_runs_on_a_loop),
		cmocka_unit_test(test_async_61_a_waiting_call_does_not_turn_the_callers_loop),
		cmocka_unit_test(test_async_61_nor_does_one_that_is_wrong_to_have_it),
		cmocka_unit_test(test_async_null_is_fine_where_it_is_promised),
		cmocka_unit_test(test_async_lines_from_a_loop_wait_for_their_reader),
		cmocka_unit_test(test_async_what_is_paused_is_not_read),
		cmocka_unit_test(test_async_a_stream_nobody_reads_does_not_grow),
		cmocka_unit_test(test_async_an_unread_rest_does_not_keep_the_loop),
		cmocka_unit_test(test_async_stopping_does_not_wait_for_ever),
		cmocka_unit_test(test_async_what_ended_while_the_host_was_busy_is_whole),
	};

	return RUN_ON_BOTH("async", tests);
}
