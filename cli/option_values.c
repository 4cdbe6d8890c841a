/* From the text of a value to what an option stores, or to what is wrong with it. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"
#include "signals.h"
#include "whendo/watcher.h"

#define WHY 256

int parse_time(int64_t *ms, const char *text, char why[WHY])
{
	static const struct {
		const char *name;
		double ms;
	} units[] = { { "", 1e3 },    { "ms", 1 },   { "s", 1e3 },  { "m", 6e4 },
		      { "min", 6e4 }, { "h", 36e5 }, { "us", 1e-3 } };
	char *end;
	double v;

	if (!isdigit((unsigned char)text[0]) && text[0] != '.') {
		snprintf(why, WHY, "is no time; write 50ms, 1.5s, 2m, 1h or seconds");
		return -1;
	}
	v = strtod(text, &end);
	if (strpbrk(text, "xX"))
		end = (char *)text; /* strtod takes hexadecimal */
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		v *= units[i].ms;
		/* A week keeps all arithmetic far from its limits. */
		if (!(v <= 7 * 24 * 36e5)) {
			snprintf(why, WHY, "is too long; a week (168h) is the most");
			return -1;
		}
		*ms = (int64_t)(v + 0.999999);
		return 0;
	}
	snprintf(why, WHY, "is no time; write 50ms, 1.5s, 2m, 1h or seconds");
	return -1;
}

static void nearest(char why[WHY], const char *what, const char *text, const char *const *names)
{
	const char *near = say_nearest(text, names);
	size_t n;

	if (near) {
		snprintf(why, WHY, "%s; did you mean %s?", what, near);
		return;
	}
	n = (size_t)snprintf(why, WHY, "%s; it may be", what);
	for (; *names && n < WHY; names++)
		n += (size_t)snprintf(why + n, WHY - n, "%s %s", names[1] ? "" : " or", *names);
}

/* What inotifywait, watchexec and fswatch call them, where that is not nearly our name. */
static const char *kind_elsewhere(const char *name)
{
	static const struct {
		const char *theirs, *ours;
	} kinds[] = {
		{ "access", "opened" },	      { "attributemodified", "attrib" },
		{ "change", "modified" },     { "close_nowrite", "closed_no_write" },
		{ "close_write", "closed" },  { "metadata", "attrib" },
		{ "modify", "modified" },     { "moved_from", "moved" },
		{ "moved_to", "moved" },      { "ownermodified", "attrib" },
		{ "remove", "deleted" },      { "removed", "deleted" },
		{ "rename", "moved" },	      { "renamed", "moved" },
		{ "updated", "modified" },    { "write", "modified" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcasecmp(kinds[i].theirs, name) == 0)
			return kinds[i].ours;
	return NULL;
}

const char *const kind_names[] = {
	"created", "modified", "moved",		  "deleted", "attrib",
	"opened",  "closed",   "closed_no_write", "all",     NULL,
};

static void not_a_kind(char why[WHY], const char *word, int is_all_of_it)
{
	const char *ours = kind_elsewhere(word);
	char what[100] = "is no kind of event";

	if (!is_all_of_it)
		snprintf(what, sizeof what, "has no kind '%.60s'", word);
	if (ours)
		snprintf(why, WHY, "%s; did you mean %s?", what, ours);
	else
		nearest(why, what, word, kind_names);
}

static int parse_kinds(unsigned *kinds, const char *text, char why[WHY])
{
	const char *begin = text;
	unsigned all = 0;

	while (*text) {
		size_t n = strcspn(text, ",");
		char *word = alloc_copy_n(text, n);
		unsigned kind = strcmp(word, "all") == 0 ? (unsigned)WATCHER_ALL
							 : (unsigned)watcher_kind_of(word);

		if (!(kind & WATCHER_ALL) && n) {
			not_a_kind(why, word, text == begin && !text[n]);
			free(word);
			return -1;
		}
		free(word);
		all |= kind;
		text += n + (text[n] == ',');
	}
	if (!all) {
		snprintf(why, WHY, "names no kind of event");
		return -1;
	}
	*kinds = all;
	return 0;
}

static int parse_choice(int *index, const char *meta, const char *text, char why[WHY])
{
	struct words names = { 0 };
	int r = -1;

	for (const char *p = meta; *p;) {
		size_t n = strcspn(p, "|");

		words_take(&names, alloc_copy_n(p, n));
		p += n + (p[n] == '|');
	}
	for (size_t i = 0; i < names.n && r < 0; i++)
		if (strcmp(names.v[i], text) == 0) {
			*index = (int)i;
			r = 0;
		}
	if (r < 0)
		nearest(why, "is not known", text, words_list(&names));
	words_free(&names);
	return r;
}

static int parse_count(int *count, int least, const char *text, char why[WHY])
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (!*text || *end || errno || v < least || v > 1000000) {
		snprintf(why, WHY, "is no whole number from %d to 1000000", least);
		return -1;
	}
	*count = (int)v;
	return 0;
}

static int store_time(int64_t *ms, int least, const char *text, char why[WHY])
{
	int64_t v;

	if (parse_time(&v, text, why) < 0)
		return -1;
	if (v < least) {
		snprintf(why, WHY, "is too short; it must be more than nothing");
		return -1;
	}
	*ms = v;
	return 0;
}

static int store_word(struct settings *s, const struct option *o, const char *value,
		      char why[WHY])
{
	if (o->at == offsetof(struct settings, environment) &&
	    (!strchr(value, '=') || value[0] == '=')) {
		snprintf(why, WHY, "is no NAME=VALUE");
		return -1;
	}
	if (o->at == offsetof(struct settings, paths) && !*value) {
		snprintf(why, WHY, "is an empty path");
		return -1;
	}
	words_add((struct words *)(void *)((char *)s + o->at), value);
	return 0;
}

static int is_pattern_file(const struct option *o)
{
	return o->kind == OPTION_TERM &&
	       (o->number == TERM_FILTER_FILE || o->number == TERM_IGNORE_FILE);
}

/* What has to be there at once: a directory to work in, lists and patterns to read. */
static int check_place(const struct option *o, const char *value, char why[WHY])
{
	int is_dir = o->at == offsetof(struct settings, workdir);
	int is_list = o->at == offsetof(struct settings, files_from) && strcmp(value, "-") != 0;
	int is_there;
	struct stat st;

	if (!is_dir && !is_list && !is_pattern_file(o))
		return 0;
	is_there = stat(value, &st) == 0;
	if (is_there && S_ISDIR(st.st_mode) != is_dir) {
		errno = is_dir ? ENOTDIR : EISDIR;
	} else if (is_there && is_pattern_file(o) && !S_ISREG(st.st_mode)) {
		/* It is read again when it changes. */
		snprintf(why, WHY, "is no regular file");
		return -1;
	} else if (access(value, is_dir ? X_OK : R_OK) == 0) {
		return 0;
	}
	snprintf(why, WHY, "cannot be %s: %s", is_dir ? "entered" : "read", strerror(errno));
	return -1;
}

int option_store(struct settings *s, const struct option *o, const char *value,
		 const char *source, char why[WHY])
{
	void *at = (char *)s + o->at;
	int r;

	switch (o->kind) {
	case OPTION_SET:
		if (o->number == -2) /* --no-ignore is two options in one */
			s->use_ignore_files = s->use_default_ignores = 0;
		else
			*(int *)at = o->number;
		return 0;
	case OPTION_MORE:
		*(int *)at += o->number;
		return 0;
	case OPTION_TEXT:
	case OPTION_MAY_TEXT:
		if (value && check_place(o, value, why) < 0)
			return -1;
		free(*(char **)at);
		*(char **)at = alloc_copy(value ? value : "");
		return 0;
	case OPTION_WORDS:
		return store_word(s, o, value, why);
	case OPTION_TERM:
		if (check_place(o, value, why) < 0)
			return -1;
		terms_add(at, (enum term_kind)o->number, value, source);
		return 0;
	case OPTION_TIME:
		return store_time(at, o->number, value, why);
	case OPTION_COUNT:
		return parse_count(at, o->number, value, why);
	case OPTION_CHOICE:
		return parse_choice(at, o->meta, value, why);
	case OPTION_MAY_CHOICE:
		r = value ? parse_choice(at, o->meta, value, why) : (*(int *)at = 0);
		*(int *)at += r == 0;
		return r;
	case OPTION_SIGNAL:
		return parse_signal(at, value, why);
	case OPTION_KINDS:
		return parse_kinds(at, value, why);
	}
	return -1;
}
