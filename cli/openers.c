/* Leases on suspected files. Does not know what for. */
#include "openers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "processes.h"

#ifdef F_SETLEASE
#include <sys/inotify.h>

#define MAX_FAMILY  1024
#define MAX_OPENERS 16
#define LOOK_MS	    2 /* after the first look; each time twice as long */
#define MAX_LOOKS   5
#define SHORT_MS    50 /* nobody saves by chance so soon after the command */

static void on_timer(uv_timer_t *h);

static void look_again(struct openers *o, int looks)
{
	uint64_t ms = (uint64_t)LOOK_MS << looks;

	if (!uv_is_active((uv_handle_t *)&o->timer) || uv_timer_get_due_in(&o->timer) > ms)
		uv_timer_start(&o->timer, on_timer, ms, 0);
}

static void count_closes(struct openers *o)
{
	_Alignas(struct inotify_event) char text[4096];
	ssize_t n;

	while (o->closes_fd >= 0 && (n = read(o->closes_fd, text, sizeof text)) > 0) {
		for (const char *at = text; at < text + n;) {
			const struct inotify_event *e = (const void *)at;

			at += sizeof *e + e->len;
			for (size_t i = 0; i < o->n; i++)
				o->v[i].closed += o->v[i].wd == e->wd;
		}
	}
}

/*
 * Refused (EAGAIN) as long as anybody has it open for writing. Who else has opened it
 * meanwhile has not been seen; all have closed it by now.
 */
static void hold(struct openers *o, struct leased *f)
{
	if (fcntl(f->fd, F_SETLEASE, F_RDLCK) < 0)
		return;
	count_closes(o);
	if (f->closed > f->opened && uv_now(o->loop) > f->let_go_ms + SHORT_MS)
		f->by |= OPENER_UNKNOWN;
	f->state = LEASE_HELD;
	f->looks = f->opened = f->closed = 0;
}

static void let_go(struct leased *f)
{
	if (f->state == LEASE_HELD || f->state == LEASE_BROKEN)
		fcntl(f->fd, F_SETLEASE, F_UNLCK);
	f->state = LEASE_NOT;
}

/* ---- who is it? */

static unsigned opener(pid_t pid, const pid_t *family, size_t n, size_t n_own)
{
	for (size_t i = 0; i < n && i < MAX_FAMILY; i++)
		if (family[i] == pid)
			return i < n_own ? OPENER_COMMAND : OPENER_NEIGHBOUR;
	/* Without guardians nothing is known of the command's processes. */
	return n == 0 || n > MAX_FAMILY ? OPENER_UNKNOWN : OPENER_OTHER;
}

/* Bits of enum opener, 0: nobody waits yet. */
static unsigned look(struct openers *o, struct leased *f)
{
	pid_t waiting[MAX_OPENERS], family[MAX_FAMILY];
	size_t n_waiting = processes_kept(f->ino, waiting, MAX_OPENERS), n, n_own;
	unsigned by = 0;

	if (n_waiting == 0)
		return 0;
	f->opened += (int)n_waiting;
	n = o->family(family, MAX_FAMILY, &n_own, o->arg);
	for (size_t i = 0; i < n_waiting; i++)
		by |= opener(waiting[i], family, n, n_own);
	return by;
}

/* What is to be done with a file that is not held. */
static void tend(struct openers *o, struct leased *f)
{
	if (f->state == LEASE_BROKEN) {
		unsigned by = look(o, f);

		if (by == 0 && ++f->looks < MAX_LOOKS) {
			look_again(o, f->looks - 1);
			return;
		}
		f->by |= by ? by : (unsigned)OPENER_UNKNOWN;
		f->looks = 0;
		f->let_go_ms = uv_now(o->loop);
		let_go(f);
		look_again(o, 0);
	} else if (f->state == LEASE_NOT) {
		/* Whoever wrote has most often closed it by now. */
		hold(o, f);
		if (f->state == LEASE_NOT && ++f->looks < MAX_LOOKS)
			look_again(o, f->looks - 1);
	}
}

static void on_timer(uv_timer_t *h)
{
	struct openers *o = h->data;

	for (size_t i = 0; i < o->n; i++)
		tend(o, &o->v[i]);
}

/* The kernel makes the opener wait before it tells us. But one that another rule's lease has
 * kept waiting is not here yet. */
static void on_broken(uv_signal_t *h, int signum)
{
	struct openers *o = h->data;

	(void)signum;
	for (size_t i = 0; i < o->n; i++) {
		if (o->v[i].state != LEASE_HELD || fcntl(o->v[i].fd, F_GETLEASE) == F_RDLCK)
			continue;
		o->v[i].state = LEASE_BROKEN;
		tend(o, &o->v[i]);
	}
}

/* ---- the interface */

void openers_open(struct openers *o)
{
	uv_timer_init(o->loop, &o->timer);
	uv_signal_init(o->loop, &o->broken);
	o->timer.data = o->broken.data = o;
	o->closes_fd = -1;
	o->is_open = 1;
}

/* Without a handler the signal of a lease would end this program. */
static int can_lease(struct openers *o)
{
	if (uv_is_active((uv_handle_t *)&o->broken))
		return 1;
	if (uv_signal_start(&o->broken, on_broken, SIGIO) < 0)
		return 0;
	uv_unref((uv_handle_t *)&o->broken);
	return 1;
}

static int open_file(struct leased *f, const char *path)
{
	struct stat st;

	/* Opening something else than a file may do something. */
	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	f->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (f->fd < 0)
		return -1;
	if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(f->fd);
		return -1;
	}
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return 0;
}

static void watch_closes(struct openers *o, struct leased *f)
{
	char path[40];

	if (o->closes_fd < 0)
		o->closes_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	/* This file, whatever is at its path by now. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", f->fd);
	f->wd = inotify_add_watch(o->closes_fd, path, IN_CLOSE_WRITE);
	f->let_go_ms = uv_now(o->loop);
}

void openers_watch(struct openers *o, const char *path)
{
	struct leased f = { 0 };

	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->v[i].path, path) == 0)
			return;
	if (o->n == MAX_LEASED || !can_lease(o) || open_file(&f, path) < 0)
		return;
	watch_closes(o, &f);
	hold(o, &f);
	if (f.state == LEASE_NOT)
		look_again(o, 0);
	f.path = alloc_copy(path);
	o->v[o->n++] = f;
}

void openers_release(struct openers *o)
{
	uv_timer_stop(&o->timer);
	for (size_t i = 0; i < o->n; i++) {
		/* Kept waiting until now. */
		if (o->v[i].state == LEASE_BROKEN)
			o->v[i].by |= OPENER_UNKNOWN;
		let_go(&o->v[i]);
		o->v[i].state = LEASE_OVER;
	}
}

static void drop(struct openers *o, size_t i)
{
	let_go(&o->v[i]);
	if (o->v[i].wd >= 0)
		inotify_rm_watch(o->closes_fd, o->v[i].wd);
	close(o->v[i].fd);
	free(o->v[i].path);
	o->v[i] = o->v[--o->n];
}

void openers_forget(struct openers *o)
{
	if (o->is_open)
		uv_timer_stop(&o->timer);
	while (o->n)
		drop(o, o->n - 1);
}

unsigned openers_of(struct openers *o, const char *path)
{
	struct stat st;
	struct leased *f;
	size_t i = 0;
	int is_over;

	while (i < o->n && strcmp(o->v[i].path, path) != 0)
		i++;
	if (i == o->n)
		return 0;
	f = &o->v[i];
	is_over = f->state == LEASE_OVER;
	if (lstat(path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino) {
		if (f->state == LEASE_NOT)
			hold(o, f);
		return f->by | (f->state == LEASE_NOT ? (unsigned)OPENER_UNKNOWN : 0u);
	}
	drop(o, i);
	if (!is_over)
		openers_watch(o, path);
	return 0;
}

void openers_close(struct openers *o)
{
	openers_forget(o);
	if (o->is_open) {
		if (o->closes_fd >= 0)
			close(o->closes_fd);
		uv_close((uv_handle_t *)&o->broken, NULL);
		uv_close((uv_handle_t *)&o->timer, NULL);
	}
	o->is_open = 0;
}

#else

void openers_open(struct openers *o)
{
	(void)o;
}

void openers_close(struct openers *o)
{
	(void)o;
}

void openers_watch(struct openers *o, const char *path)
{
	(void)o;
	(void)path;
}

void openers_release(struct openers *o)
{
	(void)o;
}

void openers_forget(struct openers *o)
{
	(void)o;
}

unsigned openers_of(struct openers *o, const char *path)
{
	(void)o;
	(void)path;
	return 0;
}

#endif
