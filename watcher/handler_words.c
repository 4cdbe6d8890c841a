/* Copies of commands for the handlers that run them. */
#include "watcher/handler_words.h"

#include <stdlib.h>
#include <string.h>

#include "watcher/backend.h"

static void free_list(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

static char **copy_list(const char *const *list, size_t *count)
{
	size_t n = 0;
	char **copy;

	while (list && list[n])
		n++;
	if (!(copy = calloc(n + 1, sizeof *copy)))
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!(copy[i] = strdup(list[i]))) {
			free_list(copy);
			return NULL;
		}
	*count = n;
	return copy;
}

int watcher__words_copy(struct handler_words *words, const char *who, const char *const *command,
			const char *shell, watcher_error *err)
{
	/* "sh" is $0, what follows is "$@". */
	const char *const by_shell[] = { "/bin/sh", "-c", shell, "sh", NULL };

	if (shell && command)
		return watcher__fail(err, UV_EINVAL, "%s: both command and shell are given", who);
	if (shell ? !shell[0] : !command || !command[0] || !command[0][0])
		return watcher__fail(err, UV_EINVAL, "%s: no command is given", who);
	words->argv = copy_list(shell ? by_shell : command, &words->argc);
	return words->argv ? 0 : watcher__fail(err, UV_ENOMEM, "%s: out of memory", who);
}

int watcher__words_place(struct handler_words *words, const char *who, const char *cwd,
			 const char *const *env, watcher_error *err)
{
	for (const char *const *e = env; e && *e; e++)
		if (!strchr(*e, '=') || **e == '=')
			return watcher__fail(err, UV_EINVAL, "%s: not NAME=value: %s", who, *e);
	if (cwd && !cwd[0])
		return watcher__fail(err, UV_EINVAL, "%s: cwd is empty", who);
	words->env = copy_list(env, &words->nenv);
	words->cwd = cwd ? strdup(cwd) : NULL;
	if (!words->env || (cwd && !words->cwd))
		return watcher__fail(err, UV_ENOMEM, "%s: out of memory", who);
	return 0;
}

void watcher__words_free(struct handler_words *words)
{
	free_list(words->argv);
	free_list(words->env);
	free(words->cwd);
}
