/*
 * A listing that events are applied to, compared with what the disk and the index hold. Paths
 * are below the working directory; those of directories end with '/'.
 */
#ifndef TESTS_APPLY_MODEL_H
#define TESTS_APPLY_MODEL_H

#include "watch_test.h"

#include "dice.h"
#include "watcher/engine.h"

#define PATHS_MAX 200

struct model {
	char paths[PATHS_MAX][80];
	int n;
};

static inline int model_find(const struct model *m, const char *path)
{
	for (int i = 0; i < m->n; i++)
		if (strcmp(m->paths[i], path) == 0)
			return i;
	return -1;
}

static inline bool model_has(const struct model *m, const char *path)
{
	return model_find(m, path) >= 0;
}

static inline void model_add(struct model *m, const char *path)
{
	assert_true(m->n < PATHS_MAX);
	strcpy(m->paths[m->n++], path);
}

/* The same name as that of a directory, or of none. */
static inline const char *other_type(const char *path)
{
	static char other[80];
	size_t len = strlen(path);

	strcpy(other, path);
	strcpy(other + len - (path[len - 1] == '/'), path[len - 1] == '/' ? "" : "/");
	return other;
}

static inline bool model_has_name(const struct model *m, const char *path)
{
	return model_has(m, path) || model_has(m, other_type(path));
}

static inline bool model_has_parent(const struct model *m, const char *path)
{
	char dir[80];
	size_t len = strlen(path) - 1;

	while (len && path[len - 1] != '/')
		len--;
	snprintf(dir, sizeof dir, "%.*s", (int)len, path);
	return !len || model_has(m, dir);
}

static inline int model_below(const struct model *m, const char *path)
{
	size_t len = strlen(path);
	int n = 0;

	for (int i = 0; path[len - 1] == '/' && i < m->n; i++)
		n += strncmp(m->paths[i], path, len) == 0 && m->paths[i][len];
	return n;
}

static inline void model_remove(struct model *m, const char *path)
{
	size_t len = strlen(path);
	int kept = 0;

	for (int i = 0; i < m->n; i++)
		if (strcmp(m->paths[i], path) != 0 &&
		    (path[len - 1] != '/' || strncmp(m->paths[i], path, len) != 0))
			memmove(m->paths[kept++], m->paths[i], sizeof m->paths[0]);
	m->n = kept;
}

static inline void model_move(struct model *m, const char *from, const char *to)
{
	size_t len = strlen(from);
	char moved[200];

	model_remove(m, to);
	model_remove(m, other_type(to));
	for (int i = 0; i < m->n; i++) {
		if (strcmp(m->paths[i], from) != 0 &&
		    (from[len - 1] != '/' || strncmp(m->paths[i], from, len) != 0))
			continue;
		snprintf(moved, sizeof moved, "%s%s", to, m->paths[i] + len);
		assert_true(strlen(moved) < sizeof m->paths[0]);
		strcpy(m->paths[i], moved);
	}
}

static inline int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static inline const char *model_text(struct model *m)
{
	static char text[2][8192];
	static int which;
	char *to = text[which ^= 1];

	qsort(m->paths, (size_t)m->n, sizeof m->paths[0], by_text);
	to[0] = '\0';
	for (int i = 0; i < m->n; i++)
		sprintf(to + strlen(to), "%s ", m->paths[i]);
	return to;
}

static inline void read_disk(struct model *m, const char *dir)
{
	DIR *d = opendir(dir[0] ? dir : ".");
	struct dirent *e;
	char path[80];

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		assert_true(snprintf(path, sizeof path, "%s%s%s", dir, e->d_name,
				     e->d_type == DT_DIR ? "/" : "") < (int)sizeof path);
		model_add(m, path);
		if (e->d_type == DT_DIR)
			read_disk(m, path);
	}
	closedir(d);
}

static inline void read_index(struct watcher *w, struct model *m, uint32_t dir, const char *prefix)
{
	uint32_t rec;
	char path[80];

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);
		bool is_dir = e.type == WATCHER_TYPE_DIR;

		assert_false(e.marks & (ENTRY_DOOMED | ENTRY_NEW));
		assert_true(snprintf(path, sizeof path, "%s%.*s%s", prefix, e.len, e.name,
				     is_dir ? "/" : "") < (int)sizeof path);
		model_add(m, path);
		if (e.node != NO_DIR)
			read_index(w, m, e.node, path);
	}
}

static inline void random_path(char *to)
{
	int depth = 1 + (int)dice(3);

	for (*to = '\0'; depth--;)
		sprintf(to + strlen(to), "%c%s", 'a' + (int)dice(4), depth ? "/" : "");
}

/* So many changes of the disk, of a few names. */
static inline void random_disk(int n)
{
	char path[20], to[20];

	while (n--) {
		random_path(path);
		random_path(to);
		switch (dice(4)) {
		case 0:
			if (access(path, F_OK) != 0)
				close(open(path, O_CREAT | O_WRONLY, 0600));
			break;
		case 1:
			mkdir(path, 0700);
			break;
		case 2:
			rename(path, to);
			break;
		default:
			remove(path);
		}
	}
}

#endif
