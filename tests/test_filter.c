/* Filters: what passes, what is entered, why; and what happens when rules change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../watcher/filter_root.h"

/* A filter of options, bound to an empty directory; `rules` are pairs, ended by -1. */
struct fixture {
	char dir[64];
	watcher_filter *f;
	struct filter_root *fr;
	int problems;
	char problem[500];
};

static void count_problem(const char *message, void *arg)
{
	struct fixture *x = arg;

	x->problems++;
	snprintf(x->problem, sizeof x->problem, "%s", message);
}

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	snprintf(x->dir, sizeof x->dir, "/tmp/whendo-filter-XXXXXX");
	if (!mkdtemp(x->dir) || chdir(x->dir) < 0 || watcher_filter_new(&x->f, NULL) < 0)
		return -1;
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	char command[100];

	watcher__filter_unbind(x->fr);
	watcher_filter_free(x->f);
	snprintf(command, sizeof command, "rm -rf %s", x->dir);
	free(x);
	return chdir("/") < 0 ? -1 : system(command);
}

static void add(struct fixture *x, int rule, const char *text)
{
	watcher_error err;

	if (watcher_filter_add(x->f, rule, text, NULL, &err) < 0)
		fail_msg("%s", err.message);
}

static void apply(struct fixture *x)
{
	assert_int_equal(watcher_filter_on_problem(x->f, count_problem, x), 0);
	assert_int_equal(watcher__filter_bind(&x->fr, x->f, x->dir, "."), 0);
}

static bool file(struct fixture *x, const char *rel)
{
	return watcher__filter_pass(x->fr, rel, strlen(rel), WATCHER_TYPE_FILE, WATCHER_CREATED);
}

static bool dir(struct fixture *x, const char *rel)
{
	return watcher__filter_pass(x->fr, rel, strlen(rel), WATCHER_TYPE_DIR, WATCHER_CREATED);
}

static bool enters(struct fixture *x, const char *rel)
{
	return watcher__filter_descend(x->fr, rel, strlen(rel));
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int reload(struct fixture *x, const char *rel)
{
	return watcher__filter_reload(x->fr, rel, strlen(rel));
}

/* ---- options ---- */

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
	refuses(x, WATCHER_RULE_PATTERN, "", UV_EINVAL, 0, "--pattern '': byte 1: empty pattern");
	refuses(x, WATCHER_RULE_EXTENSION, "c,", UV_EINVAL, 0, "--ext '': byte 1: empty extension");
	refuses(x, WATCHER_RULE_REGEX, "a(b", UV_EINVAL, 3,
		"--regex 'a(b': byte 4: missing closing parenthesis");
	refuses(x, WATCHER_RULE_REGEX, "\\C", UV_EINVAL, 2,
		"--regex '\\C': byte 3: using \\C is disabled by the application");
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_IGNORE_FILE, "absent", NULL, &err),
			 UV_ENOENT);
	assert_string_equal(err.message, "absent: no such file or directory");
	memset(text, 'a', 20000);
	text[20000] = '\0';
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_PATTERN, text, NULL, &err), UV_E2BIG);
	assert_int_equal(err.offset, 4096);
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_REGEX, text, NULL, &err), UV_EINVAL);
	text[8192] = '\0';
	assert_int_equal(watcher_filter_add(x->f, WATCHER_RULE_PATTERN,
					    "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", NULL,
					    &err),
			 UV_E2BIG);
	free(text);
	assert_int_equal(watcher_filter_add(x->f, 99, "a", NULL, &err), UV_EINVAL);
	assert_int_equal(watcher_filter_set(x->f, 1u << 20), UV_EINVAL);
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

/* ---- ignore files ---- */

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
	assert_int_equal(watcher__filter_rename(x->fr, "sub", 3, "moved", 5), 0);
	assert_true(file(x, "sub/new"));
	assert_false(file(x, "moved/new"));
	watcher__filter_forget(x->fr, "moved", 5);
	assert_true(file(x, "moved/new"));
	assert_int_equal(reload(x, "moved"), 1);
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
	char want[200];

	assert_int_equal(mkfifo(".ignore", 0600), 0);
	assert_int_equal(system("head -c 1100000 /dev/zero | tr '\\0' x > .gitignore"), 0);
	assert_int_equal(watcher_filter_set(x->f, WATCHER_FILTER_GITIGNORE |
							  WATCHER_FILTER_DOT_IGNORE),
			 0);
	apply(x);
	assert_int_equal(x->problems, 1);
	snprintf(want, sizeof want, "%s/.gitignore: argument list too long: its rules do not count",
		 x->dir);
	assert_string_equal(x->problem, want);
	assert_true(file(x, "x"));
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
	int asked = 0;

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
	assert_int_equal(watcher_filter_predicate(x->f, only_even, &asked), 0);
	why(x, "a.c", WATCHER_WHY_PREDICATE, "does not pass: a predicate refused it", "");
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

#define T(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_rules_everything_passes),
		T(last_pattern_wins_and_directories_hand_it_down),
		T(only_negated_patterns_let_the_rest_pass),
		T(extensions_are_of_files_only),
		T(ignored_directories_are_not_entered),
		T(include_wins_and_keeps_its_way_open),
		T(anchored_patterns_prune_the_crawl),
		T(regexes_search_the_relative_path),
		T(case_is_ignored_when_asked),
		T(braces_expand_in_options),
		T(full_patterns_match_the_path_as_shown),
		T(an_empty_list_of_patterns_may_match_nothing),
		T(kinds_directories_and_predicates_come_last),
		T(a_file_root_is_known_by_its_name),
		T(bad_rules_name_the_byte_and_change_nothing),
		T(a_catastrophic_regex_costs_little_and_drops_nothing),
		T(adversarial_globs_take_linear_time),
		T(nested_ignore_files_and_their_order),
		T(rules_follow_what_happens_to_their_files),
		T(a_work_tree_above_the_root_counts),
		T(filter_and_ignore_files_are_relative_to_their_directory),
		T(what_cannot_be_read_is_told),
		T(verdicts_name_the_rule_and_where_it_stands),
		T(verdicts_of_patterns_kinds_and_predicates),
		T(a_copy_can_be_added_to),
		T(the_memory_of_directories_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
