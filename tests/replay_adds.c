/* Watches that come and go: see replay_adds.h. */
#include "replay_adds.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "dice.h"
#include "watcher/engine.h"

#define COUNT (sizeof(((struct adds *)0)->more) / sizeof(struct added))

static const struct root *root_of(const struct added *a)
{
	return LIST_ENTRY(a->watch->roots.next, struct root, link);
}

/* ---- what a watch begins with ---- */

static void take_entry(struct model *m, const struct watcher *w, const char *path, int type,
		       uint32_t node);

static void take_dir(struct model *m, const struct watcher *w, const char *path, uint32_t dir)
{
	const struct tree *t = &w->tree;
	char sub[PATH_MAX];

	for (uint32_t rec = tree_next(t, dir, NO_REC); rec != NO_REC; rec = tree_next(t, dir, rec)) {
		struct entry e = tree_entry(t, dir, rec);

		snprintf(sub, sizeof sub, "%s/%.*s", path, (int)e.len, e.name);
		take_entry(m, w, sub, e.type, e.node);
	}
	/* Moves of what is in it that have begun. */
	for (uint32_t i = 0; i < w->nhalves; i++) {
		const struct half_move *h = &w->halves[i];

		if (h->dir != dir || !tree_alive(t, h->dir, h->gen))
			continue;
		snprintf(sub, sizeof sub, "%s/%.*s", path, (int)h->len, h->name);
		take_entry(m, w, sub, h->type, h->node);
	}
}

static void take_entry(struct model *m, const struct watcher *w, const char *path, int type,
		       uint32_t node)
{
	model_add(m, path, type);
	if (node != NO_DIR)
		take_dir(m, w, path, node);
}

/* What changes have come and are not applied yet is told to it, too: it begins with what the index
 * has, which is older than what is on the disk. */
static void take_root(struct added *a)
{
	const struct root *root = root_of(a);
	struct watcher *w = a->watch->w;
	uint32_t rec;

	a->unread = watcher__late_active(w);
	if (root->node != NO_DIR && !root->single) {
		take_dir(&a->replay.model, w, a->root, root->node);
		return;
	}
	rec = root->node == NO_DIR ? NO_REC :
				     tree_find(&w->tree, root->node, root->single, strlen(root->single));
	/* Where there was a directory the file is still to come. */
	a->replay.gone = rec == NO_REC ||
			 tree_entry(&w->tree, root->node, rec).type == WATCHER_TYPE_DIR;
}

/* ---- which there are ---- */

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

void adds_begin(struct adds *a, uint64_t seed, const struct changes *how)
{
	static const unsigned rarely[] = { 2, 5, 20, 100 };

	rng = seed;
	*a = (struct adds){ .rarely = rarely[dice(4)],
			    .stay = dice(2),
			    .no_exchanges = how->no_exchanges };
}

static void drop(struct adds *a, struct added *one, FILE *trace)
{
	if (a->stay)
		return;
	if (trace)
		fprintf(trace, "## remove %s\n", one->name);
	watcher_remove(one->watch);
	one->watch = NULL;
	if (!one->unread && one->replay.bad && !a->bad)
		snprintf(a->first_bad, sizeof a->first_bad, "%s", one->replay.first_bad);
	a->bad += one->unread ? 0 : one->replay.bad;
	model_free(&one->replay.model);
}

/* `held`: nothing changes meanwhile. */
static void add(struct added *one, unsigned number, watcher *w, const char *root, bool held, FILE *trace)
{
	*one = (struct added){ .replay = { .trace = trace } };
	one->replay.roots[0] = one->root;
	one->replay.name = one->name;
	snprintf(one->root, sizeof one->root, "%s", root);
	snprintf(one->name, sizeof one->name, "#%u ", number);
	if (watcher_add(w, root,
			WATCH(.on_batch = replay_on_batch, .arg = &one->replay, .watch = &one->watch),
			NULL) < 0) {
		one->watch = NULL; /* the directory has just gone */
		return;
	}
	if (held)
		model_read(&one->replay.model, root);
	else
		take_root(one);
	if (trace)
		fprintf(trace, "## add %s%s%s%s%s\n", one->name, root, held ? ", held" : "",
			one->replay.gone ? ", not there" : "", one->unread ? ", unread" : "");
	for (size_t i = 0; trace && i < one->replay.model.n; i++)
		fprintf(trace, "%sstart %d %s\n", one->name, one->replay.model.items[i].type,
			one->replay.model.items[i].path);
}

void adds_perhaps(struct adds *a, watcher *w, const struct places *p, struct changing *changing,
		  FILE *trace)
{
	unsigned number = dice(COUNT);
	struct added *one = &a->more[number];
	bool held;
	char path[PATH_MAX];

	if (dice(a->rarely))
		return;
	if (one->watch) {
		drop(a, one, trace);
		return;
	}
	held = dice(2);
	if (held)
		changing_hold(changing);
	if (some_dir(path, sizeof path, dice(2) ? p->in : p->two))
		add(one, number, w, path, held, trace);
	if (held)
		changing_go_on(changing);
	one->replay.no_exchanges = a->no_exchanges;
}

void adds_end(struct adds *a, FILE *trace)
{
	for (size_t i = 0; i < COUNT; i++)
		if (a->more[i].watch && dice(2))
			drop(a, &a->more[i], trace);
}

/* ---- whether they were told of all ---- */

static unsigned judge(const struct added *a, char *text, size_t size)
{
	struct model disk = { 0 };
	unsigned wrong = a->replay.bad;
	size_t len = 0;
	struct stat st;
	bool there = stat(a->root, &st) == 0;

	if (a->replay.bad)
		len += (size_t)snprintf(text, size, "  %s%u inconsistent events, first: %s\n", a->name,
					a->replay.bad, a->replay.first_bad);
	if (there == a->replay.gone) {
		wrong++;
		len += (size_t)snprintf(text + len, size - len, "  %s%s: %s\n", a->name, a->root,
					there ? "only on disk" : "only in events");
	}
	if (there && S_ISDIR(st.st_mode))
		model_read(&disk, a->root);
	wrong += (unsigned)model_compare(&a->replay.model, &disk, text + len, size - len);
	model_free(&disk);
	return wrong;
}

unsigned adds_judge(const struct adds *a, char *text, size_t size)
{
	unsigned wrong = a->bad;
	size_t len = 0;

	text[0] = '\0';
	if (a->bad)
		len = (size_t)snprintf(text, size, "  %u inconsistent events, first: %s\n", a->bad,
				       a->first_bad);
	for (size_t i = 0; i < COUNT; i++) {
		if (!a->more[i].watch || a->more[i].unread || len >= size)
			continue;
		wrong += judge(&a->more[i], text + len, size - len);
		len += strlen(text + len);
	}
	return wrong;
}

void adds_free(struct adds *a)
{
	for (size_t i = 0; i < COUNT; i++)
		if (a->more[i].watch)
			model_free(&a->more[i].replay.model);
}
