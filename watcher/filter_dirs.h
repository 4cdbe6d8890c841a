/*
 * The ignore files of a bound root: which directories have some, and their rules.
 *
 * Directories with rules are few; they are kept sorted by path. Above the root come those of
 * the work tree the root lies in, up to its top. Which rule wins is asked here too, because
 * it follows the chain of directories: all .whendoignore, then all .ignore, then all
 * .gitignore, each the nearest first; then git's own excludes.
 */
#ifndef WATCHER_FILTER_DIRS_H
#define WATCHER_FILTER_DIRS_H

#include "rules.h"

enum ignore_kind {
	KIND_WHENDOIGNORE,
	KIND_IGNORE,
	KIND_GITIGNORE,
	KIND_COUNT
};

struct dir_rules {
	char *rel; /* relative to the root; of one above it, its absolute path */
	size_t len;
	size_t skip; /* bytes of an absolute path before what is relative to this directory */
	struct rule_set *sets[KIND_COUNT];
	struct rule_set *exclude; /* info/exclude */
	bool git_top;             /* has .git: rules of .gitignore files above do not count */
	struct dir_rules *up;     /* next one with rules towards the root and beyond; valid once
				     the decision about the directory was made in this generation */
};

struct filter_dirs {
	unsigned flags;         /* WATCHER_FILTER_... */
	const char *root;       /* absolute, borrowed */
	size_t root_skip;       /* bytes of an absolute path up to what is below the root */
	const char *root_shown; /* for origins; borrowed */
	struct dir_rules **v;   /* below and at the root, sorted */
	size_t count, cap;
	struct dir_rules **outer; /* above the root, the top first */
	size_t outer_count;
	struct rule_set *global;
	bool global_tried;
	void (*on_problem)(const char *path, int code, void *arg);
	void *arg;
};

void watcher__dirs_free(struct filter_dirs *d);

/* Reads what lies above the root. UV_ENOMEM. */
int watcher__dirs_read_outer(struct filter_dirs *d);

/* Reads what the directory `rel` has, which may be nothing, into a new *dir. UV_ENOMEM. */
int watcher__dir_read(struct filter_dirs *d, struct dir_rules **dir, const char *rel, size_t len);
void watcher__dir_free(struct dir_rules *dir);

/* As watcher__filter_reload. */
int watcher__dirs_reload(struct filter_dirs *d, const char *rel, size_t len);

/* As watcher__filter_reload_all and watcher__filter_outside. */
int watcher__dirs_reload_all(struct filter_dirs *d);
int watcher__dirs_outside(const struct filter_dirs *d, int (*each)(const char *path, void *arg),
			  void *arg);

/* Takes out the rules of `rel` and below; how many there were. */
size_t watcher__dirs_forget(struct filter_dirs *d, const char *rel, size_t len);

/* The rules of exactly this directory, or NULL. */
struct dir_rules *watcher__dirs_find(const struct filter_dirs *d, const char *rel, size_t len);

/*
 * The rule of the chain that decides about the entry whose absolute path is `path`, or NULL.
 * s->name and s->is_dir are set; s->path is set here for each directory.
 */
const struct rule *watcher__dirs_match(const struct filter_dirs *d, const struct dir_rules *chain,
				       struct matcher *m, struct subject *s, const char *path,
				       size_t path_len);

/* Is it ".gitignore", ... as far as the flags ask for it? */
bool watcher__dirs_is_ignore_file(unsigned flags, const char *name, size_t len);

#endif
