/* One function a verb, one file a function; each returns the exit status. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

struct settings;

/* Exit statuses that scripts rely on. */
enum {
	EXIT_USAGE = 2,
	EXIT_TIMEOUT = 124,
	EXIT_FAILED = 125, /* whendo itself failed */
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128 /* + the signal's number */
};

int verb_run(struct settings *s);
int verb_log(struct settings *s);
int verb_wait(struct settings *s);
int verb_rules(struct settings *s);
int verb_snapshot(struct settings *s);
int verb_diff(struct settings *s);
int verb_why(struct settings *s);
int verb_plan(struct settings *s);
int verb_shell_command(struct settings *s);
int verb_auto_restart(struct settings *s);
int verb_tricks(struct settings *s);
int verb_generate(struct settings *s);
int verb_completions(struct settings *s);
int verb_help(struct settings *s);

#endif
