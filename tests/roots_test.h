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

/* Rounds with each backend, or as the environment says: PREFIX_ROUNDS, _SEED, _BACKEND. */
static inline void rounds_of_all(const char *prefix, bool (*round)(int backend, uint64_t seed))
{
	static const char *const what[] = { "ROUNDS", "SEED", "BACKEND" };
	const char *given[COUNT(what)];
	char name[64];
	unsigned n, wrong = 0;

	for (size_t i = 0; i < COUNT(what); i++) {
		snprintf(name, sizeof name, "%s_%s", prefix, what[i]);
		given[i] = getenv(name);
	}
	n = given[0] ? (unsigned)atoi(given[0]) : 12;
	for (size_t i = 0; i < COUNT(all_backends); i++) {
		const struct named_backend *b = &all_backends[i];

		if ((b->number == WATCHER_BACKEND_FANOTIFY && getuid() != 0) ||
		    (given[2] && strcmp(given[2], b->name) != 0))
			continue;
		for (unsigned k = 0; k < n; k++) {
			uint64_t seed = given[1] ? strtoull(given[1], NULL, 10) : uv_hrtime();

			if (!round(b->number, seed) && ++wrong)
				print_error("%s: %s_SEED=%llu\n", b->name, prefix,
					    (unsigned long long)seed);
		}
	}
	assert_int_equal(wrong, 0);
}

#endif
