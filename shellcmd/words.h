/*
 * Words: how a line becomes arguments and arguments become a line, as a POSIX shell reads
 * them, without any expansion. Nothing here starts a process or looks at the file system.
 */
#ifndef SHELLCMD_WORDS_H
#define SHELLCMD_WORDS_H

#include <stdarg.h>
#include <stddef.h>

#include "base/bytes.h"

/*
 * A growing list of words, each NUL-ended in `text`. A zeroed struct is an empty list.
 * Adding keeps the list as it was when it fails (UV_ENOMEM, UV_E2BIG by text.max).
 */
struct sh__words {
	struct bytes text;
	size_t n;
};

/* Why and where a line could not be read; `why` is static text. */
struct sh__unreadable {
	size_t offset;
	const char *why;
};

int sh__words_add(struct sh__words *w, const char *word);
void sh__words_free(struct sh__words *w);

/*
 * The words as a vector that ends with NULL: one block, so that one free() ends it. The list
 * is empty afterwards; on UV_ENOMEM it keeps its words and *out is untouched.
 */
int sh__words_take(struct sh__words *w, char ***out);

/*
 * Adds the words of `line`: blanks and newlines separate; '..', "..", $'..' and backslashes
 * quote as in a shell; $, `, *, ~, #, ; and the like mean themselves. UV_EINVAL for a quote
 * that is not closed, a backslash at the end, or $'\0'; `bad` (not NULL) then says where.
 * After a failure the list is as before.
 */
int sh__words_split(struct sh__words *w, const char *line, struct sh__unreadable *bad);

/*
 * The same for a printf-like format: only the format's own text is split, so what a
 * conversion yields stays in the word it stands in, blanks, quotes and all. Conversions are
 * %s %c %d %i %u %x %X %o %f %g %e and %%, with the lengths hh h l ll z j t, a width, a
 * precision and the flags 0 and -. Anything else, a NULL string, or %c of NUL is UV_EINVAL,
 * with `bad` set. A word that is exactly %s with the argument SH_SKIP is left out.
 */
int sh__words_format(struct sh__words *w, const char *format, va_list args,
		     struct sh__unreadable *bad);

#endif
