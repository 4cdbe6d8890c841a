/*
 * The user's terminal: single keys while whendo is in its foreground, and handing it to a
 * command that wants to read from it. Modes and foreground group are given back by
 * terminal_close(), and before the program stops on ^Z.
 *
 * A command runs in a group of its own, in the background of the terminal. One that reads
 * the terminal or changes its modes is stopped by the kernel (TTIN, TTOU); that is noticed,
 * and the terminal is handed over, as a shell's fg does.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <termios.h>
#include <uv.h>

struct terminal {
	/* Filled in by the caller. */
	uv_loop_t *loop;
	void (*on_key)(char key, void *arg);
	void (*on_end)(void *arg); /* stdin has ended; may be NULL */
	/* Before we stop on ^Z, and after we went on: the command's turn to do the same. */
	void (*on_stop)(int is_stopping, void *arg);
	void *arg;
	int want_keys;

	/* The module's. */
	int fd; /* the terminal, or -1 */
	int in; /* stdin, opened again without blocking, or -1 */
	int has_poll, is_raw, is_closing;
	struct termios saved;
	uv_poll_t poll;
	uv_signal_t tstp, cont;
	pid_t group; /* the command's, while it has the terminal */
};

/* Whether stdin is a terminal that this program is in the foreground of. */
int terminal_is_ours(void);

/* Never fails: without a terminal there are no keys. `watch_end`: also tell the end of stdin.
 */
void terminal_open(struct terminal *t, int watch_end);

/* A command of that group was stopped: hands it the terminal if that is why, and lets it go
 * on. Returns 1 if the terminal was handed over. */
int terminal_stopped(struct terminal *t, pid_t group, int signum);

/* The same for a child of this process, if it was stopped. */
int terminal_check(struct terminal *t, pid_t group);

/* The command has ended: the terminal is ours again. */
void terminal_take(struct terminal *t);

void terminal_close(struct terminal *t);

#endif
