/* A file of rules or tricks: what is in it, and what its rules are to each other. */
#include "rules_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "filtering.h"
#include "rule_keys.h"
#include "say.h"
#include "tricks_file.h"
#include "yaml_file.h"

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

static struct rule *find_rule(const struct rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->v[i].name, name) == 0)
			return &rules->v[i];
	return NULL;
}

static void check_names(struct yaml_file *y, const struct rules *rules,
			const struct rule_place *places)
{
	const char **names = alloc_zero(rules->n + 1, sizeof *names);

	for (size_t i = 0; i < rules->n; i++)
		names[i] = rules->v[i].name;
	for (size_t i = 0; i < rules->n; i++) {
		const struct words *needs = &rules->v[i].needs;

		if (find_rule(rules, rules->v[i].name) != &rules->v[i])
			yaml_complain(y, places[i].map, "a rule named '%s' is there twice",
				      rules->v[i].name);
		for (size_t k = 0; k < needs->n; k++)
			if (!find_rule(rules, needs->v[k]))
				yaml_complain_near(y, places[i].needs, needs->v[k], names,
						   "needs: there is no rule '%s'", needs->v[k]);
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
			 const struct rule_place *places)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].needs.n &&
		    reaches(rules, &rules->v[i], &rules->v[i], rules->n)) {
			yaml_complain(y, places[i].needs,
				      "needs: '%s' needs itself, by way of '%s'",
				      rules->v[i].name, rules->v[i].needs.v[0]);
			return;
		}
}

static void read_rules(struct yaml_file *y, const yaml_node_t *list, struct rules *rules,
		       const struct settings *base)
{
	struct rule_place *places;
	size_t n;

	if (list->type != YAML_SEQUENCE_NODE) {
		yaml_complain(y, list, "rules: is no list; begin each rule with a -");
		return;
	}
	n = yaml_length(list);
	if (n == 0)
		yaml_complain(y, list, "rules: is empty");
	if (n > 1000) {
		yaml_complain(y, list, "rules: more than 1000");
		return;
	}
	places = alloc_zero(n + 1, sizeof *places);
	for (size_t i = 0; i < n; i++) {
		struct rule *r = add_rule(rules, base);

		rule_read(y, yaml_item(y, list, i), r, &places[i]);
		if (!r->name)
			r->name = alloc_text("rule %zu", i + 1);
		if (y->complaints == 0)
			r->meaning = yaml_meaning(y, NULL, yaml_item(y, list, i));
	}
	if (y->complaints == 0)
		check_names(y, rules, places);
	if (y->complaints == 0)
		check_cycles(y, rules, places);
	free(places);
}

struct top {
	yaml_node_t *rules, *tricks;
};

static void read_top(struct yaml_file *y, const yaml_node_t *key, const char *name,
		     yaml_node_t *value, void *arg)
{
	static const char *const names[] = { "rules", "tricks", "python-path", NULL };
	struct top *top = arg;

	if (strcmp(name, "rules") == 0)
		top->rules = value;
	else if (strcmp(name, "tricks") == 0)
		top->tricks = value;
	else if (strcmp(name, "python-path") != 0 && strncmp(name, "x-", 2) != 0)
		yaml_complain_near(y, key, name, names, "unknown key '%s'", name);
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

int rules_load(struct rules *rules, const char *path, const char *name,
	       const struct settings *base)
{
	struct yaml_file y;
	struct top top = { 0 };
	const yaml_node_t *node;
	int r;

	*rules = (struct rules){ 0 };
	if (yaml_file_load(&y, path, name, base->trust) < 0)
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
