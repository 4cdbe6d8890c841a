/*
 * Quoting: arguments as a line that a shell reads back as the same arguments, and that can
 * be shown to a person: nothing in it moves a cursor or reorders text.
 */
#ifndef SHELLCMD_QUOTE_H
#define SHELLCMD_QUOTE_H

#include <stddef.h>

#include "base/bytes.h"

/*
 * Adds one word: bare when that is safe, else in '..'; in $'..' (bash, zsh, POSIX of 2024)
 * only when it holds control bytes, bidirectional controls or broken UTF-8. A FIRST word is
 * also kept from being read as a keyword or an assignment. After UV_ENOMEM or UV_E2BIG the
 * content is as before.
 */
enum sh__place { SH__FIRST_WORD, SH__LATER_WORD };
int sh__quote_word(struct bytes *out, const char *word, enum sh__place place);

/*
 * Adds the words of a command, a space between them, without SH_SKIP; the ~ of its program,
 * which was expanded, stays one for a shell.
 */
int sh__quote_command(struct bytes *out, const char *const *argv);

/*
 * The length of the character at p when it can be shown as it is: printable ASCII, or
 * well-formed UTF-8 that is no control character of any kind. 0: show its first byte escaped.
 */
size_t sh__printable(const char *p, size_t len);

#endif
