/*
 * The least a program can do that prints what happens below a directory, for comparison with
 * programs that do more: stream_floor inotify DIR crawls and watches, reads directories that
 * appear, and follows renames of none; stream_floor fanotify DIR marks the file system and asks
 * for the path of each directory once; stream_floor watcher DIR is a program on the library.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/fanotify.h>

#include "watch_floor.h"

/* ---- inotify ---- */

static char **paths; /* by watch number */
static int npaths;

static void remember(int wd, const char *path)
{
	if (wd >= npaths) {
		int n = npaths ? npaths * 2 : 1024;

		while (n <= wd)
			n *= 2;
		if (!(paths = realloc(paths, (size_t)n * sizeof *paths)))
			bench_die("realloc");
		memset(paths + npaths, 0, (size_t)(n - npaths) * sizeof *paths);
		npaths = n;
	}
	if (!paths[wd])
		paths[wd] = strdup(path);
}

/* `news`: what is in it is told of. */
static void crawl(int ifd, char *path, size_t len, bool news)
{
	char buf[32768] __attribute__((aligned(8)));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), wd;
	long n;

	if (fd < 0)
		return;
	if ((wd = inotify_add_watch(ifd, path, MASK & ~(unsigned)IN_CLOSE_WRITE)) >= 0)
		remember(wd, path);
	while ((n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
		for (long at = 0; at < n;) {
			struct linux_dirent *e = (void *)(buf + at);
			size_t sub;

			at += e->reclen;
			if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
				continue;
			sub = len + (size_t)snprintf(path + len, PATH_MAX - len, "/%s", e->name);
			if (news)
				puts(path);
			if (e->type == DT_DIR)
				crawl(ifd, path, sub, news);
			path[len] = '\0';
		}
	close(fd);
}

static void stream_inotify(const char *top)
{
	static char buf[65536] __attribute__((aligned(8)));
	int ifd = inotify_init1(IN_CLOEXEC);
	char path[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof path, "%s", top);
	crawl(ifd, path, strlen(path), false);
	while ((n = read(ifd, buf, sizeof buf)) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);
			int len;

			at += (ssize_t)(sizeof *e + e->len);
			if (e->wd < 0 || !e->len || !paths[e->wd])
				continue;
			len = snprintf(path, sizeof path, "%s/%s", paths[e->wd], e->name);
			printf("%x %s\n", e->mask, path);
			if (e->mask & IN_ISDIR && e->mask & (IN_CREATE | IN_MOVED_TO))
				crawl(ifd, path, (size_t)len, true);
		}
		fflush(stdout);
	}
}

/* ---- fanotify ---- */

enum { DIRS_KNOWN = 4096 };

static struct known {
	unsigned char handle[64];
	size_t len;
	char *path;
} known[DIRS_KNOWN];

static const char *path_of(int mount, struct file_handle *h, size_t len)
{
	unsigned hash = 0;
	struct known *k;
	char link[64], path[PATH_MAX];
	ssize_t n;
	int fd;

	for (size_t i = 0; i < len; i++)
		hash = hash * 31 + ((unsigned char *)h)[i];
	k = &known[hash % DIRS_KNOWN];
	if (k->path && k->len == len && memcmp(k->handle, h, len) == 0)
		return k->path;
	if ((fd = open_by_handle_at(mount, h, O_PATH)) < 0)
		return NULL;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	close(fd);
	if (n < 0 || len > sizeof k->handle)
		return NULL;
	path[n] = '\0';
	free(k->path);
	memcpy(k->handle, h, len);
	k->len = len;
	return k->path = strdup(path);
}

static void stream_fanotify(const char *top)
{
	static char buf[262144] __attribute__((aligned(8)));
	int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_QUEUE, O_RDONLY),
	    mount = open(top, O_RDONLY | O_DIRECTORY);
	size_t top_len = strlen(top);
	ssize_t n;

	if (fan < 0 || fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				     FAN_CREATE | FAN_DELETE | FAN_MODIFY | FAN_MOVED_FROM |
					 FAN_MOVED_TO | FAN_ONDIR, AT_FDCWD, top) < 0)
		bench_die("fanotify");
	while ((n = read(fan, buf, sizeof buf)) > 0) {
		struct fanotify_event_metadata *e = (void *)buf;

		for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			struct fanotify_event_info_fid *fid = (void *)(e + 1);
			struct file_handle *h = (void *)fid->handle;
			const char *path;

			if (e->event_len <= sizeof *e)
				continue;
			path = path_of(mount, h, sizeof *h + h->handle_bytes);
			if (path && strncmp(path, top, top_len) == 0)
				printf("%llx %s/%s\n", (unsigned long long)e->mask, path,
				       (const char *)h->f_handle + h->handle_bytes);
		}
		fflush(stdout);
	}
}

/* ---- the library ---- */

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	watcher_event e;

	(void)watch;
	(void)arg;
	while (watcher_batch_next(batch, &e))
		printf("%s %s\n", watcher_kind_name(e.kind), e.dest ? e.dest : e.path);
	fflush(stdout);
}

static void stream_watcher(const char *top)
{
	watcher_error err;
	watcher *w;

	if (watcher_open(&w, WATCHER(0), &err) < 0 ||
	    watcher_add(w, top, WATCH(.on_batch = on_batch), &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
	watcher_run(w);
}

int main(int argc, char **argv)
{
	(void)base;
	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOFBF, 65536);
	if (strcmp(argv[1], "inotify") == 0)
		stream_inotify(argv[2]);
	else if (strcmp(argv[1], "fanotify") == 0)
		stream_fanotify(argv[2]);
	else
		stream_watcher(argv[2]);
	return 1;
}
