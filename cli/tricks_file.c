/* Arguments of Watchdog's tricks to settings. */
#include "tricks_file.h"

#include <stdlib.h>
#include <string.h>

#include "say.h"

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
	int has_command;
};

static void add_terms(struct yaml_file *y, yaml_node_t *node, const char *what,
		      enum term_kind kind, struct terms *to)
{
	char source[300];

	snprintf(source, sizeof source, "%s:%zu", y->path, node->start_mark.line + 1);
	if (yaml_is_null(node))
		return;
	if (node->type == YAML_SCALAR_NODE) {
		terms_add(to, kind, (const char *)node->data.scalar.value, source);
		return;
	}
	if (node->type != YAML_SEQUENCE_NODE) {
		yaml_complain(y, node, "%s is no list", what);
		return;
	}
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++) {
		const char *s = yaml_text(y, yaml_child(y, *i), what);

		if (s)
			terms_add(to, kind, s, source);
	}
}

static void read_seconds(struct yaml_file *y, yaml_node_t *node, const char *what, int64_t *ms)
{
	const char *s = yaml_text(y, node, what);
	char why[256];

	if (s && parse_time(ms, s, why) < 0)
		yaml_complain(y, node, "%s: '%s' %s", what, s, why);
}

static void read_command(struct yaml_file *y, yaml_node_t *node, struct trick *t)
{
	struct words *to = &t->rule->s.command;
	const char *s;

	t->has_command = 1;
	if (node->type == YAML_SEQUENCE_NODE) {
		for (yaml_node_item_t *i = node->data.sequence.items.start;
		     i < node->data.sequence.items.top; i++)
			if ((s = yaml_text(y, yaml_child(y, *i), "command")))
				words_add(to, s);
		t->rule->s.is_vector = 1;
	} else if ((s = yaml_text(y, node, "command"))) {
		words_add(to, s);
	}
}

static void read_signal(struct yaml_file *y, yaml_node_t *node, struct trick *t)
{
	const char *s = yaml_text(y, node, "stop_signal");
	char why[256];

	if (s && parse_signal(&t->rule->s.stop_signal, s, why) < 0)
		yaml_complain(y, node, "stop_signal: '%s' %s", s, why);
}

static const char *const base_keys[] = { "patterns",	       "ignore_patterns",
					 "ignore_directories", "case_sensitive",
					 "source_directory",   NULL };
static const char *const shell_keys[] = { "shell_command", "wait_for_process",
					  "drop_during_process", NULL };
static const char *const restart_keys[] = { "command",
					    "stop_signal",
					    "kill_after",
					    "debounce_interval_seconds",
					    "restart_on_command_exit",
					    NULL };

static int is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return 1;
	return 0;
}

static const char *const *keys_of(const struct trick_class *c)
{
	return c->kind == RULE_SHELL_COMMAND ? shell_keys
	       : c->kind == RULE_RUN	     ? restart_keys
					     : base_keys;
}

static void unknown(struct yaml_file *y, const yaml_node_t *key, const char *name,
		    const struct trick *t)
{
	const char *near = say_nearest(name, keys_of(t->class));

	if (!near)
		near = say_nearest(name, base_keys);
	yaml_complain(y, key, "%s takes no '%s'%s%s%s", t->class->name, name,
		      near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void read_base(struct yaml_file *y, const char *name, yaml_node_t *value,
		      struct trick *t)
{
	struct settings *s = &t->rule->s;
	const char *text;
	int is_sensitive;

	if (strcmp(name, "patterns") == 0)
		add_terms(y, value, name, TERM_PATTERN, &s->terms);
	else if (strcmp(name, "ignore_patterns") == 0)
		add_terms(y, value, name, TERM_IGNORE, &s->terms);
	else if (strcmp(name, "ignore_directories") == 0)
		yaml_bool(y, value, name, &s->ignore_directories);
	else if (strcmp(name, "case_sensitive") == 0) {
		if (yaml_bool(y, value, name, &is_sensitive) == 0)
			s->ignore_case = is_sensitive ? -1 : 1;
	} else if ((text = yaml_text(y, value, name)))
		words_add(&s->paths, text);
}

static void read_argument(struct yaml_file *y, const yaml_node_t *key, const char *name,
			  yaml_node_t *value, void *arg)
{
	struct trick *t = arg;
	struct settings *s = &t->rule->s;
	const char *text;

	if (is_one_of(name, base_keys))
		read_base(y, name, value, t);
	else if (!is_one_of(name, keys_of(t->class)))
		unknown(y, key, name, t);
	else if (strcmp(name, "shell_command") == 0) {
		if ((text = yaml_text(y, value, name))) {
			free(s->shell_line);
			s->shell_line = alloc_copy(text);
		}
	} else if (strcmp(name, "wait_for_process") == 0)
		yaml_bool(y, value, name, &s->wait);
	else if (strcmp(name, "drop_during_process") == 0)
		yaml_bool(y, value, name, &s->drop);
	else if (strcmp(name, "command") == 0)
		read_command(y, value, t);
	else if (strcmp(name, "stop_signal") == 0)
		read_signal(y, value, t);
	else if (strcmp(name, "kill_after") == 0)
		read_seconds(y, value, name, &s->stop_timeout_ms);
	else if (strcmp(name, "debounce_interval_seconds") == 0)
		read_seconds(y, value, name, &s->debounce_ms);
	else
		yaml_bool(y, value, name, &s->restart_on_exit);
}

struct reader {
	struct rules *rules;
	const struct settings *base;
};

static void read_trick(struct yaml_file *y, const yaml_node_t *key, const char *name,
		       yaml_node_t *value, void *arg)
{
	struct reader *d = arg;
	const struct trick_class *c = trick_find(name);
	struct rules *rules = d->rules;
	struct trick t = { .class = c };
	struct rule *r;

	if (!c) {
		yaml_complain(y, key,
			      "%s is not known; there are watchdog.tricks.ShellCommandTrick, "
			      "AutoRestartTrick and LoggerTrick; other classes need Python",
			      name);
		return;
	}
	rules->v = alloc_again(rules->v, rules->n + 1, sizeof *rules->v);
	t.rule = r = &rules->v[rules->n++];
	*r = (struct rule){ .kind = c->kind };
	settings_init(&r->s, verb_find(c->verb), 1);
	r->name = alloc_text("%s %zu", c->verb, rules->n);
	r->s.recursive = 1;
	r->s.loudness = d->base->loudness;
	r->s.backend = d->base->backend;
	r->s.poll_interval_ms = d->base->poll_interval_ms;
	if (!yaml_is_null(value))
		yaml_each(y, value, name, read_argument, &t);
	if (c->kind == RULE_RUN && !t.has_command)
		yaml_complain(y, key, "%s needs a 'command'", name);
}

void tricks_read(struct yaml_file *y, const yaml_node_t *list, struct rules *rules,
		 const struct settings *base)
{
	struct reader d = { rules, base };

	if (list->type != YAML_SEQUENCE_NODE) {
		yaml_complain(y, list, "tricks: is no list; begin each trick with a -");
		return;
	}
	if (list->data.sequence.items.start == list->data.sequence.items.top)
		yaml_complain(y, list, "tricks: is empty");
	for (yaml_node_item_t *i = list->data.sequence.items.start;
	     i < list->data.sequence.items.top; i++)
		yaml_each(y, yaml_child(y, *i), "a trick", read_trick, &d);
}
