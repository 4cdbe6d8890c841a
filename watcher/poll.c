/* Comparing one directory with what polling remembers of it: see poll.h. */
#include "watcher/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sort.h"

/* As in scan.c: a listing this young may change once more without its times changing. */
#define YOUNG_NS 20000000

#ifdef __APPLE__
#define STAT_NS(st, which) \
	((st)->st_##which##timespec.tv_sec * INT64_C(1000000000) + (st)->st_##which##timespec.tv_nsec)
#else
#define STAT_NS(st, which) \
	((st)->st_##which##tim.tv_sec * INT64_C(1000000000) + (st)->st_##which##tim.tv_nsec)
#endif

/* What is asked of anything, whether the system or the user's functions know it. */
struct facts {
	uint64_t dev, ino;
	int64_t ctime_ns, mtime_ns;
	uint32_t content, meta;
	int type;
};

static uint32_t mix(uint64_t a, uint64_t b)
{
	uint64_t both[2] = { a, b };

	return name_hash((const char *)both, sizeof both);
}

static struct facts facts_of_stat(const struct stat *st)
{
	uint64_t links = S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_nlink;

	return (struct facts){ .dev = (uint64_t)st->st_dev,
			       .ino = st->st_ino,
			       .ctime_ns = STAT_NS(st, c),
			       .mtime_ns = STAT_NS(st, m),
			       .content = mix((uint64_t)st->st_size, (uint64_t)STAT_NS(st, m)),
			       .meta = mix(st->st_mode | links << 32,
					   (uint64_t)st->st_uid << 32 | st->st_gid),
			       .type = watcher__type_of_mode(st->st_mode) };
}

/* Of the directory itself: by descriptor, or by path where it is -1. */
static int dir_facts(const struct disk *disk, int fd, const char *path, bool link, struct facts *f,
		     struct identity *self)
{
	struct stat st;
	int r = fd >= 0 ? watcher__disk_stat(disk, fd, &st) :
			  watcher__disk_stat_path(disk, path, link, &st);

	if (r < 0)
		return r;
	*f = facts_of_stat(&st);
	if (f->type == WATCHER_TYPE_SYMLINK)
		return UV_ENOTDIR;
	return watcher__disk_identity(disk, fd, path, self);
}

/* The change time of a listing, if the next one may be left out while it stays the same. */
static int64_t trusted_ctime(const struct disk *disk, const struct facts *f, int64_t now_ns)
{
	return watcher__disk_is_users(disk) || f->ctime_ns > now_ns - YOUNG_NS ? 0 : f->ctime_ns;
}

int poll_begin(struct polled *p, struct disk *disk, int fd, const char *path)
{
	int64_t now = clock_coarse_ns();
	struct facts f;
	int r = dir_facts(disk, fd, path, true, &f, &p->self);

	if (r < 0)
		return r;
	p->checked_ns = now;
	p->ctime_ns = trusted_ctime(disk, &f, now);
	p->mtime_ns = f.mtime_ns;
	p->meta = f.meta;
	p->fresh = true;
	return 0;
}

void poll_forget(struct polled *p)
{
	free(p->path);
	free(p->entries);
	bytes_free(&p->names);
	memset(p, 0, sizeof *p);
}

void poll_work_free(struct poll_work *w)
{
	free(w->listing.packed);
	free(w->entries);
	bytes_free(&w->names);
	bytes_free(&w->found);
	bytes_free(&w->gone.files);
	bytes_free(&w->told.files);
	memset(w, 0, sizeof *w);
}

static void find_this(struct poll_work *w, const struct polled *p, struct found f,
		      const struct polled_entry *e)
{
	if (e) {
		f.is_dir = e->type == WATCHER_TYPE_DIR;
		f.len = e->len;
	}
	if (bytes_reserve(&w->found, sizeof f + f.len) < 0) {
		w->failed = true;
		return;
	}
	bytes_add(&w->found, &f, sizeof f);
	if (e)
		bytes_add(&w->found, p->names.data + e->name, e->len);
}

static void find(struct poll_work *w, const struct polled *p, int32_t id, enum change_op op,
		 const struct polled_entry *e)
{
	find_this(w, p, (struct found){ .since_ns = p->checked_ns, .id = id, .op = (uint8_t)op }, e);
}

/* ---- files that have moved ---- */

struct file {
	uint64_t ino;
	uint32_t content;
};

static void note_file(struct poll_work *w, struct poll_files *to, uint64_t ino, uint32_t content)
{
	struct file file = { .ino = ino, .content = content };

	to->sorted = false;
	if (bytes_add(&to->files, &file, sizeof file) < 0)
		w->failed = true;
}

/* A name is not there any more, or is another's. */
static void note_gone(struct poll_work *w, const struct polled_entry *was)
{
	if (watcher__disk_is_users(w->disk) && was->type == WATCHER_TYPE_FILE && was->ino)
		note_file(w, &w->gone, was->ino, was->content);
}

static int by_ino(const void *a, const void *b, void *unused)
{
	const struct file *x = a, *y = b;

	(void)unused;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Is the file among these, and as it is now? */
static bool is_among(struct poll_files *in, const struct facts *f)
{
	struct file *files = (void *)in->files.data;
	size_t n = in->files.len / sizeof *files, lo = 0, hi = n, first;

	if (n && !in->sorted)
		sort_items(files, n, sizeof *files, by_ino, NULL);
	in->sorted = true;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (files[mid].ino < f->ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (first = lo; lo < n && files[lo].ino == f->ino; lo++)
		if (files[lo].content != f->content)
			return false;
	return lo > first;
}

static const struct polled_entry *find_entry(const struct polled *p, const char *name, size_t len)
{
	uint32_t lo = 0, hi = p->count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct polled_entry *e = &p->entries[mid];
		int c = memcmp(p->names.data + e->name, name, e->len < len ? e->len : len);

		if (c == 0 && e->len == len)
			return e;
		if (c < 0 || (c == 0 && e->len < len))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool poll_is_known(struct poll_work *w, const struct polled *p, const char *name, size_t len,
		   const struct stat *st)
{
	const struct polled_entry *e = p ? find_entry(p, name, len) : NULL;
	struct facts f = facts_of_stat(st);

	note_file(w, &w->told, f.ino, f.content);
	if (e && e->type == WATCHER_TYPE_FILE && e->ino == f.ino)
		return e->content == f.content;
	return is_among(&w->gone, &f);
}

/* ---- reading the names ---- */

static void note_name(struct poll_work *w, const char *name, size_t len)
{
	struct polled_entry *more;
	size_t cap = w->entries_cap ? w->entries_cap * 2 : 64;

	if (w->listing.count == w->entries_cap) {
		if (!(more = realloc(w->entries, cap * sizeof *more))) {
			w->failed = true;
			return;
		}
		w->entries = more;
		w->entries_cap = cap;
	}
	w->entries[w->listing.count] =
	    (struct polled_entry){ .name = (uint32_t)w->names.len, .len = (uint8_t)len };
	if (bytes_add(&w->names, name, len) < 0)
		w->failed = true;
	else
		w->listing.count++;
}

static int by_name(const void *a, const void *b, void *names)
{
	const struct polled_entry *x = a, *y = b;
	const char *text = names;
	int c = memcmp(text + x->name, text + y->name, x->len < y->len ? x->len : y->len);

	return c ? c : x->len - y->len;
}

/* The names that are there now, sorted, into w->entries; how many, or a negative errno. */
static int read_names(struct poll_work *w, int fd)
{
	struct listing *l = &w->listing;
	uint32_t n;

	bytes_clear(&w->names);
	l->names_only = true;
	watcher__disk_read(w->disk, fd, l);
	if (l->error)
		return l->error;
	n = l->count;
	l->count = 0;
	for (size_t at = 0; l->count < n; at += PACKED_HEAD + (uint8_t)l->packed[at + 9]) {
		note_name(w, l->packed + at + PACKED_HEAD, (uint8_t)l->packed[at + 9]);
		if (w->failed)
			return UV_ENOMEM;
	}
	if (l->count)
		sort_items(w->entries, l->count, sizeof *w->entries, by_name, w->names.data);
	return (int)l->count;
}

/* ---- comparing ---- */

static int entry_facts(struct poll_work *w, int fd, const struct polled *p,
		       const struct polled_entry *e, struct facts *f)
{
	char name[256];
	struct stat st;
	int r;

	memcpy(name, p->names.data + e->name, e->len);
	name[e->len] = '\0';
	r = watcher__disk_stat_name(w->disk, fd, name, &st);
	if (r == 0)
		*f = facts_of_stat(&st);
	return r;
}

/* The new names take the place of the old ones, with what is known of those that stayed. True
 * if names came or went. */
static bool take_names(struct poll_work *w, struct polled *p, uint32_t n)
{
	struct polled_entry *old = p->entries, *all;
	struct bytes names = p->names;
	uint32_t i = 0, k = 0;
	bool differ = false;

	if (!(all = malloc((n ? n : 1) * sizeof *all))) {
		w->failed = true;
		p->ctime_ns = 0;
		return false;
	}
	for (; k < n; k++) {
		const struct polled_entry *e = &w->entries[k];
		int c = -1;

		while (i < p->count) {
			const struct polled_entry *o = &old[i];

			c = memcmp(names.data + o->name, w->names.data + e->name,
				   o->len < e->len ? o->len : e->len);
			c = c ? c : o->len - e->len;
			if (c >= 0)
				break;
			differ = true;
			note_gone(w, &old[i++]);
		}
		all[k] = *e;
		if (i < p->count && c == 0) {
			all[k] = old[i++];
			all[k].name = e->name;
		} else {
			differ = true;
		}
	}
	differ |= i < p->count;
	while (i < p->count)
		note_gone(w, &old[i++]);
	p->entries = all;
	p->count = n;
	p->names = w->names;
	free(old);
	bytes_free(&names);
	w->names = (struct bytes){ 0 };
	return differ;
}

/* Is it the content of a file that has changed? Also where nothing else explains that something
 * has: it was written to, and its times set back. */
static bool was_written(const struct polled_entry *was, const struct facts *f)
{
	return f->type == WATCHER_TYPE_FILE && (was->content != f->content || was->meta == f->meta);
}

/* A file has a name that another thing had at the last comparison, or nothing had. Only the index knows
 * whether it has told of that: it may have read the directory before what was done to the file, or after
 * it, or never have missed a file that was away for that comparison. In which way the file has changed
 * nobody knows: it may have been written to and had its times set back, as tar(1) does. With the user's
 * own functions it is known what the index has told to have moved, and to be as it is now. */
static void find_taken(struct poll_work *w, const struct polled *p, int32_t id,
		       const struct polled_entry *e, const struct facts *f)
{
	bool own = watcher__disk_is_users(w->disk);

	if (own ? !is_among(&w->told, f) : f->ctime_ns >= p->checked_ns)
		find_this(w, p,
			  (struct found){ .since_ns = p->checked_ns,
					  .taken_ns = own ? INT64_MAX : f->ctime_ns,
					  .id = id,
					  .op = CHANGE_WRITTEN },
			  e);
}

/* Has the metadata of a directory changed before the first comparison? It may be readable by now.
 * Names that come and go in it set both times. */
static bool became_other(const struct polled *p, const struct facts *f)
{
	return f->type == WATCHER_TYPE_DIR && f->ctime_ns >= p->checked_ns &&
	       f->ctime_ns != f->mtime_ns;
}

/* One entry against the disk. True if something else has its name now, or nothing. */
static bool compare_entry(struct poll_work *w, struct polled *p, int32_t id, int fd,
			  struct polled_entry *e)
{
	struct polled_entry was = *e;
	struct facts f = { 0 };
	bool news;

	if (entry_facts(w, fd, p, e, &f) < 0)
		return true;
	e->ino = f.ino;
	e->type = (uint8_t)f.type;
	e->ctime_ns = f.ctime_ns;
	e->content = f.content;
	e->meta = f.meta;
	if (!was.type || was.ino != f.ino || was.type != f.type) {
		note_gone(w, &was);
		if (f.type == WATCHER_TYPE_FILE)
			find_taken(w, p, id, e, &f);
		if (p->fresh && became_other(p, &f))
			find(w, p, id, CHANGE_ATTRIB, e);
		return true;
	}
	news = f.type == WATCHER_TYPE_DIR ? was.meta != f.meta :
					    was.ctime_ns != f.ctime_ns || was.content != f.content;
	if (news)
		find(w, p, id, was_written(&was, &f) ? CHANGE_WRITTEN : CHANGE_ATTRIB, e);
	return false;
}

/* Did the listing change since `before` was asked for? */
static bool listing_changed(const struct disk *disk, int fd, const struct facts *before)
{
	struct stat st;
	struct facts after;

	if (watcher__disk_stat(disk, fd, &st) < 0)
		return true;
	after = facts_of_stat(&st);
	return after.ctime_ns != before->ctime_ns || after.mtime_ns != before->mtime_ns;
}

/* Has the listing changed since the index read it? */
static bool changed_since_read(const struct disk *disk, const struct polled *p,
			       const struct facts *now)
{
	if (!p->read_ns)
		return false;
	return watcher__disk_is_users(disk) ? now->mtime_ns != p->read_ns :
					      now->ctime_ns >= p->read_ns;
}

static void compare_all(struct poll_work *w, struct polled *p, int32_t id, int fd,
			const struct facts *now)
{
	bool changed = !p->ctime_ns || p->ctime_ns != now->ctime_ns || p->mtime_ns != now->mtime_ns;
	bool differ = false, late = false, was_fresh = p->fresh;
	int n;

	if (changed || p->fresh) {
		n = read_names(w, fd);
		if (n < 0) {
			p->ctime_ns = 0;
			find(w, p, id, CHANGE_LOOK, NULL);
			return;
		}
		differ = take_names(w, p, (uint32_t)n);
		/* Names that came while they were read would never look new again; nor what came
		 * back under a name that the index has read as gone. */
		if (p->fresh || p->read_ns)
			late = listing_changed(w->disk, fd, now);
	}
	for (uint32_t i = 0; i < p->count; i++)
		differ |= compare_entry(w, p, id, fd, &p->entries[i]);
	/* What was read for the first time is in the index, unless it changed since. */
	differ = was_fresh ? changed : differ;
	differ |= late || changed_since_read(w->disk, p, now);
	if (differ)
		find(w, p, id, CHANGE_LOOK, NULL);
	if (!watcher__disk_is_users(w->disk))
		p->read_ns = 0;
}

void poll_compare(struct poll_work *w, struct polled *p, int32_t id, const char *path, bool link)
{
	bool by_fd = p->level >= WATCH_ALL;
	int64_t now_ns = clock_coarse_ns();
	int fd = by_fd ? watcher__disk_open(w->disk, path, link) : -1;
	struct identity self;
	struct facts now;

	if ((by_fd && fd < 0) || dir_facts(w->disk, fd, path, link, &now, &self) < 0 ||
	    memcmp(&self, &p->self, sizeof self) != 0) {
		find(w, p, id, CHANGE_LOOK, NULL);
		if (fd != UV_EACCES && p->checked_ns < w->missed_ns) /* else for as long as it lasts */
			w->missed_ns = p->checked_ns;
		goto out;
	}
	if (p->level > WATCH_SELF && p->level < WATCH_ALL &&
	    (p->ctime_ns != now.ctime_ns || p->mtime_ns != now.mtime_ns))
		find(w, p, id, CHANGE_LOOK, NULL);
	if (p->level >= WATCH_ALL)
		compare_all(w, p, id, fd, &now);
	if (p->meta != now.meta)
		find(w, p, id, CHANGE_SELF_ATTRIB, NULL);
	p->meta = now.meta;
	p->mtime_ns = now.mtime_ns;
	p->ctime_ns = trusted_ctime(w->disk, &now, now_ns);
	p->checked_ns = now_ns;
	p->fresh = false;
out:
	if (fd >= 0)
		watcher__disk_close(w->disk, fd);
}

void poll_doubt_young(struct polled *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->entries[i].ctime_ns >= p->checked_ns)
			p->entries[i].ctime_ns = 0;
}

void poll_remember(struct poll_work *w, struct polled *p, const char *path)
{
	size_t found = w->found.len;

	p->level = p->wanted;
	poll_compare(w, p, -1, path, true);
	bytes_cut(&w->found, found);
}
