/* watchmedo's other verbs: shell-command, auto-restart and tricks-generate-yaml. */
#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "act.h"
#include "base/bytes.h"
#include "emit.h"
#include "print.h"
#include "tricks_file.h"

/* One act without a file. */
struct solo {
	struct stage stage;
	struct rule rule;
	struct act act;
	uv_signal_t child;
	int status, signum;
};

static int may_run(struct act *a, void *arg)
{
	(void)a;
	(void)arg;
	return 1;
}

static void on_ready(struct act *a, void *arg)
{
	(void)a;
	(void)arg;
}

static void on_start(struct act *a, void *arg)
{
	(void)a;
	(void)arg;
}

static void on_end(struct act *a, int code, void *arg)
{
	(void)a;
	(void)code;
	(void)arg;
}

static void on_exit_(struct act *a, int code, void *arg)
{
	struct solo *o = arg;

	(void)a;
	o->status = code;
	uv_stop(&o->stage.loop);
}

static void on_signal(int signum, void *arg)
{
	struct solo *o = arg;

	o->signum = signum;
	act_quit(&o->act);
}

static void on_child(uv_signal_t *h, int signum)
{
	struct solo *o = h->data;

	(void)signum;
	act_reap(&o->act);
}

static int play(struct solo *o, enum rule_kind kind, struct settings *s)
{
	int r;

	s->watchmedo = 1;
	o->stage = (struct stage){ .on_signal = on_signal,
				   .arg = o,
				   .ends_well = kind == RULE_RUN };
	o->rule = (struct rule){ .kind = kind, .name = (char *)s->verb->name, .s = *s };
	o->act = (struct act){ .stage = &o->stage,
			       .rule = &o->rule,
			       .may_run = may_run,
			       .on_ready = on_ready,
			       .on_start = on_start,
			       .on_end = on_end,
			       .on_exit = on_exit_,
			       .arg = o };
	if ((r = stage_open(&o->stage, s)) != 0)
		return r;
	uv_signal_init(&o->stage.loop, &o->child);
	o->child.data = o;
	uv_signal_start(&o->child, on_child, SIGCHLD);
	uv_unref((uv_handle_t *)&o->child);
	if ((r = act_open(&o->act)) == 0) {
		stage_listen(&o->stage);
		stage_run(&o->stage);
		r = o->status;
	}
	act_close(&o->act);
	uv_close((uv_handle_t *)&o->child, NULL);
	stage_close(&o->stage);
	return r;
}

int verb_shell_command(struct settings *s)
{
	struct solo o = { 0 };
	int r;

	/* Its events are what its user asked to see. */
	r = play(&o, RULE_SHELL_COMMAND, s);
	return r == 0 && o.signum ? EXIT_SIGNAL + o.signum : r;
}

int verb_auto_restart(struct settings *s)
{
	struct solo o = { 0 };

	if (s->command.n == 0) {
		say_error("auto-restart: no command; it stands last, as in: auto-restart -d src "
			  "-- ./server");
		return EXIT_USAGE;
	}
	return play(&o, RULE_RUN, s);
}

static int known_classes(const struct settings *s)
{
	const char *names[8];
	char hint[SAY_HINT];
	size_t n = 0;

	for (const struct trick_class *c = trick_classes; c->name && n < 7; c++)
		names[n++] = c->name;
	names[n] = NULL;
	if (s->paths.n == 0)
		say_error("%s: name a class, as in %s", s->verb->name, names[0]);
	for (size_t i = 0; i < s->paths.n; i++)
		if (!trick_find(s->paths.v[i])) {
			say_hint(hint, s->paths.v[i], names);
			say_error("%s: no such trick%s%s%s", s->paths.v[i], hint,
				  *hint ? "" : "; there is ", *hint ? "" : names[0]);
			return 0;
		}
	return s->paths.n > 0;
}

/* With --append-to-file the header goes into a file that is new, else to stdout. */
int verb_generate(struct settings *s)
{
	struct bytes out = { 0 };
	const char *path = s->append_to_file;
	FILE *to;
	int is_new = !path || access(path, F_OK) < 0, r = 0;

	if (!known_classes(s))
		return EXIT_USAGE;
	emit(&out, "");
	if (is_new && !(s->append_only && !path))
		emit(&out, "tricks:\n");
	for (size_t i = 0; i < s->paths.n; i++)
		emit_f(&out, "  - %s:\n%s", s->paths.v[i], trick_find(s->paths.v[i])->stub);
	if (!path)
		return print_out(&out);
	if (!(to = fopen(path, "ae")) || fwrite(out.data, 1, out.len, to) != out.len ||
	    fflush(to) != 0) {
		say_error("%s: %s", path, strerror(errno));
		r = EXIT_FAILED;
	}
	if (to)
		fclose(to);
	bytes_free(&out);
	return r;
}
