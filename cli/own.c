/* Detection of a command that triggers itself. Looks at nothing but what it is told. */
#include "own.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATHS     1000 /* of one run; more are not one command's own output */
#define SHORT_MS      1000 /* nobody saves by chance in one such run after the other */
#define STRANGE_RUNS  4
#define PACED_RUNS    6
#define UNSTEADY_RUNS 30 /* on a busy machine no two runs are alike */
#define FIRST_PACE_MS 1000
#define MAX_PACE_MS   64000
#define COMMON_PREFIX 3
#define MAX_KNOWN     100
#define MAX_TOLD      100
#define MAX_CHAIN     64

static int has(const struct words *w, const char *path)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i], path) == 0)
			return 1;
	return 0;
}

/* What two names of a directory have in common, before and behind the part that differs. */
struct likeness {
	size_t dir, prefix, suffix; /* lengths; dir with its slash, prefix without it */
	int is_number;		    /* what differs are numbers */
};

static int is_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)s[i]))
			return 0;
	return n > 0;
}

/* Returns 0 if they are in different directories. */
static int compare(struct likeness *l, const char *a, const char *b)
{
	const char *slash = strrchr(a, '/');
	size_t na, nb;

	l->dir = slash ? (size_t)(slash - a) + 1 : 0;
	if (strncmp(a, b, l->dir) != 0 || strchr(b + l->dir, '/'))
		return 0;
	a += l->dir;
	b += l->dir;
	for (l->prefix = 0; a[l->prefix] && a[l->prefix] == b[l->prefix];)
		l->prefix++;
	/* A number differs as a whole. */
	while (l->prefix && isdigit((unsigned char)a[l->prefix - 1]))
		l->prefix--;
	na = strlen(a);
	nb = strlen(b);
	for (l->suffix = 0; l->suffix < na - l->prefix && l->suffix < nb - l->prefix &&
			    a[na - l->suffix - 1] == b[nb - l->suffix - 1];)
		l->suffix++;
	while (l->suffix && isdigit((unsigned char)a[na - l->suffix]))
		l->suffix--;
	l->is_number = is_digits(a + l->prefix, na - l->prefix - l->suffix) &&
		       is_digits(b + l->prefix, nb - l->prefix - l->suffix);
	return 1;
}

/* The path of the last run's that this one is a new name for; NULL: none. */
static const char *relative_of(const struct own *o, const char *path, struct likeness *l)
{
	for (size_t i = 0; i < o->cause.n; i++)
		if (compare(l, path, o->cause.v[i]) &&
		    (l->is_number || l->prefix >= COMMON_PREFIX))
			return o->cause.v[i];
	return NULL;
}

/* ---- chains of runs */

static const char *name_of(const struct own *o)
{
	return o->name ? o->name : "";
}

static void chain_free(struct own_chain *c)
{
	words_free(&c->names);
	words_free(&c->paths);
}

static void chain_add(struct own_chain *c, const char *name, const char *path)
{
	words_add(&c->names, name);
	words_add(&c->paths, path);
}

/* The last runs of it; which ones were first does not matter. */
static void chain_copy(struct own_chain *to, const struct own_chain *from)
{
	size_t n = from->names.n;

	chain_free(to);
	for (size_t i = n > MAX_CHAIN ? n - MAX_CHAIN : 0; i < n; i++)
		chain_add(to, from->names.v[i], from->paths.v[i]);
}

static int runs_in(const struct own_chain *c, const char *name)
{
	int found = 0;

	for (size_t i = 0; i < c->names.n; i++)
		found += strcmp(c->names.v[i], name) == 0;
	return found;
}

void own_led(struct own *o, const struct own *by)
{
	if (o->led.names.n == 0 ||
	    runs_in(&by->chain, name_of(o)) > runs_in(&o->led, name_of(o)))
		chain_copy(&o->led, &by->chain);
}

static void forget_rival(struct own *o)
{
	free(o->rival);
	o->rival = NULL;
}

void own_rival(struct own *o, const struct own *other)
{
	forget_rival(o);
	o->rival = alloc_copy(name_of(other));
}

int own_descends(const struct own *maker, const struct own *o)
{
	return runs_in(&maker->chain, name_of(o)) > 0;
}

/* The run that starts follows on those that led to it; returns how often it did before. */
static int follow(struct own *o, int has_other_cause)
{
	const char *name = name_of(o);
	struct own_chain before = o->chain;

	o->chain = (struct own_chain){ 0 };
	if (!has_other_cause) {
		int is_led = o->led.names.n > 0 &&
			     (!o->is_self || runs_in(&o->led, name) > runs_in(&before, name));

		chain_copy(&o->chain, is_led ? &o->led : &before);
	}
	chain_free(&before);
	chain_free(&o->led);
	chain_add(&o->chain, name, o->seen.n ? o->seen.v[0] : "");
	return runs_in(&o->chain, name) - 1;
}

/* ---- what a run changes */

void own_change(struct own *o, const char *path, int64_t at_ms, const struct own *by)
{
	if (by)
		own_led(o, by);
	else
		o->is_self = 1;
	if (o->seen.n == 0)
		o->first_ms = at_ms;
	o->last_ms = at_ms;
	if (o->seen.n >= MAX_PATHS) {
		o->mixed = 1;
	} else if (!has(&o->seen, path)) {
		words_add(&o->seen, path);
		o->is_strange |= o->streak > 0 && !has(&o->cause, path);
	}
}

void own_other(struct own *o)
{
	o->mixed = 1;
}

void own_end(struct own *o, int64_t run_ms)
{
	o->run_ms = run_ms;
}

static int is_near(int64_t a, int64_t b, int64_t slack)
{
	return a - b <= slack && b - a <= slack;
}

static int is_steady(const struct own *o)
{
	int64_t slack = o->run_ms < 0 ? o->first_ms / 10 : o->run_ms / 50;

	if (is_near(o->first_ms, o->cause_first_ms, 20 + slack))
		return 1;
	return o->run_ms >= 0 && o->cause_tail_ms >= 0 &&
	       is_near(o->run_ms - o->last_ms, o->cause_tail_ms, 20 + slack);
}

/* How often the command has started itself, if it is started by the changes so far. */
static int rounds(const struct own *o)
{
	int led = runs_in(&o->led, name_of(o)) - 1;

	return o->led.names.n > 0 && (!o->is_self || led > o->streak) ? led : o->streak;
}

int own_is_own(const struct own *o, int is_proven)
{
	if (o->mixed || o->seen.n == 0 || rounds(o) < (o->is_strange ? STRANGE_RUNS : 2))
		return 0;
	return is_proven ||
	       (o->run_ms >= 0 && (o->run_ms < SHORT_MS || (is_steady(o) && o->steady > 0)));
}

int own_is_proven(const struct own *o, const char *path)
{
	/* What another rule makes of somebody's change is news. */
	return (own_knows(o, path) && rounds(o) >= 0) ||
	       (o->repeats > 0 && has(&o->cause, path)) || own_is_own(o, 1);
}

int own_knows(const struct own *o, const char *path)
{
	return has(&o->known, path);
}

void own_learn(struct own *o, const char *path)
{
	if (o->known.n < MAX_KNOWN && !own_knows(o, path))
		words_add(&o->known, path);
}

void own_forget(struct own *o)
{
	words_free(&o->seen);
	chain_free(&o->led);
	forget_rival(o);
	o->is_strange = o->is_self = 0;
}

int own_suspects(const struct own *o)
{
	return o->streak > 0 || o->repeats > 0;
}

int64_t own_pace_ms(const struct own *o)
{
	int is_paced = o->steady >= PACED_RUNS - 1 && is_steady(o);
	int64_t pace = FIRST_PACE_MS;

	if (o->mixed || o->seen.n == 0 || o->is_strange ||
	    rounds(o) < (is_paced ? PACED_RUNS : UNSTEADY_RUNS))
		return 0;
	for (int i = PACED_RUNS; is_paced && i <= o->steady && pace < MAX_PACE_MS; i++)
		pace *= 2;
	return pace;
}

int own_asks(const struct own *o)
{
	return rounds(o) > 0 && !o->mixed && o->seen.n > 0 && o->run_ms >= 0;
}

/* The run was stopped by a path that had its part in stopping the one before, about as long
 * after its start. It is only a reason to look: no two starts of a server take the same time.
 */
static int is_repeated(const struct own *o)
{
	if (o->run_ms >= 0 || !is_near(o->first_ms, o->cause_first_ms, 1000 + o->first_ms / 2))
		return 0;
	for (size_t i = 0; i < o->seen.n; i++)
		if (has(&o->cause, o->seen.v[i]))
			return 1;
	return 0;
}

void own_start(struct own *o)
{
	int has_other_cause = o->mixed || (o->seen.n == 0 && o->led.names.n == 0);

	o->repeats = is_repeated(o) ? o->repeats + 1 : 0;
	o->steady = !has_other_cause && o->streak > 0 && is_steady(o) ? o->steady + 1 : 0;
	o->streak = follow(o, has_other_cause);
	o->cause_first_ms = o->first_ms;
	o->cause_tail_ms = o->run_ms < 0 ? -1 : o->run_ms - o->last_ms;
	o->run_ms = -1;
	o->mixed = o->is_strange = o->is_self = 0;
	forget_rival(o);
	words_free(&o->cause);
	o->cause = o->seen;
	o->seen = (struct words){ 0 };
}

void own_free(struct own *o)
{
	words_free(&o->seen);
	words_free(&o->cause);
	words_free(&o->known);
	chain_free(&o->chain);
	chain_free(&o->led);
	forget_rival(o);
	words_free(&o->told);
}

/* ---- telling */

/* Adds n bytes that a glob takes as they are. */
static void add_literal(char *out, const char *s, size_t n)
{
	out += strlen(out);
	for (size_t i = 0; i < n; i++) {
		if (strchr("*?[]{}\\!#;", s[i]) || (s[i] == ' ' && i + 1 == n))
			*out++ = '\\';
		*out++ = s[i];
	}
	*out = '\0';
}

char *own_pattern(const struct own *o, const char *path, const char *root)
{
	struct likeness l;
	size_t skip = strlen(root), n = strlen(path), from;
	const char *other = has(&o->cause, path) ? NULL : relative_of(o, path, &l);
	char *glob;

	if (!other && o->streak > 0 && !has(&o->cause, path))
		return NULL;
	/* A root that is a file has only its name to be known by. */
	if (strcmp(path, root) == 0)
		from = strrchr(path, '/') ? (size_t)(strrchr(path, '/') - path) + 1 : 0;
	else
		from = strncmp(path, root, skip) == 0 ? skip + (path[skip] == '/') : 0;
	glob = alloc_zero(2 * n + 10, 1);
	/* With a slash it means this one, not every one of that name. */
	if (strcmp(path, root) != 0 && !strchr(path + from, '/'))
		strcpy(glob, "/");
	if (!other) {
		add_literal(glob, path + from, n - from);
		return glob;
	}
	add_literal(glob, path + from, l.dir + l.prefix - from);
	strcat(glob, l.is_number ? "[0-9]*" : "*");
	add_literal(glob, path + n - l.suffix, l.suffix);
	return glob;
}

char *own_loop(const struct own *o)
{
	const struct own_chain *c = &o->led;
	size_t i = c->names.n;
	char *text;

	if (i == 0 || strcmp(c->names.v[i - 1], name_of(o)) == 0)
		return NULL;
	text = alloc_copy(c->names.v[--i]);
	for (; i > 0 && strcmp(c->names.v[i], name_of(o)) != 0; i--) {
		const char *path = c->paths.v[i];
		char *longer = alloc_text(*path ? "%s, which rule %s starts by changing %s"
						: "%s, which rule %s starts",
					  text, c->names.v[i - 1], path);

		free(text);
		text = longer;
	}
	return text;
}

int own_tell(struct own *o, const char *pattern)
{
	if (has(&o->told, pattern))
		return 0;
	if (o->told.n < MAX_TOLD)
		words_add(&o->told, pattern);
	return 1;
}
