/*
 * build_driver PROGRAM FILE.c...: compiles what is older than its source, as many at a time
 * as there are processors, then links. Shows the compiler's own words when one fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <whendo/shellcmd.h>

#define cc(...) sh_start(SH("cc", __VA_ARGS__, .held = true))

static int is_newer(const char *source, const char *object)
{
	struct stat s, o;

	if (stat(source, &s) < 0 || stat(object, &o) < 0)
		return 1;
	if (s.st_mtim.tv_sec != o.st_mtim.tv_sec)
		return s.st_mtim.tv_sec > o.st_mtim.tv_sec;
	return s.st_mtim.tv_nsec > o.st_mtim.tv_nsec;
}

static char *object_of(const char *source)
{
	char *object = strdup(source);

	if (!object)
		exit(1);
	object[strlen(object) - 1] = 'o';
	return object;
}

static int compile(char *const *sources, const char *const *objects, int n, sh_proc **jobs)
{
	int compiling = 0, failed;

	for (int i = 0; i < n; i++)
		if (is_newer(sources[i], objects[i]))
			jobs[compiling++] = cc("-c", sources[i], "-o", objects[i]);
	printf("compiling %d of %d\n", compiling, n);
	failed = sh_all(jobs, (size_t)compiling, 0);
	for (int i = 0; i < compiling; i++) {
		const sh_result *r = sh_wait(jobs[i], 0);

		if (r && r->status)
			printf("%s\n", r->message);
		sh_proc_free(jobs[i]);
	}
	return failed;
}

static int link_program(const char *program, const char *const *objects)
{
	sh_result *r = sh("cc", "-o", program, .args = objects);
	int failed = r->status != 0;

	printf("%s\n", failed ? r->message : "linked");
	sh_free(r);
	return failed;
}

int main(int argc, char **argv)
{
	int n = argc - 2, failed;
	char **objects = calloc((size_t)argc, sizeof *objects);
	sh_proc **jobs = calloc((size_t)argc, sizeof *jobs);

	if (n < 1 || !objects || !jobs)
		return 2;
	for (int i = 0; i < n; i++)
		objects[i] = object_of(argv[i + 2]);
	failed = compile(argv + 2, (const char *const *)objects, n, jobs);
	if (!failed)
		failed = link_program(argv[1], (const char *const *)objects);
	for (int i = 0; i < n; i++)
		free(objects[i]);
	free(objects);
	free(jobs);
	return failed != 0;
}
