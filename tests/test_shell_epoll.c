/*
 * Behaviour 51 for libuv's own system calls: the k-th epoll call that needs memory fails, for
 * every k, on loops of the caller and on those the library makes for itself. libuv would abort
 * the process if it met that while polling; it is met before.
 *
 * These definitions take the place of libc's also for a libuv that is a shared library.
 */
#include "shell_test.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

static struct {
	int countdown, error;
	bool hit;
} fault;

static bool fails(void)
{
	if (!fault.countdown || --fault.countdown)
		return false;
	errno = fault.error;
	fault.hit = true;
	return true;
}

#define IN_ITS_PLACE __attribute__((visibility("default")))

IN_ITS_PLACE int epoll_create1(int flags)
{
	return fails() ? -1 : (int)syscall(SYS_epoll_create1, flags);
}

/* Only what is new needs room; changing and removing cannot fail for want of it. */
IN_ITS_PLACE int epoll_ctl(int ep, int op, int fd, struct epoll_event *e)
{
	int r = (int)syscall(SYS_epoll_ctl, ep, op, fd, e);

	if (r < 0 || op != EPOLL_CTL_ADD || !fails())
		return r;
	syscall(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, fd, e);
	errno = fault.error;
	return -1;
}

/* ------------------------------------------------------------------ scenarios */

/* Why the last one was not clean. */
static char said[512];

static void count_done(sh_proc *p, const sh_result *r, void *arg)
{
	(void)p, (void)r;
	++*(int *)arg;
}

/* Only a call that failed may make it end like this. */
static bool was_refused(const sh_result *r)
{
	bool is = r->status == SH_SPAWN || r->status == SH_IO || r->status == SH_NOMEM;

	if (!fault.hit || !is || !r->message[0])
		snprintf(said, sizeof said, "%s, flags %#x: %s", sh_status_name(r->status),
			 r->flags, r->message);
	return fault.hit && is && r->message[0];
}

static bool is_clean(const sh_result *r, const char *out)
{
	if (r->status != SH_DONE)
		return was_refused(r);
	snprintf(said, sizeof said, "done, flags %#x, but its output is \"%.100s\"", r->flags,
		 r->out);
	return !strcmp(r->out, out);
}

static bool was_called_once(int calls)
{
	snprintf(said, sizeof said, "done was called %d times", calls);
	return calls == 1;
}

static bool is_clean_on_loop(sh_proc *p, uv_loop_t *loop, const int *calls, const char *out)
{
	bool clean;

	uv_run(loop, UV_RUN_DEFAULT);
	clean = is_clean(sh_wait(p, 0), out) && was_called_once(*calls);
	sh_proc_free(p);
	uv_run(loop, UV_RUN_DEFAULT);
	return clean;
}

static bool run_command(uv_loop_t *loop)
{
	int calls = 0;
	sh_proc *p = sh_start(
	    SH("cat", .in = SH_TEXT("x\n"), .loop = loop, .done = count_done, .arg = &calls));

	return is_clean_on_loop(p, loop, &calls, "x\n");
}

static bool run_pipeline(uv_loop_t *loop)
{
	int calls = 0;
	sh_proc *p = sh_start_pipe(
	    SH("echo", "x", .loop = loop, .done = count_done, .arg = &calls), SH("cat"));

	return is_clean_on_loop(p, loop, &calls, "x\n");
}

/* More than a pipe takes: it is watched for room. */
static bool run_big_input(uv_loop_t *loop)
{
	int calls = 0;
	char *in = calloc(1, 3 << 20);
	sh_proc *p = sh_start(SH("wc", "-c", .in = SH_BYTES(in, 3 << 20), .loop = loop,
				 .done = count_done, .arg = &calls));

	free(in);
	return is_clean_on_loop(p, loop, &calls, "3145728\n");
}

static bool run_guarded(uv_loop_t *loop)
{
	int calls = 0;
	sh_proc *p = sh_start(
	    SH("echo", "x", .guard = true, .loop = loop, .done = count_done, .arg = &calls));

	return is_clean_on_loop(p, loop, &calls, "x\n");
}

static bool run_on_pty(uv_loop_t *loop)
{
	int calls = 0;
	sh_proc *p;

	if (!(sh__engine()->can & SH__CAN_PTY))
		return true;
	p = sh_start(SH("cat", .pty = true, .in = SH_TEXT("x\n"), .loop = loop,
			.done = count_done, .arg = &calls));
	return is_clean_on_loop(p, loop, &calls, "x\n");
}

/* Read late: the stream is paused, and watched again. */
static bool run_stream(uv_loop_t *loop)
{
	sh_proc *p = sh_start(SH("seq", "400000", .out = SH_STREAM, .loop = loop));
	sh_line line;
	long n = 0;
	bool clean;
	int r;

	/* One turn may bring the rest of the lines and the end of the command. */
	while ((r = sh_next(p, &line)) != 0) {
		assert_true(r == 1 || (r == UV_EAGAIN && !sh_wait(p, 0)));
		if (r == UV_EAGAIN)
			uv_run(loop, UV_RUN_ONCE);
		n += r == 1;
	}
	snprintf(said, sizeof said, "%ld lines, flags %#x", n, sh_wait(p, 0)->flags);
	clean = sh_wait(p, 0)->status ? is_clean(sh_wait(p, 0), "") : n == 400000;
	sh_proc_free(p);
	uv_run(loop, UV_RUN_DEFAULT);
	return clean;
}

static bool run_released(uv_loop_t *loop)
{
	int calls = 0;
	sh_proc *p = sh_start(
	    SH("echo", "x", .held = true, .loop = loop, .done = count_done, .arg = &calls));

	assert_int_equal(sh_release(p), 0);
	return is_clean_on_loop(p, loop, &calls, "x\n");
}

static bool run_stopped(uv_loop_t *loop)
{
	int calls = 0;
	sh_proc *p =
	    sh_start(SH("sleep", "100", .loop = loop, .done = count_done, .arg = &calls));
	bool clean;

	sh_stop(p);
	uv_run(loop, UV_RUN_DEFAULT);
	clean = (sh_wait(p, 0)->status == SH_CANCELED || was_refused(sh_wait(p, 0))) &&
		was_called_once(calls);
	sh_proc_free(p);
	uv_run(loop, UV_RUN_DEFAULT);
	return clean;
}

/* Without a loop of ours: the engine uv makes one for each. */
static bool run_alone(uv_loop_t *loop)
{
	sh_result *r = sh("cat", .in = SH_TEXT("x\n"));
	bool clean = is_clean(r, "x\n");

	(void)loop;
	sh_free(r);
	return clean;
}

static bool run_all(uv_loop_t *loop)
{
	sh_proc *p[2] = { sh_start(SH("echo", "x", .held = true)),
			  sh_start(SH("echo", "x", .held = true)) };
	int r = sh_all(p, 2, 2);
	bool clean;

	snprintf(said, sizeof said, "sh_all: %s", r < 0 ? uv_strerror(r) : "");
	clean = (fault.hit && r == -fault.error) || (r >= 0 && is_clean(sh_wait(p[0], 0), "x\n") &&
					   is_clean(sh_wait(p[1], 0), "x\n"));

	(void)loop;
	for (int i = 0; i < 2; i++)
		sh_proc_free(p[i]);
	return clean;
}

static const struct {
	const char *name;
	bool (*run)(uv_loop_t *loop);
	bool own_loops;
} scenarios[] = {
	{ "command", run_command, false },     { "pipeline", run_pipeline, false },
	{ "big input", run_big_input, false }, { "guarded", run_guarded, false },
	{ "pty", run_on_pty, false },	       { "stream", run_stream, false },
	{ "released", run_released, false },   { "stopped", run_stopped, false },
	{ "alone", run_alone, true },	       { "all", run_all, true },
};

/* Leaves nothing behind. Without a fault (k is 0, or more than there are calls) it succeeds. */
static void check_run(size_t i, uv_loop_t *loop, int k, int error)
{
	size_t fds = count_fds();
	bool clean;

	fault.countdown = k;
	fault.error = error;
	fault.hit = false;
	clean = scenarios[i].run(loop);
	fault.countdown = 0;
	if (!clean)
		fail_msg("%s, call %d (%s, %s): %s", scenarios[i].name, k, strerror(error),
			 fault.hit ? "met" : "not met", said);
	if (k && count_fds() != fds)
		fail_msg("%s, call %d (%s): %d descriptors more", scenarios[i].name, k,
			 strerror(error), (int)count_fds() - (int)fds);
	if (is_child_left(said, sizeof said))
		fail_msg("%s, call %d (%s): %s", scenarios[i].name, k, strerror(error), said);
}

/* How many calls could fail. */
static int fail_each_of(size_t i, int error)
{
	uv_loop_t loop;
	int k = 0;

	uv_loop_init(&loop);
	check_run(i, &loop, 0, 0); /* what is made once is made now */
	do
		check_run(i, &loop, ++k, error);
	while (fault.hit && k < 100);
	assert_int_equal(uv_loop_close(&loop), 0);
	return k - 1;
}

static void fail_each(int error)
{
	/* libuv watches its own signal pipe while it polls, and aborts: only its epoll_create1
	 * can be made to fail there. See shellcmd(3), CAVEATS. */
	if (sh__engine()->needs_uv)
		skip();
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		int n = fail_each_of(i, error);

		if (getenv("SH_TEST_TELL"))
			fprintf(stderr, "# %s: %d calls\n", scenarios[i].name, n);
		/* Private loops of this engine are not libuv's. */
		assert_int_equal(n == 0, scenarios[i].own_loops);
	}
}

static void test_epoll_51_without_memory(void **state)
{
	(void)state;
	fail_each(ENOMEM);
}

static void test_epoll_51_without_watches(void **state)
{
	(void)state;
	fail_each(ENOSPC);
}

static void test_epoll_51_no_private_loop(void **state)
{
	const int errors[] = { EMFILE, ENFILE, ENOMEM };

	(void)state;
	if (!sh__engine()->needs_uv)
		skip();
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		if (!scenarios[i].own_loops)
			continue;
		check_run(i, NULL, 0, 0);
		for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
			check_run(i, NULL, 1, errors[e]);
			assert_true(fault.hit);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epoll_51_without_memory),
		cmocka_unit_test(test_epoll_51_without_watches),
		cmocka_unit_test(test_epoll_51_no_private_loop),
	};

	return RUN_ON_BOTH("epoll", tests);
}
