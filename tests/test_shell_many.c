/*
 * Many commands at a time: how many run, those that are held, and what tracing tells of them.
 * Numbers are those of the behaviours.
 */
#include "shell_test.h"

#include "base/bytes.h"

struct crowd {
	int alive, most, ended;
};

static void left(sh_proc *p, const sh_result *r, void *arg)
{
	struct crowd *c = arg;

	(void)p, (void)r;
	c->alive--;
	c->ended++;
}

static void traced(const sh_trace *t, void *arg)
{
	struct crowd *c = arg;

	if (t->kind == SH_TRACE_START && ++c->alive > c->most)
		c->most = c->alive;
}

static void test_many_60_never_more_than_the_limit(void **state)
{
	struct crowd c = { 0 };
	sh_proc *procs[100];
	char number[16];

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(number, sizeof number, "%d", i);
		procs[i] =
		    sh_start(SH("sh", "-c", "sleep 0.0$(($0 % 3)); echo $0; exit $(($0 == 50))",
				number, .held = true, .done = left, .arg = &c));
		assert_null(sh_wait(procs[i], 0));
	}
	sh_set_trace(traced, &c);
	assert_int_equal(sh_all(procs, 100, 4), 1);
	sh_set_trace(NULL, NULL);
	assert_int_equal(c.most, 4);
	assert_int_equal(c.ended, 100);
	for (int i = 0; i < 100; i++) {
		const sh_result *r = sh_wait(procs[i], 0);

		assert_int_equal(atoi(r->out), i);
		assert_int_equal(r->status, i == 50 ? SH_EXIT : SH_DONE);
	}
	assert_int_equal(sh_all(procs, 1, 1), UV_EINVAL);
	for (int i = 0; i < 100; i++)
		sh_proc_free(procs[i]);
	assert_no_children();
}

static void test_many_60_held_commands_can_be_released_or_dropped(void **state)
{
	sh_proc *p = sh_start(SH("echo", "x", .held = true));

	(void)state;
	assert_int_equal(sh_pid(p), 0);
	assert_int_equal(sh_release(p), 0);
	assert_int_equal(sh_release(p), UV_EALREADY);
	assert_string_equal(sh_wait(p, -1)->out, "x\n");
	sh_proc_free(p);
	p = sh_start(SH("echo", "x", .held = true));
	sh_proc_free(p);
	p = sh_start(SH("echo", "x", .held = true));
	assert_int_equal(sh_stop(p), 0);
	assert_int_equal(sh_release(p), 0);
	assert_status(sh_wait(p, -1), SH_CANCELED);
	sh_proc_free(p);
}

static void note(const sh_trace *t, void *arg)
{
	struct bytes *b = arg;

	bytes_addf(b, "%s %s%s%s\n",
		   t->kind == SH_TRACE_START  ? "start"
		   : t->kind == SH_TRACE_EXIT ? "exit"
					      : "dry",
		   t->command, t->cwd ? " in " : "", t->cwd ? t->cwd : "");
	if (t->kind == SH_TRACE_EXIT)
		bytes_addf(b, " %s\n", sh_status_name(t->result->status));
}

static void test_many_64_trace_and_rehearsal(void **state)
{
	struct bytes b = { 0 };
	sh_result *r;

	(void)state;
	sh_set_trace(note, &b);
	sh_free(sh("true", "a b", .cwd = "/"));
	sh_free(sh_pipe(SH("echo"), SH("false")));
	sh_free(sh("whendo-no-such-program"));
	r = sh("rm", "-rf", "/", .dry_run = true);
	sh_set_trace(NULL, NULL);
	assert_string_equal(b.data, "start true 'a b' in /\nexit true 'a b'\n done\n"
				    "start echo\nstart false\nexit echo | false\n exit\n"
				    "exit whendo-no-such-program\n notfound\n"
				    "dry rm -rf /\nexit rm -rf /\n done\n");
	assert_status(r, SH_DONE);
	assert_int_equal(r->flags, SH_DRY);
	assert_int_equal(r->stages[0].pid, 0);
	assert_string_equal(r->command, "rm -rf /");
	sh_free(r);
	bytes_free(&b);
	sh_free(sh("true"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_60_never_more_than_the_limit),
		cmocka_unit_test(test_many_60_held_commands_can_be_released_or_dropped),
		cmocka_unit_test(test_many_64_trace_and_rehearsal),
	};

	return RUN_ON_BOTH("many", tests);
}
