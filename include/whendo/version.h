/*
 * The version of the library: of the headers a program was compiled with, and of the
 * library it runs with.
 */
#ifndef WHENDO_VERSION_H
#define WHENDO_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && defined(WHENDO_BUILDING)
#define WHENDO_API __attribute__((visibility("default")))
#else
#define WHENDO_API
#endif

#define WHENDO_VERSION_MAJOR 0
#define WHENDO_VERSION_MINOR 1
#define WHENDO_VERSION_PATCH 0

/* "0.1.0"; static, never NULL. Any thread. */
WHENDO_API const char *whendo_version_string(void);

/* major << 16 | minor << 8 | patch, to compare. Any thread. */
WHENDO_API unsigned whendo_version(void);

#ifdef __cplusplus
}
#endif

#endif
