/* Adopted processes, by Linux's child subreaper. */
#include "orphans.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "processes.h"

#ifdef __linux__
#include <sys/prctl.h>
#endif

void orphans_adopt(void)
{
#ifdef __linux__
	/* Failing leaves the children to init, as elsewhere. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
}

/* Calls `each` for every child of the group (0: of any); returns the sum of its answers. */
static size_t each_child(pid_t group,
			 size_t (*each)(pid_t pid, pid_t group, char state, int arg), int arg)
{
	pid_t *pids = alloc_zero(MAX_PROCESSES, sizeof *pids);
	size_t n = processes_children(pids, MAX_PROCESSES), sum = 0;

	for (size_t i = 0; i < n; i++) {
		pid_t g;
		char state;

		if (processes_look(pids[i], &state, &g) == 0 && (!group || g == group))
			sum += each(pids[i], g, state, arg);
	}
	free(pids);
	return sum;
}

static size_t reap(pid_t pid, pid_t group, char state, int leader)
{
	(void)group;
	if (pid != leader && state == 'Z')
		waitpid(pid, NULL, WNOHANG);
	return 0;
}

void orphans_reap(pid_t group)
{
	each_child(group, reap, group);
}

static size_t count(pid_t pid, pid_t group, char state, int arg)
{
	(void)group;
	(void)arg;
	if (state != 'Z')
		return 1;
	waitpid(pid, NULL, WNOHANG);
	return 0;
}

size_t orphans_count(pid_t group)
{
	return group > 1 ? each_child(group, count, 0) : 0;
}

size_t orphans_count_all(void)
{
	return each_child(0, count, 0);
}

static void send(pid_t whom, int signum)
{
	kill(whom, signum);
	if (signum != SIGKILL)
		kill(whom, SIGCONT);
}

void orphans_signal(pid_t group, int signum)
{
	/* Its number belongs to our descendants as long as one of them is in it. */
	if (orphans_count(group) > 0)
		send(-group, signum);
}

static size_t signal_one(pid_t pid, pid_t group, char state, int signum)
{
	if (state != 'Z')
		send(group != getpgrp() && group > 1 ? -group : pid, signum);
	return 0;
}

void orphans_signal_all(int signum)
{
	each_child(0, signal_one, signum);
}
