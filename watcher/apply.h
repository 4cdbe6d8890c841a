/*
 * What the two halves of applying exact changes share: apply.c (names coming, going, touched)
 * and moves.c (names moving), with pushed_off.c (what these move onto).
 */
#ifndef WATCHER_APPLY_H
#define WATCHER_APPLY_H

#include "watcher/engine.h"

struct news watcher__news_of(const struct change *c, int kind, uint32_t dir);
/* Does the kernel call this entry a directory? A link that is followed is none to it. */
bool watcher__kernel_dir(const struct watcher *w, const struct entry *e);
/* What events call this entry. */
int watcher__type_of_entry(const struct watcher *w, const struct entry *e);
/* What is at a name now: 0 if nothing is. */
#define INO_UNKNOWN UINT64_MAX
uint64_t watcher__ino_at(struct watcher *w, uint32_t dir, const char *name, size_t len);
/* Takes an entry out of the index, with everything below it, and tells of it. */
void watcher__remove_entry(struct watcher *w, uint32_t dir, const struct entry *e,
			   struct news *n);
/* The directory found at this name is not the one the entry stands for: what was in it ends. */
void watcher__unbind(struct watcher *w, uint32_t dir, uint32_t rec, const struct change *c);
/* Something took the place of a file that was known: told as MODIFIED if it is of the same
 * type; false if it is another. */
bool watcher__file_over_file(struct watcher *w, struct news *n, const struct entry *e);
void watcher__add_entry(struct watcher *w, struct news *n);

void watcher__moved_from(struct watcher *w, const struct change *c, uint32_t dir);
void watcher__moved_to(struct watcher *w, const struct change *c, uint32_t dir);
/* The other half of this one is among what the index is ahead of. */
void watcher__half_skipped(struct watcher *w, const struct change *c);
/* Halves of moves out of a directory are told before the directory's own end. */
void watcher__halves_below_gone(struct watcher *w, uint32_t node);
/* A change inside a directory whose move is half told: the other half did not follow at once,
 * so it has left. True if the change's directory went with it. */
bool watcher__left_already(struct watcher *w, uint32_t dir);
/* The kernel says of a directory itself that it has ended, or may have: if it was pushed off its name,
 * that was for good, or may have been. */
void watcher__pushed_gone(struct watcher *w, uint32_t node, const struct change *c);

/* Does a directory stay where it is by what is told of itself? */
static inline bool keeps_its_place(const struct watcher *w, int source, const struct change *c)
{
	return c->op == CHANGE_SELF_ATTRIB &&
	       !(w->sources[source].ops->caps & BACKEND_DIR_ATTRIB);
}

#endif
