/* What the shellcmd tests start: says what it was given, or behaves as it is told. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* argc, then each argument, every one ended by NUL. */
static int args(int argc, char **argv)
{
	printf("%d%c", argc, 0);
	for (int i = 0; i < argc; i++) {
		fwrite(argv[i], 1, strlen(argv[i]) + 1, stdout);
	}
	return 0;
}

static int fds(void)
{
	for (int fd = 0; fd < 70000; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	return 0;
}

/*
 * The lines SigBlk and SigIgn of /proc/self/status, without signals 32 and 33: they are the
 * C library's own, GNU make hands them on ignored, and nothing but raw system calls (so not
 * libuv) can put them right.
 */
static int signals(void)
{
	const unsigned long long own = 3ull << 31;
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6))
			printf("%.6s:\t%016llx\n", line, strtoull(line + 7, NULL, 16) & ~own);
	return 0;
}

static int ids(void)
{
	printf("%d %d %d\n", (int)getpid(), (int)getpgrp(), (int)getsid(0));
	return 0;
}

static void put(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0)
			exit(9);
		p += done;
		n -= (size_t)done;
	}
}

/* BYTES on each of the FDs given, in turns of 4 KiB. */
static int spam(int argc, char **argv)
{
	long long left = atoll(argv[0]);
	char block[4096];

	memset(block, 's', sizeof block);
	for (; left > 0; left -= (long long)sizeof block)
		for (int i = 1; i < argc; i++)
			put(atoi(argv[i]), block,
			    left < (long long)sizeof block ? (size_t)left : sizeof block);
	return 0;
}

/* N lines "line <i>". */
static int lines(const char *n)
{
	long count = atol(n);

	for (long i = 0; i < count; i++)
		printf("line %ld\n", i);
	return 0;
}

static int tty(void)
{
	struct winsize ws = { 0, 0, 0, 0 };

	ioctl(0, TIOCGWINSZ, &ws);
	printf("%d%d%d %s %dx%d\n", isatty(0), isatty(1), isatty(2),
	       open("/dev/tty", O_RDWR) >= 0 ? "ctty" : "none", ws.ws_row, ws.ws_col);
	return 0;
}

static void resized(int sig)
{
	(void)sig;
}

static int resize(void)
{
	struct winsize ws = { 0, 0, 0, 0 };
	sigset_t change, old;

	sigemptyset(&change);
	sigaddset(&change, SIGWINCH);
	sigprocmask(SIG_BLOCK, &change, &old);
	signal(SIGWINCH, resized);
	printf("ready\n");
	fflush(stdout);
	sigsuspend(&old);
	ioctl(0, TIOCGWINSZ, &ws);
	printf("%dx%d\n", ws.ws_row, ws.ws_col);
	return 0;
}

static int limits(void)
{
	struct rlimit files = { 0, 0 };
	mode_t mask = umask(0);

	getrlimit(RLIMIT_NOFILE, &files);
	printf("umask %03o files %lu nice %d uid %d gid %d groups %d\n", (unsigned)mask,
	       (unsigned long)files.rlim_cur, getpriority(PRIO_PROCESS, 0), (int)getuid(),
	       (int)getgid(), getgroups(0, NULL));
	return 0;
}

/* 0: what was given up cannot be had again. */
static int regain(void)
{
	gid_t root = 0;

	return setuid(0) == 0 || setgid(0) == 0 || setgroups(1, &root) == 0 || seteuid(0) == 0;
}

/* Deaf to everything it can be deaf to. */
static int deaf(void)
{
	for (int s = 1; s < 32; s++)
		signal(s, SIG_IGN);
	printf("deaf\n");
	fflush(stdout);
	for (;;)
		pause();
}

static volatile sig_atomic_t continued, interrupted;

static void note(int sig)
{
	if (sig == SIGCONT)
		continued = 1;
	else
		interrupted = 1;
}

/* Says when it is continued, and ends with 6 when it is interrupted. */
static int job(void)
{
	sigset_t both, old;

	sigemptyset(&both);
	sigaddset(&both, SIGCONT);
	sigaddset(&both, SIGINT);
	sigprocmask(SIG_BLOCK, &both, &old);
	signal(SIGCONT, note);
	signal(SIGINT, note);
	printf("ready\n");
	fflush(stdout);
	while (!interrupted) {
		sigsuspend(&old);
		if (continued)
			printf("cont\n");
		continued = 0;
		fflush(stdout);
	}
	printf("bye\n");
	return 6;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "args"))
		return args(argc - 2, argv + 2);
	if (!strcmp(what, "fds"))
		return fds();
	if (!strcmp(what, "signals"))
		return signals();
	if (!strcmp(what, "ids"))
		return ids();
	if (!strcmp(what, "spam"))
		return spam(argc - 2, argv + 2);
	if (!strcmp(what, "lines"))
		return lines(argv[2]);
	if (!strcmp(what, "tty"))
		return tty();
	if (!strcmp(what, "resize"))
		return resize();
	if (!strcmp(what, "limits"))
		return limits();
	if (!strcmp(what, "regain"))
		return regain();
	if (!strcmp(what, "deaf"))
		return deaf();
	if (!strcmp(what, "job"))
		return job();
	if (!strcmp(what, "raise"))
		return raise(atoi(argv[2]));
	return 64;
}
