/*
 * Polling and the index look at the same directories at moments of their own, and files change between
 * any two of these: at random here, on a clock that goes in steps and often stands still. What was
 * written is told after that, by the second round from then; what was not is told as written to only
 * where it was moved, and for each time once more at most; and in the end nothing is told any more.
 *
 * A failing round is run again with POLL_SEED=n; POLL_ROUNDS says how many there are.
 * link: -Wl,--wrap=watcher__scan_open,--wrap=watcher__disk_stat,--wrap=watcher__disk_stat_name
 * link: -Wl,--wrap=watcher__disk_stat_path,--wrap=statx,--wrap=clock_gettime,--wrap=watcher__scan_read
 */
#include "watch_test.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "dice.h"
#include "watcher/engine.h"
#include "watcher/statx_linux.h"

#define TICK_NS 4000000
#define WAIT_NS 800000 /* the clock goes on where nothing is looked at for so long */
#define ROUNDS  200
#define NAMES   2
#define PLACES  COUNT(places)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t now_ns; /* the clock that stands still */
static uint64_t asked; /* when it was last, or something was looked at */
static int left;       /* changes that may still be made before and after something is looked at */

/* What the file system would say of an inode, had it this clock. */
static struct times {
	ino_t ino;
	int64_t birth_ns, ctime_ns, mtime_ns;
} times[256];
static int ntimes;

/* What a name is now. */
struct thing {
	bool there, is_dir;
	bool written, old; /* or it was there at the beginning, and never was */
	ino_t ino;
	uint64_t written_at; /* or made */
	unsigned moves; /* and changes of its mode, which may be taken for writes, too */
	unsigned told; /* so many times as written to */
};

/* Directories, each at one of two places, and what is in them. */
static const char *const places[][2] = { { "in/d", "in/m" }, { "in/e", "in/n" }, { "out", "out" } };
static int place[COUNT(places)];
static struct thing things[COUNT(places)][NAMES];

/* When something was told of a path last. */
static struct last {
	char path[40];
	uint64_t at;
} last[64];
static size_t nlast;
static uint64_t count; /* of writes and events, in their order */

static watcher *w;
static unsigned after; /* events since that was set */
static char trace[65536];

static void note(const char *what, const char *path, const char *dest)
{
	size_t len = strlen(trace);

	snprintf(trace + len, sizeof trace - len, "%" PRIu64 " @%" PRId64 " %s %s %s\n", count,
		 now_ns / TICK_NS % 10000, what, path, dest);
}

/* ---- times ---- */

static struct times *times_of(ino_t ino)
{
	for (int i = 0; i < ntimes; i++)
		if (times[i].ino == ino)
			return &times[i];
	assert_true(ntimes < (int)COUNT(times));
	times[ntimes] = (struct times){ ino, now_ns, now_ns, now_ns };
	return &times[ntimes++];
}

static ino_t ino_at(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

static void changed(const char *path, bool content)
{
	struct times *t = times_of(ino_at(path));

	t->ctime_ns = now_ns;
	if (content)
		t->mtime_ns = now_ns;
}

static void born(const char *path)
{
	struct times *t = times_of(ino_at(path));

	t->birth_ns = t->ctime_ns = t->mtime_ns = now_ns;
}

static struct timespec spec_of(int64_t ns)
{
	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

static void set_times(struct stat *st)
{
	const struct times *t = times_of(st->st_ino);

	st->st_ctim = spec_of(t->ctime_ns);
	st->st_mtim = spec_of(t->mtime_ns);
}

/* ---- changes ---- */

static void path_of(char path[40], unsigned in, unsigned name)
{
	snprintf(path, 40, "%s/%c", places[in][place[in]], 'a' + (int)name);
}

static void make_thing(struct thing *t, const char *path, bool is_dir)
{
	if (is_dir)
		assert_int_equal(mkdir(path, 0755), 0);
	else
		put(path, "x");
	born(path);
	*t = (struct thing){ .there = true, .is_dir = is_dir, .ino = ino_at(path),
			     .written_at = ++count };
}

static void write_thing(struct thing *t, const char *path)
{
	FILE *f = fopen(path, "r+");

	assert_non_null(f);
	fputc('y', f);
	fclose(f);
	changed(path, true);
	t->written = true;
	t->written_at = ++count;
}

static void move_thing(unsigned in, struct thing *t, const char *path)
{
	unsigned to_in = dice(PLACES), to_name = dice(NAMES);
	struct thing *to = &things[to_in][to_name];
	char dest[40];

	path_of(dest, to_in, to_name);
	if (to == t || (to->there && (to->is_dir || t->is_dir)))
		return;
	note("move", path, dest);
	assert_int_equal(rename(path, dest), 0);
	changed(dest, false);
	changed(places[in][place[in]], true);
	changed(places[to_in][place[to_in]], true);
	*to = *t;
	to->moves++;
	t->there = false;
}

static void move_dir(void)
{
	unsigned in = dice(PLACES);
	const char *from = places[in][place[in]], *to = places[in][1 - place[in]];

	if (from == to || strcmp(from, to) == 0)
		return;
	note("move", from, to);
	assert_int_equal(rename(from, to), 0);
	place[in] = 1 - place[in];
	changed(to, false);
	changed("in", true);
	for (unsigned i = 0; i < NAMES; i++)
		things[in][i].moves++;
}

static void change(void)
{
	unsigned in = dice(PLACES), name = dice(NAMES), what = dice(20);
	struct thing *t = &things[in][name];
	char path[40];

	path_of(path, in, name);
	if (what < 2) {
		move_dir();
	} else if (!t->there) {
		note("make", path, what % 4 == 1 ? "/" : "");
		make_thing(t, path, what % 4 == 1);
		changed(places[in][place[in]], true);
	} else if (what < 7 && !t->is_dir) {
		note("write", path, "");
		write_thing(t, path);
	} else if (what == 7 && !t->is_dir) {
		note("mode", path, "");
		chmod(path, 0600 | dice(64));
		changed(path, false);
		t->moves++;
	} else if (what < 18) {
		move_thing(in, t, path);
	} else {
		note("remove", path, "");
		assert_int_equal(remove(path), 0);
		changed(places[in][place[in]], true);
		t->there = false;
	}
	if (dice(4) == 0)
		now_ns += TICK_NS;
}

/* Before and after something is looked at, on any thread. */
static void moment(void)
{
	pthread_mutex_lock(&lock);
	asked = uv_hrtime();
	if (left && dice(4) == 0) {
		left--;
		change();
	}
	pthread_mutex_unlock(&lock);
}

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_REALTIME_COARSE)
		return __real_clock_gettime(clock, ts);
	pthread_mutex_lock(&lock);
	if (uv_hrtime() - asked > WAIT_NS) /* it is waited for */
		now_ns += TICK_NS;
	asked = uv_hrtime();
	*ts = spec_of(now_ns);
	pthread_mutex_unlock(&lock);
	return 0;
}

int __real_watcher__scan_open(const char *path, bool follow);
int __wrap_watcher__scan_open(const char *path, bool follow);
int __wrap_watcher__scan_open(const char *path, bool follow)
{
	moment();
	return __real_watcher__scan_open(path, follow);
}

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	moment();
	__real_watcher__scan_read(fd, l);
	moment();
}

/* No change comes between what the system says and the times that are put in. */
#define STAT_AS_ONE(call)                    \
	do {                                 \
		int r;                       \
		pthread_mutex_lock(&lock);   \
		r = (call);                  \
		if (r == 0)                  \
			set_times(st);       \
		pthread_mutex_unlock(&lock); \
		moment();                    \
		return r;                    \
	} while (0)

int __real_watcher__disk_stat(const struct disk *disk, int fd, struct stat *st);
int __wrap_watcher__disk_stat(const struct disk *disk, int fd, struct stat *st);
int __wrap_watcher__disk_stat(const struct disk *disk, int fd, struct stat *st)
{
	STAT_AS_ONE(__real_watcher__disk_stat(disk, fd, st));
}

int __real_watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st);
int __wrap_watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st);
int __wrap_watcher__disk_stat_name(const struct disk *disk, int fd, const char *name, struct stat *st)
{
	moment();
	STAT_AS_ONE(__real_watcher__disk_stat_name(disk, fd, name, st));
}

int __real_watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
				   struct stat *st);
int __wrap_watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
				   struct stat *st);
int __wrap_watcher__disk_stat_path(const struct disk *disk, const char *path, bool follow,
				   struct stat *st)
{
	moment();
	STAT_AS_ONE(__real_watcher__disk_stat_path(disk, path, follow, st));
}

int __real_statx(int at, const char *path, int flags, unsigned mask, struct statx *st);
int __wrap_statx(int at, const char *path, int flags, unsigned mask, struct statx *st);
int __wrap_statx(int at, const char *path, int flags, unsigned mask, struct statx *st)
{
	struct timespec birth;
	int r;

	pthread_mutex_lock(&lock);
	r = __real_statx(at, path, flags, mask, st);
	if (r == 0 && st->stx_mask & STATX_BTIME) {
		birth = spec_of(times_of(st->stx_ino)->birth_ns);
		st->stx_btime.tv_sec = birth.tv_sec;
		st->stx_btime.tv_nsec = (uint32_t)birth.tv_nsec;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

/* ---- what is told ---- */

static struct last *last_of(const char *path)
{
	for (size_t i = 0; i < nlast; i++)
		if (strcmp(last[i].path, path) == 0)
			return &last[i];
	assert_true(nlast < COUNT(last));
	snprintf(last[nlast].path, sizeof last->path, "%s", path);
	last[nlast].at = 0;
	return &last[nlast++];
}

static void on_any(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	(void)arg;
	pthread_mutex_lock(&lock);
	after++;
	count++;
	note(watcher_kind_name(e->kind), e->path, e->dest ? e->dest : "");
	if (e->kind == WATCHER_CREATED || e->kind == WATCHER_MODIFIED)
		last_of(e->path)->at = count;
	if (e->kind == WATCHER_MOVED)
		last_of(e->dest)->at = last_of(e->path)->at;
	for (unsigned i = 0; i < PLACES * NAMES && e->kind == WATCHER_MODIFIED; i++) {
		struct thing *t = &things[i / NAMES][i % NAMES];

		t->told += t->there && t->ino == e->inode;
	}
	pthread_mutex_unlock(&lock);
}

/* ---- rounds ---- */

static void set_up(void)
{
	char path[40];

	now_ns = clock_wall_ns() / TICK_NS * TICK_NS;
	ntimes = 0;
	nlast = 0;
	count = 0;
	trace[0] = '\0';
	memset(place, 0, sizeof place);
	assert_int_equal(mkdir("in", 0755), 0);
	for (unsigned in = 0; in < PLACES; in++) {
		assert_int_equal(mkdir(places[in][0], 0755), 0);
		for (unsigned name = 0; name < NAMES; name++) {
			things[in][name] = (struct thing){ .there = false };
			path_of(path, in, name);
			if (dice(3) == 0)
				continue;
			make_thing(&things[in][name], path, dice(6) == 0);
			things[in][name].written_at = 0;
			things[in][name].old = true;
		}
	}
	for (int i = 0; i < 10; i++)
		now_ns += TICK_NS;
}

/* Everything is looked at, for other reasons than that a comparison has found something. */
static void look_at_all(void)
{
	for (uint32_t i = 0; i < w->tree.nnodes; i++)
		if (tree_dir(&w->tree, i)->flags & DIR_USED)
			watcher__node_limbo(w, i);
	watcher__pump(w);
}

static void make_changes(void)
{
	for (unsigned step = 0; step < 4; step++) {
		for (unsigned i = dice(4); i > 0; i--) {
			pthread_mutex_lock(&lock);
			change();
			pthread_mutex_unlock(&lock);
		}
		left = (int)dice(12);
		if (dice(3) == 0)
			look_at_all();
		note("sync", "", "");
		sync_watcher(w);
	}
	left = 0;
	sync_watcher(w);
	sync_watcher(w);
	after = 0;
	sync_watcher(w);
}

static int check(void)
{
	char path[40];
	int bad = 0;

	for (unsigned in = 0; in < PLACES; in++)
		for (unsigned name = 0; name < NAMES; name++) {
			const struct thing *t = &things[in][name];

			path_of(path, in, name);
			if (!t->there || t->is_dir)
				continue;
			if (strncmp(path, "in/", 3) == 0 && t->written_at > last_of(path)->at) {
				print_message("%s: written at %" PRIu64 ", told at %" PRIu64 "\n", path,
					      t->written_at, last_of(path)->at);
				bad++;
			}
			if (t->old && !t->written && t->told > 2 * t->moves) {
				print_message("%s: told %u times\n", path, t->told);
				bad++;
			}
		}
	if (after) {
		print_message("%u events after the end\n", after);
		bad++;
	}
	return bad;
}

static int round_of(uint64_t seed)
{
	int bad;

	rng = seed;
	set_up();
	w = open_with(WATCHER(.backend = WATCHER_BACKEND_POLL, .poll_interval_ms = 3600000));
	add_with(w, "in", WATCH(.on_any = on_any, .kinds = WATCHER_CHANGES | WATCHER_ATTRIB));
	sync_watcher(w);
	make_changes();
	bad = check();
	watcher_close(w);
	if (bad && getenv("POLL_SEED"))
		print_message("%s", trace);
	assert_int_equal(system("rm -rf in out"), 0);
	return bad;
}

static void test_random_changes(void **state)
{
	const char *only = getenv("POLL_SEED"), *rounds = getenv("POLL_ROUNDS");
	uint64_t first = only ? strtoull(only, NULL, 10) : uv_hrtime() / 1000;
	int n = only ? 1 : rounds ? atoi(rounds) : ROUNDS, bad = 0;

	(void)state;
	for (int i = 0; i < n; i++)
		if (round_of(first + (uint64_t)i)) {
			print_message("POLL_SEED=%" PRIu64 "\n", first + (uint64_t)i);
			bad++;
		}
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
