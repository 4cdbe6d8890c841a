/* One command a change, in order, and never more at a time than is good for anybody. */
#include "shell_trick.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "command.h"
#include "emit.h"

#define GRACE_MS    5000
#define MAX_WAITING 100000 /* events; more are merged into the last state by dropping them */

struct queued {
	struct queued *next;
	int kind, is_directory;
	char *path, *dest;
};

/* "$$" is a dollar sign to watchmedo; everything else is the shell's. */
static char *make_line(const char *text)
{
	struct bytes line = { 0 };

	for (const char *p = text; *p; p++) {
		if (p[0] == '$' && p[1] == '$')
			p++;
		emit_n(&line, p, 1);
	}
	emit_n(&line, "", 0);
	return bytes_take(&line);
}

void shell_trick_open(struct shell_trick *k)
{
	static const char fallback[] =
	    "if [ -n \"${watch_dest_path}\" ]; then "
	    "echo \"${watch_event_type} ${watch_object} from ${watch_src_path} to "
	    "${watch_dest_path}\"; "
	    "else echo \"${watch_event_type} ${watch_object} ${watch_src_path}\"; fi";

	k->last = &k->first;
	k->limit = k->s->wait || k->s->drop ? 1 : sizeof k->procs / sizeof *k->procs;
	k->line = k->s->shell_line ? make_line(k->s->shell_line) : alloc_copy(fallback);
}

static void free_queued(struct queued *q)
{
	free(q->path);
	free(q->dest);
	free(q);
}

static void check_exit(struct shell_trick *k)
{
	if (!k->quitting || k->running || k->is_over)
		return;
	k->is_over = 1;
	k->on_exit(0, k->arg);
}

static void start_some(struct shell_trick *k);

static void on_done(sh_proc *p, const sh_result *result, void *arg)
{
	struct shell_trick *k = arg;

	if (result->status == SH_SPAWN || result->status == SH_NOTFOUND)
		command_say_failed("/bin/sh", result);
	for (size_t i = 0; i < k->limit; i++)
		if (k->procs[i] == p)
			k->procs[i] = NULL;
	k->running--;
	left_keep(&k->left, p);
	start_some(k);
	check_exit(k);
}

static void start(struct shell_trick *k, size_t slot, const struct queued *q)
{
	/* Watchdog has one name for both. */
	int kind = q->kind == WATCHER_ATTRIB ? WATCHER_MODIFIED : q->kind;
	char *type = alloc_text("watch_event_type=%s", watcher_kind_name(kind));
	char *object = alloc_text("watch_object=%s", q->is_directory ? "directory" : "file");
	char *path = alloc_text("watch_src_path=%s", q->path);
	char *dest = alloc_text("watch_dest_path=%s", q->dest ? q->dest : "");

	say(k->voice, 1, SAY_DIM, "%s %s", watcher_kind_name(kind), q->path);
	k->procs[slot] =
	    sh_start(SH("/bin/sh", "-c", k->line, .env = SH_LIST(type, object, path, dest),
			.out = SH_INHERIT, .err = SH_INHERIT, .die_with_parent = true,
			.guard = true, .grace_ms = GRACE_MS, .loop = k->loop, .done = on_done, .arg = k));
	if (!k->procs[slot]) {
		say_error("out of memory");
		exit(125);
	}
	k->running++;
	free(type);
	free(object);
	free(path);
	free(dest);
}

static void start_some(struct shell_trick *k)
{
	for (size_t i = 0; i < k->limit && k->first && !k->quitting; i++) {
		struct queued *q = k->first;

		if (k->procs[i])
			continue;
		k->first = q->next;
		if (!k->first)
			k->last = &k->first;
		k->waiting--;
		start(k, i, q);
		free_queued(q);
	}
	k->is_behind &= k->first != NULL;
}

static void add(struct shell_trick *k, const watcher_event *e)
{
	struct queued *q;

	if (k->waiting >= MAX_WAITING) {
		if (!k->is_behind)
			say_error("more than %d commands behind; leaving events out",
				  MAX_WAITING);
		k->is_behind = 1;
		return;
	}
	q = alloc_zero(1, sizeof *q);
	q->kind = e->kind;
	q->is_directory = e->type == WATCHER_TYPE_DIR;
	q->path = alloc_copy(e->path);
	q->dest = e->dest ? alloc_copy(e->dest) : NULL;
	*k->last = q;
	k->last = &q->next;
	k->waiting++;
}

/* A save is several events, of which the first has a command already. */
static int is_rest_of_save(struct changes *saves, const watcher_event *e)
{
	size_t n = saves->paths.n;

	if (e->kind & (WATCHER_DELETED | WATCHER_MOVED))
		return 0;
	changes_add(saves, e, 0);
	return saves->paths.n == n && e->kind != WATCHER_CREATED;
}

void shell_trick_batch(struct shell_trick *k, watcher_batch *batch)
{
	struct changes saves = { 0 };
	watcher_event e;

	while (!k->quitting && watcher_batch_next(batch, &e)) {
		if (e.kind & WATCHER_CONTROL || is_rest_of_save(&saves, &e))
			continue;
		if (k->s->drop && !k->s->wait && (k->running || k->first))
			say(k->voice, 1, SAY_DIM, "dropped: %s %s", watcher_kind_name(e.kind),
			    e.path);
		else
			add(k, &e);
	}
	changes_clear(&saves);
	start_some(k);
}

void shell_trick_quit(struct shell_trick *k)
{
	k->quitting = 1;
	for (size_t i = 0; i < k->limit; i++)
		if (k->procs[i])
			sh_stop(k->procs[i]);
	check_exit(k);
}

/* What the lines have put into the background ends with this program. */
static void end_left(struct shell_trick *k)
{
	uint64_t end = uv_hrtime() + GRACE_MS * 1000000ull;

	left_signal(&k->left, SIGTERM, LEFT_ALL);
	while (left_count(&k->left, LEFT_ALL) > 0 && uv_hrtime() < end)
		usleep(10000);
	left_signal(&k->left, SIGKILL, LEFT_ALL);
}

void shell_trick_close(struct shell_trick *k)
{
	while (k->first) {
		struct queued *q = k->first;

		k->first = q->next;
		free_queued(q);
	}
	free(k->line);
	end_left(k);
	left_free(&k->left);
}
