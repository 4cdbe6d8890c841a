/* Reading and walking YAML with positions. Knows no key. */
#include "yaml_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "base/bytes.h"
#include "emit.h"
#include "say.h"

#define MAX_BYTES      (1u << 20)
#define MAX_COMPLAINTS 20
#define MAX_DEPTH      64 /* of brackets and indentation */

static int is_foreign(const struct stat *st)
{
	int group_is_ours = st->st_gid == getegid() && st->st_uid == geteuid();

	return (st->st_uid != geteuid() && st->st_uid != 0) || (st->st_mode & S_IWOTH) ||
	       ((st->st_mode & S_IWGRP) && !group_is_ours);
}

/* Who may write the file decides what runs; who may write its directory may replace it. */
static int check_owner(const char *name, const char *path, int fd)
{
	char *copy = alloc_copy(path);
	struct stat st, dir;
	int r = 0;

	if (fstat(fd, &st) < 0 || stat(dirname(copy), &dir) < 0) {
		say_error("%s: %s", name, strerror(errno));
		r = -1;
	} else if (S_ISREG(st.st_mode) && is_foreign(&st)) {
		say_error("%s: others may write it, so it is not run; chmod go-w, or --trust",
			  name);
		r = -1;
	} else if (S_ISREG(st.st_mode) && is_foreign(&dir) && !(dir.st_mode & S_ISVTX)) {
		say_error("%s: others may write its directory, so it is not run; chmod go-w, "
			  "or --trust",
			  name);
		r = -1;
	}
	free(copy);
	return r;
}

static int read_fd(const char *name, int fd, struct bytes *text)
{
	for (;;) {
		ssize_t n;

		emit_n(text, "", 0);
		if (bytes_reserve(text, 65536) < 0 || text->len > MAX_BYTES) {
			say_error("%s:1:1: is longer than 1 MiB", name);
			return -1;
		}
		n = read(fd, text->data + text->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			say_error("%s: %s", name, strerror(errno));
			return -1;
		}
		if (n == 0)
			return 0;
		text->len += (size_t)n;
	}
}

/* Says name:line:column of the byte at that offset; columns are characters. */
static int say_at(const char *name, const struct bytes *text, size_t offset, const char *what)
{
	size_t line = 1, column = 1, n;

	for (size_t i = 0; i < offset && i < text->len; i += n ? n : 1) {
		n = emit_utf8_length(text->data + i, text->len - i);
		column++;
		if (text->data[i] == '\n') {
			line++;
			column = 1;
		}
	}
	say_error("%s:%zu:%zu: %s", name, line, column, what);
	return -1;
}

static int check_text(const char *name, const struct bytes *text)
{
	const unsigned char *s = (const unsigned char *)text->data;
	int depth = 0;
	size_t n;

	if (text->len >= 2 &&
	    ((s[0] == 0xff && s[1] == 0xfe) || (s[0] == 0xfe && s[1] == 0xff)))
		return say_at(name, text, 0, "is UTF-16; write UTF-8");
	for (size_t i = 0; i < text->len; i += n) {
		n = emit_utf8_length(text->data + i, text->len - i);
		if (!n)
			return say_at(name, text, i, "is not UTF-8");
		if (!s[i])
			return say_at(name, text, i, "has a NUL byte");
		depth += s[i] == '[' || s[i] == '{';
		depth -= depth > 0 && (s[i] == ']' || s[i] == '}');
		if (depth > MAX_DEPTH)
			return say_at(name, text, i, "nested too deeply");
	}
	return 0;
}

static void say_syntax(const char *name, const yaml_parser_t *p, const struct bytes *text)
{
	const char *what = p->problem ? p->problem : "is not YAML";
	const char *context = p->context ? p->context : "";

	/* A character that YAML does not allow has an offset only. */
	if (p->error == YAML_READER_ERROR)
		say_at(name, text, p->problem_offset, what);
	else
		say_error("%s:%zu:%zu: %s%s%s", name, p->problem_mark.line + 1,
			  p->problem_mark.column + 1, what, *context ? " " : "", context);
}

/* What stands behind the end of the document would be left out without a word. */
static void check_end(struct yaml_file *y, yaml_parser_t *parser, const struct bytes *text)
{
	yaml_document_t more;
	const yaml_node_t *node;

	if (!yaml_document_get_root_node(&y->document))
		return;
	if (!yaml_parser_load(parser, &more)) {
		say_syntax(y->name, parser, text);
		y->complaints++;
		return;
	}
	node = yaml_document_get_root_node(&more);
	if (node)
		yaml_complain(y, node, "a second document begins here; a file is one");
	yaml_document_delete(&more);
}

static int parse(struct yaml_file *y, const struct bytes *text)
{
	yaml_parser_t parser;
	int ok;

	if (!yaml_parser_initialize(&parser)) {
		say_error("out of memory");
		return -1;
	}
	yaml_parser_set_input_string(
	    &parser, (const unsigned char *)(text->data ? text->data : ""), text->len);
	ok = yaml_parser_load(&parser, &y->document);
	if (!ok)
		say_syntax(y->name, &parser, text);
	y->is_loaded = ok;
	if (ok)
		check_end(y, &parser, text);
	yaml_parser_delete(&parser);
	return ok ? 0 : -1;
}

int yaml_file_load(struct yaml_file *y, const char *path, const char *name, int trust)
{
	struct bytes text = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = -1;

	*y = (struct yaml_file){ .name = name };
	if (fd < 0) {
		say_error("%s: %s", name, strerror(errno));
		return -1;
	}
	if ((trust || check_owner(name, path, fd) == 0) && read_fd(name, fd, &text) == 0 &&
	    check_text(name, &text) == 0)
		r = parse(y, &text);
	close(fd);
	bytes_free(&text);
	return r;
}

void yaml_file_close(struct yaml_file *y)
{
	if (y->is_loaded)
		yaml_document_delete(&y->document);
	y->is_loaded = 0;
}

yaml_node_t *yaml_file_top(struct yaml_file *y)
{
	return yaml_document_get_root_node(&y->document);
}

static yaml_node_t *child(struct yaml_file *y, int index)
{
	return yaml_document_get_node(&y->document, index);
}

size_t yaml_length(const yaml_node_t *list)
{
	return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

yaml_node_t *yaml_item(struct yaml_file *y, const yaml_node_t *list, size_t i)
{
	return child(y, list->data.sequence.items.start[i]);
}

void yaml_place(char place[YAML_PLACE], const struct yaml_file *y, const yaml_node_t *at)
{
	snprintf(place, YAML_PLACE, "%.256s:%zu:%zu", y->name, at ? at->start_mark.line + 1 : 1,
		 at ? at->start_mark.column + 1 : 1);
}

__attribute__((format(printf, 4, 0))) static int complain(struct yaml_file *y,
							  const yaml_node_t *at,
							  const char *hint, const char *fmt,
							  va_list ap)
{
	char text[1024];

	/* An alias repeats a mistake as often as it stands there. */
	if (y->complaints++ >= MAX_COMPLAINTS)
		return -1;
	vsnprintf(text, sizeof text, fmt, ap);
	say_error("%s:%zu:%zu: %s%s%s%s", y->name, at ? at->start_mark.line + 1 : 1,
		  at ? at->start_mark.column + 1 : 1, text, hint ? "; did you mean '" : "",
		  hint ? hint : "", hint ? "'?" : "");
	return -1;
}

int yaml_complain(struct yaml_file *y, const yaml_node_t *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(y, at, NULL, fmt, ap);
	va_end(ap);
	return -1;
}

int yaml_complain_near(struct yaml_file *y, const yaml_node_t *at, const char *word,
		       const char *const *names, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(y, at, say_nearest(word, names), fmt, ap);
	va_end(ap);
	return -1;
}

const char *yaml_text(struct yaml_file *y, const yaml_node_t *node, const char *what)
{
	if (node->type == YAML_SCALAR_NODE) {
		const char *s = (const char *)node->data.scalar.value;

		if (strlen(s) == node->data.scalar.length)
			return s;
		yaml_complain(y, node, "%s has a NUL character", what);
		return NULL;
	}
	yaml_complain(y, node, "%s is a %s, not a text", what,
		      node->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
	return NULL;
}

void yaml_each_text(struct yaml_file *y, const yaml_node_t *node, const char *what,
		    void (*each)(struct yaml_file *y, const yaml_node_t *at, const char *text,
				 void *arg),
		    void *arg)
{
	int is_list = node->type == YAML_SEQUENCE_NODE;
	size_t n = is_list ? yaml_length(node) : 1;

	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *item = is_list ? yaml_item(y, node, i) : node;
		const char *s;

		/* Nobody means nothing by a ~ in a list, but many forget to quote it. */
		if (is_list && yaml_is_null(item))
			yaml_complain(y, item, "%s has an empty item; quote it if it is meant",
				      what);
		else if ((s = yaml_text(y, item, what)))
			each(y, item, s, arg);
	}
}

int yaml_bool(struct yaml_file *y, const yaml_node_t *node, const char *what, int *value)
{
	static const char *const yes[] = { "true", "yes", "on", "1" };
	static const char *const no[] = { "false", "no", "off", "0" };
	const char *s =
	    node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";

	for (int i = 0; i < 4; i++) {
		if (strcasecmp(s, yes[i]) == 0 || strcasecmp(s, no[i]) == 0) {
			*value = strcasecmp(s, yes[i]) == 0;
			return 0;
		}
	}
	return yaml_complain(y, node, "%s is true or false", what);
}

int yaml_is_null(const yaml_node_t *node)
{
	const char *s = (const char *)node->data.scalar.value;

	return node->type == YAML_SCALAR_NODE &&
	       node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*s || strcmp(s, "~") == 0 || strcasecmp(s, "null") == 0);
}

/* Aliases can make it endless; what differs behind so much is not seen. */
static void add_meaning(struct yaml_file *y, const yaml_node_t *node, struct bytes *out,
			int depth)
{
	if (depth > MAX_DEPTH || out->len > MAX_BYTES)
		return;
	if (node->type == YAML_SCALAR_NODE) {
		/* A quoted ~ is no null. */
		emit_f(out, "%c%zu:", yaml_is_null(node) ? 'n' : 's', node->data.scalar.length);
		emit_n(out, (const char *)node->data.scalar.value, node->data.scalar.length);
	} else if (node->type == YAML_SEQUENCE_NODE) {
		emit(out, "[");
		for (size_t i = 0; i < yaml_length(node); i++)
			add_meaning(y, yaml_item(y, node, i), out, depth + 1);
		emit(out, "]");
	} else if (node->type == YAML_MAPPING_NODE) {
		emit(out, "{");
		for (const yaml_node_pair_t *i = node->data.mapping.pairs.start;
		     i < node->data.mapping.pairs.top; i++) {
			add_meaning(y, child(y, i->key), out, depth + 1);
			add_meaning(y, child(y, i->value), out, depth + 1);
		}
		emit(out, "}");
	}
}

char *yaml_meaning(struct yaml_file *y, const yaml_node_t *key, const yaml_node_t *value)
{
	struct bytes out = { 0 };

	if (key)
		add_meaning(y, key, &out, 0);
	add_meaning(y, value, &out, 0);
	return bytes_take(&out);
}

/* ---- mappings ---- */

/* A walk through a mapping and those that it merges ("<<: *other"). */
struct walk {
	struct yaml_file *y;
	void (*each)(struct yaml_file *y, const yaml_node_t *key, const char *name,
		     yaml_node_t *value, void *arg);
	void *arg;
	struct words seen; /* keys that have a value already */
	const yaml_node_t **maps;
	size_t n_maps;
};

static int is_merge(const yaml_node_t *key)
{
	return key->type == YAML_SCALAR_NODE &&
	       key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       strcmp((const char *)key->data.scalar.value, "<<") == 0;
}

/* The first `n_before` keys are those of mappings that merge this one, and win. */
static void walk_pair(struct walk *k, const yaml_node_pair_t *pair, size_t n_before)
{
	const yaml_node_t *key = child(k->y, pair->key);
	const char *name = yaml_text(k->y, key, "a key");
	size_t i = 0;

	while (name && i < k->seen.n && strcmp(k->seen.v[i], name) != 0)
		i++;
	if (name && i == k->seen.n) {
		words_add(&k->seen, name);
		k->each(k->y, key, name, child(k->y, pair->value), k->arg);
	} else if (name && i >= n_before) {
		yaml_complain(k->y, key, "'%s' is there twice", name);
	}
}

static void walk_map(struct walk *k, const yaml_node_t *map, int depth);

static void walk_merged(struct walk *k, const yaml_node_t *value, int depth)
{
	int is_list = value->type == YAML_SEQUENCE_NODE;
	size_t n = is_list ? yaml_length(value) : 1;

	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *map = is_list ? yaml_item(k->y, value, i) : value;

		if (map->type != YAML_MAPPING_NODE)
			yaml_complain(k->y, map, "<<: merges a mapping, or a list of them");
		else if (depth == MAX_DEPTH)
			yaml_complain(k->y, map, "<<: nested too deeply");
		else
			walk_map(k, map, depth + 1);
	}
}

static void walk_map(struct walk *k, const yaml_node_t *map, int depth)
{
	const yaml_node_pair_t *first = map->data.mapping.pairs.start;
	const yaml_node_pair_t *end = map->data.mapping.pairs.top;
	size_t n_before = k->seen.n;

	/* What was merged once has no further key, not even if it merges itself. */
	for (size_t i = 0; i < k->n_maps; i++)
		if (k->maps[i] == map)
			return;
	k->maps = alloc_again(k->maps, k->n_maps + 1, sizeof *k->maps);
	k->maps[k->n_maps++] = map;
	for (const yaml_node_pair_t *p = first; p < end; p++)
		if (!is_merge(child(k->y, p->key)))
			walk_pair(k, p, n_before);
	for (const yaml_node_pair_t *p = first; p < end; p++)
		if (is_merge(child(k->y, p->key)))
			walk_merged(k, child(k->y, p->value), depth);
}

int yaml_each(struct yaml_file *y, const yaml_node_t *map, const char *what,
	      void (*each)(struct yaml_file *y, const yaml_node_t *key, const char *name,
			   yaml_node_t *value, void *arg),
	      void *arg)
{
	struct walk k = { .y = y, .each = each, .arg = arg };

	if (map->type != YAML_MAPPING_NODE)
		return yaml_complain(y, map, "%s is a %s, not a mapping (key: value)", what,
				     map->type == YAML_SEQUENCE_NODE ? "list" : "text");
	walk_map(&k, map, 0);
	words_free(&k.seen);
	free(k.maps);
	return 0;
}
