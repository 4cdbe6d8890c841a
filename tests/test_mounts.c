/*
 * What is mounted over what is watched, and unmounted again: told by the difference. Each test is
 * in a mount namespace of its own making, so nobody else sees any of it.
 * link: -Wl,--wrap=mount_points_open,--wrap=mount_points_each,--wrap=mount_points_changed,--wrap=statfs,--wrap=watcher__scan_read,--wrap=watcher__scan_open,--wrap=watcher__look_everywhere
 */
#include "watch_test.h"

#include <sys/mount.h>
#include <sys/vfs.h>

#include "index_check.h"
#include "own_mounts.h"
#include "watcher/engine.h"
#include "watcher/mount_points.h"

#define NFS_MAGIC 0x6969

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

static void do_now(const char **command)
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

static bool ends_like(const char *path, const char *end)
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

/* ---- what the tests share ---- */

static int enter(void **state)
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

static int leave(void **state)
{
	watcher_close(w);
	w = NULL;
	no_list = false;
	own_mounts_end(watch_test_top);
	return watch_test_leave(state);
}

static void on_problem(watcher *of, const char *path, const watcher_error *err, void *arg)
{
	(void)of;
	(void)path;
	(void)arg;
	snprintf(problem, sizeof problem, "%s", err->message);
}

static void begin_with(int backend, const char *root)
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

static void begin(const char *before)
{
	if (!own_mounts())
		skip();
	assert_int_equal(system(before), 0);
	begin_with(WATCHER_BACKEND_INOTIFY, "in");
}

static void check_index(void)
{
	char text[4000];

	if (index_check(w, text, sizeof text))
		fail_msg("the index is not what there is:\n%s", text);
}

/* What a command makes the watcher tell. */
static const char *after(const char *command)
{
	assert_int_equal(system(command), 0);
	sync_watcher(w);
	check_index();
	return told(&told_of);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The same, sorted: what a listing names comes in any order. */
static const char *sorted_after(const char *command)
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

/* ---- over a directory ---- */

static void test_mounts_bind_is_told_by_the_difference(void **state)
{
	(void)state;
	begin("mkdir -p in/d out; echo > in/d/a; echo > in/d/b; echo > out/b; echo > out/c");
	assert_string_equal(sorted_after("mount --bind out in/d"),
			    "created in/d/c, deleted in/d/a, modified in/d/b");
	assert_string_equal(after("echo > out/e"), "created in/d/e, modified in/d/e");
	assert_string_equal(sorted_after("umount in/d"),
			    "created in/d/a, deleted in/d/c, deleted in/d/e, modified in/d/b");
	assert_string_equal(after("echo x > in/d/a; echo x > out/c"), "modified in/d/a");
}

/* Same device number, same inode numbers: another directory all the same. */
static void test_mounts_one_memory_after_another(void **state)
{
	(void)state;
	begin("mkdir -p in/d; mount -t tmpfs none in/d; mkdir in/d/s; echo > in/d/s/a");
	assert_string_equal(sorted_after("umount in/d; mount -t tmpfs none in/d; mkdir in/d/s; "
					 "echo > in/d/s/b"),
			    "created in/d/s, created in/d/s/b, deleted in/d/s, deleted in/d/s/a");
	assert_string_equal(after("echo > in/d/s/c"), "created in/d/s/c, modified in/d/s/c");
	assert_string_equal(sorted_after("umount -l in/d"),
			    "deleted in/d/s, deleted in/d/s/b, deleted in/d/s/c");
}

/* It is not known from what it is like: that it is another must not be forgotten. */
static void test_mounts_one_memory_after_another_in_vain(void **state)
{
	if (!own_mounts() || (*(int *)*state == WATCHER_BACKEND_FANOTIFY && getuid() != 0))
		skip();
	assert_int_equal(system("mkdir -p in/d; mount -t tmpfs none in/d; echo > in/d/a"), 0);
	begin_with(*(int *)*state, "in");
	read_error = UV_EMFILE;
	assert_string_equal(after("umount in/d; mount -t tmpfs none in/d; echo x > in/d/a"),
			    "modified in/d/a");
	assert_int_equal(read_error, 0);
	assert_string_equal(after("mkdir in/d/c"), "created in/d/c");
}

static void test_mounts_in_a_mount(void **state)
{
	(void)state;
	begin("mkdir -p in/d; mount -t tmpfs none in/d; mkdir in/d/s; echo > in/d/s/a");
	assert_string_equal(sorted_after("mount -t tmpfs none in/d/s; echo > in/d/s/b"),
			    "created in/d/s/b, deleted in/d/s/a");
	assert_string_equal(after("echo > in/d/s/c"), "created in/d/s/c, modified in/d/s/c");
	assert_string_equal(sorted_after("mount -t tmpfs none in/d"),
			    "deleted in/d/s, deleted in/d/s/b, deleted in/d/s/c");
	assert_string_equal(sorted_after("umount in/d"),
			    "created in/d/s, created in/d/s/b, created in/d/s/c");
	assert_string_equal(sorted_after("umount -l in/d"),
			    "deleted in/d/s, deleted in/d/s/b, deleted in/d/s/c");
}

static void test_mounts_that_move(void **state)
{
	(void)state;
	begin("mkdir -p in/d in/e; mount -t tmpfs none in/d; echo > in/d/a");
	assert_string_equal(sorted_after("mount --move in/d in/e"), "created in/e/a, deleted in/d/a");
	assert_string_equal(after("echo x > in/e/a; mv in/e/a in/e/b"),
			    "modified in/e/a, moved in/e/a in/e/b");
	/* The way there is renamed, of which no list of mounts tells. */
	assert_string_equal(sorted_after("mkdir -p in/up/m; mount -t tmpfs none in/up/m; "
					 "echo > in/up/m/a"),
			    "created in/up, created in/up/m, created in/up/m/a");
	assert_string_equal(sorted_after("mv in/up in/to"),
			    "moved in/up in/to, moved in/up/m in/to/m, moved in/up/m/a in/to/m/a");
	assert_string_equal(after("umount in/to/m"), "deleted in/to/m/a");
}

static void test_mounts_over_odd_names(void **state)
{
	(void)state;
	begin("mkdir -p 'in/a b\\c' \"in/$(printf 'x\\ny')\" out; echo > out/f");
	assert_string_equal(after("mount -n --bind out 'in/a b\\c'"), "created in/a b\\c/f");
	assert_string_equal(sorted_after("umount -n 'in/a b\\c'; mount -n --bind out in/x*"),
			    "created in/x\ny/f, deleted in/a b\\c/f");
}

/* ---- a directory at two places ---- */

/* Told of at one of the two; at the other, when that is the only one. */
static void test_mounts_of_what_is_watched(void **state)
{
	(void)state;
	begin("mkdir -p in/a in/b; echo > in/a/f; echo > in/b/g");
	assert_string_equal(after("mount --bind in/a in/b"), "deleted in/b/g");
	assert_string_equal(after("echo > in/b/h"), "created in/a/h, modified in/a/h");
	assert_string_equal(sorted_after("mount -t tmpfs none in/a"),
			    "created in/b/f, created in/b/h, deleted in/a/f, deleted in/a/h");
	assert_string_equal(after("echo > in/b/i"), "created in/b/i, modified in/b/i");
	assert_string_equal(sorted_after("umount in/b"),
			    "created in/b/g, deleted in/b/f, deleted in/b/h, deleted in/b/i");
}

/* ---- over a file ---- */

static void test_mounts_over_a_file(void **state)
{
	(void)state;
	begin("mkdir in; echo > in/f; echo > in/g; echo > other; mount --bind other in/g");
	assert_string_equal(after("mount --bind other in/f"), "modified in/f");
	assert_string_equal(after("mkdir x; mount -t tmpfs none x; umount x"), "");
	assert_string_equal(after("umount in/f"), "modified in/f");
	assert_string_equal(after("umount in/g"), "modified in/g");
}

/* ---- over a root, or the way to it ---- */

static void test_mounts_over_a_root(void **state)
{
	(void)state;
	begin("mkdir -p up/in other; ln -s up/in in; echo > in/a; echo > other/b");
	assert_string_equal(after("mount --bind other up/in"),
			    "deleted in/a, deleted in, created in, created in/b");
	assert_string_equal(after("echo > other/c"), "created in/c, modified in/c");
	assert_string_equal(after("rm other/c; umount up/in"),
			    "deleted in/c, deleted in/b, deleted in, created in, created in/a");
	assert_string_equal(after("mount -t tmpfs none up"), "deleted in/a, deleted in");
	assert_string_equal(problem, "in: gone; waiting for it to come back");
	assert_string_equal(after("mkdir up/in; echo > up/in/d"), "created in, created in/d");
	assert_string_equal(after("umount -l up"),
			    "deleted in/d, deleted in, created in, created in/a");
}

/* ---- what it costs, and where it is not to be had ---- */

static bool was_read(void *before)
{
	return lists_read > *(int *)before;
}

/* However often others mount something: reading the list takes a twentieth of the time. */
static void test_mounts_elsewhere_cost_little(void **state)
{
	uint64_t start, spent;
	int before;

	(void)state;
	begin("mkdir -p in x");
	list_takes_ms = 10;
	before = lists_read;
	start = uv_hrtime();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(mount("none", "x", "tmpfs", 0, NULL), 0);
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
		assert_int_equal(umount("x"), 0);
		uv_run(watcher_loop(w), UV_RUN_NOWAIT);
	}
	turn_until(watcher_loop(w), was_read, &before); /* what was put off is not forgotten */
	spent = (uv_hrtime() - start) / 1000000;
	assert_true((uint64_t)(lists_read - before) <= spent / (20 * 10) + 1);
	sync_watcher(w);
	assert_string_equal(told(&told_of), "");
}

static void test_mounts_without_a_list(void **state)
{
	(void)state;
	no_list = true;
	begin("mkdir -p in/d out; echo > in/d/a; echo > out/b");
	assert_int_equal(system("mount --bind out in/d"), 0);
	sync_watcher(w);
	assert_string_equal(told(&told_of), "");
	assert_string_equal(problem, "");
	assert_int_equal(system("umount in/d"), 0);
	assert_string_equal(after("echo > in/d/c"), "created in/d/c, modified in/d/c");
}

static uint64_t polled(void)
{
	watcher_stats_t stats;

	watcher_stats(w, &stats, sizeof stats);
	return stats.polled_directories;
}

static void test_mounts_that_tell_nothing_are_polled(void **state)
{
	(void)state;
	if (!own_mounts())
		skip();
	silent = "/net";
	assert_int_equal(system("mkdir -p in/a/net in/b/net/s; mount -t tmpfs none in/a/net; "
				"mkdir in/a/net/s in/c"), 0);
	begin_with(WATCHER_BACKEND_AUTO, "in");
	assert_int_equal(polled(), 2);
	assert_string_equal(sorted_after("echo > in/a/net/s/f; echo > in/c/f"),
			    "created in/a/net/s/f, created in/c/f, modified in/c/f");
	assert_string_equal(after("mount -t tmpfs none in/b/net"), "deleted in/b/net/s");
	assert_int_equal(polled(), 3);
	assert_string_equal(after("echo > in/b/net/g"), "created in/b/net/g");
	assert_string_equal(sorted_after("umount in/b/net"),
			    "created in/b/net/s, deleted in/b/net/g");
	assert_int_equal(polled(), 2);
	assert_string_equal(sorted_after("umount in/a/net"),
			    "deleted in/a/net/s, deleted in/a/net/s/f");
	assert_int_equal(polled(), 0);
	assert_string_equal(after("echo > in/b/net/s/x"), "created in/b/net/s/x, modified in/b/net/s/x");
}

/* A directory is found where it is mounted, too, while what it is in moves: it is not where it was
 * just then, but has not moved to the mount. */
static void test_mounts_are_no_moves(void **state)
{
	const char *all;

	(void)state;
	begin("mkdir -p in/p/d; echo > in/p/d/f");
	while_read = "mv in/p in/q";
	all = after("mkdir -p in/n/m; mount --bind in/p/d in/n/m");
	assert_null(while_read);
	check_index();
	assert_null(strstr(all, "moved in/p/d in/n/m"));
	assert_null(strstr(all, "moved in/q/d in/n/m"));
	assert_non_null(strstr(all, "moved in/p in/q"));
	assert_string_equal(after("umount in/n/m; echo > in/q/d/g"), "created in/q/d/g, modified in/q/d/g");
}

/* The list names what is mounted by the name that the way there has got meanwhile. */
static void test_mounts_whose_way_is_renamed(void **state)
{
	(void)state;
	begin("mkdir -p in/up/m in/other/m; echo > in/f");
	before_listed = "mv in/up in/to";
	assert_string_equal(sorted_after("mount -t tmpfs none in/up/m; echo > in/up/m/a"),
			    "created in/to/m/a, moved in/up in/to, moved in/up/m in/to/m");
	assert_string_equal(after("umount in/to/m"), "deleted in/to/m/a");
	before_listed = "mv in/other in/up; mv in/to in/other";
	assert_string_equal(sorted_after("mount -t tmpfs none in/to/m; echo > in/to/m/b"),
			    "created in/other/m/b, moved in/other in/up, moved in/other/m in/up/m, "
			    "moved in/to in/other, moved in/to/m in/other/m");
	assert_string_equal(after("umount in/other/m"), "deleted in/other/m/b");
}

/* A file that the list has before the index does. */
static void test_mounts_over_a_file_not_yet_known(void **state)
{
	(void)state;
	begin("mkdir in; echo > other");
	before_asked = "touch in/f; mount --bind other in/f";
	sync_watcher(w);
	assert_null(before_asked);
	after("true");
	assert_string_equal(after("umount in/f"), "modified in/f");
}

/* What is mounted has not moved to where it is mounted, too, when its own place is mounted over: the
 * directory there is where it was, and is not to be seen. */
static void test_mounts_hidden_by_others(void **state)
{
	(void)state;
	begin("mkdir -p in/c/m in/n in/t out; echo > out/f; mount --bind out in/c/m");
	assert_string_equal(sorted_after("mount --bind out in/n; mount --bind in/t in/c"),
			    "created in/n/f, deleted in/c/m, deleted in/c/m/f");
	assert_string_equal(after("umount in/n"), "deleted in/n/f");
	assert_string_equal(sorted_after("umount in/c"), "created in/c/m, created in/c/m/f");
}

/* What it was in is mounted over by what is told of elsewhere, so that it is not told of itself: the
 * move is, all the same (and once more as something new, when it is heard of). */
static void test_mounts_over_where_all_has_moved_from(void **state)
{
	const char *all;

	(void)state;
	begin("mkdir -p in/c/x/s in/t");
	before_look = "mv in/c/x in/y; mount --bind in/t in/c";
	w->gap = true;
	all = after("true");
	assert_null(before_look);
	assert_ptr_equal(strstr(all, "moved in/c/x in/y, moved in/c/x/s in/y/s"), all);
	assert_string_equal(after("umount in/c; touch in/c/f"), "created in/c/f");
}

/* What is above a directory is mounted over, while that is looked at by its path, and no longer: there
 * is nothing to be told, and nothing that the list of mounts would tell later. What is mounted has
 * the same inode numbers. */
static void make_two_alike(const int *backend)
{
	if (!own_mounts())
		skip();
	if (*backend == WATCHER_BACKEND_FANOTIFY && getuid() != 0)
		skip();
	assert_int_equal(system("mkdir in other; mount -t tmpfs none in; mount -t tmpfs none other; "
				"mkdir -p in/c/a/s/f in/c/a/f other/x/a/s/g other/x/a/g"), 0);
	snprintf(over, sizeof over, "%s/in/c", watch_test_top);
	snprintf(over_with, sizeof over_with, "%s/other/x", watch_test_top);
	over_while[0] = "/in/c/a";
}

static void check_all_is_known(void)
{
	assert_int_equal(over_times, 0);
	assert_string_equal(told(&told_of), "");
	check_index();
	assert_string_equal(sorted_after("mkdir in/c/a/h; rmdir in/c/a/s/f"),
			    "created in/c/a/h, deleted in/c/a/s/f");
}

static void test_mounts_above_that_nobody_hears_of(void **state)
{
	make_two_alike(*state);
	begin_with(*(int *)*state, "in");
	over_times = 1;
	w->gap = true; /* so that everything is looked at */
	sync_watcher(w);
	check_all_is_known();
}

static void test_mounts_above_that_come_again(void **state)
{
	make_two_alike(*state);
	begin_with(*(int *)*state, "in");
	over_while[1] = "/in/c";
	over_times = 3; /* in/c itself, in/c/a, and in/c once more, to open that in it */
	w->gap = true;
	sync_watcher(w);
	check_all_is_known();
}

static void test_mounts_above_while_all_is_read(void **state)
{
	make_two_alike(*state);
	assert_int_equal(system("for i in 1 2 3 4 5 6 7 8 9; do mkdir in/$i in/c/$i; done"), 0);
	over_times = 1;
	begin_with(*(int *)*state, "in");
	check_all_is_known();
}

/* No mount has come, nor the end of one: a directory has, and in it a file that is mounted over. */
static void test_mounts_over_a_file_that_is_moved_in(void **state)
{
	if (!own_mounts())
		skip();
	if (*(int *)*state == WATCHER_BACKEND_FANOTIFY && getuid() != 0)
		skip();
	assert_int_equal(system("mkdir -p in out/d/e; echo > other; echo > out/d/e/f; "
				"mount --bind other out/d/e/f"), 0);
	begin_with(*(int *)*state, "in");
	assert_string_equal(after("mv out/d in/d"), "created in/d, created in/d/e, created in/d/e/f");
	assert_string_equal(after("mv in/d in/c"),
			    "moved in/d in/c, moved in/d/e in/c/e, moved in/d/e/f in/c/e/f");
	assert_string_equal(after("umount in/c/e/f"), "modified in/c/e/f");
}

static int inotify = WATCHER_BACKEND_INOTIFY, fanotify = WATCHER_BACKEND_FANOTIFY,
	   fsevent = WATCHER_BACKEND_FSEVENT;

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
#define TEST_ON(f, backend) { #f "_" #backend, f, enter, leave, &backend }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mounts_bind_is_told_by_the_difference),
		TEST(test_mounts_one_memory_after_another),
		TEST_ON(test_mounts_one_memory_after_another_in_vain, inotify),
		TEST_ON(test_mounts_one_memory_after_another_in_vain, fanotify),
		TEST_ON(test_mounts_one_memory_after_another_in_vain, fsevent),
		TEST(test_mounts_in_a_mount),
		TEST(test_mounts_that_move),
		TEST(test_mounts_over_odd_names),
		TEST(test_mounts_of_what_is_watched),
		TEST(test_mounts_over_a_file),
		TEST(test_mounts_over_a_root),
		TEST(test_mounts_elsewhere_cost_little),
		TEST(test_mounts_without_a_list),
		TEST(test_mounts_that_tell_nothing_are_polled),
		TEST(test_mounts_are_no_moves),
		TEST(test_mounts_whose_way_is_renamed),
		TEST(test_mounts_over_a_file_not_yet_known),
		TEST(test_mounts_hidden_by_others),
		TEST(test_mounts_over_where_all_has_moved_from),
		TEST_ON(test_mounts_over_a_file_that_is_moved_in, inotify),
		TEST_ON(test_mounts_over_a_file_that_is_moved_in, fanotify),
		TEST_ON(test_mounts_over_a_file_that_is_moved_in, fsevent),
		TEST_ON(test_mounts_above_that_nobody_hears_of, inotify),
		TEST_ON(test_mounts_above_that_nobody_hears_of, fanotify),
		TEST_ON(test_mounts_above_that_nobody_hears_of, fsevent),
		TEST_ON(test_mounts_above_that_come_again, inotify),
		TEST_ON(test_mounts_above_that_come_again, fanotify),
		TEST_ON(test_mounts_above_that_come_again, fsevent),
		TEST_ON(test_mounts_above_while_all_is_read, inotify),
		TEST_ON(test_mounts_above_while_all_is_read, fanotify),
		TEST_ON(test_mounts_above_while_all_is_read, fsevent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
