/*
 * Globs as git's wildmatch reads them, turned into regular expressions for PCRE2.
 *
 * `?` is a byte but '/', `*` any bytes but '/', `**` between slashes (or at an end) crosses
 * directories, `[a-z]`, `[!a]`, `[^a]`, `[[:alpha:]]` are sets, `\` takes the next byte as it
 * is. A leading '/' of a path glob anchors, as any '/' in it does. Braces are literal here.
 *
 * The expression matches in time proportional to subject times glob, whatever the glob: every
 * `*` but the last of a path component, and every `**` but the last, takes the first place
 * where what follows it fits and never gives it back, which is right because what follows
 * has a fixed length (in bytes for `*`, in components for `**`).
 */
#ifndef WATCHER_GLOB_H
#define WATCHER_GLOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
	GLOB_MAX = 4096 /* bytes of one glob; PCRE2's own limit is 64 KiB of compiled code */
};

enum glob_style {
	GLOB_NAME, /* the subject is one name: no '/' in glob or subject */
	GLOB_PATH, /* the subject is a path; as git, `x**` + '/' counts as `**` after a literal x */
	GLOB_FULL  /* the subject is a path, a leading '/' is part of it, only `/` + `**` + `/` crosses */
};

/* What is wrong with a glob: the byte, and why in a few words (static). */
struct glob_fault {
	size_t offset;
	const char *reason;
};

/*
 * Appends the expression, without anchors, to `out`; it needs PCRE2_DOTALL and no UTF.
 * UV_EINVAL: the glob can match nothing (git keeps such a line and never matches it), *fault
 * says why; UV_E2BIG: longer than GLOB_MAX; UV_ENOMEM. `out` may have grown after a failure.
 */
int watcher__glob_to_regex(struct bytes *out, const char *glob, size_t len, enum glob_style style,
			   struct glob_fault *fault);

/* Length of the part before the first byte that is special in a glob. */
size_t watcher__glob_literal_length(const char *glob, size_t len);

/*
 * Reads the set at glob[at] == '[' into `set`, one bit a byte value. Returns the offset of its
 * closing ']', or -1 with *fault filled if it is malformed.
 */
long watcher__glob_set(const char *glob, size_t len, size_t at, uint8_t set[32],
		       struct glob_fault *fault);

#endif
