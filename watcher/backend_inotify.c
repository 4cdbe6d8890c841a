/*
 * The inotify backend: one descriptor in a uv_poll_t, read in large pieces.
 *
 * The kernel's queue is emptied into memory first; changes are handed out of that memory.
 * inotify(7); Linux 2.6.36 for IN_EXCL_UNLINK.
 */
#include "watcher/backend.h"

#ifdef __linux__

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "watcher/fences.h"
#include "watcher/limits.h"
#include "watcher/wakes.h"

#define READ_SIZE   (64 * 1024)
#define FILL_MAX    (2 * READ_SIZE) /* one fill() ends here: 4000 events, some 1.5 ms */
#define QUEUE_LONG  (16 * 1024)     /* what the kernel holds: 500 events */
#define HELD_MAX    (1024 * 1024)   /* in memory; more is left to the kernel, which may drop it */
#define EVENT_MAX   (sizeof(struct inotify_event) + 256)
#define MERGE_SLOTS 256

/* The last event seen for a name; a write after a write within one drain is left out. */
struct merge_slot {
	uint32_t hash, drain;
	int32_t wd;
	size_t at;
};

struct backend {
	struct backend_config config;
	int fd;
	struct wakes wakes;
	bool merge;
	uint32_t mask, drain;
	char *memory;
	size_t len, cap, pos;
	uint64_t passed; /* bytes before `pos`, ever */
	struct fences fences; /* their places are such counts */
	int64_t time_ns;
	struct merge_slot merged[MERGE_SLOTS];
	void (*closed)(void *arg);
	void *closed_arg;
};

static int refuse(watcher_error *err, int code)
{
	char line[200];

	if (code == UV_EMFILE && watcher__out_of_instances()) {
		watcher__say_instances(line, sizeof line);
		return watcher__fail(err, code, "cannot watch: %s", line);
	}
	if (code == UV_EMFILE)
		return watcher__fail(err, code, "cannot watch: out of descriptors");
	return watcher__fail(err, code, "cannot watch: inotify: %s", uv_strerror(code));
}

static int inotify_open(struct backend **out, const struct backend_config *config,
			watcher_error *err)
{
	struct backend *b = calloc(1, sizeof *b);

	if (!b)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	b->config = *config;
	b->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (b->fd < 0) {
		int r = -errno;

		free(b);
		return refuse(err, r);
	}
	wakes_init(&b->wakes, config->loop, b->fd, config->wake, config->arg);
	*out = b;
	return 0;
}

static uint32_t level_mask(const struct backend *b, enum watch_level level)
{
	uint32_t self = IN_DELETE_SELF | IN_MOVE_SELF;
	uint32_t names = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

	switch (level) {
	case WATCH_SELF:
		return self;
	case WATCH_NAMES:
		return self | names;
	case WATCH_FILES:
		return self | names | IN_CLOSE_WRITE;
	case WATCH_ALL:
		return names | b->mask;
	case WATCH_TOP:
		return self | names | b->mask;
	}
	return 0;
}

static bool leads_to(const char *path, int fd)
{
	struct stat opened, found;

	return fstat(fd, &opened) == 0 && stat(path, &found) == 0 &&
	       opened.st_ino == found.st_ino && opened.st_dev == found.st_dev;
}

/* Without /proc there is only the path, which may lead to another directory by now, or did for a
 * moment. That one may be watched already, so it stays watched: what it tells is nobody's otherwise. */
static int watch_path(struct backend *b, int fd, const char *path, uint32_t mask)
{
	int wd = inotify_add_watch(b->fd, path, mask);

	if (wd < 0 || (leads_to(path, fd) && inotify_add_watch(b->fd, path, mask) == wd))
		return wd;
	errno = ENOENT;
	return -1;
}

/* Watching through /proc/self/fd is the one form that reaches the very directory that was
 * opened, whatever its path has become, and however long that is. */
static int inotify_watch(struct backend *b, int fd, const char *path, enum watch_level level,
			 int32_t *id)
{
	char self[32];
	uint32_t mask = level_mask(b, level) | IN_ONLYDIR | IN_MASK_ADD;
	int wd;

	if (path && strcmp(path, ".") == 0) /* a crawl thread that stands in the directory */
		wd = inotify_add_watch(b->fd, ".", mask);
	else {
		snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
		wd = inotify_add_watch(b->fd, self, mask);
		if (wd < 0 && errno == ENOENT && path)
			wd = watch_path(b, fd, path, mask);
	}
	if (wd < 0)
		return -errno;
	*id = wd;
	return 0;
}

static void inotify_unwatch(struct backend *b, int32_t id)
{
	inotify_rm_watch(b->fd, id);
}

static void inotify_want(struct backend *b, unsigned kinds, bool merge)
{
	uint32_t mask = IN_ATTRIB;

	if (kinds & WATCHER_MODIFIED)
		mask |= IN_MODIFY;
	if (kinds & WATCHER_OPENED)
		mask |= IN_OPEN;
	if (kinds & WATCHER_CLOSED)
		mask |= IN_CLOSE_WRITE;
	if (kinds & WATCHER_CLOSED_NO_WRITE)
		mask |= IN_CLOSE_NOWRITE;
	if (merge)
		mask |= IN_EXCL_UNLINK;
	b->mask = mask;
	b->merge = merge;
}

/* What is in memory is lost. */
static void drop_all(struct backend *b)
{
	b->passed += b->len - b->pos;
	b->pos = b->len = 0;
}

static int make_room(struct backend *b)
{
	size_t cap = b->cap ? b->cap : READ_SIZE * 2;
	char *p;

	if (b->pos && b->pos == b->len)
		b->pos = b->len = 0;
	if (b->cap - b->len >= READ_SIZE)
		return 0;
	if (b->pos > b->len / 2) {
		memmove(b->memory, b->memory + b->pos, b->len - b->pos);
		b->len -= b->pos;
		b->pos = 0;
		b->drain++; /* offsets of the merge slots are stale */
		if (b->cap - b->len >= READ_SIZE)
			return 0;
	}
	while (cap - b->len < READ_SIZE)
		cap *= 2;
	if (!(p = realloc(b->memory, cap)))
		return UV_ENOMEM;
	b->memory = p;
	b->cap = cap;
	return 0;
}

static void append_gap(struct backend *b)
{
	struct inotify_event gap = { .wd = -1, .mask = IN_Q_OVERFLOW };

	if (b->cap - b->len < sizeof gap) {
		drop_all(b);
		if (b->cap < sizeof gap)
			return;
	}
	memcpy(b->memory + b->len, &gap, sizeof gap);
	b->len += sizeof gap;
}

/* Room for one more read; out of memory, what is held is given up for it. */
static int make_room_or_drop(struct backend *b, bool *lost)
{
	int r = make_room(b);

	if (r == 0)
		return 0;
	*lost = true;
	drop_all(b);
	return b->cap >= READ_SIZE ? 0 : r;
}

static int inotify_fill(struct backend *b, bool discard)
{
	bool lost = false, all = false;
	size_t got = 0, room;
	ssize_t n = 0;
	int r;

	b->drain++;
	while (got < FILL_MAX) {
		if ((r = make_room_or_drop(b, &lost)) < 0)
			return r;
		room = b->cap - b->len;
		n = read(b->fd, b->memory + b->len, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
		if (discard) {
			lost = true;
			b->passed += (size_t)n;
		} else {
			b->len += (size_t)n;
		}
		/* A read that left room for another event has emptied the queue: no need for a
		 * second one that says so. */
		all = (size_t)n + EVENT_MAX < room;
		if (all)
			break;
	}
	if (n < 0 && errno != EAGAIN)
		return -errno;
	b->time_ns = clock_wall_ns(); /* nothing that was read has happened since */
	if (lost)
		append_gap(b);
	if (got)
		wakes_got(&b->wakes, got);
	if (b->len == b->pos)
		return fences_reached(&b->fences, b->passed) ? FILL_SOME : FILL_NOTHING;
	return all && !lost ? FILL_ALL : FILL_SOME;
}

/* Where in the queue what happens now will be. FIONREAD goes through all that the kernel holds: if that
 * is much it is read first, so that it is gone through only once. */
static int queue_end(struct backend *b, uint64_t *end)
{
	int queued, r;

	if (ioctl(b->fd, FIONREAD, &queued) < 0)
		return -errno;
	*end = b->passed + (b->len - b->pos) + (unsigned)queued;
	if (queued < QUEUE_LONG || b->len - b->pos > HELD_MAX)
		return 0;
	r = inotify_fill(b, false);
	return r < 0 ? r : 0;
}

/*
 * A change of a directory is queued while its lock is held, which reading it takes, too: what is
 * queued before is in what is read, and what is queued afterwards is not. That reading is an event
 * (IN_ACCESS) itself is no help: there is no way to take that away again but to set the whole mask,
 * and then the kernel has none for a moment: what happens in these nanoseconds is not told.
 *
 * The kernel makes one of two equal events, one right behind the other, whatever their cookies are:
 * its queue is emptied first, so that what comes after the reading is not made one with what is
 * before the first place. What is left, or comes until then, is behind that.
 */
static int inotify_fence(struct backend *b, int32_t id, int fd, bool on)
{
	uint64_t place = 0;
	int r = 0;

	(void)fd;
	if (on) {
		if (b->len - b->pos <= HELD_MAX)
			r = inotify_fill(b, false);
		return r < 0 ? r : fences_begin(&b->fences, id, b->passed + (b->len - b->pos));
	}
	r = queue_end(b, &place);
	if (r < 0)
		fences_give_up(&b->fences);
	else
		fences_end(&b->fences, place);
	return r;
}

/* True if `e` only repeats the write that was the last thing to happen to its name. Anything
 * but a write ends all runs: what it is about need not be found out. */
static bool repeats_write(struct backend *b, const struct inotify_event *e, size_t at,
			  size_t len)
{
	uint32_t h;
	struct merge_slot *s;
	const struct inotify_event *last;

	if (e->mask != IN_MODIFY) {
		b->drain++;
		return false;
	}
	h = (uint32_t)bytes_hash(e->name, len) ^ (uint32_t)e->wd * 2654435761u;
	s = &b->merged[(h ^ h >> 16) % MERGE_SLOTS];
	if (s->drain == b->drain && s->hash == h && s->wd == e->wd) {
		last = (const struct inotify_event *)(const void *)(b->memory + s->at);
		if (last->len == e->len && memcmp(last->name, e->name, e->len) == 0)
			return true;
	}
	*s = (struct merge_slot){ h, b->drain, e->wd, at };
	return false;
}

static enum change_op op_of(uint32_t mask, bool named)
{
	if (mask & IN_Q_OVERFLOW)
		return CHANGE_GAP;
	if (mask & IN_IGNORED)
		return CHANGE_UNWATCHED;
	if (mask & IN_UNMOUNT)
		return CHANGE_UNMOUNTED;
	if (mask & IN_DELETE_SELF)
		return CHANGE_SELF_REMOVED;
	if (mask & IN_MOVE_SELF)
		return CHANGE_SELF_MOVED;
	if (!named)
		return mask & IN_ATTRIB ? CHANGE_SELF_ATTRIB : CHANGE_NONE;
	if (mask & IN_CREATE)
		return CHANGE_CREATED;
	if (mask & IN_DELETE)
		return CHANGE_REMOVED;
	if (mask & IN_MOVED_FROM)
		return CHANGE_MOVED_FROM;
	if (mask & IN_MOVED_TO)
		return CHANGE_MOVED_TO;
	if (mask & IN_MODIFY)
		return CHANGE_WRITTEN;
	if (mask & IN_ATTRIB)
		return CHANGE_ATTRIB;
	/* Reading a directory opens and closes it: our own crawl does, too. */
	if (mask & IN_ISDIR)
		return CHANGE_NONE;
	if (mask & IN_CLOSE_WRITE)
		return CHANGE_CLOSED;
	if (mask & IN_CLOSE_NOWRITE)
		return CHANGE_CLOSED_NO_WRITE;
	return mask & IN_OPEN ? CHANGE_OPENED : CHANGE_NONE;
}

/* What was created is written to next, or gone: a file, no need to look. */
static bool needs_no_look(const struct backend *b, const struct inotify_event *e, size_t after)
{
	const struct inotify_event *next;

	if (e->mask != IN_CREATE || after >= b->len)
		return false;
	next = (const struct inotify_event *)(const void *)(b->memory + after);
	return next->mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE) && next->wd == e->wd &&
	       next->len == e->len && memcmp(next->name, e->name, e->len) == 0;
}

/* Has the queue come to where a directory was read? */
static bool next_fence(struct backend *b, struct change *c)
{
	if (!fences_reached(&b->fences, b->passed))
		return false;
	*c = (struct change){ .op = CHANGE_READ, .id2 = -1, .time_ns = b->time_ns };
	c->id = fences_pass(&b->fences);
	return true;
}

static int inotify_next(struct backend *b, struct change *c)
{
	const struct inotify_event *e;
	enum change_op op;
	size_t at, len;

	for (;;) {
		if (next_fence(b, c))
			return 1;
		if (b->pos == b->len)
			return 0;
		at = b->pos;
		e = (const struct inotify_event *)(const void *)(b->memory + at);
		if (e->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO))
			fences_changed(&b->fences, e->wd, b->passed);
		b->pos += sizeof *e + e->len;
		b->passed += sizeof *e + e->len;
		len = e->len ? strnlen(e->name, e->len) : 0;
		if (b->merge && len && repeats_write(b, e, at, len))
			continue;
		op = op_of(e->mask, len > 0);
		if (op == CHANGE_NONE)
			continue;
		*c = (struct change){ .op = op,
				      .is_dir = e->mask & IN_ISDIR,
				      .is_file = needs_no_look(b, e, b->pos),
				      .id = e->wd,
				      .id2 = -1,
				      .cookie = e->cookie,
				      .time_ns = b->time_ns,
				      .name = e->name,
				      .name_len = (uint8_t)len };
		return 1;
	}
}

/* FIONREAD goes through the whole queue: only where it may make the difference. */
static uint32_t inotify_creates(const struct backend *b, int32_t id, uint32_t enough, uint64_t *end)
{
	const struct inotify_event *e;
	size_t at, next;
	uint32_t n = 0;
	int queued = 0;

	for (at = b->pos; at < b->len; at = next) {
		e = (const struct inotify_event *)(const void *)(b->memory + at);
		next = at + sizeof *e + e->len;
		if (e->wd != id)
			break;
		n += e->mask == IN_CREATE && !needs_no_look(b, e, next);
	}
	if (n >= enough && at == b->len && ioctl(b->fd, FIONREAD, &queued) < 0)
		queued = 0;
	*end = b->passed + (at - b->pos) + (unsigned)queued;
	return n;
}

static uint64_t inotify_place(const struct backend *b)
{
	return b->passed;
}

static void finish(void *backend)
{
	struct backend *b = backend;
	void (*closed)(void *) = b->closed;
	void *arg = b->closed_arg;

	free(b->memory);
	fences_free(&b->fences);
	free(b);
	closed(arg);
}

static void inotify_close(struct backend *b, void (*closed)(void *), void *arg)
{
	b->closed = closed;
	b->closed_arg = arg;
	wakes_close(&b->wakes, finish, b);
}

const struct backend_ops watcher__inotify = {
	.name = "inotify",
	.number = WATCHER_BACKEND_INOTIFY,
	.caps = BACKEND_EXACT | BACKEND_PAIRS | BACKEND_GAPS | BACKEND_OPENS | BACKEND_ANY_THREAD |
		BACKEND_SLOW_UNWATCH,
	.open = inotify_open,
	.watch = inotify_watch,
	.unwatch = inotify_unwatch,
	.fence = inotify_fence,
	.want = inotify_want,
	.fill = inotify_fill,
	.next = inotify_next,
	.creates = inotify_creates,
	.place = inotify_place,
	.close = inotify_close,
};

#endif
