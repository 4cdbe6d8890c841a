/* From the keys of one rule to its settings. */
#include "rule_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "emit.h"
#include "say.h"

struct reading {
	struct rule *rule;
	struct rule_place *place;
	const struct option *option; /* whose value is read */
	const yaml_node_t *workdir;
	int has_run;
};

static int is_key(const struct option *o)
{
	return (o->verbs & VERB_RUN) && !(o->verbs & OPTION_NOT_KEY);
}

static const struct option *key_option(const char *name)
{
	for (const struct option *o = options; o->name; o++)
		if (is_key(o) && strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

static void unknown_key(struct yaml_file *y, const yaml_node_t *key, const char *name)
{
	const char *names[256] = { "name", "paths", "run", "needs" };
	size_t n = 4;

	for (const struct option *o = options; o->name && n < 255; o++)
		if (is_key(o))
			names[n++] = o->name;
	names[n] = NULL;
	yaml_complain_near(y, key, name, names, "unknown key '%s'", name);
}

static int is_empty(const yaml_node_t *node)
{
	return yaml_is_null(node) ||
	       (node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0) ||
	       (node->type == YAML_SEQUENCE_NODE && yaml_length(node) == 0);
}

static void add_word(struct yaml_file *y, const yaml_node_t *at, const char *text, void *arg)
{
	(void)y;
	(void)at;
	words_add(arg, text);
}

static void add_path(struct yaml_file *y, const yaml_node_t *at, const char *text, void *arg)
{
	if (*text)
		words_add(arg, text);
	else
		yaml_complain(y, at, "paths: has an empty path");
}

static void read_paths(struct yaml_file *y, const yaml_node_t *node, struct words *to)
{
	if (is_empty(node))
		yaml_complain(y, node, "paths: names no path");
	else
		yaml_each_text(y, node, "paths", add_path, to);
}

/* ---- options */

static void store_text(struct yaml_file *y, const yaml_node_t *at, const char *value, void *arg)
{
	struct reading *g = arg;
	const struct option *o = g->option;
	char why[256], source[YAML_PLACE];

	yaml_place(source, y, at);
	if (o->at == offsetof(struct settings, files_from) && strcmp(value, "-") == 0)
		yaml_complain(y, at, "%s: a rule has no standard input to read", o->name);
	else if (option_store(&g->rule->s, o, value, source, why) < 0)
		yaml_complain(y, at, "%s: '%s' %s", o->name, value, why);
}

/* What the rule needs may make the directory that it works in. */
static void store_workdir(struct yaml_file *y, struct reading *g)
{
	const char *s = yaml_text(y, g->workdir, "workdir");

	g->option = key_option("workdir");
	if (s && *s && g->rule->needs.n && access(s, F_OK) < 0 && errno == ENOENT)
		g->rule->s.workdir = alloc_copy(s);
	else if (s)
		store_text(y, g->workdir, s, g);
}

static void store_flag(struct yaml_file *y, const yaml_node_t *node, struct reading *g)
{
	const struct option *o = g->option;
	char why[256];
	int on;

	if (yaml_bool(y, node, o->name, &on) < 0)
		return;
	if (on)
		option_store(&g->rule->s, o, NULL, "", why);
	else if (o->kind == OPTION_SET && (o->number == 0 || o->number == 1))
		*(int *)(void *)((char *)&g->rule->s + o->at) = !o->number;
}

/* env: {NAME: value} besides NAME=value. */
static void store_variable(struct yaml_file *y, const yaml_node_t *key, const char *name,
			   yaml_node_t *value, void *arg)
{
	const char *s = yaml_is_null(value) ? "" : yaml_text(y, value, name);
	char *both;

	if (strchr(name, '='))
		yaml_complain(y, key, "env: '%s' is no name of a variable", name);
	if (!s)
		return;
	both = alloc_text("%s=%s", name, s);
	store_text(y, value, both, arg);
	free(both);
}

/* Kinds and extensions are one value with commas. */
static void store_joined(struct yaml_file *y, const yaml_node_t *node, struct reading *g)
{
	struct words w = { 0 };
	struct bytes all = { 0 };

	yaml_each_text(y, node, g->option->name, add_word, &w);
	emit(&all, "");
	for (size_t i = 0; i < w.n; i++)
		emit_f(&all, "%s%s", i ? "," : "", w.v[i]);
	store_text(y, node, all.data, g);
	bytes_free(&all);
	words_free(&w);
}

static int is_bool(const yaml_node_t *node)
{
	const char *s =
	    node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";

	return strcmp(s, "true") == 0 || strcmp(s, "false") == 0 || strcmp(s, "yes") == 0 ||
	       strcmp(s, "no") == 0;
}

static void store_option(struct yaml_file *y, const yaml_node_t *node, struct reading *g)
{
	const struct option *o = g->option;
	int may_be_flag = o->kind == OPTION_MAY_TEXT || o->kind == OPTION_MAY_CHOICE;
	const char *s;

	if (!o->meta || (may_be_flag && is_bool(node)))
		store_flag(y, node, g);
	else if (yaml_is_null(node))
		yaml_complain(y, node, "%s has no value; quote it if it is meant", o->name);
	else if (o->kind == OPTION_WORDS && node->type == YAML_MAPPING_NODE)
		yaml_each(y, node, o->name, store_variable, g);
	else if (o->kind == OPTION_KINDS || o->number == TERM_EXTENSIONS)
		store_joined(y, node, g);
	else if (o->kind == OPTION_WORDS || o->kind == OPTION_TERM)
		yaml_each_text(y, node, o->name, store_text, g);
	else if (o->at == offsetof(struct settings, workdir))
		g->workdir = node;
	else if ((s = yaml_text(y, node, o->name)))
		store_text(y, node, s, g);
}

/* ---- the others */

static void read_run(struct yaml_file *y, const yaml_node_t *node, struct reading *g)
{
	struct settings *s = &g->rule->s;

	g->has_run = 1;
	if (is_empty(node)) {
		yaml_complain(y, node, "run: names no command");
		return;
	}
	yaml_each_text(y, node, "run", add_word, &s->command);
	if (s->command.n && !*s->command.v[0])
		yaml_complain(y, node, "run: names no command");
	if (node->type == YAML_SCALAR_NODE && !s->shell)
		s->shell = alloc_copy("");
	/* A list of one word with a space is still an argument vector. */
	s->is_vector = node->type == YAML_SEQUENCE_NODE;
}

static void read_name(struct yaml_file *y, const yaml_node_t *node, struct rule *rule)
{
	const char *s = yaml_is_null(node) ? "" : yaml_text(y, node, "name");

	if (s && !*s)
		yaml_complain(y, node, "name: is empty");
	else if (s)
		rule->name = alloc_copy(s);
}

static void read_key(struct yaml_file *y, const yaml_node_t *key, const char *name,
		     yaml_node_t *value, void *arg)
{
	struct reading *g = arg;

	if (strcmp(name, "name") == 0) {
		read_name(y, value, g->rule);
	} else if (strcmp(name, "paths") == 0) {
		read_paths(y, value, &g->rule->s.paths);
	} else if (strcmp(name, "run") == 0) {
		read_run(y, value, g);
	} else if (strcmp(name, "needs") == 0) {
		g->place->needs = value;
		if (yaml_is_null(value))
			yaml_complain(y, value, "needs: names no rule");
		else
			yaml_each_text(y, value, "needs", add_word, &g->rule->needs);
	} else if ((g->option = key_option(name))) {
		store_option(y, value, g);
	} else {
		unknown_key(y, key, name);
	}
}

void rule_read(struct yaml_file *y, const yaml_node_t *node, struct rule *rule,
	       struct rule_place *place)
{
	struct reading g = { .rule = rule, .place = place };

	place->map = node;
	if (yaml_each(y, node, "a rule", read_key, &g) == 0 && !g.has_run)
		yaml_complain(y, node, "the rule has no 'run'");
	if (g.workdir)
		store_workdir(y, &g);
}
