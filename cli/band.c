/* Rules at work beside each other. What one of them does is act.c's. */
#include "band.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act.h"
#include "stage.h"
#include "verbs.h"
#include "watching.h"

/* A rule at work. */
struct member {
	struct act act;
	struct rule rule;
	int is_leaving; /* it is not in the file any more, or not like this */
	struct member *next;
};

struct band {
	struct stage stage;
	struct circle circle;
	struct settings *s;
	const struct words *files; /* relative to the current directory */
	struct member *members, *dead;
	struct rules next; /* what the file says now */
	int has_next;	   /* ... and it is not yet at work */
	uv_timer_t turn;
	struct watching file;
	struct voice file_voice;
	struct settings file_settings;
	uv_signal_t child;
	int quitting, is_announced, status;
};

static struct member *find(struct band *b, const char *name)
{
	struct member *m = b->members;

	while (m && (m->is_leaving || strcmp(m->rule.name, name) != 0))
		m = m->next;
	return m;
}

static struct member *member_of(struct act *a)
{
	return (struct member *)(void *)((char *)a - offsetof(struct member, act));
}

/* Everything it needs has ended well and is not running again. */
static int may_run(struct act *a, void *arg)
{
	struct band *b = arg;

	for (size_t i = 0; i < a->rule->needs.n; i++) {
		const struct member *other = find(b, a->rule->needs.v[i]);

		if (!other || !other->act.ended || other->act.code != 0)
			return 0;
	}
	return !b->quitting;
}

static void on_start(struct act *a, void *arg)
{
	(void)arg;
	a->ended = 0;
}

static int needs(const struct rule *rule, const char *name)
{
	for (size_t i = 0; i < rule->needs.n; i++)
		if (strcmp(rule->needs.v[i], name) == 0)
			return 1;
	return 0;
}

/* What needs this rule runs after its success, and is left out after its failure. */
static void on_end(struct act *a, int code, void *arg)
{
	struct band *b = arg;

	if (b->quitting || member_of(a)->is_leaving)
		return;
	for (struct member *m = b->members; m; m = m->next) {
		if (m->is_leaving || !needs(&m->rule, a->rule->name))
			continue;
		if (code != 0)
			say(&m->act.voice, 0, SAY_BAD, "skipped: %s failed", a->rule->name);
		else if (may_run(&m->act, b))
			act_follow(&m->act, a);
	}
}

static void quit_members(struct band *b)
{
	for (struct member *m = b->members; m; m = m->next)
		if (!m->act.is_over)
			act_quit(&m->act);
}

static void announce(struct band *b)
{
	int fd = b->s->ready_fd;

	for (const struct member *m = b->members; m; m = m->next)
		if (!m->act.is_ready)
			return;
	if (b->is_announced)
		return;
	b->is_announced = 1;
	if (fd >= 0 && write(fd, "\n", 1) < 0)
		say_error("--ready-fd %d: %s", fd, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void on_ready(struct act *a, void *arg)
{
	struct band *b = arg;

	/* A rule that is new in the file may need what has run long ago. */
	if (b->is_announced && a->rule->needs.n && !a->rule->s.postpone && may_run(a, b))
		act_release(a);
	if (!b->has_next)
		announce(b);
}

/* ---- coming and going */

/* Not 0: handles that are closed need the rest of this turn of the loop. */
#define TURN_MS 1

static void on_turn(uv_timer_t *h);

static void on_exit_(struct act *a, int code, void *arg)
{
	struct member *m = member_of(a);
	struct band *b = arg;

	if (!b->quitting && !m->is_leaving) {
		/* --once or --exit-on-error of one rule ends all. */
		b->quitting = 1;
		b->status = code;
		quit_members(b);
	}
	/* We are called from within the act. */
	uv_timer_start(&b->turn, on_turn, TURN_MS, 0);
}

/* The act's handles are closed at the end of a turn of the loop. */
static void bury(struct band *b)
{
	while (b->dead) {
		struct member *m = b->dead;

		b->dead = m->next;
		rule_free(&m->rule);
		free(m);
	}
}

static void close_over(struct band *b)
{
	for (struct member **at = &b->members; *at;) {
		struct member *m = *at;

		if (!m->act.is_over) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		act_close(&m->act);
		m->next = b->dead;
		b->dead = m;
	}
}

/* Returns 0 or an exit status; one that cannot begin has said why, and is over. */
static int open_member(struct band *b, struct rule *rule, int is_tagged)
{
	struct member *m = alloc_zero(1, sizeof *m), **last = &b->members;
	int r;

	m->rule = *rule;
	*rule = (struct rule){ 0 };
	m->act = (struct act){
		.stage = &b->stage,
		.rule = &m->rule,
		.circle = &b->circle,
		.is_tagged = is_tagged,
		.may_run = may_run,
		.on_ready = on_ready,
		.on_start = on_start,
		.on_end = on_end,
		.on_exit = on_exit_,
		.arg = b,
	};
	while (*last)
		last = &(*last)->next;
	*last = m;
	r = act_open(&m->act);
	m->act.is_over = r != 0;
	return r;
}

/* The one that does what the rule says; each serves for one rule only. */
static struct member *find_same(struct band *b, const struct rule *rule,
				struct member *const *taken, size_t n)
{
	struct member *m = b->members;

	for (; m; m = m->next) {
		size_t i = 0;

		while (i < n && taken[i] != m)
			i++;
		if (i == n && !m->is_leaving && strcmp(m->rule.meaning, rule->meaning) == 0)
			return m;
	}
	return NULL;
}

/* Which of the members stays for which rule of the file; NULL: none. */
static struct member **match(struct band *b)
{
	struct member **same = alloc_zero(b->next.n + 1, sizeof(struct member *));

	for (size_t i = 0; i < b->next.n; i++)
		same[i] = find_same(b, &b->next.v[i], same, i);
	return same;
}

/* A rule without a name is called by its place, which may be another now. */
static void rename_member(struct member *m, struct rule *rule)
{
	char *name = m->rule.name;

	m->rule.name = rule->name;
	rule->name = name;
	m->act.runner.name = m->act.runner.own.name = m->rule.name;
	if (m->act.voice.tag)
		m->act.voice.tag = m->rule.name;
}

/* What has left is gone: what is new in the file begins. Returns 0 or the exit status of the
 * first that could not; at the start the others need not try then. */
static int take_next(struct band *b)
{
	struct member **same = match(b);
	int is_tagged = b->next.n > 1 && !b->next.is_tricks, status = 0;

	for (size_t i = 0; i < b->next.n && !(status && !b->is_announced); i++) {
		int r = 0;

		if (same[i])
			rename_member(same[i], &b->next.v[i]);
		else
			r = open_member(b, &b->next.v[i], is_tagged);
		status = status ? status : r;
	}
	free(same);
	rules_free(&b->next);
	b->has_next = 0;
	if (!status)
		announce(b);
	return status;
}

static void on_turn(uv_timer_t *h)
{
	struct band *b = h->data;
	int is_leaving = 0;

	bury(b);
	close_over(b);
	for (const struct member *m = b->members; m; m = m->next)
		is_leaving |= m->is_leaving;
	/* Without any rule that could begin we wait for a better file. */
	if (b->has_next && !is_leaving && !b->quitting && take_next(b) != 0)
		close_over(b);
	if (b->dead)
		uv_timer_start(&b->turn, on_turn, TURN_MS, 0);
	else if (b->quitting && !b->members)
		uv_stop(&b->stage.loop);
}

static void on_signal(int signum, void *arg)
{
	struct band *b = arg;

	/* watchmedo's tricks end with 0. */
	b->status = b->s->watchmedo ? 0 : EXIT_SIGNAL + signum;
	b->quitting = 1;
	quit_members(b);
	uv_timer_start(&b->turn, on_turn, TURN_MS, 0);
}

static void on_full(int is_full, void *arg)
{
	struct band *b = arg;

	for (struct member *m = b->members; m; m = m->next)
		if (!m->act.is_over)
			act_pause_output(&m->act, is_full);
}

/* Who reads the output has left: as a pipe ends the commands that are before it. */
static void on_failed(int code, void *arg)
{
	struct band *b = arg;

	if (code != UV_EPIPE)
		say_error("stdout: %s", uv_strerror(code));
	if (b->quitting)
		return;
	b->status = code == UV_EPIPE ? EXIT_SIGNAL + SIGPIPE : EXIT_FAILED;
	b->quitting = 1;
	quit_members(b);
	uv_timer_start(&b->turn, on_turn, TURN_MS, 0);
}

static void on_child(uv_signal_t *h, int signum)
{
	struct band *b = h->data;

	(void)signum;
	for (struct member *m = b->members; m; m = m->next)
		act_reap(&m->act);
}

/* ---- the file */

/* Tricks watch the directory of their file and run in the current one. */
static void add_directory(struct rules *rules, const char *file)
{
	const char *slash = strrchr(file, '/');
	char *dir = slash ? alloc_copy_n(file, slash == file ? 1 : (size_t)(slash - file))
			  : alloc_copy(".");

	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].s.paths.n == 0) {
			char *meaning = alloc_text("%s %s", rules->v[i].meaning, dir);

			words_add(&rules->v[i].s.paths, dir);
			free(rules->v[i].meaning);
			rules->v[i].meaning = meaning;
		}
	free(dir);
}

int band_load(struct rules *rules, const struct words *files, const struct settings *s)
{
	*rules = (struct rules){ 0 };
	for (size_t i = 0; i < files->n; i++) {
		struct rules more;

		if (rules_load(&more, files->v[i], s->paths.v[i], s) < 0) {
			rules_free(rules);
			return -1;
		}
		if (s->verb->bit == VERB_TRICKS)
			add_directory(&more, files->v[i]);
		rules_move(rules, &more);
	}
	return 0;
}

/* Members that are not in the file like this leave; the rest is not touched. */
static void dismiss(struct band *b, const char *name)
{
	struct member **same = match(b);
	size_t kept = 0, gone = 0;

	for (size_t i = 0; i < b->next.n; i++)
		kept += same[i] != NULL;
	for (struct member *m = b->members; m; m = m->next) {
		size_t i = 0;

		while (i < b->next.n && same[i] != m)
			i++;
		if (i < b->next.n || m->is_leaving)
			continue;
		m->is_leaving = 1;
		gone++;
		if (!m->act.is_over)
			act_quit(&m->act);
	}
	free(same);
	say(&b->stage.voice, 0, SAY_NOTE,
	    "%s: read again: %zu rule%s to start, %zu to stop, %zu unchanged", name,
	    b->next.n - kept, b->next.n - kept == 1 ? "" : "s", gone, kept);
}

/* What the user calls the file that an event is about. */
static const char *name_of(const struct band *b, const watcher_event *e)
{
	const char *path = e->kind == WATCHER_MOVED && e->dest && *e->dest ? e->dest : e->path;
	size_t i = 0;

	while (i + 1 < b->files->n && strcmp(b->files->v[i], path) != 0)
		i++;
	return b->s->paths.v[i];
}

/* A rules file was changed. */
static void on_file(watcher_batch *batch, void *arg)
{
	struct band *b = arg;
	const char *name = b->s->paths.v[0];
	struct rules rules;
	watcher_event e;

	if (watcher_batch_next(batch, &e))
		name = name_of(b, &e);
	for (size_t i = 0; i < b->files->n; i++)
		if (b->quitting || access(b->files->v[i], F_OK) < 0)
			return;
	if (band_load(&rules, b->files, b->s) < 0) {
		say(&b->stage.voice, 0, SAY_BAD, "%s: the rules stay as they were", name);
		return;
	}
	rules_free(&b->next);
	b->next = rules;
	b->has_next = 1;
	dismiss(b, name);
	uv_timer_start(&b->turn, on_turn, TURN_MS, 0);
}

static int watch_files(struct band *b)
{
	settings_init(&b->file_settings, verb_find("log"), 0);
	for (size_t i = 0; i < b->files->n; i++)
		words_add(&b->file_settings.paths, b->files->v[i]);
	b->file_voice = b->stage.voice;
	b->file_voice.level = -1;
	b->file = (struct watching){
		.loop = &b->stage.loop,
		.s = &b->file_settings,
		.voice = &b->file_voice,
		.kinds = WATCHER_CREATED | WATCHER_MODIFIED | WATCHER_MOVED,
		.debounce_ms = 100,
		.debounce_max_ms = 1000,
		.on_batch = on_file,
		.arg = b,
	};
	return watching_open(&b->file);
}

static int play(struct band *b)
{
	int r = take_next(b);

	if (r == 0) {
		stage_listen(&b->stage);
		stage_run(&b->stage);
		r = b->status;
	}
	for (struct member *m = b->members; m; m = m->next)
		m->act.is_over = 1;
	close_over(b);
	return r;
}

static int open_band(struct band *b)
{
	int r;

	b->stage.on_signal = on_signal;
	b->stage.arg = b;
	b->stage.ends_well = b->s->watchmedo;
	if ((r = stage_open(&b->stage, b->s)) != 0)
		return r;
	uv_signal_init(&b->stage.loop, &b->child);
	b->child.data = b;
	uv_signal_start(&b->child, on_child, SIGCHLD);
	uv_unref((uv_handle_t *)&b->child);
	uv_timer_init(&b->stage.loop, &b->turn);
	b->turn.data = b;
	b->stage.outlet.full = on_full;
	b->stage.outlet.failed = on_failed;
	b->stage.outlet.arg = b;
	return 0;
}

int band_play(struct rules *rules, const struct words *files, struct settings *s)
{
	struct band b = { .s = s, .files = files, .next = *rules, .has_next = 1 };
	int r;

	*rules = (struct rules){ 0 };
	if ((r = open_band(&b)) == 0) {
		if ((r = watch_files(&b)) == 0)
			r = play(&b);
		watching_close(&b.file);
		settings_free(&b.file_settings);
		uv_close((uv_handle_t *)&b.child, NULL);
		uv_close((uv_handle_t *)&b.turn, NULL);
		stage_close(&b.stage);
		bury(&b);
	}
	rules_free(&b.next);
	return r;
}
