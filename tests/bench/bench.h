/*
 * What the measuring programs share: a clock, medians, and where their tables go. A table is
 * Markdown, written to standard output; tests/bench/run.sh keeps it.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ROUNDS = 64 };

static inline double bench_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of at most MAX_ROUNDS values; 0 for none. */
static inline double bench_median(const double *v, size_t n)
{
	double sorted[MAX_ROUNDS];

	if (n == 0)
		return 0;
	memcpy(sorted, v, n * sizeof *v);
	qsort(sorted, n, sizeof *sorted, bench_compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/*
 * The median of the rounds' ratios v[i] / base[i]: each pair was measured within the same
 * short time, so what else the machine did weighs on both.
 */
static inline double bench_ratio(const double *v, const double *base, size_t n)
{
	double r[MAX_ROUNDS];

	for (size_t i = 0; i < n; i++)
		r[i] = v[i] / base[i];
	return bench_median(r, n);
}

/* How often everything is measured: BENCH_ROUNDS, else `usual`. */
static inline int bench_rounds(int usual)
{
	const char *s = getenv("BENCH_ROUNDS");
	int n = s ? atoi(s) : usual;

	return n < 1 ? 1 : n > MAX_ROUNDS ? MAX_ROUNDS : n;
}

/* The path of a program of tests/programs, in a static buffer per call site's choice. */
static inline const char *bench_program(char *buf, size_t size, const char *name)
{
	const char *build = getenv("BUILD");

	snprintf(buf, size, "%s/programs/%s", build ? build : "build", name);
	return buf;
}

static inline void bench_die(const char *what)
{
	perror(what);
	exit(1);
}

#endif
