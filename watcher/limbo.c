/*
 * Directories that could not be looked at, or whose place is in doubt: they are looked at again
 * when the queue is empty.
 *
 * At once while it stays empty, but not for ever: what is left then is not a race, and is tried at
 * times. A sync waits for that a few times, but for none that another has waited for in vain.
 */
#include <stdlib.h>

#include "watcher/look.h"

#define CALM_ROUNDS 6
#define LIMBO_NS    UINT64_C(50000000) /* twice as long each time in vain, up to */
#define LIMBO_MAX   UINT64_C(1600000000)

void watcher__node_limbo(struct watcher *w, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	uint32_t cap = w->limbo_cap ? w->limbo_cap * 2 : 16;
	void *p;

	if (d->flags & DIR_LIMBO)
		return;
	if (w->nlimbo == w->limbo_cap) {
		if (!(p = realloc(w->limbo, cap * sizeof *w->limbo))) {
			w->gap = true;
			return;
		}
		w->limbo = p;
		w->limbo_cap = cap;
	}
	d->flags |= DIR_LIMBO;
	w->limbo[w->nlimbo].dir = dir;
	w->limbo[w->nlimbo++].gen = d->gen;
}

/* When it is tried next. */
static void set_due(struct watcher *w, uint64_t now)
{
	if (w->calm_rounds <= CALM_ROUNDS)
		w->limbo_wait_ns = LIMBO_NS;
	w->limbo_due_ns = w->calm_rounds >= CALM_ROUNDS ? now + w->limbo_wait_ns : 0;
	if (w->limbo_due_ns && w->limbo_wait_ns < LIMBO_MAX)
		w->limbo_wait_ns *= 2;
}

bool watcher__limbo_retry(struct watcher *w)
{
	uint32_t n = w->nlimbo;
	uint64_t now = uv_hrtime();

	if (++w->calm_rounds > CALM_ROUNDS && now < w->limbo_due_ns)
		return false;
	set_due(w, now);
	w->nlimbo = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t dir = w->limbo[i].dir;

		if (!tree_alive(&w->tree, dir, w->limbo[i].gen))
			continue;
		if (!watcher__path(w, dir, NULL, 0)) { /* half of a move: not now */
			w->limbo[w->nlimbo++] = w->limbo[i];
			continue;
		}
		tree_dir(&w->tree, dir)->flags &= (uint16_t)~DIR_LIMBO;
		watcher__look_at(w, dir);
	}
	/* Once more with an empty queue: then it is not on its way. */
	w->look->calm = w->look->active && w->calm_rounds > 1;
	return true;
}

bool watcher__limbo_holds(const struct watcher *w)
{
	for (uint32_t i = 0; i < w->nlimbo && w->limbo_due_ns; i++) {
		uint32_t dir = w->limbo[i].dir;

		if (tree_alive(&w->tree, dir, w->limbo[i].gen) &&
		    !(tree_dir(&w->tree, dir)->flags & DIR_GIVEN_UP))
			return true;
	}
	return false;
}

void watcher__limbo_give_up(struct watcher *w)
{
	if (w->calm_rounds <= CALM_ROUNDS) /* not for long: there was always something else */
		return;
	for (uint32_t i = 0; i < w->nlimbo; i++)
		if (tree_alive(&w->tree, w->limbo[i].dir, w->limbo[i].gen))
			tree_dir(&w->tree, w->limbo[i].dir)->flags |= DIR_GIVEN_UP;
}
