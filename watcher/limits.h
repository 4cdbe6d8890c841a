/* How many watches and instances of inotify the kernel lets a user have. */
#ifndef WATCHER_LIMITS_H
#define WATCHER_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

enum inotify_limit { LIMIT_WATCHES, LIMIT_INSTANCES };

/* The limit, -1 if there is none to be known, and the sysctl that sets it. */
long long watcher__limit(enum inotify_limit which, const char **sysctl);

/* An instance was refused with UV_EMFILE: for want of instances, not of descriptors? */
bool watcher__out_of_instances(void);

/* "out of inotify instances (fs.inotify.max_user_instances is 128, ...)" */
void watcher__say_instances(char *line, size_t size);

#endif
