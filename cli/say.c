/* Lines for the user, and which known word a mistyped one may have been. */
#include "say.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "emit.h"
#include "outlet.h"

#define MAX_LINE 8192

/* stderr may be gone or full; there is nobody left to tell then. */
static void put(int fd, const char *s, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, s, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		s += done;
		n -= (size_t)done;
	}
}

__attribute__((format(printf, 2, 0))) static void format_text(struct bytes *out,
							      const char *fmt, va_list ap)
{
	char text[MAX_LINE];
	int n = vsnprintf(text, sizeof text, fmt, ap);

	if (n < 0)
		return;
	if ((size_t)n >= sizeof text)
		n = sizeof text - 1;
	emit_safe(out, text, (size_t)n, EMIT_TERMINAL);
}

void say_error(const char *fmt, ...)
{
	struct bytes line = { 0 };
	va_list ap;

	emit(&line, "whendo: ");
	va_start(ap, fmt);
	format_text(&line, fmt, ap);
	va_end(ap);
	emit(&line, "\n");
	put(2, line.data, line.len);
	bytes_free(&line);
}

static void log_line(const struct voice *v, const struct bytes *text)
{
	struct bytes line = { 0 };

	emit_time(&line, clock_wall_ns());
	emit(&line, " ");
	if (v->tag)
		emit_f(&line, "[%s] ", v->tag);
	emit_n(&line, text->data, text->len);
	emit(&line, "\n");
	put(v->log_fd, line.data, line.len);
	bytes_free(&line);
}

void say(const struct voice *v, int level, enum say_color color, const char *fmt, ...)
{
	static const char *const code[] = { "", "2", "32", "31", "33" };
	struct bytes text = { 0 }, line = { 0 };
	va_list ap;

	va_start(ap, fmt);
	format_text(&text, fmt, ap);
	va_end(ap);
	if (v->log_fd >= 0)
		log_line(v, &text);
	if (level <= v->level) {
		emit(&line, "whendo: ");
		if (v->tag)
			emit_f(&line, "[%s] ", v->tag);
		if (v->color && color != SAY_PLAIN)
			emit_f(&line, "\033[%sm%s\033[0m", code[color],
			       text.data ? text.data : "");
		else
			emit(&line, text.data ? text.data : "");
		emit(&line, "\n");
		if (v->outlet)
			outlet_status(v->outlet, line.data, line.len);
		else
			put(2, line.data, line.len);
	}
	bytes_free(&text);
	bytes_free(&line);
}

/* Optimal string alignment: insertions, deletions, changes, swaps of neighbours. */
static unsigned distance(const char *a, const char *b)
{
	enum { MAX = 64 };
	unsigned row[3][MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > MAX || nb > MAX)
		return MAX;
	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3], *last = row[(i - 1) % 3],
			 *before = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[na % 3][nb];
}

const char *say_nearest(const char *word, const char *const *names)
{
	const char *best = NULL;
	size_t n = strlen(word);
	/* One slip, two in a word of six letters: a guess that is wild helps nobody. */
	unsigned best_distance = (unsigned)(n < 6 ? 1 : n / 3) + 1;

	for (; *names; names++) {
		unsigned d = distance(word, *names);

		/* A beginning is a good guess at any distance. */
		if (n >= 2 && strncasecmp(word, *names, n) == 0)
			d = 1;
		if (d < best_distance) {
			best_distance = d;
			best = *names;
		}
	}
	return best;
}

const char *say_hint(char hint[SAY_HINT], const char *word, const char *const *names)
{
	const char *near = say_nearest(word, names);

	hint[0] = '\0';
	if (near)
		snprintf(hint, SAY_HINT, "; did you mean %s?", near);
	return hint;
}
