/*
 * watcher: a file-system watcher on a libuv loop.
 *
 * A watcher owns the kernel's notification backend, an index of the names that are there,
 * and any number of watches. A watch is one or more roots (files or directories, also ones
 * that do not exist yet), a filter, and the handlers that get its events:
 *
 *     watcher *w;
 *     watcher_error err;
 *
 *     if (watcher_open(&w, WATCHER(.loop = loop, .debounce_ms = 50), &err) < 0 ||
 *         watcher_add(w, "src", WATCH(.patterns = LIST("*.c", "*.h"), .on_batch = rebuilt), &err) < 0)
 *             fprintf(stderr, "%s\n", err.message);
 *     watcher_run(w);
 *
 * Rules for the whole header
 * - Calls return 0 or a negative errno (uv_strerror() names it). Results go through the
 *   first parameter and are written on success only. After a failure the state is as before
 *   the call. The optional watcher_error, always last, gets one line a user can act on.
 * - Everything passed in is copied, unless a comment says borrowed.
 * - A watcher belongs to one loop and one thread: every call on it and every callback happen
 *   on the loop's thread. Several watchers, also on several loops, do not know each other.
 * - Callbacks run between two steps of the pipeline, never in the middle of one. They may
 *   add, remove and close anything, the watcher and the watch that called included.
 * - Option structs begin with their size; zero means default; fields are only appended. A
 *   larger struct of a newer header is accepted when the unknown part is zero, else UV_E2BIG.
 *   C++ has no WATCHER, WATCH and LIST: a struct is zeroed, and its members are set.
 * - The library installs no signal handler, changes no directory, mask or environment, writes
 *   nothing to standard streams, and keeps no thread running.
 * - Paths are bytes. No encoding is assumed; only '/' and NUL mean something.
 * - After fork() a watcher must not be used in the child, which ends by _exit() or execs: at exit()
 *   libuv waits for the threads of its pool, which it has not got.
 */
#ifndef WHENDO_WATCHER_H
#define WHENDO_WATCHER_H

#include <stddef.h>
#include <stdint.h>

#include "whendo/version.h"

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s; /* what <uv.h> calls uv_loop_t */

typedef struct watcher watcher;
typedef struct watcher_watch watcher_watch;
typedef struct watcher_batch watcher_batch;
typedef struct watcher_filter watcher_filter;
typedef struct watcher_snapshot watcher_snapshot;

/* What went wrong. `message` is one line without a newline, never empty after a failure. */
typedef struct watcher_error {
	int code;      /* the negative errno that was returned */
	size_t offset; /* of the offending byte, where a pattern or a file is at fault */
	char message[500];
} watcher_error;

/* ---------------------------------------------------------------- events ---- */

/* Kinds are bits, so that a set of kinds is an int. Names as in Watchdog. */
enum {
	WATCHER_CREATED = 1 << 0,
	WATCHER_MODIFIED = 1 << 1, /* content, or touched without WATCHER_ATTRIB being asked
				      for; of a directory only with dir_modified */
	WATCHER_DELETED = 1 << 2,
	WATCHER_MOVED = 1 << 3, /* whatever had the new path is gone, with no event of its own */
	WATCHER_ATTRIB = 1 << 4, /* mode, owner, times, extended attributes, link count */
	WATCHER_OPENED = 1 << 5,
	WATCHER_CLOSED = 1 << 6, /* after having been open for writing */
	WATCHER_CLOSED_NO_WRITE = 1 << 7,
	/* Control kinds: no path of the tree is meant; they pass every filter. */
	WATCHER_OVERFLOW = 1 << 8, /* events were lost; the recovered ones follow */
	WATCHER_READY = 1 << 9,    /* every root's tree is being watched */

	/* What a watch gets when it asks for nothing else. */
	WATCHER_CHANGES = WATCHER_CREATED | WATCHER_MODIFIED | WATCHER_DELETED | WATCHER_MOVED,
	WATCHER_ALL = WATCHER_CHANGES | WATCHER_ATTRIB | WATCHER_OPENED | WATCHER_CLOSED |
		      WATCHER_CLOSED_NO_WRITE,
	WATCHER_CONTROL = WATCHER_OVERFLOW | WATCHER_READY
};

/* Type of what an event is about. What was gone, or had moved on, before anybody could look counts
 * as a FILE, unless the kernel said that it is a directory. UNKNOWN: nothing is known of it. */
enum {
	WATCHER_TYPE_UNKNOWN = 0,
	WATCHER_TYPE_FILE,
	WATCHER_TYPE_DIR,
	WATCHER_TYPE_SYMLINK,
	WATCHER_TYPE_OTHER /* fifo, socket, device */
};

/*
 * One event. Its strings are borrowed until the callback that got it returns. Fields are
 * appended in later versions at the cost of `reserved`, so the struct keeps its size.
 */
typedef struct watcher_event {
	int kind;              /* exactly one kind */
	int type;              /* WATCHER_TYPE_... */
	const char *path;      /* root + "/" + the rest; root "." gives the rest */
	const char *dest;      /* MOVED only: the new path; else NULL */
	const char *root;      /* the one `path` lies under, see watcher_watch_root() */
	size_t path_len, dest_len;
	int64_t time_ns;       /* wall clock when the event was read, since 1970 */
	uint64_t inode;        /* 0: not known */
	uint64_t batch;        /* number of the batch it came in */
	/* Number of the rename this is the whole or half of: the kernel's (with fanotify, one of
	 * the watcher's own). What is moved in (CREATED, over a file MODIFIED) or out (DELETED)
	 * has it, too: both halves have the same. 0: no rename, or not known. */
	uint32_t cookie;
	int32_t pid;           /* who did it (fanotify only); 0: not known */
	uint8_t synthetic;     /* found by looking, not told by the kernel */
	uint8_t recovered;     /* found after an overflow */
	uint8_t reserved_[6];
	uintptr_t reserved[4];
} watcher_event;

/* "created", "modified", ... for one kind; "unknown" for anything else. Static. */
WHENDO_API const char *watcher_kind_name(int kind);
/* The kind of a name, 0 for an unknown one. */
WHENDO_API int watcher_kind_of(const char *name);
/* "file", "dir", "symlink", "other", "unknown". Static. */
WHENDO_API const char *watcher_type_name(int type);

/*
 * The next event of a batch: 1 with *event filled, 0 at the end. A batch is borrowed by the
 * on_batch callback; rewinding starts again from its first event.
 */
WHENDO_API int watcher_batch_next(watcher_batch *batch, watcher_event *event);
WHENDO_API void watcher_batch_rewind(watcher_batch *batch);
WHENDO_API size_t watcher_batch_count(const watcher_batch *batch);
WHENDO_API uint64_t watcher_batch_number(const watcher_batch *batch);

/* ---------------------------------------------------------------- watcher ---- */

/* Backends. AUTO: inotify where there is inotify, else fsevent; polling for file systems
 * that do not notify (by statfs(2) type) and for what exceeds fs.inotify.max_user_watches. */
enum {
	WATCHER_BACKEND_AUTO = 0,
	WATCHER_BACKEND_INOTIFY,
	WATCHER_BACKEND_FANOTIFY, /* Linux 5.17, CAP_SYS_ADMIN: one mark per file system */
	WATCHER_BACKEND_FSEVENT,  /* libuv's uv_fs_event_t: macOS, BSD, Windows, and Linux */
	WATCHER_BACKEND_POLL
};

/*
 * The user's own stat and list, for trees the system does not know (a server's files, an
 * archive): for WATCHER_BACKEND_POLL and watcher_snapshot_take(). Both return 0 or a negative
 * errno; -ENOENT: it is not there, -ENOTDIR: `list` of what is no directory. They are called
 * on the loop's thread, which waits for them, and must not call watcher functions.
 *
 * Paths are the root as it was given, and names joined to it by '/'; a root is not made
 * absolute, and the working directory means nothing. Every directory is listed and every entry
 * looked up once a round: their times are compared with earlier ones, never with a clock.
 * Ignore files in such a tree are not read.
 */
typedef struct watcher_vfs_stat {
	int type; /* WATCHER_TYPE_...; UNKNOWN: what `mode` says. A SYMLINK is never followed */
	/* The same directory or file has the same two numbers wherever it moves; a number that
	 * is given out again may look like a move. inode 0: not known, then moves are told as
	 * DELETED and CREATED. */
	uint64_t dev, inode;
	uint64_t size;
	int64_t mtime_ns, ctime_ns; /* ctime_ns 0: there is none, mtime_ns is taken for it */
	uint32_t mode;
} watcher_vfs_stat;

typedef struct watcher_vfs {
	size_t size;
	/* Fills in *st, which is zeroed. */
	int (*stat)(const char *path, watcher_vfs_stat *st, void *arg);
	/* Calls add(name, into) for every entry of the directory, "." and ".." or not, until that
	 * is not 0, which is then to be returned. Names of more than 255 bytes are left out. */
	int (*list)(const char *path, int (*add)(const char *name, void *into), void *into,
		    void *arg);
	void *arg;
} watcher_vfs;

enum {
	/* Do not lstat() what was created: its type is FILE unless the kernel said directory,
	 * and its inode 0. For consumers that want names at the highest rate. */
	WATCHER_NO_STAT = 1 << 0
};

typedef struct watcher_options {
	size_t size;
	struct uv_loop_s *loop; /* borrowed until closed; NULL: a private loop, see watcher_run */
	int backend;
	unsigned flags;
	int debounce_ms;     /* quiet time that ends a batch; 0: a batch per kernel read */
	int debounce_max_ms; /* a batch is never older than this; 0: ten times debounce_ms */
	/* After this much silence the first complete change (closed after writing, moved in,
	 * deleted) is delivered at once instead of after the quiet time. 0: never. */
	int leading_ms;
	int poll_interval_ms;      /* 0: 1000 */
	size_t max_backlog_bytes;  /* of undelivered events; past it they become an overflow and
				      are recovered when delivery goes on. 0: 64 MiB */
	const watcher_vfs *vfs;    /* copied; WATCHER_BACKEND_POLL only */
	/* Once every root added so far is watched; again after later additions. */
	void (*on_ready)(watcher *w, void *arg);
	/* A condition the user should hear of: watch limit reached and what is polled instead,
	 * a directory that cannot be read, a root that went or came back, a pattern that hit its
	 * match limit. Once a condition, not once an event. `path` may be NULL. */
	void (*on_problem)(watcher *w, const char *path, const watcher_error *err, void *arg);
	/* The last call of this watcher; nothing of it is left after it. */
	void (*on_closed)(void *arg);
	void *arg; /* for the callbacks above and watcher_sync */
	/* First crawl: called about every 100 ms with what was found so far, from within
	 * watcher_add(): the one callback that must not call watcher functions. */
	void (*on_progress)(watcher *w, uint64_t directories, uint64_t files, void *arg);
} watcher_options;

#ifndef __cplusplus
#define WATCHER(...) (&(const watcher_options){ .size = sizeof(watcher_options), __VA_ARGS__ })
#endif

/*
 * Opens a watcher. `options` may be NULL. Nothing is watched before watcher_add().
 * Where AUTO finds fs.inotify.max_user_instances used up, fanotify takes over if that is permitted,
 * else polling, and on_problem is told with UV_EMFILE.
 * UV_EMFILE: out of descriptors, or of the instances of a backend that was asked for; UV_ENOTSUP:
 * the backend does not exist here or is not permitted; UV_EINVAL: an option out of range; UV_E2BIG;
 * UV_ENOMEM.
 */
WHENDO_API int watcher_open(watcher **w, const watcher_options *options, watcher_error *err);

/* Turns the loop (the private one, or the caller's) until watcher_stop() or until nothing on
 * it is active. Not from within a callback (UV_EBUSY). */
WHENDO_API int watcher_run(watcher *w);

/* Makes watcher_run() return after the callback that called it. */
WHENDO_API void watcher_stop(watcher *w);

/*
 * Closes the watcher and its watches; no callback but on_closed comes after it. Never blocks
 * the caller's loop: the kernel's side is closed in the thread pool (closing inotify takes 10
 * to 100 ms), and the memory goes when the loop has turned. With a private loop everything is
 * gone on return, or, inside a callback, when watcher_run() returns; handles of your own on it
 * must be closing by then. If you turn a private loop with uv_run() yourself, a callback of the
 * watcher may close it too, but the loop lies in the watcher: close it once more when your
 * uv_run() has returned. A callback of another handle may not (but may within watcher_run()).
 * NULL is fine.
 */
WHENDO_API void watcher_close(watcher *w);

/* The loop, for a caller of a private one who wants timers on it. Borrowed. */
WHENDO_API struct uv_loop_s *watcher_loop(watcher *w);

/* Holds delivery: the kernel is still read, what arrives is merged and kept, up to
 * max_backlog_bytes. Resume delivers it. For consumers that are slow for a while. Within a
 * callback: the delivery that is going on ends, to other watches, too. */
WHENDO_API void watcher_pause(watcher *w);
WHENDO_API void watcher_resume(watcher *w);

/*
 * Calls `cb` once, with status 0, when every event that happened before the call has been
 * delivered (a pending debounce is cut short); with UV_ECANCELED if the watcher is closed
 * first. The order of the kernel's queue is the barrier (inotify(7): events are queued within
 * the system call that causes them); polling does a full round. A directory that cannot be read
 * just now (it is being replaced, descriptors are short) is tried again first, for up to some
 * 350 ms; one that could not be by then holds up no other. `arg` is that of the options.
 * UV_EINVAL: no `cb`; UV_ECANCELED: the watcher is closed, `cb` is not called; UV_ENOMEM.
 */
typedef void (*watcher_sync_cb)(watcher *w, int status, void *arg);
WHENDO_API int watcher_sync(watcher *w, watcher_sync_cb cb);

/* Counters since open, and what is held now. */
typedef struct watcher_stats_t {
	uint64_t directories, files; /* in the index now */
	uint64_t watches;            /* kernel watches or marks held now, also on the way to roots */
	uint64_t polled_directories; /* not watched but polled, now */
	uint64_t events_in;          /* told by the kernel, or found by polling */
	uint64_t events_out;         /* delivered to handlers */
	uint64_t batches;
	uint64_t overflows, recoveries;
	uint64_t index_bytes;   /* memory of the index */
	uint64_t backlog_bytes; /* undelivered */
	uint64_t crawl_ns;      /* time the crawls of the roots took */
	const char *backend;    /* "inotify", ...; static */
} watcher_stats_t;
/* `stats_size` is sizeof(watcher_stats_t) of the caller's header. */
WHENDO_API void watcher_stats(const watcher *w, watcher_stats_t *stats, size_t stats_size);

/* What WATCHER_BACKEND_AUTO would do; fields are only appended. */
typedef struct watcher_backend_info {
	int backend;          /* WATCHER_BACKEND_... */
	const char *name;     /* its name; static */
	char why[200];        /* in a few words */
	/* Inotify: how many directories one user may watch, the sysctl that says so ("" if there
	 * is none), and how many are watched by the caller's user now, as far as /proc shows.
	 * What does not fit is polled. -1: no limit is known. */
	long long watch_limit;
	const char *limit_name;
	uint64_t watches_used;
	/* As `name`, where the file system is mounted somewhere below a root: what the kernel makes
	 * up itself (proc, sysfs, ...) is polled only where it is watched by a path in it. */
	const char *name_below;
} watcher_backend_info;

/*
 * Which backend AUTO would use for the file system a path is on, and why; for a path that is
 * not there, that of its nearest ancestor. Nothing is opened or watched. `info_size` is
 * sizeof(watcher_backend_info) of the caller's header. UV_EINVAL: an empty path; UV_EACCES;
 * UV_ENAMETOOLONG.
 */
WHENDO_API int watcher_backend_for(watcher_backend_info *info, size_t info_size,
				   const char *path, watcher_error *err);

/* ---------------------------------------------------------------- filters ---- */

/*
 * A filter says which paths are watched and which events pass. It is made, given its rules,
 * and from its first use on only read: watches keep it by reference count, and threads may
 * share it. whendo-patterns(7) has the pattern language and the order of precedence:
 *
 * - A path passes if the last pattern (extension, regex, line of a filter file) that matches
 *   it, or a directory above it, is not negated; without patterns every path passes.
 * - It does not pass if it, or a directory above it, is ignored: asked are the ignore rules
 *   given here, the last one first, then .whendoignore, .ignore, .gitignore (the nearest file
 *   first), git's own excludes, and the defaults. Ignored directories are not entered, so
 *   nothing in them can be re-included, except by WATCHER_RULE_INCLUDE, which wins over every
 *   ignore and keeps the directories open in which it can match.
 * - Then kinds, WATCHER_FILTER_NO_DIRECTORIES and predicates.
 */

/* What a rule is. */
enum {
	WATCHER_RULE_PATTERN = 0, /* glob that passes; "!glob" does not */
	WATCHER_RULE_IGNORE,      /* glob that is ignored; "!glob" is not */
	WATCHER_RULE_INCLUDE,     /* glob that wins over every ignore */
	WATCHER_RULE_EXTENSION,   /* files that pass: "c", ".c", "c,h" */
	WATCHER_RULE_REGEX,       /* PCRE2, searched in the path below the root; passes */
	WATCHER_RULE_IGNORE_REGEX,
	WATCHER_RULE_FILTER_FILE, /* the text is a path: a file of patterns, gitignore syntax */
	WATCHER_RULE_IGNORE_FILE, /* the text is a path: a file of ignores, gitignore syntax */
	/* Globs for the whole path as events show it, as Watchdog's PatternMatchingEventHandler
	 * takes them: no '!', no meaning of a trailing '/', `**` between slashes only. */
	WATCHER_RULE_FULL_PATTERN,
	WATCHER_RULE_FULL_IGNORE
};

/* Switches of a filter. */
enum {
	WATCHER_FILTER_IGNORE_CASE = 1 << 0, /* rules added from now on (not files) */
	WATCHER_FILTER_NO_DIRECTORIES = 1 << 1, /* events on directories do not pass */
	WATCHER_FILTER_GITIGNORE = 1 << 2, /* nested .gitignore; in a work tree also those up to
					      its top, .git/info/exclude, core.excludesFile */
	WATCHER_FILTER_DOT_IGNORE = 1 << 3, /* nested .ignore and .whendoignore */
	WATCHER_FILTER_DEFAULTS = 1 << 4,   /* VCS directories, editors' files, ... */
	/* Nothing passes while there is no pattern, as Watchdog with an empty list. */
	WATCHER_FILTER_NEEDS_PATTERN = 1 << 5
};

/* Makes a filter that lets everything pass. UV_ENOMEM. */
WHENDO_API int watcher_filter_new(watcher_filter **f, watcher_error *err);

/* Makes a filter with all that `from` has, to add to; `from` stays as it is. UV_ENOMEM. */
WHENDO_API int watcher_filter_copy(watcher_filter **f, const watcher_filter *from,
				   watcher_error *err);

/* Gives up the caller's reference. NULL is fine. */
WHENDO_API void watcher_filter_free(watcher_filter *f);

/*
 * Adds a rule behind those that are there. `origin` is how a verdict names where it came from
 * ("-i"); NULL: the long option of whendo(1) for it. Relative paths of files are taken from
 * the current directory of the call; patterns in a file are relative to its directory if that
 * and the root watched lie within each other, else to the root. Braces in globs given here
 * are expanded, "*.{c,h}", to at most 256.
 * UV_EINVAL: not a glob, regex or extension: err->offset is the byte at fault, in what the message
 * shows (of braces one alternative); not a regular file; UV_E2BIG: too long, or a file of more
 * than 1 MiB; UV_ENOENT, UV_EACCES, UV_EISDIR, ...: the file; UV_ENOMEM. UV_EBUSY: a watch has it
 * already.
 */
WHENDO_API int watcher_filter_add(watcher_filter *f, int rule, const char *text,
				  const char *origin, watcher_error *err);

/* Sets the switches, all of them; UV_EINVAL for an unknown one, UV_EBUSY as above. */
WHENDO_API int watcher_filter_set(watcher_filter *f, unsigned flags);

/* Only events of these kinds pass (0: all). Control kinds always pass. UV_EINVAL for an unknown
 * one, UV_EBUSY as above. */
WHENDO_API int watcher_filter_kinds(watcher_filter *f, unsigned kinds);

/* Asked last: nonzero lets the event pass. `path` is relative to the root, "" the root. It is
 * called on the thread of the watch, and must not call watcher functions. */
typedef int (*watcher_predicate)(const char *path, int type, unsigned kind, void *arg);
/* Adds a predicate; all must agree. UV_EINVAL: none; UV_ENOMEM, UV_EBUSY as above. */
WHENDO_API int watcher_filter_predicate(watcher_filter *f, watcher_predicate cb, void *arg);

/* Called once per root with one line about a rule that does not work as written: a regex that
 * ran into its match limit (such a path counts as not excluded), an ignore file that cannot
 * be read. A watch tells its watcher's on_problem instead. UV_EBUSY as above. */
typedef void (*watcher_filter_problem)(const char *message, void *arg);
WHENDO_API int watcher_filter_on_problem(watcher_filter *f, watcher_filter_problem cb, void *arg);

/* Why a path passes or not. */
enum {
	WATCHER_WHY_NO_RULE = 0, /* passes: nothing speaks against it */
	WATCHER_WHY_PATTERN,     /* passes, or not if the pattern is negated */
	WATCHER_WHY_NO_PATTERN,  /* no pattern matches; no rule to name */
	WATCHER_WHY_IGNORED,     /* by a rule */
	WATCHER_WHY_REINCLUDED,  /* passes: the last ignore rule that matches is negated */
	WATCHER_WHY_INCLUDED,    /* passes: WATCHER_RULE_INCLUDE, against `ignored_by` or not */
	WATCHER_WHY_KIND,
	WATCHER_WHY_DIRECTORY, /* WATCHER_FILTER_NO_DIRECTORIES */
	WATCHER_WHY_PREDICATE
};

/* A verdict; owned by the library until freed, strings never NULL. Fields are only appended. */
typedef struct watcher_verdict {
	int passes;
	int why;            /* WATCHER_WHY_... */
	const char *rule;   /* as written; "" if there is none to name */
	const char *origin; /* option or path of the file; "" */
	unsigned line;      /* in that file, from 1; 0: an option or a default */
	const char *prunes; /* relative path of the directory the crawl does not enter; "": none */
	const char *message; /* all of it in one line: "ignored: *.o (.gitignore:3)" */
} watcher_verdict;

/*
 * What a watch on `root` with this filter would do with an event on `path`, which is relative
 * to the root or an absolute path below it; it need not exist. Reads the ignore files on the
 * way down from disk. `type`: WATCHER_TYPE_UNKNOWN asks the disk, a path that is not there
 * counts as a file. `kind` 0: an event of any kind the filter lets pass.
 * UV_EINVAL: an absolute path that is not below the root; UV_ENOMEM.
 */
WHENDO_API int watcher_filter_check(watcher_verdict **v, const watcher_filter *f,
				    const char *root, const char *path, int type, unsigned kind,
				    watcher_error *err);
WHENDO_API void watcher_verdict_free(watcher_verdict *v);

/* The built-in ignores, in order; NULL past the last. Static. */
WHENDO_API const char *watcher_filter_default(size_t i);

/* ---------------------------------------------------------------- watches ---- */

enum {
	/* Events as Watchdog's inotify emitter queues them: nothing merged, ATTRIB as MODIFIED,
	 * MODIFIED on the parent directory after created, deleted, moved and closed. */
	WATCHER_WATCHDOG_EVENTS = 1 << 0,
	/* Moves with one side outside the watch are MOVED with an empty other side instead of
	 * CREATED and DELETED (Watchdog's generate_full_events). */
	WATCHER_FULL_MOVES = 1 << 1,
	/* MODIFIED on the parent directory, as above, without the rest. */
	WATCHER_DIR_MODIFIED = 1 << 2,
	/* Events on directories do not pass. */
	WATCHER_IGNORE_DIRECTORIES = 1 << 3,
	/* Patterns, extensions and regexes of this watch ignore case. */
	WATCHER_IGNORE_CASE = 1 << 4
};

typedef struct watch_options {
	size_t size;
	const char *const *roots; /* more roots besides the one given to watcher_add */
	int depth;                /* 0: everything below; 1: the root's own entries; ... */
	int follow_symlinks;      /* directories behind symbolic links too; loops end by device
				     and inode. Shares nothing with other watches: watcher(3) */
	unsigned kinds;           /* 0: WATCHER_CHANGES; control kinds only if asked for */
	unsigned flags;
	/* Filters, all optional; lists end with NULL. In short: patterns and extensions say what
	 * passes, ignores what does not, a `filter` object does the same and more. */
	const char *const *patterns;
	const char *const *ignores;
	const char *const *extensions;
	const watcher_filter *filter; /* kept by reference count */
	/* Handlers; all optional, any number together. */
	void (*on_batch)(watcher_watch *watch, watcher_batch *batch, void *arg);
	void (*on_any)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_created)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_modified)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_deleted)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_moved)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_attrib)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_opened)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_closed)(watcher_watch *watch, const watcher_event *event, void *arg);
	void (*on_closed_no_write)(watcher_watch *watch, const watcher_event *event, void *arg);
	void *arg;
	watcher_watch **watch; /* if not NULL: gets the handle, valid until removed */
	const watcher_vfs *vfs; /* watcher_snapshot_take() only: what is read instead of the disk */
} watch_options;

#ifndef __cplusplus
#define WATCH(...) (&(const watch_options){ .size = sizeof(watch_options), __VA_ARGS__ })
#define LIST(...)  ((const char *const[]){ __VA_ARGS__, NULL })
#endif

/*
 * Watches `path` (and options->roots). When it returns, everything that is there has been
 * read into the index and is watched: a change made after the return is reported, and none that
 * was made before the call (but see watcher(3) of files that are polled, of fsevent, and of trees
 * that are still being read). A path that does not exist yet is waited for through its nearest
 * existing ancestor. Relative paths are taken from the current directory of the call. A single
 * file is watched through its directory, so it survives being replaced by rename. Watches may
 * overlap; those that do not follow links share kernel watches. A move from one root of the watch
 * to another is one MOVED event. Each watch has events of its own, which make sense without those
 * of others: what moves from one watch to another is DELETED to the one and CREATED to the other,
 * also where both have the same handlers.
 * UV_EINVAL: empty path, bad option; UV_ENOENT: a relative path, and the current directory was
 * removed, or what vanished while it was being added; UV_EACCES: a root cannot be read;
 * UV_ENOTDIR: a component is a file; UV_ELOOP; UV_ENAMETOOLONG: also a relative path where that of
 * the current directory is longer than PATH_MAX; UV_ENOSPC: watches ran out and nothing else may
 * take over; patterns: UV_EINVAL with offset; UV_ENOMEM. After a failure nothing of the call is
 * watched.
 */
WHENDO_API int watcher_add(watcher *w, const char *path, const watch_options *options,
			   watcher_error *err);

/* Gives a watch another root, as if it had been in `roots`. One that it has is not added again. */
WHENDO_API int watcher_watch_add_root(watcher_watch *watch, const char *path,
				      watcher_error *err);

/* Ends a watch; undelivered events of it are dropped. The handle is invalid afterwards. */
WHENDO_API void watcher_remove(watcher_watch *watch);
WHENDO_API void watcher_remove_all(watcher *w);

/* The watch's i-th root as it was given, without slashes at its end, as events have it; NULL past
 * the last. Borrowed. */
WHENDO_API const char *watcher_watch_root(const watcher_watch *watch, size_t i);
WHENDO_API watcher *watcher_watch_watcher(const watcher_watch *watch);

/*
 * Further handlers on one watch (Watchdog: add_handler_for_watch). Only the handler fields and
 * `arg` of the options are read. They are called after those that were there before. *id
 * names them for removal; UV_ENOENT for an id that is not there.
 */
WHENDO_API int watcher_watch_add_handler(int *id, watcher_watch *watch,
					 const watch_options *handlers);
WHENDO_API int watcher_watch_remove_handler(watcher_watch *watch, int id);

/* ---------------------------------------------------------------- ready-made handlers ---- */

/*
 * Objects to give to a watch: `.on_batch = watcher_command_handler_batch, .arg = h`. They belong
 * to a watcher's loop, serve any number of its watches, and are freed after these were removed
 * (or from within any callback), before the watcher is closed. OPENED, CLOSED_NO_WRITE and
 * the control kinds start nothing, whatever the watch asks for. Options are copied.
 *
 * Commands are run without a shell (`command`), or by sh -c (`shell`). Paths reach them as
 * arguments and in the environment, never as part of a shell's text. Their standard input is
 * empty, output and errors are the host's unless `quiet`.
 */

typedef struct watcher_log_handler watcher_log_handler;
typedef struct watcher_command_handler watcher_command_handler;
typedef struct watcher_supervise_handler watcher_supervise_handler;

typedef struct watcher_log_options {
	size_t size;
	int fd;        /* borrowed; 0: standard error */
	int with_time; /* RFC 3339, UTC, before each line */
	/* Gets each line instead of `fd`; `line` has no newline, and ends with NUL. */
	void (*line)(const char *line, size_t len, void *arg);
	void *arg;
} watcher_log_options;

/*
 * One line an event: "created src/a.c", "deleted src/old/" (directories end with '/'),
 * "moved a -> b"; control characters and backslashes as \xHH. Options may be NULL. UV_E2BIG,
 * UV_EINVAL, UV_ENOMEM.
 */
WHENDO_API int watcher_log_handler_new(watcher_log_handler **h,
				       const watcher_log_options *options, watcher_error *err);
WHENDO_API void watcher_log_handler_batch(watcher_watch *watch, watcher_batch *batch, void *h);
/* The first error of writing, after which nothing more is written; 0: none. */
WHENDO_API int watcher_log_handler_error(const watcher_log_handler *h);
WHENDO_API void watcher_log_handler_free(watcher_log_handler *h);

/* What happens to changes while a command runs. */
enum {
	WATCHER_BUSY_QUEUE = 0, /* gathered: one run for all of them follows */
	WATCHER_BUSY_WAIT,      /* each gets a run of its own, one after the other */
	WATCHER_BUSY_DROP,      /* nothing runs for them */
	WATCHER_BUSY_PARALLEL   /* further runs beside it, up to `parallel` */
};

typedef struct watcher_command_options {
	size_t size;
	const char *const *command; /* program and arguments, ends with NULL; or: */
	const char *shell;          /* text for sh -c; the paths are "$@" */
	int append_paths;           /* `command`: the paths are further arguments */
	int paths_on_stdin;         /* all paths, each ended by NUL, instead of nothing */
	int per_event;              /* a run for every event instead of every batch */
	int run_first;              /* also once when made, without a path */
	int busy;                   /* WATCHER_BUSY_... */
	int parallel;               /* 0: 16 */
	int quiet;                  /* its output is thrown away */
	const char *cwd;            /* NULL: the host's */
	const char *const *env;     /* further "NAME=value", ends with NULL */
	int64_t timeout_ms;         /* stopped after this long; 0: never */
	/* A run has ended: `code` is what a shell would give (127: not found, 128 + signal);
	 * `message` is "" or says why it failed. */
	void (*on_done)(watcher_command_handler *h, int code, const char *message, void *arg);
	void *arg;
} watcher_command_options;

/*
 * Runs a command for each batch, or each event. In its environment are watch_event_type,
 * watch_object ("file", "directory"), watch_src_path and watch_dest_path ("" but for moves), of
 * the first event it runs for, and watch_event_count. The paths are those that the events
 * name (of a move the new one), each once; one that begins with '-' gets "./" before it. At
 * most 96 KiB of them are arguments, watch_paths_left_out says how many are not.
 * UV_EINVAL: neither or both of command and shell, an option out of range; UV_E2BIG; UV_ENOMEM.
 */
WHENDO_API int watcher_command_handler_new(watcher_command_handler **h, watcher *w,
					   const watcher_command_options *options,
					   watcher_error *err);
WHENDO_API void watcher_command_handler_batch(watcher_watch *watch, watcher_batch *batch, void *h);
/* How many commands run now. */
WHENDO_API size_t watcher_command_handler_running(const watcher_command_handler *h);
/* Events no command was run for: by WATCHER_BUSY_DROP, for want of memory, or because more
 * than 64 MiB of them were waiting. */
WHENDO_API uint64_t watcher_command_handler_dropped(const watcher_command_handler *h);
/* What runs is stopped (SIGTERM, SIGKILL after 2 s) and reaped by the loop. NULL is fine. */
WHENDO_API void watcher_command_handler_free(watcher_command_handler *h);

/* What a supervisor tells. */
enum {
	WATCHER_SUPERVISE_STARTED = 1,
	WATCHER_SUPERVISE_EXITED, /* `code` as above; also when it could not be started */
	WATCHER_SUPERVISE_WAITING /* for `code` milliseconds before it is started again */
};

typedef struct watcher_supervise_options {
	size_t size;
	const char *const *command; /* as above */
	const char *shell;
	int quiet;
	const char *cwd;
	const char *const *env;
	int stop_signal;       /* 0: SIGTERM */
	int64_t kill_after_ms; /* from that to SIGKILL; 0: 10000 */
	int debounce_ms;       /* quiet time before a restart; 0: at once */
	int stay_down;         /* it is not started again when it exits by itself */
	/* It is started again at once the first time it exits by itself, then after backoff_ms,
	 * twice that, and so on; a run of backoff_max_ms, or a change, begins anew. */
	int backoff_ms;     /* 0: 100 */
	int backoff_max_ms; /* 0: 10000 */
	void (*on_state)(watcher_supervise_handler *h, int state, int code, const char *message,
			 void *arg);
	void *arg;
} watcher_supervise_options;

/*
 * Keeps a command running and restarts it when something changes: the old one, with its whole
 * process group, is gone before the new one starts. When it exits by itself, what is left of
 * the group is stopped in the same way, and then that is told. It is not started by this call.
 * Errors as above.
 */
WHENDO_API int watcher_supervise_handler_new(watcher_supervise_handler **h, watcher *w,
					     const watcher_supervise_options *options,
					     watcher_error *err);
/* Starts it; nothing if it runs. A change starts it, too, unless it was stopped. */
WHENDO_API void watcher_supervise_handler_start(watcher_supervise_handler *h);
/* Stops it, and lets changes pass until it is started again. */
WHENDO_API void watcher_supervise_handler_stop(watcher_supervise_handler *h);
WHENDO_API void watcher_supervise_handler_restart(watcher_supervise_handler *h);
WHENDO_API void watcher_supervise_handler_batch(watcher_watch *watch, watcher_batch *batch,
						void *h);
/* Its process id, 0 when it does not run. */
WHENDO_API int watcher_supervise_handler_pid(const watcher_supervise_handler *h);
/* How often it was started again. */
WHENDO_API uint64_t watcher_supervise_handler_restarts(const watcher_supervise_handler *h);
/* Stops it; the loop reaps it. NULL is fine. */
WHENDO_API void watcher_supervise_handler_free(watcher_supervise_handler *h);

/* ---------------------------------------------------------------- snapshots ---- */

/*
 * The state of trees at one moment: what Watchdog calls DirectorySnapshot. A snapshot is
 * taken, saved to a file, loaded again, asked, and compared with another, which gives the
 * events that lead from one to the other. It is immutable and needs no watcher or loop:
 * threads may share it.
 */

/* What is known of one path. Fields are appended in later versions. */
typedef struct watcher_snapshot_entry {
	const char *path; /* as in events */
	size_t path_len;
	const char *root; /* the root it lies under, as it was given */
	int type;         /* WATCHER_TYPE_... */
	uint32_t mode, uid, gid;
	uint64_t dev, inode, size, nlink;
	int64_t mtime_ns, ctime_ns; /* since 1970 */
	int64_t birth_ns;           /* 0: the file system does not tell */
} watcher_snapshot_entry;

/*
 * Reads the trees at `roots` (ends with NULL; files or directories). Of the options, which
 * may be NULL, only depth, follow_symlinks, the filters, WATCHER_IGNORE_CASE and vfs are read:
 * the snapshot holds what a watch with them would tell of. A root that is not there is
 * recorded as such; so is a directory below a root that may not be read, and it is left out of
 * comparisons. What vanishes while it is being read is left out. Blocks until done, and calls
 * nothing back.
 * UV_EINVAL: no root, an empty one, bad options; UV_E2BIG: options of a newer header;
 * UV_EACCES, ...: a root cannot be read; UV_ENAMETOOLONG: a tree more than 4096 deep;
 * UV_EMFILE; UV_EIO; UV_ENOMEM.
 */
WHENDO_API int watcher_snapshot_take(watcher_snapshot **s, const char *const *roots,
				     const watch_options *options, watcher_error *err);

/*
 * Writes a snapshot to a file: to another one beside it, FILE.whendo-N.new (.whendo-N.new where
 * that is too long for a name), which is synced and renamed, so that `file` is the old one or the
 * new one whatever happens; what a process left there that was killed meanwhile goes with the next
 * save. A link to a file stays, and that file is replaced. The new file may be read by nobody who
 * could not read the old one. UV_EINVAL: what is there is no regular file, which is left alone,
 * UV_EISDIR a directory; other errors are those of open(2), write(2), fsync(2) and rename(2), after
 * which the old file is as it was; UV_ENOMEM.
 */
WHENDO_API int watcher_snapshot_save(const watcher_snapshot *s, const char *file,
				     watcher_error *err);

/*
 * Reads what watcher_snapshot_save() has written. The message names the file and what is wrong
 * with it.
 * UV_EINVAL: not a snapshot, truncated, or corrupt (err->offset says where); UV_ENOTSUP:
 * written by a newer version; UV_EFBIG: more than 4 GiB; UV_ENOENT, UV_EACCES, ...; UV_ENOMEM.
 */
WHENDO_API int watcher_snapshot_load(watcher_snapshot **s, const char *file, watcher_error *err);

/* Ends a snapshot. NULL is fine. */
WHENDO_API void watcher_snapshot_free(watcher_snapshot *s);

enum {
	/* Device numbers are not compared: they may change with a new mount. */
	WATCHER_DIFF_IGNORE_DEVICE = 1 << 0,
	/* A file that was replaced by another of the same type under the same name is told as
	 * DELETED and CREATED, as Watchdog does, not as MODIFIED. */
	WATCHER_DIFF_REPLACED = 1 << 1,
	/* MODIFIED for directories whose change time differs. */
	WATCHER_DIFF_DIR_MODIFIED = 1 << 2
};

/*
 * Tells what leads from `old` to `new_` (either may be NULL: a snapshot of nothing): CREATED,
 * DELETED, MOVED, MODIFIED (size, modification time, or change time with nothing else to
 * explain it) and ATTRIB (mode, owner, link count). What moved is known by device, inode and
 * birth time, or, where there are none of these, by unchanged size and modification time.
 *
 * Each event makes sense after those before it: directories come before what is in them and
 * end after it, names are freed before they are taken, and paths are those of that moment.
 * Names that were swapped are told as one MOVED between a DELETED and a CREATED. What is in a
 * directory that moved is told as MOVED too, marked `synthetic`, right behind it. Roots are the
 * same if they were given alike. time_ns is when `new_` was taken. Where the kernel's file times
 * are coarse (Linux before 6.13), what is written again within the same tick
 * and keeps its size looks unchanged.
 *
 * The event is borrowed until `cb` returns. Returns 0, what `cb` returned if that was not 0
 * (and stops then), UV_EINVAL for unknown flags, UV_ENOMEM (before the first event).
 */
typedef int (*watcher_diff_cb)(const watcher_event *event, void *arg);
WHENDO_API int watcher_snapshot_diff(const watcher_snapshot *old, const watcher_snapshot *new_,
				     unsigned flags, watcher_diff_cb cb, void *arg);

/* How many entries of a type there are, WATCHER_TYPE_UNKNOWN: of all types. */
WHENDO_API size_t watcher_snapshot_count(const watcher_snapshot *s, int type);

/* When it was taken, nanoseconds since 1970. */
WHENDO_API int64_t watcher_snapshot_time(const watcher_snapshot *s);

/* The i-th root as it was given, NULL past the last. Borrowed. */
WHENDO_API const char *watcher_snapshot_root(const watcher_snapshot *s, size_t i);

/* What is known of a path, given as events give it; entry->path is `path`. UV_ENOENT. */
WHENDO_API int watcher_snapshot_find(const watcher_snapshot *s, const char *path,
				     watcher_snapshot_entry *entry);

/*
 * Calls `cb` with every entry at and below `path` (NULL: everything), directories before what
 * is in them, names in order of their bytes. The entry is borrowed until `cb` returns.
 * Returns 0, what `cb` returned if that was not 0 (and stops then), UV_ENOENT, UV_ENOMEM.
 */
typedef int (*watcher_snapshot_cb)(const watcher_snapshot_entry *entry, void *arg);
WHENDO_API int watcher_snapshot_each(const watcher_snapshot *s, const char *path,
				     watcher_snapshot_cb cb, void *arg);

/*
 * The (first) path of an inode. *size is that of `buf`, and becomes the length of the path.
 * UV_ENOENT: there is none; UV_ENOBUFS: *size is what is needed, the NUL included.
 */
WHENDO_API int watcher_snapshot_path_of(const watcher_snapshot *s, uint64_t dev, uint64_t inode,
					char *buf, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
