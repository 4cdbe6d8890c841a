/* Watches that come and go: see replay_adds.h. */
#include "replay_adds.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "dice.h"

#define COUNT (sizeof(((struct adds *)0)->more) / sizeof(watcher_watch *))

static void on_nothing(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	(void)watch;
	(void)batch;
	(void)arg;
}

/* Some directory in the one at the path, if there is any; "" if there is none. False: the path is
 * not there any more. */
static bool some_dir_in(char *name, const char *path)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *d = opendir(path);

	if (!d)
		return false;
	name[0] = '\0';
	while ((e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.' && dice(++n) == 0)
			snprintf(name, NAME_MAX + 1, "%s", e->d_name);
	closedir(d);
	return true;
}

/* At the top or up to three levels below it. False: what was chosen has just gone. */
static bool some_dir(char *path, size_t size, const char *top)
{
	char name[NAME_MAX + 1];
	size_t len = (size_t)snprintf(path, size, "%s", top);

	for (unsigned depth = dice(4); depth; depth--) {
		if (!some_dir_in(name, path))
			return false;
		if (!name[0])
			break;
		len += (size_t)snprintf(path + len, size - len, "/%s", name);
	}
	return true;
}

void adds_begin(struct adds *a, uint64_t seed)
{
	static const unsigned rarely[] = { 4, 30, 100 };

	rng = seed;
	*a = (struct adds){ .rarely = rarely[dice(3)], .stay = dice(2) };
}

static void drop(struct adds *a, watcher_watch **watch, FILE *trace)
{
	if (a->stay)
		return;
	if (trace)
		fprintf(trace, "## remove %d\n", (int)(watch - a->more));
	watcher_remove(*watch);
	*watch = NULL;
}

void adds_perhaps(struct adds *a, watcher *w, const struct places *p, FILE *trace)
{
	watcher_watch **watch = &a->more[dice(COUNT)];
	char path[PATH_MAX];

	if (dice(a->rarely))
		return;
	if (*watch) {
		drop(a, watch, trace);
		return;
	}
	if (!some_dir(path, sizeof path, dice(2) ? p->in : p->two))
		return;
	if (trace)
		fprintf(trace, "## add %d %s\n", (int)(watch - a->more), path);
	if (watcher_add(w, path, WATCH(.on_batch = on_nothing, .watch = watch), NULL) < 0)
		*watch = NULL; /* the directory has just gone */
}

void adds_end(struct adds *a, FILE *trace)
{
	for (size_t i = 0; i < COUNT; i++)
		if (a->more[i] && dice(2))
			drop(a, &a->more[i], trace);
}
