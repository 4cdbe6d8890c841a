/*
 * The watcher against the least a program can do: bare inotify (crawl, watch, read), bare
 * fanotify. Every figure is taken in a process of its own, rounds interleaved; the ratio is the
 * median of the rounds' ratios. Trees are made on BENCH_DIR (default: a directory in /dev/shm),
 * 10 files in each directory; BENCH_DIRS says how many directories ("1000 10000" by default).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"
#include "whendo/watcher.h"

#define MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE)

enum { BURST_FILES = 100000, BURST_DIRS = 100, QUEUED = 7000, LATENCY_WRITES = 1000 };

struct figures {
	double ms, cpu_ms, rss_mib, events, extra, p50, p99;
};

static char base[200];

/* ---- trees ---- */

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	if (fd < 0)
		bench_die(path);
	close(fd);
}

static void make_tree(const char *top, int dirs)
{
	char path[PATH_MAX + 64];
	int per = dirs > 10000 ? 316 : dirs > 1000 ? 100 : 31;

	mkdir(top, 0755);
	for (int i = 0; i < dirs; i++) {
		snprintf(path, sizeof path, "%s/d%03d", top, i / per);
		mkdir(path, 0755);
		snprintf(path, sizeof path, "%s/d%03d/e%03d", top, i / per, i % per);
		mkdir(path, 0755);
		for (int k = 0; k < 10; k++) {
			snprintf(path, sizeof path, "%s/d%03d/e%03d/source_%02d.c", top, i / per,
				 i % per, k);
			make_file(path);
		}
	}
}

static void remove_tree(const char *path)
{
	char command[PATH_MAX + 20];

	snprintf(command, sizeof command, "rm -rf '%s'", path);
	if (system(command) != 0)
		bench_die("rm");
}

/* ---- the floors ---- */

struct linux_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static long floor_crawl(int ifd, char *path, size_t len, bool stat_files)
{
	char buf[32768] __attribute__((aligned(8)));
	long dirs = 1, n;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (ifd >= 0 && inotify_add_watch(ifd, path, MASK) < 0)
		bench_die("inotify_add_watch");
	while ((n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
		for (long at = 0; at < n;) {
			struct linux_dirent *e = (void *)(buf + at);
			struct stat st;

			at += e->reclen;
			if (e->name[0] == '.')
				continue;
			if (e->type == DT_DIR)
				dirs += floor_crawl(ifd, path,
						    len + (size_t)sprintf(path + len, "/%s", e->name),
						    stat_files);
			else if (stat_files)
				fstatat(fd, e->name, &st, AT_SYMLINK_NOFOLLOW);
			path[len] = '\0';
		}
	close(fd);
	return dirs;
}

static double rss_mib(void)
{
	char line[200];
	double kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmRSS: %lf", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib / 1024;
}

static double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static long floor_count(const char *buf, ssize_t n)
{
	long events = 0;

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);

		at += (ssize_t)(sizeof *e + e->len);
		events++;
	}
	return events;
}

static void ready_inotify(const char *top, struct figures *f)
{
	char path[PATH_MAX];
	double start = bench_now_us();
	int ifd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	snprintf(path, sizeof path, "%s", top);
	f->events = (double)floor_crawl(ifd, path, strlen(path), false);
	f->ms = (bench_now_us() - start) / 1e3;
	f->rss_mib = rss_mib();
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

	f->ms = -1;
	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				    FAN_CREATE | FAN_DELETE | FAN_MODIFY | FAN_ONDIR, AT_FDCWD, top) < 0)
		return;
	f->ms = (bench_now_us() - start) / 1e3;
	f->rss_mib = rss_mib();
}

/* ---- the library ---- */

struct use {
	uv_loop_t loop;
	watcher *w;
	uint64_t events, recovered;
	double last_us;
	bool synced;
};

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct use *u = arg;
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e)) {
		u->events++;
		u->recovered += e.recovered;
	}
	u->last_us = bench_now_us();
}

static void on_sync(watcher *w, int status, void *arg)
{
	(void)w;
	(void)status;
	((struct use *)arg)->synced = true;
}

static void use_open(struct use *u, const char *top, unsigned flags)
{
	watcher_error err;

	memset(u, 0, sizeof *u);
	uv_loop_init(&u->loop);
	if (watcher_open(&u->w, WATCHER(.loop = &u->loop, .arg = u, .flags = flags), &err) < 0 ||
	    watcher_add(u->w, top, WATCH(.on_batch = on_batch, .arg = u), &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
}

static void use_sync(struct use *u)
{
	u->synced = false;
	watcher_sync(u->w, on_sync);
	while (!u->synced)
		uv_run(&u->loop, UV_RUN_ONCE);
}

static void ready_library(const char *top, struct figures *f)
{
	double start = bench_now_us();
	watcher_stats_t s;
	struct use u;

	use_open(&u, top, 0);
	f->ms = (bench_now_us() - start) / 1e3;
	f->rss_mib = rss_mib();
	watcher_stats(u.w, &s, sizeof s);
	f->events = (double)s.directories;
	f->extra = (double)s.index_bytes;
	f->p50 = (double)s.files;
}

/* ---- a queue that is full already: the cost of an event without any wake-up ---- */

static void fill_queue(const char *top)
{
	char path[PATH_MAX];

	for (int i = 0; i < QUEUED; i++) {
		snprintf(path, sizeof path, "%s/q%d", top, i);
		make_file(path); /* created, closed: two events */
	}
}

static void drain_floor(const char *top, struct figures *f)
{
	static char buf[65536] __attribute__((aligned(8)));
	int ifd = inotify_init1(IN_NONBLOCK);
	double start;
	ssize_t n;

	inotify_add_watch(ifd, top, MASK);
	fill_queue(top);
	start = bench_now_us();
	while ((n = read(ifd, buf, sizeof buf)) > 0)
		f->events += (double)floor_count(buf, n);
	f->ms = (bench_now_us() - start) / 1e3;
}

static void drain_library(const char *top, struct figures *f, unsigned flags)
{
	struct use u;
	double start;
	watcher_stats_t s;

	use_open(&u, top, flags);
	uv_run(&u.loop, UV_RUN_NOWAIT);
	fill_queue(top);
	start = bench_now_us();
	use_sync(&u);
	f->ms = (bench_now_us() - start) / 1e3;
	watcher_stats(u.w, &s, sizeof s);
	f->events = (double)s.events_in;
}

static void drain_library_stat(const char *top, struct figures *f)
{
	drain_library(top, f, 0);
}

static void drain_library_nostat(const char *top, struct figures *f)
{
	drain_library(top, f, WATCHER_NO_STAT);
}

/* ---- bursts ---- */

static pid_t start_writer(const char *top, int out)
{
	char path[PATH_MAX];
	pid_t pid = fork();
	double end;

	if (pid)
		return pid;
	for (int i = 0; i < BURST_FILES; i++) {
		int fd;

		snprintf(path, sizeof path, "%s/b%d/f%d", top, i % BURST_DIRS, i);
		fd = open(path, O_CREAT | O_WRONLY, 0644);
		if (fd < 0 || write(fd, "sixteen bytes..\n", 16) != 16)
			_exit(1);
		close(fd);
	}
	end = bench_now_us();
	_exit(write(out, &end, sizeof end) != sizeof end);
}

static void burst_dirs(const char *top)
{
	char path[PATH_MAX];

	for (int i = 0; i < BURST_DIRS; i++) {
		snprintf(path, sizeof path, "%s/b%d", top, i);
		mkdir(path, 0755);
	}
}

static void burst_floor(const char *top, struct figures *f)
{
	static char buf[65536] __attribute__((aligned(8)));
	char path[PATH_MAX];
	int ifd = inotify_init1(IN_CLOEXEC), ends[2];
	struct pollfd p = { .fd = ifd, .events = POLLIN };
	double before, start, last = 0, end;
	ssize_t n;

	burst_dirs(top);
	snprintf(path, sizeof path, "%s", top);
	floor_crawl(ifd, path, strlen(path), false);
	if (pipe(ends) < 0)
		bench_die("pipe");
	before = cpu_ms();
	start = bench_now_us();
	start_writer(top, ends[1]);
	while (poll(&p, 1, 500) > 0 && (n = read(ifd, buf, sizeof buf)) > 0) {
		f->events += (double)floor_count(buf, n);
		last = bench_now_us();
	}
	f->cpu_ms = cpu_ms() - before;
	if (read(ends[0], &end, sizeof end) != sizeof end)
		bench_die("writer");
	f->ms = (end - start) / 1e3;
	f->extra = (last - end) / 1e3;
	wait(NULL);
}

static void on_tick(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static void burst_library(const char *top, struct figures *f)
{
	double before, start, end;
	watcher_stats_t s;
	uv_timer_t timer;
	bool tick = false;
	struct use u;
	int ends[2];

	burst_dirs(top);
	use_open(&u, top, WATCHER_NO_STAT);
	uv_run(&u.loop, UV_RUN_NOWAIT);
	uv_timer_init(&u.loop, &timer);
	timer.data = &tick;
	if (pipe(ends) < 0)
		bench_die("pipe");
	before = cpu_ms();
	start = bench_now_us();
	start_writer(top, ends[1]);
	do {
		tick = false;
		uv_timer_start(&timer, on_tick, 500, 0);
		uint64_t seen = u.events;
		while (!tick)
			uv_run(&u.loop, UV_RUN_ONCE);
		if (u.events != seen)
			tick = false;
	} while (!tick);
	f->cpu_ms = cpu_ms() - before;
	if (read(ends[0], &end, sizeof end) != sizeof end)
		bench_die("writer");
	f->ms = (end - start) / 1e3;
	f->extra = (u.last_us - end) / 1e3;
	watcher_stats(u.w, &s, sizeof s);
	f->events = (double)s.events_in;
	f->p50 = (double)u.events;
	f->p99 = (double)s.overflows;
	wait(NULL);
}

/* ---- latency after idle ---- */

struct stamps {
	double wrote, got;
};

static void writer_thread(void *arg)
{
	struct stamps *s = ((void **)arg)[0];
	const char *path = ((void **)arg)[1];

	for (int i = 0; i < LATENCY_WRITES; i++) {
		struct timespec pause = { 0, 1500000 };
		int fd = open(path, O_WRONLY);

		s[i].wrote = bench_now_us();
		if (write(fd, "x", 1) != 1)
			bench_die("write");
		close(fd);
		nanosleep(&pause, NULL);
	}
}

static void latency_figures(struct stamps *s, struct figures *f)
{
	static double v[LATENCY_WRITES];
	int n = 0;

	for (int i = 0; i < LATENCY_WRITES; i++)
		if (s[i].got)
			v[n++] = s[i].got - s[i].wrote;
	qsort(v, (size_t)n, sizeof *v, bench_compare);
	f->events = n;
	f->p50 = n ? v[n / 2] : 0;
	f->p99 = n ? v[n * 99 / 100] : 0;
}

static struct stamps stamps[LATENCY_WRITES];

static void stamp(void)
{
	static int i;
	double now = bench_now_us();

	for (; i < LATENCY_WRITES && stamps[i].wrote && stamps[i].wrote <= now; i++)
		if (!stamps[i].got)
			stamps[i].got = now;
}

static void on_latency_poll(uv_poll_t *p, int status, int events)
{
	static char buf[65536] __attribute__((aligned(8)));
	int fd = *(int *)p->data;
	ssize_t n;

	(void)status;
	(void)events;
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (floor_count(buf, n))
			stamp();
}

static void run_latency(uv_loop_t *loop, const char *path)
{
	void *arg[2] = { stamps, (void *)(uintptr_t)path };
	uv_thread_t writer;

	uv_thread_create(&writer, writer_thread, arg);
	while (!stamps[LATENCY_WRITES - 1].got)
		uv_run(loop, UV_RUN_ONCE);
	uv_thread_join(&writer);
}

static void latency_floor(const char *top, struct figures *f)
{
	char path[PATH_MAX];
	uv_loop_t loop;
	uv_poll_t poll_handle;
	int ifd = inotify_init1(IN_NONBLOCK);

	snprintf(path, sizeof path, "%s/file", top);
	make_file(path);
	inotify_add_watch(ifd, top, IN_MODIFY);
	uv_loop_init(&loop);
	uv_poll_init(&loop, &poll_handle, ifd);
	poll_handle.data = &ifd;
	uv_poll_start(&poll_handle, UV_READABLE, on_latency_poll);
	run_latency(&loop, path);
	latency_figures(stamps, f);
}

static void on_latency_event(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	(void)e;
	(void)arg;
	stamp();
}

static void latency_library(const char *top, struct figures *f)
{
	char path[PATH_MAX];
	watcher_error err;
	uv_loop_t loop;
	watcher *w;

	snprintf(path, sizeof path, "%s/file", top);
	make_file(path);
	uv_loop_init(&loop);
	if (watcher_open(&w, WATCHER(.loop = &loop), &err) < 0 ||
	    watcher_add(w, top, WATCH(.on_modified = on_latency_event), &err) < 0)
		exit(1);
	uv_run(&loop, UV_RUN_NOWAIT);
	run_latency(&loop, path);
	latency_figures(stamps, f);
}

/* ---- recovery after the kernel has dropped events ---- */

static void recover_library(const char *top, struct figures *f)
{
	char path[PATH_MAX];
	watcher_stats_t s;
	double start, turn, longest = 0;
	struct use u;

	use_open(&u, top, 0);
	uv_run(&u.loop, UV_RUN_NOWAIT);
	for (int i = 0; i < 15000; i++) {
		snprintf(path, sizeof path, "%s/churn", top);
		make_file(path);
		unlink(path);
	}
	start = bench_now_us();
	u.synced = false;
	watcher_sync(u.w, on_sync);
	while (!u.synced) {
		turn = bench_now_us();
		uv_run(&u.loop, UV_RUN_ONCE);
		if (bench_now_us() - turn > longest)
			longest = bench_now_us() - turn;
	}
	f->ms = (bench_now_us() - start) / 1e3;
	f->extra = longest / 1e3;
	watcher_stats(u.w, &s, sizeof s);
	f->events = (double)s.recoveries;
}

/* ---- rounds ---- */

typedef void measure(const char *top, struct figures *f);

static struct figures in_child(measure *m, const char *top)
{
	struct figures f = { 0 };
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) < 0 || (pid = fork()) < 0)
		bench_die("fork");
	if (!pid) {
		m(top, &f);
		_exit(write(fds[1], &f, sizeof f) != sizeof f);
	}
	close(fds[1]);
	if (read(fds[0], &f, sizeof f) != sizeof f)
		memset(&f, 0, sizeof f);
	close(fds[0]);
	waitpid(pid, &status, 0);
	return f;
}

static struct figures in_fresh(measure *m)
{
	char top[PATH_MAX];
	struct figures f;

	snprintf(top, sizeof top, "%s/fresh", base);
	mkdir(top, 0755);
	f = in_child(m, top);
	remove_tree(top);
	return f;
}

struct series {
	double floor[MAX_ROUNDS], ours[MAX_ROUNDS], other[MAX_ROUNDS], extra[MAX_ROUNDS];
	size_t n;
};

static void ready_table(int dirs)
{
	struct series s = { .n = (size_t)bench_rounds(7) }, rec = { .n = s.n };
	struct figures f, last = { 0 };
	char top[PATH_MAX];
	double fan = 0, floor_rss = 0;

	snprintf(top, sizeof top, "%s/tree", base);
	make_tree(top, dirs);
	in_child(ready_inotify, top);
	for (size_t i = 0; i < s.n; i++) {
		f = in_child(ready_inotify, top);
		s.floor[i] = f.ms;
		floor_rss = f.rss_mib;
		last = in_child(ready_library, top);
		s.ours[i] = last.ms;
		fan = in_child(ready_fanotify, top).ms;
		rec.floor[i] = in_child(ready_stat, top).ms;
		f = in_child(recover_library, top);
		rec.ours[i] = f.ms;
		rec.extra[i] = f.extra;
	}
	printf("| ready, %d directories, %d files: bare inotify, one thread | %.1f ms | 1 | RSS %.1f MiB |\n",
	       dirs, dirs * 10, bench_median(s.floor, s.n), floor_rss);
	printf("| ... watcher_add, index included | %.1f ms | %.2f | RSS %.1f MiB; index %.0f KiB = %.1f B per name |\n",
	       bench_median(s.ours, s.n), bench_ratio(s.ours, s.floor, s.n), last.rss_mib,
	       last.extra / 1024, last.extra / (last.p50 + last.events));
	printf("| ... bare fanotify mark on the file system | %.3f ms | | |\n", fan);
	printf("| recovery after overflow: crawl with file change times | %.1f ms | 1 | |\n",
	       bench_median(rec.floor, rec.n));
	printf("| ... watcher, until everything is delivered | %.1f ms | %.2f | longest turn of the loop %.1f ms |\n",
	       bench_median(rec.ours, rec.n), bench_ratio(rec.ours, rec.floor, rec.n),
	       bench_median(rec.extra, rec.n));
	remove_tree(top);
}

static void event_table(void)
{
	struct series d = { .n = (size_t)bench_rounds(7) }, b = { .n = d.n };
	double floor_last[MAX_ROUNDS], our_last[MAX_ROUNDS], floor_writer[MAX_ROUNDS],
	    our_writer[MAX_ROUNDS], lost = 0, over = 0;
	struct figures f;

	for (size_t i = 0; i < d.n; i++) {
		f = in_fresh(drain_floor);
		d.floor[i] = f.ms * 1e6 / f.events;
		f = in_fresh(drain_library_nostat);
		d.ours[i] = f.ms * 1e6 / f.events;
		f = in_fresh(drain_library_stat);
		d.other[i] = f.ms * 1e6 / f.events;
		f = in_fresh(burst_floor);
		b.floor[i] = f.cpu_ms;
		floor_last[i] = f.extra;
		floor_writer[i] = f.ms;
		f = in_fresh(burst_library);
		b.ours[i] = f.cpu_ms;
		our_last[i] = f.extra;
		our_writer[i] = f.ms;
		lost += f.p50 < 2 * BURST_FILES;
		over += f.p99;
	}
	printf("| event out of a full queue: read loop | %.0f ns | 1 | |\n", bench_median(d.floor, d.n));
	printf("| ... to the callback, WATCHER_NO_STAT | %.0f ns | %.2f | |\n",
	       bench_median(d.ours, d.n), bench_ratio(d.ours, d.floor, d.n));
	printf("| ... to the callback, created files looked up | %.0f ns | %.2f | |\n",
	       bench_median(d.other, d.n), bench_ratio(d.other, d.floor, d.n));
	printf("| burst of %d files: read loop, CPU | %.0f ms | 1 | writer %.0f ms, last event %.1f ms after it |\n",
	       BURST_FILES, bench_median(b.floor, b.n), bench_median(floor_writer, b.n),
	       bench_median(floor_last, b.n));
	printf("| ... watcher, CPU | %.0f ms | %.2f | writer %.0f ms, last event %.1f ms after it; %.0f rounds with a loss, %.0f overflows |\n",
	       bench_median(b.ours, b.n), bench_ratio(b.ours, b.floor, b.n),
	       bench_median(our_writer, b.n), bench_median(our_last, b.n), lost, over);
}

static void latency_table(void)
{
	struct series a = { .n = (size_t)bench_rounds(5) }, z = { .n = a.n };

	for (size_t i = 0; i < a.n; i++) {
		struct figures f = in_fresh(latency_floor);

		a.floor[i] = f.p50;
		z.floor[i] = f.p99;
		f = in_fresh(latency_library);
		a.ours[i] = f.p50;
		z.ours[i] = f.p99;
	}
	printf("| write to callback after idle: uv_poll on inotify | p50 %.0f us, p99 %.0f us | 1 | |\n",
	       bench_median(a.floor, a.n), bench_median(z.floor, z.n));
	printf("| ... watcher | p50 %.0f us, p99 %.0f us | p50 %.2f, p99 %.2f | |\n",
	       bench_median(a.ours, a.n), bench_median(z.ours, z.n),
	       bench_ratio(a.ours, a.floor, a.n), bench_ratio(z.ours, z.floor, z.n));
}

int main(void)
{
	const char *dir = getenv("BENCH_DIR"), *dirs = getenv("BENCH_DIRS");
	char *end;

	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(base, sizeof base, "%s/whendo-bench-XXXXXX", dir ? dir : "/dev/shm");
	if (!mkdtemp(base))
		bench_die(base);
	puts("| what | value | ratio | |\n|---|---|---|---|");
	for (dirs = dirs ? dirs : "1000 10000"; *dirs; dirs = end) {
		ready_table((int)strtol(dirs, &end, 10));
		if (end == dirs)
			break;
		while (*end == ' ')
			end++;
	}
	event_table();
	latency_table();
	remove_tree(base);
	return 0;
}
