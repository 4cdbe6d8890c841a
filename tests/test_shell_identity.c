/* Who a command is: directory, limits, user, group, session, terminal. Numbers are those of
 * the behaviours. */
#include "shell_test.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>

static void test_identity_53_a_bad_directory_is_named(void **state)
{
	sh_result *r = sh("ls", "-l", .cwd = "/no/such/dir");

	(void)state;
	assert_status(r, SH_SPAWN);
	assert_int_equal(r->sys_errno, UV_ENOENT);
	assert_string_equal(r->message, "ls -l: the directory /no/such/dir does not exist");
	sh_free(r);
	r = sh("ls", .cwd = "/dev/null");
	assert_status(r, SH_SPAWN);
	assert_string_equal(r->message, "ls: /dev/null is not a directory");
	sh_free(r);
	/* A name cannot forge a line or move a cursor. */
	r = sh("ls", .cwd = "/no\nsuch\x1b[31m");
	assert_string_equal(r->message,
			    "ls: the directory /no\\x0asuch\\x1b[31m does not exist");
	sh_free(r);
	r = sh("pwd", .cwd = "/usr");
	assert_string_equal(r->out, "/usr\n");
	sh_free(r);
}

static void test_identity_54_umask_limits_and_priority(void **state)
{
	mode_t host = umask(022);
	int nice = getpriority(PRIO_PROCESS, 0) + 3;
	char want[64];
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_UMASK);
	NOT_IN_VALGRIND();
	/* 19 is the highest there is, and the tests may run at that. */
	snprintf(want, sizeof want, "umask 077 files 77 nice %d uid ", nice > 19 ? 19 : nice);
	r = sh(child(), "limits", .umask = SH_UMASK(077), .nice = 3,
	       .rlimits = SH_RLIMITS({ RLIMIT_NOFILE, 77, 77 }));
	assert_status(r, SH_DONE);
	assert_true(!strncmp(r->out, want, strlen(want)));
	sh_free(r);
	r = sh(child(), "limits", .umask = SH_UMASK(0));
	assert_true(!strncmp(r->out, "umask 000 ", 10));
	sh_free(r);
	assert_int_equal(umask(host), 022);
}

/* What sets them for the command is not seen in it. */
static void test_identity_54_nothing_else_is_changed(void **state)
{
	const struct sh_rlimits all =
	    SH_RLIMITS({ RLIMIT_CPU, 100, SH_UNLIMITED }, { RLIMIT_CORE, 0, 0 },
		       { RLIMIT_STACK, 1 << 20, 1 << 22 }, { RLIMIT_NOFILE, 40, 50 });
	const char want[] = "5\0a b\0\0x=1\0-n\0\n$x'\"*";
	sh_result *r, *with;

	(void)state;
	NOT_IN_VALGRIND();
	r = sh(child(), "args", "a b", "", "x=1", "-n", "\n$x'\"*", .umask = SH_UMASK(022),
	       .nice = 1, .rlimits = all);
	assert_status(r, SH_DONE);
	assert_int_equal(r->out_len, sizeof want);
	assert_memory_equal(r->out, want, sizeof want);
	sh_free(r);
	r = sh("env", .env_clear = true, .env = SH_LIST("A=1 2", "-u=3", "B="),
	       .umask = SH_UMASK(022));
	assert_string_equal(r->out, "A=1 2\n-u=3\nB=\n");
	sh_free(r);
	r = sh("sh", "-c",
	       "ulimit -St; ulimit -Ht; ulimit -c; ulimit -Ss; ulimit -Hs; "
	       "ulimit -Sn; ulimit -Hn; pwd; umask; cat",
	       .rlimits = all, .cwd = "/usr", .umask = SH_UMASK(0127), .in = SH_TEXT("in\n"));
	assert_string_equal(r->out, "100\nunlimited\n0\n1024\n4096\n40\n50\n/usr\n0127\nin\n");
	assert_string_equal(r->err, "");
	sh_free(r);
	r = sh(child(), "fds", .fds = SH_FDS({ 3, 0 }, { 5, 1 }));
	with = sh(child(), "fds", .umask = SH_UMASK(022), .fds = SH_FDS({ 3, 0 }, { 5, 1 }));
	assert_string_equal(with->out, r->out);
	sh_free(with);
	sh_free(r);
}

static void test_identity_54_what_cannot_be_is_told(void **state)
{
	sh_result *r;

	(void)state;
	r = sh("whendo-no-such-program", .umask = SH_UMASK(022));
	assert_status(r, SH_NOTFOUND);
	sh_free(r);
	r = sh("/etc/passwd", .nice = 1);
	assert_status(r, SH_NOPERM);
	sh_free(r);
	r = sh("true", .umask = SH_UMASK(022), .cwd = "/nowhere");
	assert_status(r, SH_SPAWN);
	assert_string_equal(r->message, "true: the directory /nowhere does not exist");
	sh_free(r);
	r = sh("true", .rlimits = SH_RLIMITS({ RLIMIT_NOFILE, 9, 8 }));
	assert_status(r, SH_SPAWN);
	assert_contains(r->message, "rlimits cannot be set");
	sh_free(r);
	r = sh("true", .rlimits = SH_RLIMITS({ 1000, 9, 9 }));
	assert_status(r, SH_SPAWN);
	assert_contains(r->message, "rlimits cannot be set");
	sh_free(r);
	assert_no_children();
}

static void test_identity_54_user_and_groups(void **state)
{
	char dir[] = "/tmp/whendo-user-XXXXXX", copy[64];
	sh_result *r;

	(void)state;
	if (getuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	chmod(dir, 0755);
	snprintf(copy, sizeof copy, "%s/child", dir);
	sh_free(sh("cp", child(), copy));
	r = sh(copy, "limits", .user = "nobody", .cwd = "/");
	assert_status(r, SH_DONE);
	assert_contains(r->out, sh__engine()->can & SH__CAN_GROUPS
				    ? "uid 65534 gid 65534 groups 1"
				    : "uid 65534 gid 65534 groups 0");
	sh_free(r);
	r = sh(copy, "regain", .user = "nobody", .cwd = "/");
	assert_status(r, SH_DONE);
	sh_free(r);
	r = sh(copy, "limits", .user = "12345:6", .cwd = "/");
	assert_contains(r->out, "uid 12345 gid 6 groups 0");
	sh_free(r);
	r = sh(copy, "limits", .user = "no-such-user");
	assert_status(r, SH_SPAWN);
	assert_contains(r->message, "there is no user or group \"no-such-user\"");
	sh_free(r);
	sh_free(sh("rm", "-r", dir));
}

static void test_identity_54_without_privilege_it_is_refused(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		sh_result *r;
		bool good;

		if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(9);
		r = sh("true", .user = "root");
		good = r->status == SH_SPAWN && r->sys_errno == UV_EPERM &&
		       strstr(r->message, "user cannot be set");
		sh_free(r);
		_exit(!good);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_identity_55_groups_and_sessions(void **state)
{
	int pid, group, session;
	sh_result *r = sh(child(), "ids");

	(void)state;
	assert_int_equal(sscanf(r->out, "%d %d %d", &pid, &group, &session), 3);
	assert_int_equal(group, pid);
	assert_int_equal(r->stages[0].pid, pid);
	sh_free(r);
	r = sh(child(), "ids", .session = true);
	assert_int_equal(sscanf(r->out, "%d %d %d", &pid, &group, &session), 3);
	assert_int_equal(session, pid);
	sh_free(r);
	r = sh(child(), "ids", .keep_group = true);
	assert_int_equal(sscanf(r->out, "%d %d %d", &pid, &group, &session), 3);
	assert_int_equal(group, getpgrp());
	sh_free(r);
	if (sh__engine()->can & SH__CAN_GROUPS) {
		r = sh(child(), "ids");
		assert_int_equal(sscanf(r->out, "%d %d %d", &pid, &group, &session), 3);
		assert_int_equal(session, getsid(0));
		sh_free(r);
	}
}

/* ------------------------------------------------------------------ the host's terminal */

struct tty_host {
	int master;
	pid_t pid;
};

/* A process that leads a session on a terminal of its own and runs `fn` there. */
static struct tty_host host_on_tty(int (*fn)(void))
{
	struct tty_host h = { .master = posix_openpt(O_RDWR | O_NOCTTY) };

	assert_true(h.master >= 0 && grantpt(h.master) == 0 && unlockpt(h.master) == 0);
	if ((h.pid = fork()) == 0) {
		int fd;

		setsid();
		fd = open(ptsname(h.master), O_RDWR);
		ioctl(fd, TIOCSCTTY, 0);
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		if (fd > 2)
			close(fd);
		close(h.master);
		signal(SIGINT, SIG_IGN);
		_exit(fn());
	}
	return h;
}

/* Reads from the terminal until `what` was seen; five seconds. */
static bool tty_shows(const struct tty_host *h, const char *what)
{
	char text[4096] = "";
	size_t len = 0;

	for (int i = 0; i < 50 && len < sizeof text - 1; i++) {
		struct pollfd p = { .fd = h->master, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 100) <= 0)
			continue;
		if ((n = read(h->master, text + len, sizeof text - 1 - len)) <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		if (strstr(text, what))
			return true;
	}
	return false;
}

static int tty_host_ends(struct tty_host *h)
{
	int status = 0;

	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(h->master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_reader(void)
{
	sh_result *r = sh("sh", "-c", "echo ready; read x; echo got $x", SH_FOREGROUND);
	int code = r->status;

	sh_free(r);
	return code;
}

static void test_identity_56_a_reader_of_the_terminal_is_not_stopped(void **state)
{
	struct tty_host h = host_on_tty(run_reader);

	(void)state;
	assert_true(tty_shows(&h, "ready"));
	assert_int_equal(write(h.master, "abc\n", 4), 4);
	assert_true(tty_shows(&h, "got abc"));
	assert_int_equal(tty_host_ends(&h), SH_DONE);
}

static int run_interrupted(void)
{
	sh_result *r = sh("sh", "-c", "echo ready; sleep 20", SH_FOREGROUND);
	int code = r->status == SH_SIGNAL ? r->term_signal : 99;

	sh_free(r);
	return code;
}

static void test_identity_56_interrupt_reaches_a_command_that_keeps_the_group(void **state)
{
	struct tty_host h = host_on_tty(run_interrupted);

	(void)state;
	assert_true(tty_shows(&h, "ready"));
	assert_int_equal(write(h.master, "\3", 1), 1);
	assert_int_equal(tty_host_ends(&h), SIGINT);
}

static int run_handed_over(void)
{
	struct termios before, after;
	sh_result *r;
	int code;

	tcgetattr(0, &before);
	r = sh("sh", "-c",
	       "stty -echo -icanon; ps -o tpgid= -p $$ | tr -d ' ' >&2; "
	       "echo ready; exec sleep 20",
	       .in = SH_INHERIT, .out = SH_INHERIT, .err = SH_CAPTURE, .foreground_tty = true);
	tcgetattr(0, &after);
	code = r->term_signal == SIGINT && tcgetpgrp(0) == getpgrp() &&
	       before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag;
	/* It was in the foreground: its group was the terminal's. */
	code += 2 * (atoi(r->err) == r->stages[0].pid);
	sh_free(r);
	return code;
}

static void test_identity_56_the_terminal_is_handed_over_and_given_back(void **state)
{
	struct tty_host h;

	(void)state;
	NEEDS(SH__CAN_TTY);
	h = host_on_tty(run_handed_over);
	assert_true(tty_shows(&h, "ready"));
	assert_int_equal(write(h.master, "\3", 1), 1);
	assert_int_equal(tty_host_ends(&h), 3);
}

/* Not a shell: one that is stopped within vfork is not seen to stop, by no one. */
static int run_suspended(void)
{
	sh_result *r = sh(child(), "job", SH_FOREGROUND, .foreground_tty = true);
	int code = r->exit_code;

	sh_free(r);
	return code;
}

/* What an interactive shell is to the host: it sees it stop, and continues it. */
static int shell_of_suspended(void)
{
	int status, stopped;
	pid_t host;

	signal(SIGTTOU, SIG_IGN);
	if ((host = fork()) == 0) {
		setpgid(0, 0);
		tcsetpgrp(0, getpid());
		signal(SIGTTOU, SIG_DFL);
		_exit(run_suspended());
	}
	setpgid(host, host);
	if (waitpid(host, &status, WUNTRACED) != host || !WIFSTOPPED(status))
		return 90;
	stopped = tcgetpgrp(0) == host;
	tcsetpgrp(0, getpgrp());
	printf("stopped\n");
	fflush(stdout);
	tcsetpgrp(0, host);
	kill(-host, SIGCONT);
	waitpid(host, &status, 0);
	return stopped && WIFEXITED(status) ? WEXITSTATUS(status) : 91;
}

static void test_identity_56_suspending_it_suspends_the_host(void **state)
{
	struct tty_host h;

	(void)state;
	NEEDS(SH__CAN_TTY);
	NOT_IN_VALGRIND();
	h = host_on_tty(shell_of_suspended);
	assert_true(tty_shows(&h, "ready"));
	assert_int_equal(write(h.master, "\032", 1), 1);
	assert_true(tty_shows(&h, "cont"));
	assert_int_equal(write(h.master, "\3", 1), 1);
	assert_true(tty_shows(&h, "bye"));
	assert_int_equal(tty_host_ends(&h), 6);
	/* Nobody above does job control: it goes on at once. */
	h = host_on_tty(run_suspended);
	assert_true(tty_shows(&h, "ready"));
	assert_int_equal(write(h.master, "\032", 1), 1);
	assert_true(tty_shows(&h, "cont"));
	assert_int_equal(write(h.master, "\3", 1), 1);
	assert_int_equal(tty_host_ends(&h), 6);
}

/* ------------------------------------------------------------------ a terminal of its own */

static void test_identity_57_a_pty_is_a_controlling_terminal(void **state)
{
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_PTY);
	r = sh(child(), "tty", .pty = true);
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "111 ctty 24x80\n");
	sh_free(r);
	r = sh(child(), "tty", .pty = true, .rows = 10, .cols = 33);
	assert_string_equal(r->out, "111 ctty 10x33\n");
	sh_free(r);
}

static void test_identity_57_resize_is_seen(void **state)
{
	sh_proc *p;

	(void)state;
	NEEDS(SH__CAN_PTY);
	p = sh_start(SH(child(), "resize", .pty = true));
	assert_int_equal(sh_expect(p, "ready\n", 5000), 1);
	assert_int_equal(sh_resize(p, 50, 132), 0);
	assert_int_equal(sh_expect(p, "^50x132$", 5000), 1);
	assert_int_equal(sh_wait(p, -1)->status, SH_DONE);
	assert_int_equal(sh_resize(p, 1, 1), UV_ESRCH);
	sh_proc_free(p);
}

static void test_identity_57_control_c_and_control_d(void **state)
{
	sh_proc *p;
	const sh_result *r;

	(void)state;
	NEEDS(SH__CAN_PTY);
	p = sh_start(SH("sh", "-c", "echo ready; exec sleep 20", .pty = true));
	assert_int_equal(sh_expect(p, "ready", 5000), 1);
	assert_int_equal(sh_write(p, "\3", 1), 0);
	r = sh_wait(p, 5000);
	assert_status(r, SH_SIGNAL);
	assert_int_equal(r->term_signal, SIGINT);
	sh_proc_free(p);
	p = sh_start(SH("cat", .pty = true));
	assert_int_equal(sh_write(p, "line\nrest", 9), 0);
	assert_int_equal(sh_eof(p), 0);
	r = sh_wait(p, 5000);
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "line\nrest");
	sh_proc_free(p);
}

static void test_identity_57_prompts_can_be_answered(void **state)
{
	sh_proc *p;

	(void)state;
	NEEDS(SH__CAN_PTY);
	p = sh_start(SH("sh", "-c",
			"stty -echo; printf 'Password: '; read pw; stty echo; echo; "
			"[ \"$pw\" = secret ] && echo welcome || echo no; printf '$ '; read c; "
			"echo \"ran $c\"",
			.pty = true));
	assert_int_equal(sh_expect(p, "[Pp]assword: ?$", 5000), 1);
	assert_int_equal(sh_expect(p, "Password", 50), UV_ETIMEDOUT);
	assert_int_equal(sh_write(p, "secret\n", 7), 0);
	assert_int_equal(sh_expect(p, "(welcome|no)\\n\\$ ", 5000), 1);
	assert_int_equal(sh_write(p, "ls\n", 3), 0);
	assert_int_equal(sh_expect(p, "ran ls", 5000), 1);
	assert_int_equal(sh_expect(p, "never", 5000), 0);
	assert_int_equal(sh_expect(p, "(", 0), UV_EINVAL);
	assert_int_equal(sh_wait(p, -1)->status, SH_DONE);
	assert_null(strstr(sh_wait(p, -1)->out, "secret"));
	sh_proc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity_53_a_bad_directory_is_named),
		cmocka_unit_test(test_identity_54_umask_limits_and_priority),
		cmocka_unit_test(test_identity_54_nothing_else_is_changed),
		cmocka_unit_test(test_identity_54_what_cannot_be_is_told),
		cmocka_unit_test(test_identity_54_user_and_groups),
		cmocka_unit_test(test_identity_54_without_privilege_it_is_refused),
		cmocka_unit_test(test_identity_55_groups_and_sessions),
		cmocka_unit_test(test_identity_56_a_reader_of_the_terminal_is_not_stopped),
		cmocka_unit_test(
		    test_identity_56_interrupt_reaches_a_command_that_keeps_the_group),
		cmocka_unit_test(test_identity_56_the_terminal_is_handed_over_and_given_back),
		cmocka_unit_test(test_identity_56_suspending_it_suspends_the_host),
		cmocka_unit_test(test_identity_57_a_pty_is_a_controlling_terminal),
		cmocka_unit_test(test_identity_57_resize_is_seen),
		cmocka_unit_test(test_identity_57_control_c_and_control_d),
		cmocka_unit_test(test_identity_57_prompts_can_be_answered),
	};

	return RUN_ON_BOTH("identity", tests);
}
