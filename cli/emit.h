/*
 * Bytes of the world made safe to print. Names may hold anything but '/' and NUL; what a
 * terminal or a line-based reader would obey is escaped here and nowhere else.
 */
#ifndef CLI_EMIT_H
#define CLI_EMIT_H

#include "base/bytes.h"

enum {
	EMIT_PIPE,    /* C0 controls, DEL and backslash-less: control characters as \xHH */
	EMIT_TERMINAL /* also invalid UTF-8, C1 controls and bidirectional overrides */
};

/* All adding calls end the program when memory ends, so they return nothing. */
void emit(struct bytes *out, const char *s);
void emit_n(struct bytes *out, const char *s, size_t n);
__attribute__((format(printf, 2, 3))) void emit_f(struct bytes *out, const char *fmt, ...);

/* Control characters as \xHH; with EMIT_TERMINAL also what is not valid UTF-8. */
void emit_safe(struct bytes *out, const char *s, size_t n, int where);

/* The inside of a JSON string; invalid UTF-8 becomes U+FFFD. Returns 1 if any was. */
int emit_json(struct bytes *out, const char *s, size_t n);

void emit_base64(struct bytes *out, const char *s, size_t n);

/* RFC 3339 in UTC with microseconds: 2026-11-21T09:14:03.123456Z */
void emit_time(struct bytes *out, int64_t time_ns);

/* "850 ms", "1.21 s", "2 min 05 s" */
void emit_duration(struct bytes *out, int64_t ns);

/* Length of the valid UTF-8 sequence at s, 0 if there is none. */
size_t emit_utf8_length(const char *s, size_t n);

#endif
