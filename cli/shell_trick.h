/*
 * watchmedo's shell-command: one shell line for each change, with the event in variables of
 * its environment. Nothing of an event is put into the line. What a save makes of a file
 * within a batch (created, modified, attrib, closed) is one change.
 */
#ifndef CLI_SHELL_TRICK_H
#define CLI_SHELL_TRICK_H

#include <uv.h>

#include "left.h"
#include "options.h"
#include "say.h"
#include "whendo/shellcmd.h"
#include "whendo/watcher.h"

struct shell_trick {
	/* Filled in by the caller; borrowed. */
	uv_loop_t *loop;
	const struct settings *s;
	const struct voice *voice;
	/* Asked to end, and nothing runs any more. */
	void (*on_exit)(int code, void *arg);
	void *arg;

	/* The module's. */
	struct queued *first, **last; /* events that wait for their command */
	sh_proc *procs[64];
	size_t running, waiting, limit;
	struct left left;
	int quitting, is_over;
	int is_behind; /* so far that events were left out */
	char *line;
};

void shell_trick_open(struct shell_trick *k);
void shell_trick_batch(struct shell_trick *k, watcher_batch *batch);
/* First call: stop what runs; second: kill it. */
void shell_trick_quit(struct shell_trick *k);
void shell_trick_close(struct shell_trick *k);

#endif
