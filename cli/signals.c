/* Signals by name and number. */
#include "signals.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "say.h"

enum { WHY = 256 };

/* By number, as far as that is the same everywhere. */
static const struct {
	const char *name;
	int number;
} signals[] = {
	{ "HUP", SIGHUP },	 { "INT", SIGINT },   { "QUIT", SIGQUIT },
	{ "ILL", SIGILL },	 { "TRAP", SIGTRAP }, { "ABRT", SIGABRT },
	{ "BUS", SIGBUS },	 { "FPE", SIGFPE },   { "KILL", SIGKILL },
	{ "USR1", SIGUSR1 },	 { "SEGV", SIGSEGV }, { "USR2", SIGUSR2 },
	{ "PIPE", SIGPIPE },	 { "ALRM", SIGALRM }, { "TERM", SIGTERM },
	{ "CHLD", SIGCHLD },	 { "CONT", SIGCONT }, { "STOP", SIGSTOP },
	{ "TSTP", SIGTSTP },	 { "TTIN", SIGTTIN }, { "TTOU", SIGTTOU },
	{ "URG", SIGURG },	 { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },
	{ "VTALRM", SIGVTALRM }, { "PROF", SIGPROF }, { "WINCH", SIGWINCH },
	{ "SYS", SIGSYS },
#ifdef SIGIO
	{ "IO", SIGIO },
#endif
#ifdef SIGPOLL
	{ "POLL", SIGPOLL },
#endif
#ifdef SIGSTKFLT
	{ "STKFLT", SIGSTKFLT },
#endif
#ifdef SIGPWR
	{ "PWR", SIGPWR },
#endif
#ifdef SIGINFO
	{ "INFO", SIGINFO },
#endif
};

enum { SIGNALS = sizeof signals / sizeof signals[0] };

const char *signal_name(int sig)
{
	for (int i = 0; i < SIGNALS; i++)
		if (signals[i].number == sig)
			return signals[i].name;
#ifdef SIGRTMIN
	if (sig == SIGRTMIN)
		return "RTMIN";
	if (sig == SIGRTMAX)
		return "RTMAX";
#endif
	return "an unnamed signal";
}

static void not_known(char why[WHY], const char *text)
{
	const char *names[SIGNALS + 1] = { NULL }, *near;

	for (int i = 0; i < SIGNALS; i++)
		names[i] = signals[i].name;
	near = say_nearest(text, names);
	snprintf(why, WHY,
		 near ? "is no signal; did you mean %s?"
		      : "is no signal; write TERM, INT, HUP, USR1, ... or a number",
		 near);
}

int parse_signal(int *sig, const char *text, char why[WHY])
{
	char *end;
	long v = strtol(text, &end, 10);

	if (isdigit((unsigned char)text[0]) && !*end && v >= 1 && v < NSIG) {
		*sig = (int)v;
		return 0;
	}
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 0; i < SIGNALS; i++)
		if (strcasecmp(signals[i].name, text) == 0) {
			*sig = signals[i].number;
			return 0;
		}
	not_known(why, text);
	return -1;
}
