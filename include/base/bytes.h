/*
 * Growable bytes with a maximum: the one way this project builds text and buffers.
 *
 * A zeroed struct is an empty buffer without a limit of its own; set `max` before the
 * first byte for a limit. The content is always NUL-ended once anything was added, so
 * `data` can be read as a C string; it is NULL before that. Every adding call returns 0, or
 * UV_ENOMEM / UV_E2BIG with the content unchanged. Not for sharing between threads.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct bytes {
	char *data;
	size_t len;
	size_t cap;
	size_t max; /* 0: as much as memory gives */
};

static inline void bytes_free(struct bytes *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

/* Keeps the memory, drops the content. */
static inline void bytes_clear(struct bytes *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

/* Back to the first `len` bytes, which are there. */
static inline void bytes_cut(struct bytes *b, size_t len)
{
	b->len = len;
	if (b->data)
		b->data[len] = '\0';
}

/* Makes room for `more` bytes and the NUL behind them, so that a caller may write in place. */
static inline int bytes_reserve(struct bytes *b, size_t more)
{
	size_t need = b->len + more + 1, cap = b->cap ? b->cap : 64;
	char *p;

	if (more > (size_t)-1 / 4 || (b->max && b->len + more > b->max))
		return UV_E2BIG;
	if (need <= b->cap)
		return 0;
	while (cap < need)
		cap += cap / 2 + 16;
	if (!(p = realloc(b->data, cap)))
		return UV_ENOMEM;
	b->data = p;
	b->cap = cap;
	return 0;
}

static inline int bytes_add(struct bytes *b, const void *p, size_t n)
{
	int r = bytes_reserve(b, n);

	if (r < 0)
		return r;
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

static inline int bytes_adds(struct bytes *b, const char *s)
{
	return bytes_add(b, s, strlen(s));
}

static inline int bytes_addc(struct bytes *b, char c)
{
	return bytes_add(b, &c, 1);
}

__attribute__((format(printf, 2, 3))) static inline int bytes_addf(struct bytes *b,
								   const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return UV_EINVAL;
	if ((r = bytes_reserve(b, (size_t)n)) < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

/* Hands the memory over to the caller, who frees it; the buffer is empty again. */
static inline char *bytes_take(struct bytes *b)
{
	char *p = b->data;

	b->data = NULL;
	b->len = b->cap = 0;
	return p;
}

#endif
