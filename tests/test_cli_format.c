/* Events as text, NDJSON and custom formats; escaping; numbers and names of options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../cli/emit.h"
#include "../cli/format.h"
#include "../cli/options.h"
#include "../cli/say.h"
#include "cli/signals.h"

#define NOON 1795252443123456789 /* 2026-11-21T09:14:03.123456789Z */

static watcher_event event(int kind, int type, const char *path, const char *dest)
{
	watcher_event e = { .kind = kind,
			    .type = type,
			    .path = path,
			    .dest = dest,
			    .root = "src",
			    .time_ns = NOON,
			    .batch = 17 };

	e.path_len = path ? strlen(path) : 0;
	e.dest_len = dest ? strlen(dest) : 0;
	return e;
}

/* One record; static, so that it may be compared in an expression. */
static const char *record(const char *spec, int show_time, int terminal, watcher_event e)
{
	static char text[2048];
	struct format f;
	struct bytes out = { 0 };
	char why[256];

	assert_int_equal(format_init(&f, spec, 0, show_time, why), 0);
	f.terminal = terminal;
	format_event(&f, &out, &e);
	assert_true(out.len < sizeof text);
	memcpy(text, out.data, out.len + 1);
	bytes_free(&out);
	return text;
}

static void test_text(void **state)
{
	(void)state;
	assert_string_equal(
	    record(NULL, 0, 0, event(WATCHER_CREATED, WATCHER_TYPE_FILE, "src/a.c", NULL)),
	    "created src/a.c\n");
	assert_string_equal(
	    record("text", 0, 0, event(WATCHER_DELETED, WATCHER_TYPE_DIR, "src/old", NULL)),
	    "deleted src/old/\n");
	assert_string_equal(
	    record("text", 1, 0, event(WATCHER_MOVED, WATCHER_TYPE_FILE, "src/a.c", "src/b.c")),
	    "2026-11-21T09:14:03.123456Z moved src/a.c -> src/b.c\n");
	assert_string_equal(record("text", 0, 0, event(WATCHER_OVERFLOW, 0, NULL, NULL)),
			    "overflow\n");
}

static void test_text_escapes_what_would_be_obeyed(void **state)
{
	watcher_event e =
	    event(WATCHER_CREATED, WATCHER_TYPE_FILE, "a\nb\033[2Jc\177d\xff\xc3\xa9", NULL);

	(void)state;
	assert_string_equal(record("text", 0, 0, e),
			    "created a\\x0Ab\\x1B[2Jc\\x7Fd\xff\xc3\xa9\n");
	assert_string_equal(record("text", 0, 1, e),
			    "created a\\x0Ab\\x1B[2Jc\\x7Fd\\xFF\xc3\xa9\n");
	e = event(WATCHER_CREATED, WATCHER_TYPE_FILE,
		  "\xe2\x80\xae"
		  "c1\xc2\x9b",
		  NULL);
	assert_string_equal(record("text", 0, 1, e), "created \\xE2\\x80\\xAEc1\\xC2\\x9B\n");
}

static void test_json(void **state)
{
	watcher_event e = event(WATCHER_MOVED, WATCHER_TYPE_FILE, "src/a.c", "src/b.c");

	(void)state;
	assert_string_equal(record("json", 0, 0, e),
			    "{\"time\":\"2026-11-21T09:14:03.123456Z\",\"event_type\":"
			    "\"moved\",\"is_directory\":false,"
			    "\"file_type\":\"file\",\"src_path\":\"src/"
			    "a.c\",\"dest_path\":\"src/b.c\",\"root\":\"src\","
			    "\"is_synthetic\":false,\"batch\":17}\n");
	e = event(WATCHER_CREATED, WATCHER_TYPE_DIR, "\xff\"\\\n", NULL);
	e.recovered = e.synthetic = 1;
	assert_string_equal(
	    record("json", 0, 0, e),
	    "{\"time\":\"2026-11-21T09:14:03.123456Z\",\"event_type\":\"created\",\"is_"
	    "directory\":true,"
	    "\"file_type\":\"dir\",\"src_path\":\"\xef\xbf\xbd\\\"\\\\\\u000a\","
	    "\"src_path_b64\":\"/"
	    "yJcCg==\",\"root\":\"src\",\"is_synthetic\":true,\"recovered\":true,"
	    "\"batch\":17}\n");
}

/* A whole move needs no number: it has both paths. */
static void test_json_numbers_halves_of_moves(void **state)
{
	watcher_event e = event(WATCHER_DELETED, WATCHER_TYPE_FILE, "src/a.c", NULL);

	(void)state;
	e.cookie = 4000000007;
	assert_non_null(strstr(record("json", 0, 0, e), ",\"batch\":17,\"cookie\":4000000007}\n"));
	e.kind = WATCHER_CREATED;
	assert_non_null(strstr(record("json", 0, 0, e), ",\"cookie\":4000000007}\n"));
	e = event(WATCHER_MOVED, WATCHER_TYPE_FILE, "src/a.c", "src/b.c");
	e.cookie = 7;
	assert_null(strstr(record("json", 0, 0, e), "cookie"));
	e = event(WATCHER_MOVED, WATCHER_TYPE_FILE, "src/a.c", "");
	e.cookie = 7;
	assert_non_null(strstr(record("json", 0, 0, e), ",\"cookie\":7}\n"));
	e = event(WATCHER_MOVED, WATCHER_TYPE_FILE, "", "src/a.c");
	e.cookie = 7;
	assert_non_null(strstr(record("json", 0, 0, e), ",\"cookie\":7}\n"));
}

static void test_custom(void **state)
{
	watcher_event e = event(WATCHER_MOVED, WATCHER_TYPE_FILE, "src/x/a.c", "src/b.c");

	(void)state;
	e.cookie = 7;
	setenv("TZ", "UTC", 1);
	assert_string_equal(
	    record("{kind}|{path}|{dest}|{name}|{dir}|{root}|{type}|{cookie}|{pid}", 0, 0, e),
	    "moved|src/x/a.c|src/b.c|a.c|src/x|src|file|7|\n");
	e.cookie = 0;
	e.pid = 42;
	assert_string_equal(record("[{cookie}] {pid}", 0, 0, e), "[] 42\n");
	assert_string_equal(record("{time:%H:%M} {{x}\\t{time}\\n", 0, 0, e),
			    "09:14 {x}\t2026-11-21T09:14:03.123456Z\n");
}

static void test_bad_formats_name_the_near_field(void **state)
{
	struct format f;
	char why[256];

	(void)state;
	assert_int_equal(format_init(&f, "{pth}", 0, 0, why), -1);
	assert_string_equal(why, "has no field {pth}; did you mean {path}?");
	assert_int_equal(format_init(&f, "jsno", 0, 0, why), -1);
	assert_string_equal(why, "is not known; did you mean json?");
	assert_int_equal(format_init(&f, "{path", 0, 0, why), -1);
	assert_string_equal(why, "has a { without }; a literal one is {{");
	assert_int_equal(format_init(&f, "{path}\\q", 0, 0, why), -1);
	assert_string_equal(why, "has an unknown escape \\q; there are \\n \\t \\0 \\\\");
}

static void test_print0_is_raw(void **state)
{
	struct format f;
	struct bytes out = { 0 };
	char why[256];
	watcher_event e = event(WATCHER_CREATED, WATCHER_TYPE_FILE, "a\n\033", NULL);

	(void)state;
	assert_int_equal(format_init(&f, NULL, 1, 0, why), 0);
	format_event(&f, &out, &e);
	assert_int_equal(out.len, strlen("created a\n\033") + 1);
	assert_memory_equal(out.data, "created a\n\033", out.len);
	bytes_free(&out);
}

/* Who asks for NUL in the format asks for what -0 gives. */
static void test_formats_that_end_in_nul_are_raw(void **state)
{
	static const char *const specs[] = { "{path}\\0", "{path}\\0", "{path}" };
	static const int nul[] = { 0, 1, 1 };
	watcher_event e = event(WATCHER_CREATED, WATCHER_TYPE_FILE, "a\n\033", NULL);
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof nul / sizeof *nul; i++) {
		struct format f;
		struct bytes out = { 0 };

		assert_int_equal(format_init(&f, specs[i], nul[i], 0, why), 0);
		f.terminal = 1;
		format_event(&f, &out, &e);
		assert_int_equal(out.len, 4);
		assert_memory_equal(out.data, "a\n\033", 4);
		bytes_free(&out);
	}
	assert_string_equal(record("{path}\\0{name}\\\\0", 0, 0, e), "a\\x0A\\x1B");
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = { { "50ms", 50 }, { "1.5s", 1500 }, { "2m", 120000 }, { "3", 3000 },
		     { "0", 0 },     { ".25", 250 },   { "1h", 3600000 } };
	static const char *const bad[] = { "",	  "x",	 "-1",	"5x",  "1e99",
					   "nan", "inf", "5 s", "200h" };
	char why[256];
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(parse_time(&ms, good[i].text, why), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse_time(&ms, bad[i], why), -1);
}

static void test_signals(void **state)
{
	char why[256];
	int sig = 0;

	(void)state;
	assert_int_equal(parse_signal(&sig, "SIGTERM", why), 0);
	assert_int_equal(sig, 15);
	assert_int_equal(parse_signal(&sig, "usr1", why), 0);
	assert_int_equal(sig, 10);
	assert_int_equal(parse_signal(&sig, "9", why), 0);
	assert_int_equal(sig, 9);
	assert_int_equal(parse_signal(&sig, "TREM", why), -1);
	assert_string_equal(why, "is no signal; did you mean TERM?");
	assert_int_equal(parse_signal(&sig, "0", why), -1);
	assert_int_equal(parse_signal(&sig, "99999", why), -1);
}

static void test_every_option_of_a_verb_is_reachable(void **state)
{
	(void)state;
	for (const struct verb *v = verbs; v->name; v++) {
		unsigned char letters[256] = { 0 };

		for (const struct option *o = options; o->name; o++) {
			if (!(o->verbs & v->bit))
				continue;
			/* The first of a name or letter would hide another. */
			if (option_find(o->name, v->bit) != o)
				fail_msg("%s --%s is hidden by another", v->name, o->name);
			if (o->letter && letters[(unsigned char)o->letter]++ &&
			    !(o->letter == 'i' && o->number == TERM_IGNORE))
				fail_msg("%s -%c is hidden by another", v->name, o->letter);
		}
	}
}

static void test_nearest(void **state)
{
	static const char *const names[] = { "debounce", "debounce-max", "ignore", "signal",
					     NULL };

	(void)state;
	assert_string_equal(say_nearest("debuonce", names), "debounce");
	assert_string_equal(say_nearest("ignor", names), "ignore");
	assert_null(say_nearest("frobnicate", names));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_escapes_what_would_be_obeyed),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_numbers_halves_of_moves),
		cmocka_unit_test(test_custom),
		cmocka_unit_test(test_bad_formats_name_the_near_field),
		cmocka_unit_test(test_print0_is_raw),
		cmocka_unit_test(test_formats_that_end_in_nul_are_raw),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_every_option_of_a_verb_is_reachable),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
