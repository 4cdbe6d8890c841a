/*
 * Which engine starts processes. Alone in its file: a program that is linked with the static
 * library and defines this function itself, as the tests do, makes its own choice.
 */
#include "shellcmd/spawn.h"

const struct sh__engine *sh__engine(void)
{
#if defined(__linux__) && !defined(WHENDO_ENGINE_UV)
	return &sh__engine_linux;
#else
	return &sh__engine_uv;
#endif
}
