/* why: for each path, whether an event on it would pass, and which rule decides that. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "emit.h"
#include "filtering.h"
#include "print.h"
#include "say.h"

static int type_of(const char *path)
{
	size_t n = strlen(path);
	struct stat st;

	if (lstat(path, &st) < 0)
		return n && path[n - 1] == '/' ? WATCHER_TYPE_DIR : WATCHER_TYPE_UNKNOWN;
	return S_ISREG(st.st_mode)   ? WATCHER_TYPE_FILE
	       : S_ISDIR(st.st_mode) ? WATCHER_TYPE_DIR
	       : S_ISLNK(st.st_mode) ? WATCHER_TYPE_SYMLINK
				     : WATCHER_TYPE_OTHER;
}

/* Without "./" in front and '/' behind, as the library wants a path below the root. */
static char *tidy(const char *path)
{
	size_t n;

	while (path[0] == '.' && path[1] == '/') {
		for (path += 2; *path == '/'; path++)
			;
	}
	n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	return alloc_copy_n(path, n);
}

/* The directory an answer is given for: the current one, or / for paths outside of it. */
static int explain(const watcher_filter *f, const char *path, struct bytes *out)
{
	static const char fails[] = "does not pass";
	watcher_verdict *v;
	watcher_error err = { 0 };
	char here[4096];
	char *p = tidy(path);
	const char *root = getcwd(here, sizeof here) ? here : ".";
	int is_told, r;

	if (strcmp(p, ".") == 0)
		p[0] = '\0';
	r = watcher_filter_check(&v, f, root, p, type_of(path), 0, &err);
	if (r == UV_EINVAL && p[0] == '/') {
		root = "/";
		r = watcher_filter_check(&v, f, root, p + 1, type_of(path), 0, &err);
	}
	free(p);
	if (r < 0) {
		say_error("%s: %s", path, err.message[0] ? err.message : uv_strerror(r));
		return EXIT_USAGE;
	}
	emit_safe(out, path, strlen(path), isatty(1) ? EMIT_TERMINAL : EMIT_PIPE);
	/* Without a rule that decides, the message says so by itself. */
	is_told = v->passes || strncmp(v->message, fails, strlen(fails)) == 0;
	emit(out, is_told ? ": " : ": does not pass: ");
	emit_safe(out, v->message, strlen(v->message), EMIT_TERMINAL);
	if (*v->prunes) {
		emit(out, "; the crawl stops at ");
		emit_safe(out, v->prunes, strlen(v->prunes), EMIT_TERMINAL);
		emit(out, "/");
	}
	emit(out, "\n");
	watcher_verdict_free(v);
	return 0;
}

int verb_why(struct settings *s)
{
	watcher_filter *f;
	struct bytes out = { 0 };
	int r;

	if (s->paths.n == 0) {
		say_error("why: name the paths to explain");
		return EXIT_USAGE;
	}
	if ((r = filter_open(&f, s)) != 0)
		return r;
	for (size_t i = 0; i < s->paths.n && r == 0; i++)
		r = explain(f, s->paths.v[i], &out);
	if (r == 0)
		r = print_out(&out);
	bytes_free(&out);
	watcher_filter_free(f);
	return r;
}
