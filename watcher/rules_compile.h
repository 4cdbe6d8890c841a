/*
 * The PCRE2 side of rule sets: programs for chunks of rules, user's regexes with limits, and
 * the question what may match below a directory. Used by rules.c only.
 */
#ifndef WATCHER_RULES_COMPILE_H
#define WATCHER_RULES_COMPILE_H

#include "rules.h"

enum {
	REGEX_MAX = 8192,         /* bytes of one regular expression */
	REGEX_MATCH_LIMIT = 100000 /* steps: about a millisecond */
};

/* How a regular expression takes characters: most names are UTF-8, the others are bytes. */
enum regex_units { REGEX_UTF, REGEX_BYTES };

/* Compiles a user's regular expression. UV_EINVAL with the offset and PCRE2's reason, or
 * UV_ENOMEM. An expression that is not UTF-8 is one of bytes. */
int watcher__compile_regex(pcre2_code **code, const char *text, size_t len, unsigned icase,
			   enum regex_units units, size_t *offset, char *reason,
			   size_t reason_size);

/* The last rule of the chunk that matches: its place in the set plus one, 0 for none. */
uint32_t watcher__chunk_match(const struct rule_set *set, const struct rule_chunk *chunk,
			      struct matcher *m, const struct subject *s);

void watcher__chunk_clear(struct rule_chunk *chunk);

#endif
