/*
 * With `meanwhile` what is done before a watch is added counts as done while it is: nobody has looked
 * for it by then. Tests that include this are linked with both functions wrapped.
 */
#ifndef TESTS_ADD_MEANWHILE_H
#define TESTS_ADD_MEANWHILE_H

#include "watcher/before.h"

static bool meanwhile;

void __real_watcher__catch_up(struct watcher *w, bool look);
void __wrap_watcher__catch_up(struct watcher *w, bool look);

void __wrap_watcher__catch_up(struct watcher *w, bool look)
{
	if (meanwhile) /* what is found is told to those who are there */
		watcher__look_go(w, UINT64_MAX);
	else
		__real_watcher__catch_up(w, look);
}

bool __real_watcher__compare_before(struct watcher *w, const char *path);
bool __wrap_watcher__compare_before(struct watcher *w, const char *path);

bool __wrap_watcher__compare_before(struct watcher *w, const char *path)
{
	return !meanwhile && __real_watcher__compare_before(w, path);
}

#endif
