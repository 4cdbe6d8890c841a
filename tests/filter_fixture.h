/*
 * A filter, an empty directory that is also the current one, and the filter bound to it: what
 * the tests of filters share. Passing means passing as a created event.
 */
#ifndef TESTS_FILTER_FIXTURE_H
#define TESTS_FILTER_FIXTURE_H

#include <stdlib.h>
#include <unistd.h>

#include "../watcher/filter_root.h"

struct fixture {
	char dir[64];
	watcher_filter *f;
	struct filter_root *fr;
	int problems;
	char problem[500];
};

static inline void count_problem(const char *message, void *arg)
{
	struct fixture *x = arg;

	x->problems++;
	snprintf(x->problem, sizeof x->problem, "%s", message);
}

/* For cmocka; *state becomes a struct fixture whose filter has no rules and is not bound. */
static inline int filter_set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	snprintf(x->dir, sizeof x->dir, "/tmp/whendo-filter-XXXXXX");
	if (!mkdtemp(x->dir) || chdir(x->dir) < 0 || watcher_filter_new(&x->f, NULL) < 0)
		return -1;
	*state = x;
	return 0;
}

static inline int filter_tear_down(void **state)
{
	struct fixture *x = *state;
	char command[100];

	watcher__filter_unbind(x->fr);
	watcher_filter_free(x->f);
	snprintf(command, sizeof command, "rm -rf %s", x->dir);
	free(x);
	return chdir("/") < 0 ? -1 : system(command);
}

static inline void add(struct fixture *x, int rule, const char *text)
{
	watcher_error err;

	if (watcher_filter_add(x->f, rule, text, NULL, &err) < 0)
		fail_msg("%s", err.message);
}

/* Binds the filter to the directory, with problems counted. */
static inline void apply(struct fixture *x)
{
	assert_int_equal(watcher_filter_on_problem(x->f, count_problem, x), 0);
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, x->dir, "."), 0);
}

static inline bool file(struct fixture *x, const char *rel)
{
	return watcher__filter_pass(x->fr, rel, strlen(rel), WATCHER_TYPE_FILE, WATCHER_CREATED);
}

static inline bool dir(struct fixture *x, const char *rel)
{
	return watcher__filter_pass(x->fr, rel, strlen(rel), WATCHER_TYPE_DIR, WATCHER_CREATED);
}

static inline bool enters(struct fixture *x, const char *rel)
{
	return watcher__filter_descend(x->fr, rel, strlen(rel));
}

static inline void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline int reload(struct fixture *x, const char *rel)
{
	return watcher__filter_reload(x->fr, rel, strlen(rel));
}

#define FILTER_TEST(name) \
	cmocka_unit_test_setup_teardown(test_##name, filter_set_up, filter_tear_down)

#endif
