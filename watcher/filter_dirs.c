/* Ignore files by directory: kept, let go of, asked. Reading them is in filter_read.c. */
#include "filter_dirs.h"

void watcher__dirs_free(struct filter_dirs *d)
{
	for (size_t i = 0; i < d->count; i++)
		watcher__dir_free(d->v[i]);
	for (size_t i = 0; i < d->outer_count; i++)
		watcher__dir_free(d->outer[i]);
	free(d->v);
	free(d->outer);
	watcher__rules_unref(d->global);
}

static bool dir_is_empty(const struct dir_rules *dir)
{
	for (int i = 0; i < KIND_COUNT; i++)
		if (dir->sets[i])
			return false;
	return !dir->exclude && !dir->git_top;
}

/* ---- the sorted table ---- */

static int compare(const struct dir_rules *dir, const char *rel, size_t len)
{
	int r = memcmp(dir->rel, rel, dir->len < len ? dir->len : len);

	return r ? r : (dir->len > len) - (dir->len < len);
}

/* The first place whose directory is not less than `rel`. */
static size_t lower_bound(const struct filter_dirs *d, const char *rel, size_t len)
{
	size_t from = 0, to = d->count;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (compare(d->v[mid], rel, len) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static bool is_at(const struct filter_dirs *d, size_t i, const char *rel, size_t len)
{
	return i < d->count && compare(d->v[i], rel, len) == 0;
}

struct dir_rules *watcher__dirs_find(const struct filter_dirs *d, const char *rel, size_t len)
{
	size_t i = lower_bound(d, rel, len);

	return is_at(d, i, rel, len) ? d->v[i] : NULL;
}

static int insert(struct filter_dirs *d, size_t at, struct dir_rules *dir)
{
	if (d->count == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 8;
		struct dir_rules **v = realloc(d->v, cap * sizeof(*v));

		if (!v)
			return UV_ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	memmove(d->v + at + 1, d->v + at, (d->count - at) * sizeof *d->v);
	d->v[at] = dir;
	d->count++;
	return 0;
}

static void take_out(struct filter_dirs *d, size_t at)
{
	watcher__dir_free(d->v[at]);
	memmove(d->v + at, d->v + at + 1, (--d->count - at) * sizeof *d->v);
}

static bool same_set(const struct rule_set *a, const struct rule_set *b)
{
	return a && b ? a->content == b->content : !a && !b;
}

static bool same_rules(const struct dir_rules *a, const struct dir_rules *b)
{
	for (int i = 0; i < KIND_COUNT; i++)
		if (!same_set(a->sets[i], b->sets[i]))
			return false;
	return a->git_top == b->git_top && same_set(a->exclude, b->exclude);
}

/* Puts what was read in the place of what was there. */
static int replace(struct filter_dirs *d, struct dir_rules *now)
{
	size_t at = lower_bound(d, now->rel, now->len);
	bool had = is_at(d, at, now->rel, now->len);
	int r = 1;

	if (had ? same_rules(d->v[at], now) : dir_is_empty(now)) {
		watcher__dir_free(now);
		return 0;
	}
	if (had && dir_is_empty(now)) {
		take_out(d, at);
		watcher__dir_free(now);
	} else if (had) {
		watcher__dir_free(d->v[at]);
		d->v[at] = now;
	} else if ((r = insert(d, at, now)) < 0) {
		watcher__dir_free(now);
		return r;
	}
	return 1;
}

int watcher__dirs_reload(struct filter_dirs *d, const char *rel, size_t len)
{
	struct dir_rules *now;
	int r = watcher__dir_read(d, &now, rel, len);

	return r < 0 ? r : replace(d, now);
}

static bool same_tables(const struct filter_dirs *a, const struct filter_dirs *b)
{
	if (a->count != b->count || a->outer_count != b->outer_count ||
	    !same_set(a->global, b->global))
		return false;
	for (size_t i = 0; i < a->outer_count; i++)
		if (!same_rules(a->outer[i], b->outer[i]))
			return false;
	for (size_t i = 0; i < a->count; i++)
		if (compare(a->v[i], b->v[i]->rel, b->v[i]->len) || !same_rules(a->v[i], b->v[i]))
			return false;
	return true;
}

int watcher__dirs_reload_all(struct filter_dirs *d)
{
	struct filter_dirs now = *d, old = *d;
	int r;

	now.v = now.outer = NULL;
	now.count = now.cap = now.outer_count = 0;
	now.global = NULL;
	now.global_tried = false;
	r = watcher__dirs_read_outer(&now);
	if (r == 0)
		r = watcher__dirs_reload(&now, "", 0);
	for (size_t i = 0; i < d->count && r >= 0; i++)
		r = watcher__dirs_reload(&now, d->v[i]->rel, d->v[i]->len);
	if (r < 0 || same_tables(&old, &now)) {
		watcher__dirs_free(&now);
		return r < 0 ? r : 0;
	}
	*d = now;
	watcher__dirs_free(&old);
	return 1;
}

static bool is_within(const struct dir_rules *dir, const char *rel, size_t len)
{
	return dir->len >= len && memcmp(dir->rel, rel, len) == 0 &&
	       (len == 0 || dir->len == len || dir->rel[len] == '/');
}

size_t watcher__dirs_forget(struct filter_dirs *d, const char *rel, size_t len)
{
	size_t at = lower_bound(d, rel, len), gone = 0;

	/* "a", "a-b", "a/c": what is below "a" need not follow it at once. */
	while (at < d->count && d->v[at]->len >= len && memcmp(d->v[at]->rel, rel, len) == 0) {
		if (is_within(d->v[at], rel, len)) {
			take_out(d, at);
			gone++;
		} else {
			at++;
		}
	}
	return gone;
}

/* ---- asking ---- */

static const struct rule *ask(const struct rule_set *set, const struct dir_rules *dir,
			      struct matcher *m, struct subject *s, const char *path,
			      size_t path_len)
{
	if (!set || path_len <= dir->skip)
		return NULL;
	s->path = path + dir->skip;
	s->path_len = path_len - dir->skip;
	return watcher__rules_match(set, m, s, MATCH_ALL);
}

static const struct rule *ask_git(const struct filter_dirs *d, const struct dir_rules *chain,
				  struct matcher *m, struct subject *s, const char *path,
				  size_t path_len)
{
	const struct rule *rule = NULL;

	for (const struct dir_rules *dir = chain; dir && !rule; dir = dir->up) {
		rule = ask(dir->sets[KIND_GITIGNORE], dir, m, s, path, path_len);
		if (!dir->git_top || rule)
			continue;
		rule = ask(dir->exclude, dir, m, s, path, path_len);
		return rule ? rule : ask(d->global, dir, m, s, path, path_len);
	}
	return rule;
}

const struct rule *watcher__dirs_match(const struct filter_dirs *d, const struct dir_rules *chain,
				       struct matcher *m, struct subject *s, const char *path,
				       size_t path_len)
{
	const struct rule *rule = NULL;

	for (int kind = KIND_WHENDOIGNORE; kind < KIND_GITIGNORE && !rule; kind++)
		for (const struct dir_rules *dir = chain; dir && !rule; dir = dir->up)
			rule = ask(dir->sets[kind], dir, m, s, path, path_len);
	return rule ? rule : ask_git(d, chain, m, s, path, path_len);
}
