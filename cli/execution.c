/* Starting the commands of a run and reading their results. When to run is busy.c's. */
#include "execution.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "signals.h"
#include "suspicion.h"
#include "verbs.h"

/* What goes through this program comes line by line; a longer one in pieces of about this. */
#define MOST_LINE (1u << 20)

static void on_done(sh_proc *p, const sh_result *result, void *arg);
static void on_stopped(sh_proc *p, int signum, void *arg);

static void start_words(struct runner *r, int slot, struct words *argv, const char *path)
{
	const struct settings *s = r->s;
	struct words env = { 0 };
	struct bytes input = { 0 };
	sh_call call = { .size = sizeof call };
	pid_t group;

	command_environment(&env, &r->command, &r->now, path, r->run);
	command_input(&input, &r->command, &r->now);
	call.argv[0] = argv->v[0];
	call.args = words_list(argv) + 1;
	call.env = words_list(&env);
	call.cwd = s->workdir;
	/* By name: a command that is given the terminal's descriptor stays in our group. */
	call.in = SH_NULL;
	if (s->feed != STDIN_NONE)
		call.in = SH_BYTES(input.data ? input.data : "", input.len);
	else if (r->inherit_stdin)
		call.in = SH_FILE("/dev/tty");
	call.out = r->on_output ? SH_LINES(r->on_output, r->arg) : SH_INHERIT;
	call.err = r->on_error ? SH_LINES(r->on_error, r->arg) : SH_INHERIT;
	call.max_out = MOST_LINE;
	call.timeout_ms = s->timeout_ms;
	call.stop_signal = s->stop_timeout_ms ? s->stop_signal : SIGKILL;
	call.grace_ms = s->stop_timeout_ms;
	call.die_with_parent = true;
	call.guard = true;
	call.guardian = r->guardian;
	call.foreground_tty = r->foreground && s->feed == STDIN_NONE;
	call.loop = r->loop;
	call.done = on_done;
	call.stopped = on_stopped;
	call.arg = r;
	r->procs[slot] = sh_start(&call);
	if (!r->procs[slot]) {
		say_error("out of memory");
		exit(EXIT_FAILED);
	}
	if (r->is_output_paused)
		sh_pause(r->procs[slot]);
	group = sh_pid(r->procs[slot]);
	r->running++;
	if (group)
		groups_add(&r->groups, group);
	if (r->on_start && group)
		r->on_start(group, r->arg);
	words_free(&env);
	bytes_free(&input);
}

/* Fills the free slots with what is left of the run. */
static void start_more(struct runner *r)
{
	const struct words *paths = &r->now.paths;

	for (int i = 0; i < r->s->jobs && !r->is_stopped; i++) {
		struct words argv = { 0 }, one = { 0 };
		const char *path = NULL;

		if (r->procs[i])
			continue;
		if (r->is_begun && r->next_path >= paths->n)
			return;
		r->is_begun = 1;
		if (r->s->each) {
			size_t zero = 0;

			path = paths->v[r->next_path++];
			words_add(&one, path);
			command_words(&argv, &r->command, &one, &zero);
		} else {
			command_words(&argv, &r->command, paths, &r->next_path);
		}
		start_words(r, i, &argv, path);
		words_free(&argv);
		words_free(&one);
		if (!r->s->each)
			return;
	}
}

void execution_begin(struct runner *r)
{
	changes_clear(&r->now);
	r->now = r->next;
	r->next = (struct changes){ 0 };
	r->groups.n = 0;
	r->busy.settle_ms = 0;
	r->code = r->by_signal = r->is_stopped = 0;
	r->user_ns = r->sys_ns = r->maxrss_kib = 0;
	r->why = NULL;
	r->next_path = 0;
	r->is_begun = 0;
	r->run++;
	report_clear(r->s);
	report_start(r);
	r->begun_ns = uv_hrtime();
	r->late_ns = r->changed_ns ? r->begun_ns - r->changed_ns : 0;
	r->changed_ns = 0;
	suspicion_begin(r);
	start_more(r);
	execution_prepare(r);
}

/* Nothing depends on it: without, the next command's guardian is forked when it starts. */
void execution_prepare(struct runner *r)
{
	if (r->guardian && !r->s->once)
		(void)sh_guardian_ready(r->guardian);
}

/* A command that cannot be started at all is a mistake the user wants to see at once; one
 * that was started before, or whose run a change has caused, is being built. */
static void cannot_start(struct runner *r, const sh_result *result)
{
	command_say_failed(r->command.words.v[0], result);
	if (!r->was_ok && r->now.count == 0 &&
	    (result->status == SH_NOTFOUND || result->status == SH_NOPERM)) {
		r->busy.quitting = 1;
		r->busy.exit_code = sh_shell_code(result);
	}
}

static void note_result(struct runner *r, const sh_result *result)
{
	int code = sh_shell_code(result);

	if (code && !r->code)
		r->code = code;
	r->user_ns += result->user_ns;
	r->sys_ns += result->sys_ns;
	if (result->maxrss_kib > r->maxrss_kib)
		r->maxrss_kib = result->maxrss_kib;
	r->by_signal = result->term_signal;
	switch (result->status) {
	case SH_DONE:
	case SH_EXIT:
		r->was_ok = 1;
		return;
	case SH_SIGNAL:
		r->was_ok = 1;
		snprintf(r->ending, sizeof r->ending, "ended by SIG%s",
			 signal_name(result->term_signal));
		break;
	case SH_TIMEOUT:
		snprintf(r->ending, sizeof r->ending, "timed out");
		break;
	case SH_CANCELED:
		snprintf(r->ending, sizeof r->ending, "stopped%s",
			 result->flags & SH_KILLED ? " by SIGKILL" : "");
		break;
	default:
		cannot_start(r, result);
		snprintf(r->ending, sizeof r->ending, "not started");
	}
	r->why = r->ending;
}

static void on_stopped(sh_proc *p, int signum, void *arg)
{
	struct runner *r = arg;

	if (r->on_stopped)
		r->on_stopped(sh_pid(p), signum, r->arg);
}

/* Not even SIGKILL ended them: another user's, or in the hands of the kernel. */
static void tell_escaped(const sh_proc *p, const sh_result *result)
{
	char *names;

	if (!(result->flags & SH_ESCAPED))
		return;
	names = left_names(p);
	say_error("after SIGKILL these still run: %s", names);
	free(names);
}

static void on_done(sh_proc *p, const sh_result *result, void *arg)
{
	struct runner *r = arg;
	pid_t group = sh_pid(p);

	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i] == p)
			r->procs[i] = NULL;
	note_result(r, result);
	tell_escaped(p, result);
	r->running--;
	if (!left_keep(&r->left, p))
		groups_remove(&r->groups, group);
	if (r->s->exit_on_error && r->code)
		r->next_path = r->now.paths.n;
	start_more(r);
	if (r->running == 0)
		suspicion_gone(r);
}

static void each_proc(struct runner *r, int (*what)(sh_proc *))
{
	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i])
			what(r->procs[i]);
}

void execution_pause_output(struct runner *r, int is_paused)
{
	r->is_output_paused = is_paused;
	each_proc(r, is_paused ? sh_pause : sh_resume);
}

void execution_stop(struct runner *r)
{
	r->is_stopped = 1;
	each_proc(r, sh_stop);
}

void execution_signal(struct runner *r)
{
	for (int i = 0; i < r->s->jobs; i++)
		if (r->procs[i])
			sh_signal(r->procs[i], r->s->signal);
	say(r->voice, 0, SAY_DIM, "run %lu: sent SIG%s", r->run, signal_name(r->s->signal));
}
