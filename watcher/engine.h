/*
 * The engine's own structures, and the calls between its stages.
 *
 *   backend -> apply (exact changes) ─┐
 *           -> look  (hints, gaps)   ─┴─> tree, emit -> batch -> deliver
 *
 * A stage includes what comes before it. Everything happens on the loop's thread; crawl hands the
 * reading of directories to threads, which end before it does, and what a backend has in the
 * thread pool touches nothing of what is here.
 */
#ifndef WATCHER_ENGINE_H
#define WATCHER_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/bytes.h"
#include "base/list.h"
#include "watcher/backend.h"
#include "watcher/batch.h"
#include "watcher/created.h"
#include "watcher/debounce.h"
#include "watcher/disk.h"
#include "watcher/ids.h"
#include "watcher/scan.h"
#include "watcher/tree.h"
#include "whendo/watcher.h"

struct filter_root;

/* A backend in use, and which of its numbers is which node. */
struct source {
	struct watcher *w;
	const struct backend_ops *ops;
	struct backend *backend;
	struct ids nodes;
	struct ids anchors; /* number -> place in watcher.anchors */
};

/* One path a watch was given. */
struct root {
	struct root *next_at_node; /* others attached to the same node */
	struct link link;          /* in watch.roots */
	struct watcher_watch *watch;
	struct filter_root *filter; /* NULL: everything passes */
	char *given;               /* for display, without slashes at its end */
	char *path;                /* absolute, of the time it was added; symlinks kept */
	char *real;                /* absolute, symlinks resolved: of the node's directory */
	char *single;              /* a file: its name in the node's directory */
	uint32_t node;             /* NO_DIR while there is nothing */
	bool recheck;              /* something on the way to it has changed */
	bool rules_due;            /* files outside of it that its rules are in may have changed */
	int64_t bound_ns;          /* wall clock before its rules were read first */
	uint64_t outside;          /* what those files were then: see outside.c; 0: not looked at */
	bool waiting;              /* told the user that it is not there */
	bool was_there;            /* has been attached before */
	bool over;                 /* one around it has told its end: it tells, till looked up, the rest */
	bool sought;               /* those around it were to look for it first, and have */
	bool ended;                /* just now: those in it are to end */
	uint32_t settled;          /* the round it was looked up in last: see watcher.settling */
};

struct handler {
	struct link link;
	int id;
	bool removed;
	watch_options on; /* only its callbacks and arg */
};

struct watcher_watch {
	struct link link; /* in watcher.watches */
	struct link roots, handlers;
	struct watcher *w;
	struct watcher_batch *batch, *spare; /* undelivered; being delivered */
	const watcher_filter *filter;
	unsigned kinds, flags;
	int depth;
	int next_handler;
	bool removed;
};

/* Directories on the way to a root: being moved or removed, or a name coming or going there,
 * makes the root be looked up again. One anchor a directory and source. */
struct anchor {
	int32_t id;
	uint8_t source;
	uint32_t nwants, cap;
	struct anchor_want {
		struct root *root;
		char *name; /* NULL: the directory itself */
		bool rules; /* it has rules of the root, and is not on the way to it */
	} *wants;
};

/* The first half of a move, waiting for the second; or what a move has pushed off its name,
 * which is gone, or is half of an exchange (see moves.h). */
struct half_move {
	uint32_t cookie, dir, gen, node; /* node: NO_DIR for what is not an indexed directory */
	uint32_t back_dir, back_gen; /* pushed off: where what took the name came from */
	uint32_t drain;
	uint64_t deadline_ns;
	int type;
	uint64_t ino;
	int32_t pid;
	int64_t time_ns;
	bool is_dir, pushed;
	bool guessed; /* pushed off: that it, and not what took its name, has left that */
	bool far;     /* pushed off: long before. What has its inode number now may be a later thing */
	bool found; /* pushed off, and the index has it where the second half moves it */
	bool perhaps_gone; /* pushed off: its mode has changed since, or its link count */
	bool ahead; /* it may be: see moves.h. Pushed off: what is in it has been told to all to have ended */
	bool doubt; /* it may be another thing, and nothing would show that */
	uint8_t len, back_len;
	char name[255], back[255];
};

/* A piece of news for the watches: what emit() makes events of. */
struct news {
	int kind, type;
	/* Where, and which name there; no name: the directory itself. NO_DIR: MOVED, from a
	 * place nobody watches any more. */
	uint32_t dir;
	const char *name;
	size_t len;
	uint32_t dest_dir; /* MOVED */
	const char *dest;
	size_t dest_len;
	uint64_t ino;
	int64_t time_ns;
	uint32_t cookie;
	int32_t pid;
	bool synthetic, recovered;
	bool type_known; /* CREATED: no need to look */
	bool exchange;  /* MOVED, the second of an exchange: CREATED, but for Watchdog */
	bool guessed;   /* `exchange`, and may be none: CREATED for all, who all have its old name still */
	bool complete;  /* the change is whole, as no creation is: worth acting on at once */
	bool root_only; /* only for roots that are this very thing */
	const struct root *only; /* only for this root; NULL: all */
	bool grafted;            /* not for roots at or below the node `known_to` */
	uint32_t known_to;
	bool ending;             /* MOVED: only for those who know of nothing where it is now */
	bool was_told;           /* MOVED: where it is now, as created */
	bool may_touch; /* ATTRIB: MODIFIED for those who want that only, if the times were set */
	bool overwrites; /* CREATED over a file that was known: MODIFIED, but for Watchdog */
	const struct news *onto; /* DELETED: only for those who do not see where this move began */
	bool dead;      /* about a name that is gone already: Watchdog tells of it */
	bool half_move; /* CREATED or DELETED by a move from or to the outside */
	bool sub_move;  /* follows from the move of a directory above */
	bool came;      /* was in a directory that was moved in: Watchdog tells nothing else of it */
};

/* What on_problem will be told once no step of the pipeline is half done. */
struct problem {
	struct link link;
	watcher_error err;
	bool has_path;
	char path[];
};

/* A directory that is at a second place, too, by a mount or a link: it is told of where the node
 * `owner` is, and not at `name` in `dir`. See alias.c. */
struct alias {
	uint32_t dir, gen, owner, owner_gen;
	int32_t id; /* the number of the directory */
	uint8_t source;
	bool link; /* `name` is one */
	char *name;
};

/* What is mounted, and the list of mounts: see mounted.c. */
struct mounts;

/* Lists of the pass that is going on; see look.c. */
struct look;

/*
 * A path written from its end: walking from a node to the top puts each name before what is
 * there, so that the path relative to any root on the way is a suffix of the buffer.
 */
struct backpath {
	char *buf;
	size_t cap, len; /* the path is the last len bytes before buf + cap - 1, NUL-ended */
};
static inline const char *backpath_tail(const struct backpath *p, size_t len)
{
	return p->buf + p->cap - 1 - len;
}

/* A call of watcher_sync() that is not told yet. */
struct sync {
	watcher_sync_cb cb; /* NULL: that of the head is told */
	uint64_t number;    /* in all engines the same */
	int round; /* so many more times at rest */
	int tries; /* of what was unsettled, since it was asked for */
	bool held; /* all else is told */
};

/* An engine: what the user opened, or one behind it; see engines.c. */
struct watcher {
	struct watcher *head; /* that which the user has */
	struct link ring;     /* all engines of it */
	bool follow;	      /* its watches follow links */
	uv_loop_t *loop, own_loop;
	bool own, running, closing;
	bool closed_in_callback; /* of a private loop, not in watcher_run(): freed by another close */
	watcher_options options;
	struct disk disk;
	struct source sources[2]; /* the chosen one, and polling for what it cannot watch */
	int nsources;
	struct tree tree;
	struct look *look;
	struct link watches, problems;
	const struct root *adding; /* what it has already is no news to it */
	struct anchor *anchors;
	uint32_t nanchors, anchors_cap;
	struct half_move *halves, *pushed, *overdue; /* overdue: see pushed_off.c */
	uint32_t nhalves, halves_cap, npushed, pushed_cap, noverdue, overdue_cap;
	struct {
		uint32_t dir, gen;
	} *limbo;
	uint32_t nlimbo, limbo_cap;
	struct {
		int32_t id;
		uint8_t source;
	} *unwatch;          /* numbers that are nobody's any more, still to be told the backend */
	uint32_t nunwatch, unwatch_cap;
	unsigned unwatched;  /* those told in this turn */
	unsigned calm_rounds; /* times in a row that limbo was gone through with an empty queue */
	uint64_t limbo_due_ns; /* not again before, and after that, for so long: */
	uint64_t limbo_wait_ns;
	struct {
		uint32_t dir, gen;
	} *ahead;            /* nodes that have DIR_AHEAD */
	uint32_t nahead, ahead_cap;
	bool uncertain;      /* directories were read without a fence: the index may be newer */
	int64_t owed_since_ns; /* what is owed (DIR_OWED) may have changed since then */
	int64_t put_off_ns;  /* what polling found in directories that are in limbo may be as old */
	uint32_t own_cookie; /* last one given to a move that has none */
	uint32_t settling;   /* counts rounds of looking roots up */
	bool several;        /* some watch has had more than one root: they may be in one another */
	bool recheck_roots, rules_due, gap, ready_due, exact_counts, pumping, backlogged;
	bool tight;          /* a batch uses its last memory: it is delivered before more comes */
	bool leaving;        /* watches were removed within a pass */
	bool watch_limit_due;
	bool watch_limit_told, unwatchable_told, instances_told; /* of the head */
	struct late *late;   /* see late.c */
	struct mounts *mounts; /* NULL: nothing is to be known of them */
	struct alias *aliases;
	uint32_t naliases, aliases_cap;
	uint32_t filters;    /* watches that have one */
	unsigned kinds;      /* union over the watches */
	uint32_t drain;      /* counts fills */
	int64_t gap_since_ns; /* older changes than this were not lost; 0: calm_ns */
	int64_t calm_ns;     /* wall clock before the last time the queue was empty */
	int64_t now_ns;      /* wall clock of the change being applied */
	uint64_t turn_ns;    /* uv_hrtime() of the turn */
	struct created created;
	struct debounce debounce;
	uint64_t batch_number; /* of the head */
	unsigned dispatching;
	bool paused, stop;
	uv_timer_t timer;
	uv_idle_t awake; /* with `more`: the loop does not wait */
	uv_check_t more;
	bool all_heard; /* every descriptor that was ready has had its turn */
	int open_handles;
	uv_work_t freeing; /* a large index, in the thread pool */
	struct sync *syncs;
	uint32_t nsyncs, syncs_cap;
	uint64_t sync_number; /* of the head: the last */
	watcher_stats_t stats;
	struct backpath path, dest_path, work_path;
};

/* ---- place.c: where a node is, and which roots it lies under ---- */

/* A root at or above a place, and the length of the place's path relative to it. */
struct hit {
	struct root *root;
	size_t rel_len;
};
#define HITS_MAX 64
/* Is a path below a root, or "", within what its watch wants of it, but for filters? */
bool watcher__root_sees(const struct root *root, const char *rel, size_t len);
/* ... and for filters? */
bool watcher__root_passes(const struct root *root, const char *rel, size_t len, int type, int kind);
/* Roots over `name` in `dir` (no name: over the directory itself) whose depth reaches there, the
 * nearest first; the path up to the top is left in `p`. Count of hits, or UV_ENOMEM. */
int watcher__hits(struct watcher *w, struct backpath *p, uint32_t dir, const char *name,
		  size_t len, struct hit *hits);
/* The same where those have it who were told of everything so far. */
int watcher__hits_told(struct watcher *w, struct backpath *p, uint32_t dir, const char *name,
		       size_t len, struct hit *hits);

/* Memory for paths of usual lengths, so that an event is not lost for want of it. */
int watcher__paths_init(struct watcher *w);

/* The absolute path of a node, or of a name in it (len 0: the node). Valid until the next
 * call; NULL when out of memory. */
const char *watcher__path(struct watcher *w, uint32_t dir, const char *name, size_t len);

/* Should `name` in `dir` (a directory, or a link to one) be crawled and watched, for any root? */
bool watcher__wanted(struct watcher *w, uint32_t dir, const char *name, size_t len);
/* Is any root attached at or above the node, near enough for its depth, its filter open? */
bool watcher__covered(struct watcher *w, uint32_t dir);
/* Is this name in a narrow directory one that a root asks for? */
bool watcher__narrow_wants(struct watcher *w, uint32_t dir, const char *name, size_t len);

/* ---- told.c ---- */
/* The directory that a node is in, to those who were told of everything so far, and its name there.
 * NO_DIR: it is in none. */
uint32_t watcher__told_up(struct watcher *w, uint32_t dir, const char **name, size_t *len);
/* Do they have it at or below another node? */
bool watcher__told_below(struct watcher *w, uint32_t dir, uint32_t top);

/* ---- ignores.c: true if what passes changed ---- */
/* `name` in `dir` may hold rules of some filter: reads them. */
bool watcher__rules_read(struct watcher *w, uint32_t dir, const char *name, size_t len);
/* If rules of `dir` are in force, are there any? */
bool watcher__rules_none(struct watcher *w, uint32_t dir);
/* The index has a directory, with what is in it, at another place than before: what is wanted of it
 * may be something else by its path alone. */
void watcher__rules_arrived(struct watcher *w, uint32_t node);
/* And here it was. */
void watcher__rules_left(struct watcher *w, uint32_t dir, const char *name, size_t len);
/* Files may have changed without being told: those of the roots at a node. */
bool watcher__rules_again(struct watcher *w, uint32_t top);

/* ---- outside.c ---- */
/* A root has been attached, or its way walked anew: hears of the files outside of it that its
 * rules are in. */
void watcher__outside_follow(struct watcher *w, struct root *root);
/* A round of polling has ended: files that are polled may have been written to. */
void watcher__outside_round(struct watcher *w);
/* Reads the rules again of roots that have `rules_due`, if the files did change. */
void watcher__outside_check(struct watcher *w);

/* ---- emit.c ---- */
/* May fill in news->type and ->ino of what was created. */
void watcher__emit(struct watcher *w, struct news *news);
/* Does the move, or what is in what moves, leave what some watch has? */
bool watcher__ends_for_some(struct watcher *w, const struct news *move);
/* A move has taken the name of something of that type: those who do not see where it began are
 * told so. Before the move itself. */
void watcher__emit_replaced(struct watcher *w, struct news *move, int type);
void watcher__emit_control(struct watcher *w, int kind);
/* Queues it for on_problem. */
void watcher__problem(struct watcher *w, const char *path, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- node.c: nodes, their watches, and taking both away ---- */

/* Watches the directory that fd is open on for this node. 0; UV_EEXIST: it is another node's
 * directory, *owner; else as backend_ops.watch. */
int watcher__node_watch(struct watcher *w, uint32_t dir, int fd, const char *path,
			uint32_t *owner);
/* Ties a node to a number a crawl thread got for it. */
int watcher__node_claim(struct watcher *w, uint32_t dir, int source, int32_t id,
			uint32_t *owner);
void watcher__node_unwatch(struct watcher *w, uint32_t dir);
/* Ends kernel watches of nodes that are not watched any more. False: uv_hrtime() has passed
 * `until`, and some are left. */
bool watcher__unwatch_rest(struct watcher *w, uint64_t until);
/* The directory has been read with a fence; `fresh`: and was not watched before. */
void watcher__node_ahead(struct watcher *w, uint32_t dir, bool fresh);
/* The queue has passed the place of the fence. */
void watcher__node_read(struct watcher *w, uint32_t dir);
/* The queue is empty: nothing in the index is newer. */
void watcher__caught_up(struct watcher *w);
/* Unwatches and frees a node and everything below; its entry in the parent stays, detached. */
void watcher__node_drop(struct watcher *w, uint32_t dir);
/* Takes a node off its entry, which stays, and roots off the node. */
void watcher__node_uproot(struct watcher *w, uint32_t dir);
/* The node that has this number, or IDS_NONE. */
uint32_t watcher__node_of(const struct watcher *w, int source, int32_t id);
/* Lets go of what is unwanted below a node, and reads what is wanted now (rules changed). */
void watcher__reconsider(struct watcher *w, uint32_t dir);
/* Watches a directory on the way to a root, where it can be. */
int watcher__watch_way(struct watcher *w, int fd, const char *path, enum watch_level level,
		       int *source, int32_t *id);
/* The number of the source that is right for the file system a path is on: of a root, or of
 * what is mounted below one. */
int watcher__node_source(struct watcher *w, const char *path);
int watcher__node_source_below(struct watcher *w, const char *path);
/* Tells the user, once, that the kernel's limit of watches was reached. */
void watcher__tell_limit(struct watcher *w);

/* ---- release.c: letting go of trees ---- */
/* Is it in one that is on its way from one name to another? Then what takes that off the way decides. */
bool watcher__is_moving(const struct watcher *w, uint32_t dir);
/* Lets go of what no root wants any more, at and below a node; nothing is told. */
void watcher__release(struct watcher *w, uint32_t dir);
/* Does a root at or above a node, that is not `but`, want all that is below it? */
bool watcher__wants_all(const struct watcher *w, uint32_t dir, const struct root *but);
/* Gives back what nodes have that are cut off. False: uv_hrtime() has passed `until`, and some
 * are left. */
bool watcher__cut_rest(struct watcher *w, uint64_t until);

/* ---- mounts.c: what is known of file systems without watching ---- */
/* Does the kernel tell of all changes on the file system of a path? *type, which may be NULL,
 * gets its name where it does not. */
bool watcher__mount_notifies(const char *path, const char **type);
/* The same for a mount that was found below a root. What the kernel shows of itself (proc, sysfs)
 * is left alone there: to read all of it again and again is not what anybody wants. */
bool watcher__mount_notifies_below(const char *path);

/* ---- mounted.c: mounts below roots and on the way to them ---- */
/* Begins to hear of mounts, where that can be; called again for each new root. UV_ENOMEM. */
int watcher__mounts_open(struct watcher *w);
/* True: on_source_closed() will be called. */
bool watcher__mounts_close(struct watcher *w, void (*closed)(void *arg));
void watcher__mounts_free(struct watcher *w);
/* A directory that has just been read is a mount point, of the mount of that number. */
void watcher__mounted(struct watcher *w, uint32_t dir, uint64_t mount);
/* Was it one when it was read last, and is it, open as fd, not of that mount any more? */
bool watcher__mounted_anew(struct watcher *w, uint32_t dir, int fd);
/* False: a change of mounts may still be missed. */
bool watcher__mounts_heard(const struct watcher *w);
/* Has something been mounted or unmounted, and is it time to see to it? */
bool watcher__mounts_due(struct watcher *w);
/* When it will be; 0: nothing waits. */
uint64_t watcher__mounts_due_ns(const struct watcher *w);
/* A directory is elsewhere by now than the index had it: what is mounted there may be, too. */
void watcher__mounts_doubt(struct watcher *w);
/* A directory has come with what is in it: files there may have been mounted over before. */
void watcher__mounts_came(struct watcher *w);
/* A directory has another name by a change that is applied only now: the list may have had it
 * when it was read. */
void watcher__mounts_moved(struct watcher *w);
/* Has the queue not been empty since the list was read? */
bool watcher__mounts_ahead(const struct watcher *w);
/* It is now. */
void watcher__mounts_caught_up(struct watcher *w);
/* Has looked at what leads elsewhere since the last time. */
void watcher__mounts_check(struct watcher *w);

/* ---- alias.c: directories at two places ---- */
/* The node `dir`, about to be dropped, is the directory of the node `owner`. */
void watcher__alias_note(struct watcher *w, uint32_t dir, uint32_t owner);
/* Has directories looked at that are not told of elsewhere any more; with `remounted`, as mounts
 * have changed, or may have, those that are another directory now, too. */
void watcher__aliases_check(struct watcher *w, bool remounted);
void watcher__aliases_free(struct watcher *w);

/* ---- look.c: the one path for hints, gaps and new directories ---- */
int watcher__look_init(struct watcher *w);
void watcher__look_fini(struct watcher *w);
void watcher__look_at(struct watcher *w, uint32_t dir);
/* What happened before this has been told, as far as anything tells of it; by the file system's clock. */
int64_t watcher__known_ns(const struct watcher *w);
/* Everything that is indexed, with content changes since `since_ns`. */
void watcher__look_everywhere(struct watcher *w, int64_t since_ns);
/* As a backend's hint says. */
void watcher__look_hint(struct watcher *w, uint32_t dir, const struct change *hint);
/* What was done since then in the directory, or below it, may never have been told: the pass that
 * reads it next looks for it. */
void watcher__owe(struct watcher *w, uint32_t dir, int64_t since_ns);
bool watcher__look_pending(const struct watcher *w);
/* Works until done (true) or until uv_hrtime() passes `until`. */
bool watcher__look_go(struct watcher *w, uint64_t until);
/* The next directory of the queue, if there is one. */
void watcher__look_one_queued(struct watcher *w);
/* A fresh node below `dir` for an entry that is a directory; NO_DIR if it is not wanted. */
uint32_t watcher__look_new_dir(struct watcher *w, uint32_t dir, uint32_t rec);
/* Puts the first listing of a directory into the index, silently. False: out of memory. */
bool watcher__look_take(struct watcher *w, uint32_t dir, struct listing *l);
/* A directory that was to be read cannot be opened or watched; its path is in look->path. */
void watcher__look_failed(struct watcher *w, uint32_t dir, int code);

/* What a crawl thread has read and watched; `l` is taken over until the next call. */
void watcher__look_result(struct watcher *w, uint32_t dir, int watched, int32_t id,
			  struct listing *l);

/* ---- links.c: directories behind symbolic links ---- */
/* A symbolic link, where links are followed: what is behind it is wanted, if it is a directory, and
 * none that the link is in. */
void watcher__look_behind(struct watcher *w, uint32_t dir, uint32_t rec);
/* The node has moved: links below it that say where from where they are may lead elsewhere. */
void watcher__look_behind_below(struct watcher *w, uint32_t node);
/* Does the link that this node is behind lead to something else than the node by now? */
bool watcher__leads_elsewhere(struct watcher *w, uint32_t node);
/* Is the link that the node is behind still there? It is asked where it leads to nothing. */
bool watcher__dangles(struct watcher *w, uint32_t node);

/* ---- crawl.c: the first reading of a tree, silent, on threads ---- */
int watcher__crawl(struct watcher *w, uint32_t top);
/* What this root wants below its node, which is known, and others did not. What is known is not
 * read: others would not be told of what has changed, and not been heard of, by then. */
int watcher__crawl_rest(struct watcher *w, const struct root *root);

/* ---- late.c: the first reading of a tree, after the user was told that all is ready ---- */
int watcher__late_init(struct watcher *w);
void watcher__late_fini(struct watcher *w);
/* Has the tree below a root read later, if its backend covers it as a whole; false: not. */
bool watcher__late_begin(struct watcher *w, uint32_t dir);
/* Was this node found by such a reading? Then it is read later, too. */
bool watcher__late_takes(struct watcher *w, uint32_t dir);
bool watcher__late_active(const struct watcher *w);
/* Reads until all is read (true) or until uv_hrtime() passes `until`. */
bool watcher__late_go(struct watcher *w, uint64_t until);
/* When what could not be read is tried again; 0: nothing waits. */
uint64_t watcher__late_due_ns(const struct watcher *w);
/* The next change: one that had to wait, or the backend's. As backend_ops.next. */
int watcher__late_next(struct watcher *w, int source, struct change *c);
/* Reads what a change needs. False: not now; watcher__late_next() gives it again. */
bool watcher__late_before(struct watcher *w, int source, struct change *c, uint64_t until);
/* Takes the names of what was made since out of what was read of a directory. */
void watcher__late_leave_out(int fd, struct listing *l, int64_t since_ns);

/* ---- apply.c: exact changes ---- */
void watcher__apply(struct watcher *w, int source, const struct change *c);

/* ---- moves.c: halves of moves ---- */
/* Is the node, with all below it, half of a move, or pushed off its name? */
bool watcher__is_half(const struct watcher *w, uint32_t node);
/* Ends halves of moves that have waited long enough; UINT64_MAX: all. */
void watcher__halves_expire(struct watcher *w, uint64_t now_ns);
/* Something new has this name: what moved away from it, and is waited for, has left. */
void watcher__name_taken(struct watcher *w, uint32_t dir, const char *name, size_t len);

/* ---- limbo.c: what could not be looked at ---- */
/* Looked at again when the queue is empty. */
void watcher__node_limbo(struct watcher *w, uint32_t dir);
/* Looks again at what limbo holds, if it is time to: else false. */
bool watcher__limbo_retry(struct watcher *w);
/* Is there something in it that a sync waits for? It is tried again by the timer. */
bool watcher__limbo_holds(const struct watcher *w);
/* What is in it now holds no other sync up, until it has been read. */
void watcher__limbo_give_up(struct watcher *w);

/* ---- root.c ---- */
int watcher__root_new(struct root **out, struct watcher_watch *watch, const char *given,
		      watcher_error *err);
void watcher__root_free(struct watcher *w, struct root *root);
/* Finds what the root's path leads to now; `first`: errors are the caller's, nothing is
 * announced. */
int watcher__root_settle(struct watcher *w, struct root *root, bool first,
			 watcher_error *err);
void watcher__anchor_hit(struct watcher *w, int source, const struct change *c);
/* Something was mounted or unmounted: has roots looked up again that it may concern. */
void watcher__roots_remounted(struct watcher *w);
/* Changes were lost, and may have been on the way to any root: has all looked up again. */
void watcher__doubt_roots(struct watcher *w);
/* Has roots looked up again that are not there, where no anchor tells of their coming. */
void watcher__waiting_roots(struct watcher *w);

/* ---- pump.c: order of the work, delivery, timers ---- */
int watcher__pump_init(struct watcher *w);
void watcher__pump(struct watcher *w);
/* The pump runs at the next turn of the loop. */
void watcher__pump_soon(struct watcher *w);
/* Has the index as it is now, and those told of it who have a watch; with `look` also of what is only
 * found by looking. */
void watcher__catch_up(struct watcher *w, bool look);

/* Watches and handlers that were removed within a callback go when no callback runs; and those that
 * were removed within a pass when that has ended. */
void watcher__sweep_removed(struct watcher *w);

/* ---- sync.c: the barrier ---- */
/* Is there one that does not only wait for what is tried again? */
bool watcher__sync_is_new(const struct watcher *w);
/* What could not be looked at or looked up was tried again. */
void watcher__syncs_tried(struct watcher *w);
/* The pipeline is at rest, and every descriptor that was ready has had its turn: tells those that
 * wait for nothing else. */
void watcher__syncs_finish(struct watcher *w);
/* Those that are there end with UV_ECANCELED. */
void watcher__syncs_cancel(struct watcher *w);

/* ---- watcher.c ---- */
/* Opens a backend as the next source; errors as watcher_open(). */
int watcher__source_open(struct watcher *w, const struct backend_ops *ops, watcher_error *err);
/* Opens an engine behind the head; errors as watcher_open(). */
int watcher__open_behind(struct watcher **out, struct watcher *head, watcher_error *err);
/* Closes an engine behind the head, which goes on. */
void watcher__close_behind(struct watcher *w);

/* ---- engines.c: one for each watch that follows links, and one for all others ---- */
/* The next engine behind the same head; NULL: that was the last. */
struct watcher *watcher__next_engine(const struct watcher *w);
#define EACH_ENGINE(it, head) for (struct watcher *it = (head); it; it = watcher__next_engine(it))
/* The one for a watch that follows links, or does not; errors as watcher_open(). */
int watcher__engine_for(struct watcher **out, struct watcher *head, bool follow,
			watcher_error *err);
/* Closes it if no watch is left in it, and it is neither the head nor kept for the next. */
void watcher__engine_leave(struct watcher *w);
/* Is a callback of any of them running? */
bool watcher__calls(const struct watcher *head);

/* ---- watch.c ---- */
/* A checked copy of what a caller gave. UV_EINVAL, UV_E2BIG. */
int watcher__watch_options(watch_options *o, const watch_options *given, watcher_error *err);
/* The filter of the options and the short forms beside it, as one; a reference, or NULL. */
int watcher__watch_filter(const watcher_filter **out, const watch_options *o, watcher_error *err);
void watcher__watch_free(struct watcher_watch *watch);

#endif
