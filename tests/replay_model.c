/* A sorted list of paths: see replay_model.h. */
#include "replay_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "watcher/disk.h"
#include "whendo/watcher.h"

/* Order in which a directory is followed by everything below it: '/' sorts first. */
static int path_cmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	int x = *a == '/' ? 1 : (unsigned char)*a + (*a ? 1 : 0);
	int y = *b == '/' ? 1 : (unsigned char)*b + (*b ? 1 : 0);
	return x - y;
}

static size_t model_at(const struct model *m, const char *path, bool *found)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (path_cmp(m->items[mid].path, path) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < m->n && strcmp(m->items[lo].path, path) == 0;
	return lo;
}

bool model_has(const struct model *m, const char *path)
{
	bool found;

	model_at(m, path, &found);
	return found;
}

void model_add(struct model *m, const char *path, int type)
{
	bool found;
	size_t at = model_at(m, path, &found);

	if (found) {
		m->items[at].type = type;
		return;
	}
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 256;
		m->items = realloc(m->items, m->cap * sizeof *m->items);
		assert_non_null(m->items);
	}
	memmove(&m->items[at + 1], &m->items[at], (m->n - at) * sizeof *m->items);
	m->items[at] = (struct item){ .path = strdup(path), .type = type };
	m->n++;
}

void model_tell(struct model *m, const char *path, int64_t now_ns)
{
	bool found;
	size_t at = model_at(m, path, &found);

	if (found)
		m->items[at].told_ns = now_ns;
}

void model_range(const struct model *m, const char *path, size_t *from, size_t *to)
{
	size_t len = strlen(path);
	bool found;

	*from = *to = model_at(m, path, &found);
	while (*to < m->n && strncmp(m->items[*to].path, path, len) == 0 &&
	       (m->items[*to].path[len] == '/' || !m->items[*to].path[len]))
		++*to;
}

void model_remove(struct model *m, const char *path)
{
	size_t from, to;

	model_range(m, path, &from, &to);
	for (size_t i = from; i < to; i++)
		free(m->items[i].path);
	if (from == to)
		return;
	memmove(&m->items[from], &m->items[to], (m->n - to) * sizeof *m->items);
	m->n -= to - from;
}

void model_move(struct model *m, const char *src, const char *dest)
{
	struct item *moved;
	size_t from, to, n;
	char path[PATH_MAX];

	model_remove(m, dest);
	model_range(m, src, &from, &to);
	n = to - from;
	moved = calloc(n + 1, sizeof *moved);
	for (size_t i = 0; i < n; i++) {
		moved[i] = m->items[from + i];
		moved[i].path = strdup(m->items[from + i].path);
	}
	model_remove(m, src);
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s%s", dest, moved[i].path + strlen(src));
		model_add(m, path, moved[i].type);
		model_tell(m, path, moved[i].told_ns);
		free(moved[i].path);
	}
	free(moved);
}

void model_free(struct model *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].path);
	free(m->items);
	*m = (struct model){ 0 };
}

void model_read(struct model *m, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[PATH_MAX];
	struct stat st;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		assert_int_equal(lstat(path, &st), 0);
		model_add(m, path, S_ISDIR(st.st_mode) ? WATCHER_TYPE_DIR :
				   S_ISLNK(st.st_mode) ? WATCHER_TYPE_SYMLINK :
							 WATCHER_TYPE_FILE);
		if (S_ISDIR(st.st_mode))
			model_read(m, path);
	}
	closedir(d);
}

int model_compare(const struct model *got, const struct model *want, char *text, size_t size)
{
	size_t i = 0, k = 0, at = 0;
	int differ = 0;

	text[0] = '\0';
	while (i < got->n || k < want->n) {
		int c = i == got->n  ? 1 :
			k == want->n ? -1 :
				       path_cmp(got->items[i].path, want->items[k].path);
		const char *what = NULL, *path = NULL;

		if (c < 0)
			what = "only in events", path = got->items[i++].path;
		else if (c > 0)
			what = "only on disk", path = want->items[k++].path;
		/* File or link is as seen when the event was made, which may be late. */
		else if ((got->items[i].type == WATCHER_TYPE_DIR) !=
			 (want->items[k].type == WATCHER_TYPE_DIR))
			what = "type differs", path = got->items[i].path;
		if (c == 0)
			i++, k++;
		if (what && ++differ && at < size)
			at += (size_t)snprintf(text + at, size - at, "  %s: %s\n", what, path);
	}
	return differ;
}

int model_untold(const struct model *told, const struct model *disk, int64_t since_ns, gid_t but,
		 char *text, size_t size)
{
	int untold = 0;
	size_t at = 0;
	struct stat st;

	text[0] = '\0';
	for (size_t i = 0; i < disk->n; i++) {
		const char *path = disk->items[i].path;
		bool found;
		size_t k = model_at(told, path, &found);

		if (!found || lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_gid == but ||
		    stat_mtime_ns(&st) <= since_ns || told->items[k].told_ns >= stat_mtime_ns(&st))
			continue;
		if (++untold && at < size)
			at += (size_t)snprintf(text + at, size - at, "  %s: written to at %lld, told at %lld\n", path,
					       (long long)stat_mtime_ns(&st),
					       (long long)told->items[k].told_ns);
	}
	return untold;
}

void model_copy(struct model *to, const struct model *from)
{
	*to = (struct model){ 0 };
	for (size_t i = 0; i < from->n; i++)
		model_add(to, from->items[i].path, from->items[i].type);
}

/* ---- directories at several places ---- */

struct place {
	char *path;
	dev_t dev;
	ino_t ino;
	bool told; /* something in it */
};

static int by_identity(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return path_cmp(x->path, y->path);
}

static bool holds_any(const struct model *m, const char *path)
{
	size_t from, to;

	model_range(m, path, &from, &to);
	return to - from > (size_t)model_has(m, path);
}

static struct place place_of(const char *path, const struct model *told)
{
	struct place p = { .path = strdup(path), .told = holds_any(told, path) };
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	p.dev = st.st_dev;
	p.ino = st.st_ino;
	return p;
}

static void empty(struct model *m, const char *path)
{
	bool there = model_has(m, path);

	model_remove(m, path);
	if (there)
		model_add(m, path, WATCHER_TYPE_DIR);
}

void model_leave_out_untold(struct model *disk, const struct model *told, const char *const *roots)
{
	struct place *all = calloc(disk->n + 2, sizeof *all);
	size_t n = 0, end;

	assert_non_null(all);
	for (; *roots; roots++)
		all[n++] = place_of(*roots, told);
	for (size_t i = 0; i < disk->n; i++)
		if (disk->items[i].type == WATCHER_TYPE_DIR)
			all[n++] = place_of(disk->items[i].path, told);
	qsort(all, n, sizeof *all, by_identity);
	for (size_t i = 0; i < n; i = end) {
		bool any = false;

		for (end = i; end < n && all[end].dev == all[i].dev && all[end].ino == all[i].ino;
		     end++)
			any |= all[end].told;
		for (size_t k = i; any && k < end; k++)
			if (!all[k].told)
				empty(disk, all[k].path);
	}
	for (size_t i = 0; i < n; i++)
		free(all[i].path);
	free(all);
}
