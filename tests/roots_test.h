/*
 * What tests of several roots share: a watch around another, each with what it is told, and a tree
 * for both.
 */
#ifndef TESTS_ROOTS_TEST_H
#define TESTS_ROOTS_TEST_H

#include "watch_test.h"

#include "index_check.h"
#include "watcher/engine.h"

static struct told outer, inner;

struct named_backend {
	int number;
	const char *name;
};
static const struct named_backend all_backends[] = { { WATCHER_BACKEND_INOTIFY, "inotify" },
						     { WATCHER_BACKEND_FSEVENT, "fsevent" },
						     { WATCHER_BACKEND_POLL, "poll" },
						     { WATCHER_BACKEND_FANOTIFY, "fanotify" } };

static inline watcher *open_watcher(int backend)
{
	outer.text[0] = inner.text[0] = '\0';
	return open_with(WATCHER(.backend = backend));
}

static inline watcher_watch *add(watcher *w, const char *path, struct told *to)
{
	return add_with(w, path,
			WATCH(.on_batch = on_told, .arg = to,
			      .kinds = WATCHER_CREATED | WATCHER_DELETED | WATCHER_MOVED));
}

static inline void make_tree(void)
{
	assert_int_equal(mkdir("in", 0755), 0);
	assert_int_equal(mkdir("in/c", 0755), 0);
	assert_int_equal(mkdir("in/c/d", 0755), 0);
	put("in/c/f", "");
}

static inline void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* Changes are lost, as far as it knows. */
static inline void make_gap(watcher *w)
{
	EACH_ENGINE(engine, w)
		engine->gap = true;
}

static inline void check(watcher *w)
{
	char text[4000];

	sync_watcher(w);
	if (index_check(w, text, sizeof text))
		fail_msg("the index is not what there is:\n%s", text);
}

#endif
