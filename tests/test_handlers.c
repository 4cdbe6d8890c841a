/* The ready-made handlers with real commands: what they get, and what happens while one runs. */
#include "handler_test.h"

#include <signal.h>

/* ---- log ---- */

static void add_line(const char *line, size_t len, void *arg)
{
	assert_int_equal(len, strlen(line));
	strcat(arg, line);
	strcat(arg, "|");
}

static void test_log_lines(void **state)
{
	watcher_log_handler *h;
	char text[1024] = "";

	(void)state;
	put("in/a\nb", "");
	assert_int_equal(watcher_log_handler_new(&h,
						 &(watcher_log_options){ .size = sizeof(watcher_log_options),
									 .line = add_line,
									 .arg = text },
						 NULL),
			 0);
	open_watch(watcher_log_handler_batch, h, 0);
	assert_int_equal(mkdir("in/d", 0755), 0);
	sync_watcher(w);
	assert_int_equal(rename("in/a\nb", "in/d/x\\y"), 0);
	assert_int_equal(unlink("in/d/x\\y"), 0);
	assert_int_equal(rmdir("in/d"), 0);
	sync_watcher(w);
	assert_string_equal(text, "created in/d/|moved in/a\\x0ab -> in/d/x\\x5cy|"
				  "deleted in/d/x\\x5cy|deleted in/d/|");
	watcher_log_handler_free(h);
}

static void test_log_file(void **state)
{
	watcher_log_options o = { .size = sizeof o, .with_time = 1 };
	watcher_log_handler *h;
	int year;
	char rest[64];

	(void)state;
	o.fd = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(watcher_log_handler_new(&h, &o, NULL), 0);
	open_watch(watcher_log_handler_batch, h, 0);
	assert_int_equal(symlink("x", "in/f"), 0);
	sync_watcher(w);
	assert_int_equal(sscanf(get("log"), "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*6dZ %63[^\n]", &year, rest),
			 2);
	assert_true(year >= 2024);
	assert_string_equal(rest, "created in/f");
	assert_int_equal(watcher_log_handler_error(h), 0);
	close(o.fd);
	assert_int_equal(unlink("in/f"), 0);
	sync_watcher(w);
	assert_int_equal(watcher_log_handler_error(h), UV_EBADF);
	watcher_log_handler_free(h);
}

/* ---- command ---- */

static struct {
	int runs, code;
	char message[500];
	watcher_command_handler *free_in_callback;
} done;

static void on_done(watcher_command_handler *h, int code, const char *message, void *arg)
{
	(void)arg;
	done.runs++;
	done.code = code;
	snprintf(done.message, sizeof done.message, "%s", message);
	if (done.free_in_callback == h) {
		done.free_in_callback = NULL;
		watcher_command_handler_free(h);
	}
}

static bool ran(void *times)
{
	return done.runs >= *(int *)times;
}

static void await_runs(int times)
{
	turn_until(watcher_loop(w), ran, &times);
	assert_int_equal(done.runs, times);
}

static watcher_command_handler *command(const watcher_command_options *options)
{
	watcher_command_options o = *options;
	watcher_command_handler *h;
	watcher_error err;

	o.size = sizeof o;
	o.on_done = on_done;
	memset(&done, 0, sizeof done);
	if (watcher_command_handler_new(&h, w, &o, &err) < 0)
		fail_msg("%s", err.message);
	return h;
}
#define COMMAND(...) command(&(watcher_command_options){ __VA_ARGS__ })

static void test_command_environment(void **state)
{
	watcher_command_handler *h = COMMAND(
	    .shell = "printf '<%s>' \"$watch_event_type\" \"$watch_object\" \"$watch_src_path\" "
		     "\"$watch_dest_path\" \"$watch_event_count\" \"$X\" \"$@\" >> out",
	    .env = LIST("X=y z"));

	(void)state;
	put("in/$(touch PWNED)", "");
	open_watch(watcher_command_handler_batch, h, 0);
	assert_int_equal(rename("in/$(touch PWNED)", "in/`touch PWNED`;"), 0);
	sync_watcher(w);
	await_runs(1);
	assert_string_equal(get("out"), "<moved><file><in/$(touch PWNED)><in/`touch PWNED`;><1><y z>"
					"<in/`touch PWNED`;>");
	assert_int_equal(access("PWNED", F_OK), -1);
	assert_int_equal(done.code, 0);
	assert_string_equal(done.message, "");
	watcher_command_handler_free(h);
}

static void test_command_batch(void **state)
{
	watcher_command_handler *h = COMMAND(.shell = "echo $# $watch_event_count \"$@\" >> out");

	(void)state;
	open_watch(watcher_command_handler_batch, h, 0);
	assert_int_equal(symlink("x", "in/b"), 0);
	assert_int_equal(symlink("x", "in/a"), 0);
	assert_int_equal(unlink("in/b"), 0);
	sync_watcher(w);
	await_runs(1);
	assert_string_equal(get("out"), "2 3 in/b in/a\n");
	watcher_command_handler_free(h);
}

static void test_command_arguments(void **state)
{
	watcher_command_handler *h =
	    COMMAND(.command = LIST("sh", "-c", "echo \"$0\" \"$@\" >> ../out", "zero"),
		    .append_paths = 1);

	(void)state;
	assert_int_equal(chdir("in"), 0);
	watcher_add(w, ".", WATCH(.on_batch = watcher_command_handler_batch, .arg = h), NULL);
	assert_int_equal(symlink("x", "-rf"), 0);
	sync_watcher(w);
	await_runs(1);
	assert_string_equal(get("../out"), "zero ./-rf\n");
	assert_int_equal(chdir(".."), 0);
	watcher_command_handler_free(h);
}

static void test_command_per_event(void **state)
{
	watcher_command_handler *h = COMMAND(.shell = "echo $watch_event_type \"$@\" >> out",
					     .per_event = 1, .busy = WATCHER_BUSY_WAIT);

	(void)state;
	open_watch(watcher_command_handler_batch, h, WATCHER_ALL);
	assert_int_equal(symlink("x", "in/b"), 0);
	assert_int_equal(rename("in/b", "in/c"), 0);
	assert_int_equal(unlink("in/c"), 0);
	sync_watcher(w);
	await_runs(3);
	assert_string_equal(get("out"), "created in/b\nmoved in/c\ndeleted in/c\n");
	watcher_command_handler_free(h);
}

/* Reading a file is no reason to run anything, even where the watch asks for it. */
static void test_command_not_for_reading(void **state)
{
	watcher_command_handler *h = COMMAND(.command = LIST("false"));

	(void)state;
	put("in/f", "x");
	open_watch(watcher_command_handler_batch, h, WATCHER_OPENED | WATCHER_CLOSED_NO_WRITE);
	get("in/f");
	sync_watcher(w);
	assert_int_equal(watcher_command_handler_running(h), 0);
	assert_int_equal(done.runs, 0);
	watcher_command_handler_free(h);
}

/* A command that runs until the file `go` is there. */
#define UNTIL_GO "while [ ! -e go ]; do sleep 0.01; done; echo \"$@\" >> out"

static void test_busy_queue(void **state)
{
	watcher_command_handler *h = COMMAND(.shell = UNTIL_GO);

	(void)state;
	open_watch(watcher_command_handler_batch, h, 0);
	change_and_sync("in/a");
	change_and_sync("in/b");
	change_and_sync("in/c");
	assert_int_equal(watcher_command_handler_running(h), 1);
	put("go", "");
	await_runs(2);
	assert_string_equal(get("out"), "in/a\nin/b in/c\n");
	assert_int_equal(watcher_command_handler_dropped(h), 0);
	watcher_command_handler_free(h);
}

static void test_busy_wait(void **state)
{
	watcher_command_handler *h = COMMAND(.shell = UNTIL_GO, .busy = WATCHER_BUSY_WAIT);

	(void)state;
	open_watch(watcher_command_handler_batch, h, 0);
	change_and_sync("in/a");
	change_and_sync("in/b");
	change_and_sync("in/c");
	assert_int_equal(watcher_command_handler_running(h), 1);
	put("go", "");
	await_runs(3);
	assert_string_equal(get("out"), "in/a\nin/b\nin/c\n");
	watcher_command_handler_free(h);
}

static void test_busy_drop(void **state)
{
	watcher_command_handler *h = COMMAND(.shell = UNTIL_GO, .busy = WATCHER_BUSY_DROP);

	(void)state;
	open_watch(watcher_command_handler_batch, h, 0);
	change_and_sync("in/a");
	change_and_sync("in/b");
	assert_int_equal(watcher_command_handler_dropped(h), 1);
	put("go", "");
	await_runs(1);
	change_and_sync("in/c");
	await_runs(2);
	assert_string_equal(get("out"), "in/a\nin/c\n");
	watcher_command_handler_free(h);
}

static void test_busy_parallel(void **state)
{
	watcher_command_handler *h =
	    COMMAND(.shell = UNTIL_GO, .busy = WATCHER_BUSY_PARALLEL, .parallel = 2);

	(void)state;
	open_watch(watcher_command_handler_batch, h, 0);
	change_and_sync("in/a");
	change_and_sync("in/b");
	change_and_sync("in/c");
	assert_int_equal(watcher_command_handler_running(h), 2);
	put("go", "");
	await_runs(3);
	assert_int_equal(watcher_command_handler_running(h), 0);
	watcher_command_handler_free(h);
}

static void test_run_first_and_failures(void **state)
{
	watcher_command_handler *h = COMMAND(.shell = "echo first $# \"[$watch_src_path]\" > out; exit 3",
					     .run_first = 1);

	(void)state;
	await_runs(1);
	assert_string_equal(get("out"), "first 0 []\n");
	assert_int_equal(done.code, 3);
	assert_true(done.message[0] != '\0');
	watcher_command_handler_free(h);
	h = COMMAND(.command = LIST("/no/such/program"), .run_first = 1);
	await_runs(1);
	assert_int_equal(done.code, 127);
	assert_non_null(strstr(done.message, "/no/such/program"));
	done.free_in_callback = h;
	watcher_command_handler_free(h);
	h = COMMAND(.command = LIST("true"), .run_first = 1);
	done.free_in_callback = h;
	await_runs(1);
	assert_null(done.free_in_callback);
}

/* More paths than arguments may be: the rest is counted, and all of them are on stdin. */
static void test_many_paths(void **state)
{
	watcher_command_handler *h;
	char path[128];

	(void)state;
	/* One batch of all: without a quiet period it would be one turn of the loop. */
	watcher_close(w);
	assert_int_equal(watcher_open(&w, WATCHER(.debounce_ms = 60000), NULL), 0);
	h = COMMAND(.shell = "echo $(($# + watch_paths_left_out)) $(tr '\\0' '\\n' | sort -u | wc -l) "
			     "$((watch_paths_left_out > 0)) > out",
		    .paths_on_stdin = 1);
	open_watch(watcher_command_handler_batch, h, 0);
	for (int i = 0; i < 2000; i++) {
		snprintf(path, sizeof path, "in/%0100d", i);
		assert_int_equal(symlink("x", path), 0);
	}
	sync_watcher(w);
	await_runs(1);
	assert_string_equal(get("out"), "2000 2000 1\n");
	watcher_command_handler_free(h);
}

/* Ended while commands run: they are stopped, nothing calls back, nothing waits. */
static void test_command_freed_while_running(void **state)
{
	watcher_command_handler *h =
	    COMMAND(.shell = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000", .run_first = 1);
	bool there;
	pid_t pid;

	(void)state;
	while (!(there = access("pid", F_OK) == 0))
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	pid = atoi(get("pid"));
	watcher_command_handler_free(h);
	watcher_close(w);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(done.runs, 0);
	assert_int_equal(watcher_open(&w, NULL, NULL), 0);
}

static void test_command_bad_options(void **state)
{
	watcher_command_handler *h = NULL;
	watcher_error err;
	struct {
		watcher_command_options o;
		const char *message;
	} bad[] = {
		{ { 0 }, "command handler: no options, or their size is not set" },
		{ { .size = sizeof bad->o }, "command handler: no command is given" },
		{ { .size = sizeof bad->o, .command = LIST("") }, "command handler: no command is given" },
		{ { .size = sizeof bad->o, .shell = "" }, "command handler: no command is given" },
		{ { .size = sizeof bad->o, .shell = "x", .cwd = "" }, "command handler: cwd is empty" },
		{ { .size = sizeof bad->o, .command = LIST("x"), .shell = "x" },
		  "command handler: both command and shell are given" },
		{ { .size = sizeof bad->o, .shell = "x", .busy = 7 }, "command handler: unknown busy 7" },
		{ { .size = sizeof bad->o, .shell = "x", .parallel = -1 },
		  "command handler: a negative number" },
		{ { .size = sizeof bad->o, .shell = "x", .env = LIST("A") },
		  "command handler: not NAME=value: A" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(watcher_command_handler_new(&h, w, &bad[i].o, &err), UV_EINVAL);
		assert_string_equal(err.message, bad[i].message);
		assert_null(h);
	}
	assert_int_equal(watcher_command_handler_new(&h, w, NULL, &err), UV_EINVAL);
	watcher_command_handler_free(NULL);
	watcher_log_handler_free(NULL);
	watcher_supervise_handler_free(NULL);
}

int main(void)
{
#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		TEST(test_log_lines),
		TEST(test_log_file),
		TEST(test_command_environment),
		TEST(test_command_batch),
		TEST(test_command_arguments),
		TEST(test_command_per_event),
		TEST(test_command_not_for_reading),
		TEST(test_busy_queue),
		TEST(test_busy_wait),
		TEST(test_busy_drop),
		TEST(test_busy_parallel),
		TEST(test_run_first_and_failures),
		TEST(test_many_paths),
		TEST(test_command_freed_while_running),
		TEST(test_command_bad_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
