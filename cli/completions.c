/*
 * Completion scripts for bash, zsh and fish, made from the tables of options.c. Without a verb
 * the options are those of run; what stands after -- is completed as a command of its own.
 */
#include "verbs.h"

#include <string.h>

#include "base/bytes.h"
#include "emit.h"
#include "options.h"
#include "print.h"
#include "say.h"
#include "tricks_file.h"

/* The words an option's value may be, each with `sep` before it; nothing where any will do. */
static void add_choices(struct bytes *out, const struct option *o, const char *sep)
{
	static const char *const signals = "TERM|INT|HUP|QUIT|KILL|USR1|USR2|CONT|WINCH";
	const char *p = NULL;

	for (const char *const *kind = kind_names; *kind && o->kind == OPTION_KINDS; kind++)
		emit_f(out, "%s%s", sep, *kind);
	if (o->kind == OPTION_SIGNAL)
		p = signals;
	else if (o->kind == OPTION_CHOICE || o->kind == OPTION_MAY_CHOICE)
		p = o->meta;
	while (p && *p) {
		size_t n = strcspn(p, "|");

		emit_f(out, "%s%.*s", sep, (int)n, p);
		p += n + (p[n] == '|');
	}
}

/* Operands that are words and no paths. */
static void add_operands(struct bytes *out, const struct verb *verb)
{
	if (verb->bit == VERB_COMPLETIONS)
		emit(out, " bash zsh fish");
	for (const struct verb *v = verbs; v->name && verb->bit == VERB_HELP; v++)
		emit_f(out, " %s", v->name);
	for (const struct trick_class *c = trick_classes; c->name && verb->bit == VERB_GENERATE;
	     c++)
		emit_f(out, " %s", c->name);
}

/* "run|log" with a separator of choice; an alias is a name, too. */
static void add_verbs_of(struct bytes *out, unsigned bits, const char *sep)
{
	const char *before = "";

	for (const struct verb *v = verbs; v->name; v++) {
		if (!(v->bit & bits))
			continue;
		emit_f(out, "%s%s", before, v->name);
		before = sep;
		if (v->alias)
			emit_f(out, "%s%s", sep, v->alias);
	}
}

/* ---- bash ---- */

static void add_bash_option(struct bytes *out, const struct option *o)
{
	const char *before = "\t";

	for (const struct verb *v = verbs; v->name; v++) {
		if (!(v->bit & o->verbs))
			continue;
		emit_f(out, "%s'%s --%s'", before, v->name, o->name);
		before = "|";
		if (o->letter)
			emit_f(out, "|'%s -%c'", v->name, o->letter);
	}
	emit(out, ") words='");
	add_choices(out, o, " ");
	emit_f(out, "' has_value=%s ;;\n", o->kind == OPTION_KINDS ? "," : "1");
}

static void add_bash_verb(struct bytes *out, const struct verb *v)
{
	emit_f(out, "\t%s) options='", v->name);
	for (const struct option *o = options; o->name; o++) {
		if (!(o->verbs & v->bit))
			continue;
		emit_f(out, " --%s", o->name);
		if (o->letter)
			emit_f(out, " -%c", o->letter);
	}
	emit(out, "' operands='");
	add_operands(out, v);
	emit(out, "' ;;\n");
}

static void add_bash_start(struct bytes *out)
{
	emit(out,
	     "_whendo()\n{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	     "\tlocal verb=${COMP_WORDS[1]} words= options= operands= has_value= i\n"
	     "\tCOMPREPLY=()\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\t[ \"${COMP_WORDS[i]}\" = -- ] || continue\n"
	     "\t\tif declare -F _command_offset >/dev/null; then _command_offset $((i + 1))\n"
	     "\t\telif [ $((i + 1)) = \"$COMP_CWORD\" ]; then\n"
	     "\t\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
	     "\t\tfi\n\t\treturn\n\tdone\n"
	     /* readline makes a word of its own of the = in --name=value */
	     "\tif [ \"$cur\" = = ]; then cur=\n"
	     "\telif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
	     "\tcase $verb in\n");
	for (const struct verb *v = verbs; v->name; v++)
		if (v->alias)
			emit_f(out, "\t%s) verb=%s ;;\n", v->alias, v->name);
	emit(out, "\t");
	add_verbs_of(out, ~0u, "|");
	emit(out, ") ;;\n\t*) verb=run ;;\n\tesac\n");
}

static void add_bash(struct bytes *out)
{
	add_bash_start(out);
	emit(out, "\tcase \"$verb $prev\" in\n");
	for (const struct option *o = options; o->name; o++)
		if (option_takes_value(o) || o->kind == OPTION_MAY_CHOICE)
			add_bash_option(out, o);
	emit(out, "\tesac\n\tif [ -n \"$has_value\" ]; then\n"
		  "\t\t[[ $has_value$cur != ,*,* ]] || words=${words// / ${cur%,*},}\n"
		  "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
		  "\t\treturn\n\tfi\n\tcase $verb in\n");
	for (const struct verb *v = verbs; v->name; v++)
		add_bash_verb(out, v);
	emit(out, "\tesac\n\t[ \"$COMP_CWORD\" != 1 ] || {\n\t\toperands='");
	add_verbs_of(out, ~0u, " ");
	emit(out, "'\n\t}\n"
		  "\tcase $cur in\n"
		  "\t-*) mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\") ;;\n"
		  "\t*)\n"
		  "\t\tmapfile -t COMPREPLY < <(compgen -W \"$operands\" -- \"$cur\"; "
		  "compgen -f -- \"$cur\")\n"
		  "\t\tcompopt -o filenames 2>/dev/null ;;\n"
		  "\tesac\n}\ncomplete -o default -F _whendo whendo\n");
}

/* ---- zsh ---- */

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

static void add_zsh_value(struct bytes *out, const struct option *o)
{
	struct bytes choices = { 0 };

	emit(out, option_takes_value(o) ? ":" : "::");
	add_quoted(out, o->meta, ":[]");
	emit(out, ":");
	add_choices(&choices, o, " ");
	if (o->kind == OPTION_KINDS)
		emit_f(out, "_values -s , kind%s", choices.data);
	else if (choices.len)
		emit_f(out, "(%s)", choices.data + 1);
	else if (strcmp(o->meta, "DIR") == 0)
		emit(out, "_files -/");
	else if (strcmp(o->meta, "FILE") == 0 || strcmp(o->meta, "PATH") == 0)
		emit(out, "_files");
	else
		emit(out, " ");
	bytes_free(&choices);
}

static void add_zsh_option(struct bytes *out, const struct option *o, const char *spelled)
{
	const char *joins = !o->meta		? ""
			    : !option_takes_value(o)	? "=-"
			    : spelled[1] == '-' ? "="
						: "+";

	emit_f(out, " \\\n\t\t'*%s%s[", spelled, joins);
	add_quoted(out, o->help, "[]:");
	emit(out, "]");
	if (o->meta)
		add_zsh_value(out, o);
	emit(out, "'");
}

static void add_zsh_verb(struct bytes *out, const struct verb *v)
{
	struct bytes operands = { 0 };

	emit_f(out, "\t%s%s%s) _arguments -s", v->name, v->alias ? "|" : "",
	       v->alias ? v->alias : "");
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
	add_operands(&operands, v);
	if (operands.len)
		emit_f(out, " '*: :(%s)' ;;\n", operands.data + 1);
	else
		emit(out, " '*:path:_files' ;;\n");
	bytes_free(&operands);
}

static void add_zsh(struct bytes *out)
{
	emit(out, "#compdef whendo\n_whendo()\n{\n"
		  "\tlocal -i dashes=${words[(i)--]}\n"
		  "\tlocal -a verbs\n\tlocal verb=$words[2]\n"
		  "\tif (( dashes < CURRENT )); then\n"
		  "\t\tshift $dashes words\n\t\t(( CURRENT -= dashes ))\n"
		  "\t\t_normal\n\t\treturn\n\tfi\n"
		  "\tverbs=(");
	for (const struct verb *v = verbs; v->name; v++) {
		emit_f(out, "\n\t\t'%s:", v->name);
		add_quoted(out, v->summary, ":");
		emit(out, "'");
	}
	emit(out,
	     "\n\t)\n\tif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
	     "\t\t_describe verb verbs\n\t\t_files\n\t\treturn\n\tfi\n\tcase $verb in\n\t");
	add_verbs_of(out, ~0u, "|");
	/* _arguments looks at what stands behind the first word. */
	emit(out, ") shift words; (( CURRENT-- )) ;;\n\t*) verb=run ;;\n\tesac\n"
		  "\tcase $verb in\n");
	for (const struct verb *v = verbs; v->name; v++)
		add_zsh_verb(out, v);
	emit(out, "\tesac\n}\n"
		  /* autoloaded, the file is the function's body; sourced, it only defines it */
		  "if [[ $funcstack[1] == _whendo ]]; then _whendo \"$@\"; "
		  "else compdef _whendo whendo; fi\n");
}

/* ---- fish ---- */

static void add_fish_option(struct bytes *out, const struct option *o)
{
	struct bytes choices = { 0 };

	add_choices(&choices, o, " ");
	emit(out, "complete -c whendo -n '__whendo_verb ");
	add_verbs_of(out, o->verbs, " ");
	emit_f(out, "' -l %s", o->name);
	if (o->letter)
		emit_f(out, " -s %c", o->letter);
	if (o->kind == OPTION_KINDS)
		emit_f(out, " -x -a '(__fish_append ,%s)'", choices.data);
	else if (choices.len)
		emit_f(out, " %s -a '%s'", option_takes_value(o) ? "-x" : "-f", choices.data + 1);
	else if (option_takes_value(o))
		emit(out, " -r");
	emit(out, " -d '");
	add_quoted(out, o->help, "\\");
	emit(out, "'\n");
	bytes_free(&choices);
}

static void add_fish(struct bytes *out)
{
	emit(out, "function __whendo_verb\n"
		  "\tset -l words (commandline -opc)\n"
		  "\tcontains -- -- $words; and return 1\n"
		  "\tset -l verb run\n"
		  "\tset -q words[2]; and contains -- $words[2] ");
	add_verbs_of(out, ~0u, " ");
	emit(out,
	     "; and set verb $words[2]\n"
	     "\tcontains -- $verb $argv\nend\n"
	     "function __whendo_first\n"
	     "\ttest (count (commandline -opc)) = 1\nend\n"
	     "function __whendo_command\n"
	     "\tcontains -- -- (commandline -opc)\nend\n"
	     "complete -c whendo -n __whendo_command -x -a "
	     "'(complete -C (string replace -r \"^.*? -- \" \"\" -- (commandline -cp)))'\n");
	for (const struct verb *v = verbs; v->name; v++) {
		struct bytes operands = { 0 };

		emit_f(out, "complete -c whendo -n __whendo_first -a %s -d '", v->name);
		add_quoted(out, v->summary, "\\");
		emit(out, "'\n");
		add_operands(&operands, v);
		if (operands.len)
			emit_f(out, "complete -c whendo -n '__whendo_verb %s' -f -a '%s'\n",
			       v->name, operands.data + 1);
		bytes_free(&operands);
	}
	for (const struct option *o = options; o->name; o++)
		add_fish_option(out, o);
}

int verb_completions(struct settings *s)
{
	static const char *const shells[] = { "bash", "zsh", "fish", NULL };
	static void (*const add[])(struct bytes *) = { add_bash, add_zsh, add_fish };
	struct bytes out = { 0 };
	char hint[SAY_HINT];

	if (s->paths.n != 1) {
		say_error("completions: name one shell: bash, zsh or fish");
		return EXIT_USAGE;
	}
	for (int i = 0; shells[i]; i++)
		if (strcmp(shells[i], s->paths.v[0]) == 0)
			add[i](&out);
	if (!out.len) {
		say_hint(hint, s->paths.v[0], shells);
		say_error("completions: '%s' is not known%s", s->paths.v[0],
			  *hint ? hint : "; it may be bash, zsh or fish");
		return EXIT_USAGE;
	}
	return print_out(&out);
}
