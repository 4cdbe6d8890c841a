/*
 * shellcmd: a command is a function call.
 *
 *     sh_result *r = sh("git", "rev-parse", "HEAD", .cwd = repo);
 *     if (r->status)
 *             fprintf(stderr, "%s\n", r->message);
 *     else
 *             printf("%s", r->out);
 *     sh_free(r);
 *
 *     #define git(...) sh("git", __VA_ARGS__)
 *     git("commit", "-m", msg, .cwd = repo, .timeout_ms = 5000);
 *
 * No shell is involved unless you name one: each argument reaches the program byte for byte.
 * A command gets an empty standard input, its output and its errors are captured, it runs in
 * a process group of its own, and anything but exit code 0 is a failure with a message.
 *
 * Errors. Calls that run a command give a sh_result, never NULL, whose `status` is 0 or one
 * of enum sh_status. Other calls return 0 or a negative errno value (libuv's, so that
 * uv_strerror() works).
 *
 * Memory. Everything that is passed in is copied before the call returns, except where a
 * comment says borrowed. Results, handles and recipes are ended with sh_free(),
 * sh_proc_free() and sh_cmd_free(); NULL is fine.
 *
 * Threads. A handle belongs to the thread that made it, and to one loop: yours (`loop`), or a
 * private one that turns only inside sh_run(), sh_wait(), sh_next(), sh_expect(), sh_all()
 * and sh_proc_free(). A synchronous call never turns your loop. Different threads may run
 * commands at the same time; a sh_cmd may be shared between them.
 *
 * The host. No signal handler, no SIGCHLD, no SIGPIPE, no chdir, no umask, nothing printed;
 * the host's signal mask and dispositions and the O_NONBLOCK flag of its descriptors stay as
 * they are. Descriptors of the host do not reach a child except through `fds` and SH_FD.
 * (The portable engine, used where there is no Linux 5.3 or later, spawns with libuv, which
 * handles SIGCHLD; what else is different there, shellcmd(3) tells.)
 */
#ifndef WHENDO_SHELLCMD_H
#define WHENDO_SHELLCMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && defined(WHENDO_BUILDING)
#define SH_API __attribute__((visibility("default")))
#else
#define SH_API
#endif
#if defined(__GNUC__)
#define SH_PRINTF_(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define SH_PRINTF_(fmt, first)
#endif

struct uv_loop_s; /* uv_loop_t, without including <uv.h> */

typedef struct sh_proc sh_proc; /* a running command or pipeline */
typedef struct sh_cmd sh_cmd;   /* a recipe: immutable, may be shared between threads */
typedef struct sh_guardian sh_guardian; /* started before there is a command to guard */
typedef struct sh_call sh_call;
typedef struct sh_result sh_result;

/*
 * How a command ended. Which members of the result say more is in brackets.
 */
enum sh_status {
	SH_DONE = 0,      /* an accepted exit code */
	SH_EXIT = 1,      /* an exit code that is not accepted [exit_code] */
	SH_SIGNAL = 2,    /* died by a signal that is not accepted [term_signal] */
	SH_TIMEOUT = 3,   /* timeout_ms or idle_ms passed; it was stopped by the stop policy */
	SH_NOTFOUND = 4,  /* no such program; the message has names that are near */
	SH_NOPERM = 5,    /* found, but it may not be executed */
	SH_SPAWN = 6,     /* could not be started: directory, limits, redirections [sys_errno] */
	SH_OVERFLOW = 7,  /* wrote more than max_out; it was stopped */
	SH_CANCELED = 8,  /* sh_stop() */
	SH_LOST = 9,      /* it ended, but someone else took its exit code (waitpid(-1)) */
	SH_INVALID = 10,  /* the call makes no sense; the message names the fields; nothing ran */
	SH_NOMEM = 11,    /* out of memory; a command that ran was stopped */
	SH_IO = 12        /* reading or writing a stream failed in this process [sys_errno] */
};

/* What happened besides, in sh_result.flags. */
enum sh_flag {
	SH_TIMED_OUT = 1 << 0, /* a time limit passed */
	SH_KILLED = 1 << 1,    /* SIGKILL was needed, or asked for by a callback */
	SH_CORE = 1 << 2,      /* a core was dumped */
	SH_TRUNCATED = 1 << 3, /* out or err is not all that was written */
	SH_DRAIN_CUT = 1 << 4, /* a descendant still held a pipe after drain_ms */
	SH_ESCAPED = 1 << 5,   /* after SIGKILL something was still alive (see sh_left) */
	SH_DRY = 1 << 6        /* dry_run: nothing was started */
};

/* What a stream callback returns; 0 means go on. */
enum sh_verdict {
	SH_STOP_CALLING = 1, /* do not call again for this stream; the command goes on */
	SH_KILL = 2          /* SIGKILL to the whole group at once, no further call */
};

/*
 * Called with each line, without its newline (SH_LINES; an unterminated last line too), or
 * with what has arrived (SH_CHUNKS). `data` is borrowed, not NUL-ended, and valid until the
 * callback returns. Returns 0 or an enum sh_verdict. Runs on the loop's thread. It may call
 * sh_write, sh_eof, sh_signal, sh_stop and sh_proc_free on the handle.
 */
typedef int (*sh_data_cb)(sh_proc *, const char *data, size_t len, void *arg);

/*
 * Asked for standard input when there is room for it: writes at most `cap` bytes to `buf`
 * and returns how many; 0 is the end of input; UV_EAGAIN means nothing now (ask again after
 * sh_write(p, NULL, 0)); another negative errno stops the command with SH_IO.
 */
typedef int (*sh_pull_cb)(sh_proc *, char *buf, size_t cap, void *arg);

/*
 * The command has ended, or could not be started. Called exactly once, last, on the loop's
 * thread, never from inside sh_start(). The result belongs to the handle; sh_proc_free(p) is
 * legal here. Not called after sh_proc_free().
 */
typedef void (*sh_done_cb)(sh_proc *, const sh_result *, void *arg);

/*
 * A guarded command was stopped by a signal: SIGTSTP (^Z), SIGTTIN (it read the terminal from
 * the background), ... On the loop's thread. Its group goes on by SIGCONT. With foreground_tty
 * what is to happen then is left to this callback.
 */
typedef void (*sh_stopped_cb)(sh_proc *, int signum, void *arg);

/* ------------------------------------------------------------------ streams */

enum sh_io_kind {
	SH_IO_DEFAULT,
	SH_IO_CAPTURE,
	SH_IO_NULL,
	SH_IO_INHERIT,
	SH_IO_MERGE,
	SH_IO_FD,
	SH_IO_FILE,
	SH_IO_APPEND,
	SH_IO_BYTES,
	SH_IO_LINES,
	SH_IO_CHUNKS,
	SH_IO_PULL,
	SH_IO_TEE,
	SH_IO_FEED,
	SH_IO_STREAM
};

/* Where a stream comes from or goes to. Made by the macros below, not by hand; frozen. */
typedef struct sh_io {
	int kind;
	int fd;
	const void *ptr;
	size_t len;
	sh_data_cb data;
	sh_pull_cb pull;
	void *arg;
	const struct sh_io *to;
} sh_io;

/*
 * in:        SH_NULL (default), SH_TEXT, SH_BYTES, SH_FILE, SH_FD, SH_INHERIT, SH_PULL, SH_FEED
 * out, err:  SH_CAPTURE (default), SH_NULL, SH_FILE, SH_APPEND, SH_FD, SH_INHERIT, SH_LINES,
 *            SH_CHUNKS, SH_TEE, SH_STREAM; err also SH_MERGE
 *
 * SH_FILE truncates and SH_APPEND appends; both create with mode 0666 less the umask. SH_FD
 * is borrowed until the command was started and is left open. With SH_LINES and SH_CHUNKS
 * nothing is kept (but the tail of err, for the message). SH_TEE(io) captures and passes on:
 * `io` is SH_FILE, SH_APPEND, SH_FD, SH_INHERIT, SH_LINES or SH_CHUNKS; a descriptor is
 * written to as output arrives, and a slow one slows the loop. SH_FEED is an input that
 * sh_write() feeds and sh_eof() ends. SH_STREAM is for sh_next(): lines are dropped once
 * they were read and not in the result, and on a loop of yours the command waits when it is
 * more than 1 MiB ahead (it has not ended before all was read).
 */
#ifndef __cplusplus
#define SH_CAPTURE          ((sh_io){ .kind = SH_IO_CAPTURE })
#define SH_NULL             ((sh_io){ .kind = SH_IO_NULL })
#define SH_INHERIT          ((sh_io){ .kind = SH_IO_INHERIT })
#define SH_MERGE            ((sh_io){ .kind = SH_IO_MERGE })
#define SH_FEED             ((sh_io){ .kind = SH_IO_FEED })
#define SH_STREAM           ((sh_io){ .kind = SH_IO_STREAM })
#define SH_FD(n)            ((sh_io){ .kind = SH_IO_FD, .fd = (n) })
#define SH_FILE(path)       ((sh_io){ .kind = SH_IO_FILE, .ptr = (path) })
#define SH_APPEND(path)     ((sh_io){ .kind = SH_IO_APPEND, .ptr = (path) })
#define SH_TEXT(s)          ((sh_io){ .kind = SH_IO_BYTES, .ptr = (s), .len = (size_t)-1 })
#define SH_BYTES(p, n)      ((sh_io){ .kind = SH_IO_BYTES, .ptr = (p), .len = (n) })
#define SH_LINES(cb, arg_)  ((sh_io){ .kind = SH_IO_LINES, .data = (cb), .arg = (arg_) })
#define SH_CHUNKS(cb, arg_) ((sh_io){ .kind = SH_IO_CHUNKS, .data = (cb), .arg = (arg_) })
#define SH_PULL(cb, arg_)   ((sh_io){ .kind = SH_IO_PULL, .pull = (cb), .arg = (arg_) })
#define SH_TEE(io)          ((sh_io){ .kind = SH_IO_TEE, .to = (const sh_io[1]){ io } })
#endif

/* All three streams are the host's, as a shell runs a command in the foreground. */
#ifndef __cplusplus
#define SH_FOREGROUND .in = SH_INHERIT, .out = SH_INHERIT, .err = SH_INHERIT
#endif

/* ------------------------------------------------------------------ lists */

/* Accepted exit codes; a negative one is a signal that is accepted (-SIGTERM). */
typedef struct sh_codes {
	const int *v;
	size_t n;
} sh_codes;

/* `child` is the number the descriptor gets in the child (3 or more), `fd` what it is here. */
typedef struct sh_fd_map {
	int child, fd;
} sh_fd_map;
typedef struct sh_fds {
	const sh_fd_map *v;
	size_t n;
} sh_fds;

/* resource: RLIMIT_*. SH_UNLIMITED is RLIM_INFINITY. */
typedef struct sh_rlimit {
	int resource;
	uint64_t soft, hard;
} sh_rlimit;
typedef struct sh_rlimits {
	const sh_rlimit *v;
	size_t n;
} sh_rlimits;

#define SH_UNLIMITED  UINT64_MAX
#define SH_FOREVER    INT64_MAX /* for drain_ms and grace_ms: without a limit */
#define SH_UMASK(m)   (0x10000 | (m))

#ifndef __cplusplus
/* SH_LIST("A=1", "B=2"): a NULL-ended vector. SH_FDS({ 3, fd }), SH_RLIMITS({ RLIMIT_CORE, 0, 0 }) */
#define SH_LIST(...)    ((const char *const[]){ __VA_ARGS__, NULL })
#define SH_OK(...)      ((sh_codes){ (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int) })
#define SH_ANY          ((sh_codes){ NULL, (size_t)-1 })
#define SH_FDS(...)     ((sh_fds){ (const sh_fd_map[]){ __VA_ARGS__ }, sizeof((const sh_fd_map[]){ __VA_ARGS__ }) / sizeof(sh_fd_map) })
#define SH_RLIMITS(...) ((sh_rlimits){ (const sh_rlimit[]){ __VA_ARGS__ }, sizeof((const sh_rlimit[]){ __VA_ARGS__ }) / sizeof(sh_rlimit) })
#endif

/* What happens when a stream is longer than max_out. */
enum sh_overflow {
	SH_OVERFLOW_FAIL = 0, /* the command is stopped, status SH_OVERFLOW */
	SH_KEEP_HEAD = 1,     /* the first max_out bytes are kept, SH_TRUNCATED */
	SH_KEEP_TAIL = 2      /* the last max_out bytes are kept, SH_TRUNCATED */
};

/* ------------------------------------------------------------------ a call */

#define SH_ARGV_MAX 64 /* positional arguments, the program included; more: .args */

extern SH_API const char sh_skip_[];
#define SH_SKIP ((const char *)sh_skip_) /* dropped: cond ? "-v" : SH_SKIP */

struct sh_too_many_arguments_use_args;
struct sh_argument_behind_an_option;

/*
 * A command and its options. Written through SH(...), sh(...) and the like; a zeroed member
 * means the default. Times are in milliseconds; a negative one is SH_INVALID.
 *
 * In a pipeline the members marked (whole) concern all stages: they may be set on any stage,
 * but two stages that differ are SH_INVALID. `in` is the first stage's and `out` the last's.
 *
 * An argument written behind an option is for C the value of the next member. The order and
 * the types here (facts are int, and what takes a string follows a member that stays NULL)
 * are such that every compiler complains.
 */
struct sh_call {
	size_t size; /* sizeof(sh_call) */

	/* The program and its arguments, ended by NULL. A program without '/' is searched in
	 * the PATH the child gets (the standard one if it gets none); one with '/' is relative
	 * to the host's directory, not to `cwd`; a leading ~ or ~user is a home. */
	const char *argv[SH_ARGV_MAX];
	const struct sh_too_many_arguments_use_args *argv_end; /* stays NULL */
	const char *cwd;         /* the child's directory; NULL: the host's */
	const char *const *args; /* appended to argv; NULL-ended */
	const sh_cmd *base;      /* this call continues that recipe */

	const char *const *env;   /* "NAME=value", merged over the host's environment */
	const char *const *unset; /* names removed from it */
	int env_clear;            /* start from an empty environment */

	sh_io in, out, err;
	sh_fds fds; /* further descriptors for the child */

	sh_codes ok; /* exit codes that are success; default 0 only; SH_ANY */

	int64_t timeout_ms; /* (whole) stopped after this long */
	int64_t idle_ms;    /* (whole) stopped after this long without output on a pipe */
	int stop_signal;    /* (whole) how it is asked to stop; default SIGTERM */
	int64_t grace_ms;   /* (whole) from the stop signal to SIGKILL; default 2000 */
	int64_t drain_ms;   /* (whole) how long a descendant may hold a pipe once all stages
			     * have ended; default 500 */

	size_t max_out; /* (whole) most bytes kept of each captured stream, and longest line;
			 * default 2 GiB */
	int overflow;   /* (whole) enum sh_overflow */

	int pty;                   /* streams 0, 1 and 2 are a terminal, made for the command */
	unsigned short rows, cols; /* its size; default 24, 80 */

	int session;          /* a new session (setsid), without a terminal */
	int keep_group;       /* stay in the host's process group; stopping reaches only the
			       * command itself. Default if `in` is the host's terminal */
	int detach;           /* a new session that sh_proc_free() leaves running; streams
			       * default to SH_NULL */
	int die_with_parent;  /* SIGKILL to the command when the *thread* that started it ends;
			       * with `guard`: when its guardian ends, whoever ended that */
	int guard;            /* a guardian process ends the command and all its descendants,
			       * also those in other groups and sessions, if this process
			       * vanishes, even by SIGKILL; and stopping reaches them all. It
			       * is forked: its cost grows with this process (elsewhere than
			       * on Linux it is a /bin/sh and ends the group only) */
	int foreground_tty;   /* the command's group becomes the foreground group of the
			       * controlling terminal; group and terminal modes are given back
			       * at the end. When ^Z stops it, the host's group is stopped too
			       * (SIGTSTP), and both go on together, as a shell's job does. No
			       * effect without a terminal, or in the background */

	const struct sh_argument_behind_an_option *stays_null_1;
	const char *user;   /* "name", "uid", "name:group", "uid:gid"; supplementary groups of
			     * that user; needs privilege */
	int umask;          /* SH_UMASK(077) */
	sh_rlimits rlimits; /* resource limits */
	int nice;           /* added to the host's nice value */

	const struct sh_argument_behind_an_option *stays_null_2;
	void *arg;              /* (whole) for done */
	sh_done_cb done;        /* (whole) */
	struct uv_loop_s *loop; /* (whole) borrowed until done was called or the handle freed */

	int held;    /* (whole) sh_start() sets up but does not start; sh_release(), sh_all() */
	int dry_run; /* (whole) say what would run (trace, result.command), start nothing */

	sh_stopped_cb stopped; /* (whole) needs guard */
	sh_guardian *guardian; /* taken instead of a new one, if one is ready; needs guard.
				* Borrowed for the time of the start */
	int stop_left; /* (whole) what it leaves behind when it ends by itself is stopped as by
			* sh_stop(), and it counts as ended when that is gone */
};

/*
 * SH("ls", "-l", .cwd = d) is a `const sh_call *` that lives as long as the enclosing block.
 * SH_OPTS(.args = vector, .cwd = d) is one without positional arguments.
 */
#ifndef __cplusplus
#define SH(...)           (&(const sh_call){ .size = sizeof(sh_call), .argv[0] = __VA_ARGS__ })
#define SH_OPTS(...)      (&(const sh_call){ .size = sizeof(sh_call), __VA_ARGS__ })
#define sh(...)           sh_run(SH(__VA_ARGS__))
#define sh_call(cmd, ...) sh_run(&(const sh_call){ .size = sizeof(sh_call), .base = (cmd), .argv[0] = __VA_ARGS__ })
#define SH_STAGES_(...)   (const sh_call *const[]){ __VA_ARGS__ }, sizeof((const sh_call *const[]){ __VA_ARGS__ }) / sizeof(const sh_call *)
#define sh_pipe(...)       sh_run_stages(SH_STAGES_(__VA_ARGS__))
#define sh_start_pipe(...) sh_start_stages(SH_STAGES_(__VA_ARGS__))
#endif

/* ------------------------------------------------------------------ results */

/* One stage of a pipeline (a single command has one). */
typedef struct sh_stage {
	int status; /* as in sh_result; SIGPIPE of a stage whose reader ended is SH_DONE */
	int exit_code, term_signal;
	int pid; /* 0 if it was not started */
} sh_stage;

/*
 * How it went. Read-only; members are only ever appended. `out` and `err` are never NULL and
 * are NUL-ended; they may contain NULs before out_len.
 */
struct sh_result {
	int status;      /* 0 or enum sh_status; of a pipeline, its first stage that failed */
	int exit_code;   /* of the last stage, or of the stage that failed; -1 if none */
	int term_signal; /* the signal that ended it, or 0; apart from exit_code on purpose */
	int sys_errno;   /* a negative errno value, or 0 */
	int stage;       /* which stage failed, or 0 */
	unsigned flags;  /* enum sh_flag */
	const char *out, *err;
	size_t out_len, err_len;
	const char *command; /* quoted: a shell would run the same */
	const char *message; /* "" or: what failed, why, and the tail of its errors; printable */
	uint64_t wall_ns, user_ns, sys_ns;
	uint64_t maxrss_kib; /* of the largest stage */
	uint64_t out_total, err_total; /* bytes seen, also those that were not kept */
	const sh_stage *stages;
	size_t n_stages;
};

/*
 * Runs the command and waits for it. Never NULL; end it with sh_free(). `loop`, `done` and
 * `held` have no place here (SH_INVALID). The caller's loop is not turned.
 */
SH_API sh_result *sh_run(const sh_call *call);

/*
 * The same for a pipeline over kernel pipes: no byte passes through this process. Every
 * stage is checked. If a stage cannot be started, the others are stopped.
 */
SH_API sh_result *sh_run_stages(const sh_call *const *stages, size_t n);

/* NULL is fine. The result of sh_wait() belongs to its handle and is not freed with this. */
SH_API void sh_free(sh_result *result);

/* The number a shell would give: the exit code, 128 + signal, 126, 127, 124 (timeout), 125. */
SH_API int sh_shell_code(const sh_result *result);

/* "exit", "timeout", ...: the name of an enum sh_status, static. */
SH_API const char *sh_status_name(int status);

/* ------------------------------------------------------------------ in the background */

/*
 * Starts a command and returns at once. NULL only when out of memory. A command that cannot
 * be started gives a handle too, whose result says why; `done` then comes from the loop.
 * Without `loop`, input and output move while you are in a call of this library (sh_wait,
 * sh_next, sh_expect, sh_write, sh_all).
 */
SH_API sh_proc *sh_start(const sh_call *call);
SH_API sh_proc *sh_start_stages(const sh_call *const *stages, size_t n);

/*
 * Starts what `held` has set up. 0; UV_EALREADY if it was released before. A command that
 * cannot be started is told by `done` and sh_wait().
 */
SH_API int sh_release(sh_proc *p);

/*
 * Waits until the command has ended, at most `timeout_ms` (0: only look, negative: for
 * ever), and returns its result: the same one however often asked, borrowed until
 * sh_proc_free(). NULL while it still runs. With a loop of yours it never waits: turn the
 * loop, and use `done`. NULL for p == NULL.
 */
SH_API const sh_result *sh_wait(sh_proc *p, int64_t timeout_ms);

typedef struct sh_line {
	const char *data; /* without the newline; not NUL-ended; borrowed until the next call */
	size_t len;
	int from_err; /* 1: standard error */
} sh_line;

/*
 * The next line of captured output (out or err: SH_CAPTURE or SH_STREAM), waiting for it.
 * Returns 1, 0 at the end, UV_EAGAIN where it may not wait (a loop of yours), UV_EINVAL if
 * there is nothing to read lines from. sh_try_next never waits.
 */
SH_API int sh_next(sh_proc *p, sh_line *line);
SH_API int sh_try_next(sh_proc *p, sh_line *line);

/*
 * Waits until what was written to out and not yet matched contains `pattern`, a regular
 * expression (PCRE2), and forgets everything up to its end. Returns 1, 0 if the output ended
 * without a match, UV_ETIMEDOUT, UV_EAGAIN (a loop of yours, no match yet), UV_EINVAL (bad
 * pattern, or out is not captured). Made for prompts: ssh, sudo, a shell on a pty.
 * Asked again for the same, it looks only where new output can matter.
 */
SH_API int sh_expect(sh_proc *p, const char *pattern, int64_t timeout_ms);

/*
 * Input for SH_FEED and for a pty. sh_write copies; what does not fit into the pipe is kept
 * and goes out as there is room. 0, UV_EPIPE once the command does not read any more,
 * UV_ENOBUFS when more than 256 MiB wait, UV_EINVAL if the input is not SH_FEED, UV_ENOMEM.
 * sh_write(p, NULL, 0) makes an SH_PULL callback be asked again. sh_eof ends the input (on a
 * pty: ^D).
 */
SH_API int sh_write(sh_proc *p, const void *data, size_t len);
SH_API int sh_eof(sh_proc *p);

/*
 * Stops reading what a command on a loop of yours writes, for callbacks whose reader is slow:
 * the command waits when its pipes are full, and has not ended before all was read. What was
 * read already is still handed out. sh_resume goes on. Limits and sh_stop() hold meanwhile. 0,
 * UV_ESRCH when it has ended, UV_EINVAL without a loop.
 */
SH_API int sh_pause(sh_proc *p);
SH_API int sh_resume(sh_proc *p);

/*
 * Sends a signal to the group of every stage that runs (with keep_group: to the stages
 * themselves). 0, UV_ESRCH once all have ended: a pid that was given away is never touched.
 * Of a guarded command that has ended: to all it left behind. UV_EINVAL for a bad number.
 */
SH_API int sh_signal(sh_proc *p, int signum);

/*
 * Begins to stop it: stop_signal and SIGCONT to the group, SIGKILL after grace_ms. Returns at
 * once; the command counts as ended (`done`, sh_wait) when its whole group is gone, with
 * `guard` all its descendants. What has left the group of a command without `guard` (setsid,
 * a daemon) is not reached. A second call kills at once; where stop_left stops what is left,
 * the first shortens nothing. 0, UV_ESRCH if it has ended already.
 */
SH_API int sh_stop(sh_proc *p);

/*
 * The living processes that a guarded command has started, itself included: in `done` and
 * after it, what it has left behind. They stay guarded until sh_proc_free(). Writes at most
 * `max` process ids to `pids` and returns how many there are; 0 for a command without
 * `guard`; UV_EINVAL, or why it is not possible to look.
 */
SH_API int sh_left(const sh_proc *p, int *pids, size_t max);

/*
 * A guardian that is forked ahead, for commands that have to start at once: sh_guardian_new()
 * makes the handle, sh_guardian_ready() the process, unless one waits already; the next call
 * whose `guardian` it is takes it, and starts without a fork of this process. What is neither
 * in the call nor the environment or the directory of this process (umask, limits, nice value)
 * the command has as it was when the guardian was forked. A call that it cannot serve (user,
 * rlimits, pty, foreground_tty, many `fds`, 60 KiB of arguments and environment; this process
 * has changed its user), or that finds none, has one forked as ever. One that waits holds
 * nothing of this process's and ends with it.
 *
 * new: NULL is out of memory. ready: 0; UV_ENOTSUP elsewhere than on Linux; why there can be
 * no process or descriptor (UV_EAGAIN, UV_EMFILE, UV_ENOMEM), and commands start all the
 * same. A handle is used by one thread at a time. free: also the process; NULL is fine.
 */
SH_API sh_guardian *sh_guardian_new(void);
SH_API int sh_guardian_ready(sh_guardian *g);
SH_API void sh_guardian_free(sh_guardian *g);

/* The process id (= its group's, unless keep_group) of the first stage, or of stage i; 0. */
SH_API int sh_pid(const sh_proc *p);
SH_API int sh_stage_pid(const sh_proc *p, size_t i);

/* Tells a pty its size. 0, UV_EINVAL without a pty, UV_ESRCH when it has ended. */
SH_API int sh_resize(sh_proc *p, unsigned short rows, unsigned short cols);

/*
 * Ends the handle and its result. A command that still runs is stopped by its policy and
 * reaped: at once with a private loop, on your loop in the background. Detached commands go
 * on, and are reaped when another command is started or another handle freed after their end;
 * what a guarded command has left behind goes on, too. No callback comes after this. Legal
 * inside callbacks. NULL is fine.
 */
SH_API void sh_proc_free(sh_proc *p);

/*
 * Runs n commands that were set up with `held` and without `loop`, at most `limit` at a time
 * (0: as many as there are processors), until all have ended. `done` of each is called as
 * it ends. Ask each for its result with sh_wait(p, 0). Returns how many failed, or
 * UV_EINVAL if one has a loop or was started before, UV_ENOMEM: nothing was started then.
 */
SH_API int sh_all(sh_proc *const *procs, size_t n, size_t limit);

/* ------------------------------------------------------------------ recipes */

/*
 * Keeps a command for later: sh_call(git, "status", .cwd = d) runs it with more arguments
 * and options. Options of the call win over the recipe's; lists (env, unset, fds, rlimits)
 * are joined. Baking a call with a `base` makes a new recipe. NULL when out of memory. A
 * recipe that makes no sense says so when it is run.
 */
SH_API sh_cmd *sh_bake(const sh_call *call);
SH_API void sh_cmd_free(sh_cmd *cmd);

/* ------------------------------------------------------------------ words */

/*
 * A command from a format: words are split in the literal text only, as a shell splits
 * ('..', "..", backslash), and each %s, %d, %ld, %zu ... is part of exactly one argument
 * whatever it contains. sh_f runs it; sh_format only makes the words: 0, UV_EINVAL, UV_ENOMEM;
 * end them with sh_words_free().
 */
SH_API sh_result *sh_f(const char *fmt, ...) SH_PRINTF_(1, 2);
SH_API int sh_format(char ***words, const char *fmt, ...) SH_PRINTF_(2, 3);

/*
 * The words of a text, split as a shell splits ('..', "..", $'..', backslash), nothing
 * expanded. 0, UV_ENOMEM, or UV_EINVAL for a quote that is not closed or a backslash at the end;
 * *bad_offset (may be NULL) then says where that is.
 */
SH_API int sh_split(char ***words, const char *text, size_t *bad_offset);

/*
 * The words as one line that a shell would split into the same words; control bytes are
 * visible ($'\n', which bash, zsh and the POSIX of 2024 know; without such bytes any sh does).
 * For free(); NULL when out of memory or for argv == NULL.
 */
SH_API char *sh_quote(const char *const *argv);

enum sh_glob_flag {
	SH_GLOB_NULL = 1 /* no match is an empty list, not UV_ENOENT */
};

/*
 * The paths that match a pattern (*, ?, [..], a leading ~), sorted, NULL-ended; how many, or
 * UV_ENOENT, UV_ENOMEM, UV_EINVAL. The pattern itself is never a result.
 */
SH_API int sh_glob(char ***words, const char *pattern, unsigned flags);

/* Ends what sh_format, sh_split and sh_glob made. */
SH_API void sh_words_free(char **words);

/*
 * Where a program would be found in this process's PATH (~ expanded), for free(); NULL if
 * nowhere.
 */
SH_API char *sh_which(const char *program);

/* ------------------------------------------------------------------ tracing */

enum sh_trace_kind {
	SH_TRACE_START = 1, /* a stage was started */
	SH_TRACE_EXIT = 2,  /* a command or pipeline has ended, or could not be started */
	SH_TRACE_DRY = 3    /* would have been started (dry_run) */
};

typedef struct sh_trace {
	int kind;
	int pid;                 /* SH_TRACE_START */
	size_t stage;            /* SH_TRACE_START, SH_TRACE_DRY */
	const char *command;     /* quoted; of the stage, or of the whole with SH_TRACE_EXIT */
	const char *cwd;         /* or NULL */
	const sh_result *result; /* SH_TRACE_EXIT */
} sh_trace;

typedef void (*sh_trace_cb)(const sh_trace *, void *arg);

/*
 * Tells a callback about every command of this process, as `set -x` does: the one setting
 * that is process-wide. NULL ends it. Called on the thread that runs the command; may be set
 * on any thread.
 */
SH_API void sh_set_trace(sh_trace_cb cb, void *arg);

#ifdef __cplusplus
}
#endif

#if defined(__cplusplus) && __cplusplus >= 201703L
/*
 * C++17, and later; before there are the functions above, with an sh_call of one's own.
 * sh("git", "status", name) with strings of either kind, a recipe as an argument, and options
 * set by a function at any place:
 *
 *     const char *env[] = { "A=1", nullptr };
 *     std::unique_ptr<sh_result, sh_end> r(
 *         sh("make", "-j4", [&](sh_call &c) { c.cwd = dir; c.env = env; c.err = SH_MERGE; }));
 *     sh_free(sh_pipe(sh_args("sort", file), sh_args("uniq", "-c")));
 *     sh_proc *p = sh_start(sh_args("tail", "-f", log));
 *
 * What a member points to must live until the call returns: lists are arrays with a name, and
 * SH_OK, SH_FDS, SH_RLIMITS and SH_TEE take such a name.
 */
#include <type_traits>

namespace sh_detail_
{
struct builder {
	sh_call call{};
	size_t n = 0;

	builder() { call.size = sizeof(sh_call); }

	template <class T> void add(const T &v)
	{
		if constexpr (std::is_invocable_v<const T &, sh_call &>)
			v(call);
		else if constexpr (std::is_convertible_v<const T &, const char *>)
			argument(v);
		else if constexpr (std::is_convertible_v<const T &, const sh_cmd *>)
			call.base = v;
		else
			argument(v.c_str());
	}

	void argument(const char *s)
	{
		if (n < SH_ARGV_MAX)
			call.argv[n++] = s;
		else
			call.argv_end =
			    reinterpret_cast<const sh_too_many_arguments_use_args *>(sh_skip_);
	}
};

inline sh_io stream(int kind, const void *ptr = nullptr, size_t len = 0)
{
	sh_io io{};

	io.kind = kind;
	io.ptr = ptr;
	io.len = len;
	return io;
}

inline sh_io stream_fd(int fd)
{
	sh_io io = stream(SH_IO_FD);

	io.fd = fd;
	return io;
}

inline sh_io stream_data(int kind, sh_data_cb cb, void *arg)
{
	sh_io io = stream(kind);

	io.data = cb;
	io.arg = arg;
	return io;
}

inline sh_io stream_pull(sh_pull_cb cb, void *arg)
{
	sh_io io = stream(SH_IO_PULL);

	io.pull = cb;
	io.arg = arg;
	return io;
}

inline sh_io stream_tee(const sh_io &to)
{
	sh_io io = stream(SH_IO_TEE);

	io.to = &to;
	return io;
}
sh_io stream_tee(const sh_io &&) = delete; /* it would end too early: give it a name */

inline void foreground(sh_call &c) { c.in = c.out = c.err = stream(SH_IO_INHERIT); }
} /* namespace sh_detail_ */

#define SH_FOREGROUND      (sh_detail_::foreground)
#define SH_CAPTURE         (sh_detail_::stream(SH_IO_CAPTURE))
#define SH_NULL            (sh_detail_::stream(SH_IO_NULL))
#define SH_INHERIT         (sh_detail_::stream(SH_IO_INHERIT))
#define SH_MERGE           (sh_detail_::stream(SH_IO_MERGE))
#define SH_FEED            (sh_detail_::stream(SH_IO_FEED))
#define SH_STREAM          (sh_detail_::stream(SH_IO_STREAM))
#define SH_FD(n)           (sh_detail_::stream_fd(n))
#define SH_FILE(path)      (sh_detail_::stream(SH_IO_FILE, path))
#define SH_APPEND(path)    (sh_detail_::stream(SH_IO_APPEND, path))
#define SH_TEXT(s)         (sh_detail_::stream(SH_IO_BYTES, s, static_cast<size_t>(-1)))
#define SH_BYTES(p, n)     (sh_detail_::stream(SH_IO_BYTES, p, n))
#define SH_LINES(cb, arg)  (sh_detail_::stream_data(SH_IO_LINES, cb, arg))
#define SH_CHUNKS(cb, arg) (sh_detail_::stream_data(SH_IO_CHUNKS, cb, arg))
#define SH_PULL(cb, arg)   (sh_detail_::stream_pull(cb, arg))
#define SH_TEE(io)         (sh_detail_::stream_tee(io))
#define SH_ANY             (sh_codes{ nullptr, static_cast<size_t>(-1) })

template <size_t N> sh_codes SH_OK(const int (&codes)[N]) { return { codes, N }; }
template <size_t N> sh_fds SH_FDS(const sh_fd_map (&fds)[N]) { return { fds, N }; }
template <size_t N> sh_rlimits SH_RLIMITS(const sh_rlimit (&limits)[N]) { return { limits, N }; }

template <class... T> sh_call sh_args(const T &...v)
{
	sh_detail_::builder b;

	(b.add(v), ...);
	return b.call;
}

template <class... T> sh_result *sh(const T &...v)
{
	const sh_call c = sh_args(v...);

	return sh_run(&c);
}

template <class... T> sh_result *sh_pipe(const T &...calls)
{
	const sh_call *const stages[] = { &calls... };

	return sh_run_stages(stages, sizeof...(T));
}

template <class... T> sh_proc *sh_start_pipe(const T &...calls)
{
	const sh_call *const stages[] = { &calls... };

	return sh_start_stages(stages, sizeof...(T));
}

inline sh_proc *sh_start(const sh_call &call) { return sh_start(&call); }
inline sh_cmd *sh_bake(const sh_call &call) { return sh_bake(&call); }

/* Deletes for std::unique_ptr. */
struct sh_end {
	void operator()(sh_result *r) const { sh_free(r); }
	void operator()(sh_proc *p) const { sh_proc_free(p); }
	void operator()(sh_cmd *c) const { sh_cmd_free(c); }
};
#endif

#if defined(__GNUC__) && !defined(__cplusplus)
static inline __attribute__((unused)) void sh_auto_free_(sh_result **r)
{
	sh_free(*r);
}
#define SH_AUTO __attribute__((cleanup(sh_auto_free_))) /* SH_AUTO sh_result *r = sh(...); */
#endif

#endif
