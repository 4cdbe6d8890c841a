/* Watches that come and go while everything changes, over what another one watches: that one must
 * not notice, and each of them is told of all that changes in its own root from then on.
 *
 * Nothing changes while half of them are added: they begin with what is on the disk. The others begin
 * with what the index has then.
 *
 * Not looked at: what is below a root that was a file when it was found, and a directory that has
 * replaced that (a file stays one, see watcher.3); of those others, a watch whose root is read later
 * (fanotify, where the root was not known before), for what it begins with is known to nobody. */
#ifndef TESTS_REPLAY_ADDS_H
#define TESTS_REPLAY_ADDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "replay_changes.h"
#include "replay_events.h"
#include "whendo/watcher.h"

struct added {
	watcher_watch *watch; /* NULL: not there at present */
	bool unread; /* its root is read only later: what its events begin with is not known */
	char root[PATH_MAX], name[8];
	struct replay replay;
};

struct adds {
	struct added more[6];
	unsigned rarely; /* one call in so many adds or removes one */
	bool stay;       /* none is removed */
	bool no_exchanges; /* no move of the kernel's is the first half of one */
	unsigned bad;    /* events of those that are removed by now */
	char first_bad[sizeof ((struct replay *)0)->first_bad];
};

/* Whether many or few, and whether they stay, comes of the seed. */
void adds_begin(struct adds *a, uint64_t seed, const struct changes *how);
/* Perhaps adds a watch of some directory of the roots, or removes one. */
void adds_perhaps(struct adds *a, watcher *w, const struct places *p, struct changing *changing,
		  FILE *trace);
/* Removes some of those that are left, or none. */
void adds_end(struct adds *a, FILE *trace);
/* What is wrong with their events, and with what these have made of their roots, into text: how
 * many things. */
unsigned adds_judge(const struct adds *a, char *text, size_t size);
void adds_free(struct adds *a);

#endif
