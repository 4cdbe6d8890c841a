/*
 * The calls of a watcher beside each other: pausing, syncing, several watchers and loops, what is
 * counted, and the number of a rename.
 */
#include "watch_test.h"

#include "watcher/engine.h"

#include <pthread.h>

/* ---- pausing, debounce, sync ---- */

static void test_pause_and_resume(void **state)
{
	static struct told t;
	watcher *w = open_with(NULL);

	(void)state;
	add_with(w, ".", WATCH(.on_batch = on_told, .arg = &t));
	sync_watcher(w);
	watcher_pause(w);
	assert_int_equal(symlink("x", "a"), 0);
	for (int i = 0; i < 10; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	assert_string_equal(told(&t), "");
	watcher_resume(w);
	sync_watcher(w);
	assert_string_equal(told(&t), "created a");
	watcher_close(w);
}

static void set_times(const char *path, const struct timespec times[2])
{
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Nothing but a touch, and no event more is asked of the kernel to know one. */
static void test_touching_is_modifying(void **state)
{
	static const struct timespec then[2] = { { 1000, 1 }, { 1000, 1 } };
	static const struct timespec some_day[2] = { { 4000000000, 1 }, { 4000000000, 1 } };
	static struct told changes, all;
	watcher *w = open_with(NULL);
	watcher_stats_t before, after;

	(void)state;
	add_with(w, ".", WATCH(.on_batch = on_told, .arg = &changes));
	sync_watcher(w);
	watcher_stats(w, &before, sizeof before);
	put("a", "x");
	sync_watcher(w);
	watcher_stats(w, &after, sizeof after);
	assert_int_equal(after.events_in - before.events_in, 2);
	assert_string_equal(told(&changes), "created a, modified a");
	add_with(w, ".", WATCH(.kinds = WATCHER_MODIFIED | WATCHER_ATTRIB, .on_batch = on_told,
			       .arg = &all));
	set_times("a", then);
	sync_watcher(w);
	assert_string_equal(told(&changes), "");
	assert_string_equal(told(&all), "attrib a");
	assert_int_equal(chmod("a", 0600), 0);
	sync_watcher(w);
	assert_string_equal(told(&changes), "");
	assert_string_equal(told(&all), "attrib a");
	set_times("a", some_day);
	sync_watcher(w);
	assert_string_equal(told(&changes), "");
	assert_string_equal(told(&all), "attrib a");
	set_times("a", NULL);
	sync_watcher(w);
	assert_string_equal(told(&changes), "modified a");
	assert_string_equal(told(&all), "attrib a");
	watcher_close(w);
}

struct names {
	char there[3000];
	int overflows, recovered, bad;
};

static int number_of(const char *path)
{
	return path[0] == 'n' ? atoi(path + 1) : -1;
}

static void on_names(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct names *n = arg;
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e)) {
		int at = number_of(e.path);

		n->recovered += e.recovered;
		n->overflows += e.kind == WATCHER_OVERFLOW;
		if (at < 0)
			continue;
		if (e.kind == WATCHER_CREATED)
			n->bad += n->there[at]++;
		else if (e.kind == WATCHER_DELETED)
			n->bad += !n->there[at]--;
		else if (e.kind == WATCHER_MOVED) {
			n->bad += !n->there[at]--;
			n->bad += n->there[number_of(e.dest)]++;
		}
	}
}

/* More than may wait is dropped, told as an overflow, and found again from the index. */
static void test_backlog_is_bounded(void **state)
{
	static struct names n;
	watcher *w = open_with(WATCHER(.max_backlog_bytes = 20000));
	watcher_stats_t stats;
	char a[16], b[16];

	(void)state;
	add_with(w, ".", WATCH(.on_batch = on_names, .arg = &n,
			       .kinds = WATCHER_CHANGES | WATCHER_OVERFLOW));
	for (int i = 0; i < 1000; i++) {
		snprintf(a, sizeof a, "n%d", i);
		put(a, "");
	}
	sync_watcher(w);
	watcher_pause(w);
	for (int i = 0; i < 3000; i++) {
		snprintf(a, sizeof a, "n%d", i);
		snprintf(b, sizeof b, "n%d", i + 2000);
		if (i % 3 == 0)
			unlink(a);
		else if (i < 1000)
			assert_int_equal(rename(a, b), 0);
		else if (i < 2000)
			put(a, "");
		if (i % 100 == 0)
			uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	}
	for (int i = 0; i < 20; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	watcher_stats(w, &stats, sizeof stats);
	assert_true(stats.backlog_bytes < 20000 + 400000);
	watcher_resume(w);
	sync_watcher(w);
	assert_int_equal(n.bad, 0);
	assert_true(n.overflows > 0);
	assert_true(n.recovered > 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(a, sizeof a, "n%d", i);
		assert_int_equal(n.there[i], access(a, F_OK) == 0);
	}
	watcher_close(w);
}

/* What is held back by a pause has not been delivered: the barrier waits, too. */
static void test_sync_waits_for_resume(void **state)
{
	watcher *w = open_with(NULL);

	(void)state;
	watch_test_synced = false;
	watcher_pause(w);
	assert_int_equal(watcher_sync(w, on_watch_test_sync), 0);
	for (int i = 0; i < 10; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	assert_false(watch_test_synced);
	watcher_resume(w);
	turn_until(watcher_loop(w), is_set, &watch_test_synced);
	watcher_close(w);
}

static void test_sync_cuts_debounce_short(void **state)
{
	static struct told t;
	watcher *w = open_with(WATCHER(.debounce_ms = 60000, .debounce_max_ms = 60000));
	uint64_t start = uv_hrtime();

	(void)state;
	add_with(w, ".", WATCH(.on_batch = on_told, .arg = &t));
	assert_int_equal(symlink("x", "a"), 0);
	assert_int_equal(symlink("x", "b"), 0);
	sync_watcher(w);
	assert_string_equal(told(&t), "created a, created b");
	assert_int_equal(t.batches, 1);
	assert_true(uv_hrtime() - start < UINT64_C(30000000000));
	assert_int_equal(watcher_sync(w, NULL), UV_EINVAL);
	watcher_close(w);
}

static int canceled;

static void on_canceled(watcher *w, int status, void *arg)
{
	(void)w;
	(void)arg;
	canceled += status == UV_ECANCELED;
}

static void test_close_cancels_sync(void **state)
{
	watcher *w = open_with(NULL);

	(void)state;
	canceled = 0;
	assert_int_equal(watcher_sync(w, on_canceled), 0);
	assert_int_equal(watcher_sync(w, on_canceled), 0);
	watcher_close(w);
	assert_int_equal(canceled, 2);
}

static void on_sync_again(watcher *w, int status, void *arg)
{
	(void)arg;
	assert_int_equal(status, UV_ECANCELED);
	canceled++;
	assert_int_equal(watcher_sync(w, on_sync_again), UV_ECANCELED);
}

static void test_what_is_closed_syncs_no_more(void **state)
{
	watcher *w = open_with(NULL);

	(void)state;
	canceled = 0;
	assert_int_equal(watcher_sync(w, on_sync_again), 0);
	watcher_close(w);
	assert_int_equal(canceled, 1);
}

static int synced;

static void on_sync_close(watcher *w, int status, void *arg)
{
	(void)arg;
	assert_int_equal(status, 0);
	if (++synced == 2)
		watcher_close(w);
}

/* Of three the second closes: two are told of their end, each once, and one that it is canceled. */
static void test_a_sync_that_closes_is_told_once(void **state)
{
	watcher *w = open_with(NULL);

	(void)state;
	canceled = synced = 0;
	assert_int_equal(watcher_sync(w, on_sync_close), 0);
	assert_int_equal(watcher_sync(w, on_sync_close), 0);
	assert_int_equal(watcher_sync(w, on_canceled), 0);
	watcher_run(w);
	assert_int_equal(synced, 2);
	assert_int_equal(canceled, 1);
}

/* ---- several ---- */

static void test_several_watchers_on_a_loop(void **state)
{
	static struct told t[3];
	watcher *w[3];
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	for (int i = 0; i < 3; i++) {
		w[i] = open_with(WATCHER(.loop = &loop));
		add_with(w[i], ".", WATCH(.on_batch = on_told, .arg = &t[i]));
	}
	assert_int_equal(symlink("x", "a"), 0);
	for (int i = 0; i < 3; i++)
		sync_watcher(w[i]);
	for (int i = 0; i < 3; i++)
		assert_string_equal(told(&t[i]), "created a");
	watcher_close(w[1]);
	assert_int_equal(unlink("a"), 0);
	sync_watcher(w[0]);
	sync_watcher(w[2]);
	assert_string_equal(told(&t[0]), "deleted a");
	assert_string_equal(told(&t[1]), "");
	assert_string_equal(told(&t[2]), "deleted a");
	watcher_close(w[0]);
	watcher_close(w[2]);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void *watch_on_a_thread(void *arg)
{
	struct told *t = calloc(1, sizeof *t);
	const char *dir = arg;
	bool good = t != NULL;
	char path[64];
	watcher *w;

	for (int i = 0; good && i < 20; i++) {
		snprintf(path, sizeof path, "%s/%d", dir, i);
		good = watcher_open(&w, NULL, NULL) == 0;
		if (!good)
			break;
		good = watcher_add(w, dir, WATCH(.on_batch = on_told, .arg = t), NULL) == 0 &&
		       symlink("x", path) == 0;
		while (good && !t->batches)
			uv_run(watcher_loop(w), UV_RUN_ONCE);
		good = good && strncmp(t->text, "created ", 8) == 0 && strcmp(t->text + 8, path) == 0;
		watcher_close(w);
		memset(t, 0, sizeof *t);
	}
	free(t);
	return good ? arg : NULL;
}

static void test_several_threads(void **state)
{
	static char dirs[4][16];
	pthread_t threads[4];
	void *good;

	(void)state;
	for (int i = 0; i < 4; i++) {
		snprintf(dirs[i], sizeof dirs[i], "d%d", i);
		assert_int_equal(mkdir(dirs[i], 0755), 0);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, watch_on_a_thread, dirs[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &good);
		assert_ptr_equal(good, dirs[i]);
	}
}

/* ---- what is counted ---- */

static void test_pruned_directories_are_no_files(void **state)
{
	watcher *w = open_with(NULL);
	watcher_stats_t stats;

	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(mkdir("out/more", 0755), 0);
	put("d/f", "");
	put("out/f", "");
	put("f", "");
	assert_int_equal(symlink("d", "link"), 0);
	add_with(w, ".", WATCH(.ignores = LIST("out/")));
	watcher_stats(w, &stats, sizeof stats);
	assert_int_equal(stats.directories, 2);
	assert_int_equal(stats.files, 3);
	assert_int_equal(mkdir("out/new", 0755), 0);
	assert_int_equal(rename("out", "in"), 0);
	sync_watcher(w);
	watcher_stats(w, &stats, sizeof stats);
	assert_int_equal(stats.directories, 5);
	assert_int_equal(stats.files, 4);
	watcher_close(w);
}

/* Lines of what the kernel says that descriptors of this process watch. */
static uint64_t kernel_watches(void)
{
	char path[64], line[300];
	uint64_t n = 0;
	FILE *f;

	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
		if (!(f = fopen(path, "r")))
			continue;
		while (fgets(line, sizeof line, f))
			n += !strncmp(line, "inotify wd:", 11) || !strncmp(line, "fanotify sdev:", 14);
		fclose(f);
	}
	return n;
}

/* Those on the way to a root, or to what is not there yet, are watches, too; and where nothing is
 * watched any more none is left. */
static void test_watches_are_those_of_the_kernel(void **state)
{
	watcher_stats_t stats;
	watcher *w;

	(void)state;
	assert_int_equal(mkdir("a", 0755) | mkdir("a/b", 0755) | mkdir("a/c", 0755), 0);
	for (int backend = WATCHER_BACKEND_INOTIFY; backend <= WATCHER_BACKEND_POLL; backend++) {
		if (watcher_open(&w, WATCHER(.backend = backend), NULL) < 0)
			continue; /* not permitted */
		add_with(w, "a", WATCH(0));
		add_with(w, "missing/d", WATCH(0));
		sync_watcher(w);
		watcher_stats(w, &stats, sizeof stats);
		assert_int_equal(stats.directories, 3);
		assert_int_equal(stats.watches, kernel_watches());
		assert_int_equal(stats.polled_directories, backend == WATCHER_BACKEND_POLL ? 3 : 0);
		watcher_remove_all(w);
		sync_watcher(w);
		watcher_stats(w, &stats, sizeof stats);
		assert_int_equal(stats.watches, 0);
		assert_int_equal(kernel_watches(), 0);
		assert_int_equal(stats.polled_directories, 0);
		watcher_close(w);
	}
}

/* ---- the number of a rename ---- */

struct numbered {
	char text[200];
	uint32_t cookie;
};

static void on_numbered(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct numbered *n = arg;

	(void)watch;
	snprintf(n->text + strlen(n->text), sizeof n->text - strlen(n->text), "%s%s %s%s",
		 n->text[0] ? ", " : "", watcher_kind_name(e->kind), e->path,
		 e->cookie ? "#" : "");
	if (e->cookie)
		n->cookie = e->cookie;
}

/* From a watch of one watcher to a watch of another, which may be the same. */
static void move_between(watcher *w, watcher *other)
{
	struct numbered from = { .cookie = 0 }, to = from;
	watcher_watch *a, *b;

	put("a/f", "");
	assert_int_equal(mkdir("d", 0755), 0);
	put("d/g", "");
	a = add_with(w, "a", WATCH(.on_any = on_numbered, .arg = &from));
	b = add_with(other, "b", WATCH(.on_any = on_numbered, .arg = &to));
	assert_int_equal(rename("a/f", "b/f"), 0);
	sync_watcher(w);
	sync_watcher(other);
	assert_string_equal(from.text, "deleted a/f#");
	assert_string_equal(to.text, "created b/f#");
	assert_int_equal(from.cookie, to.cookie);
	to.text[0] = '\0';
	assert_int_equal(rename("d", "b/d"), 0);
	sync_watcher(other);
	assert_string_equal(to.text, "created b/d#, created b/d/g");
	assert_int_not_equal(from.cookie, to.cookie);
	to.text[0] = '\0';
	assert_int_equal(rename("b/d", "d"), 0);
	sync_watcher(other);
	assert_string_equal(to.text, "deleted b/d/g, deleted b/d#");
	watcher_remove(a);
	watcher_remove(b);
	assert_int_equal(system("rm -r d b/f"), 0);
}

static void test_both_halves_of_a_move_have_its_number(void **state)
{
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY)),
		*other = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));

	(void)state;
	assert_int_equal(mkdir("a", 0755), 0);
	assert_int_equal(mkdir("b", 0755), 0);
	move_between(w, w);
	move_between(w, other);
	watcher_close(other);
	watcher_close(w);
}

struct counted {
	int deleted, numbered;
};

static void on_deleted(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct counted *n = arg;

	(void)watch;
	n->deleted++;
	n->numbered += e->cookie != 0;
}

/* What waits for another half is looked through for each: that has a bound. */
static void test_many_moved_out_at_once(void **state)
{
	struct counted n = { 0 };
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	char from[32], to[32];

	(void)state;
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	for (int i = 0; i < 2000; i++) {
		sprintf(from, "in/%d", i);
		put(from, "");
	}
	add_with(w, "in", WATCH(.on_deleted = on_deleted, .arg = &n));
	for (int i = 0; i < 2000; i++) {
		sprintf(from, "in/%d", i);
		sprintf(to, "out/%d", i);
		assert_int_equal(rename(from, to), 0);
	}
	sync_watcher(w);
	assert_int_equal(n.deleted, 2000);
	assert_int_equal(n.numbered, 2000);
	assert_true(w->halves_cap <= 512);
	watcher_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pause_and_resume),
		TEST(test_touching_is_modifying),
		TEST(test_backlog_is_bounded),
		TEST(test_sync_waits_for_resume),
		TEST(test_sync_cuts_debounce_short),
		TEST(test_close_cancels_sync),
		TEST(test_what_is_closed_syncs_no_more),
		TEST(test_a_sync_that_closes_is_told_once),
		TEST(test_several_watchers_on_a_loop),
		TEST(test_several_threads),
		TEST(test_pruned_directories_are_no_files),
		TEST(test_watches_are_those_of_the_kernel),
		TEST(test_both_halves_of_a_move_have_its_number),
		TEST(test_many_moved_out_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
