/* Random changes of a tree: see replay_changes.h. */
#include "replay_changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dice.h"

/* A small namespace, so that names collide; behind those that paths are made of, others. */
static const char *const names[] = { "a", "b", "c", "d", "longer_name", "x y", "w", "again" };

static bool few; /* of them, and of components */

/* A path of up to five components. */
static const char *some_path(char *buf, const char *root)
{
	int depth = 1 + (int)dice(few ? 3 : 4);
	char *at = buf + sprintf(buf, "%s", root);

	while (depth--)
		at += sprintf(at, "/%s", names[dice(few ? 2 : 6)]);
	return buf;
}

static void write_file(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);

	if (fd < 0)
		return;
	if (write(fd, "data\n", 5) != 5)
		_exit(3);
	close(fd);
}

static void remove_tree(const char *path)
{
	struct dirent *e;
	char sub[PATH_MAX];
	DIR *d;

	if (unlink(path) == 0 || errno == ENOENT || !(d = opendir(path)))
		return;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
			snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
			remove_tree(sub);
		}
	closedir(d);
	rmdir(path);
}

/* The same, without listing any directory. */
static void remove_named(const char *path)
{
	char sub[PATH_MAX];

	if (unlink(path) == 0 || errno == ENOENT || rmdir(path) == 0 || errno != ENOTEMPTY)
		return;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(sub, sizeof sub, "%s/%s", path, names[i]);
		remove_named(sub);
	}
	rmdir(path);
}

static void deep_write(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0755);
		*at = '/';
	}
	write_file(path, O_TRUNC);
}


static const char *some_root(const struct places *p)
{
	return dice(4) ? p->in : p->two;
}

/* Gone and there again at once, as the same or as another. */
static void replace(char *path, void (*remove_it)(const char *path))
{
	remove_it(path);
	if (dice(2)) {
		write_file(path, 0);
		return;
	}
	mkdir(path, 0755);
	if (dice(2)) {
		strcat(path, "/again");
		write_file(path, 0);
	}
}

/* Something that is there, more often than not. */
static const char *some_thing(char *buf, const char *root)
{
	for (int tries = 10; tries--;)
		if (access(some_path(buf, root), F_OK) == 0)
			break;
	return buf;
}

static void mount_tmpfs(const char *path)
{
	char in_it[300];

	if (mount("none", path, "tmpfs", 0, "size=1m") < 0 || dice(2))
		return;
	snprintf(in_it, sizeof in_it, "%s/%s", path, dice(2) ? "a" : "b");
	replace(in_it, remove_tree);
}

static void mount_over(const struct places *p, const char *path)
{
	char from[256];

	switch (dice(4)) {
	case 0:
		mount_tmpfs(path);
		break;
	case 1:
		mount(some_thing(from, p->out), path, NULL, MS_BIND, NULL);
		break;
	case 2:
		mount(some_thing(from, some_root(p)), path, NULL, MS_BIND, NULL);
		break;
	default: /* if that is a mount point */
		mount(some_thing(from, some_root(p)), path, NULL, MS_MOVE, NULL);
	}
}

static void change_mounts(const struct places *p)
{
	const char *root = some_root(p);
	char path[256];

	if (dice(2)) {
		mount_over(p, some_thing(path, root));
		return;
	}
	for (int tries = 20; tries--;)
		if (umount2(some_path(path, root), dice(2) ? MNT_DETACH : 0) == 0)
			return;
}

/* A rename, and at once a write below the new name. */
static void rename_and_write(const char *from, const char *to)
{
	char path[300];

	if (rename(from, to) < 0)
		return;
	snprintf(path, sizeof path, "%s/w", to);
	write_file(path, 0);
}

static void hard_link(const char *from, const char *to)
{
	int fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	char open_one[40];
	struct stat st;

	if (fd < 0)
		return;
	snprintf(open_one, sizeof open_one, "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fchown(fd, (uid_t)-1, LINKED_GID) == 0)
		(void)!linkat(AT_FDCWD, open_one, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
	close(fd);
}

static void make_link(const char *a, const char *b, const struct changes *how)
{
	if (dice(2) || how->unmerged)
		(void)!symlink("a", a);
	else
		hard_link(a, b);
}

static void one_change(const struct places *p, const struct changes *how)
{
	char a[256], b[256], c[300];
	const char *out = p->out;
	void (*remove_it)(const char *) = how->unmerged ? remove_named : remove_tree;

	some_path(a, some_root(p));
	some_path(b, some_root(p));
	switch (dice(17)) {
	case 0:
	case 1:
		mkdir(a, 0755);
		break;
	case 2:
	case 3:
		write_file(a, dice(2) ? O_APPEND : O_TRUNC);
		break;
	case 4:
		deep_write(a);
		break;
	case 5:
		unlink(a);
		break;
	case 6:
		rmdir(a);
		break;
	case 7:
		remove_it(a);
		break;
	case 8:
	case 9:
		rename(a, b);
		break;
	case 10:
		rename_and_write(a, b);
		break;
	case 11:
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b,
			how->no_exchanges ? 0 : 2 /* RENAME_EXCHANGE */);
		break;
	case 12:
		rename(a, some_path(c, out));
		break;
	case 13:
		rename(some_path(c, out), a);
		break;
	case 14:
		make_link(a, b, how);
		break;
	case 15:
		replace(a, remove_it);
		break;
	default:
		some_path(c, out);
		deep_write(c);
		if (!how->unmerged)
			chmod(a, dice(2) ? 0700 : 0755);
	}
}

static void write_rules(const char *path, int flags)
{
	static const char *const rules[] = { "a", "b/", "!c", "x y", "/d", "*", "!*/", "!b",
					     "longer_name/", "a/b", "!a/", "/c/**/d" };
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);

	for (unsigned n = 1 + dice(3); fd >= 0 && n; n--)
		dprintf(fd, "%s\n", rules[dice(sizeof rules / sizeof *rules)]);
	if (fd >= 0)
		close(fd);
}

static void change_rules(const struct places *p)
{
	char a[300], b[300];

	some_path(a, some_root(p));
	some_path(b, some_root(p));
	strcpy(strrchr(a, '/'), "/.gitignore");
	strcpy(strrchr(b, '/'), dice(2) ? "/.gitignore" : "/w");
	switch (dice(6)) {
	case 0:
	case 1:
		write_rules(a, O_TRUNC);
		break;
	case 2:
		write_rules(a, O_APPEND);
		break;
	case 3: /* as an editor saves it */
		write_rules(b, O_TRUNC);
		rename(b, a);
		break;
	case 4:
		rename(a, b);
		break;
	default:
		unlink(a);
	}
}

static void any_change(const struct places *p, const struct changes *how)
{
	if (how->mounts && dice(6) == 0)
		change_mounts(p);
	else if (how->ignores && dice(6) == 0)
		change_rules(p);
	else
		one_change(p, how);
}

/* Fills the kernel's queue: nothing of it stays. */
static void churn(const char *in, int n)
{
	char path[256];

	while (n--) {
		snprintf(path, sizeof path, "%s/churn%d", in, n);
		write_file(path, O_TRUNC);
		unlink(path);
	}
}

void places_make(struct places *p, uint64_t seed, const struct changes *how)
{
	/* Nothing is at two places yet: it would not be known at which it is told of. */
	const struct changes still = { .unmerged = how->unmerged,
				       .no_exchanges = how->no_exchanges };
	const char *top = getenv("REPLAY_DIR");
	char path[256], from[256];

	snprintf(p->base, sizeof p->base, "%s/whendo-replay-XXXXXX", top ? top : "/tmp");
	assert_non_null(mkdtemp(p->base));
	snprintf(p->in, sizeof p->in, "%s/in", p->base);
	snprintf(p->two, sizeof p->two, "%s/two", p->base);
	snprintf(p->out, sizeof p->out, "%s/out", p->base);
	mkdir(p->in, 0755);
	mkdir(p->two, 0755);
	mkdir(p->out, 0755);
	rng = seed;
	few = how->few;
	for (int i = 0; i < 40; i++)
		one_change(p, &still);
	if (!how->mounts)
		return;
	mount_tmpfs(some_thing(path, p->in));
	some_thing(from, p->out);
	mount(from, some_thing(path, p->in), NULL, MS_BIND, NULL);
}

void places_remove(const struct places *p)
{
	remove_tree(p->base);
}

pid_t changes_start(uint64_t seed, const struct places *p, const struct changes *how, int n,
		    int nchurn)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	rng = seed;
	for (int i = 0; i < n; i++)
		any_change(p, how);
	churn(p->in, nchurn);
	for (int i = 0; nchurn && i < n; i++)
		any_change(p, how);
	_exit(0);
}

void places_add_many(const struct places *p)
{
	char path[sizeof p->in + 20];

	for (int i = 0; i < 24; i++) {
		snprintf(path, sizeof path, "%s/quiet%d", i % 2 ? p->in : p->two, i);
		assert_int_equal(mkdir(path, 0755), 0);
	}
}

/* ---- several at once ---- */

#define COUNT (sizeof(((struct changing *)0)->pids) / sizeof(pid_t))

void changing_start(struct changing *c, uint64_t seed, const struct places *p,
		    const struct changes *how, int n, int nchurn)
{
	*c = (struct changing){ .running = COUNT };
	for (unsigned i = 0; i < COUNT; i++)
		c->pids[i] = changes_start(seed * COUNT + i + 1, p, how, n, nchurn);
}

void changing_await(struct changing *c, int options)
{
	int status;

	for (unsigned i = 0; i < COUNT; i++)
		if (c->pids[i] && waitpid(c->pids[i], &status, options) > 0 && !WIFSTOPPED(status)) {
			assert_int_equal(status, 0);
			c->pids[i] = 0;
			c->running--;
		}
}

static void send_all(const struct changing *c, int with)
{
	for (unsigned i = 0; i < COUNT; i++)
		if (c->pids[i])
			assert_int_equal(kill(c->pids[i], with), 0);
}

void changing_hold(struct changing *c)
{
	send_all(c, SIGSTOP);
	changing_await(c, WUNTRACED);
}

void changing_go_on(const struct changing *c)
{
	send_all(c, SIGCONT);
}
