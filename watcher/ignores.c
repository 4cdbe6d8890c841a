/*
 * Ignore files as the index knows them: what filters hear when one is found, comes or goes with
 * its directory, or may have changed unseen. What is watched then, and what not, is for node.c.
 */
#include "watcher/engine.h"
#include "watcher/filter.h"

bool watcher__rules_read(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	struct hit hits[HITS_MAX];
	bool changed = false;
	int n;

	if (!w->filters)
		return false;
	n = watcher__hits(w, &w->work_path, dir, NULL, 0, hits);
	for (int i = 0; i < n; i++) {
		struct root *r = hits[i].root;

		if (!r->filter || r->single || !watcher__filter_is_ignore_file(r->filter, name, len))
			continue;
		changed |= watcher__filter_reload(r->filter,
						  backpath_tail(&w->work_path, hits[i].rel_len),
						  hits[i].rel_len) != 0;
		if (len == 4) /* ".git": it has an info/exclude */
			r->rules_due = w->rules_due = true;
	}
	return changed;
}

bool watcher__rules_none(struct watcher *w, uint32_t dir)
{
	struct hit hits[HITS_MAX];
	bool changed = false;
	int n;

	if (!w->filters)
		return false;
	n = watcher__hits(w, &w->work_path, dir, NULL, 0, hits);
	for (int i = 0; i < n; i++) {
		struct filter_root *filter = hits[i].root->filter;
		const char *rel = backpath_tail(&w->work_path, hits[i].rel_len);

		if (filter && watcher__filter_has_rules(filter, rel, hits[i].rel_len))
			changed |= watcher__filter_reload(filter, rel, hits[i].rel_len) != 0;
	}
	return changed;
}

void watcher__rules_arrived(struct watcher *w, uint32_t node)
{
	uint32_t rec;

	if (!w->filters)
		return;
	watcher__rules_none(w, node);
	for (rec = tree_next(&w->tree, node, NO_REC); rec != NO_REC;
	     rec = tree_next(&w->tree, node, rec)) {
		struct entry e = tree_entry(&w->tree, node, rec);

		if (e.name[0] == '.')
			watcher__rules_read(w, node, e.name, e.len);
		if (e.node != NO_DIR)
			watcher__rules_arrived(w, e.node);
	}
}

void watcher__rules_left(struct watcher *w, uint32_t dir, const char *name, size_t len)
{
	struct hit hits[HITS_MAX];
	int n;

	if (!w->filters || tree_find(&w->tree, dir, name, len) != NO_REC) /* others have it by now */
		return;
	n = watcher__hits(w, &w->work_path, dir, name, len, hits);
	for (int i = 0; i < n; i++)
		watcher__filter_forget(hits[i].root->filter,
				       backpath_tail(&w->work_path, hits[i].rel_len),
				       hits[i].rel_len);
}

bool watcher__rules_again(struct watcher *w, uint32_t top)
{
	bool changed = false;

	if (!w->filters)
		return false;
	for (struct root *r = tree_dir(&w->tree, top)->roots; r; r = r->next_at_node)
		changed |= watcher__filter_reload_all(r->filter) != 0;
	return changed;
}
