/* Terms of the command line and of rules files to rules of a filter. */
#include "filtering.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "say.h"
#include "verbs.h"

static const int rule_of[] = {
	[TERM_PATTERN] = WATCHER_RULE_PATTERN,
	[TERM_IGNORE] = WATCHER_RULE_IGNORE,
	[TERM_EXTENSIONS] = WATCHER_RULE_EXTENSION,
	[TERM_REGEX] = WATCHER_RULE_REGEX,
	[TERM_IGNORE_REGEX] = WATCHER_RULE_IGNORE_REGEX,
	[TERM_INCLUDE] = WATCHER_RULE_INCLUDE,
	[TERM_FILTER_FILE] = WATCHER_RULE_FILTER_FILE,
	[TERM_IGNORE_FILE] = WATCHER_RULE_IGNORE_FILE,
};

static int add(watcher_filter *f, const struct term *t, const char *text)
{
	watcher_error err = { 0 };
	const char *reason = err.message;
	size_t n = strlen(t->source);

	if (watcher_filter_add(f, rule_of[t->kind], text, t->source, &err) == 0)
		return 0;
	/* What is wrong within a rule begins with its source already. */
	if (strncmp(reason, t->source, n) == 0 && reason[n] == ' ')
		reason += n + 1;
	say_error("%s: %s", t->source, reason);
	return EXIT_USAGE;
}

/* Globs may be several in one word: 'a;b', as watchmedo takes them. */
static int add_term(watcher_filter *f, const struct term *t)
{
	int is_list = t->kind == TERM_PATTERN || t->kind == TERM_IGNORE;
	int r = 0;

	if (!is_list || !strchr(t->text, ';'))
		return !is_list || *t->text ? add(f, t, t->text) : 0;
	for (const char *p = t->text; *p && r == 0;) {
		size_t n = strcspn(p, ";");
		char *one = alloc_copy_n(p, n);

		if (n)
			r = add(f, t, one);
		free(one);
		p += n + (p[n] == ';');
	}
	return r;
}

/* log, snapshot and diff show what is there; the others what somebody works on. */
static int uses_ignores(const struct settings *s)
{
	return !s->watchmedo && !(s->verb->bit & (VERB_LOG | VERB_SNAPSHOT | VERB_DIFF));
}

static unsigned flags_of(const struct settings *s)
{
	int files = s->use_ignore_files >= 0 ? s->use_ignore_files : uses_ignores(s);
	int defaults = s->use_default_ignores >= 0
			   ? s->use_default_ignores
			   : uses_ignores(s) || s->use_ignore_files == 1;

	return (files ? WATCHER_FILTER_GITIGNORE | WATCHER_FILTER_DOT_IGNORE : 0u) |
	       (defaults ? WATCHER_FILTER_DEFAULTS : 0u) |
	       (s->ignore_case > 0 || (s->ignore_case == 0 && s->watchmedo)
		    ? WATCHER_FILTER_IGNORE_CASE
		    : 0u) |
	       (s->ignore_directories ? WATCHER_FILTER_NO_DIRECTORIES : 0u);
}

/* Glob characters of a path, made literal. */
static char *escaped(const char *path)
{
	char *s = alloc_zero(strlen(path) * 2 + 2, 1), *p = s;

	*p++ = '/';
	for (; *path; path++) {
		if (strchr("*?[]{}\\!# ", *path))
			*p++ = '\\';
		*p++ = *path;
	}
	return s;
}

/* Ignores the file at the absolute path `file` where it lies below a root. */
static int ignore_file(watcher_filter *f, const char *root, const char *file,
		       const char *origin)
{
	char *real = realpath(root, NULL), *glob;
	size_t n = real ? strlen(real) : 0;
	watcher_error err;
	int r = 0;

	if (n == 1)
		n = 0; /* "/" */
	if (real && strncmp(file, real, n) == 0 && file[n] == '/' && file[n + 1]) {
		glob = escaped(file + n + 1);
		r = watcher_filter_add(f, WATCHER_RULE_IGNORE, glob, origin, &err);
		free(glob);
	}
	free(real);
	return r;
}

enum { OUTPUTS = 3 };

static const char *output_name(const struct settings *s, int i)
{
	static const char *const names[OUTPUTS] = { "/dev/fd/1", "/dev/fd/2", NULL };

	return names[i] ? names[i] : s->log_file;
}

/* Whether there is such an output and it is a file. */
static int find_output(const struct settings *s, int i, struct stat *st)
{
	const char *name = output_name(s, i);

	return name && stat(name, st) == 0 && S_ISREG(st->st_mode);
}

static const char *const *roots_of(const struct settings *s)
{
	static const char *const here[] = { ".", NULL };

	return s->paths.n ? words_list(&s->paths) : here;
}

/* A predicate: behind a link that is followed, our own output has a name of which no pattern
 * knows. */
static int is_no_output(const char *path, int type, unsigned kind, void *arg)
{
	const struct settings *s = arg;
	struct stat at, own;

	(void)kind;
	for (const char *const *root = roots_of(s); *root && type == WATCHER_TYPE_FILE; root++) {
		char *full = alloc_text("%s/%s", *root, path);
		int is_there = stat(full, &at) == 0;

		free(full);
		for (int i = 0; is_there && i < OUTPUTS; i++)
			if (find_output(s, i, &own) && own.st_ino == at.st_ino &&
			    own.st_dev == at.st_dev)
				return 0;
	}
	return 1;
}

/*
 * What is printed into a file below a root would be an event, which would be printed: our own
 * output is no change.
 */
static void ignore_own_output(watcher_filter *f, const struct settings *s)
{
	int is_followed = 0;

	for (int i = 0; i < OUTPUTS; i++) {
		const char *name = output_name(s, i);
		struct stat st;
		char *file;

		if (!find_output(s, i, &st) || !(file = realpath(name, NULL)))
			continue;
		for (const char *const *root = roots_of(s); *root; root++)
			ignore_file(f, *root, file, i < 2 ? "our own output" : "--log-file");
		free(file);
		is_followed = s->follow_symlinks;
	}
	if (is_followed)
		watcher_filter_predicate(f, is_no_output, (void *)(uintptr_t)s);
}

int filter_open(watcher_filter **out, const struct settings *s)
{
	watcher_filter *f;
	watcher_error err = { 0 };
	int r = 0;

	if (watcher_filter_new(&f, &err) < 0 || watcher_filter_set(f, flags_of(s)) < 0) {
		say_error("%s", err.message[0] ? err.message : "out of memory");
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < s->terms.n && r == 0; i++)
		r = add_term(f, &s->terms.v[i]);
	ignore_own_output(f, s);
	if (r == 0)
		*out = f;
	else
		watcher_filter_free(f);
	return r;
}
