/* Roots of one watch in one another: which of them tells. See within.c. */
#ifndef WATCHER_WITHIN_H
#define WATCHER_WITHIN_H

#include "watcher/engine.h"

/* Is a root, by where both are, in another of its watch that is a directory? */
bool watcher__is_within(const struct root *around, const struct root *root);
/* Does a path in one lead on through the directory of the other? */
bool watcher__is_way(const struct root *around, const char *rel, const struct root *root);
bool watcher__has_around(const struct root *root);
/* A directory is told to have left the place of the roots that are at it: those in others are over. */
void watcher__over_at(struct watcher *w, uint32_t dir);
/* ... and all that are in it. */
void watcher__over_below(struct watcher *w, uint32_t dir);
/* Have those around a root, that is to be attached to a directory, looked for that? They are to do it
 * first, so that it is told, once, as a part of what they have. */
bool watcher__sought_around(struct watcher *w, struct root *root, const char *path);
/* Is what is news to a root told by one around it? */
bool watcher__told_around(const struct root *root, const struct news *n, const char *rel, size_t len);
/* Has one in it told what is found there? */
bool watcher__told_within(const struct root *root, const struct news *n, const char *rel, size_t len);
/* Those around a root are looked up before it comes or goes. */
void watcher__settle_around(struct watcher *w, const struct root *root);
/* Looks up those roots again that are to be. */
void watcher__recheck_roots(struct watcher *w);

#endif
