/*
 * What it costs to take in a command's output: 1 GiB dropped and kept, beside read loops
 * with the same buffers; short lines through a callback and one by one; and a pipeline that
 * this process has no part in. Rounds are interleaved, cells are medians.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "whendo/shellcmd.h"

extern char **environ;

enum { GIB = 1 << 30, LINE_BYTES = 10, LINES_TOTAL = 100000000 };

static char writer[4200];

static void die(const sh_result *r)
{
	fprintf(stderr, "%s\n", r ? r->message : "out of memory");
	exit(1);
}

static void expect_bytes(unsigned long long got, unsigned long long want)
{
	if (got != want) {
		fprintf(stderr, "%llu bytes or lines came, not %llu\n", got, want);
		exit(1);
	}
}

static int count_bytes(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)p;
	(void)data;
	*(unsigned long long *)arg += len;
	return 0;
}

static int count_lines(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)p;
	(void)data;
	(void)len;
	++*(unsigned long long *)arg;
	return 0;
}

/* ----------------------------------------------------------- raw loops ---- */

static int start_writer(pid_t *pid, const char *total, const char *block, const char *lines,
			int pipe_size)
{
	char *argv[] = { writer, (char *)total, (char *)block, (char *)lines, NULL };
	posix_spawn_file_actions_t actions;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		bench_die("pipe2");
	if (pipe_size)
		fcntl(fds[0], F_SETPIPE_SZ, pipe_size);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	if ((errno = posix_spawn(pid, writer, &actions, NULL, argv, environ)))
		bench_die(writer);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	return fds[0];
}

static void end_writer(pid_t pid, int fd)
{
	int status;

	close(fd);
	if (waitpid(pid, &status, 0) < 0 || status)
		bench_die("writer");
}

static void raw_drop(const char *block, size_t size, int pipe_size)
{
	unsigned long long total = 0;
	char *buf = malloc(size);
	pid_t pid;
	int fd = start_writer(&pid, "1073741824", block, NULL, pipe_size);
	ssize_t n;

	while (buf && (n = read(fd, buf, size)) > 0)
		total += (unsigned long long)n;
	expect_bytes(total, GIB);
	end_writer(pid, fd);
	free(buf);
}

static void raw_drop_64k(const char *block)
{
	raw_drop(block, 65536, 0);
}

static void raw_drop_1m(const char *block)
{
	raw_drop(block, 1 << 20, 1 << 20);
}

static void raw_keep(const char *block)
{
	size_t cap = 1 << 20, len = 0;
	char *buf = malloc(cap);
	pid_t pid;
	int fd = start_writer(&pid, "1073741824", block, NULL, 1 << 20);
	ssize_t n;

	while (buf && (n = read(fd, buf + len, cap - len)) > 0)
		if ((len += (size_t)n) == cap)
			buf = realloc(buf, cap += cap / 2);
	expect_bytes(len, GIB);
	end_writer(pid, fd);
	free(buf);
}

static void sh_drop(const char *block)
{
	unsigned long long total = 0;
	sh_result *r = sh(writer, "1073741824", block, .out = SH_CHUNKS(count_bytes, &total));

	if (r->status)
		die(r);
	expect_bytes(total, GIB);
	sh_free(r);
}

static void sh_keep(const char *block)
{
	sh_result *r = sh(writer, "1073741824", block);

	if (r->status)
		die(r);
	expect_bytes(r->out_len, GIB);
	sh_free(r);
}

/* --------------------------------------------------------------- lines ---- */

/* The least there is to do: find each newline in what was read. */
static void raw_lines(const char *block)
{
	unsigned long long lines = 0;
	char buf[65536], *p;
	pid_t pid;
	int fd = start_writer(&pid, "100000000", block, "lines", 1 << 20);
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		for (p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
			lines++;
	expect_bytes(lines, LINES_TOTAL / LINE_BYTES);
	end_writer(pid, fd);
}

static void getline_lines(const char *block)
{
	unsigned long long lines = 0;
	size_t cap = 0;
	char *line = NULL;
	pid_t pid;
	FILE *f = fdopen(start_writer(&pid, "100000000", block, "lines", 1 << 20), "r");

	while (f && getline(&line, &cap, f) > 0)
		lines++;
	expect_bytes(lines, LINES_TOTAL / LINE_BYTES);
	end_writer(pid, dup(fileno(f)));
	fclose(f);
	free(line);
}

static void sh_line_callback(const char *block)
{
	unsigned long long lines = 0;
	sh_result *r =
	    sh(writer, "100000000", block, "lines", .out = SH_LINES(count_lines, &lines));

	if (r->status)
		die(r);
	expect_bytes(lines, LINES_TOTAL / LINE_BYTES);
	sh_free(r);
}

static void sh_line_loop(const char *block)
{
	unsigned long long lines = 0;
	sh_proc *p = sh_start(SH(writer, "100000000", block, "lines", .out = SH_STREAM));
	const sh_result *r;
	sh_line line;

	while (p && sh_next(p, &line) == 1)
		lines++;
	r = sh_wait(p, -1);
	if (!r || r->status)
		die(r);
	expect_bytes(lines, LINES_TOTAL / LINE_BYTES);
	sh_proc_free(p);
}

/* ------------------------------------------------------------ pipeline ---- */

static double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void sh_three_stages(const char *block)
{
	sh_result *r = sh_pipe(SH(writer, "1073741824", block), SH("cat"), SH("wc", "-c"));

	if (r->status)
		die(r);
	expect_bytes(strtoull(r->out, NULL, 10), GIB);
	sh_free(r);
}

static void shell_three_stages(const char *block)
{
	char command[4400];

	snprintf(command, sizeof command, "%s 1073741824 %s | cat | wc -c >/dev/null", writer,
		 block);
	if (system(command) != 0)
		bench_die("system");
}

/* --------------------------------------------------------------- table ---- */

static const struct task {
	const char *name;
	void (*run)(const char *block);
	double amount; /* for the rate */
	const char *unit;
	int base; /* the row it is compared with */
} tasks[] = {
	{ "1 GiB dropped: read loop, 64 KiB buffer, usual pipe", raw_drop_64k, 1, "GiB/s", 0 },
	{ "1 GiB dropped: read loop, 1 MiB buffer and pipe", raw_drop_1m, 1, "GiB/s", 1 },
	{ "1 GiB dropped: SH_CHUNKS", sh_drop, 1, "GiB/s", 1 },
	{ "1 GiB kept: read loop into a growing buffer, 1 MiB pipe", raw_keep, 1, "GiB/s", 3 },
	{ "1 GiB kept: SH_CAPTURE", sh_keep, 1, "GiB/s", 3 },
	{ "10 M lines: read and memchr", raw_lines, 10, "M lines/s", 5 },
	{ "10 M lines: getline", getline_lines, 10, "M lines/s", 5 },
	{ "10 M lines: SH_LINES", sh_line_callback, 10, "M lines/s", 5 },
	{ "10 M lines: SH_STREAM and sh_next", sh_line_loop, 10, "M lines/s", 5 },
	{ "three stages, 1 GiB: system()", shell_three_stages, 1, "GiB/s", 9 },
	{ "three stages, 1 GiB: sh_pipe", sh_three_stages, 1, "GiB/s", 9 },
};

enum { TASKS = sizeof tasks / sizeof tasks[0] };

static const char *const blocks[] = { "8192", "65536" };

int main(void)
{
	static double s[TASKS][2][MAX_ROUNDS], cpu[TASKS][2][MAX_ROUNDS];
	int rounds = bench_rounds(7);
	size_t n = (size_t)rounds;
	double start, before;

	bench_program(writer, sizeof writer, "writer");
	for (int round = 0; round < rounds; round++)
		for (int b = 0; b < 2; b++)
			for (int i = 0; i < TASKS; i++) {
				before = cpu_ms();
				start = bench_now_us();
				tasks[i].run(blocks[b]);
				s[i][b][round] = (bench_now_us() - start) / 1e6;
				cpu[i][b][round] = cpu_ms() - before;
			}
	printf(
	    "%d rounds, interleaved. The writer writes blocks of 8 or 64 KiB; the ratio is to "
	    "the row before with 1.00, which has the same buffer.\n\n"
	    "| task | unit | 8 KiB blocks (ratio) | 64 KiB blocks (ratio) | CPU of this "
	    "process, "
	    "ms (8 KiB, 64 KiB) |\n|---|---|---|---|---|\n",
	    rounds);
	for (int i = 0; i < TASKS; i++) {
		printf("| %s | %s |", tasks[i].name, tasks[i].unit);
		for (int b = 0; b < 2; b++)
			printf(" %.3g (%.2f) |", tasks[i].amount / bench_median(s[i][b], n),
			       bench_ratio(s[tasks[i].base][b], s[i][b], n));
		printf(" %.1f, %.1f |\n", bench_median(cpu[i][0], n),
		       bench_median(cpu[i][1], n));
	}
	return 0;
}
