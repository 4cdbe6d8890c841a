/*
 * Directories below a root that are neither read nor watched, and the rule that says so: the
 * answer of `whendo why` for all of them at once. Reads the tree by itself, so that nothing
 * has to be kept for it while watching.
 */
#ifndef CLI_PRUNED_H
#define CLI_PRUNED_H

#include <stdint.h>

#include "options.h"
#include "whendo/watcher.h"

struct pruned {
	char *rule;	      /* "build/ (.gitignore:1)" */
	char *path;	      /* what it prunes, as events would show it; the largest of them */
	uint64_t in_path;     /* directories in that one, itself included */
	uint64_t paths;	      /* how many it prunes */
	uint64_t directories; /* ... with all below them, on the same file system */
};

struct pruned_list {
	struct pruned *v;
	size_t n;
};

/* Adds those of one root, to the depth that is watched. What cannot be read is left out. */
void pruned_find(struct pruned_list *list, const watcher_filter *f, const char *root,
		 int depth);
/* The rules that prune most first. */
void pruned_sort(struct pruned_list *list);
void pruned_free(struct pruned_list *list);

#endif
