/* Lines to a stderr that nobody reads: they are kept up to a bound, and then counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cli/outlet.h"

enum { LINES = 4000, LENGTH = 1000, LAST_LENGTH = 5 };

static int pauses;

static void on_full(int is_full, void *arg)
{
	(void)arg;
	pauses += is_full ? 1 : -1;
}

/* What the pipe holds, and what then follows from the loop. */
static void read_all(struct bytes *all, int fd, uv_loop_t *loop)
{
	ssize_t n;

	do {
		assert_int_equal(bytes_reserve(all, 65536), 0);
		n = read(fd, all->data + all->len, 65536);
		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		if (n > 0)
			all->len += (size_t)n;
		uv_run(loop, UV_RUN_NOWAIT);
	} while (n > 0);
	assert_int_equal(bytes_adds(all, ""), 0);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void test_lines_are_left_out(void **state)
{
	struct bytes all = { 0 };
	char line[LENGTH + 1];
	unsigned long left_out = 0;
	int ends[2], old = dup(2);
	uv_loop_t loop;
	uv_async_t alive; /* as in a verb: the outlet alone does not keep the loop turning */
	struct outlet o = { .loop = &loop, .full = on_full };
	const char *said;

	(void)state;
	memset(line, 'x', LENGTH);
	memcpy(line, "line", 4);
	line[LENGTH - 1] = '\n';
	line[LENGTH] = '\0';
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_async_init(&loop, &alive, NULL), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(dup2(ends[1], 2), 2);
	outlet_status(&o, line, LENGTH);
	/* It has the pipe open for itself by now; failures are to be read. */
	assert_int_equal(dup2(old, 2), 2);
	for (int i = 1; i < LINES; i++)
		outlet_status(&o, line, LENGTH);
	assert_int_equal(pauses, 1);
	read_all(&all, ends[0], &loop);
	assert_int_equal(pauses, 0);
	assert_null(strstr(all.data, "left out"));
	outlet_status(&o, "last\n", LAST_LENGTH);
	read_all(&all, ends[0], &loop);
	outlet_close(&o);

	said = strstr(all.data, "\nwhendo: ");
	assert_non_null(said);
	assert_int_equal(sscanf(said, "\nwhendo: %lu lines left out here", &left_out), 1);
	assert_int_equal(count(all.data, "\nlinex") + 1 + left_out, LINES);
	assert_true(all.len - 1 - LAST_LENGTH < (1u << 20) + (1u << 17));
	assert_string_equal(all.data + all.len - LAST_LENGTH, "last\n");
	bytes_free(&all);
	uv_close((uv_handle_t *)&alive, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	close(ends[0]);
	close(ends[1]);
	close(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
