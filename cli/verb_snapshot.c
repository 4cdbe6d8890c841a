/* snapshot and diff: the state of trees in a file, and what changed since. */
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "filtering.h"
#include "format.h"
#include "options.h"
#include "print.h"
#include "say.h"

struct comparing {
	const struct settings *s;
	struct format format;
	struct bytes out;
	struct words roots; /* what is looked at now */
	struct words below; /* what is told lies at or below one of these, as events name it */
	const watcher_filter *filter;
	struct stat file; /* the snapshot's own */
	unsigned kinds;
};

static int fail(const watcher_error *err, int code)
{
	say_error("%s", err->message[0] ? err->message : uv_strerror(code));
	return EXIT_FAILED;
}

static int take(watcher_snapshot **snap, const struct settings *s, const watcher_filter *f,
		const char *const *roots)
{
	watch_options o = { .size = sizeof o };
	watcher_error err = { 0 };
	int r;

	o.depth = s->recursive ? s->depth : 1;
	o.follow_symlinks = s->follow_symlinks;
	o.filter = f;
	r = watcher_snapshot_take(snap, roots, &o, &err);
	return r < 0 ? fail(&err, r) : 0;
}

static int save(const watcher_snapshot *snap, const char *file)
{
	watcher_error err = { 0 };
	int r = watcher_snapshot_save(snap, file, &err);

	return r < 0 ? fail(&err, r) : 0;
}

static int need_file(const struct settings *s)
{
	if (s->paths.n > 0)
		return 0;
	say_error("%s: name the file for the state, then the paths", s->verb->name);
	return EXIT_USAGE;
}

/* Most often a name that was mistyped; but the state may be that it is not there. */
static void say_absent(const struct settings *s, const char *const *roots)
{
	struct voice v = { .level = s->loudness, .log_fd = -1 };
	struct stat st;

	for (; *roots; roots++)
		if (lstat(*roots, &st) < 0 && errno == ENOENT)
			say(&v, 0, SAY_PLAIN, "%s: is not there", *roots);
}

int verb_snapshot(struct settings *s)
{
	static const char *const here[] = { ".", NULL };
	const char *const *roots = s->paths.n > 1 ? words_list(&s->paths) + 1 : here;
	watcher_snapshot *snap = NULL;
	watcher_filter *f = NULL;
	int r = need_file(s);

	if (r == 0 && (r = filter_open(&f, s)) == 0 && (r = take(&snap, s, f, roots)) == 0)
		r = save(snap, s->paths.v[0]);
	if (r == 0)
		say_absent(s, roots);
	watcher_snapshot_free(snap);
	watcher_filter_free(f);
	return r;
}

/* The filter now may be another than that of the snapshot: what it leaves out is not gone. */
static int passes(const struct comparing *c, const watcher_event *e)
{
	size_t n = strlen(e->root);
	const char *below = strncmp(e->path, e->root, n) == 0 ? e->path + n : e->path;
	watcher_verdict *v;
	int yes;

	while (*below == '/')
		below++;
	if (watcher_filter_check(&v, c->filter, e->root, below, e->type, (unsigned)e->kind,
				 NULL) < 0)
		return 1;
	yes = v->passes;
	watcher_verdict_free(v);
	return yes;
}

/* Is a path that one, or below it? "." is above all that is relative. */
static int is_at_or_below(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (strcmp(dir, ".") == 0)
		return path[0] != '/' && strncmp(path, "../", 3) != 0;
	return strncmp(path, dir, n) == 0 &&
	       (path[n] == '\0' || path[n] == '/' || (n && dir[n - 1] == '/'));
}

static int is_below_any(const struct comparing *c, const watcher_event *e)
{
	for (size_t i = 0; i < c->below.n; i++)
		if (is_at_or_below(c->below.v[i], e->path) ||
		    (e->dest && is_at_or_below(c->below.v[i], e->dest)))
			return 1;
	return 0;
}

static int is_wanted(const struct comparing *c, const watcher_event *e)
{
	struct stat st;

	if (!(e->kind & (int)c->kinds) ||
	    (c->s->ignore_directories && e->type == WATCHER_TYPE_DIR))
		return 0;
	/* The snapshot may lie in the tree it is of. */
	if (e->kind != WATCHER_DELETED && lstat(e->path, &st) == 0 &&
	    st.st_ino == c->file.st_ino && st.st_dev == c->file.st_dev)
		return 0;
	return is_below_any(c, e) && (c->s->terms.n == 0 || passes(c, e));
}

static int on_event(const watcher_event *e, void *arg)
{
	struct comparing *c = arg;
	watcher_event found = *e;

	/* The library marks only what follows from a directory's move; here all is found by
	 * looking. */
	found.synthetic = 1;
	/* The library leaves the number to watches; what is printed here is one batch. */
	found.batch = 1;
	if (is_wanted(c, e))
		format_event(&c->format, &c->out, &found);
	return 0;
}

/* Compares what is there now with `old`; with --update it is the state from now on. */
static int compare(struct comparing *c, const watcher_snapshot *old)
{
	const struct settings *s = c->s;
	unsigned flags =
	    WATCHER_DIFF_IGNORE_DEVICE | (s->dir_modified ? WATCHER_DIFF_DIR_MODIFIED : 0u);
	watcher_error err = { 0 };
	watcher_snapshot *now;
	int r = take(&now, s, c->filter, words_list(&c->roots));

	if (r)
		return r;
	r = watcher_snapshot_diff(old, now, flags, on_event, c);
	if (r < 0)
		r = fail(&err, r);
	else
		r = print_out(&c->out);
	if (r == 0 && s->update)
		r = save(now, s->paths.v[0]);
	watcher_snapshot_free(now);
	return r;
}

/* ---- which part of what was saved ---- */

/* Without links, "." and "..", also of what is not there. */
static char *canonical(const char *path)
{
	char *real = realpath(path, NULL), *parent, *at, *out;
	size_t len = strlen(path), dir;

	if (real)
		return real;
	while (len > 1 && path[len - 1] == '/')
		len--;
	for (dir = len; dir && path[dir - 1] != '/'; dir--)
		;
	if (dir == len)
		return alloc_copy(path);
	parent = dir ? alloc_copy_n(path, dir) : alloc_copy(".");
	at = canonical(parent);
	out = alloc_text("%s%s%.*s", at, strcmp(at, "/") == 0 ? "" : "/", (int)(len - dir),
			 path + dir);
	free(parent);
	free(at);
	return out;
}

/* As events name a root that was given like this. */
static char *as_root(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return alloc_copy_n(path, len);
}

static void add_once(struct words *to, const char *s)
{
	for (size_t i = 0; i < to->n; i++)
		if (strcmp(to->v[i], s) == 0)
			return;
	words_add(to, s);
}

/* A name in a directory, or that of the directory itself, as events have it. */
static char *join(const char *dir, const char *name)
{
	if (!name[0] || strcmp(dir, ".") == 0)
		return alloc_copy(name[0] ? name : dir);
	return alloc_text("%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", name);
}

/* Looks at a root for what is at or below `real`. 0: neither is in the other. */
static int look_below(struct comparing *c, const char *root, const char *real)
{
	char *at = canonical(root);
	const char *rest = "";
	int related = is_at_or_below(real, at);

	if (!related && is_at_or_below(at, real)) {
		related = 1;
		rest = real + strlen(at);
		rest += *rest == '/';
	}
	if (related) {
		add_once(&c->roots, root);
		words_take(&c->below, join(root, rest));
	}
	free(at);
	return related;
}

/* What was saved is looked at whole, else what has left a directory would not be known as gone. */
static void choose_roots(struct comparing *c, const watcher_snapshot *old)
{
	const struct words *paths = &c->s->paths;
	const char *root;

	for (size_t i = 0; paths->n == 1 && (root = watcher_snapshot_root(old, i)); i++) {
		add_once(&c->roots, root);
		add_once(&c->below, root);
	}
	for (size_t i = 1; i < paths->n; i++) {
		char *real = canonical(paths->v[i]);
		int was_saved = 0;

		for (size_t k = 0; (root = watcher_snapshot_root(old, k)); k++)
			was_saved |= look_below(c, root, real);
		if (!was_saved) {
			add_once(&c->roots, paths->v[i]);
			words_take(&c->below, as_root(paths->v[i]));
		}
		free(real);
	}
}

/* With --update all that was saved is to be among what is told. */
static int forgets_nothing(const struct comparing *c, const watcher_snapshot *old)
{
	const char *root;
	size_t k;

	for (size_t i = 0; c->s->update && (root = watcher_snapshot_root(old, i)); i++) {
		for (k = 0; k < c->below.n && !is_at_or_below(c->below.v[k], root); k++)
			;
		if (k < c->below.n)
			continue;
		say_error("--update: %s is in %s, and not below the paths that are named: "
			  "what changed there would be forgotten",
			  root, c->s->paths.v[0]);
		return 0;
	}
	return 1;
}

static int diff_with(struct comparing *c, const watcher_snapshot *old)
{
	int r;

	choose_roots(c, old);
	r = forgets_nothing(c, old) ? compare(c, old) : EXIT_USAGE;
	words_free(&c->roots);
	words_free(&c->below);
	return r;
}

int verb_diff(struct settings *s)
{
	struct comparing c = { .s = s };
	watcher_snapshot *old;
	watcher_filter *f;
	watcher_error err = { 0 };
	char why[256];
	int r = need_file(s);

	if (r)
		return r;
	if (format_init(&c.format, s->format, s->nul, s->show_time, why) < 0) {
		say_error("--format: '%s' %s", s->format, why);
		return EXIT_USAGE;
	}
	c.format.terminal = isatty(1);
	c.kinds = s->kinds ? s->kinds : WATCHER_CHANGES | WATCHER_ATTRIB;
	if (!(c.kinds & (WATCHER_CHANGES | WATCHER_ATTRIB))) {
		say_error("--events: diff tells of created, modified, moved, deleted and attrib only");
		return EXIT_USAGE;
	}
	if ((r = filter_open(&f, s)) != 0)
		return r;
	c.filter = f;
	if (stat(s->paths.v[0], &c.file) < 0)
		c.file = (struct stat){ 0 };
	if ((r = watcher_snapshot_load(&old, s->paths.v[0], &err)) < 0) {
		r = fail(&err, r);
	} else {
		r = diff_with(&c, old);
		watcher_snapshot_free(old);
	}
	watcher_filter_free(f);
	return r;
}
