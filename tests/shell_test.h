/*
 * What the shellcmd tests share: every test runs on both engines; one that needs what an
 * engine has declared it cannot do is skipped there, with its number shown.
 */
#ifndef TESTS_SHELL_TEST_H
#define TESTS_SHELL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "shell_engine.h"
#include "whendo/shellcmd.h"

#define NEEDS(what)                                                                            \
	do {                                                                                   \
		if (!(sh__engine()->can & (what)))                                             \
			skip();                                                                \
	} while (0)

/*
 * Valgrind's process dies where execve fails after valgrind has looked at the file itself,
 * cannot change its hard limit of open files, is not stopped by SIGTSTP, and has pidfds from
 * clone only.
 */
__attribute__((unused)) static bool in_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "/vgpreload_");
}

#define NOT_IN_VALGRIND()                                                                      \
	do {                                                                                   \
		if (in_valgrind())                                                             \
			skip();                                                                \
	} while (0)

#define MS 1000000u

/* The program tests/programs/child.c. */
__attribute__((unused)) static const char *child(void)
{
	static char path[4096];
	const char *build = getenv("BUILD");

	if (!path[0])
		snprintf(path, sizeof path, "%s/programs/child", build ? build : "build");
	return path;
}

__attribute__((unused)) static void assert_status(const sh_result *r, int status)
{
	if (r->status != status)
		fail_msg("status %s instead of %s: %s", sh_status_name(r->status),
			 sh_status_name(status), r->message);
}

__attribute__((unused)) static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

__attribute__((unused)) static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Whether there is a child, be it a zombie, and which. */
__attribute__((unused)) static bool is_child_left(char *text, size_t size)
{
	siginfo_t si = { 0 };
	char path[64], stat[256] = "";
	FILE *f;

	if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
		return false;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)si.si_pid);
	f = si.si_pid ? fopen(path, "r") : NULL;
	if (f && !fgets(stat, sizeof stat, f))
		stat[0] = '\0';
	if (f)
		fclose(f);
	snprintf(text, size, "a child is left: %s", si.si_pid ? stat : "it runs");
	return true;
}

__attribute__((unused)) static void assert_no_children(void)
{
	char text[512];

	if (is_child_left(text, sizeof text))
		fail_msg("%s", text);
}

__attribute__((unused)) static bool is_alive(int pid)
{
	char path[64], text[256] = "";
	const char *after;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if ((fd = open(path, O_RDONLY)) < 0)
		return false;
	if (read(fd, text, sizeof text - 1) < 0)
		text[0] = '\0';
	close(fd);
	after = strrchr(text, ')');
	return after && after[2] != 'Z' && after[2] != 'X';
}

/* Sanitizers keep freed memory on purpose. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RSS_COUNTS 0
#else
#define RSS_COUNTS 1
#endif

/* Until it is gone, at most ten seconds. */
__attribute__((unused)) static bool is_gone_soon(int pid)
{
	for (int i = 0; i < 2000 && is_alive(pid); i++)
		usleep(5000);
	return !is_alive(pid);
}

__attribute__((unused)) static int census(void **state)
{
	(void)state;
	assert_no_children();
	return 0;
}

#define RUN_ON_BOTH(name, tests) run_on_both(name, tests, sizeof(tests) / sizeof *(tests))

__attribute__((unused)) static int run_on_both(const char *name, const struct CMUnitTest *tests,
					       size_t n)
{
	const struct sh__engine *engines[] = { &sh__engine_linux, &sh__engine_uv };
	const char *only = getenv("SH_TEST_ENGINE");
	char label[128];
	int failed = 0;

	for (size_t i = 0; i < 2; i++) {
		if (only && strcmp(only, engines[i]->name) != 0)
			continue;
#ifdef __SANITIZE_THREAD__
		if (engines[i] == &sh__engine_uv) /* its fork hangs under this sanitizer */
			continue;
#endif
		shell_test_engine = engines[i];
		snprintf(label, sizeof label, "%s on %s", name, engines[i]->name);
		failed += _cmocka_run_group_tests(label, tests, n, NULL, census);
	}
	return failed;
}

/* The most memory this process has had. */
__attribute__((unused)) static long rss_kib(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_maxrss;
}

#endif
