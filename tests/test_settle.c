/*
 * What is done to a few names between two looks, again and again: directories and files that are
 * made, removed, linked, exchanged, and moved into one another, onto each other, out, and in again.
 *
 * Each event makes sense after those before it, for those who take the move of a directory for one
 * of all that is in it, and for those who wait for the moves that follow from it; and together they
 * lead to what there is. Mostly all is in memory, seen through the user's own stat and list; on the
 * disk what the kernel tells is lost, so that a recovery finds everything.
 *
 * The same rounds each time; SETTLE_SEED begins with another one, SETTLE_SEEDS says how many, and
 * SETTLE_BACKEND by which backend what is on the disk is watched.
 */
#include "memory_tree.h"

#include <sys/syscall.h>

#include "dice.h"
#include "replay_model.h"
#include "watcher/look.h"

#define SEEDS	    500
#define ON_DISK	    8
#define ROUNDS	    20 /* of each, with one watcher */
#define THINGS_MAX  30 /* more are not made then */
#define CHANGES_MAX 60 /* of a round */
#define DEPTH_MAX   6

/* One who is told: what there is below their roots, as far as they know. */
struct view {
	struct run *run;
	const char *name;
	const char *roots[3];
	struct model tree; /* a directory takes all that is in it along */
	struct model flat; /* each name by itself */
};

struct run {
	struct memory m;
	int backend; /* of what is on the disk, as it is in memory; 0: nothing is */
	watcher *w;
	struct view views[2];
	unsigned nviews;
	size_t done_len, told_len;
	char done[8192], told[65536], flaw[2100];
};

/* ---- what is done ---- */

static const char *const names[] = { "a", "b", "c", "d" };

static void note(struct run *r, const char *what, const char *a, const char *b)
{
	if (r->done_len < sizeof r->done)
		r->done_len += (size_t)snprintf(r->done + r->done_len, sizeof r->done - r->done_len,
						"%s %s%s%s\n", what, a, b ? " " : "", b ? b : "");
}

/* Something that is there, below "in" or "out"; or one of those, where `tops` says so. */
static bool some_thing(struct run *r, char *path, bool tops, int type)
{
	for (int tries = 20; tries--;) {
		const struct thing *t = &r->m.things[dice((unsigned)r->m.n)];

		if ((strchr(t->path, '/') || tops) && (!type || t->st.type == type) &&
		    (strncmp(t->path, "in", 2) == 0 || dice(3) == 0)) {
			strcpy(path, t->path);
			return true;
		}
	}
	return false;
}

/* A name in a directory that is there. */
static bool some_name(struct run *r, char *path)
{
	unsigned depth = 0;

	if (!some_thing(r, path, true, WATCHER_TYPE_DIR))
		return false;
	for (const char *at = path; (at = strchr(at, '/')); at++)
		depth++;
	if (depth >= DEPTH_MAX)
		return false;
	sprintf(path + strlen(path), "/%s", names[dice(COUNT(names))]);
	return true;
}

static bool same_or_below(const char *path, const char *dir)
{
	return strcmp(path, dir) == 0 || below(path, dir);
}

static bool is_empty(struct memory *m, const char *dir)
{
	for (int i = 0; i < m->n; i++)
		if (below(m->things[i].path, dir))
			return false;
	return true;
}

/* May it take that name, as rename(2) has it? */
static bool may_replace(struct memory *m, const char *from, const char *to)
{
	const struct thing *a = thing_at(m, from), *b = thing_at(m, to);

	/* From one name of a file to another nothing is done. */
	return !b || (a->st.inode != b->st.inode && (a->st.type == WATCHER_TYPE_DIR) == (b->st.type == WATCHER_TYPE_DIR) &&
		      is_empty(m, to));
}

static void remove_it(struct run *r, const char *path)
{
	note(r, "rm", path, NULL);
	take_away(&r->m, path);
	if (r->backend)
		assert_int_equal(nftw(path, watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void do_move(struct run *r)
{
	char from[128], to[128];

	if (!some_thing(r, from, false, 0) || !some_name(r, to) || same_or_below(to, from) ||
	    same_or_below(from, to))
		return;
	if (!may_replace(&r->m, from, to)) {
		if (dice(3))
			return;
		remove_it(r, to);
	}
	note(r, "mv", from, to);
	move(&r->m, from, to);
	if (r->backend)
		assert_int_equal(rename(from, to), 0);
}

static void do_exchange(struct run *r)
{
	char a[128], b[128];

	if (!some_thing(r, a, false, 0) || !some_thing(r, b, false, 0) || same_or_below(a, b) ||
	    same_or_below(b, a))
		return;
	note(r, "exchange", a, b);
	move(&r->m, a, "between");
	move(&r->m, b, a);
	move(&r->m, "between", b);
	if (r->backend)
		assert_int_equal(
		    syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */), 0);
}

static void do_make(struct run *r, int type)
{
	char path[128];

	if (r->m.n >= THINGS_MAX || !some_name(r, path) || thing_at(&r->m, path))
		return;
	note(r, type == WATCHER_TYPE_DIR ? "mkdir" : "touch", path, NULL);
	make(&r->m, path, type);
	if (r->backend && type == WATCHER_TYPE_DIR)
		assert_int_equal(mkdir(path, 0755), 0);
	else if (r->backend)
		put(path, "");
}

static void do_link(struct run *r)
{
	char from[128], to[128];

	if (r->m.n >= THINGS_MAX || !some_thing(r, from, false, WATCHER_TYPE_FILE) ||
	    !some_name(r, to) || thing_at(&r->m, to))
		return;
	note(r, "ln", from, to);
	make_file(&r->m, to);
	thing_at(&r->m, to)->st.inode = thing_at(&r->m, from)->st.inode;
	if (r->backend)
		assert_int_equal(link(from, to), 0);
}

static void change(struct run *r)
{
	char path[128];

	switch (dice(20)) {
	case 0:
		if (some_thing(r, path, false, 0))
			remove_it(r, path);
		break;
	case 1:
	case 2:
		do_exchange(r);
		break;
	case 3:
	case 4:
		do_make(r, WATCHER_TYPE_FILE);
		break;
	case 5:
		do_link(r);
		break;
	case 6:
	case 7:
	case 8:
		do_make(r, WATCHER_TYPE_DIR);
		break;
	default:
		do_move(r);
	}
}

/* ---- what is told ---- */

static void complain(struct run *r, const watcher_event *e, const char *what)
{
	if (!r->flaw[0])
		snprintf(r->flaw, sizeof r->flaw, "%s: %s %s%s%s", what, watcher_kind_name(e->kind),
			 e->path, e->dest ? " " : "", e->dest ? e->dest : "");
}

static int type_in(const struct model *m, const char *path)
{
	size_t from, to;

	model_range(m, path, &from, &to);
	return model_has(m, path) ? m->items[from].type : 0;
}

static bool has_parent(const struct model *m, const char *path)
{
	char up[128];

	snprintf(up, sizeof up, "%s", path);
	*strrchr(up, '/') = '\0';
	return strcmp(up, "in") == 0 || strcmp(up, "out") == 0 || type_in(m, up) == WATCHER_TYPE_DIR;
}

static bool holds_any(const struct model *m, const char *path)
{
	size_t from, to;

	model_range(m, path, &from, &to);
	return to - from > 1;
}

static void apply_created(struct view *v, const watcher_event *e)
{
	struct run *r = v->run;

	if (model_has(&v->tree, e->path))
		complain(r, e, "it is there");
	if (!has_parent(&v->tree, e->path))
		complain(r, e, "in no directory");
	model_add(&v->tree, e->path, e->type);
	model_add(&v->flat, e->path, e->type);
}

static void remove_one(struct model *m, const char *path)
{
	size_t from, to;

	if (!model_has(m, path))
		return;
	model_range(m, path, &from, &to);
	free(m->items[from].path);
	memmove(&m->items[from], &m->items[from + 1], (m->n - from - 1) * sizeof *m->items);
	m->n--;
}

static void apply_deleted(struct view *v, const watcher_event *e)
{
	struct run *r = v->run;

	if (type_in(&v->tree, e->path) != e->type)
		complain(r, e, "it is not there, as that");
	if (holds_any(&v->tree, e->path))
		complain(r, e, "with something in it");
	if (type_in(&v->flat, e->path) != e->type)
		complain(r, e, "it is not there, as that, by itself");
	model_remove(&v->tree, e->path);
	remove_one(&v->flat, e->path);
}

/* What was in a directory that moved follows. */
static bool follows(const struct view *v, const watcher_event *e)
{
	return !model_has(&v->tree, e->path) && type_in(&v->tree, e->dest) == e->type;
}

static void apply_moved(struct view *v, const watcher_event *e)
{
	struct run *r = v->run;
	int replaced = type_in(&v->tree, e->dest);

	if (type_in(&v->flat, e->path) != e->type)
		complain(r, e, "it is not there, as that, by itself");
	remove_one(&v->flat, e->path);
	model_add(&v->flat, e->dest, e->type);
	if (follows(v, e))
		return;
	if (type_in(&v->tree, e->path) != e->type)
		complain(r, e, "it is not there, as that");
	if (!has_parent(&v->tree, e->dest) || same_or_below(e->dest, e->path))
		complain(r, e, "to no directory");
	if (replaced && (holds_any(&v->tree, e->dest) || replaced != e->type))
		complain(r, e, "onto another");
	model_move(&v->tree, e->path, e->dest);
}

static void on_event(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct view *v = arg;
	struct run *r = v->run;

	(void)watch;
	if (r->told_len < sizeof r->told)
		r->told_len += (size_t)snprintf(r->told + r->told_len, sizeof r->told - r->told_len,
						"%s%s %s%s%s%s\n", v->name, watcher_kind_name(e->kind),
						e->path, e->type == WATCHER_TYPE_DIR ? "/" : "",
						e->dest ? " " : "", e->dest ? e->dest : "");
	switch (e->kind) {
	case WATCHER_CREATED:
		apply_created(v, e);
		break;
	case WATCHER_DELETED:
		apply_deleted(v, e);
		break;
	case WATCHER_MOVED:
		apply_moved(v, e);
		break;
	default:
		if (!model_has(&v->tree, e->path) && strchr(e->path, '/'))
			complain(r, e, "it is not there");
	}
}

/* ---- rounds ---- */

static void read_memory(const struct view *v, struct model *into)
{
	const struct memory *m = &v->run->m;

	for (int i = 0; i < m->n; i++)
		for (const char *const *root = v->roots; *root; root++)
			if (below(m->things[i].path, *root))
				model_add(into, m->things[i].path, m->things[i].st.type);
}

/* A pass leaves no marks. */
static void check_marks(struct run *r)
{
	const struct tree *t = &r->w->tree;

	for (uint32_t dir = 0; dir < t->nnodes; dir++) {
		if (!(tree_dir(t, dir)->flags & DIR_USED))
			continue;
		for (uint32_t rec = tree_next(t, dir, NO_REC); rec != NO_REC;
		     rec = tree_next(t, dir, rec))
			if (tree_entry(t, dir, rec).marks & (ENTRY_NEW | ENTRY_DOOMED | ENTRY_SEEN))
				snprintf(r->flaw, sizeof r->flaw, "a mark is left");
	}
}

static void check_view(struct view *v)
{
	struct run *r = v->run;
	struct model want = { 0 };
	char differ[2000];

	read_memory(v, &want);
	if (!r->flaw[0] && model_compare(&v->tree, &want, differ, sizeof differ))
		snprintf(r->flaw, sizeof r->flaw, "%sin the end:\n%s", v->name, differ);
	if (!r->flaw[0] && model_compare(&v->flat, &want, differ, sizeof differ))
		snprintf(r->flaw, sizeof r->flaw, "%sin the end, by itself:\n%s", v->name, differ);
	model_free(&want);
}

static void check(struct run *r, unsigned long long seed, int round)
{
	for (unsigned i = 0; i < r->nviews; i++)
		check_view(&r->views[i]);
	if (!r->flaw[0])
		check_marks(r);
	if (r->flaw[0]) {
		fprintf(stderr, "done:\n%stold:\n%s", r->done, r->told);
		fail_msg("seed %llu, round %d: %s", seed, round, r->flaw);
	}
}

/* One root, two of one watch, or one each of two. */
static void add_views(struct run *r)
{
	static const struct view some[] = {
		{ .name = "", .roots = { "in" } },
		{ .name = "", .roots = { "in", "out" } },
		{ .name = "1 ", .roots = { "in" } },
		{ .name = "2 ", .roots = { "out" } },
	};
	unsigned which = dice(3);

	r->nviews = which == 2 ? 2 : 1;
	memcpy(r->views, &some[which], r->nviews * sizeof *some);
	for (unsigned i = 0; i < r->nviews; i++) {
		struct view *v = &r->views[i];
		watcher_watch *watch;
		watcher_error err;

		v->run = r;
		watch = add_with(r->w, v->roots[0], WATCH(.on_any = on_event, .arg = v));
		if (v->roots[1])
			assert_int_equal(watcher_watch_add_root(watch, v->roots[1], &err), 0);
		read_memory(v, &v->tree);
		read_memory(v, &v->flat);
	}
}

static void open_watcher(struct run *r)
{
	const watcher_vfs vfs = { .size = sizeof vfs,
				  .stat = memory_stat,
				  .list = memory_list,
				  .arg = &r->m };

	if (r->backend)
		r->w = open_with(WATCHER(.backend = r->backend, .poll_interval_ms = 3600000));
	else
		r->w = open_with(WATCHER(.backend = WATCHER_BACKEND_POLL,
					 .poll_interval_ms = 3600000, .vfs = &vfs));
}

/* What the kernel has told is dropped, as when its queue overflows. */
static void lose(struct watcher *w)
{
	assert_true(w->sources[0].ops->fill(w->sources[0].backend, true) >= 0);
	w->gap = true;
}

static void run_seed(struct run *r, int backend, unsigned long long seed)
{
	*r = (struct run){ .backend = backend };
	rng = seed;
	make_dir(&r->m, "in");
	make_dir(&r->m, "out");
	if (backend) {
		assert_int_equal(mkdir("in", 0755), 0);
		assert_int_equal(mkdir("out", 0755), 0);
	}
	for (int i = 0; i < CHANGES_MAX; i++)
		change(r);
	open_watcher(r);
	add_views(r);
	sync_watcher(r->w); /* all has been read, also what a backend reads later */
	for (int round = 0; round < ROUNDS; round++) {
		r->done_len = r->told_len = 0;
		r->done[0] = r->told[0] = '\0';
		for (unsigned n = 1 + dice(CHANGES_MAX); n--;)
			change(r);
		if (dice(4) == 0 || backend)
			lose(r->w);
		sync_watcher(r->w);
		check(r, seed, round);
	}
	watcher_close(r->w);
	if (backend)
		do_there("rm -r in out");
	for (unsigned i = 0; i < r->nviews; i++) {
		model_free(&r->views[i].tree);
		model_free(&r->views[i].flat);
	}
}

static void run_seeds(int backend, int n)
{
	const char *first = getenv("SETTLE_SEED"), *many = getenv("SETTLE_SEEDS");
	unsigned long long seed = first ? strtoull(first, NULL, 10) : 1;
	struct run *r = calloc(1, sizeof *r);

	if (first || many)
		n = many ? atoi(many) : 1;
	assert_non_null(r);
	for (; n--; seed++)
		run_seed(r, backend, seed);
	free(r);
}

static void test_in_memory(void **state)
{
	(void)state;
	run_seeds(0, SEEDS);
}

static void test_on_the_disk(void **state)
{
	static const int backends[] = { WATCHER_BACKEND_INOTIFY, WATCHER_BACKEND_POLL };
	const char *backend = getenv("SETTLE_BACKEND");

	(void)state;
	if (backend)
		run_seeds(atoi(backend), ON_DISK);
	for (size_t i = 0; !backend && i < COUNT(backends); i++)
		run_seeds(backends[i], ON_DISK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_memory),
		TEST(test_on_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
