/* Which engine starts processes in this test program; NULL: by SH_TEST_ENGINE. */
#ifndef TESTS_SHELL_ENGINE_H
#define TESTS_SHELL_ENGINE_H

#include "shellcmd/spawn.h"

extern const struct sh__engine *shell_test_engine;

#endif
