/*
 * Moves of which a watch wants to hear in part: neither name passes its filter, or no directory
 * does, and what is in a directory passes.
 */
#include "watch_test.h"

#include <sys/syscall.h>

static struct told told_one;

/* Files are named with their directory; a is exchanged with b. */
static const struct row {
	const char *name, *dirs[3], *files[4], *a, *b;
	const char *const *patterns, *const *extensions;
	unsigned flags;
	const char *want;
} rows[] = {
	{ .name = "a directory that neither name lets pass, with a file",
	  .dirs = { "in/d" }, .files = { "in/f", "in/d/a.x", "in/d/b" }, .a = "in/f", .b = "in/d",
	  .patterns = (const char *const[]){ "*.x", NULL },
	  .want = "deleted in/d/a.x, created in/f/a.x" },
	{ .name = "two of them",
	  .dirs = { "in/c", "in/d" }, .files = { "in/c/a.x", "in/d/b.x" }, .a = "in/c", .b = "in/d",
	  .patterns = (const char *const[]){ "*.x", NULL },
	  .want = "deleted in/d/b.x, moved in/c/a.x in/d/a.x, created in/c/b.x" },
	{ .name = "two with the same in it",
	  .dirs = { "in/c", "in/d" }, .files = { "in/c/a.x", "in/d/a.x" }, .a = "in/c", .b = "in/d",
	  .patterns = (const char *const[]){ "*.x", NULL },
	  .want = "deleted in/d/a.x, moved in/c/a.x in/d/a.x, created in/c/a.x" },
	{ .name = "two, and no directory is told of",
	  .dirs = { "in/c", "in/d" }, .files = { "in/c/a", "in/d/b" }, .a = "in/c", .b = "in/d",
	  .flags = WATCHER_IGNORE_DIRECTORIES,
	  .want = "deleted in/d/b, moved in/c/a in/d/a, created in/c/b" },
	{ .name = "a directory, with a file that is wanted for its extension",
	  .dirs = { "in/d" }, .files = { "in/a.c" }, .a = "in/d", .b = "in/a.c",
	  .extensions = (const char *const[]){ "c", NULL }, .want = "deleted in/a.c" },
	{ .name = "a name that passes",
	  .dirs = { "in/c", "in/d.x" }, .files = { "in/c/a", "in/d.x/b" }, .a = "in/c", .b = "in/d.x",
	  .patterns = (const char *const[]){ "*.x", NULL },
	  .want = "moved in/c in/d.x, moved in/c/a in/d.x/a" },
};

static void run_row(const struct row *row, int backend)
{
	watcher_error err;
	watcher *w;

	assert_int_equal(system("rm -rf in") | mkdir("in", 0755), 0);
	for (int i = 0; row->dirs[i]; i++)
		assert_int_equal(mkdir(row->dirs[i], 0755), 0);
	for (int i = 0; row->files[i]; i++)
		assert_int_equal(mkfifo(row->files[i], 0600), 0);
	if (watcher_open(&w, WATCHER(.backend = backend), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return;
	}
	add_with(w, "in", WATCH(.patterns = row->patterns, .extensions = row->extensions,
				.flags = row->flags, .on_batch = on_told, .arg = &told_one));
	sync_watcher(w);
	told(&told_one);
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, row->a, AT_FDCWD, row->b, 2), 0);
	sync_watcher(w);
	if (strcmp(told_one.text, row->want) != 0)
		fail_msg("%s:\n  told: %s\n  want: %s", row->name, told_one.text, row->want);
	watcher_close(w);
}

static void test_exchanged(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		run_row(&rows[i], WATCHER_BACKEND_INOTIFY);
		run_row(&rows[i], WATCHER_BACKEND_FANOTIFY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_exchanged) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
