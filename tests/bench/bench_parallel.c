/*
 * One hundred commands, at most eight at a time: what the handling adds to commands that do
 * nothing, and how well eight sleeps overlap. Rounds are interleaved, cells are medians.
 */
#include "bench.h"

#include <unistd.h>

#include "whendo/shellcmd.h"

enum { COMMANDS = 100, LIMIT = 8 };

static char noop[4200];

static int fail(const char *message)
{
	fprintf(stderr, "%s\n", message);
	exit(1);
}

static void by_sh_all(const char *program, const char *argument)
{
	sh_proc *procs[COMMANDS];

	for (int i = 0; i < COMMANDS; i++)
		if (!(procs[i] = sh_start(SH(program, argument, .held = true))))
			fail("out of memory");
	if (sh_all(procs, COMMANDS, LIMIT) != 0)
		fail(sh_wait(procs[0], 0)->message);
	for (int i = 0; i < COMMANDS; i++)
		sh_proc_free(procs[i]);
}

static void by_xargs(const char *program, const char *argument)
{
	char input[COMMANDS * 80] = "";
	sh_result *r;

	for (int i = 0; i < COMMANDS; i++)
		sprintf(input + strlen(input), "%s\n", argument);
	r = sh("xargs", "-P8", "-n1", program, .in = SH_TEXT(input));
	if (r->status)
		fail(r->message);
	sh_free(r);
}

static void by_python(const char *program, const char *argument)
{
	static const char script[] =
	    "import subprocess, sys\n"
	    "from concurrent.futures import ThreadPoolExecutor\n"
	    "with ThreadPoolExecutor(8) as pool:\n"
	    "    list(pool.map(lambda i: subprocess.run(sys.argv[1:], check=True,"
	    " capture_output=True), range(100)))\n";
	sh_result *r = sh("python3", "-c", script, program, argument);

	if (r->status)
		fail(r->message);
	sh_free(r);
}

static const struct method {
	const char *name, *needs;
	void (*run)(const char *program, const char *argument);
} methods[] = {
	{ "sh_all, captured", NULL, by_sh_all },
	{ "xargs -P8 (its start included)", "xargs", by_xargs },
	{ "Python ThreadPoolExecutor + subprocess.run (its start included)", "python3",
	  by_python },
};

enum { METHODS = sizeof methods / sizeof methods[0] };

int main(void)
{
	static double ms[METHODS][2][MAX_ROUNDS];
	int rounds = bench_rounds(9), present[METHODS];
	double start;

	bench_program(noop, sizeof noop, "noop");
	for (int i = 0; i < METHODS; i++) {
		char *path = methods[i].needs ? sh_which(methods[i].needs) : NULL;

		present[i] = !methods[i].needs || path;
		free(path);
	}
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < METHODS; i++)
			for (int k = 0; k < 2 && present[i]; k++) {
				start = bench_now_us();
				methods[i].run(k ? "sleep" : noop, "0.02");
				ms[i][k][round] = (bench_now_us() - start) / 1e3;
			}
	printf(
	    "%d commands, %d at a time, %d rounds, interleaved. Eight sleeps of 20 ms at a "
	    "time "
	    "take 260 ms at least.\n\n| method | no-op, ms | sleep 0.02, ms |\n|---|---|---|\n",
	    COMMANDS, LIMIT, rounds);
	for (int i = 0; i < METHODS; i++)
		if (present[i])
			printf("| %s | %.1f | %.0f |\n", methods[i].name,
			       bench_median(ms[i][0], (size_t)rounds),
			       bench_median(ms[i][1], (size_t)rounds));
		else
			printf("| %s | skipped: no %s | |\n", methods[i].name,
			       methods[i].needs);
	return 0;
}
