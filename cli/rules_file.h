/*
 * whendo.yaml and Watchdog's tricks.yaml, read into settings: one rule, or trick, each.
 * Nothing is run from a file with any complaint.
 */
#ifndef CLI_RULES_FILE_H
#define CLI_RULES_FILE_H

#include "options.h"

enum rule_kind {
	RULE_RUN, /* run: the settings' command by the busy policy */
	RULE_SHELL_COMMAND /* ShellCommandTrick: settings.shell_line for each event */,
	RULE_LOG /* LoggerTrick: prints events */
};

struct rule {
	enum rule_kind kind;
	char *name;
	struct settings s;
	struct words needs; /* names of earlier or later rules, without a cycle */
	char *meaning;	    /* equal for rules that do the same */
};

struct rules {
	struct rule *v;
	size_t n;
	int is_tricks;
};

/*
 * Reads the file at `path`, which the user calls `name`; what is relative in it means the
 * current directory. `base`: the settings of the verb, whose way to speak the rules inherit.
 * Returns 0, or -1 after having said every mistake that was found.
 */
int rules_load(struct rules *rules, const char *path, const char *name,
	       const struct settings *base);
/* Puts the rules of `from`, which is empty then, behind those of `to`. */
void rules_move(struct rules *to, struct rules *from);
void rules_free(struct rules *rules);
void rule_free(struct rule *rule);

#endif
