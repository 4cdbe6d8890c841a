/* --help, made from the tables of options.c. */
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "emit.h"
#include "print.h"
#include "say.h"
#include "verbs.h"
#include "whendo/version.h"

enum { HELP_COLUMN = 32, WIDTH = 80 };

/* The text from HELP_COLUMN on, broken between words; the line is at that column. */
static void add_wrapped(struct bytes *out, const char *text)
{
	size_t room = WIDTH - HELP_COLUMN, n;

	for (; strlen(text) > room; text += n + 1) {
		for (n = room; n > 0 && text[n] != ' '; n--)
			;
		if (n == 0)
			break;
		emit_f(out, "%.*s\n%*s", (int)n, text, HELP_COLUMN, "");
	}
	emit_f(out, "%s\n", text);
}

/* Two names of one thing. */
static int are_the_same(const struct option *a, const struct option *b)
{
	return a->at == b->at && a->number == b->number && a->kind == b->kind;
}

/* `others`: the verb whose other names of it stand beside it, NULL for none. */
static void add_option(struct bytes *out, const struct option *o, const struct verb *others)
{
	struct bytes left = { 0 };

	if (o->letter)
		emit_f(&left, "  -%c, --%s", o->letter, o->name);
	else
		emit_f(&left, "      --%s", o->name);
	for (const struct option *n = o + 1; others && n->name && are_the_same(o, n); n++)
		if (n->verbs & others->bit)
			emit_f(&left, ", --%s", n->name);
	if (o->kind == OPTION_MAY_TEXT || o->kind == OPTION_MAY_CHOICE)
		emit_f(&left, "[=%s]", o->meta);
	else if (o->meta)
		emit_f(&left, " %s", o->meta);
	if (left.len > HELP_COLUMN - 2)
		emit_f(out, "%s\n%*s", left.data, HELP_COLUMN, "");
	else
		emit_f(out, "%-*s", HELP_COLUMN, left.data);
	add_wrapped(out, o->help);
	bytes_free(&left);
}

/* The table's order is that of these groups. */
static const struct {
	const char *first, *heading;
} groups[] = {
	{ "recursive", "What is watched" },
	{ "pattern", "Which events pass" },
	{ "format", "Records" },
	{ "debounce", "Batches and runs" },
	{ "command", "As watchmedo" },
	{ "color", "Messages" },
};

static const char *heading_of(const struct option *of)
{
	const char *heading = "";
	size_t i = 0;

	for (const struct option *o = options; o <= of; o++)
		if (i < sizeof groups / sizeof *groups && strcmp(o->name, groups[i].first) == 0)
			heading = groups[i++].heading;
	return heading;
}

static void add_verb_help(struct bytes *out, const struct verb *verb)
{
	const char *last = "";

	emit_f(out, "whendo %s %s\n%s\n", verb->name, verb->synopsis, verb->summary);
	for (const struct option *o = options; o->name; o++) {
		if (!(o->verbs & verb->bit))
			continue;
		if (strcmp(heading_of(o), last) != 0)
			emit_f(out, "\n%s\n", last = heading_of(o));
		add_option(out, o, NULL);
	}
	if (verb->bit & (VERB_RUN | VERB_LOG | VERB_WAIT))
		emit(out, "\nTIME is 50ms, 1.5s, 2m, 1h, or a number of seconds.\n");
}

static void add_overview(struct bytes *out)
{
	emit_f(out, "whendo %s: when something changes, do something\n\n",
	       whendo_version_string());
	emit(out, "  whendo [OPTION...] [PATH...] -- COMMAND [ARG...]\n"
		  "  whendo VERB [OPTION...] [PATH...]\n\n");
	for (const struct verb *v = verbs; v->name; v++)
		emit_f(out, "  %-22s%s\n", v->name, v->summary);
	emit(out,
	     "\n  whendo src -e c,h -- make check        run it now and after every change\n"
	     "  whendo -r -- ./server                  restart it\n"
	     "  whendo log src                         print what happens\n"
	     "\nwhendo VERB --help has the options; man whendo has all of it.\n");
}

/* What watchmedo has for a verb, as it is there; log has more of ours. NULL: it is not its own. */
static const struct option *as_in_watchmedo(const struct option *o, const struct verb *verb)
{
	if (!(o->verbs & verb->bit) || (o->verbs & OPTION_NOT_WATCHMEDO))
		return NULL;
	return verb->bit == VERB_LOG ? option_find(o->name, VERB_SHELL_COMMAND | VERB_TRICKS) : o;
}

static const char *watchmedo_summary(const struct verb *verb)
{
	static const char prefix[] = "watchmedo: ";
	size_t n = sizeof prefix - 1;

	return strncmp(verb->summary, prefix, n) == 0 ? verb->summary + n : verb->summary;
}

static int is_watchmedo_verb(const struct verb *v)
{
	return v->bit == VERB_LOG || watchmedo_summary(v) != v->summary;
}

static void add_watchmedo_verb_help(struct bytes *out, const struct verb *verb)
{
	const struct option *last = NULL;

	emit_f(out, "usage: watchmedo %s %s\n\n%s\n\noptions:\n", verb->name,
	       verb->bit == VERB_LOG ? "[OPTION...] [DIR...]" : verb->synopsis,
	       watchmedo_summary(verb));
	for (const struct option *o = options, *as; o->name; o++) {
		if (!(as = as_in_watchmedo(o, verb)) || (last && are_the_same(last, as)))
			continue;
		add_option(out, as, verb);
		last = as;
	}
	if (verb->bit == VERB_SHELL_COMMAND)
		emit(out, "\nCOMMAND finds in its environment, and may spell as variables,\n"
			  "  ${watch_src_path} ${watch_dest_path} ${watch_event_type} "
			  "${watch_object}\n");
	if (verb->bit == VERB_LOG)
		emit(out, "\nThe other options of whendo log hold, too; see whendo(1).\n");
}

static void add_watchmedo_overview(struct bytes *out)
{
	emit(out, "usage: watchmedo [-h] [--version] VERB [OPTION...] ...\n\n");
	for (const struct verb *v = verbs; v->name; v++) {
		if (!is_watchmedo_verb(v))
			continue;
		if (v->alias)
			emit_f(out, "  %s, %s\n%24s%s\n", v->name, v->alias, "",
			       watchmedo_summary(v));
		else
			emit_f(out, "  %-22s%s\n", v->name, watchmedo_summary(v));
	}
	emit(out, "\nThe other verbs are whendo's:");
	for (const struct verb *v = verbs; v->name; v++)
		if (!is_watchmedo_verb(v))
			emit_f(out, " %s", v->name);
	emit_f(out, ".\nThis is whendo %s under watchmedo's name, with its defaults.\n\n",
	       whendo_version_string());
	emit(out, "watchmedo VERB --help has the options; man whendo has all of it.\n");
}

int help_print(const struct verb *verb, int as_watchmedo)
{
	struct bytes out = { 0 };

	if (verb && as_watchmedo && is_watchmedo_verb(verb))
		add_watchmedo_verb_help(&out, verb);
	else if (verb)
		add_verb_help(&out, verb);
	else if (as_watchmedo)
		add_watchmedo_overview(&out);
	else
		add_overview(&out);
	return print_out(&out);
}

int verb_help(struct settings *s)
{
	const struct verb *verb;
	const char *names[VERB_NAMES];
	char hint[SAY_HINT];

	if (s->paths.n == 0)
		return help_print(NULL, s->watchmedo);
	if (s->paths.n > 1) {
		say_error("help: one verb at a time");
		return EXIT_USAGE;
	}
	verb = verb_find(s->paths.v[0]);
	if (verb)
		return help_print(verb, s->watchmedo);
	verb_names(names);
	say_hint(hint, s->paths.v[0], names);
	say_error("%s: unknown verb%s", s->paths.v[0], *hint ? hint : "; see whendo --help");
	return EXIT_USAGE;
}
