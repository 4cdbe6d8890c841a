/*
 * Where the output of several rules' commands goes: the program's own stdout and stderr, line
 * by line, none of which makes the loop wait.
 */
#ifndef CLI_OUTLET_H
#define CLI_OUTLET_H

#include <uv.h>

#include "sink.h"

struct outlet {
	/* Filled in by the caller. More is kept than is good (1), or there is room again (0).
	 */
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
};

/* To `fd`, 1 or 2, with a newline behind it; `tag`, the name of a rule, may be NULL. */
void outlet_line(struct outlet *o, int fd, const char *tag, const char *data, size_t len);

/* Writes what is left, as far as somebody reads it soon. */
void outlet_close(struct outlet *o);

#endif
