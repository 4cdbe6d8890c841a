/*
 * What Python's Watchdog tells, told by WATCHER_WATCHDOG_EVENTS: one row an operation, with the
 * very events its inotify emitter queues, in their order and number, and where that is wrong or
 * loses something, what is right.
 *
 * Events are written as the kind and the path below "in"; "^d" is MODIFIED on the directory d,
 * "^." on the root; a directory has a slash behind it; moves are from>to, with
 * WATCHER_FULL_MOVES perhaps with an empty side; what was found by looking ends with '*'.
 */
#include "watch_test.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "next_tick.h"

#define STEPS_MAX 4

enum { FULL = 1, FLAT = 2, FOLLOW = 4 };

struct row {
	const char *name, *before;
	struct {
		const char *run, *want;
	} steps[STEPS_MAX];
	unsigned how;
	const char *root; /* NULL: "in" */
};

/* Where the two do the same. */
static const struct row same[] = {
	{ .name = "create", .before = "", .steps = { { ": > in/a", "created a, ^., opened a, closed a, ^." } } },
	{ .name = "touch of what is not there", .before = "",
	  .steps = { { "touch in/a", "created a, ^., opened a, modified a, closed a, ^." } } },
	{ .name = "touch", .before = ": > in/a", .steps = { { "touch in/a", "opened a, modified a, closed a, ^." } } },
	{ .name = "append", .before = ": > in/a", .steps = { { "echo x >> in/a", "opened a, modified a, closed a, ^." } } },
	{ .name = "overwrite", .before = "echo x > in/a",
	  .steps = { { "echo y > in/a", "opened a, modified a, closed a, ^." } } },
	{ .name = "truncate", .before = "echo x > in/a", .steps = { { "truncate -s 0 in/a", "opened a, modified a, closed a, ^." } } },
	{ .name = "writes that the kernel merges", .before = ": > in/a",
	  .steps = { { "{ echo 1; echo 2; echo 3; } >> in/a", "opened a, modified a, closed a, ^." } } },
	{ .name = "writes that it does not", .before = ": > in/a; : > in/b",
	  .steps = { { "{ echo 1; chmod 600 in/b; echo 2; } >> in/a",
	      "opened a, modified a, modified b, modified a, closed a, ^." } } },
	{ .name = "chmod", .before = ": > in/a", .steps = { { "chmod 600 in/a", "modified a" } } },
	{ .name = "chown", .before = ": > in/a", .steps = { { "chown $(id -u) in/a", "modified a" } } },
	{ .name = "times", .before = ": > in/a",
	  .steps = { { "touch -c -d 2020-01-01 in/a", "modified a" } } },
	{ .name = "chmod of a directory", .before = "mkdir in/d", .steps = { { "chmod 700 in/d", "^d" } } },
	{ .name = "chmod of the root", .before = "", .steps = { { "chmod 700 in", "^." } } },
	{ .name = "read", .before = ": > in/a", .steps = { { "cat in/a", "opened a, closed_no_write a" } } },
	{ .name = "closed that was opened before", .before = "", .steps = { { "@close", "closed a, ^." } } },
	{ .name = "write through a mapping", .before = "echo x > in/a", .steps = { { "@map in/a", "opened a, closed a, ^." } } },
	{ .name = "ls", .before = "mkdir in/d; : > in/d/a", .steps = { { "ls in in/d >/dev/null", "" } } },
	{ .name = "mkdir and rmdir", .before = "",
	  .steps = { { "mkdir in/d", "created d/, ^." }, { "rmdir in/d", "deleted d/, ^." } } },
	{ .name = "delete", .before = ": > in/a", .steps = { { "rm in/a", "deleted a, ^." } } },
	{ .name = "move", .before = ": > in/a", .steps = { { "mv in/a in/b", "moved a>b, ^., ^." } } },
	{ .name = "move to another directory", .before = "mkdir in/d in/e; : > in/d/a",
	  .steps = { { "mv in/d/a in/e/b", "moved d/a>e/b, ^d, ^e" } } },
	{ .name = "move over a file", .before = ": > in/a; : > in/b", .steps = { { "mv in/a in/b", "moved a>b, ^., ^." } } },
	{ .name = "move in", .before = ": > out/a", .steps = { { "mv out/a in/a", "created a, ^." } } },
	{ .name = "move in, full", .before = ": > out/a", .steps = { { "mv out/a in/a", "moved >a, ^." } }, .how = FULL },
	{ .name = "move out", .before = ": > in/a", .steps = { { "mv in/a out/a", "deleted a, ^." } } },
	{ .name = "move out, full", .before = ": > in/a", .steps = { { "mv in/a out/a", "moved a>, ^." } }, .how = FULL },
	{ .name = "out, and another in", .before = ": > in/a; : > out/b",
	  .steps = { { "mv in/a out/a; mv out/b in/b", "deleted a, ^., created b, ^." } } },
	{ .name = "out, and another in, full", .before = ": > in/a; : > out/b",
	  .steps = { { "mv in/a out/a; mv out/b in/b", "moved a>, ^., moved >b, ^." } }, .how = FULL },
	{ .name = "rename of a directory", .before = "mkdir -p in/d/s; : > in/d/s/f",
	  .steps = { { "mv in/d in/e", "moved d/>e/, ^., ^., moved d/s/>e/s/*, moved d/s/f>e/s/f*" },
	    { "echo x >> in/e/s/f", "opened e/s/f, modified e/s/f, closed e/s/f, ^e/s" } } },
	{ .name = "rename of a directory with more in it", .before = "mkdir -p in/d/s/t; : > in/d/f; : > in/d/s/g",
	  .steps = { { "mv in/d in/e", "moved d/>e/, ^., ^., moved d/s/>e/s/*, moved d/f>e/f*, "
		       "moved d/s/t/>e/s/t/*, moved d/s/g>e/s/g*" } } },
	{ .name = "exchange", .before = "echo 1 > in/a; echo 2 > in/b",
	  .steps = { { "@exchange in/a in/b", "moved a>b, ^., ^., moved b>a, ^., ^." } } },
	{ .name = "rm -r", .before = "mkdir -p in/d/e; : > in/d/e/f",
	  .steps = { { "rm -r in/d", "deleted d/e/f, ^d/e, deleted d/e/, ^d, deleted d/, ^." } } },
	{ .name = "hard link", .before = ": > in/a", .steps = { { "ln in/a in/b", "created b, ^." }, { "rm in/a", "deleted a, ^." } } },
	{ .name = "write through a link outside", .before = ": > in/a; ln in/a out/b", .steps = { { "echo x > out/b", "" } } },
	{ .name = "symbolic link", .before = ": > in/a", .steps = { { "ln -s a in/l", "created l, ^." } } },
	{ .name = "symbolic link to a directory", .before = "mkdir in/d",
	  .steps = { { "ln -s d in/l", "created l, ^." }, { ": > in/d/f", "created d/f, ^d, opened d/f, closed d/f, ^d" } } },
	{ .name = "followed link", .before = "mkdir out/d; ln -s ../out/d in/l",
	  .steps = { { ": > out/d/f", "created l/f, ^l, opened l/f, closed l/f, ^l" } }, .how = FOLLOW },
	{ .name = "fifo", .before = "", .steps = { { "mkfifo in/p", "created p, ^." } } },
	{ .name = "save by rename", .before = ": > in/f",
	  .steps = { { "echo x > in/t; mv in/t in/f",
	      "created t, ^., opened t, modified t, closed t, ^., moved t>f, ^., ^." } } },
	{ .name = "save by vim", .before = "echo 1 > in/f",
	  .steps = { { "mv in/f in/f~; echo 2 > in/f; rm in/f~",
	      "moved f>f~, ^., ^., created f, ^., opened f, modified f, closed f, ^., "
	      "deleted f~, ^." } } },
	{ .name = "unlinked while open", .before = "", .steps = { { "@unlink in/a", "deleted a, ^." }, { "@close", "closed a, ^." } } },
	{ .name = "a name that is no text", .before = "",
	  .steps = { { ": > \"in/$(printf 'a\\344')\"", "created a\344, ^., opened a\344, closed a\344, ^." } } },
	{ .name = "not recursive", .before = "mkdir in/d",
	  .steps = { { ": > in/d/f; echo x > in/d/f", "" }, { "mkdir in/e; : > in/e/f", "created e/, ^." },
	    { ": > in/a", "created a, ^., opened a, closed a, ^." } }, .how = FLAT },
	{ .name = "a single file", .before = ": > in/a; : > in/b",
	  .steps = { { "echo x >> in/a; echo x >> in/b", "opened a, modified a, closed a, ^." } }, .root = "in/a" },
};

/* Where Watchdog has it wrong, or nothing at all. */
static const struct row better[] = {
	{ .name = "mkdir -p", .before = "",
	  .steps = { { "mkdir -p in/a/b/c", "created a/, ^., created a/b/*, ^a*, created a/b/c/*, ^a/b*" } } },
	{ .name = "mkdir -p and a write at once", .before = "",
	  .steps = { { "mkdir -p in/a/b; echo x > in/a/b/f",
	      "created a/, ^., created a/b/*, ^a*, created a/b/f*, ^a/b*" },
	    { "echo x >> in/a/b/f", "opened a/b/f, modified a/b/f, closed a/b/f, ^a/b" } } },
	{ .name = "cp -r", .before = "mkdir -p out/t/u; : > out/t/u/x",
	  .steps = { { "cp -r out/t in/t", "created t/, ^., created t/u/*, ^t*, created t/u/x*, ^t/u*" } } },
	{ .name = "move of a directory in", .before = "mkdir -p out/d/s; : > out/d/s/f",
	  .steps = { { "mv out/d in/d", "created d/, ^., created d/s/*, created d/s/f*" },
	    { "echo x >> in/d/s/f; rm in/d/s/f",
	      "opened d/s/f, modified d/s/f, closed d/s/f, ^d/s, deleted d/s/f, ^d/s" } } },
	{ .name = "move of a directory in, full", .before = "mkdir -p out/d/s; : > out/d/s/f",
	  .steps = { { "mv out/d in/d", "moved >d/, ^., created d/s/*, created d/s/f*" } }, .how = FULL },
	{ .name = "move of a directory out", .before = "mkdir -p in/d/s; : > in/d/s/f",
	  .steps = { { "mv in/d out/d", "deleted d/s/f*, deleted d/s/*, deleted d/, ^." },
	    { "echo x > out/d/s/f; mkdir out/d/t; : > in/a", "created a, ^., opened a, closed a, ^." } } },
	{ .name = "move of a directory out, full", .before = "mkdir -p in/d/s; : > in/d/s/f",
	  .steps = { { "mv in/d out/d", "deleted d/s/f*, deleted d/s/*, moved d/>, ^." } }, .how = FULL },
	{ .name = "the root deleted, and made again", .before = ": > in/a",
	  .steps = { { "rm -r in", "deleted a, ^., deleted ./" },
	    { "mkdir in", "created ./*" },
	    { ": > in/b", "created b, ^., opened b, closed b, ^." } } },
	{ .name = "the root renamed", .before = ": > in/a",
	  .steps = { { "mv in elsewhere", "deleted a*, deleted ./" },
	    { "echo x > elsewhere/a", "" },
	    { "mv elsewhere in", "created ./*, created a*, ^.*" } } },
	{ .name = "a link as root", .before = "mkdir out/d; ln -s out/d link",
	  .steps = { { ": > out/d/f", "created f, ^., opened f, closed f, ^." } }, .root = "link" },
	{ .name = "a link made later is followed", .before = "mkdir out/d",
	  .steps = { { "ln -s ../out/d in/l", "created l, ^." },
	    { ": > out/d/f", "created l/f, ^l, opened l/f, closed l/f, ^l" } }, .how = FOLLOW },
	{ .name = "a single file, deleted", .before = ": > in/a", .steps = { { "rm in/a", "deleted a, ^." } }, .root = "in/a" },
	{ .name = "a single file, replaced", .before = ": > in/a",
	  .steps = { { "echo x > in/t; mv in/t in/a", "created a, ^." },
	    { "echo x >> in/a", "opened a, modified a, closed a, ^." } }, .root = "in/a" },
	{ .name = "a single file, renamed", .before = ": > in/a",
	  .steps = { { "mv in/a in/b", "deleted a, ^." }, { "echo x > in/b", "" },
	    { "echo x > in/a", "created a, ^., opened a, modified a, closed a, ^." } }, .root = "in/a" },
	/* It may have been exchanged for what is at its first name: that is told to be there, as it is. */
	{ .name = "move in, and on, and others at both names by then", .before = ": > out/a",
	  .steps = { { "mv out/a in/b; mv in/b in/c; : > in/b; rm in/c",
		       "created b, ^., created c, ^., opened b, closed b, ^., deleted c, ^." } } },
};

/* ---- what a shell cannot do ---- */

static int held = -1; /* open since before anything was watched */

static void exchange(const char *a, const char *b)
{
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */), 0);
}

static void write_through_mapping(const char *path)
{
	int fd = open(path, O_RDWR);
	char *at = mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	at[0] = 'y';
	assert_int_equal(munmap(at, 1), 0);
	assert_int_equal(close(fd), 0);
}

static void run_step(const char *run)
{
	char command[400], a[40], b[40];

	if (strcmp(run, "@close") == 0) {
		assert_int_equal(close(held), 0);
		held = -1;
	} else if (sscanf(run, "@unlink %39s", a) == 1) {
		assert_int_equal(unlink(a), 0);
	} else if (sscanf(run, "@map %39s", a) == 1) {
		write_through_mapping(a);
	} else if (sscanf(run, "@exchange %39s %39s", a, b) == 2) {
		exchange(a, b);
	} else {
		snprintf(command, sizeof command, "{ %s; } 2>&1", run[0] ? run : ":");
		assert_int_equal(system(command), 0);
	}
}

static bool has_step(const struct row *row, const char *run)
{
	for (int i = 0; i < STEPS_MAX && row->steps[i].run; i++)
		if (strcmp(row->steps[i].run, run) == 0)
			return true;
	return false;
}

/* ---- what is told, as the table writes it ---- */

/* Below the root, or the directory around a file that is the root. */
static const char *below(const char *path, const char *root)
{
	size_t len = strcmp(root, "in/a") == 0 ? 2 : strlen(root);

	if (strncmp(path, root, len) != 0)
		return path;
	return !path[len] ? "." : path + len + 1;
}

static void tell_as_row(struct told *t, const char *root, const watcher_event *e)
{
	const char *slash = e->type == WATCHER_TYPE_DIR ? "/" : "";
	char line[300], *at = line;

	if (e->kind == WATCHER_MODIFIED && slash[0])
		at += sprintf(at, "^%s", below(e->path, root));
	else
		at += sprintf(at, "%s %s%s", watcher_kind_name(e->kind),
			      e->path[0] ? below(e->path, root) : "", e->path[0] ? slash : "");
	if (e->dest)
		at += sprintf(at, ">%s%s", e->dest[0] ? below(e->dest, root) : "",
			      e->dest[0] ? slash : "");
	snprintf(t->text + strlen(t->text), sizeof t->text - strlen(t->text), "%s%s%s",
		 t->text[0] ? ", " : "", line, e->synthetic ? "*" : "");
}

struct run {
	const struct row *row;
	struct told told;
};

static const char *root_of(const struct row *row)
{
	return row->root ? row->root : "in";
}

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct run *r = arg;
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e))
		tell_as_row(&r->told, root_of(r->row), &e);
}

static void run_row(const struct row *row)
{
	struct run r = { .row = row };
	unsigned flags = WATCHER_WATCHDOG_EVENTS | (row->how & FULL ? WATCHER_FULL_MOVES : 0);
	watcher *w;

	run_step("rm -rf in out elsewhere link; mkdir in out");
	run_step(row->before);
	next_tick(); /* what is there is older than the watch */
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_INOTIFY));
	if (has_step(row, "@close"))
		held = open("in/a", O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
	add_with(w, root_of(row),
		 WATCH(.kinds = WATCHER_ALL, .flags = flags, .depth = row->how & FLAT ? 1 : 0,
		       .follow_symlinks = row->how & FOLLOW ? 1 : 0, .on_batch = on_batch,
		       .arg = &r));
	for (int i = 0; i < STEPS_MAX && row->steps[i].run; i++) {
		run_step(row->steps[i].run);
		sync_watcher(w);
		if (strcmp(r.told.text, row->steps[i].want) != 0)
			fail_msg("%s: %s\n  told: %s\n  want: %s", row->name, row->steps[i].run,
				 r.told.text, row->steps[i].want);
		r.told.text[0] = '\0';
	}
	watcher_close(w);
}

static void test_as_watchdog(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(same); i++)
		run_row(&same[i]);
}

static void test_better_than_watchdog(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(better); i++)
		run_row(&better[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_as_watchdog),
		TEST(test_better_than_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
