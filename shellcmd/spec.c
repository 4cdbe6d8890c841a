/* Copies a call and the recipe it continues into memory of its own. Judges nothing. */
#include "shellcmd/spec.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { CHUNK = 2048, ALIGN = 16 };

struct sh__chunk {
	struct sh__chunk *next;
	size_t used, size;
	_Alignas(ALIGN) char bytes[];
};

/* Aligned for any type; NULL when out of memory. */
static void *arena_alloc(struct sh__arena *a, size_t n)
{
	struct sh__chunk *c = a->chunks;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!c || c->size - c->used < n) {
		size_t size = n > CHUNK ? n : CHUNK;

		if (!(c = malloc(sizeof *c + size)))
			return NULL;
		c->used = 0;
		c->size = size;
		c->next = a->chunks;
		a->chunks = c;
	}
	p = c->bytes + c->used;
	c->used += n;
	return p;
}

static void arena_free(struct sh__arena *a)
{
	while (a->chunks) {
		struct sh__chunk *next = a->chunks->next;

		free(a->chunks);
		a->chunks = next;
	}
}

void sh__spec_invalid(struct sh__spec *spec, const char *fmt, ...)
{
	va_list ap;

	if (spec->invalid[0])
		return;
	va_start(ap, fmt);
	vsnprintf(spec->invalid, sizeof spec->invalid, fmt, ap);
	va_end(ap);
	spec->invalid_errno = UV_EINVAL;
}

/* ------------------------------------------------------------------ copying */

/* NULL stays NULL; false: out of memory. */
static bool copy_bytes(struct sh__arena *a, const void **p, size_t n)
{
	char *copy;

	if (!*p)
		return true;
	if (!(copy = arena_alloc(a, n)))
		return false;
	memcpy(copy, *p, n);
	*p = copy;
	return true;
}

static bool copy_text(struct sh__arena *a, const char **s)
{
	const void *p = *s;

	if (p && !copy_bytes(a, &p, strlen(*s) + 1))
		return false;
	*s = p;
	return true;
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* One list out of two, the first one's words first; without the words that are to be skipped.
 */
static char **join(struct sh__arena *a, const char *const *first, size_t n_first,
		   const char *const *second, size_t n_second)
{
	char **v = arena_alloc(a, (n_first + n_second + 1) * sizeof *v);
	size_t n = 0;

	if (!v)
		return NULL;
	for (size_t i = 0; i < n_first + n_second; i++) {
		const char *s = i < n_first ? first[i] : second[i - n_first];

		if (s == SH_SKIP)
			continue;
		if (!copy_text(a, &s))
			return NULL;
		v[n++] = (char *)s;
	}
	v[n] = NULL;
	return v;
}

static bool join_lists(struct sh__arena *a, const char *const **list, const char *const *base)
{
	char **v;

	if (!*list && !base)
		return true;
	v = join(a, base, count(base), *list, count(*list));
	*list = (const char *const *)v;
	return v != NULL;
}

/* Arrays of plain structs: base's first. */
static bool join_arrays(struct sh__arena *a, const void **v, size_t *n, const void *base,
			size_t n_base, size_t each)
{
	char *p;

	/* A count without an array is refused later; nothing of it may be read. */
	if (*n + n_base == 0 || (*n && !*v) || (n_base && !base))
		return true;
	if (!(p = arena_alloc(a, (*n + n_base) * each)))
		return false;
	if (n_base)
		memcpy(p, base, n_base * each);
	if (*n)
		memcpy(p + n_base * each, *v, *n * each);
	*v = p;
	*n += n_base;
	return true;
}

static bool copy_io(struct sh__arena *a, sh_io *io)
{
	sh_io *to;

	if (io->kind == SH_IO_BYTES && io->ptr && io->len == (size_t)-1)
		io->len = strlen(io->ptr);
	if (io->kind == SH_IO_BYTES && !io->ptr)
		io->len = 0;
	if (io->kind == SH_IO_BYTES && !copy_bytes(a, &io->ptr, io->len))
		return false;
	if ((io->kind == SH_IO_FILE || io->kind == SH_IO_APPEND) && io->ptr &&
	    !copy_bytes(a, &io->ptr, strlen(io->ptr) + 1))
		return false;
	if (io->kind != SH_IO_TEE || !io->to)
		return true;
	if (!(to = arena_alloc(a, sizeof *to)))
		return false;
	*to = *io->to;
	io->to = to;
	/* A tee of a tee is refused later; copying it would follow a caller's loop. */
	return to->kind == SH_IO_TEE || copy_io(a, to);
}

/* ------------------------------------------------------------------ the recipe */

#define TAKE(field)                                                                            \
	do {                                                                                   \
		if (!c->field)                                                                 \
			c->field = b->field;                                                   \
	} while (0)

/* Plain options of the recipe that the call leaves at their default. */
static void take_options(sh_call *c, const sh_call *b)
{
	TAKE(cwd);
	TAKE(env_clear);
	TAKE(timeout_ms);
	TAKE(idle_ms);
	TAKE(stop_signal);
	TAKE(grace_ms);
	TAKE(drain_ms);
	TAKE(max_out);
	TAKE(overflow);
	TAKE(pty);
	TAKE(rows);
	TAKE(cols);
	TAKE(session);
	TAKE(keep_group);
	TAKE(detach);
	TAKE(die_with_parent);
	TAKE(guard);
	TAKE(foreground_tty);
	TAKE(user);
	TAKE(umask);
	TAKE(nice);
	TAKE(loop);
	TAKE(done);
	TAKE(arg);
	TAKE(held);
	TAKE(dry_run);
	TAKE(stopped);
	TAKE(guardian);
	TAKE(stop_left);
	if (!c->ok.n)
		c->ok = b->ok;
	if (!c->in.kind)
		c->in = b->in;
	if (!c->out.kind)
		c->out = b->out;
	if (!c->err.kind)
		c->err = b->err;
}

static bool copy_options(struct sh__spec *spec, const sh_call *b)
{
	struct sh__arena *a = &spec->arena;
	sh_call *c = &spec->call;
	const void *ok = c->ok.v, *fds = c->fds.v, *limits = c->rlimits.v;
	bool done;

	done = copy_text(a, &c->cwd) && copy_text(a, &c->user) &&
	       join_lists(a, &c->env, b ? b->env : NULL) &&
	       join_lists(a, &c->unset, b ? b->unset : NULL) && copy_io(a, &c->in) &&
	       copy_io(a, &c->out) && copy_io(a, &c->err) &&
	       (!ok || copy_bytes(a, &ok, c->ok.n * sizeof *c->ok.v)) &&
	       join_arrays(a, &fds, &c->fds.n, b ? b->fds.v : NULL, b ? b->fds.n : 0,
			   sizeof *c->fds.v) &&
	       join_arrays(a, &limits, &c->rlimits.n, b ? b->rlimits.v : NULL,
			   b ? b->rlimits.n : 0, sizeof *c->rlimits.v);
	c->ok.v = ok;
	c->fds.v = fds;
	c->rlimits.v = limits;
	return done;
}

/* ------------------------------------------------------------------ the call */

/* Callers of another version know less or more of the struct than this library does. */
static int read_call(struct sh__spec *spec, const sh_call *call)
{
	size_t known = sizeof *call;

	if (!call) {
		sh__spec_invalid(spec, "the call is NULL");
		return UV_EINVAL;
	}
	if (call->size < offsetof(sh_call, cwd)) {
		sh__spec_invalid(spec, "size is %zu: it must be sizeof(sh_call)", call->size);
		return UV_EINVAL;
	}
	for (size_t i = known; i < call->size; i++) {
		if (((const char *)call)[i]) {
			sh__spec_invalid(spec,
					 "size is %zu and options are set that this "
					 "version of the library does not know",
					 call->size);
			spec->invalid_errno = UV_E2BIG;
			return UV_E2BIG;
		}
	}
	memcpy(&spec->call, call, call->size < known ? call->size : known);
	return 0;
}

/* How many positional arguments there are; a hole sets `invalid`. */
static size_t count_positional(struct sh__spec *spec)
{
	const sh_call *c = &spec->call;
	size_t n = 0;

	while (n < SH_ARGV_MAX && c->argv[n])
		n++;
	for (size_t i = n; i < SH_ARGV_MAX; i++)
		if (c->argv[i])
			sh__spec_invalid(spec, "argument %zu is NULL, but more follow it", n);
	if (c->argv_end)
		sh__spec_invalid(spec, "more than %d arguments: pass them with .args",
				 SH_ARGV_MAX);
	if (c->stays_null_1 || c->stays_null_2)
		sh__spec_invalid(spec, "an argument stands behind an option");
	return n;
}

/* The words of the recipe, of argv and of args, in this order. */
static bool copy_words(struct sh__spec *spec, const struct sh__spec *base, size_t n)
{
	size_t n_base = base ? base->argc : 0, n_args = count(spec->call.args);
	const char *const *from = base ? (const char *const *)base->argv : NULL;
	char **first = join(&spec->arena, from, n_base, spec->call.argv, n);

	if (!first)
		return false;
	n = count((const char *const *)first);
	spec->argv =
	    n_args ? join(&spec->arena, (const char *const *)first, n, spec->call.args, n_args)
		   : first;
	if (!spec->argv)
		return false;
	spec->argc = count((const char *const *)spec->argv);
	return true;
}

static bool copy_call(struct sh__spec *spec)
{
	const struct sh__spec *base = spec->call.base ? &spec->call.base->spec : NULL;
	size_t n = count_positional(spec);

	if (base && base->invalid[0]) {
		sh__spec_invalid(spec, "%s", base->invalid);
		spec->invalid_errno = base->invalid_errno;
	}
	if (!copy_words(spec, base, n))
		return false;
	memset(spec->call.argv, 0, sizeof spec->call.argv);
	spec->call.args = NULL;
	spec->call.base = NULL;
	if (base)
		take_options(&spec->call, &base->call);
	return copy_options(spec, base ? &base->call : NULL);
}

int sh__spec_init(struct sh__spec *spec, const sh_call *call)
{
	memset(spec, 0, sizeof *spec);
	if (read_call(spec, call) < 0) {
		if (!(spec->argv = arena_alloc(&spec->arena, sizeof *spec->argv)))
			return UV_ENOMEM;
		spec->argv[0] = NULL;
		return 0;
	}
	if (!copy_call(spec)) {
		sh__spec_free(spec);
		return UV_ENOMEM;
	}
	return 0;
}

void sh__spec_free(struct sh__spec *spec)
{
	arena_free(&spec->arena);
}

/* ------------------------------------------------------------------ recipes */

sh_cmd *sh_bake(const sh_call *call)
{
	sh_cmd *cmd = malloc(sizeof *cmd);

	if (!cmd)
		return NULL;
	if (sh__spec_init(&cmd->spec, call) < 0) {
		free(cmd);
		return NULL;
	}
	return cmd;
}

void sh_cmd_free(sh_cmd *cmd)
{
	if (!cmd)
		return;
	sh__spec_free(&cmd->spec);
	free(cmd);
}
