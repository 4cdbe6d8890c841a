/*
 * Option structs that only grow: the caller's size says which fields it knows. A smaller
 * struct is filled up with zeros; a larger one is accepted when its unknown tail is zero.
 */
#ifndef WATCHER_OPTIONS_H
#define WATCHER_OPTIONS_H

#include <string.h>
#include <uv.h>

/* A switch of watcher_options.flags for tests: fsevent gets no names, as on BSD. */
#define WATCHER__NAMELESS (1u << 31)
/* Another: fsevent hears of a whole tree through its top, as on macOS and Windows. */
#define WATCHER__WHOLE_TREES (1u << 30)

static inline int options_copy(void *to, size_t to_size, const void *from, size_t from_size)
{
	const unsigned char *tail = (const unsigned char *)from + to_size;

	if (from_size < sizeof(size_t))
		return UV_EINVAL;
	for (size_t i = to_size; i < from_size; i++)
		if (*tail++)
			return UV_E2BIG;
	memset(to, 0, to_size);
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	return 0;
}

#endif
