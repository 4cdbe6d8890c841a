/*
 * Who opens a file to write to it: the command, or somebody else? A lease (fcntl(2)) makes the
 * kernel hold whoever opens the file for writing until we have looked who it is, which takes
 * about a millisecond. What is written through a descriptor that was open before, or by
 * another file put in its place, is not seen here, nor who opens it without waiting
 * (O_NONBLOCK).
 *
 * Only files of one's own can be leased, and only on Linux; of others nothing is ever known.
 */
#ifndef CLI_OPENERS_H
#define CLI_OPENERS_H

#include <sys/stat.h>
#include <sys/types.h>
#include <uv.h>

enum opener {
	OPENER_COMMAND = 1 << 0,
	OPENER_NEIGHBOUR = 1 << 1, /* the command of another rule */
	OPENER_OTHER = 1 << 2,
	OPENER_UNKNOWN = 1 << 3 /* it could not be told */
};

#define MAX_LEASED 16

struct openers {
	/* Filled in by the caller; borrowed. */
	uv_loop_t *loop;
	/* The living processes of all commands, of which the first n_own are this one's; more
	 * than max: only their number counts. */
	size_t (*family)(pid_t *pids, size_t max, size_t *n_own, void *arg);
	void *arg;

	/* The module's. */
	uv_signal_t broken;
	uv_timer_t timer;
	int is_open;
	int closes_fd; /* inotify, for the time a file is not held; -1: none */
	struct leased {
		char *path;
		int fd; /* keeps the inode's number from being given away */
		dev_t dev;
		ino_t ino;
		enum { LEASE_NOT, LEASE_HELD, LEASE_BROKEN, LEASE_OVER } state;
		int wd;
		int looks;	    /* since it is broken, or could not be had */
		int opened, closed; /* how often, since it was held the last time */
		uint64_t let_go_ms;
		unsigned by; /* who has opened it */
	} v[MAX_LEASED];
	size_t n;
};

void openers_open(struct openers *o);
void openers_close(struct openers *o);

/* Watches who opens this file, if it is one, from now on. */
void openers_watch(struct openers *o, const char *path);
/* Lets all files go; what is known of them stays known. */
void openers_release(struct openers *o);
/* Forgets them. */
void openers_forget(struct openers *o);

/* Bits of enum opener: who has opened the file that is at this path now; 0: nobody, or it is
 * another file, which is watched from now on. With OPENER_UNKNOWN somebody else may write
 * right now. */
unsigned openers_of(struct openers *o, const char *path);

#endif
