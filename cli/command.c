/* Placeholders, environment and input of a command. Starts nothing. */
#include "command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emit.h"
#include "say.h"

/* ---- placeholders */

enum hole { HOLE_NONE, HOLE_ALL, HOLE_FIRST, HOLE_NAME, HOLE_DIR, HOLE_STEM, HOLE_LITERAL };

static const struct {
	const char *text;
	enum hole hole;
	const char *variable; /* of a shell line, inside double quotes */
} holes[] = {
	{ "{{}}", HOLE_LITERAL, "{}" },		{ "{}", HOLE_ALL, "$@" },
	{ "{1}", HOLE_FIRST, "${1-}" },		{ "{/}", HOLE_NAME, "${WHENDO_NAME-}" },
	{ "{//}", HOLE_DIR, "${WHENDO_DIR-}" }, { "{.}", HOLE_STEM, "${WHENDO_STEM-}" },
};

/* The placeholder at p: its index, -1 for none. */
static int hole_at(const char *p)
{
	if (*p != '{')
		return -1;
	for (size_t i = 0; i < sizeof holes / sizeof *holes; i++)
		if (strncmp(p, holes[i].text, strlen(holes[i].text)) == 0)
			return (int)i;
	return -1;
}

static void note_holes(struct command *c, const char *text)
{
	for (const char *p = text; *p; p++) {
		int i = hole_at(p);

		if (i < 0)
			continue;
		if (holes[i].hole == HOLE_ALL)
			c->has_all = 1;
		else if (holes[i].hole != HOLE_LITERAL)
			c->needs_path = 1;
		p += strlen(holes[i].text) - 1;
	}
}

/* A shell line with its placeholders as expansions that keep each path one word. */
static char *shell_text(const char *line)
{
	struct bytes out = { 0 };
	char quote = 0;

	for (const char *p = line; *p; p++) {
		int i = quote == '\'' ? -1 : hole_at(p);

		if (i >= 0) {
			int bare = !quote && holes[i].hole != HOLE_LITERAL;

			emit_f(&out, "%s%s%s", bare ? "\"" : "", holes[i].variable,
			       bare ? "\"" : "");
			p += strlen(holes[i].text) - 1;
			continue;
		}
		if (*p == '\\' && quote != '\'' && p[1])
			emit_n(&out, p++, 1);
		else if (quote ? *p == quote : *p == '\'' || *p == '"')
			quote = quote ? 0 : *p;
		emit_n(&out, p, 1);
	}
	emit_n(&out, "", 0);
	return bytes_take(&out);
}

static int is_shell_line(const struct settings *s)
{
	if (s->shell)
		return 1;
	return !s->is_vector && s->command.n == 1 &&
	       strpbrk(s->command.v[0], " \t\n|&;<>()$`\\\"'*?[#~!") != NULL;
}

void command_init(struct command *c, const struct settings *s)
{
	struct bytes line = { 0 };
	const char *shell = s->shell && *s->shell ? s->shell : "/bin/sh";

	*c = (struct command){ .s = s, .is_shell = is_shell_line(s), .needs_path = s->each };
	for (size_t i = 0; i < s->command.n; i++) {
		note_holes(c, s->command.v[i]);
		if (!c->is_shell)
			words_add(&c->words, s->command.v[i]);
		else
			emit_f(&line, "%s%s", i ? " " : "", s->command.v[i]);
	}
	if (!c->is_shell)
		return;
	words_add(&c->words, shell);
	words_add(&c->words, "-c");
	words_take(&c->words, shell_text(line.data ? line.data : ""));
	/* $0: who complains in the line. */
	words_add(&c->words, strrchr(shell, '/') ? strrchr(shell, '/') + 1 : shell);
	bytes_free(&line);
}

void command_free(struct command *c)
{
	words_free(&c->words);
}

static void add_part(struct bytes *out, enum hole hole, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *dot = strrchr(name, '.');

	if (hole == HOLE_NAME)
		emit(out, name);
	else if (hole == HOLE_DIR)
		emit_n(out, slash ? slash == path ? "/" : path : ".",
		       slash && slash != path ? (size_t)(slash - path) : 1);
	else if (hole == HOLE_STEM)
		emit_n(out, path, dot && dot > name ? (size_t)(dot - path) : strlen(path));
	else
		emit(out, path);
}

/* A word for one path, "" where there is none; an argument never begins with a path's -. */
static char *fill(const char *word, const char *path)
{
	struct bytes out = { 0 };

	for (const char *p = word; *p; p++) {
		int i = hole_at(p);

		if (i < 0) {
			emit_n(&out, p, 1);
			continue;
		}
		if (holes[i].hole == HOLE_LITERAL) {
			emit(&out, "{}");
		} else {
			size_t before = out.len;
			struct bytes part = { 0 };

			add_part(&part, holes[i].hole, path);
			if (before == 0 && part.len && part.data[0] == '-')
				emit(&out, "./");
			emit(&out, part.data ? part.data : "");
			bytes_free(&part);
		}
		p += strlen(holes[i].text) - 1;
	}
	emit_n(&out, "", 0);
	return bytes_take(&out);
}

static int has_hole(const char *word, int all)
{
	for (const char *p = word; *p; p++) {
		int i = hole_at(p);

		if (i >= 0 && (!all || holes[i].hole == HOLE_ALL))
			return 1;
		if (i >= 0)
			p += strlen(holes[i].text) - 1;
	}
	return 0;
}

/* A quarter of what execve(2) takes for arguments and environment together. */
static size_t argument_room(void)
{
	long max = sysconf(_SC_ARG_MAX);

	return (size_t)(max > 0 ? max : 131072) / 4;
}

/* How many of the paths from `next` on fit into one vector. */
static size_t fitting(const struct words *paths, size_t next)
{
	size_t room = argument_room(), used = 0, n = next;

	for (; n < paths->n; n++) {
		used += strlen(paths->v[n]) + 3 + sizeof(char *);
		if (used > room && n > next)
			break;
	}
	return n;
}

static char *guarded(const char *path)
{
	return alloc_text("%s%s", path[0] == '-' ? "./" : "", path);
}

void command_words(struct words *argv, const struct command *c, const struct words *paths,
		   size_t *next)
{
	size_t from = *next, to = fitting(paths, from);
	const char *first = from < paths->n ? paths->v[from] : "";

	if (c->is_shell || c->has_all)
		*next = to;
	else
		*next = paths->n;
	for (size_t i = 0; i < c->words.n; i++) {
		const char *word = c->words.v[i];

		if (c->is_shell || !has_hole(word, 0))
			words_add(argv, word);
		else if (!has_hole(word, 1))
			words_take(argv, fill(word, first));
		else
			for (size_t k = from; k < to; k++)
				words_take(argv, fill(word, paths->v[k]));
	}
	for (size_t k = from; c->is_shell && k < to; k++)
		words_take(argv, guarded(paths->v[k]));
}

/* ---- environment and input */

static void add_variable(struct words *env, const char *name, const char *value)
{
	if (value)
		words_take(env, alloc_text("%s=%s", name, value));
}

/* A path apart, for shell lines. */
static void add_parts(struct words *env, const char *path)
{
	static const struct {
		const char *name;
		enum hole hole;
	} parts[] = { { "WHENDO_NAME", HOLE_NAME },
		      { "WHENDO_DIR", HOLE_DIR },
		      { "WHENDO_STEM", HOLE_STEM } };

	for (size_t i = 0; i < 3; i++) {
		struct bytes b = { 0 };

		if (path[0] == '-')
			emit(&b, "./");
		add_part(&b, parts[i].hole, path);
		add_variable(env, parts[i].name, b.data);
		bytes_free(&b);
	}
}

void command_environment(struct words *env, const struct command *c, const struct changes *ch,
			 const char *path, unsigned long run)
{
	char number[32];
	const char *now = path ? path : ch->paths.n ? ch->paths.v[0] : NULL;

	for (size_t i = 0; i < c->s->environment.n; i++)
		words_add(env, c->s->environment.v[i]);
	if (ch->count) {
		add_variable(env, "WHENDO_EVENT", watcher_kind_name(ch->kind));
		add_variable(env, "WHENDO_PATH", path ? path : ch->path);
		add_variable(env, "WHENDO_DEST", path ? NULL : ch->dest);
		add_variable(env, "WHENDO_ROOT", ch->root);
		snprintf(number, sizeof number, "%llu", (unsigned long long)ch->batch);
		add_variable(env, "WHENDO_BATCH", number);
	}
	if (c->is_shell && now)
		add_parts(env, now);
	snprintf(number, sizeof number, "%zu", ch->count);
	add_variable(env, "WHENDO_COUNT", number);
	snprintf(number, sizeof number, "%lu", run);
	add_variable(env, "WHENDO_RUN", number);
}

void command_input(struct bytes *in, const struct command *c, const struct changes *ch)
{
	if (c->s->feed == STDIN_JSON && ch->json.len)
		emit_n(in, ch->json.data, ch->json.len);
	if (c->s->feed != STDIN_PATHS && c->s->feed != STDIN_PATHS0)
		return;
	for (size_t i = 0; i < ch->paths.n; i++) {
		emit(in, ch->paths.v[i]);
		emit_n(in, c->s->feed == STDIN_PATHS0 ? "" : "\n", 1);
	}
}

/* As a shell would take it, but that placeholders stay as they were written. */
static void add_shown(struct bytes *line, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_@%+=:,./-{}";
	char *quoted = NULL;

	if (!*word || word[strspn(word, plain)])
		quoted = sh_quote(SH_LIST(word));
	emit_f(line, "%s%s", line->len ? " " : "", quoted ? quoted : word);
	free(quoted);
}

char *command_shown(const struct command *c)
{
	struct bytes line = { 0 };

	emit(&line, "");
	for (size_t i = 0; c->is_shell && i < c->s->command.n; i++)
		emit_f(&line, "%s%s", i ? " " : "", c->s->command.v[i]);
	for (size_t i = 0; !c->is_shell && i < c->words.n; i++)
		add_shown(&line, c->words.v[i]);
	return bytes_take(&line);
}

void command_say_failed(const char *program, const sh_result *result)
{
	const char *reason = result->message;
	size_t n = result->command ? strlen(result->command) : 0;

	/* All of a long command would hide the reason. */
	if (n && strncmp(reason, result->command, n) == 0 && strncmp(reason + n, ": ", 2) == 0)
		reason += n + 2;
	say_error("%s: %s", *program ? program : "''", reason);
}
