/*
 * Any content with a right head: it is refused, or it is a tree whose file is read back the
 * same, that can be walked, and that compares with itself and with nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "watcher/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD 28

static int count(const watcher_event *e, void *arg)
{
	if (!e->path || strlen(e->path) != e->path_len || !e->root)
		abort();
	++*(size_t *)arg;
	return 0;
}

static int look(const watcher_snapshot_entry *e, void *arg)
{
	if (!e->type || strlen(e->path) != e->path_len)
		abort();
	++*(size_t *)arg;
	return 0;
}

static void check(const watcher_snapshot *s)
{
	watcher_snapshot *again;
	struct bytes file = { 0 };
	size_t n = 0, there = watcher_snapshot_count(s, WATCHER_TYPE_UNKNOWN);

	if (watcher__snap_encode(s, &file) < 0 ||
	    watcher__snap_decode(&again, file.data, file.len, "again", NULL) < 0 ||
	    again->n != s->n)
		abort();
	if (watcher_snapshot_each(s, NULL, look, &n) < 0 || n != there)
		abort();
	n = 0;
	if (watcher_snapshot_diff(s, again, WATCHER_DIFF_DIR_MODIFIED, count, &n) < 0)
		abort();
	watcher_snapshot_free(again);
	bytes_free(&file);
}

/* Two trees in one input, so that things move between them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cut = size ? data[0] * size / 256 : 0, n = 0;
	watcher_snapshot *s[2] = { NULL, NULL };

	for (int i = 0; i < 2; i++) {
		const uint8_t *from = i ? data + cut : data + (size > 0);
		size_t len = i ? size - cut : cut > 1 ? cut - 1 : 0;
		char *file = calloc(1, HEAD + len);
		uint64_t hash = watcher__snap_hash(from, len);

		if (!file)
			return 0;
		memcpy(file, "whendo\0s\1", 9);
		for (int k = 0; k < 8; k++) {
			file[12 + k] = (char)((uint64_t)len >> 8 * k);
			file[20 + k] = (char)(hash >> 8 * k);
		}
		if (len)
			memcpy(file + HEAD, from, len);
		if (watcher__snap_decode(&s[i], file, HEAD + len, "fuzz", NULL) == 0)
			check(s[i]);
		free(file);
	}
	if (watcher_snapshot_diff(s[0], s[1], WATCHER_DIFF_IGNORE_DEVICE, count, &n) < 0)
		abort();
	watcher_snapshot_free(s[0]);
	watcher_snapshot_free(s[1]);
	return 0;
}
