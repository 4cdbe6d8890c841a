/*
 * What the user reads of a runner: the lines at the start and the end of a run, the screen
 * cleared before, the bell and the desktop afterwards.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "runner.h"

void report_clear(const struct settings *s);
void report_start(const struct runner *r);
void report_end(const struct runner *r);
void report_notify(const struct runner *r);
enum report_own {
	OWN_LEFT, /* left alone */
	OWN_PACED /* slowed down, on suspicion */
};
/* `path` is changed by `maker`, in words, which starts the command again; `pattern` ignores what
 * it writes, NULL: none is known. */
void report_own(const struct runner *r, const char *path, const char *pattern,
		enum report_own how, const char *maker);

#endif
