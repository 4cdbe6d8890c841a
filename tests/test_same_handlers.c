/*
 * Watches with the same handlers, in one another and beside each other: each is told what happens in
 * its own roots, whatever the others see of it. At random here, with roots, depths, filters and kinds
 * of their own; what a watch was told has to make what is on the disk of what there was before.
 *
 * A failing round is run again with SAME_SEED=n; SAME_ROUNDS says how many there are.
 */
#include "watch_test.h"

#include <sys/syscall.h>

#include "dice.h"

#define WATCHES 4
#define ROUNDS	15
#define PATHS	512

static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_FANOTIFY,
				WATCHER_BACKEND_FSEVENT, WATCHER_BACKEND_POLL };
static const char *const roots[] = { "in", "in/r", "in/r/r", "two" };

struct paths {
	char all[PATHS][64];
	size_t n;
};

static struct one {
	watcher_watch *watch;
	const char *root, *other; /* other: its second root, NULL: none */
	int depth;
	bool filtered, judged;
	struct paths told;
	char bad[200]; /* an event that makes no sense, "": none */
} ones[WATCHES];

static char trace[65536];

static void note(const char *what, const char *a, const char *b)
{
	size_t len = strlen(trace);

	snprintf(trace + len, sizeof trace - len, "%s %s %s\n", what, a, b);
}

/* ---- what a watch has been told that there is ---- */

static bool is_at(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 && (path[len] == '/' || !path[len]);
}

static size_t find(const struct paths *p, const char *path)
{
	size_t i = 0;

	while (i < p->n && strcmp(p->all[i], path) != 0)
		i++;
	return i;
}

static bool has(const struct paths *p, const char *path)
{
	return find(p, path) < p->n;
}

static void take(struct paths *p, const char *path)
{
	if (has(p, path))
		return;
	assert_true(p->n < PATHS);
	snprintf(p->all[p->n++], sizeof *p->all, "%s", path);
}

static void drop(struct paths *p, const char *path)
{
	size_t i = find(p, path);

	if (i < p->n)
		memmove(p->all[i], p->all[--p->n], sizeof *p->all);
}

/* With what is in it. */
static void move(struct paths *p, const char *from, const char *to)
{
	char path[128];

	for (size_t i = p->n; i-- > 0;)
		if (is_at(p->all[i], to))
			drop(p, p->all[i]);
	for (size_t i = 0; i < p->n; i++)
		if (is_at(p->all[i], from)) {
			snprintf(path, sizeof path, "%s%s", to, p->all[i] + strlen(from));
			snprintf(p->all[i], sizeof *p->all, "%.63s", path);
		}
}

/* Below one of its roots, and not too deep: the nearest root has it, or else the other. */
static bool sees(const struct one *o, const char *path)
{
	const char *const tops[] = { o->root, o->other };

	for (int i = 0; i < 2; i++) {
		int depth = 0;

		if (!tops[i] || !is_at(path, tops[i]) || !path[strlen(tops[i])])
			continue;
		for (const char *at = path + strlen(tops[i]); *at; at++)
			depth += *at == '/';
		if (!o->depth || depth <= o->depth)
			return true;
	}
	return false;
}

static void apply(struct one *o, const watcher_event *e)
{
	bool known = has(&o->told, e->path), wrong = false;

	switch (e->kind) {
	case WATCHER_CREATED:
		wrong = known || !sees(o, e->path);
		take(&o->told, e->path);
		break;
	case WATCHER_DELETED:
		wrong = !known;
		drop(&o->told, e->path);
		break;
	case WATCHER_MOVED:
		wrong = (!known && !(e->synthetic && has(&o->told, e->dest))) || !sees(o, e->dest);
		if (known)
			move(&o->told, e->path, e->dest);
		else if (o->filtered)
			take(&o->told, e->dest);
	}
	if (wrong && !o->filtered && !o->bad[0])
		snprintf(o->bad, sizeof o->bad, "%s %s %s", watcher_kind_name(e->kind), e->path,
			 e->dest ? e->dest : "");
}

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct one *o = arg;
	watcher_event e;
	char who[8];

	while (o->watch != watch)
		o++;
	snprintf(who, sizeof who, "#%d", (int)(o - ones));
	while (watcher_batch_next(batch, &e)) {
		note(who, watcher_kind_name(e.kind), e.path);
		if (e.dest)
			note("  ", "to", e.dest);
		if (o->judged)
			apply(o, &e);
	}
}

/* ---- what is there ---- */

static struct paths disk;

static int take_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st;
	(void)what;
	(void)ftw;
	take(&disk, path);
	return 0;
}

static void read_disk(void)
{
	disk.n = 0;
	assert_int_equal(nftw("in", take_one, 16, FTW_PHYS) | nftw("two", take_one, 16, FTW_PHYS), 0);
}

static bool passes(const struct one *o, const char *path)
{
	struct stat st;
	const char *dot = strrchr(path, '.');

	if (!sees(o, path))
		return false;
	return !o->filtered || (dot && strcmp(dot, ".x") == 0 && lstat(path, &st) == 0 &&
				!S_ISDIR(st.st_mode));
}

static int judge(const struct one *o)
{
	int wrong = 0;

	if (!o->judged)
		return 0;
	if (o->bad[0]) {
		print_error("#%d: makes no sense: %s\n", (int)(o - ones), o->bad);
		wrong++;
	}
	for (size_t i = 0; i < disk.n; i++)
		if (passes(o, disk.all[i]) && !has(&o->told, disk.all[i])) {
			print_error("#%d: only on disk: %s\n", (int)(o - ones), disk.all[i]);
			wrong++;
		}
	for (size_t i = 0; i < o->told.n; i++)
		if (!has(&disk, o->told.all[i]) && (!o->filtered || strstr(o->told.all[i], ".x"))) {
			print_error("#%d: only told: %s\n", (int)(o - ones), o->told.all[i]);
			wrong++;
		}
	return wrong;
}

/* ---- what happens ---- */

static void some_path(char *path, size_t size)
{
	static const char *const names[] = { "a.x", "b", "d", "e" };
	size_t len = (size_t)snprintf(path, size, "%s", roots[dice(COUNT(roots))]);

	for (unsigned n = 1 + dice(2); n; n--)
		len += (size_t)snprintf(path + len, size - len, "/%s", names[dice(COUNT(names))]);
}

static void did(int r, const char *what, const char *a, const char *b)
{
	if (r == 0)
		note(what, a, b);
}

/* What cannot be done is not. Roots stay: their names are none of those. */
static void change(void)
{
	char a[64], b[64];
	struct stat st;
	unsigned what = dice(10);

	some_path(a, sizeof a);
	some_path(b, sizeof b);
	if (what < 2)
		did(mkdir(a, 0755), "! mkdir", a, "");
	else if (what < 4)
		did(mkfifo(a, 0600), "! mkfifo", a, "");
	else if (what < 5)
		did(remove(a), "! remove", a, "");
	else if (what < 6)
		did((int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2), "! exchange", a, b);
	else if (lstat(b, &st) < 0 || !S_ISDIR(st.st_mode))
		did(rename(a, b), "! rename", a, b);
}

static void add_one(watcher *w, struct one *o)
{
	const unsigned changes = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED;
	static const unsigned kinds[] = { WATCHER_CREATED, WATCHER_DELETED, WATCHER_MOVED,
					  WATCHER_CREATED | WATCHER_DELETED };
	const char *const more[] = { roots[dice(COUNT(roots))], NULL };
	unsigned some = dice(8);

	*o = (struct one){ .root = roots[dice(COUNT(roots))],
			   .other = dice(3) ? NULL : more[0],
			   .depth = (int)dice(3),
			   .filtered = dice(4) == 0,
			   .judged = some >= COUNT(kinds) };
	if (o->other == o->root)
		o->other = NULL;
	for (size_t i = 0; i < disk.n; i++)
		if (passes(o, disk.all[i]))
			take(&o->told, disk.all[i]);
	snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "#%d: %s %s depth %d%s%s\n",
		 (int)(o - ones), o->root, o->other ? o->other : "", o->depth,
		 o->filtered ? " *.x" : "", o->judged ? "" : " not judged");
	o->watch = add_with(w, o->root,
			    WATCH(.roots = o->other ? more : NULL, .depth = o->depth,
				  .kinds = o->judged ? changes : kinds[some],
				  .extensions = o->filtered ? LIST("x") : NULL,
				  .on_batch = on_batch, .arg = ones));
}

static int round_of(int backend, uint64_t seed)
{
	watcher_error err;
	watcher *w;
	int wrong = 0;

	rng = seed;
	trace[0] = '\0';
	assert_int_equal(system("rm -rf in two") | mkdir("in", 0755) | mkdir("in/r", 0755) |
			 mkdir("in/r/r", 0755) | mkdir("two", 0755), 0);
	for (int i = 0; i < 20; i++)
		change();
	if (watcher_open(&w, WATCHER(.backend = backend, .poll_interval_ms = 5), &err) < 0) {
		assert_int_equal(backend, WATCHER_BACKEND_FANOTIFY);
		return 0;
	}
	read_disk();
	for (size_t i = 0; i < WATCHES; i++)
		add_one(w, &ones[i]);
	sync_watcher(w);
	for (int i = 0; i < 40; i++) {
		change();
		if (dice(8) == 0)
			sync_watcher(w);
	}
	sync_watcher(w);
	read_disk();
	for (size_t i = 0; i < WATCHES; i++)
		wrong += judge(&ones[i]);
	watcher_close(w);
	if (wrong)
		print_error("backend %d: %d wrong, SAME_SEED=%llu\n%s", backend, wrong,
			    (unsigned long long)seed, getenv("SAME_SEED") ? trace : "");
	return wrong > 0;
}

static void test_each_has_its_own_events(void **state)
{
	const char *seed = getenv("SAME_SEED"), *count = getenv("SAME_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)uv_hrtime() / 1000;
	int bad = 0, n = seed ? 1 : count ? atoi(count) : ROUNDS;

	(void)state;
	for (size_t i = 0; i < COUNT(backends); i++)
		for (int k = 0; k < n; k++)
			bad += round_of(backends[i], first + (uint64_t)k);
	if (bad)
		fail_msg("%d of %d rounds are bad", bad, n * (int)COUNT(backends));
}

/* What makes sense within a watch does not depend on which of them is told first. */
static void test_moved_to_the_first_and_gone(void **state)
{
	static struct told both;

	(void)state;
	for (size_t i = 0; i < COUNT(backends) && backends[i] != WATCHER_BACKEND_FSEVENT; i++) {
		watcher_error err;
		watcher *w;

		if (watcher_open(&w, WATCHER(.backend = backends[i]), &err) < 0)
			continue; /* not permitted */
		assert_int_equal(mkdir("left", 0755) | mkdir("right", 0755) | mkfifo("right/a", 0600), 0);
		add_with(w, "left", WATCH(.on_batch = on_told, .arg = &both));
		add_with(w, "right", WATCH(.on_batch = on_told, .arg = &both));
		sync_watcher(w);
		told(&both);
		assert_int_equal(rename("right/a", "left/a") | unlink("left/a"), 0);
		sync_watcher(w);
		assert_string_equal(told(&both), "created left/a, deleted left/a, deleted right/a");
		watcher_close(w);
		assert_int_equal(rmdir("left") | rmdir("right"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_has_its_own_events),
		TEST(test_moved_to_the_first_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
