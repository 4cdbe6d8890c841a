/* Adding, removing, closing and running from within callbacks, and the order of handlers. */
#include "watch_test.h"

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

/* Of `following` the first bit is that the first watch follows links, the second that the other does:
 * each of those has an engine of its own. */
static void act_once(enum place place, enum action action, unsigned following)
{
	uv_loop_t loop;

	memset(&act, 0, sizeof act);
	act.place = place;
	act.action = action;
	assert_int_equal(uv_loop_init(&loop), 0);
	act.w = open_with(WATCHER(.loop = &loop, .on_ready = act_in_ready,
				  .on_problem = act_in_problem, .on_closed = act_closed));
	act.self = add_with(act.w, "in", WATCH(.on_batch = act_in_batch, .on_created = act_in_event,
						.follow_symlinks = following & 1));
	act.other = add_with(act.w, "in", WATCH(.on_any = act_in_event,
						 .follow_symlinks = (following & 2) != 0));
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
	act_once(IN_BATCH, STOP, 3); /* libuv's own threads and descriptors are there now */
	fds = count_descriptors();
	for (int place = 0; place < PLACES; place++)
		for (int action = 0; action < ACTIONS; action++) {
			print_message("place %d action %d\n", place, action);
			for (unsigned following = 0; following < 4; following++) {
				act_once((enum place)place, (enum action)action, following);
				assert_int_equal(count_descriptors(), fds);
			}
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
/* All of a watcher may end in one turn of the caller's loop, with watcher_run() around it. */
static void test_close_within_run_of_callers_loop(void **state)
{
	static const int backends[] = { WATCHER_BACKEND_AUTO, WATCHER_BACKEND_FSEVENT,
					WATCHER_BACKEND_POLL };

	(void)state;
	for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
		uv_loop_t loop;
		watcher *w;
		int closed = 0, batches = 0;

		assert_int_equal(uv_loop_init(&loop), 0);
		assert_int_equal(watcher_open(&w,
					      WATCHER(.loop = &loop, .backend = backends[i],
						      .poll_interval_ms = 10,
						      .on_closed = on_closed_count,
						      .arg = &closed),
					      NULL), 0);
		add_with(w, ".", WATCH(.on_batch = close_at_first, .arg = &batches));
		put("f", "");
		assert_int_equal(watcher_run(w), 0);
		assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
		assert_int_equal(closed, 1);
		assert_int_equal(batches, 1);
		assert_int_equal(uv_loop_close(&loop), 0);
		assert_int_equal(unlink("f"), 0);
	}
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_from_within_callbacks),
		TEST(test_close_within_run),
		TEST(test_close_within_run_of_callers_loop),
		TEST(test_close_within_a_run_of_ones_own),
		TEST(test_run_within_callback),
		TEST(test_handlers_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
