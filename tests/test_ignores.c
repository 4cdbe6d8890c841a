/*
 * Ignore files of a tree that is being watched: they move with their directories, go, come, and
 * change while nobody is told; every time what is wanted then is watched, and nothing else.
 */
#include "watch_test.h"

#include "next_tick.h"

#include <sys/syscall.h>

#define NAMES (WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED)

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

static struct told t;

/* NULL: the backend is not permitted here. */
static watcher *watch_tree(int backend, size_t max_backlog_bytes)
{
	watcher_filter *f;
	watcher *w;

	if (watcher_open(&w, WATCHER(.backend = backend, .poll_interval_ms = 3600000,
				     .max_backlog_bytes = max_backlog_bytes),
			 NULL) == UV_ENOTSUP)
		return NULL;
	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE), 0);
	t.text[0] = '\0';
	add_with(w, "in", WATCH(.kinds = NAMES, .filter = f, .on_batch = on_told, .arg = &t));
	watcher_filter_free(f);
	return w;
}

/* Runs a command, and compares what is told of it; '|' separates what may come in any order. */
static void step(watcher *w, int backend, const char *command, const char *want)
{
	const char *got;
	size_t len = 0;

	next_tick();
	assert_int_equal(system(command), 0);
	next_tick();
	sync_watcher(w);
	got = told(&t);
	for (const char *at = want; *at; at += strcspn(at, "|"), at += *at == '|') {
		char item[200];

		snprintf(item, sizeof item, "%.*s", (int)strcspn(at, "|"), at);
		if (!strstr(got, item))
			fail_msg("backend %d: %s: no \"%s\" in \"%s\"", backend, command, item, got);
		len += strlen(item) + (len ? 2 : 0);
	}
	if (strlen(got) != len)
		fail_msg("backend %d: %s: told \"%s\", want \"%s\"", backend, command, got, want);
}

static void each_backend(void (*body)(watcher *w, int backend), const char *before)
{
	for (size_t i = 0; i < COUNT(backends); i++) {
		watcher *w;

		assert_int_equal(system("rm -rf in out; mkdir in out"), 0);
		assert_int_equal(system(before), 0);
		next_tick();
		w = watch_tree(backends[i], 0);
		if (!w)
			continue;
		sync_watcher(w);
		body(w, backends[i]);
		watcher_close(w);
	}
}

static void move_rules(watcher *w, int backend)
{
	step(w, backend, "mv in/n in/m", "moved in/n in/m|moved in/n/k in/m/k");
	step(w, backend, ": > in/m/j2; : > in/m/l", "created in/m/l");
	step(w, backend, "mkdir in/n; : > in/n/j", "created in/n|created in/n/j");
	step(w, backend, ": > in/n/i", "created in/n/i");
	step(w, backend, "mkdir in/d; mv in/m in/d/m",
	     "created in/d|moved in/m in/d/m|moved in/m/k in/d/m/k|moved in/m/l in/d/m/l");
	step(w, backend, ": > in/d/m/j3; mkdir in/d/m/s; : > in/d/m/s/f; : > in/e", "created in/e");
}

static void exchange_rules(watcher *w, int backend)
{
	next_tick();
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/n", AT_FDCWD, "in/m", 2), 0);
	next_tick();
	sync_watcher(w);
	told(&t);
	step(w, backend, ": > in/n/j; : > in/m/j; : > in/m/k", "created in/n/j|created in/m/k");
}

/* One of two that are exchanged has rules: they go with it, and the other has none. */
static void test_rules_that_are_exchanged(void **state)
{
	(void)state;
	each_backend(exchange_rules, "mkdir in/n in/m; printf '*\n!k\n' >in/n/.gitignore");
	each_backend(exchange_rules, "mkdir in/n in/m; printf 'j\n' >in/n/.gitignore");
}

/* Under the new name the rules hold, under the old one not any more. */
static void test_rules_move_with_their_directory(void **state)
{
	(void)state;
	each_backend(move_rules, "mkdir in/n; printf '*\\n!k\\n!l\\n' >in/n/.gitignore; : >in/n/k; : >in/n/j");
}

static void move_below_rules(watcher *w, int backend)
{
	step(w, backend, "mv in/c in/a",
	     "moved in/c in/a|moved in/c/b in/a/b|moved in/c/b/f in/a/b/f");
	step(w, backend, ": > in/a/b/g; : > in/a/k", "created in/a/k");
	step(w, backend, "mv in/a in/d",
	     "moved in/a in/d|moved in/a/b in/d/b|moved in/a/k in/d/k|created in/d/b/f|created in/d/b/g");
	step(w, backend, ": > in/d/b/h", "created in/d/b/h");
}

/* Rules of a directory above are of paths: by the new one something else in it is wanted. */
static void test_rules_above_what_moves(void **state)
{
	(void)state;
	each_backend(move_below_rules, "mkdir -p in/c/b; : > in/c/b/f; echo a/b > in/.gitignore");
}

static void other_rules(watcher *w, int backend)
{
	next_tick();
	assert_int_equal(system("rm in/n/.gitignore; mv in/n in/m; mkdir in/n; "
				"echo '*' > in/n/.gitignore; : > in/n/j"), 0);
	next_tick();
	sync_watcher(w);
	told(&t);
	step(w, backend, ": > in/m/s/g; : > in/n/k", "created in/m/s/g");
}

/* Rules that went are looked for where others have come by then. */
static void test_rules_of_another_in_the_same_place(void **state)
{
	(void)state;
	each_backend(other_rules, "mkdir -p in/n/s; echo j > in/n/.gitignore");
}

static void end_rules(watcher *w, int backend)
{
	watcher_stats_t with, without;

	step(w, backend, ": > in/a/g", "");
	watcher_stats(w, &without, sizeof without);
	step(w, backend, "rm in/.gitignore",
	     "deleted in/.gitignore|created in/a/f|created in/a/g|created in/a/b|created in/a/b/h");
	watcher_stats(w, &with, sizeof with);
	assert_true(with.directories == without.directories + 2);
	step(w, backend, ": > in/a/b/i", "created in/a/b/i");
	step(w, backend, "echo a/ > in/.gitignore", "created in/.gitignore");
	step(w, backend, ": > in/a/b/j; : > in/c", "created in/c");
	watcher_stats(w, &with, sizeof with);
	assert_int_equal(with.directories, without.directories);
}

/* What they kept out is watched and told of when they go, and released when they are back. */
static void test_rules_that_go_and_come(void **state)
{
	(void)state;
	each_backend(end_rules,
		     "mkdir -p in/a/b; : > in/a/f; : > in/a/b/h; echo a/ > in/.gitignore");
}

static void replace_rules(watcher *w, int backend)
{
	next_tick();
	assert_int_equal(system("echo b/ > out/t; mv out/t in/.gitignore"), 0);
	next_tick();
	sync_watcher(w);
	assert_non_null(strstr(told(&t), "created in/a/f"));
	step(w, backend, ": > in/a/g; : > in/b/g", "created in/a/g");
}

static void test_rules_that_are_replaced(void **state)
{
	(void)state;
	each_backend(replace_rules, "mkdir in/a in/b; : > in/a/f; : > in/b/f; echo a/ > in/.gitignore");
}

/* What is dropped of a backlog may have been a change of rules. */
static void test_rules_that_change_in_a_gap(void **state)
{
	watcher *w;
	char name[32];

	(void)state;
	assert_int_equal(system("mkdir -p in/s/a in/s/b; echo a/ > in/s/.gitignore"), 0);
	uv_sleep(50); /* of what is as old as that only the time is looked at */
	w = watch_tree(WATCHER_BACKEND_INOTIFY, 10000);
	sync_watcher(w);
	watcher_pause(w);
	next_tick();
	put("in/s/.gitignore", "b/\n");
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "in/n%d", i);
		put(name, "");
		if (i % 100 == 0)
			uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	}
	for (int i = 0; i < 20; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	watcher_resume(w);
	sync_watcher(w);
	t.text[0] = '\0';
	step(w, WATCHER_BACKEND_INOTIFY, ": > in/s/a/g; : > in/s/b/g", "created in/s/a/g");
	watcher_close(w);
}

static void end_and_write_rules(watcher *w, int backend)
{
	step(w, backend, ": > in/a/g", "");
	step(w, backend, "echo b/ > in/.gitignore", "created in/a/f|created in/a/g");
	step(w, backend, ": > in/a/h", "created in/a/h");
}

/* ---- files outside of the root ---- */

static void rules_outside(watcher *w, int backend)
{
	step(w, backend, ": > in/a/g", "");
	step(w, backend, "echo b/ > .gitignore", "created in/a/f|created in/a/g");
	step(w, backend, ": > in/a/h; : > in/b/h", "created in/a/h");
	step(w, backend, "echo a/ > t; mv t .gitignore", "created in/b/f|created in/b/h");
	step(w, backend, ": > in/a/i; : > in/b/i", "created in/b/i");
	step(w, backend, "rm .gitignore; : > in/a/j",
	     "created in/a/f|created in/a/g|created in/a/h|created in/a/i|created in/a/j");
	step(w, backend, "echo 'k*' >> .git/info/exclude", "");
	step(w, backend, ": > in/a/k; : > in/a/l", "created in/a/l");
	step(w, backend, "rm .git/info/exclude", "");
	step(w, backend, ": > in/a/k2", "created in/a/k2");
	step(w, backend, "mkdir -p home/.config/git", "");
	step(w, backend, "echo 'm*' > home/.config/git/ignore", "");
	step(w, backend, ": > in/a/m; : > in/a/n", "created in/a/n");
	step(w, backend, "mv home/.config home/.old", "");
	step(w, backend, ": > in/a/m2", "created in/a/m2");
}

/* Which file is the user's global one is said in files that change, too. */
static void excludes_elsewhere(watcher *w, int backend)
{
	step(w, backend, ": > in/a/k; : > in/a/n", "created in/a/n");
	step(w, backend, "printf '[core]\n\texcludesFile = ~/m\n' > home/.gitconfig", "");
	step(w, backend, ": > in/a/k2; : > in/a/m", "created in/a/k2");
	step(w, backend, "echo 'n*' > home/m", "");
	step(w, backend, ": > in/a/m2; : > in/a/n2", "created in/a/m2");
	step(w, backend, "printf '[core]\n\texcludesFile = ~/k\n' > .git/config", "");
	step(w, backend, ": > in/a/k3; : > in/a/n3", "created in/a/n3");
	step(w, backend, "rm .git/config home/.gitconfig", "");
	step(w, backend, ": > in/a/k4; : > in/a/m3", "created in/a/k4|created in/a/m3");
}

static void test_excludes_that_are_elsewhere(void **state)
{
	char home[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(home, sizeof home - 8));
	strcat(home, "/home");
	assert_int_equal(setenv("HOME", home, 1) | unsetenv("XDG_CONFIG_HOME"), 0);
	each_backend(excludes_elsewhere,
		     "rm -rf home .git .gitignore; mkdir -p home .git/info in/a; echo 'k*' > home/k; "
		     "echo 'm*' > home/m; "
		     "printf '[core]\n\texcludesFile = ~/k\n' > home/.gitconfig");
}

/* Those of the directories above it, of the repository and of the user are followed, too, where
 * they are and where they may come. */
static void test_rules_outside_of_the_root(void **state)
{
	char home[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(home, sizeof home - 8));
	strcat(home, "/home");
	assert_int_equal(setenv("HOME", home, 1) | unsetenv("XDG_CONFIG_HOME"), 0);
	each_backend(rules_outside,
		     "rm -rf home .git .gitignore; mkdir -p home .git/info in/a in/b; "
		     ": > in/a/f; : > in/b/f; echo a/ > .gitignore; : > .git/info/exclude");
}

/* Whatever is to be told of, rules are read again when they are written to in place. */
static void test_rules_are_read_whatever_is_told(void **state)
{
	(void)state;
	each_backend(end_and_write_rules, "mkdir in/a; : > in/a/f; echo a/ > in/.gitignore");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rules_are_read_whatever_is_told),
		TEST(test_rules_outside_of_the_root),
		TEST(test_excludes_that_are_elsewhere),
		TEST(test_rules_move_with_their_directory),
		TEST(test_rules_that_are_exchanged),
		TEST(test_rules_above_what_moves),
		TEST(test_rules_of_another_in_the_same_place),
		TEST(test_rules_that_go_and_come),
		TEST(test_rules_that_are_replaced),
		TEST(test_rules_that_change_in_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
