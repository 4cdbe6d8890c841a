#!/bin/sh
# Random changes (test_replay) where single system calls are late, now and then, of those who change and of
# those who watch: as on a loaded machine, where another runs for a while between any two of them. A few
# rounds each, or LATE_ROUNDS=n; one call in LATE_IN waits for up to LATE_US microseconds.
set -u
: "${BUILD:=build}" "${LATE_ROUNDS:=3}" "${LATE_IN:=100}" "${LATE_US:=8000}"
export LATE_IN LATE_US
rounds='inotify:plain inotify:begun inotify:adds fanotify:plain fanotify:begun'
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT

echo 1..$(echo $rounds | wc -w)
cat >"$tmp/late.c" <<'C'
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static unsigned one_in, us;

__attribute__((constructor)) static void begin(void)
{
	one_in = (unsigned)atoi(getenv("LATE_IN"));
	us = (unsigned)atoi(getenv("LATE_US"));
}

static void wait_perhaps(void)
{
	static __thread uint64_t dice;
	struct timespec t;

	if (!one_in || !us)
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	dice = (dice ^ (uint64_t)t.tv_nsec) * UINT64_C(6364136223846793005) + (uint64_t)getpid();
	if ((dice >> 33) % one_in)
		return;
	t = (struct timespec){ 0, (long)((dice >> 20) % us) * 1000 };
	nanosleep(&t, NULL);
}

#define LATE(type, name, args, ...)                             \
	type name args                                          \
	{                                                       \
		type(*real) args = (type(*) args)dlsym(RTLD_NEXT, #name); \
		type r;                                         \
                                                                \
		wait_perhaps();                                 \
		r = real(__VA_ARGS__);                          \
		wait_perhaps();                                 \
		return r;                                       \
	}

LATE(ssize_t, read, (int fd, void *to, size_t size), fd, to, size)
LATE(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), fd, path, mask)
LATE(int, fstat, (int fd, struct stat *st), fd, st)
LATE(int, fstatat, (int fd, const char *path, struct stat *st, int flags), fd, path, st, flags)
LATE(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *st), fd, path, flags, mask, st)
LATE(int, rename, (const char *from, const char *to), from, to)
LATE(int, mkdir, (const char *path, mode_t mode), path, mode)
LATE(int, unlink, (const char *path), path)
LATE(int, rmdir, (const char *path), path)

#define LATE_OPEN(name, args, last, ...)                        \
	int name args                                           \
	{                                                       \
		int (*real) args = (int(*) args)dlsym(RTLD_NEXT, #name); \
		va_list ap;                                     \
		int r, mode;                                    \
                                                                \
		va_start(ap, last);                             \
		mode = va_arg(ap, int);                         \
		va_end(ap);                                     \
		wait_perhaps();                                 \
		r = real(__VA_ARGS__, mode);                    \
		wait_perhaps();                                 \
		return r;                                       \
	}

LATE_OPEN(open, (const char *path, int flags, ...), flags, path, flags)
LATE_OPEN(openat, (int fd, const char *path, int flags, ...), flags, fd, path, flags)

long syscall(long number, ...)
{
	long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"), a[6], r;
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	wait_perhaps();
	r = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	wait_perhaps();
	return r;
}
C
why=
[ -z "${SANITIZE:-}" ] || why='sanitizers have these calls themselves'
[ "$(uname)" = Linux ] || why='no calls of Linux here'
[ -n "$why" ] || ${CC:-cc} -D_GNU_SOURCE -O2 -shared -fPIC "$tmp/late.c" -o "$tmp/late.so" -ldl || exit 1

n=0
for round in $rounds; do
  n=$((n + 1))
  if [ -n "$why" ]; then
    echo "ok $n - $round # SKIP $why"
  elif said=$(LD_PRELOAD=$tmp/late.so REPLAY_BACKEND=${round%%:*} REPLAY_MODE=${round##*:} \
    REPLAY_ROUNDS=$LATE_ROUNDS "$BUILD/tests/test_replay" 2>&1); then
    echo "ok $n - $round"
  else
    echo "not ok $n - $round"
    printf '%s\n' "$said" | grep -v SKIP | sed 's/^/# /'
  fi
done
