/*
 * The words of the command line: one const table of options and one of verbs, which feed
 * parsing, --help, the completions and the keys of rules files. What they say is stored in
 * `struct settings`, which everything else reads and nothing else writes.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "alloc.h"

struct settings;

/* Verbs an option belongs to, as bits. */
enum {
	VERB_RUN = 1 << 0,
	VERB_LOG = 1 << 1,
	VERB_WAIT = 1 << 2,
	VERB_RULES = 1 << 3,
	VERB_SNAPSHOT = 1 << 4,
	VERB_DIFF = 1 << 5,
	VERB_WHY = 1 << 6,
	VERB_PLAN = 1 << 7,
	VERB_SHELL_COMMAND = 1 << 8,
	VERB_AUTO_RESTART = 1 << 9,
	VERB_TRICKS = 1 << 10,
	VERB_GENERATE = 1 << 11,
	VERB_COMPLETIONS = 1 << 12,
	VERB_HELP = 1 << 13,
	OPTION_NOT_WATCHMEDO = 1 << 29, /* its verbs take it, but it has not got it */
	OPTION_NOT_KEY = 1 << 30	/* other options of run are keys of a rule in a rules file */
};

struct verb {
	const char *name;
	const char *alias; /* NULL: none */
	unsigned bit;
	int (*run)(struct settings *s);
	const char *synopsis;
	const char *summary;
};
extern const struct verb verbs[]; /* ends with a NULL name */

/* How an option takes its value, and what it does with it. */
enum option_kind {
	OPTION_SET,	  /* no value; *(int *) = number */
	OPTION_MORE,	  /* no value; *(int *) += number */
	OPTION_TEXT,	  /* *(char **) */
	OPTION_WORDS,	  /* struct words, appended */
	OPTION_TERM,	  /* struct terms, appended with number as kind */
	OPTION_TIME,	  /* *(int64_t *) in ms, at least number */
	OPTION_COUNT,	  /* *(int *), at least number */
	OPTION_CHOICE,	  /* *(int *) = index into meta, split at '|' */
	OPTION_SIGNAL,	  /* *(int *) */
	OPTION_KINDS,	  /* *(unsigned *), comma separated */
	OPTION_MAY_TEXT,  /* as TEXT, the value only with '=', "" without */
	OPTION_MAY_CHOICE /* as CHOICE, counted from 1, the value only with '=' */
};

struct option {
	const char *name;
	char letter; /* 0: none */
	enum option_kind kind;
	const char *meta; /* name of the value, or the choices; NULL: takes none */
	unsigned verbs;
	size_t at; /* offset in struct settings */
	int number;
	const char *help;
};
extern const struct option options[]; /* ends with a NULL name */

/* What decides which paths pass, in the order it was given; the last match wins. */
enum term_kind {
	TERM_PATTERN,
	TERM_IGNORE,
	TERM_EXTENSIONS,
	TERM_REGEX,
	TERM_IGNORE_REGEX,
	TERM_INCLUDE,
	TERM_FILTER_FILE,
	TERM_IGNORE_FILE
};

struct term {
	enum term_kind kind;
	char *text;
	char *source; /* "--ignore", "whendo.yaml:3" */
};

struct terms {
	struct term *v;
	size_t n, cap;
};

enum { ON_BUSY_QUEUE, ON_BUSY_RESTART, ON_BUSY_DROP, ON_BUSY_SIGNAL };
enum { STDIN_NONE, STDIN_PATHS, STDIN_PATHS0, STDIN_JSON };
enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
enum { CLEAR_NOT, CLEAR_SCREEN, CLEAR_RESET };

struct settings {
	const struct verb *verb;
	int watchmedo; /* called by that name, or one of its verbs: its defaults hold */
	int help, version;
	struct words paths;
	struct words command; /* what stands after -- */
	int has_command;      /* there was a -- */
	int is_vector;	      /* command is no shell line, even if it is one odd word */

	/* what is watched */
	int recursive, depth, follow_symlinks, nul, backend;
	char *files_from;
	int64_t poll_interval_ms;

	/* which events pass */
	struct terms terms;
	unsigned kinds; /* 0: the verb's default */
	int ignore_case; /* -1: no, also where the verb's default is to */
	int ignore_directories, dir_modified;
	int use_ignore_files, use_default_ignores; /* -1: the verb's default */

	/* printing */
	char *format;
	int show_time, ready_fd, print_ready, watchdog, full_moves, update, check, trust;

	/* running */
	int64_t debounce_ms, debounce_max_ms; /* -1: the verb's default */
	int64_t stop_timeout_ms, timeout_ms, delay_ms, every_ms;
	int on_busy, signal, stop_signal;
	int postpone, once, exit_on_error, restart_on_exit, each, jobs, feed, clear, bell,
	    notify;
	int timings, keys, stdin_quit; /* keys: -1: when it makes sense */
	char *shell;		       /* NULL: argv; "": /bin/sh */
	char *workdir;
	struct words environment;

	/* speaking */
	int color, loudness;
	char *log_file;

	/* watchmedo */
	char *shell_line;
	int wait, drop, append_only;
	char *python_path, *append_to_file;
};

/* Fills in the defaults, of the verb where it has its own. */
void settings_init(struct settings *s, const struct verb *verb, int watchmedo);
void settings_free(struct settings *s);

/*
 * Reads argv[1..]. Returns 0, or the exit status (2) after having said what is wrong. A
 * call without any word leaves s->verb NULL.
 */
int options_parse(struct settings *s, int argc, char **argv);

/*
 * Stores `value` (NULL: none given) for an option. Returns 0, or -1 with a one-line reason
 * that does not name the option.
 */
int option_store(struct settings *s, const struct option *o, const char *value,
		 const char *source, char why[256]);

const struct option *option_find(const char *name, unsigned verbs_of);
/* Whether it always has a value, which may then be a word of its own. */
int option_takes_value(const struct option *o);
/* The names of the kinds of events, and "all"; NULL-ended. */
extern const char *const kind_names[];
const struct verb *verb_find(const char *name);
/* The names of all verbs, NULL-ended. */
enum { VERB_NAMES = 32 };
void verb_names(const char *names[VERB_NAMES]);
void terms_add(struct terms *t, enum term_kind kind, const char *text, const char *source);

/* "50ms", "1.5s", "2m", "1h", or seconds. Returns 0, or -1 with a reason. */
int parse_time(int64_t *ms, const char *text, char why[256]);

/*
 * Help for all (verb NULL) or one verb, on stdout, as its user knows it: watchmedo's has only
 * what watchmedo has. Returns the exit status.
 */
int help_print(const struct verb *verb, int as_watchmedo);

#endif
