/* The kernel's limits of inotify, for the user and for the namespace: the lesser one counts. */
#include "limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#ifdef __linux__
struct limit {
	const char *file, *sysctl;
};

static const struct limit limits[][2] = {
	[LIMIT_WATCHES] = {
		{ "/proc/sys/fs/inotify/max_user_watches", "fs.inotify.max_user_watches" },
		{ "/proc/sys/user/max_inotify_watches", "user.max_inotify_watches" },
	},
	[LIMIT_INSTANCES] = {
		{ "/proc/sys/fs/inotify/max_user_instances", "fs.inotify.max_user_instances" },
		{ "/proc/sys/user/max_inotify_instances", "user.max_inotify_instances" },
	},
};

long long watcher__limit(enum inotify_limit which, const char **sysctl)
{
	long long least = -1, n;

	*sysctl = limits[which][0].sysctl;
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(limits[which][i].file, "re");

		if (f && fscanf(f, "%lld", &n) == 1 && (least < 0 || n < least)) {
			least = n;
			*sysctl = limits[which][i].sysctl;
		}
		if (f)
			fclose(f);
	}
	return least;
}

bool watcher__out_of_instances(void)
{
	int fd = open("/", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}
#else
long long watcher__limit(enum inotify_limit which, const char **sysctl)
{
	(void)which;
	*sysctl = "";
	return -1;
}

bool watcher__out_of_instances(void)
{
	return false;
}
#endif

void watcher__say_instances(char *line, size_t size)
{
	const char *sysctl;
	long long limit = watcher__limit(LIMIT_INSTANCES, &sysctl);

	if (limit < 0)
		snprintf(line, size, "out of inotify instances (%s)", sysctl);
	else
		snprintf(line, size,
			 "out of inotify instances (%s is %lld, shared by all programs of the user)",
			 sysctl, limit);
}
