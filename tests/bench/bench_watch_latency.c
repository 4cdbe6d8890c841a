/*
 * From write(2) in one thread to the callback in another that had nothing to do: the watcher
 * against a uv_poll_t on inotify, once with only the bit that is needed here, once with those
 * that a watcher cannot do without. A write every 1.5 ms.
 */
#include <time.h>

#include "watch_floor.h"

enum { WRITES = 600 };

static struct stamps {
	double wrote, got;
} stamps[WRITES];

static void writer_thread(void *path)
{
	for (int i = 0; i < WRITES; i++) {
		struct timespec pause = { 0, 1500000 };
		int fd = open(path, O_WRONLY);

		stamps[i].wrote = bench_now_us();
		if (write(fd, "x", 1) != 1)
			bench_die("write");
		close(fd);
		nanosleep(&pause, NULL);
	}
}

static void latency_figures(struct figures *f)
{
	static double v[WRITES];
	int n = 0;

	for (int i = 0; i < WRITES; i++)
		if (stamps[i].got)
			v[n++] = stamps[i].got - stamps[i].wrote;
	qsort(v, (size_t)n, sizeof *v, bench_compare);
	f->events = n;
	f->p50 = n ? v[n / 2] : 0;
	f->p99 = n ? v[n * 99 / 100] : 0;
}

static void stamp(void)
{
	static int i;
	double now = bench_now_us();

	for (; i < WRITES && stamps[i].wrote && stamps[i].wrote <= now; i++)
		stamps[i].got = now;
}

static void on_readable(uv_poll_t *p, int status, int events)
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

static void run_latency(uv_loop_t *loop, char *path, struct figures *f)
{
	uv_thread_t writer;

	uv_thread_create(&writer, writer_thread, path);
	while (!stamps[WRITES - 1].got)
		uv_run(loop, UV_RUN_ONCE);
	uv_thread_join(&writer);
	latency_figures(f);
}

static void floor_latency(const char *top, struct figures *f, uint32_t mask)
{
	char path[PATH_MAX];
	uv_loop_t loop;
	uv_poll_t poll_handle;
	int ifd = inotify_init1(IN_NONBLOCK);

	snprintf(path, sizeof path, "%s/file", top);
	make_file(path);
	inotify_add_watch(ifd, top, mask);
	uv_loop_init(&loop);
	uv_poll_init(&loop, &poll_handle, ifd);
	poll_handle.data = &ifd;
	uv_poll_start(&poll_handle, UV_READABLE, on_readable);
	run_latency(&loop, path, f);
}

static void floor_one_bit(const char *top, struct figures *f)
{
	floor_latency(top, f, IN_MODIFY);
}

static void floor_all_bits(const char *top, struct figures *f)
{
	floor_latency(top, f, MASK);
}

static void on_event(watcher_watch *watch, const watcher_event *e, void *arg)
{
	(void)watch;
	(void)e;
	(void)arg;
	stamp();
}

static void library_latency(const char *top, struct figures *f)
{
	char path[PATH_MAX];
	watcher_error err;
	uv_loop_t loop;
	watcher *w;

	snprintf(path, sizeof path, "%s/file", top);
	make_file(path);
	uv_loop_init(&loop);
	if (watcher_open(&w, WATCHER(.loop = &loop), &err) < 0 ||
	    watcher_add(w, top, WATCH(.on_modified = on_event), &err) < 0)
		exit(1);
	uv_run(&loop, UV_RUN_NOWAIT);
	run_latency(&loop, path, f);
}

struct pair {
	struct series p50, p99;
};

static void add_pair(struct pair *p, struct figures f)
{
	add(&p->p50, f.p50);
	add(&p->p99, f.p99);
}

int main(void)
{
	struct pair one = { { .n = 0 }, { .n = 0 } }, all = one, ours = one;
	int rounds = bench_rounds(15);

	make_base();
	for (int i = 0; i < rounds; i++) {
		add_pair(&one, in_fresh(floor_one_bit));
		add_pair(&ours, in_fresh(library_latency));
		add_pair(&all, in_fresh(floor_all_bits));
	}
	puts("| write to callback after idle | p50 | p99 | p50, p99 to the first | to the second |\n"
	     "|---|---|---|---|---|");
	printf("| uv_poll on inotify, IN_MODIFY | %.1f us | %.1f us | 1, 1 | |\n", mid(&one.p50),
	       mid(&one.p99));
	printf("| uv_poll on inotify, what a watcher needs | %.1f us | %.1f us | %.2f, %.2f | 1, 1 |\n",
	       mid(&all.p50), mid(&all.p99), to(&all.p50, &one.p50), to(&all.p99, &one.p99));
	printf("| watcher | %.1f us | %.1f us | %.2f, %.2f | %.2f, %.2f |\n", mid(&ours.p50),
	       mid(&ours.p99), to(&ours.p50, &one.p50), to(&ours.p99, &one.p99),
	       to(&ours.p50, &all.p50), to(&ours.p99, &all.p99));
	remove_tree(base);
	return 0;
}
