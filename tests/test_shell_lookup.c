/*
 * Looking programs up, near names and globs, in a directory made for each test.
 *
 * link: -Wl,--wrap=realloc,--wrap=malloc,--wrap=glob
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "whendo/shellcmd.h"
#include "shellcmd/lookup.h"

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
int __real_glob(const char *pattern, int flags, int (*fn)(const char *, int), glob_t *g);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);
int __wrap_glob(const char *pattern, int flags, int (*fn)(const char *, int), glob_t *g);

static int fail_at;   /* the allocation that fails, counted from 1; 0: none */
static int glob_says; /* what glob(3) returns instead of looking */

static int fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

int __wrap_glob(const char *pattern, int flags, int (*fn)(const char *, int), glob_t *g)
{
	if (!glob_says)
		return __real_glob(pattern, flags, fn, g);
	errno = EACCES;
	return glob_says;
}

/* ------------------------------------------------------------- fixture ---- */

static char home[4096]; /* where the test is */

static void make_file(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static int enter(void **state)
{
	(void)state;
	strcpy(home, "/tmp/whendo-lookup-XXXXXX");
	return mkdtemp(home) && chdir(home) == 0 && mkdir("one", 0755) == 0 &&
		       mkdir("two", 0755) == 0
		   ? 0
		   : -1;
}

static int leave(void **state)
{
	(void)state;
	fail_at = glob_says = 0;
	return chdir("/") == 0 ? nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

/* An environment whose PATH is one:two here, and whose HOME is here. */
static const char *const *test_env(void)
{
	static char path[9000], where[4200];
	static const char *env[] = { path, where, NULL };

	snprintf(path, sizeof path, "PATH=%s/one:%s/two", home, home);
	snprintf(where, sizeof where, "HOME=%s", home);
	return env;
}

static void assert_found(const char *name, const char *const *env, const char *want)
{
	char *path = NULL, whole[8300];

	snprintf(whole, sizeof whole, "%s/%s", home, want);
	assert_int_equal(sh__lookup(&path, name, env), 0);
	assert_string_equal(path, whole);
	free(path);
}

static void assert_missing(const char *name, const char *const *env, int error)
{
	char *path = NULL;

	assert_int_equal(sh__lookup(&path, name, env), error);
	assert_null(path);
}

/* -------------------------------------------------------------- lookup ---- */

static void test_the_first_executable_file_in_path_wins(void **state)
{
	(void)state;
	make_file("two/prog", 0755);
	assert_found("prog", test_env(), "two/prog");
	make_file("one/prog", 0644);
	assert_found("prog", test_env(), "two/prog");
	assert_int_equal(chmod("one/prog", 0755), 0);
	assert_found("prog", test_env(), "one/prog");
	assert_missing("absent", test_env(), UV_ENOENT);
	assert_missing("", test_env(), UV_EINVAL);
}

static void test_directories_are_skipped_and_remembered(void **state)
{
	(void)state;
	assert_int_equal(mkdir("one/prog", 0755), 0);
	assert_missing("prog", test_env(), UV_EACCES);
	make_file("two/prog", 0755);
	assert_found("prog", test_env(), "two/prog");
	make_file("one/text", 0644);
	assert_missing("text", test_env(), UV_EACCES);
	assert_missing("./one/prog", test_env(), UV_EACCES);
	assert_missing("one/text/x", test_env(), UV_ENOENT);
}

static void test_what_is_found_relative_becomes_absolute(void **state)
{
	(void)state;
	make_file("here", 0755);
	make_file("one/prog", 0755);
	assert_found("./here", test_env(), "here");
	assert_found("one/prog", test_env(), "one/prog");
	assert_found("prog", SH_LIST("PATH=one"), "one/prog");
	assert_found("here", SH_LIST("PATH="), "here");
	assert_found("here", SH_LIST("PATH=/nowhere:"), "here");
	assert_missing("here", SH_LIST("PATH=/nowhere"), UV_ENOENT);
}

static void test_without_path_the_standard_one_is_searched(void **state)
{
	char *path = NULL;

	(void)state;
	assert_int_equal(sh__lookup(&path, "sh", SH_LIST("OTHER=1")), 0);
	assert_string_equal(path, "/bin/sh");
	free(path);
}

static void test_tilde_is_a_home(void **state)
{
	char *path = NULL;
	struct passwd *me = getpwuid(getuid());
	char user[300];

	(void)state;
	make_file("two/prog", 0755);
	assert_found("~/two/prog", test_env(), "two/prog");
	assert_missing("~/absent", test_env(), UV_ENOENT);
	assert_missing("~no-such-user-here/x", test_env(), UV_ENOENT);
	assert_non_null(me);
	snprintf(user, sizeof user, "~%s", me->pw_name);
	assert_int_equal(sh__lookup(&path, user, test_env()), UV_EACCES); /* a directory */
	assert_int_equal(sh__lookup(&path, "~", SH_LIST("A=1")), UV_EACCES);
}

static void test_which_uses_the_path_of_this_process(void **state)
{
	char old[9000], *path;

	(void)state;
	snprintf(old, sizeof old, "%s", getenv("PATH"));
	make_file("one/prog", 0755);
	assert_int_equal(setenv("PATH", strchr(test_env()[0], '=') + 1, 1), 0);
	path = sh_which("prog");
	assert_non_null(path);
	assert_string_equal(path + strlen(home), "/one/prog");
	assert_null(sh_which("prg"));
	assert_null(sh_which(NULL));
	assert_int_equal(setenv("PATH", old, 1), 0);
	free(path);
}

/* ---------------------------------------------------------- near names ---- */

static void assert_near(const char *name, const char *want)
{
	char *near = sh__near_name(name, test_env());

	if (want) {
		assert_non_null(near);
		assert_string_equal(near, want);
	} else {
		assert_null(near);
	}
	free(near);
}

static void test_near_names_are_few_edits_away(void **state)
{
	(void)state;
	make_file("one/git", 0755);
	make_file("two/python3", 0755);
	make_file("one/clang-format-14", 0755);
	make_file("two/gut", 0644);
	assert_near("gti", "git");
	assert_near("gt", NULL);
	assert_near("gut", "git"); /* itself may not be executed */
	assert_near("gxx", NULL);
	assert_near("pyhton3", "python3");
	assert_near("python", "python3");
	assert_near("pyhton", "python3");
	assert_near("clang-format", "clang-format-14");
	assert_near("something-else", NULL);
	assert_near("", NULL);
}

static void test_of_equally_near_names_the_longer_common_start_wins(void **state)
{
	(void)state;
	make_file("one/bake", 0755);
	make_file("one/mace", 0755);
	make_file("two/make", 0755);
	assert_near("mane", "mace"); /* mace and make share two bytes: the alphabet */
	assert_near("maka", "make");
	assert_near("mkae", "make");
	assert_near("oake", "bake");
}

static void test_near_names_of_a_path_are_looked_for_beside_it(void **state)
{
	(void)state;
	make_file("one/build.sh", 0755);
	assert_near("one/biuld.sh", "one/build.sh");
	assert_near("./one/buildsh", "./one/build.sh");
	assert_near("nowhere/build.sh", NULL);
	assert_int_equal(mkdir("one/directory", 0755), 0);
	assert_near("one/directroy", NULL);
}

static void test_names_of_any_length_are_taken(void **state)
{
	char name[251], *near;

	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[250] = '\0';
	assert_near(name, NULL);
	name[48] = '\0';
	assert_near(name, NULL);
	assert_int_equal(chdir("one"), 0);
	make_file(name, 0755);
	assert_int_equal(chdir(".."), 0);
	name[47] = '\0';
	near = sh__near_name(name, test_env());
	assert_non_null(near);
	assert_int_equal(strlen(near), 48);
	free(near);
}

/* --------------------------------------------------------------- globs ---- */

static void test_a_glob_is_sorted_and_complete(void **state)
{
	char **w;

	(void)state;
	make_file("one/b.c", 0644);
	make_file("one/B.c", 0644);
	make_file("one/a.c", 0644);
	make_file("one/.hidden.c", 0644);
	make_file("one/a.h", 0644);
	assert_int_equal(sh_glob(&w, "one/*.c", 0), 3);
	assert_string_equal(w[0], "one/B.c");
	assert_string_equal(w[1], "one/a.c");
	assert_string_equal(w[2], "one/b.c");
	assert_null(w[3]);
	sh_words_free(w);
	assert_int_equal(sh_glob(&w, "one/[ab].?", 0), 3);
	assert_string_equal(w[1], "one/a.h");
	sh_words_free(w);
	assert_int_equal(sh_glob(&w, "one/a.c", 0), 1);
	assert_string_equal(w[0], "one/a.c");
	sh_words_free(w);
}

static void test_a_glob_without_match_is_an_error_or_empty(void **state)
{
	char *untouched = NULL, **w = &untouched;

	(void)state;
	assert_int_equal(sh_glob(&w, "one/*.c", 0), UV_ENOENT);
	assert_int_equal(sh_glob(&w, "absent/*", 0), UV_ENOENT);
	assert_int_equal(sh_glob(&w, "absent", 0), UV_ENOENT);
	assert_int_equal(sh_glob(&w, "", 0), UV_EINVAL);
	assert_int_equal(sh_glob(&w, NULL, 0), UV_EINVAL);
	assert_int_equal(sh_glob(&w, "*", 2), UV_EINVAL);
	assert_ptr_equal(w, &untouched);
	assert_int_equal(sh_glob(&w, "one/*.c", SH_GLOB_NULL), 0);
	assert_null(w[0]);
	sh_words_free(w);
}

static void test_what_glob_cannot_read_is_told(void **state)
{
	char **w;

	(void)state;
	glob_says = GLOB_NOSPACE;
	assert_int_equal(sh_glob(&w, "*", SH_GLOB_NULL), UV_ENOMEM);
	glob_says = GLOB_ABORTED;
	assert_int_equal(sh_glob(&w, "*", SH_GLOB_NULL), UV_EACCES);
	glob_says = 0;
	assert_int_equal(chmod(home, 0755), 0);
	assert_int_equal(chmod("one", 0), 0);
	if (geteuid() == 0) /* who may read everything */
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(sh_glob(&w, "one/*", 0), UV_EACCES);
	assert_int_equal(sh_glob(&w, "*/*", 0), UV_EACCES);
	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(chmod("one", 0755), 0);
}

/* -------------------------------------------------------------- memory ---- */

static void test_each_failing_allocation_is_told(void **state)
{
	char *path = NULL, **w = NULL;
	int k, r;

	(void)state;
	make_file("one/prog", 0755);
	for (k = 1, r = UV_ENOMEM; r == UV_ENOMEM; k++) {
		fail_at = k;
		r = sh__lookup(&path, "~/one/prog", test_env());
	}
	assert_int_equal(r, 0);
	assert_int_equal(fail_at, 1);
	free(path);
	for (k = 1, r = UV_ENOMEM; r == UV_ENOMEM; k++) {
		fail_at = k;
		r = sh__lookup(&path, "prog", SH_LIST("PATH=one"));
	}
	assert_int_equal(r, 0);
	assert_int_equal(fail_at, 1);
	assert_true(k >= 3);
	free(path);
	for (k = 1, r = UV_ENOMEM; r == UV_ENOMEM; k++) {
		fail_at = k;
		r = sh_glob(&w, "one/*", 0);
	}
	assert_int_equal(r, 1);
	assert_int_equal(fail_at, 1);
	sh_words_free(w);
	/* Without memory for one directory the others are still looked at. */
	for (k = 1, r = 0; r == 0; k++) {
		fail_at = k;
		path = sh__near_name("porg", test_env());
		r = fail_at;
		fail_at = 0;
		if (path || r)
			assert_string_equal(path, "prog");
		free(path);
	}
	assert_true(k >= 5);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_the_first_executable_file_in_path_wins),
		IN_DIRECTORY(test_directories_are_skipped_and_remembered),
		IN_DIRECTORY(test_what_is_found_relative_becomes_absolute),
		IN_DIRECTORY(test_without_path_the_standard_one_is_searched),
		IN_DIRECTORY(test_tilde_is_a_home),
		IN_DIRECTORY(test_which_uses_the_path_of_this_process),
		IN_DIRECTORY(test_near_names_are_few_edits_away),
		IN_DIRECTORY(test_of_equally_near_names_the_longer_common_start_wins),
		IN_DIRECTORY(test_near_names_of_a_path_are_looked_for_beside_it),
		IN_DIRECTORY(test_names_of_any_length_are_taken),
		IN_DIRECTORY(test_a_glob_is_sorted_and_complete),
		IN_DIRECTORY(test_a_glob_without_match_is_an_error_or_empty),
		IN_DIRECTORY(test_what_glob_cannot_read_is_told),
		IN_DIRECTORY(test_each_failing_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
