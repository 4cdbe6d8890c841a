/*
 * Directories at two places, by a mount or by links that are followed: told of at the one where
 * they were found first.
 *
 * The other has an entry, and no node. It is looked at when the first is not told of any more:
 * it was removed, moved out of sight, mounted over; or when the mount is gone by which the
 * directory was at the second place.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "watcher/engine.h"

static bool same_name(const struct alias *a, uint32_t dir, const struct entry *e)
{
	return a->dir == dir && strlen(a->name) == e->len && memcmp(a->name, e->name, e->len) == 0;
}

/* The place of it in the list, or a new one. NULL: out of memory. */
static struct alias *alias_at(struct watcher *w, uint32_t dir, const struct entry *e)
{
	uint32_t cap = w->aliases_cap ? w->aliases_cap * 2 : 8;
	struct alias *a;
	char *name;

	for (uint32_t i = 0; i < w->naliases; i++)
		if (same_name(&w->aliases[i], dir, e))
			return &w->aliases[i];
	if (w->naliases == w->aliases_cap) {
		if (!(a = realloc(w->aliases, cap * sizeof *a)))
			return NULL;
		w->aliases = a;
		w->aliases_cap = cap;
	}
	if (!(name = strndup(e->name, e->len)))
		return NULL;
	a = &w->aliases[w->naliases++];
	a->name = name;
	return a;
}

void watcher__alias_note(struct watcher *w, uint32_t dir, uint32_t owner)
{
	const struct dir *d = tree_dir(&w->tree, dir), *o = tree_dir(&w->tree, owner);
	struct alias *a;
	struct entry e;

	if (d->parent == NO_DIR)
		return;
	e = tree_entry(&w->tree, d->parent, d->rec);
	if (!(a = alias_at(w, d->parent, &e))) {
		w->gap = true;
		return;
	}
	a->dir = d->parent;
	a->gen = tree_dir(&w->tree, d->parent)->gen;
	a->owner = owner;
	a->owner_gen = o->gen;
	a->id = o->id;
	a->source = o->backend;
	a->link = d->flags & DIR_LINK;
}

/* Is the directory still told of where the owner is? */
static bool told_of(struct watcher *w, const struct alias *a, bool remounted)
{
	const struct dir *o = tree_dir(&w->tree, a->owner);
	const char *path;
	struct stat st;

	if (!tree_alive(&w->tree, a->owner, a->owner_gen) || o->id != a->id ||
	    o->backend != a->source)
		return false;
	if (!remounted || watcher__disk_is_users(&w->disk))
		return true;
	path = watcher__path(w, a->dir, a->name, strlen(a->name));
	return path && watcher__disk_stat_path(&w->disk, path, a->link, &st) == 0 &&
	       st.st_ino == o->ino && watcher__dev32(st.st_dev) == o->dev;
}

/* Takes it off the list, and has it looked at, if it is there. */
static void let_go(struct watcher *w, uint32_t i, bool look)
{
	struct alias a = w->aliases[i];
	struct entry e;
	uint32_t rec;

	w->aliases[i] = w->aliases[--w->naliases];
	rec = look ? tree_find(&w->tree, a.dir, a.name, strlen(a.name)) : NO_REC;
	free(a.name);
	if (rec == NO_REC)
		return;
	e = tree_entry(&w->tree, a.dir, rec);
	if (e.type == WATCHER_TYPE_DIR && e.node == NO_DIR)
		watcher__look_new_dir(w, a.dir, rec);
	else if (e.type == WATCHER_TYPE_SYMLINK && w->follow)
		watcher__look_behind(w, a.dir, rec);
}

void watcher__aliases_check(struct watcher *w, bool remounted)
{
	for (uint32_t i = w->naliases; i-- > 0;) {
		const struct alias *a = &w->aliases[i];

		if (!tree_alive(&w->tree, a->dir, a->gen))
			let_go(w, i, false);
		else if (!told_of(w, a, remounted))
			let_go(w, i, true);
	}
}

void watcher__aliases_free(struct watcher *w)
{
	for (uint32_t i = 0; i < w->naliases; i++)
		free(w->aliases[i].name);
	free(w->aliases);
}
