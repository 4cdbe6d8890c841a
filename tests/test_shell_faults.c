/* clang-format off */
/*
 * Behaviour 51: every allocation and every system call of each scenario fails once. What
 * comes back is a clean error or the right result, and nothing is left behind: no
 * descriptor, no child, no block of memory.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=pipe2,--wrap=clone,--wrap=syscall,--wrap=open,--wrap=fcntl,--wrap=read,--wrap=write,--wrap=poll,--wrap=posix_openpt,--wrap=socketpair,--wrap=send,--wrap=sendmsg,--wrap=recv,--wrap=recvmsg,--wrap=ioctl
 */
/* clang-format on */
#include "shell_test.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum kind { MEMORY, SYSTEM };

/* countdown: the call that is to fail, counted down; 0: none. */
static struct {
	enum kind kind;
	int error;
	atomic_long countdown;
	atomic_long blocks;
	const char *name;
	bool old_kernel; /* 5.3: no CLONE_PIDFD by clone, no close_range, no group by pidfd */
} fault;

static bool fails(enum kind kind, const char *name)
{
	if (fault.kind != kind || !fault.countdown || --fault.countdown)
		return false;
	fault.name = name;
	errno = fault.error;
	return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n)
{
	void *p = fails(MEMORY, "malloc") ? NULL : __real_malloc(n);

	fault.blocks += p != NULL;
	return p;
}

void *__wrap_calloc(size_t n, size_t m)
{
	void *p = fails(MEMORY, "calloc") ? NULL : __real_calloc(n, m);

	fault.blocks += p != NULL;
	return p;
}

void *__wrap_realloc(void *old, size_t n)
{
	void *p = fails(MEMORY, "realloc") ? NULL : __real_realloc(old, n);

	fault.blocks += p && !old;
	return p;
}

/* Blocks that libc made (strdup, getcwd) are freed here too: the balance may go below. */
void __wrap_free(void *p)
{
	fault.blocks -= p != NULL;
	__real_free(p);
}

#define WRAP(type, name, params, args)                                                         \
	type __real_##name params;                                                             \
	type __wrap_##name params;                                                             \
	type __wrap_##name params                                                              \
	{                                                                                      \
		return fails(SYSTEM, #name) ? -1 : __real_##name args;                         \
	}

WRAP(int, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, open, (const char *p, int flags, int mode), (p, flags, mode))
WRAP(int, fcntl, (int fd, int cmd, long arg), (fd, cmd, arg))
WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(int, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, ms))
WRAP(int, posix_openpt, (int flags), (flags))
WRAP(int, socketpair, (int d, int t, int p, int fds[2]), (d, t, p, fds))
WRAP(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
WRAP(int, ioctl, (int fd, unsigned long request, void *p), (fd, request, p))
int __real_clone(int (*fn)(void *), void *stack, int flags, void *arg, int *pidfd);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, int *pidfd);

int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, int *pidfd)
{
	if (fails(SYSTEM, "clone"))
		return -1;
	if (fault.old_kernel && flags & 0x1000) {
		errno = EINVAL;
		return -1;
	}
	return __real_clone(fn, stack, flags, arg, pidfd);
}

long __real_syscall(long n, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f);

/* Also in the child, which shares the counter. What cannot fail, or whose failure has no
 * meaning but "the kernel is broken", is let through. */
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	bool sure = n == SYS_rt_sigprocmask || n == SYS_rt_sigaction || n == SYS_exit_group ||
		    n == SYS_umask || n == SYS_getpid || n == SYS_getppid || n == SYS_waitid ||
		    n == SYS_pidfd_send_signal;

	if (fault.old_kernel && (n == SYS_close_range || (n == SYS_pidfd_send_signal && d))) {
		errno = n == SYS_close_range ? ENOSYS : EINVAL;
		return -1;
	}
	return !sure && fails(SYSTEM, "syscall") ? -1 : __real_syscall(n, a, b, c, d, e, f);
}

/* ------------------------------------------------------------------ scenarios */

/* Acceptable: what was asked for, or an error of the kind that was injected. */
static bool is_clean(const sh_result *r, const char *out)
{
	if (r->status == SH_DONE)
		return !strcmp(r->out, out);
	if (!r->message[0])
		return false;
	if (fault.kind == MEMORY)
		return r->status == SH_NOMEM;
	return r->status == SH_SPAWN || r->status == SH_IO || r->status == SH_NOPERM ||
	       r->status == SH_NOMEM;
}

static bool checked(sh_result *r, const char *out)
{
	bool clean = is_clean(r, out);

	if (!clean)
		fprintf(stderr, "# %s: %s, out \"%s\"\n", sh_status_name(r->status), r->message,
			r->out);
	sh_free(r);
	return clean;
}

static bool run_with_options(void)
{
	return checked(
	    sh("sh", "-c", "cat; echo $A; cat <&7", .in = SH_TEXT("text "), .cwd = "/",
	       .env = SH_LIST("A=1"), .unset = SH_LIST("B"), .ok = SH_OK(0, 3),
	       .args = SH_LIST("more", "words"), .timeout_ms = 20000,
	       .fds = SH_FDS({ 7, 0 }, { 8, 0 }, { 9, 0 }, { 10, 0 }, { 11, 0 }, { 12, 0 })),
	    "text 1\n");
}

static bool run_with_limits(void)
{
	return checked(sh("sh", "-c", "umask; ulimit -n", .umask = SH_UMASK(077), .nice = 1,
			  .rlimits = SH_RLIMITS({ RLIMIT_NOFILE, 77, 77 }),
			  .die_with_parent = true),
		       "0077\n77\n");
}

static bool run_pipeline(void)
{
	return checked(sh_pipe(SH("echo", "x"), SH("cat", .err = SH_MERGE), SH("cat")), "x\n");
}

static int ignore_line(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)p, (void)data, (void)len;
	++*(int *)arg;
	return 0;
}

static bool run_with_callbacks(void)
{
	int lines = 0;

	return checked(sh("sh", "-c", "seq 3; seq 3 >&2", .out = SH_TEE(SH_FILE("/dev/null")),
			  .err = SH_LINES(ignore_line, &lines)),
		       "1\n2\n3\n");
}

static bool run_with_files(void)
{
	return checked(sh("cat", .in = SH_FILE("/dev/null"), .out = SH_APPEND("/dev/null"),
			  .err = SH_NULL),
		       "");
}

static bool run_recipe(void)
{
	sh_cmd *one = sh_bake(SH("echo", "a", .env = SH_LIST("A=1")));
	sh_cmd *two = one ? sh_bake(SH("b", .base = one, .env = SH_LIST("B=1"))) : NULL;
	bool clean = !two || checked(sh_call(two, "c"), "a b c\n");

	sh_cmd_free(one);
	sh_cmd_free(two);
	return clean;
}

static bool run_format(void)
{
	return checked(sh_f("echo %s %d", "a  b", 5), "a  b 5\n");
}

static bool run_guarded(void)
{
	return checked(sh("echo", "x", .guard = true), "x\n");
}

static bool is_clean_failure(const sh_result *r, int status)
{
	return r->status == status || r->status == SH_NOMEM ||
	       (fault.kind == SYSTEM && (r->status == SH_SPAWN || r->status == SH_IO));
}

static bool run_guarded_daemon(void)
{
	sh_result *r = sh("sh", "-c", "setsid sleep 10 & sleep 10", .guard = true,
			  .timeout_ms = 30, .grace_ms = 30);
	bool clean = is_clean_failure(r, SH_TIMEOUT);

	sh_free(r);
	return clean;
}

static bool run_on_pty(void)
{
	return !(sh__engine()->can & SH__CAN_PTY) ||
	       checked(sh("cat", .pty = true, .in = SH_TEXT("x\n")), "x\n");
}

static bool run_big_input(void)
{
	size_t n = 300000;
	char *in = __real_calloc(1, n);
	sh_result *r = sh("wc", "-c", .in = SH_BYTES(in, n));

	__real_free(in);
	return checked(r, "300000\n");
}

static bool run_missing(void)
{
	sh_result *r = sh("gti");
	bool clean = is_clean_failure(r, SH_NOTFOUND);

	sh_free(r);
	return clean;
}

static bool run_stopped(void)
{
	sh_result *r = sh("sh", "-c", "sleep 10 & wait", .timeout_ms = 20);
	bool clean = is_clean_failure(r, SH_TIMEOUT);

	sh_free(r);
	return clean;
}

static bool iterate(void)
{
	sh_proc *p = sh_start(
	    SH("sh", "-c", "echo a; read x; echo $x", .in = SH_FEED, .out = SH_STREAM));
	sh_line line;
	bool clean = true;
	int n = 0, r;

	if (!p)
		return fault.kind == MEMORY;
	if (sh_write(p, "b\n", 2) < 0 || sh_eof(p) < 0) {
		sh_proc_free(p);
		return true;
	}
	while ((r = sh_next(p, &line)) == 1)
		n++;
	clean = sh_wait(p, -1)->status ? is_clean(sh_wait(p, -1), "") : n == 2;
	sh_proc_free(p);
	return clean;
}

static void count_done(sh_proc *p, const sh_result *r, void *arg)
{
	(void)p, (void)r;
	++*(int *)arg;
}

static bool start_on_loop(void)
{
	uv_loop_t loop;
	sh_proc *p;
	int calls = 0;
	bool clean = true;

	uv_loop_init(&loop);
	p = sh_start(SH("echo", "x", .loop = &loop, .done = count_done, .arg = &calls));
	uv_run(&loop, UV_RUN_DEFAULT);
	if (p)
		clean = calls == 1 && is_clean(sh_wait(p, 0), "x\n");
	sh_proc_free(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) == 0 && clean;
}

static bool run_all(void)
{
	sh_proc *p[3];
	bool clean = true, complete = true;

	for (int i = 0; i < 3; i++) {
		p[i] = sh_start(SH("echo", "x", .held = true));
		complete &= p[i] != NULL;
	}
	if (complete && sh_all(p, 3, 2) >= 0)
		for (int i = 0; i < 3; i++)
			clean &= is_clean(sh_wait(p[i], 0), "x\n");
	for (int i = 0; i < 3; i++)
		sh_proc_free(p[i]);
	return clean;
}

static const struct {
	const char *name;
	bool (*run)(void);
} scenarios[] = {
	{ "options", run_with_options },
	{ "limits", run_with_limits },
	{ "pipeline", run_pipeline },
	{ "callbacks", run_with_callbacks },
	{ "files", run_with_files },
	{ "recipe", run_recipe },
	{ "format", run_format },
	{ "guard", run_guarded },
	{ "guarded daemon", run_guarded_daemon },
	{ "pty", run_on_pty },
	{ "big input", run_big_input },
	{ "missing", run_missing },
	{ "stopped", run_stopped },
	{ "iterate", iterate },
	{ "loop", start_on_loop },
	{ "all", run_all },
};

/* Fails the k-th call of a scenario, for every k there is. */
static void fail_each(enum kind kind, int error)
{
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		long k, blocks;
		size_t fds;

		/* Hundreds of looks at /proc: once is enough. */
		if ((scenarios[i].run == run_stopped ||
		     scenarios[i].run == run_guarded_daemon) &&
		    kind == SYSTEM && error != EMFILE)
			continue;
		assert_true(scenarios[i].run()); /* what is made once is made now */
		fds = count_fds();
		for (k = 1; k < 1000; k++) {
			bool clean;

			blocks = fault.blocks;
			fault.kind = kind;
			fault.error = error;
			fault.countdown = k;
			clean = scenarios[i].run();
			if (fault.countdown) {
				fault.countdown = 0;
				break;
			}
			if (!clean || count_fds() != fds || fault.blocks > blocks)
				fail_msg(
				    "%s: %s number %ld: %s, %zu descriptors more, %ld blocks "
				    "more",
				    scenarios[i].name, fault.name, k,
				    clean ? "clean" : "not clean", count_fds() - fds,
				    fault.blocks - blocks);
			assert_no_children();
		}
		assert_true(k < 1000);
		if (getenv("SH_TEST_TELL"))
			fprintf(stderr, "# %s: %ld calls\n", scenarios[i].name, k - 1);
	}
}

static void test_faults_51_each_allocation(void **state)
{
	(void)state;
	fail_each(MEMORY, ENOMEM);
}

static void test_faults_51_each_call_with_emfile(void **state)
{
	(void)state;
	fail_each(SYSTEM, EMFILE);
}

static void test_faults_51_each_call_with_eagain(void **state)
{
	(void)state;
	fail_each(SYSTEM, EAGAIN);
}

static void test_faults_51_each_call_with_enomem(void **state)
{
	(void)state;
	fail_each(SYSTEM, ENOMEM);
}

static void test_faults_46_each_call_with_eintr(void **state)
{
	(void)state;
	fail_each(SYSTEM, EINTR);
}

static void test_faults_kernels_that_lack_the_newer_calls(void **state)
{
	sh_proc *p;
	sh_line line;

	(void)state;
	NEEDS(SH__CAN_RECOVER);
	fault.countdown = 0;
	fault.old_kernel = true;
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		if (!scenarios[i].run())
			fail_msg("%s", scenarios[i].name);
	p = sh_start(
	    SH("sh", "-c", "(trap '' TERM; echo go; sleep 99) & wait", .grace_ms = 100));
	assert_int_equal(sh_next(p, &line), 1);
	assert_int_equal(sh_stop(p), 0);
	assert_int_equal(sh_wait(p, -1)->flags, SH_KILLED);
	sh_proc_free(p);
	fault.old_kernel = false;
	assert_no_children();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults_51_each_allocation),
		cmocka_unit_test(test_faults_51_each_call_with_emfile),
		cmocka_unit_test(test_faults_51_each_call_with_eagain),
		cmocka_unit_test(test_faults_51_each_call_with_enomem),
		cmocka_unit_test(test_faults_46_each_call_with_eintr),
		cmocka_unit_test(test_faults_kernels_that_lack_the_newer_calls),
	};

	return RUN_ON_BOTH("faults", tests);
}
