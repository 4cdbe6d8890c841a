/*
 * What holds between backends and the engine: choosing, running out of watches, and a backend
 * of the test's own that says what it likes.
 * link: -Wl,--wrap=watcher__open_dir,--wrap=tree_is_below
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake_backend.h"
#include "next_tick.h"

#define SEEN_MAX 400

struct run {
	uv_loop_t loop;
	watcher *w;
	char base[64];
	bool synced;
	int nseen, problems;
	char seen[SEEN_MAX][100];
	char problem[500];
};

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct run *r = arg;
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e) && r->nseen < SEEN_MAX) {
		size_t skip = strlen(r->base) + 1;

		snprintf(r->seen[r->nseen++], sizeof r->seen[0], "%s %s%s%s%s",
			 watcher_kind_name(e.kind),
			 e.kind == WATCHER_OVERFLOW ? "" : e.path + skip, e.dest ? ">" : "",
			 e.dest ? e.dest + skip : "", e.recovered ? " recovered" : "");
	}
}

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	struct run *r = arg;

	(void)w;
	(void)path;
	r->problems++;
	snprintf(r->problem, sizeof r->problem, "%s", err->message);
}

static void on_sync(watcher *w, int status, void *arg)
{
	(void)w;
	assert_int_equal(status, 0);
	((struct run *)arg)->synced = true;
}

static void on_late(uv_timer_t *t)
{
	(void)t;
	fail_msg("no sync within the time limit");
}

static void barrier(struct run *r)
{
	uv_timer_t limit;

	uv_timer_init(&r->loop, &limit);
	uv_timer_start(&limit, on_late, 20000, 0);
	r->synced = false;
	assert_int_equal(watcher_sync(r->w, on_sync), 0);
	while (!r->synced)
		uv_run(&r->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
}

static void command(const struct run *r, const char *text)
{
	char line[500];

	snprintf(line, sizeof line, "cd %s && %s", r->base, text);
	assert_int_equal(system(line), 0);
}

static struct run *begin(const char *before, int backend)
{
	struct run *r = calloc(1, sizeof *r);
	watcher_error err;

	assert_non_null(r);
	strcpy(r->base, "/tmp/whendo-backends-XXXXXX");
	assert_non_null(mkdtemp(r->base));
	command(r, before);
	next_tick();
	uv_loop_init(&r->loop);
	if (watcher_open(&r->w,
			 WATCHER(.loop = &r->loop, .backend = backend, .debounce_ms = 20000,
				 .poll_interval_ms = 3600000, .on_problem = on_problem, .arg = r),
			 &err) < 0)
		fail_msg("%s", err.message);
	return r;
}

static int add_root(struct run *r)
{
	watcher_error err = { 0 };
	int code = watcher_add(r->w, r->base,
			       WATCH(.kinds = WATCHER_CHANGES | WATCHER_OVERFLOW,
				     .on_batch = on_batch, .arg = r),
			       &err);

	if (code < 0)
		fprintf(stderr, "%s\n", err.message);
	return code;
}

static void end(struct run *r)
{
	watcher_close(r->w);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	command(r, "rm -rf \"$PWD\"");
	free(r);
}

static bool saw(const struct run *r, const char *what)
{
	for (int i = 0; i < r->nseen; i++)
		if (strcmp(r->seen[i], what) == 0)
			return true;
	return false;
}

static void assert_seen(const struct run *r, const char *what)
{
	if (saw(r, what))
		return;
	for (int i = 0; i < r->nseen; i++)
		fprintf(stderr, "  got: %s\n", r->seen[i]);
	fail_msg("not seen: %s", what);
}

/* ---- choosing ---- */

static void test_backend_for_says_which_and_why(void **state)
{
	watcher_backend_info info;
	watcher_error err;

	(void)state;
	assert_int_equal(watcher_backend_for(&info, sizeof info, "/tmp", &err), 0);
	assert_string_equal(info.name, "inotify");
	assert_string_equal(info.name_below, "inotify");
	assert_true(info.watch_limit > 0);
	assert_non_null(strstr(info.limit_name, "max_"));
	assert_int_equal(watcher_backend_for(&info, sizeof info, "/proc/none/at/all", &err), 0);
	assert_int_equal(info.backend, WATCHER_BACKEND_POLL);
	assert_string_equal(info.why, "proc does not tell of all changes");
	assert_string_equal(info.name_below, "inotify");
	assert_int_equal(watcher_backend_for(&info, sizeof info, "", &err), UV_EINVAL);
	assert_string_equal(err.message, "an empty path cannot be watched");
}

/* Other programs of this user give up watches of theirs at any time: then once more. */
static void test_backend_for_counts_watches(void **state)
{
	watcher_backend_info before, after;
	bool counted = false;

	(void)state;
	for (int i = 0; i < 50 && !counted; i++) {
		struct run *r = begin("mkdir -p a b c d/e", WATCHER_BACKEND_INOTIFY);

		assert_int_equal(watcher_backend_for(&before, sizeof before, r->base, NULL), 0);
		assert_int_equal(add_root(r), 0);
		assert_int_equal(watcher_backend_for(&after, sizeof after, r->base, NULL), 0);
		counted = after.watches_used >= before.watches_used + 6;
		end(r);
	}
	assert_true(counted);
}

/* ---- running out of watches ---- */

/* In a process with a limit of its own; its exit status is what `body` returns. */
static int with_watch_limit(int limit, int (*body)(void))
{
	pid_t pid = fork();
	int status = 0, fd, n;
	char text[16];

	if (pid == 0) {
		n = snprintf(text, sizeof text, "%d", limit);
		if (unshare(CLONE_NEWUSER) < 0 ||
		    (fd = open("/proc/sys/user/max_inotify_watches", O_WRONLY)) < 0 ||
		    write(fd, text, (size_t)n) != n)
			_exit(77);
		close(fd);
		_exit(body());
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("# skipped: no user namespace with limits of its own\n");
		skip();
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

/* That kind of event on f in each of n directories. */
static int expect(struct run *r, const char *kind, int n)
{
	char want[64];

	for (int i = 1; i <= n; i++) {
		snprintf(want, sizeof want, "%s d%d/f", kind, i);
		if (!saw(r, want)) {
			fprintf(stderr, "not seen: %s\n", want);
			return 1;
		}
	}
	return 0;
}

static int limit_at_start(void)
{
	struct run *r = begin("mkdir d1 d2 d3 d4 d5 d6 d7 d8", WATCHER_BACKEND_AUTO);
	watcher_stats_t stats;
	int bad = add_root(r) != 0;

	for (int i = 0; i < 2; i++) {
		barrier(r);
		next_tick();
	}
	watcher_stats(r->w, &stats, sizeof stats);
	if (r->problems != 1 || !strstr(r->problem, "user.max_inotify_watches is 7") ||
	    !strstr(r->problem, " directories are polled") || stats.polled_directories < 3) {
		fprintf(stderr, "%d problems: %s; %d polled\n", r->problems, r->problem,
			(int)stats.polled_directories);
		bad = 1;
	}
	r->nseen = 0;
	command(r, "for i in 1 2 3 4 5 6 7 8; do : > d$i/f; done");
	barrier(r);
	bad |= expect(r, "created", 8);
	r->nseen = 0;
	command(r, "for i in 1 2 3 4 5 6 7 8; do echo x > d$i/f; done");
	barrier(r);
	bad |= expect(r, "modified", 8);
	end(r);
	return bad;
}

static void test_limit_at_start_polls_the_rest(void **state)
{
	(void)state;
	assert_int_equal(with_watch_limit(7, limit_at_start), 0);
}

/* Not even the root, and what is below it is polled with it. */
static int limit_at_root(void)
{
	struct run *r = begin("mkdir d1 d2 d3 d4 d5 d6 d7 d8", WATCHER_BACKEND_AUTO);
	int bad = add_root(r) != 0;

	for (int i = 0; i < 2; i++) {
		barrier(r);
		next_tick();
	}
	if (r->problems != 1 || !strstr(r->problem, " 9 of 9 directories are polled")) {
		fprintf(stderr, "%d problems: %s\n", r->problems, r->problem);
		bad = 1;
	}
	r->nseen = 0;
	command(r, "for i in 1 2 3 4 5 6 7 8; do : > d$i/f; done");
	barrier(r);
	bad |= expect(r, "created", 8);
	end(r);
	return bad;
}

static void test_limit_at_the_root_polls_all(void **state)
{
	(void)state;
	assert_int_equal(with_watch_limit(0, limit_at_root), 0);
}

static int limit_by_growth(void)
{
	struct run *r = begin("mkdir d1", WATCHER_BACKEND_AUTO);
	int bad = add_root(r) != 0 || r->problems;

	command(r, "for i in 2 3 4 5 6 7 8 9; do mkdir d$i; done");
	barrier(r);
	if (r->problems != 1 || !strstr(r->problem, "out of inotify watches")) {
		fprintf(stderr, "%d problems: %s\n", r->problems, r->problem);
		bad = 1;
	}
	command(r, "for i in 1 2 3 4 5 6 7 8 9; do echo x > d$i/f; done");
	barrier(r);
	bad |= expect(r, "created", 9);
	end(r);
	return bad;
}

static void test_limit_by_growth_polls_what_is_new(void **state)
{
	(void)state;
	assert_int_equal(with_watch_limit(9, limit_by_growth), 0);
}

/* ---- a backend of the test's own ---- */

static struct run *begin_fake(const char *before, struct backend *b)
{
	struct run *r = begin(before, WATCHER_BACKEND_POLL);

	fake_install(r->w, b, r->base);
	b->arg = r;
	return r;
}

static void test_fake_words_become_events(void **state)
{
	struct backend b;
	struct run *r = begin_fake("mkdir d e && : > d/a", &b);

	(void)state;
	assert_int_equal(add_root(r), 0);
	command(r, ": > d/new; mv d/a e/b");
	fake_tell(&b, CHANGE_CREATED, "d", "new", NULL, NULL);
	fake_tell(&b, CHANGE_RENAMED, "d", "a", "e", "b");
	fake_tell(&b, CHANGE_WRITTEN, "e", "b", NULL, NULL);
	fake_tell(&b, CHANGE_CREATED, "d", "gone again", NULL, NULL);
	fake_tell(&b, CHANGE_REMOVED, "d", "gone again", NULL, NULL);
	barrier(r);
	assert_int_equal(r->nseen, 5);
	assert_string_equal(r->seen[0], "created d/new");
	assert_string_equal(r->seen[1], "moved d/a>e/b");
	assert_string_equal(r->seen[2], "modified e/b");
	assert_string_equal(r->seen[3], "created d/gone again");
	assert_string_equal(r->seen[4], "deleted d/gone again");
	end(r);
}

/* What was made again in a directory that was made again may have its inode numbers, too. */
static void test_fake_directory_made_again_in_its_inode(void **state)
{
	struct backend b;
	struct run *r = begin_fake("mkdir -p d/sub && : > d/a && : > d/sub/b", &b);
	int32_t d, below;

	(void)state;
	assert_int_equal(add_root(r), 0);
	d = fake_id(&b, "d");
	below = fake_id(&b, "d/sub");
	fake_queue(&b, CHANGE_LOOK, d, NULL);
	fake_unwatch(&b, d); /* watched again, it has another number */
	fake_unwatch(&b, below);
	barrier(r);
	assert_int_equal(r->nseen, 2);
	assert_string_equal(r->seen[0], "modified d/a");
	assert_string_equal(r->seen[1], "modified d/sub/b");
	end(r);
}

static bool blind; /* where the next directory is opened there is nothing to look up names in */

int __real_watcher__open_dir(struct watcher *w, uint32_t dir);
int __wrap_watcher__open_dir(struct watcher *w, uint32_t dir);

int __wrap_watcher__open_dir(struct watcher *w, uint32_t dir)
{
	if (!blind)
		return __real_watcher__open_dir(w, dir);
	blind = false;
	return open("/dev/null", O_RDONLY);
}

/* That a look fails does not say that nothing is there. */
static void test_fake_name_that_cannot_be_looked_up(void **state)
{
	struct backend b;
	struct run *r = begin_fake("mkdir d", &b);

	(void)state;
	assert_int_equal(add_root(r), 0);
	command(r, ": > d/a");
	fake_tell(&b, CHANGE_WRITTEN, "d", "a", NULL, NULL);
	blind = true;
	barrier(r);
	assert_false(blind);
	assert_int_equal(r->nseen, 1);
	assert_string_equal(r->seen[0], "created d/a");
	end(r);
}

static void test_fake_two_overflows_in_a_row(void **state)
{
	struct backend b;
	struct run *r = begin_fake("mkdir -p d e/f && : > d/a && : > d/b && : > d/c", &b);

	(void)state;
	assert_int_equal(add_root(r), 0);
	barrier(r);
	next_tick();
	command(r, "mv d/a e/f/a; rm d/b; echo x > d/c; mkdir -p n/o; : > n/o/p");
	fake_tell(&b, CHANGE_GAP, NULL, NULL, NULL, NULL);
	fake_tell(&b, CHANGE_CREATED, "d", "seen", NULL, NULL);
	fake_tell(&b, CHANGE_GAP, NULL, NULL, NULL, NULL);
	command(r, ": > d/seen");
	barrier(r);
	fake_tell(&b, CHANGE_GAP, NULL, NULL, NULL, NULL);
	command(r, "rm -r n; mv e/f f");
	barrier(r);
	assert_seen(r, "moved d/a>e/f/a recovered");
	assert_seen(r, "deleted d/b recovered");
	assert_seen(r, "modified d/c recovered");
	assert_seen(r, "created n recovered");
	assert_seen(r, "created n/o/p recovered");
	assert_seen(r, "deleted n recovered");
	assert_seen(r, "moved e/f>f recovered");
	assert_seen(r, "moved e/f/a>f/a recovered");
	end(r);
}

static int asked; /* whether one directory is below another */

bool __real_tree_is_below(const struct tree *t, uint32_t node, uint32_t top);
bool __wrap_tree_is_below(const struct tree *t, uint32_t node, uint32_t top);

bool __wrap_tree_is_below(const struct tree *t, uint32_t node, uint32_t top)
{
	asked++;
	return __real_tree_is_below(t, node, top);
}

/* Where nothing has left a directory that moves, no other that has moved is looked at for that. */
static void test_fake_many_moves_in_an_overflow(void **state)
{
	enum { MANY = 50 };
	struct backend b;
	struct run *r = begin_fake("mkdir a b; for i in $(seq 50); do mkdir a/$i; : > a/$i/f; done", &b);

	(void)state;
	assert_int_equal(add_root(r), 0);
	command(r, "for i in $(seq 50); do mv a/$i b/n$i; done");
	fake_queue(&b, CHANGE_GAP, -1, NULL);
	asked = 0;
	barrier(r);
	assert_int_equal(r->nseen, 1 + 2 * MANY);
	assert_seen(r, "moved a/50>b/n50 recovered");
	assert_seen(r, "moved a/50/f>b/n50/f recovered");
	assert_in_range(asked, 0, 5 * MANY);
	end(r);
}

static void on_wake(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

/* What a change does not say is empty, whatever the memory for it held: the time of a gap, else,
 * would have all files told as written to. */
static void changes_are_filled_in(const struct backend_ops *ops)
{
	struct run *r = begin("mkdir d", WATCHER_BACKEND_AUTO);
	struct backend_config config = { .loop = &r->loop, .wake = on_wake };
	struct backend *b = NULL;
	struct change c;
	bool closed = false;
	int32_t id;
	int fd = open(r->base, O_RDONLY | O_DIRECTORY), left = 2;

	if (ops->open(&b, &config, NULL) == 0) {
		ops->want(b, WATCHER_CHANGES, true);
		assert_int_equal(ops->watch(b, fd, r->base, WATCH_ALL, &id), 0);
		command(r, ": > a");
		assert_true(ops->fill(b, false) >= 0);
		command(r, "rm a");
		assert_true(ops->fill(b, true) >= 0); /* thrown away: a gap */
		while (left > 0) {
			memset(&c, 0xa5, sizeof c);
			assert_int_equal(ops->next(b, &c), 1);
			left -= c.op == CHANGE_CREATED || c.op == CHANGE_GAP;
			assert_int_equal(c.since_ns, 0);
			assert_int_equal(c.id2, -1);
			assert_int_equal(c.name2_len, 0);
			assert_null(c.name2);
			assert_false(c.content);
			assert_false(c.is_dir);
		}
		ops->close(b, on_closed, &closed);
		while (!closed)
			uv_run(&r->loop, UV_RUN_ONCE);
	}
	close(fd);
	end(r);
	if (left)
		skip();
}

static void test_inotify_fills_in_its_changes(void **state)
{
	(void)state;
	changes_are_filled_in(&watcher__inotify);
}

static void test_fanotify_fills_in_its_changes(void **state)
{
	(void)state;
	changes_are_filled_in(&watcher__fanotify);
}

/* As if the kernel's queue had overflowed while the tree was being read. */
static void during_crawl(struct backend *b)
{
	if (b->watched_calls != 12)
		return;
	command(b->arg, ": > d1/late; mkdir -p d2/x/y; : > d2/x/y/late; echo x > d3/f");
	fake_queue(b, CHANGE_GAP, -1, NULL);
}

static void test_fake_overflow_during_the_first_crawl(void **state)
{
	struct backend b;
	struct run *r = begin_fake("for i in 1 2 3 4 5 6 7 8 9; do mkdir d$i; : > d$i/f; done", &b);

	(void)state;
	b.on_watch = during_crawl;
	assert_int_equal(add_root(r), 0);
	assert_true(b.queued == 1);
	barrier(r);
	/* What the crawl has read before is recovered; what it read after is not news. */
	for (int i = 0; i < r->nseen; i++)
		assert_true(strstr(r->seen[i], "late") || strstr(r->seen[i], "d2/x") ||
			    strstr(r->seen[i], "modified") || strstr(r->seen[i], "overflow"));
	command(r, ": > d2/x/y/later");
	fake_tell(&b, CHANGE_CREATED, "d2/x/y", "later", NULL, NULL);
	r->nseen = 0;
	barrier(r);
	assert_int_equal(r->nseen, 1);
	assert_string_equal(r->seen[0], "created d2/x/y/later");
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backend_for_says_which_and_why),
		cmocka_unit_test(test_backend_for_counts_watches),
		cmocka_unit_test(test_limit_at_start_polls_the_rest),
		cmocka_unit_test(test_limit_at_the_root_polls_all),
		cmocka_unit_test(test_limit_by_growth_polls_what_is_new),
		cmocka_unit_test(test_fake_words_become_events),
		cmocka_unit_test(test_fake_directory_made_again_in_its_inode),
		cmocka_unit_test(test_fake_name_that_cannot_be_looked_up),
		cmocka_unit_test(test_fake_two_overflows_in_a_row),
		cmocka_unit_test(test_fake_many_moves_in_an_overflow),
		cmocka_unit_test(test_inotify_fills_in_its_changes),
		cmocka_unit_test(test_fanotify_fills_in_its_changes),
		cmocka_unit_test(test_fake_overflow_during_the_first_crawl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
