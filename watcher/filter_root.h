/* Inside of a bound filter: for the files that bind it, decide with it, and explain it. */
#ifndef WATCHER_FILTER_ROOT_H
#define WATCHER_FILTER_ROOT_H

#include "filter_dirs.h"
#include "filter_object.h"

enum {
	SLOTS = 512 /* directories remembered; a power of two */
};

/* What is known about a path: the last rule of each list that matches it or a directory above. */
struct state {
	const struct rule *want, *keep;
	const struct rule *ignore;  /* it, or a directory above it, is ignored by this */
	const struct rule *spare;   /* the negated rule that decided for the path itself */
	size_t ignored_at;          /* length of the path that `ignore` matched */
	struct dir_rules *chain;    /* of a directory: whose rules its entries are asked about */
};

struct slot {
	uint64_t hash;
	unsigned generation;
	size_t len, cap;
	char *rel;
	struct state state;
};

/* A rule set of an option, and where paths relative to its directory begin. */
struct bound_set {
	const struct rule_set *set;
	size_t skip;     /* bytes of the absolute path */
	bool below_root; /* its directory is below the root: paths must be checked to be in it */
};

struct bound_list {
	struct bound_set *v;
	uint32_t count;
	bool has_positive;
};

struct filter_root {
	watcher_filter *filter;
	bool has_rules;  /* else only kinds, types and predicates decide */
	bool lets_all;   /* nor those: everything passes */
	bool is_virtual; /* the root is on no disk: nothing is read there */
	struct bound_list lists[LIST_COUNT];
	struct filter_dirs dirs;
	struct matcher matcher;
	struct bytes path;  /* the root's real path, '/', the path being decided, NUL */
	struct bytes shown; /* the same below the root as the user gave it; for full globs */
	size_t skip, shown_skip;
	bool has_full;
	char *root;
	unsigned generation;
	struct slot *last;
	struct slot *slots; /* SLOTS of them, made when the first directory is decided about */
	const struct rule **reported; /* regexes that gave up */
	size_t reported_count;
	void (*on_problem)(const char *path, const watcher_error *err, void *arg);
	void *problem_arg;
};

struct judgement {
	bool passes;
	int why;                 /* WATCHER_WHY_... */
	const struct rule *rule; /* borrowed until rules change; may be NULL */
	size_t at; /* length of the part of the path that `rule` ignored */
};

/* As watcher__filter_pass, with the reason. `fr` is not NULL. */
void watcher__filter_judge(struct filter_root *fr, const char *rel, size_t len, int type,
			   unsigned kind, struct judgement *j);

/* Drops what is remembered of directories. */
void watcher__filter_forget_decisions(struct filter_root *fr);

#endif
