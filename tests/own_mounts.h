/* Mounts of a test's own: nobody else sees them, and they end with the process. */
#ifndef TESTS_OWN_MOUNTS_H
#define TESTS_OWN_MOUNTS_H

#include <stdbool.h>

/* Makes the process's mounts its own. False, and one line that says so: it may not. */
bool own_mounts(void);
/* Ends every mount below a directory, what was mounted last first, if they are its own. */
void own_mounts_end(const char *base);

#endif
