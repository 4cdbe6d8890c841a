/*
 * What the handlers that run commands share: their own copy of what to run, and which events
 * they are for.
 */
#ifndef WATCHER_HANDLER_WORDS_H
#define WATCHER_HANDLER_WORDS_H

#include <stdbool.h>

#include "whendo/watcher.h"

struct sh_call;

struct handler_words {
	char **argv; /* ends with NULL */
	char **env;
	char *cwd;
	size_t argc, nenv;
	bool quiet;
};

/* Copies; `who` begins the message. UV_EINVAL: not exactly one of command and shell; UV_ENOMEM. */
int watcher__words_copy(struct handler_words *words, const char *who, const char *const *command,
			const char *shell, watcher_error *err);
int watcher__words_place(struct handler_words *words, const char *who, const char *cwd,
			 const char *const *env, watcher_error *err);
void watcher__words_free(struct handler_words *words);

/* An event that commands are run for? */
static inline bool watcher__words_for(const watcher_event *e)
{
	return !(e->kind & (WATCHER_OPENED | WATCHER_CLOSED_NO_WRITE | WATCHER_CONTROL));
}

#endif
