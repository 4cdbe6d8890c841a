/* The ready-made handler that keeps a command running: how it is stopped, and started again. */
#include "handler_test.h"

#include <signal.h>

static struct {
	int started, exited, waiting, code, last_wait;
	int backoff_ms, backoff_max_ms; /* of the handler's options */
	uint64_t waits_from;
	watcher_supervise_handler *free_at_exit;
} seen;

/* 0, the first, twice as long each time up to the longest; and from the start after a run that took
 * as long as that. */
static void check_wait(int ms)
{
	int next = seen.last_wait ? 2 * seen.last_wait : seen.backoff_ms;
	uint64_t now = uv_hrtime();

	if (seen.waiting++ == 0)
		assert_int_equal(ms, 0);
	else if (ms == 0)
		assert_true(now - seen.waits_from >= (uint64_t)(seen.backoff_max_ms - 1) * 1000000);
	else
		assert_int_equal(ms, next > seen.backoff_max_ms ? seen.backoff_max_ms : next);
	seen.last_wait = ms;
	seen.waits_from = now;
}

/* A test that fails lets go of it, too: it would restart its command for ever, and the watcher's
 * loop would not end. */
static watcher_supervise_handler *kept;

static void let_go(watcher_supervise_handler *h)
{
	kept = NULL;
	watcher_supervise_handler_free(h);
}

static int leave_supervised(void **state)
{
	let_go(kept);
	return leave(state);
}

static void on_state(watcher_supervise_handler *h, int state, int code, const char *message,
		     void *arg)
{
	(void)arg;
	assert_non_null(message);
	if (state == WATCHER_SUPERVISE_STARTED) {
		seen.started++;
		assert_int_equal(code, watcher_supervise_handler_pid(h));
	} else if (state == WATCHER_SUPERVISE_EXITED) {
		seen.exited++;
		seen.code = code;
		if (seen.free_at_exit == h) {
			seen.free_at_exit = NULL;
			let_go(h);
		}
	} else {
		check_wait(code);
	}
}

static watcher_supervise_handler *supervise(const watcher_supervise_options *options)
{
	watcher_supervise_options o = *options;
	watcher_supervise_handler *h;
	watcher_error err;

	o.size = sizeof o;
	o.on_state = on_state;
	memset(&seen, 0, sizeof seen);
	seen.backoff_ms = o.backoff_ms ? o.backoff_ms : 100;
	seen.backoff_max_ms = o.backoff_max_ms ? o.backoff_max_ms : 10000;
	if (watcher_supervise_handler_new(&h, w, &o, &err) < 0)
		fail_msg("%s", err.message);
	kept = h;
	return h;
}
#define SUPERVISE(...) supervise(&(watcher_supervise_options){ __VA_ARGS__ })

static bool lines_are(void *n)
{
	const char *at = get("out");
	int lines = 0;

	for (; *at; at++)
		lines += *at == '\n';
	return lines >= *(int *)n;
}

static void await_lines(int n)
{
	turn_until(watcher_loop(w), lines_are, &n);
}

static bool exited(void *n)
{
	return seen.exited >= *(int *)n;
}

static void await_exits(int n)
{
	turn_until(watcher_loop(w), exited, &n);
}

#define SERVER "exec 2>/dev/null; trap 'echo bye >> out; exit 0' TERM; echo up >> out; while :; do sleep 0.01; done"

static void test_supervise(void **state)
{
	watcher_supervise_handler *h = SUPERVISE(.shell = SERVER);
	int first;

	(void)state;
	open_watch(watcher_supervise_handler_batch, h, 0);
	assert_int_equal(watcher_supervise_handler_pid(h), 0);
	watcher_supervise_handler_start(h);
	watcher_supervise_handler_start(h);
	first = watcher_supervise_handler_pid(h);
	assert_true(first > 0);
	await_lines(1);
	change_and_sync("in/a");
	await_lines(3);
	assert_string_equal(get("out"), "up\nbye\nup\n");
	assert_true(watcher_supervise_handler_pid(h) != first);
	assert_int_equal(watcher_supervise_handler_restarts(h), 1);
	assert_int_equal(kill(first, 0), -1);
	watcher_supervise_handler_stop(h);
	await_exits(2);
	assert_int_equal(watcher_supervise_handler_pid(h), 0);
	change_and_sync("in/b"); /* stopped is stopped */
	assert_int_equal(watcher_supervise_handler_pid(h), 0);
	watcher_supervise_handler_start(h);
	await_lines(5);
	watcher_supervise_handler_stop(h);
	watcher_supervise_handler_start(h); /* while it is being stopped */
	await_lines(7);
	assert_string_equal(get("out"), "up\nbye\nup\nbye\nup\nbye\nup\n");
	let_go(h);
}

/* One that outlives its shell, and when told to end waits until there is "go". */
#define WORKER                                                                                 \
	"exec 2>/dev/null; { "                                                                 \
	"trap 'echo asked >> out; until [ -e go ]; do sleep 0.01; done; echo bye >> out; "     \
	"exit' TERM; "                                                                         \
	"echo up >> out; n=0; while [ $((n += 1)) -lt 2000 ]; do sleep 0.01; done; } & wait"

static void kill_leader(watcher_supervise_handler *h)
{
	assert_int_equal(kill(watcher_supervise_handler_pid(h), SIGKILL), 0);
}

static bool started(void *n)
{
	return seen.started >= *(int *)n;
}

static void await_starts(int n)
{
	turn_until(watcher_loop(w), started, &n);
}

static void assert_out_begins(const char *text)
{
	char got[64];

	snprintf(got, sizeof got, "%.*s", (int)strlen(text), get("out"));
	assert_string_equal(got, text);
}

static void test_supervise_what_is_left_ends_before_the_next_start(void **state)
{
	watcher_supervise_handler *h = SUPERVISE(.shell = WORKER);

	(void)state;
	assert_int_equal(mkdir("go", 0755), 0);
	watcher_supervise_handler_start(h);
	await_lines(1);
	kill_leader(h);
	await_starts(2);
	assert_out_begins("up\nasked\nbye\n");
	assert_int_equal(seen.code, 128 + SIGKILL);
	assert_int_equal(seen.waiting, 1);
	let_go(h);
}

static void test_supervise_what_is_left_is_killed(void **state)
{
	watcher_supervise_handler *h =
	    SUPERVISE(.shell = "{ trap '' USR1; echo up >> out; n=0; "
			       "while [ $((n += 1)) -lt 2000 ]; do sleep 0.01; done; echo end >> out; } & "
			       "echo $! > left; until [ -e out ]; do sleep 0.01; done; exit 4",
		      .stop_signal = SIGUSR1, .kill_after_ms = 50, .stay_down = 1);
	char cmdline[32];

	(void)state;
	watcher_supervise_handler_start(h);
	await_exits(1);
	assert_int_equal(seen.code, 4);
	assert_string_equal(get("out"), "up\n");
	snprintf(cmdline, sizeof cmdline, "/proc/%d/cmdline", atoi(get("left")));
	assert_string_equal(get(cmdline), "");
	let_go(h);
}

/* A restart meanwhile is no second signal, and no shorter time. */
static void test_supervise_restart_while_what_is_left_ends(void **state)
{
	watcher_supervise_handler *h = SUPERVISE(.shell = WORKER);

	(void)state;
	open_watch(watcher_supervise_handler_batch, h, 0);
	watcher_supervise_handler_start(h);
	await_lines(1);
	kill_leader(h);
	await_lines(2);
	change_and_sync("in/a");
	watcher_supervise_handler_restart(h);
	assert_int_equal(seen.exited, 0);
	assert_int_equal(mkdir("go", 0755), 0);
	await_starts(2);
	assert_out_begins("up\nasked\nbye\n");
	assert_int_equal(seen.exited, 1);
	assert_int_equal(seen.waiting, 0);
	assert_int_equal(watcher_supervise_handler_restarts(h), 1);
	let_go(h);
}

static void test_supervise_freed_while_what_is_left_ends(void **state)
{
	watcher_supervise_handler *h = SUPERVISE(.shell = WORKER);

	(void)state;
	watcher_supervise_handler_start(h);
	await_lines(1);
	kill_leader(h);
	await_lines(2);
	let_go(h);
	assert_int_equal(mkdir("go", 0755), 0);
	await_lines(3);
	assert_string_equal(get("out"), "up\nasked\nbye\n");
	assert_int_equal(seen.started, 1);
}

static void test_supervise_kill_after(void **state)
{
	watcher_supervise_handler *h =
	    SUPERVISE(.shell = "trap '' INT; echo up >> out; while :; do sleep 0.01; done",
		      .stop_signal = SIGINT, .kill_after_ms = 50);

	(void)state;
	watcher_supervise_handler_start(h);
	await_lines(1);
	watcher_supervise_handler_restart(h);
	watcher_supervise_handler_restart(h); /* no second stop signal, no second start */
	await_lines(2);
	assert_int_equal(seen.code, 128 + SIGKILL);
	assert_int_equal(seen.started, 2);
	assert_int_equal(watcher_supervise_handler_restarts(h), 1);
	let_go(h);
}

static void test_supervise_exit(void **state)
{
	watcher_supervise_handler *h = SUPERVISE(.shell = "echo up >> out; exit 4", .backoff_ms = 10,
						 .backoff_max_ms = 40);

	(void)state;
	watcher_supervise_handler_start(h);
	await_exits(6);
	assert_int_equal(seen.code, 4);
	assert_true(seen.waiting >= 5);
	assert_true(watcher_supervise_handler_restarts(h) >= 5);
	seen.free_at_exit = h;
	await_exits(7);
	assert_null(seen.free_at_exit);
}

static void test_supervise_stays_down(void **state)
{
	watcher_supervise_handler *h = SUPERVISE(.shell = "echo up >> out", .stay_down = 1);

	(void)state;
	open_watch(watcher_supervise_handler_batch, h, 0);
	watcher_supervise_handler_start(h);
	await_exits(1);
	assert_int_equal(seen.waiting, 0);
	assert_int_equal(watcher_supervise_handler_pid(h), 0);
	change_and_sync("in/a");
	await_exits(2);
	assert_string_equal(get("out"), "up\nup\n");
	let_go(h);
}

/* False: the changes took longer than that, and may have been two restarts. */
static bool restarts_once(int debounce_ms)
{
	watcher_supervise_handler *h = SUPERVISE(.shell = SERVER, .debounce_ms = debounce_ms);
	uint64_t from, restarts;
	bool in_time;

	open_watch(watcher_supervise_handler_batch, h, 0);
	watcher_supervise_handler_start(h);
	await_lines(1);
	from = uv_hrtime();
	change_and_sync("in/a");
	change_and_sync("in/b");
	change_and_sync("in/c");
	in_time = uv_hrtime() - from < (uint64_t)debounce_ms * 1000000;
	await_lines(3);
	restarts = watcher_supervise_handler_restarts(h);
	let_go(h);
	if (in_time)
		assert_int_equal(restarts, 1);
	return in_time;
}

static void test_supervise_debounce(void **state)
{
	int debounce_ms = 30;

	while (!restarts_once(debounce_ms)) {
		debounce_ms *= 2;
		assert_int_equal(leave(state), 0);
		assert_int_equal(enter(state), 0);
	}
}

static void test_supervise_not_found(void **state)
{
	watcher_supervise_handler *h = SUPERVISE(.command = LIST("/no/such/server"));
	watcher_error err;

	(void)state;
	watcher_supervise_handler_start(h);
	await_exits(2);
	assert_int_equal(seen.code, 127);
	assert_int_equal(seen.started, 0);
	let_go(h);
	h = NULL;
	assert_int_equal(watcher_supervise_handler_new(
			     &h, w,
			     &(watcher_supervise_options){ .size = sizeof(watcher_supervise_options),
							   .shell = "x",
							   .kill_after_ms = -1 },
			     &err),
			 UV_EINVAL);
	assert_string_equal(err.message, "supervise handler: a negative time");
	assert_null(h);
}

int main(void)
{
#define SUPERVISED(f) cmocka_unit_test_setup_teardown(f, enter, leave_supervised)
	const struct CMUnitTest tests[] = {
		SUPERVISED(test_supervise),
		SUPERVISED(test_supervise_what_is_left_ends_before_the_next_start),
		SUPERVISED(test_supervise_what_is_left_is_killed),
		SUPERVISED(test_supervise_restart_while_what_is_left_ends),
		SUPERVISED(test_supervise_freed_while_what_is_left_ends),
		SUPERVISED(test_supervise_kill_after),
		SUPERVISED(test_supervise_exit),
		SUPERVISED(test_supervise_stays_down),
		SUPERVISED(test_supervise_debounce),
		SUPERVISED(test_supervise_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
