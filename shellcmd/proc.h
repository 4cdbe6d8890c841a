/*
 * A running command or pipeline. Its life: HELD (set up), RUNNING, ENDED (the result is
 * there). It has ended when every stage has exited, where it was stopped (or stop_left is
 * set) also every group is empty, and every stream is at its end or was cut off by drain_ms.
 *
 *     start.c   makes the descriptors, starts the stages
 *     proc.c    goes from state to state
 *     stop.c    time limits and the ladder of signals
 *     result.c  makes the result and its message
 */
#ifndef SHELLCMD_PROC_H
#define SHELLCMD_PROC_H

#include <termios.h>

#include "shellcmd/pipes.h"
#include "shellcmd/spawn.h"
#include "shellcmd/spec.h"
#include "shellcmd/stream.h"

enum sh__phase { SH__HELD, SH__RUNNING, SH__ENDED };

/* How far the ladder of signals has come. */
enum sh__stop {
	SH__NOT_STOPPING,
	SH__LEFT_ASKED, /* those that an ended command has left behind, by stop_left alone */
	SH__ASKED,
	SH__FORCED
};

struct sh__stage {
	struct sh__spec spec;
	struct sh__child child;
	struct sh__child guardian; /* pid 0: none */
	int guard_fd; /* -1, or the pipe whose end a guardian that is a shell waits for */
	bool guarded; /* the engine's guardian is the child's parent */
	struct sh__sink err;
	bool started;
	bool gone;  /* exited, and where it was stopped nobody is left of its group */
	int status; /* why it was not started (enum sh_status), or 0 */
	int sys_errno;
	struct bytes reason; /* the same in words */
};

struct sh_proc {
	struct sh__loop *loop;
	struct sh__loop own_loop;
	struct sh__stage *stages;
	size_t n;
	struct sh__whole whole;
	struct sh__source in;
	struct sh__sink out;
	struct sh__kept kept_out, kept_err;
	int pty_fd; /* our end, for its size; -1 */
	int tty_fd; /* the controlling terminal we handed over; -1 */
	struct termios tty_modes, command_modes;
	bool tty_suspended; /* ^Z: the terminal is ours, the command is stopped */
	enum sh__phase phase;
	enum sh__stop stop;
	int status; /* a failure of the whole (timeout, ...), or 0 */
	int sys_errno;
	const char *reason; /* static text for it */
	unsigned flags;
	struct sh__timer timer;
	uint64_t started_ns, ended_ns, last_output_ns;
	uint64_t timeout_at, idle_at, force_at, look_at, drain_at, tty_at; /* 0: off */
	uint64_t look_every;
	int looks_left; /* after SIGKILL */
	sh_result *result;
	bool silent;	    /* it was idle_ms that passed */
	bool next_from_err; /* sh_next: whose turn it is */
	bool waited;	    /* made by a call that waits */
	bool freed;	    /* the user has let go of it */
	bool is_paused;	    /* sh_pause() */
	int busy;	    /* calls on the stack that still need it */
};

/* NULL: out of memory. A call that makes no sense gives a proc that has ended already. */
sh_proc *sh__proc_new(const sh_call *const *calls, size_t n, enum sh__manner manner);

/* Starts the stages on `loop`; what fails is kept for the result. */
void sh__proc_start(sh_proc *p, struct sh__loop *loop);

/* Chooses the loop and starts. */
void sh__proc_release(sh_proc *p);

/* Looks whether the next state is reached. After every event. */
void sh__proc_step(sh_proc *p);

/* Turns a private loop once; false when time is up or it has ended. run.c */
bool sh__proc_turn(sh_proc *p, uint64_t until_ns);

/* Ends what a callback has freed meanwhile, and says so; `p` is gone then. run.c */
bool sh__proc_was_freed(sh_proc *p);

/* Lets go of memory; everything has ended. */
void sh__proc_destroy(sh_proc *p);

/* The first failure of the whole counts; it stops the command. `reason` is static. */
void sh__proc_fail(sh_proc *p, int status, int sys_errno, const char *reason);
void sh__proc_overflow(sh_proc *p, struct sh__sink *s);
void sh__proc_saw_output(sh_proc *p);
void sh__proc_kill(sh_proc *p);
int sh__proc_call_data(sh_proc *p, sh_data_cb cb, const char *data, size_t len, void *arg);
int sh__proc_call_pull(sh_proc *p, sh_pull_cb cb, char *buf, size_t cap, void *arg);
bool sh__proc_all_exited(const sh_proc *p);

/* stop.c */
void sh__stop_begin(sh_proc *p);
void sh__stop_left(sh_proc *p);
void sh__stop_force(sh_proc *p);
bool sh__stop_all_gone(sh_proc *p);
void sh__stop_set_limits(sh_proc *p);
void sh__stop_set_timer(sh_proc *p);
void sh__stop_timer(struct sh__timer *t);
int sh__stop_signal(sh_proc *p, int signum);

/* start.c */
void sh__start_stages(sh_proc *p);
void sh__stage_failed(struct sh__stage *st, int status, int sys_errno, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* guard.c */
/* Before the stage is spawned, and after. */
void sh__guard_prepare(sh_proc *p, struct sh__stage *st, struct sh__spawn *s);
int sh__guard_start(sh_proc *p, struct sh__stage *st);
/* Lets all guardians go; whether they have gone. */
bool sh__guards_gone(sh_proc *p);
/* Whether one has something left to guard, and a handle to do it for. */
bool sh__guards_stay(const sh_proc *p);
/* Keeps the guardians at the end of a command whose handle lives on. */
void sh__guards_keep(sh_proc *p);
/* To all that a command has left behind; UV_ESRCH: nobody. */
int sh__guards_signal(sh_proc *p, int signum);
/* Ends kept ones, at once. */
void sh__guards_end(sh_proc *p);

/* pty.c */
int sh__pty_open(const sh_call *c, int *ours, int *theirs);
int sh__tty_take(sh_proc *p);
void sh__tty_give_back(sh_proc *p);
void sh__tty_look(sh_proc *p);

/* env.c: the environment of a child, for free(); its strings are borrowed from the host's
 * environment and the spec. NULL: out of memory. */
char **sh__env_make(const struct sh__spec *spec);

/* user.c: 0; UV_ENOENT: no such user or group; UV_ENOMEM. u->groups is for free(). */
int sh__user_find(const char *text, struct sh__user *u);

/* result.c: NULL is out of memory. */
sh_result *sh__result_new(sh_proc *p);
/* Gives the captured streams to a result that outlives its proc. */
void sh__result_own(sh_result *r, sh_proc *p);
extern const sh_result sh__result_nomem;

/* trace.c */
void sh__trace_stage(const sh_proc *p, size_t stage, int kind);
void sh__trace_exit(const sh_result *r);

#endif
