/* Random changes of a tree, by processes of their own. */
#ifndef TESTS_REPLAY_CHANGES_H
#define TESTS_REPLAY_CHANGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The directories of a round: two roots of one watch, and one that is not watched. */
struct places {
	char base[64], in[80], two[80], out[80];
};

/* What the changes may be beside the usual ones. */
struct changes {
	/* Neither hard links nor chmod, nor are directories listed: fanotify merges what it tells
	 * of them with what it tells of a file or a directory that is pushed off its name, which
	 * is lost then. It is needed only to know what was at a name before the changes that came
	 * while the tree was not yet read. */
	bool unmerged;
	/* Directories and files are mounted over: by what is inside and outside of the roots, by
	 * file systems in memory; mounts are moved, and end. In mounts of the process's own. */
	bool mounts;
	/* Ignore files come, go, move and change. */
	bool ignores;
	/* There are few names, so that more happens to each. */
	bool few;
	/* What would be an exchange is a move. */
	bool no_exchanges;
};

/* The group that files with several names get: what is written through one of them is told of
 * that one only. */
#define LINKED_GID 54321

/* Makes the directories, and something in them. */
void places_make(struct places *p, uint64_t seed, const struct changes *how);
void places_remove(const struct places *p);
/* As many directories more as threads read a tree for. */
void places_add_many(const struct places *p);
/* A process that makes n changes; with nchurn, it fills the kernel's queue then with so many
 * files of which nothing stays, and makes n more. */
pid_t changes_start(uint64_t seed, const struct places *p, const struct changes *how, int n,
		    int nchurn);

/* Several of them at once; 0: one that has ended. */
struct changing {
	pid_t pids[3];
	unsigned running;
};
void changing_start(struct changing *c, uint64_t seed, const struct places *p,
		    const struct changes *how, int n, int nchurn);
/* Sees which have ended; options as waitpid(). */
void changing_await(struct changing *c, int options);
/* Nothing is changed until they are let go on. */
void changing_hold(struct changing *c);
void changing_go_on(const struct changing *c);

#endif
