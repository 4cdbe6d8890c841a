/* Reading proc(5); only this file of the program knows it. */
#include "processes.h"

#include <stdlib.h>

#include "alloc.h"

#define MAX_GUARDED 64 /* children of one guardian that are looked at */

void groups_add(struct groups *g, pid_t group)
{
	if (g->n == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 8;
		g->v = alloc_again(g->v, g->cap, sizeof *g->v);
	}
	g->v[g->n++] = group;
}

void groups_remove(struct groups *g, pid_t group)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] == group)
			g->v[i--] = g->v[--g->n];
}

void groups_free(struct groups *g)
{
	free(g->v);
	*g = (struct groups){ 0 };
}

#ifdef __linux__
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* The name before may hold anything. */
static int look_at(pid_t pid, char *state, pid_t *group)
{
	char path[40], text[512];
	const char *p;
	int parent, g;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (read_file(path, text, sizeof text) <= 0 || !(p = strrchr(text, ')')) ||
	    sscanf(p + 1, " %c %d %d", state, &parent, &g) != 3)
		return -1;
	*group = g;
	return 0;
}

/* Calls `each` with "/proc/PID/task/TID" of every thread. */
static void each_thread(pid_t pid, void (*each)(const char *path, void *arg), void *arg)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	if (!(d = opendir(path)))
		return;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s", (int)pid, e->d_name);
		each(path, arg);
	}
	closedir(d);
}

struct list {
	pid_t *pids;
	size_t n, max;
};

static void add_children(const char *thread, void *arg)
{
	struct list *l = arg;
	char path[80], *text = malloc(MAX_PROCESSES * 8), *p = text, *end;

	if (!text)
		return;
	snprintf(path, sizeof path, "%s/children", thread);
	read_file(path, text, MAX_PROCESSES * 8);
	for (; l->n < l->max; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		l->pids[l->n++] = (pid_t)pid;
	}
	free(text);
}

/* This program's, adopted ones too; returns how many of them are in pids. */
static size_t children(pid_t *pids, size_t max)
{
	struct list l = { .pids = pids, .max = max };

	each_thread(getpid(), add_children, &l);
	return l.n;
}

static int is_in(const struct groups *g, pid_t group)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] == group)
			return 1;
	return 0;
}

static int is_member(const struct groups *g, pid_t pid)
{
	pid_t group;
	char state;

	return look_at(pid, &state, &group) == 0 && is_in(g, group);
}

static int has_member(const struct groups *g, pid_t pid)
{
	pid_t pids[MAX_GUARDED];
	struct list l = { .pids = pids, .max = MAX_GUARDED };

	each_thread(pid, add_children, &l);
	for (size_t i = 0; i < l.n; i++)
		if (is_member(g, pids[i]))
			return 1;
	return 0;
}

size_t processes_family(const struct groups *g, pid_t *pids, size_t max)
{
	struct list l = { .pids = pids, .max = max };
	size_t all = children(pids, max);

	for (size_t i = 0; i < all; i++)
		if (is_member(g, pids[i]) || has_member(g, pids[i]))
			pids[l.n++] = pids[i];
	for (size_t i = 0; i < l.n; i++)
		each_thread(pids[i], add_children, &l);
	return l.n;
}

/* schedstat's first number: nanoseconds on a processor. */
static void add_run_time(const char *thread, void *arg)
{
	char path[80], text[80];
	uint64_t *h = arg;

	snprintf(path, sizeof path, "%s/schedstat", thread);
	if (read_file(path, text, sizeof text) > 0)
		*h = (*h ^ strtoull(text, NULL, 10)) * UINT64_C(1099511628211);
}

uint64_t processes_activity(const pid_t *pids, size_t n)
{
	uint64_t h = UINT64_C(1469598103934665603);

	if (access("/proc/self/schedstat", R_OK) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		h = (h ^ (uint64_t)pids[i]) * UINT64_C(1099511628211);
		each_thread(pids[i], add_run_time, &h);
	}
	return h ? h : 1;
}

/* A process' io file counts its dead threads and waited-for children, a thread's does not. */
static int count_writes(const char *dir, uint64_t *times)
{
	char path[80], text[400];
	const char *p;

	snprintf(path, sizeof path, "%s/io", dir);
	if (read_file(path, text, sizeof text) <= 0 || !(p = strstr(text, "syscw:")))
		return -1;
	*times += strtoull(p + 6, NULL, 10);
	return 0;
}

static void add_thread_writes(const char *thread, void *arg)
{
	count_writes(thread, arg);
}

int processes_written(uint64_t *times, const pid_t *pids, size_t n)
{
	uint64_t sum = 0, own = 0;

	/* Threads first: what this program writes meanwhile counts as written. */
	each_thread(getpid(), add_thread_writes, &own);
	if (count_writes("/proc/self", &sum) < 0)
		return -1;
	sum -= own;
	for (size_t i = 0; i < n; i++) {
		char dir[40];

		snprintf(dir, sizeof dir, "/proc/%d", (int)pids[i]);
		if (count_writes(dir, &sum) < 0 && access(dir, F_OK) == 0)
			return -1;
	}
	*times = sum;
	return 0;
}

/* The access mode of a descriptor, from its fdinfo; -1: not known. */
static int access_mode(pid_t pid, const char *fd)
{
	char path[80], text[400];
	const char *p;

	snprintf(path, sizeof path, "/proc/%d/fdinfo/%.20s", (int)pid, fd);
	if (read_file(path, text, sizeof text) <= 0 || !(p = strstr(text, "flags:")))
		return -1;
	return (int)(strtol(p + 6, NULL, 8) & O_ACCMODE);
}

int processes_holds(pid_t pid, const struct stat *file)
{
	char path[80];
	struct dirent *e;
	int found = 0;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	if (!(d = opendir(path)))
		return 0;
	while (!found && (e = readdir(d))) {
		struct stat st;

		snprintf(path, sizeof path, "/proc/%d/fd/%.20s", (int)pid, e->d_name);
		found = e->d_name[0] != '.' && stat(path, &st) == 0 &&
			st.st_dev == file->st_dev && st.st_ino == file->st_ino &&
			access_mode(pid, e->d_name) > O_RDONLY;
	}
	closedir(d);
	return found;
}

/* "1: LEASE BREAKING UNLCK PID MAJOR:MINOR:INODE ...", and below it those that wait for it:
 * "1: -> LEASE BREAKER WRITE PID ...". */
size_t processes_kept(ino_t file, pid_t *pids, size_t max)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256], kind[16];
	unsigned long inode;
	int pid, is_ours = 0;
	size_t n = 0;

	while (f && n < max && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%*d: -> %15s %*s %*s %d", kind, &pid) == 2) {
			if (is_ours)
				pids[n++] = pid;
		} else {
			is_ours = sscanf(line, "%*d: %15s %*s %*s %d %*x:%*x:%lu", kind, &pid,
					 &inode) == 3 &&
				  strcmp(kind, "LEASE") == 0 && pid == getpid() &&
				  inode == file;
		}
	}
	if (f)
		fclose(f);
	return n;
}

#else

size_t processes_family(const struct groups *g, pid_t *pids, size_t max)
{
	(void)g;
	(void)pids;
	(void)max;
	return 0;
}

uint64_t processes_activity(const pid_t *pids, size_t n)
{
	(void)pids;
	(void)n;
	return 0;
}

int processes_written(uint64_t *times, const pid_t *pids, size_t n)
{
	(void)times;
	(void)pids;
	(void)n;
	return -1;
}

int processes_holds(pid_t pid, const struct stat *file)
{
	(void)pid;
	(void)file;
	return 0;
}

size_t processes_kept(ino_t file, pid_t *pids, size_t max)
{
	(void)file;
	(void)pids;
	(void)max;
	return 0;
}

#endif
