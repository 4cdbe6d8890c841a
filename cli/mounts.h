/*
 * The mounts of this system, as far as the trees that are watched reach them. Where the
 * system has no such list, every path is on one mount "/" of type "unknown".
 */
#ifndef CLI_MOUNTS_H
#define CLI_MOUNTS_H

#include <stddef.h>

struct mount {
	char *point; /* absolute, no '/' behind but for "/" itself */
	char *type;
};

struct mounts {
	struct mount *v;
	size_t n;
};

void mounts_read(struct mounts *m);
void mounts_free(struct mounts *m);

/* The one an absolute path without symbolic links is on. NULL: none, which is no Linux. */
const struct mount *mounts_of(const struct mounts *m, const char *path);

/* What of `path` lies below `top`, both absolute: "a/b", "" for `top` itself, NULL if none. */
const char *mounts_below(const char *top, const char *path);

#endif
