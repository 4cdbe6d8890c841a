/* clang-format off */
/*
 * Roots that cannot be watched: what fails is said, and what is not said to have failed works.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup,--wrap=inotify_add_watch,--wrap=open,--wrap=openat,--wrap=syscall,--wrap=uv_fs_event_start,--wrap=uv_queue_work,--wrap=fanotify_init,--wrap=fanotify_mark,--wrap=name_to_handle_at,--wrap=open_by_handle_at,--wrap=read
 */
/* clang-format on */
#include "watch_faults.h"

static struct told inner;

static watcher *open_in(watcher_watch **outer)
{
	watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));

	inner.text[0] = '\0';
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("in/a", 0755), 0);
	*outer = add_with(w, "in", WATCH());
	return w;
}

/* A root on what another has a watch for hears of its own move, also when that other is gone. */
static void test_a_root_in_another(void **state)
{
	watcher_error err = { 0 };
	watcher_watch *outer;
	bool added = false;

	(void)state;
	fault.what = WATCHES;
	fault.error = EACCES;
	fault.run = 1;
	for (long k = 1; k == 1 || fault.fired; k++) {
		watcher *w = open_in(&outer);
		int r;

		arm(k);
		r = watcher_add(w, "in/a", WATCH(.on_batch = on_told, .arg = &inner), &err);
		disarm();
		if (r < 0) {
			assert_int_equal(r, UV_EACCES);
			assert_string_equal(err.message,
					    "in/a: cannot be watched: permission denied");
		} else {
			added = true;
			watcher_remove(outer);
			sync_watcher(w); /* it is looked up again then */
			assert_int_equal(rename("in/a", "in/b"), 0);
			sync_watcher(w);
			assert_string_equal(told(&inner), "deleted in/a");
		}
		watcher_close(w);
		assert_int_equal(nftw("in", watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	}
	assert_true(added);
}

/* Out of watches the way to a root is polled, too; if there is no memory for that, what is to be done
 * about it is said. */
static void test_no_watches_on_the_way(void **state)
{
	watcher_error err;
	int limits = 0;

	(void)state;
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(symlink("in", "link"), 0);
	fault.what = MEMORY;
	fault.error = ENOMEM;
	fault.run = FROM_THEN_ON;
	for (long k = 1; k == 1 || fault.fired; k++) {
		watcher *w = open_with(WATCHER(.poll_interval_ms = 3600000));
		int r;

		memset(&err, 0, sizeof err);
		out_of_watches = true;
		arm(k);
		r = watcher_add(w, "link", WATCH(), &err);
		disarm();
		out_of_watches = false;
		assert_true(r == 0 || r == UV_ENOMEM || r == UV_ENOSPC);
		assert_int_equal(r, err.code);
		if (r == UV_ENOSPC) {
			limits++;
			assert_string_equal(err.message,
					    "link: cannot be watched: out of inotify watches: "
					    "raise fs.inotify.max_user_watches");
		}
		if (r < 0)
			add_with(w, "link", WATCH());
		watcher_close(w);
	}
	assert_true(limits > 0);
}

/* A root has come back, and is gone again when it is to be watched: it is looked for once more. */
static void test_gone_when_it_is_watched(void **state)
{
	const char *text, *comma;

	(void)state;
	fault.what = WATCHES;
	fault.error = ENOENT;
	fault.run = 2; /* by either path of it */
	for (long k = 1; k == 1 || fault.fired; k++) {
		watcher *w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));

		assert_int_equal(mkdir("in", 0755), 0);
		add_with(w, "in", WATCH(.on_batch = on_told, .arg = &inner));
		assert_int_equal(rmdir("in"), 0);
		sync_watcher(w);
		assert_string_equal(told(&inner), "deleted in");
		assert_int_equal(mkdir("in", 0755), 0);
		arm(k);
		sync_watcher(w);
		disarm();
		sync_watcher(w);
		text = told(&inner);
		comma = strrchr(text, ',');
		assert_string_equal(comma ? comma + 2 : text, "created in");
		watcher_close(w);
		assert_int_equal(rmdir("in"), 0);
	}
}

static int problems;

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)w;
	(void)arg;
	print_message("# %s: %s\n", path, err->message);
	problems++;
}

/* What watcher_add() returns is told by that alone; what is watched before and after is as it was. */
static void fails_once(int backend, enum what what, int error)
{
	bool failed = false;

	fault.what = what;
	fault.error = error;
	fault.run = 1;
	for (long k = 1; k == 1 || fault.fired; k++) {
		watcher *w = open_with(WATCHER(.backend = backend, .on_problem = on_problem));
		watcher_error err = { 0 };
		int r;

		make_tree();
		assert_int_equal(mkdir("beside", 0755), 0);
		add_with(w, "beside", WATCH(.on_batch = on_told, .arg = &inner));
		sync_watcher(w);
		problems = 0;
		arm(k);
		r = watcher_add(w, "in", WATCH(), &err);
		disarm();
		put("beside/f", "");
		sync_watcher(w);
		assert_string_equal(told(&inner), "created beside/f");
		if (r < 0) {
			failed = true;
			assert_int_equal(r, -error);
			assert_int_equal(err.code, r);
			if (error != ENOMEM)
				assert_int_equal(strncmp(err.message, "in: ", 4), 0);
			assert_int_equal(problems, 0);
			add_with(w, "in", WATCH());
			sync_watcher(w);
			assert_int_equal(problems, 0);
		}
		watcher_close(w);
		assert_int_equal(nftw("in", watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
		assert_int_equal(nftw("beside", watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	}
	assert_true(failed);
}

static void test_a_failing_add_is_told_once(void **state)
{
	static const int backends[] = { WATCHER_BACKEND_AUTO, WATCHER_BACKEND_POLL,
					WATCHER_BACKEND_FSEVENT };

	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++) {
		fails_once(backends[i], OPENS, EMFILE);
		fails_once(backends[i], MEMORY, ENOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_root_in_another),
		TEST(test_no_watches_on_the_way),
		TEST(test_gone_when_it_is_watched),
		TEST(test_a_failing_add_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
