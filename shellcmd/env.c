/* A child's environment: the host's, less what is removed, with what is set. */
#include <stdlib.h>
#include <string.h>

#include "shellcmd/proc.h"

extern char **environ;

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static size_t name_length(const char *entry)
{
	return strcspn(entry, "=");
}

static bool same_name(const char *entry, const char *other)
{
	size_t n = name_length(entry);

	return n == name_length(other) && !memcmp(entry, other, n);
}

static bool is_removed(const sh_call *c, const char *entry)
{
	for (size_t i = 0; c->unset && c->unset[i]; i++)
		if (same_name(entry, c->unset[i]))
			return true;
	for (size_t i = 0; c->env && c->env[i]; i++)
		if (same_name(entry, c->env[i]))
			return true;
	return false;
}

/* Of two settings of one name the later one counts. */
static bool is_set_later(const sh_call *c, size_t i)
{
	for (size_t j = i + 1; c->env[j]; j++)
		if (same_name(c->env[i], c->env[j]))
			return true;
	return false;
}

char **sh__env_make(const struct sh__spec *spec)
{
	const sh_call *c = &spec->call;
	size_t n = 0, n_host = c->env_clear ? 0 : count(environ);
	char **v = malloc((n_host + count((char *const *)c->env) + 1) * sizeof *v);

	if (!v)
		return NULL;
	for (size_t i = 0; i < n_host; i++)
		if (!is_removed(c, environ[i]))
			v[n++] = environ[i];
	for (size_t i = 0; c->env && c->env[i]; i++)
		if (!is_set_later(c, i))
			v[n++] = (char *)c->env[i];
	v[n] = NULL;
	return v;
}
