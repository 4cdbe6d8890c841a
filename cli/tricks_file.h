/*
 * The tricks of Watchdog's tricks.yaml: ShellCommandTrick, AutoRestartTrick, LoggerTrick and
 * the base class Trick, with their arguments, as rules.
 */
#ifndef CLI_TRICKS_FILE_H
#define CLI_TRICKS_FILE_H

#include "rules_file.h"
#include "yaml_file.h"

/* Adds a rule for each trick of the list; complains about what it does not know. */
void tricks_read(struct yaml_file *y, const yaml_node_t *list, struct rules *rules,
		 const struct settings *base);

/* The classes and their arguments, for tricks-generate-yaml. */
struct trick_class {
	const char *name;
	enum rule_kind kind;
	const char *verb;
	const char *stub; /* arguments as tricks.yaml takes them */
};
extern const struct trick_class trick_classes[]; /* ends with a NULL name */

/* The class of a dotted name; NULL: none. */
const struct trick_class *trick_find(const char *dotted);

#endif
