/* Detection of a command that triggers itself. Looks at nothing but what it is told. */
#include "own.h"

#include <string.h>

#define MAX_PATHS 1000 /* of one run; more are not one command's own output */

static int has(const struct words *w, const char *path)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i], path) == 0)
			return 1;
	return 0;
}

enum own_answer own_change(struct own *o, const char *path, int during_run)
{
	int expected = during_run && (o->streak == 0 || has(&o->cause, path));

	if (!expected) {
		o->mixed = 1;
		o->muted = 0;
		return OWN_REACT;
	}
	if (o->streak >= 2) {
		o->muted = 1;
		if (o->told)
			return OWN_MUTE;
		o->told = 1;
		return OWN_TELL;
	}
	if (o->seen.n >= MAX_PATHS)
		o->mixed = 1;
	else if (!has(&o->seen, path))
		words_add(&o->seen, path);
	return OWN_REACT;
}

int own_asks(const struct own *o)
{
	return o->streak == 1 && !o->mixed && o->seen.n > 0;
}

void own_start(struct own *o)
{
	o->streak = !o->mixed && o->seen.n > 0 ? o->streak + 1 : 0;
	o->mixed = 0;
	o->muted = 0;
	words_free(&o->cause);
	o->cause = o->seen;
	o->seen = (struct words){ 0 };
}

void own_free(struct own *o)
{
	words_free(&o->seen);
	words_free(&o->cause);
}
