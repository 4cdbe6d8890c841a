/* rules and tricks: finds the file, reads it, and plays it or says that it has no mistake. */
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "band.h"
#include "rules_file.h"
#include "say.h"

/* What was given on the command line means the directory it was given in. */
static void keep_log_file(struct settings *s)
{
	char *here, *path;

	if (!s->log_file || s->log_file[0] == '/' || !(here = getcwd(NULL, 0)))
		return;
	path = alloc_text("%s/%s", here, s->log_file);
	free(s->log_file);
	s->log_file = path;
	free(here);
}

/* Paths and commands of a file mean its directory, wherever one stands. Returns the name in
 * there, NULL after having said why not. */
static const char *enter_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int r;

	if (!slash)
		return path;
	dir = alloc_copy_n(path, slash == path ? 1 : (size_t)(slash - path));
	if ((r = chdir(dir)) < 0)
		say_error("%s: %s", path, strerror(errno));
	free(dir);
	return r < 0 ? NULL : slash + 1;
}

static int say_checked(const struct settings *s, const struct rules *rules)
{
	struct voice v = { .level = s->loudness, .log_fd = -1 };

	say(&v, 0, SAY_PLAIN, "%s: %zu rule%s, no mistake", s->paths.v[0], rules->n,
	    rules->n == 1 ? "" : "s");
	return 0;
}

static int play_files(struct settings *s, const struct words *files)
{
	struct rules rules;
	int r;

	if (band_load(&rules, files, s) < 0)
		return EXIT_USAGE;
	r = s->check ? say_checked(s, &rules) : band_play(&rules, files, s);
	rules_free(&rules);
	return r;
}

int verb_rules(struct settings *s)
{
	static const char *const names[] = { "whendo.yaml", "tricks.yaml", NULL };
	struct words files = { 0 };
	const char *name;
	int r;

	if (s->has_command) {
		say_error("%s: takes no command; the file says what runs", s->verb->name);
		return EXIT_USAGE;
	}
	if (s->paths.n > 1) {
		say_error("%s: one file at a time", s->verb->name);
		return EXIT_USAGE;
	}
	for (int i = 0; s->paths.n == 0 && names[i]; i++)
		if (access(names[i], F_OK) == 0)
			words_add(&s->paths, names[i]);
	if (s->paths.n == 0) {
		say_error("whendo.yaml: not here, nor tricks.yaml; name the file");
		return EXIT_USAGE;
	}
	keep_log_file(s);
	if (!(name = enter_directory(s->paths.v[0])))
		return EXIT_USAGE;
	words_add(&files, name);
	r = play_files(s, &files);
	words_free(&files);
	return r;
}

int verb_tricks(struct settings *s)
{
	s->watchmedo = 1;
	if (s->paths.n > 0)
		return play_files(s, &s->paths);
	say_error("%s: name a tricks file", s->verb->name);
	return EXIT_USAGE;
}
