/*
 * What a bound root's ignore files say, read from disk: of one directory, of the directories
 * above the root, and of git's own files. They are kept and asked in filter_dirs.c.
 */
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

void watcher__dir_free(struct dir_rules *dir)
{
	if (!dir)
		return;
	for (int i = 0; i < KIND_COUNT; i++)
		watcher__rules_unref(dir->sets[i]);
	watcher__rules_unref(dir->exclude);
	free(dir->rel);
	free(dir);
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
		watcher__dir_free(made);
	return r;
}

int watcher__dir_read(struct filter_dirs *d, struct dir_rules **dir, const char *rel, size_t len)
{
	struct place p = { { 0 }, { 0 } };
	int r = place_below(&p, d, rel, len);

	if (r == 0)
		r = dir_new(d, dir, &p, rel, len);
	place_free(&p);
	return r;
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

/* Tells info/exclude of the directory, if it is the top of a work tree. */
static int tell_exclude(const struct filter_dirs *d, const struct dir_rules *dir, bool outer,
			int (*each)(const char *path, void *arg), void *arg)
{
	struct bytes top = { 0 }, path = { 0 };
	int r;

	if (!dir->git_top)
		return 0;
	r = bytes_adds(&top, outer ? dir->rel : d->root);
	if (r == 0 && !outer)
		r = join(&top, "", dir->rel, dir->len);
	if (r == 0)
		r = watcher__git_exclude_path(&path, top.data);
	if (r == 0)
		r = each(path.data, arg);
	bytes_free(&top);
	bytes_free(&path);
	return r == UV_ENOENT ? 0 : r;
}

static int tell_outer(const struct filter_dirs *d, const struct dir_rules *dir,
		      int (*each)(const char *path, void *arg), void *arg)
{
	int r = tell_exclude(d, dir, true, each, arg);

	for (int i = 0; i < KIND_COUNT && r == 0; i++) {
		struct bytes path = { 0 };

		if (!(d->flags & files[i].flag))
			continue;
		r = bytes_add(&path, dir->rel, dir->len);
		if (r == 0)
			r = join(&path, "", files[i].name, strlen(files[i].name));
		if (r == 0)
			r = each(path.data, arg);
		bytes_free(&path);
	}
	return r;
}

/* Tells the user's global excludes, and where it is said which file that is. */
static int tell_global(const struct filter_dirs *d, int (*each)(const char *path, void *arg),
		       void *arg)
{
	const char *top = d->outer_count ? d->outer[0]->rel : d->root;
	struct bytes global = { 0 };
	int r = watcher__git_global_path(&global, top);

	if (r == 0)
		r = each(global.data, arg);
	if (r == 0 || r == UV_ENOENT)
		r = watcher__git_configs(top, each, arg);
	bytes_free(&global);
	return r;
}

int watcher__dirs_outside(const struct filter_dirs *d, int (*each)(const char *path, void *arg),
			  void *arg)
{
	int r = 0;

	for (size_t i = 0; i < d->outer_count && r == 0; i++)
		r = tell_outer(d, d->outer[i], each, arg);
	for (size_t i = 0; i < d->count && r == 0; i++)
		r = tell_exclude(d, d->v[i], false, each, arg);
	return r == 0 && d->global_tried ? tell_global(d, each, arg) : r;
}
