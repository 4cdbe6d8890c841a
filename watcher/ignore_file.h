/*
 * Ignore files in gitignore syntax, read into rule sets; and where git keeps the ones that
 * lie outside the tree. What the rules mean is decided in filter_decide.c.
 */
#ifndef WATCHER_IGNORE_FILE_H
#define WATCHER_IGNORE_FILE_H

#include "rules.h"

enum {
	IGNORE_FILE_MAX = 1 << 20, /* bytes */
	/* Open flags of one call. */
	IGNORE_FILE_NO_LINK = 1 << 0, /* a symbolic link is not followed, as git does in its trees */
	IGNORE_FILE_ASKED = 1 << 1 /* the user named it: what it is instead of a file is an error */
};

/*
 * Reads `path` into a new set whose rules say `shown` as their origin and are relative to the
 * absolute directory `base` (NULL: to the root they are applied to). UV_ENOENT also for what
 * is not a regular file, unless it was asked for: then UV_EISDIR, UV_EINVAL; UV_E2BIG past
 * IGNORE_FILE_MAX; UV_EACCES, UV_ENOMEM, ...
 */
int watcher__ignore_file_read(struct rule_set **set, const char *path, const char *shown,
			      const char *base, unsigned flags);

/* What such an error says of the file. */
const char *watcher__ignore_file_error(int code);

/* Adds the lines of `text` as rules: comments, blank lines, trailing blanks, CR and BOM as
 * git reads them. UV_ENOMEM. */
int watcher__ignore_text(struct rule_set *set, const char *text, size_t len);

/* The path of info/exclude of the repository of the work tree `top`, whose .git is a
 * directory or a file that names one. UV_ENOENT if there is no .git; UV_ENOMEM. */
int watcher__git_exclude_path(struct bytes *path, const char *top);

/*
 * The path of the user's global excludes: core.excludesFile as the last of /etc/gitconfig,
 * the user's files and the repository of `top` (may be NULL) sets it, else git/ignore in
 * $XDG_CONFIG_HOME or ~/.config. Included configuration files are not read. UV_ENOENT: there
 * can be none; UV_ENOMEM.
 */
int watcher__git_global_path(struct bytes *path, const char *top);

/* Calls `each` with the path of every file of git's configuration that is asked for that, there or
 * not, in that order, until it returns nonzero, which is then the result. UV_ENOMEM. */
int watcher__git_configs(const char *top, int (*each)(const char *path, void *arg), void *arg);

#endif
