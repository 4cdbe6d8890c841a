/*
 * What is written to and moved before a round looks at it again, in a tree that is nowhere but in this
 * program's memory: it is told as moved, and as written to; what was only moved is told as no more.
 */
#include "memory_tree.h"

#include <inttypes.h>

#include "dice.h"

#define ROUNDS 100
#define STEPS  10

/* What a rename does to the change time of a file: there are all of these. */
enum renames { KEEP_CTIME, SET_CTIME, NO_CTIME, RENAMES };

static struct memory m;
static struct told events;
static watcher *w;
static enum renames renames;

/* ---- the tree ---- */

static void set_ctimes(const char *path)
{
	for (int i = 0; i < m.n; i++) {
		struct thing *t = &m.things[i];

		if (strcmp(t->path, path) == 0 && renames == SET_CTIME)
			t->st.ctime_ns = ++m.clock;
		if (renames == NO_CTIME)
			t->st.ctime_ns = 0;
	}
}

static void rename_to(const char *from, const char *to)
{
	move(&m, from, to);
	set_ctimes(to);
}

static void write_and_rename(const char *from, const char *to)
{
	write_to(&m, from);
	rename_to(from, to);
}

/* ---- the watcher ---- */

static void begin(void (*handler)(watcher_watch *, const watcher_event *, void *))
{
	const watcher_vfs vfs = { .size = sizeof vfs, .stat = memory_stat, .list = memory_list, .arg = &m };

	w = open_with(WATCHER(.backend = WATCHER_BACKEND_POLL, .poll_interval_ms = 3600000, .vfs = &vfs));
	add_with(w, "box", WATCH(.on_any = handler, .kinds = WATCHER_CHANGES));
}

static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	(void)arg;
	tell_event(&events, e);
}

static void assert_told(const char *what)
{
	sync_watcher(w);
	assert_string_equal(told(&events), what);
}

/* A tree of its own for each kind of rename. */
static void for_each_kind(void (*test)(void))
{
	for (renames = KEEP_CTIME; renames < RENAMES; renames++) {
		m = (struct memory){ .clock = 100 };
		make_dir(&m, "box");
		make_dir(&m, "box/d");
		make_dir(&m, "box/e");
		make_file(&m, "box/d/a");
		make_file(&m, "box/e/z");
		set_ctimes("");
		begin(on_any);
		test();
		assert_told("");
		watcher_close(w);
	}
}

/* ---- moves ---- */

static void moves_of_a_file(void)
{
	write_and_rename("box/d/a", "box/d/b");
	assert_told("moved box/d/a box/d/b, modified box/d/b");
	write_and_rename("box/d/b", "box/e/b");
	assert_told("moved box/d/b box/e/b, modified box/e/b");
	write_and_rename("box/e/b", "box/d/a");
	assert_told("moved box/e/b box/d/a, modified box/d/a");
	rename_to("box/d/a", "box/d/b");
	write_to(&m, "box/d/b");
	assert_told("moved box/d/a box/d/b, modified box/d/b");
	rename_to("box/d/b", "box/e/b");
	assert_told("moved box/d/b box/e/b");
	rename_to("box/e/b", "box/d/a");
	assert_told("moved box/e/b box/d/a");
}

static void test_a_file_is_moved(void **state)
{
	(void)state;
	for_each_kind(moves_of_a_file);
}

static void moves_with_another_size(void)
{
	thing_at(&m, "box/d/a")->st.size = 12;
	rename_to("box/d/a", "box/e/a");
	assert_told("moved box/d/a box/e/a, modified box/e/a");
}

static void test_a_file_of_another_size_is_moved(void **state)
{
	(void)state;
	for_each_kind(moves_with_another_size);
}

static void moves_over_a_file(void)
{
	write_and_rename("box/d/a", "box/e/z");
	assert_told("moved box/d/a box/e/z, modified box/e/z");
	make_file(&m, "box/d/b");
	assert_told("created box/d/b");
	rename_to("box/d/b", "box/e/z");
	assert_told("moved box/d/b box/e/z");
}

static void test_a_file_is_moved_over_another(void **state)
{
	(void)state;
	for_each_kind(moves_over_a_file);
}

static void moves_into_a_new_directory(void)
{
	make_dir(&m, "box/n");
	write_and_rename("box/d/a", "box/n/a");
	assert_told("created box/n, moved box/d/a box/n/a, modified box/n/a");
	make_dir(&m, "box/o");
	rename_to("box/n/a", "box/o/a");
	assert_told("created box/o, moved box/n/a box/o/a");
}

static void test_a_file_is_moved_into_a_new_directory(void **state)
{
	(void)state;
	for_each_kind(moves_into_a_new_directory);
}

static void moves_out_of_a_directory_that_goes(void)
{
	rename_to("box/e/z", "box/z");
	write_and_rename("box/d/a", "box/a");
	take_away(&m, "box/d");
	take_away(&m, "box/e");
	assert_told("moved box/d/a box/a, moved box/e/z box/z, deleted box/d, deleted box/e, "
		    "modified box/a");
}

static void test_a_file_is_moved_out_of_a_directory_that_goes(void **state)
{
	(void)state;
	for_each_kind(moves_out_of_a_directory_that_goes);
}

static void moves_with_its_directory(void)
{
	write_to(&m, "box/d/a");
	rename_to("box/d", "box/n");
	assert_told("moved box/d box/n, moved box/d/a box/n/a, modified box/n/a");
	write_and_rename("box/n/a", "box/n/b");
	rename_to("box/n", "box/d");
	assert_told("moved box/n box/d, moved box/n/a box/d/a, moved box/d/a box/d/b, modified box/d/b");
	rename_to("box/d", "box/n");
	assert_told("moved box/d box/n, moved box/d/b box/n/b");
}

static void test_a_file_is_moved_with_its_directory(void **state)
{
	(void)state;
	for_each_kind(moves_with_its_directory);
}

/* The user's clock may be ahead of any other. */
static void test_a_file_of_the_future_is_moved(void **state)
{
	(void)state;
	m = (struct memory){ .clock = INT64_C(4102444800000000000) };
	make_dir(&m, "box");
	make_file(&m, "box/a");
	begin(on_any);
	rename_to("box/a", "box/b");
	assert_told("moved box/a box/b");
	write_and_rename("box/b", "box/c");
	assert_told("moved box/b box/c, modified box/c");
	watcher_close(w);
}

/* ---- at random ---- */

static const char *const files[] = { "f", "g", "h" };
static const char *const dirs[] = { "box/d", "box/e", "box/n" };

/* What was done to a file since a round, and what was told of it. */
static struct fate {
	bool written, made;
	int created, modified;
} fates[2000];
static struct memory before; /* as it was then */

static void on_fate(watcher_watch *watch, const watcher_event *e, void *arg)
{
	on_any(watch, e, arg);
	assert_true(e->inode < COUNT(fates));
	fates[e->inode].created += e->kind == WATCHER_CREATED;
	fates[e->inode].modified += e->kind == WATCHER_MODIFIED;
}

static void change_file(const char *path, const char *to)
{
	struct thing *t = thing_at(&m, path);

	if (!t) {
		make_file(&m, path);
		fates[m.inode].made = true;
		return;
	}
	if (dice(2)) {
		write_to(&m, path);
		fates[t->st.inode].written = true;
	}
	if (dice(3) && strcmp(path, to) != 0)
		rename_to(path, to);
	else if (dice(6) == 0)
		take_away(&m, path);
}

static void change(void)
{
	const char *dir = dirs[dice(COUNT(dirs))], *to = dirs[dice(COUNT(dirs))];
	char path[40], dest[40];

	if (!thing_at(&m, dir)) {
		make_dir(&m, dir);
	} else if (dice(6) == 0) {
		if (!thing_at(&m, to))
			rename_to(dir, to);
	} else if (thing_at(&m, to)) {
		snprintf(path, sizeof path, "%s/%s", dir, files[dice(COUNT(files))]);
		snprintf(dest, sizeof dest, "%s/%s", to, files[dice(COUNT(files))]);
		change_file(path, dest);
	}
}

/* What had this name before in the directory that it is in now. */
static const struct thing *had_its_name(const struct thing *t)
{
	const char *name = strrchr(t->path, '/');
	char path[200];

	snprintf(path, sizeof path, "%.*s", (int)(name - t->path), t->path);
	for (int i = 0; i < before.n; i++)
		if (before.things[i].st.inode == thing_at(&m, path)->st.inode) {
			snprintf(path, sizeof path, "%s%s", before.things[i].path, name);
			return thing_at(&before, path);
		}
	return NULL;
}

/* Has a file the name that another had, or is it back after a move that only its change time shows? Then
 * it may be told as a write to that name. */
static bool may_look_written(const struct thing *t)
{
	const struct thing *was = had_its_name(t);

	return was && (was->st.inode != t->st.inode || was->st.ctime_ns != t->st.ctime_ns);
}

static int check(const char *events_text)
{
	int bad = 0;

	for (int i = 0; i < m.n; i++) {
		const struct thing *t = &m.things[i];
		const struct fate *f = &fates[t->st.inode];

		if (t->st.type == WATCHER_TYPE_DIR || f->made)
			continue;
		if (f->written ? !f->created && !f->modified : f->modified && !may_look_written(t)) {
			print_message("%s: written %d, modified %d: %s\n", t->path, f->written, f->modified,
				      events_text);
			bad++;
		}
	}
	return bad;
}

static int round_of(uint64_t seed)
{
	int bad = 0;

	rng = seed;
	renames = dice(RENAMES);
	m = (struct memory){ .clock = 100 };
	make_dir(&m, "box");
	for (int i = 0; i < 10; i++)
		change();
	begin(on_fate);
	sync_watcher(w);
	told(&events);
	for (int step = 0; step < STEPS; step++) {
		memset(fates, 0, sizeof fates);
		before = m;
		for (unsigned i = 1 + dice(5); i > 0; i--)
			change();
		sync_watcher(w);
		bad += check(told(&events));
	}
	watcher_close(w);
	return bad;
}

static void test_random_changes(void **state)
{
	const char *only = getenv("VFS_SEED");
	uint64_t first = only ? strtoull(only, NULL, 10) : uv_hrtime() / 1000;
	int bad = 0;

	(void)state;
	for (int i = 0; i < (only ? 1 : ROUNDS); i++)
		if (round_of(first + (uint64_t)i)) {
			print_message("VFS_SEED=%" PRIu64 "\n", first + (uint64_t)i);
			bad++;
		}
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_file_is_moved),
		TEST(test_a_file_of_another_size_is_moved),
		TEST(test_a_file_is_moved_over_another),
		TEST(test_a_file_is_moved_into_a_new_directory),
		TEST(test_a_file_is_moved_out_of_a_directory_that_goes),
		TEST(test_a_file_is_moved_with_its_directory),
		TEST(test_a_file_of_the_future_is_moved),
		TEST(test_random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
