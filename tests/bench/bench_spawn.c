/*
 * What it costs to start a program and wait for it, and how long the caller is blocked by
 * the start alone: a static program that does nothing and /bin/true, from a small parent and
 * from one that has touched 1 GiB. Rounds of all methods are interleaved and short; a cell is
 * the median of the rounds' medians, and of the rounds' ratios. GSubprocess is measured
 * where its library is installed; nothing of it is needed to build this.
 *
 * link: -ldl
 */
#include "bench.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "whendo/shellcmd.h"

extern char **environ;

enum { MIN_RUNS = 3, MAX_RUNS = 16, ROUND_US = 30000 };

static int null_fd;

/* ------------------------------------------------------------- methods ---- */

/* Each runs `program` once and returns how long the starting call took, in us. */

static void reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			bench_die("waitpid");
	if (status != 0)
		bench_die("child");
}

static double by_posix_spawn(const char *program)
{
	char *argv[] = { (char *)program, NULL };
	double start = bench_now_us(), took;
	pid_t pid;

	if ((errno = posix_spawn(&pid, program, NULL, NULL, argv, environ)))
		bench_die("posix_spawn");
	took = bench_now_us() - start;
	reap(pid);
	return took;
}

static void read_to_end(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof buf) > 0)
		;
	close(fd);
}

/* What sh() does by default: empty input, both outputs captured, a group of its own. */
static double by_posix_spawn_captured(const char *program)
{
	char *argv[] = { (char *)program, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	double start = bench_now_us(), took;
	int out[2], err[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		bench_die("pipe2");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_adddup2(&actions, err[1], 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	if ((errno = posix_spawn(&pid, program, &actions, &attr, argv, environ)))
		bench_die("posix_spawn");
	took = bench_now_us() - start;
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	close(out[1]);
	close(err[1]);
	read_to_end(out[0]);
	read_to_end(err[0]);
	reap(pid);
	return took;
}

static double by_fork(const char *program)
{
	double start = bench_now_us(), took;
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	took = bench_now_us() - start;
	reap(pid);
	return took;
}

static void on_uv_exit(uv_process_t *p, int64_t status, int signum)
{
	if (status || signum)
		bench_die("child");
	uv_close((uv_handle_t *)p, NULL);
}

static double by_uv(const char *program)
{
	static uv_loop_t loop;
	static int ready;
	char *argv[] = { (char *)program, NULL };
	uv_stdio_container_t io[3] = { { .flags = UV_IGNORE },
				       { .flags = UV_INHERIT_FD, .data.fd = null_fd },
				       { .flags = UV_INHERIT_FD, .data.fd = null_fd } };
	uv_process_options_t o = { .file = program,
				   .args = argv,
				   .exit_cb = on_uv_exit,
				   .stdio = io,
				   .stdio_count = 3 };
	uv_process_t p;
	double start, took;

	if (!ready)
		uv_loop_init(&loop);
	ready = 1;
	start = bench_now_us();
	if (uv_spawn(&loop, &p, &o) < 0)
		bench_die("uv_spawn");
	took = bench_now_us() - start;
	uv_run(&loop, UV_RUN_DEFAULT);
	return took;
}

static double by_popen(const char *program)
{
	char command[4200];
	double start, took;
	FILE *f;

	snprintf(command, sizeof command, "exec %s", program);
	start = bench_now_us();
	f = popen(command, "r");
	took = bench_now_us() - start;
	if (!f)
		bench_die("popen");
	while (getc(f) != EOF)
		;
	if (pclose(f) != 0)
		bench_die("child");
	return took;
}

/* What is used of GLib, by the names and types of its manual. */
static struct {
	void *(*newv)(const char *const *argv, int flags, void **error);
	int (*wait_check)(void *process, void *cancellable, void **error);
	void (*unref)(void *object);
} gio;

static void load_gio(char *why, size_t size)
{
	void *lib = dlopen("libgio-2.0.so.0", RTLD_NOW | RTLD_GLOBAL);

	*(void **)&gio.newv = lib ? dlsym(lib, "g_subprocess_newv") : NULL;
	*(void **)&gio.wait_check = lib ? dlsym(lib, "g_subprocess_wait_check") : NULL;
	*(void **)&gio.unref = lib ? dlsym(lib, "g_object_unref") : NULL;
	if (!gio.newv || !gio.wait_check || !gio.unref)
		snprintf(why, size, "libgio-2.0 is not installed");
}

static double by_gio(const char *program)
{
	const char *argv[] = { program, NULL };
	double start = bench_now_us(), took;
	void *process = gio.newv(argv, 0, NULL);

	took = bench_now_us() - start;
	if (!process || !gio.wait_check(process, NULL, NULL))
		bench_die("g_subprocess_newv");
	gio.unref(process);
	return took;
}

static double finish(sh_proc *p, double took)
{
	const sh_result *r = p ? sh_wait(p, -1) : NULL;

	if (!r || r->status) {
		fprintf(stderr, "%s\n", r ? r->message : "out of memory");
		exit(1);
	}
	sh_proc_free(p);
	return took;
}

static double by_sh(const char *program)
{
	double start = bench_now_us();
	sh_proc *p = sh_start(SH(program));

	return finish(p, bench_now_us() - start);
}

static double by_sh_foreground(const char *program)
{
	double start = bench_now_us();
	sh_proc *p = sh_start(SH(program, SH_FOREGROUND));

	return finish(p, bench_now_us() - start);
}

static double by_sh_run(const char *program)
{
	sh_result *r = sh(program, SH_FOREGROUND);

	if (r->status) {
		fprintf(stderr, "%s\n", r->message);
		exit(1);
	}
	sh_free(r);
	return 0;
}

/* ------------------------------------------------------- Python's peers ---- */

/* Prints the median time of one run, in us, or "-" and a reason. */
static const char python[] =
    "import sys, time, mmap\n"
    "how, program, mib, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])\n"
    "try:\n"
    "    if how == 'sh': import sh; command = sh.Command(program); go = lambda: command()\n"
    "    else: import subprocess; go = lambda: subprocess.run([program], check=True)\n"
    "except ImportError as e: print('-', e); sys.exit(0)\n"
    "if mib:\n"
    "    m = mmap.mmap(-1, mib << 20)\n"
    "    m.madvise(mmap.MADV_NOHUGEPAGE)\n"
    "    for i in range(0, len(m), 4096): m[i] = 1\n"
    "t = []\n"
    "for i in range(runs + 2):\n"
    "    a = time.perf_counter(); go(); t.append(time.perf_counter() - a)\n"
    "print(sorted(t[2:])[runs // 2] * 1e6)\n";

/* The median in us, or -1 with the reason in `why`. */
static double by_python(const char *how, const char *program, int mib, char *why, size_t size)
{
	sh_result *r = sh_f("python3 -c %s %s %s %d %d", python, how, program, mib, 20);
	double us = -1;

	if (r->status)
		snprintf(why, size, "%.60s", r->message);
	else if (r->out[0] == '-')
		snprintf(why, size, "%.*s", (int)strcspn(r->out + 2, "\n"), r->out + 2);
	else
		us = atof(r->out);
	sh_free(r);
	return us;
}

/* --------------------------------------------------------------- table ---- */

static const struct method {
	const char *name;
	double (*run)(const char *program);
	const char *python;
	int split; /* the starting call can be timed apart */
} methods[] = {
	{ "posix_spawn + waitpid", by_posix_spawn, NULL, 1 },
	{ "sh_run, streams inherited", by_sh_run, NULL, 0 },
	{ "sh_start + sh_wait, streams inherited", by_sh_foreground, NULL, 1 },
	{ "posix_spawn, two pipes read, own group", by_posix_spawn_captured, NULL, 1 },
	{ "sh_start + sh_wait, captured (the default)", by_sh, NULL, 1 },
	{ "fork + exec", by_fork, NULL, 1 },
	{ "uv_spawn", by_uv, NULL, 1 },
	{ "popen (with its shell)", by_popen, NULL, 1 },
	{ "GSubprocess", by_gio, NULL, 1 },
	{ "Python subprocess.run", NULL, "subprocess", 0 },
	{ "Python sh", NULL, "sh", 0 },
};

enum { METHODS = sizeof methods / sizeof methods[0], CASES = 4 };

struct cell {
	double whole[MAX_ROUNDS], call[MAX_ROUNDS];
	size_t n;
};

static struct cell cells[METHODS][CASES];
static char missing[METHODS][200];

static void measure(const struct method *m, const char *program, struct cell *c)
{
	double whole[MAX_RUNS], call[MAX_RUNS], begin = bench_now_us(), start;
	size_t n = 0;

	m->run(program);
	while (n < MAX_RUNS && (n < MIN_RUNS || bench_now_us() - begin < ROUND_US)) {
		start = bench_now_us();
		call[n] = m->run(program);
		whole[n++] = bench_now_us() - start;
	}
	c->whole[c->n] = bench_median(whole, n);
	c->call[c->n++] = bench_median(call, n);
}

static void measure_python(size_t i, const char *program, int mib, struct cell *c)
{
	double us;

	if (missing[i][0] || c->n >= 3) /* a few rounds: each starts an interpreter */
		return;
	us = by_python(methods[i].python, program, mib, missing[i], sizeof missing[i]);
	if (us >= 0)
		c->whole[c->n++] = us;
}

static void run_rounds(const char *const *programs, int mib, int rounds)
{
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < METHODS; i++)
			for (int p = 0; p < 2; p++) {
				struct cell *c = &cells[i][p * 2 + (mib > 0)];

				if (methods[i].python)
					measure_python(i, programs[p], mib, c);
				else if (!missing[i][0])
					measure(&methods[i], programs[p], c);
			}
}

static void touch(size_t mib)
{
	size_t size = mib << 20;
	volatile char *p =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_die("mmap");
	/* Page tables of small pages are what a fork copies. */
	madvise((void *)p, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
}

/* Python's peers ran in few rounds, too few for a median of ratios. */
static void print_cell(const struct cell *c, const struct cell *base)
{
	double us = bench_median(c->whole, c->n);

	printf(" %.0f (%.2f) |", us,
	       c->n == base->n ? bench_ratio(c->whole, base->whole, c->n)
			       : us / bench_median(base->whole, base->n));
}

static void print_whole(void)
{
	printf("Start and wait, us (ratio to posix_spawn + waitpid):\n\n"
	       "| method | no-op, small parent | no-op, 1 GiB parent | true, small parent | "
	       "true, 1 GiB parent |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < METHODS; i++) {
		printf("| %s |", methods[i].name);
		for (int c = 0; c < CASES; c++) {
			if (missing[i][0])
				printf(c ? " |" : " skipped: %s |", missing[i]);
			else
				print_cell(&cells[i][c], &cells[0][c]);
		}
		printf("\n");
	}
}

static void print_calls(void)
{
	printf("\nThe caller is blocked by the start alone, us:\n\n"
	       "| method | small parent | 1 GiB parent |\n|---|---|---|\n");
	for (size_t i = 0; i < METHODS; i++)
		if (methods[i].split && !missing[i][0])
			printf("| %s | %.0f | %.0f |\n", methods[i].name,
			       bench_median(cells[i][0].call, cells[i][0].n),
			       bench_median(cells[i][1].call, cells[i][1].n));
}

int main(void)
{
	char noop[4200], absolute[4096];
	const char *programs[] = { absolute, "/bin/true" };
	int rounds = bench_rounds(25);

	if (!realpath(bench_program(noop, sizeof noop, "noop"), absolute))
		bench_die(noop);
	if ((null_fd = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
		bench_die("/dev/null");
	for (size_t i = 0; i < METHODS; i++)
		if (methods[i].run == by_gio)
			load_gio(missing[i], sizeof missing[i]);
	run_rounds(programs, 0, rounds);
	touch(1024);
	run_rounds(programs, 1024, rounds);
	printf("%d rounds, interleaved.\n\n", rounds);
	print_whole();
	print_calls();
	return 0;
}
