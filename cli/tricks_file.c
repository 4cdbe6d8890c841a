/* Arguments of Watchdog's tricks to settings. */
#include "tricks_file.h"

#include <stdlib.h>
#include <string.h>

#include "say.h"
#include "signals.h"

#define BASE_STUB                                                                              \
	"      patterns: [\"*\"]\n      ignore_patterns: []\n      ignore_directories: "       \
	"false\n"

const struct trick_class trick_classes[] = {
	{ "watchdog.tricks.ShellCommandTrick", RULE_SHELL_COMMAND, "shell-command",
	  BASE_STUB "      shell_command: 'echo \"${watch_src_path}\"'\n"
		    "      wait_for_process: false\n      drop_during_process: false\n" },
	{ "watchdog.tricks.AutoRestartTrick", RULE_RUN, "auto-restart",
	  BASE_STUB
	  "      command: [\"true\"]\n      stop_signal: 2\n      kill_after: 10\n"
	  "      debounce_interval_seconds: 0\n      restart_on_command_exit: true\n" },
	{ "watchdog.tricks.LoggerTrick", RULE_LOG, "log", BASE_STUB },
	{ "watchdog.tricks.Trick", RULE_LOG, "log", BASE_STUB },
	{ 0 }
};

const struct trick_class *trick_find(const char *dotted)
{
	for (const struct trick_class *c = trick_classes; c->name; c++)
		if (strcmp(c->name, dotted) == 0)
			return c;
	return NULL;
}

struct trick {
	struct rule *rule;
	const struct trick_class *class;
	const struct argument *argument; /* that is read */
};

/* Arguments of a trick: whose (base class first), of which kind, and where they are stored. */
enum argument_kind {
	ARG_GLOBS,
	ARG_FLAG,
	ARG_CASE,
	ARG_PATH,
	ARG_LINE,
	ARG_COMMAND,
	ARG_SIGNAL,
	ARG_SECONDS
};

#define ALL	   -1
#define AT(member) offsetof(struct settings, member)

/* clang-format off */
static const struct argument {
	const char *name;
	int rule; /* enum rule_kind, or ALL */
	enum argument_kind kind;
	size_t at;
	int number;
} arguments[] = {
	{ "patterns", ALL, ARG_GLOBS, AT(terms), TERM_PATTERN },
	{ "ignore_patterns", ALL, ARG_GLOBS, AT(terms), TERM_IGNORE },
	{ "ignore_directories", ALL, ARG_FLAG, AT(ignore_directories), 0 },
	{ "case_sensitive", ALL, ARG_CASE, AT(ignore_case), 0 },
	{ "source_directory", ALL, ARG_PATH, AT(paths), 0 },
	{ "shell_command", RULE_SHELL_COMMAND, ARG_LINE, AT(shell_line), 0 },
	{ "wait_for_process", RULE_SHELL_COMMAND, ARG_FLAG, AT(wait), 0 },
	{ "drop_during_process", RULE_SHELL_COMMAND, ARG_FLAG, AT(drop), 0 },
	{ "command", RULE_RUN, ARG_COMMAND, AT(command), 0 },
	{ "stop_signal", RULE_RUN, ARG_SIGNAL, AT(stop_signal), 0 },
	{ "kill_after", RULE_RUN, ARG_SECONDS, AT(stop_timeout_ms), 0 },
	{ "debounce_interval_seconds", RULE_RUN, ARG_SECONDS, AT(debounce_ms), 0 },
	{ "restart_on_command_exit", RULE_RUN, ARG_FLAG, AT(restart_on_exit), 0 },
	{ 0 }
};
/* clang-format on */

static int has_argument(const struct trick_class *c, const struct argument *a)
{
	return a->rule == ALL || a->rule == (int)c->kind;
}

static void add_text(struct yaml_file *y, const yaml_node_t *at, const char *text, void *arg)
{
	struct trick *t = arg;
	const struct argument *a = t->argument;
	void *to = (char *)&t->rule->s + a->at;
	char place[YAML_PLACE];

	yaml_place(place, y, at);
	if (a->kind == ARG_GLOBS)
		terms_add(to, (enum term_kind)a->number, text, place);
	else if (*text)
		words_add(to, text);
	else
		yaml_complain(y, at, "%s has an empty text", a->name);
}

/* The path, the shell line, signals and times. */
static void read_text(struct yaml_file *y, const yaml_node_t *node, struct trick *t)
{
	const struct argument *a = t->argument;
	void *to = (char *)&t->rule->s + a->at;
	const char *s = yaml_text(y, node, a->name);
	char why[256];
	int r = 0;

	if (!s)
		return;
	if (a->kind == ARG_SIGNAL)
		r = parse_signal(to, s, why);
	else if (a->kind == ARG_SECONDS)
		r = parse_time(to, s, why);
	else if (a->kind == ARG_PATH)
		words_add(to, s);
	else
		*(char **)to = alloc_copy(s);
	if (r < 0)
		yaml_complain(y, node, "%s: '%s' %s", a->name, s, why);
}

static void read_value(struct yaml_file *y, const yaml_node_t *node, struct trick *t)
{
	struct settings *s = &t->rule->s;
	const struct argument *a = t->argument;
	int is_sensitive;

	switch (a->kind) {
	case ARG_FLAG:
		yaml_bool(y, node, a->name, (int *)(void *)((char *)s + a->at));
		break;
	case ARG_CASE:
		if (yaml_bool(y, node, a->name, &is_sensitive) == 0)
			s->ignore_case = is_sensitive ? -1 : 1;
		break;
	case ARG_COMMAND:
		s->is_vector = node->type == YAML_SEQUENCE_NODE;
		yaml_each_text(y, node, a->name, add_text, t);
		break;
	case ARG_GLOBS:
		yaml_each_text(y, node, a->name, add_text, t);
		break;
	case ARG_PATH:
	case ARG_LINE:
	case ARG_SIGNAL:
	case ARG_SECONDS:
		read_text(y, node, t);
		break;
	}
}

static void unknown(struct yaml_file *y, const yaml_node_t *key, const char *name,
		    const struct trick *t)
{
	const char *names[sizeof arguments / sizeof *arguments];
	size_t n = 0;

	for (const struct argument *a = arguments; a->name; a++)
		if (has_argument(t->class, a))
			names[n++] = a->name;
	names[n] = NULL;
	yaml_complain_near(y, key, name, names, "%s takes no '%s'", t->class->name, name);
}

static void read_argument(struct yaml_file *y, const yaml_node_t *key, const char *name,
			  yaml_node_t *value, void *arg)
{
	struct trick *t = arg;
	const struct argument *a = arguments;

	while (a->name && (!has_argument(t->class, a) || strcmp(a->name, name) != 0))
		a++;
	t->argument = a;
	if (!a->name)
		unknown(y, key, name, t);
	else if (!yaml_is_null(value)) /* None is the default */
		read_value(y, value, t);
}

struct reader {
	struct rules *rules;
	const struct settings *base;
};

static struct rule *add_rule(struct rules *rules, const struct trick_class *c,
			     const struct settings *base)
{
	struct rule *r;

	rules->v = alloc_again(rules->v, rules->n + 1, sizeof *rules->v);
	r = &rules->v[rules->n++];
	*r = (struct rule){ .kind = c->kind };
	settings_init(&r->s, verb_find(c->verb), 1);
	r->name = alloc_text("%s %zu", c->verb, rules->n);
	r->s.recursive = 1;
	r->s.loudness = base->loudness;
	r->s.backend = base->backend;
	r->s.poll_interval_ms = base->poll_interval_ms;
	return r;
}

static void read_trick(struct yaml_file *y, const yaml_node_t *key, const char *name,
		       yaml_node_t *value, void *arg)
{
	struct reader *d = arg;
	const struct trick_class *c = trick_find(name);
	struct trick t = { .class = c };
	unsigned before = y->complaints;

	if (!c) {
		yaml_complain(y, key,
			      "%s is not known; there are watchdog.tricks.ShellCommandTrick, "
			      "AutoRestartTrick and LoggerTrick; other classes need Python",
			      name);
		return;
	}
	t.rule = add_rule(d->rules, c, d->base);
	if (!yaml_is_null(value))
		yaml_each(y, value, name, read_argument, &t);
	if (c->kind == RULE_RUN && t.rule->s.command.n == 0 && y->complaints == before)
		yaml_complain(y, key, "%s needs a 'command'", name);
	if (y->complaints == 0)
		t.rule->meaning = yaml_meaning(y, key, value);
}

void tricks_read(struct yaml_file *y, const yaml_node_t *list, struct rules *rules,
		 const struct settings *base)
{
	struct reader d = { rules, base };
	size_t before = rules->n;

	if (list->type != YAML_SEQUENCE_NODE) {
		yaml_complain(y, list, "tricks: is no list; begin each trick with a -");
		return;
	}
	for (size_t i = 0; i < yaml_length(list); i++)
		yaml_each(y, yaml_item(y, list, i), "a trick", read_trick, &d);
	if (rules->n == before && y->complaints == 0)
		yaml_complain(y, list, "tricks: is empty");
}
