/*
 * The shell between uv_spawn and the command. It waits for a word from here, so that what can
 * be done to another process (its priority) is done meanwhile; tells before each step which
 * one it is, so that the last thing it told is where it failed; and then executes the command
 * through env(1), because shells add to the environment.
 */
#include "shellcmd/shim_uv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shellcmd/lookup.h"
#include "shellcmd/pipes.h"
#include "shellcmd/stream.h"

enum {
	FIRST_TALK = 3, /* a portable shell redirects numbers of one digit */
	LAST_TALK = 9,
	IN_FRONT = 4 /* sh -c SCRIPT NAME */
};

/* What it tells. */
#define AT_TTY	  "t"
#define AT_LIMITS "l"
#define AT_EXEC	  "x"

/*
 * What ulimit can set to the letter in every shell: its units of bytes are 1024, but for
 * files and core dumps 512 in some and 1024 in others; unit 0 is: nothing, or no limit.
 */
static const struct {
	int resource;
	char letter;
	uint64_t unit;
} limits[] = {
	{ RLIMIT_CPU, 't', 1 },
	{ RLIMIT_DATA, 'd', 1024 },
	{ RLIMIT_STACK, 's', 1024 },
	{ RLIMIT_FSIZE, 'f', 0 },
	{ RLIMIT_CORE, 'c', 0 },
#ifdef RLIMIT_AS
	{ RLIMIT_AS, 'v', 1024 },
#endif
	/* Last: with few descriptors a shell can do no more. */
	{ RLIMIT_NOFILE, 'n', 1 },
};

enum { N_LIMITS = sizeof limits / sizeof *limits };

bool sh__shim_is_needed(const struct sh__spawn *s)
{
	return s->umask || s->n_rlimits || s->nice || s->ctty;
}

/* ------------------------------------------------------------------ the script */

static int add_limit(struct bytes *b, size_t which, char side, uint64_t value)
{
	uint64_t unit = limits[which].unit;

	if (value == SH_UNLIMITED || value == (uint64_t)RLIM_INFINITY)
		return bytes_addf(b, "&& ulimit -%c -%c unlimited ", side,
				  limits[which].letter);
	if (unit ? value % unit != 0 : value != 0)
		return UV_ENOTSUP;
	return bytes_addf(b, "&& ulimit -%c -%c %llu ", side, limits[which].letter,
			  (unsigned long long)(unit ? value / unit : 0));
}

/* Neither side may pass the other on the way. */
static int add_both(struct bytes *b, size_t which, const sh_rlimit *l)
{
	struct rlimit now;
	bool soft_first;
	int r;

	if (l->soft > l->hard)
		return UV_EINVAL;
	if (getrlimit(limits[which].resource, &now) < 0)
		return -errno;
	soft_first = l->soft <= now.rlim_max;
	r = soft_first ? add_limit(b, which, 'S', l->soft) : add_limit(b, which, 'H', l->hard);
	if (r < 0)
		return r;
	return soft_first ? add_limit(b, which, 'H', l->hard)
			  : add_limit(b, which, 'S', l->soft);
}

static int add_limits(struct bytes *b, const struct sh__spawn *s)
{
	size_t known = 0;
	int r = bytes_adds(b, "{ : ");

	for (size_t which = 0; r == 0 && which < N_LIMITS; which++) {
		for (size_t i = 0; r == 0 && i < s->n_rlimits; i++) {
			if (s->rlimits[i].resource != limits[which].resource)
				continue;
			r = add_both(b, which, &s->rlimits[i]);
			known++;
		}
	}
	return r < 0 ? r : known < s->n_rlimits ? UV_ENOTSUP : bytes_adds(b, "; }");
}

static int add_tty(struct bytes *b, const struct sh__spawn *s, int talk)
{
	char name[64];
	int r = ttyname_r(s->fds[0].fd, name, sizeof name);

	if (r)
		return -r;
	/* The first terminal that the leader of a session opens is its controlling one. */
	return bytes_addf(b, "echo " AT_TTY " >&%d; exec <>%s >&0 2>&0; ", talk, name);
}

static int write_script(struct bytes *b, const struct sh__spawn *s, int talk,
			enum sh__where *where)
{
	int r = bytes_addf(b, "read -r go <&%d || exit; ", talk);

	if (r == 0 && s->umask)
		r = bytes_addf(b, "umask %03o; ", (unsigned)s->umask & 0777);
	if (*where = SH__AT_TTY, r == 0 && s->ctty)
		r = add_tty(b, s, talk);
	if (r == 0)
		r = bytes_addf(b, "echo " AT_EXEC " >&%d; ", talk);
	if (*where = SH__AT_RLIMIT, r == 0 && s->n_rlimits) {
		r = add_limits(b, s);
		if (r == 0)
			r = bytes_addf(
			    b, " 2>/dev/null || { exec >&%d; echo " AT_LIMITS "; exit; }; ",
			    talk);
	}
	return r == 0 ? bytes_addf(b, "exec /usr/bin/env -i -- \"$@\" %d>&-", talk) : r;
}

/* ------------------------------------------------------------------ what it is given */

static size_t count(char *const *v)
{
	size_t n = 0;

	while (v[n])
		n++;
	return n;
}

/* Env takes what has a "=" for a setting, and the first that has none for the program. */
static int make_argv(struct sh__shim *shim, const struct sh__spawn *s)
{
	static char sh[] = "/bin/sh", opt[] = "-c", nice[] = "/usr/bin/nice", same[] = "-n0";
	size_t n = 0, more = IN_FRONT + 4;
	char **v = malloc((count(s->envp) + count(s->argv) + more) * sizeof *v);

	if (!v)
		return UV_ENOMEM;
	v[n++] = sh;
	v[n++] = opt;
	v[n++] = shim->script.data;
	v[n++] = sh;
	for (size_t i = 0; s->envp[i]; i++)
		if (s->envp[i][0] != '=' && strchr(s->envp[i], '='))
			v[n++] = s->envp[i];
	if (strchr(s->file, '=')) {
		v[n++] = nice;
		v[n++] = same;
	}
	v[n++] = (char *)s->file;
	memcpy(v + n, s->argv + 1, count(s->argv) * sizeof *v);
	shim->argv = v;
	return 0;
}

static int free_digit(const struct sh__spawn *s)
{
	for (int digit = FIRST_TALK; digit <= LAST_TALK; digit++) {
		bool taken = false;

		for (size_t i = 0; i < s->n_fds; i++)
			taken |= s->fds[i].child == digit;
		if (!taken)
			return digit;
	}
	return UV_EMFILE;
}

static int make_fds(struct sh__shim *shim, const struct sh__spawn *s, int talk)
{
	size_t at = s->n_fds;

	if (!(shim->fds = malloc((s->n_fds + 1) * sizeof *shim->fds)))
		return UV_ENOMEM;
	memcpy(shim->fds, s->fds, s->n_fds * sizeof *shim->fds);
	for (; shim->fds[at - 1].child > talk; at--)
		shim->fds[at] = shim->fds[at - 1];
	shim->fds[at] = (sh_fd_map){ .child = talk, .fd = shim->theirs };
	shim->n_fds = s->n_fds + 1;
	return 0;
}

/* A shell's own message and exit code would say less. */
static int look_at_file(const struct sh__spawn *s)
{
	char *path = NULL;
	int r = sh__lookup(&path, s->file, (const char *const *)s->envp);

	free(path);
	return r;
}

int sh__shim_make(struct sh__shim *shim, const struct sh__spawn *s, enum sh__where *where)
{
	int talk = free_digit(s), pair[2], r;

	if (*where = SH__AT_EXEC, (r = look_at_file(s)) < 0)
		return r;
	if (*where = SH__AT_FDS, talk < 0)
		return talk;
	if ((r = write_script(&shim->script, s, talk, where)) < 0)
		return r;
	*where = SH__AT_CLONE;
	if ((r = sh__socket_pair(SOCK_STREAM, pair)) < 0)
		return r;
	shim->ours = pair[0];
	shim->theirs = pair[1];
	if ((r = make_argv(shim, s)) == 0)
		r = make_fds(shim, s, talk);
	return r;
}

/* ------------------------------------------------------------------ the talk */

static int set_nice(int pid, int more)
{
	int now;

	errno = 0;
	now = getpriority(PRIO_PROCESS, 0);
	if (errno)
		return -errno;
	return setpriority(PRIO_PROCESS, (id_t)pid, now + more) < 0 ? -errno : 0;
}

/* Until its end is closed, which executing the command does. */
static char last_told(int fd)
{
	char text[64], last = '\0';
	ssize_t n;

	while ((n = read(fd, text, sizeof text)) > 0 || (n < 0 && errno == EINTR))
		for (ssize_t i = 0; i < n; i++)
			last = text[i] == '\n' ? last : text[i];
	return last;
}

int sh__shim_talk(struct sh__shim *shim, const struct sh__spawn *s, int pid,
		  enum sh__where *where)
{
	int r;

	close(shim->theirs);
	shim->theirs = -1;
	if (*where = SH__AT_NICE, s->nice && (r = set_nice(pid, s->nice)) < 0)
		return r;
	*where = SH__AT_CLONE;
	if (sh__write(shim->ours, "\n", 1) < 0)
		return -errno;
	switch (last_told(shim->ours)) {
	case 'x':
		return 0;
	case 't':
		*where = SH__AT_TTY;
		return UV_ENOTTY;
	case 'l':
		*where = SH__AT_RLIMIT;
		return UV_EPERM;
	default:
		return UV_EIO;
	}
}

void sh__shim_free(struct sh__shim *shim)
{
	bytes_free(&shim->script);
	free(shim->argv);
	free(shim->fds);
	if (shim->ours >= 0)
		close(shim->ours);
	if (shim->theirs >= 0)
		close(shim->theirs);
	*shim = SH__NO_SHIM;
}
