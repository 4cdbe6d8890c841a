/*
 * What can be said of a path's file system and of the kernel's limits before anything is
 * watched: which backend AUTO takes and why.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include "watcher/engine.h"
#include "watcher/limits.h"

#ifdef __linux__
/* File systems on which inotify watches succeed and stay silent about changes made elsewhere,
 * or about any change at all. Numbers of statfs(2) and linux/magic.h. */
struct silent {
	unsigned long magic;
	const char *name;
};
static const struct silent silent[] = {
	{ 0x6969, "nfs" },        { 0x517B, "smb" },          { 0xFF534D42, "cifs" },
	{ 0xFE534D42, "smb2" },   { 0x01021997, "9p" },       { 0x65735546, "fuse" },
	{ 0x5346414F, "afs" },    { 0x00c36400, "ceph" },     { 0x73757245, "coda" },
	{ 0x564c, "ncp" },        { 0x786f4256, "vboxsf" },   { 0x7461636f, "ocfs2" },
	{ 0x01161970, "gfs2" },   { 0x0BD00BD0, "lustre" },   { 0x47504653, "gpfs" },
	{ 0x53464846, "wslfs" },
};
/* What the kernel shows of itself. */
static const struct silent kernels_own[] = {
	{ 0x9fa0, "proc" },       { 0x62656572, "sysfs" }, { 0x64626720, "debugfs" },
	{ 0x74726163, "tracefs" }, { 0x27e0eb, "cgroup" },  { 0x63677270, "cgroup2" },
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *name_among(const struct silent *all, size_t n, const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned long)fs.f_type == all[i].magic)
			return all[i].name;
	return NULL;
}

bool watcher__mount_notifies(const char *path, const char **type)
{
	const char *name = name_among(silent, COUNT(silent), path);

	if (!name)
		name = name_among(kernels_own, COUNT(kernels_own), path);
	if (name && type)
		*type = name;
	return !name;
}

bool watcher__mount_notifies_below(const char *path)
{
	return !name_among(silent, COUNT(silent), path);
}

/* ---- counting watches ---- */

static uint64_t watches_of_fd(const char *fdinfo)
{
	FILE *f = fopen(fdinfo, "re");
	uint64_t n = 0;
	char line[256];

	if (!f)
		return 0;
	while (fgets(line, sizeof line, f))
		n += strncmp(line, "inotify wd:", 11) == 0;
	fclose(f);
	return n;
}

static uint64_t watches_of_process(const char *pid)
{
	char path[64 + NAME_MAX], target[64];
	struct dirent *e;
	uint64_t n = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	if (!(dir = opendir(path)))
		return 0;
	while ((e = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);

		if (len < 0)
			continue;
		target[len] = '\0';
		if (strcmp(target, "anon_inode:inotify") != 0)
			continue;
		snprintf(path, sizeof path, "/proc/%.32s/fdinfo/%.32s", pid, e->d_name);
		n += watches_of_fd(path);
	}
	closedir(dir);
	return n;
}

/* The kernel counts by user; what others may not look into is left out. */
static uint64_t watches_of_user(uid_t uid)
{
	struct dirent *e;
	struct stat st;
	uint64_t n = 0;
	DIR *dir = opendir("/proc");

	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
		    fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && st.st_uid == uid)
			n += watches_of_process(e->d_name);
	closedir(dir);
	return n;
}
#else
bool watcher__mount_notifies(const char *path, const char **type)
{
	(void)path;
	(void)type;
	return true;
}

bool watcher__mount_notifies_below(const char *path)
{
	(void)path;
	return true;
}
#endif

/* ---- the public call ---- */

/* The nearest directory or file above that exists; `path` is shortened to it. */
static int nearest(char *path)
{
	struct stat st;
	char *slash;

	while (lstat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return -errno;
		slash = strrchr(path, '/');
		if (!slash) {
			strcpy(path, ".");
			return 0;
		}
		slash[slash == path] = '\0';
		if (slash == path && lstat(path, &st) < 0)
			return -errno;
	}
	return 0;
}

static void explain(watcher_backend_info *info, const char *near)
{
	const char *type = NULL;

#ifdef __linux__
	if (watcher__mount_notifies(near, &type)) {
		info->backend = WATCHER_BACKEND_INOTIFY;
		info->name = watcher__inotify.name;
		snprintf(info->why, sizeof info->why, "the file system tells of its changes");
	} else {
		info->backend = WATCHER_BACKEND_POLL;
		info->name = watcher__poll.name;
		snprintf(info->why, sizeof info->why, "%s does not tell of all changes", type);
	}
	info->name_below = watcher__mount_notifies_below(near) ? watcher__inotify.name :
								 watcher__poll.name;
	info->watch_limit = watcher__limit(LIMIT_WATCHES, &info->limit_name);
	info->watches_used = watches_of_user(geteuid());
#else
	(void)near;
	(void)type;
	info->backend = WATCHER_BACKEND_FSEVENT;
	info->name = info->name_below = watcher__fsevent.name;
	info->watch_limit = watcher__limit(LIMIT_WATCHES, &info->limit_name);
	snprintf(info->why, sizeof info->why, "this system has no inotify");
#endif
}

int watcher_backend_for(watcher_backend_info *info, size_t info_size, const char *path,
			watcher_error *err)
{
	watcher_backend_info own = { 0 };
	char near[PATH_MAX];
	int r;

	if (!path || !path[0])
		return watcher__fail(err, UV_EINVAL, "an empty path cannot be watched");
	if (strlen(path) >= sizeof near)
		return watcher__fail(err, UV_ENAMETOOLONG, "a path this long cannot be asked about");
	strcpy(near, path);
	r = nearest(near);
	if (r < 0)
		return watcher__fail(err, r, "%s: %s", path, uv_strerror(r));
	explain(&own, near);
	memcpy(info, &own, info_size < sizeof own ? info_size : sizeof own);
	return 0;
}
