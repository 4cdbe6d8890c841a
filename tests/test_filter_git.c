/*
 * Ignore files mean what git says they mean: random trees with random ignore files, every
 * path of them asked of `git check-ignore` and of a bound filter, the deciding line included.
 * WHENDO_SEED repeats a run, WHENDO_ROUNDS makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../watcher/filter_root.h"

static struct {
	char dir[64], home[96];
	uint64_t seed, random;
	size_t compared, ignored, reincluded;
} t;

static unsigned below(unsigned n)
{
	t.random = t.random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(t.random >> 33) % n;
}

/* ---- what is generated ---- */

static const char *const names[] = { "a",  "b",   "ab",  "ba",	"abc", "foo", "foo.c", "x y", "a]",
				     "-",  "[a]", "#x",	 "!x",	"a-b", "A",   "f\\o", "\xc3\xa9",
				     "\xff", "aaaaab", "1", "x ", "a\tb", "]", "^a", "\v" };

static const char *const pieces[] = {
	"a",	 "b",	   "foo",      "x",	 "/",	     "/",	  "*",	   "*",
	"**",	 "/**/",   "**/",      "/**",	 "?",	     "[ab]",	  "[!a]",  "[^b]",
	"[a-]",	 "[]]",	   "[!]]",     "[]-a]",	 "[z-a]",    "[a-c-e]",	  "[[:alpha:]]",
	"[[:punct:]b]", "[[:space:]]", "[[:space:]]", "[[:upper:][:digit:]]", "[[:bogus:]]", "[[:al]",
	"[a",	 "\\a",	   "\\*",      "\\[",	 "\\",	     "[\\]]",	  "[a\\-c]", "#",
	"!",	 "***",	   "-",	       ".c",	 " ",	     "\\ ",	  "\t",	   "[/]",
	"ab",	 "*a*a*b", "\xc3\xa9", "[\xc3\xa9]", "A",    "[x ]y",	  "\\/",   "**\\/",
	"[[]",	 "[^]a]",  "{a,b}",    "[A-\\z]", "[[:a-z]", "[--0]",
};

#define PICK(array) (array)[below(sizeof(array) / sizeof *(array))]

/* Puts a wildcard that may fit in the place of `c`. */
static void blur(struct bytes *out, char c)
{
	static const char *const wild[] = { "?", "*", "**", "*?", "[!\x01]", "[^/]", "", "***" };

	switch (below(5)) {
	case 0:
		assert_int_equal(bytes_addf(out, "[%c-%c]", c == '/' ? '.' : c, c), 0);
		break;
	case 1:
		assert_int_equal(bytes_addf(out, "\\%c", c), 0);
		break;
	default:
		assert_int_equal(bytes_adds(out, PICK(wild)), 0);
	}
}

/* A path of the tree, blurred here and there: such a line has a good chance to match. */
static void line_from_path(struct bytes *out, const struct bytes *paths, const char *base)
{
	size_t want = below((unsigned)paths->len), i = 0, skip = strlen(base), n;
	const char *path;

	while (i + strlen(paths->data + i) + 1 <= want)
		i += strlen(paths->data + i) + 1;
	path = paths->data + i + 1;
	if (skip && strncmp(path, base, skip) == 0 && path[skip] == '/')
		path += skip + 1;
	if (below(3) == 0 && strrchr(path, '/'))
		path = strrchr(path, '/') + below(2);
	for (n = strlen(path); n; n--, path++) {
		if (*path == '/' && below(4) == 0)
			assert_int_equal(bytes_adds(out, below(2) ? "/**/" : "**/"), 0);
		else if (below(6) == 0)
			blur(out, *path);
		else
			assert_int_equal(bytes_addc(out, *path), 0);
		if (below(12) == 0 && strchr(path, '/'))
			path = strchr(path, '/') - 1, n = strlen(path);
	}
}

static void random_line(struct bytes *out, const struct bytes *paths, const char *base)
{
	if (paths->len && below(2)) {
		if (below(4) == 0)
			bytes_adds(out, "!");
		if (below(6) == 0)
			bytes_adds(out, "/");
		line_from_path(out, paths, base);
		if (below(6) == 0)
			bytes_adds(out, "/");
	} else if (below(12) == 0) {
		static const char *const odd[] = { "",	 "#comment", "!", "/",	"//", " ",  "!/",
						   "**", "/*",	     "*", "\\#x", "\\!x", "**/",
						   "/**", "*/",	     "!*/", "  a", "\\" };
		assert_int_equal(bytes_adds(out, PICK(odd)), 0);
	} else {
		if (below(4) == 0)
			bytes_adds(out, "!");
		if (below(6) == 0)
			bytes_adds(out, "/");
		for (unsigned n = below(5); n-- > 0;)
			bytes_adds(out, below(2) ? PICK(names) : PICK(pieces));
		if (below(3) == 0)
			bytes_adds(out, PICK(names));
		if (below(6) == 0)
			bytes_adds(out, "/");
	}
	if (below(10) == 0)
		bytes_adds(out, below(2) ? "  " : "\\ ");
	bytes_adds(out, below(10) ? "\n" : "\r\n");
}

static void write_file(const char *path, const char *data, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void random_ignore_file(const char *path, const struct bytes *paths, const char *base)
{
	struct bytes text = { 0 };

	if (below(8) == 0)
		bytes_adds(&text, "\xef\xbb\xbf");
	for (unsigned n = 1 + below(7); n-- > 0;)
		random_line(&text, paths, base);
	if (below(5) == 0 && text.len)
		text.len--; /* the last line without its end */
	write_file(path, text.data, text.len);
	bytes_free(&text);
}

/* Paths relative to the work tree, NUL-ended, each with its type in front. */
static void random_tree(struct bytes *paths, const char *rel, int depth)
{
	char path[1024];

	for (unsigned n = 2 + below(5); n-- > 0;) {
		struct stat st;
		bool dir = depth > 0 && below(2);

		snprintf(path, sizeof path, "%s%s%s", rel, *rel ? "/" : "", PICK(names));
		if (lstat(path, &st) == 0)
			continue;
		assert_int_equal(dir ? mkdir(path, 0700) : 0, 0);
		if (!dir)
			write_file(path, "", 0);
		bytes_addc(paths, dir ? 'd' : 'f');
		bytes_add(paths, path, strlen(path) + 1);
		if (dir)
			random_tree(paths, path, depth - 1);
	}
}

static void random_ignore_files(const struct bytes *paths)
{
	char path[1024];

	random_ignore_file(".gitignore", paths, "");
	for (size_t i = 0; i < paths->len; i += strlen(paths->data + i) + 1) {
		if (paths->data[i] != 'd' || below(3))
			continue;
		snprintf(path, sizeof path, "%s/.gitignore", paths->data + i + 1);
		random_ignore_file(path, paths, paths->data + i + 1);
	}
}

/* ---- git's answer ---- */

struct answer {
	const char *source, *line, *pattern, *path;
};

static void ask_git(struct bytes *out, const struct bytes *paths)
{
	struct bytes in = { 0 };
	FILE *f;
	size_t n;
	int status;

	for (size_t i = 0; i < paths->len; i += strlen(paths->data + i) + 1)
		bytes_add(&in, paths->data + i + 1, strlen(paths->data + i));
	write_file(".git/paths", in.data, in.len);
	bytes_free(&in);
	f = popen("git check-ignore -v --no-index --stdin -z -n < .git/paths", "r");
	assert_non_null(f);
	do {
		assert_int_equal(bytes_reserve(out, 65536), 0);
		n = fread(out->data + out->len, 1, 65536, f);
		out->len += n;
	} while (n);
	status = pclose(f);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
}

static const char *next(const char **at)
{
	const char *s = *at;

	*at += strlen(s) + 1;
	return s;
}

/* ---- the comparison ---- */

static void fail_on(const struct answer *git, const struct judgement *ours)
{
	char said[600] = "nothing";
	char show[700];

	if (ours->rule)
		snprintf(said, sizeof said, "%s:%u: '%s'", ours->rule->origin,
			 (unsigned)ours->rule->line, ours->rule->text);
	snprintf(show, sizeof show, "cp -r %s %s.bad", t.dir, t.dir);
	if (system(show) != 0)
		print_message("# no copy\n");
	print_message("# seed %llu, tree %s.bad, path '%s'\n", (unsigned long long)t.seed, t.dir,
		      git->path);
	fail_msg("git says %s:%s: '%s', we say %s", git->source, git->line, git->pattern, said);
}

static void compare(struct filter_root *fr, const struct answer *git, const char *rel, bool dir)
{
	struct judgement j;
	char line[16];
	const char *origin;
	size_t n;

	watcher__filter_judge(fr, rel, strlen(rel), dir ? WATCHER_TYPE_DIR : WATCHER_TYPE_FILE,
			      WATCHER_CREATED, &j);
	t.compared++;
	t.ignored += !j.passes;
	t.reincluded += j.why == WATCHER_WHY_REINCLUDED;
	if (dir)
		assert_int_equal(watcher__filter_descend(fr, rel, strlen(rel)), j.passes);
	if (!*git->source != !j.rule || (j.rule && j.passes != (git->pattern[0] == '!')))
		fail_on(git, &j);
	if (!j.rule)
		return;
	snprintf(line, sizeof line, "%u", (unsigned)j.rule->line);
	origin = j.rule->origin;
	n = strlen(git->source);
	/* What lies outside the root is named by its whole path here. */
	if (origin[0] == '/' && strlen(origin) >= n)
		origin += strlen(origin) - n;
	if (strcmp(line, git->line) != 0 || strcmp(origin, git->source) != 0 ||
	    strcmp(j.rule->text, git->pattern) != 0)
		fail_on(git, &j);
}

static bool is_dir_of(const struct bytes *paths, size_t i)
{
	return paths->data[i] == 'd';
}

/* Every path, in the order of a crawl: a directory's ignore files before its entries. */
static void compare_all(const struct bytes *paths, const struct bytes *answers)
{
	const char *at = answers->data;
	watcher_filter *f;
	struct filter_root *fr;

	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE), 0);
	assert_int_equal(watcher__filter_bind(&fr, f, t.dir, "."), 0);
	for (size_t i = 0; i < paths->len; i += strlen(paths->data + i) + 1)
		if (is_dir_of(paths, i) &&
		    watcher__filter_descend(fr, paths->data + i + 1, strlen(paths->data + i + 1)))
			assert_true(watcher__filter_reload(fr, paths->data + i + 1,
							   strlen(paths->data + i + 1)) >= 0);
	for (size_t i = 0; i < paths->len; i += strlen(paths->data + i) + 1) {
		struct answer git;

		git.source = next(&at);
		git.line = next(&at);
		git.pattern = next(&at);
		git.path = next(&at);
		assert_string_equal(git.path, paths->data + i + 1);
		compare(fr, &git, git.path, is_dir_of(paths, i));
	}
	watcher__filter_unbind(fr);
	watcher_filter_free(f);
}

/* Once more with a directory of the work tree as the root, one that is not ignored itself. */
static void compare_below(const struct bytes *paths, const struct bytes *answers, const char *top)
{
	const char *at = answers->data;
	struct filter_root *fr;
	watcher_filter *f;
	char root[1100];
	size_t skip = strlen(top) + 1;

	snprintf(root, sizeof root, "%s/%s", t.dir, top);
	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE), 0);
	assert_int_equal(watcher__filter_bind(&fr, f, root, top), 0);
	for (size_t i = 0; i < paths->len; i += strlen(paths->data + i) + 1) {
		const char *path = paths->data + i + 1;
		struct answer git;

		git.source = next(&at);
		git.line = next(&at);
		git.pattern = next(&at);
		git.path = next(&at);
		if (strncmp(path, top, skip - 1) != 0 || path[skip - 1] != '/')
			continue;
		if (is_dir_of(paths, i) && watcher__filter_descend(fr, path + skip, strlen(path + skip)))
			assert_true(watcher__filter_reload(fr, path + skip, strlen(path + skip)) >= 0);
		compare(fr, &git, path + skip, is_dir_of(paths, i));
	}
	watcher__filter_unbind(fr);
	watcher_filter_free(f);
}

static void compare_some_root(const struct bytes *paths, const struct bytes *answers)
{
	const char *at = answers->data;

	for (size_t i = 0; i < paths->len; i += strlen(paths->data + i) + 1) {
		const char *source = next(&at);
		const char *line = next(&at), *pattern = next(&at), *path = next(&at);
		bool ignored = *source && *pattern != '!';

		(void)line;
		if (is_dir_of(paths, i) && !ignored && below(3) == 0)
			compare_below(paths, answers, path);
	}
}

/* The public question gives the public answer, from the files on disk alone. */
static void compare_check(const struct bytes *paths, const struct bytes *answers)
{
	const char *at = answers->data;
	watcher_filter *f;

	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE), 0);
	for (size_t i = 0; i < paths->len; i += strlen(paths->data + i) + 1) {
		const char *source = next(&at);
		const char *line = next(&at), *pattern = next(&at), *path = next(&at);
		watcher_verdict *v;

		if (below(20))
			continue;
		assert_int_equal(watcher_filter_check(&v, f, ".", path, 0, 0, NULL), 0);
		assert_int_equal(v->passes, !*source || *pattern == '!');
		assert_int_equal(v->line, strtoul(line, NULL, 10));
		assert_string_equal(v->rule, pattern);
		watcher_verdict_free(v);
	}
	watcher_filter_free(f);
}

static void one_round(void)
{
	struct bytes paths = { 0 }, answers = { 0 };
	char global[128];

	assert_int_equal(system("git init -q . && rm -f .git/hooks/*"), 0);
	random_tree(&paths, "", 3);
	mkdir(".git/info", 0700);
	random_ignore_files(&paths);
	random_ignore_file(".git/info/exclude", &paths, "");
	snprintf(global, sizeof global, "%s/git/ignore", t.home);
	random_ignore_file(global, &paths, "");
	ask_git(&answers, &paths);
	compare_all(&paths, &answers);
	compare_some_root(&paths, &answers);
	compare_check(&paths, &answers);
	bytes_free(&paths);
	bytes_free(&answers);
}

static void test_random_trees_are_decided_as_git_decides_them(void **state)
{
	const char *rounds = getenv("WHENDO_ROUNDS"), *seed = getenv("WHENDO_SEED");
	char command[200];

	(void)state;
	t.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid();
	for (long n = rounds ? atol(rounds) : 60; n > 0; n--, t.seed++) {
		t.random = t.seed * 0x9e3779b97f4a7c15u;
		snprintf(t.dir, sizeof t.dir, "/tmp/whendo-git-XXXXXX");
		assert_non_null(mkdtemp(t.dir));
		assert_int_equal(chdir(t.dir), 0);
		one_round();
		assert_int_equal(chdir("/"), 0);
		snprintf(command, sizeof command, "rm -rf %s", t.dir);
		assert_int_equal(system(command), 0);
	}
	print_message("# seed up to %llu: %zu paths compared, %zu ignored, %zu re-included\n",
		      (unsigned long long)t.seed, t.compared, t.ignored, t.reincluded);
	/* The generator is worth nothing if it does not reach all outcomes. */
	assert_true(t.ignored > t.compared / 20 && t.reincluded > 0);
}

static int set_up(void **state)
{
	char path[160];

	(void)state;
	snprintf(t.home, sizeof t.home, "/tmp/whendo-home-XXXXXX");
	if (!mkdtemp(t.home))
		return -1;
	snprintf(path, sizeof path, "%s/git", t.home);
	if (mkdir(path, 0700) < 0)
		return -1;
	setenv("HOME", t.home, 1);
	setenv("XDG_CONFIG_HOME", t.home, 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	unsetenv("GIT_CONFIG_GLOBAL");
	return 0;
}

static int tear_down(void **state)
{
	char command[200];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", t.home);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_trees_are_decided_as_git_decides_them),
	};

	if (system("git --version > /dev/null 2>&1") != 0) {
		printf("1..1\nok 1 # SKIP git is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
