/*
 * Output that never makes the loop wait: what does not go out at once is kept, and past a
 * bound the producer is told to pause. The descriptor's O_NONBLOCK is left as it is, because
 * it is shared with whoever gave it to us.
 */
#ifndef CLI_SINK_H
#define CLI_SINK_H

#include <uv.h>

#include "base/bytes.h"

struct sink;

struct sink_events {
	/* The bound was passed (1), or there is room again (0). */
	void (*full)(int is_full, void *arg);
	/* Nothing can be written any more: UV_EPIPE, UV_ENOSPC, ... Called once. */
	void (*failed)(int code, void *arg);
	void *arg;
};

struct sink *sink_open(uv_loop_t *loop, int fd, const struct sink_events *events);

/* Where to append. Call sink_flush() after a batch, or when the buffer has grown. */
struct bytes *sink_buffer(struct sink *s);
void sink_flush(struct sink *s);

/*
 * Writes what is left, waiting for a slow reader at most `timeout_ms`. Returns 0 or the error.
 * The memory goes when the loop has turned.
 */
int sink_close(struct sink *s, int timeout_ms);

#endif
