/* Completion scripts for bash, zsh and fish, made from the tables of options.c. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "emit.h"
#include "options.h"
#include "print.h"
#include "say.h"

/* Choices of an option as words, or "" where a file name is as good as anything. */
static void add_choices(struct bytes *out, const struct option *o)
{
	if (o->kind == OPTION_KINDS)
		emit(out,
		     "created modified moved deleted attrib opened closed closed_no_write");
	else if (o->kind == OPTION_SIGNAL)
		emit(out, "TERM INT HUP QUIT KILL USR1 USR2 CONT WINCH");
	else if (o->kind == OPTION_CHOICE || o->kind == OPTION_MAY_CHOICE)
		for (const char *p = o->meta; *p; p++)
			emit_n(out, *p == '|' ? " " : p, 1);
}

static void add_words(struct bytes *out, const struct verb *verb)
{
	for (const struct option *o = options; o->name; o++) {
		if (!(o->verbs & verb->bit))
			continue;
		emit_f(out, " --%s", o->name);
		if (o->letter)
			emit_f(out, " -%c", o->letter);
	}
}

static void add_bash(struct bytes *out)
{
	emit(out, "_whendo()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} "
		  "prev=${COMP_WORDS[COMP_CWORD-1]}"
		  " verb=${COMP_WORDS[1]} words=\n\tCOMPREPLY=()\n\tcase $verb-$prev in\n");
	for (const struct option *o = options; o->name; o++) {
		struct bytes choices = { 0 };

		add_choices(&choices, o);
		if (choices.len)
			emit_f(
			    out,
			    "\t*-%s%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n",
			    "--", o->name, choices.data);
		bytes_free(&choices);
	}
	emit(out, "\tesac\n\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\twords='");
	for (const struct verb *v = verbs; v->name; v++)
		emit_f(out, "%s ", v->name);
	emit(out, "--version --help'\n\tfi\n\tcase $verb in\n");
	for (const struct verb *v = verbs; v->name; v++) {
		emit_f(out, "\t%s) words=\"$words", v->name);
		add_words(out, v);
		emit(out, "\" ;;\n");
	}
	emit(out, "\t-*) words=\"$words");
	add_words(out, verb_find("run"));
	emit(out, "\" ;;\n\tesac\n"
		  "\tcase $cur in\n\t-*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
		  "\t*) COMPREPLY=($(compgen -W \"${words//-*/}\" -- \"$cur\") $(compgen -f -- "
		  "\"$cur\")) ;;\n"
		  "\tesac\n}\ncomplete -o filenames -F _whendo whendo\n");
}

/* In zsh's and fish's quotes an apostrophe ends the text. */
static void add_quoted(struct bytes *out, const char *s, const char *escape_too)
{
	for (; *s; s++) {
		if (*s == '\'')
			emit(out, "'\\''");
		else if (strchr(escape_too, *s))
			emit_f(out, "\\%c", *s);
		else
			emit_n(out, s, 1);
	}
}

static void add_zsh_option(struct bytes *out, const struct option *o, const char *spelled)
{
	emit_f(out, " '*%s%s[", spelled,
	       o->meta ? o->letter && spelled[1] != '-' ? "+" : "=" : "");
	add_quoted(out, o->help, "[]:");
	emit(out, "]");
	if (o->meta) {
		int may = o->kind == OPTION_MAY_TEXT || o->kind == OPTION_MAY_CHOICE;

		emit_f(out, "%s", may ? "::" : ":");
		add_quoted(out, o->meta, ":[]");
		emit(out, ":");
		if (o->kind == OPTION_CHOICE || o->kind == OPTION_MAY_CHOICE ||
		    o->kind == OPTION_SIGNAL || o->kind == OPTION_KINDS) {
			emit(out, "(");
			add_choices(out, o);
			emit(out, ")");
		} else if (o->kind == OPTION_TEXT || o->number == TERM_IGNORE_FILE) {
			emit(out, "_files");
		}
	}
	emit(out, "'");
}

static void add_zsh(struct bytes *out)
{
	emit(out, "#compdef whendo\n_whendo()\n{\n\tlocal -a verbs\n\tverbs=(");
	for (const struct verb *v = verbs; v->name; v++) {
		emit_f(out, " '%s:", v->name);
		add_quoted(out, v->summary, ":");
		emit(out, "'");
	}
	emit(out,
	     " )\n\tif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
	     "\t\t_describe verb verbs\n\t\t_files\n\t\treturn\n\tfi\n\tcase $words[2] in\n");
	for (const struct verb *v = verbs; v->name; v++) {
		emit_f(out, "\t%s%s) _arguments -s", v->name, v->bit == VERB_RUN ? "|-*" : "");
		for (const struct option *o = options; o->name; o++) {
			char spelled[80];

			if (!(o->verbs & v->bit))
				continue;
			snprintf(spelled, sizeof spelled, "--%s", o->name);
			add_zsh_option(out, o, spelled);
			snprintf(spelled, sizeof spelled, "-%c", o->letter);
			if (o->letter)
				add_zsh_option(out, o, spelled);
		}
		emit(out, " '*:file:_files' ;;\n");
	}
	emit(out, "\tesac\n}\n_whendo \"$@\"\n");
}

static void add_fish(struct bytes *out)
{
	for (const struct verb *v = verbs; v->name; v++) {
		emit_f(out, "complete -c whendo -n __fish_use_subcommand -a %s -d '", v->name);
		add_quoted(out, v->summary, "");
		emit(out, "'\n");
	}
	for (const struct option *o = options; o->name; o++) {
		emit(out, "complete -c whendo -n '__fish_seen_subcommand_from");
		for (const struct verb *v = verbs; v->name; v++)
			if (o->verbs & v->bit)
				emit_f(out, " %s", v->name);
		emit_f(out, "' -l %s", o->name);
		if (o->letter)
			emit_f(out, " -s %c", o->letter);
		if (o->meta && o->kind != OPTION_MAY_TEXT && o->kind != OPTION_MAY_CHOICE)
			emit(out, " -r");
		emit(out, " -a '");
		add_choices(out, o);
		emit(out, "' -d '");
		add_quoted(out, o->help, "");
		emit(out, "'\n");
	}
}

int verb_completions(struct settings *s)
{
	static const char *const shells[] = { "bash", "zsh", "fish", NULL };
	static void (*const add[])(struct bytes *) = { add_bash, add_zsh, add_fish };
	struct bytes out = { 0 };
	const char *near;

	if (s->paths.n != 1) {
		say_error("completions: name one shell: bash, zsh or fish");
		return EXIT_USAGE;
	}
	for (int i = 0; shells[i]; i++)
		if (strcmp(shells[i], s->paths.v[0]) == 0)
			add[i](&out);
	if (!out.len) {
		near = say_nearest(s->paths.v[0], shells);
		say_error("completions: '%s' is not known; %s%s", s->paths.v[0],
			  near ? "did you mean " : "it may be bash, zsh or fish",
			  near ? near : "");
		return EXIT_USAGE;
	}
	return print_out(&out);
}
