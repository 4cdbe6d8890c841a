/*
 * The changes a command is run for, gathered over batches until it can run.
 */
#ifndef CLI_CHANGES_H
#define CLI_CHANGES_H

#include "alloc.h"
#include "base/bytes.h"
#include "whendo/watcher.h"

/* What changed since the last run: each path once, in the order of its first event. */
struct changes {
	struct words paths; /* where things are now: the destination of a move */
	struct bytes json;  /* the events, if they are fed to the command */
	size_t count;	    /* of events */
	uint64_t batch;	    /* of the last one */
	int kind;	    /* of the first event, like what follows */
	char *path, *dest, *root;
	const char *base;   /* put before relative paths: the command runs elsewhere; or NULL */
	size_t *slots, cap; /* finds a path in `paths`; 0 is empty */
};

/* Adds an event; `keep_json` if the command wants it. */
void changes_add(struct changes *c, const watcher_event *e, int keep_json);
void changes_clear(struct changes *c);

#endif
