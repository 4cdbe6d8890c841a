/* clang-format off */
/*
 * A snapshot is taken, saved, loaded and compared while each allocation, opening and reading of a
 * directory fails, once or from then on: the call says so, and there is no half a snapshot.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup,--wrap=inotify_add_watch,--wrap=open,--wrap=openat,--wrap=syscall,--wrap=uv_fs_event_start,--wrap=uv_queue_work,--wrap=fanotify_init,--wrap=fanotify_mark,--wrap=name_to_handle_at,--wrap=open_by_handle_at,--wrap=read
 */
/* clang-format on */
#include "watch_faults.h"

static int ignore_event(const watcher_event *e, void *arg)
{
	(void)e;
	++*(int *)arg;
	return 0;
}

static int ignore_entry(const watcher_snapshot_entry *e, void *arg)
{
	(void)e;
	++*(int *)arg;
	return 0;
}

/* The steps of a snapshot's use; the first that fails, 0 if none does. */
static int use_snapshot(watcher_snapshot **s, watcher_snapshot **again, watcher_error *err)
{
	int n = 0, r = watcher_snapshot_take(s, LIST("in"), WATCH(.ignores = LIST("*.tmp"),
								  .follow_symlinks = 1), err);

	if (r == 0)
		r = watcher_snapshot_save(*s, "state", err);
	if (r == 0)
		r = watcher_snapshot_load(again, "state", err);
	if (r < 0)
		return r;
	err->code = -1; /* those below have no message */
	r = watcher_snapshot_each(*again, NULL, ignore_entry, &n);
	if (r == 0)
		assert_int_equal(n, watcher_snapshot_count(*s, 0));
	n = 0;
	if (r == 0)
		r = watcher_snapshot_diff(NULL, *again, 0, ignore_event, &n);
	if (r < 0)
		assert_int_equal(n, 0); /* before the first event */
	return r;
}

static void test_snapshot(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(symlink("../in/a", "in/l"), 0);
	for (int sticky = 0; sticky < 2; sticky++) {
		fault.what = MEMORY;
		fault.error = ENOMEM;
		fault.run = sticky ? FROM_THEN_ON : 1;
		fault.fired = true;
		for (long k = 1; fault.fired; k++) {
			watcher_snapshot *s = NULL, *again = NULL;
			watcher_error err = { 0 };
			int r;

			arm(k);
			r = use_snapshot(&s, &again, &err);
			disarm();
			if (r < 0) {
				assert_int_equal(r, UV_ENOMEM);
				assert_true(err.code == -1 ||
					    (err.code == UV_ENOMEM && err.message[0]));
			}
			watcher_snapshot_free(s);
			watcher_snapshot_free(again);
		}
	}
}

static void test_snapshot_reading(void **state)
{
	static const int errors[] = { EMFILE, EACCES, ENOENT, EIO };
	watcher_error err;

	(void)state;
	make_tree();
	for (size_t i = 0; i < COUNT(errors) * 2; i++) {
		fault.what = i % 2 ? OPENS : READS;
		fault.error = errors[i / 2];
		fault.run = 1;
		fault.fired = true;
		for (long k = 1; fault.fired; k++) {
			watcher_snapshot *s = NULL;
			int r;

			arm(k);
			r = watcher_snapshot_take(&s, LIST("in"), NULL, &err);
			disarm();
			/* Below the root, what may not be read is left out. */
			if (fault.fired && (fault.error == EMFILE || fault.error == EIO))
				assert_int_equal(r, -fault.error);
			else if (r < 0)
				assert_true(r == UV_EACCES && fault.error == EACCES && k <= 2);
			if (r < 0) {
				assert_memory_equal(err.message, "in", 2);
				assert_null(s);
			}
			watcher_snapshot_free(s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_snapshot),
		TEST(test_snapshot_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
