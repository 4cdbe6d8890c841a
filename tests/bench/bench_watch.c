/*
 * Getting ready, recovering, being idle and closing, against the least a program can do: bare
 * inotify (crawl and watch), bare fanotify. Rounds are interleaved; a ratio is the median of
 * the rounds' ratios. BENCH_DIR (/dev/shm) is where the trees are; BENCH_DIRS ("1000 10000
 * 100000") how many directories they have, with 10 files in each.
 */
#include <sys/fanotify.h>

#include "watch_floor.h"

static void ready_inotify(const char *top, struct figures *f)
{
	char path[PATH_MAX];
	double start = bench_now_us();
	int ifd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	snprintf(path, sizeof path, "%s", top);
	f->events = (double)floor_crawl(ifd, path, strlen(path), false);
	f->ms = (bench_now_us() - start) / 1e3;
	f->cpu_ms = cpu_ms();
	f->rss_mib = rss_mib();
	start = bench_now_us();
	close(ifd);
	f->extra = (bench_now_us() - start) / 1e3;
}

static void ready_stat(const char *top, struct figures *f)
{
	char path[PATH_MAX];
	double start = bench_now_us();

	snprintf(path, sizeof path, "%s", top);
	f->events = (double)floor_crawl(-1, path, strlen(path), true);
	f->ms = (bench_now_us() - start) / 1e3;
}

static void ready_fanotify(const char *top, struct figures *f)
{
	double start = bench_now_us();
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_QUEUE, O_RDONLY);

	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				    FAN_CREATE | FAN_DELETE | FAN_MODIFY | FAN_ONDIR, AT_FDCWD, top) < 0)
		return;
	f->ms = (bench_now_us() - start) / 1e3;
	f->rss_mib = rss_mib();
}

static void ready_with(const char *top, struct figures *f, int backend, watch_options watch)
{
	double start = bench_now_us();
	watcher_stats_t s;
	struct use u;

	use_open(&u, top, WATCHER(.backend = backend), watch);
	f->ms = (bench_now_us() - start) / 1e3;
	f->cpu_ms = cpu_ms();
	f->rss_mib = rss_mib();
	watcher_stats(u.w, &s, sizeof s);
	f->events = (double)s.directories;
	f->extra = (double)s.index_bytes;
	f->p50 = (double)s.files;
}

static void ready_library(const char *top, struct figures *f)
{
	ready_with(top, f, WATCHER_BACKEND_INOTIFY, *WATCH(0));
}

static void ready_library_one_core(const char *top, struct figures *f)
{
	one_core();
	ready_library(top, f);
}

static void ready_library_fanotify(const char *top, struct figures *f)
{
	ready_with(top, f, WATCHER_BACKEND_FANOTIFY, *WATCH(0));
}

static void ready_ignoring(const char *top, struct figures *f)
{
	ready_with(top, f, WATCHER_BACKEND_INOTIFY, *WATCH(.ignores = LIST("node_modules/")));
}

/* Processor time of this thread: what the kernel gives to others meanwhile does not count. */
static double thread_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void at_least(double *longest, double ms)
{
	if (ms > *longest)
		*longest = ms;
}

/* One turn of the loop; the longest so far, on the clock and on the processor. */
static bool timed_turn(uv_loop_t *loop, struct figures *f)
{
	double wall, cpu = thread_ms();
	bool alive = turn_busy(loop, &wall);

	at_least(&f->wall, wall);
	at_least(&f->extra, thread_ms() - cpu);
	return alive;
}

/* ---- recovery after the kernel has dropped events ---- */

/* Twice as much as it holds. */
static void fill_queue(const char *top)
{
	char path[PATH_MAX + 20];

	for (int i = 0; i < 15000; i++) {
		snprintf(path, sizeof path, "%s/churn", top);
		make_file(path);
		unlink(path);
	}
}

static void recover_library(const char *top, struct figures *f)
{
	watcher_stats_t s;
	double start;
	struct use u;

	use_open(&u, top, WATCHER(0), *WATCH(0));
	uv_run(&u.loop, UV_RUN_NOWAIT);
	fill_queue(top);
	start = bench_now_us();
	u.synced = false;
	watcher_sync(u.w, on_use_sync);
	while (!u.synced)
		timed_turn(&u.loop, f);
	f->ms = (bench_now_us() - start) / 1e3;
	watcher_stats(u.w, &s, sizeof s);
	f->events = (double)s.recoveries;
}

/* What nobody can do without: the full queue is read, and everything is looked at. */
static void recover_floor(const char *top, struct figures *f)
{
	static char buf[65536] __attribute__((aligned(8)));
	int ifd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	double start;

	inotify_add_watch(ifd, top, MASK);
	fill_queue(top);
	start = bench_now_us();
	while (read(ifd, buf, sizeof buf) > 0)
		;
	ready_stat(top, f);
	f->ms = (bench_now_us() - start) / 1e3;
	close(ifd);
}

/* ---- closing ---- */

static void close_library(const char *top, struct figures *f)
{
	double start, cpu;
	struct use u;

	use_open(&u, top, WATCHER(0), *WATCH(0));
	uv_run(&u.loop, UV_RUN_NOWAIT);
	start = bench_now_us();
	cpu = thread_ms();
	watcher_close(u.w);
	at_least(&f->wall, (bench_now_us() - start) / 1e3);
	at_least(&f->extra, thread_ms() - cpu);
	while (timed_turn(&u.loop, f))
		;
	f->ms = (bench_now_us() - start) / 1e3;
}

/* The tree goes, and the watcher stays: until the last of its watches has ended. */
static void remove_library(const char *top, struct figures *f)
{
	watcher_watch *watch = NULL;
	watcher_stats_t s;
	double start, cpu;
	struct use u;

	use_open(&u, top, WATCHER(0), *WATCH(.watch = &watch));
	uv_run(&u.loop, UV_RUN_NOWAIT);
	start = bench_now_us();
	cpu = thread_ms();
	watcher_remove(watch);
	at_least(&f->wall, (bench_now_us() - start) / 1e3);
	at_least(&f->extra, thread_ms() - cpu);
	do {
		timed_turn(&u.loop, f);
		watcher_stats(u.w, &s, sizeof s);
	} while (s.watches);
	f->ms = (bench_now_us() - start) / 1e3;
}

/* ---- idle ---- */

static double of_status(pid_t pid, const char *what)
{
	char path[64], line[200];
	size_t len = strlen(what);
	double v = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, what, len) == 0)
			v = atof(line + len + 1);
	if (f)
		fclose(f);
	return v;
}

static double ticks(pid_t pid)
{
	char path[64];
	long user = 0, kernel = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
			&kernel) != 2)
		bench_die(path);
	if (f)
		fclose(f);
	return (double)(user + kernel);
}

/* Sleeps of a watcher that has nothing to do: each but the one it is in began with a wake-up. */
static void idle_library(const char *top, struct figures *f)
{
	struct use u;
	pid_t pid = fork();
	double switches, cpu;

	if (!pid) {
		be_lower();
		use_open(&u, top, WATCHER(.debounce_ms = 50), *WATCH(0));
		uv_run(&u.loop, UV_RUN_DEFAULT);
		_exit(0);
	}
	sleep(2);
	switches = of_status(pid, "voluntary_ctxt_switches");
	cpu = ticks(pid);
	sleep(5);
	f->events = of_status(pid, "voluntary_ctxt_switches") - switches;
	f->cpu_ms = (ticks(pid) - cpu) * 1e3 / (double)sysconf(_SC_CLK_TCK);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- tables ---- */

static void ready_table(int dirs)
{
	int rounds = bench_rounds(dirs > 50000 ? 3 : 7);
	struct series floor = { .n = 0 }, ours = floor, one = floor, fan = floor, our_fan = floor;
	struct figures f, last = { 0 }, last_fan = { 0 }, bare = { 0 };
	char top[PATH_MAX];

	snprintf(top, sizeof top, "%s/tree", base);
	in_child(ready_inotify, top);
	for (int i = 0; i < rounds; i++) {
		bare = in_child(ready_inotify, top);
		add(&floor, bare.ms);
		f = in_child(ready_library_one_core, top);
		add(&one, f.ms);
		last = in_child(ready_library, top);
		add(&ours, last.ms);
		add(&fan, in_child(ready_fanotify, top).ms);
		last_fan = in_child(ready_library_fanotify, top);
		add(&our_fan, last_fan.ms);
	}
	printf("| ready, %d directories, %d files: bare inotify, one thread | %.1f ms | 1 | RSS %.1f MiB |\n",
	       dirs, dirs * 10, mid(&floor), bare.rss_mib);
	printf("| ... watcher_add, index included, on one processor | %.1f ms | %.2f | |\n", mid(&one),
	       to(&one, &floor));
	printf("| ... on all of them | %.1f ms | %.2f | RSS %.1f MiB; index %.0f KiB = %.1f B per name |\n",
	       mid(&ours), to(&ours, &floor), last.rss_mib, last.extra / 1024,
	       last.extra / (last.p50 + last.events));
	printf("| ... bare fanotify mark on the file system | %.3f ms | | |\n", mid(&fan));
	printf("| ... fanotify backend, which reads the tree afterwards | %.1f ms | %.2f | RSS %.1f MiB |\n",
	       mid(&our_fan), to(&our_fan, &floor), last_fan.rss_mib);
}

static void recovery_table(int dirs)
{
	int rounds = bench_rounds(dirs > 50000 ? 3 : 7);
	struct series floor = { .n = 0 }, ours = floor, turn = floor, wall = floor, bare = floor,
		      all = floor, block = floor, block_wall = floor, least = floor, removed = floor,
		      removing = floor, removing_wall = floor;
	struct figures f;
	char top[PATH_MAX];

	snprintf(top, sizeof top, "%s/tree", base);
	for (int i = 0; i < rounds; i++) {
		add(&floor, in_child(ready_stat, top).ms);
		add(&least, in_child(recover_floor, top).ms);
		f = in_child(recover_library, top);
		add(&ours, f.ms);
		add(&turn, f.extra);
		add(&wall, f.wall);
		add(&bare, in_child(ready_inotify, top).extra);
		f = in_child(close_library, top);
		add(&all, f.ms);
		add(&block, f.extra);
		add(&block_wall, f.wall);
		f = in_child(remove_library, top);
		add(&removed, f.ms);
		add(&removing, f.extra);
		add(&removing_wall, f.wall);
	}
	printf("| recovery after overflow: crawl with file change times | %.1f ms | 1 | |\n", mid(&floor));
	printf("| ... after reading the full queue | %.1f ms | %.2f | |\n", mid(&least),
	       to(&least, &floor));
	printf("| ... watcher, until everything is delivered | %.1f ms | %.2f | %.2f of the line above; longest turn of the loop %.1f ms, on the processor %.1f ms |\n",
	       mid(&ours), to(&ours, &floor), to(&ours, &least), mid(&wall), mid(&turn));
	printf("| closing: close(2) of the inotify descriptor | %.1f ms | 1 | |\n", mid(&bare));
	printf("| ... watcher_close until all is freed | %.1f ms | %.2f | longest turn of the loop %.1f ms, on the processor %.1f ms |\n",
	       mid(&all), to(&all, &bare), mid(&block_wall), mid(&block));
	printf("| ... watcher_remove until all watches have ended | %.1f ms | %.2f | longest turn of the loop %.1f ms, on the processor %.1f ms |\n",
	       mid(&removed), to(&removed, &bare), mid(&removing_wall), mid(&removing));
}

/* Ten times as many directories again, in a directory that is ignored. */
static void ignored_table(void)
{
	struct series plain = { .n = 0 }, more = plain;
	char top[PATH_MAX], ignored[PATH_MAX + 20], aside[PATH_MAX];
	int rounds = bench_rounds(9);

	snprintf(top, sizeof top, "%s/tree", base);
	snprintf(ignored, sizeof ignored, "%s/node_modules", top);
	snprintf(aside, sizeof aside, "%s/aside", base);
	make_tree(top, 1000);
	make_tree(aside, 10000);
	for (int i = 0; i < rounds; i++) {
		if (rename(aside, ignored) < 0)
			bench_die(aside);
		add(&more, in_child(ready_ignoring, top).ms);
		if (rename(ignored, aside) < 0 || mkdir(ignored, 0755) < 0)
			bench_die(ignored);
		add(&plain, in_child(ready_ignoring, top).ms);
	}
	printf("| ready, 1000 directories | %.2f ms | 1 | |\n", mid(&plain));
	printf("| ... and 10000 more that are ignored | %.2f ms | %.2f | |\n", mid(&more),
	       to(&more, &plain));
	remove_tree(top);
}

int main(void)
{
	const char *dirs = getenv("BENCH_DIRS");
	char *end, top[PATH_MAX];
	struct figures f;
	int n;

	make_base();
	snprintf(top, sizeof top, "%s/tree", base);
	puts("| what | value | ratio | |\n|---|---|---|---|");
	for (dirs = dirs ? dirs : "1000 10000 100000"; *dirs; dirs = end) {
		n = (int)strtol(dirs, &end, 10);
		if (end == dirs)
			break;
		make_tree(top, n);
		ready_table(n);
		recovery_table(n);
		if (n == 10000) {
			f = in_child(idle_library, top);
			printf("| idle for 5 s, %d directories | %.0f wake-ups, %.0f ms of CPU | | |\n", n,
			       f.events, f.cpu_ms);
		}
		remove_tree(top);
		while (*end == ' ')
			end++;
	}
	ignored_table();
	remove_tree(base);
	return 0;
}
