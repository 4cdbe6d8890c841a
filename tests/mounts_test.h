/*
 * What the tests of mounts share: a watcher in a mount namespace of the test's own making, and a
 * kernel that tells less of mounts than it knows, or has them come and go at a certain moment.
 * Those who include it are linked with its wrappers.
 */
#ifndef TESTS_MOUNTS_TEST_H
#define TESTS_MOUNTS_TEST_H

#include "watch_test.h"

#include <sys/mount.h>
#include <sys/vfs.h>

#include "index_check.h"
#include "own_mounts.h"
#include "watcher/engine.h"
#include "watcher/mount_points.h"

#define NFS_MAGIC 0x6969

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
#define TEST_ON(f, backend) { #f "_" #backend, f, enter, leave, &backend }

static int inotify = WATCHER_BACKEND_INOTIFY, fanotify = WATCHER_BACKEND_FANOTIFY,
	   fsevent = WATCHER_BACKEND_FSEVENT;
static struct told told_of;
static watcher *w;
static char problem[sizeof((watcher_error *)NULL)->message];

/* ---- what the kernel says, or does not ---- */

static bool no_list;
/* What is done, once, right before it is asked whether the list has changed, or it is read. */
static const char *before_asked, *before_listed;
static int lists_read, list_takes_ms;
static const char *silent; /* a directory whose file system does not tell of its changes */

int __real_mount_points_open(void);
int __wrap_mount_points_open(void);
int __real_mount_points_each(int fd, struct bytes *text, void (*one)(void *, const char *),
			     void *arg);
int __wrap_mount_points_each(int fd, struct bytes *text, void (*one)(void *, const char *),
			     void *arg);
int __real_mount_points_changed(int fd);
int __wrap_mount_points_changed(int fd);
int __real_statfs(const char *path, struct statfs *fs);
int __wrap_statfs(const char *path, struct statfs *fs);

static inline void do_now(const char **command)
{
	const char *now = *command;

	*command = NULL;
	if (now)
		assert_int_equal(system(now), 0);
}

int __wrap_mount_points_open(void)
{
	return no_list ? UV_EACCES : __real_mount_points_open();
}

int __wrap_mount_points_changed(int fd)
{
	do_now(&before_asked);
	return __real_mount_points_changed(fd);
}

int __wrap_mount_points_each(int fd, struct bytes *text, void (*one)(void *, const char *),
			     void *arg)
{
	lists_read++;
	do_now(&before_listed);
	usleep((useconds_t)list_takes_ms * 1000);
	return __real_mount_points_each(fd, text, one, arg);
}

int __wrap_statfs(const char *path, struct statfs *fs)
{
	int r = __real_statfs(path, fs);
	size_t len = strlen(path);

	if (r == 0 && silent && fs->f_type != 0 && len >= strlen(silent) &&
	    strcmp(path + len - strlen(silent), silent) == 0)
		fs->f_type = NFS_MAGIC;
	return r;
}

static const char *while_read; /* what is done, once, when a directory has just been read */
static int read_error;	       /* what the next reading comes to; 0: nothing is wrong */

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);

void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	__real_watcher__scan_read(fd, l);
	if (read_error)
		l->error = read_error;
	read_error = 0;
	do_now(&while_read);
}

/* A directory that is mounted over whenever one is opened by a path that ends like this, so many
 * times: for just as long, so that no list of mounts ever has it. */
static const char *over_while[2];
static char over[100], over_with[100]; /* a thread that reads stands elsewhere */
static int over_times;

int __real_watcher__scan_open(const char *path, bool follow);
int __wrap_watcher__scan_open(const char *path, bool follow);

static inline bool ends_like(const char *path, const char *end)
{
	size_t len = strlen(path), n = end ? strlen(end) : 0;

	return n && len >= n && strcmp(path + len - n, end) == 0;
}

int __wrap_watcher__scan_open(const char *path, bool follow)
{
	bool now = over_times && (ends_like(path, over_while[0]) || ends_like(path, over_while[1]));
	int fd;

	over_times -= now;
	if (now)
		assert_int_equal(mount(over_with, over, NULL, MS_BIND, NULL), 0);
	fd = __real_watcher__scan_open(path, follow);
	if (now)
		assert_int_equal(umount2(over, MNT_DETACH), 0);
	return fd;
}

static const char *before_look; /* what is done, once, before everything is looked at */

void __real_watcher__look_everywhere(watcher *of, int64_t since_ns);
void __wrap_watcher__look_everywhere(watcher *of, int64_t since_ns);

void __wrap_watcher__look_everywhere(watcher *of, int64_t since_ns)
{
	do_now(&before_look);
	__real_watcher__look_everywhere(of, since_ns);
}

/* ---- what the tests do ---- */

static inline int enter(void **state)
{
	no_list = false;
	read_error = 0;
	while_read = before_asked = before_listed = before_look = NULL;
	over_while[0] = over_while[1] = NULL;
	over_times = 0;
	list_takes_ms = 0;
	silent = NULL;
	problem[0] = '\0';
	told(&told_of);
	return watch_test_enter(state);
}

static inline int leave(void **state)
{
	watcher_close(w);
	w = NULL;
	no_list = false;
	own_mounts_end(watch_test_top);
	return watch_test_leave(state);
}

static inline void on_problem(watcher *of, const char *path, const watcher_error *err, void *arg)
{
	(void)of;
	(void)path;
	(void)arg;
	snprintf(problem, sizeof problem, "%s", err->message);
}

static inline void begin_with(int backend, const char *root)
{
	if (!own_mounts())
		skip();
	w = open_with(WATCHER(.backend = backend, .on_problem = on_problem,
			      .poll_interval_ms = 3600000));
	add_with(w, root,
		 WATCH(.on_batch = on_told, .arg = &told_of,
		       .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED | WATCHER_MODIFIED));
	sync_watcher(w);
}

static inline void begin(const char *before)
{
	if (!own_mounts())
		skip();
	assert_int_equal(system(before), 0);
	begin_with(WATCHER_BACKEND_INOTIFY, "in");
}

static inline void check_index(void)
{
	char text[4000];

	if (index_check(w, text, sizeof text))
		fail_msg("the index is not what there is:\n%s", text);
}

/* What a command makes the watcher tell. */
static inline const char *after(const char *command)
{
	assert_int_equal(system(command), 0);
	sync_watcher(w);
	check_index();
	return told(&told_of);
}

static inline int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The same, sorted: what a listing names comes in any order. */
static inline const char *sorted_after(const char *command)
{
	static char text[sizeof told_of.text];
	char *all[100], *at, *rest = (char *)(uintptr_t)after(command);
	size_t n = 0;

	while (*rest && n < COUNT(all)) {
		all[n++] = rest;
		at = strstr(rest, ", ");
		rest = at ? at + 2 : rest + strlen(rest);
		if (at)
			*at = '\0';
	}
	qsort(all, n, sizeof *all, by_text);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		sprintf(text + strlen(text), "%s%s", i ? ", " : "", all[i]);
	return text;
}

#endif
