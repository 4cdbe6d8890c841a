/* From argv to settings: which word is an option, whose value, and what is wrong with it. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"
#include "signals.h"
#include "verbs.h"
#include "whendo/watcher.h"

#define WHY 256

int parse_time(int64_t *ms, const char *text, char why[WHY])
{
	static const struct {
		const char *name;
		double ms;
	} units[] = { { "", 1e3 },    { "ms", 1 },   { "s", 1e3 },  { "m", 6e4 },
		      { "min", 6e4 }, { "h", 36e5 }, { "us", 1e-3 } };
	char *end;
	double v;

	if (!isdigit((unsigned char)text[0]) && text[0] != '.') {
		snprintf(why, WHY, "is no time; write 50ms, 1.5s, 2m or seconds");
		return -1;
	}
	v = strtod(text, &end);
	if (strpbrk(text, "xX"))
		end = (char *)text; /* strtod takes hexadecimal */
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		v *= units[i].ms;
		/* A week keeps all arithmetic far from its limits. */
		if (!(v <= 7 * 24 * 36e5)) {
			snprintf(why, WHY, "is too long; a week (168h) is the most");
			return -1;
		}
		*ms = (int64_t)(v + 0.999999);
		return 0;
	}
	snprintf(why, WHY, "is no time; write 50ms, 1.5s, 2m or seconds");
	return -1;
}

static void nearest(char why[WHY], const char *what, const char *text, const char *const *names)
{
	const char *near = say_nearest(text, names);
	size_t n;

	if (near) {
		snprintf(why, WHY, "%s; did you mean %s?", what, near);
		return;
	}
	n = (size_t)snprintf(why, WHY, "%s; it may be", what);
	for (; *names && n < WHY; names++)
		n += (size_t)snprintf(why + n, WHY - n, "%s %s", names[1] ? "" : " or", *names);
}

static int parse_kinds(unsigned *kinds, const char *text, char why[WHY])
{
	static const char *const names[] = { "created", "modified", "moved",  "deleted",
					     "attrib",	"opened",   "closed", "closed_no_write",
					     "all",	NULL };
	unsigned all = 0;

	while (*text) {
		size_t n = strcspn(text, ",");
		char *word = alloc_copy_n(text, n);
		unsigned kind = strcmp(word, "all") == 0 ? (unsigned)WATCHER_ALL
							 : (unsigned)watcher_kind_of(word);
		char what[100];

		if (!(kind & WATCHER_ALL) && n) {
			snprintf(what, sizeof what, "has no kind '%.60s'", word);
			nearest(why, what, word, names);
			free(word);
			return -1;
		}
		free(word);
		all |= kind;
		text += n + (text[n] == ',');
	}
	if (!all) {
		snprintf(why, WHY, "names no kind of event");
		return -1;
	}
	*kinds = all;
	return 0;
}

static int parse_choice(int *index, const char *meta, const char *text, char why[WHY])
{
	struct words names = { 0 };
	int r = -1;

	for (const char *p = meta; *p;) {
		size_t n = strcspn(p, "|");

		words_take(&names, alloc_copy_n(p, n));
		p += n + (p[n] == '|');
	}
	for (size_t i = 0; i < names.n && r < 0; i++)
		if (strcmp(names.v[i], text) == 0) {
			*index = (int)i;
			r = 0;
		}
	if (r < 0)
		nearest(why, "is not known", text, words_list(&names));
	words_free(&names);
	return r;
}

static int parse_count(int *count, int least, const char *text, char why[WHY])
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (!*text || *end || errno || v < least || v > 1000000) {
		snprintf(why, WHY, "is no whole number from %d to 1000000", least);
		return -1;
	}
	*count = (int)v;
	return 0;
}

static int store_time(int64_t *ms, int least, const char *text, char why[WHY])
{
	int64_t v;

	if (parse_time(&v, text, why) < 0)
		return -1;
	if (v < least) {
		snprintf(why, WHY, "is too short; it must be more than nothing");
		return -1;
	}
	*ms = v;
	return 0;
}

static int store_word(struct settings *s, const struct option *o, const char *value,
		      char why[WHY])
{
	if (o->at == offsetof(struct settings, environment) &&
	    (!strchr(value, '=') || value[0] == '=')) {
		snprintf(why, WHY, "is no NAME=VALUE");
		return -1;
	}
	if (o->at == offsetof(struct settings, paths) && !*value) {
		snprintf(why, WHY, "is an empty path");
		return -1;
	}
	words_add((struct words *)(void *)((char *)s + o->at), value);
	return 0;
}

/* A directory to work in, or a list of files, is needed at once. */
static int check_place(const struct option *o, const char *value, char why[WHY])
{
	int is_dir = o->at == offsetof(struct settings, workdir);
	struct stat st;

	if (!is_dir && (o->at != offsetof(struct settings, files_from) || !strcmp(value, "-")))
		return 0;
	if (stat(value, &st) == 0 && S_ISDIR(st.st_mode) != is_dir)
		errno = is_dir ? ENOTDIR : EISDIR;
	else if (access(value, is_dir ? X_OK : R_OK) == 0)
		return 0;
	snprintf(why, WHY, "cannot be %s: %s", is_dir ? "entered" : "read", strerror(errno));
	return -1;
}

int option_store(struct settings *s, const struct option *o, const char *value,
		 const char *source, char why[WHY])
{
	void *at = (char *)s + o->at;
	int r;

	switch (o->kind) {
	case OPTION_SET:
		if (o->number == -2) /* --no-ignore is two options in one */
			s->use_ignore_files = s->use_default_ignores = 0;
		else
			*(int *)at = o->number;
		return 0;
	case OPTION_MORE:
		*(int *)at += o->number;
		return 0;
	case OPTION_TEXT:
	case OPTION_MAY_TEXT:
		if (value && check_place(o, value, why) < 0)
			return -1;
		free(*(char **)at);
		*(char **)at = alloc_copy(value ? value : "");
		return 0;
	case OPTION_WORDS:
		return store_word(s, o, value, why);
	case OPTION_TERM:
		terms_add(at, (enum term_kind)o->number, value, source);
		return 0;
	case OPTION_TIME:
		return store_time(at, o->number, value, why);
	case OPTION_COUNT:
		return parse_count(at, o->number, value, why);
	case OPTION_CHOICE:
		return parse_choice(at, o->meta, value, why);
	case OPTION_MAY_CHOICE:
		r = value ? parse_choice(at, o->meta, value, why) : (*(int *)at = 0);
		*(int *)at += r == 0;
		return r;
	case OPTION_SIGNAL:
		return parse_signal(at, value, why);
	case OPTION_KINDS:
		return parse_kinds(at, value, why);
	}
	return -1;
}

const struct option *option_find(const char *name, unsigned verbs_of)
{
	for (const struct option *o = options; o->name; o++)
		if ((o->verbs & verbs_of) && strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

static const struct option *find_letter(char letter, unsigned verbs_of)
{
	for (const struct option *o = options; o->name; o++)
		if ((o->verbs & verbs_of) && o->letter == letter)
			return o;
	return NULL;
}

const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (strcmp(v->name, name) == 0 || (v->alias && strcmp(v->alias, name) == 0))
			return v;
	return NULL;
}

static int unknown_option(const struct settings *s, const char *shown, const char *name)
{
	const char *names[256];
	const char *near;
	size_t n = 0;

	for (const struct option *o = options; o->name && n < 255; o++)
		if (o->verbs & s->verb->bit)
			names[n++] = o->name;
	names[n] = NULL;
	near = say_nearest(name, names);
	if (option_find(name, ~0u))
		say_error("%s: not an option of %s; see whendo %s --help", shown, s->verb->name,
			  s->verb->name);
	else if (near)
		say_error("%s: unknown option; did you mean --%s?", shown, near);
	else
		say_error("%s: unknown option; see whendo %s --help", shown, s->verb->name);
	return EXIT_USAGE;
}

static int store(struct settings *s, const struct option *o, const char *shown,
		 const char *value)
{
	char why[WHY];

	if (option_store(s, o, value, shown, why) == 0)
		return 0;
	say_error("%s: '%s' %s", shown, value ? value : "", why);
	return EXIT_USAGE;
}

static int takes_value(const struct option *o)
{
	return o->meta && o->kind != OPTION_MAY_TEXT && o->kind != OPTION_MAY_CHOICE;
}

/* --name, --name=value, --name value. *i moves past a value of its own. */
static int parse_long(struct settings *s, int argc, char **argv, int *i)
{
	const char *word = argv[*i] + 2, *value = strchr(word, '=');
	char *name = value ? alloc_copy_n(word, (size_t)(value - word)) : alloc_copy(word);
	const struct option *o = option_find(name, s->verb->bit);
	char *shown = alloc_text("--%s", name);
	int r = EXIT_USAGE;

	if (!o) {
		r = unknown_option(s, shown, name);
		goto out;
	}
	if (value && !o->meta) {
		say_error("%s: takes no value", shown);
		goto out;
	}
	if (value)
		value++;
	else if (takes_value(o)) {
		if (*i + 1 >= argc || strcmp(argv[*i + 1], "--") == 0) {
			say_error("%s: its value is missing (%s)", shown, o->meta);
			goto out;
		}
		value = argv[++*i];
	}
	r = store(s, o, shown, value);
out:
	free(name);
	free(shown);
	return r;
}

/* -x, -xvalue, -x value, and several letters in one word. */
static int parse_short(struct settings *s, int argc, char **argv, int *i)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		const struct option *o = find_letter(*p, s->verb->bit);
		char shown[3] = { '-', *p, 0 };
		const char *value = NULL;

		if (!o)
			return unknown_option(s, shown, shown + 1);
		if (o->meta && p[1] == '=')
			value = p + 2;
		else if (takes_value(o) && p[1])
			value = p + 1;
		else if (takes_value(o)) {
			if (*i + 1 >= argc || strcmp(argv[*i + 1], "--") == 0) {
				say_error("%s: its value is missing (%s)", shown, o->meta);
				return EXIT_USAGE;
			}
			value = argv[++*i];
		}
		if (store(s, o, shown, value))
			return EXIT_USAGE;
		if (value)
			return 0;
	}
	return 0;
}

/* auto-restart has a command where other verbs have paths. */
static void add_operand(struct settings *s, const char *word)
{
	words_add(s->verb->bit == VERB_AUTO_RESTART ? &s->command : &s->paths, word);
}

static int parse_words(struct settings *s, int argc, char **argv, int i)
{
	for (; i < argc; i++) {
		const char *word = argv[i];
		int r = 0;

		if (strcmp(word, "--") == 0)
			break;
		if (strncmp(word, "--", 2) == 0) {
			r = parse_long(s, argc, argv, &i);
		} else if (word[0] == '-' && word[1]) {
			r = parse_short(s, argc, argv, &i);
		} else if (!*word) {
			say_error("'': an empty path");
			r = EXIT_USAGE;
		} else {
			add_operand(s, word);
			/* What follows the command is its own. */
			if (s->verb->bit == VERB_AUTO_RESTART) {
				for (i++; i < argc; i++)
					add_operand(s, argv[i]);
				return 0;
			}
		}
		if (r)
			return r;
	}
	if (i < argc) {
		s->has_command = 1;
		for (i++; i < argc; i++)
			words_add(s->verb->bit & (VERB_RUN | VERB_AUTO_RESTART | VERB_PLAN)
				      ? &s->command
				      : &s->paths,
				  argv[i]);
	}
	return 0;
}

static int unknown_verb(const char *word)
{
	const char *names[32];
	const char *near;
	size_t n = 0;

	for (const struct verb *v = verbs; v->name && n < 31; v++)
		names[n++] = v->name;
	names[n] = NULL;
	near = say_nearest(word, names);
	if (near)
		say_error("%s: unknown verb; did you mean %s?", word, near);
	else if (access(word, F_OK) == 0)
		say_error(
		    "%s: unknown verb; to run a command when it changes: whendo %s -- COMMAND",
		    word, word);
	else
		say_error("%s: unknown verb; to run it when something changes: whendo -- %s",
			  word, word);
	return EXIT_USAGE;
}

int options_parse(struct settings *s, int argc, char **argv)
{
	const struct verb *verb = NULL;
	int watchmedo = s->watchmedo, has_dashes = 0;

	if (argc < 2)
		return 0;
	for (int i = 1; i < argc && !has_dashes; i++)
		has_dashes = strcmp(argv[i], "--") == 0;
	if (argv[1][0] != '-')
		verb = verb_find(argv[1]);
	if (!verb && argv[1][0] != '-' && !has_dashes)
		return unknown_verb(argv[1]);
	if (verb && (verb->bit & (VERB_SHELL_COMMAND | VERB_AUTO_RESTART | VERB_TRICKS)))
		watchmedo = 1;
	settings_init(s, verb ? verb : verb_find("run"), watchmedo);
	return parse_words(s, argc, argv, verb ? 2 : 1);
}
