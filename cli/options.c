/* The table of options and the table of verbs. Nothing but data and its defaults. */
#include "options.h"

#include <stdlib.h>

#include "verbs.h"
#include "whendo/watcher.h"

#define AT(member) offsetof(struct settings, member)
#define STREAMS	   (VERB_LOG | VERB_WAIT)
/* plan takes the options of run: it is put before what is meant to run. */
#define RUNS	   (VERB_RUN | VERB_PLAN)
#define OWN	   (VERB_RUN | VERB_LOG | VERB_WAIT | VERB_PLAN)
#define TREES	   (OWN | VERB_SNAPSHOT | VERB_DIFF | VERB_WHY)
#define PRINTS	   (STREAMS | VERB_DIFF)
#define MEDO	   (VERB_SHELL_COMMAND | VERB_AUTO_RESTART)
#define MEDO_ALL   (MEDO | VERB_TRICKS)
#define EVERY	   (TREES | MEDO_ALL | VERB_RULES | VERB_GENERATE | VERB_COMPLETIONS | VERB_HELP)
#define SPEAKS	   (EVERY | OPTION_NOT_KEY)
#define SPEAKS_TOO (SPEAKS | OPTION_NOT_WATCHMEDO)

/* clang-format off */
const struct option options[] = {
	/* what is watched */
	{ "recursive", 'R', OPTION_SET, NULL, TREES, AT(recursive), 1, "watch directories with everything below them (default)" },
	{ "recursive", 'R', OPTION_SET, NULL, MEDO, AT(recursive), 1, "watch directories with everything below them" },
	{ "recursive", 'R', OPTION_SET, NULL, VERB_TRICKS, AT(recursive), 1, "watch directories with everything below them (always)" },
	{ "no-recursive", 'N', OPTION_SET, NULL, TREES, AT(recursive), 0, "watch only the directories given" },
	{ "depth", 0, OPTION_COUNT, "N", TREES, AT(depth), 1, "watch N levels; 1 is a directory's own entries" },
	{ "follow-symlinks", 'L', OPTION_SET, NULL, TREES, AT(follow_symlinks), 1, "watch directories behind symbolic links too" },
	{ "files-from", 'f', OPTION_TEXT, "FILE", OWN, AT(files_from), 0, "watch exactly the files FILE lists, one a line; - is stdin" },
	{ "watch", 'w', OPTION_WORDS, "PATH", VERB_RUN | STREAMS | VERB_PLAN | OPTION_NOT_KEY, AT(paths), 0, "watch PATH; the same as naming it" },
	{ "backend", 'b', OPTION_CHOICE, "auto|inotify|fanotify|fsevent|poll", OWN, AT(backend), 0, "how changes are noticed" },
	{ "poll-interval", 0, OPTION_TIME, "TIME", OWN, AT(poll_interval_ms), 1, "time between two looks where polling is needed (1s)" },
	/* which events pass */
	{ "pattern", 'p', OPTION_TERM, "GLOB", TREES | MEDO, AT(terms), TERM_PATTERN, "paths that pass; repeatable, also 'a;b'" },
	{ "patterns", 0, OPTION_TERM, "GLOB", TREES | MEDO, AT(terms), TERM_PATTERN, "the same as --pattern" },
	{ "ignore", 'i', OPTION_TERM, "GLOB", TREES, AT(terms), TERM_IGNORE, "paths that do not, and are not watched" },
	{ "ignore-pattern", 0, OPTION_TERM, "GLOB", TREES, AT(terms), TERM_IGNORE, "the same as --ignore" },
	{ "ignore-pattern", 'i', OPTION_TERM, "GLOB", MEDO, AT(terms), TERM_IGNORE, "paths that do not, and are not watched" },
	{ "ignore-patterns", 0, OPTION_TERM, "GLOB", TREES | MEDO, AT(terms), TERM_IGNORE, "the same as --ignore-pattern" },
	{ "ext", 'e', OPTION_TERM, "EXT,...", TREES, AT(terms), TERM_EXTENSIONS, "only files with these extensions" },
	{ "regex", 0, OPTION_TERM, "RE", TREES, AT(terms), TERM_REGEX, "paths that pass, as a Perl-compatible regular expression" },
	{ "ignore-regex", 0, OPTION_TERM, "RE", TREES, AT(terms), TERM_IGNORE_REGEX, "paths that do not" },
	{ "include", 0, OPTION_TERM, "GLOB", TREES, AT(terms), TERM_INCLUDE, "wins over every ignore" },
	{ "filter-file", 0, OPTION_TERM, "FILE", TREES, AT(terms), TERM_FILTER_FILE, "read patterns that pass from FILE" },
	{ "ignore-file", 0, OPTION_TERM, "FILE", TREES, AT(terms), TERM_IGNORE_FILE, "read ignores from FILE (gitignore's rules)" },
	{ "ignore-case", 'I', OPTION_SET, NULL, TREES, AT(ignore_case), 1, "patterns match upper and lower case" },
	{ "events", 0, OPTION_KINDS, "KIND,...", TREES & ~VERB_SNAPSHOT, AT(kinds), 0, "kinds that pass, of created, modified, moved, deleted, attrib, opened, closed, closed_no_write, all" },
	{ "ignore-directories", 'D', OPTION_SET, NULL, TREES | MEDO, AT(ignore_directories), 1, "events on directories do not pass" },
	{ "gitignore", 0, OPTION_SET, NULL, TREES, AT(use_ignore_files), 1, "use .gitignore, .ignore and .whendoignore" },
	{ "no-gitignore", 0, OPTION_SET, NULL, TREES, AT(use_ignore_files), 0, "do not" },
	{ "default-ignore", 0, OPTION_SET, NULL, TREES, AT(use_default_ignores), 1, "ignore VCS directories, editors' swap and backup files, ..." },
	{ "no-default-ignore", 0, OPTION_SET, NULL, TREES, AT(use_default_ignores), 0, "do not" },
	{ "no-ignore", 0, OPTION_SET, NULL, TREES, AT(use_default_ignores), -2, "neither ignore files nor built-in ignores" },
	{ "dir-modified", 0, OPTION_SET, NULL, PRINTS | RUNS, AT(dir_modified), 1, "also 'modified' on the parent directory of what changed" },
	/* printing */
	{ "format", 0, OPTION_TEXT, "text|json|STRING", PRINTS, AT(format), 0, "text, json (one object a line), or '{kind} {path}\\n'" },
	{ "time", 't', OPTION_SET, NULL, PRINTS, AT(show_time), 1, "begin lines with the time" },
	{ "print0", '0', OPTION_SET, NULL, PRINTS | OWN, AT(nul), 1, "records, also those of --files-from, end with NUL" },
	{ "ready-fd", 0, OPTION_COUNT, "N", VERB_RUN | VERB_RULES | STREAMS | MEDO_ALL | OPTION_NOT_KEY | OPTION_NOT_WATCHMEDO, AT(ready_fd), 0, "write a newline to descriptor N when all is watched" },
	{ "print-ready", 0, OPTION_SET, NULL, STREAMS, AT(print_ready), 1, "print a 'ready' record when all is watched" },
	{ "watchdog", 0, OPTION_SET, NULL, VERB_LOG, AT(watchdog), 1, "exactly the events Watchdog queues, in its order" },
	{ "full-moves", 0, OPTION_SET, NULL, VERB_LOG, AT(full_moves), 1, "halves of moves are 'moved' with an empty side" },
	{ "update", 0, OPTION_SET, NULL, VERB_DIFF, AT(update), 1, "save the new state after printing" },
	{ "check", 0, OPTION_SET, NULL, VERB_RULES, AT(check), 1, "read the rules, say what is wrong, run nothing" },
	{ "trust", 0, OPTION_SET, NULL, VERB_RULES | VERB_TRICKS | OPTION_NOT_WATCHMEDO, AT(trust), 1, "read a rules file that others may write" },
	/* running */
	{ "debounce", 'd', OPTION_TIME, "TIME", RUNS | STREAMS, AT(debounce_ms), 0, "quiet time that ends a batch (50ms; log: 0)" },
	{ "debounce-max", 0, OPTION_TIME, "TIME", RUNS | STREAMS, AT(debounce_max_ms), 0, "a batch is never older than this (ten times --debounce)" },
	{ "on-busy", 'o', OPTION_CHOICE, "queue|restart|drop|signal", RUNS, AT(on_busy), 0, "what a change does while the command runs" },
	{ "restart", 'r', OPTION_SET, NULL, RUNS, AT(on_busy), ON_BUSY_RESTART, "the same as --on-busy restart" },
	{ "signal", 0, OPTION_SIGNAL, "SIG", RUNS, AT(signal), 0, "what --on-busy signal sends (TERM)" },
	{ "stop-signal", 0, OPTION_SIGNAL, "SIG", RUNS, AT(stop_signal), 0, "what ends a run (TERM)" },
	{ "stop-timeout", 0, OPTION_TIME, "TIME", RUNS, AT(stop_timeout_ms), 0, "time from it to KILL (5s)" },
	{ "timeout", 0, OPTION_TIME, "TIME", RUNS | VERB_WAIT, AT(timeout_ms), 1, "longest a run may take; wait: longest to wait" },
	{ "delay", 0, OPTION_TIME, "TIME", RUNS, AT(delay_ms), 0, "wait before each run" },
	{ "every", 0, OPTION_TIME, "TIME", RUNS, AT(every_ms), 1, "also run periodically" },
	{ "postpone", 'P', OPTION_SET, NULL, RUNS, AT(postpone), 1, "no run at start" },
	{ "once", '1', OPTION_SET, NULL, RUNS, AT(once), 1, "exit with the status of the first run a change caused" },
	{ "exit-on-error", 0, OPTION_SET, NULL, RUNS, AT(exit_on_error), 1, "exit when a run fails" },
	{ "restart-on-exit", 0, OPTION_SET, NULL, RUNS, AT(restart_on_exit), 1, "start the command again when it ends" },
	{ "shell", 's', OPTION_MAY_TEXT, "SHELL", RUNS, AT(shell), 0, "the command is one line for a shell (/bin/sh)" },
	{ "each", 0, OPTION_SET, NULL, RUNS, AT(each), 1, "one run for each changed path" },
	{ "jobs", 'j', OPTION_COUNT, "N", RUNS, AT(jobs), 1, "runs of --each at a time (1)" },
	{ "stdin", 0, OPTION_CHOICE, "none|paths|paths0|json", RUNS, AT(feed), 0, "the changes on the command's stdin" },
	{ "workdir", 'C', OPTION_TEXT, "DIR", RUNS, AT(workdir), 0, "where the command runs" },
	{ "env", 'E', OPTION_WORDS, "K=V", RUNS, AT(environment), 0, "a variable for the command" },
	{ "clear", 'c', OPTION_MAY_CHOICE, "clear|reset", RUNS, AT(clear), 0, "clear (or reset) the terminal before a run" },
	{ "bell", 0, OPTION_SET, NULL, RUNS, AT(bell), 1, "ring when a run ended" },
	{ "notify", 0, OPTION_SET, NULL, RUNS, AT(notify), 1, "tell the desktop when a run ended" },
	{ "timings", 0, OPTION_SET, NULL, RUNS, AT(timings), 1, "say how long things took" },
	{ "keys", 0, OPTION_SET, NULL, RUNS | OPTION_NOT_KEY, AT(keys), 1, "space runs, r restarts, p pauses, q quits" },
	{ "no-keys", 0, OPTION_SET, NULL, RUNS | OPTION_NOT_KEY, AT(keys), 0, "leave the keyboard alone" },
	{ "stdin-quit", 0, OPTION_SET, NULL, RUNS | OPTION_NOT_KEY, AT(stdin_quit), 1, "exit when stdin ends" },
	/* watchmedo */
	{ "command", 'c', OPTION_TEXT, "COMMAND", VERB_SHELL_COMMAND, AT(shell_line), 0, "shell line to run for each change" },
	{ "wait", 'w', OPTION_SET, NULL, VERB_SHELL_COMMAND, AT(wait), 1, "one command after the other" },
	{ "drop", 'W', OPTION_SET, NULL, VERB_SHELL_COMMAND, AT(drop), 1, "no command while one is running" },
	{ "directory", 'd', OPTION_WORDS, "DIR", VERB_AUTO_RESTART, AT(paths), 0, "directory to watch; repeatable (.)" },
	{ "signal", 0, OPTION_SIGNAL, "SIG", VERB_AUTO_RESTART, AT(stop_signal), 0, "what stops the command (INT)" },
	{ "kill-after", 0, OPTION_TIME, "SECONDS", VERB_AUTO_RESTART, AT(stop_timeout_ms), 0, "time from it to KILL (10)" },
	{ "debounce-interval", 0, OPTION_TIME, "SECONDS", VERB_AUTO_RESTART, AT(debounce_ms), 0, "quiet time that ends a batch (0)" },
	{ "no-restart-on-command-exit", 0, OPTION_SET, NULL, VERB_AUTO_RESTART, AT(restart_on_exit), 0, "do not start the command again when it ends" },
	{ "interval", 0, OPTION_TIME, "SECONDS", VERB_LOG | MEDO_ALL, AT(poll_interval_ms), 1, "time between two looks when polling (1)" },
	{ "timeout", 0, OPTION_TIME, "SECONDS", VERB_LOG | MEDO_ALL, AT(poll_interval_ms), 1, "the same as --interval" },
	{ "debug-force-polling", 0, OPTION_SET, NULL, VERB_LOG | MEDO_ALL, AT(backend), WATCHER_BACKEND_POLL, "the same as --backend poll" },
	{ "debug-force-inotify", 0, OPTION_SET, NULL, VERB_LOG | VERB_TRICKS, AT(backend), WATCHER_BACKEND_INOTIFY, "the same as --backend inotify" },
	{ "debug-force-fsevents", 0, OPTION_SET, NULL, VERB_LOG | VERB_TRICKS, AT(backend), WATCHER_BACKEND_FSEVENT, "the same as --backend fsevent" },
	{ "debug-force-kqueue", 0, OPTION_SET, NULL, VERB_LOG | VERB_TRICKS, AT(backend), WATCHER_BACKEND_FSEVENT, "the same as --backend fsevent" },
	{ "debug-force-winapi", 0, OPTION_SET, NULL, VERB_LOG | VERB_TRICKS, AT(backend), WATCHER_BACKEND_FSEVENT, "the same as --backend fsevent" },
	{ "trace", 0, OPTION_MORE, NULL, VERB_LOG, AT(loudness), 2, "the same as -vv" },
	{ "python-path", 0, OPTION_TEXT, "PATHS", VERB_TRICKS | VERB_GENERATE, AT(python_path), 0, "accepted; nothing is loaded from there" },
	{ "append-to-file", 0, OPTION_TEXT, "FILE", VERB_GENERATE, AT(append_to_file), 0, "add to FILE instead of printing" },
	{ "append-only", 'a', OPTION_SET, NULL, VERB_GENERATE, AT(append_only), 1, "no header" },
	/* speaking */
	{ "color", 0, OPTION_CHOICE, "auto|always|never", SPEAKS_TOO, AT(color), 0, "colour of status lines; NO_COLOR is honoured" },
	{ "quiet", 'q', OPTION_MORE, NULL, SPEAKS, AT(loudness), -1, "errors only" },
	{ "verbose", 'v', OPTION_MORE, NULL, SPEAKS, AT(loudness), 1, "say why; twice: every event" },
	{ "log-file", 0, OPTION_TEXT, "FILE", SPEAKS_TOO, AT(log_file), 0, "append what is said to FILE" },
	{ "version", 'V', OPTION_SET, NULL, SPEAKS, AT(version), 1, "say the version" },
	{ "help", 'h', OPTION_SET, NULL, SPEAKS, AT(help), 1, "say this" },
	{ 0 }
};

const struct verb verbs[] = {
	{ "run", NULL, VERB_RUN, verb_run, "[OPTION...] [PATH...] -- COMMAND [ARG...]", "run COMMAND at start and after every batch of changes" },
	{ "log", NULL, VERB_LOG, verb_log, "[OPTION...] [PATH...]", "print events" },
	{ "wait", NULL, VERB_WAIT, verb_wait, "[OPTION...] [PATH...]", "wait for a change, print it, exit" },
	{ "rules", NULL, VERB_RULES, verb_rules, "[OPTION...] [FILE]", "run every rule of a rules file (whendo.yaml, else tricks.yaml)" },
	{ "snapshot", NULL, VERB_SNAPSHOT, verb_snapshot, "[OPTION...] FILE [PATH...]", "save the state of the tree" },
	{ "diff", NULL, VERB_DIFF, verb_diff, "[OPTION...] FILE [PATH...]", "print, as events, what changed since FILE was saved" },
	{ "why", NULL, VERB_WHY, verb_why, "[OPTION...] PATH...", "say whether events on paths pass, and which rule decides it" },
	{ "plan", NULL, VERB_PLAN, verb_plan, "[OPTION...] [PATH...] [-- COMMAND]", "say what would be watched, how, and what would run" },
	{ "shell-command", NULL, VERB_SHELL_COMMAND, verb_shell_command, "[OPTION...] [DIR...]", "watchmedo: run a shell line for each change" },
	{ "auto-restart", NULL, VERB_AUTO_RESTART, verb_auto_restart, "[OPTION...] [--] COMMAND [ARG...]", "watchmedo: keep a command running, restart it on changes" },
	{ "tricks", "tricks-from", VERB_TRICKS, verb_tricks, "[OPTION...] FILE...", "watchmedo: run the tricks of files" },
	{ "tricks-generate-yaml", "generate-tricks-yaml", VERB_GENERATE, verb_generate, "[OPTION...] CLASS...", "watchmedo: print a tricks file to begin with" },
	{ "completions", NULL, VERB_COMPLETIONS, verb_completions, "bash|zsh|fish", "print a completion script for a shell" },
	{ "help", NULL, VERB_HELP, verb_help, "[VERB]", "say what a verb does" },
	{ 0 }
};
/* clang-format on */

void settings_init(struct settings *s, const struct verb *verb, int watchmedo)
{
	*s = (struct settings){
		.verb = verb,
		.watchmedo = watchmedo,
		.recursive = !watchmedo,
		.use_ignore_files = -1,
		.use_default_ignores = -1,
		.ready_fd = -1,
		.debounce_ms = -1,
		.debounce_max_ms = -1,
		.stop_timeout_ms = 5000,
		.signal = 15,
		.stop_signal = 15,
		.jobs = 1,
		.keys = -1,
	};
	if (verb && verb->bit == VERB_AUTO_RESTART) {
		s->stop_signal = 2;
		s->stop_timeout_ms = 10000;
		s->restart_on_exit = 1;
		s->on_busy = ON_BUSY_RESTART;
	}
}

void terms_add(struct terms *t, enum term_kind kind, const char *text, const char *source)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 8;
		t->v = alloc_again(t->v, t->cap, sizeof *t->v);
	}
	t->v[t->n++] = (struct term){ kind, alloc_copy(text), alloc_copy(source) };
}

void settings_free(struct settings *s)
{
	for (size_t i = 0; i < s->terms.n; i++) {
		free(s->terms.v[i].text);
		free(s->terms.v[i].source);
	}
	free(s->terms.v);
	words_free(&s->paths);
	words_free(&s->command);
	words_free(&s->environment);
	for (const struct option *o = options; o->name; o++) {
		char **text = (char **)(void *)((char *)s + o->at);

		if (o->kind == OPTION_TEXT || o->kind == OPTION_MAY_TEXT) {
			free(*text);
			*text = NULL;
		}
	}
}
