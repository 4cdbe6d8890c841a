/* What commands have left behind. Decides neither when it is ended nor what is said. */
#include "left.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"
#include "base/bytes.h"
#include "emit.h"

enum { MOST_PIDS = 1024, MOST_NAMES = 8 };

int left_keep(struct left *l, sh_proc *p)
{
	if (sh_left(p, NULL, 0) <= 0) {
		sh_proc_free(p);
		return 0;
	}
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 8;
		l->v = alloc_again(l->v, l->cap, sizeof *l->v);
	}
	l->v[l->n++] = p;
	return 1;
}

static size_t members(const sh_proc *p)
{
	int pids[MOST_PIDS], n = sh_left(p, pids, MOST_PIDS);
	size_t found = 0;

	for (int i = 0; i < n && i < MOST_PIDS; i++)
		found += getpgid(pids[i]) == sh_pid(p);
	return found;
}

static size_t count(const sh_proc *p, enum left_whom whom)
{
	int n = whom == LEFT_GROUP ? (int)members(p) : sh_left(p, NULL, 0);

	return n > 0 ? (size_t)n : 0;
}

size_t left_count(struct left *l, enum left_whom whom)
{
	size_t found = 0;

	for (size_t i = 0; i < l->n;) {
		if (sh_left(l->v[i], NULL, 0) == 0) {
			sh_proc_free(l->v[i]);
			l->v[i] = l->v[--l->n];
			continue;
		}
		found += count(l->v[i++], whom);
	}
	return found;
}

int left_any(const struct left *l, enum left_whom whom)
{
	for (size_t i = 0; i < l->n; i++)
		if (count(l->v[i], whom) > 0)
			return 1;
	return 0;
}

static void send_signal(sh_proc *p, int signum, enum left_whom whom)
{
	/* The number of a group is its members' as long as one of them lives. */
	if (whom == LEFT_ALL)
		sh_signal(p, signum);
	else if (members(p) > 0)
		kill(-sh_pid(p), signum);
}

void left_signal(struct left *l, int signum, enum left_whom whom)
{
	for (size_t i = 0; i < l->n; i++) {
		send_signal(l->v[i], signum, whom);
		if (signum != SIGKILL)
			send_signal(l->v[i], SIGCONT, whom);
	}
}

static void add_name(struct bytes *out, int pid)
{
	char path[40], name[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, name, sizeof name - 1);
	if (fd >= 0)
		close(fd);
	name[n > 0 ? n - 1 : 0] = '\0';
	emit_f(out, "%s%d (%s)", out->len ? ", " : "", pid, *name ? name : "?");
}

char *left_names(const sh_proc *p)
{
	int pids[MOST_NAMES], n = sh_left(p, pids, MOST_NAMES);
	struct bytes out = { 0 };

	for (int i = 0; i < n && i < MOST_NAMES; i++)
		add_name(&out, pids[i]);
	if (n > MOST_NAMES)
		emit_f(&out, ", ...");
	emit_n(&out, "", 0);
	return bytes_take(&out);
}

void left_free(struct left *l)
{
	for (size_t i = 0; i < l->n; i++)
		sh_proc_free(l->v[i]);
	free(l->v);
	*l = (struct left){ 0 };
}
