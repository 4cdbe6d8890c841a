/*
 * The strongest test there is of the watcher: random changes by several processes at once, the
 * events applied to the listing at the start, the result compared with the listing at the end.
 *
 * Every event must also make sense after those before it. Seeds are printed; a failing round is
 * run again with REPLAY_SEED=n (and REPLAY_MODE=plain|late|..., REPLAY_BACKEND=poll|...).
 * REPLAY_ROUNDS says how many, REPLAY_CHANGES of how many changes a process.
 *
 * In the mode "late" the watcher sees nothing before all changes are made; in "unread" it has not
 * even read the tree then, and in "slowly" it does so while they are made: both are for a backend
 * that covers trees as a whole. In "faults" watching
 * a directory fails now and then with ENOENT, as it does when the directory is gone, and takes
 * its time; in "refused" with EACCES, until modes are set again; in "limit" with ENOSPC.
 * link: -Wl,--wrap=inotify_add_watch,--wrap=fanotify_init,--wrap=watcher__scan_read
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "index_check.h"
#include "watcher/engine.h"
#include "watcher/options.h"
#include "whendo/watcher.h"

/* ---- the model: a sorted list of paths with their types ---- */

struct item {
	char *path;
	int type;
};

struct model {
	struct item *items;
	size_t n, cap;
};

/* Order in which a directory is followed by everything below it: '/' sorts first. */
static int path_cmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	int x = *a == '/' ? 1 : (unsigned char)*a + (*a ? 1 : 0);
	int y = *b == '/' ? 1 : (unsigned char)*b + (*b ? 1 : 0);
	return x - y;
}

static size_t model_at(const struct model *m, const char *path, bool *found)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (path_cmp(m->items[mid].path, path) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < m->n && strcmp(m->items[lo].path, path) == 0;
	return lo;
}

static bool model_has(const struct model *m, const char *path)
{
	bool found;

	model_at(m, path, &found);
	return found;
}

static void model_add(struct model *m, const char *path, int type)
{
	bool found;
	size_t at = model_at(m, path, &found);

	if (found) {
		m->items[at].type = type;
		return;
	}
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 256;
		m->items = realloc(m->items, m->cap * sizeof *m->items);
		assert_non_null(m->items);
	}
	memmove(&m->items[at + 1], &m->items[at], (m->n - at) * sizeof *m->items);
	m->items[at] = (struct item){ strdup(path), type };
	m->n++;
}

/* [from, to): the path and everything below it. */
static void model_range(const struct model *m, const char *path, size_t *from, size_t *to)
{
	size_t len = strlen(path);
	bool found;

	*from = *to = model_at(m, path, &found);
	while (*to < m->n && strncmp(m->items[*to].path, path, len) == 0 &&
	       (m->items[*to].path[len] == '/' || !m->items[*to].path[len]))
		++*to;
}

static void model_remove(struct model *m, const char *path)
{
	size_t from, to;

	model_range(m, path, &from, &to);
	for (size_t i = from; i < to; i++)
		free(m->items[i].path);
	if (from == to)
		return;
	memmove(&m->items[from], &m->items[to], (m->n - to) * sizeof *m->items);
	m->n -= to - from;
}

static void model_move(struct model *m, const char *src, const char *dest)
{
	struct item *moved;
	size_t from, to, n;
	char path[PATH_MAX];

	model_remove(m, dest);
	model_range(m, src, &from, &to);
	n = to - from;
	moved = calloc(n + 1, sizeof *moved);
	for (size_t i = 0; i < n; i++) {
		moved[i].path = strdup(m->items[from + i].path);
		moved[i].type = m->items[from + i].type;
	}
	model_remove(m, src);
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s%s", dest, moved[i].path + strlen(src));
		model_add(m, path, moved[i].type);
		free(moved[i].path);
	}
	free(moved);
}

static void model_free(struct model *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].path);
	free(m->items);
	*m = (struct model){ 0 };
}

static void model_read(struct model *m, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[PATH_MAX];
	struct stat st;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		assert_int_equal(lstat(path, &st), 0);
		model_add(m, path, S_ISDIR(st.st_mode) ? WATCHER_TYPE_DIR :
				   S_ISLNK(st.st_mode) ? WATCHER_TYPE_SYMLINK :
							 WATCHER_TYPE_FILE);
		if (S_ISDIR(st.st_mode))
			model_read(m, path);
	}
	closedir(d);
}

/* ---- the changes ---- */

static uint64_t rng;

static unsigned dice(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(rng >> 33) % n;
}

/* A path of up to five components out of a small namespace, so that names collide. */
static const char *some_path(char *buf, const char *root)
{
	static const char *const names[] = { "a", "b", "c", "d", "longer_name", "x y" };
	int depth = 1 + (int)dice(4);
	char *at = buf + sprintf(buf, "%s", root);

	while (depth--)
		at += sprintf(at, "/%s", names[dice(6)]);
	return buf;
}

static void write_file(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);

	if (fd < 0)
		return;
	if (write(fd, "data\n", 5) != 5)
		_exit(3);
	close(fd);
}

static void remove_tree(const char *path)
{
	struct dirent *e;
	char sub[PATH_MAX];
	DIR *d;

	if (unlink(path) == 0 || errno == ENOENT || !(d = opendir(path)))
		return;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
			snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
			remove_tree(sub);
		}
	closedir(d);
	rmdir(path);
}

static void deep_write(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0755);
		*at = '/';
	}
	write_file(path, O_TRUNC);
}

/* The directories of a round: two roots of one watch, and one that is not watched. */
struct places {
	char base[32], in[64], two[64], out[64];
};

static const char *some_root(const struct places *p)
{
	return dice(4) ? p->in : p->two;
}

/* Gone and there again at once, as the same or as another. */
static void replace(char *path)
{
	remove_tree(path);
	if (dice(2)) {
		write_file(path, 0);
		return;
	}
	mkdir(path, 0755);
	if (dice(2)) {
		strcat(path, "/again");
		write_file(path, 0);
	}
}

/* Neither hard links nor chmod: fanotify merges what it tells of them with what it tells of a file
 * that is pushed off its name, which is lost then. It is needed only to know what was at a name
 * before the changes that came while the tree was not yet read. */
static bool unmerged;

static void one_change(const struct places *p)
{
	char a[256], b[256], c[300];
	const char *out = p->out;

	some_path(a, some_root(p));
	some_path(b, some_root(p));
	switch (dice(17)) {
	case 0:
	case 1:
		mkdir(a, 0755);
		break;
	case 2:
	case 3:
		write_file(a, dice(2) ? O_APPEND : O_TRUNC);
		break;
	case 4:
		deep_write(a);
		break;
	case 5:
		unlink(a);
		break;
	case 6:
		rmdir(a);
		break;
	case 7:
		remove_tree(a);
		break;
	case 8:
	case 9:
		rename(a, b);
		break;
	case 10: /* a rename with a write below the new name at once */
		if (rename(a, b) == 0) {
			snprintf(c, sizeof c, "%s/w", b);
			write_file(c, 0);
		}
		break;
	case 11:
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
		break;
	case 12:
		rename(a, some_path(c, out));
		break;
	case 13:
		rename(some_path(c, out), a);
		break;
	case 14:
		if (dice(2) || unmerged)
			(void)!symlink("a", a);
		else
			(void)!link(a, b);
		break;
	case 15:
		replace(a);
		break;
	default:
		some_path(c, out);
		deep_write(c);
		if (!unmerged)
			chmod(a, dice(2) ? 0700 : 0755);
	}
}

/* Fills the kernel's queue: nothing of it stays. */
static void churn(const char *in, int n)
{
	char path[256];

	while (n--) {
		snprintf(path, sizeof path, "%s/churn%d", in, n);
		write_file(path, O_TRUNC);
		unlink(path);
	}
}

static pid_t start_changes(uint64_t seed, const struct places *p, int n, int nchurn)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	rng = seed;
	for (int i = 0; i < n; i++)
		one_change(p);
	churn(p->in, nchurn);
	for (int i = 0; nchurn && i < n; i++)
		one_change(p);
	_exit(0);
}

/* ---- the replay ---- */

struct replay {
	uv_loop_t loop;
	struct model model;
	const struct places *places;
	bool synced;
	unsigned events, bad, recovered, overflows;
	char first_bad[PATH_MAX * 2 + 200];
	FILE *trace;
};

static void complain(struct replay *r, const watcher_event *e, const char *what)
{
	if (!r->bad++)
		snprintf(r->first_bad, sizeof r->first_bad, "%s: %s %s%s%s%s%s", what,
			 watcher_kind_name(e->kind), e->path, e->dest ? " -> " : "",
			 e->dest ? e->dest : "", e->synthetic ? " (synthetic)" : "",
			 e->recovered ? " (recovered)" : "");
}

static bool is_root(const struct replay *r, const char *path)
{
	return strcmp(path, r->places->in) == 0 || strcmp(path, r->places->two) == 0;
}

static bool has_parent(const struct replay *r, const char *path)
{
	char up[PATH_MAX];

	snprintf(up, sizeof up, "%s", path);
	*strrchr(up, '/') = '\0';
	return model_has(&r->model, up) || is_root(r, up);
}

static void apply(struct replay *r, const watcher_event *e)
{
	bool known = model_has(&r->model, e->path);
	size_t from, to;

	switch (e->kind) {
	case WATCHER_CREATED:
		if (known)
			complain(r, e, "created, but it is there");
		if (!has_parent(r, e->path))
			complain(r, e, "created in a directory that is not there");
		model_remove(&r->model, e->path);
		model_add(&r->model, e->path, e->type);
		break;
	case WATCHER_DELETED:
		if (!known)
			complain(r, e, "deleted, but it is not there");
		model_range(&r->model, e->path, &from, &to);
		if (to - from > 1)
			complain(r, e, "deleted with something in it");
		model_remove(&r->model, e->path);
		break;
	case WATCHER_MOVED:
		if (!known) {
			if (!e->synthetic || !model_has(&r->model, e->dest))
				complain(r, e, "moved, but it is not there");
			break;
		}
		if (!has_parent(r, e->dest))
			complain(r, e, "moved to a directory that is not there");
		model_move(&r->model, e->path, e->dest);
		if (e->type != WATCHER_TYPE_DIR) /* made and moved at once: seen only now */
			model_add(&r->model, e->dest, e->type);
		break;
	case WATCHER_OVERFLOW:
		r->overflows++;
		break;
	default:
		if (!known && !is_root(r, e->path))
			complain(r, e, "happened to what is not there");
	}
	r->recovered += e->recovered;
	r->events++;
}

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e)) {
		struct replay *r = arg;

		if (r->trace)
			fprintf(r->trace, "%llu %s %s%s%s%s%s%s\n", (unsigned long long)e.batch,
				watcher_kind_name(e.kind), e.path,
				e.type == WATCHER_TYPE_DIR ? "/" : "", e.dest ? " -> " : "",
				e.dest ? e.dest : "", e.synthetic ? " (s)" : "",
				e.recovered ? " (r)" : "");
		apply(arg, &e);
	}
}

static void on_sync(watcher *w, int status, void *arg)
{
	struct replay *r = arg;

	(void)w;
	assert_int_equal(status, 0);
	r->synced = true;
}

static void on_deadline(uv_timer_t *t)
{
	(void)t;
	fail_msg("no sync within the time limit");
}

static void sync_now(struct replay *r, watcher *w)
{
	uv_timer_t limit;

	r->synced = false;
	uv_timer_init(&r->loop, &limit);
	uv_timer_start(&limit, on_deadline, 60000, 0);
	assert_int_equal(watcher_sync(w, on_sync), 0);
	while (!r->synced)
		uv_run(&r->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
}

/* Differences between the replayed model and the disk, into text. */
static int compare(const struct model *got, const struct model *want, char *text, size_t size)
{
	size_t i = 0, k = 0, at = 0;
	int differ = 0;

	text[0] = '\0';
	while (i < got->n || k < want->n) {
		int c = i == got->n  ? 1 :
			k == want->n ? -1 :
				       path_cmp(got->items[i].path, want->items[k].path);
		const char *what = NULL, *path = NULL;

		if (c < 0)
			what = "only in events", path = got->items[i++].path;
		else if (c > 0)
			what = "only on disk", path = want->items[k++].path;
		/* File or link is as seen when the event was made, which may be late. */
		else if ((got->items[i].type == WATCHER_TYPE_DIR) !=
			 (want->items[k].type == WATCHER_TYPE_DIR))
			what = "type differs", path = got->items[i].path;
		if (c == 0)
			i++, k++;
		if (what && ++differ && at < size)
			at += (size_t)snprintf(text + at, size - at, "  %s: %s\n", what, path);
	}
	return differ;
}

enum mode { PLAIN, LATE, UNREAD, SLOWLY, OVERFLOW, FAULTS, REFUSED, LIMIT, MODES };
static const char *const mode_names[] = { "plain",    "late",	 "unread",  "slowly",
					  "overflow", "faults", "refused", "limit" };

/* ---- watches that fail ---- */

static int fault; /* an errno, 0: none */
static uint64_t faults;

int __real_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	if (!fault)
		return __real_inotify_add_watch(fd, path, mask);
	faults = faults * 6364136223846793005u + 1442695040888963407u;
	if (faults >> 61 == 0) {
		errno = fault;
		return -1;
	}
	if (faults >> 61 == 1)
		usleep((useconds_t)(faults >> 50 & 255));
	return __real_inotify_add_watch(fd, path, mask);
}

/* Reading a directory takes long, so that changes come between one and the next. */
static bool slow;

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);

void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	if (slow)
		usleep(6000); /* more than a turn has */
	__real_watcher__scan_read(fd, l);
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

/* Of a name that comes and goes fanotify has one record where inotify has three or four. */
static int churn_of(const struct setup *setup)
{
	if (setup->mode != OVERFLOW)
		return 0;
	return setup->backend == WATCHER_BACKEND_FANOTIFY ? 6500 : 3000;
}

/* Both roots with all that is in them, but for themselves. */
static void read_places(struct model *m, const struct places *p)
{
	model_read(m, p->in);
	model_read(m, p->two);
}

static void make_places(struct places *p, uint64_t seed)
{
	strcpy(p->base, "/tmp/whendo-replay-XXXXXX");
	assert_non_null(mkdtemp(p->base));
	snprintf(p->in, sizeof p->in, "%s/in", p->base);
	snprintf(p->two, sizeof p->two, "%s/two", p->base);
	snprintf(p->out, sizeof p->out, "%s/out", p->base);
	mkdir(p->in, 0755);
	mkdir(p->two, 0755);
	mkdir(p->out, 0755);
	rng = seed;
	for (int i = 0; i < 40; i++)
		one_change(p);
}

static watcher *start_watching(const struct setup *setup, struct replay *r)
{
	watcher_watch *watch = NULL;
	watcher_error err;
	watcher *w;

	bounded = setup->mode == OVERFLOW;
	if (watcher_open(&w,
			 WATCHER(.loop = &r->loop, .backend = setup->backend,
				 .flags = setup->flags, .poll_interval_ms = 5, .arg = r),
			 &err) < 0 ||
	    watcher_add(w, r->places->in,
			WATCH(.kinds = WATCHER_ALL | WATCHER_OVERFLOW, .on_batch = on_batch,
			      .arg = r, .watch = &watch),
			&err) < 0 ||
	    watcher_watch_add_root(watch, r->places->two, &err) < 0)
		fail_msg("%s", err.message);
	return w;
}

static int set_mode(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)ftw;
	return what == FTW_D && chmod(path, st->st_mode & 07777) < 0 ? -1 : 0;
}

/* All changes, by three processes; the watcher looks on meanwhile, or only afterwards. */
static void make_changes(const struct setup *setup, struct replay *r, watcher *w, uint64_t seed)
{
	static const int errors[MODES] = { [FAULTS] = ENOENT, [REFUSED] = EACCES,
					   [LIMIT] = ENOSPC };
	int n = getenv("REPLAY_CHANGES") ? atoi(getenv("REPLAY_CHANGES")) : 300, running = 3, status;
	bool blind = setup->mode == LATE || setup->mode == UNREAD || setup->mode == OVERFLOW;
	pid_t pids[3];

	if (!unmerged)
		sync_now(r, w); /* all is read */
	slow = setup->mode == SLOWLY;
	for (int i = 0; i < 3; i++)
		pids[i] = start_changes(seed * 3 + (uint64_t)i + 1, r->places, n, churn_of(setup));
	faults = seed;
	fault = errors[setup->mode];
	while (running) {
		if (!blind)
			uv_run(&r->loop, UV_RUN_NOWAIT);
		for (int i = 0; i < 3; i++)
			if (pids[i] && waitpid(pids[i], &status, blind ? 0 : WNOHANG) > 0) {
				assert_int_equal(status, 0);
				pids[i] = 0;
				running--;
			}
	}
	fault = 0;
	slow = false;
	if (setup->mode != REFUSED)
		return;
	sync_now(r, w);
	assert_int_equal(nftw(r->places->in, set_mode, 16, FTW_PHYS), 0);
	assert_int_equal(nftw(r->places->two, set_mode, 16, FTW_PHYS), 0);
}

/* True if nothing is wrong. */
static bool judge(const struct setup *setup, struct replay *r, watcher *w, uint64_t seed)
{
	char text[4000], round[100];
	struct model disk = { 0 };
	unsigned flaws;
	int differ;

	snprintf(round, sizeof round, "%s %s seed %llu", setup->name, mode_names[setup->mode],
		 (unsigned long long)seed);
	read_places(&disk, r->places);
	differ = compare(&r->model, &disk, text, sizeof text);
	model_free(&disk);
	if (differ)
		print_error("%s: %d differences\n%s", round, differ, text);
	flaws = index_check(w, text, sizeof text);
	if (flaws)
		print_error("%s: %u flaws\n%s", round, flaws, text);
	if (setup->mode == OVERFLOW) {
		if (!r->overflows)
			print_error("%s: no overflow came\n", round);
		return !differ && !flaws && r->overflows;
	}
	if (r->bad)
		print_error("%s: %u inconsistent events, first: %s\n", round, r->bad, r->first_bad);
	return !differ && !flaws && !r->bad;
}

static int round_of(const struct setup *setup, uint64_t seed)
{
	struct places places;
	struct replay r = { .places = &places };
	size_t trace_len = 0;
	char *trace = NULL;
	bool good;
	watcher *w;

	unmerged = setup->mode == UNREAD || setup->mode == SLOWLY;
	make_places(&places, seed);
	read_places(&r.model, &places);
	if (getenv("REPLAY_TRACE"))
		r.trace = open_memstream(&trace, &trace_len);
	for (size_t i = 0; r.trace && i < r.model.n; i++)
		fprintf(r.trace, "start %d %s\n", r.model.items[i].type, r.model.items[i].path);
	uv_loop_init(&r.loop);
	w = start_watching(setup, &r);
	make_changes(setup, &r, w, seed);
	sync_now(&r, w);
	good = judge(setup, &r, w, seed);
	if (r.trace) {
		fclose(r.trace);
		if (!good)
			fputs(trace, stderr);
		free(trace);
	}
	watcher_close(w);
	uv_run(&r.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r.loop), 0);
	model_free(&r.model);
	remove_tree(places.base);
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
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, LATE, 60 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, OVERFLOW, 20 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, FAULTS, 40 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, REFUSED, 20 },
	{ "inotify", WATCHER_BACKEND_INOTIFY, 0, LIMIT, 20 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, PLAIN, 40 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, LATE, 40 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, UNREAD, 40 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, SLOWLY, 20 },
	{ "fanotify", WATCHER_BACKEND_FANOTIFY, 0, OVERFLOW, 5 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, PLAIN, 20 },
	{ "fsevent", WATCHER_BACKEND_FSEVENT, 0, OVERFLOW, 5 },
	{ "nameless", WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS, PLAIN, 20 },
	{ "nameless", WATCHER_BACKEND_FSEVENT, WATCHER__NAMELESS, OVERFLOW, 5 },
	{ "poll", WATCHER_BACKEND_POLL, 0, PLAIN, 20 },
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
	return cmocka_run_group_tests(tests, NULL, NULL);
}
