/*
 * Exact changes: what the kernel says happened, put into the index and made into events
 * without a look at the disk.
 *
 * The index may be newer than a change (a directory was read after the change was queued), so
 * every change is checked against it: what is there already is not told twice, what is gone is
 * not told at all. Moves are in moves.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/apply.h"
#include "watcher/filter.h"
#include "watcher/look.h"
#include "watcher/moves.h"

struct news watcher__news_of(const struct change *c, int kind, uint32_t dir)
{
	return (struct news){ .kind = kind,
			      .type = c->is_dir ? WATCHER_TYPE_DIR : WATCHER_TYPE_FILE,
			      .dir = dir,
			      .name = c->name,
			      .len = c->name_len,
			      .time_ns = c->time_ns,
			      .pid = c->pid,
			      .type_known = c->is_file };
}

bool watcher__kernel_dir(const struct watcher *w, const struct entry *e)
{
	if (e->node != NO_DIR && tree_dir(&w->tree, e->node)->flags & DIR_LINK)
		return false;
	return e->type == WATCHER_TYPE_DIR;
}

int watcher__type_of_entry(const struct watcher *w, const struct entry *e)
{
	return e->node != NO_DIR && !watcher__kernel_dir(w, e) ? WATCHER_TYPE_SYMLINK : e->type;
}

void watcher__remove_entry(struct watcher *w, uint32_t dir, const struct entry *e,
			   struct news *n)
{
	char name[255];
	uint8_t len = e->len;

	memcpy(name, e->name, len);
	n->dir = dir;
	n->name = name;
	n->len = len;
	n->type = watcher__type_of_entry(w, e);
	n->ino = e->ino;
	n->complete = true;
	if (e->node != NO_DIR) {
		watcher__halves_below_gone(w, e->node);
		watcher__emit_gone_below(w, n, dir, name, len, e->node);
		watcher__node_drop(w, e->node);
	}
	tree_erase(&w->tree, dir, e->rec);
	watcher__emit(w, n);
}

void watcher__unbind(struct watcher *w, uint32_t dir, uint32_t rec, const struct change *c)
{
	struct entry e = tree_entry(&w->tree, dir, rec);
	struct news n = watcher__news_of(c, WATCHER_DELETED, dir);
	char name[255];

	memcpy(name, e.name, e.len);
	watcher__halves_below_gone(w, e.node);
	watcher__emit_gone_below(w, &n, dir, name, e.len, e.node);
	watcher__node_drop(w, e.node);
	tree_set_ino(&w->tree, dir, rec, 0);
}

/* What a name in a directory is now. UV_ENOENT: there is none; UV_EAGAIN: that cannot be seen, as where
 * the path of the directory leads to another by now, or nowhere. */
static int stat_at(struct watcher *w, uint32_t dir, const char *name, size_t len, struct stat *st)
{
	int fd = watcher__open_dir(w, dir), r;
	char buf[256];

	if (fd < 0)
		return UV_EAGAIN;
	memcpy(buf, name, len);
	buf[len] = '\0';
	r = fstatat(fd, buf, st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
	close(fd);
	return r == 0 || r == UV_ENOENT ? r : UV_EAGAIN;
}

uint64_t watcher__ino_at(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	struct stat st;
	int r = stat_at(w, dir, name, len, &st);

	return r == 0 ? st.st_ino : r == UV_ENOENT ? 0 : INO_UNKNOWN;
}

void watcher__add_entry(struct watcher *w, struct news *n)
{
	int type = n->type;
	uint32_t rec;

	/* Its inode stays unknown: what a look at the name would find now may be a later file. */
	rec = tree_insert(&w->tree, n->dir, n->name, n->len, n->type, 0);
	if (rec == NO_REC) {
		w->gap = true;
		return;
	}
	watcher__emit(w, n);
	if (n->type == WATCHER_TYPE_DIR) {
		watcher__look_new_dir(w, n->dir, rec);
		return;
	}
	if (n->type != type)
		tree_set_type(&w->tree, n->dir, rec, n->type);
	if (n->type == WATCHER_TYPE_SYMLINK && w->follow)
		watcher__look_behind(w, n->dir, rec);
}

/* A directory that the index has already: the very same if its inode is, else another one. */
static void created_again(struct watcher *w, const struct change *c, uint32_t dir, uint32_t rec)
{
	struct entry e = tree_entry(&w->tree, dir, rec);

	if (e.node != NO_DIR && tree_dir(&w->tree, e.node)->id >= 0 &&
	    watcher__ino_at(w, dir, c->name, c->name_len) == e.ino)
		return;
	if (e.node != NO_DIR)
		watcher__unbind(w, dir, rec, c);
	watcher__look_new_dir(w, dir, rec);
}

static void created(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct news n = watcher__news_of(c, WATCHER_CREATED, dir), gone;
	uint32_t rec;
	struct entry e;

	watcher__name_taken(w, dir, c->name, c->name_len);
	rec = tree_find(&w->tree, dir, c->name, c->name_len);
	if (rec != NO_REC) {
		e = tree_entry(&w->tree, dir, rec);
		if (watcher__kernel_dir(w, &e) == c->is_dir) {
			if (c->is_dir)
				created_again(w, c, dir, rec);
			/* Else what had the name has left it, though nobody knew. */
			if (c->is_dir || w->uncertain || e.node != NO_DIR ||
			    watcher__file_over_file(w, &n, &e))
				return;
		}
		gone = n;
		gone.kind = WATCHER_DELETED;
		watcher__remove_entry(w, dir, &e, &gone);
	}
	watcher__add_entry(w, &n);
}

static void removed(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct news n = watcher__news_of(c, WATCHER_DELETED, dir);
	uint32_t rec;
	struct entry e;

	watcher__name_taken(w, dir, c->name, c->name_len);
	rec = tree_find(&w->tree, dir, c->name, c->name_len);
	if (rec == NO_REC)
		return;
	e = tree_entry(&w->tree, dir, rec);
	if (watcher__kernel_dir(w, &e) == c->is_dir)
		watcher__remove_entry(w, dir, &e, &n);
}

/* ---- content and metadata ---- */

static unsigned caps_of(const struct watcher *w, uint32_t dir)
{
	return w->sources[tree_dir(&w->tree, dir)->backend].ops->caps;
}

/* What was written to under a name that the index does not have, and that is gone, may be back where it
 * was: what has just come and gone is looked at with its content. */
static void went_astray(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct change look = *c;

	look.content = true;
	if (c->op == CHANGE_WRITTEN && !c->ino && caps_of(w, dir) & BACKEND_BY_PATH)
		watcher__look_hint(w, dir, &look);
}

/* A name the index does not have: newer than it, or dead already. */
static bool adopt_unknown(struct watcher *w, const struct change *c, struct news *n)
{
	struct news born = *n;
	struct stat st;
	int r;

	/* A hint is followed by a look, which finds it without guessing. */
	if (!(caps_of(w, n->dir) & BACKEND_EXACT)) {
		went_astray(w, c, n->dir);
		return false;
	}
	r = stat_at(w, n->dir, c->name, c->name_len, &st);
	if (r == UV_EAGAIN)
		watcher__node_limbo(w, n->dir);
	if (r < 0 || S_ISDIR(st.st_mode) != c->is_dir) {
		n->dead = true;
		return w->exact_counts;
	}
	born.kind = WATCHER_CREATED;
	born.type = n->type = watcher__type_of_mode(st.st_mode);
	born.ino = n->ino = st.st_ino;
	born.synthetic = true;
	tree_dir(&w->tree, n->dir)->ctime_ns = 0;
	watcher__name_taken(w, n->dir, c->name, c->name_len);
	watcher__add_entry(w, &born);
	return true;
}

/* The name of a file that something happened to is another's by now. Nobody can see any more what it
 * was: it may have been written to, and where it is now nothing else would tell of that. */
static bool was_another(const struct entry *e, const struct change *c)
{
	return c->ino && e->type == WATCHER_TYPE_FILE &&
	       (c->is_dir || (e->ino && e->ino != c->ino));
}

/* A link may be another by now, in the same inode number. */
static void link_touched(struct watcher *w, uint32_t dir, const struct entry *e)
{
	if (e->node != NO_DIR)
		watcher__node_limbo(w, e->node);
	else if (w->follow)
		watcher__look_behind(w, dir, e->rec);
}

static void happened(struct watcher *w, const struct change *c, uint32_t dir, int kind)
{
	struct news n = watcher__news_of(c, kind, dir);
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	struct entry e;
	bool fits;

	if (rec == NO_REC && tree_dir(&w->tree, dir)->flags & DIR_AHEAD)
		return; /* gone since */
	if (rec == NO_REC && !adopt_unknown(w, c, &n))
		return;
	if (rec != NO_REC) {
		e = tree_entry(&w->tree, dir, rec);
		n.type = watcher__type_of_entry(w, &e);
		n.ino = e.ino;
		fits = watcher__kernel_dir(w, &e) == c->is_dir;
		if (!fits && !(caps_of(w, dir) & BACKEND_EXACT)) /* not older than the index */
			watcher__look_at(w, dir);
		if (was_another(&e, c))
			n.kind = WATCHER_MODIFIED;
		else if (!fits)
			return;
		else if (kind == WATCHER_ATTRIB && c->is_dir &&
		    (e.node == NO_DIR || tree_dir(&w->tree, e.node)->flags & DIR_NO_ACCESS)) {
			if (e.node == NO_DIR)
				watcher__look_new_dir(w, dir, rec);
			else
				watcher__look_at(w, e.node);
		}
	}
	if (rec != NO_REC && n.type == WATCHER_TYPE_SYMLINK && !(caps_of(w, dir) & BACKEND_EXACT))
		link_touched(w, dir, &e);
	n.complete = kind == WATCHER_CLOSED;
	n.may_touch = n.kind == WATCHER_ATTRIB && !c->is_dir &&
		      w->sources[tree_dir(&w->tree, dir)->backend].ops->caps & BACKEND_EXACT;
	watcher__emit(w, &n);
}

static void metadata_changed(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);
	struct news n = { .kind = WATCHER_ATTRIB,
			  .type = WATCHER_TYPE_DIR,
			  .dir = dir,
			  .name = "",
			  .time_ns = c->time_ns,
			  .pid = c->pid,
			  .root_only = true };

	if (d->flags & DIR_NO_ACCESS)
		watcher__look_at(w, dir);
	if (d->roots)
		watcher__emit(w, &n);
	if (d->parent == NO_DIR || !(w->sources[d->backend].ops->caps & BACKEND_DIR_ATTRIB))
		return;
	struct entry e = tree_entry(&w->tree, d->parent, d->rec);

	n.dir = d->parent;
	n.name = e.name;
	n.len = e.len;
	n.ino = e.ino;
	n.root_only = false;
	watcher__emit(w, &n);
}

static void about_itself(struct watcher *w, int source, const struct change *c, uint32_t dir)
{
	struct dir *d = tree_dir(&w->tree, dir);

	if (w->npushed && c->op != CHANGE_SELF_MOVED) {
		watcher__pushed_gone(w, dir, c);
		if (ids_get(&w->sources[source].nodes, c->id) != dir)
			return;
	}
	for (struct root *r = d->roots; r && !keeps_its_place(w, source, c); r = r->next_at_node)
		r->recheck = w->recheck_roots = true;
	if (c->op == CHANGE_SELF_ATTRIB) {
		metadata_changed(w, c, dir);
		return;
	}
	if (c->op == CHANGE_UNMOUNTED && d->parent != NO_DIR)
		d->flags |= DIR_UNMOUNTED;
	if (c->op == CHANGE_SELF_MOVED && d->flags & DIR_LINK)
		watcher__node_limbo(w, dir);
	if (c->op == CHANGE_UNWATCHED) {
		ids_erase(&w->sources[d->backend].nodes, d->id);
		d->id = -1;
		d->flags &= (uint16_t)~(DIR_AHEAD | DIR_FRESH);
		watcher__node_limbo(w, dir);
		/* It may be there all the same, and be watched anew. */
		if (w->sources[source].ops->caps & BACKEND_BY_PATH)
			watcher__owe(w, dir, c->since_ns);
	}
}

/* Is a name what the index has? If not, the directory is looked at once the queue is empty: the rest may
 * still be on its way. */
static void check_name(struct watcher *w, const struct change *c, uint32_t dir)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	struct stat st;
	struct entry e;
	int r;

	if (tree_dir(&w->tree, dir)->flags & DIR_NARROW &&
	    !watcher__narrow_wants(w, dir, c->name, c->name_len))
		return;
	if (rec != NO_REC && c->content)
		happened(w, c, dir, WATCHER_MODIFIED);
	r = stat_at(w, dir, c->name, c->name_len, &st);
	if (r == UV_ENOENT && rec == NO_REC)
		return;
	if (r == 0 && rec != NO_REC) {
		e = tree_entry(&w->tree, dir, rec);
		if (watcher__kernel_dir(w, &e) == S_ISDIR(st.st_mode) &&
		    (!e.ino || e.ino == st.st_ino || e.node != NO_DIR))
			return;
	}
	watcher__node_limbo(w, dir);
}

/* Was the name no news when the directory was last read? */
static bool has_stayed(const struct watcher *w, const struct change *c, uint32_t dir)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);

	return rec != NO_REC && tree_entry(&w->tree, dir, rec).marks & ENTRY_STAYED;
}

/* A name that was there when the directory was read, and before: what has it now was put there in
 * between, and the reading cannot have known it where the inode was not known, or is the same. */
static void taken_unseen(struct watcher *w, const struct change *c, uint32_t dir)
{
	if ((c->op == CHANGE_CREATED || c->op == CHANGE_MOVED_TO) && has_stayed(w, c, dir))
		happened(w, c, dir, WATCHER_MODIFIED);
}

/* A file has a name that was another's for the backend, which looks at other moments than the index. If
 * that is news to the index, too, it was told when the directory was last read, or is by the reading that
 * is asked for here. What was done to it after the one, or is no news to the other, is told as written.
 * Times go in steps: what was done in that of the reading counts as done after it. */
static void name_taken(struct watcher *w, const struct change *c, uint32_t dir)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);

	if (rec == NO_REC ||
	    (c->taken_ns < tree_dir(&w->tree, dir)->read_ns && !has_stayed(w, c, dir)))
		return;
	watcher__look_hint(w, dir, c);
	if (tree_entry(&w->tree, dir, rec).type != WATCHER_TYPE_DIR)
		watcher__note_changed(w, dir, rec);
}

/* A change that the index is ahead of. A directory that was there before and after may be another
 * by now, in the same inode number; it is asked when the queue is empty. */
static void skip(struct watcher *w, const struct change *c, uint32_t dir)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len), node;

	if (rec != NO_REC && !c->is_dir)
		taken_unseen(w, c, dir);
	node = rec == NO_REC || !c->is_dir ? NO_DIR : tree_entry(&w->tree, dir, rec).node;
	if (c->op == CHANGE_MOVED_FROM) /* what was pushed off it, or what took it: the next is another */
		watcher__pushed_name_taken(w, dir, c->name, c->name_len);
	if (c->op == CHANGE_MOVED_TO)
		watcher__half_skipped(w, c);
	if (c->op == CHANGE_MOVED_TO && c->is_dir)
		watcher__mounts_came(w);
	if (node == NO_DIR || !tree_dir(&w->tree, node)->by_number)
		return;
	tree_dir(&w->tree, node)->by_number = false;
	watcher__node_limbo(w, node);
}

static void apply_named(struct watcher *w, const struct change *c, uint32_t dir)
{
	if (tree_dir(&w->tree, dir)->flags & DIR_NARROW) {
		if (!watcher__narrow_wants(w, dir, c->name, c->name_len))
			return;
		if (c->is_dir) { /* a directory where a file was */
			for (struct root *r = tree_dir(&w->tree, dir)->roots; r; r = r->next_at_node)
				r->recheck = w->recheck_roots = true;
			return;
		}
	}
	if (c->op <= CHANGE_MOVED_TO && tree_dir(&w->tree, dir)->flags & DIR_AHEAD) {
		skip(w, c, dir); /* the index has it, and more */
		return;
	}
	/* The change may be older than the listing the index has: then its counterpart may be
	 * among what an overflow lost, and the directory's change time would not show it. */
	if (c->op <= CHANGE_MOVED_TO)
		tree_dir(&w->tree, dir)->ctime_ns = 0;
	switch (c->op) {
	case CHANGE_CREATED:
		created(w, c, dir);
		break;
	case CHANGE_REMOVED:
		removed(w, c, dir);
		break;
	case CHANGE_MOVED_FROM:
		watcher__moved_from(w, c, dir);
		break;
	case CHANGE_MOVED_TO:
		watcher__moved_to(w, c, dir);
		break;
	case CHANGE_WRITTEN:
		if (c->taken_ns)
			name_taken(w, c, dir);
		else
			happened(w, c, dir, WATCHER_MODIFIED);
		break;
	case CHANGE_ATTRIB:
		happened(w, c, dir, WATCHER_ATTRIB);
		break;
	case CHANGE_OPENED:
		happened(w, c, dir, WATCHER_OPENED);
		break;
	case CHANGE_CLOSED:
		happened(w, c, dir, WATCHER_CLOSED);
		break;
	case CHANGE_CLOSED_NO_WRITE:
		happened(w, c, dir, WATCHER_CLOSED_NO_WRITE);
		break;
	default:
		watcher__look_at(w, dir);
	}
	if (c->name[0] == '.' && c->op != CHANGE_OPENED && c->op != CHANGE_CLOSED_NO_WRITE &&
	    watcher__rules_read(w, dir, c->name, c->name_len))
		watcher__reconsider(w, dir);
}

/* Both halves in one: told as two, with a number no kernel gives. */
static void renamed(struct watcher *w, int source, const struct change *c)
{
	struct change half = *c;

	half.cookie = ++w->own_cookie | 1u << 31;
	half.op = CHANGE_MOVED_FROM;
	if (c->id >= 0)
		watcher__apply(w, source, &half);
	half.op = CHANGE_MOVED_TO;
	half.id = c->id2;
	half.name = c->name2;
	half.name_len = c->name2_len;
	if (c->id2 >= 0)
		watcher__apply(w, source, &half);
	else
		watcher__halves_expire(w, UINT64_MAX);
}

void watcher__apply(struct watcher *w, int source, const struct change *c)
{
	struct source *s = &w->sources[source];
	uint32_t dir;

	w->now_ns = c->time_ns;
	if (c->op == CHANGE_UNKNOWN)
		return;
	if (c->op != CHANGE_READ)
		w->calm_rounds = 0;
	if (c->op == CHANGE_GAP) {
		w->gap = true;
		if (c->since_ns && (!w->gap_since_ns || c->since_ns < w->gap_since_ns))
			w->gap_since_ns = c->since_ns;
		return;
	}
	if (c->op == CHANGE_RENAMED) {
		renamed(w, source, c);
		return;
	}
	if (s->anchors.count)
		watcher__anchor_hit(w, source, c);
	/* Where the very order is asked for, only the other half may follow the first. */
	if (w->exact_counts && w->nhalves && c->op != CHANGE_MOVED_TO &&
	    c->op != CHANGE_SELF_MOVED && c->op != CHANGE_READ)
		watcher__halves_expire(w, UINT64_MAX);
	dir = watcher__node_of(w, source, c->id);
	if (dir == IDS_NONE || (w->nhalves && c->op != CHANGE_SELF_MOVED &&
				watcher__left_already(w, dir)))
		return;
	switch (c->op) {
	case CHANGE_SELF_REMOVED:
	case CHANGE_SELF_MOVED:
	case CHANGE_SELF_ATTRIB:
	case CHANGE_UNMOUNTED:
	case CHANGE_UNWATCHED:
		about_itself(w, source, c, dir);
		break;
	case CHANGE_READ:
		watcher__node_read(w, dir);
		break;
	case CHANGE_LOOK:
		if (c->name_len)
			check_name(w, c, dir);
		else
			watcher__look_hint(w, dir, c);
		break;
	default:
		apply_named(w, c, dir);
	}
}
