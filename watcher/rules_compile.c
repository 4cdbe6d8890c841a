/*
 * Programs for rules. The rules of a chunk are the branches of one expression, the last rule
 * first, so that the first branch that fits is the last rule that matches; a (*MARK) at the
 * end of each says which it was. `^` is how a branch asks for a directory: matching a file is
 * done with PCRE2_NOTBOL, under which `^` fails and `\A` does not. `$` and PCRE2_NOTEOL ask
 * for what is not a directory.
 */
#include "rules_compile.h"

#include "glob.h"

enum {
	CHUNK_RULES = 32,
	CHUNK_BYTES = 1500 /* of globs; GLOB_MAX alone may be more, and still fits PCRE2's 64 KiB */
};

/* ---- memory: PCRE2 takes it from where we take it ---- */

static void *from_heap(size_t n, void *data)
{
	(void)data;
	return malloc(n);
}

static void to_heap(void *p, void *data)
{
	(void)data;
	free(p);
}

static pcre2_general_context *heap(void)
{
	return pcre2_general_context_create(from_heap, to_heap, NULL);
}

int watcher__matcher_init(struct matcher *m)
{
	pcre2_general_context *general = heap();

	m->data = general ? pcre2_match_data_create(1, general) : NULL;
	m->regex_limits = general ? pcre2_match_context_create(general) : NULL;
	pcre2_general_context_free(general);
	if (!m->data || !m->regex_limits) {
		watcher__matcher_free(m);
		return UV_ENOMEM;
	}
	pcre2_set_match_limit(m->regex_limits, REGEX_MATCH_LIMIT);
	pcre2_set_depth_limit(m->regex_limits, REGEX_MATCH_LIMIT);
	pcre2_set_heap_limit(m->regex_limits, 16 * 1024); /* KiB */
	return 0;
}

void watcher__matcher_free(struct matcher *m)
{
	pcre2_match_data_free(m->data);
	pcre2_match_context_free(m->regex_limits);
	m->data = NULL;
	m->regex_limits = NULL;
}

/* ---- compiling ---- */

static int compile(pcre2_code **code, const char *text, size_t len, uint32_t options,
		   uint32_t jit, int *error, size_t *offset)
{
	pcre2_general_context *general = heap();
	pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;

	if (!context) {
		pcre2_general_context_free(general);
		return UV_ENOMEM;
	}
	*code = pcre2_compile((PCRE2_SPTR)text, len, options, error, offset, context);
	pcre2_compile_context_free(context);
	pcre2_general_context_free(general);
	if (!*code)
		return *error == PCRE2_ERROR_HEAP_FAILED ? UV_ENOMEM : UV_EINVAL;
	/* Without JIT (no executable memory, another CPU) pcre2_match interprets. */
	pcre2_jit_compile(*code, jit);
	return 0;
}

int watcher__compile_regex(pcre2_code **code, const char *text, size_t len, unsigned icase,
			   enum regex_units units, size_t *offset, char *reason,
			   size_t reason_size)
{
	uint32_t options = PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
			   (icase ? PCRE2_CASELESS : 0);
	int error = 0, r;

	if (len > REGEX_MAX) {
		snprintf(reason, reason_size, "longer than %d bytes", REGEX_MAX);
		*offset = REGEX_MAX;
		return UV_E2BIG;
	}
	r = compile(code, text, len, options | (units == REGEX_UTF ? PCRE2_UTF : 0),
		    PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD, &error, offset);
	/* The expression itself is not UTF-8: then neither are the names it is for. */
	if (r == UV_EINVAL && error <= PCRE2_ERROR_UTF8_ERR1 && error >= PCRE2_ERROR_UTF8_ERR21)
		r = compile(code, text, len, options, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD,
			    &error, offset);
	if (r == UV_EINVAL)
		pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, reason_size);
	return r;
}

static const char *glob_of(const struct rule *rule, size_t *len)
{
	const char *glob = rule->text;

	if (rule->flags & RULE_FULL) {
		*len = strlen(glob);
		return glob;
	}
	glob += glob[0] == '!';
	glob += rule->line == 0 && glob[0] == '.' && glob[1] == '/';
	*len = strlen(glob) - (rule->flags & RULE_DIRS ? 1 : 0);
	return glob;
}

static enum glob_style style_of(const struct rule *rule)
{
	if (rule->flags & RULE_FULL)
		return GLOB_FULL;
	return rule->flags & RULE_NAME ? GLOB_NAME : GLOB_PATH;
}

static int add_branch(struct bytes *text, const struct rule *rule, uint32_t place)
{
	struct glob_fault fault;
	size_t len;
	const char *glob = glob_of(rule, &len);
	int r = bytes_adds(text, text->len ? "|" : "");

	if (r == 0)
		r = bytes_adds(text, rule->flags & RULE_DIRS ? "^" : "\\A");
	if (r == 0)
		r = watcher__glob_to_regex(text, glob, len, style_of(rule), &fault);
	if (r == 0)
		r = bytes_addf(text, "%s(*:%u)", rule->flags & RULE_FILES ? "$" : "\\z", place);
	return r;
}

/* One program of the rules [first, end) that are neither plain nor dead, name or path ones. */
static int compile_branches(pcre2_code **code, const struct rule_set *set,
			    const struct rule_chunk *chunk, unsigned name)
{
	struct bytes text = { 0 };
	uint32_t icase = 0;
	size_t offset;
	int r = 0, error;

	for (uint32_t i = chunk->end; i-- > chunk->first && r == 0;) {
		const struct rule *rule = &set->rules[i];

		if (rule->flags & (RULE_PLAIN | RULE_DEAD) || (rule->flags & RULE_NAME) != name)
			continue;
		icase = rule->flags & RULE_ICASE ? PCRE2_CASELESS : 0;
		r = add_branch(&text, rule, i + 1);
	}
	if (r == 0 && text.len)
		r = compile(code, text.data, text.len,
			    icase | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE,
			    PCRE2_JIT_COMPLETE, &error, &offset);
	bytes_free(&text);
	return r;
}

void watcher__chunk_clear(struct rule_chunk *chunk)
{
	pcre2_code_free(chunk->name);
	pcre2_code_free(chunk->path);
	chunk->name = chunk->path = NULL;
}

/* A regex for names that are UTF-8, and one for those that are not. Some expressions say what
 * bytes cannot be; they do not match such names. */
static int compile_both(const struct rule *rule, struct rule_chunk *chunk)
{
	unsigned icase = rule->flags & RULE_ICASE;
	size_t len = strlen(rule->text), offset;
	char reason[80];
	int r = watcher__compile_regex(&chunk->path, rule->text, len, icase, REGEX_UTF, &offset,
				       reason, sizeof reason);

	if (r < 0)
		return r;
	r = watcher__compile_regex(&chunk->name, rule->text, len, icase, REGEX_BYTES, &offset,
				   reason, sizeof reason);
	if (r != UV_ENOMEM)
		return 0;
	watcher__chunk_clear(chunk);
	return r;
}

static int compile_chunk(const struct rule_set *set, struct rule_chunk *chunk)
{
	const struct rule *rule = &set->rules[chunk->first];
	int r;

	if (chunk->regex)
		return compile_both(rule, chunk);
	r = compile_branches(&chunk->name, set, chunk, RULE_NAME);
	if (r == 0)
		r = compile_branches(&chunk->path, set, chunk, 0);
	if (r < 0)
		watcher__chunk_clear(chunk);
	return r;
}

/* ---- chunks ---- */

static bool chunk_takes(const struct rule_chunk *chunk, const struct rule *rule, uint32_t icase)
{
	return !chunk->regex && !(rule->flags & RULE_REGEX) &&
	       (rule->flags & RULE_ICASE) == icase && chunk->full == !!(rule->flags & RULE_FULL) &&
	       chunk->end - chunk->first < CHUNK_RULES &&
	       chunk->bytes + strlen(rule->text) <= CHUNK_BYTES;
}

/* The chunk that begins with rule `first` and takes what follows, as far as it may. */
static struct rule_chunk next_chunk(const struct rule_set *set, uint32_t first)
{
	const struct rule *rule = &set->rules[first];
	struct rule_chunk chunk = {
		.first = first,
		.end = first + 1,
		.bytes = (uint32_t)strlen(rule->text),
		.regex = rule->flags & RULE_REGEX,
		.full = rule->flags & RULE_FULL,
	};

	while (chunk.end < set->count &&
	       chunk_takes(&chunk, &set->rules[chunk.end], rule->flags & RULE_ICASE)) {
		chunk.bytes += (uint32_t)strlen(set->rules[chunk.end].text);
		chunk.end++;
	}
	return chunk;
}

static int reserve_chunks(struct rule_set *set)
{
	uint32_t cap = set->chunk_cap ? set->chunk_cap * 2 : 2;
	struct rule_chunk *v;

	if (set->chunk_count < set->chunk_cap)
		return 0;
	if (!(v = realloc(set->chunks, cap * sizeof *v)))
		return UV_ENOMEM;
	set->chunks = v;
	set->chunk_cap = cap;
	return 0;
}

static int list_plain(struct rule_set *set, uint32_t place, char last)
{
	size_t n = set->lasts.len;

	if (n == set->plain_cap) {
		size_t cap = n ? n * 2 : 8;
		uint32_t *v = realloc(set->plain_rule, cap * sizeof *v);

		if (!v)
			return UV_ENOMEM;
		set->plain_rule = v;
		set->plain_cap = cap;
	}
	set->plain_rule[n] = place;
	return bytes_addc(&set->lasts, last);
}

static int list_plains(struct rule_set *set, uint32_t first)
{
	int r = 0;

	for (uint32_t i = first; i < set->count && r == 0; i++) {
		const struct rule *rule = &set->rules[i];
		char last;

		if (!(rule->flags & RULE_PLAIN))
			continue;
		last = rule->plain[rule->plain_len - 1];
		r = list_plain(set, i, last);
		if (r == 0 && rule->flags & RULE_ICASE && last >= 'a' && last <= 'z')
			r = list_plain(set, i, (char)(last - 32));
		else if (r == 0 && rule->flags & RULE_ICASE && last >= 'A' && last <= 'Z')
			r = list_plain(set, i, (char)(last + 32));
	}
	return r;
}

/* Chunks for the rules from `from` on; the last chunk is made again if they fit into it. */
static int compile_from(struct rule_set *set, uint32_t from)
{
	int r = 0;

	while (from < set->count && r == 0) {
		struct rule_chunk *last =
			set->chunk_count ? &set->chunks[set->chunk_count - 1] : NULL;
		struct rule_chunk chunk = next_chunk(set, last ? last->first : from);
		bool grows = last && chunk.end > from;

		if (!grows)
			chunk = next_chunk(set, from);
		if ((r = reserve_chunks(set)) < 0 || (r = compile_chunk(set, &chunk)) < 0)
			break;
		if (grows)
			watcher__chunk_clear(&set->chunks[--set->chunk_count]);
		set->chunks[set->chunk_count++] = chunk;
		from = chunk.end;
	}
	return r;
}

static void note_kinds(struct rule_set *set)
{
	set->has_regex = set->has_positive = false;
	for (uint32_t i = 0; i < set->count; i++) {
		set->has_regex |= set->rules[i].flags & RULE_REGEX;
		set->has_positive |= !(set->rules[i].flags & (RULE_NEGATED | RULE_DEAD));
	}
}

int watcher__rules_compile(struct rule_set *set, watcher_error *err)
{
	uint32_t from = set->chunk_count ? set->chunks[set->chunk_count - 1].end : 0;
	size_t plains = set->lasts.len;
	int r = list_plains(set, from);

	if (r == 0)
		r = compile_from(set, from);
	if (r < 0) {
		/* Only a set that is about to be thrown away has more than one new chunk. */
		if (set->chunk_count && set->chunks[set->chunk_count - 1].end > from)
			from = set->chunks[set->chunk_count - 1].end;
		while (set->lasts.len > plains)
			set->lasts.data[--set->lasts.len] = '\0';
		watcher__rules_truncate(set, from);
		if (err)
			*err = (watcher_error){ .code = r };
		if (err)
			snprintf(err->message, sizeof err->message, "%s: cannot compile the rules: %s",
				 set->origin, uv_strerror(r));
	}
	note_kinds(set);
	return r;
}

static int compile_below(struct rule *rule)
{
	struct bytes text = { 0 };
	size_t offset;
	char reason[80];
	int error, r;

	if (rule->flags & RULE_REGEX)
		return watcher__compile_regex(&rule->below, rule->text, strlen(rule->text),
					      rule->flags & RULE_ICASE, REGEX_UTF, &offset,
					      reason, sizeof reason);
	r = add_branch(&text, rule, 1);
	if (r == 0)
		r = compile(&rule->below, text.data, text.len,
			    PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY |
				    (rule->flags & RULE_ICASE ? PCRE2_CASELESS : 0),
			    PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD, &error, &offset);
	bytes_free(&text);
	return r;
}

int watcher__rules_compile_below(struct rule_set *set)
{
	int r = 0;

	for (uint32_t i = 0; i < set->count && r == 0; i++) {
		struct rule *rule = &set->rules[i];

		if (!rule->below && !(rule->flags & (RULE_NEGATED | RULE_NAME | RULE_DEAD)))
			r = compile_below(rule);
	}
	return r;
}

/* ---- matching ---- */

/* The number in the mark of the branch that matched. */
static uint32_t place_of_mark(pcre2_match_data *data)
{
	const char *mark = (const char *)pcre2_get_mark(data);
	uint32_t place = 0;

	while (mark && *mark)
		place = place * 10 + (uint32_t)(*mark++ - '0');
	return place;
}

static int search(const pcre2_code *code, struct matcher *m, const struct subject *s)
{
	int r = pcre2_match(code, (PCRE2_SPTR)s->path, s->path_len, 0, 0, m->data, m->regex_limits);

	/* The interpreter takes its stack from the heap. */
	if (r == PCRE2_ERROR_JIT_STACKLIMIT)
		r = pcre2_match(code, (PCRE2_SPTR)s->path, s->path_len, 0, PCRE2_NO_JIT, m->data,
				m->regex_limits);
	return r;
}

static uint32_t match_regex(const struct rule_set *set, const struct rule_chunk *chunk,
			    struct matcher *m, const struct subject *s)
{
	const struct rule *rule = &set->rules[chunk->first];
	int r = search(chunk->path, m, s);

	if (r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21)
		r = chunk->name ? search(chunk->name, m, s) : PCRE2_ERROR_NOMATCH;
	if (r >= 0)
		return chunk->end;
	if (r == PCRE2_ERROR_NOMATCH)
		return 0;
	if (m->gave_up)
		m->gave_up(rule, m->arg);
	return m->list_wants == !(rule->flags & RULE_NEGATED) ? chunk->end : 0;
}

static uint32_t match_code(const pcre2_code *code, struct matcher *m, const char *p, size_t n,
			   bool is_dir)
{
	uint32_t options = is_dir ? PCRE2_NOTEOL : PCRE2_NOTBOL;
	int r = pcre2_jit_match(code, (PCRE2_SPTR)p, n, 0, options, m->data, NULL);

	/* No JIT here, or too small a stack for it. Programs of globs need no limits: their time
	 * is bounded by how they are made. */
	if (r < 0 && r != PCRE2_ERROR_NOMATCH)
		r = pcre2_match(code, (PCRE2_SPTR)p, n, 0, options | PCRE2_NO_JIT, m->data, NULL);
	return r >= 0 ? place_of_mark(m->data) : 0;
}

uint32_t watcher__chunk_match(const struct rule_set *set, const struct rule_chunk *chunk,
			      struct matcher *m, const struct subject *s)
{
	uint32_t best = 0, hit;

	if (chunk->regex)
		return match_regex(set, chunk, m, s);
	if (chunk->name && s->name_len)
		best = match_code(chunk->name, m, s->name, s->name_len, s->is_dir);
	if (!chunk->path)
		return best;
	if (chunk->full)
		hit = match_code(chunk->path, m, s->full, s->full_len, s->is_dir);
	else
		hit = s->path_len ? match_code(chunk->path, m, s->path, s->path_len, s->is_dir) : 0;
	return hit > best ? hit : best;
}

bool watcher__rule_may_match_below(const struct rule *rule, struct matcher *m, const char *path,
				   size_t len)
{
	uint32_t options = 0;
	int r;

	if (!rule->below)
		return !(rule->flags & RULE_DEAD);
	/* Only an anchored program tells by the lack of a partial match that there cannot be a
	 * full one: a search can also begin behind what is given. */
	pcre2_pattern_info(rule->below, PCRE2_INFO_ALLOPTIONS, &options);
	if (!(options & PCRE2_ANCHORED))
		return true;
	r = pcre2_match(rule->below, (PCRE2_SPTR)path, len, 0, PCRE2_PARTIAL_HARD, m->data,
			m->regex_limits);
	return r != PCRE2_ERROR_NOMATCH;
}
