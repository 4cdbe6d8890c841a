/* The busy policy. Starts nothing and reads no clock. */
#include "busy.h"

#include "options.h"

#define FIRST_BACKOFF_MS 100
#define MAX_BACKOFF_MS	 10000

static unsigned start_now(struct busy *b, int64_t now)
{
	b->state = BUSY_RUNNING;
	b->pending = 0;
	b->started = now;
	if (b->every_ms)
		b->next_tick = now + b->every_ms;
	return BUSY_START;
}

static unsigned start(struct busy *b, int64_t now)
{
	if (b->paused) {
		b->state = BUSY_IDLE;
		b->pending = 1;
		return 0;
	}
	if (b->delay_ms == 0 && b->settle_ms == 0)
		return start_now(b, now);
	b->state = BUSY_WAITING;
	b->due = now + (b->delay_ms > b->settle_ms ? b->delay_ms : b->settle_ms);
	b->pending = 1;
	return 0;
}

unsigned busy_ready(struct busy *b, int64_t now)
{
	if (b->every_ms)
		b->next_tick = now + b->every_ms;
	return b->postpone || b->quitting ? 0 : start(b, now);
}

static unsigned stop(struct busy *b)
{
	if (b->state == BUSY_STOPPING)
		return 0;
	b->state = BUSY_STOPPING;
	return BUSY_STOP;
}

unsigned busy_change(struct busy *b, int64_t now)
{
	if (b->quitting)
		return BUSY_DROP;
	b->backoff_ms = 0;
	switch (b->state) {
	case BUSY_IDLE:
		b->by_change = 1;
		return start(b, now);
	case BUSY_WAITING:
		b->by_change = 1;
		/* A crashed command has a reason to try again now; a delay was asked for. */
		if (b->delay_ms == 0 && b->settle_ms == 0 && !b->paused)
			return start_now(b, now);
		return 0;
	case BUSY_STOPPING:
		b->pending = 1;
		return 0;
	case BUSY_RUNNING:
		break;
	}
	if (b->on_busy == ON_BUSY_DROP)
		return BUSY_DROP;
	if (b->on_busy == ON_BUSY_SIGNAL)
		return BUSY_SIGNAL | BUSY_DROP;
	b->pending = 1;
	return b->on_busy == ON_BUSY_RESTART && !b->paused ? stop(b) : 0;
}

void busy_owe(struct busy *b)
{
	b->pending = !b->quitting;
}

void busy_disown(struct busy *b)
{
	b->pending = 0;
	if (b->state == BUSY_WAITING)
		b->state = BUSY_IDLE;
}

unsigned busy_run_now(struct busy *b, int64_t now)
{
	if (b->quitting)
		return 0;
	if (b->state == BUSY_IDLE || b->state == BUSY_WAITING)
		return start_now(b, now);
	b->pending = 1;
	return b->on_busy == ON_BUSY_RESTART ? stop(b) : 0;
}

unsigned busy_restart(struct busy *b, int64_t now)
{
	if (b->quitting)
		return 0;
	if (b->state == BUSY_IDLE || b->state == BUSY_WAITING)
		return start_now(b, now);
	b->pending = 1;
	return stop(b);
}

unsigned busy_pause(struct busy *b, int64_t now)
{
	b->paused = !b->paused;
	if (b->paused || !b->pending || b->quitting)
		return 0;
	if (b->state == BUSY_IDLE)
		return start(b, now);
	return b->state == BUSY_RUNNING && b->on_busy == ON_BUSY_RESTART ? stop(b) : 0;
}

unsigned busy_quit(struct busy *b)
{
	int again = b->quitting;

	b->quitting = 1;
	b->pending = 0;
	if (b->state == BUSY_RUNNING)
		return stop(b);
	if (b->state == BUSY_STOPPING)
		return again ? BUSY_KILL : 0;
	return BUSY_EXIT;
}

/* What ends at once again and again is started ever more slowly. */
static unsigned start_again(struct busy *b, int64_t now)
{
	if (now - b->started >= MAX_BACKOFF_MS)
		b->backoff_ms = 0;
	b->backoff_ms = b->backoff_ms ? b->backoff_ms * 2 : FIRST_BACKOFF_MS;
	if (b->backoff_ms > MAX_BACKOFF_MS)
		b->backoff_ms = MAX_BACKOFF_MS;
	b->state = BUSY_WAITING;
	b->due = now + b->backoff_ms;
	b->pending = 1;
	return 0;
}

unsigned busy_ended(struct busy *b, int64_t now, int code)
{
	int by_change = b->by_change, stopped = b->state == BUSY_STOPPING;

	b->state = BUSY_IDLE;
	if (b->quitting)
		return BUSY_EXIT;
	if (!stopped && ((b->once && by_change) || (b->exit_on_error && code != 0))) {
		b->exit_code = code;
		return BUSY_EXIT;
	}
	if (b->pending) {
		b->by_change = 1;
		return start(b, now);
	}
	b->by_change = 0;
	return b->restart_on_exit ? start_again(b, now) : 0;
}

unsigned busy_tick(struct busy *b, int64_t now)
{
	if (b->quitting)
		return 0;
	if (b->state == BUSY_WAITING && now >= b->due) {
		if (!b->paused)
			return start_now(b, now);
		b->state = BUSY_IDLE;
	}
	if (!b->next_tick || now < b->next_tick)
		return 0;
	b->next_tick = now + b->every_ms;
	if (b->state == BUSY_IDLE)
		return start(b, now);
	if (b->state == BUSY_RUNNING && b->on_busy == ON_BUSY_RESTART)
		return busy_restart(b, now);
	return 0;
}

int64_t busy_next(const struct busy *b)
{
	int64_t next = b->next_tick ? b->next_tick : -1;

	if (b->quitting)
		return -1;
	if (b->state == BUSY_WAITING && (next < 0 || b->due < next))
		next = b->due;
	return next;
}
