/*
 * Any changes between two snapshots: the events of a comparison lead from one to the other, step
 * by step.
 */
#include "snapshot_test.h"

#include <inttypes.h>
#include <sys/syscall.h>

#include "dice.h"

struct model {
	struct item {
		char path[128];
		uint64_t inode;
	} items[4000];
	size_t n;
	const char *bad;
	char event[400];
};

static struct item *find(struct model *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->items[i].path, path) == 0)
			return &m->items[i];
	return NULL;
}

static void add(struct model *m, const char *path, uint64_t inode)
{
	assert_true(m->n < COUNT(m->items));
	snprintf(m->items[m->n].path, sizeof m->items->path, "%s", path);
	m->items[m->n++].inode = inode;
}

static bool is_empty(const struct model *m, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < m->n; i++)
		if (strncmp(m->items[i].path, path, len) == 0 && m->items[i].path[len] == '/')
			return false;
	return true;
}

static bool has_parent(struct model *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	char up[128];

	snprintf(up, sizeof up, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return find(m, up) != NULL;
}

static const char *step(struct model *m, const watcher_event *e)
{
	struct item *at = find(m, e->path);

	switch (e->kind) {
	case WATCHER_CREATED:
		if (at)
			return "created, but it is there";
		if (!has_parent(m, e->path))
			return "created in nothing";
		add(m, e->path, e->inode);
		return NULL;
	case WATCHER_DELETED:
		if (!at)
			return "deleted, but it is not there";
		if (!is_empty(m, e->path))
			return "deleted with something in it";
		*at = m->items[--m->n];
		return NULL;
	case WATCHER_MOVED:
		if (!at)
			return "moved, but it is not there";
		if (find(m, e->dest))
			return "moved to a name that is taken";
		if (!has_parent(m, e->dest))
			return "moved into nothing";
		if (at->inode != e->inode)
			return "moved, but it is another";
		snprintf(at->path, sizeof at->path, "%s", e->dest);
		return NULL;
	default:
		if (!at)
			return "changed, but it is not there";
		at->inode = e->inode; /* perhaps replaced */
		return NULL;
	}
}

static int apply(const watcher_event *e, void *arg)
{
	struct model *m = arg;
	const char *bad = step(m, e);

	if (bad && !m->bad) {
		m->bad = bad;
		snprintf(m->event, sizeof m->event, "%s %s %s", watcher_kind_name(e->kind), e->path,
			 e->dest ? e->dest : "");
	}
	return 0;
}

static void read_model(struct model *m, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	char path[128];

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (strcmp(dir, ".") == 0)
			snprintf(path, sizeof path, "%.100s", e->d_name);
		else
			snprintf(path, sizeof path, "%.60s/%.60s", dir, e->d_name);
		assert_int_equal(lstat(path, &st), 0);
		add(m, path, st.st_ino);
		if (S_ISDIR(st.st_mode))
			read_model(m, path);
	}
	closedir(d);
}

static void read_top(struct model *m)
{
	struct stat st;

	memset(m, 0, sizeof *m);
	assert_int_equal(stat(".", &st), 0);
	add(m, ".", st.st_ino);
	read_model(m, ".");
}

static const char *some_path(char *buf)
{
	static const char *const names[] = { "a", "b", "c", "a.b", "long name" };
	char *at = buf;

	for (int depth = 1 + (int)dice(4); depth--;)
		at += sprintf(at, "%s%s", at == buf ? "" : "/", names[dice(COUNT(names))]);
	return buf;
}

static void append(const char *path)
{
	FILE *f = fopen(path, "a");

	if (f) {
		fputs("more", f);
		fclose(f);
	}
}

static void one_change(void)
{
	char a[128], b[128];

	some_path(a);
	some_path(b);
	switch (dice(12)) {
	case 0:
	case 1:
	case 2:
		mkdir(a, 0755);
		break;
	case 3:
	case 4:
		append(a);
		break;
	case 5:
		unlink(a);
		break;
	case 6:
		nftw(a, watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS);
		break;
	case 7:
	case 8:
		rename(a, b);
		break;
	case 9:
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
		break;
	case 10:
		if (link(a, b) < 0)
			chmod(a, dice(2) ? 0700 : 0755);
		break;
	default:
		if (symlink("a", a) < 0)
			append(a);
	}
}

static void check_round(uint64_t seed, unsigned flags, struct model *before, struct model *after)
{
	watcher_snapshot *old, *now;

	rng = seed;
	for (unsigned i = dice(60); i--;)
		one_change();
	read_top(before);
	old = take();
	for (unsigned i = 1 + dice(dice(2) ? 4 : 40); i--;)
		one_change();
	now = take();
	read_top(after);
	assert_int_equal(watcher_snapshot_diff(old, now, flags, apply, before), 0);
	for (size_t i = 0; i < after->n && !before->bad; i++) {
		const struct item *at = find(before, after->items[i].path);

		if (!at || at->inode != after->items[i].inode) {
			before->bad = at ? "it is another in the end" : "it is there in the end";
			strcpy(before->event, after->items[i].path);
		}
	}
	if (!before->bad && before->n != after->n)
		before->bad = "more than is there in the end";
	if (before->bad)
		fail_msg("seed %" PRIu64 " flags %u: %s: %s", seed, flags, before->event, before->bad);
	watcher_snapshot_free(old);
	watcher_snapshot_free(now);
}

static void test_any_changes(void **state)
{
	const char *from = getenv("SNAPSHOT_SEED"), *rounds = getenv("SNAPSHOT_ROUNDS");
	uint64_t seed = from ? strtoull(from, NULL, 10) : (uint64_t)time(NULL) * 1000;
	struct model *before = malloc(sizeof *before), *after = malloc(sizeof *after);

	(void)state;
	assert_true(before && after);
	for (int i = rounds ? atoi(rounds) : 400; i-- > 0; seed++) {
		make("in");
		assert_int_equal(chdir("in"), 0);
		check_round(seed, i % 2 ? 0 : WATCHER_DIFF_REPLACED, before, after);
		assert_int_equal(chdir(".."), 0);
		assert_int_equal(nftw("in", watch_test_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	}
	free(before);
	free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
