/* The portable engine. */
#include "shellcmd/spawn.h"
const struct sh__engine sh__engine_uv = { .name = "uv", .needs_uv = true };
