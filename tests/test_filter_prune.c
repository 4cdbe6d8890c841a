/*
 * Pruning never costs an event: whatever the rules, if a path passes, every directory above
 * it is entered. Random rules, random paths; WHENDO_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "filter_fixture.h"

static struct {
	uint64_t seed, random;
	unsigned long passed, asked, pruned;
} t;

static unsigned below(unsigned n)
{
	t.random = t.random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(t.random >> 33) % n;
}

#define PICK(array) (array)[below(sizeof(array) / sizeof *(array))]

static void random_glob(struct bytes *out)
{
	static const char *const pieces[] = { "a",  "b",  "c",	"/",   "/",   "/*/", "*", "**/",
					      "/**", "?", "ab", "[ab]", "*a", "/**/", "b*" };

	bytes_clear(out);
	if (below(4) == 0)
		bytes_adds(out, "!");
	for (unsigned n = 1 + below(5); n-- > 0;)
		bytes_adds(out, PICK(pieces));
}

static void random_regex(struct bytes *out)
{
	static const char *const pieces[] = { "^",  "a", "b",  "/",   "$",	  ".*",	 "[^/]+",
					      "\\b", "(a|b)", "c?", "(?!a)", "(?=b)", "(?<=a)", "." };

	bytes_clear(out);
	if (below(2))
		bytes_adds(out, "^");
	for (unsigned n = 1 + below(5); n-- > 0;)
		bytes_adds(out, PICK(pieces));
}

static void random_filter(watcher_filter *f, struct bytes *said)
{
	static const int rules[] = { WATCHER_RULE_PATTERN, WATCHER_RULE_PATTERN, WATCHER_RULE_IGNORE,
				     WATCHER_RULE_IGNORE,  WATCHER_RULE_INCLUDE, WATCHER_RULE_REGEX,
				     WATCHER_RULE_IGNORE_REGEX, WATCHER_RULE_FULL_PATTERN,
				     WATCHER_RULE_FULL_IGNORE };
	struct bytes text = { 0 };

	for (unsigned n = 1 + below(4); n-- > 0;) {
		int rule = PICK(rules);

		if (rule == WATCHER_RULE_REGEX || rule == WATCHER_RULE_IGNORE_REGEX)
			random_regex(&text);
		else
			random_glob(&text);
		if (watcher_filter_add(f, rule, text.data, NULL, NULL) == 0)
			assert_int_equal(bytes_addf(said, " %d:%s", rule, text.data), 0);
	}
	bytes_free(&text);
}

static void random_path(struct bytes *out)
{
	static const char *const names[] = { "a", "b", "c", "ab", "ba", "abc", "aa" };

	bytes_clear(out);
	for (unsigned n = 1 + below(5); n-- > 0;) {
		bytes_adds(out, out->len ? "/" : "");
		bytes_adds(out, PICK(names));
	}
}

static void check_path(struct filter_root *fr, const struct bytes *path, const char *rules)
{
	int type = below(3) ? WATCHER_TYPE_FILE : WATCHER_TYPE_DIR;
	bool passes = watcher__filter_pass(fr, path->data, path->len, type, WATCHER_CREATED);

	t.passed += passes;
	for (size_t i = 0; i < path->len; i++) {
		bool entered;

		if (path->data[i] != '/')
			continue;
		entered = watcher__filter_descend(fr, path->data, i);
		t.asked++;
		t.pruned += !entered;
		if (passes && !entered)
			fail_msg("seed %llu: '%s' passes, '%.*s' is not entered; rules:%s",
				 (unsigned long long)t.seed, path->data, (int)i, path->data, rules);
	}
}

static void one_filter(void)
{
	struct bytes said = { 0 }, path = { 0 };
	struct filter_root *fr;
	watcher_filter *f;

	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	random_filter(f, &said);
	assert_int_equal(watcher__filter_bind(&fr, f, "/nowhere", below(2) ? "." : "a"), 0);
	for (int i = 0; i < 60; i++) {
		random_path(&path);
		check_path(fr, &path, said.data ? said.data : "");
	}
	watcher__filter_unbind(fr);
	watcher_filter_free(f);
	bytes_free(&said);
	bytes_free(&path);
}

static void test_what_passes_is_reached(void **state)
{
	const char *seed = getenv("WHENDO_SEED"), *rounds = getenv("WHENDO_ROUNDS");

	(void)state;
	t.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 1000;
	for (long n = rounds ? atol(rounds) : 2000; n > 0; n--, t.seed++) {
		t.random = t.seed * 0x9e3779b97f4a7c15u;
		one_filter();
	}
	print_message("# seed up to %llu: %lu pass, %lu of %lu directories pruned\n",
		      (unsigned long long)t.seed, t.passed, t.pruned, t.asked);
	assert_true(t.passed > 0 && t.pruned > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_passes_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
