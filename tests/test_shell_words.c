/*
 * Splitting, formats and quoting: tables, and random words through real shells.
 *
 * link: -Wl,--wrap=malloc,--wrap=realloc
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "base/bytes.h"
#include "whendo/shellcmd.h"
#include "shellcmd/quote.h"
#include "shellcmd/words.h"

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

static int fail_at; /* the allocation that fails, counted from 1; 0: none */

static int fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static void assert_words(char **words, const char *const *want)
{
	size_t i;

	for (i = 0; want[i] && words[i]; i++)
		assert_string_equal(words[i], want[i]);
	assert_null(want[i]);
	assert_null(words[i]);
}

/* ----------------------------------------------------------- splitting ---- */

static void test_split_reads_what_a_shell_reads(void **state)
{
	static const struct {
		const char *text;
		const char *words[12];
	} rows[] = {
		{ "", { NULL } },
		{ " \t\n ", { NULL } },
		{ "a", { "a" } },
		{ "  a\tb\nc  ", { "a", "b", "c" } },
		{ "'a b' \"c d\"", { "a b", "c d" } },
		{ "a'b'\"c\"d", { "abcd" } },
		{ "''", { "" } },
		{ "\"\" x ''", { "", "x", "" } },
		{ "a\\ b \\'", { "a b", "'" } },
		{ "'a\\'", { "a\\" } },
		{ "\"a\\\"b\\\\c\\$d\\`e\\x\"", { "a\"b\\c$d`e\\x" } },
		{ "a\\\nb", { "ab" } },
		{ "a \\\n b", { "a", "b" } },
		{ "\"a\\\nb\"", { "ab" } },
		{ "'a\nb'", { "a\nb" } },
		{ "$HOME `ls` * ~ a#b #c ; & | >x",
		  { "$HOME", "`ls`", "*", "~", "a#b", "#c", ";", "&", "|", ">x" } },
		{ "$'a\\nb\\t\\x41\\101\\'\\\\'", { "a\nb\tAA'\\" } },
		{ "$'\\033[1m\\q'x", { "\033[1m\\qx" } },
		{ "\"$'x'\"", { "$'x'" } },
		{ "%s %d%%", { "%s", "%d%%" } },
		{ "\xc3\xa9 \xff", { "\xc3\xa9", "\xff" } },
	};
	char **words;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(sh_split(&words, rows[i].text, NULL), 0);
		assert_words(words, rows[i].words);
		sh_words_free(words);
	}
}

static void test_split_says_where_a_text_ends_too_early(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
	} rows[] = {
		{ "a 'b c", 2 }, { "a \"b c", 2 },    { "ab\"c\\\"", 2 },
		{ "x $'y", 2 },	 { "a b\\", 3 },      { "'a' \"", 4 },
		{ "$'a\\", 0 },	 { "a $'b\\0c'", 6 }, { "$'\\x00'", 4 },
	};
	char *untouched = NULL, **words = &untouched;
	size_t offset;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		offset = 99;
		assert_int_equal(sh_split(&words, rows[i].text, &offset), UV_EINVAL);
		assert_int_equal(offset, rows[i].offset);
		assert_ptr_equal(words, &untouched);
		assert_int_equal(sh_split(&words, rows[i].text, NULL), UV_EINVAL);
	}
	assert_int_equal(sh_split(&words, NULL, NULL), UV_EINVAL);
}

static void test_a_failed_split_leaves_the_list_as_it_was(void **state)
{
	struct sh__unreadable bad;
	struct sh__words w = { 0 };
	char **words;

	(void)state;
	assert_int_equal(sh__words_add(&w, "kept"), 0);
	assert_int_equal(sh__words_split(&w, "one 'two", &bad), UV_EINVAL);
	assert_string_equal(bad.why, "' is not closed");
	assert_int_equal(sh__words_split(&w, "two three", &bad), 0);
	assert_int_equal(sh__words_take(&w, &words), 0);
	assert_words(words, SH_LIST("kept", "two", "three"));
	sh_words_free(words);
}

/* ------------------------------------------------------------- formats ---- */

static void test_a_conversion_is_part_of_one_word_whatever_it_holds(void **state)
{
	char **w;

	(void)state;
	assert_int_equal(sh_format(&w, "grep -n %s %s", "a b; c", "'\"\\ $x"), 0);
	assert_words(w, SH_LIST("grep", "-n", "a b; c", "'\"\\ $x"));
	sh_words_free(w);
	assert_int_equal(sh_format(&w, "x %s", ""), 0);
	assert_words(w, SH_LIST("x", ""));
	sh_words_free(w);
	assert_int_equal(sh_format(&w, "--color=%s '%s y' \"%s\"z", "a b", "c'", "d\""), 0);
	assert_words(w, SH_LIST("--color=a b", "c' y", "d\"z"));
	sh_words_free(w);
	assert_int_equal(sh_format(&w, "%s%s %%s \\%s", "a ", "b", "c"), 0);
	assert_words(w, SH_LIST("a b", "%s", "c"));
	sh_words_free(w);
	assert_int_equal(sh_format(&w, "run %s %s%s", "%s %d", "100%", "\n"), 0);
	assert_words(w, SH_LIST("run", "%s %d", "100%\n"));
	sh_words_free(w);
}

static void test_numbers_are_formatted_as_printf_does(void **state)
{
	char **w;

	(void)state;
	assert_int_equal(sh_format(&w, "%d %i %u %ld %lld %zu %c", -1, 2, 3u, -4L,
				   INT64_C(-9000000000) * 1LL, (size_t)-1, 'x'),
			 0);
	assert_words(w,
		     SH_LIST("-1", "2", "3", "-4", "-9000000000", "18446744073709551615", "x"));
	sh_words_free(w);
	assert_int_equal(sh_format(&w, "%hhd %hd %hhu %hu %lu %llu %jd %ju %zd %td",
				   (signed char)-3, (short)-300, (unsigned char)250,
				   (unsigned short)65000, 5ul, 6ull, (intmax_t)-7, (uintmax_t)8,
				   (ssize_t)-9, (ptrdiff_t)-10),
			 0);
	assert_words(w,
		     SH_LIST("-3", "-300", "250", "65000", "5", "6", "-7", "8", "-9", "-10"));
	sh_words_free(w);
	assert_int_equal(
	    sh_format(&w, "img%03d.png %-4d| %4u| %x %X %o %.2f %g %e %5s| %.2s %05d %06x", 7,
		      8, 9u, 255u, 255u, 8u, 1.5, 0.25, 10.0, "ab", "abc", -42, 255u),
	    0);
	assert_words(w, SH_LIST("img007.png", "8   |", "   9|", "ff", "FF", "10", "1.50",
				"0.25", "1.000000e+01", "   ab|", "ab", "-0042", "0000ff"));
	sh_words_free(w);
}

static void test_skip_drops_its_word(void **state)
{
	char **w;

	(void)state;
	assert_int_equal(sh_format(&w, "ls %s %s", SH_SKIP, "d"), 0);
	assert_words(w, SH_LIST("ls", "d"));
	sh_words_free(w);
	assert_int_equal(sh_format(&w, "ls -%s", SH_SKIP), UV_EINVAL);
	assert_int_equal(sh_format(&w, "ls %s%s", SH_SKIP, ""), UV_EINVAL);
}

static int format_error(struct sh__unreadable *bad, const char *format, ...)
{
	struct sh__words w = { 0 };
	va_list args;
	int r;

	va_start(args, format);
	r = sh__words_format(&w, format, args, bad);
	va_end(args);
	assert_int_equal(w.n, 0);
	sh__words_free(&w);
	return r;
}

static void test_bad_formats_are_named_with_their_place(void **state)
{
	static const char *const formats[] = { "a %n",	"a %p", "a %*d", "a %ls", "a %",
					       "a %5%", "a %l", "a %+d", "a %Lf" };
	struct sh__unreadable bad;
	const char *null = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		assert_int_equal(format_error(&bad, formats[i], 1), UV_EINVAL);
		assert_string_equal(bad.why, "unknown conversion");
		assert_int_equal(bad.offset, 2);
	}
	assert_int_equal(format_error(&bad, "ab %s", null), UV_EINVAL);
	assert_string_equal(bad.why, "NULL for %s");
	assert_int_equal(bad.offset, 3);
	assert_int_equal(format_error(&bad, "%c", 0), UV_EINVAL);
	assert_string_equal(bad.why, "NUL for %c");
	assert_int_equal(format_error(&bad, "'%s", "x"), UV_EINVAL);
	assert_string_equal(bad.why, "' is not closed");
}

/* ------------------------------------------------------------- quoting ---- */

static void test_quoting_is_as_little_as_possible(void **state)
{
	static const struct {
		const char *word, *first, *later;
	} rows[] = {
		{ "", "''", "''" },
		{ "ls", "ls", "ls" },
		{ "-l", "-l", "-l" },
		{ "/usr/bin/x.y,z:a@b+c", "/usr/bin/x.y,z:a@b+c", "/usr/bin/x.y,z:a@b+c" },
		{ "a b", "'a b'", "'a b'" },
		{ "it's", "'it'\\''s'", "'it'\\''s'" },
		{ "$x", "'$x'", "'$x'" },
		{ "~", "'~'", "'~'" },
		{ "a=b", "'a=b'", "a=b" },
		{ "=b", "'=b'", "'=b'" },
		{ "if", "'if'", "if" },
		{ "%1", "'%1'", "%1" },
		{ "!", "'!'", "'!'" },
		{ "caf\xc3\xa9", "'caf\xc3\xa9'", "'caf\xc3\xa9'" },
		{ "a\nb", "$'a\\nb'", "$'a\\nb'" },
		{ "\033[1m'\\", "$'\\e[1m\\'\\\\'", "$'\\e[1m\\'\\\\'" },
		{ "\001"
		  "1\177",
		  "$'\\0011\\177'", "$'\\0011\\177'" },
		{ "\xff", "$'\\377'", "$'\\377'" },
		{ "\xc2\x9b", "$'\\302\\233'", "$'\\302\\233'" }, /* CSI in UTF-8 */
		{ "a\xe2\x80\xaex", "$'a\\342\\200\\256x'",
		  "$'a\\342\\200\\256x'" },			  /* right to left */
		{ "\xc0\xaf", "$'\\300\\257'", "$'\\300\\257'" }, /* overlong '/' */
		{ "\xed\xa0\x80", "$'\\355\\240\\200'",
		  "$'\\355\\240\\200'" }, /* a surrogate */
		{ "\xf0\x9f\x98\x80", "'\xf0\x9f\x98\x80'", "'\xf0\x9f\x98\x80'" },
	};
	struct bytes b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bytes_clear(&b);
		assert_int_equal(sh__quote_word(&b, rows[i].word, SH__FIRST_WORD), 0);
		assert_string_equal(b.data, rows[i].first);
		bytes_clear(&b);
		assert_int_equal(sh__quote_word(&b, rows[i].word, SH__LATER_WORD), 0);
		assert_string_equal(b.data, rows[i].later);
	}
	bytes_free(&b);
}

static void test_quoting_joins_and_drops_skipped_words(void **state)
{
	char *s = sh_quote(SH_LIST("git", "commit", SH_SKIP, "-m", "a b"));

	(void)state;
	assert_string_equal(s, "git commit -m 'a b'");
	free(s);
	s = sh_quote(SH_LIST(NULL));
	assert_string_equal(s, "");
	free(s);
	assert_null(sh_quote(NULL));
}

static void test_the_home_of_a_program_stays_one(void **state)
{
	static const struct {
		const char *program, *line;
	} rows[] = {
		{ "~/bin/x", "~/bin/x a" }, { "~eva/my prog", "~eva/'my prog' a" },
		{ "~/", "~/ a" },	    { "~", "'~' a" },
		{ "~$x/y", "'~$x/y' a" },   { "a b", "'a b' a" },
	};
	struct bytes b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bytes_clear(&b);
		assert_int_equal(sh__quote_command(&b, SH_LIST(rows[i].program, "a")), 0);
		assert_string_equal(b.data, rows[i].line);
	}
	for (int k = 1; k < 4; k++) {
		bytes_free(&b);
		assert_int_equal(bytes_adds(&b, "kept"), 0);
		b.max = 4 + (size_t)k;
		assert_int_equal(sh__quote_command(&b, SH_LIST("~/b c", "a")), UV_E2BIG);
		assert_string_equal(b.data, "kept");
		b.max = 0;
	}
	bytes_free(&b);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	return *seed ^= *seed << 5;
}

/* Half of the bytes are those that mean something to a shell. */
static void random_word(char *out, uint32_t *seed, int with_controls)
{
	static const char special[] = "'\"\\$`!*?[]{}()<>|&;#~=%^ \xc3\xa9";
	size_t n = random_next(seed) % 12, i;

	for (i = 0; i < n; i++) {
		unsigned c = random_next(seed);

		if (c & 0x10000)
			out[i] = special[(c & 0xffff) % (sizeof special - 1)];
		else if (with_controls)
			out[i] = (char)(1 + (c & 0xffff) % 255);
		else
			out[i] = (char)(' ' + (c & 0xffff) % 95);
	}
	out[i] = '\0';
	/* Half a character would be escaped, which the older shells do not know. */
	for (i = 0; !with_controls && i < n; i++)
		if (out[i] & 0x80)
			out[i] = 'u';
}

static void read_all(struct bytes *out, const char *command)
{
	FILE *f = popen(command, "r");
	char buf[4096];
	size_t n;

	assert_non_null(f);
	while ((n = fread(buf, 1, sizeof buf, f)) > 0)
		assert_int_equal(bytes_add(out, buf, n), 0);
	assert_int_equal(pclose(f), 0);
}

/* Lines of `printf '%s\0' words...` for the shell to run, and what they must print. */
static void check_through(const char *shell, int with_controls)
{
	char path[] = "/tmp/whendo-words-XXXXXX", words[6][16], command[64], *line;
	struct bytes script = { 0 }, want = { 0 }, got = { 0 };
	uint32_t seed = 20240229;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (int row = 0; row < 2000; row++) {
		const char *argv[9] = { "printf", "%s\\0" };

		for (int i = 0; i < 6; i++) {
			random_word(words[i], &seed, with_controls);
			argv[i + 2] = words[i];
			bytes_add(&want, words[i], strlen(words[i]) + 1);
		}
		assert_non_null(line = sh_quote(argv));
		bytes_addf(&script, "%s\n", line);
		free(line);
	}
	assert_int_equal(write(fd, script.data, script.len), script.len);
	snprintf(command, sizeof command, "%s %s", shell, path);
	read_all(&got, command);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	close(fd);
	unlink(path);
	bytes_free(&script);
	bytes_free(&want);
	bytes_free(&got);
}

static void test_quoted_words_survive_sh(void **state)
{
	(void)state;
	check_through("sh", 0);
}

static void test_quoted_words_survive_bash(void **state)
{
	(void)state;
	if (system("command -v bash >/dev/null") != 0)
		skip();
	check_through("bash", 1);
	check_through("LC_ALL=C bash", 1);
}

static void test_split_undoes_quote(void **state)
{
	uint32_t seed = 7;
	char word[4][16], *line, **words;

	(void)state;
	for (int row = 0; row < 20000; row++) {
		const char *argv[5] = { word[0], word[1], word[2], word[3], NULL };

		for (int i = 0; i < 4; i++)
			random_word(word[i], &seed, 1);
		assert_non_null(line = sh_quote(argv));
		for (size_t i = 0; line[i];) {
			size_t n = sh__printable(line + i, strlen(line + i));

			assert_true(n > 0);
			i += n;
		}
		assert_int_equal(sh_split(&words, line, NULL), 0);
		assert_words(words, argv);
		sh_words_free(words);
		free(line);
	}
}

/* -------------------------------------------------------------- memory ---- */

static int make_words(char ***w)
{
	return sh_format(w, "%s '%s' \"%d\" and a longer line so that the text grows %s",
			 "word", "", 5,
			 "................................................................");
}

static void test_each_failing_allocation_is_told(void **state)
{
	char **w, *line;
	int k, r = UV_ENOMEM;

	(void)state;
	for (k = 1; r == UV_ENOMEM; k++) {
		fail_at = k;
		r = make_words(&w);
		assert_true(r == 0 || r == UV_ENOMEM);
	}
	assert_int_equal(fail_at, 1);
	assert_true(k > 4);
	fail_at = 0;
	sh_words_free(w);
	for (line = NULL, k = 1; !line; k++) {
		fail_at = k;
		line = sh_quote(SH_LIST("a b", "c\n",
					"0123456789012345678901234567890123456789"
					"012345678901234567890123456789"));
	}
	assert_int_equal(fail_at, 1);
	assert_true(k > 3);
	fail_at = 1;
	assert_int_equal(sh_split(&w, "a", NULL), UV_ENOMEM);
	fail_at = 2;
	assert_int_equal(sh_split(&w, "a", NULL), UV_ENOMEM);
	fail_at = 0;
	free(line);
}

static void test_a_list_without_memory_keeps_its_words(void **state)
{
	struct sh__words w = { 0 };
	char **words;

	(void)state;
	assert_int_equal(sh__words_add(&w, "a"), 0);
	fail_at = 1;
	assert_int_equal(sh__words_take(&w, &words), UV_ENOMEM);
	assert_int_equal(sh__words_take(&w, &words), 0);
	assert_words(words, SH_LIST("a"));
	sh_words_free(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_reads_what_a_shell_reads),
		cmocka_unit_test(test_split_says_where_a_text_ends_too_early),
		cmocka_unit_test(test_a_failed_split_leaves_the_list_as_it_was),
		cmocka_unit_test(test_a_conversion_is_part_of_one_word_whatever_it_holds),
		cmocka_unit_test(test_numbers_are_formatted_as_printf_does),
		cmocka_unit_test(test_skip_drops_its_word),
		cmocka_unit_test(test_bad_formats_are_named_with_their_place),
		cmocka_unit_test(test_quoting_is_as_little_as_possible),
		cmocka_unit_test(test_quoting_joins_and_drops_skipped_words),
		cmocka_unit_test(test_the_home_of_a_program_stays_one),
		cmocka_unit_test(test_quoted_words_survive_sh),
		cmocka_unit_test(test_quoted_words_survive_bash),
		cmocka_unit_test(test_split_undoes_quote),
		cmocka_unit_test(test_each_failing_allocation_is_told),
		cmocka_unit_test(test_a_list_without_memory_keeps_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
