/*
 * A handler that runs a command for what has changed. A job is a run that is to come: the
 * paths it will get and the first event it is for. Jobs wait in a list until one may start.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/list.h"
#include "watcher/backend.h"
#include "watcher/handler_words.h"
#include "watcher/options.h"
#include "watcher/tree.h"
#include "whendo/shellcmd.h"

#define WAITING_MAX   ((size_t)64 << 20) /* bytes of jobs */
#define ARGUMENTS_MAX (96 * 1024)        /* execve(2): 128 KiB are safe with an environment */

struct job {
	struct link link;
	struct bytes paths; /* each ended by NUL */
	struct bytes first; /* the variables of its first event, each ended by NUL */
	uint32_t *slots;    /* hash over the paths: place + 1 */
	size_t nslots, npaths, events;
};

struct run {
	struct link link;
	watcher_command_handler *h;
	sh_proc *proc;
};

struct watcher_command_handler {
	watcher_command_options o;
	struct handler_words words;
	struct uv_loop_s *loop;
	struct link jobs, runs;
	size_t nruns, limit, waiting_bytes;
	uint64_t dropped;
	bool *freed; /* set while a callback may free the handler */
};

/* ---- jobs ---- */

static size_t job_bytes(const struct job *j)
{
	return sizeof *j + j->paths.len + j->first.len + j->nslots * sizeof *j->slots;
}

static void job_free(struct job *j)
{
	bytes_free(&j->paths);
	bytes_free(&j->first);
	free(j->slots);
	free(j);
}

static uint32_t *slot_of(const struct job *j, const char *path)
{
	uint32_t i = name_hash(path, strlen(path));

	for (;; i++) {
		uint32_t *slot = &j->slots[i & (j->nslots - 1)];

		if (!*slot || strcmp(j->paths.data + *slot - 1, path) == 0)
			return slot;
	}
}

static int grow_slots(struct job *j)
{
	size_t n = j->nslots ? j->nslots * 2 : 16;
	uint32_t *slots;

	if ((j->npaths + 1) * 2 <= j->nslots)
		return 0;
	if (!(slots = calloc(n, sizeof *slots)))
		return UV_ENOMEM;
	free(j->slots);
	j->slots = slots;
	j->nslots = n;
	for (size_t at = 0; at < j->paths.len; at += strlen(j->paths.data + at) + 1)
		*slot_of(j, j->paths.data + at) = (uint32_t)at + 1;
	return 0;
}

static int job_add_path(struct job *j, const char *path)
{
	size_t at = j->paths.len;
	uint32_t *slot;

	if (!path[0])
		return 0;
	if (grow_slots(j) < 0 || (path[0] == '-' && bytes_adds(&j->paths, "./") < 0) ||
	    bytes_add(&j->paths, path, strlen(path) + 1) < 0) {
		j->paths.len = at;
		return UV_ENOMEM;
	}
	slot = slot_of(j, j->paths.data + at);
	if (*slot) { /* it is there already */
		j->paths.len = at;
		return 0;
	}
	*slot = (uint32_t)at + 1;
	j->npaths++;
	return 0;
}

static int add_variable(struct job *j, const char *name, const char *value)
{
	int r = bytes_addf(&j->first, "%s=%s", name, value);

	return r < 0 ? r : bytes_addc(&j->first, '\0');
}

static int job_add(struct job *j, const watcher_event *e)
{
	int r = 0;

	if (!j->first.len) {
		r = add_variable(j, "watch_event_type", watcher_kind_name(e->kind));
		if (r == 0)
			r = add_variable(j, "watch_object",
					 e->type == WATCHER_TYPE_DIR ? "directory" : "file");
		if (r == 0)
			r = add_variable(j, "watch_src_path", e->path);
		if (r == 0)
			r = add_variable(j, "watch_dest_path", e->dest ? e->dest : "");
	}
	if (r < 0)
		j->first.len = 0; /* all of them or none */
	if (r == 0)
		r = job_add_path(j, e->dest && e->dest[0] ? e->dest : e->path);
	j->events += r == 0;
	return r;
}

/* ---- runs ---- */

static void start_next(watcher_command_handler *h);

static void on_run_done(sh_proc *proc, const sh_result *result, void *arg)
{
	struct run *run = arg;
	watcher_command_handler *h = run->h;
	bool freed = false;

	list_remove(&run->link);
	free(run);
	h->nruns--;
	if (h->o.on_done) {
		h->freed = &freed;
		h->o.on_done(h, sh_shell_code(result), result->message, h->o.arg);
	}
	sh_proc_free(proc);
	if (freed)
		return;
	h->freed = NULL;
	start_next(h);
}

/* Program, arguments and as many paths as fit; *left_out counts the others. */
static const char **arguments(const watcher_command_handler *h, const struct job *j,
			      size_t *left_out)
{
	bool append = h->o.shell || h->o.append_paths;
	const char **argv = calloc(h->words.argc + j->npaths + 1, sizeof *argv);
	size_t n = h->words.argc, at = 0;

	*left_out = 0;
	if (!argv)
		return NULL;
	memcpy(argv, h->words.argv, n * sizeof *argv);
	for (size_t i = 0; append && i < j->npaths; i++) {
		const char *path = j->paths.data + at;

		at += strlen(path) + 1;
		if (at + i * sizeof(char *) > ARGUMENTS_MAX) {
			*left_out = j->npaths - i;
			break;
		}
		argv[n++] = path;
	}
	return argv;
}

#define NVARIABLES 4 /* of a first event */

static const char **environment(const watcher_command_handler *h, const struct job *j,
				const char *count, const char *left_out)
{
	static const char *const none[NVARIABLES] = { "watch_event_type=", "watch_object=",
						      "watch_src_path=", "watch_dest_path=" };
	size_t n = h->words.nenv, at = 0;
	const char **env = calloc(n + NVARIABLES + 3, sizeof *env);

	if (!env)
		return NULL;
	memcpy(env, h->words.env, n * sizeof *env);
	for (size_t i = 0; i < NVARIABLES; i++) {
		env[n++] = j->first.len ? j->first.data + at : none[i];
		if (j->first.len)
			at += strlen(j->first.data + at) + 1;
	}
	env[n++] = count;
	env[n++] = left_out;
	return env;
}

static sh_proc *start(watcher_command_handler *h, const struct job *j, struct run *run)
{
	sh_io out = h->o.quiet ? SH_NULL : SH_INHERIT, in = SH_NULL;
	size_t n;
	const char **argv = arguments(h, j, &n), **env;
	char count[48], left_out[48];
	sh_proc *proc = NULL;

	snprintf(count, sizeof count, "watch_event_count=%zu", j->events);
	snprintf(left_out, sizeof left_out, "watch_paths_left_out=%zu", n);
	env = environment(h, j, count, left_out);
	if (h->o.paths_on_stdin)
		in = SH_BYTES(j->paths.data ? j->paths.data : "", j->paths.len);
	if (argv && env)
		proc = sh_start(SH_OPTS(.args = argv, .env = env, .cwd = h->words.cwd, .in = in,
					.out = out, .err = out, .timeout_ms = h->o.timeout_ms,
					.loop = h->loop, .done = on_run_done, .arg = run));
	free(argv);
	free(env);
	return proc;
}

static void run_job(watcher_command_handler *h, struct job *j)
{
	struct run *run = calloc(1, sizeof *run);

	list_remove(&j->link);
	h->waiting_bytes -= job_bytes(j);
	if (run) {
		run->h = h;
		run->proc = start(h, j, run);
	}
	if (run && run->proc) {
		list_append(&h->runs, &run->link);
		h->nruns++;
	} else {
		free(run);
		h->dropped += j->events;
	}
	job_free(j);
}

static void start_next(watcher_command_handler *h)
{
	while (h->nruns < h->limit && !list_empty(&h->jobs))
		run_job(h, LIST_ENTRY(h->jobs.next, struct job, link));
}

/* ---- batches ---- */

/* The job that takes the next event, a new one if there must be one; NULL: none does. */
static struct job *job_for(watcher_command_handler *h, bool open_new)
{
	struct job *j;

	if (h->o.busy == WATCHER_BUSY_DROP && h->nruns >= h->limit)
		return NULL;
	if (h->waiting_bytes > WAITING_MAX)
		return NULL;
	if (!list_empty(&h->jobs) && (h->o.busy == WATCHER_BUSY_QUEUE ? h->nruns > 0 : !open_new))
		return LIST_ENTRY(h->jobs.prev, struct job, link);
	if (!(j = calloc(1, sizeof *j)))
		return NULL;
	list_append(&h->jobs, &j->link);
	h->waiting_bytes += job_bytes(j);
	return j;
}

static void add_event(watcher_command_handler *h, struct job *j, const watcher_event *e)
{
	size_t before;
	int r;

	if (!j) {
		h->dropped++;
		return;
	}
	before = job_bytes(j);
	r = job_add(j, e);
	h->waiting_bytes += job_bytes(j) - before;
	h->dropped += r < 0;
}

/* Without memory for a single event of it there is nothing to run a command for. */
static void give_up_empty(watcher_command_handler *h, struct job *j)
{
	if (!j || j->events)
		return;
	list_remove(&j->link);
	h->waiting_bytes -= job_bytes(j);
	job_free(j);
}

void watcher_command_handler_batch(watcher_watch *watch, watcher_batch *batch, void *handler)
{
	watcher_command_handler *h = handler;
	struct job *j = NULL;
	bool first = true;
	watcher_event e;

	(void)watch;
	while (watcher_batch_next(batch, &e)) {
		if (!watcher__words_for(&e))
			continue;
		if (first || h->o.per_event || (j && h->waiting_bytes > WAITING_MAX))
			j = job_for(h, first || h->o.per_event);
		first = false;
		add_event(h, j, &e);
		if (h->o.per_event) {
			give_up_empty(h, j);
			j = NULL;
			start_next(h);
		}
	}
	give_up_empty(h, j);
	start_next(h);
}

/* ---- making and ending ---- */

static int check(watcher_command_handler *h, const watcher_command_options *options,
		 watcher_error *err)
{
	static const char who[] = "command handler";
	watcher_command_options *o = &h->o;
	int r = options ? options_copy(o, sizeof *o, options, options->size) : UV_EINVAL;

	if (r == UV_E2BIG)
		return watcher__fail(err, r, "%s: options of a newer version of the library", who);
	if (r < 0)
		return watcher__fail(err, r, "%s: no options, or their size is not set", who);
	if (o->busy < WATCHER_BUSY_QUEUE || o->busy > WATCHER_BUSY_PARALLEL)
		return watcher__fail(err, UV_EINVAL, "%s: unknown busy %d", who, o->busy);
	if (o->parallel < 0 || o->timeout_ms < 0)
		return watcher__fail(err, UV_EINVAL, "%s: a negative number", who);
	h->limit = 1;
	if (o->busy == WATCHER_BUSY_PARALLEL)
		h->limit = o->parallel ? (size_t)o->parallel : 16;
	r = watcher__words_copy(&h->words, who, o->command, o->shell, err);
	return r < 0 ? r : watcher__words_place(&h->words, who, o->cwd, o->env, err);
}

int watcher_command_handler_new(watcher_command_handler **out, watcher *w,
				const watcher_command_options *options, watcher_error *err)
{
	watcher_command_handler *h = calloc(1, sizeof *h);
	int r;

	if (!h)
		return watcher__fail(err, UV_ENOMEM, "command handler: out of memory");
	list_init(&h->jobs);
	list_init(&h->runs);
	h->loop = watcher_loop(w);
	r = check(h, options, err);
	if (r == 0 && h->o.run_first && !job_for(h, true))
		r = watcher__fail(err, UV_ENOMEM, "command handler: out of memory");
	if (r < 0) {
		watcher_command_handler_free(h);
		return r;
	}
	start_next(h);
	*out = h;
	return 0;
}

size_t watcher_command_handler_running(const watcher_command_handler *h)
{
	return h->nruns;
}

uint64_t watcher_command_handler_dropped(const watcher_command_handler *h)
{
	return h->dropped;
}

void watcher_command_handler_free(watcher_command_handler *h)
{
	if (!h)
		return;
	if (h->freed)
		*h->freed = true;
	LIST_EACH(it, next, &h->jobs) {
		job_free(LIST_ENTRY(it, struct job, link));
	}
	LIST_EACH(it, next, &h->runs) {
		struct run *run = LIST_ENTRY(it, struct run, link);

		sh_proc_free(run->proc);
		free(run);
	}
	watcher__words_free(&h->words);
	free(h);
}
