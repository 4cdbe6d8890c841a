/*
 * The engine the tests run on: SH_TEST_ENGINE=uv, or a test's own choice. Linked with every
 * test program, in the place of the library's choice (shellcmd/engine.c).
 */
#include "shell_engine.h"

#include <stdlib.h>
#include <string.h>

const struct sh__engine *shell_test_engine;

const struct sh__engine *sh__engine(void)
{
	const char *name = getenv("SH_TEST_ENGINE");

	if (shell_test_engine)
		return shell_test_engine;
	return name && !strcmp(name, "uv") ? &sh__engine_uv : &sh__engine_linux;
}
