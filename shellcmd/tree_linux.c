/* Reads /proc for what is below a process. Decides nothing. */
#ifdef __linux__
#include "shellcmd/tree_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

enum {
	MOST = 1 << 17, /* processes; an untouched page of the table costs nothing */
	ENTRIES_BYTES = 8192,
	CHILDREN_BYTES = 1024,
	FIELDS = 18 /* of /proc/PID/stat, from the state to num_threads */
};

#define TABLE_BYTES (MOST * sizeof(struct sh__member))

/* As getdents64(2) has it. */
struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* 0 for what is no number; large ones are of no interest here. */
static int number(const char *s, const char **end)
{
	int n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n < 100000000 ? n * 10 + (*s - '0') : n;
	*end = s;
	return n;
}

/* "pid (any name) S ppid pgrp ...": a leader that has exited before its threads is a Z too. */
static bool parse(const char *text, struct sh__member *m)
{
	const char *at = strrchr(text, ')');
	int field[FIELDS] = { 0 };
	char state;

	if (!at || at[1] != ' ' || !at[2])
		return false;
	state = at[2];
	at += 3;
	for (int i = 1; i < FIELDS && *at == ' '; i++) {
		at += at[1] == '-' ? 2 : 1;
		field[i] = number(at, &at);
	}
	m->parent = field[1];
	m->group = field[2];
	m->alive = (state != 'Z' && state != 'X') || field[FIELDS - 1] > 1;
	return true;
}

/* snprintf is more than is safe here. */
static char *add_text(char *at, const char *text)
{
	size_t n = strlen(text);

	memcpy(at, text, n + 1);
	return at + n;
}

static char *add_number(char *at, int n)
{
	char digits[12];
	int len = 0;

	do
		digits[len++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	while (len > 0)
		*at++ = digits[--len];
	*at = '\0';
	return at;
}

static bool look(int pid, struct sh__member *m)
{
	char path[32], text[512];
	ssize_t n;
	int fd;

	add_text(add_number(add_text(path, "/proc/"), pid), "/stat");
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	m->pid = pid;
	return parse(text, m);
}

static void add(struct sh__tree *t, int pid)
{
	if (t->n < MOST && look(pid, &t->v[t->n]))
		t->n++;
}

/* Calls `found` for every number in a folder. */
static int each_number(const char *folder, void (*found)(int n, void *arg), void *arg)
{
	_Alignas(struct entry) char entries[ENTRIES_BYTES];
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	long n;

	if (fd < 0)
		return -errno;
	while ((n = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
		for (const char *at = entries; at < entries + n;) {
			const struct entry *e = (const void *)at;
			const char *rest;
			int value = number(e->name, &rest);

			at += e->length;
			if (value && !*rest)
				found(value, arg);
		}
	}
	r = n < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* ------------------------------------------------------------------ the sure way */

static void found_process(int pid, void *arg)
{
	add(arg, pid);
}

static const struct sh__member *find(const struct sh__tree *t, int pid)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (t->v[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->n && t->v[low].pid == pid ? &t->v[low] : NULL;
}

/* What was read at different moments may form a ring. */
static bool is_below(const struct sh__tree *t, const struct sh__member *m, int root)
{
	for (size_t steps = 0; m && steps <= t->n; steps++) {
		if (m->parent == root)
			return true;
		m = find(t, m->parent);
	}
	return false;
}

static void keep_below(struct sh__tree *t, int root)
{
	size_t n = 0;

	/* A negative group marks what is to be kept: all are needed to climb. */
	for (size_t i = 0; i < t->n; i++)
		if (is_below(t, &t->v[i], root))
			t->v[i].group = -t->v[i].group - 1;
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].group >= 0)
			continue;
		t->v[n] = t->v[i];
		t->v[n].group = -(t->v[i].group + 1);
		n++;
	}
	t->n = n;
}

static int make_table(struct sh__tree *t)
{
	void *v =
	    mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*t = (struct sh__tree){ .v = v == MAP_FAILED ? NULL : v };
	return t->v ? 0 : UV_ENOMEM;
}

int sh__tree_read(struct sh__tree *t, int root)
{
	int r = make_table(t);

	if (r == 0)
		r = each_number("/proc", found_process, t);
	if (r == 0)
		keep_below(t, root);
	else
		sh__tree_free(t);
	return r;
}

/* ------------------------------------------------------------------ the quick way */

struct glance {
	struct sh__tree *t;
	int parent;
	bool no_lists; /* the kernel has none (CONFIG_PROC_CHILDREN) */
};

static void read_children(int fd, struct sh__tree *t)
{
	char text[CHILDREN_BYTES];
	size_t kept = 0;
	ssize_t n;

	while ((n = read(fd, text + kept, sizeof text - 1 - kept)) > 0) {
		const char *at = text, *end, *space;

		text[kept + (size_t)n] = '\0';
		for (; (space = strchr(at, ' ')); at = space + 1)
			add(t, number(at, &end));
		kept = strlen(at);
		memmove(text, at, kept + 1);
	}
}

static void found_thread(int tid, void *arg)
{
	struct glance *g = arg;
	char path[64], *at = add_number(add_text(path, "/proc/"), g->parent);
	int fd;

	add_text(add_number(add_text(at, "/task/"), tid), "/children");
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
		g->no_lists |= errno == ENOENT && g->t->n == 0;
		return;
	}
	read_children(fd, g->t);
	close(fd);
}

int sh__tree_glance(struct sh__tree *t, int root)
{
	struct glance g = { .t = t, .parent = root };
	int r = make_table(t);

	for (size_t i = 0; r == 0 && i <= t->n; i++) {
		char path[40];

		g.parent = i ? t->v[i - 1].pid : root;
		add_text(add_number(add_text(path, "/proc/"), g.parent), "/task");
		(void)each_number(path, found_thread, &g); /* gone: so are its children */
	}
	if (!g.no_lists || r < 0)
		return r;
	sh__tree_free(t);
	return sh__tree_read(t, root);
}

/* ------------------------------------------------------------------ both */

void sh__tree_free(struct sh__tree *t)
{
	if (t->v)
		munmap(t->v, TABLE_BYTES);
	*t = (struct sh__tree){ 0 };
}

/*
 * A parent that ends hands its children on, so that another parent is no sign of another
 * process; a younger process with the number would be in another group most likely, but
 * that is no proof. The descriptor first and the look after it are: both mean one process.
 */
void sh__tree_signal(const struct sh__member *m, int signum)
{
	struct sh__member now;
	int fd = (int)syscall(SYS_pidfd_open, m->pid, 0);

	if (fd < 0 && errno == ESRCH)
		return;
	/* valgrind has no such calls. */
	if (look(m->pid, &now) && now.alive &&
	    (now.parent == m->parent || now.group == m->group) &&
	    syscall(SYS_pidfd_send_signal, fd, signum, NULL, 0) < 0 &&
	    (fd < 0 || errno == ENOSYS))
		kill(m->pid, signum);
	if (fd >= 0)
		close(fd);
}
#endif
