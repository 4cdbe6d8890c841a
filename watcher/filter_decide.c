/*
 * Decisions of a bound filter, and the table that remembers them for directories. What the
 * ignore files say is asked of filter_dirs.c.
 */
#include "filter_root.h"

/* ---- one path against the lists ---- */

static const struct rule *match_list(struct filter_root *fr, enum filter_list which,
				     struct subject *s, size_t end, enum match_scope scope)
{
	const struct bound_list *list = &fr->lists[which];
	const struct rule *rule = NULL;

	fr->matcher.list_wants = which == LIST_WANT;
	for (uint32_t i = list->count; i-- > 0 && !rule;) {
		const struct bound_set *b = &list->v[i];

		if (b->below_root &&
		    (end <= b->skip || memcmp(fr->path.data, b->set->base, b->skip - 1) != 0 ||
		     fr->path.data[b->skip - 1] != '/'))
			continue;
		s->path = fr->path.data + b->skip;
		s->path_len = end > b->skip ? end - b->skip : 0;
		rule = watcher__rules_match(b->set, &fr->matcher, s, scope);
	}
	return rule;
}

/* The later of two rules of one list. */
static const struct rule *later(const struct rule *a, const struct rule *b)
{
	return !a || (b && b->seq > a->seq) ? b : a;
}

static const struct rule *match_ignores(struct filter_root *fr, const struct state *above,
					struct subject *s, size_t end, enum match_scope scope)
{
	const struct rule *rule = match_list(fr, LIST_IGNORE, s, end, scope);

	if (!rule && above->chain)
		rule = watcher__dirs_match(&fr->dirs, above->chain, &fr->matcher, s, fr->path.data,
					   end);
	if (!rule && fr->filter->defaults) {
		s->path = fr->path.data + fr->skip;
		s->path_len = end - fr->skip;
		rule = watcher__rules_match(fr->filter->defaults, &fr->matcher, s, MATCH_ALL);
	}
	return rule;
}

static struct subject subject_of(const struct filter_root *fr, size_t end, bool is_dir)
{
	const char *from = fr->path.data + (end > fr->skip ? fr->skip : 0);
	const char *to = fr->path.data + end, *name = to;

	while (name > from && name[-1] != '/')
		name--;
	return (struct subject){
		.name = name,
		.name_len = (size_t)(to - name),
		.full = fr->shown.data,
		.full_len = fr->shown_skip + (end > fr->skip ? end - fr->skip : 0),
		.is_dir = is_dir,
	};
}

/*
 * The state of the entry that ends at fr->path[end), in a directory with state `above`. With
 * `inherits`, that of a directory as far as it concerns what lies below it.
 */
static struct state decide(struct filter_root *fr, const struct state *above, size_t end,
			   bool is_dir, bool inherits)
{
	struct subject s = subject_of(fr, end, is_dir);
	enum match_scope want = inherits ? MATCH_INHERITED : MATCH_ALL;
	struct state st = *above;

	st.spare = NULL;
	if (fr->lists[LIST_WANT].count)
		st.want = later(st.want, match_list(fr, LIST_WANT, &s, end, want));
	if (fr->lists[LIST_KEEP].count)
		st.keep = later(st.keep, match_list(fr, LIST_KEEP, &s, end, want));
	if (!st.ignore) {
		st.ignore = match_ignores(fr, above, &s, end,
					  inherits ? MATCH_PRUNING : MATCH_ALL);
		st.ignored_at = end - fr->skip;
	}
	if (st.ignore && st.ignore->flags & RULE_NEGATED) {
		st.spare = st.ignore;
		st.ignore = NULL;
	}
	return st;
}

/* ---- directories are remembered ---- */

static uint64_t hash_of(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u ^ n, w;

	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&w, s, 8);
		h = (h ^ w) * 0x9fb21c651e98df25u;
		h ^= h >> 32;
	}
	for (; n; n--)
		h = (h ^ (unsigned char)*s++) * 0x100000001b3u;
	return h ^ h >> 29;
}

static bool slot_is(const struct filter_root *fr, const struct slot *slot, const char *rel,
		    size_t len)
{
	return slot->generation == fr->generation && slot->len == len &&
	       memcmp(slot->rel, rel, len) == 0;
}

static struct slot *recall(struct filter_root *fr, const char *rel, size_t len)
{
	struct slot *slot = fr->slots ? &fr->slots[hash_of(rel, len) & (SLOTS - 1)] : NULL;

	return slot && slot_is(fr, slot, rel, len) ? slot : NULL;
}

/* Keeps the state; without memory it is simply found again next time. */
static void remember(struct filter_root *fr, const char *rel, size_t len, const struct state *st)
{
	struct slot *slot;

	if (!fr->slots && !(fr->slots = calloc(SLOTS, sizeof *fr->slots)))
		return;
	slot = &fr->slots[hash_of(rel, len) & (SLOTS - 1)];
	slot->generation = 0;
	if (slot->cap < len) {
		char *p = realloc(slot->rel, len + 32);

		if (!p)
			return;
		slot->rel = p;
		slot->cap = len + 32;
	}
	memcpy(slot->rel, rel, len);
	slot->len = len;
	slot->state = *st;
	slot->generation = fr->generation;
}

static size_t parent_length(const char *rel, size_t len)
{
	while (len && rel[len - 1] != '/')
		len--;
	return len ? len - 1 : 0;
}

/* Links the directory into the chain, now that what is above it is known. */
static void enter(struct filter_root *fr, struct state *st, const char *rel, size_t len)
{
	struct dir_rules *own = watcher__dirs_find(&fr->dirs, rel, len);

	if (!own)
		return;
	own->up = st->chain;
	st->chain = own;
}

static struct state root_state(struct filter_root *fr)
{
	const struct filter_dirs *d = &fr->dirs;
	struct state st = { 0 };

	if (d->outer_count)
		st.chain = d->outer[d->outer_count - 1];
	enter(fr, &st, "", 0);
	return st;
}

/* The state of the directory fr->path holds below the root up to `len`. */
static struct state dir_state(struct filter_root *fr, size_t len)
{
	const char *rel = fr->path.data + fr->skip;
	struct slot *slot = fr->last && slot_is(fr, fr->last, rel, len) ? fr->last : NULL;
	size_t at = len;
	struct state st;

	if (slot)
		return slot->state;
	while (at && !(slot = recall(fr, rel, at)))
		at = parent_length(rel, at);
	st = slot ? slot->state : root_state(fr);
	while (at < len) {
		at += at > 0;
		while (at < len && rel[at] != '/')
			at++;
		st = decide(fr, &st, fr->skip + at, true, true);
		enter(fr, &st, rel, at);
		remember(fr, rel, at, &st);
	}
	if (len)
		fr->last = recall(fr, rel, len);
	return st;
}

void watcher__filter_forget_decisions(struct filter_root *fr)
{
	if (++fr->generation != 0)
		return;
	for (int i = 0; fr->slots && i < SLOTS; i++)
		fr->slots[i].generation = 0;
	fr->generation = 1;
}

/* ---- the questions ---- */

static int set_path(struct filter_root *fr, const char *rel, size_t len)
{
	fr->path.len = fr->skip;
	fr->shown.len = fr->shown_skip;
	/* Only a path longer than any before allocates. */
	if (fr->has_full && bytes_add(&fr->shown, rel, len) < 0)
		return UV_ENOMEM;
	return bytes_add(&fr->path, rel, len);
}

/* A root that is a file has a name for options to match; a root directory is what was asked
 * for, whatever its name. */
static struct state root_entry_state(struct filter_root *fr, bool is_dir)
{
	size_t end = fr->skip - (fr->skip > 1);
	struct subject s = subject_of(fr, end, is_dir);
	struct state st = { 0 };

	s.full_len = fr->shown_skip - (fr->shown_skip > 1);
	if (fr->lists[LIST_WANT].count)
		st.want = match_list(fr, LIST_WANT, &s, end, MATCH_ALL);
	if (fr->lists[LIST_KEEP].count)
		st.keep = match_list(fr, LIST_KEEP, &s, end, MATCH_ALL);
	if (!is_dir && fr->lists[LIST_IGNORE].count)
		st.ignore = match_list(fr, LIST_IGNORE, &s, end, MATCH_ALL);
	if (st.ignore && st.ignore->flags & RULE_NEGATED)
		st.ignore = NULL;
	return st;
}

static bool holds(const struct rule *rule)
{
	return rule && !(rule->flags & RULE_NEGATED);
}

static bool wants_by_default(const struct filter_root *fr)
{
	return !fr->lists[LIST_WANT].has_positive &&
	       !(fr->filter->flags & WATCHER_FILTER_NEEDS_PATTERN);
}

/* What the rules say; the reason with it. */
static void judge_rules(struct filter_root *fr, const struct state *st, struct judgement *j)
{
	*j = (struct judgement){ .passes = false, .at = st->ignored_at };
	if (st->ignore && !holds(st->keep)) {
		j->why = WATCHER_WHY_IGNORED;
		j->rule = st->ignore;
	} else if (st->want && !holds(st->want)) {
		j->why = WATCHER_WHY_PATTERN;
		j->rule = st->want;
	} else if (!st->want && !wants_by_default(fr)) {
		j->why = WATCHER_WHY_NO_PATTERN;
	} else {
		j->passes = true;
		j->rule = st->ignore ? st->keep : st->spare ? st->spare : st->want;
		j->why = st->ignore ? WATCHER_WHY_INCLUDED :
			 st->spare  ? WATCHER_WHY_REINCLUDED :
			 st->want   ? WATCHER_WHY_PATTERN :
				      WATCHER_WHY_NO_RULE;
	}
}

static void judge_path(struct filter_root *fr, size_t len, bool is_dir, struct judgement *j)
{
	struct state st;

	if (len == 0) {
		st = root_entry_state(fr, is_dir);
	} else {
		st = dir_state(fr, parent_length(fr->path.data + fr->skip, len));
		st = decide(fr, &st, fr->skip + len, is_dir, false);
	}
	judge_rules(fr, &st, j);
}

static bool predicates_agree(struct filter_root *fr, int type, unsigned kind)
{
	const watcher_filter *f = fr->filter;

	for (uint32_t i = 0; i < f->predicate_count; i++)
		if (!f->predicates[i].cb(fr->path.data + fr->skip, type, kind, f->predicates[i].arg))
			return false;
	return true;
}

void watcher__filter_judge(struct filter_root *fr, const char *rel, size_t len, int type,
			   unsigned kind, struct judgement *j)
{
	const watcher_filter *f = fr->filter;

	*j = (struct judgement){ .passes = true, .why = WATCHER_WHY_NO_RULE };
	/* Without memory nothing is withheld. */
	if (kind & WATCHER_CONTROL || set_path(fr, rel, len) < 0)
		return;
	if (fr->has_rules)
		judge_path(fr, len, type == WATCHER_TYPE_DIR, j);
	if (!j->passes)
		return;
	if (kind && f->kinds && !(kind & f->kinds)) {
		*j = (struct judgement){ .why = WATCHER_WHY_KIND };
	} else if (type == WATCHER_TYPE_DIR && f->flags & WATCHER_FILTER_NO_DIRECTORIES) {
		*j = (struct judgement){ .why = WATCHER_WHY_DIRECTORY };
	} else if (f->predicate_count && !predicates_agree(fr, type, kind)) {
		*j = (struct judgement){ .why = WATCHER_WHY_PREDICATE };
	}
}

bool watcher__filter_pass(struct filter_root *fr, const char *rel, size_t len, int type,
			  unsigned kind)
{
	struct judgement j;

	if (!fr || fr->lets_all)
		return true;
	watcher__filter_judge(fr, rel, len, type, kind, &j);
	return j.passes;
}

/* May a rule of the list that comes after `than` match below the directory fr->path holds? */
static bool may_match_below(struct filter_root *fr, enum filter_list which,
			    const struct rule *than)
{
	const struct bound_list *list = &fr->lists[which];

	for (uint32_t i = list->count; i-- > 0;) {
		const struct bound_set *b = &list->v[i];

		for (uint32_t k = b->set->count; k-- > 0;) {
			const struct rule *rule = &b->set->rules[k];
			bool full = rule->flags & RULE_FULL;
			const char *p = full ? fr->shown.data : fr->path.data + b->skip;
			size_t n = full ? fr->shown.len : fr->path.len - b->skip;

			if (than && rule->seq < than->seq)
				return false;
			if (!holds(rule))
				continue;
			/* A file below the root: its directory, and what leads to it, stay open. */
			if (b->below_root && !full)
				return true;
			if (n == 0 || watcher__rule_may_match_below(rule, &fr->matcher, p, n))
				return true;
		}
	}
	return false;
}

bool watcher__filter_descend(struct filter_root *fr, const char *rel, size_t len)
{
	struct state st;

	if (!fr || !fr->has_rules || set_path(fr, rel, len) < 0)
		return true;
	st = dir_state(fr, len);
	/* The programs that look below want the directory with its slash. */
	if (len && (bytes_addc(&fr->path, '/') < 0 ||
		    (fr->has_full && bytes_addc(&fr->shown, '/') < 0)))
		return true;
	if (st.ignore && !holds(st.keep) && !may_match_below(fr, LIST_KEEP, st.keep))
		return false;
	if (holds(st.want) || (!st.want && wants_by_default(fr)))
		return true;
	return may_match_below(fr, LIST_WANT, st.want);
}
