/* Ignore files by directory: read, kept, moved, asked. */
#include "filter_dirs.h"

#include <sys/stat.h>

#include "ignore_file.h"

static const struct {
	const char *name;
	unsigned flag;
	unsigned open_flags;
} files[KIND_COUNT] = {
	{ ".whendoignore", WATCHER_FILTER_DOT_IGNORE, 0 },
	{ ".ignore", WATCHER_FILTER_DOT_IGNORE, 0 },
	{ ".gitignore", WATCHER_FILTER_GITIGNORE, IGNORE_FILE_NO_LINK },
};

bool watcher__dirs_is_ignore_file(unsigned flags, const char *name, size_t len)
{
	if (len < 4 || name[0] != '.')
		return false;
	for (int i = 0; i < KIND_COUNT; i++)
		if (flags & files[i].flag && strlen(files[i].name) == len &&
		    memcmp(files[i].name, name, len) == 0)
			return true;
	return flags & WATCHER_FILTER_GITIGNORE && len == 4 && memcmp(name, ".git", 4) == 0;
}

static void dir_free(struct dir_rules *dir)
{
	if (!dir)
		return;
	for (int i = 0; i < KIND_COUNT; i++)
		watcher__rules_unref(dir->sets[i]);
	watcher__rules_unref(dir->exclude);
	free(dir->rel);
	free(dir);
}

void watcher__dirs_free(struct filter_dirs *d)
{
	for (size_t i = 0; i < d->count; i++)
		dir_free(d->v[i]);
	for (size_t i = 0; i < d->outer_count; i++)
		dir_free(d->outer[i]);
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

/* ---- reading one directory's files ---- */

/* Where a directory is, and how its files are called in a verdict. */
struct place {
	struct bytes path, shown;
};

static int join(struct bytes *out, const char *dir, const char *rel, size_t len)
{
	int r = bytes_adds(out, dir);

	if (r == 0 && len && out->len && out->data[out->len - 1] != '/')
		r = bytes_addc(out, '/');
	return r < 0 ? r : bytes_add(out, rel, len);
}

static int place_below(struct place *p, const struct filter_dirs *d, const char *rel, size_t len)
{
	bool here = strcmp(d->root_shown, ".") == 0;
	int r = join(&p->path, d->root, rel, len);

	return r < 0 ? r : join(&p->shown, here ? "" : d->root_shown, rel, len);
}

static void place_free(struct place *p)
{
	bytes_free(&p->path);
	bytes_free(&p->shown);
}

/* Reads path/name, or makes *set NULL if there is nothing to read. */
static int read_set(const struct filter_dirs *d, struct rule_set **set, const struct place *p,
		    const char *name, unsigned flags)
{
	struct bytes path = { 0 }, shown = { 0 };
	int r = join(&path, p->path.data, name, strlen(name));

	*set = NULL;
	if (r == 0)
		r = join(&shown, p->shown.data ? p->shown.data : "", name, strlen(name));
	if (r == 0)
		r = watcher__ignore_file_read(set, path.data, shown.data, NULL, flags);
	if (r < 0 && r != UV_ENOMEM) {
		if (r != UV_ENOENT && d->on_problem)
			d->on_problem(path.data, r, d->arg);
		r = 0;
	}
	bytes_free(&path);
	bytes_free(&shown);
	return r;
}

static int read_path(const struct filter_dirs *d, struct rule_set **set, const char *path)
{
	int r = watcher__ignore_file_read(set, path, path, NULL, 0);

	if (r < 0 && r != UV_ENOMEM && r != UV_ENOENT && d->on_problem)
		d->on_problem(path, r, d->arg);
	return r == UV_ENOMEM ? r : 0;
}

/* git's excludes of the work tree whose top is `top`; the global ones once. */
static int read_git(struct filter_dirs *d, struct dir_rules *dir, const char *top)
{
	struct bytes path = { 0 };
	int r = watcher__git_exclude_path(&path, top);

	if (r == 0)
		r = read_path(d, &dir->exclude, path.data);
	bytes_clear(&path);
	if (r != UV_ENOMEM && !d->global_tried) {
		r = watcher__git_global_path(&path, top);
		if (r == 0)
			r = read_path(d, &d->global, path.data);
		d->global_tried = r != UV_ENOMEM;
	}
	bytes_free(&path);
	return r == UV_ENOMEM ? r : 0;
}

static int has_git(const char *dir, bool *has)
{
	struct bytes path = { 0 };
	struct stat st;
	int r = join(&path, dir, ".git", 4);

	if (r == 0)
		*has = lstat(path.data, &st) == 0;
	bytes_free(&path);
	return r;
}

/* All that the directory has, into an empty *dir. */
static int read_dir(struct filter_dirs *d, struct dir_rules *dir, const struct place *p)
{
	int r = 0;

	for (int i = 0; i < KIND_COUNT && r == 0; i++)
		if (d->flags & files[i].flag)
			r = read_set(d, &dir->sets[i], p, files[i].name, files[i].open_flags);
	if (r == 0 && d->flags & WATCHER_FILTER_GITIGNORE)
		r = has_git(p->path.data, &dir->git_top);
	if (r == 0 && dir->git_top)
		r = read_git(d, dir, p->path.data);
	return r;
}

static int dir_new(struct filter_dirs *d, struct dir_rules **dir, const struct place *p,
		   const char *rel, size_t len)
{
	struct dir_rules *made = calloc(1, sizeof *made);
	int r = UV_ENOMEM;

	if (made && (made->rel = strndup(rel, len))) {
		made->len = len;
		/* Everything below "/" begins at byte 1, below "/a" at byte 3. */
		made->skip = p->path.len + (p->path.len > 1);
		r = read_dir(d, made, p);
	}
	if (r == 0)
		*dir = made;
	else
		dir_free(made);
	return r;
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
	dir_free(d->v[at]);
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
		dir_free(now);
		return 0;
	}
	if (had && dir_is_empty(now)) {
		take_out(d, at);
		dir_free(now);
	} else if (had) {
		dir_free(d->v[at]);
		d->v[at] = now;
	} else if ((r = insert(d, at, now)) < 0) {
		dir_free(now);
		return r;
	}
	return 1;
}

int watcher__dirs_reload(struct filter_dirs *d, const char *rel, size_t len)
{
	struct place p = { { 0 }, { 0 } };
	struct dir_rules *now;
	int r = place_below(&p, d, rel, len);

	if (r == 0)
		r = dir_new(d, &now, &p, rel, len);
	if (r == 0)
		r = replace(d, now);
	place_free(&p);
	return r;
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

int watcher__dirs_rename(struct filter_dirs *d, const char *from, size_t from_len, const char *to,
			 size_t to_len)
{
	struct bytes names = { 0 };
	int r = 0, moved = 0;

	/* The new paths first, then the reading: what is in the files goes with them. */
	for (size_t i = 0; i < d->count && r == 0; i++) {
		if (!is_within(d->v[i], from, from_len))
			continue;
		moved = 1;
		r = bytes_add(&names, to, to_len);
		if (r == 0)
			r = bytes_add(&names, d->v[i]->rel + from_len, d->v[i]->len - from_len + 1);
	}
	watcher__dirs_forget(d, from, from_len);
	for (size_t at = 0; at < names.len && r >= 0; at += strlen(names.data + at) + 1)
		r = watcher__dirs_reload(d, names.data + at, strlen(names.data + at));
	bytes_free(&names);
	return r < 0 ? r : moved;
}

/* ---- above the root ---- */

/* Length of the parent directory of path[0..len). */
static size_t parent(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	return len > 1 ? len - 1 : len;
}

/* How many directories above the root belong to its work tree; 0 outside of any. */
static int count_outer(const struct filter_dirs *d, size_t *count)
{
	struct bytes dir = { 0 };
	size_t n = 0;
	bool has = false;
	int r = bytes_adds(&dir, d->root);

	if (r == 0)
		r = has_git(dir.data, &has);
	while (r == 0 && !has && dir.len > 1) {
		dir.data[dir.len = parent(dir.data, dir.len)] = '\0';
		r = has_git(dir.data, &has);
		n++;
	}
	bytes_free(&dir);
	*count = has ? n : 0;
	return r;
}

static int read_one_outer(struct filter_dirs *d, size_t slot, size_t len)
{
	struct place p = { { 0 }, { 0 } };
	int r = bytes_add(&p.path, d->root, len);

	if (r == 0)
		r = bytes_add(&p.shown, d->root, len);
	if (r == 0)
		r = dir_new(d, &d->outer[slot], &p, d->root, len);
	place_free(&p);
	return r;
}

int watcher__dirs_read_outer(struct filter_dirs *d)
{
	size_t n = 0, len = strlen(d->root);
	int r;

	if (!(d->flags & (WATCHER_FILTER_GITIGNORE | WATCHER_FILTER_DOT_IGNORE)))
		return 0;
	if ((r = count_outer(d, &n)) < 0 || n == 0)
		return r;
	if (!(d->outer = calloc(n, sizeof(*d->outer))))
		return UV_ENOMEM;
	d->outer_count = n;
	for (size_t i = n; i-- > 0 && r == 0;)
		r = read_one_outer(d, i, len = parent(d->root, len));
	for (size_t i = 1; i < n && r == 0; i++)
		d->outer[i]->up = d->outer[i - 1];
	return r;
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
