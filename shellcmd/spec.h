/*
 * A call, copied: what a sh_call says, with the recipe it continues, in memory of its own.
 * This is what a handle starts and what a recipe keeps. spec.c copies, check.c judges.
 */
#ifndef SHELLCMD_SPEC_H
#define SHELLCMD_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "whendo/shellcmd.h"

/* Memory that is freed at once. A zeroed struct is empty. */
struct sh__arena {
	struct sh__chunk *chunks;
};

struct sh__spec {
	struct sh__arena arena;
	sh_call call; /* the options; every pointer leads into the arena; argv[] is not used */
	char **argv;  /* NULL-ended */
	size_t argc;
	char invalid[200]; /* why the call makes no sense; "" if it does */
	int invalid_errno; /* UV_EINVAL, or UV_E2BIG for a struct of a newer header */
};

struct sh_cmd {
	struct sh__spec spec;
};

/* 0, with spec->invalid set where the call makes no sense; UV_ENOMEM with nothing kept. */
int sh__spec_init(struct sh__spec *spec, const sh_call *call);
void sh__spec_free(struct sh__spec *spec);

/* What concerns all stages of a pipeline. */
struct sh__whole {
	int64_t timeout_ms, idle_ms, grace_ms, drain_ms;
	int stop_signal, overflow;
	size_t max_out;
	struct uv_loop_s *loop;
	sh_done_cb done;
	sh_stopped_cb stopped;
	void *arg;
	bool held, dry_run, stop_left;
};

/* How the stages are to be started. */
enum sh__manner { SH__WAITED, SH__BACKGROUND };

/*
 * Judges the stages together and resolves what concerns all of them, defaults filled in.
 * Returns the index of a stage whose `invalid` was set, or -1.
 */
int sh__spec_whole(struct sh__spec *specs, size_t n, enum sh__manner manner,
		   struct sh__whole *out);

__attribute__((format(printf, 2, 3))) void sh__spec_invalid(struct sh__spec *spec,
							    const char *fmt, ...);

#endif
