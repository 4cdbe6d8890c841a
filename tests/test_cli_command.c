/* Placeholders, environment and input: a path is one argument, whatever is in its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../cli/command.h"

static const char *const nasty[] = { "-rf",  "a b", "$(touch x)", "`x`", "\"q\"", "'s'",
				     "a\nb", "*",   ";x",	  "\\",	 NULL };

static struct settings settings_of(const char *const *words)
{
	struct settings s;

	settings_init(&s, verb_find("run"), 0);
	for (; *words; words++)
		words_add(&s.command, *words);
	return s;
}

/* The vector for these paths, joined with | for comparison. */
static const char *vector(const char *const *words, const char *const *paths, const char *shell)
{
	static char text[4096];
	struct settings s = settings_of(words);
	struct command c;
	struct words p = { 0 }, argv = { 0 };
	size_t next = 0;

	if (shell)
		s.shell = alloc_copy(shell);
	command_init(&c, &s);
	for (; *paths; paths++)
		words_add(&p, *paths);
	command_words(&argv, &c, &p, &next);
	text[0] = '\0';
	for (size_t i = 0; i < argv.n; i++) {
		strcat(text, i ? "|" : "");
		strcat(text, argv.v[i]);
	}
	words_free(&argv);
	words_free(&p);
	command_free(&c);
	settings_free(&s);
	return text;
}

#define W(...)                                                                                 \
	(const char *const[])                                                                  \
	{                                                                                      \
		__VA_ARGS__, NULL                                                              \
	}
static const char *const none[] = { NULL };

static void test_placeholders(void **state)
{
	(void)state;
	assert_string_equal(vector(W("ls", "-l"), W("a"), NULL), "ls|-l");
	assert_string_equal(vector(W("ls", "{}"), W("d/a.c", "b"), NULL), "ls|d/a.c|b");
	assert_string_equal(vector(W("ls", "{}"), none, NULL), "ls");
	assert_string_equal(vector(W("x", "{1}", "{/}", "{//}", "{.}"), W("d/a.c", "b"), NULL),
			    "x|d/a.c|a.c|d|d/a");
	assert_string_equal(vector(W("x", "{//}", "{.}"), W(".bashrc"), NULL), "x|.|.bashrc");
	assert_string_equal(vector(W("x", "--in={}", "o-{/}.o"), W("p", "q"), NULL),
			    "x|--in=p|--in=q|o-p.o");
	assert_string_equal(vector(W("find", "{{}}", "{a}", "{"), W("p"), NULL),
			    "find|{}|{a}|{");
}

static void test_a_name_stays_one_argument(void **state)
{
	(void)state;
	for (int i = 0; nasty[i]; i++) {
		char want[100];

		snprintf(want, sizeof want, "x|%s%s", nasty[i][0] == '-' ? "./" : "", nasty[i]);
		assert_string_equal(vector(W("x", "{}"), W(nasty[i]), NULL), want);
		snprintf(want, sizeof want, "/bin/sh|-c|cat \"$@\"|sh|%s%s",
			 nasty[i][0] == '-' ? "./" : "", nasty[i]);
		assert_string_equal(vector(W("cat {}"), W(nasty[i]), NULL), want);
	}
}

static void test_shell_lines_get_expansions(void **state)
{
	(void)state;
	assert_string_equal(vector(W("a; b"), none, NULL), "/bin/sh|-c|a; b|sh");
	assert_string_equal(vector(W("echo", "$X"), none, "bash"), "bash|-c|echo $X|bash");
	assert_string_equal(vector(W("echo \"in {}\" '{}' {1} \\{}"), W("p"), NULL),
			    "/bin/sh|-c|echo \"in $@\" '{}' \"${1-}\" \\{}|sh|p");
}

static void test_environment(void **state)
{
	struct settings s = settings_of(W("x"));
	struct command c;
	struct words env = { 0 };
	struct changes ch = { 0 };
	watcher_event e = { .kind = WATCHER_MOVED,
			    .path = "a",
			    .dest = "b",
			    .root = ".",
			    .path_len = 1,
			    .dest_len = 1,
			    .batch = 4 };

	(void)state;
	words_add(&s.environment, "K=V");
	command_init(&c, &s);
	command_environment(&env, &c, &ch, NULL, 1);
	assert_int_equal(env.n, 3);
	assert_string_equal(env.v[0], "K=V");
	assert_string_equal(env.v[1], "WHENDO_COUNT=0");
	assert_string_equal(env.v[2], "WHENDO_RUN=1");
	words_free(&env);
	changes_add(&ch, &e, 0);
	changes_add(&ch, &e, 0);
	assert_int_equal(ch.paths.n, 1);
	assert_string_equal(ch.paths.v[0], "b");
	command_environment(&env, &c, &ch, NULL, 2);
	assert_string_equal(env.v[1], "WHENDO_EVENT=moved");
	assert_string_equal(env.v[2], "WHENDO_PATH=a");
	assert_string_equal(env.v[3], "WHENDO_DEST=b");
	assert_string_equal(env.v[4], "WHENDO_ROOT=.");
	assert_string_equal(env.v[5], "WHENDO_BATCH=4");
	assert_string_equal(env.v[6], "WHENDO_COUNT=2");
	words_free(&env);
	changes_clear(&ch);
	command_free(&c);
	settings_free(&s);
}

static void test_input(void **state)
{
	struct settings s = settings_of(W("x"));
	struct command c;
	struct bytes in = { 0 };
	struct changes ch = { 0 };
	watcher_event e = { .kind = WATCHER_CREATED,
			    .type = WATCHER_TYPE_FILE,
			    .path = "a\nb",
			    .path_len = 3,
			    .root = "." };

	(void)state;
	s.feed = STDIN_PATHS0;
	command_init(&c, &s);
	changes_add(&ch, &e, 1);
	command_input(&in, &c, &ch);
	assert_int_equal(in.len, 4);
	assert_memory_equal(in.data, "a\nb", 4);
	bytes_clear(&in);
	s.feed = STDIN_JSON;
	command_input(&in, &c, &ch);
	assert_string_equal(
	    in.data, "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"event_type\":\"created\","
		     "\"is_directory\":false,\"file_type\":\"file\",\"src_path\":\"a\\u000ab\","
		     "\"root\":\".\",\"is_synthetic\":false,\"batch\":0}\n");
	bytes_free(&in);
	changes_clear(&ch);
	command_free(&c);
	settings_free(&s);
}

static void test_many_paths_are_split_not_lost(void **state)
{
	struct settings s = settings_of(W("x", "{}"));
	struct command c;
	struct words paths = { 0 };
	size_t next = 0, seen = 0, vectors = 0;

	(void)state;
	command_init(&c, &s);
	for (int i = 0; i < 100000; i++)
		words_take(&paths, alloc_text("some/directory/with/a/long/name/%d", i));
	while (next < paths.n) {
		struct words argv = { 0 };

		command_words(&argv, &c, &paths, &next);
		assert_true(argv.n > 1);
		seen += argv.n - 1;
		vectors++;
		words_free(&argv);
	}
	assert_int_equal(seen, paths.n);
	assert_true(vectors > 1);
	words_free(&paths);
	command_free(&c);
	settings_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_placeholders),
		cmocka_unit_test(test_a_name_stays_one_argument),
		cmocka_unit_test(test_shell_lines_get_expansions),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_many_paths_are_split_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
