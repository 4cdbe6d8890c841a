/*
 * Rule sets: reading rules, finding the last one that matches. Compiling them is in
 * rules_compile.c.
 */
#include "rules.h"

#include <ctype.h>
#include <strings.h>

#include "base/one_line.h"
#include "rules_compile.h"

int watcher__rules_new(struct rule_set **set, const char *origin, const char *base)
{
	struct rule_set *s = calloc(1, sizeof *s);

	if (!s)
		return UV_ENOMEM;
	s->refs = 1;
	s->origin = strdup(origin);
	s->base = base ? strdup(base) : NULL;
	if (!s->origin || (base && !s->base)) {
		watcher__rules_unref(s);
		return UV_ENOMEM;
	}
	*set = s;
	return 0;
}

static void rule_clear(struct rule *rule)
{
	free(rule->text);
	free(rule->plain);
	pcre2_code_free(rule->below);
}

void watcher__rules_unref(struct rule_set *set)
{
	if (!set || __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (uint32_t i = 0; i < set->count; i++)
		rule_clear(&set->rules[i]);
	for (uint32_t i = 0; i < set->chunk_count; i++)
		watcher__chunk_clear(&set->chunks[i]);
	free(set->rules);
	free(set->chunks);
	free(set->plain_rule);
	bytes_free(&set->lasts);
	free(set->origin);
	free(set->base);
	free(set);
}

/* ---- reading one rule ---- */

struct reading {
	const char *text; /* what is left of the rule's text */
	size_t len;
	struct rule rule;
	watcher_error *err;
};

int watcher__rule_refuse(watcher_error *err, const char *origin, const char *text, int code,
			 struct glob_fault fault)
{
	if (err) {
		err->code = code;
		err->offset = fault.offset;
		snprintf(err->message, sizeof err->message, "%s '%.300s': byte %zu: %s", origin,
			 text, fault.offset + 1, fault.reason);
		one_line(err->message);
	}
	return code;
}

static int refuse(const struct reading *in, int code, size_t offset, const char *reason)
{
	return watcher__rule_refuse(in->err, in->rule.origin, in->rule.text, code,
				    (struct glob_fault){ offset, reason });
}

/* Keeps what is to be compared when the glob has no wildcard but one star in front of a name. */
static int read_plain(struct reading *in)
{
	const char *s = in->text;
	size_t n = in->len, skip = 0;

	if (n && s[0] == '*' && in->rule.flags & RULE_NAME)
		skip = 1, in->rule.flags |= RULE_SUFFIX;
	else if (n && s[0] == '/')
		skip = 1;
	if (n == skip || watcher__glob_literal_length(s + skip, n - skip) < n - skip) {
		in->rule.flags &= ~(unsigned)RULE_SUFFIX;
		return 0;
	}
	if (!(in->rule.plain = strndup(s + skip, n - skip)))
		return UV_ENOMEM;
	in->rule.plain_len = (uint16_t)(n - skip);
	in->rule.flags |= RULE_PLAIN;
	return 0;
}

/* gitignore's shape of a rule: `!`, trailing '/', a '/' elsewhere anchors it. */
static int read_glob(struct reading *in)
{
	size_t skipped = 0;
	struct glob_fault fault;
	struct bytes scratch = { 0 };
	enum glob_style style;
	int r;

	if (in->len && in->text[0] == '!') {
		in->rule.flags ^= RULE_NEGATED;
		in->text++, in->len--, skipped++;
	}
	/* "./build" on a command line is anchored; in a file, as in git's, it matches nothing. */
	if (in->rule.line == 0 && in->len > 1 && in->text[0] == '.' && in->text[1] == '/')
		in->text++, in->len--, skipped++;
	if (in->len && in->text[in->len - 1] == '/') {
		in->rule.flags |= RULE_DIRS;
		in->len--;
	}
	if (in->len == 0 || (in->len == 1 && in->text[0] == '/'))
		return refuse(in, UV_EINVAL, skipped, "empty pattern");
	if (!memchr(in->text, '/', in->len))
		in->rule.flags |= RULE_NAME;
	style = in->rule.flags & RULE_NAME ? GLOB_NAME : GLOB_PATH;
	r = watcher__glob_to_regex(&scratch, in->text, in->len, style, &fault);
	bytes_free(&scratch);
	if (r == UV_EINVAL || r == UV_E2BIG)
		return refuse(in, r, skipped + fault.offset, fault.reason);
	return r < 0 ? r : read_plain(in);
}

static int read_full(struct reading *in)
{
	struct glob_fault fault;
	struct bytes scratch = { 0 };
	int r = watcher__glob_to_regex(&scratch, in->text, in->len, GLOB_FULL, &fault);

	bytes_free(&scratch);
	in->rule.flags |= RULE_FULL;
	return r == UV_EINVAL || r == UV_E2BIG ? refuse(in, r, fault.offset, fault.reason) : r;
}

int watcher__extension_check(const char *text, size_t len, struct glob_fault *fault)
{
	size_t odd = 0;

	while (odd < len && !memchr("/*?[", text[odd], 4))
		odd++;
	*fault = (struct glob_fault){ odd, "empty extension" };
	if (odd < len)
		fault->reason = text[odd] == '/' ? "an extension has no '/'" :
						   "an extension is no glob";
	if (len == 0 || odd < len)
		return UV_EINVAL;
	*fault = (struct glob_fault){ GLOB_MAX, "longer than 4096 bytes" };
	return len > GLOB_MAX ? UV_E2BIG : 0;
}

/* Its text has been checked. */
static int read_extension(struct reading *in)
{
	in->rule.plain = malloc(in->len + 2);
	if (!in->rule.plain)
		return UV_ENOMEM;
	snprintf(in->rule.plain, in->len + 2, "%s%.*s", in->text[0] == '.' ? "" : ".",
		 (int)in->len, in->text);
	in->rule.plain_len = (uint16_t)strlen(in->rule.plain);
	in->rule.flags |= RULE_NAME | RULE_SUFFIX | RULE_PLAIN | RULE_FILES;
	return 0;
}

static int read_regex(struct reading *in)
{
	pcre2_code *code;
	size_t offset;
	char reason[160];
	int r = watcher__compile_regex(&code, in->text, in->len, in->rule.flags & RULE_ICASE,
				       REGEX_UTF, &offset, reason, sizeof reason);

	if (r == UV_EINVAL || r == UV_E2BIG)
		return refuse(in, r, offset, reason);
	if (r < 0)
		return r;
	pcre2_code_free(code);
	in->rule.flags |= RULE_REGEX;
	return 0;
}

static int push(struct rule_set *set, const struct rule *rule)
{
	if (set->count == set->cap) {
		uint32_t cap = set->cap ? set->cap * 2 : 8;
		struct rule *v = realloc(set->rules, cap * sizeof *v);

		if (!v)
			return UV_ENOMEM;
		set->rules = v;
		set->cap = cap;
	}
	set->rules[set->count++] = *rule;
	return 0;
}

int watcher__rules_add(struct rule_set *set, enum rule_syntax syntax, const char *text, size_t len,
		       uint32_t line, unsigned flags, watcher_error *err)
{
	static int (*const readers[])(struct reading *) = { read_glob, read_full, read_extension,
							     read_regex };
	struct reading in = { .len = len, .err = err };
	int r;

	in.rule = (struct rule){ .origin = set->origin, .line = line, .flags = flags };
	if (!(in.rule.text = strndup(text, len)))
		return UV_ENOMEM;
	in.text = in.rule.text;
	r = readers[syntax](&in);
	/* A file keeps its malformed lines, as git does: they match nothing. */
	if (line && (r == UV_EINVAL || r == UV_E2BIG)) {
		in.rule.flags |= RULE_DEAD;
		r = 0;
	}
	if (r == 0)
		r = push(set, &in.rule);
	if (r < 0)
		rule_clear(&in.rule);
	return r;
}

void watcher__rules_truncate(struct rule_set *set, uint32_t count)
{
	while (set->count > count)
		rule_clear(&set->rules[--set->count]);
}

/* ---- matching ---- */

static bool plain_matches(const struct rule *rule, const struct subject *s)
{
	const char *p = rule->flags & RULE_NAME ? s->name : s->path;
	size_t n = rule->flags & RULE_NAME ? s->name_len : s->path_len;

	if (rule->flags & (s->is_dir ? RULE_FILES : RULE_DIRS))
		return false;
	if (n < rule->plain_len || (n > rule->plain_len && !(rule->flags & RULE_SUFFIX)))
		return false;
	p += n - rule->plain_len;
	return rule->flags & RULE_ICASE ? strncasecmp(p, rule->plain, rule->plain_len) == 0 :
					  memcmp(p, rule->plain, rule->plain_len) == 0;
}

static const char *find_last(const char *s, char c, size_t n)
{
#ifdef __linux__
	return memrchr(s, c, n);
#else
	while (n && s[n - 1] != c)
		n--;
	return n ? s + n - 1 : NULL;
#endif
}

/* The last plain rule that matches: its place in the set plus one, 0 for none. */
static uint32_t match_plain(const struct rule_set *set, const struct subject *s, char last)
{
	size_t n = set->lasts.len;
	const char *hit;

	while (n && (hit = find_last(set->lasts.data, last, n))) {
		n = (size_t)(hit - set->lasts.data);
		if (plain_matches(&set->rules[set->plain_rule[n]], s))
			return set->plain_rule[n] + 1;
	}
	return 0;
}

/* Plain rules are found by their last byte; one that ignores case is listed in both cases. */
static uint32_t best_plain(const struct rule_set *set, const struct subject *s)
{
	if (set->lasts.len == 0 || s->name_len == 0)
		return 0;
	return match_plain(set, s, s->name[s->name_len - 1]);
}

const struct rule *watcher__rules_match(const struct rule_set *set, struct matcher *m,
					const struct subject *s, enum match_scope scope)
{
	uint32_t best = best_plain(set, s);

	for (uint32_t i = set->chunk_count; i-- > 0;) {
		const struct rule_chunk *chunk = &set->chunks[i];
		uint32_t hit;

		if (chunk->end <= best)
			break;
		if ((chunk->full && scope != MATCH_ALL) ||
		    (chunk->regex && scope == MATCH_INHERITED))
			continue;
		if ((hit = watcher__chunk_match(set, chunk, m, s)) > best) {
			best = hit;
			break;
		}
	}
	return best ? &set->rules[best - 1] : NULL;
}
