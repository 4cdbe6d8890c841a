/*
 * The portable backend: libuv's uv_fs_event_t, one a directory.
 *
 * What libuv tells is a hint: "renamed" means that a name came or went, "changed" that a file
 * was written to or its metadata set; names may be missing (kqueue). So it is passed on as
 * LOOK, and as WRITTEN or ATTRIB after a look at the file's times. Everything of one turn of
 * the loop is collected; writes are handed out before looks, while the index still has the
 * names they are about. libuv reads the kernel's queue to its end in one turn, which makes the
 * time before the turn's polling the time up to which everything is known.
 *
 * libuv drops the kernel's report of an overflow: a turn with very many calls is taken for one.
 * Where the system can, a directory is watched with all that is below it, through one handle:
 * names are paths below it then, and the directory they are in is known by what is at its path
 * now. One that is not there any more, or not known yet, makes the nearest above it be looked
 * at, with the content of files. The others below it have handles that are not started.
 * (Elsewhere this is played for tests: they are started, and speak through the top.)
 *
 * On Linux the path watched is /proc/self/fd/N/. : the very directory that was opened, and "."
 * is the name libuv gives when the directory itself is meant.
 */
#include "watcher/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "watcher/engine.h"
#include "watcher/keys.h"

#if defined(__APPLE__) || defined(_WIN32)
#define HAS_WHOLE_TREES true
#else
#define HAS_WHOLE_TREES false
#endif

#define LOSS_CALLS 4096 /* a quarter of the smallest usual queue */

/* FSEvents tell of what happened up to a moment ago, with all that has happened to a name of
 * late in one: libuv says "renamed" of a file that was created and written to since. */
#ifdef __APPLE__
#define RENAME_HIDES_WRITES true
#define LATE_NS		    1000000000
#elif defined(_WIN32) /* the clock of change times may be a tick behind */
#define RENAME_HIDES_WRITES false
#define LATE_NS		    50000000
#else
#define RENAME_HIDES_WRITES false
#define LATE_NS		    0
#endif

struct handle {
	uv_fs_event_t event;
	struct backend *b;
	int32_t id;
	uint8_t level;
	bool looked_at; /* a LOOK is waiting to be handed out */
	bool dead;      /* ... or an UNWATCHED */
	bool content;   /* ... and the LOOK is at content, too */
	bool covered;   /* heard of through a handle above it */
	char *tree;     /* the path of a whole tree that is heard of through this one; else NULL */
	struct handle *next_tree;
	uint8_t selves; /* what it was told of itself in this turn */
	uint32_t turn, serial;
};

/* One thing to hand out; the name, if any, is in `names`. */
struct hint {
	int32_t id;
	uint8_t op, len; /* WRITTEN: written or metadata set */
	bool perhaps;    /* ... or nothing of it */
	uint32_t name, serial; /* of the handle: numbers are given out again */
	int64_t since_ns;
};

struct hints {
	struct hint *items;
	uint32_t n, cap, at;
};

struct backend {
	struct backend_config config;
	struct keys keys;
	struct handle **handles; /* by number */
	int32_t cap;
	uv_prepare_t prepare;
	uv_check_t check;
	int64_t calm_ns, polling_ns; /* known up to; the clock before this turn's polling */
	uint32_t turn, calls, serial;
	bool whole_trees;
	struct handle *trees;
	bool lost, wake_due;
	struct hints writes, looks;
	struct bytes names, path;
	struct bytes below; /* the directory that the last path below a tree was in */
	int32_t below_id;   /* ... -1: asked anew */
	int64_t time_ns, lost_since_ns;
	int open_handles; /* uv handles that are not closed yet */
	void (*closed)(void *arg);
	void *closed_arg;
};

static void lose(struct backend *b)
{
	if (!b->lost)
		b->lost_since_ns = b->calm_ns;
	b->lost = true;
}

/* False: without memory for it, and told as lost. */
static bool hold(struct handle *h, struct hints *list, struct hint hint, const char *name)
{
	struct backend *b = h->b;
	uint32_t cap = list->cap ? list->cap * 2 : 64;
	void *p;

	if (list->n == list->cap) {
		if (!(p = realloc(list->items, cap * sizeof *list->items))) {
			lose(b);
			return false;
		}
		list->items = p;
		list->cap = cap;
	}
	hint.id = h->id;
	hint.serial = h->serial;
	hint.since_ns = b->calm_ns;
	hint.name = (uint32_t)b->names.len;
	if (hint.len && bytes_add(&b->names, name, hint.len) < 0) {
		lose(b);
		return false;
	}
	list->items[list->n++] = hint;
	return true;
}

static void look(struct handle *h)
{
	if (!h->looked_at)
		h->looked_at = hold(h, &h->b->looks, (struct hint){ .op = CHANGE_LOOK }, NULL);
}

static void touched(struct handle *h, const char *name, bool perhaps)
{
	struct backend *b = h->b;
	size_t len = strlen(name);
	const struct hint *last = b->writes.n ? &b->writes.items[b->writes.n - 1] : NULL;

	if (!len || len > 255)
		return;
	if (last && last->id == h->id && last->len == len && last->perhaps == perhaps &&
	    memcmp(b->names.data + last->name, name, len) == 0)
		return;
	hold(h, &b->writes,
	     (struct hint){ .op = CHANGE_WRITTEN, .len = (uint8_t)len, .perhaps = perhaps }, name);
}

/* The directory itself was moved or removed. Removal is told twice in a row: as such, and as
 * the end of the kernel's watch. A directory moved twice is watched anew for nothing. */
static void about_self(struct handle *h, int events)
{
	struct backend *b = h->b;

	if (!(events & UV_RENAME)) {
		hold(h, &b->looks, (struct hint){ .op = CHANGE_SELF_ATTRIB }, NULL);
		return;
	}
	if (h->turn != b->turn)
		h->selves = 0;
	h->turn = b->turn;
	if (++h->selves == 1)
		hold(h, &b->looks, (struct hint){ .op = CHANGE_SELF_MOVED }, NULL);
	if (h->selves < 2 || h->dead)
		return;
	h->dead = true;
	hold(h, &b->looks, (struct hint){ .op = CHANGE_UNWATCHED }, NULL);
}

static bool means_itself(const char *name)
{
#ifdef __linux__
	return strcmp(name, ".") == 0;
#else
	(void)name;
	return false;
#endif
}

static void told(struct handle *h, const char *name, int events)
{
	struct backend *b = h->b;
	bool self = name && means_itself(name);

	if (self)
		about_self(h, events);
	if (self || (h->level == WATCH_SELF && name && means_itself(".")))
		return;
	if (!name || b->config.nameless) {
		look(h);
		return;
	}
	if (events & UV_RENAME || h->level == WATCH_FILES)
		look(h);
	if ((events & UV_CHANGE || RENAME_HIDES_WRITES) && h->level >= WATCH_ALL)
		touched(h, name, !(events & UV_CHANGE));
}

/* ---- whole trees ---- */

static bool lies_in(const char *path, const char *tree)
{
	size_t len = strlen(tree);

	return strncmp(path, tree, len) == 0 && (path[len] == '/' || !path[len] || len == 1);
}

/* Is it below its tree really, or behind a link? What is gone was. */
static bool is_in_place(const char *path)
{
	char *real = realpath(path, NULL);
	bool same = real ? strcmp(real, path) == 0 : errno == ENOENT;

	free(real);
	return same;
}

/* The handle through which a path is heard of: that of the smallest tree it is in, or NULL. */
static struct handle *tree_around(const struct backend *b, const char *path)
{
	struct handle *best = NULL;

	for (struct handle *h = b->trees; h; h = h->next_tree)
		if (lies_in(path, h->tree) && (!best || strlen(h->tree) > strlen(best->tree)))
			best = h;
	return best;
}

/* The directory at b->below, if it is one that is watched. */
static struct handle *handle_below(struct backend *b)
{
	struct identity self;

	if (b->below_id < 0 && watcher__scan_identity(-1, b->below.data, &self) == 0)
		b->below_id = keys_find(&b->keys, &self, sizeof self);
	return b->below_id < 0 ? NULL : b->handles[b->below_id];
}

/* Where the path in b->below is not one that is watched: the nearest above it is looked at. */
static void look_above(struct handle *top)
{
	struct backend *b = top->b;
	struct handle *h = NULL;

	while (!h && b->below.len > strlen(top->tree)) {
		bytes_cut(&b->below, (size_t)(strrchr(b->below.data, '/') - b->below.data));
		b->below_id = -1;
		h = handle_below(b);
	}
	h = h ? h : top;
	h->content = true;
	look(h);
}

/* Something is told of a path below the tree of `top`. */
static void told_below(struct handle *top, const char *rel, int events)
{
	const char *name = strrchr(rel, '/') + 1;
	size_t len = strlen(top->tree), rel_len = (size_t)(name - rel) - 1;
	struct backend *b = top->b;
	struct handle *h;

	if (b->below.len != len + 1 + rel_len || memcmp(b->below.data, top->tree, len) != 0 ||
	    memcmp(b->below.data + len + 1, rel, rel_len) != 0)
		b->below_id = -1;
	bytes_clear(&b->below);
	if (bytes_add(&b->below, top->tree, len) < 0 || bytes_addc(&b->below, '/') < 0 ||
	    bytes_add(&b->below, rel, rel_len) < 0) {
		b->below_id = -1;
		lose(b);
		return;
	}
	if (tree_around(b, b->below.data) != top)
		return; /* the smaller tree tells of it */
	if ((h = handle_below(b)))
		told(h, name, events);
	else
		look_above(top);
}

#ifdef _WIN32
/* With "/" between its names. There is none when the system's queue has run over. */
static const char *windows_name(struct backend *b, const char *name)
{
	if (!name) {
		lose(b);
		return NULL;
	}
	bytes_clear(&b->path);
	if (bytes_adds(&b->path, name) < 0) {
		lose(b);
		return NULL;
	}
	for (char *p = b->path.data; *p; p++)
		if (*p == '\\')
			*p = '/';
	return b->path.data;
}
#endif

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct handle *h = event->data;
	struct backend *b = h->b;

#ifdef _WIN32
	name = windows_name(b, name);
#endif
	b->calls++;
	b->wake_due = true;
	if (status < 0) {
		h->dead = true;
		hold(h, &b->looks, (struct hint){ .op = CHANGE_UNWATCHED }, NULL);
	} else if (h->tree && name && strchr(name, '/')) {
		told_below(h, name, events);
	} else {
		told(h, name, events);
	}
}

/* A directory that is covered speaks through the tops of the trees it is in, as if there were no
 * handle on it: for tests where the system cannot watch whole trees. */
static void on_covered(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct handle *h = event->data;
	struct backend *b = h->b;
	const char *path = b->config.path_of(b->config.arg, h->id);
	struct bytes full = { 0 };

	if (!name || status < 0 || means_itself(name) || !path || !is_in_place(path))
		return;
	if (bytes_addf(&full, "%s/%s", path, name) < 0)
		lose(b);
	for (struct handle *top = full.len ? b->trees : NULL; top; top = top->next_tree)
		if (lies_in(full.data, top->tree) && full.data[strlen(top->tree)])
			on_event(&top->event, full.data + strlen(top->tree) + (top->tree[1] != 0),
				 events, 0);
	bytes_free(&full);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct backend *b = prepare->data;

	b->polling_ns = watcher__coarse_ns();
}

static void on_check(uv_check_t *check)
{
	struct backend *b = check->data;

	if (b->calls > LOSS_CALLS)
		lose(b);
#ifdef _WIN32
	if (!b->calls) /* what came while one read was answered is told by the next */
#endif
		b->calm_ns = b->polling_ns - LATE_NS;
	b->calls = 0;
	b->turn++;
	b->below_id = -1; /* by the next turn another may be there */
	if (!b->wake_due)
		return;
	b->wake_due = false;
	b->config.wake(b->config.arg);
}

static int fsevent_open(struct backend **out, const struct backend_config *config,
			watcher_error *err)
{
	struct backend *b = calloc(1, sizeof *b);

	if (!b)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	b->config = *config;
	b->whole_trees = HAS_WHOLE_TREES || config->whole_trees;
	b->below_id = -1;
	keys_init(&b->keys);
	b->calm_ns = b->polling_ns = watcher__coarse_ns();
	uv_prepare_init(config->loop, &b->prepare);
	uv_check_init(config->loop, &b->check);
	b->prepare.data = b->check.data = b;
	uv_prepare_start(&b->prepare, on_prepare);
	uv_check_start(&b->check, on_check);
	uv_unref((uv_handle_t *)&b->prepare);
	uv_unref((uv_handle_t *)&b->check);
	b->open_handles = 2;
	*out = b;
	return 0;
}

/* ---- directories ---- */

static void finish_close(struct backend *b)
{
	void (*closed)(void *) = b->closed;
	void *arg = b->closed_arg;

	free(b->handles);
	keys_fini(&b->keys);
	free(b->writes.items);
	free(b->looks.items);
	bytes_free(&b->names);
	bytes_free(&b->path);
	bytes_free(&b->below);
	free(b);
	closed(arg);
}

static void part_closed(struct backend *b)
{
	if (--b->open_handles == 0 && b->closed)
		finish_close(b);
}

static void on_event_closed(uv_handle_t *handle)
{
	struct handle *h = handle->data;
	struct backend *b = h->b;

	free(h);
	part_closed(b);
}

static void on_own_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

static int start_as(struct handle *h, int fd, const char *path, uv_fs_event_cb cb, unsigned flags)
{
#ifdef __linux__
	char self[40];
	int r;

	snprintf(self, sizeof self, "/proc/self/fd/%d/.", fd);
	r = uv_fs_event_start(&h->event, cb, self, flags);
	if (r != UV_ENOENT)
		return r;
#else
	(void)fd;
#endif
#ifdef _WIN32
	char *native = windows_native(path);
	int r = !native ? UV_ENOMEM :
		!strcmp(path, "/") ? UV_EACCES : /* there is no such directory */
				     uv_fs_event_start(&h->event, cb, native, flags);

	free(native);
	return r;
#else
	return uv_fs_event_start(&h->event, cb, path, flags);
#endif
}

static void end_tree(struct handle *h)
{
	struct handle **at = &h->b->trees;

	while (*at != h)
		at = &(*at)->next_tree;
	*at = h->next_tree;
	free(h->tree);
	h->tree = NULL;
}

static int start(struct handle *h, int fd, const char *path, enum watch_level level)
{
	struct backend *b = h->b;
	int r;

	if (!b->whole_trees || level < WATCH_ALL)
		return start_as(h, fd, path, on_event, 0);
	if (tree_around(b, path) && is_in_place(path)) {
		h->covered = true;
		return HAS_WHOLE_TREES ? 0 : start_as(h, fd, path, on_covered, 0);
	}
	if (!(h->tree = strdup(path)))
		return UV_ENOMEM;
	h->next_tree = b->trees;
	b->trees = h;
	r = start_as(h, fd, path, on_event, HAS_WHOLE_TREES ? UV_FS_EVENT_RECURSIVE : 0);
	if (r < 0)
		end_tree(h);
	return r;
}

static void stop(struct handle *h)
{
	uv_fs_event_stop(&h->event);
	h->covered = false;
	if (h->tree)
		end_tree(h);
}

static int make_room(struct backend *b, int32_t id)
{
	int32_t cap = b->cap ? b->cap : 64;
	struct handle **p;

	if (id < b->cap)
		return 0;
	while (cap <= id)
		cap *= 2;
	if (!(p = realloc(b->handles, (size_t)cap * sizeof *p)))
		return UV_ENOMEM;
	memset(p + b->cap, 0, (size_t)(cap - b->cap) * sizeof *p);
	b->handles = p;
	b->cap = cap;
	return 0;
}

static int add(struct backend *b, int fd, const char *path, enum watch_level level,
	       const struct identity *self)
{
	struct handle *h;
	int32_t id = keys_add(&b->keys, self, sizeof *self);
	int r;

	if (id < 0)
		return UV_ENOMEM;
	if (make_room(b, id) < 0 || !(h = calloc(1, sizeof *h))) {
		keys_remove(&b->keys, id);
		return UV_ENOMEM;
	}
	uv_fs_event_init(b->config.loop, &h->event);
	b->open_handles++;
	h->event.data = h;
	h->b = b;
	h->id = id;
	h->serial = b->serial++;
	r = start(h, fd, path, level);
	if (r < 0) {
		keys_remove(&b->keys, id);
		uv_close((uv_handle_t *)&h->event, on_event_closed);
		return r;
	}
	b->handles[id] = h;
	return id;
}

/* Does the handle not tell of all there is to tell of at this path? */
static bool is_elsewhere(const struct handle *h, const char *path, enum watch_level level)
{
	if (!h->b->whole_trees || level < WATCH_ALL)
		return false;
	return h->level < WATCH_ALL ? !h->tree && !h->covered :
				      h->tree && strcmp(h->tree, path) != 0;
}

static int fsevent_watch(struct backend *b, int fd, const char *path, enum watch_level level,
			 int32_t *id)
{
	struct identity self;
	struct handle *h;
	int r = watcher__scan_identity(fd, path, &self), n;

	if (r < 0)
		return r;
	n = keys_find(&b->keys, &self, sizeof self);
	if (n < 0 && (n = add(b, fd, path, level, &self)) < 0)
		return n;
	h = b->handles[n];
	if (h->dead || is_elsewhere(h, path, level)) {
		stop(h);
		if ((r = start(h, fd, path, level > h->level ? level : h->level)) < 0)
			return r;
		h->dead = false;
	}
	if (level > h->level)
		h->level = (uint8_t)level;
	*id = n;
	return 0;
}

/* A tree has ended: what it covered, and is still wanted, gets handles of its own, those of the
 * shortest paths first, for they cover the others. */
static void cover_again(struct backend *b)
{
	const char *path;
	struct handle *h, *next;
	size_t least;

	do {
		next = NULL;
		least = SIZE_MAX;
		for (int32_t i = 0; i < b->cap; i++) {
			h = b->handles[i];
			path = h && h->covered ? b->config.path_of(b->config.arg, i) : NULL;
			if (path && !tree_around(b, path) && strlen(path) < least) {
				least = strlen(path);
				next = h;
			}
		}
		if (next && (path = b->config.path_of(b->config.arg, next->id))) {
			uv_fs_event_stop(&next->event);
			next->covered = false;
			if (start(next, -1, path, (enum watch_level)next->level) < 0)
				lose(b);
		}
	} while (next);
}

static void fsevent_unwatch(struct backend *b, int32_t id)
{
	struct handle *h = id < b->cap ? b->handles[id] : NULL;
	bool was_tree;

	if (!h)
		return;
	b->handles[id] = NULL;
	b->below_id = -1;
	keys_remove(&b->keys, id);
	was_tree = h->tree != NULL;
	stop(h);
	uv_close((uv_handle_t *)&h->event, on_event_closed);
	if (was_tree && !b->closed)
		cover_again(b);
}

static void fsevent_want(struct backend *b, unsigned kinds, bool merge)
{
	(void)b;
	(void)kinds;
	(void)merge;
}

/* ---- handing out ---- */

static int fsevent_fill(struct backend *b, bool discard)
{
	struct timespec ts;

	if (discard && (b->writes.n > b->writes.at || b->looks.n > b->looks.at)) {
		lose(b);
		if (b->writes.n > b->writes.at &&
		    b->writes.items[b->writes.at].since_ns < b->lost_since_ns)
			b->lost_since_ns = b->writes.items[b->writes.at].since_ns;
		if (b->looks.n > b->looks.at &&
		    b->looks.items[b->looks.at].since_ns < b->lost_since_ns)
			b->lost_since_ns = b->looks.items[b->looks.at].since_ns;
		b->writes.at = b->writes.n;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	b->time_ns = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	return b->lost || b->writes.n > b->writes.at || b->looks.n > b->looks.at;
}

/* Was it written to, or only its metadata set? What is gone already was written to. False: neither,
 * or nobody knows. */
static bool see_which(struct backend *b, struct change *c, const struct hint *hint)
{
	const char *path = b->config.path_of(b->config.arg, c->id);
	struct stat st;

	bytes_clear(&b->path);
	if (!path || bytes_adds(&b->path, path) < 0 || bytes_addc(&b->path, '/') < 0 ||
	    bytes_add(&b->path, c->name, c->name_len) < 0 || lstat(b->path.data, &st) < 0)
		return !hint->perhaps;
	c->is_dir = S_ISDIR(st.st_mode);
	if (c->is_dir || stat_mtime_ns(&st) < hint->since_ns)
		c->op = CHANGE_ATTRIB;
	return !hint->perhaps || (!c->is_dir && stat_ctime_ns(&st) >= hint->since_ns);
}

static bool from_hint(struct backend *b, const struct hint *hint, struct change *c)
{
	struct handle *h = hint->id < b->cap ? b->handles[hint->id] : NULL;

	if (!h || h->serial != hint->serial || (hint->op == CHANGE_UNWATCHED && !h->dead))
		return false;
	c->op = hint->op;
	c->id = hint->id;
	c->since_ns = hint->since_ns;
	if (hint->op == CHANGE_LOOK) {
		h->looked_at = false;
		c->content = b->config.nameless || h->content;
		h->content = false;
	}
	if (hint->op == CHANGE_UNWATCHED)
		fsevent_unwatch(b, hint->id);
	if (hint->len) {
		c->name = b->names.data + hint->name;
		c->name_len = hint->len;
		return see_which(b, c, hint);
	}
	return true;
}

static int fsevent_next(struct backend *b, struct change *c)
{
	*c = (struct change){ .id = -1, .id2 = -1, .time_ns = b->time_ns };
	if (b->lost) {
		b->lost = false;
		c->op = CHANGE_GAP;
		c->since_ns = b->lost_since_ns;
		return 1;
	}
	while (b->writes.at < b->writes.n)
		if (from_hint(b, &b->writes.items[b->writes.at++], c))
			return 1;
	while (b->looks.at < b->looks.n)
		if (from_hint(b, &b->looks.items[b->looks.at++], c))
			return 1;
	b->writes.n = b->writes.at = b->looks.n = b->looks.at = 0;
	bytes_clear(&b->names);
	return 0;
}

static void fsevent_close(struct backend *b, void (*closed)(void *), void *arg)
{
	b->closed = closed;
	b->closed_arg = arg;
	for (int32_t i = 0; i < b->cap; i++)
		fsevent_unwatch(b, i);
	uv_close((uv_handle_t *)&b->prepare, on_own_closed);
	uv_close((uv_handle_t *)&b->check, on_own_closed);
}

const struct backend_ops watcher__fsevent = {
	.name = "fsevent",
	.number = WATCHER_BACKEND_FSEVENT,
	.caps = BACKEND_BY_PATH,
	.open = fsevent_open,
	.watch = fsevent_watch,
	.unwatch = fsevent_unwatch,
	.want = fsevent_want,
	.fill = fsevent_fill,
	.next = fsevent_next,
	.close = fsevent_close,
};
