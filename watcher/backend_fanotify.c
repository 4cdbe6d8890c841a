/*
 * The fanotify backend: one mark a file system, directories known by their file handles.
 *
 * Setting up costs the same for any tree: the kernel tells of everything on the file system,
 * and what is about directories nobody has asked for is dropped. The kernel merges: what
 * happened to one name of one file by one process is one record whose bits have no order, and
 * a record stands where its first bit stood. So a name both created and deleted is a LOOK, and
 * so is a rename onto a name that something was renamed away from just before.
 *
 * The place of a reading in the queue is marked by the event that it is (FAN_ACCESS), asked for
 * by an inode mark that the directory has only while it is read.
 * fanotify(7), fanotify_mark(2); Linux 5.17 for FAN_RENAME and targets, CAP_SYS_ADMIN.
 */
#include "watcher/backend.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "watcher/fan_noise.h"
#include "watcher/keys.h"
#include "watcher/wakes.h"

#define READ_SIZE (256 * 1024)
#define FILL_MAX  (8 * 1024 * 1024)
#define RENAMES   128 /* as many records back the kernel looks when it merges */

struct fs_mark {
	__kernel_fsid_t fsid;
	uint64_t mask;
};

/* A key is what an event has: fsid, length and type of the handle, its bytes. */
struct handle_key {
	__kernel_fsid_t fsid;
	uint32_t bytes;
	int32_t type;
	unsigned char handle[MAX_HANDLE_SZ];
};
#define KEY_HEAD offsetof(struct handle_key, handle)

/* The record that is being handed out, in pieces. It stays in the memory until it is done with;
 * names are known by their place in it, for the memory may be moved meanwhile. */
struct record {
	uint64_t bits; /* still to be handed out */
	size_t len;    /* of the record */
	bool is_dir, itself; /* itself: about the directory `id`, not about a name in it */
	int32_t pid, id, id2, target;
	uint32_t name, name2; /* offsets in the record, 0: none */
	int look, look2; /* directories to be looked at afterwards, -1 */
};

static const struct record nothing = { .id = -1, .id2 = -1, .target = -1, .look = -1, .look2 = -1 };

/* What there is to know of a directory beside its key. */
struct fan_dir {
	uint8_t level; /* enum watch_level */
	bool fenced;   /* it was read, and the place of that in the queue is still to come */
};

struct backend {
	struct backend_config config;
	int fd;
	struct wakes wakes;
	uv_poll_t mounts; /* /proc/self/mountinfo changes: something was mounted or unmounted */
	int mounts_fd;
	uint64_t mask;
	struct keys keys;
	struct fan_dir *dirs; /* by number */
	int32_t dirs_cap;
	int32_t pid; /* our own */
	struct fs_mark *marks;
	int nmarks;
	struct fan_noise noise;
	char *memory;
	size_t len, cap, pos;
	struct record now;
	uint32_t renamed[RENAMES], nrenamed; /* hashes of names that were renamed away lately */
	bool gap, remounted;
	int32_t recheck; /* next number to be told of a mount */
	int64_t time_ns;
	uv_work_t closing;
	int open_parts;
	void (*closed)(void *arg);
	void *closed_arg;
};

static void on_mounts(uv_poll_t *mounts, int status, int events)
{
	struct backend *b = mounts->data;

	(void)status;
	(void)events;
	b->remounted = true;
	b->recheck = 0;
	b->config.wake(b->config.arg);
}

/* Asked at every fill: what was mounted before it counts as having happened before it. */
static void see_mounts(struct backend *b)
{
	struct pollfd p = { .fd = b->mounts_fd, .events = POLLPRI };

	if (b->mounts_fd < 0 || poll(&p, 1, 0) <= 0)
		return;
	b->remounted = true;
	b->recheck = 0;
}

static int refuse(watcher_error *err, int code)
{
	if (code == UV_EPERM)
		return watcher__fail(err, code, "fanotify needs CAP_SYS_ADMIN (run as root)");
	if (code == UV_EINVAL || code == UV_ENOSYS)
		return watcher__fail(err, UV_ENOTSUP, "fanotify: this kernel is older than 5.17");
	if (code == UV_EMFILE)
		return watcher__fail(err, code, "cannot watch: out of fanotify groups "
						"(fs.fanotify.max_user_groups) or of descriptors");
	return watcher__fail(err, code, "cannot watch: fanotify: %s", uv_strerror(code));
}

static int fanotify_open(struct backend **out, const struct backend_config *config,
			 watcher_error *err)
{
	struct backend *b = calloc(1, sizeof *b);

	if (!b)
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	b->config = *config;
	b->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME_TARGET | FAN_UNLIMITED_QUEUE |
				  FAN_UNLIMITED_MARKS | FAN_NONBLOCK | FAN_CLOEXEC,
			      O_RDONLY | O_CLOEXEC | O_LARGEFILE);
	if (b->fd < 0) {
		int r = -errno;

		free(b);
		return refuse(err, r);
	}
	b->pid = getpid();
	b->now = nothing;
	keys_init(&b->keys);
	fan_noise_init(&b->noise);
	wakes_init(&b->wakes, config->loop, b->fd, config->wake, config->arg);
	b->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (b->mounts_fd >= 0 && uv_poll_init(config->loop, &b->mounts, b->mounts_fd) < 0) {
		close(b->mounts_fd);
		b->mounts_fd = -1;
	}
	b->mounts.data = b;
	if (b->mounts_fd >= 0) {
		uv_poll_start(&b->mounts, UV_PRIORITIZED, on_mounts);
		uv_unref((uv_handle_t *)&b->mounts);
	}
	*out = b;
	return 0;
}

/* ---- directories ---- */

static int handle_of(int fd, struct handle_key *key, size_t *len)
{
	union {
		struct file_handle fh;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	struct statfs fs;
	int mount;

	u.fh.handle_bytes = MAX_HANDLE_SZ;
	if (fstatfs(fd, &fs) < 0 || name_to_handle_at(fd, "", &u.fh, &mount, AT_EMPTY_PATH) < 0)
		return errno == EOPNOTSUPP ? UV_ENOTSUP : -errno;
	memcpy(&key->fsid, &fs.f_fsid, sizeof key->fsid);
	key->bytes = u.fh.handle_bytes;
	key->type = u.fh.handle_type;
	memcpy(key->handle, u.fh.f_handle, u.fh.handle_bytes);
	*len = KEY_HEAD + u.fh.handle_bytes;
	return 0;
}

/* Has the kernel tell of the file system that fd is on. A mark goes with an unmount, so those
 * that roots depend on are made again without asking. */
static int mark_fs(struct backend *b, int fd, const char *path, const __kernel_fsid_t *fsid,
		   bool again)
{
	struct fs_mark *m = NULL, *more;

	for (int i = 0; i < b->nmarks && !m; i++)
		if (memcmp(&b->marks[i].fsid, fsid, sizeof *fsid) == 0)
			m = &b->marks[i];
	if (m && m->mask == b->mask && !again)
		return 0;
	if (!m) {
		more = realloc(b->marks, (size_t)(b->nmarks + 1) * sizeof *more);
		if (!more)
			return UV_ENOMEM;
		b->marks = more;
		m = &b->marks[b->nmarks];
	}
	if (fanotify_mark(b->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, b->mask, fd, ".") < 0)
		return errno == EOPNOTSUPP ? UV_ENOTSUP : -errno;
	if (m == &b->marks[b->nmarks])
		b->nmarks++;
	*m = (struct fs_mark){ *fsid, b->mask };
	fan_noise_place(&b->noise, fsid, path);
	return 0;
}

static int set_level(struct backend *b, int32_t id, enum watch_level level, bool fresh)
{
	int32_t cap = b->dirs_cap ? b->dirs_cap : 64;
	struct fan_dir *p;

	while (cap <= id)
		cap *= 2;
	if (cap != b->dirs_cap || !b->dirs) {
		if (!(p = realloc(b->dirs, (size_t)cap * sizeof *p)))
			return UV_ENOMEM;
		b->dirs = p;
		b->dirs_cap = cap;
	}
	if (fresh)
		b->dirs[id] = (struct fan_dir){ .level = (uint8_t)level };
	else if (level > b->dirs[id].level)
		b->dirs[id].level = (uint8_t)level;
	return 0;
}

static int fanotify_watch(struct backend *b, int fd, const char *path, enum watch_level level,
			  int32_t *id)
{
	struct handle_key key;
	size_t len = 0;
	int r = handle_of(fd, &key, &len);
	int32_t n;
	bool fresh;

	if (r == 0)
		r = mark_fs(b, fd, path, &key.fsid, level != WATCH_ALL);
	if (r < 0)
		return r;
	n = keys_find(&b->keys, &key, len);
	fresh = n < 0;
	if (fresh && (n = keys_add(&b->keys, &key, len)) < 0)
		return n;
	if (set_level(b, n, level, fresh) < 0) {
		if (fresh)
			keys_remove(&b->keys, n);
		return UV_ENOMEM;
	}
	if (level > WATCH_SELF)
		fan_noise_listen(&b->noise, b->fd, fd, &key, len);
	*id = n;
	return 0;
}

static void fanotify_unwatch(struct backend *b, int32_t id)
{
	if (keys_has(&b->keys, id))
		keys_remove(&b->keys, id);
}

static void fanotify_want(struct backend *b, unsigned kinds, bool merge)
{
	uint64_t mask = FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_ONDIR;

	(void)merge;
	if (kinds & WATCHER_MODIFIED)
		mask |= FAN_MODIFY;
	if (kinds & WATCHER_OPENED)
		mask |= FAN_OPEN;
	if (kinds & WATCHER_CLOSED)
		mask |= FAN_CLOSE_WRITE;
	if (kinds & WATCHER_CLOSED_NO_WRITE)
		mask |= FAN_CLOSE_NOWRITE;
	b->mask |= mask;
}

/* ---- reading ---- */

static int make_room(struct backend *b)
{
	size_t cap = b->cap ? b->cap : READ_SIZE;
	char *p;

	if (b->pos) {
		memmove(b->memory, b->memory + b->pos, b->len - b->pos);
		b->len -= b->pos;
		b->pos = 0;
	}
	while (cap - b->len < READ_SIZE)
		cap *= 2;
	if (cap == b->cap)
		return 0;
	if (!(p = realloc(b->memory, cap)))
		return UV_ENOMEM;
	b->memory = p;
	b->cap = cap;
	return 0;
}

/* Moves what the kernel holds into the memory; how much that was, or a negative errno. */
static ssize_t read_queue(struct backend *b, bool discard)
{
	ssize_t got = 0, n = 0;
	int r;

	while (got < FILL_MAX) {
		if ((r = make_room(b)) < 0) {
			if (b->cap < READ_SIZE)
				return r;
			b->gap = true;
			b->now = nothing;
			b->len = b->pos = 0;
		}
		n = read(b->fd, b->memory + b->len, b->cap - b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += n;
		if (discard)
			b->gap = true;
		else
			b->len += (size_t)n;
	}
	return n < 0 && errno != EAGAIN ? -errno : got;
}

static int fanotify_fill(struct backend *b, bool discard)
{
	struct timespec ts;
	ssize_t got;

	clock_gettime(CLOCK_REALTIME, &ts);
	b->time_ns = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	if (b->pos == b->len)
		b->nrenamed = 0; /* what comes was queued after the last of them was read */
	see_mounts(b);
	got = read_queue(b, discard);
	if (got < 0)
		return (int)got;
	if (got)
		wakes_got(&b->wakes);
	return b->len > b->pos || b->gap || b->remounted;
}

/* Reading a directory is an event of the directory, queued while its lock is held: no other
 * change of it is between the two. The queue is emptied before, for what merges with an event
 * of after the reading stands before it. */
static int fanotify_fence(struct backend *b, int32_t id, int fd, enum watch_level level, bool on)
{
	unsigned how = on ? FAN_MARK_ADD : FAN_MARK_REMOVE;
	ssize_t r = on ? read_queue(b, false) : 0;

	(void)level;
	if (r < 0)
		return (int)r;
	if (fanotify_mark(b->fd, how | FAN_MARK_ONLYDIR, FAN_ACCESS | FAN_ONDIR, fd, ".") < 0)
		return -errno;
	if (on && keys_has(&b->keys, id))
		b->dirs[id].fenced = true;
	return 0;
}

/* ---- handing out ---- */

/* A directory and, behind its handle, a name. */
static int32_t known(const struct backend *b, const struct fanotify_event_info_fid *fid,
		     const char **name, const struct handle_key **key)
{
	uint32_t bytes;

	memcpy(&bytes, fid->handle, sizeof bytes);
	*key = (const struct handle_key *)(const void *)&fid->fsid;
	if (name)
		*name = (const char *)fid->handle + 8 + bytes;
	return keys_find(&b->keys, &fid->fsid, KEY_HEAD + bytes);
}

/* Directories of which only the end or a move is wanted count as unknown here. */
static int32_t listened(struct backend *b, const struct fanotify_event_info_fid *fid,
			const char **name, uint64_t bits)
{
	const struct handle_key *key;
	int32_t id = known(b, fid, name, &key);

	if (id >= 0 && b->dirs[id].level > WATCH_SELF)
		return id;
	if (strcmp(*name, ".") == 0)
		return id;
	if (!(bits & (FAN_RENAME | FAN_ONDIR)))
		fan_noise_heard(&b->noise, b->fd, key, KEY_HEAD + key->bytes);
	return -1;
}

static void read_infos(struct backend *b, const char *at, const char *end, uint64_t mask,
		       struct record *r)
{
	const char *start = b->memory + b->pos, *name;
	const struct handle_key *key;

	while (end - at >= (ptrdiff_t)sizeof(struct fanotify_event_info_header)) {
		const struct fanotify_event_info_fid *fid = (const void *)at;

		if (fid->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME ||
		    fid->hdr.info_type == FAN_EVENT_INFO_TYPE_OLD_DFID_NAME) {
			r->id = listened(b, fid, &name, mask);
			r->itself = strcmp(name, ".") == 0;
			r->name = (uint32_t)(name - start);
		} else if (fid->hdr.info_type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME) {
			r->id2 = listened(b, fid, &name, mask);
			r->name2 = (uint32_t)(name - start);
		} else if (fid->hdr.info_type == FAN_EVENT_INFO_TYPE_FID && r->is_dir)
			r->target = known(b, fid, NULL, &key);
		if (!fid->hdr.len)
			break;
		at += fid->hdr.len;
	}
}

static uint32_t place_hash(int32_t id, const char *name)
{
	uint32_t h = (uint32_t)id * 2654435761u;

	while (*name)
		h = (h ^ (unsigned char)*name++) * 16777619u;
	return h;
}

/* The kernel may have merged this rename with a later one like it: if names have been to and
 * fro within one drain, what is there now is looked up. */
static void suspect(struct backend *b, struct record *r)
{
	const char *start = b->memory + b->pos;
	uint32_t n = b->nrenamed < RENAMES ? b->nrenamed : RENAMES;
	uint32_t to = r->id2 >= 0 ? place_hash(r->id2, start + r->name2) : 0;

	for (uint32_t i = 0; i < n && r->id2 >= 0; i++)
		if (b->renamed[i] == to) {
			r->look = r->id;
			r->look2 = r->id2;
			break;
		}
	if (r->id >= 0)
		b->renamed[b->nrenamed++ % RENAMES] = place_hash(r->id, start + r->name);
}

/* Bits that are of interest in a record about `id`. */
static uint64_t told_bits(const struct backend *b, const struct record *r, uint64_t mask)
{
	uint64_t bits = mask & ~(uint64_t)FAN_ONDIR;

	if (r->is_dir)
		bits &= ~(uint64_t)(FAN_OPEN | FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE);
	if (!r->itself)
		return bits & ~(uint64_t)FAN_ACCESS;
	/* Others read it, too, while it is fenced. */
	return bits & (r->pid == b->pid ? FAN_ATTRIB | FAN_ACCESS : FAN_ATTRIB);
}

/* Takes up the next record, which may say nothing of interest. */
static void take_record(struct backend *b)
{
	const char *at = b->memory + b->pos;
	struct fanotify_event_metadata e; /* in memory it begins at any multiple of 4 */
	struct record *r = &b->now;

	memcpy(&e, at, sizeof e);
	*r = nothing;
	r->len = e.event_len;
	if (e.mask & FAN_Q_OVERFLOW) {
		b->gap = true;
		return;
	}
	r->is_dir = e.mask & FAN_ONDIR;
	r->pid = e.pid;
	read_infos(b, at + e.metadata_len, at + e.event_len, e.mask, r);
	if (r->id < 0 && r->id2 < 0 && r->target < 0)
		return;
	r->bits = told_bits(b, r, e.mask);
	if (r->bits & FAN_RENAME)
		suspect(b, r);
	/* What was merged into this may have been done after the reading that is still to come,
	 * and be in what was read, or not. */
	if (r->id >= 0 && b->dirs[r->id].fenced && r->bits & FAN_DELETE && r->bits & ~FAN_DELETE)
		r->look = r->id;
}

static void done_record(struct backend *b)
{
	b->pos += b->now.len;
	b->now = nothing;
}

static bool take_bit(struct record *r, uint64_t bit)
{
	if (!(r->bits & bit))
		return false;
	r->bits &= ~bit;
	return true;
}

/* The bits of a record in the order in which they can have come. */
static enum change_op next_op(struct record *r)
{
	if (r->bits & FAN_CREATE && r->bits & FAN_DELETE) {
		r->bits &= ~(uint64_t)(FAN_CREATE | FAN_DELETE);
		return CHANGE_LOOK;
	}
	if (take_bit(r, FAN_CREATE))
		return CHANGE_CREATED;
	if (take_bit(r, FAN_RENAME))
		return CHANGE_RENAMED;
	if (take_bit(r, FAN_ACCESS))
		return CHANGE_READ;
	if (take_bit(r, FAN_ATTRIB))
		return r->itself ? CHANGE_SELF_ATTRIB : CHANGE_ATTRIB;
	if (take_bit(r, FAN_OPEN))
		return CHANGE_OPENED;
	if (take_bit(r, FAN_MODIFY))
		return CHANGE_WRITTEN;
	if (take_bit(r, FAN_CLOSE_WRITE))
		return CHANGE_CLOSED;
	if (take_bit(r, FAN_CLOSE_NOWRITE))
		return CHANGE_CLOSED_NO_WRITE;
	if (take_bit(r, FAN_DELETE))
		return CHANGE_REMOVED;
	r->bits = 0;
	return CHANGE_NONE;
}

/* What follows from a record for the watched directory it was about: one change at a time. */
static bool next_of_target(struct backend *b, struct change *c)
{
	struct record *r = &b->now;
	int32_t id = r->target;
	enum watch_level level;

	if (r->look >= 0 || r->look2 >= 0) {
		int *which = r->look >= 0 ? &r->look : &r->look2;

		c->op = CHANGE_LOOK;
		c->id = *which;
		*which = -1;
		return true;
	}
	if (id < 0)
		return false;
	r->target = -1;
	if (!keys_has(&b->keys, id))
		return false;
	level = b->dirs[id].level;
	if (r->name2 && level == WATCH_ALL)
		return false;
	c->id = id;
	c->op = CHANGE_SELF_MOVED;
	if (r->name2) /* a rename */
		return true;
	c->op = CHANGE_UNWATCHED;
	fanotify_unwatch(b, id);
	return true;
}

static bool next_of_record(struct backend *b, struct change *c)
{
	const char *start = b->memory + b->pos;
	struct record *r = &b->now;
	bool gone = r->bits & FAN_DELETE && !(r->bits & FAN_CREATE);
	bool kept = r->bits & FAN_RENAME || gone;

	if (r->bits && !kept)
		r->target = -1; /* only its end and its moves are told of it */
	while (r->bits) {
		c->op = next_op(r);
		if (c->op == CHANGE_NONE)
			break;
		if (c->op == CHANGE_RENAMED ? r->id < 0 && r->id2 < 0 : r->id < 0)
			continue;
		c->id = r->id;
		c->id2 = r->id2;
		c->pid = r->pid;
		c->is_dir = r->is_dir;
		if (c->op == CHANGE_READ)
			b->dirs[r->id].fenced = false;
		if (r->itself || c->op == CHANGE_LOOK)
			return true;
		c->name = start + r->name;
		c->name_len = (uint8_t)strlen(c->name);
		c->name2 = r->name2 ? start + r->name2 : NULL;
		c->name2_len = r->name2 ? (uint8_t)strlen(c->name2) : 0;
		return true;
	}
	return next_of_target(b, c);
}

/* After something was mounted or unmounted all roots are looked up again. */
static bool next_of_mounts(struct backend *b, struct change *c)
{
	for (; b->recheck < b->keys.nslots; b->recheck++)
		if (keys_has(&b->keys, b->recheck) && b->dirs[b->recheck].level != WATCH_ALL) {
			c->op = CHANGE_SELF_MOVED;
			c->id = b->recheck++;
			return true;
		}
	b->remounted = false;
	return false;
}

static int fanotify_next(struct backend *b, struct change *c)
{
	*c = (struct change){ .id = -1, .id2 = -1, .time_ns = b->time_ns };
	for (;;) {
		if (b->now.len && next_of_record(b, c))
			return 1;
		done_record(b);
		if (b->gap) {
			b->gap = false;
			c->op = CHANGE_GAP;
			return 1;
		}
		if (b->remounted && next_of_mounts(b, c))
			return 1;
		if (b->pos >= b->len)
			return 0;
		take_record(b);
	}
}

/* ---- the end ---- */

static void finish(void *arg)
{
	struct backend *b = arg;
	void (*closed)(void *) = b->closed;
	void *closed_arg = b->closed_arg;

	if (--b->open_parts)
		return;
	if (b->mounts_fd >= 0)
		close(b->mounts_fd);
	keys_fini(&b->keys);
	fan_noise_fini(&b->noise);
	free(b->dirs);
	free(b->marks);
	free(b->memory);
	free(b);
	closed(closed_arg);
}

static void close_fd(uv_work_t *work)
{
	close(((struct backend *)work->data)->fd);
}

static void on_fd_closed(uv_work_t *work, int status)
{
	(void)status;
	finish(work->data);
}

static void on_mounts_closed(uv_handle_t *handle)
{
	finish(handle->data);
}

/* As with inotify, closing waits for a grace period of the kernel. */
static void fanotify_close(struct backend *b, void (*closed)(void *), void *arg)
{
	b->closed = closed;
	b->closed_arg = arg;
	b->open_parts = 2;
	b->closing.data = b;
	wakes_close(&b->wakes, finish, b);
	if (b->mounts_fd >= 0) {
		b->open_parts++;
		uv_close((uv_handle_t *)&b->mounts, on_mounts_closed);
	}
	if (uv_queue_work(b->config.loop, &b->closing, close_fd, on_fd_closed) < 0) {
		close(b->fd);
		b->open_parts--;
	}
}

const struct backend_ops watcher__fanotify = {
	.name = "fanotify",
	.number = WATCHER_BACKEND_FANOTIFY,
	.caps = BACKEND_EXACT | BACKEND_PAIRS | BACKEND_GAPS | BACKEND_PID | BACKEND_OPENS |
		BACKEND_DIR_ATTRIB,
	.open = fanotify_open,
	.watch = fanotify_watch,
	.unwatch = fanotify_unwatch,
	.fence = fanotify_fence,
	.want = fanotify_want,
	.fill = fanotify_fill,
	.next = fanotify_next,
	.close = fanotify_close,
};

#endif
