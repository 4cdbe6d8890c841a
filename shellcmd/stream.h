/*
 * The two directions in which bytes pass between a command and this process. A sink reads
 * one output of the command, and keeps, cuts, copies and hands out what it read. A source
 * writes its input. Both tell their proc what the proc has to decide (proc.h).
 */
#ifndef SHELLCMD_STREAM_H
#define SHELLCMD_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "shellcmd/loop.h"
#include "whendo/shellcmd.h"

/* Captured output, and how far sh_next and sh_expect have come in it. */
struct sh__kept {
	struct bytes b;
	size_t next;	/* index of the first byte that sh_next has not given out */
	size_t scanned; /* from next up to here there is no newline */
	size_t matched; /* likewise for sh_expect */
	char *pattern;	/* what sh_expect was asked for last, and not found ... */
	size_t looked;	/* ... to begin before this, whatever comes */
	uint64_t total; /* bytes seen */
	bool cut;	/* not all that was seen is there */
};

struct sh__sink {
	struct sh__watch watch; /* fd -1: closed */
	struct sh_proc *proc;
	struct sh__kept *kept; /* where total is counted; bytes are added if `keeps` */
	struct bytes part;     /* read, but not yet handed out: chunk or unfinished line */
	struct bytes tail;     /* the end of errors that are not kept, for the message */
	size_t scanned;	       /* of part: known to have no newline */
	size_t room;	       /* how much to ask for next */
	uint64_t burst_at;     /* since when burst_bytes came */
	size_t burst_bytes;
	bool fast; /* the last of them came as a burst */
	size_t max;
	int overflow;  /* enum sh_overflow */
	int tee_fd;    /* its own; -1: none */
	sh_data_cb cb; /* NULL: none, or it wants no more */
	void *arg;
	bool keeps, lines, is_err, is_pty, is_stream, paused;
	bool nonblocking; /* fd: set when more is to be read than is known to be there */
};

void sh__sink_init(struct sh__sink *s, struct sh_proc *p, struct sh__kept *kept);
int sh__sink_start(struct sh__sink *s, struct sh__loop *l, int fd);

/* Reads what is there without waiting. */
void sh__sink_read(struct sh__sink *s);

/* Hands out the unfinished last line and closes. */
void sh__sink_close(struct sh__sink *s);
void sh__sink_free(struct sh__sink *s);

/* Is not read until it is resumed. */
void sh__sink_pause(struct sh__sink *s);

/* A stream that was paused, or too far ahead of sh_next, goes on. */
void sh__sink_resume(struct sh__sink *s, struct sh__loop *l);

/* Forgets the first n bytes of what was kept. */
void sh__kept_drop(struct sh__kept *k, size_t n);

struct sh__source {
	struct sh__watch watch; /* fd -1: closed, or none */
	struct sh_proc *proc;
	struct sh__loop *loop;
	const char *text; /* borrowed: the bytes of SH_BYTES that are left */
	size_t text_len;
	struct bytes queue; /* sh_write's and the pull callback's, from `sent` on */
	size_t sent;
	sh_pull_cb pull;
	void *arg;
	bool pulling;	   /* the callback is on the stack */
	bool feeds, ended; /* ended: nothing comes after what waits */
	bool is_pty, mid_line, end_written;
	bool broken; /* the command closed its end */
};

int sh__source_start(struct sh__source *s, struct sh__loop *l, int fd);

/* Writes what the pipe takes now; goes on watching if something is left. */
void sh__source_push(struct sh__source *s);
void sh__source_close(struct sh__source *s);
void sh__source_free(struct sh__source *s);

/* write(2) that never raises SIGPIPE, whatever the host has made of that signal. */
ssize_t sh__write(int fd, const void *p, size_t n);

#endif
