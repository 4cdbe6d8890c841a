/*
 * Paths as users give them. The separator is "/" everywhere; where a system has another one, or
 * other absolute paths, these two are the place that knows.
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A copy with "/" between names. NULL: without memory. */
static inline char *path_given(const char *path)
{
	char *out = strdup(path);

#ifdef _WIN32
	for (char *p = out; p && *p; p++)
		if (*p == '\\')
			*p = '/';
#endif
	return out;
}

/* From the working directory as it is now; links are kept. NULL, and errno: without memory, or
 * the working directory has no path (it was removed) or one of more than PATH_MAX. */
static inline char *path_absolute(const char *path)
{
#ifdef _WIN32
	return windows_absolute(path);
#else
	char cwd[PATH_MAX], *out;

	if (path[0] == '/')
		return strdup(path);
	if (!getcwd(cwd, sizeof cwd)) {
		errno = errno == ERANGE ? ENAMETOOLONG : errno;
		return NULL;
	}
	if ((out = malloc(strlen(cwd) + strlen(path) + 2)))
		sprintf(out, "%s/%s", cwd, path);
	return out;
#endif
}

#endif
