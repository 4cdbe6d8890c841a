/*
 * Runs a command whenever the busy policy says so: starts it through shellcmd, stops it with
 * everything it started, waits for the end of all of it, and tells the user. One runner a
 * rule; `run` has one.
 */
#ifndef CLI_RUNNER_H
#define CLI_RUNNER_H

#include <uv.h>

#include "busy.h"
#include "circle.h"
#include "command.h"
#include "left.h"
#include "openers.h"
#include "options.h"
#include "own.h"
#include "processes.h"
#include "say.h"
#include "whendo/shellcmd.h"
#include "whendo/watcher.h"
#include "witness.h"

struct runner {
	/* Filled in by the caller; borrowed. */
	uv_loop_t *loop;
	const struct settings *s;
	const struct voice *voice;
	/* Nothing runs any more and nothing will. */
	void (*on_exit)(int code, void *arg);
	/* A run began (with its group's id) or ended; for the terminal and for dependent
	 * rules. May be NULL. */
	void (*on_start)(pid_t group, void *arg);
	void (*on_end)(int code, void *arg);
	/* Before the user is told of the end: who reads that may use the terminal again. */
	void (*on_gone)(void *arg);
	/* A signal has stopped the command. May be NULL. */
	void (*on_stopped)(pid_t group, int signum, void *arg);
	/* Asks for everything that happened so far to be delivered, then runner_synced(); NULL,
	 * or non-zero: not possible. */
	int (*sync)(void *arg);
	/* Output of the command goes here, line by line; NULL: inherited. */
	sh_data_cb on_output, on_error;
	int is_output_paused; /* see execution_pause_output() */
	void *arg;
	sh_guardian *guardian; /* the next command's, so that it starts at once; NULL: none */
	const char *name;      /* of the rule; NULL: there are none */
	struct circle *circle; /* of all rules' runners; NULL: it is alone */
	int inherit_stdin;  /* the terminal */
	int foreground;	    /* the terminal is handed over while the command runs */

	/* The runner's. */
	struct command command;
	char *base; /* with --workdir: the directory relative paths mean */
	struct busy busy;
	struct runner *neighbour; /* in the circle */
	struct own own;
	struct witness witness;
	struct openers openers;
	int likely_alibis; /* in a row */
	int was_doubted; /* the run ended before a doubt was settled */
	struct changes next, now; /* collected; of the current run */
	uv_timer_t timer, sweep, doubt, reading;
	sh_proc **procs; /* s->jobs of them, NULL where none runs */
	struct groups groups; /* of the run, as long as something of them may live */
	struct left left;     /* of commands that have ended */
	int running, is_stopped, is_syncing, was_ok, is_over, kill_next;
	size_t next_path;
	int is_begun; /* at least one command of the run was started */
	unsigned long run;
	int code;      /* of the current run: the first that failed */
	int by_signal; /* the signal the last command died by */
	uint64_t begun_ns, changed_ns;
	uint64_t late_ns; /* from the first batch to the start of the current run */
	int64_t begun_wall_ns, ended_wall_ns;
	int64_t stray_wall_ns; /* when the last process it left behind ended */
	uint64_t user_ns, sys_ns, maxrss_kib;
	const char *why; /* the current run's end in words; NULL: by its code */
	char ending[96];
	unsigned after_sweep; /* what to do when leftovers are gone */
	uint64_t sweep_end_ns;
	int sweep_killed;
};

/* Returns 0, or an exit status after having said what is wrong. */
int runner_open(struct runner *r);
/* All is watched: the first run. */
void runner_ready(struct runner *r);
/* A batch of changes. */
void runner_batch(struct runner *r, watcher_batch *batch);
/* Only keeps the changes for the next run; returns whether they ask for one. */
int runner_collect(struct runner *r, watcher_batch *batch);
/* Runs for what was collected, now or after the current run. */
void runner_release(struct runner *r);
/* Delivery has caught up: the answer to `sync`. */
void runner_synced(struct runner *r);
void runner_run_now(struct runner *r);
void runner_restart(struct runner *r);
void runner_pause(struct runner *r);
/* First call: stop and exit; second: kill. */
void runner_quit(struct runner *r);
/* The group of the (first) running command, 0: none. */
pid_t runner_group(const struct runner *r);
/* This program is about to be stopped (^Z): nobody may be kept waiting for it. */
void runner_suspend(struct runner *r);
/* Some child of this program ended: it may be one that was adopted. */
void runner_reap(struct runner *r);
/* Frees what it holds; after on_exit. */
void runner_close(struct runner *r);

/* For the parts of a runner, which are in files of their own. */

/* Carries out what the busy policy answered. */
void runner_act(struct runner *r, unsigned actions);
/* All commands of the run have ended. */
void runner_ended(struct runner *r);
/* Nothing of the last run is left; `then` is what leftovers_sweep() was given. */
void runner_swept(struct runner *r, unsigned then);

#endif
