/* A rule's watch and handler, joined. Knows nothing of other rules. */
#include "act.h"

#include <string.h>
#include <unistd.h>

#include "emit.h"
#include "execution.h"
#include "format.h"

/* Rules on the same paths hear of a change at about the same time; the one that needs
 * another lets it go first. */
#define SETTLE_MS 30

static void print_events(struct act *a, watcher_batch *batch)
{
	struct bytes out = { 0 };
	struct format f;
	char why[256];
	watcher_event e;

	format_init(&f, NULL, 0, 1, why);
	f.terminal = isatty(1);
	while (watcher_batch_next(batch, &e))
		if (!(e.kind & WATCHER_CONTROL))
			format_event(&f, &out, &e);
	if (out.len)
		outlet_text(&a->stage->outlet, 1, out.data, out.len);
	bytes_free(&out);
}

static void try_to_run(struct act *a)
{
	/* What it waited to run for may have turned out to be its own doing. */
	if (a->runner.next.count == 0)
		a->is_held = 0;
	if (!a->is_held)
		return;
	if (a->may_run(a, a->arg))
		act_release(a);
	else
		say(&a->voice, 1, SAY_DIM, "waiting for what it needs");
}

static void on_settled(uv_timer_t *h)
{
	try_to_run(h->data);
}

static void on_batch(watcher_batch *batch, void *arg)
{
	struct act *a = arg;

	if (a->rule->kind == RULE_LOG) {
		print_events(a, batch);
	} else if (a->rule->kind == RULE_SHELL_COMMAND) {
		shell_trick_batch(&a->trick, batch);
	} else if (a->rule->needs.n == 0) {
		runner_batch(&a->runner, batch);
	} else {
		a->is_held |= runner_collect(&a->runner, batch);
		if (a->is_held)
			uv_timer_start(&a->settle, on_settled, SETTLE_MS, 0);
	}
}

void act_release(struct act *a)
{
	a->is_held = 0;
	uv_timer_stop(&a->settle);
	runner_release(&a->runner);
}

void act_follow(struct act *a, const struct act *needed)
{
	own_led(&a->runner.own, &needed->runner.own);
	act_release(a);
}

static void on_ready(void *arg)
{
	struct act *a = arg;

	a->is_ready = 1;
	if (a->rule->kind == RULE_RUN && a->rule->needs.n == 0)
		runner_ready(&a->runner);
	a->on_ready(a, a->arg);
}

static void on_synced(watcher *w, int status, void *arg)
{
	struct watching *t = arg;
	struct act *a = t->arg;

	(void)w;
	if (status == 0)
		runner_synced(&a->runner);
}

static int on_sync(void *arg)
{
	struct act *a = arg;

	return watcher_sync(a->t.w, on_synced);
}

static void on_start(pid_t group, void *arg)
{
	struct act *a = arg;

	(void)group;
	a->on_start(a, a->arg);
}

static void on_end(int code, void *arg)
{
	struct act *a = arg;

	a->code = code;
	a->ended = 1;
	a->on_end(a, code, a->arg);
}

static void on_exit_(int code, void *arg)
{
	struct act *a = arg;

	a->is_over = 1;
	a->on_exit(a, code, a->arg);
}

/* Lines of several rules on one terminal say whose they are. */
static int on_output(sh_proc *p, const char *data, size_t len, void *arg)
{
	struct act *a = arg;

	(void)p;
	outlet_line(&a->stage->outlet, 1, a->rule->name, data, len);
	return 0;
}

static int on_error(sh_proc *p, const char *data, size_t len, void *arg)
{
	struct act *a = arg;

	(void)p;
	outlet_line(&a->stage->outlet, 2, a->rule->name, data, len);
	return 0;
}

static int open_runner(struct act *a)
{
	a->runner = (struct runner){
		.loop = &a->stage->loop,
		.s = &a->rule->s,
		.voice = &a->voice,
		.guardian = a->stage->guardian,
		.on_exit = on_exit_,
		.on_start = on_start,
		.on_end = on_end,
		.sync = on_sync,
		.name = a->rule->name,
		.circle = a->circle,
		.on_output = a->is_tagged ? on_output : NULL,
		.on_error = a->is_tagged ? on_error : NULL,
		.arg = a,
	};
	return runner_open(&a->runner);
}

int act_open(struct act *a)
{
	const struct settings *s = &a->rule->s;
	int is_run = a->rule->kind == RULE_RUN, r;
	/* watchmedo's auto-restart does not wait, its log prints at once; but a save is one
	 * change to its shell-command, too: batches that end between two saves. */
	int is_medo = s->watchmedo, waits = !is_medo || a->rule->kind == RULE_SHELL_COMMAND;

	a->voice = a->stage->voice;
	a->voice.level = s->loudness;
	a->voice.tag = a->is_tagged ? a->rule->name : NULL;
	uv_timer_init(&a->stage->loop, &a->settle);
	a->settle.data = a;
	a->is_open = 1;
	if (is_run && (r = open_runner(a)) != 0)
		return r;
	if (a->rule->kind == RULE_SHELL_COMMAND) {
		a->trick = (struct shell_trick){ .loop = &a->stage->loop,
						 .s = s,
						 .voice = &a->voice,
						 .on_exit = on_exit_,
						 .arg = a };
		shell_trick_open(&a->trick);
	}
	a->t = (struct watching){
		.loop = &a->stage->loop,
		.s = s,
		.voice = &a->voice,
		.kinds = (is_run ? WATCHER_CHANGES
				 : WATCHER_CHANGES | WATCHER_ATTRIB | WATCHER_CLOSED) |
			 WATCHER_OVERFLOW,
		.leading_ms = is_medo ? 0 : 1000,
		.on_batch = on_batch,
		.on_ready = on_ready,
		.arg = a,
	};
	watching_set_debounce(&a->t, waits ? 50 : 0);
	if ((r = watching_open(&a->t)) == 0 && a->stage->outlet.n_full > 0)
		act_pause_output(a, 1);
	return r;
}

void act_pause_output(struct act *a, int is_paused)
{
	if (!a->t.w) /* it is just being opened, and will look */
		return;
	if (a->rule->kind == RULE_RUN && a->is_tagged)
		execution_pause_output(&a->runner, is_paused);
	else if (a->rule->kind == RULE_LOG && is_paused)
		watcher_pause(a->t.w);
	else if (a->rule->kind == RULE_LOG)
		watcher_resume(a->t.w);
}

void act_quit(struct act *a)
{
	if (a->rule->kind == RULE_RUN)
		runner_quit(&a->runner);
	else if (a->rule->kind == RULE_SHELL_COMMAND)
		shell_trick_quit(&a->trick);
	else if (!a->is_over)
		on_exit_(0, a);
}

void act_reap(struct act *a)
{
	if (a->rule->kind == RULE_RUN)
		runner_reap(&a->runner);
}

void act_close(struct act *a)
{
	if (!a->is_open)
		return;
	uv_close((uv_handle_t *)&a->settle, NULL);
	runner_close(&a->runner);
	if (a->rule->kind == RULE_SHELL_COMMAND)
		shell_trick_close(&a->trick);
	watching_close(&a->t);
	a->is_open = 0;
}
