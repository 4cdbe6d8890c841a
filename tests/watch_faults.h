/*
 * Calls of the watcher's that fail when a test says so: allocations, watches, openings and readings of
 * directories, work for threads, and what the kernel is asked of fanotify. Those who include it are
 * linked with its wrappers.
 */
#ifndef TESTS_WATCH_FAULTS_H
#define TESTS_WATCH_FAULTS_H

#include "watch_test.h"

#include <stdatomic.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "failing_memory.h"

enum what { MEMORY, WATCHES, OPENS, READS, WORK, INITS, MARKS, HANDLES, BY_HANDLE, QUEUE };
static int fan = -1;	 /* fanotify's descriptor */
#define FROM_THEN_ON 1000000000

static struct {
	enum what what;
	int error;
	long first, run; /* the first call that fails, and how many in a row do */
	atomic_long calls;
	atomic_bool armed, fired;
} fault;

static bool out_of_watches; /* while something else fails, too */

static inline bool fails(enum what what)
{
	long n;

	if (fault.what != what || !fault.armed)
		return false;
	n = ++fault.calls;
	if (n < fault.first || n - fault.first >= fault.run)
		return false;
	fault.fired = true;
	errno = fault.error;
	return true;
}

static inline void arm(long first)
{
	fault.first = first;
	fault.calls = 0;
	fault.fired = false;
	fault.armed = true;
}

static inline void disarm(void)
{
	fault.armed = false;
}

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __real_uv_fs_event_start(uv_fs_event_t *handle, uv_fs_event_cb cb, const char *path,
			     unsigned flags);
int __wrap_uv_fs_event_start(uv_fs_event_t *handle, uv_fs_event_cb cb, const char *path,
			     unsigned flags);
int __real_uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb cb, uv_after_work_cb after);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb cb, uv_after_work_cb after);
int __real_open(const char *path, int flags, int mode);
int __wrap_open(const char *path, int flags, int mode);
int __real_openat(int fd, const char *path, int flags, int mode);
int __wrap_openat(int fd, const char *path, int flags, int mode);
int __real_fanotify_init(unsigned flags, unsigned event_flags);
int __wrap_fanotify_init(unsigned flags, unsigned event_flags);
int __real_fanotify_mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path);
int __wrap_fanotify_mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path);
int __real_name_to_handle_at(int dirfd, const char *path, struct file_handle *fh, int *mount,
			     int flags);
int __wrap_name_to_handle_at(int dirfd, const char *path, struct file_handle *fh, int *mount,
			     int flags);
int __real_open_by_handle_at(int mount, struct file_handle *fh, int flags);
int __wrap_open_by_handle_at(int mount, struct file_handle *fh, int flags);
ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size);
long __real_syscall(long n, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f);

static bool memory_fails(void)
{
	return fails(MEMORY);
}

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	if (out_of_watches)
		errno = ENOSPC;
	return out_of_watches || fails(WATCHES) ? -1 : __real_inotify_add_watch(fd, path, mask);
}

int __wrap_uv_fs_event_start(uv_fs_event_t *handle, uv_fs_event_cb cb, const char *path,
			     unsigned flags)
{
	return fails(WATCHES) ? -fault.error : __real_uv_fs_event_start(handle, cb, path, flags);
}

int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb cb, uv_after_work_cb after)
{
	return fails(WORK) ? -fault.error : __real_uv_queue_work(loop, work, cb, after);
}

int __wrap_fanotify_init(unsigned flags, unsigned event_flags)
{
	return fan = fails(INITS) ? -1 : __real_fanotify_init(flags, event_flags);
}

int __wrap_fanotify_mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path)
{
	return fails(MARKS) ? -1 : __real_fanotify_mark(fd, flags, mask, dirfd, path);
}

int __wrap_name_to_handle_at(int dirfd, const char *path, struct file_handle *fh, int *mount,
			     int flags)
{
	return fails(HANDLES) ? -1 : __real_name_to_handle_at(dirfd, path, fh, mount, flags);
}

int __wrap_open_by_handle_at(int mount, struct file_handle *fh, int flags)
{
	return fails(BY_HANDLE) ? -1 : __real_open_by_handle_at(mount, fh, flags);
}

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	return fd == fan && fails(QUEUE) ? -1 : __real_read(fd, buf, size);
}

/* Directories only: the rest is not what these tests are about. */
int __wrap_open(const char *path, int flags, int mode)
{
	return flags & O_DIRECTORY && fails(OPENS) ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int fd, const char *path, int flags, int mode)
{
	return flags & O_DIRECTORY && fails(OPENS) ? -1 : __real_openat(fd, path, flags, mode);
}

long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	return n == SYS_getdents64 && fails(READS) ? -1 : __real_syscall(n, a, b, c, d, e, f);
}

/* What they fail over. */
static inline void make_tree(void)
{
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("in/a", 0755), 0);
	assert_int_equal(mkdir("in/a/b", 0755), 0);
	put("in/a/b/f", "");
	put("in/a/g", "");
	put("in/.gitignore", "*.o\n");
	assert_int_equal(mkdir("in/c", 0755), 0);
	put("in/c/h", "");
}

#endif
