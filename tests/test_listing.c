/* Listings of directories: each name once, as it was read last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watcher/engine.h"

static void add(struct listing *l, const char *name, uint64_t ino)
{
	assert_int_equal(watcher__listing_add(l, name, WATCHER_TYPE_FILE, ino), 0);
}

/* "name inode, ..." */
static const char *text_of(const struct listing *l)
{
	static char text[2000];
	size_t used = 0, n;
	uint64_t ino;

	text[0] = '\0';
	for (size_t at = 0; at < l->len; at += PACKED_HEAD + n) {
		n = (uint8_t)l->packed[at + 9];
		memcpy(&ino, l->packed + at, sizeof ino);
		assert_int_equal(l->packed[at + 8], WATCHER_TYPE_FILE);
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s %d",
					 used ? ", " : "", (int)n, l->packed + at + PACKED_HEAD,
					 (int)ino);
	}
	return text;
}

static void test_the_last_of_equal_names_stays(void **state)
{
	struct listing l = { .error = 0 };

	(void)state;
	assert_int_equal(watcher__listing_unrepeat(&l), 0);
	add(&l, "a", 1);
	add(&l, "b", 2);
	add(&l, "a", 3);
	add(&l, "c", 4);
	add(&l, "a", 5);
	add(&l, "c", 4);
	assert_int_equal(watcher__listing_unrepeat(&l), 0);
	assert_string_equal(text_of(&l), "b 2, a 5, c 4");
	assert_int_equal(l.count, 3);
	assert_int_equal(watcher__listing_unrepeat(&l), 0);
	assert_string_equal(text_of(&l), "b 2, a 5, c 4");
	free(l.packed);
}

static void test_of_many_names_only_equal_ones_go(void **state)
{
	struct listing l = { .error = 0 };
	char name[16];

	(void)state;
	for (int i = 0; i < 50000; i++) {
		snprintf(name, sizeof name, "f%d", i % 30000);
		add(&l, name, (uint64_t)i);
	}
	assert_int_equal(watcher__listing_unrepeat(&l), 0);
	assert_int_equal(l.count, 30000);
	for (size_t at = 0, i = 20000; at < l.len; i++) {
		uint64_t ino;

		memcpy(&ino, l.packed + at, sizeof ino);
		assert_int_equal(ino, i);
		at += PACKED_HEAD + (uint8_t)l.packed[at + 9];
	}
	free(l.packed);
}

static void make_file_in(const char *dir, const char *name)
{
	char path[100];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
}

/* What btrfs lists without being rewound is what there was when it was opened. */
static void test_what_came_since_the_directory_was_opened_is_read(void **state)
{
	char dir[] = "/tmp/whendo-listing-XXXXXX", path[100];
	const char *const names[] = { "a", "b" };
	struct listing l = { .error = 0 };
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = watcher__scan_open(dir, false);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < 2; i++) {
		make_file_in(dir, names[i]);
		watcher__scan_read(fd, &l);
		assert_int_equal(l.error, 0);
		assert_int_equal(l.count, i + 1);
	}
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
	close(fd);
	free(l.packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_of_equal_names_stays),
		cmocka_unit_test(test_of_many_names_only_equal_ones_go),
		cmocka_unit_test(test_what_came_since_the_directory_was_opened_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
