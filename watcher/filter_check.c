/*
 * The public question about a plain path, answered by the code that answers the engine: the
 * filter is bound to the root, the ignore files on the way down are read, the path is judged.
 */
#include "filter_root.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/one_line.h"

/* The verdict and its strings are one allocation each; the public part comes first. */
struct verdict {
	watcher_verdict shown;
	char *strings[4];
};

void watcher_verdict_free(watcher_verdict *v)
{
	struct verdict *own = (struct verdict *)v;

	if (!own)
		return;
	for (size_t i = 0; i < sizeof own->strings / sizeof *own->strings; i++)
		free(own->strings[i]);
	free(own);
}

/* Appends the components of `path`: no ".", no empty ones, ".." by name. */
static int add_components(struct bytes *out, const char *path, size_t keep)
{
	int r = 0;

	while (*path && r == 0) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (out->len > keep && out->data[--out->len] != '/')
				continue;
			if (out->data)
				out->data[out->len] = '\0';
		} else if (n && !(n == 1 && path[0] == '.')) {
			r = bytes_addc(out, '/');
			r = r < 0 ? r : bytes_add(out, path, n);
		}
		path += n + (path[n] == '/');
	}
	return r;
}

/* `path` as an absolute one; "/" becomes "". */
static int absolute(struct bytes *out, const char *path)
{
	char here[PATH_MAX];
	int r = 0;

	if (path[0] != '/') {
		if (!getcwd(here, sizeof here))
			return -errno;
		r = add_components(out, here, 0);
	}
	if (r == 0)
		r = add_components(out, path, 0);
	return r < 0 ? r : bytes_adds(out, "");
}

/* `path` below the root, without a slash in front. */
static int relative(struct bytes *out, const struct bytes *root, const char *path)
{
	struct bytes whole = { 0 };
	int r;

	if (path[0] == '/')
		r = absolute(&whole, path);
	else if ((r = bytes_add(&whole, root->data, root->len)) == 0)
		r = add_components(&whole, path, 0);
	if (r == 0 && (whole.len < root->len || memcmp(whole.data, root->data, root->len) != 0 ||
		       (whole.len > root->len && whole.data[root->len] != '/')))
		r = UV_EINVAL;
	if (r == 0)
		r = bytes_adds(out, whole.data + root->len + (whole.len > root->len));
	bytes_free(&whole);
	return r;
}

static int type_on_disk(const struct bytes *root, const struct bytes *rel, int *type)
{
	struct bytes path = { 0 };
	struct stat st;
	int r = bytes_addf(&path, "%s/%s", root->data, rel->data);

	*type = WATCHER_TYPE_FILE;
	if (r == 0 && lstat(path.data, &st) == 0)
		*type = S_ISDIR(st.st_mode) ? WATCHER_TYPE_DIR :
			S_ISREG(st.st_mode) ? WATCHER_TYPE_FILE :
			S_ISLNK(st.st_mode) ? WATCHER_TYPE_SYMLINK :
					      WATCHER_TYPE_OTHER;
	bytes_free(&path);
	return r;
}

/*
 * Reads the ignore files of the directories above `rel`, and finds the first of them, or
 * `rel` itself if it is a directory, that the crawl would not enter: the length of its path,
 * or -1 if there is none.
 */
static int walk_down(struct filter_root *fr, const struct bytes *rel, bool is_dir, long *stop)
{
	int r = 0;

	*stop = -1;
	for (size_t at = 0; r >= 0 && at <= rel->len; at++) {
		if (at > 0 && at < rel->len && rel->data[at] != '/')
			continue;
		if (at == rel->len && !is_dir)
			break;
		/* The root itself is entered whatever the rules say of it. */
		if (at > 0 && *stop < 0 && !watcher__filter_descend(fr, rel->data, at))
			*stop = (long)at;
		if (at > 0 && at < rel->len) /* those of the root are read */
			r = watcher__filter_reload(fr, rel->data, at);
	}
	return r < 0 ? r : 0;
}

/* "ignored: *.o (.gitignore:3), through the directory out" */
static int write_message(struct bytes *m, const struct judgement *j, const struct bytes *rel)
{
	static const char *const words[] = {
		[WATCHER_WHY_NO_RULE] = "passes: no rule is against it",
		[WATCHER_WHY_PATTERN] = "passes",
		[WATCHER_WHY_NO_PATTERN] = "does not pass: no pattern matches it",
		[WATCHER_WHY_IGNORED] = "ignored",
		[WATCHER_WHY_REINCLUDED] = "passes",
		[WATCHER_WHY_INCLUDED] = "passes",
		[WATCHER_WHY_KIND] = "does not pass: no event of this kind is wanted",
		[WATCHER_WHY_DIRECTORY] = "does not pass: it is a directory",
		[WATCHER_WHY_PREDICATE] = "does not pass: a predicate refused it",
	};
	bool refused = j->why == WATCHER_WHY_PATTERN && !j->passes;
	int r = bytes_adds(m, refused ? "does not pass" : words[j->why]);

	if (r < 0 || !j->rule)
		return r;
	r = bytes_addf(m, ": %s (%s", j->rule->text, j->rule->origin);
	if (r == 0 && j->rule->line)
		r = bytes_addf(m, ":%u", (unsigned)j->rule->line);
	if (r == 0)
		r = bytes_adds(m, ")");
	if (r == 0 && j->why == WATCHER_WHY_IGNORED && j->at < rel->len)
		r = bytes_addf(m, ", through the directory %.*s", (int)j->at, rel->data);
	return r;
}

static int make_verdict(watcher_verdict **v, const struct judgement *j, const struct bytes *rel,
			long stop)
{
	struct verdict *own = calloc(1, sizeof *own);
	struct bytes message = { 0 };

	if (!own)
		return UV_ENOMEM;
	if (write_message(&message, j, rel) < 0) {
		bytes_free(&message);
		watcher_verdict_free(&own->shown);
		return UV_ENOMEM;
	}
	own->strings[0] = strdup(j->rule ? j->rule->text : "");
	own->strings[1] = strdup(j->rule ? j->rule->origin : "");
	own->strings[2] = strndup(rel->data, stop > 0 ? (size_t)stop : 0);
	own->strings[3] = bytes_take(&message);
	one_line(own->strings[3]);
	if (!own->strings[0] || !own->strings[1] || !own->strings[2]) {
		watcher_verdict_free(&own->shown);
		return UV_ENOMEM;
	}
	own->shown = (watcher_verdict){
		.passes = j->passes,
		.why = j->why,
		.rule = own->strings[0],
		.origin = own->strings[1],
		.line = j->rule ? j->rule->line : 0,
		.prunes = own->strings[2],
		.message = own->strings[3],
	};
	*v = &own->shown;
	return 0;
}

static int judge(watcher_verdict **v, const watcher_filter *f, const char *root_shown,
		 const struct bytes *root, const struct bytes *rel, int type, unsigned kind)
{
	struct filter_root *fr = NULL;
	struct judgement j;
	long stop = -1;
	int r = watcher__filter_bind(&fr, f, root->len ? root->data : "/", root_shown);

	if (r == 0)
		r = walk_down(fr, rel, type == WATCHER_TYPE_DIR, &stop);
	if (r == 0) {
		watcher__filter_judge(fr, rel->data, rel->len, type, kind, &j);
		r = make_verdict(v, &j, rel, stop);
	}
	watcher__filter_unbind(fr);
	return r;
}

int watcher_filter_check(watcher_verdict **v, const watcher_filter *f, const char *root,
			 const char *path, int type, unsigned kind, watcher_error *err)
{
	struct bytes whole = { 0 }, rel = { 0 };
	int r;

	if (!root || !root[0] || !path)
		return watcher__filter_fail(err, UV_EINVAL, "no path to check");
	r = absolute(&whole, root);
	if (r == 0)
		r = relative(&rel, &whole, path);
	if (r == 0 && type == WATCHER_TYPE_UNKNOWN)
		r = type_on_disk(&whole, &rel, &type);
	if (r == 0)
		r = judge(v, f, root, &whole, &rel, type, kind);
	bytes_free(&whole);
	bytes_free(&rel);
	if (r == UV_EINVAL && err) {
		*err = (watcher_error){ .code = r };
		snprintf(err->message, sizeof err->message, "%.240s is not below %.240s", path, root);
		one_line(err->message);
		return r;
	}
	return r < 0 ? watcher__filter_fail(err, r, path) : 0;
}
