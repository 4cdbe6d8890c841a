/* The memory that the kernel's queue is emptied into, and records in it: see fan.h. */
#ifdef __linux__

#include "watcher/fan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define READ_SIZE (256 * 1024)
#define FILL_MAX  (8 * 1024 * 1024)
#define RECORD_MAX 1024
#define HELD_MAX  (64 * 1024 * 1024) /* what may wait for directories to be read */
#define READ_ALL_MAX 4               /* fills, of FILL_MAX each */

/* A directory and, behind its handle, a name. */
static const char *name_behind(const struct fanotify_event_info_fid *fid)
{
	uint32_t bytes;

	memcpy(&bytes, fid->handle, sizeof bytes);
	return (const char *)fid->handle + 8 + bytes;
}

void fan_parse(const char *at, struct fan_info *info)
{
	struct fanotify_event_metadata e; /* in memory it begins at any multiple of 4 */
	const char *end;

	memcpy(&e, at, sizeof e);
	*info = (struct fan_info){ .mask = e.mask, .len = e.event_len, .pid = e.pid };
	end = at + e.event_len;
	at += e.metadata_len;
	while (end - at >= (ptrdiff_t)sizeof(struct fanotify_event_info_header)) {
		const struct fanotify_event_info_fid *fid = (const void *)at;
		const struct fan_key *key = (const void *)&fid->fsid;

		switch (fid->hdr.info_type) {
		case FAN_EVENT_INFO_TYPE_DFID_NAME:
		case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
			info->dir = key;
			info->name = name_behind(fid);
			break;
		case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
			info->dir2 = key;
			info->name2 = name_behind(fid);
			break;
		case FAN_EVENT_INFO_TYPE_FID:
			info->object = key;
		}
		if (!fid->hdr.len)
			break;
		at += fid->hdr.len;
	}
}

/* What has been passed makes room. Directories are read while there are many records still to be
 * handed out, and the kernel is asked for more each time: nothing is moved that often. */
static void close_up(struct backend *b)
{
	memmove(b->memory, b->memory + b->pos, b->len - b->pos);
	b->base += b->pos;
	b->len -= b->pos;
	b->pos = 0;
}

static bool make_room(struct backend *b)
{
	size_t cap = b->cap ? b->cap : READ_SIZE;
	char *p;

	if (b->pos && (b->pos == b->len ||
		       (b->cap - b->len < READ_SIZE && b->pos >= b->len - b->pos)))
		close_up(b);
	while (cap - b->len < READ_SIZE)
		cap *= 2;
	if (cap == b->cap)
		return true;
	if (!(p = realloc(b->memory, cap)))
		return false;
	b->memory = p;
	b->cap = cap;
	return true;
}

/* What a burst took is not kept for the times that are quiet. */
static void give_back(struct backend *b)
{
	char *p;

	if (b->cap == READ_SIZE || b->got > READ_SIZE / 2 || b->pos < b->len)
		return;
	b->base += b->len;
	b->pos = b->len = 0;
	if ((p = realloc(b->memory, READ_SIZE))) {
		b->memory = p;
		b->cap = READ_SIZE;
	}
}

int fan_queue_init(struct backend *b)
{
	fan_pass(b);
	return make_room(b) ? 0 : UV_ENOMEM;
}

/* Everything in the memory is lost. */
static void drop(struct backend *b)
{
	b->gap = true;
	b->base += b->len;
	b->len = b->pos = 0;
	b->now = (struct fan_record){ .id = -1, .id2 = -1, .target = -1 };
	fan_merged_begin(b);
}

ssize_t fan_read(struct backend *b, bool discard)
{
	ssize_t got = 0, n = 0;

	give_back(b);
	b->all = false;
	while (got < FILL_MAX && !b->all) {
		if (b->later.on && b->len - b->pos > HELD_MAX)
			drop(b);
		if (!make_room(b)) {
			if (!discard)
				return got;
			drop(b);
		}
		n = read(b->fd, b->memory + b->len, b->cap - b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			b->gap = true; /* the kernel drops what it cannot hand out */
			return -errno;
		}
		b->time_ns = clock_wall_ns(); /* nothing that was read has happened since */
		b->all = n <= 0 || b->cap - b->len - (size_t)n > RECORD_MAX;
		if (n <= 0)
			break;
		got += n;
		if (discard)
			b->gap = true;
		else
			b->len += (size_t)n;
	}
	b->got = (size_t)got;
	fan_merged_read(b);
	return got;
}

int fan_read_all(struct backend *b)
{
	ssize_t r = 1;

	b->all = false;
	for (int i = 0; i < READ_ALL_MAX && r > 0 && !b->all && b->len - b->pos < HELD_MAX; i++)
		r = fan_read(b, false);
	if (r <= 0 && !b->all)
		return r < 0 ? (int)r : UV_ENOMEM;
	return b->all ? 0 : UV_EAGAIN;
}

void fan_forget(struct backend *b)
{
	ssize_t got;

	do
		got = fan_read(b, true);
	while (got > 0 && !b->all);
	drop(b);
	b->gap = false;
}

void fan_pass(struct backend *b)
{
	struct fan_info info;

	if (b->later.on && b->now.len) {
		fan_parse(b->memory + b->pos, &info);
		fan_later_passed(b, &info);
	}
	b->pos += b->now.len;
	b->now = (struct fan_record){ .id = -1, .id2 = -1, .target = -1 };
}

#endif
