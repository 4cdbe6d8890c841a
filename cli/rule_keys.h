/*
 * One rule of a rules file: its keys, which are the options of run beside name, paths, run and
 * needs. What stands between rules (names, needs of each other) is rules_file.c's.
 */
#ifndef CLI_RULE_KEYS_H
#define CLI_RULE_KEYS_H

#include "rules_file.h"
#include "yaml_file.h"

/* Where in the file a rule stands; borrowed from the file. */
struct rule_place {
	const yaml_node_t *map;
	const yaml_node_t *needs; /* NULL: it has none */
};

/* Reads the mapping `node` into a rule that has its defaults; complains about what is wrong.
 * A rule without a name is left without. */
void rule_read(struct yaml_file *y, const yaml_node_t *node, struct rule *rule,
	       struct rule_place *place);

#endif
