/*
 * The processes below a process, as /proc shows them at one moment. No malloc and no stdio:
 * a guardian (guard_linux.c) uses it too, and it is a copy of a host that may have had other
 * threads, with their locks.
 */
#ifndef SHELLCMD_TREE_LINUX_H
#define SHELLCMD_TREE_LINUX_H

#include <stdbool.h>
#include <stddef.h>

struct sh__member {
	int pid, parent, group;
	bool alive; /* not a zombie */
};

struct sh__tree {
	struct sh__member *v;
	size_t n;
};

/*
 * All of /proc is read: who is alive and stays so is found. 0; UV_ENOMEM; what opening /proc
 * failed with. The root itself is not in it.
 */
int sh__tree_read(struct sh__tree *t, int root);

/*
 * The lists of children are read, which costs as much as there are descendants; one may be
 * missed while others end (proc(5)). The same way as above where there are no such lists.
 */
int sh__tree_glance(struct sh__tree *t, int root);
void sh__tree_free(struct sh__tree *t);

/* Never to another process that was given the same number meanwhile. */
void sh__tree_signal(const struct sh__member *m, int signum);

#endif
