/*
 * Roots of one watch in one another: whatever comes, goes and moves, the roots themselves, too, the
 * watch is told of it once, and of nothing that it has been told of before.
 *
 * NESTED_ROUNDS, NESTED_SEED, NESTED_BACKEND and NESTED_TRACE choose and tell.
 */
#include "roots_test.h"

#include <sys/syscall.h>

#include "dice.h"

static const char *roots[6];
static int nroots, depth;

/* ---- what the watch has been told is there ---- */

struct known {
	char *paths[1024];
	size_t n;
	bool wrong; /* it was told what cannot be after what it had been told */
};

static struct known known, there;

static size_t place_of(const struct known *k, const char *path)
{
	size_t i = 0;

	while (i < k->n && strcmp(k->paths[i], path) != 0)
		i++;
	return i;
}

static bool has(const struct known *k, const char *path)
{
	return place_of(k, path) < k->n;
}

static bool has_below(const struct known *k, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < k->n; i++)
		if (strncmp(k->paths[i], path, len) == 0 && k->paths[i][len] == '/')
			return true;
	return false;
}

static void know(struct known *k, const char *path)
{
	assert_true(k->n < COUNT(k->paths));
	k->paths[k->n++] = strdup(path);
}

static void forget(struct known *k, const char *path)
{
	size_t i = place_of(k, path);

	if (i == k->n)
		return;
	free(k->paths[i]);
	k->paths[i] = k->paths[--k->n];
}

/* What moves onto a directory that holds something has been exchanged with it: what moved back is
 * created. */
static void forget_below(struct known *k, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = k->n; i--;)
		if (strncmp(k->paths[i], path, len) == 0 && k->paths[i][len] == '/')
			forget(k, k->paths[i]);
}

static void forget_all(struct known *k)
{
	while (k->n)
		free(k->paths[--k->n]);
}

static bool is_right(const struct known *k, const watcher_event *e)
{
	if (e->kind == WATCHER_CREATED)
		return !has(k, e->path);
	if (e->kind == WATCHER_DELETED)
		return has(k, e->path) && !has_below(k, e->path);
	return has(k, e->path);
}

static void on_known(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct known *k = arg;
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e)) {
		/* What only one of them sees is told apart from the rest. */
		bool right = depth || is_right(k, &e);

		if (!right || getenv("NESTED_TRACE"))
			print_message("%s%s %s %s%s [%s]\n", right ? "    " : "WRONG ",
				      watcher_kind_name(e.kind), e.path, e.dest ? e.dest : "", e.synthetic ? " synthetic" : "", e.root);
		k->wrong |= !right;
		if (e.kind != WATCHER_CREATED)
			forget(k, e.path);
		if (e.kind == WATCHER_MOVED) {
			forget_below(k, e.dest);
			forget(k, e.dest);
		}
		if (e.kind != WATCHER_DELETED)
			know(k, e.kind == WATCHER_MOVED ? e.dest : e.path);
	}
}

/* ---- what is there ---- */

/* Is the path one that the watch sees? */
static bool is_seen(const char *path)
{
	for (int i = 0; i < nroots; i++) {
		size_t len = strlen(roots[i]);
		int below = 0;

		if (strncmp(path, roots[i], len) != 0 || (path[len] && path[len] != '/'))
			continue;
		for (const char *at = path + len; *at; at++)
			below += *at == '/';
		if (!depth || below <= depth)
			return true;
	}
	return false;
}

static void walk(struct known *k, const char *path)
{
	struct dirent *e;
	struct stat st;
	char sub[300];
	DIR *d;

	if (lstat(path, &st) < 0)
		return;
	if (is_seen(path))
		know(k, path);
	if (!S_ISDIR(st.st_mode) || !(d = opendir(path)))
		return;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		assert_true((size_t)snprintf(sub, sizeof sub, "%s/%s", path, e->d_name) < sizeof sub);
		walk(k, sub);
	}
	closedir(d);
}

static bool knows_what_is_there(const struct known *k)
{
	bool right = !k->wrong;

	walk(&there, "a");
	for (size_t i = 0; i < there.n; i++)
		if (!has(k, there.paths[i])) {
			print_error("not told that %s is there\n", there.paths[i]);
			right = false;
		}
	for (size_t i = 0; i < k->n; i++)
		if (!has(&there, k->paths[i])) {
			print_error("not told that %s is gone\n", k->paths[i]);
			right = false;
		}
	forget_all(&there);
	return right;
}

/* ---- what happens ---- */

static const char *any_path(char path[64])
{
	size_t len = (size_t)snprintf(path, 64, "%s", dice(4) ? "a" : "x");

	for (unsigned n = dice(4); n; n--)
		len += (size_t)snprintf(path + len, 64 - len, "/%c", "bbcd"[dice(4)]);
	return path;
}

static int make_all(const char *path)
{
	char part[64];

	for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
		mkdir(part, 0700);
	}
	return mkdir(path, 0700);
}

static int touch(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	return fd < 0 ? fd : close(fd);
}

static void do_any(bool trace)
{
	char a[64], b[64];
	unsigned what = dice(20);
	int r;

	any_path(a), any_path(b);
	if (what < 2)
		r = mkdir(a, 0700);
	else if (what < 6)
		r = make_all(a);
	else if (what < 9)
		r = touch(a);
	else if (what < 11)
		r = remove(a);
	else if (what < 13)
		r = nftw(a, watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS);
	else if (what < 18)
		r = rename(a, b);
	else
		r = (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2);
	if (trace && r == 0)
		print_message("  %u %s %s\n", what, a, what >= 13 ? b : "");
}

/* Not what is on the far side of a file: that is an error. */
static bool can_be_added(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 || errno == ENOENT;
}

static void add_roots(watcher *w)
{
	static const char *const all[] = { "a", "a/b", "a/b/c", "a/c", "a/d" };

	nroots = 0;
	for (size_t i = 0; i < COUNT(all); i++) /* in any order, "a" among them */
		if (can_be_added(all[i]) && (i == 0 || dice(2))) {
			int at = (int)dice((unsigned)nroots + 1);

			memmove(roots + at + 1, roots + at,
				(size_t)(nroots - at) * sizeof *roots);
			roots[at] = all[i];
			nroots++;
		}
	roots[nroots] = NULL;
	depth = dice(3) ? 0 : 1 + (int)dice(2);
	if (getenv("NESTED_TRACE"))
		for (int i = 0; i < nroots; i++)
			print_message("root %s, depth %d\n", roots[i], depth);
	add_with(w, roots[0],
		 WATCH(.on_batch = on_known, .arg = &known, .roots = roots + 1, .depth = depth,
		       .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED));
}

static bool any_round(int backend, uint64_t seed)
{
	bool trace = getenv("NESTED_TRACE") != NULL, right = true;
	watcher *w = open_watcher(backend);

	rng = seed;
	known.wrong = false;
	mkdir("x", 0700);
	for (unsigned n = dice(12); n; n--)
		do_any(trace);
	add_roots(w);
	sync_watcher(w); /* with fanotify the names are read after it */
	walk(&known, "a");
	for (int burst = 0; right && burst < 6; burst++) {
		for (unsigned n = 1 + dice(10); n; n--) {
			do_any(trace);
			if (dice(3) == 0)
				uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		}
		if (dice(8) == 0)
			make_gap(w);
		sync_watcher(w);
		if (trace)
			print_message("  synced\n");
		right = knows_what_is_there(&known);
	}
	watcher_close(w);
	forget_all(&known);
	run("rm -rf a x");
	return right;
}

static void test_whatever_happens(void **state)
{
	(void)state;
	rounds_of_all("NESTED", any_round);
}

/* What happens, one after the other, and what is told then. */
static void test_the_inner_one_comes_and_goes(void **state)
{
	static const struct {
		const char *run, *told;
	} rows[] = {
		{ "mkdir -p a/b; touch a/b/x", "created a, created a/b, created a/b/x" },
		{ "mv a/b a/c", "moved a/b a/c, moved a/b/x a/c/x" },
		{ "touch a/c/y", "created a/c/y" },
		{ "mv a/c a/b", "moved a/c a/b, moved a/c/x a/b/x, moved a/c/y a/b/y" },
		{ "rm a/b/y", "deleted a/b/y" },
		{ "mv a/b b", "deleted a/b/x, deleted a/b" },
		{ "mv b a/b", "created a/b, created a/b/x" },
		{ "mv a/b/x a/x", "moved a/b/x a/x" },
		{ "rmdir a/b; mkdir a/b", "deleted a/b, created a/b" },
		{ "touch a/f", "created a/f" },
		{ "mv a/f a/g", "moved a/f a/g" },
		{ "mv a/g a/f", "moved a/g a/f" },
		{ "rm a/f", "deleted a/f" },
		{ "mv a z", "deleted a/x, deleted a/b, deleted a" },
		{ "mv z a", "created a, created a/b, created a/x" },
	};
	static const char *const more[] = { "a", "a/b", NULL };

	(void)state;
	for (size_t i = 0; i < COUNT(all_backends); i++) {
		int backend = all_backends[i].number;
		watcher *w;

		if ((backend == WATCHER_BACKEND_FANOTIFY && getuid() != 0) ||
		    (backend != WATCHER_BACKEND_INOTIFY && backend != WATCHER_BACKEND_FANOTIFY))
			continue; /* what looks only cannot know all of this again */
		w = open_watcher(backend);
		add_with(w, "a/f", WATCH(.on_batch = on_told, .arg = &outer, .roots = more,
					 .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED));
		for (size_t k = 0; k < COUNT(rows); k++) {
			run(rows[k].run);
			sync_watcher(w);
			assert_string_equal(told(&outer), rows[k].told);
		}
		watcher_close(w);
		run("rm -r a");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_inner_one_comes_and_goes),
		TEST(test_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
