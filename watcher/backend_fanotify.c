/*
 * The fanotify backend: one mark a file system, directories known by their file handles.
 *
 * Setting up costs the same for any tree: the kernel tells of everything on the file system,
 * and what is about directories nobody has asked for is dropped. What is told, and how the
 * engine may read directories after it has been told that all is ready, is in the files that
 * fan.h names.
 *
 * The place of a reading in the queue is marked by the event that it is (FAN_ACCESS), asked for
 * by an inode mark that the directory has only while it is read.
 * fanotify(7), fanotify_mark(2); Linux 5.17 for FAN_RENAME and targets, CAP_SYS_ADMIN.
 */
#ifdef __linux__

#include "watcher/fan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

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
	if (fan_queue_init(b) < 0) {
		close(b->fd);
		free(b);
		return watcher__fail(err, UV_ENOMEM, "out of memory");
	}
	b->pid = getpid();
	keys_init(&b->keys);
	fan_later_init(b);
	fan_merged_init(b);
	fan_noise_init(&b->noise);
	wakes_init(&b->wakes, config->loop, b->fd, config->wake, config->arg);
	*out = b;
	return 0;
}

/* ---- directories ---- */

int fan_key_of_fd(int fd, struct fan_key *key)
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
	return 0;
}

/* Has the kernel tell of the file system that fd is on. A mark goes with an unmount, so those
 * that roots depend on are made again without asking, and all after something was mounted. */
static int mark_fs(struct backend *b, int fd, const char *path, const fan_fsid *fsid,
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
	fan_places_add(&b->places, fsid, path);
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
	/* All but WATCH_ALL have what that leaves out. */
	if (fresh)
		b->dirs[id] = (struct fan_dir){ .level = (uint8_t)level };
	else if ((level == WATCH_ALL) != (b->dirs[id].level == WATCH_ALL))
		b->dirs[id].level = WATCH_TOP;
	else if (level > b->dirs[id].level)
		b->dirs[id].level = (uint8_t)level;
	return 0;
}

int32_t fan_find(const struct backend *b, const struct fan_key *key)
{
	return key ? keys_find(&b->keys, key, fan_key_len(key)) : -1;
}

int32_t fan_number(struct backend *b, const struct fan_key *key, enum watch_level level)
{
	size_t len = fan_key_len(key);
	int32_t id = fan_find(b, key);
	bool fresh = id < 0;

	if (fresh && (id = keys_add(&b->keys, key, len)) < 0)
		return id;
	if (set_level(b, id, level, fresh) == 0)
		return id;
	if (fresh)
		keys_remove(&b->keys, id);
	return UV_ENOMEM;
}

/* With nothing watched the kernel would go on telling of all that happens on a file system. */
static void leave_unused(struct backend *b)
{
	if (!b->keys.count &&
	    fanotify_mark(b->fd, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, AT_FDCWD, NULL) == 0)
		b->nmarks = 0;
}

static int fanotify_watch(struct backend *b, int fd, const char *path, enum watch_level level,
			  int32_t *id)
{
	struct fan_key key;
	int r = fan_key_of_fd(fd, &key);
	int32_t n;

	if (!b->keys.count && !b->nmarks)
		fan_forget(b);
	if (r == 0)
		r = mark_fs(b, fd, path, &key.fsid, level != WATCH_ALL);
	if (r < 0)
		return r;
	if ((n = fan_number(b, &key, level)) < 0) {
		leave_unused(b);
		return n;
	}
	if (level > WATCH_SELF)
		fan_noise_listen(&b->noise, b->fd, fd, &key);
	if (level == WATCH_TOP) /* what is below it is under a root now */
		keys_clear(&b->later.foreign);
	*id = n;
	return 0;
}

void fan_unwatch(struct backend *b, int32_t id)
{
	if (keys_has(&b->keys, id))
		keys_remove(&b->keys, id);
	leave_unused(b);
}

static void fanotify_remounted(struct backend *b)
{
	b->nmarks = 0;
}

static uint64_t fanotify_marks(const struct backend *b)
{
	return (uint64_t)b->nmarks;
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

static int fanotify_fill(struct backend *b, bool discard)
{
	ssize_t got;

	if (b->pos == b->len && b->all)
		ids_free(&b->renamed); /* what comes was queued after the last of them was read */
	got = fan_read(b, discard);
	if (got < 0)
		return (int)got;
	if (got)
		wakes_got(&b->wakes, (size_t)got);
	if (b->gap)
		return FILL_SOME;
	if (b->len == b->pos)
		return FILL_NOTHING;
	return b->all ? FILL_ALL : FILL_SOME;
}

/* Has a name come or gone in the directory since fence() on? */
static bool is_torn(struct backend *b, int32_t id)
{
	struct fan_info info;

	if (fan_read_all(b) < 0)
		return true;
	for (size_t at = b->fence < b->base ? 0 : b->fence - b->base; at < b->len; at += info.len) {
		fan_parse(b->memory + at, &info);
		if (info.mask & (FAN_CREATE | FAN_DELETE | FAN_RENAME) &&
		    (fan_find(b, info.dir) == id || fan_find(b, info.dir2) == id))
			return true;
	}
	return false;
}

/* Reading a directory is an event of the directory, queued while its lock is held: no other
 * change of it is between the two. The queue is emptied before, for what merges with an event
 * of after the reading stands before it. A directory is read in pieces, whose events merge: what
 * comes between two of them is looked for. */
static int fanotify_fence(struct backend *b, int32_t id, int fd, bool on)
{
	unsigned how = on ? FAN_MARK_ADD : FAN_MARK_REMOVE;
	int r = on ? fan_read_all(b) : 0;

	if (r < 0)
		return r;
	if (fanotify_mark(b->fd, how | FAN_MARK_ONLYDIR, FAN_ACCESS | FAN_ONDIR, fd, ".") < 0)
		return -errno;
	if (!keys_has(&b->keys, id))
		return 0;
	if (on) {
		b->dirs[id].fenced = true;
		b->fence = b->base + b->len;
	} else {
		b->dirs[id].torn = is_torn(b, id);
	}
	return 0;
}

/* ---- the end ---- */

static void finish(void *arg)
{
	struct backend *b = arg;
	void (*closed)(void *) = b->closed;
	void *closed_arg = b->closed_arg;

	keys_fini(&b->keys);
	fan_noise_fini(&b->noise);
	fan_places_fini(&b->places);
	fan_later_fini(b);
	fan_merged_fini(b);
	ids_free(&b->renamed);
	free(b->dirs);
	free(b->marks);
	free(b->memory);
	free(b);
	closed(closed_arg);
}

static void fanotify_close(struct backend *b, void (*closed)(void *), void *arg)
{
	b->closed = closed;
	b->closed_arg = arg;
	wakes_close(&b->wakes, finish, b);
}

const struct backend_ops watcher__fanotify = {
	.name = "fanotify",
	.number = WATCHER_BACKEND_FANOTIFY,
	.marks = fanotify_marks,
	.caps = BACKEND_EXACT | BACKEND_PAIRS | BACKEND_GAPS | BACKEND_PID | BACKEND_OPENS |
		BACKEND_DIR_ATTRIB | BACKEND_TARGETS,
	.open = fanotify_open,
	.watch = fanotify_watch,
	.unwatch = fan_unwatch,
	.remounted = fanotify_remounted,
	.fence = fanotify_fence,
	.late = &fan_late_ops,
	.want = fanotify_want,
	.fill = fanotify_fill,
	.next = fan_next,
	.close = fanotify_close,
};

#endif
