/*
 * What a tree holds, as its listing or its events say: a sorted list of paths with their types,
 * in which a directory is followed by everything below it.
 */
#ifndef TESTS_REPLAY_MODEL_H
#define TESTS_REPLAY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct item {
	char *path;
	int type;
	int64_t told_ns; /* when its content was told of last; 0: never */
};

struct model {
	struct item *items;
	size_t n, cap;
};

bool model_has(const struct model *m, const char *path);
void model_add(struct model *m, const char *path, int type);
/* Its content was told of; if the path is there. */
void model_tell(struct model *m, const char *path, int64_t now_ns);
/* [from, to): the path and everything below it. */
void model_range(const struct model *m, const char *path, size_t *from, size_t *to);
/* With everything below it. */
void model_remove(struct model *m, const char *path);
void model_move(struct model *m, const char *src, const char *dest);
void model_free(struct model *m);
/* Adds what is below a directory on the disk. */
void model_read(struct model *m, const char *dir);
void model_copy(struct model *to, const struct model *from);
/* Mounts put a directory at several places, and events tell of what is in it at one of them: takes
 * what is in it at the others, of which nothing is told, out of what the disk holds. */
void model_leave_out_untold(struct model *disk, const struct model *told, const char *const *roots);
/* Differences between what events made of a tree and the disk, into text. */
int model_compare(const struct model *got, const struct model *want, char *text, size_t size);
/* How many files on the disk were written to after `since_ns` and after they were told of last;
 * those of the group `but` are left out. */
int model_untold(const struct model *told, const struct model *disk, int64_t since_ns, gid_t but,
		 char *text, size_t size);

#endif
