/* One watcher with one watch for a verb's or a rule's paths. Does not know what is done with
 * events. */
#include "watching.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/one_line.h"
#include "emit.h"
#include "filtering.h"
#include "verbs.h"

#define MAX_LIST_BYTES (64u << 20) /* of --files-from */

void watching_set_debounce(struct watching *t, int64_t quiet_ms)
{
	const struct settings *s = t->s;
	int64_t quiet = s->debounce_ms >= 0 ? s->debounce_ms : quiet_ms;

	t->debounce_ms = quiet;
	/* A cap shorter than the quiet time that was asked for would be the quiet time. */
	t->debounce_max_ms = s->debounce_max_ms >= 0 ? s->debounce_max_ms : quiet * 10;
}

static int read_all(struct bytes *text, const char *path)
{
	int fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;

	text->max = MAX_LIST_BYTES;
	while (fd >= 0) {
		if (bytes_reserve(text, 65536) < 0) {
			errno = EFBIG;
			n = -1;
			break;
		}
		n = read(fd, text->data + text->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		text->len += (size_t)n;
	}
	if (n < 0)
		say_error("%s: %s", path, strerror(errno));
	if (fd > 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

static int read_files(struct watching *t)
{
	struct bytes text = { 0 };
	const char *path = t->s->files_from;
	char end = t->s->nul ? '\0' : '\n';

	if (read_all(&text, path) < 0) {
		bytes_free(&text);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < text.len;) {
		const char *from = text.data + i, *to = memchr(from, end, text.len - i);
		size_t n = to ? (size_t)(to - from) : text.len - i;

		if (n)
			words_take(&t->files, alloc_copy_n(from, n));
		i += n + 1;
	}
	bytes_free(&text);
	if (t->files.n)
		return 0;
	say_error("%s: names no file to watch", strcmp(path, "-") ? path : "stdin");
	return EXIT_FAILED;
}

static void clear_progress(struct watching *t)
{
	if (t->progress_shown && write(2, "\r\033[K", 4) < 0)
		return;
	t->progress_shown = 0;
}

static void on_progress(watcher *w, uint64_t directories, uint64_t files, void *arg)
{
	struct watching *t = arg;
	char line[100];
	int n;

	(void)w;
	if (t->voice->level < 0 || !isatty(2))
		return;
	n = snprintf(line, sizeof line, "\rwhendo: reading: %llu directories, %llu names",
		     (unsigned long long)directories, (unsigned long long)files);
	t->progress_shown = 1;
	if (write(2, line, (size_t)n) < 0)
		t->progress_shown = 0;
}

/* Does the message name the path, as messages do, cut off and in one line? */
static int names_path(const char *message, const char *path)
{
	char shown[200];

	snprintf(shown, sizeof shown, "%s", path);
	one_line(shown);
	return strstr(message, shown) != NULL;
}

static void on_problem(watcher *w, const char *path, const watcher_error *err, void *arg)
{
	struct watching *t = arg;

	(void)w;
	clear_progress(t);
	/* That a root went or came back is news, not a failure. */
	if (err->code == 0 || err->code == UV_ENOENT)
		say(t->voice, 0, SAY_NOTE, "%s", err->message);
	else if (path && !names_path(err->message, path))
		say_error("%s: %s", path, err->message);
	else
		say_error("%s", err->message);
}

static void tell_ready(struct watching *t)
{
	int fd = t->s->ready_fd;

	if (fd < 0)
		return;
	if (write(fd, "\n", 1) < 0)
		say_error("--ready-fd %d: %s", fd, strerror(errno));
	close(fd);
}

/* Most often a name that was mistyped, or a link to such a one. */
static void say_absent(const struct watching *t)
{
	const char *root;
	struct stat st;

	for (size_t i = 0; (root = watcher_watch_root(t->watch, i)); i++)
		if (stat(root, &st) < 0 && errno == ENOENT)
			say(t->voice, 0, SAY_NOTE, "%s: is not there yet; waiting for it", root);
}

/* Fanotify is ready before it has read what is there. */
static void say_backend(const struct watching *t, const watcher_stats_t *st)
{
	const char *backend = st->backend ? st->backend : "none";

	if (strcmp(backend, "fanotify") == 0)
		say(t->voice, 1, SAY_DIM, "backend %s, %llu marks; what is there is read meanwhile",
		    backend, (unsigned long long)st->watches);
	else
		say(t->voice, 1, SAY_DIM,
		    "backend %s, %llu watches, %llu directories polled, %llu files, "
		    "index of %llu KiB",
		    backend, (unsigned long long)st->watches,
		    (unsigned long long)st->polled_directories, (unsigned long long)st->files,
		    (unsigned long long)st->index_bytes / 1024);
}

/* Of all backends the two that the kernel tells of opening and closing. */
static void say_untold(const struct watching *t, const watcher_stats_t *st)
{
	const unsigned open = WATCHER_OPENED | WATCHER_CLOSED | WATCHER_CLOSED_NO_WRITE;
	int blind = st->backend && strcmp(st->backend, "fsevent") == 0;

	if (!((t->s->kinds ? t->s->kinds : t->kinds) & open) || !(blind || st->polled_directories))
		return;
	say(t->voice, 0, SAY_NOTE, "opened, closed and closed_no_write are not told %s",
	    blind ? "by fsevent" : "where directories are polled");
}

static void say_ready(struct watching *t)
{
	const char *first = watcher_watch_root(t->watch, 0);
	struct bytes took = { 0 }, more = { 0 };
	watcher_stats_t st;
	size_t n = 1;

	watcher_stats(t->w, &st, sizeof st);
	while (watcher_watch_root(t->watch, n))
		n++;
	emit_duration(&took, (int64_t)(uv_hrtime() - t->opened_ns));
	say_absent(t);
	emit(&more, "");
	if (n > 1)
		emit_f(&more, " and %zu more", n - 1);
	if (!st.backend || strcmp(st.backend, "fanotify") != 0)
		emit_f(&more, " (%llu director%s)", (unsigned long long)st.directories,
		       st.directories == 1 ? "y" : "ies");
	say(t->voice, 0, SAY_DIM, "watching %s%s in %s", first, more.data, took.data);
	say_untold(t, &st);
	say_backend(t, &st);
	bytes_free(&more);
	bytes_free(&took);
}

static void on_ready(watcher *w, void *arg)
{
	struct watching *t = arg;

	(void)w;
	if (t->is_ready)
		return;
	t->is_ready = 1;
	clear_progress(t);
	say_ready(t);
	tell_ready(t);
	if (t->on_ready)
		t->on_ready(t->arg);
}

static void on_batch(watcher_watch *watch, watcher_batch *batch, void *arg)
{
	struct watching *t = arg;

	(void)watch;
	t->on_batch(batch, t->arg);
}

static unsigned watch_flags(const struct settings *s)
{
	return (s->watchdog ? WATCHER_WATCHDOG_EVENTS : 0u) |
	       (s->full_moves ? WATCHER_FULL_MOVES : 0u) |
	       (s->dir_modified ? WATCHER_DIR_MODIFIED : 0u);
}

static int add_watch(struct watching *t, const char *const *paths, watcher_error *err)
{
	const struct settings *s = t->s;
	unsigned control = t->kinds & WATCHER_CONTROL;
	watch_options o = { .size = sizeof o };

	o.roots = paths + 1;
	o.depth = s->files_from || !s->recursive ? 1 : s->depth;
	o.follow_symlinks = s->follow_symlinks;
	o.kinds = (s->kinds ? s->kinds : t->kinds) | control;
	o.flags = watch_flags(s);
	o.filter = t->filter;
	o.on_batch = on_batch;
	o.arg = t;
	o.watch = &t->watch;
	return watcher_add(t->w, paths[0], &o, err);
}

static int open_watcher(struct watching *t, watcher_error *err)
{
	const struct settings *s = t->s;
	watcher_options o = { .size = sizeof o };

	o.loop = t->loop;
	o.backend = s->backend;
	o.debounce_ms = (int)t->debounce_ms;
	o.debounce_max_ms = (int)t->debounce_max_ms;
	o.leading_ms = (int)t->leading_ms;
	o.poll_interval_ms = (int)s->poll_interval_ms;
	o.on_ready = on_ready;
	o.on_problem = on_problem;
	o.on_progress = on_progress;
	o.arg = t;
	return watcher_open(&t->w, &o, err);
}

int watching_open(struct watching *t)
{
	static const char *const here[] = { ".", NULL };
	const char *const *paths = t->s->paths.n ? words_list(&t->s->paths) : here;
	watcher_error err = { 0 };
	int r;

	t->opened_ns = uv_hrtime();
	if (t->s->ready_fd >= 0 && fcntl(t->s->ready_fd, F_GETFD) < 0) {
		say_error("--ready-fd %d: %s", t->s->ready_fd, strerror(errno));
		return EXIT_USAGE;
	}
	if ((r = filter_open(&t->filter, t->s)) != 0)
		return r;
	if (t->s->files_from) {
		if ((r = read_files(t)) != 0)
			return r;
		for (size_t i = 0; i < t->s->paths.n; i++)
			words_add(&t->files, t->s->paths.v[i]);
		paths = words_list(&t->files);
	}
	if ((r = open_watcher(t, &err)) == 0)
		r = add_watch(t, paths, &err);
	clear_progress(t);
	if (r == 0)
		return 0;
	say_error("%s", err.message[0] ? err.message : uv_strerror(r));
	return EXIT_FAILED;
}

void watching_close(struct watching *t)
{
	watcher_close(t->w);
	watcher_filter_free(t->filter);
	words_free(&t->files);
	t->w = NULL;
	t->filter = NULL;
}
