/*
 * When to start, stop and signal the command, and when to exit: the busy policy as a state
 * machine. Pure: time is an argument, and what to do is a result; the runner does it.
 *
 * Each call returns actions to be carried out in the order of their bits. After BUSY_START
 * the caller reports busy_ended() once, when nothing of the run is left.
 */
#ifndef CLI_BUSY_H
#define CLI_BUSY_H

#include <stdint.h>

enum {
	BUSY_SIGNAL = 1 << 0, /* send the signal of --on-busy signal */
	BUSY_STOP = 1 << 1,   /* begin to stop the run */
	BUSY_KILL = 1 << 2,   /* kill it at once */
	BUSY_START = 1 << 3,  /* start a run with all changes collected so far */
	BUSY_DROP = 1 << 4,   /* forget the changes collected so far */
	BUSY_EXIT = 1 << 5    /* end with exit_code */
};

struct busy {
	/* Filled in by the caller, as in settings. */
	int on_busy, postpone, once, exit_on_error, restart_on_exit;
	int64_t delay_ms, every_ms;
	int64_t settle_ms; /* the next start waits at least this long; the caller sets it
			      and clears it */

	/* The machine's. */
	enum { BUSY_IDLE, BUSY_WAITING, BUSY_RUNNING, BUSY_STOPPING } state;
	int pending;   /* a run is owed */
	int by_change; /* the owed or current run has a change behind it */
	int paused, quitting, exit_code;
	int64_t due;	   /* WAITING: when the run starts */
	int64_t next_tick; /* of --every; 0: none */
	int64_t started, backoff_ms;
};

unsigned busy_ready(struct busy *b, int64_t now);
unsigned busy_change(struct busy *b, int64_t now);
/* A change came while the command was ending: it is owed a run, whatever the policy. */
void busy_owe(struct busy *b);
/* The changes behind the owed run turned out not to count. */
void busy_disown(struct busy *b);
/* The space key, and r: as a change, but never dropped; r also stops what runs. */
unsigned busy_run_now(struct busy *b, int64_t now);
unsigned busy_restart(struct busy *b, int64_t now);
/* Turns pausing on and off; changes made meanwhile run when it is over. */
unsigned busy_pause(struct busy *b, int64_t now);
/* Asked to end: stops the run, then exits; asked again: kills. */
unsigned busy_quit(struct busy *b);
/* The run is over; `code` as a shell gives it, 0 is success. */
unsigned busy_ended(struct busy *b, int64_t now, int code);
/* A change that is to be made later was made by the runner itself: --every, delays. */
unsigned busy_tick(struct busy *b, int64_t now);
/* When busy_tick() is due, -1: never. */
int64_t busy_next(const struct busy *b);

#endif
