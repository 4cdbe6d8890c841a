/*
 * Polling's comparison of one directory, with changes at moments that only luck would hit.
 *
 * link: -Wl,--wrap=syscall
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "next_tick.h"
#include "watcher/disk.h"
#include "watcher/poll.h"

#define AGE_NS 40000000 /* older than any listing that is too young to be trusted */

static char dir[64];
static void (*meanwhile)(void); /* what happens right before the next reading of names */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

static void make(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_getdents64 && meanwhile) {
		meanwhile();
		meanwhile = NULL;
	}
	return __real_syscall(number, a, b, c, d, e, f);
}

static void wait_until_old(void)
{
	struct stat st;

	do
		assert_int_equal(stat(dir, &st), 0);
	while (clock_coarse_ns() - AGE_NS <
	       st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec);
}

static struct disk disk;
static struct poll_work work;
static struct polled polled;

static void begin(void)
{
	int fd = watcher__scan_open(dir, true);

	assert_true(fd >= 0);
	assert_int_equal(poll_begin(&polled, &disk, fd, dir), 0);
	close(fd);
	polled.level = polled.wanted = WATCH_ALL;
}

/* Compares, and how many times "look at it again" was found. */
static int looks(void)
{
	struct found f;
	int n = 0;

	poll_compare(&work, &polled, 1, dir);
	assert_null(meanwhile);
	for (size_t at = 0; at < work.found.len; at += sizeof f + f.len) {
		memcpy(&f, work.found.data + at, sizeof f);
		n += f.op == CHANGE_LOOK;
	}
	bytes_clear(&work.found);
	return n;
}

/* The one change that a comparison finds, or CHANGE_NONE. */
static int finds(void)
{
	struct found f = { .op = CHANGE_NONE };

	poll_compare(&work, &polled, 1, dir);
	if (work.found.len)
		memcpy(&f, work.found.data, sizeof f);
	assert_int_equal(work.found.len, work.found.len ? sizeof f + f.len : 0);
	bytes_clear(&work.found);
	return f.op;
}

static void make_new(void)
{
	make("new");
}

static void test_a_name_that_comes_while_names_are_first_read(void **state)
{
	(void)state;
	make("old");
	wait_until_old();
	begin();
	meanwhile = make_new;
	assert_int_equal(looks(), 1);
}

static void write_and_set_back(const char *path)
{
	struct timespec times[2] = { { 1000, 1 }, { 1000, 1 } };
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
	next_tick();
}

/* Neither its size nor its modification time tells; that it changed, and nothing else did, does. */
static void test_a_write_whose_time_is_set_back(void **state)
{
	char path[128];

	(void)state;
	make("old");
	snprintf(path, sizeof path, "%s/old", dir);
	write_and_set_back(path);
	wait_until_old();
	begin();
	finds();
	assert_int_equal(finds(), CHANGE_NONE);
	write_and_set_back(path);
	assert_int_equal(finds(), CHANGE_WRITTEN);
	assert_int_equal(chmod(path, 0600), 0);
	next_tick();
	assert_int_equal(finds(), CHANGE_ATTRIB);
	assert_int_equal(finds(), CHANGE_NONE);
}

static void test_a_first_reading_without_changes_finds_nothing(void **state)
{
	(void)state;
	wait_until_old();
	begin();
	assert_int_equal(looks(), 0);
	make("later");
	assert_int_equal(looks(), 1);
}

static char sub[80], away[80];

static void come_back(void)
{
	assert_int_equal(rename(away, sub), 0);
}

/* The index has read it without a name that is there again now, as the very same or as a new
 * directory in the same inode: to the comparison nothing is new. */
static void test_a_name_that_comes_back_while_names_are_read(void **state)
{
	(void)state;
	snprintf(sub, sizeof sub, "%s/sub", dir);
	snprintf(away, sizeof away, "%s.away", dir);
	assert_int_equal(mkdir(sub, 0755), 0);
	wait_until_old();
	begin();
	assert_int_equal(looks(), 0);
	assert_int_equal(rename(sub, away), 0);
	wait_until_old();
	polled.read_ns = clock_coarse_ns();
	meanwhile = come_back;
	assert_int_equal(looks(), 1);
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	poll_forget(&polled);
	poll_work_free(&work);
	watcher__disk_fini(&disk);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/whendo-poll-XXXXXX");
	work.disk = &disk;
	return mkdtemp(dir) ? watcher__disk_init(&disk, NULL, NULL) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_a_name_that_comes_while_names_are_first_read, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_a_write_whose_time_is_set_back, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(
		    test_a_first_reading_without_changes_finds_nothing, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
		    test_a_name_that_comes_back_while_names_are_read, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
