/*
 * What moves.c and pushed_off.c share: halves of moves, and what moves have pushed off.
 *
 *   moved away ─> a half waits ─┬─> moved to: lands ─> what was there is pushed off ─┐
 *                  ^            └─> ends: gone                                       │
 *                  └── moved away, too, in an exchange <── or ends: replaced <───────┘
 *
 * Both are kept outside the index, with the node of what is a directory.
 */
#ifndef WATCHER_MOVES_H
#define WATCHER_MOVES_H

#include <string.h>

#include "watcher/apply.h"

#define HALF_WAIT_NS UINT64_C(10000000) /* for a second half */
#define COOKIE_GAP 256 /* the halves of an exchange have cookies no further apart */

static inline bool half_is(const struct half_move *h, uint32_t dir, const char *name, size_t len)
{
	return h->dir == dir && h->len == len && memcmp(h->name, name, len) == 0;
}

/* May the other half of it still come? UINT64_MAX: no. */
static inline bool half_waits(const struct watcher *w, const struct half_move *h, uint64_t now_ns)
{
	return now_ns != UINT64_MAX && h->deadline_ns > now_ns && h->drain + 1 >= w->drain;
}

/* ---- moves.c ---- */
/* Room for one more in watcher.halves or .pushed; false without memory: the pass that follows
 * finds what has become of it. */
bool watcher__half_room(struct watcher *w, struct half_move **items, uint32_t n, uint32_t *cap);
struct half_move watcher__half_of(const struct watcher *w, uint32_t dir, const struct entry *e,
				  const struct change *c);
/* Is a directory that is said to leave its name known not to be that of the node (which may be
 * NO_DIR)? */
bool watcher__is_another(const struct watcher *w, const struct change *c, uint32_t node);
/* Takes an entry out of the index as the half of a move. */
struct half_move watcher__take_out(struct watcher *w, uint32_t dir, uint32_t rec,
				   const struct change *c);
/* The end of the node (or NO_DIR) of what is not in the index any more; nothing is told. */
void watcher__half_drop(struct watcher *w, uint32_t node);
/* What waits for its second half has been found, by those who are told nothing of that: where it
 * was it has ended. */
void watcher__half_found(struct watcher *w, uint32_t node);

/* ---- pushed_off.c ---- */
/* Has what the index says of a directory, what it is and holds, been seen later than what is told? */
bool watcher__may_be_ahead(const struct watcher *w, const struct entry *e);
/* What is in what a move replaces ends: for all if that is behind a link, or not known to be there; that a
 * directory was emptied has been told to those who know of the move. The type of it, 0: there is nothing. */
int watcher__tell_replaced(struct watcher *w, const struct news *n);
/* What a move lands on leaves its name without an event of its own; `by`: what takes it. */
void watcher__push_off(struct watcher *w, const struct change *c, uint32_t dir,
		       const struct half_move *by);
/* Remembers that a move took a name, and from what: the last few are enough. */
void watcher__pushed_remember(struct watcher *w, const struct half_move *h);
/* Is what is said to leave a name what was pushed off it just before? It is a half then, which
 * waits for the second: until that tells, it may be either of the two. */
bool watcher__pushed_leaves(struct watcher *w, const struct change *c, uint32_t dir);
/* Such a half lands: did what was pushed off leave that name? Else *h is what did, if anything of
 * it is known; false: it is to be told as something new, also where the index has it already. */
bool watcher__pushed_lands(struct watcher *w, struct half_move *h, const struct change *c,
			   uint32_t dir);
/* Such a half ends: true if it was what took the name that left, which *h is now. */
bool watcher__pushed_ends(struct watcher *w, struct half_move *h, const struct change *c);
/* What was pushed off has been found elsewhere before its name was said to leave. Is it that which that is
 * about, and not what has the name now? `dir`: where to, or NO_DIR if that is not known. */
bool watcher__pushed_found(struct watcher *w, const struct half_move *h, const struct change *c,
			   uint32_t dir);
/* The ends of what has been pushed off, and has not been said to leave: as those of halves. */
void watcher__pushed_below_gone(struct watcher *w, uint32_t node);
void watcher__pushed_name_taken(struct watcher *w, uint32_t dir, const char *name, size_t len);
void watcher__pushed_expire(struct watcher *w, uint64_t now_ns);

#endif
