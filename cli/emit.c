/* Escaping and the few number formats of the program. Knows nothing of events. */
#include "emit.h"

#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static void have(int r)
{
	static const char line[] = "whendo: out of memory\n";

	if (r == 0)
		return;
	if (write(2, line, sizeof line - 1) < 0)
		_exit(125);
	_exit(125);
}

void emit_n(struct bytes *out, const char *s, size_t n)
{
	have(bytes_add(out, s, n));
}

void emit(struct bytes *out, const char *s)
{
	emit_n(out, s, strlen(s));
}

void emit_f(struct bytes *out, const char *fmt, ...)
{
	va_list ap;
	char text[512];
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof text) {
		emit_n(out, text, (size_t)n);
		return;
	}
	have(n < 0 ? UV_EINVAL : bytes_reserve(out, (size_t)n));
	va_start(ap, fmt);
	vsnprintf(out->data + out->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	out->len += (size_t)n;
}

size_t emit_utf8_length(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;
	unsigned low = 0x80, high = 0xbf;

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	/* Overlong forms, surrogates, and what is past U+10FFFF (Unicode 15, table 3-7). */
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return len;
}

/* C1 controls, and the characters that reorder the text after them. */
static int obeyed_by_terminal(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;

	if (len == 2)
		return s[0] == 0xc2 && s[1] < 0xa0;
	if (len != 3 || s[0] != 0xe2)
		return 0;
	return (s[1] == 0x80 &&
		(s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

void emit_safe(struct bytes *out, const char *s, size_t n, int where)
{
	size_t done = 0, i = 0;

	while (i < n) {
		unsigned char c = (unsigned char)s[i];
		size_t len = 1;

		if (c >= 0x20 && c < 0x7f) {
			i++;
			continue;
		}
		if (c >= 0x80) {
			len = emit_utf8_length(s + i, n - i);
			if (where == EMIT_PIPE || (len && !obeyed_by_terminal(s + i, len))) {
				i += len ? len : 1;
				continue;
			}
		}
		emit_n(out, s + done, i - done);
		for (size_t end = i + (len ? len : 1); i < end; i++)
			emit_f(out, "\\x%02X", (unsigned char)s[i]);
		done = i;
	}
	emit_n(out, s + done, i - done);
}

int emit_json(struct bytes *out, const char *s, size_t n)
{
	size_t done = 0, i = 0;
	int replaced = 0;

	while (i < n) {
		unsigned char c = (unsigned char)s[i];
		size_t len = c < 0x80 ? 1 : emit_utf8_length(s + i, n - i);

		if (len && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			i += len;
			continue;
		}
		emit_n(out, s + done, i - done);
		if (!len) {
			emit_n(out, "\xef\xbf\xbd", 3);
			replaced = 1;
		} else if (c == '"' || c == '\\') {
			emit_f(out, "\\%c", c);
		} else {
			emit_f(out, "\\u%04x", c);
		}
		done = ++i;
	}
	emit_n(out, s + done, i - done);
	return replaced;
}

void emit_base64(struct bytes *out, const char *text, size_t n)
{
	static const char digit[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = (const unsigned char *)text;

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) |
			     (i + 2 < n ? s[i + 2] : 0u);
		char four[4] = { digit[v >> 18], digit[v >> 12 & 63],
				 i + 1 < n ? digit[v >> 6 & 63] : '=',
				 i + 2 < n ? digit[v & 63] : '=' };

		emit_n(out, four, 4);
	}
}

void emit_time(struct bytes *out, int64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	struct tm tm;
	char text[40];
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	emit_n(out, text, n);
	emit_f(out, ".%06dZ", (int)(time_ns % 1000000000 / 1000));
}

void emit_duration(struct bytes *out, int64_t ns)
{
	double s = (double)ns / 1e9;

	if (s < 0.01)
		emit_f(out, "%.1f ms", s * 1e3);
	else if (s < 1)
		emit_f(out, "%.0f ms", s * 1e3);
	else if (s < 60)
		emit_f(out, "%.2f s", s);
	else
		emit_f(out, "%d min %02d s", (int)(s / 60), (int)s % 60);
}
