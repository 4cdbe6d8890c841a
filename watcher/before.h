/* What was done before a root is added, and is only found by looking. See before.c. */
#ifndef WATCHER_BEFORE_H
#define WATCHER_BEFORE_H

#include "watcher/engine.h"

/* Is what is at the path told to others who only hear of what is found by looking? What is remembered
 * of it is compared then. */
bool watcher__compare_before(struct watcher *w, const char *path);
/* Looks at all that is found so. */
void watcher__look_for_names(struct watcher *w);

#endif
