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

/* Sorts v; 0 for no values. */
static inline double bench_median(double *v, size_t n)
{
	if (n == 0)
		return 0;
	qsort(v, n, sizeof *v, bench_compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
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
