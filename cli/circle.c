/* Which runners there are. Knows of no changes. */
#include "circle.h"

#include "runner.h"

#define LATE_NS	 20000000   /* after the end of a run its last write may be read */
#define SHORT_NS 1000000000 /* nobody saves by chance in one such run after the other */

void circle_join(struct runner *r)
{
	if (!r->circle)
		return;
	r->neighbour = r->circle->first;
	r->circle->first = r;
}

void circle_leave(struct runner *r)
{
	struct runner **at = r->circle ? &r->circle->first : NULL;

	while (at && *at && *at != r)
		at = &(*at)->neighbour;
	if (at && *at)
		*at = r->neighbour;
}

static int is_likely(const struct runner *r, int64_t time_ns)
{
	return r->run > 0 && time_ns >= r->begun_wall_ns &&
	       time_ns < r->begun_wall_ns + SHORT_NS &&
	       (r->running > 0 || time_ns < r->ended_wall_ns + LATE_NS);
}

const struct runner *circle_maker(const struct runner *r, int64_t time_ns)
{
	const struct runner *other = r->circle ? r->circle->first : NULL, *found = NULL;

	for (; other; other = other->neighbour)
		if (other != r && is_likely(other, time_ns) &&
		    (!found || own_descends(&other->own, &r->own)))
			found = other;
	return found;
}

static size_t add(pid_t *pids, size_t n, size_t max, const sh_proc *p)
{
	int found = sh_left(p, n < max ? pids + n : NULL, n < max ? max - n : 0);

	/* What cannot be looked at may be anything. */
	return found < 0 ? max + 1 : n + (size_t)found;
}

static size_t add_all(pid_t *pids, size_t n, size_t max, const struct runner *r)
{
	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i])
			n = add(pids, n, max, r->procs[i]);
	for (size_t i = 0; i < r->left.n; i++)
		n = add(pids, n, max, r->left.v[i]);
	return n;
}

size_t circle_family(pid_t *pids, size_t max, size_t *n_own, void *arg)
{
	const struct runner *r = arg, *other = r->circle ? r->circle->first : NULL;
	size_t n = *n_own = add_all(pids, 0, max, r);

	for (; other; other = other->neighbour)
		if (other != r)
			n = add_all(pids, n, max, other);
	return n;
}
