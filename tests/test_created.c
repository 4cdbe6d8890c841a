/* clang-format off */
/*
 * What created names are, where many are created before anybody looks: their directory is read
 * instead, and what was read is used for nothing that may be newer.
 *
 * link: -Wl,--wrap=watcher__scan_names,--wrap=watcher__scan_read,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
 */
/* clang-format on */
#include "watch_test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "dice.h"
#include "failing_memory.h"
#include "watcher/engine.h"

enum { NAMES = 600, LONG = 6000, FEW = 100, FIRST = 50, FAILURES = 12 };
enum { ROUNDS = 3, LAG = 300, MORE = 20, CHANGES = 6 * LAG + 2 * MORE };

/* Modified is, too, what has taken the name of another file where a look finds that out. */
#define KINDS (WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED | WATCHER_MODIFIED)

/* ---- the reading ---- */

static int readings;
static void (*before_reading)(void), (*after_reading)(struct listing *l);

void __real_watcher__scan_names(int fd, struct listing *l, uint32_t most);
void __wrap_watcher__scan_names(int fd, struct listing *l, uint32_t most);

void __wrap_watcher__scan_names(int fd, struct listing *l, uint32_t most)
{
	readings++;
	if (before_reading)
		before_reading();
	__real_watcher__scan_names(fd, l, most);
	if (after_reading && !l->error)
		after_reading(l);
}

static void (*before_look)(void);

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);

void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	if (before_look)
		before_look();
	__real_watcher__scan_read(fd, l);
}

static long allocations; /* until one fails; 0: none does */

static bool memory_fails(void)
{
	return allocations && --allocations == 0;
}

/* ---- what is told ---- */

/* The last thing told of each name. */
struct name {
	int kind, type;
	uint64_t inode;
	bool there;
};

static struct name names[LONG];

static void on_event(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct name *n = &names[atoi(e->path)];
	bool there = e->kind == WATCHER_CREATED || e->kind == WATCHER_MODIFIED;

	(void)watch;
	(void)arg;
	if (e->kind == WATCHER_MOVED)
		names[atoi(e->dest)] = (struct name){ WATCHER_MOVED, e->type, e->inode, true };
	*n = (struct name){ e->kind, e->type, e->inode, there };
}

/* Such as that there are no inotify watches left, and it is polled: then nothing here holds. */
static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)w;
	(void)arg;
	print_message("# %s%s%s\n", path ? path : "", path ? ": " : "", err->message);
}

static watcher *open_here(void)
{
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY, .on_problem = on_problem));

	memset(names, 0, sizeof names);
	add_with(w, ".", WATCH(.kinds = KINDS, .on_any = on_event));
	sync_watcher(w);
	readings = 0;
	return w;
}

static void name_of(char *path, size_t size, int i)
{
	snprintf(path, size, "%d", i);
}

static void make(int i, int what)
{
	char path[16];
	int fd;

	name_of(path, sizeof path, i);
	if (what == 0)
		assert_int_equal(symlink("nowhere", path), 0);
	else if (what == 1)
		assert_int_equal(mkfifo(path, 0600), 0);
	else if ((fd = open(path, O_CREAT | O_WRONLY, 0600)) >= 0)
		close(fd);
	else
		fail_msg("%s: %s", path, strerror(errno));
}

static void make_many(int n)
{
	for (int i = 0; i < n; i++)
		make(i, i % 3);
}

static void remove_name(int i)
{
	char path[16];

	name_of(path, sizeof path, i);
	assert_int_equal(unlink(path), 0);
}

/* What was told last of a name is so: it is there, or not, and what was created there, or modified, is
 * what there is. How many of those. */
static int check_names(int n)
{
	char path[16];
	struct stat st;
	int checked = 0;

	for (int i = 0; i < n; i++) {
		if (!names[i].kind)
			continue;
		name_of(path, sizeof path, i);
		assert_int_equal(lstat(path, &st) == 0, names[i].there);
		if (!names[i].there || names[i].kind == WATCHER_MOVED)
			continue;
		assert_int_equal(names[i].type, watcher__type_of_mode(st.st_mode));
		assert_int_equal(names[i].inode, st.st_ino);
		checked++;
	}
	return checked;
}

/* Does the file system here say of inodes the same when a directory is read? */
static bool says_inodes(void)
{
	struct dirent *e;
	struct stat st;
	bool same = true;
	DIR *d;

	make(0, 2);
	assert_int_equal(lstat("0", &st), 0);
	assert_non_null(d = opendir("."));
	while ((e = readdir(d)))
		same &= strcmp(e->d_name, "0") != 0 ||
			(e->d_ino == st.st_ino && e->d_type == DT_REG);
	closedir(d);
	remove_name(0);
	return same;
}

/* ---- tests ---- */

static void test_many_are_read_at_once(void **state)
{
	watcher *w;
	bool same = says_inodes();

	(void)state;
	w = open_here();
	make_many(NAMES);
	sync_watcher(w);
	assert_int_equal(check_names(NAMES), NAMES);
	if (same)
		assert_int_equal(readings, 1);
	watcher_close(w);
}

/* More than is taken out of the kernel's queue at once. */
static void test_a_long_queue(void **state)
{
	watcher *w;
	bool same = says_inodes();

	(void)state;
	w = open_here();
	make_many(LONG);
	sync_watcher(w);
	assert_int_equal(check_names(LONG), LONG);
	if (same)
		assert_int_equal(readings, 1);
	watcher_close(w);
}

/* Reading all of a large directory for a few names would take longer. */
static void test_few_are_looked_up(void **state)
{
	watcher *w;

	(void)state;
	make_many(NAMES);
	for (int i = 0; i < FEW; i++)
		remove_name(i);
	w = open_here();
	make_many(FEW);
	sync_watcher(w);
	assert_int_equal(check_names(FEW), FEW);
	assert_int_equal(readings, 0);
	watcher_close(w);
}

/* Nor is one read where what is created there is not told. */
static void test_what_is_not_told_is_not_read(void **state)
{
	static const char *const wanted[] = { "*0", NULL };
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	int told = 0;

	(void)state;
	memset(names, 0, sizeof names);
	add_with(w, ".", WATCH(.kinds = KINDS, .on_any = on_event, .patterns = wanted));
	sync_watcher(w);
	readings = 0;
	make_many(NAMES);
	sync_watcher(w);
	told = check_names(NAMES);
	assert_int_equal(told, NAMES / 10);
	assert_int_equal(readings, 0);
	watcher_close(w);
}

/* Every name but the first ones, which are looked up, goes; half of them come back as something
 * else. */
static void change_all(struct listing *l)
{
	(void)l;
	after_reading = NULL;
	for (int i = FIRST; i < NAMES; i++)
		remove_name(i);
	for (int i = FIRST; i < NAMES; i += 2)
		make(i, (i + 1) % 3);
}

static void change_all_before(void)
{
	before_reading = NULL;
	change_all(NULL);
}

static void test_what_changes_after_the_reading(void **state)
{
	watcher *w = open_here();

	(void)state;
	after_reading = change_all;
	make_many(NAMES);
	sync_watcher(w);
	assert_null(after_reading);
	assert_int_equal(check_names(NAMES), FIRST + (NAMES - FIRST) / 2);
	watcher_close(w);
}

/* ... after it was known what is to come, and before the reading. */
static void test_what_changes_before_the_reading(void **state)
{
	watcher *w = open_here();

	(void)state;
	before_reading = change_all_before;
	make_many(NAMES);
	sync_watcher(w);
	assert_null(before_reading);
	assert_int_equal(check_names(NAMES), FIRST + (NAMES - FIRST) / 2);
	watcher_close(w);
}

/* The queue holds all of it when the first name is looked up. */
static void test_names_that_came_back_already(void **state)
{
	watcher *w = open_here();

	(void)state;
	make_many(NAMES);
	change_all(NULL);
	sync_watcher(w);
	assert_int_equal(check_names(NAMES), FIRST + (NAMES - FIRST) / 2);
	watcher_close(w);
}

/* Calls `one` for the head of each name from that number on. */
static void falsify(struct listing *l, int first, void (*one)(char *head))
{
	for (size_t at = 0; at < l->len; at += PACKED_HEAD + (uint8_t)l->packed[at + 9])
		if (atoi(l->packed + at + PACKED_HEAD) >= first)
			one(l->packed + at);
}

static void another_inode(char *head)
{
	head[0]++;
}

static void another_type(char *head)
{
	head[8] = head[8] == WATCHER_TYPE_FILE ? WATCHER_TYPE_SYMLINK : WATCHER_TYPE_FILE;
}

static void no_type(char *head)
{
	head[8] = WATCHER_TYPE_UNKNOWN;
}

static void lie_about_inodes(struct listing *l)
{
	falsify(l, 0, another_inode);
}

static void be_elsewhere(struct listing *l)
{
	l->ino++;
	falsify(l, FIRST, another_type);
}

static void say_no_types(struct listing *l)
{
	falsify(l, FIRST, no_type);
}

static void test_what_is_not_believed(void **state)
{
	void (*const lies[])(struct listing *) = { lie_about_inodes, be_elsewhere, say_no_types };

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		watcher *w = open_here();

		after_reading = lies[i];
		make_many(FEW);
		sync_watcher(w);
		after_reading = NULL;
		assert_true(readings > 0);
		assert_int_equal(check_names(FEW), FEW);
		watcher_close(w);
		for (int k = 0; k < FEW; k++)
			remove_name(k);
	}
}

/* Other files get the names, and those inode numbers that others of them had, where they are given out
 * again. */
static void replace(void)
{
	before_look = NULL;
	for (int i = 1; i < FEW; i++)
		remove_name(i);
	for (int i = FEW; --i > 0;)
		make(i, 2);
}

/* The directory is looked at for what has moved and is not where it came to. */
static void test_what_is_replaced_before_a_look(void **state)
{
	watcher *w;

	(void)state;
	make(0, 2);
	w = open_here();
	for (int i = 1; i < FEW; i++)
		make(i, 2);
	sync_watcher(w);
	before_look = replace;
	assert_int_equal(rename("0", "200") | rename("200", "201"), 0);
	make(200, 2);
	sync_watcher(w);
	assert_null(before_look);
	assert_int_equal(check_names(FEW), FEW - 1);
	watcher_close(w);
}

static long allocations_left;

static void fail_from_here(void)
{
	allocations = allocations_left;
}

static void test_without_memory(void **state)
{
	(void)state;
	for (int i = 1; i <= FAILURES; i++) {
		watcher *w = open_here();

		allocations_left = i;
		before_reading = fail_from_here;
		make_many(FEW);
		sync_watcher(w);
		before_reading = NULL;
		allocations = 0;
		assert_true(readings > 0);
		assert_int_equal(check_names(FEW), FEW);
		watcher_close(w);
		for (int k = 0; k < FEW; k++)
			remove_name(k);
	}
}

/* A name that is free becomes something, or another thing's second name; one that is not goes, or
 * moves to a free one. None moves back to a name that another has left: where what it leaves is
 * taken again before that is heard of, the two may have been exchanged, and what is told of the
 * first name then is a guess. */
static void change(void)
{
	char path[16], other[16];
	int i = (int)dice(FEW), k = (int)dice(FEW);
	struct stat st;

	name_of(path, sizeof path, i);
	name_of(other, sizeof other, k);
	if (lstat(path, &st) < 0) {
		if (dice(10) || link(other, path) < 0)
			make(i, (int)dice(3));
	} else if (dice(3) == 0 && k > i && lstat(other, &st) < 0) {
		assert_int_equal(rename(path, other), 0);
	} else {
		assert_int_equal(unlink(path), 0);
	}
}

static atomic_int made;

static void *make_changes(void *arg)
{
	for (int i = 0; i < CHANGES; i++) {
		change();
		atomic_fetch_add(&made, 1);
	}
	return arg;
}

static void wait_for_changes(int n)
{
	while (atomic_load(&made) < n && atomic_load(&made) < CHANGES)
		sched_yield();
}

static void change_before_reading(void)
{
	wait_for_changes(atomic_load(&made) + MORE);
}

static void change_after_reading(struct listing *l)
{
	(void)l;
	wait_for_changes(atomic_load(&made) + MORE);
}

/* Others change what has been read before the rest of what is told of it is heard. */
static void test_names_that_change_meanwhile(void **state)
{
	pthread_t thread;

	(void)state;
	rng = uv_hrtime();
	for (int round = 0; round < ROUNDS; round++) {
		watcher *w = open_here();

		print_message("# seed %llu\n", (unsigned long long)rng);
		atomic_store(&made, 0);
		before_reading = change_before_reading;
		after_reading = change_after_reading;
		assert_int_equal(pthread_create(&thread, NULL, make_changes, NULL), 0);
		for (int heard = LAG; heard < CHANGES; heard += LAG) {
			wait_for_changes(heard);
			uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		}
		sync_watcher(w);
		pthread_join(thread, NULL);
		before_reading = NULL;
		after_reading = NULL;
		sync_watcher(w);
		check_names(FEW);
		watcher_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many_are_read_at_once),
		TEST(test_a_long_queue),
		TEST(test_few_are_looked_up),
		TEST(test_what_is_not_told_is_not_read),
		TEST(test_what_changes_after_the_reading),
		TEST(test_what_changes_before_the_reading),
		TEST(test_names_that_came_back_already),
		TEST(test_what_is_not_believed),
		TEST(test_what_is_replaced_before_a_look),
		TEST(test_without_memory),
		TEST(test_names_that_change_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
