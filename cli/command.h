/*
 * From the words after -- and the changes of a batch to what is executed: argument vectors,
 * environment, standard input. A path is always one argument, a variable or a record on
 * stdin; it is never text that a shell reads.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "alloc.h"
#include "base/bytes.h"
#include "changes.h"
#include "options.h"
#include "whendo/shellcmd.h"

/* How the command is written; made once. */
struct command {
	const struct settings *s;
	struct words words; /* argv, or the shell's: SHELL -c LINE NAME */
	int is_shell;
	int needs_path; /* {1} and its like, or --each: no change, no run */
	int has_all;	/* {} */
};

void command_init(struct command *c, const struct settings *s);
void command_free(struct command *c);

/*
 * The argument vector for these paths, NULL-ended. With more paths than the kernel takes
 * (E2BIG) it holds as many as fit, from *next on, which is moved past them.
 */
void command_words(struct words *argv, const struct command *c, const struct words *paths,
		   size_t *next);

/* WHENDO_... and --env. `path` (may be NULL) replaces the first path: --each. */
void command_environment(struct words *env, const struct command *c, const struct changes *ch,
			 const char *path, unsigned long run);

/* What --stdin gives. */
void command_input(struct bytes *in, const struct command *c, const struct changes *ch);

/* The command as a line for the user. */
char *command_shown(const struct command *c);

/* Says why a command of that program could not be started. */
void command_say_failed(const char *program, const sh_result *result);

#endif
