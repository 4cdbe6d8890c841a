/* The owner's side of a guardian that waits: makes it, tells it what to start, ends it. */
#ifdef __linux__
#include "shellcmd/ahead_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shellcmd/guard_linux.h"
#include "shellcmd/pipes.h"

/* ------------------------------------------------------------------ making and ending */

static void let_go(struct sh_guardian *g)
{
	if (g->room)
		munmap(g->room, SH__ROOM_BYTES);
	*g = (struct sh_guardian){ .pidfd = -1, .sock = -1 };
}

/* The end of the socket ends one that we may not kill any more, SIGKILL one that does not
 * look because somebody has stopped it. */
void sh__ahead_end(struct sh_guardian *g)
{
	close(g->sock);
	if (syscall(SYS_pidfd_send_signal, g->pidfd, SIGKILL, NULL, 0) < 0 && errno == ENOSYS)
		kill(g->pid, SIGKILL);
	sh__reap_now(g->pid);
	close(g->pidfd);
	let_go(g);
}

static bool has_ended(const struct sh_guardian *g)
{
	struct pollfd p = { .fd = g->pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static int open_room(struct sh_guardian *g)
{
	/* Its pages are there before they are needed. */
	void *p = mmap(NULL, SH__ROOM_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	g->room = p;
	return 0;
}

static int clone_waiting(struct sh_guardian *g)
{
	int socks[2], r = sh__socket_pair(SOCK_SEQPACKET, socks);

	if (r < 0)
		return r;
	r = sh__guardian_clone(sh__guardian_wait, g->room, socks[1], &g->pidfd);
	close(socks[1]);
	g->sock = socks[0];
	if (r < 0) {
		close(g->sock);
		return r;
	}
	g->pid = r;
	g->pidfd = g->pidfd >= 0 ? sh__above_stdio(g->pidfd) : sh__pidfd_of(g->pid);
	if (g->pidfd >= 0)
		return 0;
	/* Our end of the socket was all it waits for. */
	r = g->pidfd;
	close(g->sock);
	sh__reap_now(g->pid);
	return r;
}

static void read_ids(struct sh_guardian *g)
{
	getresuid(&g->users[0], &g->users[1], &g->users[2]);
	getresgid(&g->groups[0], &g->groups[1], &g->groups[2]);
}

/* A process that gave up its privileges must not have one that still has them. */
static bool is_our_user(const struct sh_guardian *g)
{
	struct sh_guardian now;

	read_ids(&now);
	return !memcmp(now.users, g->users, sizeof now.users) &&
	       !memcmp(now.groups, g->groups, sizeof now.groups);
}

int sh__ahead_start(struct sh_guardian *g)
{
	int r;

	if (g->pid && !has_ended(g) && is_our_user(g))
		return 0;
	if (g->pid)
		sh__ahead_end(g);
	if ((r = open_room(g)) < 0)
		return r;
	read_ids(g);
	if ((r = clone_waiting(g)) < 0)
		let_go(g);
	return r;
}

/* ------------------------------------------------------------------ telling it */

/* NULL: there is no room for it. */
static void *take(struct sh__room *room, size_t n)
{
	size_t at = (room->used + _Alignof(void *) - 1) & ~(_Alignof(void *) - 1);

	if (n > SH__ROOM_BYTES - sizeof *room - at)
		return NULL;
	room->used = at + n;
	return room->bytes + at;
}

static bool copy_text(struct sh__room *room, const char *s, char **copy)
{
	size_t n = strlen(s) + 1;

	if (!(*copy = take(room, n)))
		return false;
	memcpy(*copy, s, n);
	return true;
}

static bool copy_words(struct sh__room *room, char *const *words, char *const **copy)
{
	size_t n = 0;
	char **v;

	while (words[n])
		n++;
	if (!(v = take(room, (n + 1) * sizeof *v)))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!copy_text(room, words[i], &v[i]))
			return false;
	v[n] = NULL;
	*copy = v;
	return true;
}

static bool copy_texts(struct sh__room *room, const struct sh__spawn *s)
{
	char *file, *cwd = NULL;

	if (!copy_text(room, s->file, &file) || (s->cwd && !copy_text(room, s->cwd, &cwd)))
		return false;
	room->spawn.file = file;
	room->spawn.cwd = cwd;
	return copy_words(room, s->argv, &room->spawn.argv) &&
	       copy_words(room, s->sh_argv, &room->spawn.sh_argv) &&
	       copy_words(room, s->envp, &room->spawn.envp);
}

static bool fill(struct sh__room *room, const struct sh__attempt *a)
{
	const struct sh__spawn *s = a->spawn;

	room->used = 0;
	room->spawn = *s;
	room->attempt = *a;
	room->attempt.spawn = &room->spawn;
	room->attempt.fds = room->moved;
	memcpy(room->fds, s->fds, s->n_fds * sizeof *s->fds);
	room->spawn.fds = room->fds;
	return copy_texts(room, s);
}

/* The rest is not worth being written down: who asks for it is in no hurry. A group of ours
 * it could not join, being in one of its own. */
static bool can_serve(const struct sh__spawn *s)
{
	return !s->user && !s->n_rlimits && s->tty_fd < 0 && !s->ctty &&
	       (s->group || s->session) && s->n_fds <= SH__ROOM_FDS;
}

static int send_order(int sock, const struct sh__spawn *s, int cwd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * (SH__ROOM_FDS + 1))];
	struct sh__order order = { .kind = SH__ORDER_START };
	struct iovec text = { .iov_base = &order, .iov_len = sizeof order };
	struct msghdr m = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *h = (struct cmsghdr *)control;
	int fds[SH__ROOM_FDS + 1];
	size_t n = 0;
	ssize_t r;

	memset(control, 0, sizeof control);
	while (n < s->n_fds) {
		fds[n] = s->fds[n].fd;
		n++;
	}
	fds[n++] = cwd;
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof *fds);
	m.msg_controllen = CMSG_SPACE(n * sizeof *fds);
	memcpy(CMSG_DATA(h), fds, n * sizeof *fds);
	while ((r = sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	return r < 0 ? -errno : 0;
}

bool sh__ahead_take(struct sh_guardian *g, const struct sh__attempt *a,
		    struct sh_guardian *taken)
{
	int cwd, r;

	if (!g || !g->pid || !can_serve(a->spawn) || !is_our_user(g) || !fill(g->room, a))
		return false;
	if ((cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return false;
	r = send_order(g->sock, a->spawn, cwd);
	close(cwd);
	/* Somebody has killed it. */
	if (r < 0) {
		sh__ahead_end(g);
		return false;
	}
	*taken = *g;
	let_go(g);
	return true;
}
#endif
