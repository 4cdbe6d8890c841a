/*
 * What fanotify's news of the rest of a file system cost: events in directories that nobody
 * watches, against a program that reads and counts them. The queue is full before it is read:
 * wake-ups do not count. Rounds are interleaved.
 */
#include <sys/fanotify.h>

#include "watch_floor.h"

enum { EVENTS = 100000 };

static int dirs; /* in which they happen */

static void make_dirs(const char *top)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/in", top);
	mkdir(path, 0755);
	for (int i = 0; i < dirs; i++) {
		snprintf(path, sizeof path, "%s/out%d", top, i);
		mkdir(path, 0755);
	}
}

static void make_events(const char *top)
{
	char path[PATH_MAX];

	for (int i = 0; i < EVENTS; i++) {
		snprintf(path, sizeof path, "%s/out%d/f%d", top, i % dirs, i);
		if (mknod(path, S_IFREG | 0644, 0) < 0)
			bench_die(path);
	}
}

static void read_floor(const char *top, struct figures *f)
{
	static char buf[256 * 1024] __attribute__((aligned(8)));
	struct fanotify_event_metadata e;
	double start;
	ssize_t n;
	int fd;

	make_dirs(top);
	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME_TARGET | FAN_UNLIMITED_QUEUE |
			       FAN_NONBLOCK,
			   O_RDONLY);
	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				    FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_MODIFY | FAN_ATTRIB |
					FAN_ONDIR,
				    AT_FDCWD, top) < 0)
		return;
	make_events(top);
	start = bench_now_us();
	while ((n = read(fd, buf, sizeof buf)) > 0)
		for (ssize_t at = 0; at < n; at += e.event_len) {
			memcpy(&e, buf + at, sizeof e);
			f->events++;
		}
	f->ms = (bench_now_us() - start) / 1e3;
}

static void sync_use(struct use *u)
{
	u->synced = false;
	watcher_sync(u->w, on_use_sync);
	while (!u->synced)
		uv_run(&u->loop, UV_RUN_ONCE);
}

static void read_library(const char *top, struct figures *f)
{
	char in[PATH_MAX];
	double start;
	struct use u;

	make_dirs(top);
	snprintf(in, sizeof in, "%s/in", top);
	use_open(&u, in, WATCHER(.backend = WATCHER_BACKEND_FANOTIFY), *WATCH(0));
	sync_use(&u); /* the tree is read */
	make_events(top);
	start = bench_now_us();
	sync_use(&u);
	f->ms = (bench_now_us() - start) / 1e3;
	f->rss_mib = rss_mib();
	f->events = (double)u.events;
}

static void table(int in_dirs)
{
	struct series floor = { .n = 0 }, ours = floor;
	struct figures f = { 0 }, bare = { 0 };
	int rounds = bench_rounds(7);

	dirs = in_dirs;
	for (int i = 0; i < rounds; i++) {
		bare = in_fresh(read_floor);
		add(&floor, bare.ms);
		f = in_fresh(read_library);
		add(&ours, f.ms);
	}
	printf("| %.0f events in %d directories elsewhere: bare fanotify, reading them | %.1f ms | 1 | %.0f ns each |\n",
	       bare.events, dirs, mid(&floor), mid(&floor) * 1e6 / EVENTS);
	printf("| ... fanotify backend, which tells of %.0f | %.1f ms | %.2f | RSS %.1f MiB |\n",
	       f.events, mid(&ours), to(&ours, &floor), f.rss_mib);
}

int main(void)
{
	if (getuid() != 0) {
		puts("fanotify needs root");
		return 0;
	}
	make_base();
	puts("| what | value | ratio | |\n|---|---|---|---|");
	table(5000);
	table(10);
	remove_tree(base);
	return 0;
}
