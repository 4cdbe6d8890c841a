/*
 * A filter bound to a root: made, told of changed rules, freed. Decisions are in
 * filter_decide.c.
 */
#include "filter_root.h"

#include <errno.h>

#include "base/one_line.h"
#include "ignore_file.h"

/* ---- problems ---- */

static void tell(struct filter_root *fr, const char *path, int code, const char *message)
{
	watcher_error err = { .code = code };

	snprintf(err.message, sizeof err.message, "%s", message);
	one_line(err.message);
	if (fr->on_problem)
		fr->on_problem(path, &err, fr->problem_arg);
	else if (fr->filter->on_problem)
		fr->filter->on_problem(err.message, fr->filter->problem_arg);
}

static void unreadable(const char *path, int code, void *arg)
{
	char message[500];

	snprintf(message, sizeof message, "%.300s: %s: its rules do not count", path,
		 watcher__ignore_file_error(code));
	tell(arg, path, code, message);
}

static void gave_up(const struct rule *rule, void *arg)
{
	struct filter_root *fr = arg;
	char message[500];

	for (size_t i = 0; i < fr->reported_count; i++)
		if (fr->reported[i] == rule)
			return;
	fr->reported[fr->reported_count++] = rule; /* room for every regex was made */
	snprintf(message, sizeof message,
		 "%s '%.300s' takes too many steps on some paths; those count as not excluded",
		 rule->origin, rule->text);
	tell(fr, NULL, UV_ETIMEDOUT, message);
}

void watcher__filter_on_problem(struct filter_root *fr,
				void (*cb)(const char *path, const watcher_error *err, void *arg),
				void *arg)
{
	if (!fr)
		return;
	fr->on_problem = cb;
	fr->problem_arg = arg;
}

/* ---- binding ---- */

static void bind_set(struct bound_set *b, const struct rule_set *set, const char *root)
{
	size_t root_len = strlen(root), base_len = set->base ? strlen(set->base) : 0;
	size_t root_skip = root_len + (root_len > 1), base_skip = base_len + (base_len > 1);

	*b = (struct bound_set){ .set = set, .skip = root_skip };
	if (!set->base || strcmp(root, set->base) == 0)
		return;
	if (root_len > base_len && memcmp(root, set->base, base_len) == 0 &&
	    (base_len == 1 || root[base_len] == '/')) {
		b->skip = base_skip;
	} else if (base_len > root_len && memcmp(root, set->base, root_len) == 0 &&
		   (root_len == 1 || set->base[root_len] == '/')) {
		b->skip = base_skip;
		b->below_root = true;
	}
}

static int bind_lists(struct filter_root *fr, size_t *regexes)
{
	for (int i = 0; i < LIST_COUNT; i++) {
		const struct rule_list *from = &fr->filter->lists[i];
		struct bound_list *to = &fr->lists[i];

		if (from->count && !(to->v = calloc(from->count, sizeof *to->v)))
			return UV_ENOMEM;
		for (uint32_t k = 0; k < from->count; k++) {
			const struct rule_set *set = from->sets[k];

			bind_set(&to->v[to->count++], set, fr->root);
			to->has_positive |= set->has_positive;
			for (uint32_t n = 0; n < set->chunk_count; n++) {
				*regexes += set->chunks[n].regex;
				fr->has_full |= set->chunks[n].full;
			}
		}
	}
	return 0;
}

/* Writes the root, and the slash behind it, where paths are put together. */
static int start_paths(struct filter_root *fr, const char *root_shown)
{
	bool here = strcmp(root_shown, ".") == 0;
	int r = bytes_adds(&fr->path, fr->root);

	if (r == 0 && fr->path.len > 1)
		r = bytes_addc(&fr->path, '/');
	if (r == 0)
		r = bytes_adds(&fr->shown, here ? "" : root_shown);
	if (r == 0 && fr->shown.len && fr->shown.data[fr->shown.len - 1] != '/')
		r = bytes_addc(&fr->shown, '/');
	fr->skip = fr->path.len;
	fr->shown_skip = fr->shown.len;
	/* Long enough for most paths: deciding does not allocate. */
	if (r == 0)
		r = bytes_reserve(&fr->path, 1024);
	return r < 0 || !fr->has_full ? r : bytes_reserve(&fr->shown, 1024);
}

static int bind_dirs(struct filter_root *fr, const char *root_shown)
{
	struct filter_dirs *d = &fr->dirs;
	int r;

	d->root = fr->root;
	d->root_skip = fr->skip;
	d->on_problem = unreadable;
	d->arg = fr;
	if (!(d->root_shown = strdup(root_shown)))
		return UV_ENOMEM;
	r = watcher__dirs_read_outer(d);
	if (r == 0)
		r = watcher__dirs_reload(d, "", 0);
	return r < 0 ? r : 0;
}

static bool any_rules(const struct filter_root *fr)
{
	const watcher_filter *f = fr->filter;

	for (int i = 0; i < LIST_COUNT; i++)
		if (fr->lists[i].count)
			return true;
	return f->defaults || f->flags & (WATCHER_FILTER_GITIGNORE | WATCHER_FILTER_DOT_IGNORE |
					  WATCHER_FILTER_NEEDS_PATTERN);
}

static int fill(struct filter_root *fr, const char *root_abs, const char *root_shown)
{
	size_t regexes = 0;
	int r;

	/* A root may not exist yet; then its path is taken as it is. */
	if (!fr->is_virtual)
		fr->root = realpath(root_abs, NULL);
	if (fr->is_virtual || (!fr->root && errno != ENOMEM))
		fr->root = strdup(root_abs);
	if (!fr->root)
		return UV_ENOMEM;
	if ((r = watcher__matcher_init(&fr->matcher)) < 0 || (r = bind_lists(fr, &regexes)) < 0 ||
	    (r = start_paths(fr, root_shown)) < 0)
		return r;
	fr->matcher.gave_up = gave_up;
	fr->matcher.arg = fr;
	fr->generation = 1;
	fr->has_rules = any_rules(fr);
	fr->lets_all = !fr->has_rules && !fr->filter->kinds && !fr->filter->predicate_count &&
		       !(fr->filter->flags & WATCHER_FILTER_NO_DIRECTORIES);
	if (!(fr->reported = calloc(regexes + 1, sizeof(*fr->reported))))
		return UV_ENOMEM;
	return bind_dirs(fr, root_shown);
}

static struct filter_root *root_new(const watcher_filter *f)
{
	struct filter_root *made = calloc(1, sizeof *made);

	if (!made)
		return NULL;
	made->filter = watcher__filter_ref(f);
	made->dirs.flags = f->flags;
	return made;
}

static int bind_new(struct filter_root **fr, struct filter_root *made, const char *root_abs,
		const char *root_shown)
{
	int r = made ? fill(made, root_abs, root_shown) : UV_ENOMEM;

	if (r < 0)
		watcher__filter_unbind(made);
	else
		*fr = made;
	return r;
}

int watcher__filter_bind(struct filter_root **fr, const watcher_filter *f, const char *root_abs,
			 const char *root_shown)
{
	if (f)
		return bind_new(fr, root_new(f), root_abs, root_shown);
	*fr = NULL;
	return 0;
}

int watcher__filter_bind_virtual(struct filter_root **fr, const watcher_filter *f,
				 const char *root, const char *root_shown)
{
	struct filter_root *made = f ? root_new(f) : NULL;

	if (made) {
		made->is_virtual = true;
		made->dirs.flags &= ~(unsigned)(WATCHER_FILTER_GITIGNORE | WATCHER_FILTER_DOT_IGNORE);
	}
	if (f)
		return bind_new(fr, made, root, root_shown);
	*fr = NULL;
	return 0;
}

void watcher__filter_unbind(struct filter_root *fr)
{
	if (!fr)
		return;
	watcher__dirs_free(&fr->dirs);
	free((char *)(uintptr_t)fr->dirs.root_shown);
	for (int i = 0; i < LIST_COUNT; i++)
		free(fr->lists[i].v);
	for (int i = 0; fr->slots && i < SLOTS; i++)
		free(fr->slots[i].rel);
	free(fr->slots);
	watcher__matcher_free(&fr->matcher);
	bytes_free(&fr->path);
	bytes_free(&fr->shown);
	free(fr->reported);
	free(fr->root);
	watcher_filter_free(fr->filter);
	free(fr);
}

/* ---- rules that change ---- */

bool watcher__filter_is_ignore_file(const struct filter_root *fr, const char *name, size_t len)
{
	return fr && watcher__dirs_is_ignore_file(fr->dirs.flags, name, len);
}

int watcher__filter_reload(struct filter_root *fr, const char *rel, size_t len)
{
	int r = fr ? watcher__dirs_reload(&fr->dirs, rel, len) : 0;

	if (r)
		watcher__filter_forget_decisions(fr);
	return r;
}

bool watcher__filter_reads_files(const watcher_filter *f)
{
	return f && f->flags & (WATCHER_FILTER_GITIGNORE | WATCHER_FILTER_DOT_IGNORE);
}

bool watcher__filter_has_rules(const struct filter_root *fr, const char *rel, size_t len)
{
	return watcher__dirs_find(&fr->dirs, rel, len) != NULL;
}

int watcher__filter_reload_all(struct filter_root *fr)
{
	int r = fr ? watcher__dirs_reload_all(&fr->dirs) : 0;

	if (r > 0)
		watcher__filter_forget_decisions(fr);
	return r;
}

int watcher__filter_outside(const struct filter_root *fr,
			    int (*each)(const char *path, void *arg), void *arg)
{
	return fr ? watcher__dirs_outside(&fr->dirs, each, arg) : 0;
}

void watcher__filter_forget(struct filter_root *fr, const char *rel, size_t len)
{
	if (fr && watcher__dirs_forget(&fr->dirs, rel, len))
		watcher__filter_forget_decisions(fr);
}
