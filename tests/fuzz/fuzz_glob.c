/*
 * Globs against a matcher written the plain way: glob and path come from the fuzzer, what the
 * compiled rule says must be what the plain one says, and a directory of which the rule says
 * that nothing below can match must not have the path below it. Then the bytes are read as an
 * ignore file and as a git configuration.
 */
#include <stdlib.h>
#include <string.h>

#include "../../watcher/git_paths.h"
#include "../../watcher/glob.h"
#include "../../watcher/ignore_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct plain {
	const char *glob, *end; /* without a leading slash */
	const char *text_end;
	long steps;    /* left before it takes too long to be worth it */
	const char *literal_end; /* where git hands over to its matcher */
	bool is_path;
};

static bool fits(struct plain *p, const char *g, const char *s);

static bool stars_fit(struct plain *p, const char *g, const char *s)
{
	const char *from = g;
	bool starts = g == p->glob || g[-1] == '/' || g == p->literal_end, crosses;

	while (g < p->end && *g == '*')
		g++;
	crosses = p->is_path && g - from > 1 && starts &&
		  (g == p->end || *g == '/' || (g + 1 < p->end && g[0] == '\\' && g[1] == '/'));
	if (crosses && g < p->end && *g == '/' && fits(p, g + 1, s))
		return true;
	for (;; s++) {
		if (fits(p, g, s))
			return true;
		if (s == p->text_end || (*s == '/' && !crosses))
			return false;
	}
}

static bool fits(struct plain *p, const char *g, const char *s)
{
	uint8_t set[32];
	struct glob_fault fault;
	long end;

	for (; g < p->end; g++, s++) {
		if (--p->steps < 0)
			return false;
		if (*g == '*')
			return stars_fit(p, g, s);
		if (s == p->text_end)
			return false;
		if (*g == '?') {
			if (*s == '/')
				return false;
		} else if (*g == '[') {
			end = watcher__glob_set(g, (size_t)(p->end - g), 0, set, &fault);
			if (*s == '/' || !(set[(uint8_t)*s >> 3] >> ((uint8_t)*s & 7) & 1))
				return false;
			g += end;
		} else {
			g += *g == '\\';
			if (*g != *s)
				return false;
		}
	}
	return s == p->text_end;
}

/* The same for a whole rule of one line, without `!` and trailing slash. */
static int plain_match(const char *glob, size_t len, const char *path, size_t path_len)
{
	struct plain p = { .steps = 2000000, .text_end = path + path_len };
	bool r;

	p.is_path = memchr(glob, '/', len);
	p.glob = glob + (len && *glob == '/');
	p.end = glob + len;
	p.literal_end = p.is_path ? p.glob + watcher__glob_literal_length(p.glob,
									  (size_t)(p.end - p.glob)) :
				    NULL;
	if (!p.is_path && memrchr(path, '/', path_len))
		path = (const char *)memrchr(path, '/', path_len) + 1;
	r = fits(&p, p.glob, path);
	return p.steps < 0 ? -1 : r;
}

static void compare(struct rule_set *set, struct matcher *m, const char *path, size_t len)
{
	const char *slash = memrchr(path, '/', len), *name = slash ? slash + 1 : path;
	struct subject s = { .path = path, .path_len = len, .name = name };
	const struct rule *rule = &set->rules[0], *hit;
	const char *glob = rule->text + (rule->text[0] == '!');
	size_t glob_len = strlen(glob);
	int expected;

	s.name_len = (size_t)(path + len - name);
	s.is_dir = rule->flags & RULE_DIRS;
	hit = watcher__rules_match(set, m, &s, MATCH_ALL);
	expected = plain_match(glob, glob_len - !!(rule->flags & RULE_DIRS), path, len);
	if (expected >= 0 && expected != (hit != NULL))
		abort();
	for (size_t i = 1; hit && !(rule->flags & RULE_NEGATED) && i < len; i++)
		if (path[i - 1] == '/' && !watcher__rule_may_match_below(rule, m, path, i))
			abort();
}

static void glob_and_path(const char *text, size_t len)
{
	const char *path = memchr(text, '\n', len);
	struct rule_set *set;
	struct matcher m = { 0 };

	/* Paths have no NUL, no empty components, and no slash at either end. */
	if (!path || memchr(text, '\0', len) || memmem(path, len - (size_t)(path - text), "//", 2) ||
	    path + 1 == text + len || path[1] == '/' || text[len - 1] == '/')
		return;
	/* "./" is read as "/" in options. */
	if (memcmp(text, "./", 2) == 0 || (len > 3 && memcmp(text, "!./", 3) == 0))
		return;
	if (watcher__rules_new(&set, "fuzz", NULL) < 0 || watcher__matcher_init(&m) < 0)
		return;
	if (watcher__rules_add(set, RULE_SYNTAX_GLOB, text, (size_t)(path - text), 0, 0, NULL) == 0) {
		/* What was taken compiles. */
		if (watcher__rules_compile_below(set) < 0 || watcher__rules_compile(set, NULL) < 0)
			abort();
		compare(set, &m, path + 1, len - 1 - (size_t)(path - text));
	}
	watcher__rules_unref(set);
	watcher__matcher_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes value = { 0 };
	struct rule_set *set;

	glob_and_path((const char *)data, size);
	if (watcher__rules_new(&set, "fuzz", NULL) == 0) {
		if (watcher__ignore_text(set, (const char *)data, size) < 0)
			abort();
		watcher__rules_unref(set);
	}
	if (watcher__git_config_excludes(&value, (const char *)data, size) < 0)
		abort();
	bytes_free(&value);
	return 0;
}
