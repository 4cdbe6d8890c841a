/* Adopted processes, by Linux's child subreaper. Only this file knows /proc. */
#include "orphans.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>

#define MAX_CHILDREN 4096

void orphans_adopt(void)
{
	/* Failing leaves the children to init, as elsewhere. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* State and group of a process, from proc(5)'s stat; the name before may hold anything. */
static int look(pid_t pid, char *state, pid_t *group)
{
	char path[40], text[512];
	char *p;
	int parent, g;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (read_file(path, text, sizeof text) <= 0 || !(p = strrchr(text, ')')) ||
	    sscanf(p + 1, " %c %d %d", state, &parent, &g) != 3)
		return -1;
	*group = g;
	return 0;
}

static size_t children(pid_t *pids, size_t max)
{
	char path[64], *text = malloc(MAX_CHILDREN * 8), *p = text, *end;
	size_t n = 0;

	if (!text)
		return 0;
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	read_file(path, text, MAX_CHILDREN * 8);
	for (; n < max; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		pids[n++] = (pid_t)pid;
	}
	free(text);
	return n;
}

void orphans_reap(pid_t group)
{
	pid_t pids[MAX_CHILDREN];
	size_t n = children(pids, MAX_CHILDREN);

	for (size_t i = 0; i < n; i++) {
		pid_t g;
		char state;

		if (pids[i] != group && look(pids[i], &state, &g) == 0 && state == 'Z' &&
		    g == group)
			waitpid(pids[i], NULL, WNOHANG);
	}
}

/* group 0: any. */
static size_t count(pid_t group)
{
	pid_t pids[MAX_CHILDREN];
	size_t n = children(pids, MAX_CHILDREN), found = 0;

	for (size_t i = 0; i < n; i++) {
		pid_t g;
		char state;

		if (look(pids[i], &state, &g) < 0 || (group && g != group))
			continue;
		if (state == 'Z')
			waitpid(pids[i], NULL, WNOHANG);
		else
			found++;
	}
	return found;
}

size_t orphans_count(pid_t group)
{
	return group > 1 ? count(group) : 0;
}

size_t orphans_count_all(void)
{
	return count(0);
}

void orphans_signal(pid_t group, int signum)
{
	/* Its number belongs to our descendants as long as one of them is in it. */
	if (orphans_count(group) == 0)
		return;
	kill(-group, signum);
	if (signum != SIGKILL)
		kill(-group, SIGCONT);
}

void orphans_signal_all(int signum)
{
	pid_t pids[MAX_CHILDREN];
	size_t n = children(pids, MAX_CHILDREN);

	for (size_t i = 0; i < n; i++) {
		pid_t g;
		char state;

		if (look(pids[i], &state, &g) < 0 || state == 'Z')
			continue;
		kill(g != getpgrp() && g > 1 ? -g : pids[i], signum);
		if (signum != SIGKILL)
			kill(g != getpgrp() && g > 1 ? -g : pids[i], SIGCONT);
	}
}

#else

void orphans_adopt(void)
{
}

void orphans_reap(pid_t group)
{
	(void)group;
}

size_t orphans_count(pid_t group)
{
	(void)group;
	return 0;
}

size_t orphans_count_all(void)
{
	return 0;
}

void orphans_signal(pid_t group, int signum)
{
	(void)group;
	(void)signum;
}

void orphans_signal_all(int signum)
{
	(void)signum;
}

#endif
