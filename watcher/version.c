/* The version of the library a program runs with. */
#include "whendo/version.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

const char *whendo_version_string(void)
{
	return TEXT(WHENDO_VERSION_MAJOR) "." TEXT(WHENDO_VERSION_MINOR) "." TEXT(
	    WHENDO_VERSION_PATCH);
}

unsigned whendo_version(void)
{
	return WHENDO_VERSION_MAJOR << 16 | WHENDO_VERSION_MINOR << 8 | WHENDO_VERSION_PATCH;
}
