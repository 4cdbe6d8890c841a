/*
 * Where in a queue of changes directories were read: between two places for each, for reading takes
 * a while. What is queued before the first is in what was read, what is queued behind the second is
 * not, and what is between them may be either: the directory is to be read again then.
 *
 * Places only grow; but one reading may begin before the place where the one before has ended.
 */
#ifndef WATCHER_FENCES_H
#define WATCHER_FENCES_H

#include <stdbool.h>
#include <stdint.h>

struct fences {
	struct fence {
		int32_t id;
		bool torn; /* it has changed between the two */
		uint64_t begin, end;
	} *items;
	uint32_t first, n, cap; /* `first`: those before it have been passed */
};

/* The directory `id` is about to be read. UV_ENOMEM. */
int fences_begin(struct fences *f, int32_t id, uint64_t place);
/* It has been. */
void fences_end(struct fences *f, uint64_t place);
/* It has been, but nobody knows where: as if it had not been begun. */
void fences_give_up(struct fences *f);
/* A change of a name in the directory `id` is handed out, which is at that place. */
void fences_changed(struct fences *f, int32_t id, uint64_t place);
/* Is there one that all changes before `place` are past of? */
bool fences_reached(const struct fences *f, uint64_t place);
/* The directory of that one; the same once more, by the next call, if it is to be read again. */
int32_t fences_pass(struct fences *f);
void fences_free(struct fences *f);

#endif
