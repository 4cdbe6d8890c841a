/*
 * Files that are moved onto each other, exchanged, moved back, made and removed, as a kernel tells of
 * it that is some changes ahead of its queue: what a look finds is what became of a name later.
 *
 * The events lead from what there was to what is on the disk, also for what is in the files: who
 * reads again what is created or modified, and moves what is moved, has all of it. What the index has
 * for an inode number is that of the file, or nothing. Then changes are lost, and a gap makes good for
 * them, too; where nothing was lost it tells nothing.
 *
 * The same rounds each time; ONTO_SEED begins with another one, ONTO_ROUNDS says how many.
 */
#include "watch_test.h"

#include <sys/syscall.h>

#include "dice.h"
#include "fake_backend.h"
#include "next_tick.h"
#include "watcher/apply.h"

#define OUT	"../out" /* not watched */
#define PLACES	COUNT(places)

static const char *const places[] = { "a",   "b",   "c",   "d/a", "d/b",    "d/c",    "e/a",   "e/b",
				      "e/c", "f/a", "f/b", "f/c", OUT "/a", OUT "/b", OUT "/c" };
static const char *const dirs[] = { ".", "d", "e", "f" }; /* of three places each */

enum { NOTHING = 0, UNREAD = -1 }; /* else what has been read */

struct run {
	struct backend b;
	struct backend_ops ops;
	watcher *w;
	int mirror[PLACES];
	unsigned to_come; /* changes before the next rest */
	bool silent;	  /* changes are lost */
	int written;
	unsigned from, to; /* of the last change */
	uint32_t cookie;
	int merged[64];	  /* what came without being told */
	unsigned nmerged;
	char done[4096], told[8192], flaw[300];
};

static struct run *running; /* that the backend's calls are about */

/* ---- what is done ---- */

/* The number of the directory that has this name now, -1: it is not watched. */
static int32_t id_of_dir(const struct run *r, unsigned dir)
{
	struct stat st;

	if (dir >= COUNT(dirs) || stat(dirs[dir], &st) < 0)
		return -1;
	for (int32_t id = 0; id < r->b.n; id++)
		if (r->b.inodes[id] == st.st_ino)
			return id;
	return -1;
}

static int32_t id_of(const struct run *r, unsigned place)
{
	return id_of_dir(r, place / 3);
}

static const char *name_of(unsigned place)
{
	const char *slash = strrchr(places[place], '/');

	return slash ? slash + 1 : places[place];
}

static int content_of(unsigned place)
{
	return access(places[place], F_OK) == 0 ? atoi(get(places[place])) : NOTHING;
}

/* inotify leaves out what is as the change before it, whatever the cookies are. */
static bool is_last(const struct backend *b, enum change_op op, int32_t id, const char *name)
{
	const struct fake_change *end = b->queue + b->queued;

	return b->queued > b->at && end[-1].change.op == op && end[-1].change.id == id &&
	       strcmp(end[-1].name, name) == 0;
}

static void tell(struct run *r, enum change_op op, unsigned place, uint32_t cookie)
{
	int32_t id = id_of(r, place);

	if (id < 0 || r->silent)
		return;
	if (!is_last(&r->b, op, id, name_of(place)))
		fake_queue(&r->b, op, id, name_of(place))->cookie = cookie;
	else if (op == CHANGE_MOVED_TO && r->nmerged < COUNT(r->merged))
		r->merged[r->nmerged++] = content_of(place);
}

static void tell_move(struct run *r, unsigned from, unsigned to)
{
	r->cookie++;
	tell(r, CHANGE_MOVED_FROM, from, r->cookie);
	tell(r, CHANGE_MOVED_TO, to, r->cookie);
}

static void note(struct run *r, char sign, unsigned one, unsigned other)
{
	size_t len = strlen(r->done);

	snprintf(r->done + len, sizeof r->done - len, " %c%s", sign, places[one]);
	len = strlen(r->done);
	if (strchr(">x/", sign))
		snprintf(r->done + len, sizeof r->done - len, ":%s", places[other]);
}

static void do_write(struct run *r, unsigned place, bool there)
{
	char text[20];

	snprintf(text, sizeof text, "%d", ++r->written);
	put(places[place], text);
	tell(r, there ? CHANGE_WRITTEN : CHANGE_CREATED, place, 0);
}

static void do_move(struct run *r, unsigned from, unsigned to)
{
	if (rename(places[from], places[to]) == 0)
		tell_move(r, from, to);
}

static void do_exchange(struct run *r, unsigned one, unsigned other)
{
	if (syscall(SYS_renameat2, AT_FDCWD, places[one], AT_FDCWD, places[other], 2) < 0)
		return;
	tell_move(r, one, other);
	tell_move(r, other, one);
}

static void do_remove(struct run *r, unsigned place)
{
	if (unlink(places[place]) == 0)
		tell(r, CHANGE_REMOVED, place, 0);
}

static void tell_dir(struct run *r, enum change_op op, unsigned dir, uint32_t cookie)
{
	struct change *c;

	if (r->silent)
		return;
	c = fake_queue(&r->b, op, id_of_dir(r, 0), dirs[dir]);
	c->is_dir = true;
	c->cookie = cookie;
}

static void tell_dir_move(struct run *r, unsigned from, unsigned to)
{
	int32_t id = id_of_dir(r, to);

	r->cookie++;
	tell_dir(r, CHANGE_MOVED_FROM, from, r->cookie);
	tell_dir(r, CHANGE_MOVED_TO, to, r->cookie);
	if (id >= 0 && !r->silent)
		fake_queue(&r->b, CHANGE_SELF_MOVED, id, NULL);
}

static bool is_dir(unsigned dir)
{
	return access(dirs[dir], F_OK) == 0;
}

static bool is_place(unsigned place)
{
	return place / 3 >= COUNT(dirs) || is_dir(place / 3);
}

/* Others may change what is in the two while their exchange is told of. */
static void do_within(struct run *r)
{
	unsigned from = 3 + dice(9), to = 3 + dice(PLACES - 3);

	if (from == to || !is_place(from) || !is_place(to) || rename(places[from], places[to]) < 0)
		return;
	note(r, '>', from, to);
	tell_move(r, from, to);
}

/* To a name that none has, or exchanged with that which has it. */
static void do_move_dir(struct run *r, unsigned from, unsigned to)
{
	bool exchange = is_dir(to);

	if (from == to || !is_dir(from))
		return;
	syscall(SYS_renameat2, AT_FDCWD, dirs[from], AT_FDCWD, dirs[to], exchange ? 2 : 0);
	tell_dir_move(r, from, to);
	if (exchange && dice(2))
		do_within(r);
	if (exchange)
		tell_dir_move(r, to, from);
}

/* Or, if there is one that holds nothing, removed. */
static void do_make_dir(struct run *r, unsigned dir)
{
	int32_t id = id_of_dir(r, dir);

	if (mkdir(dirs[dir], 0700) == 0) {
		tell_dir(r, CHANGE_CREATED, dir, 0);
		return;
	}
	if (rmdir(dirs[dir]) < 0)
		return;
	tell_dir(r, CHANGE_REMOVED, dir, 0);
	if (id >= 0 && !r->silent) {
		fake_queue(&r->b, CHANGE_SELF_REMOVED, id, NULL);
		fake_queue(&r->b, CHANGE_UNWATCHED, id, NULL);
	}
	if (id >= 0)
		r->b.inodes[id] = 0;
}

static void do_one(struct run *r, char sign, unsigned one, unsigned other)
{
	bool there = access(places[one], F_OK) == 0;

	if (sign == '/' || sign == 'm') {
		note(r, sign, one, other);
		sign == '/' ? do_move_dir(r, one / 3, other / 3) : do_make_dir(r, one / 3);
		return;
	}
	if ((sign == '+' ? there : !there) || !is_place(one) || !is_place(other))
		return;
	if (strchr(">x", sign) && one == other)
		return;
	note(r, sign, one, other);
	switch (sign) {
	case '>':
		do_move(r, one, other);
		break;
	case 'x':
		do_exchange(r, one, other);
		break;
	case '-':
		do_remove(r, one);
		break;
	default:
		do_write(r, one, there);
	}
}

/* Often back, and of the few that are in use. */
static void do_something(struct run *r)
{
	char sign = ">>>>xx-++*"[dice(10)];
	unsigned last = r->from;

	if (dice(10) == 0) {
		do_one(r, dice(3) ? '/' : 'm', 3 + dice(9), 3 + dice(9));
		return;
	}
	if (dice(3) == 0) {
		r->from = r->to;
		r->to = last;
	} else {
		r->from = dice(3) ? r->to : dice(PLACES);
		r->to = dice(3) ? dice(PLACES) : last;
	}
	do_one(r, sign, r->from, r->to);
}

/* ---- the kernel ---- */

static void meanwhile(struct backend *b)
{
	(void)b;
	while (running->to_come && dice(3) == 0) {
		running->to_come--;
		do_something(running);
	}
}

static int next(struct backend *b, struct change *c)
{
	meanwhile(b);
	return fake_next(b, c);
}

static int fence(struct backend *b, int32_t id, int fd, bool on)
{
	(void)fd;
	if (on)
		meanwhile(b);
	else
		fake_queue(b, CHANGE_READ, id, NULL);
	return 0;
}

/* ---- what is told ---- */

static int place_of(const char *path)
{
	for (size_t i = 0; path && i < PLACES; i++)
		if (strcmp(places[i], path) == 0)
			return (int)i;
	return -1;
}

/* With all that is in it. */
static void mirror_dir(struct run *r, const watcher_event *e)
{
	int from = -1, to = -1;

	for (int i = 0; e->kind == WATCHER_MOVED && i < (int)COUNT(dirs); i++) {
		from = strcmp(dirs[i], e->path) == 0 ? i : from;
		to = strcmp(dirs[i], e->dest) == 0 ? i : to;
	}
	for (int i = 0; i < 3 && from >= 0 && to >= 0; i++) {
		r->mirror[3 * to + i] = r->mirror[3 * from + i];
		r->mirror[3 * from + i] = NOTHING;
	}
}

static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	struct run *r = arg;
	size_t len = strlen(r->told);
	int at = place_of(e->path), to = place_of(e->dest);
	bool there = at >= 0 && r->mirror[at] != NOTHING, good = there;

	(void)watch;
	if (e->kind == WATCHER_OVERFLOW)
		return;
	snprintf(r->told + len, sizeof r->told - len, " %s %s%s%s,", watcher_kind_name(e->kind),
		 e->path, e->dest ? " " : "", e->dest ? e->dest : "");
	if (e->type == WATCHER_TYPE_DIR) {
		mirror_dir(r, e);
		return;
	}
	if (e->kind == WATCHER_MOVED && e->synthetic && !there && to >= 0 && r->mirror[to])
		return; /* came along with its directory */
	if (e->kind == WATCHER_CREATED)
		good = at >= 0 && !there;
	if (!good && !r->flaw[0])
		snprintf(r->flaw, sizeof r->flaw, "%s %s: what was there does not fit",
			 watcher_kind_name(e->kind), e->path);
	if (!good)
		return;
	if (e->kind == WATCHER_MOVED)
		r->mirror[to] = r->mirror[at];
	r->mirror[at] = e->kind & (WATCHER_MOVED | WATCHER_DELETED) ? NOTHING : UNREAD;
}

static void read_again(struct run *r)
{
	for (unsigned i = 0; i < PLACES; i++)
		if (r->mirror[i] == UNREAD)
			r->mirror[i] = content_of(i);
}

/* ---- what must be true ---- */

static uint32_t node_of(const struct run *r, unsigned place, const char *round)
{
	int32_t id = id_of(r, place);
	uint32_t node = id < 0 ? IDS_NONE : ids_get(&r->w->sources[0].nodes, id);

	if (node == IDS_NONE)
		fail_msg("%s:%s\n  told:%s\n  %s is not watched", round, r->done, r->told,
			 dirs[place / 3]);
	return node;
}

static void check_inode(struct run *r, unsigned place, const char *round)
{
	const char *name = name_of(place);
	uint32_t dir = node_of(r, place, round), rec = tree_find(&r->w->tree, dir, name, strlen(name));
	struct stat st = { .st_ino = 0 };
	uint64_t ino = rec == NO_REC ? 0 : tree_entry(&r->w->tree, dir, rec).ino;

	stat(places[place], &st);
	if ((rec == NO_REC) != (st.st_ino == 0))
		fail_msg("%s:%s\n  told:%s\n  %s: %s in the index", round, r->done, r->told,
			 places[place], rec == NO_REC ? "not" : "only");
	if (ino && ino != INO_UNKNOWN && ino != st.st_ino)
		fail_msg("%s:%s\n  told:%s\n  %s: inode %llu, %llu on disk", round, r->done, r->told,
			 places[place], (unsigned long long)ino, (unsigned long long)st.st_ino);
}

/* The inode number shows it, where that of what was there before is known. */
static bool is_merged(const struct run *r, int content)
{
	for (unsigned i = 0; i < r->nmerged; i++)
		if (r->merged[i] == content)
			return true;
	return false;
}

static void check(struct run *r, const char *round)
{
	if (r->flaw[0])
		fail_msg("%s:%s\n  told:%s\n  %s", round, r->done, r->told, r->flaw);
	read_again(r);
	for (unsigned i = 0; i < 3 * COUNT(dirs); i++) {
		if (r->mirror[i] != content_of(i) && !is_merged(r, content_of(i)))
			fail_msg("%s:%s\n  told:%s\n  %s: %d, %d on disk", round, r->done, r->told,
				 places[i], r->mirror[i], content_of(i));
		if (is_place(i))
			check_inode(r, i, round);
	}
}

static void rest(struct run *r, const char *round)
{
	sync_watcher(r->w);
	check(r, round);
	strcat(r->done, " |");
	strcat(r->told, " |");
}

/* ---- the table ---- */

/* In an empty tree of the directories d and e, and one beside it. */
static struct run *begin(void)
{
	struct run *r = running = calloc(1, sizeof *r);

	assert_int_equal(system("rm -rf in out; mkdir -p in/d in/e out"), 0);
	assert_int_equal(chdir("in"), 0);
	r->silent = true;
	return r;
}

static void watch(struct run *r)
{
	watcher_error err;

	next_tick();
	if (watcher_open(&r->w, WATCHER(.backend = WATCHER_BACKEND_POLL, .debounce_ms = 20000), &err))
		fail_msg("%s", err.message);
	fake_install(r->w, &r->b, ".");
	r->b.on_watch = meanwhile;
	r->ops = fake_backend;
	r->ops.next = next;
	r->ops.fence = fence;
	r->w->sources[0].ops = &r->ops;
	if (watcher_add(r->w, ".", WATCH(.on_any = on_any, .arg = r), &err) < 0)
		fail_msg("%s", err.message);
	for (unsigned i = 0; i < 3 * COUNT(dirs); i++)
		r->mirror[i] = content_of(i);
	r->done[0] = '\0';
	r->silent = false;
	sync_watcher(r->w);
}

static void end(struct run *r)
{
	watcher_close(r->w);
	assert_int_equal(chdir(".."), 0);
	free(r);
}

static void gap(struct run *r, const char *round)
{
	fake_queue(&r->b, CHANGE_GAP, -1, NULL);
	rest(r, round);
}

/* `changes` as they are noted; at each | there is a rest, and at ! a gap, for what is lost since ~. */
static void do_all(struct run *r, const char *changes, const char *round)
{
	char text[200], *word, *other, *more = text;

	assert_true(strlen(changes) < sizeof text);
	strcpy(text, changes);
	while ((word = strsep(&more, " "))) {
		if (*word == '~' || *word == '!')
			r->silent = *word == '~';
		if (*word == '|')
			rest(r, round);
		if (*word == '!')
			gap(r, round);
		if (!*word || strchr("~|!", *word))
			continue;
		if ((other = strchr(word, ':')))
			*other++ = '\0';
		do_one(r, *word, (unsigned)place_of(word + 1),
		       (unsigned)place_of(other ? other : word + 1));
	}
}

/* All up to a rest has been done before any of it is told. */
static const struct row {
	const char *name, *before, *changes, *events;
} rows[] = {
	{ "moved onto another, and back", "+a +b", ">a:b >b:a |", " moved a b, moved b a, |" },
	{ "and back after a rest", "+a +b", ">a:b | >b:a |", " moved a b, | moved b a, |" },
	{ "and back, of which no number is known", "+b", "+a | >a:b | >b:a |",
	  " created a, | moved a b, | moved b a, |" },
	{ "and back and on, when another has come there", "+a +b +c", ">a:b >b:a >c:b >a:d/a |",
	  " moved a b, created a, moved c b, moved a d/a, |" },
	{ "and away, when another is made there", "+b", "+a | >a:b >b:../out/a +b |",
	  " created a, | moved a b, modified b, |" },
	{ "exchanged", "+a +b", "xa:b |", " moved a b, created a, |" },
	{ "exchanged, and both move on", "+a +b", "xa:b >b:d/b >a:e/a |",
	  " moved a b, moved b a, created d/b, moved a e/a, modified e/a, |" },
	{ "and no number is known", "", "+a +b | xa:b >b:d/b >a:e/a |",
	  " created a, created b, | moved a b, moved b a, modified a, created d/b, moved a e/a, |" },
	{ "moved and written to, and both are lost", "+a", "~ >a:b *b !",
	  " moved a b, modified b, |" },
	{ "another comes onto the same name, and that is not told", "+a +../out/a", ">a:b >../out/a:b |",
	  " moved a b, modified b, |" },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct run *r = begin();

		do_all(r, rows[i].before, rows[i].name);
		watch(r);
		do_all(r, rows[i].changes, rows[i].name);
		if (strcmp(r->told, rows[i].events) != 0)
			fail_msg("%s:%s\n  told:%s\n  want:%s", rows[i].name, r->done, r->told,
				 rows[i].events);
		end(r);
	}
}

/* ---- rounds ---- */

/* Everything is told; then nothing is lost; then something is. */
static void round_of(uint64_t seed)
{
	char round[60];
	struct run *r;
	size_t told;

	snprintf(round, sizeof round, "ONTO_SEED=%llu", (unsigned long long)seed);
	rng = seed;
	r = begin();
	for (unsigned i = 0; i < PLACES; i++)
		if (is_place(i) && dice(2))
			do_write(r, i, false);
	watch(r);
	for (int i = 0; i < 2; i++) {
		for (unsigned n = dice(12); n; n--)
			do_something(r);
		r->to_come = dice(12);
		rest(r, round);
	}
	r->to_come = 0;
	next_tick();
	rest(r, round);
	told = strlen(r->told);
	gap(r, round);
	if (strcmp(r->told + told, " |") != 0)
		fail_msg("%s:%s\n  told:%s\n  nothing was lost", round, r->done, r->told);
	r->silent = true;
	for (unsigned n = 1 + dice(8); n; n--)
		do_something(r);
	r->silent = false;
	gap(r, round);
	end(r);
}

/* Seeds that have found something. */
static const uint64_t found_with[] = { 119, 193, 201, 219 };

static void test_random_files_are_told_of_with_what_is_in_them(void **state)
{
	const char *seed = getenv("ONTO_SEED"), *count = getenv("ONTO_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	int rounds = count ? atoi(count) : seed ? 1 : 100;

	(void)state;
	for (int i = 0; i < rounds; i++)
		round_of(first + (uint64_t)i);
	for (size_t i = 0; !seed && i < COUNT(found_with); i++)
		round_of(found_with[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows),
		TEST(test_random_files_are_told_of_with_what_is_in_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
