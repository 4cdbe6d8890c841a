/*
 * What the measuring programs of the watcher share: trees of directories with 10 files each,
 * the least a program can do (bare inotify: crawl, watch, read), and running every measurement
 * in a process of its own. Such a process has real-time priority where that is permitted, so
 * that other work on the machine is not measured.
 */
#ifndef WATCH_FLOOR_H
#define WATCH_FLOOR_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"
#include "whendo/watcher.h"

/* What the library asks for, too, for changes. */
#define MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB)

struct figures {
	double ms, cpu_ms, rss_mib, events, extra, wall, p50, p99;
};

static char base[200];

/* ---- trees ---- */

static inline void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	if (fd < 0)
		bench_die(path);
	close(fd);
}

static inline void make_tree(const char *top, int dirs)
{
	char path[PATH_MAX + 200];
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

static inline void remove_tree(const char *path)
{
	char command[PATH_MAX + 40];

	snprintf(command, sizeof command, "rm -rf '%s'", path);
	if (system(command) != 0)
		bench_die("rm");
}

static inline void make_base(void)
{
	const char *dir = getenv("BENCH_DIR");

	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(base, sizeof base, "%s/whendo-bench-XXXXXX", dir ? dir : "/dev/shm");
	if (!mkdtemp(base))
		bench_die(base);
}

/* ---- the floor ---- */

struct linux_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* Watches (ifd >= 0) and reads a directory and all below; counts directories. */
static inline long floor_crawl(int ifd, char *path, size_t len, bool stat_files)
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

static inline long floor_count(const char *buf, ssize_t n)
{
	long events = 0;

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);

		at += (ssize_t)(sizeof *e + e->len);
		events++;
	}
	return events;
}

/* ---- this process ---- */

static inline double rss_mib(void)
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

static inline double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* What processes that a measurement starts do first: they do not keep it from running. */
static inline void be_lower(void)
{
	struct sched_param rt = { .sched_priority = 1 };

	sched_setscheduler(0, SCHED_FIFO, &rt);
}

/* From now on on one processor only. */
static inline void one_core(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof set, &set);
}

/* ---- the library ---- */

struct use {
	uv_loop_t loop;
	watcher *w;
	uint64_t events, recovered;
	double last_us;
	bool synced;
};

static inline void on_use_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
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

static inline void on_use_sync(watcher *w, int status, void *arg)
{
	(void)w;
	(void)status;
	((struct use *)arg)->synced = true;
}

static inline void use_open(struct use *u, const char *top, const watcher_options *options,
			    watch_options watch)
{
	watcher_options o = *options;
	watcher_error err;

	memset(u, 0, sizeof *u);
	uv_loop_init(&u->loop);
	uv_loop_configure(&u->loop, UV_METRICS_IDLE_TIME);
	o.loop = &u->loop;
	o.arg = watch.arg = u;
	watch.on_batch = on_use_batch;
	if (watcher_open(&u->w, &o, &err) < 0 || watcher_add(u->w, top, &watch, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
}

/* One turn of the loop: how long it did not wait, in ms. False when nothing is left to do. */
static inline bool turn_busy(uv_loop_t *loop, double *busy_ms)
{
	double idle = (double)uv_metrics_idle_time(loop), start = bench_now_us();
	bool alive = uv_run(loop, UV_RUN_ONCE);

	*busy_ms = (bench_now_us() - start - ((double)uv_metrics_idle_time(loop) - idle) / 1e3) / 1e3;
	return alive;
}

/* ---- measurements ---- */

typedef void measure(const char *top, struct figures *f);

/* Figures of a measurement that could not be made are all 0. */
static inline struct figures in_child(measure *m, const char *top)
{
	struct sched_param rt = { .sched_priority = 2 };
	struct figures f = { 0 };
	int fds[2], status;
	pid_t pid = -1;

	fflush(stdout);
	if (pipe(fds) < 0 || (pid = fork()) < 0)
		bench_die("fork");
	if (!pid) {
		sched_setscheduler(0, SCHED_FIFO, &rt);
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

/* The same in an empty directory. */
static inline struct figures in_fresh(measure *m)
{
	char top[PATH_MAX];
	struct figures f;

	snprintf(top, sizeof top, "%s/fresh", base);
	mkdir(top, 0755);
	f = in_child(m, top);
	remove_tree(top);
	return f;
}

/* A measurement by rounds: which of the figures is the value is the caller's business. */
struct series {
	double v[MAX_ROUNDS];
	size_t n;
};

static inline void add(struct series *s, double v)
{
	s->v[s->n++] = v;
}

static inline double mid(const struct series *s)
{
	return bench_median(s->v, s->n);
}

static inline double to(const struct series *s, const struct series *floor)
{
	return bench_ratio(s->v, floor->v, s->n);
}

#endif
