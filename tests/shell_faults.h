/*
 * What the fault tests share: every allocation and every system call of a scenario fails once.
 * What comes back is a clean error or the right result, and nothing is left behind: no
 * descriptor, no child, no block of memory. Those who include it are linked with
 * the wrappers.
 */
#ifndef TESTS_SHELL_FAULTS_H
#define TESTS_SHELL_FAULTS_H

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

	if (fault.old_kernel && (n == SYS_close_range || (n == SYS_pidfd_send_signal && d) ||
				 (n == SYS_waitid && a == 3 /* P_PIDFD */))) {
		errno = n == SYS_close_range ? ENOSYS : EINVAL;
		return -1;
	}
	return !sure && fails(SYSTEM, "syscall") ? -1 : __real_syscall(n, a, b, c, d, e, f);
}

/* ------------------------------------------------------------------ scenarios */

struct scenario {
	const char *name;
	bool (*run)(void);
	bool reads_proc; /* hundreds of calls: once is enough */
};

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

static bool is_clean_failure(const sh_result *r, int status)
{
	return r->status == status || r->status == SH_NOMEM ||
	       (fault.kind == SYSTEM && (r->status == SH_SPAWN || r->status == SH_IO));
}

/* Fails the k-th call, for every k there is. */
static void fail_each_of(const struct scenario *s, enum kind kind, int error)
{
	size_t fds;
	long k;

	assert_true(s->run()); /* what is made once is made now */
	fds = count_fds();
	for (k = 1; k < 1000; k++) {
		long blocks = fault.blocks;
		bool clean;

		fault.kind = kind;
		fault.error = error;
		fault.countdown = k;
		clean = s->run();
		if (fault.countdown) {
			fault.countdown = 0;
			break;
		}
		if (!clean || count_fds() != fds || fault.blocks > blocks)
			fail_msg("%s: %s number %ld: %s, %zu descriptors more, %ld blocks more",
				 s->name, fault.name, k, clean ? "clean" : "not clean",
				 count_fds() - fds, fault.blocks - blocks);
		assert_no_children();
	}
	assert_true(k < 1000);
	if (getenv("SH_TEST_TELL"))
		fprintf(stderr, "# %s: %ld calls\n", s->name, k - 1);
}

static void fail_each(const struct scenario *scenarios, size_t n, enum kind kind, int error)
{
	for (size_t i = 0; i < n; i++)
		if (kind == MEMORY || error == EMFILE || !scenarios[i].reads_proc)
			fail_each_of(&scenarios[i], kind, error);
}

#endif
