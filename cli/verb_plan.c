/* plan: what would be watched, how, against which limits, and what would run. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "command.h"
#include "emit.h"
#include "mounts.h"
#include "print.h"
#include "pruned.h"
#include "signals.h"
#include "stage.h"
#include "watching.h"

enum { MAX_LINES = 20 }; /* of one kind; the rest is a number */

struct planned {
	const struct settings *s;
	const struct watching *t;
	struct mounts mounts;
	char *on; /* for each mount: something on it is watched, 2: by a path in it */
	struct pruned_list pruned;
	uint64_t watches_used; /* by others, before ours */
};

static long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static int is_pruned(const struct planned *p, const char *root, const char *below)
{
	watcher_verdict *v;
	int pruned;

	if (watcher_filter_check(&v, p->t->filter, root, below, WATCHER_TYPE_DIR, 0, NULL) < 0)
		return 0;
	pruned = v->prunes[0] != '\0';
	watcher_verdict_free(v);
	return pruned;
}

static int is_too_deep(const struct settings *s, const char *below)
{
	int depth = s->recursive ? s->depth : 1, level = 1;

	for (; *below; below++)
		level += *below == '/';
	return depth && level >= depth;
}

/* The mount a root is on, and those below it that are watched, too. */
static void use_mounts(struct planned *p, const char *root)
{
	char *real = realpath(root, NULL);
	const struct mount *at = real ? mounts_of(&p->mounts, real) : NULL;

	for (size_t i = 0; real && i < p->mounts.n; i++) {
		const char *below = mounts_below(real, p->mounts.v[i].point);

		if (&p->mounts.v[i] == at)
			p->on[i] = 2;
		else if (!p->on[i] && below && *below && !is_too_deep(p->s, below) &&
			 !is_pruned(p, root, below))
			p->on[i] = 1;
	}
	free(real);
}

static void look_at_roots(struct planned *p)
{
	const struct settings *s = p->s;
	const char *root;

	mounts_read(&p->mounts);
	p->on = alloc_zero(p->mounts.n, 1);
	for (size_t i = 0; (root = watcher_watch_root(p->t->watch, i)); i++) {
		use_mounts(p, root);
		if (!s->files_from)
			pruned_find(&p->pruned, p->t->filter, root,
				    s->recursive ? s->depth : 1);
	}
	pruned_sort(&p->pruned);
}

static void add_roots(struct bytes *out, const struct watching *t)
{
	const char *root;
	size_t i;

	for (i = 0; (root = watcher_watch_root(t->watch, i)); i++) {
		if (i >= MAX_LINES)
			continue;
		emit(out, "root       ");
		emit_safe(out, root, strlen(root), EMIT_TERMINAL);
		emit(out, access(root, F_OK) < 0 ? " (not there yet; waited for)\n" : "\n");
	}
	if (i > MAX_LINES)
		emit_f(out, "root       and %zu more\n", i - MAX_LINES);
}

static void add_mount(struct bytes *out, const struct planned *p, const struct mount *m,
		      const char *backend)
{
	int below = p->on[m - p->mounts.v] == 1, r;
	const char *name = "unknown", *why, *but = "";
	watcher_backend_info info;
	watcher_error err = { 0 };

	r = watcher_backend_for(&info, sizeof info, m->point, &err);
	if (p->s->backend != WATCHER_BACKEND_AUTO) {
		name = backend;
		why = "asked for by --backend";
	} else if (r < 0) {
		why = err.message;
	} else {
		name = below ? info.name_below : info.name;
		why = info.why;
		if (strcmp(name, info.name) != 0)
			but = ", and is polled only if it is named itself";
		if (strcmp(name, "inotify") == 0 && strcmp(backend, name) != 0) {
			name = backend;
			why = "there is no instance of inotify left";
		}
	}
	emit_f(out, "backend    %s on ", name);
	emit_safe(out, m->point, strlen(m->point), EMIT_TERMINAL);
	emit_f(out, " (%s): %s%s\n", m->type, why, but);
}

static void add_mounts(struct bytes *out, const struct planned *p)
{
	watcher_stats_t st;

	watcher_stats(p->t->w, &st, sizeof st);
	for (size_t i = 0; i < p->mounts.n; i++)
		if (p->on[i])
			add_mount(out, p, &p->mounts.v[i], st.backend ? st.backend : "none");
}

static void add_watches(struct bytes *out, const struct planned *p, const watcher_stats_t *st)
{
	const char *backend = st->backend ? st->backend : "none";
	int polls = strcmp(backend, "poll") == 0, marks = strcmp(backend, "fanotify") == 0;
	long long interval = p->s->poll_interval_ms ? p->s->poll_interval_ms : 1000;
	watcher_backend_info info;

	/* Fanotify marks file systems. */
	emit_f(out, "watches    %llu needed",
	       marks ? 0ull : (unsigned long long)st->watches);
	if (watcher_backend_for(&info, sizeof info, "/", NULL) == 0 && info.watch_limit >= 0)
		emit_f(out, "; %llu used by others, of %lld (%s)",
		       (unsigned long long)p->watches_used, info.watch_limit, info.limit_name);
	emit(out, "\n");
	if (polls)
		emit_f(out, "polled     all directories, every %lld ms\n", interval);
	else if (st->polled_directories)
		emit_f(out, "polled     %llu directories, every %lld ms\n",
		       (unsigned long long)st->polled_directories, interval);
}

static void on_read(watcher *w, int status, void *arg)
{
	(void)status;
	(void)arg;
	watcher_stop(w);
}

/* Fanotify reads the tree after it is ready; and what cannot be watched is told on the loop. */
static void wait_until_read(const struct watching *t)
{
	watcher_stats_t st;

	watcher_stats(t->w, &st, sizeof st);
	if (strcmp(st.backend, "fanotify") == 0 && watcher_sync(t->w, on_read) == 0)
		watcher_run(t->w);
	else
		uv_run(t->loop, UV_RUN_NOWAIT);
}

static void add_numbers(struct bytes *out, const struct planned *p)
{
	long queue = read_number("/proc/sys/fs/inotify/max_queued_events");
	watcher_stats_t st;

	watcher_stats(p->t->w, &st, sizeof st);
	emit_f(out, "tree       %llu director%s, %llu file%s, read in ",
	       (unsigned long long)st.directories, st.directories == 1 ? "y" : "ies",
	       (unsigned long long)st.files, st.files == 1 ? "" : "s");
	emit_duration(out, (int64_t)st.crawl_ns);
	emit(out, "\n");
	add_watches(out, p, &st);
	emit_f(out, "memory     %llu KiB for names", (unsigned long long)st.index_bytes / 1024);
	if (queue >= 0)
		emit_f(out, "; the kernel queues %ld events (fs.inotify.max_queued_events)",
		       queue);
	emit(out, "\n");
}

static void add_pruned(struct bytes *out, const struct pruned_list *l)
{
	uint64_t left_out = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct pruned *p = &l->v[i];

		if (i >= MAX_LINES) {
			left_out += p->directories;
			continue;
		}
		emit(out, "pruned     ");
		emit_safe(out, p->path, strlen(p->path), EMIT_TERMINAL);
		emit(out, "/");
		if (p->paths > 1)
			emit_f(out, " and %llu more", (unsigned long long)p->paths - 1);
		emit_f(out, " (%llu director%s): ", (unsigned long long)p->directories,
		       p->directories == 1 ? "y" : "ies");
		emit_safe(out, p->rule, strlen(p->rule), EMIT_TERMINAL);
		emit(out, "\n");
	}
	if (left_out)
		emit_f(out, "pruned     and %llu more directories\n",
		       (unsigned long long)left_out);
}

static void add_filter(struct bytes *out, const struct settings *s)
{
	static const char *const words[] = { "passes",	"ignored",  "passes", "passes",
					     "ignored", "included", "passes", "ignored" };
	const char *d;

	for (size_t i = 0; i < s->terms.n; i++)
		emit_f(out, "%-10s %s (%s)\n", words[s->terms.v[i].kind], s->terms.v[i].text,
		       s->terms.v[i].source);
	if (s->use_ignore_files != 0)
		emit(out, "ignored    what .gitignore, .ignore and .whendoignore say "
			  "(--no-gitignore)\n");
	if (s->use_default_ignores == 0)
		return;
	emit(out, "ignored   ");
	for (size_t i = 0; (d = watcher_filter_default(i)); i++)
		emit_f(out, " %s", d);
	emit(out, " (--no-default-ignore)\n");
}

static void add_times(struct bytes *out, const struct planned *p)
{
	const struct settings *s = p->s;

	emit_f(out, "when       %s", s->postpone ? "" : "at start, and ");
	emit_duration(out, p->t->debounce_ms * 1000000);
	emit(out, " after the last change, or ");
	emit_duration(out, p->t->debounce_max_ms * 1000000);
	emit(out, " after the first");
	if (s->every_ms) {
		emit(out, "; every ");
		emit_duration(out, s->every_ms * 1000000);
	}
	emit(out, "\n");
}

static void add_policy(struct bytes *out, const struct settings *s)
{
	static const char *const words[] = { "one more run follows", "it is restarted",
					     "changes are dropped", "it gets" };

	emit_f(out, "busy       %s%s%s; %s stops it, KILL after ", words[s->on_busy],
	       s->on_busy == ON_BUSY_SIGNAL ? " " : "",
	       s->on_busy == ON_BUSY_SIGNAL ? signal_name(s->signal) : "",
	       signal_name(s->stop_signal));
	emit_duration(out, s->stop_timeout_ms * 1000000);
	emit(out, "\n");
}

static void add_command(struct bytes *out, const struct planned *p)
{
	const struct settings *s = p->s;
	struct command c;
	char *shown;

	if (s->command.n == 0)
		return;
	command_init(&c, s);
	shown = command_shown(&c);
	emit_f(out, "runs       %s%s\n", shown, c.is_shell ? " (by a shell)" : "");
	free(shown);
	command_free(&c);
	add_times(out, p);
	add_policy(out, s);
}

static void on_batch(watcher_batch *batch, void *arg)
{
	(void)batch;
	(void)arg;
}

static void add_all(struct bytes *out, struct planned *p)
{
	wait_until_read(p->t);
	look_at_roots(p);
	add_roots(out, p->t);
	add_mounts(out, p);
	add_numbers(out, p);
	add_pruned(out, &p->pruned);
	add_filter(out, p->s);
	add_command(out, p);
	pruned_free(&p->pruned);
	mounts_free(&p->mounts);
	free(p->on);
}

int verb_plan(struct settings *s)
{
	struct stage stage = { 0 };
	struct bytes out = { 0 };
	struct watching t = { .loop = &stage.loop,
			      .s = s,
			      .voice = &stage.voice,
			      .kinds = WATCHER_CHANGES,
			      .on_batch = on_batch,
			      .is_ready = 1 /* plan is not said to be watching */ };
	struct planned p = { .s = s, .t = &t };
	watcher_backend_info info;
	int r = stage_open(&stage, s);

	if (r)
		return r;
	/* Asked before our own are added. */
	if (watcher_backend_for(&info, sizeof info, "/", NULL) == 0)
		p.watches_used = info.watches_used;
	watching_set_debounce(&t, 50);
	if ((r = watching_open(&t)) == 0) {
		add_all(&out, &p);
		r = print_out(&out);
	}
	watching_close(&t);
	stage_close(&stage);
	return r;
}
