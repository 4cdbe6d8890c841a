/* run: one runner on one watch, with the keyboard. */
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"
#include "runner.h"
#include "stage.h"
#include "terminal.h"
#include "watching.h"

struct run {
	struct stage stage;
	struct watching t;
	struct runner runner;
	struct terminal terminal;
	int had_terminal; /* of the command that has ended */
	uv_signal_t child;
	int status;
};

static void on_batch(watcher_batch *batch, void *arg)
{
	struct run *m = arg;

	runner_batch(&m->runner, batch);
}

static void on_ready(void *arg)
{
	struct run *m = arg;

	runner_ready(&m->runner);
}

static void on_signal(int signum, void *arg)
{
	struct run *m = arg;

	(void)signum;
	runner_quit(&m->runner);
}

static void on_exit_(int code, void *arg)
{
	struct run *m = arg;

	m->status = code;
	uv_stop(&m->stage.loop);
}

static void on_synced(watcher *w, int status, void *arg)
{
	struct watching *t = arg;
	struct run *m = t->arg;

	(void)w;
	if (status == 0)
		runner_synced(&m->runner);
}

static int on_sync(void *arg)
{
	struct run *m = arg;

	return watcher_sync(m->t.w, on_synced);
}

static void on_gone(void *arg)
{
	struct run *m = arg;

	m->had_terminal = m->terminal.group != 0 || m->runner.foreground;
	terminal_take(&m->terminal);
}

static void on_run_end(int code, void *arg)
{
	struct run *m = arg;

	(void)code;
	/* ^C went to the command, which had the terminal, and was meant for both. */
	if (m->had_terminal && m->runner.by_signal == SIGINT)
		runner_quit(&m->runner);
}

static void on_stopped(pid_t group, int signum, void *arg)
{
	struct run *m = arg;

	terminal_stopped(&m->terminal, group, signum);
}

/* A guardian ended, or, where there are none, a command was stopped. */
static void on_child(uv_signal_t *h, int signum)
{
	struct run *m = h->data;

	(void)signum;
	terminal_check(&m->terminal, runner_group(&m->runner));
	runner_reap(&m->runner);
}

static void on_key(char key, void *arg)
{
	struct run *m = arg;

	if (key == ' ')
		runner_run_now(&m->runner);
	else if (key == 'r')
		runner_restart(&m->runner);
	else if (key == 'p')
		runner_pause(&m->runner);
	else if (key == 'q')
		runner_quit(&m->runner);
}

static void on_stdin_end(void *arg)
{
	struct run *m = arg;

	runner_quit(&m->runner);
}

/* ^Z stops the command too, and fg lets both go on. */
static void on_stop(int is_stopping, void *arg)
{
	struct run *m = arg;
	pid_t group = runner_group(&m->runner);

	if (is_stopping)
		runner_suspend(&m->runner);
	if (group > 0)
		kill(-group, is_stopping ? SIGSTOP : SIGCONT);
}

/* A list of files was read from stdin to its end; keys and commands have the terminal then, as
 * entr's have. Returns 0 if there is none that is ours. */
static int take_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC), r;

	if (fd < 0)
		return 0;
	r = tcgetpgrp(fd) == getpgrp() && dup2(fd, 0) == 0;
	close(fd);
	return r;
}

static void open_terminal(struct run *m)
{
	const struct settings *s = m->t.s;
	int list_is_stdin =
	    s->files_from && strcmp(s->files_from, "-") == 0 && !take_terminal();
	int is_ours = terminal_is_ours();

	m->terminal.loop = &m->stage.loop;
	m->terminal.on_key = on_key;
	m->terminal.on_end = s->stdin_quit ? on_stdin_end : NULL;
	m->terminal.on_stop = on_stop;
	m->terminal.arg = m;
	m->terminal.want_keys =
	    !list_is_stdin && (s->keys < 0 ? is_ours && s->feed == STDIN_NONE : s->keys);
	m->runner.inherit_stdin = is_ours && !list_is_stdin;
	m->runner.foreground = is_ours && s->keys == 0;
	terminal_open(&m->terminal, s->stdin_quit);
	uv_signal_init(&m->stage.loop, &m->child);
	m->child.data = m;
	uv_signal_start(&m->child, on_child, SIGCHLD);
	uv_unref((uv_handle_t *)&m->child);
}

/* The first of the paths that looks like a command without its --, n if none does. */
static size_t find_command(const struct words *paths)
{
	struct stat st;
	size_t i = 0;

	while (i < paths->n && stat(paths->v[i], &st) == 0 &&
	       (S_ISDIR(st.st_mode) || access(paths->v[i], X_OK) < 0))
		i++;
	return i;
}

static int check(const struct settings *s)
{
	size_t i = find_command(&s->paths);
	char *line;

	if (s->command.n > 0)
		return 0;
	line = i < s->paths.n ? sh_quote(words_list(&s->paths) + i) : NULL;
	if (line)
		say_error("run: no command; it stands after --, as in: whendo -- %s", line);
	else
		say_error("run: no command; write whendo [PATH...] -- COMMAND [ARG...]");
	free(line);
	return EXIT_USAGE;
}

static int open_run(struct run *m, struct settings *s)
{
	int r;

	m->runner = (struct runner){
		.loop = &m->stage.loop,
		.s = s,
		.voice = &m->stage.voice,
		.guardian = m->stage.guardian,
		.on_exit = on_exit_,
		.on_gone = on_gone,
		.on_end = on_run_end,
		.on_stopped = on_stopped,
		.sync = on_sync,
		.arg = m,
	};
	if ((r = runner_open(&m->runner)) != 0)
		return r;
	m->t = (struct watching){
		.loop = &m->stage.loop,
		.s = s,
		.voice = &m->stage.voice,
		.kinds = WATCHER_CHANGES | WATCHER_OVERFLOW,
		.leading_ms = 1000,
		.on_batch = on_batch,
		.on_ready = on_ready,
		.arg = m,
	};
	watching_set_debounce(&m->t, 50);
	return watching_open(&m->t);
}

int verb_run(struct settings *s)
{
	struct run m = { .stage = { .on_signal = on_signal, .arg = &m, .ends_well = 1 } };
	int r = check(s);

	if (r || (r = stage_open(&m.stage, s)) != 0)
		return r;
	if ((r = open_run(&m, s)) == 0) {
		stage_listen(&m.stage);
		open_terminal(&m);
		stage_run(&m.stage);
		terminal_close(&m.terminal);
		uv_close((uv_handle_t *)&m.child, NULL);
		r = m.status;
	}
	runner_close(&m.runner);
	watching_close(&m.t);
	stage_close(&m.stage);
	return r;
}
