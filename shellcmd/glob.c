/*
 * Paths from a pattern, over glob(3).
 */
#include "whendo/shellcmd.h"

#include <errno.h>
#include <glob.h>

#include "shellcmd/words.h"

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int run_glob(const char *pattern, int flags, glob_t *g)
{
	switch (glob(pattern, flags, NULL, g)) {
	case 0:
		return 0;
	case GLOB_NOMATCH:
		return UV_ENOENT;
	case GLOB_ABORTED:
		return errno ? uv_translate_sys_error(errno) : UV_EIO;
	}
	return UV_ENOMEM;
}

/*
 * A directory that cannot be read is like one without a match, but is the reason given when
 * nothing matched at all. glob's own callback has no argument that could keep it.
 */
static int find(const char *pattern, glob_t *g)
{
	/* By bytes, below: the locale's order would differ between hosts. */
	int flags = GLOB_NOSORT | GLOB_TILDE, r = run_glob(pattern, flags, g);

	if (r != UV_ENOENT)
		return r;
	globfree(g);
	errno = 0;
	r = run_glob(pattern, flags | GLOB_ERR, g);
	/* musl says "no match" all the same. */
	return r == UV_ENOENT && errno == EACCES ? UV_EACCES : r;
}

int sh_glob(char ***words, const char *pattern, unsigned flags)
{
	struct sh__words w = { 0 };
	glob_t g = { 0 };
	int r;

	if (!pattern || !*pattern || flags & ~(unsigned)SH_GLOB_NULL)
		return UV_EINVAL;
	r = find(pattern, &g);
	if (r == UV_ENOENT && flags & SH_GLOB_NULL)
		r = 0;
	if (r == 0 && g.gl_pathc)
		qsort(g.gl_pathv, g.gl_pathc, sizeof(char *), compare);
	for (size_t i = 0; r == 0 && i < g.gl_pathc; i++)
		r = sh__words_add(&w, g.gl_pathv[i]);
	if (r == 0)
		r = sh__words_take(&w, words);
	if (r == 0)
		r = (int)g.gl_pathc;
	sh__words_free(&w);
	globfree(&g);
	return r;
}
