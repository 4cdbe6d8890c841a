/*
 * Directories that move into one another, so often between two looks that each may be where the other
 * was: all are found again. SEED=n makes the rounds of another seed.
 */
#include "watch_test.h"

#include <sys/syscall.h>

#include "dice.h"
#include "index_check.h"
#include "watcher/engine.h"

#define ROUNDS 150
#define MOVES  40
#define FEW    9 /* directories: more are made then */

static struct told seen;

static const char *const names[] = { "a", "b", "c" };

/* One that is there, more often than not: never "in" itself. */
static void some_dir(char *buf)
{
	char *at;

	for (int tries = 30; tries--;) {
		at = buf + sprintf(buf, "in");
		for (unsigned depth = 1 + dice(6); depth--;)
			at += sprintf(at, "/%s", names[dice(3)]);
		if (access(buf, F_OK) == 0)
			return;
	}
}

/* A name in one that is there, or in "in". */
static void some_name(char *buf)
{
	some_dir(buf);
	if (dice(4) == 0)
		strcpy(buf, "in");
	sprintf(buf + strlen(buf), "/%s", names[dice(3)]);
}

static void remove_all(const char *path)
{
	nftw(path, watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static int count; /* of the directories that there are */

static int count_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	count += what == FTW_D;
	return 0;
}

static void change(void)
{
	char a[64], b[64];

	count = 0;
	nftw("in", count_one, 16, FTW_PHYS);
	some_dir(a);
	some_name(b);
	switch (count < FEW ? 2 : dice(20)) {
	case 0:
		remove_all(a);
		break;
	case 1:
		some_dir(b);
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
		break;
	case 2:
	case 3:
	case 4:
		mkdir(b, 0755);
		break;
	case 5:
		rename(a, "out/a");
		break;
	case 6:
		rename("out/a", b);
		break;
	default:
		rename(a, b);
	}
}

static void test_directories_move_to_where_others_were(void **state)
{
	const char *seed = getenv("SEED");
	watcher_error err;
	char text[4000];
	watcher *w;

	(void)state;
	rng = seed ? strtoull(seed, NULL, 10) : 1;
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	for (int i = 0; i < MOVES; i++)
		change();
	assert_int_equal(watcher_open(&w, WATCHER(.backend = WATCHER_BACKEND_POLL,
						  .poll_interval_ms = 3600000), &err), 0);
	add_with(w, "in", WATCH(.on_batch = on_told, .arg = &seen));
	for (int round = 0; round < ROUNDS; round++) {
		for (unsigned n = 6 + dice(MOVES); n--;)
			change();
		sync_watcher(w);
		told(&seen);
		if (index_check(w, text, sizeof text))
			fail_msg("round %d: %s", round, text);
	}
	watcher_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_directories_move_to_where_others_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
