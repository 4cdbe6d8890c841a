/*
 * The library is a guest: what a host has done to its signals and descriptors neither breaks
 * a command nor is changed by one. Numbers are those of the behaviours.
 */
#include "shell_test.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>

static volatile sig_atomic_t caught;

static void catch (int sig)
{
	(void)sig;
	caught++;
}

static void set_handler(int sig, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn };

	sigaction(sig, &sa, NULL);
}

static void set_sigchld(void (*fn)(int))
{
	set_handler(SIGCHLD, fn);
}

static void test_host_44_its_sigchld_handler_or_mask_does_no_harm(void **state)
{
	sigset_t all, old;
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_NOTICE);
	set_sigchld(catch);
	r = sh("sh", "-c", "exit 3");
	assert_int_equal(r->exit_code, 3);
	sh_free(r);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = sh("sh", "-c", "exit 4");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	set_sigchld(SIG_DFL);
	assert_int_equal(r->exit_code, 4);
	sh_free(r);
}

static bool kernel_keeps_exit_codes(void)
{
	unsigned major = 0, minor = 0;
	uv_utsname_t u;

	uv_os_uname(&u);
	return sh__engine()->can & SH__CAN_RECOVER &&
	       sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 15));
}

static void assert_recovered(const sh_result *r, int code)
{
	if (kernel_keeps_exit_codes()) {
		assert_status(r, SH_EXIT);
		assert_int_equal(r->exit_code, code);
	} else {
		assert_status(r, SH_LOST);
		assert_contains(r->message, "taken by another part of this program");
	}
}

static void test_host_45_a_stolen_status_is_recovered(void **state)
{
	sh_proc *p;
	sh_result *r;
	int status;

	(void)state;
	NEEDS(SH__CAN_NOTICE);
	set_sigchld(SIG_IGN);
	r = sh("sh", "-c", "exit 3");
	set_sigchld(SIG_DFL);
	if (sh__engine()->needs_uv) /* libuv puts its handler in the place of that */
		assert_int_equal(r->exit_code, 3);
	else
		assert_recovered(r, 3);
	sh_free(r);
	p = sh_start(SH("sh", "-c", "exit 5"));
	assert_int_equal(waitpid(-1, &status, 0), sh_pid(p));
	assert_recovered(sh_wait(p, -1), 5);
	assert_int_equal(sh_signal(p, SIGTERM), UV_ESRCH);
	sh_proc_free(p);
}

static void test_host_45_a_stolen_leader_does_not_hide_its_group(void **state)
{
	sh_proc *p;
	sh_line line;
	int pid;

	(void)state;
	NEEDS(SH__CAN_NOTICE);
	p = sh_start(SH("sh", "-c", "sleep 100 & echo $!; read x", .in = SH_FEED));
	assert_int_equal(sh_next(p, &line), 1);
	pid = (int)strtol(line.data, NULL, 10);
	assert_int_equal(sh_eof(p), 0);
	assert_int_equal(waitpid(-1, NULL, 0), sh_pid(p));
	sh_proc_free(p);
	assert_true(is_gone_soon(pid));
}

static void test_host_46_interrupted_calls_are_not_seen(void **state)
{
	struct itimerval on = { { 0, 1000 }, { 0, 1000 } }, off = { { 0, 0 }, { 0, 0 } };
	/* Before each write valgrind looks at all of it, and begins again after each signal. */
	size_t len = in_valgrind() ? 64 << 10 : 4 << 20;
	char *in = calloc(1, len);

	(void)state;
	set_handler(SIGALRM, catch);
	caught = 0;
	setitimer(ITIMER_REAL, &on, NULL);
	for (int i = 0; i < 20; i++) {
		sh_result *r = sh("cat", .in = SH_BYTES(in, len));

		assert_status(r, SH_DONE);
		assert_int_equal(r->out_len, len);
		sh_free(r);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	/* The handler stays: valgrind may hold one back until later. */
	assert_true(caught > 0 || !RSS_COUNTS); /* a sanitizer may hold them back */
	free(in);
}

static bool same_action(int sig, void (*fn)(int))
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == fn;
}

static void test_host_47_masks_and_dispositions_are_kept(void **state)
{
	sigset_t odd, before, after;
	sh_result *r;

	(void)state;
	set_handler(SIGHUP, SIG_IGN);
	set_handler(SIGPIPE, SIG_IGN);
	set_handler(SIGUSR1, catch);
	sigemptyset(&odd);
	sigaddset(&odd, SIGUSR2);
	sigaddset(&odd, SIGTERM);
	pthread_sigmask(SIG_SETMASK, &odd, &before);
	r = sh(child(), "signals");
	sh_free(sh("whendo-no-such-program"));
	sh_free(sh("true", .cwd = "/nonexistent"));
	pthread_sigmask(SIG_SETMASK, &before, &after);
	assert_string_equal(r->out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	sh_free(r);
	assert_true(sigismember(&after, SIGUSR2) && sigismember(&after, SIGTERM));
	assert_false(sigismember(&after, SIGHUP) || sigismember(&after, SIGPIPE));
	assert_true(same_action(SIGHUP, SIG_IGN));
	assert_true(same_action(SIGPIPE, SIG_IGN));
	assert_true(same_action(SIGUSR1, catch));
	set_handler(SIGHUP, SIG_DFL);
	set_handler(SIGPIPE, SIG_DFL);
	set_handler(SIGUSR1, SIG_DFL);
}

static void test_host_48_its_descriptors_stay_its_own(void **state)
{
	struct rlimit old, more;
	int high;
	sh_result *r;

	(void)state;
	NEEDS(SH__CAN_CLOSE);
	getrlimit(RLIMIT_NOFILE, &old);
	more = (struct rlimit){ 4096, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
	for (int fd = 0; fd <= 2000; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			assert_int_equal(dup2(0, fd), fd);
	high = open("/dev/zero", O_RDONLY);
	assert_true(high > 1024);
	r = sh(child(), "fds", .fds = SH_FDS({ 7, high }, { 1500, high }));
	for (int fd = 300; fd <= high; fd++)
		close(fd);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "0 1 2 7 1500 ");
	sh_free(r);
}

/* In a process without standard descriptors; its exit code is how many checks held. */
static int without_stdio(void)
{
	char path[] = "/tmp/whendo-host-XXXXXX", text[16] = "";
	sh_result *r;
	int good = 0, fd;

	close(mkstemp(path));
	close(0);
	close(1);
	close(2);
	r = sh("sh", "-c", "cat; echo out; echo err >&2", .in = SH_TEXT("in\n"));
	good += r->status == 0 && !strcmp(r->out, "in\nout\n") && !strcmp(r->err, "err\n");
	sh_free(r);
	r = sh("echo", "file", .out = SH_FILE(path), .in = SH_INHERIT);
	good += r->status == 0;
	sh_free(r);
	fd = open(path, O_RDONLY);
	good += read(fd, text, 15) == 5 && !strcmp(text, "file\n");
	close(fd);
	unlink(path);
	r = sh_pipe(SH("echo", "x"), SH("cat"), SH("cat", .err = SH_INHERIT));
	good += r->status == 0 && !strcmp(r->out, "x\n");
	sh_free(r);
	/* Nothing of ours was left on the numbers that are the host's. */
	good += fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
	return good;
}

static void test_host_49_without_standard_descriptors(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0)
		_exit(without_stdio());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 5);
}

struct worker {
	pthread_t thread;
	int number;
	int bad;
	uint64_t slowest_ns;
};

/* A write end that leaked into another thread's sleeper would hold our end back. */
static void *spawn_often(void *arg)
{
	struct worker *w = arg;
	char text[16];

	snprintf(text, sizeof text, "%d\n", w->number);
	for (int i = 0; i < 20; i++) {
		sh_proc *sleeper = sh_start(SH("sleep", "100"));
		uint64_t from = uv_hrtime();
		sh_result *r = sh("cat", .in = SH_TEXT(text));
		uint64_t took = uv_hrtime() - from;

		w->bad += r->status != 0 || strcmp(r->out, text) != 0;
		w->slowest_ns = took > w->slowest_ns ? took : w->slowest_ns;
		sh_free(r);
		sh_signal(sleeper, SIGKILL);
		sh_proc_free(sleeper);
	}
	return NULL;
}

static void test_host_50_sixteen_threads_get_their_ends_in_time(void **state)
{
	struct worker w[16] = { { 0 } };

	(void)state;
	for (int i = 0; i < 16; i++) {
		w[i].number = i;
		assert_int_equal(pthread_create(&w[i].thread, NULL, spawn_often, &w[i]), 0);
	}
	for (int i = 0; i < 16; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].bad, 0);
		assert_true(w[i].slowest_ns < 50000 * (uint64_t)MS);
	}
}

static void count_good(sh_proc *p, const sh_result *r, void *arg)
{
	struct worker *w = arg;

	w->bad -= r->status == SH_DONE && !strcmp(r->out, "x\n");
	sh_proc_free(p);
}

static void *spawn_on_own_loop(void *arg)
{
	struct worker *w = arg;
	uv_loop_t loop;

	uv_loop_init(&loop);
	for (int round = 0; round < 5; round++) {
		w->bad += 4;
		for (int i = 0; i < 4; i++)
			sh_start(SH("cat", .in = SH_TEXT("x\n"), .loop = &loop,
				    .done = count_good, .arg = w));
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	w->bad += uv_loop_close(&loop) != 0;
	return NULL;
}

static void test_host_50_each_thread_has_a_loop(void **state)
{
	struct worker w[8] = { { 0 } };

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, spawn_on_own_loop, &w[i]),
				 0);
	for (int i = 0; i < 8; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].bad, 0);
	}
	assert_no_children();
}

/* The next process gets this number; true if that could be arranged. */
static bool set_next_pid(int pid)
{
	FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");
	bool good = f && fprintf(f, "%d", pid - 1) > 0;

	return f && fclose(f) == 0 && good;
}

/* As process 1 of a namespace, where nobody else takes numbers. 0: as it should be. */
static int give_number_away(void)
{
	sh_proc *p = sh_start(SH("true"));
	int pid = sh_pid(p), r;
	pid_t other;

	if (waitpid(-1, NULL, 0) != pid || !set_next_pid(pid))
		return 77;
	if ((other = fork()) == 0) {
		setpgid(0, 0);
		for (;;)
			pause();
	}
	setpgid(other, other);
	if (other != pid)
		return 77;
	/* Before the library has seen the end, and after it. */
	r = sh_signal(p, SIGKILL);
	if (sh__engine()->can & SH__CAN_RECOVER &&
	    (r != UV_ESRCH || waitpid(other, NULL, WNOHANG)))
		return 1;
	sh_wait(p, -1);
	if (sh_signal(p, SIGKILL) != UV_ESRCH || waitpid(other, NULL, WNOHANG))
		return 2;
	sh_proc_free(p);
	kill(other, SIGKILL);
	return waitpid(other, NULL, 0) == other ? 0 : 3;
}

static void test_host_42_a_number_given_away_is_not_signalled(void **state)
{
	int status = 0;
	pid_t keeper, first;

	(void)state;
	NEEDS(SH__CAN_RECOVER); /* libuv knows a process by its number alone */
	NOT_IN_VALGRIND();
	if ((keeper = fork()) == 0) {
		if (unshare(CLONE_NEWPID) < 0 || (first = fork()) < 0)
			_exit(77);
		if (first == 0)
			_exit(give_number_away());
		waitpid(first, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
	}
	assert_int_equal(waitpid(keeper, &status, 0), keeper);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* numbers cannot be chosen here */
	assert_int_equal(status, 0);
}

static sh_cmd *shared;

static void *call_shared(void *arg)
{
	struct worker *w = arg;
	char text[16];

	snprintf(text, sizeof text, "%d", w->number);
	for (int i = 0; i < 20; i++) {
		sh_result *r = sh_call(shared, text);

		w->bad += r->status != 0 || (int)strlen(r->out) != (int)strlen(text) + 5 ||
			  strncmp(r->out + 4, text, strlen(text)) != 0;
		sh_free(r);
	}
	return NULL;
}

static void test_host_05_threads_may_share_a_recipe(void **state)
{
	struct worker w[8] = { { 0 } };

	(void)state;
	shared = sh_bake(SH("echo", "abc"));
	for (int i = 0; i < 8; i++) {
		w[i].number = i;
		pthread_create(&w[i].thread, NULL, call_shared, &w[i]);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].bad, 0);
	}
	sh_cmd_free(shared);
}

#ifdef __SANITIZE_ADDRESS__
/* What was freed is kept for a while, to catch who still uses it; not for so long that the
 * size of the process says nothing. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}
#endif

/* uv_spawn forks, and a sanitizer's memory makes that a hundred times as slow. */
static int how_many_runs(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	int runs = sh__engine()->needs_uv ? 500 : 10000;
#else
	int runs = in_valgrind() ? 100 : 10000;
#endif

	return getenv("SH_TEST_RUNS") ? atoi(getenv("SH_TEST_RUNS")) : runs;
}

static long rss_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, rss = 0;

	if (fscanf(f, "%ld %ld", &size, &rss) != 2)
		rss = 0;
	fclose(f);
	return rss;
}

#ifdef __SANITIZE_THREAD__
enum { MORE_PAGES = 4096 }; /* its history of the last events */
#elif defined(__SANITIZE_ADDRESS__)
enum { MORE_PAGES = 256 }; /* 1 MiB of freed memory is kept */
#else
enum { MORE_PAGES = 64 };
#endif

static void test_host_52_ten_thousand_runs_leave_nothing(void **state)
{
	const char *noop = child();
	size_t fds = count_fds();
	int runs = how_many_runs();
	long before;

	(void)state;
	for (int i = 0; i < 200; i++)
		sh_free(sh(noop, "args", "x"));
	before = rss_pages();
	for (int i = 0; i < runs; i++) {
		sh_result *r = sh(noop, "args", "x");

		assert_int_equal(r->status, SH_DONE);
		sh_free(r);
	}
	printf("# %d runs on %s, %ld pages more\n", runs, sh__engine()->name,
	       rss_pages() - before);
	assert_int_equal(count_fds(), fds);
	assert_true(rss_pages() - before < MORE_PAGES ||
		    in_valgrind()); /* it keeps freed blocks */
	assert_no_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_44_its_sigchld_handler_or_mask_does_no_harm),
		cmocka_unit_test(test_host_45_a_stolen_status_is_recovered),
		cmocka_unit_test(test_host_45_a_stolen_leader_does_not_hide_its_group),
		cmocka_unit_test(test_host_46_interrupted_calls_are_not_seen),
		cmocka_unit_test(test_host_47_masks_and_dispositions_are_kept),
		cmocka_unit_test(test_host_48_its_descriptors_stay_its_own),
		cmocka_unit_test(test_host_49_without_standard_descriptors),
		cmocka_unit_test(test_host_50_sixteen_threads_get_their_ends_in_time),
		cmocka_unit_test(test_host_50_each_thread_has_a_loop),
		cmocka_unit_test(test_host_42_a_number_given_away_is_not_signalled),
		cmocka_unit_test(test_host_05_threads_may_share_a_recipe),
		cmocka_unit_test(test_host_52_ten_thousand_runs_leave_nothing),
	};

	return RUN_ON_BOTH("host", tests);
}
