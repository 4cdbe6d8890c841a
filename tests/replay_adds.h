/* Watches that come and go while everything changes, over what another one watches: that one must
 * not notice. */
#ifndef TESTS_REPLAY_ADDS_H
#define TESTS_REPLAY_ADDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "replay_changes.h"
#include "whendo/watcher.h"

struct adds {
	watcher_watch *more[6]; /* NULL: not there at present */
	unsigned rarely;        /* one call in so many adds or removes one */
	bool stay;              /* none is removed */
};

/* Whether many or few, and whether they stay, comes of the seed. */
void adds_begin(struct adds *a, uint64_t seed);
/* Perhaps adds a watch of some directory of the roots, or removes one. */
void adds_perhaps(struct adds *a, watcher *w, const struct places *p, FILE *trace);
/* Removes some of those that are left, or none. */
void adds_end(struct adds *a, FILE *trace);

#endif
