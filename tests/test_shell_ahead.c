/* Guardians that are forked before there is a command for them. */
#include "shell_test.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/resource.h>

/* The parent of a command that tells it in its first line; 0: it was not run well. */
static int guardian_of(sh_result *r)
{
	int parent = r->status ? 0 : (int)strtol(r->out, NULL, 10);

	if (r->status)
		print_message("%s\n", r->message);
	sh_free(r);
	return parent;
}

#define TELL "echo $PPID; "

static void test_ahead_each_serves_one_command(void **state)
{
	size_t fds = count_fds();
	sh_guardian *g;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_non_null(g = sh_guardian_new());
	for (int i = 0; i < 3; i++) {
		int waits;

		assert_int_equal(sh_guardian_ready(g), 0);
		waits = g->pid;
		assert_int_equal(sh_guardian_ready(g), 0);
		assert_int_equal(g->pid, waits);
		assert_int_equal(
		    guardian_of(sh("sh", "-c", TELL, .guard = true, .guardian = g)), waits);
		assert_no_children();
		/* None is ready: it is forked as ever. */
		assert_int_not_equal(
		    guardian_of(sh("sh", "-c", TELL, .guard = true, .guardian = g)), 0);
	}
	assert_int_equal(sh_guardian_ready(g), 0);
	sh_guardian_free(g);
	assert_no_children();
	assert_int_equal(count_fds(), fds);
}

/* As of a command without: what it is told, what it is given, and this process's directory. */
static void test_ahead_the_command_is_the_one_that_was_asked_for(void **state)
{
	static const char script[] =
	    "echo \"$0 $1 $X ${HOME-none}\"; pwd; cat; cat <&7; echo e >&2; "
	    "[ $(ps -o pgid= -p $$) = $$ ] && echo leader; exit 3";
	sh_guardian *g;
	char here[PATH_MAX];
	int fd;
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_true((fd = open("/proc/self/comm", O_RDONLY)) >= 0);
	assert_non_null(g = sh_guardian_new());
	assert_non_null(getcwd(here, sizeof here));
	assert_int_equal(sh_guardian_ready(g), 0);
	assert_int_equal(chdir("/usr"), 0);
	assert_int_equal(setenv("X", "after", 1), 0);
	r = sh("sh", "-c", script, "a b", "$(c)", .guard = true, .guardian = g, .ok = SH_OK(3),
	       .unset = SH_LIST("HOME"), .in = SH_TEXT("in\n"), .fds = SH_FDS({ 7, fd }));
	assert_int_equal(chdir(here), 0);
	assert_status(r, SH_DONE);
	assert_int_equal(r->exit_code, 3);
	assert_string_equal(r->err, "e\n");
	assert_int_equal(strncmp(r->out, "a b $(c) after none\n/usr\nin\n", 28), 0);
	assert_non_null(strstr(r->out, "\nleader\n"));
	sh_free(r);
	assert_int_equal(sh_guardian_ready(g), 0);
	r = sh("pwd", .guard = true, .guardian = g, .cwd = "/usr/lib", .out = SH_CAPTURE);
	assert_string_equal(r->out, "/usr/lib\n");
	sh_free(r);
	close(fd);
	unsetenv("X");
	sh_guardian_free(g);
}

/* Like the host's own children, it has no blocked or ignored signals and no open descriptor
 * but its own. */
static void test_ahead_the_command_is_clean(void **state)
{
	static const char script[] = "ls /proc/self/fd | wc -l; grep -E '^Sig(Blk|Ign)' "
				     "/proc/self/status | tr -d '\\n\\t'";
	sh_guardian *g;
	int extra;
	sigset_t set, old;
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_true((extra = open("/dev/null", O_RDONLY)) >= 0);
	assert_non_null(g = sh_guardian_new());
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	assert_int_equal(sh_guardian_ready(g), 0);
	r = sh("sh", "-c", script, .guard = true, .guardian = g);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR2, SIG_DFL);
	assert_status(r, SH_DONE);
	/* 0, 1, 2 and the one ls reads with. */
	assert_string_equal(r->out, "4\nSigBlk:0000000000000000SigIgn:0000000000000000");
	sh_free(r);
	close(extra);
	sh_guardian_free(g);
}

static void test_ahead_what_cannot_be_started_is_told(void **state)
{
	sh_guardian *g;
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_non_null(g = sh_guardian_new());
	assert_int_equal(sh_guardian_ready(g), 0);
	r = sh("true", .guard = true, .guardian = g, .cwd = "/nowhere");
	assert_status(r, SH_SPAWN);
	assert_contains(r->message, "the directory /nowhere does not exist");
	sh_free(r);
	assert_int_equal(sh_guardian_ready(g), 0);
	r = sh("/etc/passwd", .guard = true, .guardian = g);
	assert_status(r, SH_NOPERM);
	sh_free(r);
	assert_int_equal(sh_guardian_ready(g), 0);
	r = sh("no-such-program-here", .guard = true, .guardian = g);
	assert_status(r, SH_NOTFOUND);
	sh_free(r);
	sh_guardian_free(g);
	assert_no_children();
}

/* They are served by another one, and the one that waits is kept. */
static void test_ahead_calls_it_is_not_fit_for(void **state)
{
	sh_guardian *g;
	size_t n = 100000;
	char *word;
	int waits;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_non_null(word = malloc(n + 1));
	assert_non_null(g = sh_guardian_new());
	assert_int_equal(sh_guardian_ready(g), 0);
	waits = g->pid;
	memset(word, 'x', n);
	word[n] = '\0';
	assert_int_not_equal(
	    guardian_of(sh("sh", "-c", TELL, word, .guard = true, .guardian = g)), waits);
	assert_int_not_equal(guardian_of(sh("sh", "-c", TELL, .guard = true, .guardian = g,
					    .rlimits = SH_RLIMITS({ RLIMIT_CORE, 0, 0 }))),
			     waits);
	assert_int_equal(g->pid, waits);
	assert_int_equal(guardian_of(sh("sh", "-c", TELL, .guard = true, .guardian = g)),
			 waits);
	free(word);
	sh_guardian_free(g);
}

static void test_ahead_one_that_was_killed(void **state)
{
	sh_guardian *g;
	int waits;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_non_null(g = sh_guardian_new());
	assert_int_equal(sh_guardian_ready(g), 0);
	waits = g->pid;
	kill(waits, SIGKILL);
	/* Its death is seen before the next can be asked for. */
	while (is_alive(waits))
		usleep(1000);
	assert_int_not_equal(guardian_of(sh("sh", "-c", TELL, .guard = true, .guardian = g)),
			     0);
	assert_int_equal(sh_guardian_ready(g), 0);
	waits = g->pid;
	kill(waits, SIGKILL);
	while (is_alive(waits))
		usleep(1000);
	assert_int_equal(sh_guardian_ready(g), 0);
	assert_int_not_equal(g->pid, waits);
	kill(g->pid, SIGSTOP);
	sh_guardian_free(g);
	assert_no_children();
}

/* In a process of its own, which is killed: neither the command nor who waits is left. */
static void test_ahead_both_end_with_their_owner(void **state)
{
	int fds[2], told[2] = { 0, 0 }, status;
	pid_t host;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_int_equal(pipe(fds), 0);
	if ((host = fork()) == 0) {
		sh_guardian *g = sh_guardian_new();
		sh_line line;
		sh_proc *p;

		if (sh_guardian_ready(g) < 0)
			_exit(1);
		p = sh_start(SH("sh", "-c", "setsid sleep 100 & echo $!; wait", .guard = true,
				.guardian = g));
		if (sh_next(p, &line) != 1 || sh_guardian_ready(g) < 0)
			_exit(1);
		told[0] = (int)strtol(line.data, NULL, 10);
		told[1] = g->pid;
		if (write(fds[1], told, sizeof told) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], told, sizeof told), sizeof told);
	close(fds[0]);
	assert_true(is_alive(told[0]) && is_alive(told[1]));
	kill(host, SIGKILL);
	waitpid(host, &status, 0);
	assert_true(is_gone_soon(told[0]));
	assert_true(is_gone_soon(told[1]));
}

/* Whoever reads from a pipe of ours to its end is not kept waiting by it. */
static void test_ahead_it_holds_nothing_of_ours(void **state)
{
	sh_guardian *g;
	struct pollfd p = { .events = POLLIN };
	int fds[2];
	char c;

	(void)state;
	NEEDS(SH__CAN_TREE);
	assert_non_null(g = sh_guardian_new());
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sh_guardian_ready(g), 0);
	close(fds[1]);
	p.fd = fds[0];
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
	sh_guardian_free(g);
}

/* In a process of its own: there is no way back. */
static void test_ahead_privileges_that_were_given_up(void **state)
{
	pid_t host;
	int status;

	(void)state;
	NEEDS(SH__CAN_TREE);
	if (getuid() != 0)
		skip();
	if ((host = fork()) == 0) {
		sh_guardian *g = sh_guardian_new();
		sh_result *r;

		if (sh_guardian_ready(g) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		r = sh("id", "-u", .guard = true, .guardian = g);
		status = r->status || strcmp(r->out, "65534\n") != 0 ? 2 : 0;
		sh_free(r);
		/* It may not be killed any more, but must not be waited for in vain. */
		sh_guardian_free(g);
		_exit(status);
	}
	assert_int_equal(waitpid(host, &status, 0), host);
	assert_int_equal(status, 0);
}

static void test_ahead_elsewhere_there_is_none(void **state)
{
	sh_guardian *g = sh_guardian_new();

	(void)state;
	assert_int_equal(sh_guardian_ready(NULL), UV_EINVAL);
	sh_guardian_free(NULL);
	if (!(sh__engine()->can & SH__CAN_TREE)) {
		assert_int_equal(sh_guardian_ready(g), UV_ENOTSUP);
		assert_int_not_equal(
		    guardian_of(sh("sh", "-c", TELL, .guard = true, .guardian = g)), 0);
	}
	sh_guardian_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ahead_each_serves_one_command),
		cmocka_unit_test(test_ahead_the_command_is_the_one_that_was_asked_for),
		cmocka_unit_test(test_ahead_the_command_is_clean),
		cmocka_unit_test(test_ahead_what_cannot_be_started_is_told),
		cmocka_unit_test(test_ahead_calls_it_is_not_fit_for),
		cmocka_unit_test(test_ahead_one_that_was_killed),
		cmocka_unit_test(test_ahead_both_end_with_their_owner),
		cmocka_unit_test(test_ahead_it_holds_nothing_of_ours),
		cmocka_unit_test(test_ahead_privileges_that_were_given_up),
		cmocka_unit_test(test_ahead_elsewhere_there_is_none),
	};

	return RUN_ON_BOTH("ahead", tests);
}
