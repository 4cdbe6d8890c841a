/*
 * Splitting: text and formats into arguments. It knows a shell's quoting rules and printf's
 * conversions, and neither files, processes nor options.
 */
#include "shellcmd/words.h"

#include <inttypes.h>
#include <stdint.h>

#include "whendo/shellcmd.h"

const char sh_skip_[] = "";

/* ------------------------------------------------------------ the list ---- */

int sh__words_add(struct sh__words *w, const char *word)
{
	int r = bytes_add(&w->text, word, strlen(word) + 1);

	if (r < 0)
		return r;
	w->n++;
	return 0;
}

void sh__words_free(struct sh__words *w)
{
	bytes_free(&w->text);
	w->n = 0;
}

int sh__words_take(struct sh__words *w, char ***out)
{
	size_t vector = (w->n + 1) * sizeof(char *);
	char **v = malloc(vector + w->text.len), *p;

	if (!v)
		return UV_ENOMEM;
	p = (char *)v + vector;
	if (w->text.len)
		memcpy(p, w->text.data, w->text.len);
	for (size_t i = 0; i < w->n; i++, p += strlen(p) + 1)
		v[i] = p;
	v[w->n] = NULL;
	sh__words_free(w);
	*out = v;
	return 0;
}

/* ----------------------------------------------------------- splitting ---- */

/* va_list may be an array type; in a struct it can be handed on by address everywhere. */
struct arguments {
	va_list ap;
};

struct reader {
	const char *line, *p;
	struct bytes *word;	/* where the present word grows */
	struct arguments *args; /* NULL: % means itself */
	struct sh__unreadable *bad;
	int skipped; /* the present word had SH_SKIP for its %s */
};

static int unreadable(struct reader *in, const char *at, const char *why)
{
	in->bad->offset = (size_t)(at - in->line);
	in->bad->why = why;
	return UV_EINVAL;
}

/* One printf conversion. */
struct conversion {
	int zero, width, precision; /* a negative width is the flag '-' */
	char length, kind;	    /* 'H' is hh, 'L' is ll, 0 is none */
};

static int read_number(const char **p)
{
	int n = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++)
		if (n < 100000)
			n = n * 10 + (**p - '0');
	return n;
}

static void read_conversion(struct conversion *c, const char **p)
{
	int left = 0;

	*c = (struct conversion){ .precision = -1 };
	for (; **p == '-' || **p == '0'; (*p)++)
		if (**p == '-')
			left = 1;
		else
			c->zero = 1;
	c->width = read_number(p) * (left ? -1 : 1);
	if (**p == '.') {
		(*p)++;
		c->precision = read_number(p);
	}
	if (**p && strchr("hlzjt", **p)) {
		c->length = *(*p)++;
		if (**p == c->length && (**p == 'h' || **p == 'l'))
			c->length = *(*p)++ == 'h' ? 'H' : 'L';
	}
	if (**p)
		c->kind = *(*p)++;
}

static intmax_t signed_argument(char length, va_list *ap)
{
	switch (length) {
	case 'H':
		return (signed char)va_arg(*ap, int);
	case 'h':
		return (short)va_arg(*ap, int);
	case 'l':
		return va_arg(*ap, long);
	case 'L':
		return va_arg(*ap, long long);
	case 'z':
	case 't':
		return va_arg(*ap, ptrdiff_t);
	case 'j':
		return va_arg(*ap, intmax_t);
	}
	return va_arg(*ap, int);
}

static uintmax_t unsigned_argument(char length, va_list *ap)
{
	switch (length) {
	case 'H':
		return (unsigned char)va_arg(*ap, unsigned);
	case 'h':
		return (unsigned short)va_arg(*ap, unsigned);
	case 'l':
		return va_arg(*ap, unsigned long);
	case 'L':
		return va_arg(*ap, unsigned long long);
	case 'z':
	case 't':
		return va_arg(*ap, size_t);
	case 'j':
		return va_arg(*ap, uintmax_t);
	}
	return va_arg(*ap, unsigned);
}

static int add_integer(struct bytes *out, const struct conversion *c, va_list *ap)
{
	int w = c->width, p = c->precision, pad = c->zero && p < 0 && w > 0;

	/* Zero padding to a width is a precision in all but the sign, which "%0*" minds. */
	switch (c->kind) {
	case 'd':
	case 'i':
		return pad ? bytes_addf(out, "%0*jd", w, signed_argument(c->length, ap))
			   : bytes_addf(out, "%*.*jd", w, p, signed_argument(c->length, ap));
	case 'u':
		return bytes_addf(out, "%*.*ju", w, pad ? w : p,
				  unsigned_argument(c->length, ap));
	case 'x':
		return bytes_addf(out, "%*.*jx", w, pad ? w : p,
				  unsigned_argument(c->length, ap));
	case 'X':
		return bytes_addf(out, "%*.*jX", w, pad ? w : p,
				  unsigned_argument(c->length, ap));
	}
	return bytes_addf(out, "%*.*jo", w, pad ? w : p, unsigned_argument(c->length, ap));
}

static int add_double(struct bytes *out, const struct conversion *c, double v)
{
	int w = c->width, p = c->precision;

	if (c->kind == 'f')
		return c->zero ? bytes_addf(out, "%0*.*f", w, p, v)
			       : bytes_addf(out, "%*.*f", w, p, v);
	if (c->kind == 'e')
		return c->zero ? bytes_addf(out, "%0*.*e", w, p, v)
			       : bytes_addf(out, "%*.*e", w, p, v);
	return c->zero ? bytes_addf(out, "%0*.*g", w, p, v) : bytes_addf(out, "%*.*g", w, p, v);
}

static int add_text(struct reader *in, const char *at, const struct conversion *c)
{
	const char *s = va_arg(in->args->ap, const char *);

	if (!s)
		return unreadable(in, at, "NULL for %s");
	if (s == SH_SKIP) {
		in->skipped = 1;
		return 0;
	}
	return bytes_addf(in->word, "%*.*s", c->width, c->precision, s);
}

/* in->p is behind the '%' at `at`. */
static int add_conversion(struct reader *in, const char *at)
{
	struct conversion c;
	int ch;

	read_conversion(&c, &in->p);
	if (c.kind == '%' && in->p == at + 2)
		return bytes_addc(in->word, '%');
	if (c.kind && strchr("diuxXo", c.kind))
		return add_integer(in->word, &c, &in->args->ap);
	if (c.kind && strchr("feg", c.kind) && (c.length == 0 || c.length == 'l'))
		return add_double(in->word, &c, va_arg(in->args->ap, double));
	if (c.kind == 's' && !c.length)
		return add_text(in, at, &c);
	if (c.kind == 'c' && !c.length) {
		if (!(ch = (unsigned char)va_arg(in->args->ap, int)))
			return unreadable(in, at, "NUL for %c");
		return bytes_addf(in->word, "%*c", c.width, ch);
	}
	return unreadable(in, at, "unknown conversion");
}

/* One byte that quoting has nothing to say about. */
static int add_plain(struct reader *in)
{
	if (*in->p == '%' && in->args) {
		in->p++;
		return add_conversion(in, in->p - 1);
	}
	return bytes_addc(in->word, *in->p++);
}

static int read_single(struct reader *in)
{
	const char *open = in->p++;
	int r = 0;

	while (r == 0 && *in->p && *in->p != '\'')
		r = add_plain(in);
	if (r < 0)
		return r;
	if (!*in->p)
		return unreadable(in, open, "' is not closed");
	in->p++;
	return 0;
}

static int read_double(struct reader *in)
{
	const char *open = in->p++;
	int r = 0;

	while (r == 0 && *in->p && *in->p != '"') {
		if (in->p[0] != '\\' || !in->p[1] || !strchr("$`\"\\\n", in->p[1])) {
			r = add_plain(in);
			continue;
		}
		if (in->p[1] != '\n')
			r = bytes_addc(in->word, in->p[1]);
		in->p += 2;
	}
	if (r < 0)
		return r;
	if (!*in->p)
		return unreadable(in, open, "\" is not closed");
	in->p++;
	return 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* \ooo and \xHH; in->p is at the first digit. */
static int add_coded(struct reader *in, int base, int max_digits)
{
	const char *at = in->p;
	int n = 0;

	for (; max_digits-- > 0 && digit(*in->p) < base; in->p++)
		n = n * base + digit(*in->p);
	if (!(n & 0xff))
		return unreadable(in, at, "an argument cannot hold NUL");
	return bytes_addc(in->word, (char)n);
}

/* in->p is behind a backslash within $'..'; what a shell does not know keeps its backslash. */
static int add_escape(struct reader *in)
{
	static const char names[] = "abefnrtvE\\'\"?";
	static const char bytes[] = "\a\b\033\f\n\r\t\v\033\\'\"?";
	const char *known = strchr(names, *in->p);
	int r;

	if (digit(*in->p) < 8)
		return add_coded(in, 8, 3);
	if (*in->p == 'x' && digit(in->p[1]) < 16) {
		in->p++;
		return add_coded(in, 16, 2);
	}
	if (known && *known) {
		in->p++;
		return bytes_addc(in->word, bytes[known - names]);
	}
	r = bytes_addc(in->word, '\\');
	return r < 0 || !*in->p ? r : add_plain(in);
}

static int read_dollar_single(struct reader *in)
{
	const char *open = in->p;
	int r = 0;

	in->p += 2;
	while (r == 0 && *in->p && *in->p != '\'') {
		if (*in->p != '\\') {
			r = add_plain(in);
			continue;
		}
		in->p++;
		r = add_escape(in);
	}
	if (r < 0)
		return r;
	if (!*in->p)
		return unreadable(in, open, "$' is not closed");
	in->p++;
	return 0;
}

/* Returns 1 when the backslash and the newline behind it vanished. */
static int read_backslash(struct reader *in)
{
	if (!in->p[1])
		return unreadable(in, in->p, "a backslash at the end");
	if (in->p[1] == '\n') {
		in->p += 2;
		return 1;
	}
	/* A conversion stays one, as the compiler that checked the arguments counted it. */
	in->p++;
	return add_plain(in);
}

static int is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Reads up to the next separator. Returns whether there was a word, which may be empty. */
static int read_word(struct reader *in)
{
	int found = 0, r;

	while (*in->p && !is_separator(*in->p)) {
		switch (*in->p) {
		case '\'':
			r = read_single(in);
			break;
		case '"':
			r = read_double(in);
			break;
		case '\\':
			r = read_backslash(in);
			break;
		case '$':
			r = in->p[1] == '\'' ? read_dollar_single(in) : add_plain(in);
			break;
		default:
			r = add_plain(in);
		}
		if (r < 0)
			return r;
		found |= r == 0;
	}
	return found;
}

/* `from` is where the word begins in the format and in the text so far. */
static int end_word(struct reader *in, struct sh__words *w, const char *from, size_t start)
{
	int r;

	if (in->skipped) {
		in->skipped = 0;
		if (in->p != from + 2 || w->text.len != start)
			return unreadable(in, from, "SH_SKIP must be a word of its own");
		return 0;
	}
	if ((r = bytes_addc(in->word, '\0')) < 0)
		return r;
	w->n++;
	return 0;
}

static int split(struct sh__words *w, struct reader *in)
{
	size_t start, len = w->text.len, n = w->n;
	const char *from;
	int r;

	for (;;) {
		while (is_separator(*in->p))
			in->p++;
		if (!*in->p)
			return 0;
		from = in->p;
		start = w->text.len;
		if ((r = read_word(in)) > 0)
			r = end_word(in, w, from, start);
		if (r < 0)
			break;
	}
	bytes_cut(&w->text, len);
	w->n = n;
	return r;
}

int sh__words_split(struct sh__words *w, const char *line, struct sh__unreadable *bad)
{
	struct reader in = { .line = line, .p = line, .word = &w->text, .bad = bad };

	return split(w, &in);
}

int sh__words_format(struct sh__words *w, const char *format, va_list args,
		     struct sh__unreadable *bad)
{
	struct arguments a;
	struct reader in = {
		.line = format, .p = format, .word = &w->text, .args = &a, .bad = bad
	};
	int r;

	va_copy(a.ap, args);
	r = split(w, &in);
	va_end(a.ap);
	return r;
}

/* -------------------------------------------------------------- public ---- */

int sh_split(char ***words, const char *text, size_t *bad_offset)
{
	struct sh__unreadable bad = { 0 };
	struct sh__words w = { 0 };
	int r = text ? sh__words_split(&w, text, &bad) : UV_EINVAL;

	if (r == UV_EINVAL && bad_offset)
		*bad_offset = bad.offset;
	if (r == 0)
		r = sh__words_take(&w, words);
	sh__words_free(&w);
	return r;
}

int sh_format(char ***words, const char *fmt, ...)
{
	struct sh__unreadable bad;
	struct sh__words w = { 0 };
	va_list args;
	int r;

	if (!fmt)
		return UV_EINVAL;
	va_start(args, fmt);
	r = sh__words_format(&w, fmt, args, &bad);
	va_end(args);
	if (r == 0)
		r = sh__words_take(&w, words);
	sh__words_free(&w);
	return r;
}

void sh_words_free(char **words)
{
	free(words);
}
