/*
 * Where git keeps ignore rules outside the tree: info/exclude of a repository, and the
 * user's global file. Reads only as much of git's configuration as that takes.
 */
#include "ignore_file.h"

#include <ctype.h>
#include <strings.h>
#include <sys/stat.h>

#include "git_paths.h"

static int add_joined(struct bytes *out, const char *dir, const char *rest)
{
	int r = bytes_adds(out, dir);

	return r < 0 ? r : bytes_adds(out, rest);
}

/* Drops line ends and blanks at the end. */
static void chomp(struct bytes *b)
{
	while (b->len && isspace((unsigned char)b->data[b->len - 1]))
		b->data[--b->len] = '\0';
}

/* `name` as a path seen from `dir`; replaces *out. */
static int resolve(struct bytes *out, const char *dir, const char *name)
{
	bytes_clear(out);
	return name[0] == '/' ? bytes_adds(out, name) : bytes_addf(out, "%s/%s", dir, name);
}

/* Follows a .git file ("gitdir: PATH") to its directory. */
static int follow_git_file(struct bytes *git, const char *top)
{
	struct bytes text = { .max = 8192 };
	int r = watcher__read_small_file(&text, git->data, 0);

	if (r == 0) {
		chomp(&text);
		r = text.len > 8 && strncmp(text.data, "gitdir: ", 8) == 0 ?
			    resolve(git, top, text.data + 8) :
			    UV_ENOENT;
	}
	bytes_free(&text);
	return r;
}

/* The directory of the repository, common to all its work trees, whose work tree is `top`. */
static int common_dir(struct bytes *git, const char *top)
{
	struct bytes common = { .max = 8192 }, own = { 0 };
	struct stat st;
	int r = bytes_addf(git, "%s/.git", top);

	if (r == 0 && lstat(git->data, &st) < 0)
		r = UV_ENOENT;
	else if (r == 0 && !S_ISDIR(st.st_mode))
		r = follow_git_file(git, top);
	if (r == 0)
		r = add_joined(&own, git->data, "/commondir");
	if (r == 0 && (r = watcher__read_small_file(&common, own.data, 0)) == 0) {
		chomp(&common);
		bytes_clear(&own);
		if ((r = bytes_add(&own, git->data, git->len)) == 0 && common.len)
			r = resolve(git, own.data, common.data);
	} else if (r == UV_ENOENT && own.len) {
		r = 0; /* no file "commondir": this is the main work tree */
	}
	bytes_free(&common);
	bytes_free(&own);
	return r;
}

int watcher__git_exclude_path(struct bytes *path, const char *top)
{
	int r = common_dir(path, top);

	return r < 0 ? r : bytes_adds(path, "/info/exclude");
}

/* ---- core.excludesFile ---- */

/* Reads the value behind '=': quotes, escapes and comments as in git-config(1). */
static int read_value(struct bytes *value, const char *p, size_t n)
{
	bool quoted = false;
	size_t keep = 0;
	int r = 0;

	bytes_clear(value);
	for (size_t i = 0; i < n && r == 0; i++) {
		char c = p[i];

		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		if ((c == '#' || c == ';') && !quoted)
			break;
		if (c == '\\' && i + 1 < n) {
			c = p[++i];
			c = c == 't' ? '\t' : c == 'n' ? '\n' : c;
			r = bytes_addc(value, c);
			keep = value->len;
			continue;
		}
		if (value->len == 0 && isspace((unsigned char)c) && !quoted)
			continue;
		r = bytes_addc(value, c);
		if (quoted || !isspace((unsigned char)c))
			keep = value->len;
	}
	if (r == 0 && value->data)
		value->data[value->len = keep] = '\0';
	return r;
}

/* If the line sets excludesFile, its value; 1 then. */
static int read_key(struct bytes *value, const char *p, size_t n)
{
	static const char key[] = "excludesfile";
	size_t k = sizeof key - 1;
	int r;

	if (n <= k || strncasecmp(p, key, k) != 0)
		return 0;
	while (k < n && isspace((unsigned char)p[k]))
		k++;
	if (k == n || p[k] != '=')
		return 0;
	r = read_value(value, p + k + 1, n - k - 1);
	return r < 0 ? r : 1;
}

/* "[core]" before the key may stand on the key's line. */
static bool section_header(const char **p, size_t *n, bool *in_core)
{
	const char *end = *n && **p == '[' ? memchr(*p, ']', *n) : NULL;

	if (!end)
		return false;
	*in_core = end - *p == 5 && strncasecmp(*p, "[core", 5) == 0;
	*n -= (size_t)(end + 1 - *p);
	*p = end + 1;
	return true;
}

int watcher__git_config_excludes(struct bytes *value, const char *text, size_t len)
{
	bool in_core = false;
	int r = 0;

	for (size_t at = 0, next; at < len && r >= 0; at = next) {
		const char *end = memchr(text + at, '\n', len - at), *p = text + at;
		size_t n = end ? (size_t)(end - p) : len - at;

		next = at + n + 1;
		do {
			while (n && isspace((unsigned char)*p))
				p++, n--;
		} while (section_header(&p, &n, &in_core));
		if (in_core)
			r = read_key(value, p, n);
	}
	return r < 0 ? r : 0;
}

/* ---- the files of git's configuration ---- */

/* A file in a directory, which may be NULL. */
static int each_in(const char *dir, const char *rest, int (*each)(const char *path, void *arg),
		   void *arg)
{
	struct bytes path = { 0 };
	int r = dir ? add_joined(&path, dir, rest) : 0;

	if (r == 0 && dir)
		r = each(path.data, arg);
	bytes_free(&path);
	return r;
}

static int each_of_repository(const char *top, int (*each)(const char *path, void *arg), void *arg)
{
	struct bytes git = { 0 };
	int r = top ? common_dir(&git, top) : UV_ENOENT;

	if (r == 0)
		r = each_in(git.data, "/config", each, arg);
	else if (r != UV_ENOMEM)
		r = 0;
	bytes_free(&git);
	return r;
}

/* $HOME, if it is set. */
static const char *home_dir(void)
{
	const char *home = getenv("HOME");

	return home && *home ? home : NULL;
}

/* $XDG_CONFIG_HOME, or ~/.config. */
static int config_home(struct bytes *out)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = home_dir();

	if (xdg && *xdg)
		return bytes_adds(out, xdg);
	return home ? add_joined(out, home, "/.config") : 0;
}

int watcher__git_configs(const char *top, int (*each)(const char *path, void *arg), void *arg)
{
	const char *global = getenv("GIT_CONFIG_GLOBAL");
	struct bytes xdg = { 0 };
	int r = config_home(&xdg);

	if (r == 0)
		r = each("/etc/gitconfig", arg);
	if (r == 0 && global)
		r = each_in(global, "", each, arg);
	if (r == 0 && !global)
		r = each_in(xdg.data, "/git/config", each, arg);
	if (r == 0 && !global)
		r = each_in(home_dir(), "/.gitconfig", each, arg);
	bytes_free(&xdg);
	return r ? r : each_of_repository(top, each, arg);
}

/* Lets a configuration file have its say; one that cannot be read has none. */
static int ask_config(const char *path, void *value)
{
	struct bytes text = { .max = IGNORE_FILE_MAX };
	int r = watcher__read_small_file(&text, path, 0);

	if (r == 0)
		r = watcher__git_config_excludes(value, text.data, text.len);
	bytes_free(&text);
	return r == UV_ENOMEM ? r : 0;
}

int watcher__git_global_path(struct bytes *path, const char *top)
{
	struct bytes value = { 0 }, xdg = { 0 };
	const char *home = home_dir();
	int r = config_home(&xdg);

	if (r == 0)
		r = watcher__git_configs(top, ask_config, &value);
	if (r == 0 && value.len) {
		if (strncmp(value.data, "~/", 2) == 0 && home)
			r = add_joined(path, home, value.data + 1);
		else
			r = bytes_add(path, value.data, value.len);
	} else if (r == 0) {
		r = xdg.len ? add_joined(path, xdg.data, "/git/ignore") : UV_ENOENT;
	}
	bytes_free(&value);
	bytes_free(&xdg);
	return r;
}
