/*
 * What fanotify merges: all that one process does to one name of one file is one record, which stands
 * where the first of it stood; so is what it does to one link count, and one move from one name to
 * another. Each script is done at once, before the watcher reads any of it.
 *
 * A script is of steps: touch, write, chmod, mkdir, rm, and ln, mv, swap, of two names; "*" before one
 * has another process do it. "o" is outside of what is watched.
 * The random ones are printed when they fail: MERGED_SEED=n, MERGED_ROUNDS=n run others.
 */
#include "fanotify_test.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include "dice.h"
#include "replay_events.h"

#define STEP_MAX 24 /* of text */

static const char *const names[] = { "a", "b", "d/a", "o" };
static const char *const paths[] = { "in/a", "in/b", "in/d/a", "out/o" };
static const char *const steps[] = { "touch", "write", "chmod", "mkdir", "rm", "ln", "mv", "swap" };
enum { TOUCH, WRITE, CHMOD, MKDIR, RM, LN, MV, SWAP };

struct step {
	int what, x, y;
	bool other; /* process */
};

static bool unheard[COUNT(names)]; /* written to; moves with the name */

static bool same_file(const char *x, const char *y)
{
	struct stat a, b;

	return lstat(x, &a) == 0 && lstat(y, &b) == 0 && a.st_ino == b.st_ino;
}

static bool append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND);
	bool done = fd >= 0 && write(fd, "x", 1) == 1;

	if (fd >= 0)
		close(fd);
	return done;
}

/* False: it cannot be done. */
static bool do_step(const struct step *s)
{
	const char *x = paths[s->x], *y = paths[s->y];
	struct stat st;

	switch (s->what) {
	case TOUCH:
		return mknod(x, S_IFREG | 0644, 0) == 0;
	case WRITE:
		return append(x);
	case CHMOD:
		return lstat(x, &st) == 0 && chmod(x, (st.st_mode ^ 011) & 07777) == 0;
	case MKDIR:
		return mkdir(x, 0755) == 0;
	case RM:
		return remove(x) == 0;
	case LN:
		return link(x, y) == 0;
	case MV:
		return !same_file(x, y) && rename(x, y) == 0;
	default:
		return !same_file(x, y) &&
		       syscall(SYS_renameat2, AT_FDCWD, x, AT_FDCWD, y, 2 /* RENAME_EXCHANGE */) == 0;
	}
}

static bool do_elsewhere(const struct step *s)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(!do_step(s));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static bool do_it(const struct step *s)
{
	bool was;

	if (!(s->other ? do_elsewhere(s) : do_step(s)))
		return false;
	was = unheard[s->y];
	if (s->what == MV || s->what == SWAP) {
		unheard[s->y] = unheard[s->x];
		unheard[s->x] = s->what == SWAP && was;
	} else if (s->what == LN) {
		unheard[s->y] = false;
	} else if (s->what != CHMOD) {
		unheard[s->x] = s->what == WRITE;
	}
	return true;
}

/* ---- scripts as text ---- */

static int number_of(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	fail_msg("%s?", word);
	return -1;
}

static void run_script(const char *script)
{
	char text[500], what[STEP_MAX], x[STEP_MAX], y[STEP_MAX], *rest = text, *one;

	snprintf(text, sizeof text, "%s", script);
	while ((one = strsep(&rest, ";"))) {
		struct step s = { 0 };
		int n;

		one += strspn(one, " ");
		s.other = *one == '*';
		n = sscanf(one + s.other, "%23s %23s %23s", what, x, y);
		if (n < 2)
			continue;
		s.what = number_of(steps, COUNT(steps), what);
		s.x = number_of(names, COUNT(names), x);
		if (n > 2)
			s.y = number_of(names, COUNT(names), y);
		if (!do_it(&s))
			fail_msg("%s: %s cannot be done", script, one);
	}
}

static void empty(void)
{
	for (size_t i = 0; i < COUNT(paths); i++)
		remove(paths[i]);
	memset(unheard, 0, sizeof unheard);
}

static void watch_in(const watch_options *options)
{
	needs_root();
	assert_int_equal(mkdir("in/d", 0755) | mkdir("out", 0755), 0);
	add_with(w, "in", options);
	sync_watcher(w);
}

/* ---- those that are known ---- */

static void test_merged(void **state)
{
	static const struct {
		const char *before, *script, *told;
	} rows[] = {
		{ "touch a; ln a b", "rm a; mv b a; rm a",
		  "deleted in/a, moved in/b in/a, deleted in/a" },
		{ "touch a; ln a o", "rm a; mv o a; rm a",
		  "deleted in/a, created in/a, deleted in/a" },
		{ "touch a", "chmod a; mv a b; ln b a",
		  "modified in/a, attrib in/a, moved in/a in/b, created in/a" },
		{ "touch a", "write a; mv a d/a; ln d/a a",
		  "modified in/a, modified in/a, moved in/a in/d/a, modified in/d/a, "
		  "created in/a" },
		{ "", "touch b; mv b a; ln a b; rm a",
		  "created in/b, moved in/b in/a, deleted in/a, created in/b" },
		{ "touch a; ln a o", "mv a b; rm b; ln o a; mv a b",
		  "moved in/a in/b, deleted in/b, created in/a, created in/b, "
		  "deleted in/a" },
		{ "touch o", "mv o b; ln b o; rm b; mv o b",
		  "created in/b, deleted in/b, created in/b" },
		{ "touch a; ln a b", "rm a; mv b a; write a",
		  "modified in/a, deleted in/a, moved in/b in/a, modified in/a" },
		{ "touch a; ln a b", "rm a; mv b a; write a; mv a d/a",
		  "modified in/a, deleted in/a, moved in/b in/a, moved in/a in/d/a, "
		  "modified in/d/a" },
		{ "touch a; ln a b; touch o", "write b; mv o b; mv a b; write b",
		  "modified in/b, modified in/b, moved in/a in/b, modified in/b" },
		{ "touch a; ln a b", "chmod b; mv b d/a; mv a b; write b",
		  "attrib in/b, modified in/b, moved in/b in/d/a, moved in/a in/b, "
		  "modified in/b" },
		{ "touch a; ln a b", "rm a; mkdir a; swap b a; write a",
		  "modified in/a, deleted in/a, created in/a, moved in/b in/a, "
		  "created in/b, modified in/a" },
		{ "touch a; ln a o", "rm a; *ln o a; rm a",
		  "deleted in/a, created in/a, deleted in/a" },
		{ "touch a; ln a b", "chmod b; *rm b; ln a b",
		  "modified in/b, attrib in/b, deleted in/b, created in/b" },
	};

	(void)state;
	watch_in(WATCH(.kinds = WATCHER_CHANGES | WATCHER_ATTRIB, .on_batch = on_told,
		       .arg = &news));
	for (size_t i = 0; i < COUNT(rows); i++) {
		empty();
		run_script(rows[i].before);
		sync_watcher(w);
		told(&news);
		run_script(rows[i].script);
		sync_watcher(w);
		check_index();
		assert_string_equal(told(&news), rows[i].told);
	}
}

/* ---- and any ---- */

static size_t write_step(char *text, size_t size, const struct step *s)
{
	bool two = s->what >= LN;

	return (size_t)snprintf(text, size, "%s%s %s%s%s; ", s->other ? "*" : "", steps[s->what],
				names[s->x], two ? " " : "", two ? names[s->y] : "");
}

/* So many random steps that could be done, as a script. */
static const char *do_any(unsigned count)
{
	static char script[1000];
	size_t len = 0;

	script[0] = '\0';
	for (unsigned tries = 100; count && tries; tries--) {
		struct step s = { (int)dice(COUNT(steps)), (int)dice(COUNT(names)),
				  (int)dice(COUNT(names)), dice(8) == 0 };

		if (!do_it(&s))
			continue;
		len += write_step(script + len, sizeof script - len, &s);
		count--;
	}
	return script;
}

/* True if the file at the name was written to, and not told of since. */
static bool is_untold(const struct replay *r, size_t name)
{
	for (size_t i = 0; unheard[name] && i < r->model.n; i++)
		if (strcmp(r->model.items[i].path, paths[name]) == 0)
			return !r->model.items[i].told_ns;
	return false;
}

static int judge(struct replay *r, char *text, size_t size)
{
	struct model disk = { 0 };
	int bad = (int)index_check(w, text, size);
	char differences[1000];

	model_read(&disk, "in");
	bad += model_compare(&r->model, &disk, differences, sizeof differences);
	strncat(text, differences, size - strlen(text) - 1);
	model_free(&disk);
	for (size_t i = 0; i < COUNT(names); i++)
		if (is_untold(r, i)) {
			strncat(text, "written to and not told: ", size - strlen(text) - 1);
			strncat(text, paths[i], size - strlen(text) - 1);
			bad++;
		}
	if (r->bad)
		strncat(text, r->first_bad, size - strlen(text) - 1);
	return bad + (int)r->bad;
}

static void test_merged_random(void **state)
{
	const char *seed = getenv("MERGED_SEED"), *count = getenv("MERGED_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : uv_hrtime() / 1000;
	struct replay r = { .roots = { "in" }, .name = "" };
	int bad = 0, n = count ? atoi(count) : 400;
	char before[1000], text[5000];

	(void)state;
	watch_in(WATCH(.on_batch = replay_on_batch, .arg = &r));
	for (int i = 0; i < n; i++) {
		const char *script;

		empty();
		rng = first + (uint64_t)i;
		dice(1);
		strcpy(before, do_any(4));
		sync_watcher(w);
		model_free(&r.model);
		model_read(&r.model, "in");
		memset(unheard, 0, sizeof unheard);
		r.bad = 0;
		script = do_any(2 + dice(8));
		sync_watcher(w);
		if (judge(&r, text, sizeof text) && ++bad)
			print_error("seed %llu: %s/ %s\n%s\n", (unsigned long long)first + (unsigned)i,
				    before, script, text);
	}
	model_free(&r.model);
	if (bad)
		fail_msg("%d of %d scripts are bad", bad, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAN(test_merged),
		FAN(test_merged_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
