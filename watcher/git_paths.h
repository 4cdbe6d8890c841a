/* Pieces of reading git's configuration that ignore_file.c and tests share. */
#ifndef WATCHER_GIT_PATHS_H
#define WATCHER_GIT_PATHS_H

#include "base/bytes.h"

/* The content of a regular file; `flags` as in ignore_file.h. UV_ENOENT for anything else,
 * UV_E2BIG past text->max. */
int watcher__read_small_file(struct bytes *text, const char *path, unsigned flags);

/* If the configuration text sets core.excludesFile, *value becomes its last value. */
int watcher__git_config_excludes(struct bytes *value, const char *text, size_t len);

#endif
