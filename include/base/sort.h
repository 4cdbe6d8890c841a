/*
 * Sorting with an argument for the comparison. qsort_r() is spelled in three ways, and some
 * systems have none of them; those that do not have glibc's get a heap sort.
 */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>
#include <stdlib.h>

typedef int (*sort_compare)(const void *a, const void *b, void *arg);

static inline void sort_swap(char *a, char *b, size_t size)
{
	while (size--) {
		char c = *a;

		*a++ = *b;
		*b++ = c;
	}
}

/* Item `at` goes down to where it belongs among the first n. */
static inline void sort_sift(char *items, size_t at, size_t n, size_t size, sort_compare compare,
			     void *arg)
{
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n &&
		    compare(items + child * size, items + (child + 1) * size, arg) < 0)
			child++;
		if (compare(items + at * size, items + child * size, arg) >= 0)
			return;
		sort_swap(items + at * size, items + child * size, size);
	}
}

static inline void sort_heap(void *items, size_t n, size_t size, sort_compare compare, void *arg)
{
	for (size_t at = n / 2; at-- > 0;)
		sort_sift(items, at, n, size, compare, arg);
	for (size_t left = n; left-- > 1;) {
		sort_swap(items, (char *)items + left * size, size);
		sort_sift(items, 0, left, size, compare, arg);
	}
}

static inline void sort_items(void *items, size_t n, size_t size, sort_compare compare, void *arg)
{
#ifdef __linux__
	qsort_r(items, n, size, compare, arg);
#else
	sort_heap(items, n, size, compare, arg);
#endif
}

#endif
