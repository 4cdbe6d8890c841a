/* Inside of a filter, for the files that build it, bind it and explain it. */
#ifndef WATCHER_FILTER_OBJECT_H
#define WATCHER_FILTER_OBJECT_H

#include "filter.h"
#include "rules.h"

enum filter_list {
	LIST_WANT,   /* patterns, extensions, regexes, filter files */
	LIST_IGNORE, /* ignores, ignore regexes, ignore files given by name */
	LIST_KEEP,   /* includes */
	LIST_COUNT
};

/* Rule sets in order; rules of a list are numbered through all of them. */
struct rule_list {
	struct rule_set **sets;
	uint32_t count, cap;
	uint32_t next_seq;
};

struct predicate {
	watcher_predicate cb;
	void *arg;
};

struct watcher_filter {
	unsigned refs;
	unsigned flags, kinds;
	struct rule_list lists[LIST_COUNT];
	struct rule_set *defaults; /* NULL without WATCHER_FILTER_DEFAULTS */
	struct predicate *predicates;
	uint32_t predicate_count;
	watcher_filter_problem on_problem;
	void *problem_arg;
};

/* Fills *err, which may be NULL, with the name of what failed and the error's text. */
int watcher__filter_fail(watcher_error *err, int code, const char *what);

#endif
