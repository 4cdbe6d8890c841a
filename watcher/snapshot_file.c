/*
 * What is in the file of a snapshot. How it gets there is snapshot_save.c's.
 *
 *     "whendo\0s"  8 bytes
 *     version      4 bytes, little endian, as all numbers of fixed size
 *     length       8 bytes: of the content
 *     hash         8 bytes: FNV-1a of the content
 *     content      time, number of roots, number of entries, then the entries in level order
 *
 * In the content numbers are LEB128, signed ones zigzag; times and inodes are differences to
 * something near, so that most take two to five bytes. What is read is trusted in nothing: a
 * file that decodes is a tree with the shape that snapshot.h promises.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/one_line.h"
#include "watcher/backend.h"
#include "watcher/snapshot.h"

#define VERSION   1
#define HEAD_SIZE 28
#define FILE_MAX  (UINT64_C(4) << 30)
#define ENTRY_MIN 13 /* bytes an entry takes at least */

uint64_t watcher__snap_hash(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (len--)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return h;
}

static void put_fixed(char *to, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (char)(v >> 8 * i);
}

static uint64_t get_fixed(const char *from, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)(unsigned char)from[i] << 8 * i;
	return v;
}

/* ---- writing ---- */

/* Room for these was reserved. */
static void put(struct bytes *b, uint64_t v)
{
	for (; v > 127; v >>= 7)
		b->data[b->len++] = (char)(v | 128);
	b->data[b->len++] = (char)v;
}

static void put_signed(struct bytes *b, uint64_t v)
{
	put(b, v << 1 ^ (v >> 63 ? UINT64_MAX : 0));
}

/* The entry before it, for differences; a zeroed one for the first. */
static void put_entry(struct bytes *b, const watcher_snapshot *s, const struct snap_entry *e,
		      const struct snap_entry *last)
{
	put(b, (uint64_t)e->type << 4 | e->flags);
	put(b, e->len);
	memcpy(b->data + b->len, snap_name(s, e), e->len);
	b->len += e->len;
	put_signed(b, e->inode - last->inode);
	put_signed(b, e->dev - last->dev);
	put(b, e->size);
	put(b, e->nlink);
	put_signed(b, (uint64_t)e->mtime_ns - (uint64_t)last->mtime_ns);
	put_signed(b, (uint64_t)e->ctime_ns - (uint64_t)e->mtime_ns);
	put_signed(b, (uint64_t)e->birth_ns - (uint64_t)e->ctime_ns);
	put(b, e->mode);
	put(b, e->uid);
	put(b, e->gid);
	put(b, e->count);
}

int watcher__snap_encode(const watcher_snapshot *s, struct bytes *out)
{
	static const struct snap_entry zero;
	int r = bytes_reserve(out, HEAD_SIZE + 30);

	if (r < 0)
		return r;
	out->len = HEAD_SIZE;
	put_signed(out, (uint64_t)s->taken_ns);
	put(out, s->nroots);
	put(out, s->n);
	for (uint32_t i = 0; i < s->n; i++) {
		if ((r = bytes_reserve(out, 160 + (size_t)s->entries[i].len)) < 0)
			return r;
		put_entry(out, s, &s->entries[i], i ? &s->entries[i - 1] : &zero);
	}
	memcpy(out->data, SNAP_MAGIC, 8);
	put_fixed(out->data + 8, VERSION, 4);
	put_fixed(out->data + 12, out->len - HEAD_SIZE, 8);
	put_fixed(out->data + 20, watcher__snap_hash(out->data + HEAD_SIZE, out->len - HEAD_SIZE),
		  8);
	return 0;
}

/* ---- reading ---- */

struct in {
	const unsigned char *start, *p, *end;
	const char *bad; /* what is wrong; NULL so far */
	const char *file;
	watcher_error *err;
};

static uint64_t get(struct in *in)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64 && in->p < in->end; shift += 7) {
		unsigned char c = *in->p++;

		v |= (uint64_t)(c & 127) << shift;
		if (!(c & 128))
			return v;
	}
	in->bad = "a number does not end";
	return 0;
}

static uint64_t get_signed(struct in *in)
{
	uint64_t v = get(in);

	return v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
}

static uint64_t get_up_to(struct in *in, uint64_t max, const char *what)
{
	uint64_t v = get(in);

	if (v > max && !in->bad)
		in->bad = what;
	return in->bad ? 0 : v;
}

static bool good_name(const char *name, size_t len, bool is_root)
{
	if (!len || memchr(name, '\0', len))
		return false;
	if (is_root)
		return len == 1 || name[len - 1] != '/';
	return len <= SNAP_NAME_MAX && !memchr(name, '/', len) &&
	       !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

static bool sorted(const watcher_snapshot *s, uint32_t i)
{
	const struct snap_entry *a = &s->entries[i - 1], *b = &s->entries[i];
	int c;

	if (a->parent != b->parent || a->parent == NO_SNAP)
		return true;
	c = memcmp(snap_name(s, a), snap_name(s, b), a->len < b->len ? a->len : b->len);
	return c < 0 || (c == 0 && a->len < b->len);
}

static void get_numbers(struct in *in, struct snap_entry *e, const struct snap_entry *last)
{
	e->inode = last->inode + get_signed(in);
	e->dev = last->dev + get_signed(in);
	e->size = get(in);
	e->nlink = get(in);
	e->mtime_ns = (int64_t)((uint64_t)last->mtime_ns + get_signed(in));
	e->ctime_ns = (int64_t)((uint64_t)e->mtime_ns + get_signed(in));
	e->birth_ns = (int64_t)((uint64_t)e->ctime_ns + get_signed(in));
	e->mode = (uint32_t)get_up_to(in, UINT32_MAX, "a mode is out of range");
	e->uid = (uint32_t)get_up_to(in, UINT32_MAX, "an owner is out of range");
	e->gid = (uint32_t)get_up_to(in, UINT32_MAX, "a group is out of range");
}

/* Reads the next entry, which is in directory `parent`. 0 or UV_ENOMEM; in->bad. */
static int get_entry(struct in *in, watcher_snapshot *s, uint32_t parent, uint32_t total)
{
	static const struct snap_entry zero;
	bool is_root = parent == NO_SNAP;
	uint64_t head = get_up_to(in, 0xff, "an unknown type");
	size_t len = get_up_to(in, is_root ? SNAP_ROOT_MAX : SNAP_NAME_MAX, "a name is too long");
	const char *name = (const char *)in->p;
	struct snap_entry *e;
	uint32_t type = (uint32_t)head >> 4, flags = head & 15;

	if (!in->bad && len > (size_t)(in->end - in->p))
		in->bad = "a name does not end";
	else if (!in->bad && !good_name(name, len, is_root))
		in->bad = "an impossible name";
	else if (!in->bad && (type > WATCHER_TYPE_OTHER || flags & ~(uint32_t)SNAP_FLAGS ||
			      (!type && !is_root)))
		in->bad = "an unknown type";
	if (in->bad)
		return 0;
	in->p += len;
	if (!(e = watcher__snap_add(s, parent, name, len)))
		return UV_ENOMEM;
	e->type = (uint8_t)type;
	e->flags = (uint8_t)flags;
	get_numbers(in, e, s->n > 1 ? e - 1 : &zero);
	e->count = (uint32_t)get_up_to(in, total, "more entries than there are");
	if (e->count && type != WATCHER_TYPE_DIR && type != WATCHER_TYPE_SYMLINK)
		in->bad = "entries in what is no directory";
	if (!in->bad && s->n > 1 && !sorted(s, s->n - 1))
		in->bad = "names out of order";
	return 0;
}

static int get_entries(struct in *in, watcher_snapshot *s)
{
	uint64_t most = (uint64_t)(in->end - in->p) / ENTRY_MIN + 1;
	uint32_t total, left, parent = NO_SNAP, next = 0;
	int r = 0;

	s->taken_ns = (int64_t)get_signed(in);
	s->nroots = (uint32_t)get_up_to(in, SNAP_MAX, "more roots than there is room for");
	total = (uint32_t)get_up_to(in, most < SNAP_MAX ? most : SNAP_MAX,
				    "more entries than there is room for");
	if (!in->bad && s->nroots > total)
		in->bad = "more roots than entries";
	left = s->nroots;
	while (r == 0 && !in->bad && s->n < total) {
		while (!left && next < s->n) { /* the next directory that has something in it */
			parent = next++;
			left = s->entries[parent].count;
			s->entries[parent].first = s->n;
		}
		if (!left) {
			in->bad = "entries in no directory";
			break;
		}
		left--;
		r = get_entry(in, s, parent, total);
	}
	while (next < s->n && !left)
		left = s->entries[next++].count;
	if (r == 0 && !in->bad && left)
		in->bad = "entries are missing";
	if (r == 0 && !in->bad && in->p != in->end)
		in->bad = "something behind the last entry";
	return r;
}

static int broken(const struct in *in, size_t offset, const char *what)
{
	int r = watcher__fail(in->err, UV_EINVAL, "%s: not a usable snapshot: %s (byte %zu)",
			      in->file, what, offset);

	if (in->err)
		in->err->offset = offset;
	return r;
}

/* The head: what of it is wrong, or 0. */
static int check_head(struct in *in, const char *data, size_t len)
{
	uint64_t version, length;

	if (len < 8 || memcmp(data, SNAP_MAGIC, 8) != 0)
		return broken(in, 0, "it does not begin as one");
	if (len < HEAD_SIZE)
		return broken(in, len, "truncated");
	version = get_fixed(data + 8, 4);
	if (version != VERSION)
		return watcher__fail(in->err, UV_ENOTSUP,
				     "%s: a snapshot of version %" PRIu64
				     ", this library reads version %d",
				     in->file, version, VERSION);
	length = get_fixed(data + 12, 8);
	if (length > len - HEAD_SIZE)
		return broken(in, len, "truncated");
	if (length < len - HEAD_SIZE)
		return broken(in, HEAD_SIZE + length, "something behind its end");
	if (get_fixed(data + 20, 8) != watcher__snap_hash(data + HEAD_SIZE, length))
		return broken(in, HEAD_SIZE, "corrupt, its checksum is wrong");
	return 0;
}

int watcher__snap_decode(watcher_snapshot **out, const void *data, size_t len, const char *file,
			 watcher_error *err)
{
	struct in in = { .start = data, .file = file, .err = err };
	watcher_snapshot *s;
	int r = check_head(&in, data, len);

	if (r < 0)
		return r;
	in.p = in.start + HEAD_SIZE;
	in.end = in.start + len;
	if (!(s = calloc(1, sizeof *s)))
		return watcher__fail(err, UV_ENOMEM, "%s: out of memory", file);
	r = get_entries(&in, s);
	if (r == 0 && !in.bad) {
		r = watcher__snap_finish(s);
		if (r == UV_ENAMETOOLONG)
			in.bad = "deeper than any tree";
	}
	if (in.bad)
		r = broken(&in, (size_t)(in.p - in.start), in.bad);
	else if (r < 0)
		watcher__fail(err, r, "%s: out of memory", file);
	if (r < 0)
		watcher_snapshot_free(s);
	else
		*out = s;
	return r;
}

/* The whole file; what grows while it is read is cut. */
static int read_file(struct bytes *content, const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (S_ISDIR(st.st_mode))
		r = UV_EISDIR;
	else if (!S_ISREG(st.st_mode))
		r = UV_EINVAL;
	else if ((uint64_t)st.st_size > FILE_MAX)
		r = UV_EFBIG;
	else
		r = bytes_reserve(content, (size_t)st.st_size);
	while (r == 0 && n > 0 && content->len < (size_t)st.st_size) {
		n = read(fd, content->data + content->len, (size_t)st.st_size - content->len);
		if (n > 0)
			content->len += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			r = -errno;
	}
	close(fd);
	return r;
}

int watcher_snapshot_load(watcher_snapshot **s, const char *file, watcher_error *err)
{
	struct bytes content = { 0 };
	int r;

	if (!file || !file[0])
		return watcher__fail(err, UV_EINVAL, "snapshot: an empty path");
	r = read_file(&content, file);
	if (r == UV_EINVAL)
		watcher__fail(err, r, "%s: not a regular file", file);
	else if (r < 0)
		watcher__fail(err, r, "%s: the snapshot cannot be read: %s", file, uv_strerror(r));
	else
		r = watcher__snap_decode(s, content.data, content.len, file, err);
	bytes_free(&content);
	if (r < 0 && err)
		one_line(err->message);
	return r;
}
