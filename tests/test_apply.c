/*
 * What the engine makes of exact changes, told by a fake backend: halves of moves in every
 * order, changes the index is ahead of, changes that do not fit it, and random nonsense.
 *
 * Whatever is told, the events lead from what there was to what the index holds, each making
 * sense after those before it; and once a gap has been told, to what is on the disk.
 */
#include "watch_test.h"

#include "apply_model.h"
#include "dice.h"
#include "fake_backend.h"
#include "next_tick.h"

/* ---- a watcher of "." with the fake backend ---- */

struct run {
	struct backend b;
	watcher *w;
	struct model model;
	char text[8192], flaw[300];
	struct known {
		char path[80];
		int32_t id;
	} known[FAKE_DIRS]; /* directories by the paths they had at first */
	int nknown;
};

static uint32_t top_of(const struct run *r)
{
	for (uint32_t i = 0; i < r->w->tree.nnodes; i++)
		if (tree_dir(&r->w->tree, i)->flags & DIR_USED && tree_dir(&r->w->tree, i)->roots)
			return i;
	fail_msg("no root");
	return NO_DIR;
}

static void flaw(struct run *r, const char *event, const char *what)
{
	if (!r->flaw[0])
		snprintf(r->flaw, sizeof r->flaw, "%s: %s", event, what);
}

static void apply(struct run *r, const watcher_event *e, const char *path, const char *dest,
		  const char *event)
{
	struct model *m = &r->model;

	switch (e->kind) {
	case WATCHER_CREATED:
		if (model_has_name(m, path))
			flaw(r, event, "there already");
		else if (!model_has_parent(m, path))
			flaw(r, event, "in no directory");
		else
			model_add(m, path);
		break;
	case WATCHER_DELETED:
		if (!model_has(m, path))
			flaw(r, event, "not there");
		if (model_below(m, path))
			flaw(r, event, "not empty");
		model_remove(m, path);
		break;
	case WATCHER_MOVED:
		if (e->synthetic && !model_has(m, path) && model_has(m, dest))
			break; /* came along with its directory */
		if (strcmp(path, dest) == 0) /* no kernel says so, but nonsense may */
			break;
		if (!model_has(m, path))
			flaw(r, event, "not there");
		else if (!model_has_parent(m, dest))
			flaw(r, event, "into no directory");
		else
			model_move(m, path, dest);
		break;
	case WATCHER_MODIFIED:
		if (!model_has(m, path))
			flaw(r, event, "not there");
	}
}

static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct run *r = arg;
	size_t len = strlen(r->text);
	const char *slash = e->type == WATCHER_TYPE_DIR ? "/" : "";
	char path[80], dest[80] = "", event[200];

	(void)watch;
	if (e->kind == WATCHER_OVERFLOW)
		return;
	snprintf(path, sizeof path, "%s%s", e->path, slash);
	if (e->dest)
		snprintf(dest, sizeof dest, "%s%s", e->dest, slash);
	snprintf(event, sizeof event, "%s %s%s%s", watcher_kind_name(e->kind), path,
		 e->dest ? ">" : "", dest);
	apply(r, e, path, dest, event);
	snprintf(r->text + len, sizeof r->text - len, "%s%s", len ? ", " : "", event);
}

static void shell(const char *command)
{
	if (command && command[0])
		assert_int_equal(system(command), 0);
}

static struct run *begin(const char *before)
{
	struct run *r = calloc(1, sizeof *r);
	watcher_error err;

	shell(before);
	next_tick();
	if (watcher_open(&r->w, WATCHER(.backend = WATCHER_BACKEND_POLL, .debounce_ms = 20000), &err))
		fail_msg("%s", err.message);
	fake_install(r->w, &r->b, ".");
	if (watcher_add(r->w, ".", WATCH(.on_any = on_any, .arg = r), &err) < 0)
		fail_msg("%s", err.message);
	read_index(r->w, &r->model, top_of(r), "");
	for (uint32_t i = 0; i < r->w->tree.nnodes; i++) {
		const struct dir *d = tree_dir(&r->w->tree, i);
		char *here = realpath(".", NULL);
		const char *path;

		if (d->flags & DIR_USED && d->id >= 0) {
			path = watcher__path(r->w, i, NULL, 0) + strlen(here);
			strcpy(r->known[r->nknown].path, *path ? path + 1 : ".");
			r->known[r->nknown++].id = d->id;
		}
		free(here);
	}
	return r;
}

static void end(struct run *r)
{
	watcher_close(r->w);
	free(r);
}

static void assert_consistent(struct run *r, const char *what)
{
	struct model index = { .n = 0 };

	if (r->flaw[0])
		fail_msg("%s: %s\n  told: %s", what, r->flaw, r->text);
	read_index(r->w, &index, top_of(r), "");
	if (strcmp(model_text(&index), model_text(&r->model)) != 0)
		fail_msg("%s: told: %s\n  which gives: %s\n  the index:   %s", what, r->text,
			 model_text(&r->model), model_text(&index));
}

/* After a gap everything is as it is on the disk. */
static void assert_recovers(struct run *r, const char *what)
{
	static struct model disk;

	r->text[0] = '\0';
	fake_queue(&r->b, CHANGE_GAP, -1, NULL);
	sync_watcher(r->w);
	assert_consistent(r, what);
	disk.n = 0;
	read_disk(&disk, "");
	if (strcmp(model_text(&disk), model_text(&r->model)) != 0)
		fail_msg("%s: after the gap: told: %s\n  which gives: %s\n  the disk:    %s", what,
			 r->text, model_text(&r->model), model_text(&disk));
}

/* ---- changes as text ---- */

static int32_t id_of(const struct run *r, const char *dir)
{
	for (int i = 0; i < r->nknown; i++)
		if (strcmp(r->known[i].path, dir) == 0)
			return r->known[i].id;
	return access(dir, F_OK) == 0 ? fake_id(&r->b, dir) : -1;
}

/* Cuts "d/e/x/" into the directory "d/e" and the name "x"; true if it ends with '/'. */
static bool cut(char *path, const char **dir, const char **name)
{
	size_t len = strlen(path);
	bool is_dir = path[len - 1] == '/';
	char *slash;

	if (is_dir)
		path[len - 1] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	*dir = slash ? path : ".";
	*name = slash ? slash + 1 : path;
	return is_dir;
}

/*
 * One change: +created -removed <moved-from#cookie >moved-to#cookie =renamed:to (=renamed: out
 * of sight) *written, names of directories with a slash behind them; ?dir to be looked at, ^dir
 * moved itself, %dir removed itself, &dir not watched any more, ! gap, | end of a reading.
 */
static void tell(struct run *r, const char *word)
{
	static const char signs[] = "+-<>=*?^%&@!|";
	static const enum change_op ops[] = { CHANGE_CREATED,	 CHANGE_REMOVED,
					      CHANGE_MOVED_FROM, CHANGE_MOVED_TO,
					      CHANGE_RENAMED,	 CHANGE_WRITTEN,
					      CHANGE_LOOK,	 CHANGE_SELF_MOVED,
					      CHANGE_SELF_REMOVED, CHANGE_UNWATCHED,
					      CHANGE_SELF_ATTRIB, CHANGE_GAP,
					      CHANGE_NONE };
	const char *sign = strchr(signs, word[0]), *dir, *name;
	char path[80], *cookie, *to;
	struct change *c;

	assert_non_null(sign);
	strcpy(path, word + 1);
	if (strchr("?^%&@", word[0])) {
		fake_queue(&r->b, ops[sign - signs], id_of(r, path), NULL);
		return;
	}
	if (strchr("!|", word[0])) {
		fake_queue(&r->b, ops[sign - signs], -1, NULL);
		return;
	}
	if ((cookie = strchr(path, '#')))
		*cookie++ = '\0';
	if ((to = word[0] == '=' ? strchr(path, ':') : NULL))
		*to++ = '\0';
	bool is_dir = cut(path, &dir, &name);
	c = fake_queue(&r->b, ops[sign - signs], id_of(r, dir), name);
	c->is_dir = is_dir;
	c->cookie = cookie ? (uint32_t)atoi(cookie) : 0;
	if (to && to[0]) {
		cut(to, &dir, &name);
		c->id2 = id_of(r, dir);
		strcpy(r->b.queue[r->b.queued - 1].name2, name);
	}
}

static void tell_all(struct run *r, const char *changes)
{
	char text[600], *word, *rest = text;

	snprintf(text, sizeof text, "%s", changes);
	while ((word = strsep(&rest, " ")))
		if (*word)
			tell(r, word);
}

/* ---- the table ---- */

struct row {
	const char *name, *before;
	struct {
		const char *run, *changes, *events;
	} steps[3];
};

static const struct row rows[] = {
	{ "created and removed", "mkdir d; : > d/a",
	  { { "rm d/a; : > d/b", "+d/b -d/a", "created d/b, deleted d/a" } } },
	{ "made and gone at once", "mkdir d", { { "", "+d/x *d/x -d/x", "created d/x, modified d/x, deleted d/x" } } },
	{ "what is there is not told twice", ": > a; mkdir d", { { "", "?. +a +d/", "" } } },
	{ "what is not there is not told to be gone", "mkdir d", { { "", "-a -d/x <d/y#1 -e/", "" } } },
	{ "a file where the index has a directory", "mkdir d; : > d/f",
	  { { "rm -r d; : > d", "+d", "deleted d/f, deleted d/, created d" } } },
	{ "a directory where the index has a file", ": > d",
	  { { "rm d; mkdir d; : > d/f", "+d/", "deleted d, created d/, created d/f" } } },
	{ "a directory is not a file that is removed", "mkdir d; : > d/f", { { "", "-d *d", "" } } },
	{ "another directory in its place", "mkdir d; : > d/f",
	  { { "mkdir n; : > n/g; rm -r d; mv n d", "+d/",
	      "deleted d/f, created d/g" } } },
	{ "a directory that was removed, told once", "mkdir -p d/e; : > d/e/f",
	  { { "rm -r d", "-d/e/f -d/e/ %d/e &d/e -d/ %d &d", "deleted d/e/f, deleted d/e/, deleted d/" } } },
	{ "a directory whose content is not told", "mkdir -p d/e; : > d/e/f",
	  { { "rm -r d", "-d/", "deleted d/e/f, deleted d/e/, deleted d/" } } },
	{ "a new directory is read", "",
	  { { "mkdir -p n/o; : > n/o/f", "+n/", "created n/, created n/o/, created n/o/f" },
	    { ": > n/o/g; rm n/o/f", "+n/o/g -n/o/f", "created n/o/g, deleted n/o/f" } } },
	{ "a new directory that is gone", "", { { "", "+n/ -n/", "created n/, deleted n/" } } },

	{ "move within a directory", ": > a", { { "mv a b", "<a#1 >b#1", "moved a>b" } } },
	{ "move in two readings", "mkdir d; : > a", { { "mv a d/b", "<a#1 | >d/b#1", "moved a>d/b" } } },
	{ "move with something between the halves", "mkdir d; : > a; : > c",
	  { { "mv a d/b; rm c", "<a#1 -c >d/b#1", "deleted c, moved a>d/b" } } },
	{ "two moves, their halves interleaved", "mkdir d; : > a; : > b",
	  { { "mv a d/x; mv b d/y", "<a#1 <b#2 >d/y#2 >d/x#1", "moved b>d/y, moved a>d/x" } } },
	{ "the second half comes first", "mkdir d; : > a",
	  { { "mv a d/b", ">d/b#1 <a#1", "created d/b, deleted a" } } },
	{ "only the first half", "mkdir d; : > d/a", { { "rm d/a", "<d/a#1", "deleted d/a" } } },
	{ "only the second half", "mkdir d", { { ": > d/a", ">d/a#1", "created d/a" } } },
	{ "halves that do not belong together", ": > a", { { "mv a b", "<a#1 >b#2", "deleted a, created b" } } },
	{ "the same name leaves and comes anew", ": > a",
	  { { "", "<a#1 +a", "deleted a, created a" } } },
	{ "move over a file", ": > a; : > b", { { "mv a b", "<a#1 >b#1", "moved a>b" } } },
	{ "move in over a file", ": > a", { { "", ">a#1", "modified a" } } },
	{ "move over an empty directory", "mkdir d e; : > d/f",
	  { { "mv -T d e", "<d/#1 >e/#1 ^d %e &e", "moved d/>e/, moved d/f>e/f" },
	    { ": > e/g", "+d/g", "created e/g" } } },
	{ "move of a directory, and then of what is in it", "mkdir -p d/s; : > d/s/f",
	  { { "mv d e; mv e/s/f e/g", "<d/#1 >e/#1 ^d <d/s/f#2 >d/g#2",
	      "moved d/>e/, moved d/s/>e/s/, moved d/s/f>e/s/f, moved e/s/f>e/g" } } },
	{ "move of a directory out", "mkdir -p d/s; : > d/s/f",
	  { { "rm -r d", "<d/#1 ^d", "deleted d/s/f, deleted d/s/, deleted d/" } } },
	{ "move of a directory in", "", { { "mkdir -p d/s; : > d/s/f", ">d/#1", "created d/, created d/s/, created d/s/f" } } },
	{ "move into another directory that then moves", "mkdir d e; : > a",
	  { { "mv a d/a; mv d e/d", "<a#1 >d/a#1 <d/#2 >e/d/#2 ^d",
	      "moved a>d/a, moved d/>e/d/, moved d/a>e/d/a" } } },
	{ "move and back", ": > a", { { "", "<a#1 >b#1 <b#2 >a#2", "moved a>b, moved b>a" } } },
	{ "chain of moves", ": > a",
	  { { "mv a d", "<a#1 >b#1 <b#2 >c#2 <c#3 >d#3", "moved a>b, moved b>c, moved c>d" } } },
	{ "exchange of files", "echo 1 > a; echo 2 > b",
	  { { "mv a x; mv b a; mv x b", "<a#1 >b#1 <b#2 >a#2", "moved a>b, created a" } } },
	{ "exchange of files, and a rest before its end is told", "echo 1 > a; echo 2 > b",
	  { { "mv a x; mv b a; mv x b", "<a#1 >b#1", "moved a>b" }, { "", "<b#2 >a#2", "created a" } } },
	{ "exchange of directories, and a rest before its end is told", "mkdir d e; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e", "<d/#1 >e/#1 ^d", "moved d/>e/, moved d/f>e/f" },
	    { "", "<e/#2 >d/#2 ^e", "created d/, created d/g" } } },
	{ "exchange of directories, and what comes to one before its end is told",
	  "mkdir d e; : > d/f; : > e/g",
	  { { "", "", "" },
	    { "mv d x; mv e d; mv x e; mkdir d/n; : > d/n/h",
	      "<d/#1 >e/#1 +e/n/ <e/#2 >d/#2 ^d ^e",
	      "moved d/>e/, moved d/f>e/f, created d/, created d/n/, created d/g, created d/n/h" },
	    { ": > d/n/x", "+d/n/x", "created d/n/x" } } },
	{ "exchange of directories, and what leaves one before its end is told",
	  "mkdir d e; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e; rm d/g", "<d/#1 >e/#1 <e/g#3 <e/#2 >d/#2 ^d ^e",
	      "moved d/>e/, moved d/f>e/f, created d/" } } },
	{ "and comes elsewhere", "mkdir d e; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e; mv d/g k", "<d/#1 >e/#1 <e/g#3 <e/#2 >d/#2 ^d ^e >k#3",
	      "moved d/>e/, moved d/f>e/f, created d/, created k" } } },
	{ "exchange of directories, found before its end is told", "mkdir d e; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e", "<d/#1 >e/#1 ?.",
	      "moved d/>e/, moved d/f>e/f, created d/, created d/g" },
	    { "", "<e/#2 >d/#2", "" } } },
	{ "and what took the name moves on", "mkdir d e; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e", "<d/#1 >e/#1 ?.",
	      "moved d/>e/, moved d/f>e/f, created d/, created d/g" },
	    { "mv e k", "<e/#2 >k/#2", "moved e/>k/, moved e/f>k/f" } } },
	{ "onto another", "mkdir d e k; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e", "<d/#1 >e/#1 ?.",
	      "moved d/>e/, moved d/f>e/f, created d/, created d/g" },
	    { "mv -T e k", "<e/#2 >k/#2", "moved e/>k/, moved e/f>k/f" } } },
	{ "back to where it was", "mkdir d e; : > d/f",
	  { { "mv d x; mv e d; mv x e", "<d/#1 >e/#1 ?.", "moved d/>e/, moved d/f>e/f, created d/" },
	    { "mv -T e d", "<e/#2 >d/#2", "moved e/>d/, moved e/f>d/f" } } },
	{ "out of sight", "mkdir d e; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e", "<d/#1 >e/#1 ?.",
	      "moved d/>e/, moved d/f>e/f, created d/, created d/g" },
	    { "rm -r e", "<e/#2", "deleted e/f, deleted e/" } } },
	{ "exchange of directories, one of which gets another mode before its end is told",
	  "mkdir d e; : > d/f; : > e/g",
	  { { "mv d x; mv e d; mv x e", "<d/#1 >e/#1 @e <e/#2 >d/#2", "moved d/>e/, moved d/f>e/f, created d/, created d/g" } } },
	{ "exchange with what is not watched, and another comes before its end is told", "mkdir d",
	  { { "rmdir d; mkdir d; : > d/g; : > z", ">d/#1 >z#3 <d/#2",
	      "deleted d/, created d/, created d/g, created z, deleted d/g, deleted d/, created d/, created d/g" } } },
	{ "exchange with what is not watched, and a rest before its end is told", "mkdir d",
	  { { "rmdir d; mkdir d; : > d/g", ">d/#1", "deleted d/, created d/, created d/g" },
	    { "", "<d/#2", "deleted d/g, deleted d/, created d/, created d/g" } } },
	{ "more is pushed off than is remembered, and what is in the first is told of",
	  "mkdir -p c d/s; touch h a1 a2 a3 a4 a5 a6 a7",
	  { { "for i in 1 2 3 4 5 6 7; do mv a$i b$i; done; rm -r d h; mv c d",
	      "<c/#1 >d/#1 <a1#2 >b1#2 <a2#3 >b2#3 <a3#4 >b3#4 <a4#5 >b4#5 <a5#6 >b5#6 <a6#7 >b6#7 "
	      "<a7#8 >b7#8 <h#9 >d/s/x/#9",
	      "moved c/>d/, moved a1>b1, moved a2>b2, moved a3>b3, moved a4>b4, moved a5>b5, "
	      "moved a6>b6, moved a7>b7, deleted h" },
	    { "mkdir -p n/m", "+n/", "created n/, created n/m/" } } },
	{ "exchange of a file and a directory", ": > a; mkdir d; : > d/f",
	  { { "mv a x; mv d a; mv x d", "<a#1 >d#1 <d/#2 >a/#2 ^d", "moved a>d, created a/, created a/f" } } },
	{ "renamed in one", "mkdir d; : > a", { { "mv a d/b", "=a:d/b", "moved a>d/b" } } },
	{ "renamed in one, out of sight", ": > a", { { "rm a", "=a:", "deleted a" } } },
	{ "renamed in one, a directory", "mkdir -p d/s e; : > d/s/f",
	  { { "mv d e/d", "=d/:e/d ^d", "moved d/>e/d/, moved d/s/>e/d/s/, moved d/s/f>e/d/s/f" } } },

	{ "a look finds what was not told", "mkdir d; : > d/a",
	  { { "mv d/a d/b; mkdir d/n; : > d/n/f", "?d", "created d/n/, created d/n/f, moved d/a>d/b" } } },
	{ "each look is a pass of its own", "mkdir d e; : > d/a",
	  { { "mv d/a e/b", "?d ?e", "deleted d/a, created e/b" } } },
	{ "told and looked at is told once", "mkdir d", { { ": > d/a", "+d/a ?d", "created d/a" } } },
	{ "looked at and told is told once", "mkdir d", { { ": > d/a", "?d +d/a", "created d/a" } } },
	{ "a directory that is not known", "", { { "", "+nowhere/x -nowhere/y <nowhere/z#1 ?nowhere", "" } } },
	{ "a gap finds everything", "mkdir -p d/e; : > d/a; : > d/e/f",
	  { { "mv d/e g; rm d/a; : > n", "!", "created n, moved d/e/>g/, moved d/e/f>g/f, deleted d/a" } } },
	{ "a gap between the halves", "mkdir d; : > a",
	  { { "mv a d/b", "<a#1 !", "deleted a, created d/b" } } },
	{ "a watch that ended is made anew", "mkdir d",
	  { { ": > d/a", "&d", "created d/a" }, { ": > d/b", "+d/b", "created d/b" } } },
};

/* Both are lists with ", " between; what comes of one look has no order to rely on. */
static bool same_events(const char *got, const char *want)
{
	char text[8192], *rest = text, *item;
	size_t len = 0;

	if (strcmp(got, want) == 0)
		return true;
	if (strlen(got) != strlen(want))
		return false;
	strcpy(text, got);
	while (rest) {
		item = rest;
		if ((rest = strstr(rest, ", "))) {
			*rest = '\0';
			rest += 2;
		}
		if (!strstr(want, item))
			return false;
		len += strlen(item) + 2;
	}
	return len == strlen(want) + 2;
}

static bool by_looking(const char *changes)
{
	return strpbrk(changes, "?!&") != NULL;
}

static void test_rows(void **state)
{
	const char *only = getenv("APPLY_ROW");

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct run *r;

		if (only && strcmp(only, rows[i].name) != 0)
			continue;
		shell("rm -rf * 2>/dev/null");
		r = begin(rows[i].before);
		for (size_t k = 0; k < COUNT(rows[i].steps) && rows[i].steps[k].changes; k++) {
			const char *want = rows[i].steps[k].events;

			r->text[0] = '\0';
			shell(rows[i].steps[k].run);
			tell_all(r, rows[i].steps[k].changes);
			sync_watcher(r->w);
			assert_consistent(r, rows[i].name);
			if (by_looking(rows[i].steps[k].changes) ? !same_events(r->text, want) :
								   strcmp(r->text, want) != 0)
				fail_msg("%s: %s\n  told: %s\n  want: %s", rows[i].name,
					 rows[i].steps[k].changes, r->text, want);
		}
		assert_recovers(r, rows[i].name);
		end(r);
	}
}

/* ---- every order ---- */

static const struct {
	const char *before, *after, *changes[5];
} sets[] = {
	{ "mkdir d; : > a", "mv a d/b", { "<a#1", ">d/b#1", "+d/c", "-d/c" } },
	{ "mkdir d e; : > d/f", "mv d e/d; : > e/d/g", { "<d/#1", ">e/d/#1", "^d", "+d/g" } },
	{ ": > a; : > b", "mv a b; : > a", { "<a#1", ">b#1", "+a", "-b" } },
	{ "mkdir d e; : > d/f; : > e/g", "mv d x; mv e d; mv x e", { "<d/#1", ">e/#1", "<e/#2", ">d/#2" } },
	{ "mkdir -p d/s; : > d/s/f", "rm -r d", { "-d/s/f", "-d/s/", "-d/", "&d" } },
	{ "mkdir d", "rmdir d; : > d", { "-d/", "&d", "+d", "*d" } },
	{ "mkdir -p d/s; : > d/s/f", "mv d/s s; rmdir d", { "<d/s/#1", ">s/#1", "-d/", "^d/s", "?d/s" } },
};

static void next_order(int *order, int n)
{
	int i = n - 2, k = n - 1, swap;

	while (i >= 0 && order[i] > order[i + 1])
		i--;
	if (i < 0)
		return;
	while (order[k] < order[i])
		k--;
	swap = order[i];
	order[i] = order[k];
	order[k] = swap;
	for (i++, k = n - 1; i < k; i++, k--) {
		swap = order[i];
		order[i] = order[k];
		order[k] = swap;
	}
}

static void test_every_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sets); i++) {
		int n = 0, orders = 1, order[5] = { 0, 1, 2, 3, 4 };

		while (n < 5 && sets[i].changes[n])
			orders *= ++n;
		for (int k = 0; k < orders; k++, next_order(order, n)) {
			char what[200] = "";
			struct run *r;

			shell("rm -rf * 2>/dev/null");
			r = begin(sets[i].before);
			shell(sets[i].after);
			for (int c = 0; c < n; c++) {
				tell(r, sets[i].changes[order[c]]);
				sprintf(what + strlen(what), "%s ", sets[i].changes[order[c]]);
			}
			sync_watcher(r->w);
			assert_consistent(r, what);
			assert_recovers(r, what);
			end(r);
		}
	}
}

/*
 * ---- nonsense ----
 *
 * The same rounds each time; APPLY_SEED begins with another one, APPLY_ROUNDS says how many,
 * APPLY_CHANGES has other changes on the disk of that seed, APPLY_TRACE names each round before
 * it begins. No kernel tells what most of this says.
 */

/* Seeds that have found something: a directory that is moved into itself, and what is moved into a
 * directory that is in what it pushes off its name. */
static const uint64_t found_with[] = { 3035 };

static void random_change(struct run *r, char *what)
{
	static const char signs[] = "+-<>*+-<>=|?^%&";
	char path[20], to[20], word[64];
	char sign = signs[dice(sizeof signs - 1)];
	const char *slash = dice(2) ? "/" : "";

	random_path(path);
	random_path(to);
	if (strchr("?^%&|", sign))
		sprintf(word, "%c%s", sign, sign == '|' ? "" : path);
	else if (sign == '=')
		sprintf(word, "=%s%s:%s", path, slash, to);
	else
		sprintf(word, "%c%s%s#%u", sign, path, slash, 1 + dice(3));
	sprintf(what + strlen(what), "%s ", word);
	tell(r, word);
}

static void nonsense(uint64_t seed)
{
	const char *changes = getenv("APPLY_CHANGES");
	char what[1200];
	struct run *r;
	int n;

	rng = seed;
	n = 1 + (int)dice(25);
	sprintf(what, "APPLY_SEED=%llu: ", (unsigned long long)seed);
	if (getenv("APPLY_TRACE"))
		fprintf(stderr, "%s\n", what);
	shell("rm -rf * 2>/dev/null");
	random_disk(20);
	r = begin(NULL);
	if (dice(4))
		random_disk(6);
	if (changes)
		tell_all(r, changes);
	while (!changes && n--)
		random_change(r, what);
	sync_watcher(r->w);
	assert_consistent(r, what);
	assert_recovers(r, what);
	end(r);
}

static void test_nonsense(void **state)
{
	const char *seed = getenv("APPLY_SEED"), *count = getenv("APPLY_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	int rounds = count ? atoi(count) : seed ? 1 : 80;

	(void)state;
	for (int i = 0; i < rounds; i++)
		nonsense(first + (uint64_t)i);
	for (size_t i = 0; !seed && i < COUNT(found_with); i++)
		nonsense(found_with[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows),
		TEST(test_every_order),
		TEST(test_nonsense),
	};

	const struct CMUnitTest only[] = { TEST(test_nonsense) };

	if (getenv("APPLY_SEED"))
		return cmocka_run_group_tests(only, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
