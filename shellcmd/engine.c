/*
 * Which engine starts processes. Alone in its file: a program that is linked with the static
 * library and defines this function itself, as the tests do, makes its own choice.
 */
#include "shellcmd/spawn.h"

#if defined(__linux__) && !defined(WHENDO_ENGINE_UV)
#include <stdatomic.h>
#include <stdio.h>

/* Descriptors of processes that poll(2) knows came with Linux 5.3. */
static bool has_pidfds(void)
{
	unsigned major, minor;
	uv_utsname_t u;

	if (uv_os_uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major > 5 || (major == 5 && minor >= 3);
}

/* A fact about the system that is the same for all threads. */
const struct sh__engine *sh__engine(void)
{
	static atomic_int known; /* 1: it has them, -1: not */

	if (!atomic_load(&known))
		atomic_store(&known, has_pidfds() ? 1 : -1);
	return atomic_load(&known) > 0 ? &sh__engine_linux : &sh__engine_uv;
}
#else
const struct sh__engine *sh__engine(void)
{
	return &sh__engine_uv;
}
#endif
