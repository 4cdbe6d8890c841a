/* Events against what is known of the tree: see replay_events.h. */
#include "replay_events.h"

#include <string.h>

#include "base/clock.h"

static void complain(struct replay *r, const watcher_event *e, const char *what)
{
	if (!r->bad++)
		snprintf(r->first_bad, sizeof r->first_bad, "%s: %s %s%s%s%s%s", what,
			 watcher_kind_name(e->kind), e->path, e->dest ? " -> " : "",
			 e->dest ? e->dest : "", e->synthetic ? " (synthetic)" : "",
			 e->recovered ? " (recovered)" : "");
}

static bool is_root(const struct replay *r, const char *path)
{
	return (!r->gone && strcmp(path, r->roots[0]) == 0) ||
	       (r->roots[1] && strcmp(path, r->roots[1]) == 0);
}

static bool has_parent(const struct replay *r, const char *path)
{
	char up[PATH_MAX];

	snprintf(up, sizeof up, "%s", path);
	*strrchr(up, '/') = '\0';
	return model_has(&r->model, up) || is_root(r, up);
}

/* It ends when all in it has, and is empty when it is back. */
static void apply_to_root(struct replay *r, const watcher_event *e)
{
	bool ends = e->kind == WATCHER_DELETED;

	if (!ends && e->kind != WATCHER_CREATED) {
		if (e->kind == WATCHER_MOVED || r->gone)
			complain(r, e, "happened to a root");
		return;
	}
	if (ends == r->gone)
		complain(r, e, ends ? "deleted, but it is gone" : "created, but it is there");
	if (r->model.n)
		complain(r, e, "a root ended with something in it");
	model_remove(&r->model, r->roots[0]);
	r->gone = ends;
}

static void apply(struct replay *r, const watcher_event *e, int64_t now_ns)
{
	bool known = model_has(&r->model, e->path);
	size_t from, to;

	switch (e->kind) {
	case WATCHER_CREATED:
		if (known && !(r->watchdog && e->type != WATCHER_TYPE_DIR))
			complain(r, e, "created, but it is there");
		if (!has_parent(r, e->path))
			complain(r, e, "created in a directory that is not there");
		model_remove(&r->model, e->path);
		model_add(&r->model, e->path, e->type);
		break;
	case WATCHER_DELETED:
		if (!known)
			complain(r, e, "deleted, but it is not there");
		model_range(&r->model, e->path, &from, &to);
		if (to - from > 1)
			complain(r, e, "deleted with something in it");
		model_remove(&r->model, e->path);
		break;
	case WATCHER_MOVED:
		if (!known) {
			if (!e->synthetic || !model_has(&r->model, e->dest))
				complain(r, e, "moved, but it is not there");
			break;
		}
		if (!has_parent(r, e->dest))
			complain(r, e, "moved to a directory that is not there");
		model_range(&r->model, e->dest, &from, &to);
		if (to - from > 1 && (e->synthetic || r->no_exchanges))
			complain(r, e, "moved onto what has something in it");
		model_move(&r->model, e->path, e->dest);
		if (e->type != WATCHER_TYPE_DIR) /* made and moved at once: seen only now */
			model_add(&r->model, e->dest, e->type);
		break;
	default:
		if (!known && !is_root(r, e->path) && !r->watchdog)
			complain(r, e, "happened to what is not there");
	}
	if (e->kind == WATCHER_CREATED || e->kind == WATCHER_MODIFIED)
		model_tell(&r->model, e->path, now_ns);
	r->recovered += e->recovered;
	r->events++;
}

void replay_on_batch(watcher_watch *watch, watcher_batch *batch, void *replay)
{
	int64_t now_ns = clock_wall_ns();
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e)) {
		struct replay *r = replay;

		if (r->trace)
			fprintf(r->trace, "%s%llu %s %s%s%s%s%s%s\n", r->name, (unsigned long long)e.batch,
				watcher_kind_name(e.kind), e.path,
				e.type == WATCHER_TYPE_DIR ? "/" : "", e.dest ? " -> " : "",
				e.dest ? e.dest : "", e.synthetic ? " (s)" : "",
				e.recovered ? " (r)" : "");
		if (e.kind == WATCHER_OVERFLOW) /* told of a root */
			r->overflows++;
		else if (r->roots[0] && strcmp(e.path, r->roots[0]) == 0)
			apply_to_root(r, &e);
		else
			apply(r, &e, now_ns);
	}
}
