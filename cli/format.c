/* One event to one record, in the three styles. */
#include "format.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "emit.h"
#include "say.h"

static const char *const field_names[] = { "kind", "path", "dest",   "name", "dir", "root",
					   "type", "time", "cookie", "pid",  NULL };

static int check_field(const char *p, size_t n, char why[256])
{
	char name[64];
	const char *near;

	if (n > 5 && strncmp(p, "time:", 5) == 0)
		return 0;
	for (int i = 0; field_names[i]; i++)
		if (strlen(field_names[i]) == n && memcmp(field_names[i], p, n) == 0)
			return 0;
	snprintf(name, sizeof name, "%.*s", n < 60 ? (int)n : 60, p);
	near = say_nearest(name, field_names);
	if (near)
		snprintf(why, 256, "has no field {%s}; did you mean {%s}?", name, near);
	else
		snprintf(why, 256,
			 "has no field {%s}; there are kind path dest name dir root type "
			 "time time:FMT cookie pid",
			 name);
	return -1;
}

static int check_custom(const char *spec, char why[256])
{
	for (const char *p = spec; *p; p++) {
		const char *end;

		if (*p == '\\' && p[1]) {
			if (!strchr("nt0\\", *++p)) {
				snprintf(
				    why, 256,
				    "has an unknown escape \\%c; there are \\n \\t \\0 \\\\",
				    *p);
				return -1;
			}
			continue;
		}
		if (*p != '{')
			continue;
		if (p[1] == '{') {
			p++;
			continue;
		}
		if (!(end = strchr(p, '}'))) {
			snprintf(why, 256, "has a { without }; a literal one is {{");
			return -1;
		}
		if (check_field(p + 1, (size_t)(end - p - 1), why) < 0)
			return -1;
		p = end;
	}
	return 0;
}

/* The letter of the escape a format ends with; 0: it ends with something else. */
static char last_escape(const char *spec)
{
	char last = 0;

	for (const char *p = spec; *p; p++)
		last = *p == '\\' && p[1] ? *++p : 0;
	return last;
}

/* A format that ends with NUL is one for names as they are, as --print0 is. */
static int init_custom(struct format *f, const char *spec, char why[256])
{
	char last = last_escape(spec);

	f->style = FORMAT_CUSTOM;
	f->custom = spec;
	f->has_end = last == '0' || (last == 'n' && !f->nul);
	f->nul |= last == '0';
	return check_custom(spec, why);
}

int format_init(struct format *f, const char *spec, int nul, int show_time, char why[256])
{
	static const char *const styles[] = { "text", "json", NULL };
	struct format made = { .nul = nul, .show_time = show_time, .second = -1 };

	if (!spec || strcmp(spec, "text") == 0) {
		made.style = FORMAT_TEXT;
	} else if (strcmp(spec, "json") == 0) {
		made.style = FORMAT_JSON;
	} else if (!*spec) {
		snprintf(why, 256, "is empty; it may be text, json, or '{kind} {path}\\n'");
		return -1;
	} else if (!strchr(spec, '{') && !strchr(spec, '\\') && say_nearest(spec, styles)) {
		snprintf(why, 256, "is not known; did you mean %s?", say_nearest(spec, styles));
		return -1;
	} else if (!strchr(spec, '{') && strchr(spec, '%')) {
		/* inotifywait's and fswatch's form would be printed as it stands. */
		snprintf(why, 256, "has no field; fields are written as in '{kind} {path}'");
		return -1;
	} else {
		if (init_custom(&made, spec, why) < 0)
			return -1;
	}
	*f = made;
	return 0;
}

static void add_time(struct format *f, struct bytes *out, int64_t time_ns)
{
	int64_t second = time_ns / 1000000000;
	unsigned micros = (unsigned)(time_ns % 1000000000 / 1000);
	char text[8] = ".000000";

	if (second != f->second) {
		time_t t = (time_t)second;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(f->stamp, sizeof f->stamp, "%Y-%m-%dT%H:%M:%S", &tm);
		f->second = second;
	}
	for (int i = 6; i > 0; i--, micros /= 10)
		text[i] = (char)('0' + micros % 10);
	emit(out, f->stamp);
	emit_n(out, text, 7);
	emit_n(out, "Z", 1);
}

static void add_name(const struct format *f, struct bytes *out, const char *s, size_t n)
{
	if (f->nul)
		emit_n(out, s, n);
	else
		emit_safe(out, s, n, f->terminal ? EMIT_TERMINAL : EMIT_PIPE);
}

static void add_text(struct format *f, struct bytes *out, const watcher_event *e)
{
	if (f->show_time) {
		add_time(f, out, e->time_ns);
		emit_n(out, " ", 1);
	}
	emit(out, watcher_kind_name(e->kind));
	if (e->kind & WATCHER_CONTROL)
		return;
	emit_n(out, " ", 1);
	add_name(f, out, e->path, e->path_len);
	if (e->type == WATCHER_TYPE_DIR && e->path_len)
		emit_n(out, "/", 1);
	if (e->kind != WATCHER_MOVED)
		return;
	emit_n(out, " -> ", 4);
	add_name(f, out, e->dest ? e->dest : "", e->dest_len);
	if (e->type == WATCHER_TYPE_DIR && e->dest_len)
		emit_n(out, "/", 1);
}

/* ,"name":"path" and, if it was not UTF-8, ,"name_b64":"..." */
static void add_json_path(struct bytes *out, const char *name, const char *s, size_t n)
{
	emit_n(out, ",\"", 2);
	emit(out, name);
	emit_n(out, "\":\"", 3);
	if (emit_json(out, s, n)) {
		emit_f(out, "\",\"%s_b64\":\"", name);
		emit_base64(out, s, n);
	}
	emit_n(out, "\"", 1);
}

/* One of two records that tell of a rename: from, or to, where nobody watches. */
static bool is_half_move(const watcher_event *e)
{
	return e->cookie && (e->kind != WATCHER_MOVED || !e->path_len || !e->dest_len);
}

static void add_json(struct format *f, struct bytes *out, const watcher_event *e)
{
	const char *path = e->path ? e->path : "";

	emit(out, "{\"time\":\"");
	add_time(f, out, e->time_ns);
	emit(out, "\",\"event_type\":\"");
	emit(out, watcher_kind_name(e->kind));
	emit(out, e->type == WATCHER_TYPE_DIR ? "\",\"is_directory\":true"
					      : "\",\"is_directory\":false");
	emit(out, ",\"file_type\":\"");
	emit(out, watcher_type_name(e->type));
	emit_n(out, "\"", 1);
	add_json_path(out, "src_path", path, e->path ? e->path_len : 0);
	if (e->kind == WATCHER_MOVED)
		add_json_path(out, "dest_path", e->dest ? e->dest : "",
			      e->dest ? e->dest_len : 0);
	add_json_path(out, "root", e->root ? e->root : "", e->root ? strlen(e->root) : 0);
	emit(out, e->synthetic ? ",\"is_synthetic\":true" : ",\"is_synthetic\":false");
	if (e->recovered)
		emit(out, ",\"recovered\":true");
	emit_f(out, ",\"batch\":%llu", (unsigned long long)e->batch);
	if (is_half_move(e))
		emit_f(out, ",\"cookie\":%lu", (unsigned long)e->cookie);
	if (e->pid)
		emit_f(out, ",\"pid\":%ld", (long)e->pid);
	emit_n(out, "}", 1);
}

static void add_time_format(struct bytes *out, const char *fmt, size_t n, int64_t time_ns)
{
	/* By pointer: the format is the user's, and a wrong one is only ugly. */
	size_t (*const make)(char *, size_t, const char *, const struct tm *) = strftime;
	char format[128], text[512];
	time_t t = (time_t)(time_ns / 1000000000);
	struct tm tm;

	snprintf(format, sizeof format, "%.*s", n < 120 ? (int)n : 120, fmt);
	localtime_r(&t, &tm);
	emit_n(out, text, make(text, sizeof text, format, &tm));
}

/* 0 is not known, and no number to be taken for one. */
static void add_number(struct bytes *out, int64_t n)
{
	if (n)
		emit_f(out, "%lld", (long long)n);
}

static void add_field(struct format *f, struct bytes *out, const char *field, size_t n,
		      const watcher_event *e)
{
	const char *path = e->path ? e->path : "", *slash = strrchr(path, '/');

	if (n > 5 && strncmp(field, "time:", 5) == 0)
		add_time_format(out, field + 5, n - 5, e->time_ns);
	else if (strncmp(field, "kind", n) == 0)
		emit(out, watcher_kind_name(e->kind));
	else if (strncmp(field, "path", n) == 0)
		add_name(f, out, path, strlen(path));
	else if (strncmp(field, "dest", n) == 0)
		add_name(f, out, e->dest ? e->dest : "", e->dest ? e->dest_len : 0);
	else if (strncmp(field, "name", n) == 0)
		add_name(f, out, slash ? slash + 1 : path, strlen(slash ? slash + 1 : path));
	else if (strncmp(field, "dir", n) == 0)
		add_name(f, out,
			 !slash		 ? "."
			 : slash == path ? "/"
					 : path,
			 !slash || slash == path ? 1 : (size_t)(slash - path));
	else if (strncmp(field, "root", n) == 0)
		add_name(f, out, e->root ? e->root : "", e->root ? strlen(e->root) : 0);
	else if (strncmp(field, "type", n) == 0)
		emit(out, watcher_type_name(e->type));
	else if (strncmp(field, "time", n) == 0)
		add_time(f, out, e->time_ns);
	else if (strncmp(field, "cookie", n) == 0)
		add_number(out, e->cookie);
	else
		add_number(out, e->pid);
}

static void add_custom(struct format *f, struct bytes *out, const watcher_event *e)
{
	for (const char *p = f->custom; *p; p++) {
		if (*p == '\\' && p[1]) {
			char c = *++p == 'n' ? '\n'
				 : *p == 't' ? '\t'
				 : *p == '0' ? '\0'
					     : '\\';

			emit_n(out, &c, 1);
		} else if (*p == '{' && p[1] == '{') {
			emit_n(out, p++, 1);
		} else if (*p == '{') {
			const char *end = strchr(p, '}');

			add_field(f, out, p + 1, (size_t)(end - p - 1), e);
			p = end;
		} else {
			emit_n(out, p, 1);
		}
	}
}

void format_event(struct format *f, struct bytes *out, const watcher_event *e)
{
	if (f->style == FORMAT_CUSTOM) {
		add_custom(f, out, e);
		if (f->has_end)
			return;
	} else if (f->style == FORMAT_JSON) {
		add_json(f, out, e);
	} else {
		add_text(f, out, e);
	}
	emit_n(out, f->nul ? "" : "\n", 1);
}
