/*
 * A file that was written to, and moves on just before it is looked at: that it was written to is told
 * all the same. By then another may have its name, and the move be told with a look of its own, for
 * which the write is too old. And one in a directory that has moved, which polling finds only later.
 * link: -Wl,--wrap=watcher__scan_open,--wrap=watcher__disk_stat_name,--wrap=watcher__disk_stat_path
 * link: -Wl,--wrap=watcher__scan_read
 */
#include "watch_test.h"

#include "base/clock.h"
#include "next_tick.h"
#include "watcher/engine.h"
#include "watcher/options.h"
#include "watcher/scan.h"

static watcher *w;
static struct told events;
static const char *at; /* what is moved when this is the end of the path that is looked at */
static int before;     /* ... and was so many times before */
static const char *moves[2][2];
static bool at_once; /* all that follows is in the tick in which it moves */
static const char *held; /* what waits at the gate when it is looked at */
static uv_sem_t reached, gate;
static const char *timed;
static int64_t timed_ns; /* when that was looked at last */

static void move_all(void)
{
	for (size_t i = 0; i < COUNT(moves) && moves[i][0]; i++)
		assert_int_equal(rename(moves[i][0], moves[i][1]), 0);
}

static void look(const char *path)
{
	size_t len = strlen(path), end = at ? strlen(at) : 0;

	if (!at || len < end || strcmp(path + len - end, at) != 0)
		return;
	if (before-- > 0)
		return;
	at = NULL;
	if (at_once)
		next_tick();
	move_all();
	if (!at_once)
		next_tick();
}

int __real_watcher__scan_open(const char *path, bool follow);
int __wrap_watcher__scan_open(const char *path, bool follow);
int __real_watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st);
int __wrap_watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st);
int __real_watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
				   struct stat *st);
int __wrap_watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
				   struct stat *st);

int __wrap_watcher__scan_open(const char *path, bool follow)
{
	look(path);
	return __real_watcher__scan_open(path, follow);
}

int __wrap_watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st)
{
	look(name);
	if (held && strcmp(name, held) == 0) {
		held = NULL;
		uv_sem_post(&reached);
		uv_sem_wait(&gate);
	}
	if (timed && strcmp(name, timed) == 0) {
		next_tick();
		timed_ns = clock_coarse_ns();
	}
	return __real_watcher__disk_stat_name(disk, fd, name, st);
}

int __wrap_watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
				   struct stat *st)
{
	look(path);
	return __real_watcher__disk_stat_path(disk, path, follow, st);
}

static bool slow; /* reading a directory takes longer than a turn has */
static bool read_first; /* and then it moves: when the index has read one */

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);

void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	uint64_t end = uv_hrtime() + 2000000;

	while (slow && uv_hrtime() < end)
		;
	__real_watcher__scan_read(fd, l);
	if (!read_first || l->names_only)
		return;
	read_first = false;
	move_all();
}

static int enter(void **state)
{
	memset(&events, 0, sizeof events);
	memset(moves, 0, sizeof moves);
	before = 0;
	at_once = false;
	timed = NULL;
	if (watch_test_enter(state) || mkdir("in", 0755) || mkdir("in/d", 0755) ||
	    mkdir("in/e", 0755))
		return -1;
	put("in/d/a", "");
	put("in/e/old", "");
	return 0;
}

static int leave(void **state)
{
	watcher_close(w);
	return watch_test_leave(state);
}

static void begin(int backend, unsigned flags)
{
	next_tick(); /* what is there is older than all that follows */
	w = open_with(WATCHER(.backend = backend, .flags = flags));
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &events));
	sync_watcher(w);
	next_tick();
}

static void write_and_look(const char *when)
{
	put("in/d/a", "more");
	next_tick(); /* it is older than all that is told together with the move */
	at = when;
	sync_watcher(w);
	assert_null(at);
}

static void check_told(const char *expected)
{
	const char *text = told(&events);

	if (!strstr(text, expected))
		fail_msg("no %s in: %s", expected, text);
}

static void test_another_file_takes_the_name(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_FSEVENT, 0);
	moves[0][0] = "in/d/a", moves[0][1] = "in/d/b";
	moves[1][0] = "in/e/old", moves[1][1] = "in/d/a";
	write_and_look("in/d");
	check_told("modified in/d/a");
}

static void test_another_file_takes_the_name_without_names(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS);
	moves[0][0] = "in/d/a", moves[0][1] = "in/d/b";
	moves[1][0] = "in/e/old", moves[1][1] = "in/d/a";
	write_and_look("a");
	check_told("modified in/d/a");
}

static void test_it_is_gone_without_names(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS);
	moves[0][0] = "in/d/a", moves[0][1] = "in/e/a";
	write_and_look("a");
	check_told("modified in/d/a");
}

/* What moves is known by its inode, and asked then when it was written to. */
static void test_it_moves_again(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_POLL, 0);
	put("in/d/a", "more");
	next_tick();
	assert_int_equal(rename("in/d/a", "in/d/b"), 0);
	moves[0][0] = "in/d/b", moves[0][1] = "in/e/b";
	at = "in/d/b";
	sync_watcher(w);
	assert_null(at);
	sync_watcher(w);
	check_told("modified in/d/b");
}

/* Where the directory is now is known when several others have been read. */
static void test_its_directory_has_moved(void **state)
{
	char path[40];

	(void)state;
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof path, "in/o%d", i);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	assert_int_equal(mkdir("in/z", 0755), 0);
	begin(WATCHER_BACKEND_POLL, 0);
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof path, "in/o%d/new", i);
		put(path, "");
	}
	put("in/d/a", "more");
	assert_int_equal(rename("in/d", "in/z/d"), 0);
	slow = true;
	sync_watcher(w);
	slow = false;
	check_told("modified in/z/d/a");
}

/* Everything is looked at, for other reasons than that a comparison has found something. */
static void look_at_all(void)
{
	for (uint32_t i = 0; i < w->tree.nnodes; i++)
		if (tree_dir(&w->tree, i)->flags & DIR_USED)
			watcher__node_limbo(w, i);
	watcher__pump(w);
}

/* It moves before it is compared, into a directory that is not known yet, and that is found without a
 * comparison. */
static void test_it_is_found_before_it_is_compared(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_POLL, 0);
	put("in/d/a", "more");
	next_tick();
	watcher__pump(w);
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(rename("in/d/a", "in/n/a"), 0);
	next_tick();
	look_at_all();
	sync_watcher(w);
	check_told("modified in/n/a");
}

/* The index has read the name between two comparisons, and before the next one the directory has
 * moved: it is not where that expects it. */
static void test_it_is_read_before_its_directory_moves(void **state)
{
	(void)state;
	assert_int_equal(mkdir("in/d/b", 0755), 0);
	begin(WATCHER_BACKEND_POLL, 0);
	assert_int_equal(rmdir("in/d/b"), 0);
	put("in/d/b", "");
	look_at_all();
	check_told("created in/d/b");
	next_tick();
	put("in/d/b", "more");
	next_tick();
	assert_int_equal(rename("in/d", "in/z"), 0);
	sync_watcher(w);
	check_told("modified in/z/b");
}

/* A comparison sees another thing there, and the index again what it had. */
static void away_for_one_comparison(void)
{
	assert_int_equal(mkdir("out", 0755), 0);
	begin(WATCHER_BACKEND_POLL, 0);
	assert_int_equal(rename("in/d/a", "out/a"), 0);
	assert_int_equal(mkdir("in/d/a", 0755), 0);
	put("out/a", "more");
	next_tick();
	moves[0][0] = "in/d/a", moves[0][1] = "out/d";
	moves[1][0] = "out/a", moves[1][1] = "in/d/a";
	at = "in/d";
	before = 1;
	sync_watcher(w);
	assert_null(at);
}

/* There is no news in that, and none in what the next comparison sees. */
static void test_it_was_away_for_one_comparison(void **state)
{
	(void)state;
	away_for_one_comparison();
	sync_watcher(w);
	check_told("modified in/d/a");
}

/* As above; and the index reads the directory in the very tick of the clock in which it comes back. */
static void test_it_comes_back_in_the_tick_in_which_it_is_read(void **state)
{
	(void)state;
	at_once = true;
	away_for_one_comparison();
	next_tick();
	sync_watcher(w);
	check_told("modified in/d/a");
	sync_watcher(w);
	assert_string_equal(told(&events), "");
}

/* A comparison saw nothing of that name, and the index again what it had. */
static void test_it_was_gone_for_one_comparison(void **state)
{
	(void)state;
	assert_int_equal(mkdir("out", 0755), 0);
	begin(WATCHER_BACKEND_POLL, 0);
	assert_int_equal(rename("in/d/a", "out/a"), 0);
	put("out/a", "more");
	next_tick();
	moves[0][0] = "out/a", moves[0][1] = "in/d/a";
	at = "in/d";
	before = 1;
	sync_watcher(w);
	assert_null(at);
	sync_watcher(w);
	check_told("modified in/d/a");
	sync_watcher(w);
	assert_string_equal(told(&events), "");
}

static void turn_until_reached(void)
{
	while (uv_sem_trywait(&reached) < 0)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
}

/* The index reads its name while a comparison is made, which sees it only after it was written to. */
static void test_it_is_read_while_it_is_compared(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_POLL, 0);
	assert_int_equal(uv_sem_init(&reached, 0), 0);
	assert_int_equal(uv_sem_init(&gate, 0), 0);
	put("in/d/b", "");
	next_tick();
	held = "b";
	watch_test_synced = false;
	assert_int_equal(watcher_sync(w, on_watch_test_sync), 0);
	turn_until_reached();
	look_at_all();
	next_tick();
	put("in/d/b", "more");
	uv_sem_post(&gate);
	turn_until(watcher_loop(w), is_set, &watch_test_synced);
	assert_string_equal(told(&events), "created in/d/b, modified in/d/b");
	sync_watcher(w);
	assert_string_equal(told(&events), "");
	uv_sem_destroy(&reached);
	uv_sem_destroy(&gate);
}

/* Only a comparison looks at the times of what was found before it: what has been told is not told
 * again where something else finds that it moves. */
static void test_what_was_told_before_it_moves_is_not_told_again(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_POLL, 0);
	put("in/d/a", "more");
	next_tick();
	sync_watcher(w);
	check_told("modified in/d/a");
	assert_int_equal(rename("in/d/a", "in/e/a"), 0);
	next_tick();
	look_at_all();
	sync_watcher(w);
	assert_string_equal(told(&events), "moved in/d/a in/e/a");
}

/* What a comparison has found is to be looked at where nothing is any more; where that is now is found
 * by another pass. */
static void test_what_is_to_be_looked_at_has_moved(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_POLL, 0);
	put("in/new", "");
	put("in/d/a", "more");
	assert_int_equal(rename("in/d/a", "in/e/b"), 0);
	next_tick();
	moves[0][0] = "in/d", moves[0][1] = "in/y";
	moves[1][0] = "in/e", moves[1][1] = "in/z";
	read_first = true;
	sync_watcher(w);
	assert_false(read_first);
	check_told("modified in/z/b");
}

static int told_in_tick;

static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	(void)e;
	(void)arg;
	told_in_tick += clock_coarse_ns() == timed_ns;
}

/* What is written to it once more in the tick of the clock in which it was looked at may leave its times
 * as they were, but is older than what is told. */
static void test_it_is_told_after_the_tick_in_which_it_was_looked_at(void **state)
{
	(void)state;
	begin(WATCHER_BACKEND_POLL, 0);
	add_with(w, "in", WATCH(.on_any = on_any));
	sync_watcher(w);
	told_in_tick = 0;
	put("in/d/a", "more");
	put("in/d/b", "");
	timed = "b";
	sync_watcher(w);
	check_told("modified in/d/a, created in/d/b");
	assert_int_equal(told_in_tick, 0);
}

int main(void)
{
#define WRITTEN(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		WRITTEN(test_another_file_takes_the_name),
		WRITTEN(test_another_file_takes_the_name_without_names),
		WRITTEN(test_it_is_gone_without_names),
		WRITTEN(test_it_moves_again),
		WRITTEN(test_its_directory_has_moved),
		WRITTEN(test_it_was_away_for_one_comparison),
		WRITTEN(test_it_comes_back_in_the_tick_in_which_it_is_read),
		WRITTEN(test_it_was_gone_for_one_comparison),
		WRITTEN(test_it_is_read_while_it_is_compared),
		WRITTEN(test_what_was_told_before_it_moves_is_not_told_again),
		WRITTEN(test_what_is_to_be_looked_at_has_moved),
		WRITTEN(test_it_is_told_after_the_tick_in_which_it_was_looked_at),
		WRITTEN(test_it_is_found_before_it_is_compared),
		WRITTEN(test_it_is_read_before_its_directory_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
