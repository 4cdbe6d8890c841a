/*
 * A root that is a file. In a directory that another watch is around, too: what takes its name is told,
 * be it a directory, and that one is watched then; and so the other way round. Filters know it by its
 * name, and say the same of it that watcher_filter_check() says.
 */
#include "watch_test.h"

#include "index_check.h"
#include "watcher/engine.h"

#include <sys/syscall.h>

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };

static struct told inner, outer;

/* Commands run one after another, but "@a b", which exchanges the two names. */
static const struct row {
	const char *run, *inner, *outer;
} rows[] = {
	{ "rm in/f; mkdir in/f; mkfifo in/f/x", "deleted in/f, created in/f, created in/f/x",
	  "deleted in/f, created in/f, created in/f/x" },
	{ "rm in/f; mv in/d in/f", "deleted in/f, created in/f, created in/f/x",
	  "deleted in/f, moved in/d in/f, moved in/d/x in/f/x" },
	{ "mv in/f in/g; mv in/d in/f", "deleted in/f, created in/f, created in/f/x",
	  "moved in/f in/g, moved in/d in/f, moved in/d/x in/f/x" },
	{ "@in/f in/d", "deleted in/f, created in/f, created in/f/x",
	  "moved in/f in/d, created in/f, created in/f/x" },
	{ "@in/d in/f", "deleted in/f, created in/f, created in/f/x",
	  "moved in/d in/f, moved in/d/x in/f/x, created in/d" },
};

static void do_row(const char *run)
{
	char a[20], b[20];

	if (sscanf(run, "@%19s %19s", a, b) == 2)
		assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2), 0);
	else
		do_there(run);
}

static void check(watcher *w, bool whole)
{
	char text[4000];

	if (whole && index_check(w, text, sizeof text))
		fail_msg("%s", text);
}

static void run_row(const struct row *row, int backend, bool around)
{
	bool exact = backend == WATCHER_BACKEND_INOTIFY || backend == WATCHER_BACKEND_FANOTIFY;
	watcher_error err;
	watcher *w;

	do_there("rm -rf in; mkdir -p in/d; mkfifo in/f in/d/x");
	if (watcher_open(&w, WATCHER(.backend = backend), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return;
	}
	if (around)
		add_with(w, "in", WATCH(.on_batch = on_told, .arg = &outer));
	add_with(w, "in/f", WATCH(.on_batch = on_told, .arg = &inner));
	sync_watcher(w);
	assert_string_equal(told(&inner), "");
	do_row(row->run);
	sync_watcher(w);
	check(w, around);
	assert_string_equal(told(&inner), row->inner);
	if (around && exact)
		assert_string_equal(told(&outer), row->outer);
	do_there("mkfifo in/f/z");
	sync_watcher(w);
	assert_string_equal(told(&inner), "created in/f/z");
	do_there("rm -r in/f; mkfifo in/f");
	sync_watcher(w);
	check(w, around);
	told(&inner);
	do_there("rm in/f");
	sync_watcher(w);
	assert_string_equal(told(&inner), "deleted in/f");
	told(&outer);
	watcher_close(w);
}

static void test_a_directory_in_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t b = 0; b < COUNT(backends); b++)
			run_row(&rows[i], backends[b], true);
}

static void test_a_directory_in_its_place_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t b = 0; b < COUNT(backends); b++)
			run_row(&rows[i], backends[b], false);
}

/* ---- filters ---- */

static int never(const char *path, int type, unsigned kind, void *arg)
{
	(void)path, (void)type, (void)kind, (void)arg;
	return 0;
}

enum odd { RULE, KINDS, PREDICATE, NOTHING_PASSES, GIT };

/* What decides about "in/f.c", and whether that passes. */
static const struct filter_row {
	enum odd how;
	int rule;
	const char *text;
	bool passes;
} filter_rows[] = {
	{ RULE, WATCHER_RULE_PATTERN, "*.c", true },
	{ RULE, WATCHER_RULE_PATTERN, "*.h", false },
	{ RULE, WATCHER_RULE_PATTERN, "!*.c", false },
	{ RULE, WATCHER_RULE_IGNORE, "f.*", false },
	{ RULE, WATCHER_RULE_IGNORE, "*.h", true },
	{ RULE, WATCHER_RULE_EXTENSION, "c", true },
	{ RULE, WATCHER_RULE_EXTENSION, "h", false },
	{ RULE, WATCHER_RULE_FULL_PATTERN, "in/*.c", true },
	{ RULE, WATCHER_RULE_FULL_IGNORE, "in/*.c", false },
	{ KINDS, 0, NULL, false },
	{ PREDICATE, 0, NULL, false },
	{ NOTHING_PASSES, 0, NULL, false },
	{ GIT, 0, NULL, true },
};

static watcher_filter *filter_of(const struct filter_row *row)
{
	watcher_filter *f;

	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	if (row->how == KINDS)
		assert_int_equal(watcher_filter_kinds(f, WATCHER_DELETED), 0);
	else if (row->how == PREDICATE)
		assert_int_equal(watcher_filter_predicate(f, never, NULL), 0);
	else if (row->how == NOTHING_PASSES)
		assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_NEEDS_PATTERN), 0);
	else if (row->how == GIT)
		assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE |
						       WATCHER_FILTER_DOT_IGNORE), 0);
	else
		assert_int_equal(watcher_filter_add(f, row->rule, row->text, NULL, NULL), 0);
	return f;
}

static void check_filter_row(const struct filter_row *row, int backend)
{
	watcher_filter *f = filter_of(row);
	const char *want = row->passes ? "modified in/f.c" : "";
	watcher_verdict *v;
	watcher_snapshot *s;
	watcher_error err;
	watcher *w;

	do_there("rm -rf in; mkdir in; echo '*.c' | tee in/.gitignore > in/.ignore; echo > in/f.c");
	assert_int_equal(watcher_filter_check(&v, f, "in/f.c", "", WATCHER_TYPE_FILE,
					      WATCHER_MODIFIED, NULL), 0);
	assert_int_equal(v->passes, row->passes);
	watcher_verdict_free(v);
	if (row->how != KINDS) {
		assert_int_equal(watcher_snapshot_take(&s, (const char *const[]){ "in/f.c", NULL },
						       WATCH(.filter = f), NULL), 0);
		assert_int_equal(watcher_snapshot_count(s, 0), row->passes);
		watcher_snapshot_free(s);
	}
	if (watcher_open(&w, WATCHER(.backend = backend), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		watcher_filter_free(f);
		return;
	}
	add_with(w, "in/f.c", WATCH(.filter = f, .on_batch = on_told, .arg = &inner));
	watcher_filter_free(f);
	sync_watcher(w);
	told(&inner);
	do_there("echo x > in/f.c");
	sync_watcher(w);
	assert_string_equal(told(&inner), want);
	watcher_close(w);
}

static void test_known_by_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(filter_rows); i++)
		for (size_t b = 0; b < COUNT(backends); b++)
			check_filter_row(&filter_rows[i], backends[b]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_directory_in_its_place),
		TEST(test_a_directory_in_its_place_alone),
		TEST(test_known_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
