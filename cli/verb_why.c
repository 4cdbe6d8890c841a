/* why: for each path, whether an event on it would pass, and which rule decides that. */
#include "verbs.h"

#include <errno.h>
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

/* Takes out "." and "..", and '/' behind; `path` is absolute, or stays below where it begins.
 */
static char *tidy(const char *path)
{
	char *tidied = alloc_zero(strlen(path) + 2, 1), *to = tidied;

	if (*path == '/')
		*to++ = '/';
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (to > tidied && to[-1] != '/')
				to--;
			to -= to > tidied + 1;
			*to = '\0';
		} else if (n && !(n == 1 && *path == '.')) {
			if (to > tidied && to[-1] != '/')
				*to++ = '/';
			memcpy(to, path, n);
			to += n;
		}
		path += n + (path[n] == '/');
	}
	*to = '\0';
	return tidied;
}

/* Whether a relative path leaves the directory it begins in. */
static int leaves(const char *path)
{
	int depth = 0;

	while (*path && depth >= 0) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0)
			depth--;
		else if (n && !(n == 1 && *path == '.'))
			depth++;
		path += n + (path[n] == '/');
	}
	return depth < 0;
}

/* As the library wants it: below the current directory, or absolute. */
static char *seen_from(const char *here, const char *path)
{
	char *all, *tidied;

	if (path[0] == '/' || !leaves(path))
		return tidy(path);
	all = alloc_text("%s/%s", here, path);
	tidied = tidy(all);
	free(all);
	return tidied;
}

/* What passes the filter is an event of the kinds asked for: "; as created, deleted only". */
static void add_kinds(struct bytes *out, unsigned kinds)
{
	const char *before = "; as ";

	for (unsigned kind = 1; kind <= kinds; kind <<= 1) {
		if (!(kinds & kind))
			continue;
		emit(out, before);
		emit(out, watcher_kind_name((int)kind));
		before = ", ";
	}
	if (kinds)
		emit(out, " only (--events)");
}

/* The directory an answer is given for: the current one, or / for paths outside of it. */
static int explain(const watcher_filter *f, const char *path, unsigned kinds, struct bytes *out)
{
	static const char fails[] = "does not pass";
	watcher_verdict *v;
	watcher_error err = { 0 };
	char here[4096];
	const char *cwd = getcwd(here, sizeof here), *root;
	int is_told, r;
	char *p;

	if (!cwd && path[0] != '/') {
		say_error("%s: the current directory: %s", path, uv_strerror(-errno));
		return EXIT_FAILED;
	}
	cwd = cwd ? cwd : "/";
	p = seen_from(cwd, path);
	/* From "." the names of ignore files are as short as a reader here wants them. */
	root = p[0] == '/' ? cwd : ".";
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
	if (v->passes && kinds != WATCHER_ALL)
		add_kinds(out, kinds);
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
		r = explain(f, s->paths.v[i], s->kinds, &out);
	if (r == 0)
		r = print_out(&out);
	bytes_free(&out);
	watcher_filter_free(f);
	return r;
}
