/*
 * Who made a change? The kernel does not say, but what a command's processes do at that time
 * tells something: one that has the file open for writing made it, and a command whose
 * processes all slept did not; nor, most likely, one that did not call write(2) for a file
 * that was written (files are also written through mappings and by cloning). Elsewhere than
 * on Linux nothing is ever known.
 */
#ifndef CLI_WITNESS_H
#define CLI_WITNESS_H

#include <stdint.h>
#include <uv.h>

#include "processes.h"

enum alibi {
	ALIBI_ASLEEP = 1, /* certain */
	ALIBI_WROTE_NOT	  /* likely */
};

struct witness {
	/* Filled in by the caller; borrowed. */
	uv_loop_t *loop;
	const struct groups *groups; /* of the command's processes */
	/* The command did not make the change of witness_ask(). */
	void (*on_alibi)(enum alibi alibi, void *arg);
	void *arg;

	/* The module's. */
	uv_timer_t timer;
	int is_open;
	int64_t from_ns, last_ns; /* wall clock: what was observed */
	uint64_t activity, written;
	struct {
		int64_t from_ns, to_ns;
		unsigned what; /* bits: some process ran, wrote */
	} seen[64];	       /* when something was done; a ring */
	size_t n_seen;
	struct {
		int64_t time_ns;
		int has_content;
	} asked[16];
	size_t n_asked;
};

void witness_open(struct witness *w);
/* Observes the command's processes from now on. It costs a few percent of a processor at
 * first and less and less later. */
void witness_start(struct witness *w);
void witness_stop(struct witness *w);
void witness_close(struct witness *w);

/* A change was read at that time: finds out whether the command can have made it.
 * `has_content`: somebody has written the file. */
void witness_ask(struct witness *w, int64_t time_ns, int has_content);
/* The command has ended: answers what was asked and not answered yet. */
void witness_settle(struct witness *w);

/* Whether a process of the command has the file open for writing, or the file is its pid
 * file. */
int witness_holds(const struct witness *w, const char *path);

#endif
