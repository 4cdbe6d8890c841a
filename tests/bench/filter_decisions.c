/*
 * What a decision of a filter costs, in ns: one line per set of rules, for events on files
 * (in few directories, and spread over many), and for the question whether to enter a
 * directory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../watcher/filter.h"

enum { PATHS = 4096, ROUNDS = 200 };

static char paths[2][PATHS][96];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void make_paths(void)
{
	static const char *const ext[] = { "c", "h", "txt", "md", "json" };

	for (unsigned i = 0; i < PATHS; i++) {
		snprintf(paths[0][i], sizeof paths[0][i], "src/lib%u/file%04u.%s", i / 512, i,
			 ext[i % 5]);
		snprintf(paths[1][i], sizeof paths[1][i], "src/lib%u/dir%u/file%04u.%s", i % 31,
			 i * 7 % 101, i, ext[i % 5]);
	}
}

/* Median of ROUNDS passes over the paths, per path. */
static double events(struct filter_root *fr, int which, unsigned *passed)
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ns(), took;

		*passed = 0;
		for (unsigned i = 0; i < PATHS; i++)
			*passed += watcher__filter_pass(fr, paths[which][i],
							strlen(paths[which][i]), WATCHER_TYPE_FILE,
							WATCHER_MODIFIED);
		took = (now_ns() - start) / PATHS;
		best = took < best ? took : best;
	}
	return best;
}

static double directories(struct filter_root *fr)
{
	double best = 1e18;
	unsigned entered = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ns(), took;

		for (unsigned i = 0; i < PATHS; i++)
			entered += watcher__filter_descend(fr, paths[1][i],
							   (size_t)(strrchr(paths[1][i], '/') -
								    paths[1][i]));
		took = (now_ns() - start) / PATHS;
		best = took < best ? took : best;
	}
	return entered ? best : 0;
}

static void measure(const char *name, watcher_filter *f)
{
	struct filter_root *fr;
	unsigned passed, spread;
	double few, many, dirs;

	if (watcher__filter_bind(&fr, f, ".", ".") < 0)
		exit(1);
	few = events(fr, 0, &passed);
	many = events(fr, 1, &spread);
	dirs = directories(fr);
	printf("%-34s %7.0f %7.0f %7.0f   %u of %d pass\n", name, few, many, dirs, passed, PATHS);
	watcher__filter_unbind(fr);
	watcher_filter_free(f);
}

static watcher_filter *with(unsigned flags, int rule, const char *const *texts)
{
	watcher_filter *f;

	if (watcher_filter_new(&f, NULL) < 0 || watcher_filter_set(f, flags) < 0)
		exit(1);
	for (; texts && *texts; texts++)
		if (watcher_filter_add(f, rule, *texts, NULL, NULL) < 0)
			exit(1);
	return f;
}

/* A .gitignore of the usual kind: plain names and extensions, some globs. */
static void write_gitignore(int globs)
{
	FILE *file = fopen(".gitignore", "w");

	if (!file)
		exit(1);
	for (int i = 0; i < 40; i++)
		fprintf(file, "name%d\n*.ext%d\n/top%d/\n", i, i, i);
	for (int i = 0; i < globs; i++)
		fprintf(file, "cache-*-%d/\nsrc/**/gen%d/*.c\n", i, i);
	if (fclose(file) != 0)
		exit(1);
}

int main(void)
{
	char dir[] = "/tmp/whendo-bench-XXXXXX";
	const unsigned usual = WATCHER_FILTER_GITIGNORE | WATCHER_FILTER_DOT_IGNORE |
			       WATCHER_FILTER_DEFAULTS;

	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	make_paths();
	printf("%-34s %7s %7s %7s   ns per event, per event spread, per directory\n", "rules",
	       "event", "spread", "enter");
	measure("none", with(0, 0, NULL));
	measure("*.c", with(0, WATCHER_RULE_PATTERN, LIST("*.c")));
	measure("src/**/*.c", with(0, WATCHER_RULE_PATTERN, LIST("src/**/*.c")));
	measure("regex \\.(c|h)$", with(0, WATCHER_RULE_REGEX, LIST("\\.(c|h)$")));
	measure("defaults", with(usual, 0, NULL));
	write_gitignore(0);
	measure("defaults, 120 plain lines", with(usual, 0, NULL));
	write_gitignore(10);
	measure("defaults, 120 plain + 20 globs", with(usual, 0, NULL));
	if (unlink(".gitignore") < 0 || chdir("/") < 0 || rmdir(dir) < 0)
		return 1;
	return 0;
}
