/*
 * A directory that two watches see at different places: one behind a link that it follows, the other
 * where it is. Each is told of it at its own place, whichever was there first.
 */
#include "roots_test.h"

/* One step in the tree, and what it is to the watch that follows links and to the plain one. */
struct step {
	const char *command, *follower, *plain;
};

/* A tree, the two watches on it, and what happens there. */
struct scenario {
	const char *name, *tree, *follower, *plain;
	int follower_depth, plain_depth;
	bool exact; /* only where the kernel tells of moves: what was made just now is not known again */
	const struct step *steps;
};

#define STEPS(...) (const struct step[]){ __VA_ARGS__, { NULL, NULL, NULL } }

static const struct scenario scenarios[] = {
	{ .name = "files", .exact = true, .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in t/out t/else; ln -s ../out t/in/l; touch t/out/f",
	  .steps = STEPS(
		  { "mv t/out/f t/out/g", "moved t/in/l/f t/in/l/g", "moved t/out/f t/out/g" },
		  { "mv t/out/g t/else/g", "deleted t/in/l/g", "moved t/out/g t/else/g" },
		  { "mv t/else/g t/out/h", "created t/in/l/h", "moved t/else/g t/out/h" },
		  { "mv t/out/h t/in/h", "moved t/in/l/h t/in/h", "moved t/out/h t/in/h" },
		  { "mv t/in/h t/out/h", "moved t/in/h t/in/l/h", "moved t/in/h t/out/h" },
		  { "touch t/out/n", "created t/in/l/n", "created t/out/n" },
		  { "rm t/out/n", "deleted t/in/l/n", "deleted t/out/n" },
		  { "rm t/out/h", "deleted t/in/l/h", "deleted t/out/h" }) },
	{ .name = "directories", .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in t/out/d/e t/else; ln -s ../out t/in/l; touch t/out/d/e/f",
	  .steps = STEPS(
		  { "touch t/out/d/e/g", "created t/in/l/d/e/g", "created t/out/d/e/g" },
		  { "rm t/out/d/e/g", "deleted t/in/l/d/e/g", "deleted t/out/d/e/g" },
		  { "mkdir t/out/n", "created t/in/l/n", "created t/out/n" },
		  { "mkdir t/out/n/m", "created t/in/l/n/m", "created t/out/n/m" },
		  { "touch t/out/n/m/f", "created t/in/l/n/m/f", "created t/out/n/m/f" },
		  { "mv t/out/n t/out/o",
		    "moved t/in/l/n t/in/l/o, moved t/in/l/n/m t/in/l/o/m, "
		    "moved t/in/l/n/m/f t/in/l/o/m/f",
		    "moved t/out/n t/out/o, moved t/out/n/m t/out/o/m, "
		    "moved t/out/n/m/f t/out/o/m/f" },
		  { "mv t/out/o t/else/o",
		    "deleted t/in/l/o/m/f, deleted t/in/l/o/m, deleted t/in/l/o",
		    "moved t/out/o t/else/o, moved t/out/o/m t/else/o/m, "
		    "moved t/out/o/m/f t/else/o/m/f" },
		  { "touch t/else/o/g", "", "created t/else/o/g" },
		  { "rm t/else/o/g", "", "deleted t/else/o/g" },
		  { "mv t/else/o t/out/o",
		    "created t/in/l/o, created t/in/l/o/m, created t/in/l/o/m/f",
		    "moved t/else/o t/out/o, moved t/else/o/m t/out/o/m, "
		    "moved t/else/o/m/f t/out/o/m/f" },
		  { "mv t/out/o x",
		    "deleted t/in/l/o/m/f, deleted t/in/l/o/m, deleted t/in/l/o",
		    "deleted t/out/o/m/f, deleted t/out/o/m, deleted t/out/o" },
		  { "mv x t/out/o",
		    "created t/in/l/o, created t/in/l/o/m, created t/in/l/o/m/f",
		    "created t/out/o, created t/out/o/m, created t/out/o/m/f" },
		  { "mv t/out/o t/in/o",
		    "moved t/in/l/o t/in/o, moved t/in/l/o/m t/in/o/m, "
		    "moved t/in/l/o/m/f t/in/o/m/f",
		    "moved t/out/o t/in/o, moved t/out/o/m t/in/o/m, "
		    "moved t/out/o/m/f t/in/o/m/f" }) },
	{ .name = "the link", .exact = true, .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in/s t/out/d t/far; ln -s ../out t/in/l; touch t/out/d/f t/far/k",
	  .steps = STEPS(
		  { "mv t/in/l t/in/m",
		    "moved t/in/l t/in/m, moved t/in/l/d t/in/m/d, moved t/in/l/d/f t/in/m/d/f",
		    "moved t/in/l t/in/m" },
		  { "touch t/out/d/g", "created t/in/m/d/g", "created t/out/d/g" },
		  { "rm t/out/d/g", "deleted t/in/m/d/g", "deleted t/out/d/g" },
		  { "mv t/in/m t/m", "deleted t/in/m/d/f, deleted t/in/m/d, deleted t/in/m",
		    "moved t/in/m t/m" },
		  { "touch t/out/d/g", "", "created t/out/d/g" },
		  { "rm t/out/d/g", "", "deleted t/out/d/g" },
		  { "mv t/m t/in/m", "created t/in/m, created t/in/m/d, created t/in/m/d/f",
		    "moved t/m t/in/m" },
		  { "touch t/out/d/g", "created t/in/m/d/g", "created t/out/d/g" },
		  { "rm t/out/d/g", "deleted t/in/m/d/g", "deleted t/out/d/g" },
		  { "rm t/in/m", "deleted t/in/m/d/f, deleted t/in/m/d, deleted t/in/m",
		    "deleted t/in/m" },
		  { "touch t/out/g", "", "created t/out/g" },
		  { "ln -s ../out t/in/l", NULL, "created t/in/l" },
		  { "rm t/out/g", "deleted t/in/l/g", "deleted t/out/g" } ) },
	{ .name = "the link leads elsewhere", .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in t/out t/far; ln -s ../out t/in/l; touch t/out/f t/far/k",
	  .steps = STEPS(
		  { "rm t/in/l; ln -s ../far t/in/l", NULL, NULL },
		  { "touch t/far/n", "created t/in/l/n", "created t/far/n" },
		  { "touch t/out/n", "", "created t/out/n" },
		  { "ln -s ../out x; mv -T x t/in/l", NULL, NULL },
		  { "touch t/out/m", "created t/in/l/m", "created t/out/m" },
		  { "touch t/far/m", "", "created t/far/m" },
		  { "ln -s nowhere t/in/x; mv -T t/in/x t/in/l", NULL, NULL },
		  { "touch t/out/o t/far/o", "", NULL },
		  { "rm t/in/l; ln -s ../out t/in/l", NULL, NULL },
		  { "rm t/out/o", "deleted t/in/l/o", "deleted t/out/o" }) },
	{ .name = "what it leads to", .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in t/out/d; ln -s ../out t/in/l; touch t/out/d/f",
	  .steps = STEPS(
		  { "mv t/out t/off", "deleted t/in/l/d/f, deleted t/in/l/d",
		    "moved t/out t/off, moved t/out/d t/off/d, moved t/out/d/f t/off/d/f" },
		  { "touch t/off/d/g", "", "created t/off/d/g" },
		  { "rm t/off/d/g", "", "deleted t/off/d/g" },
		  { "rm t/in/l; mv t/off t/out; ln -s ../out t/in/l", NULL, NULL },
		  { "touch t/out/d/g", "created t/in/l/d/g", "created t/out/d/g" },
		  { "rm t/out/d/g", "deleted t/in/l/d/g", "deleted t/out/d/g" },
		  { "mv t/out x", "deleted t/in/l/d/f, deleted t/in/l/d",
		    "deleted t/out/d/f, deleted t/out/d, deleted t/out" },
		  { "rm t/in/l; mv x t/out; ln -s ../out t/in/l", NULL, NULL },
		  { "touch t/out/d/g", "created t/in/l/d/g", "created t/out/d/g" },
		  { "rm -r t/out", NULL, NULL },
		  { "mkdir t/out; rm t/in/l; ln -s ../out t/in/l", NULL, NULL },
		  { "touch t/out/g", "created t/in/l/g", "created t/out/g" }) },
	{ .name = "a directory around the link", .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in/s t/out/d; ln -s ../../out t/in/s/l; touch t/out/d/f",
	  .steps = STEPS(
		  { "touch t/out/g", "created t/in/s/l/g", "created t/out/g" },
		  { "rm t/out/g", "deleted t/in/s/l/g", "deleted t/out/g" },
		  { "mv t/in/s t/in/r", NULL, NULL },
		  { "touch t/out/g", "created t/in/r/l/g", "created t/out/g" },
		  { "rm t/out/g", "deleted t/in/r/l/g", "deleted t/out/g" },
		  { "mv t/in/r x", NULL, "deleted t/in/r/l, deleted t/in/r" },
		  { "touch t/out/g", "", "created t/out/g" },
		  { "mv x t/in/s", NULL, "created t/in/s, created t/in/s/l" },
		  { "rm t/out/g", "deleted t/in/s/l/g", "deleted t/out/g" } ) },
	{ .name = "only what is in the plain root", .follower = "t/in", .plain = "t/out",
	  .plain_depth = 1,
	  .tree = "mkdir -p t/in t/out/d/e; ln -s ../out t/in/l; touch t/out/d/f",
	  .steps = STEPS(
		  { "touch t/out/g", "created t/in/l/g", "created t/out/g" },
		  { "touch t/out/d/g", "created t/in/l/d/g", "" },
		  { "touch t/out/d/e/g", "created t/in/l/d/e/g", "" },
		  { "rm t/out/g", "deleted t/in/l/g", "deleted t/out/g" },
		  { "rm t/out/d/g", "deleted t/in/l/d/g", "" }) },
	{ .name = "not all of the plain root", .follower = "t/in", .plain = "t",
	  .plain_depth = 2,
	  .tree = "mkdir -p t/in t/out/d/e; ln -s ../out t/in/l; touch t/out/d/f",
	  .steps = STEPS(
		  { "touch t/out/g", "created t/in/l/g", "created t/out/g" },
		  { "touch t/out/d/g", "created t/in/l/d/g", "" },
		  { "touch t/out/d/e/g", "created t/in/l/d/e/g", "" },
		  { "mkdir t/out/n", "created t/in/l/n", "created t/out/n" },
		  { "touch t/out/n/f", "created t/in/l/n/f", "" }) },
	{ .name = "not all behind the link", .follower = "t/in", .plain = "t",
	  .follower_depth = 2,
	  .tree = "mkdir -p t/in t/out/d; ln -s ../out t/in/l",
	  .steps = STEPS(
		  { "touch t/out/g", "created t/in/l/g", "created t/out/g" },
		  { "touch t/out/d/g", "", "created t/out/d/g" }) },
	{ .name = "nothing behind the link", .follower = "t/in", .plain = "t",
	  .follower_depth = 1,
	  .tree = "mkdir -p t/in t/out; ln -s ../out t/in/l",
	  .steps = STEPS({ "touch t/out/g", "", "created t/out/g" },
			 { "rm t/in/l", "deleted t/in/l", "deleted t/in/l" }) },
	{ .name = "a link into the middle", .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in t/out/d/e; ln -s ../out/d t/in/l; ln -s ../in t/out/back",
	  .steps = STEPS(
		  { "touch t/out/g", "", "created t/out/g" },
		  { "touch t/out/d/g", "created t/in/l/g", "created t/out/d/g" },
		  { "touch t/out/d/e/g", "created t/in/l/e/g", "created t/out/d/e/g" },
		  { "touch t/in/g", "created t/in/g", "created t/in/g" }) },
	{ .name = "links behind the link", .follower = "t/in", .plain = "t",
	  .tree = "mkdir -p t/in t/out t/far/e far; ln -s ../out t/in/l; ln -s ../far t/out/m; "
		  "ln -s ../../far t/out/n",
	  .steps = STEPS(
		  { "touch t/far/e/g", "created t/in/l/m/e/g", "created t/far/e/g" },
		  { "touch far/g", "created t/in/l/n/g", "" },
		  { "rm t/in/l", NULL, "deleted t/in/l" },
		  { "rm t/far/e/g far/g", "", "deleted t/far/e/g" },
		  { "ln -s ../out t/in/l", NULL, "created t/in/l" },
		  { "touch t/far/e/g", "created t/in/l/m/e/g", "created t/far/e/g" },
		  { "touch far/g", "created t/in/l/n/g", "" },
		  { "rm t/out/m", "deleted t/in/l/m/e/g, deleted t/in/l/m/e, deleted t/in/l/m",
		    "deleted t/out/m" }) },
	{ .name = "both in one tree", .follower = "t", .plain = "t",
	  .tree = "mkdir -p t/out/d; touch t/out/f",
	  .steps = STEPS(
		  { "ln -s out t/l", "created t/l", "created t/l" },
		  { "touch t/out/g", "created t/out/g", "created t/out/g" },
		  { "rm t/l", "deleted t/l", "deleted t/l" },
		  { "touch t/out/d/h", "created t/out/d/h", "created t/out/d/h" }) },
	{ .name = "a link as a root", .follower = "t/in/l", .plain = "t",
	  .tree = "mkdir -p t/in t/out/d; ln -s ../out t/in/l",
	  .steps = STEPS(
		  { "touch t/out/g", "created t/in/l/g", "created t/out/g" },
		  { "touch t/out/d/g", "created t/in/l/d/g", "created t/out/d/g" },
		  { "mv t/out/d t/in/d", "deleted t/in/l/d/g, deleted t/in/l/d",
		    "moved t/out/d t/in/d, moved t/out/d/g t/in/d/g" }) },
};

static watcher_watch *add_one(watcher *w, const struct scenario *s, bool follows)
{
	watch_options o = { .on_batch = on_told,
			    .arg = follows ? &outer : &inner,
			    .follow_symlinks = follows,
			    .depth = follows ? s->follower_depth : s->plain_depth,
			    .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED };

	o.size = sizeof o;
	return add_with(w, follows ? s->follower : s->plain, &o);
}

static bool is(const struct scenario *s, const char *command, const char *who, const char *told,
	       const char *should_be)
{
	if (!should_be || strcmp(told, should_be) == 0)
		return true;
	print_error("%s: %s: the %s one is told\n  %s\nand not\n  %s\n", s->name, command, who, told,
		    should_be);
	return false;
}

static bool go_through(watcher *w, const struct scenario *s)
{
	bool right = true;

	for (const struct step *step = s->steps; right && step->command; step++) {
		run(step->command);
		sync_watcher(w);
		right = is(s, step->command, "following", told(&outer), step->follower);
		right &= is(s, step->command, "plain", told(&inner), step->plain);
	}
	return right;
}

/* Each in an empty directory with its tree, for each backend, whichever was first. */
static void for_all(bool (*one)(watcher *w, const struct scenario *s, bool plain_first),
		    const struct scenario *s, size_t n)
{
	unsigned wrong = 0;

	for (size_t k = 0; k < 2 * COUNT(all_backends); k++) {
		const struct named_backend *b = &all_backends[k / 2];

		for (size_t i = 0; i < n; i++) {
			watcher *w;

			if ((b->number == WATCHER_BACKEND_FANOTIFY && getuid() != 0) ||
			    (s[i].exact && b->number != WATCHER_BACKEND_FANOTIFY &&
			     b->number != WATCHER_BACKEND_INOTIFY))
				continue;
			run(s[i].tree);
			w = open_watcher(b->number);
			if (!one(w, &s[i], k % 2)) {
				print_error("(%s, %s first)\n", b->name,
					    k % 2 ? "plain" : "following");
				wrong++;
			}
			watcher_close(w);
			run("rm -rf t x far");
		}
	}
	assert_int_equal(wrong, 0);
}

static bool told_in_turn(watcher *w, const struct scenario *s, bool plain_first)
{
	add_one(w, s, !plain_first);
	add_one(w, s, plain_first);
	sync_watcher(w);
	return go_through(w, s);
}

static void test_each_is_told_at_its_own_place(void **state)
{
	(void)state;
	for_all(told_in_turn, scenarios, COUNT(scenarios));
}

/* Whichever of them goes, the other is told as before; and so is the one that comes back. */
static bool one_leaves(watcher *w, const struct scenario *s, bool plain_first)
{
	watcher_watch *a = add_one(w, s, !plain_first), *b = add_one(w, s, plain_first);

	for (int second = 0; second < 2; second++) {
		bool follower_left = plain_first == (second != 0);
		const char *to_follower = follower_left ? "" : "created t/in/l/f, created t/in/l/d/f";
		const char *to_plain = follower_left ? "created t/out/f, created t/out/d/f" : "";

		sync_watcher(w);
		watcher_remove(second ? b : a);
		run("touch t/out/f");
		sync_watcher(w);
		run("touch t/out/d/f");
		sync_watcher(w);
		if (!is(s, "one has left", "following", told(&outer), to_follower) ||
		    !is(s, "one has left", "plain", told(&inner), to_plain))
			return false;
		*(second ? &b : &a) = add_one(w, s, follower_left);
		sync_watcher(w);
		run("rm t/out/f");
		sync_watcher(w);
		run("rm t/out/d/f");
		sync_watcher(w);
		if (!is(s, "it is back", "following", told(&outer),
			"deleted t/in/l/f, deleted t/in/l/d/f") ||
		    !is(s, "it is back", "plain", told(&inner),
			"deleted t/out/f, deleted t/out/d/f"))
			return false;
	}
	return true;
}

static void test_one_of_them_leaves(void **state)
{
	static const struct scenario s = {
		.name = "one leaves", .follower = "t/in", .plain = "t",
		.tree = "mkdir -p t/in t/out/d; ln -s ../out t/in/l"
	};

	(void)state;
	for_all(one_leaves, &s, 1);
}

/* What is found after changes were lost. */
static bool after_a_gap(watcher *w, const struct scenario *s, bool plain_first)
{
	add_one(w, s, !plain_first);
	add_one(w, s, plain_first);
	sync_watcher(w);
	make_gap(w);
	run("touch t/out/f; rm t/out/d/g");
	sync_watcher(w);
	told(&outer);
	told(&inner);
	make_gap(w);
	sync_watcher(w);
	run("touch t/out/d/g; rm t/out/f");
	sync_watcher(w);
	return is(s, "after a gap", "following", told(&outer),
		  "created t/in/l/d/g, deleted t/in/l/f") &&
	       is(s, "after a gap", "plain", told(&inner), "created t/out/d/g, deleted t/out/f");
}

static void test_after_a_gap(void **state)
{
	static const struct scenario s = {
		.name = "a gap", .follower = "t/in", .plain = "t",
		.tree = "mkdir -p t/in t/out/d; ln -s ../out t/in/l; touch t/out/d/g"
	};

	(void)state;
	for_all(after_a_gap, &s, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_is_told_at_its_own_place),
		TEST(test_one_of_them_leaves),
		TEST(test_after_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
