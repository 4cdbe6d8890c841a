/* The index against the disk: see index_check.h. It looks, and changes nothing. */
#include "index_check.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "watcher/apply.h"
#include "watcher/look.h"

struct check {
	struct watcher *w;
	char *text;
	size_t size, len;
	unsigned flaws;
	bool (*wanted)(const char *path, void *arg); /* NULL: all are */
	void *arg;
};

static void flaw(struct check *c, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void flaw(struct check *c, const char *path, const char *fmt, ...)
{
	char what[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	c->flaws++;
	if (c->len < c->size)
		c->len += (size_t)snprintf(c->text + c->len, c->size - c->len, "  index: %s: %s\n",
					   path, what);
}

static unsigned names_on_disk(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (d)
		closedir(d);
	return n;
}

/* A directory at several places has a node at one of them. */
static bool has_node_elsewhere(const struct check *c, const struct stat *st)
{
	for (uint32_t i = 0; i < c->w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&c->w->tree, i);

		if (d->flags & DIR_USED && d->ino == st->st_ino &&
		    d->dev == watcher__dev32(st->st_dev))
			return true;
	}
	return false;
}

static void check_entry(struct check *c, const char *path, const struct entry *e)
{
	bool is_dir = e->type == WATCHER_TYPE_DIR;
	bool wanted = !is_dir || !c->wanted || c->wanted(path, c->arg);
	struct stat st;

	if (e->marks & ~ENTRY_STAYED)
		flaw(c, path, "marked %x", e->marks);
	if (lstat(path, &st) < 0)
		flaw(c, path, "only in the index");
	else if (S_ISDIR(st.st_mode) != is_dir)
		flaw(c, path, "of another type");
	else if (is_dir && wanted && e->node == NO_DIR && !has_node_elsewhere(c, &st))
		flaw(c, path, "a directory without a node");
	else if (!wanted && e->node != NO_DIR)
		flaw(c, path, "a node of what is not wanted");
	else if (e->ino && e->ino != INO_UNKNOWN && e->ino != st.st_ino &&
		 !watcher__scan_mount(-1, path))
		flaw(c, path, "inode %llu, %llu on disk", (unsigned long long)e->ino,
		     (unsigned long long)st.st_ino);
}

static bool check_node(struct check *c, uint32_t dir, const char *path)
{
	const struct dir *d = tree_dir(&c->w->tree, dir);
	struct stat st;

	if (d->id < 0 || ids_get(&c->w->sources[d->backend].nodes, d->id) != dir)
		flaw(c, path, "not watched: number %d, flags %x", d->id, d->flags);
	else if (stat(path, &st) < 0 || st.st_ino != d->ino ||
		 watcher__dev32(st.st_dev) != d->dev)
		flaw(c, path, "another directory: flags %x", d->flags);
	else if (d->flags & (DIR_AHEAD | DIR_FRESH | DIR_LIMBO | DIR_LOOKED | DIR_UNMOUNTED))
		flaw(c, path, "unfinished: flags %x", d->flags);
	else
		return true;
	return false;
}

static void check_dir(struct check *c, uint32_t dir)
{
	struct watcher *w = c->w;
	char path[PATH_MAX];
	unsigned n = 0;

	snprintf(path, sizeof path, "%s", watcher__path(w, dir, NULL, 0));
	if (!check_node(c, dir, path))
		return;
	for (uint32_t rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);

		snprintf(path, sizeof path, "%s", watcher__path(w, dir, e.name, e.len));
		n++;
		check_entry(c, path, &e);
		if (e.node != NO_DIR)
			check_dir(c, e.node);
	}
	snprintf(path, sizeof path, "%s", watcher__path(w, dir, NULL, 0));
	if (names_on_disk(path) != n)
		flaw(c, path, "%u names, %u on disk", n, names_on_disk(path));
}

unsigned index_check(struct watcher *w, char *text, size_t size)
{
	return index_check_wanted(w, text, size, NULL, NULL);
}

unsigned index_check_wanted(struct watcher *w, char *text, size_t size,
			    bool (*wanted)(const char *path, void *arg), void *arg)
{
	struct check c = { .w = w, .text = text, .size = size, .wanted = wanted, .arg = arg };

	text[0] = '\0';
	for (uint32_t i = 0; i < w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&w->tree, i);

		if (d->flags & DIR_USED && d->parent == NO_DIR && d->roots)
			check_dir(&c, i);
		else if (d->flags & DIR_USED && d->parent == NO_DIR)
			flaw(&c, "?", "a node that is nowhere");
	}
	if (w->nhalves || w->npushed || w->nlimbo)
		flaw(&c, "?", "%u halves of moves, %u pushed off, %u in limbo wait", w->nhalves,
		     w->npushed, w->nlimbo);
	if (w->look->calm && !w->look->active)
		flaw(&c, "?", "what is read next would be taken for calm");
	return c.flaws;
}
