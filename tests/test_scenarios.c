/*
 * One table, all backends: an operation, and the events it must give.
 *
 * A step is a shell command (run in the scenario's own directory) and what is reported between
 * two barriers. Backends that are exact must give `exact`, in that order. The others must give
 * every event of `net`, in any order, may give those marked with '?', and nothing else; an
 * empty `net` means the same as `exact`. Events are written as the kind and the path below
 * "in" ("in" itself by its name), a directory with a slash behind it, a link with '@', what is
 * neither with '='; moves as from>to. SCENARIO and SCENARIO_BACKEND choose what runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "next_tick.h"
#include "watcher/options.h"
#include "whendo/watcher.h"

/* ---- the table ---- */

struct step {
	const char *run, *exact, *net;
};

#define STEPS_MAX 6

enum { MOUNTS = 1, NOBODY = 2, NO_FANOTIFY = 4 };

struct scenario {
	const char *name;
	const char *before;   /* run before anything is watched */
	struct step steps[STEPS_MAX];
	const char *roots[4]; /* below the scenario's directory; none: "in" */
	unsigned needs;
	int depth, follow;
};

static const struct scenario scenarios[] = {
	{ .name = "create", .before = "", .steps = { { ": > in/a", "created a", "" } } },
	{ .name = "write",
	  .before = "echo > in/a",
	  .steps = { { "echo x > in/a", "modified a", "" }, { "echo y > in/a", "modified a", "" } } },
	{ .name = "append", .before = "echo > in/a", .steps = { { "echo x >> in/a", "modified a", "" } } },
	{ .name = "truncate", .before = "echo > in/a", .steps = { { "truncate -s 0 in/a", "modified a", "" } } },
	{ .name = "create and write",
	  .before = "",
	  .steps = { { "echo x > in/a", "created a, modified a", "created a, ?modified a" } } },
	{ .name = "touch",
	  .before = "echo > in/a",
	  .steps = { { "touch in/a", "attrib a", "?attrib a, ?modified a" },
	    { "touch -d '2020-01-01' in/a", "attrib a", "?attrib a, ?modified a" } } },
	{ .name = "chmod", .before = "echo > in/a", .steps = { { "chmod 600 in/a", "attrib a", "?attrib a, ?modified a" } } },
	{ .name = "chmod of a directory",
	  .before = "mkdir in/d",
	  .steps = { { "chmod 700 in/d", "attrib d/", "?attrib d/" } } },
	{ .name = "mkdir and rmdir",
	  .before = "",
	  .steps = { { "mkdir in/d", "created d/", "" }, { "rmdir in/d", "deleted d/", "" } } },
	{ .name = "mkdir -p and a write at once",
	  .before = "",
	  .steps = { { "mkdir -p in/a/b/c && echo x > in/a/b/c/f",
	      "created a/, created a/b/, created a/b/c/, created a/b/c/f, ?modified a/b/c/f",
	      "created a/, created a/b/, created a/b/c/, created a/b/c/f, ?modified a/b/c/f" },
	    { "echo y > in/a/b/c/f", "modified a/b/c/f", "" } } },
	{ .name = "cp -r",
	  .before = "mkdir -p out/t/u && echo > out/t/u/y",
	  .steps = { { "cp -r out/t in/t", "created t/, created t/u/, created t/u/y, ?modified t/u/y",
		       "created t/, created t/u/, created t/u/y, ?modified t/u/y" } } },
	{ .name = "move within", .before = "echo > in/a", .steps = { { "mv in/a in/b", "moved a>b", "" } } },
	{ .name = "move across directories",
	  .before = "mkdir in/d in/e && echo > in/d/a",
	  .steps = { { "mv in/d/a in/e/b", "moved d/a>e/b", "" } } },
	{ .name = "move in", .before = "echo > out/a", .steps = { { "mv out/a in/a", "created a", "" } } },
	{ .name = "move out", .before = "echo > in/a", .steps = { { "mv in/a out/a", "deleted a", "" } } },
	{ .name = "move of a tree in",
	  .before = "mkdir -p out/t/u && echo > out/t/u/x",
	  .steps = { { "mv out/t in/t", "created t/, created t/u/, created t/u/x", "" },
	    { "echo y > in/t/u/x", "modified t/u/x", "" } } },
	{ .name = "move of a tree out",
	  .before = "mkdir -p in/t/u && echo > in/t/u/x",
	  .steps = { { "mv in/t out/t", "deleted t/u/x, deleted t/u/, deleted t/", "" },
	    { "echo y > out/t/u/x; : > in/z", "created z", "" } } },
	{ .name = "move over a file",
	  .before = "echo > in/a; echo > in/b",
	  .steps = { { "mv in/a in/b", "moved a>b", "modified b, deleted a" } } },
	{ .name = "exchange",
	  .before = "echo 1 > in/a; echo 2 > in/b",
	  .steps = { { "@exchange in/a in/b", "moved a>b, created a",
	      "?moved a>b, ?moved b>a, ?modified a, ?modified b, ?deleted a, ?deleted b, ?created a, "
	      "?created b" } } },
	{ .name = "rename of a directory and a write below it",
	  .before = "mkdir in/d && echo > in/d/f",
	  .steps = { { "mv in/d in/e && echo x > in/e/f",
	      "moved d/>e/, moved d/f>e/f, modified e/f",
	      "moved d/>e/, moved d/f>e/f, ?modified e/f, ?modified d/f" },
	    { "echo yy > in/e/f", "modified e/f", "" } } },
	{ .name = "rename of a directory and back",
	  .before = "mkdir in/d && echo > in/d/f",
	  .steps = { { "mv in/d in/e", "moved d/>e/, moved d/f>e/f", "" },
	    { "mv in/e in/d", "moved e/>d/, moved e/f>d/f", "" },
	    { "echo x > in/d/f", "modified d/f", "" } } },
	{ .name = "rm -r",
	  .before = "mkdir -p in/d/e && echo > in/d/e/f",
	  .steps = { { "rm -r in/d", "deleted d/e/f, deleted d/e/, deleted d/", "" } } },
	{ .name = "delete and create anew",
	  .before = "echo > in/a",
	  .steps = { { "rm in/a && echo x > in/a", "deleted a, created a, modified a",
	      "?deleted a, ?created a, ?modified a" } } },
	{ .name = "a new inode in an old number",
	  .before = "echo > in/a",
	  .steps = { { "rm in/a && echo x > in/b", "deleted a, created b, modified b",
	      "deleted a, created b, ?modified b" } } },
	{ .name = "hard link",
	  .before = "echo > in/a",
	  .steps = { { "ln in/a in/b", "created b", "?attrib a, ?modified a, created b" },
	    { "rm in/a", "deleted a", "deleted a, ?attrib b, ?modified b" } } },
	{ .name = "symbolic link",
	  .before = "echo > in/a",
	  .steps = { { "ln -s a in/l", "created l@", "" }, { "rm in/l", "deleted l@", "" } } },
	{ .name = "symbolic link to a directory is not followed",
	  .before = "mkdir out/d",
	  .steps = { { "ln -s ../out/d in/l", "created l@", "" }, { "echo > out/d/f; : > in/z", "created z", "" } } },
	{ .name = "fifo",
	  .before = "",
	  .steps = { { "mkfifo in/p", "created p=", "" }, { "rm in/p", "deleted p=", "" } } },
	{ .name = "save by rename",
	  .before = "echo > in/a",
	  .steps = { { "echo x > in/a.tmp && mv in/a.tmp in/a",
	      "created a.tmp, modified a.tmp, moved a.tmp>a",
	      "modified a, ?created a.tmp, ?modified a.tmp, ?moved a.tmp>a" } } },
	{ .name = "save by vim",
	  .before = "echo 1 > in/a",
	  .steps = { { "mv in/a in/a~ && echo 2 > in/a && rm in/a~",
	      "moved a>a~, created a, modified a, deleted a~",
	      "?moved a>a~, ?created a, ?deleted a~, ?modified a, ?deleted a" } } },
	{ .name = "a single file, saved three times",
	  .before = "echo > in/a; echo > in/b",
	  .steps = { { "echo 1 > in/t && mv in/t in/a", "modified a", "" },
	    { "echo 2 > in/t && mv in/t in/a", "modified a", "" },
	    { "echo 3 > in/t && mv in/t in/a; echo > in/b", "modified a", "" },
	    { "rm in/a", "deleted a", "" },
	    { "echo 4 > in/a", "created a, ?modified a", "created a, ?modified a" } },
	  { "in/a" } },
	{ .name = "the root deleted and made again",
	  .before = "echo > in/a",
	  .steps = { { "rm -r in", "deleted a, deleted in/", "" },
	    { "mkdir in && echo > in/b", "created in/, created b, ?modified b",
	      "created in/, created b, ?modified b" },
	    { "echo x > in/b", "modified b", "" } } },
	{ .name = "the root moved away and back",
	  .before = "echo > in/a",
	  .steps = { { "mv in elsewhere", "deleted a, deleted in/", "" },
	    { "echo x > elsewhere/a; mv elsewhere in", "created in/, created a", "" },
	    { "echo yy > in/a", "modified a", "" } } },
	{ .name = "the root replaced",
	  .before = "echo > in/a; mkdir new; echo > new/b",
	  .steps = { { "mv in old && mv new in", "deleted a, deleted in/, created in/, created b", "" },
	    { "echo x > in/b; echo x > old/a", "modified b", "" } } },
	{ .name = "a link as the root, swapped",
	  .before = "mkdir v1 v2; echo > v1/a; echo > v2/b; ln -s v1 cur",
	  .steps = { { "echo x > v1/a", "modified cur/a", "" },
	    { "ln -s v2 next && mv -T next cur",
	      "deleted cur/a, deleted cur/, created cur/, created cur/b", "" },
	    { "echo x > v2/b; echo xx > v1/a", "modified cur/b", "" } },
	  { "cur" } },
	{ .name = "a root that is not there yet",
	  .before = "",
	  .steps = { { "mkdir -p p/q && echo > p/q/f", "created p/q/, created p/q/f, ?modified p/q/f",
	      "created p/q/, created p/q/f, ?modified p/q/f" },
	    { "echo x > p/q/f", "modified p/q/f", "" },
	    { "rm -r p", "deleted p/q/f, deleted p/q/", "" },
	    { "mkdir -p p/q", "created p/q/", "" } },
	  { "p/q" } },
	{ .name = "a move from one root to another",
	  .before = "mkdir r1 r2; echo > r1/a",
	  .steps = { { "mv r1/a r2/b", "moved r1/a>r2/b", "" } },
	  .roots = { "r1", "r2" } },
	{ .name = "overlapping roots",
	  .before = "mkdir -p in/d; echo > in/d/a",
	  .steps = { { "echo x > in/d/a", "modified d/a", "" } },
	  .roots = { "in", "in/d" } },
	{ .name = "overlapping roots, the inner first",
	  .before = "mkdir -p in/d/e; echo > in/d/e/a; echo > in/b",
	  .steps = { { "echo x > in/d/e/a; echo x > in/b", "modified d/e/a, modified b", "" },
		     { "mv in/b in/d/c", "moved b>d/c", "" },
		     { "rm -r in/d/e", "deleted d/e/a, deleted d/e/", "" } },
	  .roots = { "in/d", "in" } },
	{ .name = "a file as a root, then the tree around it",
	  .before = "mkdir -p in/d; echo > in/d/a; echo > in/d/b",
	  .steps = { { "echo x > in/d/a; echo x > in/d/b", "modified d/a, modified d/b", "" },
		     { ": > in/d/c; rm in/d/b", "created d/c, deleted d/b", "" } },
	  .roots = { "in/d/a", "in" } },
	{ .name = "names that are no text",
	  .before = "",
	  .steps = { { "touch \"in/$(printf '\\377\\001 \\012x')\"", "created \377\001 \012x, ?attrib \377\001 \012x",
	      "created \377\001 \012x, ?modified \377\001 \012x, ?attrib \377\001 \012x" } } },
	{ .name = "depth",
	  .before = "mkdir -p in/d/e",
	  .steps = { { "echo > in/d/a; echo > in/d/e/b", "created d/a, modified d/a",
	      "created d/a, ?modified d/a" } },
	  .depth = 2 },
	{ .name = "links that are followed, in a ring",
	  .before = "mkdir -p out/d in/s; ln -s ../out/d in/l; ln -s .. in/s/up; ln -s . in/self",
	  .steps = { { "echo > out/d/f", "created l/f, modified l/f", "created l/f, ?modified l/f" },
	    { "echo > in/s/g", "created s/g, modified s/g", "created s/g, ?modified s/g" } },
	  .follow = 1 },
	{ .name = "two links to one directory",
	  .before = "mkdir out/d in/s; ln -s ../out/d in/l; ln -s ../../out/d in/s/l",
	  .steps = { { ": > out/d/a", "created l/a", "" },
	    { "rm in/l", "deleted l/a, deleted l@, created s/l/a", "" },
	    { ": > out/d/b", "created s/l/b", "" },
	    { "mv in/s/l in/s/m", "moved s/l@>s/m@, moved s/l/a>s/m/a, moved s/l/b>s/m/b", "" } },
	  .follow = 1 },
	{ .name = "a second link to a directory is renamed",
	  .before = "mkdir out/d in/s; ln -s ../out/d in/l; ln -s ../../out/d in/s/l",
	  .steps = { { "mv in/s/l in/s/m", "moved s/l@>s/m@",
	      "?moved s/l@>s/m@, ?deleted s/l@, ?created s/m@" },
	    { "rm in/l", "deleted l@", "" },
	    { ": > out/d/a", "created s/m/a", "" } },
	  .follow = 1 },
	{ .name = "a link to a directory that is in the tree",
	  .before = "mkdir in/a in/b; ln -s ../b in/a/b",
	  .steps = { { "rm in/a/b", "deleted a/b@", "" }, { ": > in/b/x", "created b/x", "" } },
	  .follow = 1 },
	{ .name = "a link that is made to lead elsewhere",
	  .before = "mkdir out/d out/e; : > out/d/x; : > out/e/y; ln -s ../out/d in/l",
	  .steps = { { "ln -s ../out/e in/t && mv -T in/t in/l",
	      "created t, deleted l/x, moved t@>l@, created l/y",
	      "deleted l/x, deleted l@, created l@, created l/y" },
	    { ": > out/e/z; : > out/d/no", "created l/z", "" } },
	  .follow = 1 },
	{ .name = "what a link leads to is another directory",
	  .before = "mkdir out/d out/e; : > out/d/x; : > out/e/y; ln -s ../out/d in/l",
	  .steps = { { "mv out/d out/f && mv out/e out/d",
	      "deleted l/x, deleted l@, created l@, created l/y", "" },
	    { ": > out/d/z; : > out/f/no", "created l/z", "" } },
	  .follow = 1 },
	{ .name = "what a link leads to goes and comes back",
	  .before = "mkdir out/d; : > out/d/x; ln -s ../out/d in/l",
	  .steps = { { "rm -r out/d", "deleted l/x", "" },
	    { "mkdir -p out/d/s/t", "created l/s/, created l/s/t/", "" },
	    { ": > out/d/z", "created l/z", "" } },
	  .follow = 1 },
	{ .name = "a link that leads somewhere when its directory is read again",
	  .before = "ln -s ../out/d in/l",
	  .steps = { { "mkdir -p out/d/s; : > in/a", "created a", "created a, created l/s/" } },
	  .follow = 1 },
	{ .name = "a link that leads nowhere from where it is moved to",
	  .before = "mkdir out/d in/s; : > out/d/x; ln -s ../out/d in/l",
	  .steps = { { "mv in/l in/s/l", "moved l@>s/l@, moved l/x>s/l/x, deleted s/l/x",
	      "deleted l/x, deleted l@, created s/l@" },
	    { ": > out/d/no; : > in/a", "created a", "" } },
	  .follow = 1 },
	{ .name = "tmpfs as root, unmounted",
	  .before = "mount -t tmpfs none in && echo > in/a",
	  .steps = { { "echo x > in/a", "modified a", "" },
	    { "umount in", "deleted a, deleted in/, created in/",
		       "deleted a, ?deleted in/, ?created in/" },
	    { ": > in/b", "created b", "created b, ?modified b" } },
	  .needs = MOUNTS },
	{ .name = "one directory under two roots",
	  .before = "mkdir r1 r2; echo > r1/a; mount --bind r1 r2",
	  .steps = { { "echo x > r1/a", "modified r2/a, modified r1/a", "" },
		     { ": > r2/b", "created r2/b, created r1/b", "" },
		     { "mv r1/b r1/c", "moved r2/b>r2/c, moved r1/b>r1/c", "" } },
	  .roots = { "r1", "r2" },
	  .needs = MOUNTS },
	{ .name = "a directory that becomes readable",
	  .before = "mkdir in/d; echo > in/d/a; chmod 0 in/d",
	  .steps = { { "chmod 700 in/d", "attrib d/, created d/a", "?attrib d/, created d/a" },
	    { "echo x > in/d/a", "modified d/a", "" } },
	  .needs = NOBODY },
};

struct kind_of_backend {
	const char *name;
	int number;
	unsigned flags;
	bool exact;
};

static const struct kind_of_backend backends[] = {
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, true },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, true },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, false },
	{ "nameless", WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS, false },
	{ "whole trees", WATCHER_BACKEND_FSEVENT, WATCHER__WHOLE_TREES, false },
	{ "poll", WATCHER_BACKEND_POLL, 0, false },
};

/* ---- running ---- */

#define SEEN_MAX 64

struct run {
	uv_loop_t loop;
	char base[64];
	bool synced, late;
	int nseen;
	char seen[SEEN_MAX][400];
	int kinds[SEEN_MAX];
	bool synthetic[SEEN_MAX];
};

/* The path as the table writes it. */
static void shown(const struct run *r, const char *path, int type, char *to, size_t size)
{
	const char *at = path + strlen(r->base) + 1;

	if (strncmp(at, "in/", 3) == 0)
		at += 3;
	snprintf(to, size, "%s%s", at,
		 type == WATCHER_TYPE_DIR     ? "/" :
		 type == WATCHER_TYPE_SYMLINK ? "@" :
		 type == WATCHER_TYPE_OTHER   ? "=" :
						"");
}

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct run *r = arg;
	char path[180], dest[180];
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e) && r->nseen < SEEN_MAX) {
		shown(r, e.path, e.type, path, sizeof path);
		if (e.dest)
			shown(r, e.dest, e.type, dest, sizeof dest);
		r->kinds[r->nseen] = e.kind;
		r->synthetic[r->nseen] = e.synthetic;
		snprintf(r->seen[r->nseen++], sizeof r->seen[0], "%s %s%s%s",
			 watcher_kind_name(e.kind), path, e.dest ? ">" : "", e.dest ? dest : "");
	}
}

static void on_sync(watcher *w, int status, void *arg)
{
	(void)w;
	(void)status;
	((struct run *)arg)->synced = true;
}

static void on_late(uv_timer_t *t)
{
	((struct run *)t->data)->late = true;
}

static bool barrier(struct run *r, watcher *w)
{
	uv_timer_t limit;

	next_tick();
	r->synced = r->late = false;
	uv_timer_init(&r->loop, &limit);
	limit.data = r;
	uv_timer_start(&limit, on_late, 20000, 0);
	if (watcher_sync(w, on_sync) < 0)
		return false;
	while (!r->synced && !r->late)
		uv_run(&r->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	next_tick();
	return r->synced;
}

static int run_command(const struct run *r, const char *command)
{
	char line[1200], a[100], b[100];

	if (sscanf(command, "@exchange %99s %99s", a, b) == 2) {
		char from[200], to[200];

		snprintf(from, sizeof from, "%s/%s", r->base, a);
		snprintf(to, sizeof to, "%s/%s", r->base, b);
		return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to,
				    2 /* RENAME_EXCHANGE */);
	}
	snprintf(line, sizeof line, "cd %s && { %s; }", r->base, command[0] ? command : ":");
	return system(line);
}

/* ---- comparing ---- */

/* The next of a list: its text in `item`, whether it must come in *must. */
static const char *next_item(const char *list, char *item, size_t size, bool *must)
{
	const char *end = strstr(list, ", ");
	size_t len = end ? (size_t)(end - list) : strlen(list);

	if (!len)
		return NULL;
	*must = list[0] != '?';
	snprintf(item, size, "%.*s", (int)(len - !*must), list + !*must);
	return end ? end + 2 : list + len;
}

/* In order; what is marked with '?' may be missing. */
static bool same_exactly(const struct run *r, const char *want)
{
	char item[400];
	bool must;
	int i = 0;

	while ((want = next_item(want, item, sizeof item, &must))) {
		if (i < r->nseen && strcmp(r->seen[i], item) == 0)
			i++;
		else if (must)
			return false;
	}
	return i == r->nseen;
}

static bool same_net(const struct run *r, const char *want)
{
	bool used[SEEN_MAX] = { false }, must;
	char item[400];

	while ((want = next_item(want, item, sizeof item, &must))) {
		bool found = false;

		for (int i = 0; i < r->nseen && !found; i++)
			if (!used[i] && strcmp(r->seen[i], item) == 0)
				used[i] = found = true;
		if (must && !found)
			return false;
	}
	for (int i = 0; i < r->nseen; i++)
		if (!used[i])
			return false;
	return true;
}

/* Polling finds everything by looking. A kernel that says exactly what happened is the source of
 * what happened in one step, and of every change of content. */
static bool marked_right(const struct run *r, const struct scenario *s, const struct step *step,
			 const struct kind_of_backend *b)
{
	bool one = !strstr(step->exact, ", ") && !s->roots[0];

	for (int i = 0; i < r->nseen; i++) {
		bool told = one || r->kinds[i] & (WATCHER_MODIFIED | WATCHER_ATTRIB);

		if ((b->number == WATCHER_BACKEND_POLL && !r->synthetic[i]) ||
		    (b->exact && told && r->synthetic[i])) {
			fprintf(stderr, "%s: %s: %s: %s is %ssynthetic\n", b->name, s->name,
				step->run, r->seen[i], r->synthetic[i] ? "" : "not ");
			return false;
		}
	}
	return true;
}

static bool check(struct run *r, const struct scenario *s, const struct step *step,
		  const struct kind_of_backend *b)
{
	const char *want = b->exact || !step->net[0] ? step->exact : step->net;

	/* A cause from two directories has no order where several are read at once. */
	if (b->exact ? same_exactly(r, want) : same_net(r, want)) {
		bool right = marked_right(r, s, step, b);

		r->nseen = 0;
		return right;
	}
	fprintf(stderr, "%s: %s: %s\n  want: %s\n  got:  ", b->name, s->name, step->run, want);
	for (int i = 0; i < r->nseen; i++)
		fprintf(stderr, "%s%s", i ? ", " : "", r->seen[i]);
	fprintf(stderr, "\n");
	r->nseen = 0;
	return false;
}

/* ---- a scenario ---- */

static int start(struct run *r, const struct scenario *s, const struct kind_of_backend *b,
		 watcher **w)
{
	char paths[4][100];
	const char *roots[5] = { NULL };
	watcher_error err = { 0 };
	int code;

	code = watcher_open(w,
			    WATCHER(.loop = &r->loop, .backend = b->number, .flags = b->flags,
				    .debounce_ms = 20000, .poll_interval_ms = 3600000, .arg = r),
			    &err);
	if (code < 0) {
		fprintf(stderr, "%s: %s\n", b->name, err.message);
		return code;
	}
	for (int i = 0; i < 4 && (s->roots[i] || i == 0); i++) {
		snprintf(paths[i], sizeof paths[i], "%s/%s", r->base,
			 s->roots[i] ? s->roots[i] : "in");
		roots[i] = paths[i];
	}
	code = watcher_add(*w, roots[0],
			   WATCH(.roots = roots + 1, .kinds = WATCHER_CHANGES | WATCHER_ATTRIB,
				 .depth = s->depth, .follow_symlinks = s->follow,
				 .on_batch = on_batch, .arg = r),
			   &err);
	if (code < 0)
		fprintf(stderr, "%s: %s: %s\n", b->name, s->name, err.message);
	return code;
}

/* Count of steps that went wrong. */
static int run_scenario(const struct scenario *s, const struct kind_of_backend *b)
{
	struct run *r = calloc(1, sizeof *r);
	watcher *w = NULL;
	int bad = 0;

	strcpy(r->base, "/tmp/whendo-scenario-XXXXXX");
	if (!mkdtemp(r->base))
		return 1;
	uv_loop_init(&r->loop);
	bad = run_command(r, "mkdir in out") || run_command(r, s->before);
	next_tick();
	if (bad || start(r, s, b, &w) < 0 || !barrier(r, w)) {
		fprintf(stderr, "%s: %s: cannot begin\n", b->name, s->name);
		bad = 1;
	}
	r->nseen = 0;
	for (int i = 0; i < STEPS_MAX && !bad && s->steps[i].run; i++) {
		if (run_command(r, s->steps[i].run) != 0 || !barrier(r, w)) {
			fprintf(stderr, "%s: %s: %s: no end\n", b->name, s->name, s->steps[i].run);
			bad++;
		}
		bad += !check(r, s, &s->steps[i], b);
	}
	watcher_close(w);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	bad += uv_loop_close(&r->loop) != 0;
	run_command(r, "chmod -R u+rwX in out 2>/dev/null; umount in r2 2>/dev/null; true");
	run_command(r, "rm -rf \"$PWD\"");
	free(r);
	return bad;
}

/* In a process of its own, as another user. */
static int run_as_nobody(const struct scenario *s, const struct kind_of_backend *b)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(77);
		_exit(run_scenario(s, b) != 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool own_mounts;

static const char *cannot(const struct scenario *s, const struct kind_of_backend *b)
{
	if (s->needs & MOUNTS && !own_mounts)
		return "no mount namespace of its own";
	if (s->needs & NOBODY && getuid() != 0)
		return "not root, who could become somebody else";
	if (b->number == WATCHER_BACKEND_FANOTIFY && (s->needs & NOBODY || getuid() != 0))
		return "fanotify needs root";
	return NULL;
}

static void test_scenarios(void **state)
{
	const struct kind_of_backend *b = *state;
	const char *only = getenv("SCENARIO"), *backend = getenv("SCENARIO_BACKEND"), *why;
	int bad = 0;

	if (backend && strcmp(backend, b->name) != 0)
		skip();
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		const struct scenario *s = &scenarios[i];

		if (only && strcmp(only, s->name) != 0)
			continue;
		why = cannot(s, b);
		if (why)
			print_message("# %s: %s: skipped: %s\n", b->name, s->name, why);
		else if ((s->needs & NOBODY ? run_as_nobody(s, b) : run_scenario(s, b)) != 0)
			bad++;
	}
	if (bad)
		fail_msg("%d scenarios failed", bad);
}

int main(void)
{
	struct CMUnitTest tests[sizeof backends / sizeof *backends];
	char names[sizeof backends / sizeof *backends][64];

	own_mounts = unshare(CLONE_NEWNS) == 0 &&
		     mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
		snprintf(names[i], sizeof names[i], "test_scenarios_%s", backends[i].name);
		tests[i] = (struct CMUnitTest){ names[i], test_scenarios, NULL, NULL,
						(void *)(uintptr_t)&backends[i] };
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
