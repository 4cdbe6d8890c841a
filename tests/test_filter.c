/* Filters of options: what passes, what is entered, what is refused and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "filter_fixture.h"

static void test_without_rules_everything_passes(void **state)
{
	struct fixture *x = *state;

	apply(x);
	assert_true(file(x, "a/b") && dir(x, ".git") && enters(x, "node_modules") && file(x, ""));
	assert_true(watcher__filter_pass(NULL, "a", 1, WATCHER_TYPE_FILE, WATCHER_CREATED));
	assert_true(watcher__filter_descend(NULL, "a", 1));
}

static void test_last_pattern_wins_and_directories_hand_it_down(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_PATTERN, "*.c");
	add(x, WATCHER_RULE_PATTERN, "/docs");
	add(x, WATCHER_RULE_PATTERN, "!docs/old");
	add(x, WATCHER_RULE_PATTERN, "new.c");
	apply(x);
	assert_true(file(x, "a.c") && file(x, "deep/er/a.c") && !file(x, "a.h"));
	assert_true(file(x, "docs/x") && file(x, "docs/y/z") && dir(x, "docs"));
	assert_false(file(x, "sub/docs/x"));
	assert_false(file(x, "docs/old/x"));
	assert_false(file(x, "docs/old/x.c"));
	assert_true(file(x, "docs/old/new.c"));
}

static void test_only_negated_patterns_let_the_rest_pass(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_PATTERN, "!*.o");
	apply(x);
	assert_true(file(x, "a.c"));
	assert_false(file(x, "a.o"));
}

static void test_extensions_are_of_files_only(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_EXTENSION, "d,.h");
	apply(x);
	assert_true(file(x, "a.d") && file(x, "b/c.h"));
	assert_false(file(x, "a.dd"));
	assert_false(file(x, "ad"));
	assert_false(dir(x, "conf.d"));
	assert_false(file(x, "conf.d/x"));
	assert_true(enters(x, "conf.d"));
}

static void test_ignored_directories_are_not_entered(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_IGNORE, "node_modules");
	add(x, WATCHER_RULE_IGNORE, "!node_modules/keep");
	add(x, WATCHER_RULE_IGNORE, "*.o");
	add(x, WATCHER_RULE_IGNORE, "!main.o");
	apply(x);
	assert_false(enters(x, "a/node_modules"));
	assert_false(enters(x, "a/node_modules/keep"));
	assert_false(file(x, "node_modules/keep"));
	assert_true(enters(x, "a"));
	assert_false(file(x, "a/b.o"));
	assert_true(file(x, "a/main.o"));
}

static void test_a_leading_dot_slash_anchors(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_IGNORE, "./build");
	add(x, WATCHER_RULE_IGNORE, "./src/*.o");
	add(x, WATCHER_RULE_IGNORE, "!./src/[k]eep.o");
	apply(x);
	assert_false(enters(x, "build"));
	assert_true(enters(x, "a/build"));
	assert_false(file(x, "src/a.o"));
	assert_true(file(x, "src/keep.o") && file(x, "a/src/a.o"));
}

static void test_include_wins_and_keeps_its_way_open(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_IGNORE, "build");
	add(x, WATCHER_RULE_IGNORE, "*.log");
	add(x, WATCHER_RULE_INCLUDE, "build/out/*.log");
	apply(x);
	assert_true(enters(x, "build") && enters(x, "build/out"));
	assert_false(enters(x, "build/obj"));
	assert_false(enters(x, "build/out/x"));
	assert_true(file(x, "build/out/a.log"));
	assert_false(file(x, "build/out/a.txt"));
	assert_false(file(x, "a.log"));
	assert_false(enters(x, "sub/build"));
}

static void test_anchored_patterns_prune_the_crawl(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_PATTERN, "src/*/gen/**/*.c");
	add(x, WATCHER_RULE_PATTERN, "!src/x/gen/no");
	apply(x);
	assert_true(enters(x, "") && enters(x, "src") && enters(x, "src/a"));
	assert_true(enters(x, "src/a/gen") && enters(x, "src/a/gen/b/c"));
	assert_false(enters(x, "docs"));
	assert_false(enters(x, "srcs"));
	assert_false(enters(x, "src/a/other"));
	assert_false(enters(x, "src/x/gen/no"));
}

static void test_regexes_search_the_relative_path(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_REGEX, "^src/.*\\.(c|h)$");
	add(x, WATCHER_RULE_IGNORE_REGEX, "/gen$");
	apply(x);
	assert_true(file(x, "src/a.c") && file(x, "src/\xff/a.h"));
	assert_false(file(x, "a/src/a.c"));
	assert_false(file(x, "src/a.c\n"));
	assert_false(file(x, "src/gen/a.c"));
	assert_false(enters(x, "src/gen"));
	assert_false(enters(x, "docs"));
	assert_true(enters(x, "src"));
}

static void test_case_is_ignored_when_asked(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_IGNORE_CASE), 0);
	add(x, WATCHER_RULE_PATTERN, "*.C");
	add(x, WATCHER_RULE_PATTERN, "M?kefile");
	add(x, WATCHER_RULE_REGEX, "^DOC/");
	apply(x);
	assert_true(file(x, "a.c") && file(x, "a.C") && file(x, "mAkefile") && file(x, "doc/x"));
	assert_false(file(x, "a.d"));
}

static void test_braces_expand_in_options(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_PATTERN, "*.{c,h{,pp}}");
	add(x, WATCHER_RULE_PATTERN, "{a}");
	add(x, WATCHER_RULE_PATTERN, "\\{x,y}");
	add(x, WATCHER_RULE_PATTERN, "[{]p,q}");
	apply(x);
	assert_true(file(x, "a.c") && file(x, "a.h") && file(x, "a.hpp") && file(x, "{a}"));
	assert_true(file(x, "{x,y}") && file(x, "{p,q}"));
	assert_false(file(x, "a.hp"));
	assert_false(file(x, "a"));
}

static void test_full_patterns_match_the_path_as_shown(void **state)
{
	struct fixture *x = *state;

	add(x, WATCHER_RULE_FULL_PATTERN, "top/**/*.py");
	add(x, WATCHER_RULE_FULL_IGNORE, "**/no*");
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, x->dir, "top"), 0);
	assert_true(file(x, "a.py") && file(x, "b/c/a.py"));
	assert_false(file(x, "a.pyc"));
	assert_false(file(x, "b/no.py"));
	/* As in Watchdog, an ignored directory does not stand for what is in it. */
	assert_true(file(x, "no/a.py") && enters(x, "no"));
}

static void test_an_empty_list_of_patterns_may_match_nothing(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_NEEDS_PATTERN), 0);
	apply(x);
	assert_false(file(x, "a"));
	assert_false(dir(x, "a"));
}

static int only_even(const char *path, int type, unsigned kind, void *arg)
{
	(void)type;
	(void)kind;
	*(int *)arg += 1;
	return strlen(path) % 2 == 0;
}

static void test_kinds_directories_and_predicates_come_last(void **state)
{
	struct fixture *x = *state;
	int asked = 0;

	assert_int_equal(watcher_filter_kinds(x->f, WATCHER_CREATED), 0);
	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_NO_DIRECTORIES), 0);
	assert_int_equal(watcher_filter_predicate(x->f, only_even, &asked), 0);
	add(x, WATCHER_RULE_IGNORE, "no");
	apply(x);
	assert_false(watcher__filter_pass(x->fr, "ab", 2, WATCHER_TYPE_FILE, WATCHER_DELETED));
	assert_false(dir(x, "ab"));
	assert_false(file(x, "no"));
	assert_int_equal(asked, 0);
	assert_true(file(x, "ab"));
	assert_false(file(x, "abc"));
	assert_int_equal(asked, 2);
	assert_true(watcher__filter_pass(x->fr, "no", 2, WATCHER_TYPE_FILE, WATCHER_OVERFLOW));
}

static void test_a_file_root_is_known_by_its_name(void **state)
{
	struct fixture *x = *state;
	char path[100];

	add(x, WATCHER_RULE_PATTERN, "*.c");
	add(x, WATCHER_RULE_IGNORE, "x*");
	snprintf(path, sizeof path, "%s/a.c", x->dir);
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, path, "a.c"), 0);
	assert_true(file(x, ""));
	watcher__filter_unbind(x->fr);
	snprintf(path, sizeof path, "%s/x.c", x->dir);
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, path, "x.c"), 0);
	assert_false(file(x, ""));
}

/* ---- bad rules ---- */

static void refuses(struct fixture *x, int rule, const char *text, int code, size_t offset,
		    const char *message)
{
	watcher_error err;

	assert_int_equal(watcher_filter_add(x->f, rule, text, NULL, &err), code);
	assert_int_equal(err.code, code);
	assert_int_equal(err.offset, offset);
	assert_string_equal(err.message, message);
}

static void test_bad_rules_name_the_byte_and_change_nothing(void **state)
{
	struct fixture *x = *state;
	watcher_error err;
	char *text = malloc(20001);

	refuses(x, WATCHER_RULE_PATTERN, "src/[a", UV_EINVAL, 4,
		"--pattern 'src/[a': byte 5: set without its ']'");
	refuses(x, WATCHER_RULE_IGNORE, "!a[[:nope:]]", UV_EINVAL, 3,
		"--ignore '!a[[:nope:]]': byte 4: unknown character class");
	refuses(x, WATCHER_RULE_INCLUDE, "x\\", UV_EINVAL, 1,
		"--include 'x\\': byte 2: nothing after '\\'");
	refuses(x, WATCHER_RULE_PATTERN, "\33\n[", UV_EINVAL, 2,
		"--pattern '??[': byte 3: set without its ']'");
	refuses(x, WATCHER_RULE_PATTERN, "", UV_EINVAL, 0, "--pattern '': byte 1: empty pattern");
	refuses(x, WATCHER_RULE_EXTENSION, "c,", UV_EINVAL, 2, "--ext 'c,': byte 3: empty extension");
	refuses(x, WATCHER_RULE_EXTENSION, "c, *.h, a*d", UV_EINVAL, 9,
		"--ext 'c, *.h, a*d': byte 10: an extension is no glob");
	refuses(x, WATCHER_RULE_EXTENSION, "c,d/e,f", UV_EINVAL, 3,
		"--ext 'c,d/e,f': byte 4: an extension has no '/'");
	refuses(x, WATCHER_RULE_REGEX, "a(b", UV_EINVAL, 3,
		"--regex 'a(b': byte 4: missing closing parenthesis");
	refuses(x, WATCHER_RULE_REGEX, "\\C", UV_EINVAL, 2,
		"--regex '\\C': byte 3: using \\C is disabled by the application");
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_IGNORE_FILE, "absent", NULL, &err),
			 UV_ENOENT);
	assert_string_equal(err.message, "absent: no such file or directory");
	refuses(x, WATCHER_RULE_IGNORE_FILE, "/", UV_EISDIR, 0,
		"/: illegal operation on a directory");
	refuses(x, WATCHER_RULE_FILTER_FILE, "/dev/null", UV_EINVAL, 0,
		"/dev/null: not a regular file");
	refuses(x, WATCHER_RULE_FILTER_FILE, "/dev/null/x", UV_ENOTDIR, 0,
		"/dev/null/x: not a directory");
	memset(text, 'a', 20000);
	text[20000] = '\0';
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_PATTERN, text, NULL, &err), UV_E2BIG);
	assert_int_equal(err.offset, 4096);
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_REGEX, text, NULL, &err), UV_E2BIG);
	assert_int_equal(err.offset, 8192);
	refuses(x, WATCHER_RULE_PATTERN, NULL, UV_EINVAL, 0,
		"a rule without its text: invalid argument");
	text[8192] = '\0';
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_PATTERN,
					    "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", NULL,
					    &err),
			 UV_E2BIG);
	assert_string_equal(err.message, "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}: "
					 "braces for more than 256 patterns");
	free(text);
	assert_int_equal(watcher_filter_add(x->f, 99, "a", NULL, &err), UV_EINVAL);
	assert_int_equal(watcher_filter_set(x->f, 1u << 20), UV_EINVAL);
	assert_int_equal(watcher_filter_kinds(x->f, 1u << 20), UV_EINVAL);
	assert_int_equal(watcher_filter_predicate(x->f, NULL, NULL), UV_EINVAL);
	apply(x);
	assert_true(file(x, "anything") && enters(x, "x"));
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_PATTERN, "a", NULL, &err), UV_EBUSY);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_a_catastrophic_regex_costs_little_and_drops_nothing(void **state)
{
	struct fixture *x = *state;
	char rel[4001];
	double start;

	memset(rel, 'a', sizeof rel);
	rel[sizeof rel - 2] = '!';
	rel[sizeof rel - 1] = '\0';
	add(x, WATCHER_RULE_IGNORE_REGEX, "^(a+)+$");
	add(x, WATCHER_RULE_REGEX, "^(a|aa)+$");
	apply(x);
	start = seconds();
	assert_true(file(x, rel));
	assert_true(file(x, rel));
	assert_true(seconds() - start < 0.2);
	assert_int_equal(x->problems, 2);
	assert_string_equal(x->problem, "--ignore-regex '^(a+)+$' takes too many steps on some paths; "
					"those count as not excluded");
}

static void test_a_regex_may_need_a_large_stack(void **state)
{
	struct fixture *x = *state;
	char rel[4002];

	memset(rel, 'a', sizeof rel);
	rel[sizeof rel - 2] = 'c';
	rel[sizeof rel - 1] = '\0';
	add(x, WATCHER_RULE_REGEX, "^(?:(a)|(b))*c$");
	apply(x);
	assert_true(file(x, rel));
	rel[0] = 'd';
	assert_false(file(x, rel));
	assert_int_equal(x->problems, 0);
}

static void test_adversarial_globs_take_linear_time(void **state)
{
	static const char *const globs[] = { "*a*a*a*a*a*a*a*a*b", "a*?a*?a*?a*?a*?ab",
					     "**/*a*a/**/*a*a/**/*a*a/**/b" };
	struct fixture *x = *state;
	char *rel = malloc(20001);
	double start;

	for (size_t i = 0; i < 3; i++)
		add(x, WATCHER_RULE_IGNORE, globs[i]);
	apply(x);
	memset(rel, 'a', 20000);
	rel[20000] = '\0';
	start = seconds();
	assert_true(file(x, rel));
	for (size_t i = 9; i < 20000; i += 10)
		rel[i] = '/';
	rel[19999] = 'a';
	assert_true(watcher__filter_pass(x->fr, rel, 20000, WATCHER_TYPE_FILE, WATCHER_CREATED));
	/* Every directory on the way is decided about: 2000 of them. */
	assert_true(seconds() - start < 10);
	rel[19999] = 'b';
	assert_false(file(x, rel));
	free(rel);
}

static void test_a_copy_can_be_added_to(void **state)
{
	struct fixture *x = *state;
	watcher_filter *copy;

	add(x, WATCHER_RULE_PATTERN, "*.c");
	assert_int_equal(watcher_filter_copy(&copy, x->f, NULL), 0);
	assert_int_equal(watcher_filter_add(copy, WATCHER_RULE_PATTERN, "!x.c", NULL, NULL), 0);
	apply(x);
	assert_true(file(x, "x.c"));
	watcher__filter_unbind(x->fr);
	assert_int_equal(watcher__filter_bind(&x->fr, copy, x->dir, "."), 0);
	watcher_filter_free(copy);
	assert_false(file(x, "x.c"));
	assert_true(file(x, "y.c"));
}

/* Decisions do not depend on what the table of directories happens to hold. */
static void test_the_memory_of_directories_changes_nothing(void **state)
{
	struct fixture *x = *state;
	struct filter_root *fresh;
	char rel[100];

	add(x, WATCHER_RULE_IGNORE, "d?[02468]");
	add(x, WATCHER_RULE_IGNORE, "!e*/d*4");
	add(x, WATCHER_RULE_PATTERN, "e1*/");
	apply(x);
	for (unsigned i = 0; i < 6000; i++) {
		unsigned n = i * 2654435761u;

		snprintf(rel, sizeof rel, "e%u/d%u/d%u/f", n % 40, n / 64 % 70, n / 8192 % 30);
		if (i % 60 == 0) {
			bool warm = file(x, rel);

			assert_int_equal(watcher__filter_bind(&fresh, x->f, x->dir, "."), 0);
			assert_int_equal(warm, watcher__filter_pass(fresh, rel, strlen(rel),
								    WATCHER_TYPE_FILE,
								    WATCHER_CREATED));
			watcher__filter_unbind(fresh);
		} else {
			enters(x, rel);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILTER_TEST(without_rules_everything_passes),
		FILTER_TEST(last_pattern_wins_and_directories_hand_it_down),
		FILTER_TEST(only_negated_patterns_let_the_rest_pass),
		FILTER_TEST(extensions_are_of_files_only),
		FILTER_TEST(ignored_directories_are_not_entered),
		FILTER_TEST(a_leading_dot_slash_anchors),
		FILTER_TEST(include_wins_and_keeps_its_way_open),
		FILTER_TEST(anchored_patterns_prune_the_crawl),
		FILTER_TEST(regexes_search_the_relative_path),
		FILTER_TEST(case_is_ignored_when_asked),
		FILTER_TEST(braces_expand_in_options),
		FILTER_TEST(full_patterns_match_the_path_as_shown),
		FILTER_TEST(an_empty_list_of_patterns_may_match_nothing),
		FILTER_TEST(kinds_directories_and_predicates_come_last),
		FILTER_TEST(a_file_root_is_known_by_its_name),
		FILTER_TEST(bad_rules_name_the_byte_and_change_nothing),
		FILTER_TEST(a_catastrophic_regex_costs_little_and_drops_nothing),
		FILTER_TEST(a_regex_may_need_a_large_stack),
		FILTER_TEST(adversarial_globs_take_linear_time),
		FILTER_TEST(a_copy_can_be_added_to),
		FILTER_TEST(the_memory_of_directories_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
