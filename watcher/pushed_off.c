/*
 * What a move has pushed off the name that it took.
 *
 * A move onto a name that is taken either replaces what is there, or is the first of an exchange
 * (renameat2(2) with RENAME_EXCHANGE), which the kernel tells as two moves: a to b, then b to a.
 * So what is pushed off its name (it may not be in the index) is kept in `pushed`; if that name
 * is then said to move away, it may be either of the two that does, and where to tells: in an
 * exchange it goes to where the first came from. The rest is told by the kernel, which says of a
 * directory that is replaced that its link count has changed, as it does of one that gets another mode,
 * and that its watch has ended; and for files by a look whether anything has the name.
 *
 * By then either of the two may have moved on, and another may have the name: what is said is a guess
 * then. What came by an exchange is told as something new, and its inode number is not known; what
 * moved back keeps its own, which is compared wherever it comes to (see moves.c), or is told to be
 * modified. What should be at the name, and is not, is found by a look.
 *
 * A process may be kept from running between the two moves of its exchange, for longer than anybody
 * can wait. What was pushed off is taken to be gone then, but the name is kept in `overdue`, without
 * a node: if it is said to move away after all, that is not taken for a move of what has it now.
 */
#include <string.h>

#include "watcher/look.h"
#include "watcher/moves.h"
#include "watcher/within.h"

#define PUSHED_MAX 8
#define OVERDUE_NS UINT64_C(2000000000)
#define NEAR	   4 /* renames anywhere: the two of an exchange have no more between them, mostly */

static struct half_move remove_pushed(struct watcher *w, uint32_t i)
{
	struct half_move h = w->pushed[i];

	w->pushed[i] = w->pushed[--w->npushed];
	return h;
}

/* ---- what was seen later than what is told ---- */

/* It was read later, or is to be read again, or what was mounted there was, or nothing but looking tells
 * of it, or changes are lost, or it may have been read by a first crawl that the queue has not passed. */
bool watcher__may_be_ahead(const struct watcher *w, const struct entry *e)
{
	const struct dir *d = e->node == NO_DIR ? NULL : tree_dir(&w->tree, e->node);

	return d && (w->gap || w->uncertain ||
		     d->flags & (DIR_AHEAD | DIR_LIMBO | DIR_MOUNTED | DIR_UNMOUNTED) ||
		     !(w->sources[d->backend].ops->caps & BACKEND_EXACT));
}

/* ---- which of the two has left the name ---- */

/* A directory that is replaced is told to be so, right after the move, if it is watched: its link count
 * has changed, and its watch ends when nobody has it open any more. */
static bool would_be_told_gone(const struct watcher *w, uint32_t node)
{
	const struct dir *d = tree_dir(&w->tree, node);

	return d->id >= 0 && w->sources[d->backend].ops->caps & BACKEND_EXACT;
}

/* What is but a guess is looked at when things are calm: also where it has come to, for what is
 * there may be the other of the two, and that wherever it is then. */
static void guess(struct watcher *w, const struct half_move *h, uint32_t to)
{
	uint32_t rec = tree_find(&w->tree, h->dir, h->name, h->len);
	uint32_t other = rec == NO_REC ? NO_DIR : tree_entry(&w->tree, h->dir, rec).node;

	watcher__node_limbo(w, h->dir);
	if (to != NO_DIR)
		watcher__node_limbo(w, to);
	if (other != NO_DIR)
		watcher__node_limbo(w, other);
	if (h->node != NO_DIR)
		watcher__node_limbo(w, h->node);
}

/* The inode number says which it is that has come to where the second half leads, if none has moved on
 * from there since (nor has another got the number of what is gone), and neither was looked at late: the
 * other had its name by then, perhaps, and both seem to be the same, or one was not found. Else what has
 * left the name has come, if there is nothing. */
static bool has_come(struct watcher *w, const struct half_move *h, const struct entry *taker,
		     const struct change *c, uint32_t dir, bool *guessed)
{
	uint64_t at = dir == NO_DIR ? 0 : watcher__ino_at(w, dir, c->name, c->name_len);

	*guessed = !at || at != h->ino || !taker->ino || taker->ino == h->ino || h->ahead ||
		   watcher__may_be_ahead(w, taker) ||
		   watcher__born_since(w, dir, c->name, c->name_len, w->calm_ns);
	if (!*guessed)
		return true;
	return (!at || at != taker->ino) && watcher__ino_at(w, h->dir, h->name, h->len);
}

static bool leads_back(const struct half_move *h, const struct change *c, uint32_t dir)
{
	return h->back_dir == NO_DIR || (h->back_dir == dir && h->back_len == c->name_len &&
					 memcmp(h->back, c->name, c->name_len) == 0);
}

bool watcher__pushed_found(struct watcher *w, const struct half_move *h, const struct change *c,
			   uint32_t dir)
{
	uint32_t rec = NO_REC;
	uint64_t at = 0, taker;

	if (tree_alive(&w->tree, h->dir, h->gen))
		rec = tree_find(&w->tree, h->dir, h->name, h->len);
	if (rec == NO_REC)
		return true;
	taker = tree_entry(&w->tree, h->dir, rec).ino;
	if (dir != NO_DIR && !leads_back(h, c, dir))
		return false;
	if (dir != NO_DIR)
		at = watcher__ino_at(w, dir, c->name, c->name_len);
	if (at && (at == h->ino || at == taker))
		return at == h->ino;
	guess(w, h, dir);
	return !taker || watcher__ino_at(w, h->dir, h->name, h->len) == taker;
}

/* Did what was pushed off, and not what took its name, move away? `dir`: to there, or NO_DIR if
 * that is not known. It is not always told: the kernel makes one of two moves away from a name
 * that come one after the other, as those of two exchanges with what is not watched do. */
static bool is_exchange(struct watcher *w, const struct half_move *h, const struct change *c,
			uint32_t dir, bool *guessed)
{
	uint32_t rec = tree_find(&w->tree, h->dir, h->name, h->len);
	struct entry e;
	bool come;

	*guessed = false;
	if (h->found && dir == NO_DIR)
		return watcher__pushed_found(w, h, c, dir);
	if (dir != NO_DIR && !leads_back(h, c, dir))
		return false;
	if (rec != NO_REC) {
		e = tree_entry(&w->tree, h->dir, rec);
		if (watcher__kernel_dir(w, &e) != h->is_dir)
			return c->is_dir == h->is_dir;
	}
	if (dir != NO_DIR && tree_find(&w->tree, dir, c->name, c->name_len) != NO_REC) {
		guess(w, h, dir);
		*guessed = true;
		return false;
	}
	if (rec == NO_REC) { /* what took the name has been found elsewhere */
		*guessed = true;
		return true;
	}
	if (h->node != NO_DIR && !h->perhaps_gone && !h->ahead && would_be_told_gone(w, h->node))
		return true;
	come = has_come(w, h, &e, c, dir, guessed);
	guess(w, h, dir);
	return come;
}

/* It was what took the name that moved on; what was pushed off is gone. */
static bool not_pushed(struct watcher *w, struct half_move *h, const struct change *c)
{
	uint32_t rec = tree_find(&w->tree, h->dir, h->name, h->len);

	watcher__half_drop(w, h->node);
	h->node = NO_DIR;
	if (rec == NO_REC)
		return false;
	*h = watcher__take_out(w, h->dir, rec, c);
	return true;
}

bool watcher__pushed_ends(struct watcher *w, struct half_move *h, const struct change *c)
{
	bool guessed;

	if (!tree_alive(&w->tree, h->dir, h->gen) || is_exchange(w, h, c, NO_DIR, &guessed)) {
		watcher__half_drop(w, h->node);
		return false;
	}
	return not_pushed(w, h, c);
}

/* What took the name is said to have come to where the second half leads, and may not have: that is
 * found out by its inode number. Where that is not known it is that of what is there, unless that may
 * be what was pushed off. */
static void doubt(struct watcher *w, struct half_move *h, uint64_t pushed, const struct change *c,
		  uint32_t dir)
{
	uint64_t at;

	if (h->ino || h->node != NO_DIR)
		return;
	at = watcher__ino_at(w, dir, c->name, c->name_len);
	h->doubt = !at || !pushed || at == pushed || at == INO_UNKNOWN;
	if (!h->doubt)
		h->ino = at;
}

bool watcher__pushed_lands(struct watcher *w, struct half_move *h, const struct change *c,
			   uint32_t dir)
{
	uint64_t pushed = h->ino;
	bool guessed;

	if (!tree_alive(&w->tree, h->dir, h->gen))
		return false;
	if (is_exchange(w, h, c, dir, &guessed)) {
		h->guessed = guessed || h->far;
		if (guessed)
			h->ino = 0;
		return tree_find(&w->tree, dir, c->name, c->name_len) == NO_REC;
	}
	if (!not_pushed(w, h, c))
		return false;
	if (guessed)
		doubt(w, h, pushed, c, dir);
	return true;
}

/* ---- which have been waited for in vain ---- */

static struct half_move remove_overdue(struct watcher *w, uint32_t i)
{
	struct half_move h = w->overdue[i];

	memmove(w->overdue + i, w->overdue + i + 1, (--w->noverdue - i) * sizeof h);
	return h;
}

/* Only what is known to have been there, and where it would go: else what is in a directory would be
 * told of for a while after it has left. */
static void become_overdue(struct watcher *w, struct half_move h)
{
	if (!h.type || h.back_dir == NO_DIR)
		return;
	if (w->noverdue == PUSHED_MAX)
		remove_overdue(w, 0);
	if (!watcher__half_room(w, &w->overdue, w->noverdue, &w->overdue_cap))
		return;
	h.node = NO_DIR;
	h.deadline_ns = uv_hrtime() + OVERDUE_NS;
	w->overdue[w->noverdue++] = h;
}

/* What was pushed off a name last. */
static bool take_pushed(struct watcher *w, const struct change *c, uint32_t dir, struct half_move *h)
{
	for (uint32_t i = w->npushed; i-- > 0;)
		if (half_is(&w->pushed[i], dir, c->name, c->name_len)) {
			*h = remove_pushed(w, i);
			return true;
		}
	for (uint32_t i = w->noverdue; i-- > 0;)
		if (half_is(&w->overdue[i], dir, c->name, c->name_len)) {
			*h = remove_overdue(w, i);
			if (!tree_alive(&w->tree, h->dir, h->gen) || uv_hrtime() > h->deadline_ns)
				return false;
			h->deadline_ns = uv_hrtime() + HALF_WAIT_NS;
			return true;
		}
	return false;
}

/* Where nothing was known there may have been nothing, and what leaves is what came there last.
 * Had it been exchanged, its name would be that of another now; where the directory is not to be
 * found, for it has moved since, nobody can say. */
static bool was_nothing(struct watcher *w, const struct change *c, uint32_t dir,
			const struct half_move *h)
{
	return !h->type && watcher__ino_at(w, dir, c->name, c->name_len) == 0;
}

bool watcher__pushed_leaves(struct watcher *w, const struct change *c, uint32_t dir)
{
	struct half_move h;

	if (!take_pushed(w, c, dir, &h) || was_nothing(w, c, dir, &h))
		return false;
	if (c->cookie - h.cookie - 1 >= COOKIE_GAP || (h.type && c->is_dir != h.is_dir) ||
	    watcher__is_another(w, c, h.node) ||
	    !watcher__half_room(w, &w->halves, w->nhalves, &w->halves_cap)) {
		watcher__half_drop(w, h.node);
		return false;
	}
	h.far = c->cookie - h.cookie > NEAR;
	h.cookie = c->cookie;
	h.pushed = true;
	if (!h.type)
		h.type = c->is_dir ? WATCHER_TYPE_DIR : WATCHER_TYPE_FILE;
	h.is_dir = c->is_dir;
	h.drain = w->drain;
	w->halves[w->nhalves++] = h;
	return true;
}

/* ---- the end ---- */

void watcher__pushed_below_gone(struct watcher *w, uint32_t node)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->npushed;) {
		h = w->pushed[i];
		if (!tree_alive(&w->tree, h.dir, h.gen) || !tree_is_below(&w->tree, h.dir, node)) {
			i++;
			continue;
		}
		remove_pushed(w, i);
		watcher__half_drop(w, h.node);
		i = 0;
	}
}

void watcher__pushed_name_taken(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->npushed; i++)
		if (half_is(&w->pushed[i], dir, name, len)) {
			h = remove_pushed(w, i);
			watcher__half_drop(w, h.node);
			return;
		}
	for (uint32_t i = 0; i < w->noverdue; i++)
		if (half_is(&w->overdue[i], dir, name, len)) {
			remove_overdue(w, i);
			return;
		}
}

void watcher__pushed_expire(struct watcher *w, uint64_t now_ns)
{
	struct half_move h;

	for (uint32_t i = 0; i < w->npushed;) {
		h = w->pushed[i];
		if (half_waits(w, &h, now_ns)) {
			i++;
			continue;
		}
		remove_pushed(w, i);
		become_overdue(w, h);
		watcher__half_drop(w, h.node);
		i = 0;
	}
}

void watcher__pushed_gone(struct watcher *w, uint32_t node, const struct change *c)
{
	for (uint32_t i = 0; i < w->npushed; i++) {
		if (w->pushed[i].node != node)
			continue;
		if (c->op == CHANGE_SELF_ATTRIB) {
			w->pushed[i].perhaps_gone = true;
			return;
		}
		remove_pushed(w, i);
		watcher__half_drop(w, node);
		return;
	}
}

/* ---- being pushed off ---- */

/* Is it what comes there that the index has by that name? The kernel tells of a move a moment after it is
 * done, and it may have been read in between. A full directory is not replaced, but may be exchanged: then
 * it is another that is there. */
static bool has_come_before(struct watcher *w, const struct news *n, const struct entry *e)
{
	const struct dir *d = e->node == NO_DIR ? NULL : tree_dir(&w->tree, e->node);

	return d && d->count && d->ino && (!n->ino || n->ino == d->ino) &&
	       watcher__ino_at(w, n->dest_dir, n->dest, n->dest_len) == d->ino;
}

int watcher__tell_replaced(struct watcher *w, const struct news *n)
{
	uint32_t rec = tree_find(&w->tree, n->dest_dir, n->dest, n->dest_len);
	struct news gone = *n;
	struct entry e;

	if (rec == NO_REC)
		return 0;
	e = tree_entry(&w->tree, n->dest_dir, rec);
	if (e.node != NO_DIR)
		watcher__halves_below_gone(w, e.node); /* before what they were in */
	gone.kind = WATCHER_DELETED;
	if (has_come_before(w, n, &e))
		watcher__node_limbo(w, e.node); /* so it is ahead for who remembers it, too */
	if (watcher__kernel_dir(w, &e) && !watcher__may_be_ahead(w, &e))
		gone.onto = n;
	if (e.node != NO_DIR)
		watcher__emit_gone_below(w, &gone, n->dest_dir, n->dest, n->dest_len, e.node);
	return watcher__type_of_entry(w, &e);
}

void watcher__pushed_remember(struct watcher *w, const struct half_move *h)
{
	if (w->npushed == PUSHED_MAX) {
		uint32_t node = w->pushed[0].node;

		memmove(w->pushed, w->pushed + 1, --w->npushed * sizeof *w->pushed);
		watcher__half_drop(w, node);
	}
	if (watcher__half_room(w, &w->pushed, w->npushed, &w->pushed_cap))
		w->pushed[w->npushed++] = *h;
	else
		watcher__half_drop(w, h->node);
}

void watcher__push_off(struct watcher *w, const struct change *c, uint32_t dir,
		       const struct half_move *by)
{
	uint32_t rec = tree_find(&w->tree, dir, c->name, c->name_len);
	struct entry e = { .name = c->name, .len = c->name_len, .node = NO_DIR };
	struct half_move h;

	if (rec != NO_REC)
		e = tree_entry(&w->tree, dir, rec);
	if (e.node != NO_DIR)
		watcher__halves_below_gone(w, e.node);
	h = watcher__half_of(w, dir, &e, c);
	if (e.node != NO_DIR)
		watcher__over_below(w, e.node);
	if (by && tree_alive(&w->tree, by->dir, by->gen)) {
		h.back_dir = by->dir;
		h.back_gen = by->gen;
		h.back_len = by->len;
		memcpy(h.back, by->name, by->len);
	}
	if (e.node != NO_DIR)
		tree_detach(&w->tree, dir, rec);
	if (rec != NO_REC)
		tree_erase(&w->tree, dir, rec);
	if (h.node != NO_DIR && (!h.is_dir || tree_dir(&w->tree, h.node)->flags & DIR_FRESH)) {
		watcher__half_drop(w, h.node);
		h.node = NO_DIR;
	}
	watcher__pushed_remember(w, &h);
}
