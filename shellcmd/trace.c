/* Tells a callback what runs: the one setting that belongs to the process. */
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "shellcmd/proc.h"
#include "shellcmd/quote.h"

static struct {
	pthread_mutex_t lock;
	sh_trace_cb cb;
	void *arg;
} trace = { PTHREAD_MUTEX_INITIALIZER, NULL, NULL };

void sh_set_trace(sh_trace_cb cb, void *arg)
{
	pthread_mutex_lock(&trace.lock);
	trace.cb = cb;
	trace.arg = arg;
	pthread_mutex_unlock(&trace.lock);
}

/* Not called under the lock: it may run commands itself. */
static sh_trace_cb get(void **arg)
{
	sh_trace_cb cb;

	pthread_mutex_lock(&trace.lock);
	cb = trace.cb;
	*arg = trace.arg;
	pthread_mutex_unlock(&trace.lock);
	return cb;
}

void sh__trace_stage(const sh_proc *p, size_t stage, int kind)
{
	const struct sh__stage *st = &p->stages[stage];
	struct bytes text = { 0 };
	void *arg;
	sh_trace_cb cb = get(&arg);

	if (!cb)
		return;
	if (sh__quote_command(&text, (const char *const *)st->spec.argv) == 0)
		cb(&(const sh_trace){ .kind = kind,
				      .pid = st->child.pid,
				      .stage = stage,
				      .command = text.data ? text.data : "",
				      .cwd = st->spec.call.cwd },
		   arg);
	bytes_free(&text);
}

void sh__trace_exit(const sh_result *r)
{
	void *arg;
	sh_trace_cb cb = get(&arg);

	if (cb)
		cb(&(const sh_trace){ .kind = SH_TRACE_EXIT,
				      .command = r->command,
				      .result = r },
		   arg);
}
