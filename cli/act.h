/*
 * One rule at work: its watch, and what its changes set going (a runner, a shell line for
 * each event, or lines on stdout).
 */
#ifndef CLI_ACT_H
#define CLI_ACT_H

#include "rules_file.h"
#include "runner.h"
#include "shell_trick.h"
#include "stage.h"
#include "watching.h"

struct act {
	/* Filled in by the caller; borrowed. */
	struct stage *stage;
	const struct rule *rule;
	struct circle *circle; /* of all acts' runners */
	int is_tagged; /* output begins with the rule's name */
	/* This act needs others to have gone well first; asked before each run. */
	int (*may_run)(struct act *a, void *arg);
	void (*on_ready)(struct act *a, void *arg);
	void (*on_start)(struct act *a, void *arg);
	void (*on_end)(struct act *a, int code, void *arg);
	void (*on_exit)(struct act *a, int code, void *arg);
	void *arg;

	/* The module's. */
	struct voice voice;
	struct watching t;
	struct runner runner;
	struct shell_trick trick;
	uv_timer_t settle;
	int is_open, is_ready, is_held, is_over, code, ended;
};

int act_open(struct act *a);
/* What it needs has gone well: runs, with what changed meanwhile. */
void act_release(struct act *a);
/* The same; `needed` has just ended. */
void act_follow(struct act *a, const struct act *needed);
/* What its commands, or it, write is not read (1), or again (0). */
void act_pause_output(struct act *a, int is_paused);
void act_quit(struct act *a);
/* A child ended. */
void act_reap(struct act *a);
void act_close(struct act *a);

#endif
