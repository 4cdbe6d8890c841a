/*
 * The calls of a watcher beside each other: options, bad input, changes of watches and
 * handlers from within callbacks, several watchers and loops, pausing, closing, and that
 * nothing is left behind.
 */
#include "watch_test.h"

#include <pthread.h>

static watcher *open_with(const watcher_options *options)
{
	watcher_error err;
	watcher *w = NULL;

	if (watcher_open(&w, options, &err) < 0)
		fail_msg("%s", err.message);
	return w;
}

static watcher_watch *add_with(watcher *w, const char *path, const watch_options *options)
{
	watch_options o = *options;
	watcher_watch *watch = NULL;
	watcher_error err;

	o.watch = &watch;
	if (watcher_add(w, path, &o, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(watch);
	return watch;
}

/* ---- options ---- */

static void test_option_sizes(void **state)
{
	struct {
		watcher_options o;
		char tail[16];
	} larger = { .o = { .size = sizeof larger } };
	struct {
		watch_options o;
		char tail[16];
	} more = { .o = { .size = sizeof more } };
	watcher_options smaller = { .size = offsetof(watcher_options, debounce_ms),
				    .debounce_ms = -1 };
	watch_options less = { .size = offsetof(watch_options, depth), .depth = -1 };
	watcher *w = NULL;
	watcher_error err;

	(void)state;
	assert_int_equal(watcher_open(&w, &larger.o, NULL), 0);
	assert_int_equal(watcher_add(w, ".", &more.o, NULL), 0);
	assert_int_equal(watcher_add(w, ".", &less, NULL), 0); /* what is beyond is not read */
	more.tail[15] = 1;
	assert_int_equal(watcher_add(w, ".", &more.o, &err), UV_E2BIG);
	assert_string_equal(err.message,
			    "watch options: made for a newer version of the library");
	watcher_close(w);
	w = NULL;
	larger.tail[0] = 1;
	assert_int_equal(watcher_open(&w, &larger.o, &err), UV_E2BIG);
	assert_string_equal(err.message,
			    "watcher options: made for a newer version of the library");
	assert_null(w);
	assert_int_equal(watcher_open(&w, &smaller, NULL), 0);
	watcher_close(w);
	watcher_close(NULL);
}

static void test_bad_watcher_options(void **state)
{
	static const watcher_vfs vfs;
	const struct {
		watcher_options o;
		int code;
		const char *message;
	} bad[] = {
		{ { 0 }, UV_EINVAL, "watcher options: size is not set" },
		{ { .size = sizeof bad->o, .debounce_ms = -1 }, UV_EINVAL,
		  "watcher options: a negative time" },
		{ { .size = sizeof bad->o, .leading_ms = -1 }, UV_EINVAL,
		  "watcher options: a negative time" },
		{ { .size = sizeof bad->o, .poll_interval_ms = -1 }, UV_EINVAL,
		  "watcher options: a negative time" },
		{ { .size = sizeof bad->o, .flags = 1u << 30 }, UV_EINVAL,
		  "watcher options: unknown flags 0x40000000" },
		{ { .size = sizeof bad->o, .backend = 99 }, UV_EINVAL,
		  "watcher options: backend 99 does not exist here" },
		{ { .size = sizeof bad->o, .backend = -1 }, UV_EINVAL,
		  "watcher options: backend -1 does not exist here" },
		{ { .size = sizeof bad->o, .vfs = &vfs, .backend = WATCHER_BACKEND_INOTIFY },
		  UV_EINVAL, "watcher options: vfs needs WATCHER_BACKEND_POLL" },
	};
	watcher_error err;
	watcher *w = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int r = watcher_open(&w, &bad[i].o, &err);

		assert_int_equal(r, bad[i].code);
		assert_int_equal(err.code, bad[i].code);
		assert_string_equal(err.message, bad[i].message);
		assert_null(w);
	}
}

static void test_bad_watches(void **state)
{
	char long_path[PATH_MAX + 100];
	const struct {
		const char *path;
		watch_options o;
		int code;
		const char *message;
	} bad[] = {
		{ "", { .size = sizeof bad->o }, UV_EINVAL, "an empty path cannot be watched" },
		{ ".", { 0 }, UV_EINVAL, "watch options: size is not set" },
		{ ".", { .size = sizeof bad->o, .depth = -1 }, UV_EINVAL,
		  "watch options: depth is negative" },
		{ ".", { .size = sizeof bad->o, .flags = 1 << 20 }, UV_EINVAL,
		  "watch options: unknown flags 0x100000" },
		{ ".", { .size = sizeof bad->o, .kinds = 1 << 20 }, UV_EINVAL,
		  "watch options: unknown kinds 0x100000" },
		{ ".", { .size = sizeof bad->o, .patterns = LIST("*.c", "a[") }, UV_EINVAL, "a[" },
		{ ".", { .size = sizeof bad->o, .roots = LIST("ok", "") }, UV_EINVAL,
		  "an empty path cannot be watched" },
		{ "f/x", { .size = sizeof bad->o }, UV_ENOTDIR, "f/x" },
		{ "loop/x", { .size = sizeof bad->o }, UV_ELOOP, "loop/x" },
		{ long_path, { .size = sizeof bad->o }, UV_ENAMETOOLONG, NULL },
	};
	watcher *w = open_with(NULL);
	watcher_stats_t stats;
	watcher_error err;

	(void)state;
	memset(long_path, 'x', sizeof long_path - 1);
	long_path[sizeof long_path - 1] = '\0';
	put("f", "");
	assert_int_equal(mkdir("ok", 0755), 0);
	assert_int_equal(symlink("loop", "loop"), 0);
	for (size_t i = 0; i < COUNT(bad); i++) {
		watcher_watch *watch = NULL;
		watch_options o = bad[i].o;
		int r;

		if (o.size)
			o.watch = &watch;
		r = watcher_add(w, bad[i].path, &o, &err);
		if (r != bad[i].code)
			fail_msg("%zu: %d %s: %s", i, r, r ? uv_err_name(r) : "", err.message);
		assert_int_equal(err.code, bad[i].code);
		if (bad[i].message && !strstr(err.message, bad[i].message))
			fail_msg("%zu: %s", i, err.message);
		assert_null(watch);
	}
	watcher_stats(w, &stats, sizeof stats);
	assert_int_equal(stats.directories, 0);
	assert_int_equal(stats.watches, 0);
	watcher_close(w);
}

static void test_unreadable_root(void **state)
{
	watcher *w;
	watcher_error err;
	int r;

	(void)state;
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(mkdir("d", 0), 0);
	w = open_with(NULL);
	if (getuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	r = watcher_add(w, "d", NULL, &err);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, UV_EACCES);
	assert_non_null(strstr(err.message, "d"));
	watcher_close(w);
}

static void test_missing_path_is_waited_for(void **state)
{
	static struct told t;
	watcher *w = open_with(NULL);

	(void)state;
	add_with(w, "a/b", WATCH(.on_batch = on_told, .arg = &t));
	assert_int_equal(mkdir("a", 0755), 0);
	assert_int_equal(mkdir("a/b", 0755), 0);
	sync_watcher(w);
	assert_string_equal(told(&t), "created a/b");
	put("a/b/f", "");
	sync_watcher(w);
	assert_string_equal(told(&t), "created a/b/f");
	watcher_close(w);
}

/* ---- from within callbacks ---- */

enum action {
	REMOVE_SELF,
	REMOVE_ALL,
	REMOVE_OTHER,
	CLOSE,
	ADD_WATCH,
	ADD_ROOT,
	ADD_HANDLER,
	REMOVE_HANDLER,
	SYNC,
	PAUSE,
	STOP,
	ACTIONS
};

enum place { IN_BATCH, IN_EVENT, IN_SYNC, IN_READY, IN_PROBLEM, PLACES };

static struct acting {
	enum action action;
	enum place place;
	watcher *w;
	watcher_watch *self, *other;
	int handler, done, later, closed, synced;
} act;

static void on_later(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)watch;
	(void)batch;
	(void)arg;
	act.later++;
}

static void on_act_sync(watcher *w, int status, void *arg)
{
	(void)w;
	(void)arg;
	assert_true(status == 0 || status == UV_ECANCELED);
	act.synced++;
}

static void do_action(void)
{
	if (act.done++)
		return;
	switch (act.action) {
	case REMOVE_SELF:
		watcher_remove(act.self);
		break;
	case REMOVE_ALL:
		watcher_remove_all(act.w);
		break;
	case REMOVE_OTHER:
		watcher_remove(act.other);
		break;
	case CLOSE:
		watcher_close(act.w);
		break;
	case ADD_WATCH:
		assert_int_equal(watcher_add(act.w, "more", WATCH(.on_batch = on_later), NULL), 0);
		break;
	case ADD_ROOT:
		assert_int_equal(watcher_watch_add_root(act.self, "more", NULL), 0);
		break;
	case ADD_HANDLER:
		assert_int_equal(watcher_watch_add_handler(NULL, act.self,
							   WATCH(.on_batch = on_later)), 0);
		break;
	case REMOVE_HANDLER:
		assert_int_equal(watcher_watch_remove_handler(act.self, act.handler), 0);
		assert_int_equal(watcher_watch_remove_handler(act.self, act.handler), UV_ENOENT);
		break;
	case SYNC:
		assert_int_equal(watcher_sync(act.w, on_act_sync), 0);
		break;
	case PAUSE:
		watcher_pause(act.w);
		watcher_resume(act.w);
		break;
	default:
		watcher_stop(act.w);
	}
}

static void act_in_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)watch;
	(void)batch;
	(void)arg;
	if (act.place == IN_BATCH)
		do_action();
}

static void act_in_event(watcher_watch *watch, const watcher_event *event, void *arg)
{
	(void)watch;
	(void)event;
	(void)arg;
	if (act.place == IN_EVENT)
		do_action();
}

static void act_in_sync(watcher *w, int status, void *arg)
{
	(void)w;
	(void)arg;
	act.synced++;
	if (act.place == IN_SYNC && status == 0)
		do_action();
}

static void act_in_ready(watcher *w, void *arg)
{
	(void)w;
	(void)arg;
	if (act.place == IN_READY)
		do_action();
}

static void act_in_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	(void)w;
	(void)path;
	(void)arg;
	assert_true(err->message[0] != '\0');
	if (act.place == IN_PROBLEM)
		do_action();
}

static void act_closed(void *arg)
{
	(void)arg;
	act.closed++;
}

static bool act_over(void *arg)
{
	(void)arg;
	return act.closed || (act.synced > 0 && (act.action != SYNC || act.synced > 1));
}

static void act_once(enum place place, enum action action)
{
	uv_loop_t loop;

	memset(&act, 0, sizeof act);
	act.place = place;
	act.action = action;
	assert_int_equal(uv_loop_init(&loop), 0);
	act.w = open_with(WATCHER(.loop = &loop, .on_ready = act_in_ready,
				  .on_problem = act_in_problem, .on_closed = act_closed));
	act.self = add_with(act.w, "in", WATCH(.on_batch = act_in_batch, .on_created = act_in_event));
	act.other = add_with(act.w, "in", WATCH(.on_any = act_in_event));
	assert_int_equal(watcher_watch_add_handler(&act.handler, act.self,
						   WATCH(.on_batch = on_later)), 0);
	put("in/a", "1");
	assert_int_equal(unlink("in/a"), 0);
	if (place == IN_PROBLEM)
		assert_int_equal(rename("in", "gone"), 0);
	assert_int_equal(watcher_sync(act.w, act_in_sync), 0);
	turn_until(&loop, act_over, NULL);
	if (place != IN_PROBLEM)
		assert_true(act.done > 0);
	if (!act.closed && action != CLOSE) {
		if (place == IN_PROBLEM)
			assert_int_equal(rename("gone", "in"), 0);
		act.later = act.synced = 0;
		act.done = 1;
		put("more/b", "");
		put("in/c", "");
		assert_int_equal(watcher_sync(act.w, on_act_sync), 0);
		act.action = ADD_WATCH; /* one sync is enough */
		turn_until(&loop, act_over, NULL);
		if (action == ADD_WATCH || action == ADD_HANDLER)
			assert_true(act.later > 0);
		if (action == REMOVE_SELF || action == REMOVE_ALL || action == REMOVE_HANDLER)
			assert_int_equal(act.later, 0);
		unlink("more/b");
		unlink("in/c");
		watcher_close(act.w);
	} else if (access("gone", F_OK) == 0) {
		assert_int_equal(rename("gone", "in"), 0);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(act.closed, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_from_within_callbacks(void **state)
{
	int fds;

	(void)state;
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("more", 0755), 0);
	act_once(IN_BATCH, STOP); /* libuv's own threads and descriptors are there now */
	fds = count_descriptors();
	for (int place = 0; place < PLACES; place++)
		for (int action = 0; action < ACTIONS; action++) {
			print_message("place %d action %d\n", place, action);
			act_once((enum place)place, (enum action)action);
			assert_int_equal(count_descriptors(), fds);
		}
}

/* With a private loop watcher_run() returns, and everything is gone then. */
static void close_at_first(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)batch;
	++*(int *)arg;
	watcher_close(watcher_watch_watcher(watch));
}

static void on_closed_count(void *arg)
{
	++*(int *)arg;
}

static void test_close_within_run(void **state)
{
	int closed = 0, batches = 0;
	watcher *w = open_with(WATCHER(.on_closed = on_closed_count, .arg = &closed));

	(void)state;
	add_with(w, ".", WATCH(.on_batch = close_at_first, .arg = &batches));
	put("f", "");
	assert_int_equal(watcher_run(w), 0);
	assert_int_equal(batches, 1);
	assert_int_equal(closed, 1);
}

/* The caller's own uv_run() is still on the loop when the callback returns. */
static void test_close_within_a_run_of_ones_own(void **state)
{
	int closed = 0, batches = 0;
	watcher *w = open_with(WATCHER(.on_closed = on_closed_count, .arg = &closed));

	(void)state;
	add_with(w, ".", WATCH(.on_batch = close_at_first, .arg = &batches));
	put("f", "");
	uv_run(watcher_loop(w), UV_RUN_DEFAULT);
	assert_int_equal(batches, 1);
	assert_int_equal(closed, 0);
	watcher_close(w);
	assert_int_equal(closed, 1);
}

static void run_again(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)batch;
	*(int *)arg = watcher_run(watcher_watch_watcher(watch));
	watcher_stop(watcher_watch_watcher(watch));
}

static void test_run_within_callback(void **state)
{
	watcher *w = open_with(NULL);
	int r = 0;

	(void)state;
	add_with(w, ".", WATCH(.on_batch = run_again, .arg = &r));
	put("f", "");
	assert_int_equal(watcher_run(w), 0);
	assert_int_equal(r, UV_EBUSY);
	watcher_close(w);
}

/* ---- handlers ---- */

static void on_log(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	sprintf((char *)arg + strlen(arg), "%s;", watcher_kind_name(e->kind));
}

static void on_log_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	(void)e;
	strcat(arg, "any:");
}

static void test_handlers_in_order(void **state)
{
	watcher *w = open_with(NULL);
	char text[200] = "";
	int id, other;
	watcher_watch *watch = add_with(
	    w, ".", WATCH(.on_any = on_log_any, .on_created = on_log, .on_deleted = on_log,
			  .on_moved = on_log, .arg = text));

	(void)state;
	assert_int_equal(watcher_watch_add_handler(&id, watch, WATCH(.on_moved = on_log, .arg = text)),
			 0);
	assert_int_equal(watcher_watch_add_handler(&other, watch, WATCH(.arg = text)), 0);
	assert_int_not_equal(id, other);
	assert_int_equal(watcher_watch_add_handler(&id, watch, NULL), UV_EINVAL);
	assert_int_equal(symlink("x", "a"), 0);
	assert_int_equal(rename("a", "b"), 0);
	assert_int_equal(unlink("b"), 0);
	sync_watcher(w);
	assert_string_equal(text, "any:created;any:moved;any:deleted;moved;");
	text[0] = '\0';
	assert_int_equal(watcher_watch_remove_handler(watch, id), 0);
	assert_int_equal(watcher_watch_remove_handler(watch, id), UV_ENOENT);
	assert_int_equal(symlink("x", "a"), 0);
	sync_watcher(w);
	assert_string_equal(text, "any:created;");
	assert_string_equal(watcher_watch_root(watch, 0), ".");
	assert_null(watcher_watch_root(watch, 1));
	assert_ptr_equal(watcher_watch_watcher(watch), w);
	watcher_close(w);
}

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
	memset(&act, 0, sizeof act);
	watcher_pause(w);
	assert_int_equal(watcher_sync(w, on_act_sync), 0);
	for (int i = 0; i < 10; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	assert_int_equal(act.synced, 0);
	watcher_resume(w);
	turn_until(watcher_loop(w), act_over, NULL);
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

/* ---- what is left behind ---- */

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

/* Closing hands the kernel's part to a thread: the caller's loop turns on at once. */
static void test_close_does_not_block(void **state)
{
	uint64_t worst = 0;
	uv_loop_t loop;
	char path[32];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof path, "d%d", i);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	assert_int_equal(uv_loop_init(&loop), 0);
	for (int i = 0; i < 3; i++) {
		watcher *w = open_with(WATCHER(.loop = &loop));
		uint64_t start;

		add_with(w, ".", WATCH(.depth = 0));
		start = uv_hrtime();
		watcher_close(w);
		if (uv_hrtime() - start > worst)
			worst = uv_hrtime() - start;
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	print_message("close: %.3f ms\n", (double)worst / 1e6);
	assert_true(worst < 20000000);
	assert_int_equal(uv_loop_close(&loop), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_option_sizes),
		TEST(test_bad_watcher_options),
		TEST(test_bad_watches),
		TEST(test_unreadable_root),
		TEST(test_missing_path_is_waited_for),
		TEST(test_from_within_callbacks),
		TEST(test_close_within_run),
		TEST(test_close_within_a_run_of_ones_own),
		TEST(test_run_within_callback),
		TEST(test_handlers_in_order),
		TEST(test_pause_and_resume),
		TEST(test_backlog_is_bounded),
		TEST(test_sync_waits_for_resume),
		TEST(test_sync_cuts_debounce_short),
		TEST(test_close_cancels_sync),
		TEST(test_several_watchers_on_a_loop),
		TEST(test_several_threads),
		TEST(test_nothing_is_left),
		TEST(test_close_does_not_block),
		TEST(test_removed_watch_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
