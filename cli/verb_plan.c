/* plan: what would be watched, how, against which limits, and what would run. */
#include "verbs.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "command.h"
#include "emit.h"
#include "print.h"
#include "stage.h"
#include "watching.h"

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

/* Lines "inotify wd:..." of one descriptor's fdinfo: proc(5). */
static long count_watches(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];
	long n = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof line, f))
		n += strncmp(line, "inotify wd:", 11) == 0;
	fclose(f);
	return n;
}

/* Watches other processes of the user hold; those of other users do not count. */
static long watches_of_others(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e, *d;
	long n = 0;

	while (proc && (e = readdir(proc))) {
		char path[PATH_MAX];
		DIR *fds;

		if (!isdigit((unsigned char)e->d_name[0]) || atol(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/%s/fdinfo", e->d_name);
		fds = opendir(path);
		while (fds && (d = readdir(fds))) {
			snprintf(path, sizeof path, "/proc/%.20s/fdinfo/%.20s", e->d_name,
				 d->d_name);
			n += count_watches(path);
		}
		if (fds)
			closedir(fds);
	}
	if (proc)
		closedir(proc);
	return n;
}

/* The mount a path is on: the longest mount point above it. */
static void find_mount(const char *path, char *point, char *type, size_t size)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char real[PATH_MAX], line[PATH_MAX * 2], at[PATH_MAX], fs[256];
	size_t best = 0;

	snprintf(point, size, "/");
	snprintf(type, size, "unknown");
	if (!f || !realpath(path, real)) {
		if (f)
			fclose(f);
		return;
	}
	while (fgets(line, sizeof line, f)) {
		size_t n;

		if (sscanf(line, "%*s %4095s %255s", at, fs) != 2)
			continue;
		n = strlen(at);
		if (strncmp(real, at, n) == 0 && (real[n] == '/' || !real[n] || n == 1) &&
		    n >= best) {
			best = n;
			snprintf(point, size, "%s", at);
			snprintf(type, size, "%s", fs);
		}
	}
	fclose(f);
}

static void add_roots(struct bytes *out, const struct watching *t)
{
	const char *root;

	for (size_t i = 0; (root = watcher_watch_root(t->watch, i)); i++) {
		char point[PATH_MAX], type[PATH_MAX];

		emit(out, "root       ");
		emit_safe(out, root, strlen(root), EMIT_TERMINAL);
		if (access(root, F_OK) < 0) {
			emit(out, " (not there yet; waited for)\n");
			continue;
		}
		find_mount(root, point, type, sizeof point);
		emit_f(out, " (on %s, %s)\n", point, type);
	}
}

static void add_numbers(struct bytes *out, const struct watching *t)
{
	long limit = read_number("/proc/sys/fs/inotify/max_user_watches");
	long queue = read_number("/proc/sys/fs/inotify/max_queued_events");
	watcher_stats_t st;

	watcher_stats(t->w, &st, sizeof st);
	emit_f(out, "tree       %llu directories, %llu files, read in ",
	       (unsigned long long)st.directories, (unsigned long long)st.files);
	emit_duration(out, (int64_t)st.crawl_ns);
	emit_f(out, "\nbackend    %s", st.backend ? st.backend : "none");
	if (st.polled_directories)
		emit_f(out,
		       "; %llu directories are polled every %lld ms: no notification there",
		       (unsigned long long)st.polled_directories,
		       (long long)(t->s->poll_interval_ms ? t->s->poll_interval_ms : 1000));
	emit_f(out, "\nwatches    %llu needed", (unsigned long long)st.watches);
	if (limit >= 0)
		emit_f(out, "; %ld used by others, of %ld (fs.inotify.max_user_watches)",
		       watches_of_others(), limit);
	emit_f(out, "\nmemory     %llu KiB for names",
	       (unsigned long long)st.index_bytes / 1024);
	if (queue >= 0)
		emit_f(out, "; the kernel queues %ld events (fs.inotify.max_queued_events)",
		       queue);
	emit(out, "\n");
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

static void add_command(struct bytes *out, const struct settings *s)
{
	struct command c;
	char *shown;

	if (s->command.n == 0)
		return;
	command_init(&c, s);
	shown = command_shown(&c);
	emit_f(out, "runs       %s%s\n", shown, c.is_shell ? " (by a shell)" : "");
	free(shown);
	command_free(&c);
}

static void on_batch(watcher_batch *batch, void *arg)
{
	(void)batch;
	(void)arg;
}

int verb_plan(struct settings *s)
{
	struct stage stage = { 0 };
	struct bytes out = { 0 };
	struct watching t = { .loop = &stage.loop,
			      .s = s,
			      .voice = &stage.voice,
			      .kinds = WATCHER_CHANGES,
			      .on_batch = on_batch };
	int r = stage_open(&stage, s);

	if (r)
		return r;
	if ((r = watching_open(&t)) == 0) {
		add_roots(&out, &t);
		add_numbers(&out, &t);
		add_filter(&out, s);
		add_command(&out, s);
		r = print_out(&out);
	}
	watching_close(&t);
	stage_close(&stage);
	return r;
}
