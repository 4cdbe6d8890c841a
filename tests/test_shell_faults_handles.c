/* clang-format off */
/*
 * Behaviour 51, for what is done with a command that runs, and for words: see shell_faults.h.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=pipe2,--wrap=clone,--wrap=syscall,--wrap=open,--wrap=fcntl,--wrap=read,--wrap=write,--wrap=poll,--wrap=posix_openpt,--wrap=socketpair,--wrap=send,--wrap=sendmsg,--wrap=recv,--wrap=recvmsg,--wrap=ioctl
 */
/* clang-format on */
#include "shell_faults.h"

#include "shellcmd/detached.h"

/* What was asked for, a clean error, or an end by the signal that is meant to end it. */
static bool ends_clean(sh_proc *p, int status)
{
	const sh_result *r = p ? sh_wait(p, -1) : NULL;
	bool clean = r ? r->status == status || is_clean_failure(r, status) ||
			     (fault.kind == MEMORY && r->status == SH_NOMEM)
		       : fault.kind == MEMORY;

	if (!clean)
		fprintf(stderr, "# %s: %s\n", sh_status_name(r ? r->status : SH_NOMEM),
			r ? r->message : "");
	sh_proc_free(p);
	return clean;
}

static bool may_be(int r, int wanted)
{
	return r == wanted ||
	       (r < 0 && (fault.kind == MEMORY ? r == UV_ENOMEM : r != UV_EINVAL));
}

static bool expect(void)
{
	sh_proc *p = sh_start(SH("sh", "-c", "echo name?; read x; echo hi $x", .in = SH_FEED));
	int r = 0;

	if (p && (r = sh_expect(p, "name\\?", -1)) == 1) {
		if (sh_write(p, "you\n", 4) == 0)
			r = sh_expect(p, "hi (\\w+)", -1);
		sh_eof(p);
	}
	/* 0: it ended before that, which its result explains. */
	return ends_clean(p, SH_DONE) && (r == 0 || may_be(r, 1));
}

static bool try_next(void)
{
	sh_proc *p = sh_start(SH("echo", "x", .out = SH_STREAM));
	sh_line line;
	int r = 0, n = 0;

	while (p && (r = sh_try_next(p, &line)) != 0 && (r == 1 || r == UV_EAGAIN))
		n += r == 1 && line.len == 1;
	return ends_clean(p, SH_DONE) && n <= 1 && may_be(r, 0);
}

static bool release(void)
{
	sh_proc *p = sh_start(SH("true", .held = true));

	return !p ? fault.kind == MEMORY
		  : sh_release(p) == 0 && sh_release(p) == UV_EALREADY &&
			ends_clean(p, SH_DONE);
}

static bool signalled(void)
{
	sh_proc *p = sh_start(SH("sleep", "10"));
	int r = p ? sh_signal(p, SIGKILL) : 0;

	return ends_clean(p, SH_SIGNAL) && (may_be(r, 0) || r == UV_ESRCH);
}

static bool stopped(void)
{
	sh_proc *p = sh_start(SH("sleep", "10"));
	int r = p ? sh_stop(p) : 0;

	return ends_clean(p, SH_CANCELED) && (r == 0 || r == UV_ESRCH);
}

static bool freed(void)
{
	sh_proc_free(sh_start(SH("sleep", "10")));
	return true;
}

static bool detached(void)
{
	sh_proc *p = sh_start(SH("sleep", "10", .detach = true));
	int pid = p ? sh_pid(p) : 0;

	sh_proc_free(p);
	if (pid && kill(pid, SIGKILL) == 0)
		waitpid(pid, NULL, 0);
	sh__detached_reap(); /* it forgets, too, what was reaped here */
	return p || fault.kind == MEMORY;
}

static bool left(void)
{
	sh_proc *p = sh_start(SH("cat", .guard = true, .in = SH_FEED));
	int pids[4], r = p ? sh_left(p, pids, 4) : 0;

	if (p)
		sh_eof(p);
	return ends_clean(p, SH_DONE) && (r <= 1 || !(sh__engine()->can & SH__CAN_TREE));
}

static bool resized(void)
{
	sh_proc *p = sh_start(SH("cat", .pty = true));
	int r = p ? sh_resize(p, 10, 20) : 0, eof = p ? sh_eof(p) : 0;

	return ends_clean(p, SH_DONE) && (may_be(r, 0) || r == UV_ESRCH) &&
	       (eof == 0 || eof == UV_EPIPE || eof == UV_EINVAL);
}

static int pull_once(sh_proc *p, char *buf, size_t cap, void *arg)
{
	int *times = arg;

	(void)p, (void)cap;
	if ((*times)++)
		return 0;
	memcpy(buf, "pulled\n", 7);
	return 7;
}

static bool pulled(void)
{
	int times = 0;

	return checked(sh("cat", .in = SH_PULL(pull_once, &times)), "pulled\n");
}

static void count_trace(const sh_trace *t, void *arg)
{
	*(int *)arg += t->kind == SH_TRACE_EXIT;
}

static bool traced(void)
{
	int ends = 0;
	bool clean;

	sh_set_trace(count_trace, &ends);
	clean = checked(sh("echo", "x"), "x\n") && checked(sh("echo", .dry_run = true), "");
	sh_set_trace(NULL, NULL);
	return clean && ends <= 2;
}

static int no_words(int r, char ***w)
{
	if (r >= 0)
		sh_words_free(*w);
	return r;
}

/* libc's own memory, and the folders it reads, do not fail here. */
static bool words(void)
{
	bool clean = true, may_fail = fault.countdown > 0;
	char **w = NULL, *text;

	clean &= may_be(no_words(sh_split(&w, "a 'b c'", NULL), &w), 0);
	clean &= may_be(no_words(sh_format(&w, "a %s %d", "b c", 5), &w), 0);
	clean &= may_be(no_words(sh_glob(&w, "/etc/passw[d]", 0), &w), 1);
	text = sh_quote(SH_LIST("a", "b\nc"));
	clean &= text ? !strcmp(text, "a $'b\\nc'") : may_fail;
	free(text);
	text = sh_which("sh");
	clean &= text ? text[0] == '/' : may_fail;
	free(text);
	return clean;
}

static const struct scenario scenarios[] = {
	{ "expect", expect, false },	 { "try_next", try_next, false },
	{ "release", release, false },	 { "signalled", signalled, false },
	{ "stopped", stopped, true },	 { "freed", freed, true },
	{ "detached", detached, false }, { "left", left, true },
	{ "resized", resized, false },	 { "pulled", pulled, false },
	{ "traced", traced, false },	 { "words", words, false },
};

enum { COUNT = sizeof scenarios / sizeof *scenarios };

static void test_handles_51_each_allocation(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, MEMORY, ENOMEM);
}

static void test_handles_51_each_call_with_emfile(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, SYSTEM, EMFILE);
}

static void test_handles_46_each_call_with_eintr(void **state)
{
	(void)state;
	fail_each(scenarios, COUNT, SYSTEM, EINTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handles_51_each_allocation),
		cmocka_unit_test(test_handles_51_each_call_with_emfile),
		cmocka_unit_test(test_handles_46_each_call_with_eintr),
	};

	return RUN_ON_BOTH("handles", tests);
}
