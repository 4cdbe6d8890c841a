/* From argv to settings: which word is an option and whose value. Values are option_values.c's.
 */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"
#include "verbs.h"
#include "whendo/shellcmd.h"

const struct option *option_find(const char *name, unsigned verbs_of)
{
	for (const struct option *o = options; o->name; o++)
		if ((o->verbs & verbs_of) && strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

int option_takes_value(const struct option *o)
{
	return o->meta && o->kind != OPTION_MAY_TEXT && o->kind != OPTION_MAY_CHOICE;
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

void verb_names(const char *names[VERB_NAMES])
{
	size_t n = 0;

	for (const struct verb *v = verbs; v->name && n < VERB_NAMES - 1; v++)
		names[n++] = v->name;
	names[n] = NULL;
}

/* The names other programs give to what we have, where the hint would be another. */
static const char *option_elsewhere(const char *name)
{
	static const struct {
		const char *theirs, *ours;
	} known[] = {
		{ "delay-run", "delay" },	   { "emit-events-to", "stdin" },
		{ "exclude", "ignore-regex" },	   { "exitcrash", "exit-on-error" },
		{ "filter", "pattern" },	   { "format-time", "format" },
		{ "fromfile", "files-from" },	   { "fs-events", "events" },
		{ "ignore-nothing", "no-ignore" }, { "interactive", "keys" },
		{ "latency", "debounce" },	   { "legacy-watch", "backend" },
		{ "monitor", "backend" },	   { "no-stdin", "no-keys" },
		{ "no-vcs-ignore", "no-gitignore" },
		{ "on-busy-update", "on-busy" },   { "on-change-only", "postpone" },
		{ "one-event", "once" },	   { "poll", "backend" },
		{ "polling-interval", "poll-interval" },
		{ "timefmt", "format" },	   { "timestamp", "time" },
		{ "watch-non-recursive", "no-recursive" },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].theirs, name) == 0)
			return known[i].ours;
	return NULL;
}

static int unknown_option(const struct settings *s, const char *shown, const char *name)
{
	const char *names[256];
	const char *near = option_elsewhere(name);
	size_t n = 0;

	for (const struct option *o = options; o->name && n < 255; o++)
		if (o->verbs & s->verb->bit)
			names[n++] = o->name;
	names[n] = NULL;
	if (!near || !option_find(near, s->verb->bit))
		near = say_nearest(name, names);
	if (option_find(name, ~0u) || (!name[1] && find_letter(name[0], ~0u)))
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
	char why[256];

	if (option_store(s, o, value, shown, why) == 0)
		return 0;
	say_error("%s: '%s' %s", shown, value ? value : "", why);
	return EXIT_USAGE;
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
	else if (option_takes_value(o)) {
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
		else if (option_takes_value(o) && p[1])
			value = p + 1;
		else if (option_takes_value(o)) {
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

/*
 * What follows the command of auto-restart is its own. watchmedo wants a -- before its first
 * option, which is then no argument; a -- behind an option has never meant that.
 */
static void add_own_words(struct settings *s, int argc, char **argv, int i)
{
	int may_be_watchmedos = 1;

	for (; i < argc; i++) {
		int is_dashes = strcmp(argv[i], "--") == 0;

		if (!may_be_watchmedos || !is_dashes)
			add_operand(s, argv[i]);
		may_be_watchmedos &= argv[i][0] != '-';
	}
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
			if (s->verb->bit == VERB_AUTO_RESTART) {
				add_own_words(s, argc, argv, i + 1);
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

/* argv[1] is neither verb nor option; very often it is a command, without its --. */
static int unknown_verb(char **argv)
{
	const char *word = argv[1], *names[VERB_NAMES];
	char hint[SAY_HINT], *rest;

	verb_names(names);
	if (!*word) {
		say_error("'': an empty verb; see whendo --help");
	} else if (*say_hint(hint, word, names)) {
		say_error("%s: unknown verb%s", word, hint);
	} else if (access(word, F_OK) == 0) {
		say_error(
		    "%s: unknown verb; to run a command when it changes: whendo %s -- COMMAND",
		    word, word);
	} else {
		rest = sh_quote((const char *const *)(argv + 1));
		say_error("%s: unknown verb; to run it when something changes: whendo -- %s",
			  word, rest ? rest : word);
		free(rest);
	}
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
		return unknown_verb(argv);
	if (verb && (verb->bit & (VERB_SHELL_COMMAND | VERB_AUTO_RESTART | VERB_TRICKS)))
		watchmedo = 1;
	settings_init(s, verb ? verb : verb_find("run"), watchmedo);
	return parse_words(s, argc, argv, verb ? 2 : 1);
}
