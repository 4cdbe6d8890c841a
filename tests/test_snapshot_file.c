/*
 * Snapshots in files: what was saved is loaded, the old file or the new one is there whatever
 * fails, and what is no snapshot is told by name. Every system call on the way fails once.
 *
 * link: -Wl,--wrap=open,--wrap=write,--wrap=fsync,--wrap=close,--wrap=rename,--wrap=read
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watcher/snapshot.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char top[64], cwd[PATH_MAX];

static struct {
	long countdown; /* the call that fails; 0: none */
	int error;
	const char *failed;
	size_t short_write; /* at most so many bytes at once; 0: as asked */
	bool kills;         /* instead of a failure */
} fault;

static bool fails(const char *name)
{
	if (!fault.countdown || --fault.countdown)
		return false;
	fault.failed = name;
	if (fault.kills)
		raise(SIGKILL);
	errno = fault.error;
	return true;
}

#define WRAP(type, name, params, args)                                                         \
	type __real_##name params;                                                             \
	type __wrap_##name params;                                                             \
	type __wrap_##name params                                                              \
	{                                                                                      \
		return fails(#name) ? -1 : __real_##name args;                                 \
	}

WRAP(int, open, (const char *p, int flags, int mode), (p, flags, mode))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	int r = __real_close(fd); /* close(2): gone even if it fails */

	return fails("close") ? -1 : r;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (fails("write"))
		return -1;
	return __real_write(fd, p, fault.short_write && n > fault.short_write ? fault.short_write : n);
}

static int unlink_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st;
	(void)what;
	(void)ftw;
	return remove(path);
}

static void put(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static int enter(void **state)
{
	(void)state;
	strcpy(top, "/tmp/whendo-snapshot-XXXXXX");
	if (!getcwd(cwd, sizeof cwd) || !mkdtemp(top) || chdir(top) || mkdir("tree", 0755) ||
	    mkdir("tree/d", 0755) || symlink("f", "tree/l") || mkfifo("tree/p", 0600))
		return -1;
	put("tree/f", "text", 4);
	put("tree/d/\xff\n name", "", 0);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	return chdir(cwd) || nftw(top, unlink_one, 16, FTW_DEPTH | FTW_PHYS) ? -1 : 0;
}

static watcher_snapshot *take(void)
{
	watcher_snapshot *s = NULL;

	assert_int_equal(watcher_snapshot_take(&s, LIST("tree", "none"), NULL, NULL), 0);
	return s;
}

static int tell(const watcher_event *e, void *arg)
{
	print_error("%s %s\n", watcher_kind_name(e->kind), e->path);
	++*(int *)arg;
	return 0;
}

static int differences(const watcher_snapshot *a, const watcher_snapshot *b)
{
	int n = 0;

	assert_int_equal(watcher_snapshot_diff(a, b, WATCHER_DIFF_DIR_MODIFIED, tell, &n), 0);
	return n;
}

static int files_here(void)
{
	DIR *d = opendir(".");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void test_round_trip(void **state)
{
	watcher_snapshot *s = take(), *again = NULL;
	watcher_error err;

	(void)state;
	fault.short_write = 7;
	assert_int_equal(watcher_snapshot_save(s, "state", &err), 0);
	fault.short_write = 0;
	assert_int_equal(watcher_snapshot_load(&again, "state", &err), 0);
	assert_int_equal(differences(s, again), 0);
	assert_int_equal(s->n, again->n);
	assert_true(s->taken_ns == again->taken_ns);
	for (uint32_t i = 0; i < s->n; i++) {
		struct snap_entry a = s->entries[i], b = again->entries[i];

		assert_string_equal(snap_name(s, &a), snap_name(again, &b));
		assert_int_equal(a.inode, b.inode);
		assert_int_equal(a.dev, b.dev);
		assert_int_equal(a.size, b.size);
		assert_int_equal(a.nlink, b.nlink);
		assert_true(a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns &&
			    a.birth_ns == b.birth_ns);
		assert_int_equal(a.mode, b.mode);
		assert_int_equal(a.uid, b.uid);
		assert_int_equal(a.gid, b.gid);
		assert_int_equal(a.type, b.type);
		assert_int_equal(a.count, b.count);
		assert_int_equal(a.parent, b.parent);
	}
	watcher_snapshot_free(s);
	watcher_snapshot_free(again);
}

/* The size that is promised: what is known of a file takes few bytes beside its name. */
static void test_compact(void **state)
{
	watcher_snapshot *s;
	char name[32];
	struct stat st;

	(void)state;
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "tree/d/file%03d", i);
		put(name, "x", 1);
	}
	s = take();
	assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
	assert_int_equal(stat("state", &st), 0);
	assert_true(st.st_size < 505 * 40);
	watcher_snapshot_free(s);
}

static void test_empty(void **state)
{
	watcher_snapshot *s = NULL, *again = NULL;

	(void)state;
	assert_int_equal(watcher_snapshot_take(&s, LIST("none"), NULL, NULL), 0);
	assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
	assert_int_equal(watcher_snapshot_load(&again, "state", NULL), 0);
	assert_string_equal(watcher_snapshot_root(again, 0), "none");
	assert_int_equal(watcher_snapshot_count(again, 0), 0);
	watcher_snapshot_free(s);
	watcher_snapshot_free(again);
}

/* Whichever call fails, the old file stays, nothing is left beside it, and the error is told. */
static void test_save_fails(void **state)
{
	watcher_snapshot *s = take(), *again = NULL;
	watcher_error err;
	int n, r = -1;
	long k;

	(void)state;
	put("state", "old", 3);
	n = files_here();
	for (k = 1; r < 0 || fault.failed; k++) {
		fault.countdown = k;
		fault.error = EIO;
		fault.failed = NULL;
		r = watcher_snapshot_save(s, "state", &err);
		fault.countdown = 0;
		assert_int_equal(files_here(), n);
		if (r == 0)
			continue; /* only the sync of the directory may fail unheard */
		assert_non_null(fault.failed);
		assert_int_equal(r, UV_EIO);
		assert_string_equal(err.message, "state: the snapshot cannot be saved: i/o error");
		assert_int_equal(watcher_snapshot_load(&again, "state", NULL), UV_EINVAL);
	}
	assert_true(k > 6);
	assert_int_equal(watcher_snapshot_load(&again, "state", NULL), 0);
	assert_int_equal(differences(s, again), 0);
	watcher_snapshot_free(s);
	watcher_snapshot_free(again);
}

static void test_cannot_save(void **state)
{
	watcher_snapshot *s = take();
	watcher_error err;

	(void)state;
	assert_int_equal(watcher_snapshot_save(s, "none/state", &err), UV_ENOENT);
	assert_string_equal(err.message,
			    "none/state: the snapshot cannot be saved: no such file or directory");
	assert_int_equal(watcher_snapshot_save(s, "tree", &err), UV_EISDIR);
	assert_int_equal(watcher_snapshot_save(s, "", &err), UV_EINVAL);
	assert_string_equal(err.message, "snapshot: an empty path");
	assert_int_equal(files_here(), 1);
	watcher_snapshot_free(s);
}

/* As root, /dev/null would be a file from then on, for everybody. */
static void test_replaces_files_only(void **state)
{
	watcher_snapshot *s = take();
	watcher_error err;
	struct stat st;

	(void)state;
	assert_int_equal(mkfifo("pipe", 0600), 0);
	assert_int_equal(symlink("pipe", "link"), 0);
	assert_int_equal(watcher_snapshot_save(s, "pipe", &err), UV_EINVAL);
	assert_string_equal(err.message, "pipe: the snapshot cannot be saved: not a regular file");
	assert_int_equal(watcher_snapshot_save(s, "link", &err), UV_EINVAL);
	assert_true(lstat("pipe", &st) == 0 && S_ISFIFO(st.st_mode));
	assert_true(lstat("link", &st) == 0 && S_ISLNK(st.st_mode));
	assert_int_equal(files_here(), 3);
	watcher_snapshot_free(s);
}

/* Who wrote the snapshot's name into a link keeps the link, and has the snapshot behind it. */
static void test_behind_links(void **state)
{
	watcher_snapshot *s = take(), *again = NULL;
	struct stat st;

	(void)state;
	put("state", "old", 3);
	assert_int_equal(symlink("../state", "tree/to"), 0);
	assert_int_equal(symlink("tree/to", "link"), 0);
	assert_int_equal(watcher_snapshot_save(s, "link", NULL), 0);
	assert_true(lstat("link", &st) == 0 && S_ISLNK(st.st_mode));
	assert_true(lstat("tree/to", &st) == 0 && S_ISLNK(st.st_mode));
	assert_int_equal(watcher_snapshot_load(&again, "state", NULL), 0);
	assert_int_equal(files_here(), 3);
	assert_int_equal(symlink("nowhere", "broken"), 0);
	assert_int_equal(watcher_snapshot_save(s, "broken", NULL), 0);
	assert_true(lstat("broken", &st) == 0 && S_ISREG(st.st_mode));
	watcher_snapshot_free(s);
	watcher_snapshot_free(again);
}

/* Names in a snapshot are not read by those who could not read them before. */
static void test_keeps_rights(void **state)
{
	watcher_snapshot *s = take();
	struct stat st;
	mode_t mask = umask(022);

	(void)state;
	assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
	assert_true(stat("state", &st) == 0 && (st.st_mode & 07777) == 0644);
	assert_int_equal(chmod("state", 0600), 0);
	assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
	assert_true(stat("state", &st) == 0 && (st.st_mode & 07777) == 0600);
	umask(mask);
	watcher_snapshot_free(s);
}

/* A child is killed in its k-th call on the way to a snapshot. */
static int save_killed(const watcher_snapshot *s, long k)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		fault.countdown = k;
		fault.kills = true;
		_exit(watcher_snapshot_save(s, "state", NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || status == 0);
	return WIFSIGNALED(status);
}

static void test_killed(void **state)
{
	watcher_snapshot *s = take(), *again = NULL;
	int n, left = 0;

	(void)state;
	put("state", "old", 3);
	n = files_here();
	for (long k = 1; save_killed(s, k); k++) {
		left += files_here() > n;
		assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
		assert_int_equal(files_here(), n);
		assert_int_equal(watcher_snapshot_load(&again, "state", NULL), 0);
		watcher_snapshot_free(again);
	}
	assert_true(left >= 4); /* before write, fsync, close and rename */
	watcher_snapshot_free(s);
}

/* What is beside the snapshot is taken away only where it was left by a save. */
static void test_leaves_others(void **state)
{
	watcher_snapshot *s = take();
	int fd;

	(void)state;
	put("state.whendo-0.new", "of a user", 9);
	put("state.whendo-1.new", SNAP_MAGIC "rest", 12);
	assert_int_equal(mkfifo("state.whendo-2.new", 0600), 0);
	assert_int_equal(symlink("none", "state.whendo-3.new"), 0);
	fd = open("state.whendo-1.new", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0); /* another process is just writing it */
	assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
	assert_int_equal(files_here(), 6);
	assert_int_equal(__real_close(fd), 0);
	assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
	assert_int_equal(files_here(), 5);
	assert_int_equal(access("state.whendo-1.new", F_OK), -1);
	watcher_snapshot_free(s);
}

/* The file beside has a name of its own where one made of the file's would be too long. */
static void test_long_names(void **state)
{
	watcher_snapshot *s = take(), *again = NULL;
	char name[NAME_MAX + 2];

	(void)state;
	for (size_t len = 238; len <= NAME_MAX; len++) {
		memset(name, 'n', len);
		name[len] = '\0';
		assert_int_equal(watcher_snapshot_save(s, name, NULL), 0);
		assert_int_equal(watcher_snapshot_load(&again, name, NULL), 0);
		watcher_snapshot_free(again);
		put(".whendo-0.new", SNAP_MAGIC "rest", 12); /* left, of any of them */
		assert_int_equal(files_here(), 1 + 2);
		assert_int_equal(remove(name), 0);
	}
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = '\0';
	assert_int_equal(watcher_snapshot_save(s, name, NULL), UV_ENAMETOOLONG);
	assert_int_equal(files_here(), 1);
	watcher_snapshot_free(s);
}

/* The file beside was taken for a left one between two calls: the save begins again. */
static void test_taken_away(void **state)
{
	watcher_snapshot *s = take(), *again = NULL;
	watcher_error err;
	long k;

	(void)state;
	for (k = 1; k <= 10; k++) {
		fault.countdown = k;
		fault.error = ENOENT;
		fault.failed = NULL;
		assert_int_equal(watcher_snapshot_save(s, "state", &err), 0);
		if (fault.failed && strcmp(fault.failed, "rename") == 0)
			break;
	}
	fault.countdown = 0;
	assert_true(k <= 10);
	assert_int_equal(files_here(), 1 + 1);
	assert_int_equal(watcher_snapshot_load(&again, "state", NULL), 0);
	watcher_snapshot_free(s);
	watcher_snapshot_free(again);
}

static void test_load_fails(void **state)
{
	watcher_snapshot *s = take(), *again = NULL;
	watcher_error err;

	(void)state;
	assert_int_equal(watcher_snapshot_save(s, "state", NULL), 0);
	for (long k = 1; k <= 2; k++) {
		fault.countdown = k;
		fault.error = EIO;
		assert_int_equal(watcher_snapshot_load(&again, "state", &err), UV_EIO);
		fault.countdown = 0;
		assert_string_equal(err.message, "state: the snapshot cannot be read: i/o error");
		assert_null(again);
	}
	assert_int_equal(watcher_snapshot_load(&again, "none", &err), UV_ENOENT);
	assert_string_equal(err.message,
			    "none: the snapshot cannot be read: no such file or directory");
	assert_int_equal(watcher_snapshot_load(&again, "tree", &err), UV_EISDIR);
	assert_int_equal(watcher_snapshot_load(&again, "tree/p", &err), UV_EINVAL);
	assert_string_equal(err.message, "tree/p: not a regular file");
	watcher_snapshot_free(s);
}

static int load(const char *data, size_t len, watcher_error *err)
{
	watcher_snapshot *s = NULL;
	int r;

	put("bad\nname", data, len);
	r = watcher_snapshot_load(&s, "bad\nname", err);
	watcher_snapshot_free(s);
	return r;
}

static void test_damaged(void **state)
{
	watcher_snapshot *s = take();
	struct bytes good = { 0 };
	watcher_error err;
	char *data;

	(void)state;
	assert_int_equal(watcher__snap_encode(s, &good), 0);
	data = good.data;
	for (size_t len = 0; len < good.len; len++) {
		assert_int_equal(load(data, len, &err), UV_EINVAL);
		assert_non_null(strstr(err.message, len < 8 ? "does not begin as one" : "truncated"));
	}
	assert_non_null(strstr(err.message, "bad?name: not a usable snapshot: truncated"));
	for (size_t i = 0; i < good.len; i++) {
		data[i] ^= 0x20;
		assert_true(load(data, good.len, &err) < 0);
		assert_non_null(strstr(err.message, "bad?name: "));
		if (i >= 28) {
			assert_non_null(strstr(err.message, "corrupt, its checksum is wrong"));
			assert_int_equal(err.offset, 28);
		}
		data[i] ^= 0x20;
	}
	assert_int_equal(load("", 0, &err), UV_EINVAL);
	assert_int_equal(load("#!/bin/sh\nexit 0; # a longer text", 33, &err), UV_EINVAL);
	data[8] = 2;
	assert_int_equal(load(data, good.len, &err), UV_ENOTSUP);
	assert_string_equal(err.message,
			    "bad?name: a snapshot of version 2, this library reads version 1");
	data[8] = 1;
	assert_int_equal(load(data, good.len, &err), 0);
	bytes_free(&good);
	watcher_snapshot_free(s);
}

/* Contents with a right checksum that no tree has. */
static void test_forged(void **state)
{
	struct {
		const char *content, *what;
		size_t len;
	} bad[] = {
#define FORGED(content, what) { content, what, sizeof(content) - 1 }
#define NUMBERS "\0\0\0\0\0\0\0\0\0\0"
		FORGED("", "a number does not end"),
		FORGED("\0\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "a number does not end"),
		FORGED("\0\1\7", "more entries than there is room for"),
		FORGED("\0\2\1", "more roots than entries"),
		FORGED("\0\0\1", "entries in no directory"),
		FORGED("\0\1\1\x50\1a" NUMBERS "\0", "an unknown type"),
		FORGED("\0\1\1\x24\1a" NUMBERS "\0", "an unknown type"),
		FORGED("\0\1\1\x20\0" NUMBERS "\0", "an impossible name"),
		FORGED("\0\1\1\x20\2a\0" NUMBERS "\0", "an impossible name"),
		FORGED("\0\1\1\x20\5a", "a name does not end"),
		FORGED("\0\1\1\x10\1a" NUMBERS "\1", "entries in what is no directory"),
		FORGED("\0\1\1\x20\1a" NUMBERS "\1", "entries are missing"),
		FORGED("\0\1\1\x20\1a" NUMBERS "\0x", "something behind the last entry"),
		FORGED("\0\1\2\x20\1a" NUMBERS "\1\x10\3a/b" NUMBERS "\0", "an impossible name"),
		FORGED("\0\1\2\x20\1a" NUMBERS "\1\x10\2.." NUMBERS "\0", "an impossible name"),
		FORGED("\0\1\2\x20\1a" NUMBERS "\1\0\1b" NUMBERS "\0", "an unknown type"),
		FORGED("\0\1\3\x20\1a" NUMBERS "\2\x10\1c" NUMBERS "\0\x10\1b" NUMBERS "\0",
		       "names out of order"),
		FORGED("\0\1\3\x20\1a" NUMBERS "\2\x10\1c" NUMBERS "\0\x10\1c" NUMBERS "\0",
		       "names out of order"),
	};
	watcher_error err;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		char file[128] = "whendo\0s\1";
		uint64_t len = bad[i].len, hash = watcher__snap_hash(bad[i].content, len);

		for (int k = 0; k < 8; k++) {
			file[12 + k] = (char)(len >> 8 * k);
			file[20 + k] = (char)(hash >> 8 * k);
		}
		memcpy(file + 28, bad[i].content, len);
		assert_int_equal(load(file, 28 + len, &err), UV_EINVAL);
		if (!strstr(err.message, bad[i].what))
			fail_msg("%s: %s", bad[i].what, err.message);
	}
}

/* Deeper than any path: an error, and no deep recursion. */
static void test_too_deep(void **state)
{
	watcher_snapshot *s = calloc(1, sizeof *s), *again = NULL;
	struct bytes file = { 0 };
	watcher_error err;

	(void)state;
	assert_non_null(s);
	s->nroots = 1;
	for (uint32_t i = 0; i < 100000; i++) {
		struct snap_entry *e = watcher__snap_add(s, i ? i - 1 : NO_SNAP, "d", 1);

		assert_non_null(e);
		e->type = WATCHER_TYPE_DIR;
		e->count = i < 99999;
	}
	assert_int_equal(watcher__snap_encode(s, &file), 0);
	assert_int_equal(watcher__snap_decode(&again, file.data, file.len, "x", &err), UV_EINVAL);
	assert_non_null(strstr(err.message, "x: not a usable snapshot: deeper than any tree"));
	assert_null(again);
	bytes_free(&file);
	watcher_snapshot_free(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),	TEST(test_compact),    TEST(test_empty),
		TEST(test_save_fails),	TEST(test_cannot_save), TEST(test_load_fails),
		TEST(test_replaces_files_only), TEST(test_behind_links), TEST(test_keeps_rights),
		TEST(test_killed),	TEST(test_leaves_others), TEST(test_taken_away),
		TEST(test_damaged),	TEST(test_forged),	TEST(test_too_deep),
		TEST(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
