/* Ignore files: their order, what happens when they change; and verdicts that name them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter_fixture.h"

static void ignore_file_fixture(struct fixture *x)
{
	mkdir("sub", 0700);
	mkdir("sub/deep", 0700);
	put(".gitignore", "*.o\n/top\n");
	put("sub/.gitignore", "!keep.o\ndeep/x\n");
	put("sub/.ignore", "only-ignore\n");
	put(".whendoignore", "!sub/only-ignore\nours\n");
	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_GITIGNORE |
							  WATCHER_FILTER_DOT_IGNORE |
							  WATCHER_FILTER_DEFAULTS),
			 0);
	apply(x);
	assert_int_equal(reload(x, "sub"), 1);
	assert_int_equal(reload(x, "sub"), 0);
	assert_int_equal(reload(x, "sub/deep"), 0);
}

static void test_nested_ignore_files_and_their_order(void **state)
{
	struct fixture *x = *state;

	ignore_file_fixture(x);
	assert_false(file(x, "a.o"));
	assert_false(file(x, "sub/a.o"));
	assert_true(file(x, "sub/keep.o") && file(x, "sub/deep/keep.o"));
	assert_false(file(x, "keep.o"));
	assert_false(file(x, "top"));
	assert_true(file(x, "sub/top"));
	assert_false(file(x, "sub/deep/x"));
	assert_true(file(x, "deep/x"));
	assert_true(file(x, "sub/only-ignore"));
	assert_false(file(x, "sub/deep/only-ignore"));
	assert_false(file(x, "sub/ours"));
	assert_false(enters(x, ".git"));
	assert_false(file(x, "a.c~"));
	assert_true(watcher__filter_is_ignore_file(x->fr, ".gitignore", 10));
	assert_true(watcher__filter_is_ignore_file(x->fr, ".git", 4));
	assert_true(watcher__filter_is_ignore_file(x->fr, ".whendoignore", 13));
	assert_false(watcher__filter_is_ignore_file(x->fr, ".gitignor", 9));
}

static void test_rules_follow_what_happens_to_their_files(void **state)
{
	struct fixture *x = *state;

	ignore_file_fixture(x);
	assert_false(file(x, "sub/deep/x"));
	put("sub/.gitignore", "new\n");
	assert_int_equal(reload(x, "sub"), 1);
	assert_true(file(x, "sub/deep/x"));
	assert_false(file(x, "sub/new"));
	assert_int_equal(rename("sub", "moved"), 0);
	watcher__filter_forget(x->fr, "sub", 3);
	assert_true(file(x, "sub/new"));
	assert_true(file(x, "moved/new"));
	assert_int_equal(reload(x, "moved"), 1);
	assert_false(file(x, "moved/new"));
	unlink("moved/.gitignore");
	unlink("moved/.ignore");
	assert_int_equal(reload(x, "moved"), 1);
	assert_true(file(x, "moved/new"));
}

static void test_a_work_tree_above_the_root_counts(void **state)
{
	struct fixture *x = *state;
	char root[100];

	assert_int_equal(system("mkdir -p .git/info a/b/c/.git a/b/d"), 0);
	put(".gitignore", "*.o\n/a/b/anchored\n");
	put("a/.gitignore", "!special.o\n");
	put(".git/info/exclude", "excluded\n");
	put("a/b/c/.gitignore", "*.own\n");
	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_GITIGNORE), 0);
	snprintf(root, sizeof root, "%s/a/b", x->dir);
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, root, "a/b"), 0);
	assert_false(file(x, "x.o"));
	assert_true(file(x, "special.o"));
	assert_false(file(x, "anchored"));
	assert_true(file(x, "d/anchored"));
	assert_false(file(x, "d/excluded"));
	/* Another repository inside has its own rules only. */
	assert_int_equal(reload(x, "c"), 1);
	assert_true(file(x, "c/x.o") && file(x, "c/excluded"));
	assert_false(file(x, "c/x.own"));
}

static int collect(const char *path, void *arg)
{
	return bytes_addf(arg, "%s ", path);
}

static void test_files_outside_are_named_and_read_again(void **state)
{
	struct fixture *x = *state;
	struct bytes paths = { 0 }, want = { 0 };
	char root[100];

	assert_int_equal(system("mkdir -p .git/info a/b home/git"), 0);
	setenv("XDG_CONFIG_HOME", x->dir, 1);
	setenv("HOME", x->dir, 1);
	put("a/.gitignore", "one\n");
	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_GITIGNORE), 0);
	snprintf(root, sizeof root, "%s/a/b", x->dir);
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, root, "a/b"), 0);
	assert_int_equal(watcher__filter_outside(x->fr, collect, &paths), 0);
	bytes_addf(&want, "%s/.git/info/exclude %s/.gitignore %s/a/.gitignore %s/git/ignore ",
		   x->dir, x->dir, x->dir, x->dir);
	bytes_addf(&want, "/etc/gitconfig %s/git/config %s/.gitconfig %s/.git/config ", x->dir,
		   x->dir, x->dir);
	assert_string_equal(paths.data, want.data);
	assert_int_equal(watcher__filter_reload_all(x->fr), 0);
	assert_false(file(x, "one"));
	put("a/.gitignore", "two\n");
	assert_int_equal(watcher__filter_reload_all(x->fr), 1);
	assert_true(file(x, "one"));
	assert_false(file(x, "two"));
	put(".git/info/exclude", "three\n");
	put("a/b/.gitignore", "four\n");
	assert_int_equal(watcher__filter_reload_all(x->fr), 1);
	assert_false(file(x, "three"));
	assert_false(file(x, "four"));
	bytes_free(&paths);
	bytes_free(&want);
}

static void test_filter_and_ignore_files_are_relative_to_their_directory(void **state)
{
	struct fixture *x = *state;
	char root[100];

	assert_int_equal(system("mkdir -p proj/src/low elsewhere"), 0);
	put("proj/allow", "# comment\n/src/*.c\n*.h\n!no.h\n");
	put("proj/src/low/deny", "/x.h\n");
	put("elsewhere/deny", "/y.h\n");
	add(x, WATCHER_RULE_FILTER_FILE, "proj/allow");
	add(x, WATCHER_RULE_IGNORE_FILE, "proj/src/low/deny");
	add(x, WATCHER_RULE_IGNORE_FILE, "elsewhere/deny");
	snprintf(root, sizeof root, "%s/proj/src", x->dir);
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, root, "src"), 0);
	assert_true(file(x, "a.c") && file(x, "low/a.h") && file(x, "x.h"));
	assert_false(file(x, "low/a.c"));
	assert_false(file(x, "no.h"));
	assert_false(file(x, "low/x.h"));
	assert_false(file(x, "y.h"));
	assert_true(file(x, "low/y.h"));
}

static void test_what_cannot_be_read_is_told(void **state)
{
	struct fixture *x = *state;
	watcher_verdict *v;
	char want[200];

	assert_int_equal(mkfifo(".ignore", 0600), 0);
	assert_int_equal(system("head -c 1100000 /dev/zero | tr '\\0' x > .gitignore"), 0);
	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_GITIGNORE |
							  WATCHER_FILTER_DOT_IGNORE),
			 0);
	apply(x);
	assert_int_equal(x->problems, 1);
	snprintf(want, sizeof want, "%s/.gitignore: larger than 1 MiB: its rules do not count",
		 x->dir);
	assert_string_equal(x->problem, want);
	assert_true(file(x, "x"));
	assert_int_equal(watcher_filter_check(&v, x->f, ".", "x", WATCHER_TYPE_UNKNOWN, 0, NULL), 0);
	watcher_verdict_free(v);
	assert_int_equal(x->problems, 2);
}

static int only_even(const char *path, int type, unsigned kind, void *arg)
{
	(void)type;
	(void)kind;
	(void)arg;
	return strlen(path) % 2 == 0;
}

/* ---- why ---- */

static void why(struct fixture *x, const char *path, int expected, const char *message,
		const char *prunes)
{
	watcher_verdict *v;
	watcher_error err;

	if (watcher_filter_check(&v, x->f, ".", path, WATCHER_TYPE_UNKNOWN, 0, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(v->message, message);
	assert_int_equal(v->why, expected);
	assert_string_equal(v->prunes, prunes);
	watcher_verdict_free(v);
}

static void test_verdicts_name_the_rule_and_where_it_stands(void **state)
{
	struct fixture *x = *state;
	watcher_verdict *v;
	watcher_error err;
	char path[200];

	assert_int_equal(system("mkdir -p sub/out"), 0);
	put(".gitignore", "# built\n*.o\nout/\n");
	put("sub/.gitignore", "!main.o\n");
	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_GITIGNORE |
							  WATCHER_FILTER_DEFAULTS),
			 0);
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_IGNORE, "tmp*", "-i", NULL), 0);
	add(x, WATCHER_RULE_INCLUDE, "out/log");
	why(x, "a.c", WATCHER_WHY_NO_RULE, "passes: no rule is against it", "");
	why(x, "sub/a.o", WATCHER_WHY_IGNORED, "ignored: *.o (.gitignore:2)", "");
	why(x, "./sub//main.o", WATCHER_WHY_REINCLUDED, "passes: !main.o (sub/.gitignore:1)", "");
	why(x, "sub/out/a.c", WATCHER_WHY_IGNORED,
	    "ignored: out/ (.gitignore:3), through the directory sub/out", "sub/out");
	why(x, "sub/out", WATCHER_WHY_IGNORED, "ignored: out/ (.gitignore:3)", "sub/out");
	why(x, "out/log", WATCHER_WHY_INCLUDED, "passes: out/log (--include)", "");
	why(x, "tmpx", WATCHER_WHY_IGNORED, "ignored: tmp* (-i)", "");
	why(x, "a/.git/x/y", WATCHER_WHY_IGNORED,
	    "ignored: .git (default), through the directory a/.git", "a/.git");
	snprintf(path, sizeof path, "%s/sub/../tmpx", x->dir);
	why(x, path, WATCHER_WHY_IGNORED, "ignored: tmp* (-i)", "");
	assert_int_equal(watcher_filter_check(&v, x->f, "sub", "/etc/passwd", 0, 0, &err),
			 UV_EINVAL);
	assert_string_equal(err.message, "/etc/passwd is not below sub");
}

static void test_verdicts_of_patterns_kinds_and_predicates(void **state)
{
	struct fixture *x = *state;
	watcher_verdict *v;

	add(x, WATCHER_RULE_PATTERN, "*.c");
	add(x, WATCHER_RULE_PATTERN, "!x.c");
	assert_int_equal(watcher_filter_kinds(x->f, WATCHER_CREATED), 0);
	why(x, "a.c", WATCHER_WHY_PATTERN, "passes: *.c (--pattern)", "");
	why(x, "x.c", WATCHER_WHY_PATTERN, "does not pass: !x.c (--pattern)", "");
	why(x, "a.h", WATCHER_WHY_NO_PATTERN, "does not pass: no pattern matches it", "");
	assert_int_equal(watcher_filter_check(&v, x->f, ".", "a.c", 0, WATCHER_DELETED, NULL), 0);
	assert_int_equal(v->why, WATCHER_WHY_KIND);
	assert_false(v->passes);
	watcher_verdict_free(v);
	assert_int_equal(watcher_filter_predicate(x->f, only_even, NULL), 0);
	why(x, "a.c", WATCHER_WHY_PREDICATE, "does not pass: a predicate refused it", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILTER_TEST(nested_ignore_files_and_their_order),
		FILTER_TEST(rules_follow_what_happens_to_their_files),
		FILTER_TEST(a_work_tree_above_the_root_counts),
		FILTER_TEST(files_outside_are_named_and_read_again),
		FILTER_TEST(filter_and_ignore_files_are_relative_to_their_directory),
		FILTER_TEST(what_cannot_be_read_is_told),
		FILTER_TEST(verdicts_name_the_rule_and_where_it_stands),
		FILTER_TEST(verdicts_of_patterns_kinds_and_predicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
