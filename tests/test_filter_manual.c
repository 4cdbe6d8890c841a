/* whendo-patterns(7) tells the truth: its examples, and its list of defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "whendo/watcher.h"

static char manual[65536];

static int set_up(void **state)
{
	FILE *f = fopen("man/whendo-patterns.7", "r");
	size_t n;

	(void)state;
	if (!f)
		return -1;
	n = fread(manual, 1, sizeof manual - 1, f);
	manual[n] = '\0';
	return fclose(f);
}

static void check_row(const char *pattern, const char *path, const char *matches)
{
	watcher_filter *f;
	watcher_verdict *v;
	char plain[100];

	/* roff writes a backslash as \e */
	snprintf(plain, sizeof plain, "%s%s", pattern[0] == '\\' ? "\\" : "",
		 pattern + (pattern[0] == '\\' ? 2 : 0));
	assert_int_equal(watcher_filter_new(&f, NULL), 0);
	assert_int_equal(watcher_filter_add(f, WATCHER_RULE_PATTERN, plain, NULL, NULL), 0);
	assert_int_equal(watcher_filter_check(&v, f, "/nowhere", path, WATCHER_TYPE_FILE, 0, NULL),
			 0);
	if (v->passes != (strcmp(matches, "yes") == 0))
		fail_msg("%s on %s: the manual says %s", plain, path, matches);
	watcher_verdict_free(v);
	watcher_filter_free(f);
}

static void test_examples(void **state)
{
	const char *at = strstr(manual, ".Sh EXAMPLES"), *end;
	char pattern[50], path[50], matches[10];
	int rows = 0;

	(void)state;
	assert_non_null(at);
	end = strstr(at, ".Ed");
	at = strchr(strstr(at, ".Bd"), '\n') + 1;
	for (; at < end; at = strchr(at, '\n') + 1, rows++) {
		assert_int_equal(sscanf(at, "%49s %49s %9s", pattern, path, matches), 3);
		check_row(pattern, path, matches);
	}
	assert_int_equal(rows, 21);
}

static void test_defaults(void **state)
{
	const char *at = strstr(manual, ".Ss Defaults"), *end = at ? strstr(at, ".Ed") : NULL;
	size_t count = 0;
	char word[50];
	int n;

	(void)state;
	assert_non_null(end);
	at = strchr(strstr(at, ".Bd"), '\n');
	for (; sscanf(at, "%49s%n", word, &n) == 1 && at + n <= end; at += n) {
		const char *name = word + (strncmp(word, "\\&", 2) == 0 ? 2 : 0);

		assert_non_null(watcher_filter_default(count));
		assert_string_equal(name, watcher_filter_default(count));
		count++;
	}
	assert_null(watcher_filter_default(count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
