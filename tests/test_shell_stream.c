/* What goes in and what comes out. Numbers are those of the behaviours. */
#include "shell_test.h"

#include <sys/stat.h>

static char path_[] = "/tmp/whendo-stream-XXXXXX";

static const char *temp_file(void)
{
	int fd;

	strcpy(path_ + strlen(path_) - 6, "XXXXXX");
	fd = mkstemp(path_);
	assert_true(fd >= 0);
	close(fd);
	return path_;
}

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *p = calloc(1, 1 << 22);

	*len = fread(p, 1, (1 << 22) - 1, f);
	fclose(f);
	return p;
}

static void test_stream_18_a_gibibyte_on_both_is_bounded(void **state)
{
	long before = rss_kib();
	sh_result *r = sh(child(), "spam", "1073741824", "1", "2", .max_out = 1 << 20,
			  .overflow = SH_KEEP_TAIL);

	(void)state;
	assert_status(r, SH_DONE);
	assert_int_equal(r->flags & SH_TRUNCATED, SH_TRUNCATED);
	assert_int_equal(r->out_len, 1 << 20);
	assert_int_equal(r->err_len, 1 << 20);
	assert_int_equal(r->out_total, 1 << 30);
	assert_int_equal(r->err_total, 1 << 30);
	assert_true(!RSS_COUNTS || rss_kib() - before < 32 * 1024);
	sh_free(r);
}

static void test_stream_18_overflow_policies(void **state)
{
	sh_result *r = sh("seq", "100000", .max_out = 1000, .overflow = SH_KEEP_HEAD);

	(void)state;
	assert_status(r, SH_DONE);
	assert_int_equal(r->out_len, 1000);
	assert_memory_equal(r->out, "1\n2\n3\n", 6);
	assert_int_equal(r->flags, SH_TRUNCATED);
	sh_free(r);
	r = sh("seq", "100000", .max_out = 1000, .overflow = SH_KEEP_TAIL);
	assert_status(r, SH_DONE);
	assert_int_equal(r->out_len, 1000);
	assert_string_equal(r->out + 1000 - 7, "100000\n");
	sh_free(r);
	r = sh("yes", .max_out = 1000);
	assert_status(r, SH_OVERFLOW);
	assert_int_equal(r->out_len, 1000);
	assert_contains(r->message, "yes: its output is longer than max_out (1000 bytes)");
	sh_free(r);
	r = sh("head", "-c", "1000", "/dev/zero", .max_out = 1000);
	assert_status(r, SH_DONE);
	assert_int_equal(r->flags, 0);
	sh_free(r);
}

static void test_stream_19_input_and_output_do_not_block_each_other(void **state)
{
	size_t n = 8 << 20;
	char *in = malloc(n);
	sh_result *r;

	(void)state;
	for (size_t i = 0; i < n; i++)
		in[i] = (char)(i * 7 + i / 4096);
	r = sh("cat", .in = SH_BYTES(in, n));
	assert_status(r, SH_DONE);
	assert_int_equal(r->out_len, n);
	assert_memory_equal(r->out, in, n);
	sh_free(r);
	free(in);
}

/* Both outputs are full before the first byte of the input is read. */
static void test_stream_19_a_late_reader_blocks_nobody(void **state)
{
	static const size_t sizes[] = { 4096, 65536, 65537, 1 << 20, 16 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char *in = calloc(1, sizes[i]), n[24];
		sh_result *r;

		snprintf(n, sizeof n, "%zu", sizes[i]);
		r = sh("sh", "-c", "head -c $0 /dev/zero >&2; head -c $0 /dev/zero; cat", n,
		       .in = SH_BYTES(in, sizes[i]));
		assert_status(r, SH_DONE);
		assert_int_equal(r->out_len, 2 * sizes[i]);
		assert_int_equal(r->err_len, sizes[i]);
		sh_free(r);
		free(in);
	}
}

static volatile sig_atomic_t pipe_signals;

static void count_pipe_signal(int sig)
{
	(void)sig;
	pipe_signals++;
}

static void test_stream_20_unread_input_is_no_error_and_no_sigpipe(void **state)
{
	struct sigaction sa = { .sa_handler = count_pipe_signal }, old;
	char *in = calloc(1, 1 << 20);
	sigset_t pending;
	sh_result *r;

	(void)state;
	sigaction(SIGPIPE, &sa, &old);
	r = sh("true", .in = SH_BYTES(in, 1 << 20));
	sigaction(SIGPIPE, &old, NULL);
	assert_int_equal(pipe_signals, 0);
	assert_status(r, SH_DONE);
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
	sh_free(r);
	free(in);
}

static void test_stream_21_no_input_is_the_end_at_once(void **state)
{
	sh_result *r = sh("cat");

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "");
	sh_free(r);
	r = sh("cat", .in = SH_TEXT(""));
	assert_status(r, SH_DONE);
	sh_free(r);
	r = sh("cat", .in = SH_TEXT(NULL));
	assert_status(r, SH_DONE);
	sh_free(r);
}

struct seen {
	size_t calls, bytes, longest;
	size_t stop_at;
	int verdict;
	char last[16];
	char all[256];
};

static int see(sh_proc *p, const char *data, size_t len, void *arg)
{
	struct seen *s = arg;

	(void)p;
	s->calls++;
	s->bytes += len;
	s->longest = len > s->longest ? len : s->longest;
	snprintf(s->last, sizeof s->last, "%.*s", (int)(len < 15 ? len : 15), data);
	if (strlen(s->all) + len + 2 < sizeof s->all) {
		strncat(s->all, data, len);
		strcat(s->all, "|");
	}
	return s->calls == s->stop_at ? s->verdict : 0;
}

static void test_stream_22_one_call_for_each_line(void **state)
{
	struct seen s = { 0 };
	sh_result *r = sh("printf", "one\\n\\ntwo\\nopen", .out = SH_LINES(see, &s));

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(s.all, "one||two|open|");
	assert_int_equal(r->out_len, 0);
	sh_free(r);
	s = (struct seen){ 0 };
	r = sh("sh", "-c", "head -c 10485760 /dev/zero; echo; echo end",
	       .out = SH_LINES(see, &s));
	assert_int_equal(s.calls, 2);
	assert_int_equal(s.longest, 10485760);
	assert_string_equal(s.last, "end");
	sh_free(r);
	s = (struct seen){ 0 };
	r = sh(child(), "lines", "200000", .out = SH_LINES(see, &s));
	assert_int_equal(s.calls, 200000);
	assert_string_equal(s.last, "line 199999");
	sh_free(r);
}

struct ordered {
	unsigned next;
	size_t total;
	bool broken;
};

/* "%08u" numbers in sequence, whatever the chunks are. */
static int check_order(sh_proc *p, const char *data, size_t len, void *arg)
{
	struct ordered *o = arg;

	(void)p;
	for (size_t i = 0; i < len; i++, o->total++)
		o->broken |= data[i] != (char)(o->total % 251);
	return 0;
}

static void test_stream_23_chunks_keep_order_and_nuls(void **state)
{
	struct ordered o = { 0 };
	size_t n = 3 << 20;
	char *in = malloc(n);
	sh_result *r;

	(void)state;
	for (size_t i = 0; i < n; i++)
		in[i] = (char)(i % 251);
	r = sh("cat", .in = SH_BYTES(in, n), .out = SH_CHUNKS(check_order, &o));
	assert_status(r, SH_DONE);
	assert_int_equal(o.total, n);
	assert_false(o.broken);
	sh_free(r);
	free(in);
}

static void test_stream_24_stop_calling_is_obeyed(void **state)
{
	struct seen s = { .stop_at = 3, .verdict = SH_STOP_CALLING };
	sh_result *r = sh("seq", "10000", .out = SH_TEE(SH_LINES(see, &s)));

	(void)state;
	assert_status(r, SH_DONE);
	assert_int_equal(s.calls, 3);
	assert_int_equal(r->out_len, 48894);
	assert_string_equal(r->out + r->out_len - 6, "10000\n");
	sh_free(r);
}

static void test_stream_25_a_callback_can_kill(void **state)
{
	struct seen s = { .stop_at = 3, .verdict = SH_KILL };
	sh_result *r = sh("yes", .out = SH_LINES(see, &s));

	(void)state;
	assert_status(r, SH_SIGNAL);
	assert_int_equal(r->term_signal, SIGKILL);
	assert_int_equal(r->flags & SH_KILLED, SH_KILLED);
	assert_int_equal(s.calls, 3);
	sh_free(r);
}

static void test_stream_26_each_callback_gets_its_own(void **state)
{
	struct seen out = { 0 }, err = { 0 };
	sh_result *r = sh("sh", "-c", "echo a; echo b >&2; echo c", .out = SH_LINES(see, &out),
			  .err = SH_LINES(see, &err));

	(void)state;
	assert_string_equal(out.all, "a|c|");
	assert_string_equal(err.all, "b|");
	sh_free(r);
	out = (struct seen){ 0 };
	r = sh("sh", "-c", "echo a; echo b >&2; echo c", .out = SH_LINES(see, &out),
	       .err = SH_MERGE);
	assert_string_equal(out.all, "a|b|c|");
	sh_free(r);
	r = sh("sh", "-c", "echo a; echo b >&2; echo c; exit 1", .err = SH_MERGE);
	assert_string_equal(r->out, "a\nb\nc\n");
	assert_contains(r->message, "exit code 1\na\nb\nc");
	sh_free(r);
}

struct puller {
	size_t left, calls, most_ahead;
};

static int pull(sh_proc *p, char *buf, size_t cap, void *arg)
{
	struct puller *u = arg;
	size_t n = cap < u->left ? cap : u->left;

	(void)p;
	u->calls++;
	memset(buf, 'p', n);
	u->left -= n;
	return (int)n;
}

static void test_stream_27_pull_is_asked_as_there_is_room(void **state)
{
	struct puller u = { .left = 4 << 20 };
	sh_result *r;

	(void)state;
	r = sh("wc", "-c", .in = SH_PULL(pull, &u));
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "4194304\n");
	assert_int_equal(u.left, 0);
	sh_free(r);
	/* One that never reads is not fed beyond its pipe. */
	u = (struct puller){ .left = 64 << 20 };
	r = sh("sleep", "0.1", .in = SH_PULL(pull, &u));
	assert_status(r, SH_DONE);
	assert_true(u.calls <= 3);
	sh_free(r);
}

static int pull_fails(sh_proc *p, char *buf, size_t cap, void *arg)
{
	(void)p, (void)buf, (void)cap, (void)arg;
	return UV_EIO;
}

static void test_stream_27_a_failing_pull_fails_the_command(void **state)
{
	sh_result *r = sh("cat", .in = SH_PULL(pull_fails, NULL));

	(void)state;
	assert_status(r, SH_IO);
	assert_int_equal(r->sys_errno, UV_EIO);
	assert_string_equal(r->message, "cat: its input failed: i/o error");
	sh_free(r);
}

static void test_stream_28_tee_keeps_and_copies(void **state)
{
	const char *path = temp_file();
	sh_result *r = sh("seq", "50000", .out = SH_TEE(SH_FILE(path)));
	size_t len;
	char *text = slurp(path, &len);

	(void)state;
	assert_status(r, SH_DONE);
	assert_int_equal(len, r->out_len);
	assert_memory_equal(text, r->out, len);
	free(text);
	sh_free(r);
	r = sh("yes", .out = SH_TEE(SH_FILE("/dev/full")));
	assert_status(r, SH_IO);
	assert_contains(r->message, "yes: its output could not be copied: no space left");
	sh_free(r);
	unlink(path);
}

static void test_stream_29_files_descriptors_and_the_hosts_flags(void **state)
{
	const char *path = temp_file();
	int fds[2], fd;
	size_t len;
	char *text, buf[32] = "";

	(void)state;
	sh_free(sh("echo", "one", .out = SH_FILE(path)));
	sh_free(sh("echo", "two", .out = SH_FILE(path)));
	sh_free(sh("echo", "three", .out = SH_APPEND(path)));
	fd = open(path, O_WRONLY | O_APPEND);
	sh_free(sh("sh", "-c", "echo four; echo five >&2", .out = SH_FD(fd), .err = SH_FD(fd)));
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	text = slurp(path, &len);
	assert_string_equal(text, "two\nthree\nfour\nfive\n");
	free(text);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	sh_free(sh("echo", "x", .out = SH_FD(fds[1]), .in = SH_FD(fds[0])));
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(read(fds[0], buf, sizeof buf), 2);
	assert_string_equal(buf, "x\n");
	close(fds[0]);
	close(fds[1]);
	unlink(path);
}

static void test_stream_29_input_from_a_file_and_its_errors(void **state)
{
	const char *path = temp_file();
	sh_result *r;

	(void)state;
	sh_free(sh("echo", "text", .out = SH_FILE(path)));
	r = sh("cat", .in = SH_FILE(path));
	assert_string_equal(r->out, "text\n");
	sh_free(r);
	unlink(path);
	r = sh("cat", .in = SH_FILE("/nonexistent/in"));
	assert_status(r, SH_SPAWN);
	assert_int_equal(r->sys_errno, UV_ENOENT);
	assert_string_equal(r->message, "cat: cannot open /nonexistent/in for input: no such "
					"file or directory");
	sh_free(r);
	r = sh("cat", .out = SH_FD(9999));
	assert_status(r, SH_SPAWN);
	assert_int_equal(r->sys_errno, UV_EBADF);
	sh_free(r);
}

static void test_stream_29_further_descriptors(void **state)
{
	const char *path = temp_file();
	int fd = open(path, O_RDWR);
	sh_result *r = sh("sh", "-c", "echo to five >&5; echo to four >&4",
			  .fds = SH_FDS({ 5, fd }, { 4, fd }));
	size_t len;
	char *text = slurp(path, &len);

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(text, "to five\nto four\n");
	sh_free(r);
	free(text);
	close(fd);
	unlink(path);
}

static void test_stream_30_dev_stdout_can_be_opened(void **state)
{
	sh_result *r =
	    sh("sh", "-c", "echo x > /dev/stdout; cat /dev/stdin", .in = SH_TEXT("in\n"));

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "x\nin\n");
	sh_free(r);
}

static int answer(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)arg;
	if (len == 4 && !memcmp(data, "name", 4))
		assert_int_equal(sh_write(p, "whendo\n", 7), 0);
	else
		assert_int_equal(sh_eof(p), 0);
	return 0;
}

static void test_stream_a_callback_can_feed(void **state)
{
	sh_result *r = sh("sh", "-c", "echo name; read n; echo \"hello $n\"; cat",
			  .in = SH_FEED, .out = SH_TEE(SH_LINES(answer, NULL)));

	(void)state;
	assert_status(r, SH_DONE);
	assert_string_equal(r->out, "name\nhello whendo\n");
	sh_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream_18_overflow_policies),
		cmocka_unit_test(test_stream_19_input_and_output_do_not_block_each_other),
		cmocka_unit_test(test_stream_19_a_late_reader_blocks_nobody),
		cmocka_unit_test(test_stream_20_unread_input_is_no_error_and_no_sigpipe),
		cmocka_unit_test(test_stream_21_no_input_is_the_end_at_once),
		cmocka_unit_test(test_stream_18_a_gibibyte_on_both_is_bounded),
		cmocka_unit_test(test_stream_22_one_call_for_each_line),
		cmocka_unit_test(test_stream_23_chunks_keep_order_and_nuls),
		cmocka_unit_test(test_stream_24_stop_calling_is_obeyed),
		cmocka_unit_test(test_stream_25_a_callback_can_kill),
		cmocka_unit_test(test_stream_26_each_callback_gets_its_own),
		cmocka_unit_test(test_stream_27_pull_is_asked_as_there_is_room),
		cmocka_unit_test(test_stream_27_a_failing_pull_fails_the_command),
		cmocka_unit_test(test_stream_28_tee_keeps_and_copies),
		cmocka_unit_test(test_stream_29_files_descriptors_and_the_hosts_flags),
		cmocka_unit_test(test_stream_29_input_from_a_file_and_its_errors),
		cmocka_unit_test(test_stream_29_further_descriptors),
		cmocka_unit_test(test_stream_30_dev_stdout_can_be_opened),
		cmocka_unit_test(test_stream_a_callback_can_feed),
	};

	return RUN_ON_BOTH("stream", tests);
}
