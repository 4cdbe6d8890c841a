/*
 * Looks programs up in PATH and guesses what a mistyped name meant. Starts nothing.
 */
#include "shellcmd/lookup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "whendo/shellcmd.h"

extern char **environ;

enum { MAX_ENTRIES = 20000, MAX_NAME = 48 };

static const char *env_value(const char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

static const char *const *environment(const char *const *env)
{
	return env ? env : (const char *const *)environ;
}

/* Calls fn(directory, length, arg) for the entries of PATH until it returns non-zero. */
static int each_directory(const char *const *env,
			  int (*fn)(const char *dir, size_t len, void *arg), void *arg)
{
	const char *p = env_value(environment(env), "PATH");
	int r;

	if (!p)
		p = "/bin:/usr/bin";
	for (;; p++) {
		size_t len = strcspn(p, ":");

		if ((r = len ? fn(p, len, arg) : fn(".", 1, arg)))
			return r;
		p += len;
		if (!*p)
			return 0;
	}
}

/* -------------------------------------------------------------- lookup ---- */

static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOTDIR ? UV_ENOENT : uv_translate_sys_error(errno);
	if (!S_ISREG(st.st_mode))
		return UV_EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? UV_EACCES : 0;
}

struct search {
	const char *name;
	struct bytes path; /* of the one being tried, and the one found */
	int error;	   /* the best reason so far for not finding any */
};

/* 1 when found, 0 to go on, negative when out of memory. */
static int try_directory(const char *dir, size_t len, void *arg)
{
	struct search *s = arg;
	int r;

	bytes_clear(&s->path);
	if ((r = bytes_add(&s->path, dir, len)) < 0 || (r = bytes_addc(&s->path, '/')) < 0 ||
	    (r = bytes_adds(&s->path, s->name)) < 0)
		return r;
	r = check_executable(s->path.data);
	if (r == UV_EACCES)
		s->error = r;
	return r == 0;
}

static int home_of(struct bytes *out, const char *user, size_t len, const char *const *env)
{
	struct bytes name = { 0 }, space = { 0 };
	const char *home = len ? NULL : env_value(environment(env), "HOME");
	struct passwd pw, *found = NULL;
	size_t size = 1024;
	int r, e;

	if (home)
		return bytes_adds(out, home);
	if ((r = bytes_add(&name, user, len)) < 0)
		return r;
	do {
		size *= 2;
		if ((r = bytes_reserve(&space, size)) < 0)
			goto out;
		e = len ? getpwnam_r(name.data, &pw, space.data, size, &found)
			: getpwuid_r(getuid(), &pw, space.data, size, &found);
	} while (e == ERANGE && size < 1 << 20);
	r = found ? bytes_adds(out, pw.pw_dir) : UV_ENOENT;
out:
	bytes_free(&name);
	bytes_free(&space);
	return r;
}

static int add_path(struct bytes *out, const char *path, const char *const *env)
{
	size_t user = *path == '~' ? strcspn(path, "/") : 0;
	int r = user ? home_of(out, path + 1, user - 1, env) : 0;

	return r < 0 ? r : bytes_adds(out, path + user);
}

/* Puts the present directory before a relative path; leaves it alone when there is none. */
static int make_absolute(struct bytes *path)
{
	struct bytes whole = { 0 };
	char *cwd;
	int r;

	if (path->data[0] == '/')
		return 0;
	if (!(cwd = getcwd(NULL, 0)))
		return errno == ENOMEM ? UV_ENOMEM : 0;
	r = bytes_addf(&whole, "%s/%s", strcmp(cwd, "/") ? cwd : "",
		       path->data + (strncmp(path->data, "./", 2) ? 0 : 2));
	free(cwd);
	if (r < 0)
		return r;
	bytes_free(path);
	*path = whole;
	return 0;
}

int sh__lookup(char **path, const char *name, const char *const *env)
{
	struct search s = { .name = name, .error = UV_ENOENT };
	int r;

	if (!*name)
		return UV_EINVAL;
	if (*name == '~' || strchr(name, '/')) {
		if ((r = add_path(&s.path, name, env)) == 0)
			r = check_executable(s.path.data);
	} else {
		r = each_directory(env, try_directory, &s);
		r = r == 1 ? 0 : r < 0 ? r : s.error;
	}
	if (r == 0)
		r = make_absolute(&s.path);
	if (r == 0)
		*path = bytes_take(&s.path);
	bytes_free(&s.path);
	return r;
}

/* ---------------------------------------------------------- near names ---- */

/*
 * Edits (insert, delete, replace, swap neighbours) from a to b, or limit + 1 when there are
 * more. Both have at most MAX_NAME bytes.
 */
static int distance(const char *a, const char *b, int limit)
{
	int rows[3][MAX_NAME + 1], *before = rows[0], *last = rows[1], *row = rows[2], *spare;
	int la = (int)strlen(a), lb = (int)strlen(b), least;

	for (int j = 0; j <= lb; j++)
		last[j] = j;
	for (int i = 1; i <= la; i++) {
		least = row[0] = i;
		for (int j = 1; j <= lb; j++) {
			int d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = last[j] + 1 < d ? last[j] + 1 : d;
			d = row[j - 1] + 1 < d ? row[j - 1] + 1 : d;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < d)
				d = before[j - 2] + 1;
			row[j] = d;
			least = d < least ? d : least;
		}
		if (least > limit)
			return limit + 1;
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[lb];
}

struct guess {
	const char *name; /* as mistyped, without directory */
	size_t len;
	int entries; /* looked at so far */
	int edits;   /* of the best; what it may be at most before there is one */
	int shared;  /* leading bytes it has in common with `name` */
	char best[MAX_NAME + 1];
};

static int shared_start(const char *a, const char *b)
{
	int n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

/* Fewer edits win, then the longer common start, then the alphabet. */
static int is_better(const struct guess *g, const char *entry, int edits, int shared)
{
	if (!g->best[0] || edits != g->edits)
		return edits <= g->edits;
	if (shared != g->shared)
		return shared > g->shared;
	return strcmp(entry, g->best) < 0;
}

static void consider(struct guess *g, int dir, const char *entry)
{
	size_t len = strlen(entry);
	struct stat st;
	int edits, shared = shared_start(g->name, entry);

	if (len > MAX_NAME || len + (size_t)g->edits < g->len ||
	    len > g->len + (size_t)g->edits || entry[0] == '.')
		return;
	edits = distance(g->name, entry, g->edits);
	if (edits == 0 || edits > g->edits || !is_better(g, entry, edits, shared))
		return;
	if (fstatat(dir, entry, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
	    faccessat(dir, entry, X_OK, AT_EACCESS) < 0)
		return;
	g->edits = edits;
	g->shared = shared;
	memcpy(g->best, entry, len + 1);
}

static int look_in(const char *dir, size_t len, void *arg)
{
	struct bytes path = { 0 };
	struct guess *g = arg;
	struct dirent *e;
	DIR *d = NULL;

	if (bytes_add(&path, dir, len) == 0)
		d = opendir(path.data);
	bytes_free(&path);
	if (!d)
		return 0;
	while (g->entries < MAX_ENTRIES && (e = readdir(d))) {
		g->entries++;
		consider(g, dirfd(d), e->d_name);
	}
	closedir(d);
	return g->entries >= MAX_ENTRIES;
}

char *sh__near_name(const char *name, const char *const *env)
{
	struct bytes whole = { 0 }, out = { 0 };
	struct guess g = { 0 };
	const char *base;
	size_t dir;

	if (add_path(&whole, name, env) < 0) {
		bytes_free(&whole);
		return NULL;
	}
	base = strrchr(whole.data, '/');
	dir = base ? (size_t)(base + 1 - whole.data) : 0;
	g.name = whole.data + dir;
	g.len = strlen(g.name);
	/* A third of the name may be wrong; of two letters nothing can be guessed. */
	g.edits = g.len < 3 ? 0 : g.len < 6 ? 1 : g.len < 9 ? 2 : 3;
	if (g.edits && g.len <= MAX_NAME) {
		if (dir)
			look_in(whole.data, dir, &g);
		else
			each_directory(env, look_in, &g);
	}
	if (g.best[0] && (bytes_add(&out, whole.data, dir) < 0 || bytes_adds(&out, g.best) < 0))
		bytes_free(&out);
	bytes_free(&whole);
	return bytes_take(&out);
}

char *sh_which(const char *program)
{
	char *path = NULL;

	if (program)
		sh__lookup(&path, program, NULL);
	return path;
}
