/*
 * What events cost, and whether they all come: out of a full queue, in bursts of one and of two
 * flat-out writers, at a steady rate, and for seconds on end. The floors read inotify and count:
 * a read loop, and a uv_poll_t as a program with a loop has it.
 */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#include "watch_floor.h"

enum { BURST_FILES = 100000, BURST_DIRS = 100, QUEUED = 7000, STEADY_RATE = 10000, LONG_S = 10 };

/* ---- a queue that is full already: the cost of an event without any wake-up ---- */

static void fill_queue(const char *top, bool written)
{
	char path[PATH_MAX];

	for (int i = 0; i < QUEUED; i++) {
		int fd;

		snprintf(path, sizeof path, "%s/q%d", top, i);
		fd = open(path, O_CREAT | O_WRONLY, 0644);
		if (fd < 0 || (written && write(fd, "x", 1) != 1))
			bench_die(path);
		close(fd);
	}
}

static void drain_floor_of(const char *top, struct figures *f, bool written)
{
	static char buf[65536] __attribute__((aligned(8)));
	int ifd = inotify_init1(IN_NONBLOCK);
	double start;
	ssize_t n;

	inotify_add_watch(ifd, top, MASK);
	fill_queue(top, written);
	start = bench_now_us();
	while ((n = read(ifd, buf, sizeof buf)) > 0)
		f->events += (double)floor_count(buf, n);
	f->ms = (bench_now_us() - start) / 1e3;
}

static void drain_library_of(const char *top, struct figures *f, bool written, unsigned flags)
{
	struct use u;
	double start;
	watcher_stats_t s;

	use_open(&u, top, WATCHER(.flags = flags), *WATCH(0));
	uv_run(&u.loop, UV_RUN_NOWAIT);
	fill_queue(top, written);
	start = bench_now_us();
	watcher_sync(u.w, on_use_sync);
	while (!u.synced)
		uv_run(&u.loop, UV_RUN_ONCE);
	f->ms = (bench_now_us() - start) / 1e3;
	watcher_stats(u.w, &s, sizeof s);
	f->events = (double)s.events_in;
}

static void drain_floor(const char *top, struct figures *f)
{
	drain_floor_of(top, f, true);
}

static void drain_library(const char *top, struct figures *f)
{
	drain_library_of(top, f, true, 0);
}

static void drain_floor_empty(const char *top, struct figures *f)
{
	drain_floor_of(top, f, false);
}

static void drain_library_empty(const char *top, struct figures *f)
{
	drain_library_of(top, f, false, 0);
}

static void drain_library_names(const char *top, struct figures *f)
{
	drain_library_of(top, f, false, WATCHER_NO_STAT);
}

/* inotify does not say what a created name is, nor its inode. Who tells that has at least to read
 * the directory: this takes as long as reading the queue. */
static void drain_floor_types(const char *top, struct figures *f)
{
	static char buf[65536] __attribute__((aligned(8)));
	double start;
	int fd;

	drain_floor_empty(top, f);
	start = bench_now_us();
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (syscall(SYS_getdents64, fd, buf, sizeof buf) > 0)
		;
	close(fd);
	f->ms += (bench_now_us() - start) / 1e3;
}

/* ---- writers: they say at their end when, and how much they did ---- */

struct report {
	double end_us, done;
};

static void report(int out, double done)
{
	struct report r = { bench_now_us(), done };

	_exit(write(out, &r, sizeof r) != sizeof r);
}

static pid_t start_process(void)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		be_lower();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	return pid;
}

/* One of `parts` that create files, empty or of 16 bytes, together so many. */
static void start_burst(const char *top, int part, int parts, bool empty, int out)
{
	char path[PATH_MAX];
	int done = 0;

	if (start_process())
		return;
	for (int i = part; i < BURST_FILES; i += parts, done++) {
		int fd;

		snprintf(path, sizeof path, "%s/b%d/f%d", top, i % BURST_DIRS, i);
		fd = open(path, O_CREAT | O_WRONLY, 0644);
		if (fd < 0 || (!empty && write(fd, "sixteen bytes..\n", 16) != 16))
			_exit(1);
		close(fd);
	}
	report(out, done);
}

/* Creates and removes files, `rate` a second or (0) as many as it can. */
static void start_churn(const char *top, double seconds, int rate, int out)
{
	char path[PATH_MAX];
	double start, done = 0;

	if (start_process())
		return;
	start = bench_now_us();
	while (bench_now_us() - start < seconds * 1e6) {
		while (rate && bench_now_us() - start < done * 1e6 / rate)
			;
		snprintf(path, sizeof path, "%s/f%d", top, (int)done % 100);
		make_file(path);
		unlink(path);
		done++;
	}
	report(out, done);
}

static void burst_dirs(const char *top)
{
	char path[PATH_MAX];

	for (int i = 0; i < BURST_DIRS; i++) {
		snprintf(path, sizeof path, "%s/b%d", top, i);
		mkdir(path, 0755);
	}
}

/* ---- readers: they turn a loop until the writers have reported and all has come ---- */

struct reader {
	uv_loop_t *loop;
	int ends[2];
	double last_us, events;
	uv_poll_t poll;
	int ifd;
	uint64_t none;
	struct use *use; /* NULL: the floor */
};

static void on_floor(uv_poll_t *p, int status, int events)
{
	static char buf[65536] __attribute__((aligned(8)));
	struct reader *r = p->data;
	ssize_t n;

	(void)status;
	(void)events;
	while ((n = read(r->ifd, buf, sizeof buf)) > 0) {
		r->events += (double)floor_count(buf, n);
		r->last_us = bench_now_us();
	}
}

static void open_floor(struct reader *r, const char *top)
{
	static uv_loop_t loop;
	char path[PATH_MAX];

	uv_loop_init(&loop);
	r->loop = &loop;
	r->ifd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	snprintf(path, sizeof path, "%s", top);
	floor_crawl(r->ifd, path, strlen(path), false);
	uv_poll_init(&loop, &r->poll, r->ifd);
	r->poll.data = r;
	uv_poll_start(&r->poll, UV_READABLE, on_floor);
}

static void open_reader(struct reader *r, const char *top, struct use *use)
{
	memset(r, 0, sizeof *r);
	r->use = use;
	if (use) {
		use_open(use, top, WATCHER(0), *WATCH(0));
		uv_run(&use->loop, UV_RUN_NOWAIT);
		r->loop = &use->loop;
	} else {
		open_floor(r, top);
	}
	if (pipe(r->ends) < 0)
		bench_die("pipe");
}

static void on_tick(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static void on_report(uv_poll_t *p, int status, int events)
{
	(void)status;
	(void)events;
	*(bool *)p->data = true;
}

static void turn_until(uv_loop_t *loop, bool *flag)
{
	while (!*flag)
		uv_run(loop, UV_RUN_ONCE);
}

/* Until `writers` have reported, and then as long as events come; what was done, by whom last. */
static struct report turn(struct reader *r, int writers)
{
	const uint64_t *events = r->use ? &r->use->events : &r->none;
	struct report last = { 0 }, one;
	uint64_t seen;
	uv_timer_t timer;
	uv_poll_t end;
	bool flag;

	uv_poll_init(r->loop, &end, r->ends[0]);
	uv_timer_init(r->loop, &timer);
	end.data = timer.data = &flag;
	for (; writers; writers--) {
		flag = false;
		uv_poll_start(&end, UV_READABLE, on_report);
		turn_until(r->loop, &flag);
		uv_poll_stop(&end);
		if (read(r->ends[0], &one, sizeof one) != sizeof one)
			bench_die("writer");
		one.done += last.done;
		last = one;
	}
	do {
		seen = *events;
		flag = false;
		uv_timer_start(&timer, on_tick, 300, 0);
		turn_until(r->loop, &flag);
	} while (*events != seen);
	return last;
}

/* When the last event came, after the end of the last writer. */
static double last_ms(const struct reader *r, const struct report *end)
{
	return ((r->use ? r->use->last_us : r->last_us) - end->end_us) / 1e3;
}

/* Its figures: ms of the writer(s), last event after it in `extra`, files told of in `p50`. */
static void burst(const char *top, struct figures *f, int writers, bool empty, struct use *use)
{
	double before, start;
	struct reader r;
	struct report end;
	watcher_stats_t s;

	burst_dirs(top);
	open_reader(&r, top, use);
	before = cpu_ms();
	start = bench_now_us();
	for (int i = 0; i < writers; i++)
		start_burst(top, i, writers, empty, r.ends[1]);
	end = turn(&r, writers);
	f->cpu_ms = cpu_ms() - before;
	f->ms = (end.end_us - start) / 1e3;
	f->extra = last_ms(&r, &end);
	f->events = r.events;
	if (!use)
		return;
	watcher_stats(use->w, &s, sizeof s);
	f->events = (double)s.events_in;
	f->p50 = (double)use->events;
	f->p99 = (double)s.overflows;
}

/* What the next bursts are of. */
static int burst_writers;
static bool burst_empty;

static void burst_floor(const char *top, struct figures *f)
{
	burst(top, f, burst_writers, burst_empty, NULL);
}

static void burst_library(const char *top, struct figures *f)
{
	struct use u;

	burst(top, f, burst_writers, burst_empty, &u);
}

/* ---- churn: a file created and removed is one operation ---- */

static void churn_unwatched(const char *top, struct figures *f, double seconds, int rate)
{
	struct report end;
	int ends[2];

	if (pipe(ends) < 0)
		bench_die("pipe");
	start_churn(top, seconds, rate, ends[1]);
	if (read(ends[0], &end, sizeof end) != sizeof end)
		bench_die("writer");
	f->p50 = end.done / seconds;
}

/* p50: operations a second; events: those lost; p99: overflows. */
static void churn(const char *top, struct figures *f, double seconds, int rate, struct use *use)
{
	double before;
	struct reader r;
	struct report end;
	watcher_stats_t s;

	open_reader(&r, top, use);
	before = cpu_ms();
	start_churn(top, seconds, rate, r.ends[1]);
	end = turn(&r, 1);
	f->cpu_ms = (cpu_ms() - before) / seconds / 10; /* percent of a processor */
	f->p50 = end.done / seconds;
	f->extra = last_ms(&r, &end);
	if (!use)
		return;
	watcher_stats(use->w, &s, sizeof s);
	f->events = end.done * 2 - (double)use->events;
	f->p99 = (double)s.overflows;
}

static void steady_floor(const char *top, struct figures *f)
{
	churn(top, f, 1, STEADY_RATE, NULL);
}

static void steady_library(const char *top, struct figures *f)
{
	struct use u;

	churn(top, f, 1, STEADY_RATE, &u);
}

static void flat_out_alone(const char *top, struct figures *f)
{
	churn_unwatched(top, f, 1, 0);
}

static void on_slow_tick(uv_timer_t *t)
{
	on_floor(t->data, 0, 0);
}

/* What no watcher can be better than: the queue is emptied every 2 ms, and nothing is done. */
static void flat_out_least(const char *top, struct figures *f)
{
	struct reader r;
	uv_timer_t timer;

	open_reader(&r, top, NULL);
	uv_poll_stop(&r.poll);
	uv_timer_init(r.loop, &timer);
	timer.data = &r.poll;
	uv_timer_start(&timer, on_slow_tick, 2, 2);
	start_churn(top, 1, 0, r.ends[1]);
	f->p50 = turn(&r, 1).done;
}

static void flat_out_floor(const char *top, struct figures *f)
{
	churn(top, f, 1, 0, NULL);
}

static void flat_out_library(const char *top, struct figures *f)
{
	struct use u;

	churn(top, f, 1, 0, &u);
}

static void on_and_on(const char *top, struct figures *f)
{
	struct use u;

	churn(top, f, LONG_S, 0, &u);
}

/* ---- tables ---- */

struct drain {
	const char *what;
	measure *measure;
	int other; /* a row it is compared to as well as to the first, if not that */
};

static void drain_rows(int rounds, const struct drain *rows, int n)
{
	struct series s[4] = { { .n = 0 } };
	struct figures f;

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < n; k++) {
			f = in_fresh(rows[k].measure);
			add(&s[k], f.ms * 1e6 / f.events);
		}
	for (int k = 0; k < n; k++) {
		printf("| %s | %.0f ns | %.2f |", rows[k].what, mid(&s[k]), to(&s[k], &s[0]));
		if (rows[k].other)
			printf(" %.2f of: %s", to(&s[k], &s[rows[k].other]), rows[rows[k].other].what);
		puts(" |");
	}
}

static void drain_tables(int rounds)
{
	static const struct drain written[] = {
		{ "event out of a full queue, files created and written to: read loop", drain_floor, 0 },
		{ "... to the callback", drain_library, 0 },
	};
	static const struct drain empty[] = {
		{ "event out of a full queue, files created empty: read loop", drain_floor_empty, 0 },
		{ "... and the directory read once", drain_floor_types, 0 },
		{ "... to the callback, with types and inodes", drain_library_empty, 1 },
		{ "... to the callback, without (WATCHER_NO_STAT)", drain_library_names, 0 },
	};

	drain_rows(rounds, written, 2);
	drain_rows(rounds, empty, 4);
}

static void burst_table(int rounds, int writers, bool empty)
{
	struct series cpu = { .n = 0 }, ours = cpu, last = cpu, our_last = cpu, ms = cpu, our_ms = cpu;
	double lost = 0, over = 0;
	struct figures f;

	burst_writers = writers;
	burst_empty = empty;
	for (int i = 0; i < rounds; i++) {
		f = in_fresh(burst_floor);
		add(&cpu, f.cpu_ms);
		add(&ms, f.ms);
		add(&last, f.extra);
		f = in_fresh(burst_library);
		add(&ours, f.cpu_ms);
		add(&our_ms, f.ms);
		add(&our_last, f.extra);
		/* Created, and written to: a batch may hold both only once. */
		lost += f.p50 < (empty ? 1 : 2) * BURST_FILES;
		over += f.p99;
	}
	printf("| burst of %d %s, %d flat-out writer%s: uv_poll and read, CPU | %.0f ms | 1 | writing took %.0f ms; last event %.1f ms after it |\n",
	       BURST_FILES, empty ? "empty files" : "files", writers, writers > 1 ? "s" : "", mid(&cpu), mid(&ms), mid(&last));
	printf("| ... watcher, CPU | %.0f ms | %.2f | %.0f ms = %.2f; last event %.1f ms after it; rounds with a loss: %.0f of %d, overflows: %.0f |\n",
	       mid(&ours), to(&ours, &cpu), mid(&our_ms), to(&our_ms, &ms), mid(&our_last), lost,
	       rounds, over);
}

static void churn_table(int rounds)
{
	struct series steady = { .n = 0 }, ours = steady, alone = steady, floor = steady,
		      flat = steady, least = steady;
	double lost = 0, over = 0;
	struct figures f;

	for (int i = 0; i < rounds; i++) {
		add(&steady, in_fresh(steady_floor).cpu_ms);
		add(&ours, in_fresh(steady_library).cpu_ms);
		add(&alone, in_fresh(flat_out_alone).p50);
		add(&floor, in_fresh(flat_out_floor).p50);
		add(&least, in_fresh(flat_out_least).p50);
		f = in_fresh(flat_out_library);
		add(&flat, f.p50);
		lost += f.events;
		over += f.p99;
	}
	printf("| %d files a second created and removed: uv_poll and read | %.1f %% CPU | 1 | |\n",
	       STEADY_RATE, mid(&steady));
	printf("| ... watcher | %.1f %% CPU | %.2f | |\n", mid(&ours), to(&ours, &steady));
	printf("| files created and removed by a flat-out writer, unwatched | %.0f/s | 1 | |\n",
	       mid(&alone));
	printf("| ... uv_poll and read | %.0f/s | %.2f | |\n", mid(&floor), to(&floor, &alone));
	printf("| ... inotify, read once in 2 ms | %.0f/s | %.2f | |\n", mid(&least),
	       to(&least, &alone));
	printf("| ... watcher | %.0f/s | %.2f | events lost: %.0f, overflows: %.0f |\n", mid(&flat),
	       to(&flat, &alone), lost, over);
	f = in_fresh(on_and_on);
	printf("| ... for %d s | %.0f/s, %.1f %% CPU | | events lost: %.0f, overflows: %.0f, last event %.1f ms after the end |\n",
	       LONG_S, f.p50, f.cpu_ms, f.events, f.p99, f.extra);
}

int main(void)
{
	int rounds = bench_rounds(5);

	signal(SIGCHLD, SIG_DFL);
	make_base();
	puts("| what | value | ratio | |\n|---|---|---|---|");
	drain_tables(rounds);
	burst_table(rounds, 1, false);
	burst_table(rounds, 2, false);
	burst_table(rounds, 1, true);
	burst_table(rounds, 2, true);
	churn_table(rounds);
	remove_tree(base);
	return 0;
}
