/*
 * Ignore files outside of a root: those of the directories above it in its work tree, git's
 * info/exclude and the user's global one. The directories they are in are watched like those on
 * the way to a root (see way.c); whatever happens there, what the files are is compared with
 * what they were before they are read again. In a root, ignores.c sees to them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/filter.h"
#include "watcher/look.h"
#include "watcher/way.h"

#define CLOCK_SLACK_NS INT64_C(1000000000) /* of file times, against the clock */

/* ---- what the files are ---- */

struct sum {
	uint64_t hash;
	int64_t newest_ns;
};

static void mix(struct sum *s, uint64_t v)
{
	s->hash = (s->hash ^ v) * UINT64_C(0x9E3779B97F4A7C15);
	s->hash ^= s->hash >> 29;
}

/* Of a file that is not there: how much of the way to it is. */
static int add_missing(const char *path, struct sum *s)
{
	char *dir = strdup(path), *slash;
	struct stat st;

	if (!dir)
		return UV_ENOMEM;
	while ((slash = strrchr(dir, '/')) && slash != dir) {
		*slash = '\0';
		if (stat(dir, &st) == 0)
			break;
	}
	mix(s, strlen(dir));
	free(dir);
	return 0;
}

static int add_file(const char *path, void *arg)
{
	struct sum *s = arg;
	struct stat st;
	int64_t ctime_ns;

	if (stat(path, &st) < 0)
		return add_missing(path, s);
	ctime_ns = stat_ctime_ns(&st);
	mix(s, st.st_ino);
	mix(s, (uint64_t)st.st_size);
	mix(s, (uint64_t)ctime_ns);
	if (ctime_ns > s->newest_ns)
		s->newest_ns = ctime_ns;
	return 0;
}

/* 0: there are none, or no memory to know them. */
static struct sum sum_of(const struct root *root)
{
	struct sum s = { 0 }, none = { 0 };

	return watcher__filter_outside(root->filter, add_file, &s) < 0 ? none : s;
}

/* ---- hearing of them ---- */

struct following {
	struct watcher *w;
	struct root *root;
};

/* Cuts the last name off an absolute path: gives it back, and leaves the directory. */
static char *cut_name(char *path)
{
	char *slash = strrchr(path, '/');

	*slash = '\0';
	return slash + 1;
}

/* In the directory of the file, or in the nearest above it that is there, where the next one on
 * the way to it may come; those above may take it away. */
static int follow_path(struct following *f, const char *path)
{
	char *dir = strdup(path), *name;
	enum watch_level level = WATCH_FILES;
	int fd;

	if (!dir)
		return UV_ENOMEM;
	do {
		name = cut_name(dir);
		fd = open(dir[0] ? dir : "/", O_WAY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			watcher__anchor_rules(f->w, f->root, fd, dir[0] ? dir : "/",
					      level == WATCH_SELF ? NULL : name, level);
			close(fd);
			level = WATCH_SELF;
		} else if (level != WATCH_SELF) {
			level = WATCH_NAMES;
		}
	} while (dir[0]);
	free(dir);
	return 0;
}

/* Behind a link it may be written to where that leads. */
static int follow(const char *path, void *arg)
{
	char *real = path[0] == '/' ? realpath(path, NULL) : NULL;
	int r = path[0] == '/' ? follow_path(arg, path) : 0;

	if (r == 0 && real && strcmp(real, path) != 0)
		r = follow_path(arg, real);
	free(real);
	return r;
}

void watcher__outside_follow(struct watcher *w, struct root *root)
{
	struct following f = { w, root };
	struct sum sum;

	if (!root->filter)
		return;
	if (watcher__filter_outside(root->filter, follow, &f) < 0) /* no memory: once more, soon */
		root->recheck = w->recheck_roots = true;
	sum = sum_of(root);
	/* Written to between being read and being watched, perhaps. */
	if (!root->outside && sum.newest_ns > root->bound_ns - CLOCK_SLACK_NS)
		watcher__filter_reload_all(root->filter);
	if (!root->outside)
		root->outside = sum.hash;
	else if (root->outside != sum.hash)
		root->rules_due = w->rules_due = true;
}

/* ---- when they have changed ---- */

static void for_each_root(struct watcher *w, void (*one)(struct watcher *w, struct root *root))
{
	LIST_EACH(it, next, &w->watches) {
		struct watcher_watch *watch = LIST_ENTRY(it, struct watcher_watch, link);

		LIST_EACH(ri, rnext, &watch->roots) {
			struct root *root = LIST_ENTRY(ri, struct root, link);

			if (root->filter && root->node != NO_DIR && !watch->removed)
				one(w, root);
		}
	}
}

static void is_due(struct watcher *w, struct root *root)
{
	root->rules_due = w->rules_due = true;
}

void watcher__outside_round(struct watcher *w)
{
	if (w->filters)
		for_each_root(w, is_due);
}

static void check(struct watcher *w, struct root *root)
{
	struct sum sum;

	if (!root->rules_due)
		return;
	root->rules_due = false;
	sum = sum_of(root);
	if (sum.hash == root->outside)
		return;
	root->outside = sum.hash;
	root->recheck = w->recheck_roots = true; /* they may be elsewhere now: followed anew */
	if (watcher__filter_reload_all(root->filter))
		watcher__reconsider(w, root->node);
}

void watcher__outside_check(struct watcher *w)
{
	w->rules_due = false;
	for_each_root(w, check);
}
