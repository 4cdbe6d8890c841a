/*
 * Ordered rules, the last match wins: globs and regexes compiled once through PCRE2.
 *
 * A rule set is what one source gave: the options of one list, or one ignore file. It is
 * filled, then only read; readers on several threads each bring their own `struct matcher`.
 * Most rules of real ignore files are plain (`name`, `*.ext`, `/dir/file`): they are found by
 * their last byte, without PCRE2. The others are joined, up to 32 at a time, into one program
 * that tells by its mark which of them matched last in order.
 *
 * What a match means (ignored, wanted, and for what lies below) is not decided here.
 */
#ifndef WATCHER_RULES_H
#define WATCHER_RULES_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "glob.h"
#include "whendo/watcher.h"

enum rule_flags {
	RULE_NEGATED = 1 << 0,  /* `!` */
	RULE_DIRS = 1 << 1,     /* only directories match: trailing '/' */
	RULE_FILES = 1 << 2,    /* directories never match: extensions */
	RULE_NAME = 1 << 3,     /* matched against the last component */
	RULE_SUFFIX = 1 << 4,   /* plain, behind a `*` */
	RULE_PLAIN = 1 << 5,    /* no wildcards: `plain` is compared */
	RULE_REGEX = 1 << 6,    /* searched in the path */
	RULE_FULL = 1 << 7,     /* matched against the whole path as the user sees it */
	RULE_DEAD = 1 << 8,     /* can match nothing (a malformed line of a file) */
	RULE_ICASE = 1 << 9
};

struct rule {
	char *text;         /* as written, `!` and all */
	const char *origin; /* "--ignore", or the path of the file; owned by its set */
	uint32_t line;      /* in that file, from 1; 0: an option */
	uint32_t flags;
	uint32_t seq;       /* place among all rules of a list */
	uint16_t plain_len;
	char *plain;        /* what to compare, unescaped; NULL without RULE_PLAIN */
	pcre2_code *below;  /* tells whether the rule may match below a directory, or NULL */
};

/* Rules [first, end) of a set; `codes` hold those of them that are not plain. */
struct rule_chunk {
	uint32_t first, end;
	uint32_t bytes; /* of glob text, which bounds the compiled size */
	bool regex, full;
	pcre2_code *name, *path; /* of a regex: for paths that are not UTF-8, that are */
};

struct rule_set {
	unsigned refs;
	struct rule *rules;
	uint32_t count, cap;
	struct rule_chunk *chunks;
	uint32_t chunk_count, chunk_cap;
	struct bytes lasts;   /* last byte of each plain rule, in order */
	uint32_t *plain_rule; /* the rule each of them belongs to */
	size_t plain_cap;
	char *origin; /* shared by the rules */
	char *base;   /* absolute directory its paths are relative to; NULL: the root */
	uint64_t content; /* hash of the file it was read from */
	bool has_regex, has_positive;
};

/* What is matched: `path` relative to the set's base, `name` its last component. */
struct subject {
	const char *path, *name, *full;
	size_t path_len, name_len, full_len;
	bool is_dir;
};

/* What matching needs besides the rules; one for each thread. */
struct matcher {
	pcre2_match_data *data;
	pcre2_match_context *regex_limits;
	/* A regex ran into its limits: called with it, every time. May be NULL. */
	void (*gave_up)(const struct rule *rule, void *arg);
	void *arg;
	/* Such a regex counts as whatever does not exclude: the list being matched says what
	 * passes (true), or what does not. */
	bool list_wants;
};

/* Which rules of a set to look at. */
enum match_scope {
	MATCH_ALL,
	MATCH_PRUNING,  /* not full-path globs: what ignores a directory with all below it */
	MATCH_INHERITED /* nor regexes: what wants a directory with all below it */
};

/* A set with one reference; origin and base are copied, base may be NULL. */
int watcher__rules_new(struct rule_set **set, const char *origin, const char *base);
void watcher__rules_unref(struct rule_set *set);

/* What watcher__rules_add is to make of a text. */
enum rule_syntax {
	RULE_SYNTAX_GLOB,      /* gitignore's, `!` included */
	RULE_SYNTAX_FULL,      /* a glob for the whole path as the user sees it */
	RULE_SYNTAX_EXTENSION, /* `c`, also `.c` */
	RULE_SYNTAX_REGEX
};

/*
 * Appends a rule; not usable before watcher__rules_compile. `flags`: RULE_ICASE, RULE_NEGATED
 * (of a regex). UV_EINVAL with *err filled for a text that can match nothing or is not a
 * regex, UV_E2BIG for one too long, UV_ENOMEM; the set is unchanged then.
 */
int watcher__rules_add(struct rule_set *set, enum rule_syntax syntax, const char *text, size_t len,
		       uint32_t line, unsigned flags, watcher_error *err);

/* Fills *err (NULL is fine) with what is wrong at a byte of a rule, and returns `code`. */
int watcher__rule_refuse(watcher_error *err, const char *origin, const char *text, int code,
			 struct glob_fault fault);

/* 0, or UV_EINVAL or UV_E2BIG with *fault: what keeps `text` from being an extension. */
int watcher__extension_check(const char *text, size_t len, struct glob_fault *fault);

/* Forgets the rules from `count` on; they must not have been compiled. */
void watcher__rules_truncate(struct rule_set *set, uint32_t count);

/* Compiles the rules added since the last call; on failure they are dropped. */
int watcher__rules_compile(struct rule_set *set, watcher_error *err);

/* Makes rule->below for every positive rule of the set added by now. */
int watcher__rules_compile_below(struct rule_set *set);

/* The last rule of the set that matches, or NULL. */
const struct rule *watcher__rules_match(const struct rule_set *set, struct matcher *m,
					const struct subject *s, enum match_scope scope);

/* May the rule match something below `path`, a directory written with its trailing '/'? */
bool watcher__rule_may_match_below(const struct rule *rule, struct matcher *m, const char *path,
				   size_t len);

int watcher__matcher_init(struct matcher *m);
void watcher__matcher_free(struct matcher *m);

#endif
