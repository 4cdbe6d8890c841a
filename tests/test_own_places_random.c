/*
 * A watch that follows links, one around it that does not, and a third where the links may lead to:
 * whatever happens in their trees, each knows in the end what is there, as it sees it.
 *
 * PLACES_ROUNDS, PLACES_SEED, PLACES_BACKEND and PLACES_TRACE choose and tell.
 */
#include "roots_test.h"

#include "dice.h"
#include "next_tick.h"

/* The paths that a watch has been told are there. */
struct known {
	char *paths[4096];
	size_t n;
};

static struct known follower, plain, there;

static void forget(struct known *k, const char *path)
{
	for (size_t i = 0; i < k->n; i++)
		if (strcmp(k->paths[i], path) == 0) {
			free(k->paths[i]);
			k->paths[i--] = k->paths[--k->n];
		}
}

static void know(struct known *k, const char *path)
{
	forget(k, path);
	if (strcmp(path, "t/out") == 0 && k == &there) /* the root itself */
		return;
	assert_true(k->n < COUNT(k->paths));
	k->paths[k->n++] = strdup(path);
}

static void forget_all(struct known *k)
{
	while (k->n)
		free(k->paths[--k->n]);
}

static void on_known(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct known *k = arg;
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e)) {
		if (getenv("PLACES_TRACE"))
			print_message("    %s: %s %s %s\n", k == &plain ? "plain" : k == &there ? "there" : "following",
				      watcher_kind_name(e.kind), e.path, e.dest ? e.dest : "");
		if (e.kind == WATCHER_CREATED)
			know(k, e.path);
		else
			forget(k, e.path);
		if (e.kind == WATCHER_MOVED)
			know(k, e.dest);
	}
}

/* What is there, to one that follows links or not. */
static void walk(struct known *k, const char *path, bool follows)
{
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;
	char sub[4096];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
		know(k, sub);
		if ((follows ? stat(sub, &st) : lstat(sub, &st)) == 0 && S_ISDIR(st.st_mode))
			walk(k, sub, follows);
	}
	if (d)
		closedir(d);
}

static bool is_known(const struct known *k, const char *path)
{
	for (size_t i = 0; i < k->n; i++)
		if (strcmp(k->paths[i], path) == 0)
			return true;
	return false;
}

static bool knows_what_is_there(const struct known *k, const char *top, bool follows)
{
	static struct known all_there;
	bool right = true;

	walk(&all_there, top, follows);
	for (size_t i = 0; i < all_there.n; i++)
		if (!is_known(k, all_there.paths[i])) {
			print_error("%s %s: not told that %s is there\n", follows ? "following" : "plain", top,
				    all_there.paths[i]);
			right = false;
		}
	for (size_t i = 0; i < k->n; i++)
		if (!is_known(&all_there, k->paths[i])) {
			print_error("%s %s: not told that %s is gone\n", follows ? "following" : "plain", top,
				    k->paths[i]);
			right = false;
		}
	forget_all(&all_there);
	return right;
}

static const char *any_path(char path[64])
{
	static const char *const tops[] = { "t/in", "t/in", "t/out", "t/out", "t/out", "t/far", "x" };
	size_t len = (size_t)snprintf(path, 64, "%s", tops[dice(COUNT(tops))]);

	for (unsigned n = 1 + dice(3); n; n--)
		len += (size_t)snprintf(path + len, 64 - len, "/%c", "abc"[dice(3)]);
	return path;
}

static void make_link(void)
{
	static const char *const to[] = { "../out", "../out", "../far", "../out/a", "../nowhere" };

	const char *target = to[dice(COUNT(to))];

	if (getenv("PLACES_TRACE"))
		print_message("  link to %s\n", target);
	(void)!unlink("t/in/l");
	(void)!symlink(target, "t/in/l");
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	if (fd >= 0)
		close(fd);
}

static void do_any(bool trace)
{
	char a[64], b[64];
	unsigned what = dice(20);
	int r = 0;

	any_path(a), any_path(b);
	if (what < 5)
		r = mkdir(a, 0700);
	else if (what < 8)
		touch(a);
	else if (what < 11)
		r = remove(a);
	else if (what < 17)
		r = rename(a, b);
	else if (what == 17)
		make_link();
	else if (what == 18)
		r = rename("t/out", "t/other") == 0 ? 0 : rename("t/other", "t/out");
	else
		r = rename("t/far", "x/far") == 0 ? 0 : rename("x/far", "t/far");
	if (trace && r == 0)
		print_message("  %u %s %s\n", what, a, b);
}

static void add_knowing(watcher *w, const char *path, struct known *k)
{
	add_with(w, path,
			WATCH(.on_batch = on_known, .arg = k, .follow_symlinks = k == &follower,
			      .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED));
}

static bool any_round(int backend, uint64_t seed)
{
	bool trace = getenv("PLACES_TRACE") != NULL, right = true, plain_first;
	unsigned third; /* a root where the link may lead to: when it is added */
	watcher *w = open_watcher(backend);

	rng = seed;
	plain_first = dice(2);
	third = dice(6);
	run("mkdir -p t/in/a t/out/a t/far x; touch t/out/a/b");
	make_link();
	walk(&follower, "t/in", true);
	walk(&plain, "t", false);
	walk(&there, "t/out", false);
	next_tick(); /* where changes are lost before all is read, what is younger than the watch is new */
	if (third == 0)
		add_knowing(w, "t/out", &there);
	add_knowing(w, plain_first ? "t" : "t/in", plain_first ? &plain : &follower);
	if (third == 1)
		add_knowing(w, "t/out", &there);
	add_knowing(w, plain_first ? "t/in" : "t", plain_first ? &follower : &plain);
	if (third == 2)
		add_knowing(w, "t/out", &there);
	for (int burst = 0; right && burst < 8; burst++) {
		for (unsigned n = dice(12); n; n--) {
			do_any(trace);
			if (dice(3) == 0)
				uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		}
		if (dice(6) == 0)
			make_gap(w);
		make_link(); /* one that leads somewhere by now is followed when it is made anew */
		sync_watcher(w);
		right = knows_what_is_there(&follower, "t/in", true);
		right &= knows_what_is_there(&plain, "t", false);
		right &= third > 2 || knows_what_is_there(&there, "t/out", false);
	}
	watcher_close(w);
	forget_all(&follower);
	forget_all(&plain);
	forget_all(&there);
	run("rm -rf t x");
	return right;
}

static void test_whatever_happens(void **state)
{
	(void)state;
	rounds_of_all("PLACES", any_round);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
