/*
 * The end of a watch and of a watcher: nothing is left behind of either, nothing more is told, and
 * it takes no time of the loop.
 */
#include "watch_test.h"

static void test_nothing_is_left(void **state)
{
	static struct told t;
	int fds = 0, threads = 0;

	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	for (int i = 0; i < 20; i++) {
		watcher *w = open_with(NULL);
		watcher_watch *watch = add_with(w, "d", WATCH(.on_batch = on_told, .arg = &t));

		add_with(w, "none/there", WATCH(.depth = 1));
		assert_int_equal(watcher_watch_add_root(watch, ".", NULL), 0);
		put("d/f", "");
		sync_watcher(w);
		watcher_remove(watch);
		put("d/f", "1");
		sync_watcher(w);
		watcher_close(w);
		if (i == 0) {
			fds = count_descriptors();
			threads = count_threads();
		}
	}
	assert_int_equal(count_descriptors(), fds);
	assert_int_equal(count_threads(), threads);
}

/* How long this thread has waited for a processor that others had; 0 where that is not told. */
static uint64_t waited_ns(void)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	if (f && fscanf(f, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	if (f)
		fclose(f);
	return waited;
}

/* How long it took, but for what others made it wait. */
static uint64_t close_large(uv_loop_t *loop)
{
	watcher *w = open_with(WATCHER(.loop = loop));
	uint64_t start, waited, took;

	add_with(w, ".", WATCH(.depth = 0));
	waited = waited_ns();
	start = uv_hrtime();
	watcher_close(w);
	took = uv_hrtime() - start;
	waited = waited_ns() - waited;
	uv_run(loop, UV_RUN_DEFAULT);
	return took > waited ? took - waited : 0;
}

/* Closing hands the kernel's part and a large index to threads: the loop turns on at once. */
static void test_close_does_not_block(void **state)
{
	uint64_t worst = 0, took;
	uv_loop_t loop;
	char path[32];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof path, "d%d", i);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	assert_int_equal(uv_loop_init(&loop), 0);
	for (int i = 0; i < 3; i++)
		if ((took = close_large(&loop)) > worst)
			worst = took;
	print_message("close: %.3f ms\n", (double)worst / 1e6);
	assert_true(worst < 20000000);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* The kernel's count of this process's inotify watches. */
static int kernel_watches(void)
{
	DIR *d = opendir("/proc/self/fdinfo");
	const struct dirent *e;
	char path[300], line[256];
	int n = 0;
	FILE *f;

	assert_non_null(d);
	while ((e = readdir(d))) {
		snprintf(path, sizeof path, "/proc/self/fdinfo/%s", e->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof line, f))
			n += strncmp(line, "inotify wd:", 11) == 0;
		if (f)
			fclose(f);
	}
	closedir(d);
	return n;
}

static bool watches_are(void *arg)
{
	return kernel_watches() == *(int *)arg;
}

/* Watches of a large tree end a few at a time; a watch that begins meanwhile loses none. */
static void test_removed_tree_gives_its_watches_back(void **state)
{
	static struct told t, u;
	watcher *w = open_with(NULL);
	watcher_watch *watch;
	char path[32];
	int before, with;

	(void)state;
	assert_int_equal(mkdir("t", 0755), 0);
	assert_int_equal(mkdir("other", 0755), 0);
	for (int i = 0; i < 600; i++) {
		snprintf(path, sizeof path, "t/d%d", i);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	add_with(w, "other", WATCH(.on_batch = on_told, .arg = &u));
	sync_watcher(w);
	before = kernel_watches();
	watch = add_with(w, "t", WATCH(.on_batch = on_told, .arg = &t));
	sync_watcher(w);
	with = kernel_watches();
	assert_in_range(with - before, 601, 610);
	watcher_remove(watch);
	put("t/d0/f", "");
	assert_int_equal(rename("t/d0/f", "other/f"), 0);
	turn_until(watcher_loop(w), watches_are, &before);
	assert_string_equal(told(&u), "created other/f");
	assert_string_equal(told(&t), "");
	watch = add_with(w, "t", WATCH(.on_batch = on_told, .arg = &t));
	watcher_remove(watch);
	watch = add_with(w, "t", WATCH(.on_batch = on_told, .arg = &t));
	sync_watcher(w);
	for (int i = 0; i < 600; i += 599) {
		snprintf(path, sizeof path, "t/d%d/g", i);
		assert_int_equal(symlink("x", path), 0);
	}
	sync_watcher(w);
	assert_string_equal(told(&t), "created t/d0/g, created t/d599/g");
	assert_int_equal(kernel_watches(), with);
	watcher_remove(watch);
	watcher_close(w);
}

static void test_removed_watch_is_silent(void **state)
{
	static struct told t, u;
	watcher *w = open_with(WATCHER(.debounce_ms = 60000));
	watcher_watch *watch;
	watcher_stats_t stats, small = { 0 };

	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	watch = add_with(w, ".", WATCH(.on_batch = on_told, .arg = &t));
	add_with(w, "d", WATCH(.on_batch = on_told, .arg = &u));
	put("d/f", "");
	for (int i = 0; i < 5; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	watcher_remove(watch); /* undelivered events go with it */
	sync_watcher(w);
	assert_string_equal(told(&t), "");
	assert_string_equal(told(&u), "created d/f");
	watcher_stats(w, &stats, sizeof stats);
	assert_int_equal(stats.directories, 1);
	assert_int_equal(stats.files, 1);
	assert_string_equal(stats.backend, "inotify");
	watcher_stats(w, &small, offsetof(watcher_stats_t, watches));
	assert_int_equal(small.files, 1);
	assert_null(small.backend);
	watcher_remove_all(w);
	watcher_stats(w, &stats, sizeof stats);
	assert_int_equal(stats.directories, 0);
	assert_int_equal(stats.files, 0);
	watcher_close(w);
}

static uint64_t index_bytes(const watcher *w)
{
	watcher_stats_t st;

	watcher_stats(w, &st, sizeof st);
	return st.index_bytes;
}

/* What comes and goes leaves nothing in the index, be it told or found. */
static void test_what_came_and_went_is_not_kept(void **state)
{
	static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FSEVENT,
					WATCHER_BACKEND_POLL };
	char name[60];

	(void)state;
	for (size_t b = 0; b < COUNT(backends); b++) {
		watcher *w = open_with(WATCHER(.backend = backends[b]));
		uint64_t before;

		add_with(w, ".", WATCH(.kinds = 0));
		put("stays", "");
		before = index_bytes(w);
		for (int i = 0; i < 3000; i++) {
			sprintf(name, "a name that comes and goes at once %d", i % 1000);
			assert_int_equal(i % 100 < 50 ? mkfifo(name, 0600) : 0, 0);
			sprintf(name, "a name that comes and goes at once %d", i % 1000 - 50);
			assert_int_equal(i % 100 < 50 ? 0 : unlink(name), 0);
			if (i % 50 == 49)
				sync_watcher(w);
		}
		assert_true(index_bytes(w) < before + 48 * 1024);
		assert_int_equal(unlink("stays"), 0);
		watcher_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_left),
		TEST(test_what_came_and_went_is_not_kept),
		TEST(test_close_does_not_block),
		TEST(test_removed_tree_gives_its_watches_back),
		TEST(test_removed_watch_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
