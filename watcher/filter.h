/*
 * A filter bound to one root: the two questions the engine asks, and what it tells.
 *
 *     may anything at or below this directory matter?   watcher__filter_descend
 *     does this event pass?                             watcher__filter_pass
 *
 * Paths (`rel`) are relative to the root, without a slash at either end, "" being the root
 * itself; they are bytes and need not be NUL-ended. A filter_root is used by one thread. NULL
 * is a filter_root that lets everything pass. Neither question allocates in the steady state;
 * decisions about directories are remembered in a table of fixed size, so that an event costs
 * one match of its last component, and are dropped whenever rules change.
 *
 * Ignore files are the engine's to notice. When it reads a directory and one of the names is
 * an ignore file (watcher__filter_is_ignore_file), it calls watcher__filter_reload for that
 * directory *before* it asks about the directory's entries; likewise when an event says that
 * such a file was created, written, moved or deleted. If that returns 1, what passes below the
 * directory may have changed: directories that are now wanted are to be crawled and watched,
 * unwanted ones released. A root is bound with its own ignore files, and those of its parents
 * that count, already read.
 */
#ifndef WATCHER_FILTER_H
#define WATCHER_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "whendo/watcher.h"

struct filter_root;

/* Another reference; the filter can no longer be added to. Returns f; NULL is fine. */
watcher_filter *watcher__filter_ref(const watcher_filter *f);

/*
 * Binds `f` (a reference is kept; NULL gives a NULL *fr) to the absolute path `root_abs`.
 * Bind again when a root appears that was not there: its parents may bring rules of their own.
 * `root_shown` is the root as the user gave it, which full-path globs see. UV_ENOMEM.
 */
int watcher__filter_bind(struct filter_root **fr, const watcher_filter *f, const char *root_abs,
			 const char *root_shown);
/* The same for a root that only the user's own stat and list know: its path is taken as it is,
 * and no ignore files are read. */
int watcher__filter_bind_virtual(struct filter_root **fr, const watcher_filter *f,
				 const char *root, const char *root_shown);
void watcher__filter_unbind(struct filter_root *fr);

/* Where problems go instead of to the filter's own callback: a regex that gave up, a file
 * that cannot be read; once each. `path` is the ignore file's, or NULL. */
void watcher__filter_on_problem(struct filter_root *fr,
				void (*cb)(const char *path, const watcher_error *err, void *arg),
				void *arg);

/*
 * May an event at or below the directory `rel` pass? False: do not crawl it, do not watch it.
 * (Events *on* a directory that is not entered are asked for by watcher__filter_pass.)
 */
bool watcher__filter_descend(struct filter_root *fr, const char *rel, size_t len);

/* Does an event of this kind pass? `type` is WATCHER_TYPE_...; `kind` 0 is any kind. */
bool watcher__filter_pass(struct filter_root *fr, const char *rel, size_t len, int type,
			  unsigned kind);

/* Is this the name of a file (or directory: .git) the filter reads rules from? */
bool watcher__filter_is_ignore_file(const struct filter_root *fr, const char *name, size_t len);

/*
 * Reads the ignore files of the directory `rel` again, or for the first time. 1: the rules
 * changed, 0: they did not, negative: UV_ENOMEM, with the old rules in force. A file that
 * cannot be read counts as empty and is reported.
 */
int watcher__filter_reload(struct filter_root *fr, const char *rel, size_t len);

/* Are rules of exactly this directory in force? */
bool watcher__filter_has_rules(const struct filter_root *fr, const char *rel, size_t len);

/*
 * Reads everything again: the ignore files that are known, those above the root, git's own
 * excludes. For when a file that watcher__filter_outside names changed, and after events were
 * lost. Result as above.
 */
int watcher__filter_reload_all(struct filter_root *fr);

/* Do its rules depend on files that may change? NULL: no. */
bool watcher__filter_reads_files(const watcher_filter *f);

/*
 * Calls `each` with the path of every file outside of what the root's watch sees, existing or
 * not, that rules are read from: ignore files above the root, info/exclude, git's global
 * excludes, and the configuration that names them; until it returns nonzero, which is then the result. UV_ENOMEM.
 */
int watcher__filter_outside(const struct filter_root *fr,
			    int (*each)(const char *path, void *arg), void *arg);

/* The directory has left its place: its rules and those of directories below it go. */
void watcher__filter_forget(struct filter_root *fr, const char *rel, size_t len);

#endif
