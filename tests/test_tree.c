/*
 * The index against a plain model: any inserts, erasures, ties and changes of entries, also
 * while pinned; and what a large tree costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dice.h"
#include "watcher/tree.h"
#include "whendo/watcher.h"

#define NAMES 60

/* One directory: what is there under each of the names. */
struct model {
	struct {
		bool there;
		uint64_t ino;
		int type;
		uint32_t node, rec;
	} of[NAMES];
	uint32_t count;
};

static size_t name_of(char *buf, unsigned i)
{
	return (size_t)sprintf(buf, "%s%u", i % 7 ? "n" : "a much longer name, so that blocks grow ",
			       i);
}

static void check(const struct tree *t, uint32_t dir, const struct model *m)
{
	uint32_t n = 0;
	char name[64];

	for (unsigned i = 0; i < NAMES; i++) {
		size_t len = name_of(name, i);
		uint32_t rec = tree_find(t, dir, name, len);
		struct entry e;

		if (!m->of[i].there) {
			assert_int_equal(rec, NO_REC);
			continue;
		}
		assert_int_not_equal(rec, NO_REC);
		e = tree_entry(t, dir, rec);
		assert_int_equal(e.len, len);
		assert_memory_equal(e.name, name, len);
		assert_true(e.ino == m->of[i].ino);
		assert_int_equal(e.type, m->of[i].type);
		assert_int_equal(e.node, m->of[i].node);
		if (e.node != NO_DIR) {
			assert_int_equal(tree_dir(t, e.node)->parent, dir);
			assert_int_equal(tree_dir(t, e.node)->rec, rec);
		}
	}
	for (uint32_t rec = tree_next(t, dir, NO_REC); rec != NO_REC; rec = tree_next(t, dir, rec))
		n++;
	assert_int_equal(n, m->count);
	assert_int_equal(tree_dir(t, dir)->count, m->count);
}

static void insert(struct tree *t, uint32_t dir, struct model *m, unsigned i)
{
	bool is_dir = dice(3) == 0;
	char name[64];
	size_t len = name_of(name, i);

	m->of[i].there = true;
	m->of[i].ino = dice(2) ? dice(1000) + 1u : rng;
	m->of[i].type = is_dir ? WATCHER_TYPE_DIR : WATCHER_TYPE_FILE;
	m->of[i].node = NO_DIR;
	m->of[i].rec = tree_insert(t, dir, name, len, m->of[i].type, m->of[i].ino);
	assert_int_not_equal(m->of[i].rec, NO_REC);
	m->count++;
	if (is_dir && dice(2)) {
		m->of[i].node = tree_dir_new(t);
		assert_int_not_equal(m->of[i].node, NO_DIR);
		tree_attach(t, dir, m->of[i].rec, m->of[i].node);
	}
}

static void erase(struct tree *t, uint32_t dir, struct model *m, unsigned i)
{
	char name[64];
	size_t len = name_of(name, i);
	uint32_t rec = tree_find(t, dir, name, len), gen;

	if (m->of[i].node != NO_DIR) {
		gen = tree_dir(t, m->of[i].node)->gen;
		assert_true(tree_alive(t, m->of[i].node, gen));
		tree_detach(t, dir, rec);
		assert_int_equal(tree_entry(t, dir, rec).node, NO_DIR);
		tree_dir_free(t, m->of[i].node);
		assert_false(tree_alive(t, m->of[i].node, gen));
	}
	tree_erase(t, dir, rec);
	m->of[i].there = false;
	m->count--;
}

static void change(struct tree *t, uint32_t dir, struct model *m, unsigned i)
{
	char name[64];
	uint32_t rec = tree_find(t, dir, name, name_of(name, i));

	m->of[i].ino = rng;
	tree_set_ino(t, dir, rec, rng);
	if (m->of[i].node != NO_DIR)
		return;
	m->of[i].type = WATCHER_TYPE_SYMLINK;
	tree_set_type(t, dir, rec, WATCHER_TYPE_SYMLINK);
}

static void test_any_changes(void **state)
{
	uint64_t seed = (uint64_t)time(NULL);
	struct tree t;

	(void)state;
	print_message("seed %" PRIu64 "\n", seed);
	for (int round = 0; round < 60; round++) {
		struct model m[2] = { { .count = 0 }, { .count = 0 } };
		uint32_t dirs[2];
		unsigned pins = 0;

		rng = seed + (uint64_t)round;
		tree_init(&t);
		dirs[0] = tree_dir_new(&t);
		dirs[1] = tree_dir_new(&t);
		for (int step = 0; step < 600; step++) {
			unsigned d = dice(2), i = dice(NAMES);

			if (dice(40) == 0) {
				if (pins)
					tree_unpin(&t);
				else
					tree_pin(&t);
				pins = !pins;
			}
			if (!m[d].of[i].there)
				insert(&t, dirs[d], &m[d], i);
			else if (dice(3))
				erase(&t, dirs[d], &m[d], i);
			else
				change(&t, dirs[d], &m[d], i);
			if (step % 20 == 0) {
				check(&t, dirs[0], &m[0]);
				check(&t, dirs[1], &m[1]);
			}
		}
		for (int i = 0; i < 2; i++)
			assert_int_equal(tree_dir(&t, dirs[i])->count, m[i].count);
		tree_fini(&t);
		assert_int_equal(t.bytes, 0);
	}
}

static void test_offsets_stay_while_pinned(void **state)
{
	struct tree t;
	uint32_t dir, recs[200];
	char name[64];

	(void)state;
	tree_init(&t);
	dir = tree_dir_new(&t);
	tree_pin(&t);
	for (unsigned i = 0; i < 200; i++)
		recs[i] = tree_insert(&t, dir, name, name_of(name, i), WATCHER_TYPE_FILE, i);
	for (unsigned i = 0; i < 200; i += 2)
		tree_erase(&t, dir, recs[i]);
	for (unsigned i = 1; i < 200; i += 2) {
		size_t len = name_of(name, i);

		assert_int_equal(tree_find(&t, dir, name, len), recs[i]);
		assert_int_equal(tree_entry(&t, dir, recs[i]).ino, i);
	}
	tree_unpin(&t);
	tree_fini(&t);
}

static void test_marks(void **state)
{
	struct tree t;
	uint32_t dir, rec;

	(void)state;
	tree_init(&t);
	dir = tree_dir_new(&t);
	rec = tree_insert(&t, dir, "a", 1, WATCHER_TYPE_FILE, 1);
	tree_set_marks(&t, dir, rec, ENTRY_NEW);
	assert_int_equal(tree_find(&t, dir, "a", 1), rec);
	assert_int_equal(tree_entry(&t, dir, rec).type, WATCHER_TYPE_FILE);
	tree_set_marks(&t, dir, rec, ENTRY_DOOMED);
	assert_int_equal(tree_find(&t, dir, "a", 1), NO_REC);
	assert_int_equal(tree_next(&t, dir, NO_REC), rec);
	tree_fini(&t);
}

static void test_below(void **state)
{
	struct tree t;
	uint32_t a, b, c, other;

	(void)state;
	tree_init(&t);
	a = tree_dir_new(&t);
	b = tree_dir_new(&t);
	c = tree_dir_new(&t);
	other = tree_dir_new(&t);
	tree_attach(&t, a, tree_insert(&t, a, "b", 1, WATCHER_TYPE_DIR, 1), b);
	tree_attach(&t, b, tree_insert(&t, b, "c", 1, WATCHER_TYPE_DIR, 2), c);
	assert_true(tree_is_below(&t, c, a));
	assert_true(tree_is_below(&t, a, a));
	assert_false(tree_is_below(&t, a, c));
	assert_false(tree_is_below(&t, other, a));
	tree_fini(&t);
}

/* All below a node, and nothing else; what was taken out before stays. */
static void test_cut(void **state)
{
	struct tree t;
	uint32_t node[5], gen[5];
	uint64_t empty;

	(void)state;
	tree_init(&t);
	for (int i = 0; i < 5; i++) {
		node[i] = tree_dir_new(&t);
		gen[i] = tree_dir(&t, node[i])->gen;
	}
	empty = t.bytes;
	for (int i = 0; i < 3; i++) /* 2 is in 4, that in 0, as 3 is; 1 is in 3 */
		tree_attach(&t, node[(int[]){ 4, 3, 0 }[i]],
			    tree_insert(&t, node[(int[]){ 4, 3, 0 }[i]], "n", 1, WATCHER_TYPE_DIR, 1),
			    node[(int[]){ 2, 1, 4 }[i]]);
	tree_attach(&t, node[0], tree_insert(&t, node[0], "m", 1, WATCHER_TYPE_DIR, 1), node[3]);
	tree_detach(&t, node[0], tree_dir(&t, node[3])->rec);
	tree_cut(&t, node[0]);
	for (int i = 0; i < 5; i++)
		assert_int_equal(tree_alive(&t, node[i], gen[i]), i == 1 || i == 3);
	assert_int_equal(t.dirs, 2);
	assert_int_equal(tree_dir(&t, node[1])->parent, node[3]);
	assert_true(t.bytes > empty);
	for (int i = 0; i < 3; i++) {
		assert_int_not_equal(t.cut, NO_DIR);
		assert_false(tree_dir(&t, t.cut)->flags & DIR_USED);
		tree_cut_free(&t);
	}
	assert_int_equal(t.cut, NO_DIR);
	for (int i = 0; i < 3; i++)
		assert_in_range(tree_dir_new(&t), 0, 4);
	assert_int_equal(t.nnodes, 5);
	assert_int_equal(tree_dir_new(&t), 5);
	tree_fini(&t);
}

static void test_fill(void **state)
{
	struct tree t;
	char packed[64 * PACKED_MAX], name[64];
	size_t len = 0;
	uint32_t dir;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		len += packed_put(packed + len, name, name_of(name, i), WATCHER_TYPE_FILE, i + 1);
	tree_init(&t);
	dir = tree_dir_new(&t);
	assert_int_equal(tree_fill(&t, dir, packed, len, 64), 0);
	assert_int_equal(tree_dir(&t, dir)->count, 64);
	for (unsigned i = 0; i < 64; i++) {
		size_t n = name_of(name, i);
		uint32_t rec = tree_find(&t, dir, name, n);

		assert_int_not_equal(rec, NO_REC);
		assert_int_equal(tree_entry(&t, dir, rec).ino, i + 1);
	}
	tree_fini(&t);
}

/* What was erased while it was pinned is not in the way, nor found. */
static void test_fill_after_pins(void **state)
{
	struct tree t;
	char packed[PACKED_MAX], name[64];
	uint32_t dir, rec;
	uint64_t bytes;

	(void)state;
	tree_init(&t);
	dir = tree_dir_new(&t);
	bytes = t.bytes;
	tree_pin(&t);
	for (unsigned i = 0; i < 64; i++)
		assert_int_not_equal(tree_insert(&t, dir, name, name_of(name, i),
						 WATCHER_TYPE_FILE, i + 1), NO_REC);
	for (unsigned i = 0; i < 64; i++) {
		rec = tree_find(&t, dir, name, name_of(name, i));
		tree_erase(&t, dir, rec);
	}
	tree_unpin(&t);
	packed_put(packed, "one", 3, WATCHER_TYPE_FILE, 7);
	assert_int_equal(tree_fill(&t, dir, packed, PACKED_HEAD + 3, 1), 0);
	rec = tree_find(&t, dir, "one", 3);
	assert_int_not_equal(rec, NO_REC);
	assert_int_equal(tree_entry(&t, dir, rec).ino, 7);
	assert_int_equal(tree_find(&t, dir, name, name_of(name, 0)), NO_REC);
	assert_int_equal(t.bytes, bytes + PACKED_HEAD + 3);
	tree_fini(&t);
}

/* 10,000 directories of ten files: at most 120 bytes a directory and 32 a file. */
/* What comes and goes while the tree is pinned, as in passes, is not kept for ever. */
static void test_erased_while_pinned(void **state)
{
	uint32_t top, dir, kept;
	struct tree t;
	char name[40];
	uint64_t bytes;

	(void)state;
	tree_init(&t);
	top = tree_dir_new(&t);
	dir = tree_dir_new(&t);
	tree_attach(&t, top, tree_insert(&t, top, "d", 1, WATCHER_TYPE_DIR, 7), dir);
	kept = tree_insert(&t, dir, "kept", 4, WATCHER_TYPE_FILE, 8);
	tree_attach(&t, dir, tree_insert(&t, dir, "e", 1, WATCHER_TYPE_DIR, 9), tree_dir_new(&t));
	bytes = t.bytes;
	for (int i = 0; i < 20000; i++) {
		size_t len = (size_t)sprintf(name, "one of many names %d", i);

		tree_pin(&t);
		tree_erase(&t, dir, tree_insert(&t, dir, name, len, WATCHER_TYPE_FILE, 10));
		tree_erase(&t, top, tree_insert(&t, top, name, len, WATCHER_TYPE_FILE, 10));
		tree_tidy(&t);
		assert_int_equal(tree_entry(&t, dir, kept).ino, 8); /* it stays where it is */
		tree_unpin(&t);
		tree_tidy(&t);
		kept = tree_find(&t, dir, "kept", 4);
	}
	assert_true(t.bytes < bytes + 64 * 1024);
	assert_int_equal(tree_entry(&t, dir, kept).ino, 8);
	assert_int_equal(tree_entry(&t, dir, tree_find(&t, dir, "e", 1)).ino, 9);
	assert_int_equal(tree_entry(&t, top, tree_find(&t, top, "d", 1)).node, dir);
	assert_int_equal(tree_dir(&t, dir)->count, 2);
	tree_fini(&t);
}

static void test_what_it_costs(void **state)
{
	struct tree t;
	uint32_t top, dir, rec;
	char packed[10 * PACKED_MAX], name[64];
	uint64_t most = 10000 * 120 + 100000 * 32;

	(void)state;
	tree_init(&t);
	top = tree_dir_new(&t);
	for (unsigned d = 0; d < 10000; d++) {
		size_t len = 0;

		for (unsigned f = 0; f < 10; f++) {
			int n = sprintf(name, "file_%05u.txt", f);

			len += packed_put(packed + len, name, (size_t)n, WATCHER_TYPE_FILE, f + 1);
		}
		rec = tree_insert(&t, top, name, (size_t)sprintf(name, "directory%u", d),
				  WATCHER_TYPE_DIR, d);
		dir = tree_dir_new(&t);
		tree_attach(&t, top, rec, dir);
		assert_int_equal(tree_fill(&t, dir, packed, len, 10), 0);
	}
	assert_int_equal(t.dirs, 10001);
	assert_int_equal(tree_dir(&t, top)->count, 10000);
	assert_int_equal(tree_dir(&t, dir)->count, 10);
	print_message("%" PRIu64 " bytes, at most %" PRIu64 "\n", t.bytes, most);
	assert_true(t.bytes <= most);
	tree_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_changes), cmocka_unit_test(test_offsets_stay_while_pinned),
		cmocka_unit_test(test_marks),	    cmocka_unit_test(test_below),
		cmocka_unit_test(test_cut),	    cmocka_unit_test(test_fill),
		cmocka_unit_test(test_fill_after_pins),
		cmocka_unit_test(test_erased_while_pinned),
		cmocka_unit_test(test_what_it_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
