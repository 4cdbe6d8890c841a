/*
 * Polling's comparison of one directory, with changes at moments that only luck would hit.
 *
 * link: -Wl,--wrap=syscall
 */
#include <sys/syscall.h>

#include "poll_test.h"

static void (*meanwhile)(void); /* what happens right before the next reading of names */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_getdents64 && meanwhile) {
		meanwhile();
		meanwhile = NULL;
	}
	return __real_syscall(number, a, b, c, d, e, f);
}

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

	poll_compare(&work, &polled, 1, dir, false);
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

	poll_compare(&work, &polled, 1, dir, false);
	if (work.found.len)
		memcpy(&f, work.found.data, sizeof f);
	assert_int_equal(work.found.len, work.found.len ? sizeof f + f.len : 0);
	bytes_clear(&work.found);
	return f.op;
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

static int before_reading; /* what the last comparison has found that the index may have told of */

/* How many writes to files a comparison finds that are not older than when the index read them. */
static int writes_since(int64_t read_ns)
{
	struct found f;
	int n = 0;

	before_reading = 0;
	poll_compare(&work, &polled, 1, dir, false);
	for (size_t at = 0; at < work.found.len; at += sizeof f + f.len) {
		memcpy(&f, work.found.data + at, sizeof f);
		if (f.op != CHANGE_WRITTEN)
			continue;
		if (f.taken_ns && f.taken_ns < read_ns)
			before_reading++;
		else
			n++;
	}
	bytes_clear(&work.found);
	return n;
}

static int writes(void)
{
	return writes_since(polled.read_ns);
}

static void test_a_write_before_the_first_comparison(void **state)
{
	(void)state;
	make("untouched");
	make("a");
	wait_until_old();
	begin();
	extract("a");
	assert_int_equal(writes(), 1);
	assert_int_equal(writes(), 0);
}

/* It may be readable now, and nobody else would find out. */
static void test_a_directory_changed_before_the_first_comparison(void **state)
{
	char inner[80], other[80];

	(void)state;
	snprintf(inner, sizeof inner, "%s/inner", dir);
	snprintf(other, sizeof other, "%s/other", dir);
	assert_int_equal(mkdir(inner, 0), 0);
	assert_int_equal(mkdir(other, 0755), 0);
	wait_until_old();
	begin();
	assert_int_equal(chmod(inner, 0755), 0);
	make("other/new");
	assert_int_equal(finds(), CHANGE_ATTRIB);
	assert_int_equal(finds(), CHANGE_NONE);
}

/* The index has read a name that no comparison has seen, and then the file is written to. */
static void test_a_write_to_a_name_that_only_the_index_has(void **state)
{
	(void)state;
	wait_until_old();
	begin();
	assert_int_equal(writes(), 0);
	make("a");
	next_tick();
	polled.read_ns = clock_coarse_ns();
	extract("a");
	assert_int_equal(writes(), 1);
	assert_int_equal(writes(), 0);
}

static void replace(const char *with, const char *name)
{
	char from[128], to[128];

	snprintf(from, sizeof from, "%s/%s", dir, with);
	snprintf(to, sizeof to, "%s/%s", dir, name);
	assert_int_equal(rename(from, to), 0);
}

/* The index has read that another file has the name, and then that one is written to. */
static void test_a_write_to_another_file_that_only_the_index_has(void **state)
{
	(void)state;
	make("a");
	make("other");
	make("third");
	wait_until_old();
	begin();
	assert_int_equal(writes(), 0);
	replace("other", "a");
	next_tick();
	polled.read_ns = clock_coarse_ns();
	extract("a");
	assert_int_equal(writes(), 1);
	replace("third", "a");
	next_tick();
	polled.read_ns = clock_coarse_ns();
	assert_int_equal(writes(), 0);
	assert_int_equal(before_reading, 1);
}

/* The index reads a name while a comparison is made that sees it for the first time only after the
 * file was written to. */
static void test_a_write_between_the_index_and_a_comparison_under_way(void **state)
{
	int64_t read_ns;

	(void)state;
	wait_until_old();
	begin();
	assert_int_equal(writes(), 0);
	make("a");
	make("b");
	make("c");
	next_tick();
	read_ns = clock_coarse_ns();
	next_tick();
	write_to("a");
	write_to("c");
	set_mode("c");
	assert_int_equal(writes_since(read_ns), 2);
	assert_int_equal(before_reading, 1);
	assert_int_equal(writes(), 0);
}

/* A name is gone when it is compared, and back when the index reads it: a new file in the old inode,
 * for all that the index can see. */
static void test_a_name_that_is_made_again_before_the_index_looks(void **state)
{
	char path[128];

	(void)state;
	make("a");
	wait_until_old();
	begin();
	assert_int_equal(writes(), 0);
	snprintf(path, sizeof path, "%s/a", dir);
	assert_int_equal(unlink(path), 0);
	next_tick();
	assert_int_equal(looks(), 1);
	extract("a");
	next_tick();
	polled.read_ns = clock_coarse_ns();
	assert_int_equal(writes(), 0);
	assert_int_equal(before_reading, 1);
	assert_int_equal(writes(), 0);
	assert_int_equal(before_reading, 0);
}

/* What may not be read may be doubted only itself; what is not there, all it may have moved to. */
static void test_a_directory_that_may_not_be_read_for_a_while(void **state)
{
	char other[80];

	(void)state;
	make("old");
	snprintf(other, sizeof other, "%s.other", dir);
	wait_until_old();
	begin();
	finds();
	work.missed_ns = INT64_MAX;
	assert_int_equal(chmod(dir, 0), 0);
	if (getuid() == 0) /* who may read anything */
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(finds(), CHANGE_LOOK);
	assert_int_equal(seteuid(getuid()), 0);
	assert_true(work.missed_ns == INT64_MAX);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(rename(dir, other), 0);
	assert_int_equal(finds(), CHANGE_LOOK);
	assert_int_equal(rename(other, dir), 0);
	assert_true(work.missed_ns == polled.checked_ns);
}

static int leave(void **state)
{
	poll_forget(&polled);
	poll_work_free(&work);
	return poll_test_leave(state);
}

static int enter(void **state)
{
	work.disk = &disk;
	return poll_test_enter(state);
}

int main(void)
{
#define POLL(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		POLL(test_a_name_that_comes_while_names_are_first_read),
		POLL(test_a_write_whose_time_is_set_back),
		POLL(test_a_first_reading_without_changes_finds_nothing),
		POLL(test_a_name_that_comes_back_while_names_are_read),
		POLL(test_a_write_before_the_first_comparison),
		POLL(test_a_directory_changed_before_the_first_comparison),
		POLL(test_a_write_to_a_name_that_only_the_index_has),
		POLL(test_a_write_to_another_file_that_only_the_index_has),
		POLL(test_a_write_between_the_index_and_a_comparison_under_way),
		POLL(test_a_name_that_is_made_again_before_the_index_looks),
		POLL(test_a_directory_that_may_not_be_read_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
