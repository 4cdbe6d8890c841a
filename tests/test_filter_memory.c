/*
 * Filters without memory: for every k, the k-th allocation of each call fails. The call says
 * UV_ENOMEM and leaves things as they were, or does without and is right.
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "../watcher/filter_root.h"
#include "failing_memory.h"

static struct {
	long countdown; /* the allocation that fails; 0: none */
	bool failed;
	char dir[64];
} t;

static bool memory_fails(void)
{
	if (t.countdown == 0 || --t.countdown > 0)
		return false;
	t.failed = true;
	return true;
}

/* Runs `call` with its k-th allocation failing, for k = 1, 2, ..., until none was left to
 * fail; returns how many there were. */
static long starve(int (*call)(void *arg, watcher_error *err), void *arg)
{
	for (long k = 1;; k++) {
		watcher_error err = { 0 };
		int r;

		t.failed = false;
		t.countdown = k;
		r = call(arg, &err);
		t.countdown = 0;
		if (!t.failed) {
			assert_int_equal(r, 0);
			return k - 1;
		}
		assert_true(r == UV_ENOMEM || r == 0);
		if (r == UV_ENOMEM && err.code)
			assert_true(err.code == UV_ENOMEM && err.message[0] != '\0');
	}
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make(void *arg, watcher_error *err)
{
	watcher_filter *f;
	int r = watcher_filter_new(&f, err);

	(void)arg;
	if (r == 0)
		watcher_filter_free(f);
	return r;
}

static void test_new(void **state)
{
	(void)state;
	assert_int_equal(starve(make, NULL), 1);
}

struct one_rule {
	watcher_filter *f;
	int rule;
	const char *text;
};

static int add_rule(void *arg, watcher_error *err)
{
	struct one_rule *one = arg;

	return watcher_filter_add(one->f, one->rule, one->text, NULL, err);
}

static int passes(const watcher_filter *f, const char *path)
{
	watcher_verdict *v;
	int r;

	assert_int_equal(watcher_filter_check(&v, f, t.dir, path, WATCHER_TYPE_FILE, 0, NULL), 0);
	r = v->passes;
	watcher_verdict_free(v);
	return r;
}

/* Each kind of rule, on top of others: after every failure the others are in force alone. */
static void test_add_leaves_the_filter_as_it_was(void **state)
{
	static const struct {
		int rule;
		const char *text, *changes;
	} rules[] = {
		{ WATCHER_RULE_PATTERN, "!a*.c", "abc.c" },
		{ WATCHER_RULE_PATTERN, "!x/{a,b}/**/*.c", "x/a/z.c" },
		{ WATCHER_RULE_IGNORE, "a*.c", "abc.c" },
		{ WATCHER_RULE_IGNORE_REGEX, "ab+c", "abc.c" },
		{ WATCHER_RULE_EXTENSION, "d,e", "a.d" },
		{ WATCHER_RULE_REGEX, "^docs?/", "doc/x" },
		{ WATCHER_RULE_FILTER_FILE, "allow", "a.allowed" },
		{ WATCHER_RULE_IGNORE_FILE, "deny", "denied.c" },
		{ WATCHER_RULE_INCLUDE, "/x/*.o", "x/a.o" },
		{ WATCHER_RULE_FULL_IGNORE, "**/abc.c", "abc.c" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		struct one_rule one = { .rule = rules[i].rule, .text = rules[i].text };
		int before;

		assert_int_equal(watcher_filter_new(&one.f, NULL), 0);
		watcher_filter_add(one.f, WATCHER_RULE_PATTERN, "*.c", NULL, NULL);
		watcher_filter_add(one.f, WATCHER_RULE_PATTERN, "*.?", NULL, NULL);
		watcher_filter_add(one.f, WATCHER_RULE_PATTERN, "!*.d", NULL, NULL);
		watcher_filter_add(one.f, WATCHER_RULE_IGNORE, "*.[o]", NULL, NULL);
		before = passes(one.f, rules[i].changes);
		for (long k = 1;; k++) {
			watcher_error err;
			int r;

			t.failed = false;
			t.countdown = k;
			r = add_rule(&one, &err);
			t.countdown = 0;
			if (r == 0)
				break;
			assert_int_equal(r, UV_ENOMEM);
			assert_true(err.message[0] != '\0');
			assert_int_equal(passes(one.f, rules[i].changes), before);
		}
		assert_int_equal(passes(one.f, rules[i].changes), !before);
		assert_true(passes(one.f, "plain.c"));
		watcher_filter_free(one.f);
	}
}

static int set_all(void *arg, watcher_error *err)
{
	(void)err;
	return watcher_filter_set(arg, WATCHER_FILTER_DEFAULTS | WATCHER_FILTER_GITIGNORE |
					       WATCHER_FILTER_DOT_IGNORE);
}

static int always(const char *path, int type, unsigned kind, void *arg)
{
	(void)path;
	(void)type;
	(void)kind;
	(void)arg;
	return 1;
}

static int add_predicate(void *arg, watcher_error *err)
{
	(void)err;
	return watcher_filter_predicate(arg, always, NULL);
}

static int copy(void *arg, watcher_error *err)
{
	watcher_filter *f;
	int r = watcher_filter_copy(&f, arg, err);

	if (r == 0)
		watcher_filter_free(f);
	return r;
}

static int check(void *arg, watcher_error *err)
{
	watcher_verdict *v;
	int r = watcher_filter_check(&v, arg, t.dir, "sub/deep/a.o", WATCHER_TYPE_UNKNOWN, 0, err);

	if (r < 0)
		return r;
	assert_int_equal(v->why, WATCHER_WHY_IGNORED);
	assert_string_equal(v->rule, "*.o");
	assert_int_equal(v->line, 1);
	watcher_verdict_free(v);
	return 0;
}

/* Everything a filter can have, on a directory with ignore files of every kind. */
static watcher_filter *full_filter(void)
{
	watcher_filter *f;

	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(set_all(f, NULL), 0);
	assert_int_equal(watcher_filter_add(f, WATCHER_RULE_IGNORE, "x*y", NULL, NULL), 0);
	assert_int_equal(watcher_filter_add(f, WATCHER_RULE_REGEX, ".", NULL, NULL), 0);
	assert_int_equal(watcher_filter_add(f, WATCHER_RULE_INCLUDE, "/keep/x", NULL, NULL), 0);
	return f;
}

static void test_switches_predicates_and_copies(void **state)
{
	watcher_filter *f;

	(void)state;
	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_true(starve(set_all, f) > 20);
	assert_int_equal(starve(add_predicate, f), 1);
	assert_int_equal(starve(copy, f), 2);
	watcher_filter_free(f);
	f = full_filter();
	assert_int_equal(starve(copy, f), 4);
	watcher_filter_free(f);
}

static void test_check(void **state)
{
	watcher_filter *f = full_filter();

	(void)state;
	assert_true(starve(check, f) > 40);
	watcher_filter_free(f);
}

static int bind_and_unbind(void *arg, watcher_error *err)
{
	struct filter_root *fr;
	int r = watcher__filter_bind(&fr, arg, t.dir, ".");

	(void)err;
	if (r == 0)
		watcher__filter_unbind(fr);
	return r;
}

static void test_bind(void **state)
{
	watcher_filter *f = full_filter();

	(void)state;
	assert_true(starve(bind_and_unbind, f) > 40);
	watcher_filter_free(f);
}

static bool pass(struct filter_root *fr, const char *rel)
{
	return watcher__filter_pass(fr, rel, strlen(rel), WATCHER_TYPE_FILE, WATCHER_CREATED);
}

/* Decisions do without the memory of directories, and stay right. */
static void test_decisions_are_right_without_memory(void **state)
{
	watcher_filter *f = full_filter();
	struct filter_root *fr;

	(void)state;
	for (long k = 1; k < 12; k++) {
		assert_int_equal(watcher__filter_bind(&fr, f, t.dir, "."), 0);
		t.countdown = k;
		assert_false(pass(fr, "sub/a.o"));
		assert_true(pass(fr, "sub/b/c/d"));
		assert_false(watcher__filter_descend(fr, "sub/x_y", 7));
		assert_true(watcher__filter_descend(fr, "keep", 4));
		t.countdown = 0;
		watcher__filter_unbind(fr);
	}
	watcher_filter_free(f);
}

static int reload(void *arg, watcher_error *err)
{
	int r = watcher__filter_reload(arg, "sub", 3);

	(void)err;
	/* With the old rules in force after a failure. */
	assert_int_equal(pass(arg, "sub/only"), r < 0);
	if (r == 1)
		watcher__filter_forget(arg, "sub", 3);
	return r < 0 ? r : 0;
}

static int reload_all(void *arg, watcher_error *err)
{
	int r;

	(void)err;
	put("sub/.gitignore", "else\n");
	r = watcher__filter_reload_all(arg);
	t.countdown = 0;
	assert_int_equal(pass(arg, "sub/only"), r == 1);
	put("sub/.gitignore", "only\n!o?\n");
	assert_int_equal(watcher__filter_reload_all(arg), r == 1);
	return r < 0 ? r : 0;
}

static int ignore_path(const char *path, void *arg)
{
	(void)path;
	(void)arg;
	return 0;
}

static int outside(void *arg, watcher_error *err)
{
	(void)err;
	return watcher__filter_outside(arg, ignore_path, NULL);
}

static void test_reload_all_and_outside(void **state)
{
	watcher_filter *f = full_filter();
	struct filter_root *fr;

	(void)state;
	assert_int_equal(watcher__filter_bind(&fr, f, t.dir, "."), 0);
	assert_int_equal(watcher__filter_reload(fr, "sub", 3), 1);
	assert_true(starve(reload_all, fr) > 20);
	assert_true(starve(outside, fr) > 4);
	watcher__filter_unbind(fr);
	watcher_filter_free(f);
}

static void test_reload(void **state)
{
	watcher_filter *f = full_filter();
	struct filter_root *fr;

	(void)state;
	assert_int_equal(watcher__filter_bind(&fr, f, t.dir, "."), 0);
	assert_true(starve(reload, fr) > 10);
	watcher__filter_unbind(fr);
	watcher_filter_free(f);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(t.dir, sizeof t.dir, "/tmp/whendo-memory-XXXXXX");
	if (!mkdtemp(t.dir) || chdir(t.dir) < 0 ||
	    system("mkdir -p sub/deep .git/info") != 0)
		return -1;
	setenv("HOME", t.dir, 1);
	setenv("XDG_CONFIG_HOME", t.dir, 1);
	put("allow", "*.allowed\n");
	put("deny", "denied*\n[x]*z\n");
	put(".gitignore", "*.o\n");
	put(".git/info/exclude", "e?\n");
	put(".gitconfig", "[core]\n\texcludesFile = ~/deny\n");
	put("sub/.gitignore", "only\n!o?\n");
	put("sub/.ignore", "*.p\n");
	return 0;
}

static int tear_down(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", t.dir);
	return chdir("/") < 0 ? -1 : system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_add_leaves_the_filter_as_it_was),
		cmocka_unit_test(test_switches_predicates_and_copies),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_decisions_are_right_without_memory),
		cmocka_unit_test(test_reload_all_and_outside),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
