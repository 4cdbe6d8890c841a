/*
 * A watch begins with what is there when it is added: what was done before that, and was not told
 * yet to others that have the tree, is told to these, and not to it.
 *
 * A row is what the first watch has heard of, what it has not when the second is added, and what is
 * done then. What the second is told is compared as text; all that either is told must make sense,
 * one event after the other, from the listing on that there was when it was added. fsevent cannot know
 * when a file was written to, and may tell of that.
 */
#include "roots_test.h"

#include <sys/syscall.h>

#include "next_tick.h"
#include "replay_events.h"

struct row {
	const char *name, *before, *unheard, *after;
	const char *second;  /* what it is told, in this order where the backend is exact */
	const char *written; /* ... and by fsevent perhaps; NULL: nothing */
	const char *first_root, *second_root; /* NULL: "in", "in/s" */
};

static const struct row rows[] = {
	{ .name = "made and written to",
	  .unheard = ": > in/s/a; echo x > in/s/b",
	  .after = "echo y >> in/s/b; rm in/s/a; mkdir in/s/n",
	  .second = "modified in/s/b, deleted in/s/a, created in/s/n" },
	{ .name = "written to", .unheard = "echo x > in/s/f", .second = "", .written = "modified in/s/f" },
	{ .name = "written to, and again",
	  .unheard = "echo x > in/s/f",
	  .after = "echo yy > in/s/f",
	  .second = "modified in/s/f" },
	{ .name = "set", .unheard = "chmod 600 in/s/f; touch in/s/f", .second = "",
	  .written = "modified in/s/f" },
	{ .name = "removed", .unheard = "rm in/s/f", .second = "" },
	{ .name = "removed, and made again later",
	  .unheard = "rm in/s/f",
	  .after = ": > in/s/f",
	  .second = "created in/s/f" },
	{ .name = "made, and removed later",
	  .unheard = ": > in/s/a",
	  .after = "rm in/s/a",
	  .second = "deleted in/s/a" },
	{ .name = "came and went",
	  .unheard = "mkdir in/s/t; : > in/s/t/u; rm in/s/t/u; rmdir in/s/t; : > in/s/v; rm in/s/v",
	  .second = "" },
	{ .name = "moved within", .unheard = "mv in/s/f in/s/g", .second = "" },
	{ .name = "moved in",
	  .unheard = "mv in/o/f in/s/g",
	  .after = "mv in/s/g in/s/h",
	  .second = "moved in/s/g>in/s/h" },
	{ .name = "moved in from far",
	  .unheard = "mv out/f in/s/g",
	  .after = "mv in/s/g in/s/h",
	  .second = "moved in/s/g>in/s/h" },
	{ .name = "moved out", .unheard = "mv in/s/f in/o/g", .second = "" },
	{ .name = "moved out afar", .unheard = "mv in/s/f out/g", .second = "" },
	{ .name = "moved onto", .unheard = "mv in/o/f in/s/f", .second = "" },
	{ .name = "moved in, and out later",
	  .unheard = "mv out/t in/s/t",
	  .after = "mv in/s/t out/t",
	  .second = "deleted in/s/t/u/f, deleted in/s/t/u, deleted in/s/t" },
	{ .name = "exchanged", .unheard = "exchange in/s/f in/o/f", .second = "" },
	{ .name = "a tree moved in",
	  .unheard = "mv out/t in/s/t",
	  .after = "echo x > in/s/t/u/f",
	  .second = "modified in/s/t/u/f" },
	{ .name = "a tree moved from another place",
	  .before = "mkdir -p in/o/t/u; : > in/o/t/u/f",
	  .unheard = "mv in/o/t in/s/t",
	  .after = "echo x > in/s/t/u/f",
	  .second = "modified in/s/t/u/f" },
	{ .name = "a tree moved within",
	  .before = "mkdir -p in/s/t/u; : > in/s/t/u/f",
	  .unheard = "mv in/s/t in/s/v; : > in/s/v/u/g",
	  .after = "rm in/s/v/u/g",
	  .second = "deleted in/s/v/u/g" },
	{ .name = "a tree made",
	  .unheard = "mkdir -p in/s/t/u/v; : > in/s/t/u/v/f; echo x > in/s/t/g",
	  .after = ": > in/s/t/u/v/h",
	  .second = "created in/s/t/u/v/h" },
	{ .name = "a tree removed", .before = "cp -r out/t in/s/t", .unheard = "rm -r in/s/t", .second = "" },
	{ .name = "a tree removed and made again",
	  .before = "cp -r out/t in/s/t",
	  .unheard = "rm -r in/s/t; cp -r out/t in/s/t",
	  .after = "rm -r in/s/t/u",
	  .second = "deleted in/s/t/u/f, deleted in/s/t/u" },
	{ .name = "the root moved there",
	  .before = "mkdir in/r; : > in/r/f; rm -r in/s",
	  .unheard = "mv in/r in/s",
	  .after = ": > in/s/g",
	  .second = "created in/s/g" },
	{ .name = "the root moved there from far",
	  .before = "rm -r in/s",
	  .unheard = "mv out/t in/s",
	  .after = ": > in/s/g",
	  .second = "created in/s/g" },
	{ .name = "the root made",
	  .before = "rm -r in/s",
	  .unheard = "mkdir -p in/s/t; : > in/s/f",
	  .after = "rmdir in/s/t",
	  .second = "deleted in/s/t" },
	{ .name = "the root made again",
	  .unheard = "rm -r in/s; mkdir in/s; : > in/s/g",
	  .after = "rm in/s/g",
	  .second = "deleted in/s/g" },
	{ .name = "in the same root",
	  .unheard = ": > in/a; mv in/s/f in/o/g; mkdir in/o/d",
	  .after = "rm in/o/g; rmdir in/o/d",
	  .second = "deleted in/o/g, deleted in/o/d",
	  .second_root = "in" },
	{ .name = "in one within",
	  .unheard = ": > in/s/a; rm in/s/f; : > in/o/b; mv in/o/f in/s/g",
	  .after = "rm in/s/g; mkdir in/d",
	  .second = "deleted in/s/g, created in/d",
	  .first_root = "in/s",
	  .second_root = "in" },
	{ .name = "in another",
	  .unheard = ": > in/s/a; rm in/s/f; mkdir in/s/d",
	  .after = "rm in/s/a; rmdir in/s/d",
	  .second = "deleted in/s/a, deleted in/s/d",
	  .first_root = "in/o" },
	{ .name = "moved from another",
	  .before = "cp -r out/t in/o/t",
	  .unheard = "mv in/o/t in/s/t; mv in/s/f in/o/g",
	  .after = "rm in/s/t/u/f",
	  .second = "deleted in/s/t/u/f",
	  .first_root = "in/o" },
	{ .name = "a file",
	  .unheard = "echo x > in/s/f; mv in/o/f in/s/f",
	  .after = "echo yy > in/s/f",
	  .second = "modified in/s/f",
	  .second_root = "in/s/f" },
	{ .name = "a file that is made",
	  .unheard = "rm in/s/f; echo x > in/s/f",
	  .after = "rm in/s/f",
	  .second = "deleted in/s/f",
	  .written = "modified in/s/f",
	  .second_root = "in/s/f" },
	{ .name = "around a file",
	  .unheard = "rm in/s/f; echo x > in/s/f; : > in/s/g",
	  .after = "rm in/s/g",
	  .second = "deleted in/s/g",
	  .written = "modified in/s/f",
	  .first_root = "in/s/f" },
};

/* What has come between what was done and the second. */
enum how {
	AT_ONCE,
	TURNED,      /* a turn of the loop */
	TWICE,       /* two */
	IN_CALLBACK, /* it is added by a callback, and before that all is done */
	HINTS,       /* those that are not exact know no others */
	UNREAD = HINTS, /* it comes right behind the first: neither has been read, where that comes later */
	LOST,        /* all that was done was lost */
	WAYS
};
static const char *const how_names[] = { "at once", "turned",  "turned twice", "in a callback",
					 "unread",  "lost" };

struct watched {
	struct replay replay;
	struct bytes text;
	int backend;
};
static struct watched one, two;

static bool is_exact(int backend)
{
	return backend == WATCHER_BACKEND_INOTIFY || backend == WATCHER_BACKEND_FANOTIFY;
}

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct watched *of = arg;
	watcher_event e;

	while (watcher_batch_next(batch, &e)) {
		bytes_adds(&of->text, of->text.len ? ", " : "");
		bytes_addf(&of->text, "%s %s%s%s", watcher_kind_name(e.kind), e.path,
			   e.dest ? ">" : "", e.dest ? e.dest : "");
	}
	watcher_batch_rewind(batch);
	replay_on_batch(watch, batch, &of->replay);
}

static void begin(struct watched *of, const char *root)
{
	struct stat st;

	*of = (struct watched){ .replay = { .roots = { root }, .name = "" } };
	if (stat(root, &st) < 0)
		of->replay.gone = true;
	else if (S_ISDIR(st.st_mode))
		model_read(&of->replay.model, root);
}

static void end(struct watched *of)
{
	model_free(&of->replay.model);
	bytes_free(&of->text);
}

static void do_it(const char *what)
{
	char a[32], b[32];

	if (!what)
		return;
	if (sscanf(what, "exchange %31s %31s", a, b) == 2)
		assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2), 0);
	else
		run(what);
}

static void add_one(watcher *w, struct watched *of, const char *root)
{
	begin(of, root);
	add_with(w, root, WATCH(.on_batch = on_batch, .arg = of));
}

/* ---- one row ---- */

static watcher *the_watcher;
static const struct row *the_row;
static bool added;

static void add_second(watcher *w, const struct row *row)
{
	do_it(row->unheard);
	next_tick();
	add_one(w, &two, row->second_root ? row->second_root : "in/s");
	added = true;
}

static void on_trigger(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)watch;
	(void)batch;
	(void)arg;
	if (!added)
		add_second(the_watcher, the_row);
}

static void lose(watcher *w)
{
	for (int i = 0; i < w->nsources; i++)
		if (w->sources[i].ops->caps & BACKEND_EXACT)
			assert_true(w->sources[i].ops->fill(w->sources[i].backend, true) >= 0);
}

static void add_somehow(watcher *w, const struct row *row, enum how how)
{
	if (how == IN_CALLBACK) {
		added = false;
		the_watcher = w;
		the_row = row;
		add_with(w, "trigger", WATCH(.on_batch = on_trigger));
		sync_watcher(w);
		next_tick();
		put("trigger/t", "");
		sync_watcher(w);
		assert_true(added);
		return;
	}
	if (how == TURNED || how == TWICE || how == LOST) {
		do_it(row->unheard);
		next_tick();
		for (int i = 0; how != LOST && i < (int)how; i++)
			uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		if (how == LOST)
			lose(w);
		add_one(w, &two, row->second_root ? row->second_root : "in/s");
		return;
	}
	add_second(w, row);
}

/* Is each that is in `list` in another list, or what may be told besides? */
static bool are_in(const char *list, const char *other, const char *besides)
{
	char each[300];
	size_t n;

	for (; *list; list += n + (list[n] ? 2 : 0)) {
		n = strcspn(list, ",");
		snprintf(each, sizeof each, "%.*s", (int)n, list);
		if (!strstr(other, each) && (!besides || strcmp(each, besides) != 0))
			return false;
	}
	return true;
}

static unsigned judge(const struct watched *of, const char *which)
{
	struct model disk = { 0 };
	const char *root = of->replay.roots[0];
	char text[1000] = "";
	struct stat st;
	bool there = stat(root, &st) == 0;
	unsigned wrong = of->replay.bad + (there == of->replay.gone);

	if (there && S_ISDIR(st.st_mode))
		model_read(&disk, root);
	wrong += (unsigned)model_compare(&of->replay.model, &disk, text, sizeof text);
	model_free(&disk);
	if (wrong)
		print_error("  %s: %s\n  told: %s\n%s", which, of->replay.first_bad,
			    of->text.len ? of->text.data : "", text);
	return wrong;
}

static const char *text_of(const struct watched *of)
{
	return of->text.len ? of->text.data : "";
}

static bool row_is_right(int backend, const struct row *row, enum how how)
{
	const char *want = row->second, *besides = NULL;
	watcher *w;
	bool right;
	char text[4000];

	run("rm -rf in out trigger; mkdir -p in/s in/o out/t/u trigger; touch in/s/f in/o/f out/f out/t/u/f");
	do_it(row->before);
	next_tick();
	/* polling looks when it is asked to: what it looks at just then is left to that */
	w = open_with(WATCHER(.backend = backend, .poll_interval_ms = 600000));
	add_one(w, &one, row->first_root ? row->first_root : "in");
	if (how != UNREAD)
		sync_watcher(w);
	add_somehow(w, row, how);
	next_tick();
	do_it(row->after);
	sync_watcher(w);
	if (backend == WATCHER_BACKEND_FSEVENT)
		besides = row->written;
	right = is_exact(backend) && how != LOST ?
			strcmp(text_of(&two), want) == 0 :
			are_in(want, text_of(&two), NULL) && are_in(text_of(&two), want, besides);
	if (!right)
		print_error("  the second: %s\n  and not: %s\n", text_of(&two), want);
	right = !judge(&one, "the first") && right;
	right = !judge(&two, "the second") && right;
	if (index_check(w, text, sizeof text)) {
		print_error("%s", text);
		right = false;
	}
	watcher_close(w);
	end(&one);
	end(&two);
	return right;
}

static void all_rows(int backend, const char *name)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < COUNT(rows); i++)
		for (enum how how = AT_ONCE; how < (is_exact(backend) ? WAYS : HINTS); how++)
			if (!row_is_right(backend, &rows[i], how) && ++wrong)
				print_error("%s, %s: %s\n", name, how_names[how], rows[i].name);
	assert_int_equal(wrong, 0);
}

static void test_inotify(void **state)
{
	(void)state;
	all_rows(WATCHER_BACKEND_INOTIFY, "inotify");
}

static void test_fanotify(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	all_rows(WATCHER_BACKEND_FANOTIFY, "fanotify");
}

static void test_fsevent(void **state)
{
	(void)state;
	all_rows(WATCHER_BACKEND_FSEVENT, "fsevent");
}

static void test_poll(void **state)
{
	(void)state;
	all_rows(WATCHER_BACKEND_POLL, "poll");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_inotify),
		TEST(test_fanotify),
		TEST(test_fsevent),
		TEST(test_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
