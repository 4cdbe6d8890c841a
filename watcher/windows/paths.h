/* Paths as Windows takes and gives them; those that begin with "/C:/" are in posix.h. */
#ifndef WINDOWS_PATHS_H
#define WINDOWS_PATHS_H

#include <wchar.h>

#include "watcher/windows/posix.h"

static inline bool windows_has_drive(const char *p)
{
	return ((p[0] | 32) >= 'a' && (p[0] | 32) <= 'z') && p[1] == ':';
}

/* One of ours for the calls of Windows: the caller's to free. NULL, errno: ENOMEM, or ENOENT, as what
 * is not UTF-8 cannot be the name of anything. */
wchar_t *windows_wide(const char *path);
/* One that Windows gave, as one of ours: the caller's to free. NULL, errno: out of memory. */
char *windows_narrow(const wchar_t *path);

#endif
