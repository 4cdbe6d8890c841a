/* What a command leaves behind in its group when it ends by itself, with stop_left. */
#include "shell_test.h"

enum { GRACE_MS = 100 };

/* It ends when it is told to; its child says when it was asked, and goes on. */
#define DEAF                                                                                   \
	"{ trap 'echo asked' TERM; echo up; while :; do sleep 0.02; done; } 2>/dev/null & "    \
	"read line; exit 5"

static void test_left_ends_with_its_command(void **state)
{
	sh_result *r = sh("sh", "-c", "sleep 99 & echo $!; exit 3", .stop_left = true);

	(void)state;
	assert_status(r, SH_EXIT);
	assert_int_equal(r->exit_code, 3);
	assert_int_equal(r->term_signal, 0);
	assert_int_equal(r->flags, 0);
	assert_true(atoi(r->out) > 0);
	assert_false(is_alive(atoi(r->out)));
	sh_free(r);
	r = sh("sh", "-c", "sleep 99 & echo $!; kill -KILL $$", .stop_left = true);
	assert_status(r, SH_SIGNAL);
	assert_int_equal(r->term_signal, SIGKILL);
	assert_int_equal(r->flags, 0);
	assert_false(is_alive(atoi(r->out)));
	sh_free(r);
}

static void test_left_is_nobody(void **state)
{
	sh_result *r =
	    sh("echo", "a", .stop_left = true, .stop_signal = SIGKILL, .drain_ms = SH_FOREVER);

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "a\n");
	assert_int_equal(r->flags, 0);
	sh_free(r);
}

static void test_left_is_killed_after_the_grace(void **state)
{
	sh_result *r = sh("sh", "-c", "trap '' TERM; sleep 99 & echo $!", .stop_left = true,
			  .grace_ms = GRACE_MS);

	(void)state;
	assert_status(r, SH_DONE);
	assert_true(r->wall_ns >= GRACE_MS * (uint64_t)MS);
	assert_int_equal(r->flags, SH_KILLED);
	assert_false(is_alive(atoi(r->out)));
	sh_free(r);
}

static void test_left_with_a_guardian_are_all_descendants(void **state)
{
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_TREE);
	r = sh("sh", "-c", "setsid sleep 99 & echo $!; exit 3", .stop_left = true,
	       .guard = true);
	assert_status(r, SH_EXIT);
	assert_int_equal(r->exit_code, 3);
	assert_false(is_alive(atoi(r->out)));
	sh_free(r);
}

static void test_left_by_the_stages_of_a_pipeline(void **state)
{
	sh_result *r = sh_pipe(SH("sh", "-c", "sleep 99 >/dev/null & echo $!"),
			       SH("cat", .stop_left = true));

	(void)state;
	assert_status(r, SH_DONE);
	assert_true(atoi(r->out) > 0);
	assert_false(is_alive(atoi(r->out)));
	sh_free(r);
}

static void expect_line(sh_proc *p, const char *text)
{
	sh_line line;

	assert_int_equal(sh_next(p, &line), 1);
	assert_int_equal(line.len, strlen(text));
	assert_memory_equal(line.data, text, line.len);
}

/* The first sh_stop() finds it done already, and shortens nothing; the second kills. */
static void test_left_is_stopped_once(void **state)
{
	sh_proc *p = sh_start(
	    SH("sh", "-c", DEAF, .in = SH_FEED, .stop_left = true, .grace_ms = SH_FOREVER));
	const sh_result *r;

	(void)state;
	expect_line(p, "up");
	assert_int_equal(sh_write(p, "\n", 1), 0);
	expect_line(p, "asked");
	assert_int_equal(sh_stop(p), 0);
	assert_null(sh_wait(p, 50));
	assert_int_equal(sh_stop(p), 0);
	r = sh_wait(p, -1);
	assert_status(r, SH_EXIT);
	assert_int_equal(r->exit_code, 5);
	assert_int_equal(r->flags, SH_KILLED);
	assert_string_equal(r->out, "up\nasked\n");
	sh_proc_free(p);
}

static void test_left_ends_with_the_handle(void **state)
{
	sh_proc *p = sh_start(
	    SH("sh", "-c", DEAF, .in = SH_FEED, .stop_left = true, .grace_ms = GRACE_MS));
	int group = sh_pid(p);

	(void)state;
	expect_line(p, "up");
	assert_int_equal(sh_write(p, "\n", 1), 0);
	expect_line(p, "asked");
	sh_proc_free(p);
	for (int i = 0; i < 2000 && kill(-group, 0) == 0; i++)
		usleep(5000);
	assert_int_equal(kill(-group, 0), -1);
}

/* What the kernel does when a group is empty, and there is one more with its number. */
static void test_left_number_that_was_given_away(void **state)
{
	sh_proc *other;
	struct sh__child ended = { .group = true, .exited = true };

	(void)state;
	if (sh__engine() != &sh__engine_uv) /* the other one has descriptors */
		skip();
	other = sh_start(SH("sleep", "99"));
	ended.pid = sh_pid(other);
	assert_true(sh__engine()->group_gone(&ended));
	assert_int_equal(sh__engine()->kill(&ended, SIGKILL), UV_ESRCH);
	assert_null(sh_wait(other, 50));
	sh_proc_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_left_ends_with_its_command),
		cmocka_unit_test(test_left_is_nobody),
		cmocka_unit_test(test_left_is_killed_after_the_grace),
		cmocka_unit_test(test_left_with_a_guardian_are_all_descendants),
		cmocka_unit_test(test_left_by_the_stages_of_a_pipeline),
		cmocka_unit_test(test_left_is_stopped_once),
		cmocka_unit_test(test_left_ends_with_the_handle),
		cmocka_unit_test(test_left_number_that_was_given_away),
	};

	return RUN_ON_BOTH("left", tests);
}
