/* Snapshots in memory: building, looking up, walking. Reading trees is snapshot_take.c. */
#include "watcher/snapshot.h"

#include <stdlib.h>
#include <string.h>

void watcher_snapshot_free(watcher_snapshot *s)
{
	if (!s)
		return;
	free(s->entries);
	bytes_free(&s->names);
	free(s);
}

struct snap_entry *watcher__snap_add(watcher_snapshot *s, uint32_t parent, const char *name,
				     size_t len)
{
	struct snap_entry *p;
	uint32_t cap = s->cap ? s->cap + s->cap / 2 : 64;

	if (s->n >= SNAP_MAX)
		return NULL;
	if (s->n == s->cap) {
		if (cap < s->cap || cap > SNAP_MAX)
			cap = SNAP_MAX;
		if (!(p = realloc(s->entries, cap * sizeof *p)))
			return NULL;
		s->entries = p;
		s->cap = cap;
	}
	p = &s->entries[s->n];
	*p = (struct snap_entry){ .name = s->names.len, .len = (uint16_t)len, .parent = parent };
	if (bytes_reserve(&s->names, len + 1) < 0)
		return NULL;
	bytes_add(&s->names, name, len);
	bytes_addc(&s->names, '\0'); /* so that a root is a string */
	s->n++;
	return p;
}

int watcher__snap_finish(watcher_snapshot *s)
{
	uint32_t *lens = malloc((s->n ? s->n : 1) * sizeof *lens);
	uint16_t *depths = malloc((s->n ? s->n : 1) * sizeof *depths);
	int r = lens && depths ? 0 : UV_ENOMEM;

	for (uint32_t i = 0; r == 0 && i < s->n; i++) {
		const struct snap_entry *e = &s->entries[i];

		/* Parents come before what is in them. */
		lens[i] = e->len + (e->parent == NO_SNAP ? 0 : lens[e->parent] + 1);
		depths[i] = e->parent == NO_SNAP ? 0 : (uint16_t)(depths[e->parent] + 1);
		if (depths[i] > SNAP_DEPTH)
			r = UV_ENAMETOOLONG;
		if (lens[i] > s->max_path)
			s->max_path = lens[i];
	}
	free(lens);
	free(depths);
	return r;
}

/* ---- looking up ---- */

static int compare_names(const char *a, size_t alen, const char *b, size_t blen)
{
	int c = memcmp(a, b, alen < blen ? alen : blen);

	return c ? c : (alen > blen) - (alen < blen);
}

uint32_t watcher__snap_child(const watcher_snapshot *s, uint32_t dir, const char *name,
			     size_t len)
{
	uint32_t lo = s->entries[dir].first, end = lo + s->entries[dir].count, hi = end;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct snap_entry *e = &s->entries[mid];
		int c = compare_names(snap_name(s, e), e->len, name, len);

		if (c == 0)
			return mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NO_SNAP;
}

/* What of `path` is below a root of that name: NULL if it is not. */
static const char *below_root(const watcher_snapshot *s, const struct snap_entry *root,
			      const char *path)
{
	const char *name = snap_name(s, root);
	size_t len = root->len;

	if (strlen(path) == len && memcmp(path, name, len) == 0)
		return path + len;
	if (len == 1 && name[0] == '.')
		return path[0] == '/' ? NULL : path;
	if (strncmp(path, name, len) != 0 || strlen(path) < len)
		return NULL;
	if (name[len - 1] == '/')
		return path + len;
	return path[len] == '/' ? path + len + 1 : NULL;
}

static uint32_t descend(const watcher_snapshot *s, uint32_t i, const char *rest)
{
	while (*rest && i != NO_SNAP) {
		size_t len = strcspn(rest, "/");

		i = watcher__snap_child(s, i, rest, len);
		rest += len + strspn(rest + len, "/");
	}
	return i;
}

static uint32_t find(const watcher_snapshot *s, const char *path)
{
	for (uint32_t root = 0; root < s->nroots; root++) {
		const char *rest = below_root(s, &s->entries[root], path);
		uint32_t i = rest ? descend(s, root, rest) : NO_SNAP;

		if (i != NO_SNAP && s->entries[i].type && !(s->entries[i].flags & SNAP_HIDDEN))
			return i;
	}
	return NO_SNAP;
}

static void fill_entry(const watcher_snapshot *s, uint32_t i, watcher_snapshot_entry *out)
{
	const struct snap_entry *e = &s->entries[i], *root = e;

	while (root->parent != NO_SNAP)
		root = &s->entries[root->parent];
	*out = (watcher_snapshot_entry){
		.root = snap_name(s, root),
		.type = e->type,
		.mode = e->mode,
		.uid = e->uid,
		.gid = e->gid,
		.dev = e->dev,
		.inode = e->inode,
		.size = e->size,
		.nlink = e->nlink,
		.mtime_ns = e->mtime_ns,
		.ctime_ns = e->ctime_ns,
		.birth_ns = e->birth_ns,
	};
}

int watcher_snapshot_find(const watcher_snapshot *s, const char *path,
			  watcher_snapshot_entry *entry)
{
	uint32_t i = find(s, path);

	if (i == NO_SNAP)
		return UV_ENOENT;
	fill_entry(s, i, entry);
	entry->path = path;
	entry->path_len = strlen(path);
	return 0;
}

size_t watcher_snapshot_count(const watcher_snapshot *s, int type)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct snap_entry *e = &s->entries[i];

		n += e->type && !(e->flags & SNAP_HIDDEN) && (!type || e->type == type);
	}
	return n;
}

int64_t watcher_snapshot_time(const watcher_snapshot *s)
{
	return s->taken_ns;
}

const char *watcher_snapshot_root(const watcher_snapshot *s, size_t i)
{
	return i < s->nroots ? snap_name(s, &s->entries[i]) : NULL;
}

/* ---- paths ---- */

int watcher__snap_join(struct bytes *path, const char *name, size_t len)
{
	int r = 0;

	if (path->len == 1 && path->data[0] == '.')
		bytes_clear(path);
	else if (path->len && path->data[path->len - 1] != '/')
		r = bytes_addc(path, '/');
	return r < 0 ? r : bytes_add(path, name, len);
}

int watcher__snap_path(const watcher_snapshot *s, uint32_t i, struct bytes *path)
{
	uint32_t up[SNAP_DEPTH + 1];
	int n = 0, r = 0;

	for (; i != NO_SNAP; i = s->entries[i].parent)
		up[n++] = i;
	bytes_clear(path);
	while (r == 0 && n-- > 0) {
		const struct snap_entry *e = &s->entries[up[n]];

		if (e->parent == NO_SNAP)
			r = bytes_add(path, snap_name(s, e), e->len);
		else
			r = watcher__snap_join(path, snap_name(s, e), e->len);
	}
	return r;
}

int watcher_snapshot_path_of(const watcher_snapshot *s, uint64_t dev, uint64_t inode, char *buf,
			     size_t *size)
{
	struct bytes path = { 0 };
	uint32_t i;
	int r;

	for (i = 0; i < s->n; i++) {
		const struct snap_entry *e = &s->entries[i];

		if (e->inode == inode && e->dev == dev && e->type && !(e->flags & SNAP_HIDDEN))
			break;
	}
	if (i == s->n)
		return UV_ENOENT;
	r = watcher__snap_path(s, i, &path);
	if (r == 0 && path.len + 1 > *size) {
		*size = path.len + 1;
		r = UV_ENOBUFS;
	} else if (r == 0) {
		memcpy(buf, path.data, path.len + 1);
		*size = path.len;
	}
	bytes_free(&path);
	return r;
}

/* ---- walking ---- */

/* The one behind it in its directory, or NO_SNAP. */
static uint32_t sibling(const watcher_snapshot *s, uint32_t i)
{
	uint32_t parent = s->entries[i].parent, end = s->nroots;

	if (parent != NO_SNAP)
		end = s->entries[parent].first + s->entries[parent].count;
	return i + 1 < end ? i + 1 : NO_SNAP;
}

uint32_t watcher__snap_next(const watcher_snapshot *s, uint32_t top, uint32_t i)
{
	if (i == NO_SNAP)
		return top != NO_SNAP ? top : s->n ? 0 : NO_SNAP;
	return s->entries[i].count ? s->entries[i].first : watcher__snap_skip(s, top, i);
}

uint32_t watcher__snap_skip(const watcher_snapshot *s, uint32_t top, uint32_t i)
{
	uint32_t next;

	for (; i != top && i != NO_SNAP; i = s->entries[i].parent)
		if ((next = sibling(s, i)) != NO_SNAP)
			return next;
	return NO_SNAP;
}

static uint32_t innermost(const watcher_snapshot *s, uint32_t i)
{
	while (s->entries[i].count)
		i = s->entries[i].first;
	return i;
}

uint32_t watcher__snap_next_after(const watcher_snapshot *s, uint32_t i)
{
	uint32_t next;

	if (i == NO_SNAP)
		return s->n ? innermost(s, 0) : NO_SNAP;
	next = sibling(s, i);
	return next == NO_SNAP ? s->entries[i].parent : innermost(s, next);
}

int watcher_snapshot_each(const watcher_snapshot *s, const char *path, watcher_snapshot_cb cb,
			  void *arg)
{
	uint32_t top = path ? find(s, path) : NO_SNAP, i = NO_SNAP;
	struct bytes at = { 0 };
	int r;

	if (path && top == NO_SNAP)
		return UV_ENOENT;
	r = bytes_reserve(&at, s->max_path + 1);
	while (r == 0 && (i = watcher__snap_next(s, top, i)) != NO_SNAP) {
		watcher_snapshot_entry e;

		if (!s->entries[i].type || s->entries[i].flags & SNAP_HIDDEN)
			continue;
		r = watcher__snap_path(s, i, &at);
		if (r < 0)
			break;
		fill_entry(s, i, &e);
		e.path = at.data;
		e.path_len = at.len;
		r = cb(&e, arg);
	}
	bytes_free(&at);
	return r;
}
