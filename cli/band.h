/*
 * All rules of a file at work, in the order their needs ask for, and the file itself watched:
 * what is new, changed or gone in a good new version is started and stopped, the other rules
 * are not touched; a bad version is only told.
 */
#ifndef CLI_BAND_H
#define CLI_BAND_H

#include "rules_file.h"

/* Reads the rules of all the files, which the user calls as s->paths says. Returns 0, or -1
 * after having said what is wrong with which file; nothing is loaded then. */
int band_load(struct rules *rules, const struct words *files, const struct settings *s);

/*
 * Plays until a signal or a rule ends it; returns the exit status. Takes over the rules, which
 * were read from the files; their names are relative to the current directory, and borrowed.
 */
int band_play(struct rules *rules, const struct words *files, struct settings *s);

#endif
