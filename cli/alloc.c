/* Memory that is there or ends the program, and vectors of strings. */
#include "alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *have(void *p)
{
	static const char line[] = "whendo: out of memory\n";

	if (p)
		return p;
	if (write(2, line, sizeof line - 1) < 0)
		_exit(125);
	_exit(125);
}

void *alloc_zero(size_t n, size_t size)
{
	return have(calloc(n ? n : 1, size));
}

void *alloc_again(void *p, size_t n, size_t size)
{
	return have(n > SIZE_MAX / 2 / size ? NULL : realloc(p, n * size));
}

char *alloc_copy(const char *s)
{
	return have(strdup(s));
}

char *alloc_copy_n(const char *s, size_t n)
{
	return have(strndup(s, n));
}

char *alloc_text(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return have(s);
}

void words_take(struct words *w, char *s)
{
	if (w->n + 2 > w->cap) {
		w->cap = w->cap ? w->cap * 2 : 8;
		w->v = alloc_again(w->v, w->cap, sizeof *w->v);
	}
	w->v[w->n++] = s;
	w->v[w->n] = NULL;
}

void words_add(struct words *w, const char *s)
{
	words_take(w, alloc_copy(s));
}

const char *const *words_list(const struct words *w)
{
	static const char *const none[] = { NULL };

	return w->v ? (const char *const *)w->v : none;
}

void words_free(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
	*w = (struct words){ 0 };
}
