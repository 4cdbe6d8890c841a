/*
 * The hold-off: a descriptor that is always readable again wakes no more than once a
 * millisecond after the first few times; when it falls silent, the next event wakes at once.
 */
#include "watch_test.h"

#include <sys/eventfd.h>

#include "watcher/wakes.h"

struct source {
	struct wakes wakes;
	uv_loop_t loop;
	int fd, times, held; /* held: of those, while it was held off */
	uint64_t last_ms;
	bool silent, closed; /* silent: it is not readable again */
};

static void put_one(struct source *s)
{
	uint64_t one = 1;

	assert_int_equal(write(s->fd, &one, sizeof one), sizeof one);
}

static void on_wake(void *arg)
{
	struct source *s = arg;
	uint64_t got;

	s->times++;
	if (s->wakes.holding) {
		assert_true(s->held == 0 || uv_now(&s->loop) > s->last_ms);
		s->held++;
		s->last_ms = uv_now(&s->loop);
	}
	if (read(s->fd, &got, sizeof got) != sizeof got)
		return;
	wakes_got(&s->wakes, sizeof got);
	if (!s->silent)
		put_one(s);
}

static void on_closed(void *arg)
{
	((struct source *)arg)->closed = true;
}

static void open_source(struct source *s)
{
	memset(s, 0, sizeof *s);
	s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(s->fd >= 0);
	assert_int_equal(uv_loop_init(&s->loop), 0);
	wakes_init(&s->wakes, &s->loop, s->fd, on_wake, s);
}

static void close_source(struct source *s)
{
	wakes_close(&s->wakes, on_closed, s);
	turn_until(&s->loop, is_set, &s->closed);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	assert_int_equal(fcntl(s->fd, F_GETFD), -1);
}

static bool held_often(void *arg)
{
	return ((struct source *)arg)->held >= 20;
}

static bool is_calm(void *arg)
{
	return !((struct source *)arg)->wakes.holding;
}

static void test_a_storm_wakes_once_a_millisecond(void **state)
{
	struct source s;

	(void)state;
	open_source(&s);
	put_one(&s);
	turn_until(&s.loop, held_often, &s);
	close_source(&s);
}

static void test_after_a_storm_the_next_event_wakes_at_once(void **state)
{
	struct source s;

	(void)state;
	open_source(&s);
	put_one(&s);
	turn_until(&s.loop, held_often, &s);
	s.silent = true;
	turn_until(&s.loop, is_calm, &s);
	s.times = 0;
	put_one(&s);
	assert_true(uv_run(&s.loop, UV_RUN_NOWAIT));
	assert_int_equal(s.times, 1);
	close_source(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_storm_wakes_once_a_millisecond),
		cmocka_unit_test(test_after_a_storm_the_next_event_wakes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
