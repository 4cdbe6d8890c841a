/* A walk over directories that asks the filter about each. Follows no symbolic link. */
#include "pruned.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "emit.h"

enum { MAX_DEPTH = 256 }; /* each level holds a descriptor */

struct walk {
	struct pruned_list *list;
	const watcher_filter *filter;
	const char *root;
	int depth;	    /* 0: all of it */
	struct bytes below; /* the directory the walk is at, relative to the root */
};

static int is_directory(int dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* The next directory in `d`; NULL at the end. */
static const char *next_directory(DIR *d)
{
	struct dirent *e;

	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    is_directory(dirfd(d), e))
			return e->d_name;
	return NULL;
}

static DIR *open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

/* A file system behind a network is not read through only to be counted. */
static uint64_t count_below(int at, const char *name, dev_t dev, int depth)
{
	DIR *d = depth < MAX_DEPTH ? open_directory(at, name) : NULL;
	const char *sub;
	struct stat st;
	uint64_t n = 0;

	if (d && fstat(dirfd(d), &st) == 0 && st.st_dev == dev)
		while ((sub = next_directory(d)))
			n += 1 + count_below(dirfd(d), sub, dev, depth + 1);
	if (d)
		closedir(d);
	return n;
}

static const char *reason(const watcher_verdict *v)
{
	static const char word[] = "ignored: ";
	size_t n = sizeof word - 1;

	return strncmp(v->message, word, n) == 0 ? v->message + n : v->message;
}

static struct pruned *of_rule(struct pruned_list *l, const char *rule)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].rule, rule) == 0)
			return &l->v[i];
	l->v = alloc_again(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n] = (struct pruned){ .rule = alloc_copy(rule) };
	return &l->v[l->n++];
}

static char *shown(const struct walk *w)
{
	size_t n = strlen(w->root);

	if (strcmp(w->root, ".") == 0)
		return alloc_copy(w->below.data);
	return alloc_text("%s%s%s", w->root, w->root[n - 1] == '/' ? "" : "/", w->below.data);
}

static void add(struct walk *w, int at, const char *name, const watcher_verdict *v)
{
	struct pruned *p = of_rule(w->list, reason(v));
	struct stat st;
	uint64_t n = 1;

	if (fstat(at, &st) == 0)
		n += count_below(at, name, st.st_dev, 0);
	p->paths++;
	p->directories += n;
	if (n <= p->in_path)
		return;
	p->in_path = n;
	free(p->path);
	p->path = shown(w);
}

static int is_pruned(struct walk *w, int at, const char *name)
{
	watcher_verdict *v;
	int pruned;

	if (watcher_filter_check(&v, w->filter, w->root, w->below.data, WATCHER_TYPE_DIR, 0,
				 NULL) < 0)
		return 0;
	pruned = v->prunes[0] != '\0';
	if (pruned)
		add(w, at, name, v);
	watcher_verdict_free(v);
	return pruned;
}

/* `level` directories are above those in `d`. */
static void walk(struct walk *w, DIR *d, int level)
{
	const char *name;

	if (level > MAX_DEPTH || (w->depth && level > w->depth))
		return;
	while ((name = next_directory(d))) {
		size_t len = w->below.len;
		DIR *sub;

		emit_f(&w->below, "%s%s", len ? "/" : "", name);
		if (!is_pruned(w, dirfd(d), name) && (sub = open_directory(dirfd(d), name))) {
			walk(w, sub, level + 1);
			closedir(sub);
		}
		bytes_cut(&w->below, len);
	}
}

void pruned_find(struct pruned_list *list, const watcher_filter *f, const char *root, int depth)
{
	struct walk w = { .list = list, .filter = f, .root = root, .depth = depth };
	DIR *d = opendir(root);

	if (!d)
		return;
	walk(&w, d, 1);
	closedir(d);
	bytes_free(&w.below);
}

static int larger_first(const void *a, const void *b)
{
	const struct pruned *x = a, *y = b;

	if (x->directories != y->directories)
		return x->directories < y->directories ? 1 : -1;
	return strcmp(x->rule, y->rule);
}

void pruned_sort(struct pruned_list *list)
{
	if (list->n)
		qsort(list->v, list->n, sizeof *list->v, larger_first);
}

void pruned_free(struct pruned_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].path);
		free(list->v[i].rule);
	}
	free(list->v);
	*list = (struct pruned_list){ 0 };
}
