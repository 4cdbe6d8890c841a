/* rules and tricks: finds the file, reads it, and plays it or says that it has no mistake. */
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "band.h"
#include "rules_file.h"
#include "say.h"

/* Paths and commands of a file mean its directory, wherever one stands. Returns the name in
 * there, NULL after having said why not. */
static const char *enter_directory(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return path;
	*slash = '\0';
	if (chdir(slash == path ? "/" : path) < 0) {
		say_error("%s: %s", path, strerror(errno));
		return NULL;
	}
	return slash + 1;
}

static int say_checked(const struct settings *s, const struct rules *rules)
{
	struct voice v = { .level = s->loudness, .log_fd = -1 };

	say(&v, 0, SAY_PLAIN, "%s: %zu rule%s, no mistake", s->paths.v[0], rules->n,
	    rules->n == 1 ? "" : "s");
	return 0;
}

static int play_files(struct settings *s)
{
	struct words files = { 0 };
	struct rules rules;
	const char *name;
	int r = EXIT_USAGE;

	if (band_load(&rules, &s->paths, s) < 0)
		return EXIT_USAGE;
	if (s->check) {
		r = say_checked(s, &rules);
	} else if (s->verb->bit == VERB_TRICKS) {
		for (size_t i = 0; i < s->paths.n; i++)
			words_add(&files, s->paths.v[i]);
		r = band_play(&rules, &files, s);
	} else if ((name = enter_directory(s->paths.v[0]))) {
		words_add(&files, name);
		r = band_play(&rules, &files, s);
	}
	rules_free(&rules);
	words_free(&files);
	return r;
}

int verb_rules(struct settings *s)
{
	static const char *const names[] = { "whendo.yaml", "tricks.yaml", NULL };

	if (s->paths.n > 1) {
		say_error("%s: one file at a time", s->verb->name);
		return EXIT_USAGE;
	}
	for (int i = 0; s->paths.n == 0 && names[i]; i++)
		if (access(names[i], F_OK) == 0)
			words_add(&s->paths, names[i]);
	if (s->paths.n > 0)
		return play_files(s);
	say_error("whendo.yaml: not here, nor tricks.yaml; name the file");
	return EXIT_USAGE;
}

int verb_tricks(struct settings *s)
{
	s->watchmedo = 1;
	if (s->paths.n > 0)
		return play_files(s);
	say_error("%s: name a tricks file", s->verb->name);
	return EXIT_USAGE;
}
