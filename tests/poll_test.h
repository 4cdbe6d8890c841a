/*
 * What tests of polling share: a directory, files in it, and waiting until a listing is old enough to be
 * trusted.
 */
#ifndef TESTS_POLL_TEST_H
#define TESTS_POLL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "next_tick.h"
#include "watcher/backend.h"
#include "watcher/disk.h"
#include "watcher/poll.h"

#define AGE_NS 40000000 /* older than any listing that is too young to be trusted */

static char dir[64];
static struct disk disk;

static inline void make(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

static inline void make_new(void)
{
	make("new");
}

static inline void wait_until_old(void)
{
	struct stat st;

	do
		assert_int_equal(stat(dir, &st), 0);
	while (clock_coarse_ns() - AGE_NS <
	       st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec);
}

/* As tar(1) does: writes, and gives it a time of long ago. */
static inline void extract(const char *name)
{
	const struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "content", 7), 7);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static inline void write_to(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "more", 4), 4);
	close(fd);
}

static inline void set_mode(const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(chmod(path, 0600), 0);
}

static inline int poll_test_leave(void **state)
{
	char command[128];

	(void)state;
	watcher__disk_fini(&disk);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static inline int poll_test_enter(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/whendo-poll-XXXXXX");
	return mkdtemp(dir) ? watcher__disk_init(&disk, NULL, NULL) : -1;
}

#endif
