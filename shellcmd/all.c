/* Runs many commands on one private loop, at most so many at a time. */
#include <stdlib.h>
#include <unistd.h>

#include "shellcmd/proc.h"

static int check(sh_proc *const *procs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!procs[i] || procs[i]->phase != SH__HELD || procs[i]->whole.loop)
			return UV_EINVAL;
	return 0;
}

static size_t running(sh_proc *const *procs, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += procs[i]->phase == SH__RUNNING;
	return count;
}

static size_t processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (size_t)n : 1;
}

/* Without memory to wait with, nothing new is started and what runs is stopped. */
static void stop_all(sh_proc *const *procs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sh__proc_fail(procs[i], SH_NOMEM, UV_ENOMEM, "out of memory");
}

static void run_all(sh_proc *const *procs, size_t n, size_t limit, struct sh__loop *loop)
{
	size_t started = 0, alive = 0;

	while (started < n || alive) {
		while (started < n && alive < limit) {
			sh__proc_start(procs[started++], loop);
			alive++;
		}
		if (sh__loop_turn(loop, UINT64_MAX) < 0)
			stop_all(procs, started);
		alive = running(procs, started);
	}
}

int sh_all(sh_proc *const *procs, size_t n, size_t limit)
{
	struct sh__loop loop;
	int r = check(procs, n), failed = 0;

	if (r < 0)
		return r;
	if (sh__engine()->needs_uv)
		r = sh__loop_init_own_uv(&loop);
	else
		sh__loop_init(&loop, NULL);
	if (r < 0)
		return r;
	run_all(procs, n, limit ? limit : processors(), &loop);
	sh__loop_fini(&loop);
	for (size_t i = 0; i < n; i++) {
		procs[i]->loop = &procs[i]->own_loop;
		failed += !procs[i]->result || procs[i]->result->status != 0;
		if (procs[i]->freed)
			sh__proc_destroy(procs[i]);
	}
	return failed;
}
