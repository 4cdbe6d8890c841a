/* From YAML nodes to rules. Keys are the options of run; tricks have their own few. */
#include "rules_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "filtering.h"
#include "say.h"
#include "tricks_file.h"
#include "yaml_file.h"

struct reading {
	struct rule *rule;
	const yaml_node_t *map; /* the rule's */
	const yaml_node_t *needs, *run;
	char source[300]; /* file:line:column of the value */
};

static const struct option *key_option(const char *name)
{
	for (const struct option *o = options; o->name; o++)
		if ((o->verbs & VERB_RUN) && !(o->verbs & OPTION_NOT_KEY) &&
		    strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

static int unknown_key(struct yaml_file *y, const yaml_node_t *key, const char *name)
{
	const char *names[256] = { "name", "paths", "run", "needs" };
	const char *near;
	size_t n = 4;

	for (const struct option *o = options; o->name && n < 255; o++)
		if ((o->verbs & VERB_RUN) && !(o->verbs & OPTION_NOT_KEY))
			names[n++] = o->name;
	names[n] = NULL;
	near = say_nearest(name, names);
	return yaml_complain(y, key, "unknown key '%s'%s%s%s", name,
			     near ? "; did you mean '" : "", near ? near : "",
			     near ? "'?" : "");
}

/* Adds a text, or each of a list of texts. */
static void add_texts(struct yaml_file *y, const yaml_node_t *node, const char *what,
		      struct words *to)
{
	if (node->type != YAML_SEQUENCE_NODE) {
		const char *s = yaml_text(y, node, what);

		if (s)
			words_add(to, s);
		return;
	}
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++) {
		const yaml_node_t *item = yaml_child(y, *i);
		const char *s;

		/* Nobody means nothing by a ~ in a list, but many forget to quote it. */
		if (yaml_is_null(item))
			yaml_complain(y, item, "%s has an empty item; quote it if it is meant",
				      what);
		else if ((s = yaml_text(y, item, what)))
			words_add(to, s);
	}
}

static int is_empty(const yaml_node_t *node)
{
	return yaml_is_null(node) ||
	       (node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0) ||
	       (node->type == YAML_SEQUENCE_NODE &&
		node->data.sequence.items.start == node->data.sequence.items.top);
}

static void read_paths(struct yaml_file *y, const yaml_node_t *node, struct words *to)
{
	size_t before = to->n;

	if (is_empty(node))
		yaml_complain(y, node, "paths: names no path");
	else
		add_texts(y, node, "paths", to);
	for (size_t i = before; i < to->n; i++)
		if (!*to->v[i])
			yaml_complain(y, node, "paths: has an empty path");
}

static void store_text(struct yaml_file *y, const yaml_node_t *node, const struct option *o,
		       struct reading *g, const char *value)
{
	char why[256];

	if (option_store(&g->rule->s, o, value, g->source, why) < 0)
		yaml_complain(y, node, "%s: '%s' %s", o->name, value ? value : "", why);
}

static void store_flag(struct yaml_file *y, const yaml_node_t *node, const struct option *o,
		       struct reading *g)
{
	int on;

	if (yaml_bool(y, node, o->name, &on) < 0)
		return;
	if (on)
		store_text(y, node, o, g, NULL);
	else if (o->kind == OPTION_SET && (o->number == 0 || o->number == 1))
		*(int *)(void *)((char *)&g->rule->s + o->at) = !o->number;
}

/* env: {NAME: value} besides NAME=value. */
static void add_variable(struct yaml_file *y, const yaml_node_t *key, const char *name,
			 yaml_node_t *value, void *arg)
{
	struct reading *g = arg;
	const char *s = yaml_text(y, value, name);
	char *both;

	if (strchr(name, '='))
		yaml_complain(y, key, "env: '%s' is no name of a variable", name);
	if (!s)
		return;
	both = alloc_text("%s=%s", name, s);
	store_text(y, value, key_option("env"), g, both);
	free(both);
}

static void store_list(struct yaml_file *y, yaml_node_t *node, const struct option *o,
		       struct reading *g)
{
	struct words w = { 0 };

	add_texts(y, node, o->name, &w);
	if (o->kind == OPTION_KINDS || o->number == TERM_EXTENSIONS) {
		/* One value with commas. */
		char *all = alloc_copy(""), *more;

		for (size_t i = 0; i < w.n; i++) {
			more = alloc_text("%s%s%s", all, i ? "," : "", w.v[i]);
			free(all);
			all = more;
		}
		store_text(y, node, o, g, all);
		free(all);
	} else {
		for (size_t i = 0; i < w.n; i++)
			store_text(y, node, o, g, w.v[i]);
	}
	words_free(&w);
}

static int is_bool(const yaml_node_t *node)
{
	const char *s =
	    node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";

	return strcmp(s, "true") == 0 || strcmp(s, "false") == 0 || strcmp(s, "yes") == 0 ||
	       strcmp(s, "no") == 0;
}

static void store_option(struct yaml_file *y, yaml_node_t *node, const struct option *o,
			 struct reading *g)
{
	const char *s;

	snprintf(g->source, sizeof g->source, "%s:%zu:%zu", y->path, node->start_mark.line + 1,
		 node->start_mark.column + 1);
	if (!o->meta ||
	    ((o->kind == OPTION_MAY_TEXT || o->kind == OPTION_MAY_CHOICE) && is_bool(node))) {
		store_flag(y, node, o, g);
	} else if (o->kind == OPTION_WORDS && node->type == YAML_MAPPING_NODE) {
		yaml_each(y, node, o->name, add_variable, g);
	} else if (o->kind == OPTION_WORDS || o->kind == OPTION_TERM ||
		   o->kind == OPTION_KINDS) {
		store_list(y, node, o, g);
	} else if ((s = yaml_text(y, node, o->name))) {
		store_text(y, node, o, g, s);
	}
}

static void read_run(struct yaml_file *y, yaml_node_t *node, struct reading *g)
{
	struct settings *s = &g->rule->s;

	g->run = node;
	if (is_empty(node)) {
		yaml_complain(y, node, "run: names no command");
		return;
	}
	add_texts(y, node, "run", &s->command);
	if (s->command.n && !*s->command.v[0])
		yaml_complain(y, node, "run: names no command");
	if (node->type == YAML_SCALAR_NODE && !s->shell)
		s->shell = alloc_copy("");
	/* A list of one word with a space is still an argument vector. */
	s->is_vector = node->type == YAML_SEQUENCE_NODE;
}

static void read_key(struct yaml_file *y, const yaml_node_t *key, const char *name,
		     yaml_node_t *value, void *arg)
{
	struct reading *g = arg;
	const struct option *o;
	const char *s;

	if (strcmp(name, "name") == 0) {
		s = yaml_text(y, value, "name");
		if (s && !*s)
			yaml_complain(y, value, "name: is empty");
		else if (s)
			g->rule->name = alloc_copy(s);
	} else if (strcmp(name, "paths") == 0) {
		read_paths(y, value, &g->rule->s.paths);
	} else if (strcmp(name, "needs") == 0) {
		g->needs = value;
		add_texts(y, value, "needs", &g->rule->needs);
	} else if (strcmp(name, "run") == 0) {
		read_run(y, value, g);
	} else if ((o = key_option(name))) {
		store_option(y, value, o, g);
	} else {
		unknown_key(y, key, name);
	}
}

static struct rule *add_rule(struct rules *rules, const struct settings *base)
{
	struct rule *r;

	rules->v = alloc_again(rules->v, rules->n + 1, sizeof *rules->v);
	r = &rules->v[rules->n++];
	*r = (struct rule){ .kind = RULE_RUN };
	settings_init(&r->s, verb_find("run"), 0);
	r->s.loudness = base->loudness;
	r->s.color = base->color;
	r->s.keys = 0;
	return r;
}

static void read_rule(struct yaml_file *y, const yaml_node_t *node, struct rules *rules,
		      const struct settings *base, struct reading *g)
{
	*g = (struct reading){ .map = node, .rule = add_rule(rules, base) };
	if (yaml_each(y, node, "a rule", read_key, g) < 0)
		return;
	if (!g->run)
		yaml_complain(y, node, "the rule has no 'run'");
	if (!g->rule->name)
		g->rule->name = alloc_text("rule %zu", rules->n);
}

static struct rule *find_rule(const struct rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->v[i].name, name) == 0)
			return &rules->v[i];
	return NULL;
}

static void check_names(struct yaml_file *y, const struct rules *rules, const struct reading *g)
{
	const char **names = alloc_zero(rules->n + 1, sizeof *names);

	for (size_t i = 0; i < rules->n; i++)
		names[i] = rules->v[i].name;
	for (size_t i = 0; i < rules->n; i++) {
		const struct words *needs = &rules->v[i].needs;

		if (find_rule(rules, rules->v[i].name) != &rules->v[i])
			yaml_complain(y, g[i].map, "a rule named '%s' is there twice",
				      rules->v[i].name);
		for (size_t k = 0; k < needs->n; k++) {
			const char *near = say_nearest(needs->v[k], names);

			if (!find_rule(rules, needs->v[k]))
				yaml_complain(y, g[i].needs,
					      "needs: there is no rule '%s'%s%s%s", needs->v[k],
					      near ? "; did you mean '" : "", near ? near : "",
					      near ? "'?" : "");
		}
	}
	free(names);
}

/* Whether rule `to` can be reached from `from`; `left` bounds the way by the number of rules.
 */
static int reaches(const struct rules *rules, const struct rule *from, const struct rule *to,
		   size_t left)
{
	for (size_t i = 0; left && from && i < from->needs.n; i++) {
		const struct rule *next = find_rule(rules, from->needs.v[i]);

		if (next == to || (next && reaches(rules, next, to, left - 1)))
			return 1;
	}
	return 0;
}

static void check_cycles(struct yaml_file *y, const struct rules *rules,
			 const struct reading *g)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].needs.n &&
		    reaches(rules, &rules->v[i], &rules->v[i], rules->n)) {
			yaml_complain(y, g[i].needs, "needs: '%s' needs itself, by way of '%s'",
				      rules->v[i].name, rules->v[i].needs.v[0]);
			return;
		}
}

static void read_rules(struct yaml_file *y, const yaml_node_t *list, struct rules *rules,
		       const struct settings *base)
{
	struct reading *g;
	size_t n;

	if (list->type != YAML_SEQUENCE_NODE) {
		yaml_complain(y, list, "rules: is no list; begin each rule with a -");
		return;
	}
	n = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
	if (n == 0)
		yaml_complain(y, list, "rules: is empty");
	if (n > 1000) {
		yaml_complain(y, list, "rules: more than 1000");
		return;
	}
	g = alloc_zero(n, sizeof *g);
	for (size_t i = 0; i < n; i++)
		read_rule(y, yaml_child(y, list->data.sequence.items.start[i]), rules, base,
			  &g[i]);
	if (y->complaints == 0)
		check_names(y, rules, g);
	if (y->complaints == 0)
		check_cycles(y, rules, g);
	free(g);
}

struct top {
	yaml_node_t *rules, *tricks;
};

static void read_top(struct yaml_file *y, const yaml_node_t *key, const char *name,
		     yaml_node_t *value, void *arg)
{
	static const char *const names[] = { "rules", "tricks", "python-path", NULL };
	struct top *top = arg;
	const char *near = say_nearest(name, names);

	if (strcmp(name, "rules") == 0)
		top->rules = value;
	else if (strcmp(name, "tricks") == 0)
		top->tricks = value;
	else if (strcmp(name, "python-path") != 0)
		yaml_complain(y, key, "unknown key '%s'%s%s%s", name,
			      near ? "; did you mean '" : "", near ? near : "",
			      near ? "'?" : "");
}

static void note_meaning(struct yaml_file *y, const yaml_node_t *key, const yaml_node_t *value,
			 struct rule *rule)
{
	struct bytes b = { 0 };

	if (key)
		yaml_meaning(y, key, &b);
	yaml_meaning(y, value, &b);
	rule->meaning = bytes_take(&b);
}

/* Only of a file without mistakes: such nodes are small, however often they are aliases. */
static void note_meanings(struct yaml_file *y, const struct top *top, struct rules *rules)
{
	size_t n = 0;

	for (const yaml_node_item_t *i = top->rules ? top->rules->data.sequence.items.start
						    : NULL;
	     i && i < top->rules->data.sequence.items.top; i++)
		note_meaning(y, NULL, yaml_child(y, *i), &rules->v[n++]);
	for (const yaml_node_item_t *i = top->tricks ? top->tricks->data.sequence.items.start
						     : NULL;
	     i && i < top->tricks->data.sequence.items.top; i++) {
		const yaml_node_t *trick = yaml_child(y, *i);

		for (const yaml_node_pair_t *p = trick->data.mapping.pairs.start;
		     p < trick->data.mapping.pairs.top; p++)
			note_meaning(y, yaml_child(y, p->key), yaml_child(y, p->value),
				     &rules->v[n++]);
	}
}

/* Globs, extensions, expressions and files of patterns are read by the filter; what is wrong
 * with them is said with the place they stand at. */
static int check_filters(const struct rules *rules)
{
	int r = 0;

	for (size_t i = 0; i < rules->n; i++) {
		watcher_filter *f = NULL;

		if (filter_open(&f, &rules->v[i].s) != 0)
			r = -1;
		else
			watcher_filter_free(f);
	}
	return r;
}

int rules_load(struct rules *rules, const char *path, const struct settings *base)
{
	struct yaml_file y;
	struct top top = { 0 };
	const yaml_node_t *node;
	int r;

	*rules = (struct rules){ 0 };
	if (yaml_file_load(&y, path, base->trust) < 0)
		return -1;
	node = yaml_file_top(&y);
	if (!node)
		yaml_complain(&y, NULL, "is empty; it has no 'rules'");
	else if (yaml_each(&y, node, "the file", read_top, &top) == 0 && !top.rules &&
		 !top.tricks && y.complaints == 0)
		yaml_complain(&y, node, "has no 'rules'");
	if (top.rules)
		read_rules(&y, top.rules, rules, base);
	if (top.tricks) {
		rules->is_tricks = 1;
		tricks_read(&y, top.tricks, rules, base);
	}
	r = y.complaints || check_filters(rules) < 0 ? -1 : 0;
	if (r < 0)
		rules_free(rules);
	else
		note_meanings(&y, &top, rules);
	yaml_file_close(&y);
	return r;
}

void rules_move(struct rules *to, struct rules *from)
{
	if (from->n) {
		to->v = alloc_again(to->v, to->n + from->n, sizeof *to->v);
		memcpy(to->v + to->n, from->v, from->n * sizeof *to->v);
	}
	to->n += from->n;
	to->is_tricks |= from->is_tricks;
	from->n = 0;
	rules_free(from);
}

void rule_free(struct rule *rule)
{
	free(rule->name);
	free(rule->meaning);
	settings_free(&rule->s);
	words_free(&rule->needs);
	*rule = (struct rule){ 0 };
}

void rules_free(struct rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		rule_free(&rules->v[i]);
	free(rules->v);
	*rules = (struct rules){ 0 };
}
