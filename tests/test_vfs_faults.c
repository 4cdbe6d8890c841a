/*
 * A user's own tree when something fails: each allocation, and each call of the user's stat and
 * list, with every error they may give. A call says so and changes nothing; what failed in
 * between is made good by a later round: the events lead from what the index held at first to
 * what it holds then, which is what the tree holds.
 *
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
 */
#include "memory_tree.h"

#include "failing_memory.h"
#include "replay_model.h"
#include "watcher/engine.h"

static struct {
	long countdown; /* the allocation that fails, and with `sticky` those after it; 0: none */
	bool sticky, failed, paused; /* paused: it is the test that allocates */
} fault;

static bool memory_fails(void)
{
	if (fault.paused || fault.countdown == 0 || fault.countdown-- > 1)
		return false;
	fault.countdown = fault.sticky;
	return fault.failed = true;
}

struct run {
	struct memory m;
	struct model told;
	char text[4000];
};

static void apply(struct run *r, const watcher_event *e)
{
	bool known = model_has(&r->told, e->path);

	if (e->kind == WATCHER_CREATED) {
		if (known)
			fail_msg("created, but it is there:%s", r->text);
		model_add(&r->told, e->path, e->type);
		return;
	}
	if (!known && e->kind == WATCHER_MOVED && model_has(&r->told, e->dest))
		return; /* with the directory it is in */
	if (!known)
		fail_msg("it is not there:%s", r->text);
	if (e->kind == WATCHER_DELETED)
		model_remove(&r->told, e->path);
	else if (e->kind == WATCHER_MOVED)
		model_move(&r->told, e->path, e->dest);
}

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct run *r = arg;
	size_t len = strlen(r->text);
	watcher_event e;

	(void)watch;
	fault.paused = true;
	while (watcher_batch_next(batch, &e)) {
		if (len < sizeof r->text)
			len += (size_t)snprintf(r->text + len, sizeof r->text - len, " %s %s%s%s",
						watcher_kind_name(e.kind), e.path,
						e.dest ? ">" : "", e.dest ? e.dest : "");
		apply(r, &e);
	}
	fault.paused = false;
}

/* ---- what the tree holds, and the index ---- */

static void read_tree(const struct memory *m, struct model *to)
{
	for (int i = 0; i < m->n; i++)
		model_add(to, m->things[i].path, m->things[i].st.type);
}

static void read_index(const struct watcher *w, uint32_t dir, const char *path, struct model *to)
{
	char sub[200];

	for (uint32_t rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		snprintf(sub, sizeof sub, "%s/%.*s", path, e.len, e.name);
		model_add(to, sub, e.type);
		if (e.node != NO_DIR)
			read_index(w, e.node, sub, to);
	}
}

static void read_root(const struct watcher *w, struct model *to)
{
	fault.paused = true;
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&w->tree, i);

		if (d->flags & DIR_USED && d->parent == NO_DIR && d->roots) {
			model_add(to, "top", WATCHER_TYPE_DIR);
			read_index(w, i, "top", to);
		}
	}
	fault.paused = false;
}

/* ---- a life ---- */

static void plant(struct memory *m)
{
	make_dir(m, "top");
	make_dir(m, "top/a");
	make_dir(m, "top/a/b");
	make_file(m, "top/a/b/f");
	make_file(m, "top/g");
	make_dir(m, "top/c");
	make_file(m, "top/c/h");
}

static void change(struct memory *m)
{
	make_dir(m, "top/n");
	make_file(m, "top/n/x");
	move(m, "top/a", "top/n/a");
	take_away(m, "top/c/h");
	write_to(m, "top/n/a/b/f");
	write_to(m, "top/g");
	move(m, "top/g", "top/c/g");
}

/* What may not be read is left alone until its mode changes. */
static void change_modes(struct memory *m)
{
	for (int i = 0; i < m->n; i++)
		if (m->things[i].st.type == WATCHER_TYPE_DIR)
			set_mode(m, m->things[i].path, 0700);
}

/* What is no directory is not there as one. */
static bool is_expected(int r, int code)
{
	return r == UV_ENOMEM || r == code || (r == UV_ENOENT && code == UV_ENOTDIR);
}

/* What has failed is undone and done again. */
static watcher *open_and_add(struct run *r)
{
	const watcher_vfs vfs = { .size = sizeof vfs,
				  .stat = memory_stat,
				  .list = memory_list,
				  .arg = &r->m };
	const watcher_options *options = WATCHER(.backend = WATCHER_BACKEND_POLL, .vfs = &vfs,
						 .poll_interval_ms = 3600000);
	watcher_error err = { 0 };
	watcher_stats_t stats;
	watcher *w = NULL;
	int code = watcher_open(&w, options, &err);

	if (code < 0) {
		assert_int_equal(code, UV_ENOMEM);
		assert_int_equal(err.code, code);
		assert_null(w);
		fault.countdown = 0;
		assert_int_equal(watcher_open(&w, options, &err), 0);
	}
	code = watcher_add(w, "top", WATCH(.on_batch = on_batch, .arg = r), &err);
	if (code == 0)
		return w;
	if (!is_expected(code, r->m.code))
		fail_msg("%s at %d: %s", uv_err_name(r->m.code), r->m.fails_at, err.message);
	assert_int_equal(err.code, code);
	assert_true(err.message[0]);
	watcher_stats(w, &stats, sizeof stats);
	assert_int_equal(stats.directories, 0);
	fault.countdown = 0;
	assert_int_equal(watcher_add(w, "top", WATCH(.on_batch = on_batch, .arg = r), &err), 0);
	return w;
}

static void sync_again(watcher *w)
{
	watch_test_synced = false;
	if (watcher_sync(w, on_watch_test_sync) < 0) {
		fault.countdown = 0;
		assert_int_equal(watcher_sync(w, on_watch_test_sync), 0);
	}
	for (int i = 0; i < 100 && fault.sticky && !watch_test_synced; i++)
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	if (fault.sticky)
		fault.countdown = 0;
	turn_until(watcher_loop(w), is_set, &watch_test_synced);
}

static bool is_told(const struct run *r, const char *kind, const char *path)
{
	char event[80];

	snprintf(event, sizeof event, " %s %s", kind, path);
	return strstr(r->text, event) != NULL;
}

static void check(struct run *r, watcher *w, const char *what, long k)
{
	static const char *const written[] = { "top/n/a/b/f", "top/c/g" };
	struct model tree = { 0 }, index = { 0 };
	char text[2000];

	read_tree(&r->m, &tree);
	read_root(w, &index);
	if (model_compare(&index, &tree, text, sizeof text))
		fail_msg("%s at %ld: index and tree:\n%s\n told:%s", what, k, text, r->text);
	if (model_compare(&r->told, &tree, text, sizeof text))
		fail_msg("%s at %ld: events and tree:\n%s\n told:%s", what, k, text, r->text);
	model_free(&tree);
	model_free(&index);
	for (size_t i = 0; i < COUNT(written); i++)
		if (!is_told(r, "modified", written[i]) && !is_told(r, "created", written[i]))
			fail_msg("%s at %ld: not told that %s was written to:%s", what, k,
				 written[i], r->text);
}

/* True if something failed. `stat` or `list`, whichever is the k-th call, gives `code`; 0: it is
 * the k-th allocation that fails. */
static bool life(long k, int code, const char *what)
{
	struct run *r = __real_calloc(1, sizeof *r);
	watcher *w;
	bool failed;

	plant(&r->m);
	r->m.code = code;
	r->m.fails_at = code ? (int)k : 0;
	fault.failed = false;
	fault.countdown = code ? 0 : k;
	w = open_and_add(r);
	read_root(w, &r->told);
	change(&r->m);
	sync_again(w);
	failed = code ? r->m.stats + r->m.lists >= k : fault.failed;
	fault.countdown = r->m.fails_at = 0;
	make_file(&r->m, "top/last");
	if (code == UV_EACCES)
		change_modes(&r->m);
	for (int i = 0; i < 3; i++)
		sync_watcher(w);
	check(r, w, what, k);
	watcher_close(w);
	model_free(&r->told);
	free(r);
	return failed;
}

static void lives(int code, const char *what)
{
	int fds = -1;
	long k = 1;

	while (life(k, code, what)) {
		k++;
		if (fds < 0) /* libuv's threads and descriptors are there now */
			fds = count_descriptors();
	}
	assert_true(k > 20);
	assert_int_equal(count_descriptors(), fds);
}

static void test_memory(void **state)
{
	(void)state;
	fault.sticky = false;
	lives(0, "memory");
}

static void test_memory_from_then_on(void **state)
{
	(void)state;
	fault.sticky = true;
	lives(0, "memory from then on");
	fault.sticky = false;
}

static void test_stat_and_list(void **state)
{
	static const int codes[] = { UV_ENOENT, UV_EACCES, UV_EIO, UV_EMFILE };

	(void)state;
	for (size_t i = 0; i < COUNT(codes); i++)
		lives(codes[i], uv_err_name(codes[i]));
}

/* ---- snapshots ---- */

static int count_one(const watcher_snapshot_entry *e, void *arg)
{
	(void)e;
	++*(size_t *)arg;
	return 0;
}

/* True if something failed. What is taken is all there is, or less what was said not to be there
 * or not to be read. */
static bool take(long k, int code)
{
	struct run *r = __real_calloc(1, sizeof *r);
	const watcher_vfs vfs = { .size = sizeof vfs,
				  .stat = memory_stat,
				  .list = memory_list,
				  .arg = &r->m };
	watcher_snapshot *s = NULL;
	watcher_error err = { 0 };
	size_t n = 0;
	bool failed;
	int got;

	plant(&r->m);
	r->m.code = code;
	r->m.fails_at = code ? (int)k : 0;
	fault.failed = false;
	fault.countdown = code ? 0 : k;
	got = watcher_snapshot_take(&s, LIST("top"), WATCH(.vfs = &vfs), &err);
	fault.countdown = 0;
	failed = code ? r->m.stats + r->m.lists >= k : fault.failed;
	if (got < 0) {
		assert_true(is_expected(got, code));
		assert_int_equal(err.code, got);
		assert_true(err.message[0]);
		assert_null(s);
	} else {
		assert_int_equal(watcher_snapshot_each(s, NULL, count_one, &n), 0);
		assert_int_equal(n, watcher_snapshot_count(s, WATCHER_TYPE_UNKNOWN));
		if (!failed)
			assert_int_equal(n, r->m.n);
		else if (!code || code == UV_EIO || code == UV_ENOMEM || code == UV_EMFILE)
			fail_msg("%s at %ld: taken all the same", code ? uv_err_name(code) : "memory", k);
	}
	watcher_snapshot_free(s);
	free(r);
	return failed;
}

static void test_snapshots(void **state)
{
	static const int codes[] = { 0, UV_ENOENT, UV_ENOTDIR, UV_EACCES, UV_EIO, UV_ENOMEM, UV_EMFILE };

	(void)state;
	for (size_t i = 0; i < COUNT(codes); i++) {
		long k = 1;

		while (take(k, codes[i]))
			k++;
		assert_true(k > 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory),
		TEST(test_memory_from_then_on),
		TEST(test_stat_and_list),
		TEST(test_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
