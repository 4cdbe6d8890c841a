/*
 * Memory for the program: it may end when there is none, so these never return NULL. The
 * end is one line and exit status 125. The libraries below never use this.
 */
#ifndef CLI_ALLOC_H
#define CLI_ALLOC_H

#include <stddef.h>

/* Zeroed. */
void *alloc_zero(size_t n, size_t size);
/* As realloc(3). */
void *alloc_again(void *p, size_t n, size_t size);
char *alloc_copy(const char *s);
char *alloc_copy_n(const char *s, size_t n);
__attribute__((format(printf, 1, 2))) char *alloc_text(const char *fmt, ...);

/* A growing, NULL-ended vector of owned strings; a zeroed struct is an empty one. */
struct words {
	char **v; /* NULL, or NULL-ended */
	size_t n, cap;
};

/* Takes over `s`. */
void words_take(struct words *w, char *s);
void words_add(struct words *w, const char *s);
/* The vector, never NULL, as execvp(3) and the libraries want it. */
const char *const *words_list(const struct words *w);
void words_free(struct words *w);

#endif
