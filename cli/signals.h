/*
 * Signals by name and number: one table for options, rules files and messages. The C library
 * has none that is everywhere (sigabbrev_np is glibc 2.32).
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

/* "TERM", "sigterm", "15". Returns 0, or -1 with a reason. */
int parse_signal(int *sig, const char *text, char why[256]);

/* "TERM" for 15; words for one without a name. */
const char *signal_name(int sig);

#endif
