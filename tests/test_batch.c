/* Batches: order, merging, paths as they are shown, and use again after delivery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watcher/batch.h"

static int add(struct watcher_batch *b, int kind, const char *rest, const char *dest)
{
	struct stored_event e = { .root = "r", .kind = (uint16_t)kind, .type = WATCHER_TYPE_FILE };
	struct path_parts from = { "r", rest, 1, strlen(rest) };
	struct path_parts to = { "r", dest, 1, dest ? strlen(dest) : 0 };

	return batch_add(b, &e, &from, dest ? &to : NULL);
}

static struct watcher_batch *new_batch(bool merge)
{
	struct watcher_batch *b = calloc(1, sizeof *b);

	assert_non_null(b);
	b->merge = merge;
	return b;
}

static const char *text(struct watcher_batch *b)
{
	static char out[4096];
	watcher_event e;

	out[0] = '\0';
	watcher_batch_rewind(b);
	while (watcher_batch_next(b, &e)) {
		assert_int_equal(e.path_len, strlen(e.path));
		assert_int_equal(e.dest_len, e.dest ? strlen(e.dest) : 0);
		sprintf(out + strlen(out), "%s%s %s%s%s", out[0] ? ", " : "",
			watcher_kind_name(e.kind), e.path, e.dest ? " " : "", e.dest ? e.dest : "");
	}
	return out;
}

static void test_writes_are_one(void **state)
{
	struct watcher_batch *b = new_batch(true);

	(void)state;
	assert_int_equal(add(b, WATCHER_MODIFIED, "a", NULL), 1);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(add(b, WATCHER_MODIFIED, "a", NULL), 0);
		assert_int_equal(add(b, WATCHER_MODIFIED, "b", NULL), i == 0);
	}
	assert_string_equal(text(b), "modified r/a, modified r/b");
	assert_int_equal(watcher_batch_count(b), 2);
	batch_free(b);
}

/* Another file has taken the name between two of them. */
static void test_what_is_one_is_of_the_last_file(void **state)
{
	static const uint64_t inodes[] = { 1, 2, 0 }; /* 0: not known */
	struct path_parts path = { "r", "a", 1, 1 };
	struct watcher_batch *b = new_batch(true);
	watcher_event e;

	(void)state;
	for (size_t i = 0; i < sizeof inodes / sizeof *inodes; i++) {
		struct stored_event write = { .root = "r",
					      .kind = WATCHER_MODIFIED,
					      .type = WATCHER_TYPE_FILE,
					      .inode = inodes[i] };

		assert_int_equal(batch_add(b, &write, &path, NULL), i == 0);
	}
	assert_int_equal(watcher_batch_next(b, &e), 1);
	assert_int_equal(e.inode, 2);
	assert_int_equal(watcher_batch_next(b, &e), 0);
	batch_free(b);
}

static void test_only_the_last_is_repeated(void **state)
{
	struct watcher_batch *b = new_batch(true);

	(void)state;
	add(b, WATCHER_CREATED, "a", NULL);
	add(b, WATCHER_MODIFIED, "a", NULL);
	add(b, WATCHER_DELETED, "a", NULL);
	add(b, WATCHER_CREATED, "a", NULL);
	add(b, WATCHER_MODIFIED, "a", NULL);
	add(b, WATCHER_MODIFIED, "a", NULL);
	assert_string_equal(text(b), "created r/a, modified r/a, deleted r/a, created r/a, "
				     "modified r/a");
	batch_free(b);
}

static void test_a_move_ends_history(void **state)
{
	struct watcher_batch *b = new_batch(true);

	(void)state;
	add(b, WATCHER_MODIFIED, "a", NULL);
	add(b, WATCHER_MODIFIED, "b", NULL);
	add(b, WATCHER_MOVED, "a", "b");
	add(b, WATCHER_MODIFIED, "b", NULL); /* another file than before */
	add(b, WATCHER_MODIFIED, "a", NULL);
	add(b, WATCHER_MOVED, "a", "b");
	assert_string_equal(text(b), "modified r/a, modified r/b, moved r/a r/b, modified r/b, "
				     "modified r/a, moved r/a r/b");
	batch_free(b);
}

static void test_without_merging(void **state)
{
	struct watcher_batch *b = new_batch(false);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(add(b, WATCHER_MODIFIED, "a", NULL), 1);
	assert_string_equal(text(b), "modified r/a, modified r/a, modified r/a");
	batch_free(b);
}

static void test_paths(void **state)
{
	static const struct {
		const char *root, *rest, *shown;
	} rows[] = {
		{ "src", "a", "src/a" }, { "src", "", "src" }, { ".", "a/b", "a/b" },
		{ ".", "", "." },	 { "/", "etc", "/etc" }, { "/", "", "/" },
		{ "/abs", "x", "/abs/x" }, { "", "", "" },
	};
	struct watcher_batch *b = new_batch(true);
	watcher_event e;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct stored_event event = { .root = rows[i].root, .kind = WATCHER_CREATED };
		struct path_parts p = { rows[i].root, rows[i].rest, strlen(rows[i].root),
					strlen(rows[i].rest) };

		assert_int_equal(batch_add(b, &event, &p, NULL), 1);
	}
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(watcher_batch_next(b, &e), 1);
		assert_string_equal(e.path, rows[i].shown);
		assert_string_equal(e.root, rows[i].root);
		assert_null(e.dest);
	}
	assert_int_equal(watcher_batch_next(b, &e), 0);
	batch_free(b);
}

/* Thousands of paths, cleared and filled again; each twice, told once. */
static void test_many_and_again(void **state)
{
	struct watcher_batch *b = new_batch(true);
	char name[32];
	watcher_event e;

	(void)state;
	for (int round = 0; round < 3; round++) {
		batch_clear(b);
		b->number = (uint64_t)round + 1;
		assert_int_equal(watcher_batch_count(b), 0);
		for (int i = 0; i < 20000; i++) {
			snprintf(name, sizeof name, "dir%d/file%d", i % 10, i % 10000);
			assert_int_equal(add(b, WATCHER_CREATED, name, NULL), i < 10000);
		}
		for (int i = 0; i < 10000; i++) {
			snprintf(name, sizeof name, "r/dir%d/file%d", i % 10, i);
			assert_int_equal(watcher_batch_next(b, &e), 1);
			assert_string_equal(e.path, name);
			assert_int_equal(e.batch, round + 1);
		}
		assert_int_equal(watcher_batch_number(b), round + 1);
		assert_true(batch_bytes(b) < 10000 * 200);
	}
	batch_free(b);
	batch_free(NULL);
}

/* A root that could not be added, and was told of before that was known. */
static void test_a_root_is_forgotten(void **state)
{
	static const char other[] = "o";
	const struct stored_event e = { .root = other, .kind = WATCHER_CREATED };
	const struct path_parts path = { other, "a", 1, 1 };
	struct watcher_batch *b = new_batch(true);

	(void)state;
	assert_int_equal(add(b, WATCHER_CREATED, "a", NULL), 1);
	assert_int_equal(batch_add(b, &e, &path, NULL), 1);
	assert_int_equal(add(b, WATCHER_CREATED, "b", NULL), 1);
	batch_forget(b, other);
	assert_string_equal(text(b), "created r/a, created r/b");
	assert_int_equal(watcher_batch_count(b), 2);
	assert_int_equal(batch_add(b, &e, &path, NULL), 1);
	assert_string_equal(text(b), "created r/a, created r/b, created o/a");
	batch_free(b);
}

static void test_names(void **state)
{
	(void)state;
	for (int kind = WATCHER_CREATED; kind <= WATCHER_READY; kind <<= 1)
		assert_int_equal(watcher_kind_of(watcher_kind_name(kind)), kind);
	assert_string_equal(watcher_kind_name(WATCHER_CLOSED_NO_WRITE), "closed_no_write");
	assert_string_equal(watcher_kind_name(WATCHER_CREATED | WATCHER_MOVED), "unknown");
	assert_int_equal(watcher_kind_of("unknown"), 0);
	assert_int_equal(watcher_kind_of(NULL), 0);
	assert_string_equal(watcher_type_name(WATCHER_TYPE_DIR), "dir");
	assert_string_equal(watcher_type_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes_are_one),
		cmocka_unit_test(test_what_is_one_is_of_the_last_file),
		cmocka_unit_test(test_only_the_last_is_repeated),
		cmocka_unit_test(test_a_move_ends_history),
		cmocka_unit_test(test_without_merging),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_many_and_again),
		cmocka_unit_test(test_a_root_is_forgotten),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
