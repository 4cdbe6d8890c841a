/*
 * Where the status lines of a verb and the output of several rules' commands go: the
 * program's own stdout and stderr, none of which makes the loop wait.
 */
#ifndef CLI_OUTLET_H
#define CLI_OUTLET_H

#include <uv.h>

#include "sink.h"

struct outlet {
	/* Filled in by the caller; the callbacks may be NULL. More is kept than is good (1), or
	 * there is room again (0). */
	void (*full)(int is_full, void *arg);
	/* Nobody reads stdout any more (UV_EPIPE), or it cannot be written. Called once. */
	void (*failed)(int code, void *arg);
	void *arg;
	uv_loop_t *loop;

	/* The module's. */
	struct outlet_side {
		struct outlet *outlet;
		struct sink *sink; /* NULL: nothing was written yet */
		int is_full;
	} sides[2];
	int n_full;
	size_t n_left_out;
};

/* To `fd`, 1 or 2, with a newline behind it; `tag`, the name of a rule, may be NULL. */
void outlet_line(struct outlet *o, int fd, const char *tag, const char *data, size_t len);
/* Whole lines, to `fd` as they are. */
void outlet_text(struct outlet *o, int fd, const char *text, size_t len);
/* One whole line to stderr, or nowhere: while stderr is full, lines are counted only, and how
 * many stands before the next. */
void outlet_status(struct outlet *o, const char *line, size_t len);

/* Writes what is left, as far as somebody reads it soon. */
void outlet_close(struct outlet *o);

#endif
