/*
 * The fanotify backend, which reads a tree after it has told that it is ready: changes that came
 * before. What operations give which events is in the scenario table, random ones are in
 * test_replay, and what fails in test_watcher_faults.
 * link: -Wl,--wrap=watcher__scan_read,--wrap=syscall,--wrap=uv_hrtime
 */
#include "fanotify_test.h"

#include <sys/resource.h>
#include <sys/syscall.h>

/* The second record of an exchange is about the directory, which is nowhere by then. */
static void test_exchanged_before_it_was_read(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755), 0);
	put("in/d/x", "");
	put("in/f", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/f", AT_FDCWD, "in/d", 2), 0);
	sync_watcher(w);
	check_index();
	assert_non_null(strstr(news.text, "moved in/f in/d"));
	assert_non_null(strstr(news.text, "in/f/x"));
}

/* Made and gone at once, which the kernel says without an order: the directory is read again,
 * before what it tells next, which is then in what was read. Of a file that took another's name the
 * reading sees nothing where it does not know the inode of the first. */
static void test_taken_over_before_it_was_read_again(void **state)
{
	(void)state;
	needs_root();
	put("in/kept", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	put("in/a", "");
	put("in/b", "");
	sync_watcher(w);
	news.text[0] = '\0';
	put("in/lock", "");
	assert_int_equal(unlink("in/lock"), 0);
	put("in/new", "new");
	assert_int_equal(link("in/new", "in/link"), 0);
	assert_int_equal(rename("in/new", "in/a"), 0);
	assert_int_equal(unlink("in/b"), 0);
	assert_int_equal(link("in/link", "in/b"), 0);
	sync_watcher(w);
	check_index();
	assert_true(strstr(news.text, "modified in/a") || strstr(news.text, "moved in/new in/a"));
	assert_true(strstr(news.text, "modified in/b") || strstr(news.text, "created in/b"));
	assert_null(strstr(news.text, "in/kept"));
}

static void on_end(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* A change waits for a directory that cannot be read for want of descriptors. */
static void test_waits_without_turning(void **state)
{
	struct rlimit was, few;
	bool over = false;
	uv_timer_t timer;
	int turns = 0;

	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	put("in/d/x", "");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = (struct rlimit){ .rlim_cur = 3, .rlim_max = was.rlim_max };
	uv_timer_init(watcher_loop(w), &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_end, 400, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (!over) {
		uv_run(watcher_loop(w), UV_RUN_ONCE);
		turns++;
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	uv_close((uv_handle_t *)&timer, NULL);
	assert_string_equal(news.text, "");
	sync_watcher(w);
	assert_string_equal(news.text, "created in/d/x");
	check_index();
	if (turns > 2000) /* it is asked again every 50 ms, and when something comes */
		fail_msg("%d turns of the loop in 400 ms", turns);
}

/* Directories are opened by their handles while others move; each file system has its own. */
static void test_a_file_system_below_the_root(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/a", 0755), 0);
	assert_int_equal(mkdir("in/m", 0755), 0);
	if (mount("none", "in/m", "tmpfs", 0, NULL) < 0) {
		print_message("# skipped: no mount\n");
		skip();
	}
	assert_int_equal(mkdir("in/m/d", 0755), 0);
	put("in/m/d/f", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	assert_int_equal(rename("in/a", "in/c"), 0);
	sync_watcher(w);
	assert_string_equal(news.text, "moved in/a in/c");
	check_index();
	assert_int_equal(unlink("in/m/d/f"), 0);
	sync_watcher(w);
	assert_string_equal(news.text, "moved in/a in/c, deleted in/m/d/f");
	assert_int_equal(umount2("in/m", MNT_DETACH), 0);
}

static uint64_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

/* The directory above is read when all this has happened, and has one of that number at that
 * name, as before; of the end of the first the kernel says only that its link count is another. */
static void test_another_directory_in_the_same_inode(void **state)
{
	char name[32] = "in/a";
	bool same = false;
	uint64_t ino;

	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/a", 0755), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	ino = inode_of("in/a");
	put("in/both", "");
	assert_int_equal(unlink("in/both"), 0);
	assert_int_equal(mkdir("in/b", 0755), 0);
	assert_int_equal(rename("in/b", "in/a"), 0);
	assert_int_equal(rename("in/a", "in/b"), 0);
	for (int i = 0; i < 64 && !same; i++) {
		if (i)
			snprintf(name, sizeof name, "in/a%d", i);
		assert_int_equal(mkdir(name, 0755), 0);
		same = inode_of(name) == ino;
	}
	if (same && strcmp(name, "in/a") != 0) { /* else somebody else has got the number */
		assert_int_equal(rmdir("in/a"), 0);
		assert_int_equal(rename(name, "in/a"), 0);
	}
	put("in/a/x", "");
	news.text[0] = '\0';
	sync_watcher(w);
	check_index();
	assert_non_null(strstr(news.text, "created in/a/x"));
}

static void (*while_read)(void); /* done once, when a directory has just been read */
static int times_read;

void __real_watcher__scan_read(int fd, struct listing *l);
void __wrap_watcher__scan_read(int fd, struct listing *l);

void __wrap_watcher__scan_read(int fd, struct listing *l)
{
	void (*now)(void) = while_read;

	__real_watcher__scan_read(fd, l);
	times_read++;
	while_read = NULL;
	if (now)
		now();
}

static void exchange_and_move(void)
{
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, "in/c", AT_FDCWD, "in/d", 2), 0);
	assert_int_equal(rename("in/c/y", "in/c/z"), 0);
}

/* Names that have been to and fro are looked at again, which may be between the two halves of an
 * exchange: the directory that the second moves is found where it is going. */
static void look_between_the_halves(void)
{
	assert_int_equal(mkdir("in/c", 0755) | mkdir("in/d", 0755), 0);
	put("in/c/x", "");
	put("in/d/y", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	assert_int_equal(rename("in/d", "in/t"), 0);
	assert_int_equal(rename("in/t", "in/d"), 0);
	while_read = exchange_and_move;
	sync_watcher(w);
	assert_null(while_read);
	check_index();
}

static void test_looks_between_the_halves_of_an_exchange(void **state)
{
	const char *told;

	(void)state;
	needs_root();
	look_between_the_halves();
	told = strstr(news.text, "moved in/c in/d, moved in/c/x in/d/x, ");
	assert_non_null(told);
	assert_non_null(told = strstr(told, "created in/c, created in/c/y"));
	assert_non_null(strstr(told, "moved in/c/y in/c/z"));
	assert_null(strstr(told, "in/x"));
}

/* After that the name is left by what has it. */
static void exchanged_and_left(const char *to, const char *expected)
{
	assert_int_equal(mkdir("in/e", 0755), 0);
	look_between_the_halves();
	news.text[0] = '\0';
	assert_int_equal(rename("in/d", to), 0);
	sync_watcher(w);
	check_index();
	assert_string_equal(news.text, expected);
}

static void test_left_after_such_an_exchange(void **state)
{
	(void)state;
	needs_root();
	exchanged_and_left("in/f", "moved in/d in/f, moved in/d/x in/f/x");
}

static void test_left_onto_another_after_such_an_exchange(void **state)
{
	(void)state;
	needs_root();
	exchanged_and_left("in/e", "moved in/d in/e, moved in/d/x in/e/x");
}

static void test_left_for_good_after_such_an_exchange(void **state)
{
	(void)state;
	needs_root();
	exchanged_and_left("away", "deleted in/d/x, deleted in/d");
}

/* Of one name, many times over. */
static void churn(int n)
{
	for (int i = 0; i < n; i++) {
		put("in/churned", "");
		assert_int_equal(unlink("in/churned"), 0);
	}
}

/* What the queue of a burst was emptied into is not kept. */
static void test_gives_memory_back(void **state)
{
	const struct backend *b;
	size_t before;

	(void)state;
	needs_root();
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	b = w->sources[0].backend;
	before = b->cap;
	churn(4000);
	sync_watcher(w);
	for (int i = 0; i < 3; i++) {
		churn(1);
		sync_watcher(w);
	}
	assert_int_equal(b->cap, before);
}

/* Each directory that is read asks for more of the queue, while much of it waits in the memory: that is
 * not moved each time. */
static void test_what_waits_stays_where_it_is(void **state)
{
	uint64_t base, start, moved = 0;
	struct backend *b;
	struct change c;
	size_t waits;

	(void)state;
	needs_root();
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	b = w->sources[0].backend;
	start = b->base;
	churn(2000);
	assert_int_equal(fan_read_all(b), 0);
	while (fan_next(b, &c) == 1) {
		base = b->base;
		waits = b->len - b->pos;
		assert_true(fan_read_all(b) != UV_ENOMEM);
		if (b->base != base)
			moved += waits;
	}
	assert_true(b->base + b->pos - start > 50000);
	assert_true(moved <= b->base - start);
}

/* A queue that is filled as fast as it is read is not read for ever, nor into all memory. */
static void test_a_queue_without_an_end(void **state)
{
	struct backend *b;
	int queue;

	(void)state;
	needs_root();
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	sync_watcher(w);
	b = w->sources[0].backend;
	queue = b->fd;
	b->fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_true(b->fd >= 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(fan_read_all(b), UV_EAGAIN);
	assert_true(b->cap <= 256 << 20);
	close(b->fd);
	b->fd = queue;
	b->len = b->pos;
	put("in/x", "");
	sync_watcher(w);
	assert_string_equal(news.text, "created in/x");
}

/* ---- what is done, and not told yet ---- */

static struct {
	char records[65536];
	size_t len;
	uint64_t locked[2]; /* the directories, until it is */
	int queue, ends[2];
} untold;

/* The last record of ours. */
static void hold_back(const char *locked, const char *locked2)
{
	struct backend *b = w->sources[0].backend;
	struct fan_info info;
	size_t at = b->len;

	assert_int_equal(fan_read_all(b), 0);
	for (size_t end = b->pos; end < b->len; end += info.len) {
		fan_parse(b->memory + end, &info);
		at = info.pid == getpid() ? end : at;
	}
	untold.len = b->len - at;
	assert_in_range(untold.len, 1, sizeof untold.records);
	memcpy(untold.records, b->memory + at, untold.len);
	b->len = at;
	untold.locked[0] = inode_of(locked);
	untold.locked[1] = inode_of(locked2);
	assert_int_equal(pipe2(untold.ends, O_NONBLOCK | O_CLOEXEC), 0);
	untold.queue = b->fd;
	b->fd = untold.ends[0];
}

static void tell(void)
{
	struct backend *b = w->sources[0].backend;

	assert_true(b->cap - b->len >= untold.len);
	memcpy(b->memory + b->len, untold.records, untold.len);
	b->len += untold.len;
	b->fd = untold.queue;
	untold.len = 0;
	close(untold.ends[0]);
	close(untold.ends[1]);
}

long __real_syscall(long n, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f);

/* Who reads a directory waits for its lock. */
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	struct stat st;

	if (n == SYS_getdents64 && untold.len && fstat((int)a, &st) == 0 &&
	    (st.st_ino == untold.locked[0] || st.st_ino == untold.locked[1]))
		tell();
	return __real_syscall(n, a, b, c, d, e, f);
}

uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);

static bool busy;

/* Much time passes while the processors are busy with others. */
uint64_t __wrap_uv_hrtime(void)
{
	static uint64_t waited;

	if (untold.len || busy)
		waited += UINT64_C(2000000000);
	return __real_uv_hrtime() + waited;
}

/* What is to be told of a directory is about one that is gone; that it is is not told yet. */
static void test_gone_before_that_is_told(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755), 0);
	assert_int_equal(mkdir("in/d/e", 0755), 0);
	put("in/d/e/x", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	assert_int_equal(unlink("in/d/e/x"), 0);
	assert_int_equal(rmdir("in/d/e"), 0);
	hold_back("in/d", "in/d");
	sync_watcher(w);
	assert_string_equal(news.text, "deleted in/d/e/x, deleted in/d/e");
	check_index();
}

/* It is found outside of the root, and was within. */
static void test_elsewhere_before_that_is_told(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/d", 0755), 0);
	assert_int_equal(mkdir("in/d/e", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	put("in/d/e/x", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	assert_int_equal(unlink("in/d/e/x"), 0);
	assert_int_equal(rename("in/d", "out/d"), 0);
	hold_back("in", "out");
	sync_watcher(w);
	assert_string_equal(news.text, "deleted in/d/e/x, deleted in/d/e, deleted in/d");
	check_index();
}

static void rename_onto(void)
{
	put("in/new", "");
	assert_int_equal(rename("in/new", "in/kept"), 0);
	hold_back("in", "in");
}

/* Whether a name was taken is told next: the directory is locked until then, and need not be read
 * again. */
static void test_renamed_before_it_is_told_onto_what(void **state)
{
	(void)state;
	needs_root();
	put("in/kept", "");
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	put("in/kept", "more");
	while_read = rename_onto;
	times_read = 0;
	sync_watcher(w);
	assert_int_equal(times_read, 1);
	assert_string_equal(news.text, "modified in/kept, created in/new, moved in/new in/kept");
	check_index();
}

/* Takes what others have done out of the queue. */
static void only_own(struct backend *b)
{
	struct fan_info info;

	assert_int_equal(fan_read_all(b), 0);
	for (size_t at = b->pos; at < b->len;) {
		fan_parse(b->memory + at, &info);
		if (info.pid == getpid()) {
			at += info.len;
			continue;
		}
		b->len -= info.len;
		memmove(b->memory + at, b->memory + at + info.len, b->len - at);
	}
}

/* Turns that have no time to spare: nothing but what this process has done so far is in the queue. */
static void turn_busily(int turns)
{
	struct backend *b = w->sources[0].backend;
	int queue = b->fd;

	only_own(b);
	b->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(b->fd >= 0);
	busy = true;
	while (turns-- && !news.text[0])
		watcher__pump(w);
	busy = false;
	close(b->fd);
	b->fd = queue;
	assert_true(watcher__late_active(w));
}

/* What happens in directories that are under no root, and are gone by now, holds nothing up until all
 * has been read. */
static void test_others_come_and_go_meanwhile(void **state)
{
	char path[32];

	(void)state;
	needs_root();
	assert_int_equal(mkdir("out", 0755), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof path, "in/d%d", i);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(mkdir("out/d", 0755), 0);
		put("out/d/x", "");
		assert_int_equal(unlink("out/d/x"), 0);
		assert_int_equal(rmdir("out/d"), 0);
	}
	put("in/d0/x", "");
	turn_busily(10);
	assert_string_equal(news.text, "created in/d0/x");
	sync_watcher(w);
	check_index();
}

/* What happened in a directory was nobody's, and is not any more; nothing has been read yet. */
static void test_a_root_where_there_was_none(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("in/a", 0755), 0);
	assert_int_equal(mkdir("in/b", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(mkdir("out/d", 0755), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news));
	put("out/d/x", "");
	turn_busily(2); /* in the first it is ready */
	add_with(w, "out", WATCH(.on_batch = on_told, .arg = &news));
	put("out/d/y", "");
	sync_watcher(w);
	assert_string_equal(news.text, "created out/d/y");
	check_index();
}

/* What is behind a link is covered once it is known where that leads. */
static void test_behind_a_link(void **state)
{
	(void)state;
	needs_root();
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(mkdir("out/d", 0755), 0);
	put("out/d/gone", "");
	put("out/d/a", "");
	assert_int_equal(symlink("../out", "in/l"), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &news, .follow_symlinks = 1));
	put("out/d/x", "");
	assert_int_equal(unlink("out/d/gone"), 0);
	assert_int_equal(rename("out/d/a", "out/d/b"), 0);
	sync_watcher(w);
	assert_string_equal(news.text,
			    "created in/l/d/x, deleted in/l/d/gone, moved in/l/d/a in/l/d/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAN(test_exchanged_before_it_was_read),
		FAN(test_taken_over_before_it_was_read_again),
		FAN(test_waits_without_turning),
		FAN(test_a_file_system_below_the_root),
		FAN(test_another_directory_in_the_same_inode),
		FAN(test_looks_between_the_halves_of_an_exchange),
		FAN(test_left_after_such_an_exchange),
		FAN(test_left_onto_another_after_such_an_exchange),
		FAN(test_left_for_good_after_such_an_exchange),
		FAN(test_gives_memory_back),
		FAN(test_what_waits_stays_where_it_is),
		FAN(test_a_queue_without_an_end),
		FAN(test_gone_before_that_is_told),
		FAN(test_elsewhere_before_that_is_told),
		FAN(test_renamed_before_it_is_told_onto_what),
		FAN(test_others_come_and_go_meanwhile),
		FAN(test_a_root_where_there_was_none),
		FAN(test_behind_a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
