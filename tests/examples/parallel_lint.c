/*
 * parallel_lint LIMIT LINTER FILE...: runs the linter on each file, at most LIMIT at a time,
 * shows progress as they end, and at last what each complaint was, in the files' order.
 */
#include <stdio.h>
#include <stdlib.h>

#include <whendo/shellcmd.h>

struct progress {
	int ended, bad, total;
};

static void on_done(sh_proc *p, const sh_result *r, void *arg)
{
	struct progress *all = arg;

	(void)p;
	all->ended++;
	all->bad += r->status != 0;
	fprintf(stderr, "%d of %d, %d bad\r", all->ended, all->total, all->bad);
}

int main(int argc, char **argv)
{
	struct progress all = { 0, 0, argc - 3 };
	sh_proc **jobs = calloc((size_t)argc, sizeof *jobs);
	sh_cmd *linter = argc > 3 ? sh_bake(SH(argv[2], .err = SH_MERGE)) : NULL;
	int r;

	if (!jobs || !linter)
		return 2;
	for (int i = 0; i < all.total; i++)
		jobs[i] = sh_start(SH(argv[i + 3], .base = linter, .held = true,
				      .timeout_ms = 60000, .done = on_done, .arg = &all));
	r = sh_all(jobs, (size_t)all.total, (size_t)atoi(argv[1]));
	fprintf(stderr, "\n");
	for (int i = 0; i < all.total; i++) {
		const sh_result *result = sh_wait(jobs[i], 0);

		if (result && result->status)
			printf("%s: %s\n%s", argv[i + 3], sh_status_name(result->status),
			       result->out);
		sh_proc_free(jobs[i]);
	}
	sh_cmd_free(linter);
	free(jobs);
	return r != 0;
}
