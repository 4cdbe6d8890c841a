/* Braces in globs given on a command line: "*.{c,h}" is "*.c" and "*.h". */
#ifndef WATCHER_BRACES_H
#define WATCHER_BRACES_H

#include <stddef.h>

enum { BRACES_MAX = 256 /* globs that one may expand to */ };

/*
 * Calls `each` for every glob the braces of `glob` give, in order, until it returns nonzero,
 * which is then the result. Braces nest; without a comma, escaped, inside a set or without
 * their partner they are plain bytes. UV_E2BIG: more than BRACES_MAX; UV_ENOMEM.
 */
int watcher__braces_expand(const char *glob, size_t len,
			   int (*each)(const char *glob, size_t len, void *arg), void *arg);

#endif
