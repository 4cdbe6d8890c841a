/*
 * Events as text: lines, NDJSON, or a format of the user's. Pure: what goes where is the
 * caller's business.
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include "base/bytes.h"
#include "whendo/watcher.h"

enum format_style { FORMAT_TEXT, FORMAT_JSON, FORMAT_CUSTOM };

struct format {
	enum format_style style;
	const char *custom; /* borrowed; the string of --format */
	int show_time;
	int nul;      /* records end with NUL, names are raw */
	int terminal; /* the output is one */
	int has_end;  /* the custom format ends its records itself */
	/* The last second that was printed: most events share it. */
	int64_t second;
	char stamp[24];
};

/* `spec` is the value of --format (NULL: text). Returns 0, or -1 with a reason. */
int format_init(struct format *f, const char *spec, int nul, int show_time, char why[256]);

/* Appends one record, with its end. */
void format_event(struct format *f, struct bytes *out, const watcher_event *e);

#endif
