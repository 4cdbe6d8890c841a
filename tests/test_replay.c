/*
 * The strongest test there is of the watcher: random changes by several processes at once, the
 * events applied to the listing at the start, the result compared with the listing at the end.
 *
 * Every event must also make sense after those before it, and each file that was written to must
 * have been told of since, but for files that ever had two names. Nothing moves onto a directory that
 * holds something; but an exchange is told so, and there are none in half of the rounds; half of these
 * are told as Watchdog is. Seeds are printed; a failing round is run again with REPLAY_SEED=n (and
 * REPLAY_MODE=plain|late|..., REPLAY_BACKEND=poll|...).
 * REPLAY_ROUNDS says how many, REPLAY_CHANGES of how many changes a process, REPLAY_DIR where.
 *
 * In the mode "pieces" a directory is read a few names at a time, as one of many thousands is. In
 * "late" the watcher sees nothing before all changes are made; in "unread" it has not even read
 * the tree then, and in "slowly" it does so while they are made, in pieces, too: both are for a
 * backend that covers trees as a whole. In "faults" watching a directory fails now and then with
 * ENOENT, as it does when the directory is gone, and takes its time; in "refused" with EACCES,
 * until modes are set again; in "limit" with ENOSPC. In "begun" a tree is read, slowly, while it
 * changes, by threads in half of the rounds: what is told begins with what was found. In "twice" the queue overflows again while what
 * the first overflow has lost is looked for, slowly. In "adds" other watches of what is in the
 * roots come and go meanwhile, each with a listing and events of its own (replay_adds.h). In
 * "ignores" ignore files come, go and move, too, and at the end what is wanted is watched, and
 * nothing else: what is told is not looked at.
 * In "mounts" and "mounts-late" directories and files are mounted over, and at the end all mounts
 * end: where the process may have mounts of its own.
 * link: -Wl,--wrap=inotify_add_watch,--wrap=fanotify_init,--wrap=watcher__scan_read,--wrap=syscall
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "dice.h"
#include "base/clock.h"
#include "index_check.h"
#include "own_mounts.h"
#include "replay_adds.h"
#include "replay_events.h"
#include "watcher/engine.h"
#include "watcher/options.h"
#include "whendo/watcher.h"

struct run {
	uv_loop_t loop;
	bool synced;
	int64_t start_ns; /* of the changes */
	struct places places;
	struct changes how;
	struct adds adds;
	struct replay replay;
	watcher_filter *filter; /* NULL: none */
	pid_t begun; /* changes the tree while it is read first */
};

static void on_sync(watcher *w, int status, void *arg)
{
	struct run *r = arg;

	(void)w;
	assert_int_equal(status, 0);
	r->synced = true;
	uv_stop(&r->loop);
}

static void on_deadline(uv_timer_t *t)
{
	(void)t;
	fail_msg("no sync within the time limit");
}

static void sync_now(struct run *r, watcher *w)
{
	uv_timer_t limit;

	r->synced = false;
	uv_timer_init(&r->loop, &limit);
	uv_timer_start(&limit, on_deadline, 60000, 0);
	assert_int_equal(watcher_sync(w, on_sync), 0);
	while (!r->synced)
		uv_run(&r->loop, UV_RUN_DEFAULT); /* one turn of libuv 1.43 waits in any case */
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
}

enum mode {
	PLAIN,
	PIECES,
	LATE,
	UNREAD,
	SLOWLY,
	BEGUN,
	OVERFLOW,
	TWICE,
	FAULTS,
	REFUSED,
	LIMIT,
	ADDS,
	IGNORES,
	MOUNTS,
	MOUNTS_LATE,
	MODES
};
static const char *const mode_names[] = { "plain",    "pieces", "late",	   "unread",
					  "slowly",   "begun",  "overflow", "twice", "faults", "refused",
					  "limit",    "adds",   "ignores", "mounts",  "mounts-late" };

/* ---- watches that fail ---- */

static int fault; /* an errno, 0: none */

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);

/* The limit is one of new watches: a directory that has one can be watched again. */
static bool is_watched(int fd, const char *path)
{
	int wd = __real_inotify_add_watch(fd, path, IN_DELETE_SELF | IN_ONLYDIR | IN_MASK_CREATE);

	if (wd < 0)
		return errno == EEXIST;
	inotify_rm_watch(fd, wd);
	return false;
}

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	if (!fault)
		return __real_inotify_add_watch(fd, path, mask);
	switch (dice(8)) {
	case 0:
		if (fault == ENOSPC && is_watched(fd, path))
			break;
		errno = fault;
		return -1;
	case 1:
		usleep(dice(256));
	}
	return __real_inotify_add_watch(fd, path, mask);
}

/* Reading a directory takes long, so that changes come between one and the next. */
static _Atomic bool slow; /* threads read, too */

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);

void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	if (slow)
		usleep(6000); /* more than a turn has */
	__real_watcher__scan_read(fd, l);
}

/* A directory is read a few names at a time, with time for changes in between. */
static _Atomic bool in_pieces;

long __real_syscall(long n, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	if (n != SYS_getdents64 || !in_pieces)
		return __real_syscall(n, a, b, c, d, e, f);
	usleep(200);
	return __real_syscall(n, a, b, 64, d, e, f);
}

/* fanotify's queue has a bound like inotify's where overflow is asked for. */
static bool bounded;

int __real_fanotify_init(unsigned flags, unsigned event_flags);
int __wrap_fanotify_init(unsigned flags, unsigned event_flags);

int __wrap_fanotify_init(unsigned flags, unsigned event_flags)
{
	return __real_fanotify_init(bounded ? flags & ~(unsigned)FAN_UNLIMITED_QUEUE : flags,
				    event_flags);
}

/* What a round is run with. */
struct setup {
	const char *name;
	int backend;
	unsigned flags;
	enum mode mode;
	int rounds;
};

static bool overflows(const struct setup *setup)
{
	return setup->mode == OVERFLOW || setup->mode == TWICE;
}

static bool has_mounts(const struct setup *setup)
{
	return setup->mode == MOUNTS || setup->mode == MOUNTS_LATE;
}

/* Of a name that comes and goes fanotify has one record where inotify has three or four. */
static int churn_of(const struct setup *setup)
{
	if (!overflows(setup))
		return 0;
	return setup->backend == WATCHER_BACKEND_FANOTIFY ? 6500 : setup->mode == TWICE ? 6000 : 3000;
}

/* Both roots with all that is in them, but for themselves. */
static void read_places(struct model *m, const struct places *p)
{
	model_read(m, p->in);
	model_read(m, p->two);
}

/* What the index has in a directory, as it was read. */
static void read_index(struct model *m, const watcher *w, uint32_t dir, const char *path)
{
	uint32_t rec;

	for (rec = tree_next(&w->tree, dir, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, dir, rec)) {
		struct entry e = tree_entry(&w->tree, dir, rec);
		char below[PATH_MAX];

		snprintf(below, sizeof below, "%s/%.*s", path, (int)e.len, e.name);
		model_add(m, below, e.type);
		if (e.node != NO_DIR)
			read_index(m, w, e.node, below);
	}
}

/* What has been found in a root that was added, where changes are made while it is read; or will be. */
static void read_root(const struct setup *setup, struct run *r, const watcher *w, const char *path)
{
	if (setup->mode != BEGUN)
		return;
	model_remove(&r->replay.model, path);
	if (watcher__late_active(w)) {
		model_read(&r->replay.model, path);
		return;
	}
	for (uint32_t i = 0; i < w->tree.nnodes; i++)
		if (tree_dir(&w->tree, i)->flags & DIR_USED && tree_dir(&w->tree, i)->roots &&
		    strcmp(tree_dir(&w->tree, i)->roots->given, path) == 0)
			read_index(&r->replay.model, w, i, path);
}

/* What covers trees as a whole reads them later, as they were before the first of the changes that it has
 * been told of: what that is can be seen if there are none for a moment. */
static void hold_changes(const struct setup *setup, struct run *r, int with)
{
	int status = 0;

	if (setup->backend != WATCHER_BACKEND_FANOTIFY || !r->begun)
		return;
	assert_int_equal(kill(r->begun, with), 0);
	if (with == SIGSTOP)
		assert_int_equal(waitpid(r->begun, &status, WUNTRACED), r->begun);
	if (with == SIGSTOP && !WIFSTOPPED(status)) { /* it had ended */
		assert_int_equal(status, 0);
		r->begun = 0;
	}
}

static watcher *start_watching(const struct setup *setup, struct run *r)
{
	watcher_watch *watch = NULL;
	watcher_error err;
	watcher *w;

	bounded = overflows(setup);
	hold_changes(setup, r, SIGSTOP);
	if (setup->mode == IGNORES) {
		assert_int_equal(watcher_filter_new(&r->filter, NULL), 0);
		assert_int_equal(watcher_filter_set(r->filter, WATCHER_FILTER_GITIGNORE), 0);
	}
	if (watcher_open(&w,
			 WATCHER(.loop = &r->loop, .backend = setup->backend,
				 .flags = setup->flags, .poll_interval_ms = 5, .arg = r),
			 &err) < 0 ||
	    watcher_add(w, r->places.in,
			WATCH(.kinds = WATCHER_ALL | WATCHER_OVERFLOW, .on_batch = replay_on_batch,
			      .arg = &r->replay, .watch = &watch, .filter = r->filter,
			      .flags = r->replay.watchdog ? WATCHER_WATCHDOG_EVENTS : 0),
			&err) < 0)
		fail_msg("%s", err.message);
	read_root(setup, r, w, r->places.in);
	hold_changes(setup, r, SIGCONT);
	if (watcher__late_active(w))
		usleep(1000); /* to change what is added next */
	hold_changes(setup, r, SIGSTOP);
	if (watcher_watch_add_root(watch, r->places.two, &err) < 0)
		fail_msg("%s", err.message);
	read_root(setup, r, w, r->places.two);
	hold_changes(setup, r, SIGCONT);
	return w;
}

static int set_mode(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)ftw;
	return what == FTW_D && chmod(path, st->st_mode & 07777) < 0 ? -1 : 0;
}

/* Changes by three processes; the watcher looks on meanwhile, for so many turns. */
static void change(const struct setup *setup, struct run *r, watcher *w, uint64_t seed, unsigned turns)
{
	int n = getenv("REPLAY_CHANGES") ? atoi(getenv("REPLAY_CHANGES")) : 300;
	struct changing c;

	changing_start(&c, seed, &r->places, &r->how, n, churn_of(setup));
	while (c.running) {
		if (setup->mode == ADDS)
			adds_perhaps(&r->adds, w, &r->places, &c, r->replay.trace);
		if (turns) {
			turns -= turns != UINT_MAX;
			uv_run(&r->loop, UV_RUN_NOWAIT);
		}
		changing_await(&c, turns ? WNOHANG : 0);
	}
}

/* All of them: the watcher sees some of it, or looks only afterwards. */
static void make_changes(const struct setup *setup, struct run *r, watcher *w, uint64_t seed)
{
	static const int errors[MODES] = { [FAULTS] = ENOENT, [REFUSED] = EACCES,
					   [LIMIT] = ENOSPC };
	bool blind = setup->mode == LATE || setup->mode == UNREAD || overflows(setup) ||
		     setup->mode == MOUNTS_LATE;

	if (!r->how.unmerged)
		sync_now(r, w); /* all is read */
	slow = setup->mode == SLOWLY;
	in_pieces = setup->mode == PIECES || setup->mode == SLOWLY;
	r->start_ns = clock_wall_ns();
	rng = seed;
	fault = errors[setup->mode];
	adds_begin(&r->adds, seed, &r->how);
	change(setup, r, w, seed, blind ? 0 : UINT_MAX);
	if (setup->mode == TWICE) {
		slow = true;
		while (!w->stats.overflows)
			uv_run(&r->loop, UV_RUN_NOWAIT);
		change(setup, r, w, ~seed, dice(3));
	}
	fault = 0;
	slow = in_pieces = false;
	adds_end(&r->adds, r->replay.trace);
	if (setup->mode != REFUSED)
		return;
	sync_now(r, w);
	assert_int_equal(nftw(r->places.in, set_mode, 16, FTW_PHYS), 0);
	assert_int_equal(nftw(r->places.two, set_mode, 16, FTW_PHYS), 0);
}

static bool is_wanted(const char *path, void *run)
{
	struct run *r = run;
	size_t len = strlen(r->places.in);
	const char *root = strncmp(path, r->places.in, len) == 0 && path[len] == '/' ?
			       r->places.in : r->places.two;
	watcher_verdict *v;
	bool wanted;

	assert_int_equal(watcher_filter_check(&v, r->filter, root, path, WATCHER_TYPE_DIR, 0, NULL), 0);
	wanted = !v->prunes[0];
	watcher_verdict_free(v);
	return wanted;
}

/* What is watched, of rules that changed; which events went before them and which after, nobody knows. */
static bool judge_ignores(struct run *r, watcher *w, const char *round)
{
	char text[4000];
	unsigned flaws = index_check_wanted(w, text, sizeof text, is_wanted, r);

	if (flaws)
		print_error("%s: %u flaws\n%s", round, flaws, text);
	return !flaws;
}

/* True if nothing is wrong. */
static bool judge(const struct setup *setup, struct run *r, watcher *w, uint64_t seed)
{
	const char *const roots[] = { r->places.in, r->places.two, NULL };
	char text[4000], round[100];
	watcher_stats_t stats;
	struct model disk = { 0 };
	unsigned flaws, wrong;
	int differ, untold;

	snprintf(round, sizeof round, "%s %s seed %llu", setup->name, mode_names[setup->mode],
		 (unsigned long long)seed);
	if (setup->mode == IGNORES)
		return judge_ignores(r, w, round);
	read_places(&disk, &r->places);
	model_leave_out_untold(&disk, &r->replay.model, roots);
	differ = model_compare(&r->replay.model, &disk, text, sizeof text);
	if (differ)
		print_error("%s: %d differences\n%s", round, differ, text);
	untold = has_mounts(setup) ? 0 :
				     model_untold(&r->replay.model, &disk, r->start_ns, LINKED_GID,
						  text, sizeof text);
	if (untold)
		print_error("%s: %d files written to and not told of\n%s", round, untold, text);
	differ += untold;
	model_free(&disk);
	flaws = index_check(w, text, sizeof text);
	if (flaws)
		print_error("%s: %u flaws\n%s", round, flaws, text);
	wrong = adds_judge(&r->adds, text, sizeof text);
	if (wrong)
		print_error("%s: %u wrong with those that were added\n%s", round, wrong, text);
	flaws += wrong;
	if (r->replay.bad)
		print_error("%s: %u inconsistent events, first: %s\n", round, r->replay.bad, r->replay.first_bad);
	watcher_stats(w, &stats, sizeof stats);
	if (stats.overflows < (setup->mode == TWICE ? 2U : setup->mode == OVERFLOW)) {
		print_error("%s: %llu overflows came\n", round, (unsigned long long)stats.overflows);
		return false;
	}
	return !differ && !flaws && !r->replay.bad;
}

static int round_of(const struct setup *setup, uint64_t seed)
{
	bool fanotify = setup->backend == WATCHER_BACKEND_FANOTIFY;
	struct run r = { .how.unmerged = setup->mode == UNREAD || setup->mode == SLOWLY ||
					 (setup->mode == BEGUN && fanotify),
			 .how.mounts = has_mounts(setup),
			 .how.ignores = setup->mode == IGNORES,
			 .how.few = setup->mode == ADDS && seed % 2,
			 .how.no_exchanges = seed / 2 % 2,
			 .replay.watchdog = seed / 2 % 4 == 3 };
	struct replay *p = &r.replay;
	size_t trace_len = 0;
	char *trace = NULL;
	bool good;
	watcher *w;

	places_make(&r.places, seed, &r.how);
	if (setup->mode == BEGUN && seed % 2)
		places_add_many(&r.places);
	p->roots[0] = r.places.in;
	p->roots[1] = r.places.two;
	p->name = "";
	p->no_exchanges = r.how.no_exchanges;
	read_places(&p->model, &r.places);
	if (getenv("REPLAY_TRACE"))
		p->trace = open_memstream(&trace, &trace_len);
	for (size_t i = 0; p->trace && i < p->model.n; i++)
		fprintf(p->trace, "start %d %s\n", p->model.items[i].type, p->model.items[i].path);
	uv_loop_init(&r.loop);
	if (setup->mode == BEGUN)
		r.begun = changes_start(~seed, &r.places, &r.how, 2000, 0);
	in_pieces = r.begun > 0;
	w = start_watching(setup, &r);
	make_changes(setup, &r, w, seed);
	if (r.begun)
		assert_int_equal(waitpid(r.begun, NULL, 0), r.begun);
	sync_now(&r, w);
	good = judge(setup, &r, w, seed);
	if (r.how.mounts) {
		own_mounts_end(r.places.base);
		sync_now(&r, w);
		good = judge(setup, &r, w, seed) && good;
	}
	if (p->trace) {
		fclose(p->trace);
		if (!good)
			fputs(trace, stderr);
		free(trace);
	}
	watcher_close(w);
	watcher_filter_free(r.filter);
	uv_run(&r.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r.loop), 0);
	model_free(&p->model);
	adds_free(&r.adds);
	places_remove(&r.places);
	return !good;
}

static void test_replay(void **state)
{
	const struct setup *setup = *state;
	const char *only = getenv("REPLAY_MODE"), *seed = getenv("REPLAY_SEED"),
		   *count = getenv("REPLAY_ROUNDS"), *backend = getenv("REPLAY_BACKEND");
	uint64_t first = (uint64_t)uv_hrtime() / 1000;
	int bad = 0, n = count ? atoi(count) : setup->rounds;

	if ((only && strcmp(only, mode_names[setup->mode]) != 0) ||
	    (backend && strcmp(backend, setup->name) != 0))
		skip();
	if (setup->backend == WATCHER_BACKEND_FANOTIFY && getuid() != 0) {
		print_message("# %s %s: skipped: fanotify needs root\n", setup->name,
			      mode_names[setup->mode]);
		skip();
	}
	if (has_mounts(setup) && !own_mounts())
		skip();
	if (seed) {
		assert_int_equal(round_of(setup, strtoull(seed, NULL, 10)), 0);
		return;
	}
	print_message("# %s %s: %d rounds from seed %llu\n", setup->name, mode_names[setup->mode], n,
		      (unsigned long long)first);
	for (int i = 0; i < n; i++)
		bad += round_of(setup, first + (uint64_t)i);
	if (bad)
		fail_msg("%d of %d rounds are bad", bad, n);
}

/* Polling has no queue that could overflow. */
static const struct setup setups[] = {
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, PLAIN, 60 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, PIECES, 20 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, LATE, 60 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, BEGUN, 20 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, OVERFLOW, 20 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, TWICE, 5 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, FAULTS, 40 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, REFUSED, 20 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, LIMIT, 20 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, ADDS, 10 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, IGNORES, 10 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, MOUNTS, 4 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, MOUNTS_LATE, 4 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, PLAIN, 40 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, PIECES, 20 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, LATE, 40 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, UNREAD, 40 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, SLOWLY, 20 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, BEGUN, 20 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, OVERFLOW, 5 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, TWICE, 5 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, ADDS, 10 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, IGNORES, 10 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, MOUNTS, 4 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, MOUNTS_LATE, 4 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, PLAIN, 20 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, BEGUN, 20 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, OVERFLOW, 5 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, ADDS, 10 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, IGNORES, 10 },
	{ "nameless", WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS, PLAIN, 20 },
	{ "nameless", WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS, BEGUN, 20 },
	{ "nameless", WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS, OVERFLOW, 5 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, MOUNTS, 4 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, MOUNTS_LATE, 4 },
	{ "nameless", WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS, MOUNTS, 4 },
	{ "poll", WATCHER_BACKEND_POLL, 0, PLAIN, 20 },
	{ "poll", WATCHER_BACKEND_POLL, 0, BEGUN, 20 },
	{ "poll", WATCHER_BACKEND_POLL, 0, ADDS, 10 },
	{ "poll", WATCHER_BACKEND_POLL, 0, IGNORES, 10 },
	{ "poll", WATCHER_BACKEND_POLL, 0, MOUNTS, 4 },
};

int main(void)
{
	struct CMUnitTest tests[sizeof setups / sizeof *setups];
	char names[sizeof setups / sizeof *setups][64];

	for (size_t i = 0; i < sizeof setups / sizeof *setups; i++) {
		snprintf(names[i], sizeof names[i], "test_replay_%s_%s", setups[i].name,
			 mode_names[setups[i].mode]);
		tests[i] = (struct CMUnitTest){ names[i], test_replay, NULL, NULL,
						(void *)(uintptr_t)&setups[i] };
	}
	own_mounts(); /* before there is a thread, which would keep those that it began with */
	return cmocka_run_group_tests(tests, NULL, NULL);
}

