/* Snapshots: being made; every call says UV_ENOSYS until then. */
#include <uv.h>

#include "whendo/watcher.h"

int watcher_snapshot_take(watcher_snapshot **s, const char *const *roots,
			  const watch_options *options, watcher_error *err)
{
	(void)s;
	(void)roots;
	(void)options;
	(void)err;
	return UV_ENOSYS;
}

int watcher_snapshot_save(const watcher_snapshot *s, const char *file, watcher_error *err)
{
	(void)s;
	(void)file;
	(void)err;
	return UV_ENOSYS;
}

int watcher_snapshot_load(watcher_snapshot **s, const char *file, watcher_error *err)
{
	(void)s;
	(void)file;
	(void)err;
	return UV_ENOSYS;
}

void watcher_snapshot_free(watcher_snapshot *s)
{
	(void)s;
}

int watcher_snapshot_diff(const watcher_snapshot *old, const watcher_snapshot *new_,
			  unsigned flags, watcher_diff_cb cb, void *arg)
{
	(void)old;
	(void)new_;
	(void)flags;
	(void)cb;
	(void)arg;
	return UV_ENOSYS;
}

size_t watcher_snapshot_count(const watcher_snapshot *s, int type)
{
	(void)s;
	(void)type;
	return 0;
}

int64_t watcher_snapshot_time(const watcher_snapshot *s)
{
	(void)s;
	return 0;
}

const char *watcher_snapshot_root(const watcher_snapshot *s, size_t i)
{
	(void)s;
	(void)i;
	return NULL;
}

int watcher_snapshot_find(const watcher_snapshot *s, const char *path,
			  watcher_snapshot_entry *entry)
{
	(void)s;
	(void)path;
	(void)entry;
	return UV_ENOSYS;
}

int watcher_snapshot_each(const watcher_snapshot *s, const char *path, watcher_snapshot_cb cb,
			  void *arg)
{
	(void)s;
	(void)path;
	(void)cb;
	(void)arg;
	return UV_ENOSYS;
}

int watcher_snapshot_path_of(const watcher_snapshot *s, uint64_t dev, uint64_t inode, char *buf,
			     size_t *size)
{
	(void)s;
	(void)dev;
	(void)inode;
	(void)buf;
	(void)size;
	return UV_ENOSYS;
}
