/*
 * The list of detached commands that nobody holds: process-wide, since who started them may
 * be gone. It is taken as a whole and given back by atomic steps instead of under a lock,
 * which a thread could hold while another forks.
 */
#include "shellcmd/detached.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>

struct detached {
	int pid;
	unsigned long long since; /* when it was started: 0 where that cannot be known */
	struct detached *next;
};

static struct detached *_Atomic first;

/*
 * Ticks from the start of the system to that of a process, the 22nd number of its stat. By
 * this the child is known from one that got its number after someone else had reaped it.
 */
static unsigned long long started_at(int pid)
{
	unsigned long long ticks = 0;
	char path[64], text[1024];
	const char *after;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (!(f = fopen(path, "re")))
		return 0;
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	after = strrchr(text, ')');
	for (int i = 2; after && i < 22; i++)
		after = strchr(after + 1, ' ');
	if (after)
		ticks = strtoull(after, NULL, 10);
	return ticks;
}

static void push(struct detached *d)
{
	d->next = atomic_load(&first);
	while (!atomic_compare_exchange_weak(&first, &d->next, d))
		;
}

/* Without memory it stays a zombie until this process ends. */
void sh__detached_add(int pid)
{
	struct detached *d = malloc(sizeof *d);

	if (!d)
		return;
	*d = (struct detached){ .pid = pid, .since = started_at(pid) };
	push(d);
}

/* Reaped here, or by someone else; or it is the parent's of this process, which has forked. */
static bool is_gone(const struct detached *d)
{
	unsigned long long since;
	siginfo_t si;

	memset(&si, 0, sizeof si);
	if (waitid(P_PID, (id_t)d->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
		return true;
	if (!si.si_pid)
		return false;
	since = started_at(d->pid);
	if (d->since && !since) /* no descriptor to look with: the next time */
		return false;
	if (!d->since || since == d->since)
		waitid(P_PID, (id_t)d->pid, &si, WEXITED | WNOHANG);
	return true;
}

void sh__detached_reap(void)
{
	struct detached *d, *next;

	if (!atomic_load(&first))
		return;
	for (d = atomic_exchange(&first, NULL); d; d = next) {
		next = d->next;
		if (is_gone(d))
			free(d);
		else
			push(d);
	}
}
