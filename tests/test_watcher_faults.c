/* clang-format off */
/*
 * Everything that can fail fails, once or from then on: each allocation, each watch, each
 * opening and reading of a directory, each piece of work for a thread, over the life of a watcher.
 * A call says so and changes nothing; what fails in between is made good or told as an overflow;
 * and once the fault is gone, events arrive and the names that were told are those that are there.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup,--wrap=inotify_add_watch,--wrap=open,--wrap=openat,--wrap=syscall,--wrap=uv_fs_event_start,--wrap=uv_queue_work,--wrap=fanotify_init,--wrap=fanotify_mark,--wrap=name_to_handle_at,--wrap=open_by_handle_at,--wrap=read
 */
/* clang-format on */
#include "watch_faults.h"

#include "index_check.h"
#include "watcher/engine.h"

static const char *const names_of_what[] = { "memory", "watches", "opens",   "reads",		"work",
					     "inits",  "marks",	  "handles", "opens by handle", "queue" };
static long stride = 1; /* not at each k where that takes too long, and has little to add */

static int backend; /* of the lives that follow */
static bool behind; /* their watch has an engine of its own, behind that of another */

static bool is_sticky(void)
{
	return fault.run == FROM_THEN_ON;
}

/* ---- the names that were told ---- */

static struct names {
	char path[400][64];
	size_t n;
} told_names;

static int overflows;

static size_t find_name(const char *path)
{
	size_t i;

	for (i = 0; i < told_names.n; i++)
		if (strcmp(told_names.path[i], path) == 0)
			break;
	return i;
}

static void add_name(const char *path)
{
	if (find_name(path) < told_names.n)
		return;
	assert_true(told_names.n < COUNT(told_names.path));
	snprintf(told_names.path[told_names.n++], sizeof told_names.path[0], "%s", path);
}

static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 && path[len] == '/';
}

/* With what is below it: where memory is short only the end of the directory may be told. */
static void remove_name(const char *path)
{
	for (size_t i = told_names.n; i-- > 0;)
		if (strcmp(told_names.path[i], path) == 0 || is_below(told_names.path[i], path))
			memmove(told_names.path[i], told_names.path[--told_names.n],
				sizeof told_names.path[0]);
}

static void move_name(const char *path, const char *dest)
{
	char moved[sizeof told_names.path[0]];

	add_name(dest);
	for (size_t i = 0; i < told_names.n; i++)
		if (is_below(told_names.path[i], path)) {
			snprintf(moved, sizeof moved, "%.30s%.30s", dest,
				 told_names.path[i] + strlen(path));
			add_name(moved);
		}
	remove_name(path);
}

static void on_names(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	watcher_event e;

	(void)watch;
	(void)arg;
	while (watcher_batch_next(batch, &e)) {
		overflows += e.kind == WATCHER_OVERFLOW;
		if (e.kind == WATCHER_DELETED)
			remove_name(e.path);
		if (e.kind == WATCHER_CREATED)
			add_name(e.path);
		if (e.kind == WATCHER_MOVED)
			move_name(e.path, e.dest);
	}
}

/* Calls one(path) for all that is below a directory. */
static void each_name(const char *dir, void (*one)(const char *path))
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[64];

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%.30s/%.30s", dir, e->d_name);
		one(path);
		if (e->d_type == DT_DIR)
			each_name(path, one);
	}
	closedir(d);
}

static size_t names_there;

static void check_name(const char *path)
{
	names_there++;
	if (find_name(path) == told_names.n)
		fail_msg("%s is there, and was not told", path);
}

/* ---- a watcher's life ---- */

static int problems;

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)w;
	(void)path;
	(void)arg;
	assert_true(err->message[0] != '\0');
	problems++;
}

/* An error that may come of the fault, with a message; the fault is gone then. */
static void check_failed(int r, const watcher_error *err)
{
	int expected = fault.what == MEMORY ? UV_ENOMEM : -fault.error;

	if (r != expected || !fault.fired)
		fail_msg("%s: %s", uv_err_name(r), err ? err->message : "");
	if (err)
		assert_true(err->message[0] != '\0');
	disarm();
}

static void change_tree(void)
{
	assert_int_equal(mkdir("in/n", 0755), 0);
	assert_int_equal(mkdir("in/n/m", 0755), 0);
	put("in/n/m/x", "");
	assert_int_equal(rename("in/a", "in/n/a"), 0);
	assert_int_equal(unlink("in/c/h"), 0);
	put("in/n/a/b/f", "more");
}

static watcher_filter *make_filter(void)
{
	watcher_filter *f;
	int r = watcher_filter_new(&f, NULL);

	if (r < 0) {
		check_failed(r, NULL);
		assert_int_equal(watcher_filter_new(&f, NULL), 0);
	}
	assert_int_equal(watcher_filter_set(f, WATCHER_FILTER_GITIGNORE), 0);
	return f;
}

static void on_nothing(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)watch;
	(void)batch;
	(void)arg;
}

static void add_another(watcher *w)
{
	watcher_error err = { 0 };
	int r = watcher_add(w, "in/c", WATCH(.on_batch = on_nothing), &err);

	if (r < 0) {
		check_failed(r, &err);
		assert_int_equal(watcher_add(w, "in/c", WATCH(.on_batch = on_nothing), &err), 0);
	}
}

static watcher *open_and_add(watcher_watch **watch)
{
	watcher_filter *f = make_filter();
	watch_options o = { .size = sizeof o, .on_batch = on_names, .watch = watch, .filter = f,
			    .ignores = LIST("*.tmp"), .follow_symlinks = behind,
			    .kinds = WATCHER_CHANGES | WATCHER_OVERFLOW };
	const watcher_options *options = WATCHER(.on_problem = on_problem, .backend = backend,
						 .poll_interval_ms = 3600000);
	watcher_stats_t before, stats;
	watcher_error err = { 0 };
	watcher *w = NULL;
	int r = watcher_open(&w, options, &err);

	if (r < 0) {
		check_failed(r, &err);
		assert_null(w);
		assert_int_equal(watcher_open(&w, options, &err), 0);
	}
	memset(&err, 0, sizeof err);
	if (behind)
		add_another(w);
	watcher_stats(w, &before, sizeof before);
	r = watcher_add(w, "in", &o, &err);
	if (r < 0) {
		check_failed(r, &err);
		watcher_stats(w, &stats, sizeof stats);
		assert_int_equal(stats.directories, before.directories);
		assert_int_equal(stats.watches, before.watches);
		r = watcher_add(w, "in", &o, &err);
		if (r < 0)
			fail_msg("again: %s", err.message);
	}
	watcher_filter_free(f);
	return w;
}

static void more_calls(watcher *w, watcher_watch *watch)
{
	watcher_error err = { 0 };
	int id, r = watcher_watch_add_handler(&id, watch, WATCH(.on_batch = on_names));

	(void)w;
	if (r < 0)
		check_failed(r, NULL);
	else
		assert_int_equal(watcher_watch_remove_handler(watch, id), 0);
	r = watcher_watch_add_root(watch, "in/c", &err);
	if (r < 0)
		check_failed(r, &err);
}

static void sync_all(watcher *w)
{
	int r;

	watch_test_synced = false;
	r = watcher_sync(w, on_watch_test_sync);
	if (r < 0) {
		check_failed(r, NULL);
		assert_int_equal(watcher_sync(w, on_watch_test_sync), 0);
	}
	/* What fails again and again may keep the barrier up: it falls when the fault is gone. */
	for (int i = 0; i < 300 && !watch_test_synced && is_sticky(); i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	if (is_sticky())
		disarm();
	turn_until(watcher_loop(w), is_set, &watch_test_synced);
}

/* Is it certain that all is known again once the fault is gone? A directory that "may not be
 * read" is left alone until it changes itself, and so is one that is not there to be opened. */
static bool makes_good(void)
{
	return fault.error == ENOMEM || fault.error == ENOSPC || fault.error == EMFILE ||
	       fault.what == QUEUE ||
	       (fault.what == WATCHES && fault.error == ENOENT);
}

static void check_index(watcher *w)
{
	char text[4000];

	EACH_ENGINE(engine, w) {
		if (!engine->closing && index_check(engine, text, sizeof text))
			fail_msg("the index is not what there is:\n%s", text);
	}
}

static void life(void)
{
	/* A root that is added has all read that is left, if anything happened on the file system. */
	bool later = fault.what == BY_HANDLE;
	watcher_watch *watch = NULL;
	watcher *w;

	told_names.n = 0;
	overflows = 0;
	w = open_and_add(&watch);
	each_name("in", add_name);
	if (!later)
		more_calls(w, watch);
	change_tree();
	sync_all(w);
	if (later)
		more_calls(w, watch);
	disarm();
	put("in/last", "");
	sync_all(w);
	sync_all(w);
	if (find_name("in/last") == told_names.n)
		fail_msg("an event after the fault has not arrived");
	if (makes_good()) {
		names_there = 0;
		each_name("in", check_name);
		/* What was in a directory that moved on unread cannot be told as gone. */
		for (size_t i = 0; i < told_names.n && fault.error != ENOENT; i++)
			if (access(told_names.path[i], F_OK) < 0)
				print_error("told: %s\n", told_names.path[i]);
		if (fault.error != ENOENT && names_there != told_names.n)
			fail_msg("%zu are there, %zu were told", names_there, told_names.n);
	}
	if (makes_good())
		check_index(w);
	watcher_close(w);
}

static void one_life(long k)
{
	make_tree();
	arm(k);
	life();
	disarm();
	assert_int_equal(nftw("in", watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void all_lives(enum what what, int error, long run)
{
	int fds = -1;
	long k;

	fault.what = what;
	fault.error = error;
	fault.run = run;
	for (k = 1; k == 1 || fault.fired; k += stride) {
		print_message("%s %s at %ld, %ld in a row\n", names_of_what[what], strerror(error),
			      k, run);
		one_life(k);
		if (fds < 0) /* libuv's threads and descriptors are there now */
			fds = count_descriptors();
		assert_int_equal(count_descriptors(), fds);
	}
	assert_true(k > (what == WORK || what == INITS ? 1 : 3));
}

static void test_memory_once(void **state)
{
	(void)state;
	all_lives(MEMORY, ENOMEM, 1);
}

static void test_memory_from_then_on(void **state)
{
	(void)state;
	all_lives(MEMORY, ENOMEM, FROM_THEN_ON);
}

static void test_memory_behind_another(void **state)
{
	(void)state;
	behind = true;
	all_lives(MEMORY, ENOMEM, 1);
	all_lives(MEMORY, ENOMEM, FROM_THEN_ON);
	all_lives(WATCHES, ENOSPC, FROM_THEN_ON);
	all_lives(OPENS, EMFILE, 1);
	behind = false;
}

/* More than the memory that is kept for the case holds: told in pieces, nothing left out. */
static void change_much(void)
{
	char path[64];

	for (int i = 0; i < 120; i++) {
		snprintf(path, sizeof path, "in/c/file-%d", i);
		put(path, "");
	}
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof path, "in/c/file-%d", i * 3);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(mkdir("in/d", 0755), 0);
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof path, "in/d/file-%d", i);
		put(path, "");
	}
	assert_int_equal(rename("in/a", "in/d/a"), 0);
}

static void much_without_memory(long run)
{
	watcher_watch *watch = NULL;
	watcher *w;

	fault.what = MEMORY;
	fault.error = ENOMEM;
	fault.run = run;
	for (long k = 1; k == 1 || fault.fired; k++) {
		make_tree();
		told_names.n = 0;
		w = open_and_add(&watch);
		each_name("in", add_name);
		change_much();
		arm(k);
		for (int i = 0; i < 20; i++)
			uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		disarm();
		sync_all(w);
		sync_all(w);
		names_there = 0;
		each_name("in", check_name);
		if (names_there != told_names.n)
			fail_msg("at %ld: %zu are there, %zu were told", k, names_there,
				 told_names.n);
		check_index(w);
		watcher_close(w);
		assert_int_equal(nftw("in", watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	}
}

static void test_a_full_backlog_without_memory(void **state)
{
	(void)state;
	much_without_memory(1);
	much_without_memory(FROM_THEN_ON);
}

static void test_watch_limit(void **state)
{
	(void)state;
	all_lives(WATCHES, ENOSPC, 1);
	all_lives(WATCHES, ENOSPC, FROM_THEN_ON);
}

static void test_watch_refused(void **state)
{
	(void)state;
	all_lives(WATCHES, EACCES, 1);
	for (long run = 1; run <= 4; run++)
		all_lives(WATCHES, ENOENT, run);
}

static void test_open_fails(void **state)
{
	(void)state;
	all_lives(OPENS, EMFILE, 1);
	all_lives(OPENS, EACCES, 1);
	all_lives(OPENS, ENOENT, 1);
}

static void test_read_fails(void **state)
{
	(void)state;
	all_lives(READS, EACCES, 1);
	all_lives(READS, ENOENT, 1);
}

static void test_fsevent(void **state)
{
	(void)state;
	backend = WATCHER_BACKEND_FSEVENT;
	all_lives(MEMORY, ENOMEM, 1);
	all_lives(WATCHES, ENOSPC, 1);
	all_lives(WATCHES, EACCES, 1);
	all_lives(WATCHES, ENOENT, 2);
	all_lives(OPENS, EMFILE, 1);
	all_lives(READS, EACCES, 1);
	backend = WATCHER_BACKEND_AUTO;
}

static void test_poll(void **state)
{
	(void)state;
	backend = WATCHER_BACKEND_POLL;
	all_lives(MEMORY, ENOMEM, 1);
	all_lives(OPENS, EMFILE, 1);
	all_lives(OPENS, EACCES, 1);
	all_lives(READS, EACCES, 1);
	all_lives(WORK, ENOMEM, 1);
	all_lives(WORK, ENOMEM, FROM_THEN_ON);
	backend = WATCHER_BACKEND_AUTO;
}

/* ---- the same with fanotify ---- */

static void with_fanotify(enum what what, int error, long run)
{
	if (getuid() != 0) {
		print_message("# skipped: fanotify needs root\n");
		skip();
	}
	backend = WATCHER_BACKEND_FANOTIFY;
	all_lives(what, error, run);
	backend = WATCHER_BACKEND_AUTO;
	fan = -1;
}

static void test_fanotify_memory(void **state)
{
	(void)state;
	with_fanotify(MEMORY, ENOMEM, 1);
	stride = 7;
	with_fanotify(MEMORY, ENOMEM, FROM_THEN_ON);
	stride = 1;
}

static void test_fanotify_calls(void **state)
{
	(void)state;
	with_fanotify(INITS, EMFILE, 1);
	with_fanotify(MARKS, ENOMEM, 1);
	with_fanotify(MARKS, ENOSPC, 1);
	with_fanotify(HANDLES, ENOMEM, 1);
	with_fanotify(QUEUE, EIO, 1);
}

static void test_fanotify_reading(void **state)
{
	(void)state;
	with_fanotify(OPENS, EMFILE, 1);
	with_fanotify(OPENS, EACCES, 1);
	with_fanotify(READS, ENOENT, 1);
	with_fanotify(BY_HANDLE, ESTALE, 1);
	with_fanotify(BY_HANDLE, EMFILE, 1);
	with_fanotify(BY_HANDLE, ENOMEM, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory_once),	  TEST(test_memory_from_then_on),
		TEST(test_memory_behind_another), TEST(test_a_full_backlog_without_memory),
		TEST(test_watch_limit),	  TEST(test_watch_refused),
		TEST(test_open_fails),	  TEST(test_read_fails),
		TEST(test_fsevent),	  TEST(test_poll),
		TEST(test_fanotify_memory), TEST(test_fanotify_calls),
		TEST(test_fanotify_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
