/* Text of verbs that end by themselves, on stdout, with what went wrong as an exit status. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "base/bytes.h"

/*
 * Writes and frees the text. Returns 0; 141 without a word if nobody reads any more; 125
 * after having said why it could not be written.
 */
int print_out(struct bytes *text);

#endif
