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
 * Where the system can, one handle tells of a whole tree: see fsevent_trees.c.
 *
 * On Linux the path watched is /proc/self/fd/N/. : the very directory that was opened, and "."
 * is the name libuv gives when the directory itself is meant.
 */
#include "watcher/fsevent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "watcher/engine.h"

#define LOSS_CALLS 4096 /* a quarter of the smallest usual queue */

/* FSEvents tell of what happened up to a moment ago, with all that has happened to a name of
 * late in one: libuv says "renamed" of a file that was created and written to since. */
#ifdef __APPLE__
#define RENAME_HIDES_WRITES true
#define LATE_NS		    1000000000
#define HELD_TURNS	    0
#elif defined(_WIN32) /* the clock of change times may be a tick behind */
#define RENAME_HIDES_WRITES false
#define LATE_NS		    50000000
#define HELD_TURNS	    32 /* the first change answers a read, all others wait for the next */
#else
#define RENAME_HIDES_WRITES false
#define LATE_NS		    0
#define HELD_TURNS	    0
#endif

void fsevent_lose(struct backend *b)
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
			fsevent_lose(b);
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
		fsevent_lose(b);
		return false;
	}
	list->items[list->n++] = hint;
	return true;
}

void fsevent_look(struct handle *h)
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

	if (events & UV_CHANGE) { /* of a directory with UV_RENAME, too */
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

bool fsevent_means_itself(const char *name)
{
#ifdef __linux__
	return strcmp(name, ".") == 0;
#else
	(void)name;
	return false;
#endif
}

void fsevent_told(struct handle *h, const char *name, int events)
{
	struct backend *b = h->b;
	bool self = name && fsevent_means_itself(name);

	if (self)
		about_self(h, events);
	if (self || (h->level == WATCH_SELF && name && fsevent_means_itself(".")))
		return;
	if (!name || b->config.nameless) {
		fsevent_look(h);
		return;
	}
	if (events & UV_RENAME || h->level == WATCH_FILES)
		fsevent_look(h);
	if ((events & UV_CHANGE || RENAME_HIDES_WRITES) && h->level >= WATCH_ALL)
		touched(h, name, !(events & UV_CHANGE));
}

#ifdef _WIN32
/* With "/" between its names. There is none when the system's queue has run over. */
static const char *windows_name(struct backend *b, const char *name)
{
	if (!name) {
		fsevent_lose(b);
		return NULL;
	}
	bytes_clear(&b->path);
	if (bytes_adds(&b->path, name) < 0) {
		fsevent_lose(b);
		return NULL;
	}
	for (char *p = b->path.data; *p; p++)
		if (*p == '\\')
			*p = '/';
	return b->path.data;
}
#endif

void fsevent_on_event(uv_fs_event_t *event, const char *name, int events, int status)
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
		fsevent_told_below(h, name, events);
	} else {
		fsevent_told(h, name, events);
	}
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct backend *b = prepare->data;

	b->polling_ns = clock_coarse_ns();
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle;
}

/* Looked at are all changes of a burst together, else a move is an end and something new. Is there
 * perhaps more in the kernel's queue? Then the loop turns again without waiting. */
static bool holds_back(struct backend *b, bool told)
{
	if (told && b->held < HELD_TURNS) {
		b->held++;
		uv_idle_start(&b->more, on_idle);
		return true;
	}
	b->held = 0;
	uv_idle_stop(&b->more);
	return false;
}

static void on_check(uv_check_t *check)
{
	struct backend *b = check->data;
	bool told = b->calls > 0;

	if (b->calls > LOSS_CALLS)
		fsevent_lose(b);
#ifdef _WIN32
	if (!b->calls) /* what came while one read was answered is told by the next */
#endif
		b->calm_ns = b->polling_ns - LATE_NS;
	b->calls = 0;
	b->turn++;
	b->below_id = -1; /* by the next turn another may be there */
	if (!b->wake_due || holds_back(b, told))
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
	b->calm_ns = b->polling_ns = clock_coarse_ns();
	uv_prepare_init(config->loop, &b->prepare);
	uv_check_init(config->loop, &b->check);
	uv_idle_init(config->loop, &b->more);
	b->prepare.data = b->check.data = b->more.data = b;
	uv_prepare_start(&b->prepare, on_prepare);
	uv_check_start(&b->check, on_check);
	uv_unref((uv_handle_t *)&b->prepare);
	uv_unref((uv_handle_t *)&b->check);
	b->open_handles = 3;
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

int fsevent_start_alone(struct handle *h, int fd, const char *path, uv_fs_event_cb cb, unsigned flags)
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
	r = fsevent_start(h, fd, path, level);
	if (r < 0) {
		keys_remove(&b->keys, id);
		uv_close((uv_handle_t *)&h->event, on_event_closed);
		return r;
	}
	b->handles[id] = h;
	return id;
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
	if (h->dead || fsevent_is_elsewhere(h, path, level)) {
		fsevent_stop(h);
		if ((r = fsevent_start(h, fd, path, level > h->level ? level : h->level)) < 0)
			return r;
		h->dead = false;
	}
	if (level > h->level)
		h->level = (uint8_t)level;
	*id = n;
	return 0;
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
	fsevent_stop(h);
	uv_close((uv_handle_t *)&h->event, on_event_closed);
	if (was_tree && !b->closed)
		fsevent_cover_again(b);
}

static void fsevent_want(struct backend *b, unsigned kinds, bool merge)
{
	(void)b;
	(void)kinds;
	(void)merge;
}

/* ---- handing out ---- */

/* The time of the first that is left to be handed out, or since_ns. */
static int64_t oldest_ns(const struct hints *list, int64_t since_ns)
{
	if (list->at < list->n && list->items[list->at].since_ns < since_ns)
		return list->items[list->at].since_ns;
	return since_ns;
}

static int fsevent_fill(struct backend *b, bool discard)
{
	if (discard && (b->writes.n > b->writes.at || b->looks.n > b->looks.at)) {
		fsevent_lose(b);
		b->lost_since_ns = oldest_ns(&b->looks, oldest_ns(&b->writes, b->lost_since_ns));
		b->writes.at = b->writes.n;
	}
	b->time_ns = clock_wall_ns();
	return b->lost || b->writes.n > b->writes.at || b->looks.n > b->looks.at;
}

/* What a name in a directory is now. False: that cannot be seen, as where the path of the directory
 * leads to another by now. */
static bool stat_in(struct backend *b, const struct change *c, struct stat *st)
{
	const char *path = b->config.path_of(b->config.arg, c->id, NULL);
	int fd = path ? watcher__scan_open(path, true) : -1;
	struct identity self;
	char name[256];
	bool seen;

	if (fd < 0)
		return false;
	memcpy(name, c->name, c->name_len);
	name[c->name_len] = '\0';
	seen = watcher__scan_identity(fd, path, &self) == 0 &&
	       keys_find(&b->keys, &self, sizeof self) == c->id &&
	       fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0;
	close(fd);
	return seen;
}

/* Was it written to, or only its metadata set? What cannot be seen any more was written to. A write has
 * the time of its beginning, and is told of at its end: if nothing else has changed the inode since,
 * that was the last. False: neither, or nobody knows. */
static bool see_which(struct backend *b, struct change *c, const struct hint *hint)
{
	struct stat st;

	if (!stat_in(b, c, &st))
		return !hint->perhaps;
	c->ino = hint->perhaps ? 0 : st.st_ino; /* another by the very change that it may be */
	c->is_dir = S_ISDIR(st.st_mode);
	if (c->is_dir || (stat_mtime_ns(&st) < hint->since_ns && stat_mtime_ns(&st) != stat_ctime_ns(&st)))
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
	uv_close((uv_handle_t *)&b->more, on_own_closed);
}

/* Of what is older the system has told, and it has been fetched. */
static int64_t fsevent_known_ns(const struct backend *b)
{
	int64_t since = b->lost && b->lost_since_ns < b->calm_ns ? b->lost_since_ns : b->calm_ns;

	return oldest_ns(&b->looks, oldest_ns(&b->writes, since));
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
	.known_ns = fsevent_known_ns,
};
