/*
 * From settings to the library's filter object: which paths are watched and which pass.
 */
#ifndef CLI_FILTERING_H
#define CLI_FILTERING_H

#include "options.h"
#include "whendo/watcher.h"

/*
 * Makes the filter of a verb; the caller frees it. Kinds are the watch's business: a filter
 * that left `closed` out would hide that a write is complete. Returns 0, or the exit status
 * after having said which option is wrong and where.
 */
int filter_open(watcher_filter **f, const struct settings *s);

#endif
