/*
 * One table, all backends: an operation, and the events it must give; see scenario_table.h.
 * SCENARIO and SCENARIO_BACKEND choose what runs.
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
#include "scenario_table.h"
#include "watcher/options.h"
#include "whendo/watcher.h"

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
