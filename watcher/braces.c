/* Brace expansion, as shells do it for lists. */
#include "braces.h"

#include "base/bytes.h"
#include "glob.h"

struct expansion {
	int (*each)(const char *glob, size_t len, void *arg);
	void *arg;
	unsigned given;
};

/* The byte behind what stands at `i`: an escaped byte and a set are one thing. */
static size_t step(const char *glob, size_t len, size_t i)
{
	struct glob_fault ignored;
	uint8_t set[32];
	long end;

	if (glob[i] == '\\' && i + 1 < len)
		return i + 2;
	if (glob[i] == '[' && (end = watcher__glob_set(glob, len, i, set, &ignored)) > 0)
		return (size_t)end + 1;
	return i + 1;
}

/* The end of the alternative that begins at `i`: its ',' or '}', or `len`. */
static size_t alternative_end(const char *glob, size_t len, size_t i)
{
	int depth = 0;

	for (; i < len; i = step(glob, len, i)) {
		if (depth == 0 && (glob[i] == ',' || glob[i] == '}'))
			break;
		depth += glob[i] == '{' ? 1 : glob[i] == '}' ? -1 : 0;
	}
	return i;
}

/* Finds the first pair of braces with a comma: the offset of '{', and *close of '}'. */
static size_t find_list(const char *glob, size_t len, size_t *close)
{
	for (size_t i = 0; i < len; i = step(glob, len, i)) {
		size_t end, alternatives = 0;

		if (glob[i] != '{')
			continue;
		for (end = i; end < len && (end == i || glob[end] == ','); alternatives++)
			end = alternative_end(glob, len, end + 1);
		if (end < len && alternatives > 1) {
			*close = end;
			return i;
		}
	}
	return len;
}

static int expand(struct expansion *e, const char *glob, size_t len)
{
	size_t close = 0, open = find_list(glob, len, &close), end;
	int r = 0;

	if (open == len)
		return ++e->given > BRACES_MAX ? UV_E2BIG : e->each(glob, len, e->arg);
	for (size_t at = open; at != close && r == 0; at = end) {
		struct bytes one = { 0 };

		end = alternative_end(glob, len, at + 1);
		r = bytes_add(&one, glob, open);
		if (r == 0)
			r = bytes_add(&one, glob + at + 1, end - at - 1);
		if (r == 0)
			r = bytes_add(&one, glob + close + 1, len - close - 1);
		if (r == 0)
			r = expand(e, one.data, one.len);
		bytes_free(&one);
	}
	return r;
}

int watcher__braces_expand(const char *glob, size_t len,
			   int (*each)(const char *glob, size_t len, void *arg), void *arg)
{
	struct expansion e = { .each = each, .arg = arg };

	/* Nesting is bounded by the length, and the length by what a glob may have. */
	if (len > GLOB_MAX)
		return each(glob, len, arg);
	return expand(&e, glob, len);
}
