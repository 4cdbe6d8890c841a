/*
 * rules and tricks: all rules of a file at work, in the order their needs ask for, and the
 * file itself watched: a good new version replaces the old one, a bad one is only told.
 */
#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act.h"
#include "rules_file.h"

struct band {
	struct stage stage;
	struct settings *s;
	struct words files;	  /* relative to the current directory */
	struct rules rules, next; /* next: waits for the old ones to end */
	struct act *acts;
	size_t n, ready, over;
	struct watching file;
	struct voice file_voice;
	struct settings file_settings;
	uv_signal_t child;
	int quitting, reloading, is_announced, status;
};

static struct act *find(struct band *b, const char *name)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->acts[i].rule->name, name) == 0)
			return &b->acts[i];
	return NULL;
}

/* Everything it needs has ended well and is not running again. */
static int may_run(struct act *a, void *arg)
{
	struct band *b = arg;

	for (size_t i = 0; i < a->rule->needs.n; i++) {
		const struct act *other = find(b, a->rule->needs.v[i]);

		if (!other || !other->ended || other->code != 0)
			return 0;
	}
	return !b->quitting && !b->reloading;
}

static void on_start(struct act *a, void *arg)
{
	(void)arg;
	a->ended = 0;
}

/* What needs this rule runs after its success, and is left out after its failure. */
static void on_end(struct act *a, int code, void *arg)
{
	struct band *b = arg;

	for (size_t i = 0; i < b->n && !b->quitting && !b->reloading; i++) {
		struct act *other = &b->acts[i];
		int needs = 0;

		for (size_t k = 0; k < other->rule->needs.n; k++)
			needs |= strcmp(other->rule->needs.v[k], a->rule->name) == 0;
		if (!needs)
			continue;
		if (code != 0)
			say(&other->voice, 0, SAY_BAD, "skipped: %s failed", a->rule->name);
		else if (may_run(other, b))
			act_release(other);
	}
}

static void quit_acts(struct band *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (!b->acts[i].is_over)
			act_quit(&b->acts[i]);
}

static void on_exit_(struct act *a, int code, void *arg)
{
	struct band *b = arg;

	(void)a;
	b->over++;
	if (!b->quitting && !b->reloading) {
		/* --once or --exit-on-error of one rule ends all. */
		b->quitting = 1;
		b->status = code;
		quit_acts(b);
	}
	if (b->over >= b->n)
		uv_stop(&b->stage.loop);
}

static void on_ready(struct act *a, void *arg)
{
	struct band *b = arg;
	int fd = b->s->ready_fd;

	(void)a;
	if (++b->ready < b->n || b->is_announced)
		return;
	b->is_announced = 1;
	if (fd >= 0 && write(fd, "\n", 1) < 0)
		say_error("--ready-fd %d: %s", fd, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void on_signal(int signum, void *arg)
{
	struct band *b = arg;

	/* watchmedo's tricks end with 0. */
	b->status = b->s->watchmedo ? 0 : EXIT_SIGNAL + signum;
	b->quitting = 1;
	quit_acts(b);
}

static void on_child(uv_signal_t *h, int signum)
{
	struct band *b = h->data;

	(void)signum;
	for (size_t i = 0; i < b->n; i++)
		act_reap(&b->acts[i]);
}

/* Tricks watch the directory of their file and run in the current one. */
static void add_directory(struct rules *rules, const char *file)
{
	const char *slash = strrchr(file, '/');
	char *dir = slash ? alloc_copy_n(file, slash == file ? 1 : (size_t)(slash - file))
			  : alloc_copy(".");

	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].s.paths.n == 0)
			words_add(&rules->v[i].s.paths, dir);
	free(dir);
}

/* Returns 0, or -1 after having said what is wrong with which file; nothing is loaded then. */
static int load(struct rules *rules, const struct words *files, const struct settings *s)
{
	*rules = (struct rules){ 0 };
	for (size_t i = 0; i < files->n; i++) {
		struct rules more;

		if (rules_load(&more, files->v[i], s) < 0) {
			rules_free(rules);
			return -1;
		}
		if (s->verb->bit == VERB_TRICKS)
			add_directory(&more, files->v[i]);
		rules_move(rules, &more);
	}
	return 0;
}

/* A rules file was changed. */
static void on_file(watcher_batch *batch, void *arg)
{
	struct band *b = arg;
	const char *name = b->files.v[0];
	watcher_event e;

	if (watcher_batch_next(batch, &e))
		name = e.kind == WATCHER_MOVED && e.dest && *e.dest ? e.dest : e.path;
	for (size_t i = 0; i < b->files.n; i++)
		if (b->quitting || access(b->files.v[i], F_OK) < 0)
			return;
	rules_free(&b->next);
	if (load(&b->next, &b->files, b->s) < 0) {
		say(&b->stage.voice, 0, SAY_BAD, "%s: the rules stay as they were", name);
		return;
	}
	say(&b->stage.voice, 0, SAY_NOTE, "%s: read again", name);
	b->reloading = 1;
	quit_acts(b);
}

static int watch_files(struct band *b)
{
	settings_init(&b->file_settings, verb_find("log"), 0);
	for (size_t i = 0; i < b->files.n; i++)
		words_add(&b->file_settings.paths, b->files.v[i]);
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

static int open_acts(struct band *b)
{
	int r = 0;

	b->n = b->rules.n;
	b->ready = b->over = 0;
	b->acts = alloc_zero(b->n, sizeof *b->acts);
	for (size_t i = 0; i < b->n && r == 0; i++) {
		b->acts[i] = (struct act){
			.stage = &b->stage,
			.rule = &b->rules.v[i],
			.is_tagged = b->n > 1 && !b->rules.is_tricks,
			.may_run = may_run,
			.on_ready = on_ready,
			.on_start = on_start,
			.on_end = on_end,
			.on_exit = on_exit_,
			.arg = b,
		};
		r = act_open(&b->acts[i]);
	}
	return r;
}

static void close_acts(struct band *b)
{
	for (size_t i = 0; i < b->n; i++)
		act_close(&b->acts[i]);
	/* Their handles are closed at the end of a turn of the loop, in which a signal may
	 * come. */
	b->n = 0;
	uv_run(&b->stage.loop, UV_RUN_NOWAIT);
	free(b->acts);
	b->acts = NULL;
	rules_free(&b->rules);
}

static int play(struct band *b)
{
	int r;

	do {
		b->reloading = 0;
		if ((r = open_acts(b)) == 0) {
			stage_run(&b->stage);
			r = b->status;
		}
		close_acts(b);
		b->rules = b->next;
		b->next = (struct rules){ 0 };
	} while (r == 0 && b->reloading && !b->quitting);
	return r;
}

static int run_band(struct band *b)
{
	int r;

	b->stage.on_signal = on_signal;
	b->stage.arg = b;
	if ((r = stage_open(&b->stage, b->s)) != 0)
		return r;
	stage_listen(&b->stage);
	uv_signal_init(&b->stage.loop, &b->child);
	b->child.data = b;
	uv_signal_start(&b->child, on_child, SIGCHLD);
	uv_unref((uv_handle_t *)&b->child);
	if ((r = watch_files(b)) == 0)
		r = play(b);
	watching_close(&b->file);
	settings_free(&b->file_settings);
	uv_close((uv_handle_t *)&b->child, NULL);
	stage_close(&b->stage);
	return r;
}

/* Paths and commands of a file mean its directory, wherever one stands. Returns the name in
 * there, NULL after having said why not. */
static const char *enter_directory(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return path;
	*slash = '\0';
	if (chdir(slash == path ? "/" : path) < 0) {
		say_error("%s: %s", path, strerror(errno));
		return NULL;
	}
	return slash + 1;
}

static int say_checked(const struct settings *s, const struct rules *rules)
{
	struct voice v = { .level = s->loudness, .log_fd = -1 };

	say(&v, 0, SAY_PLAIN, "%s: %zu rule%s, no mistake", s->paths.v[0], rules->n,
	    rules->n == 1 ? "" : "s");
	return 0;
}

static int play_files(struct settings *s)
{
	struct band b = { .s = s };
	const char *name;
	int r = EXIT_USAGE;

	if (load(&b.rules, &s->paths, s) < 0)
		return EXIT_USAGE;
	if (s->check) {
		r = say_checked(s, &b.rules);
	} else if (s->verb->bit == VERB_TRICKS) {
		for (size_t i = 0; i < s->paths.n; i++)
			words_add(&b.files, s->paths.v[i]);
		r = run_band(&b);
	} else if ((name = enter_directory(s->paths.v[0]))) {
		words_add(&b.files, name);
		r = run_band(&b);
	}
	rules_free(&b.rules);
	rules_free(&b.next);
	words_free(&b.files);
	return r;
}

int verb_rules(struct settings *s)
{
	static const char *const names[] = { "whendo.yaml", "tricks.yaml", NULL };

	if (s->paths.n > 1) {
		say_error("%s: one file at a time", s->verb->name);
		return EXIT_USAGE;
	}
	for (int i = 0; s->paths.n == 0 && names[i]; i++)
		if (access(names[i], F_OK) == 0)
			words_add(&s->paths, names[i]);
	if (s->paths.n > 0)
		return play_files(s);
	say_error("whendo.yaml: not here, nor tricks.yaml; name the file");
	return EXIT_USAGE;
}

int verb_tricks(struct settings *s)
{
	s->watchmedo = 1;
	if (s->paths.n > 0)
		return play_files(s);
	say_error("%s: name a tricks file", s->verb->name);
	return EXIT_USAGE;
}
