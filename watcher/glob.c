/*
 * Globs to regular expressions: a list of tokens first, because whether a star may be taken
 * at its first fit depends on what comes after it. No matching here.
 */
#include "glob.h"

#include <ctype.h>
#include <stdbool.h>

enum token_kind {
	TOKEN_BYTE,
	TOKEN_ANY,  /* ? */
	TOKEN_SET,  /* [...]; `at` is where it begins */
	TOKEN_STAR, /* within a component */
	TOKEN_GAP,  /* two stars and a slash: any number of whole components, also none */
	TOKEN_DEEP, /* two stars before an escaped slash: as git, at least one component */
	TOKEN_TAIL  /* two stars at the end: everything */
};

struct token {
	uint16_t at;
	uint8_t kind;
	uint8_t byte;
};

struct tokens {
	struct token *v;
	size_t count;
};

static void set_add(uint8_t set[32], unsigned c)
{
	set[c >> 3] |= (uint8_t)(1u << (c & 7));
}

static bool set_has(const uint8_t set[32], unsigned c)
{
	return set[c >> 3] >> (c & 7) & 1;
}

static void set_add_range(uint8_t set[32], unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		set_add(set, c);
}

/* ASCII only, as git's own tables: the locale must not decide what is watched. */
static bool class_has(const char *name, size_t n, unsigned c)
{
	static const struct {
		const char *name;
		const char *ranges; /* pairs: from, to */
	} classes[] = {
		{ "alnum", "09AZaz" }, { "alpha", "AZaz" },   { "blank", "  \t\t" },
		{ "cntrl", "\1\37\177\177" }, { "digit", "09" }, { "graph", "!~" },
		{ "lower", "az" },     { "print", " ~" },     { "punct", "!/:@[`{~" },
		{ "space", "\t\n\r\r  " }, { "upper", "AZ" },     { "xdigit", "09AFaf" },
	};

	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		if (strlen(classes[i].name) != n || memcmp(classes[i].name, name, n) != 0)
			continue;
		for (const char *r = classes[i].ranges; *r; r += 2)
			if (c >= (unsigned char)r[0] && c <= (unsigned char)r[1])
				return true;
		return false;
	}
	return false;
}

static bool class_known(const char *name, size_t n)
{
	/* Every class has a member. */
	for (unsigned c = 1; c < 128; c++)
		if (class_has(name, n, c))
			return true;
	return false;
}

static long fault_at(struct glob_fault *fault, size_t offset, const char *reason)
{
	fault->offset = offset;
	fault->reason = reason;
	return -1;
}

/*
 * "[:name:]" at glob[at]: the offset of its ']', 0 if it is no class but a plain '[', -1 if
 * it is malformed. A name runs to the first ']', as in git.
 */
static long set_class(const char *glob, size_t len, size_t at, uint8_t set[32],
		      struct glob_fault *fault)
{
	size_t from = at + 2, end = from;

	while (end < len && glob[end] != ']')
		end++;
	if (end == len)
		return fault_at(fault, at, "character class without its \":]\"");
	if (end == from || glob[end - 1] != ':')
		return 0;
	if (!class_known(glob + from, end - 1 - from))
		return fault_at(fault, at, "unknown character class");
	for (unsigned c = 1; c < 256; c++)
		if (class_has(glob + from, end - 1 - from, c))
			set_add(set, c);
	return (long)end;
}

long watcher__glob_set(const char *glob, size_t len, size_t at, uint8_t set[32],
		       struct glob_fault *fault)
{
	static const char unclosed[] = "set without its ']'";
	size_t i = at + 1;
	unsigned last = 0; /* the byte a range may begin with */
	bool negated = i < len && (glob[i] == '!' || glob[i] == '^');
	long end;

	memset(set, 0, 32);
	i += negated;
	/* The first byte is a member even if it is ']'. */
	do {
		if (i >= len)
			return fault_at(fault, at, unclosed);
		if (glob[i] == '-' && last && i + 1 < len && glob[i + 1] != ']') {
			i += 1 + (glob[i + 1] == '\\');
			if (i >= len)
				return fault_at(fault, at, unclosed);
			set_add_range(set, last, (unsigned char)glob[i]);
			last = 0;
		} else if (glob[i] == '[' && i + 1 < len && glob[i + 1] == ':') {
			if ((end = set_class(glob, len, i, set, fault)) < 0)
				return -1;
			if (end == 0)
				set_add(set, last = '[');
			else
				i = (size_t)end, last = 0;
		} else {
			i += glob[i] == '\\';
			if (i >= len)
				return fault_at(fault, at, unclosed);
			set_add(set, last = (unsigned char)glob[i]);
		}
	} while (++i >= len || glob[i] != ']');
	for (size_t k = 0; negated && k < 32; k++)
		set[k] = (uint8_t)~set[k];
	return (long)i;
}

size_t watcher__glob_literal_length(const char *glob, size_t len)
{
	size_t n = 0;

	while (n < len && !memchr("*?[\\", glob[n], 4))
		n++;
	return n;
}

/* The kind of the run of stars glob[from..to). */
static enum token_kind stars(const char *glob, size_t len, size_t from, size_t to,
			     enum glob_style style)
{
	bool starts = from == 0 || glob[from - 1] == '/';

	/* git compares the literal start of a path glob by itself and hands only the rest to its
	 * matcher, for which the rest's stars then stand at the beginning. */
	if (style == GLOB_PATH && watcher__glob_literal_length(glob, len) == from)
		starts = true;
	if (style == GLOB_NAME || to - from < 2 || !starts)
		return TOKEN_STAR;
	if (to == len)
		return TOKEN_TAIL;
	if (glob[to] == '/')
		return TOKEN_GAP;
	return to + 1 < len && glob[to] == '\\' && glob[to + 1] == '/' ? TOKEN_DEEP : TOKEN_STAR;
}

static int tokenize(struct tokens *t, const char *glob, size_t len, enum glob_style style,
		    struct glob_fault *fault)
{
	for (size_t i = 0, from; i < len; i++) {
		struct token *k = &t->v[t->count++];
		uint8_t set[32];
		long end;

		*k = (struct token){ .at = (uint16_t)i, .kind = TOKEN_BYTE };
		switch (glob[i]) {
		case '\\':
			if (++i == len) {
				fault_at(fault, i - 1, "nothing after '\\'");
				return UV_EINVAL;
			}
			k->byte = (uint8_t)glob[i];
			break;
		case '?':
			k->kind = TOKEN_ANY;
			break;
		case '[':
			if ((end = watcher__glob_set(glob, len, i, set, fault)) < 0)
				return UV_EINVAL;
			k->kind = TOKEN_SET;
			i = (size_t)end;
			break;
		case '*':
			for (from = i; i + 1 < len && glob[i + 1] == '*';)
				i++;
			k->kind = (uint8_t)stars(glob, len, from, i + 1, style);
			i += k->kind == TOKEN_GAP;
			break;
		default:
			k->byte = (uint8_t)glob[i];
		}
	}
	return 0;
}

static int add_literal(struct bytes *out, const char *s, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		unsigned char c = (unsigned char)s[i];

		r = c < 128 && isalnum(c) ? bytes_addc(out, (char)c) : bytes_addf(out, "\\x%02x", c);
	}
	return r;
}

static int emit_set(struct bytes *out, const char *glob, size_t len, size_t at)
{
	struct glob_fault ignored;
	uint8_t set[32];
	int r;

	watcher__glob_set(glob, len, at, set, &ignored);
	set['/' >> 3] &= (uint8_t)~(1u << ('/' & 7));
	set[0] &= (uint8_t)~1u;
	r = bytes_adds(out, "[");
	for (unsigned c = 0, end; c < 256 && r == 0; c = end + 1) {
		end = c;
		if (!set_has(set, c))
			continue;
		while (end < 255 && set_has(set, end + 1))
			end++;
		r = bytes_addf(out, "\\x%02x-\\x%02x", c, end);
	}
	if (r == 0 && out->data[out->len - 1] == '[') {
		out->len--;
		return bytes_adds(out, "(*F)");
	}
	return r < 0 ? r : bytes_adds(out, "]");
}

static bool is_gap(const struct token *k)
{
	return k->kind >= TOKEN_GAP;
}

/* Is there another star in the same component behind token `i`? */
static bool star_follows(const struct tokens *t, size_t i)
{
	while (++i < t->count && !is_gap(&t->v[i])) {
		if (t->v[i].kind == TOKEN_STAR)
			return true;
		if (t->v[i].kind == TOKEN_BYTE && t->v[i].byte == '/')
			return false;
	}
	return false;
}

static bool gap_follows(const struct tokens *t, size_t i)
{
	while (++i < t->count)
		if (is_gap(&t->v[i]))
			return true;
	return false;
}

/* Which atomic groups are open. A star's group always ends within that of a gap. */
struct emitter {
	struct bytes *out;
	bool in_star, in_gap;
};

static int close_group(struct emitter *e, bool *open)
{
	bool was = *open;

	*open = false;
	return was ? bytes_adds(e->out, ")") : 0;
}

static int emit_star(struct emitter *e, const struct tokens *t, size_t i)
{
	int r = close_group(e, &e->in_star);

	if (r < 0)
		return r;
	e->in_star = star_follows(t, i);
	return bytes_adds(e->out, e->in_star ? "(?>[^/]*?" : "[^/]*");
}

static int emit_gap(struct emitter *e, const struct tokens *t, size_t i)
{
	static const char *const first[] = { "(?>(?:.*?/)??", "(?>.*?" };
	static const char *const last[] = { "(?:.*/)?", ".*" };
	bool deep = t->v[i].kind != TOKEN_GAP;
	int r = close_group(e, &e->in_gap);

	if (r < 0)
		return r;
	e->in_gap = gap_follows(t, i);
	return bytes_adds(e->out, e->in_gap ? first[deep] : last[deep]);
}

static int emit(struct emitter *e, const struct tokens *t, const char *glob, size_t len, size_t i)
{
	const struct token *k = &t->v[i];

	switch ((enum token_kind)k->kind) {
	case TOKEN_BYTE:
		return add_literal(e->out, (const char *)&k->byte, 1);
	case TOKEN_ANY:
		return bytes_adds(e->out, "[^/]");
	case TOKEN_SET:
		return emit_set(e->out, glob, len, k->at);
	case TOKEN_STAR:
		return emit_star(e, t, i);
	case TOKEN_GAP:
	case TOKEN_DEEP:
	case TOKEN_TAIL:
		return emit_gap(e, t, i);
	}
	return UV_EINVAL;
}

int watcher__glob_to_regex(struct bytes *out, const char *glob, size_t len, enum glob_style style,
			   struct glob_fault *fault)
{
	struct tokens t = { NULL, 0 };
	struct emitter e = { .out = out };
	size_t skipped = style == GLOB_PATH && len && glob[0] == '/';
	int r;

	if (len > GLOB_MAX) {
		fault_at(fault, GLOB_MAX, "longer than 4096 bytes");
		return UV_E2BIG;
	}
	glob += skipped;
	len -= skipped;
	if (!(t.v = malloc((len + 1) * sizeof *t.v)))
		return UV_ENOMEM;
	r = tokenize(&t, glob, len, style, fault);
	for (size_t i = 0; i < t.count && r == 0; i++)
		r = emit(&e, &t, glob, len, i);
	if (r == 0)
		r = close_group(&e, &e.in_gap);
	if (r == UV_EINVAL)
		fault->offset += skipped;
	free(t.v);
	return r;
}
