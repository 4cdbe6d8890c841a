/* Observing a command's processes. Decides nothing about changes. */
#include "witness.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define MAX_FAMILY 256 /* more are never all asleep */
/* A change is read a moment after it was made, and the time a process has run is brought up
 * to date at a clock tick, or when it sleeps. */
#define BEFORE_NS  5000000
#define RAN_LAG_NS 12000000

enum { RAN = 1, WROTE = 2 };
#define RING(w) (sizeof(w)->seen / sizeof *(w)->seen)

static int did(const struct witness *w, unsigned what, int64_t from_ns, int64_t to_ns)
{
	size_t n = w->n_seen < RING(w) ? w->n_seen : RING(w);

	if (from_ns < w->from_ns)
		return 1;
	for (size_t i = 0; i < n; i++)
		if ((w->seen[i].what & what) && w->seen[i].from_ns <= to_ns &&
		    w->seen[i].to_ns >= from_ns)
			return 1;
	/* What the ring has lost is older than its oldest. */
	return w->n_seen > RING(w) && w->seen[w->n_seen % RING(w)].from_ns > from_ns;
}

static void answer(struct witness *w, int64_t lag_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_asked; i++) {
		int64_t t = w->asked[i].time_ns;

		if (w->last_ns < t + lag_ns)
			w->asked[kept++] = w->asked[i];
		else if (!did(w, RAN, t - BEFORE_NS, t + RAN_LAG_NS))
			w->on_alibi(ALIBI_ASLEEP, w->arg);
		else if (w->asked[i].has_content && !did(w, WROTE, t - BEFORE_NS, t))
			w->on_alibi(ALIBI_WROTE_NOT, w->arg);
	}
	w->n_asked = kept;
}

static void note(struct witness *w, unsigned what, int64_t now)
{
	size_t last = (w->n_seen + RING(w) - 1) % RING(w), next = w->n_seen % RING(w);

	if (w->n_seen && w->seen[last].to_ns == w->last_ns && w->seen[last].what == what) {
		w->seen[last].to_ns = now;
	} else if (what) {
		w->seen[next].from_ns = w->last_ns;
		w->seen[next].to_ns = now;
		w->seen[next].what = what;
		w->n_seen++;
	}
	w->last_ns = now;
}

static void look(struct witness *w)
{
	pid_t pids[MAX_FAMILY];
	size_t n = processes_family(w->groups, pids, MAX_FAMILY);
	uint64_t activity = n < MAX_FAMILY ? processes_activity(pids, n) : 0, written = 0;
	unsigned what = 0;

	if (activity == 0 || activity != w->activity)
		what |= RAN;
	if (n == MAX_FAMILY || processes_written(&written, pids, n) < 0 ||
	    written != w->written)
		what |= WROTE;
	w->activity = activity;
	w->written = written;
	note(w, what, clock_wall_ns());
}

static void on_timer(uv_timer_t *h)
{
	struct witness *w = h->data;
	int64_t age_ms;

	look(w);
	answer(w, RAN_LAG_NS);
	age_ms = (w->last_ns - w->from_ns) / 1000000;
	uv_timer_start(h, on_timer, age_ms < 1000 ? 2 : age_ms < 10000 ? 5 : 20, 0);
}

void witness_open(struct witness *w)
{
	uv_timer_init(w->loop, &w->timer);
	w->timer.data = w;
	w->is_open = 1;
}

void witness_start(struct witness *w)
{
	w->n_seen = w->n_asked = 0;
	w->activity = w->written = 0;
	w->from_ns = w->last_ns = clock_wall_ns();
	uv_timer_start(&w->timer, on_timer, 1, 0);
}

void witness_stop(struct witness *w)
{
	w->n_asked = 0;
	if (w->is_open)
		uv_timer_stop(&w->timer);
}

void witness_close(struct witness *w)
{
	if (w->is_open)
		uv_close((uv_handle_t *)&w->timer, NULL);
	w->is_open = 0;
}

void witness_ask(struct witness *w, int64_t time_ns, int has_content)
{
	if (w->n_asked == sizeof w->asked / sizeof *w->asked ||
	    !uv_is_active((uv_handle_t *)&w->timer))
		return;
	w->asked[w->n_asked].time_ns = time_ns;
	w->asked[w->n_asked++].has_content = has_content;
}

void witness_settle(struct witness *w)
{
	if (w->n_asked == 0 || !uv_is_active((uv_handle_t *)&w->timer))
		return;
	look(w);
	answer(w, 0);
}

/* The process a small file names, 0: none. */
static pid_t named_process(const char *path, const struct stat *st)
{
	char text[32] = "", *end;
	int fd = -1;
	ssize_t n = -1;
	long pid;

	if (S_ISREG(st->st_mode) && st->st_size > 0 && st->st_size < (off_t)sizeof text)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		n = read(fd, text, sizeof text - 1);
		close(fd);
	}
	if (n <= 0)
		return 0;
	pid = strtol(text, &end, 10);
	return end > text && (*end == '\0' || *end == '\n') && pid > 1 ? (pid_t)pid : 0;
}

int witness_holds(const struct witness *w, const char *path)
{
	pid_t pids[MAX_FAMILY], named;
	struct stat st;
	size_t n;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	named = named_process(path, &st);
	n = processes_family(w->groups, pids, MAX_FAMILY);
	for (size_t i = 0; i < n; i++)
		if (pids[i] == named || processes_holds(pids[i], &st))
			return 1;
	return 0;
}
