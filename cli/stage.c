/* Loop, voice and signals of a verb. Knows nothing of watching or running. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "verbs.h"

static int voice_open(struct voice *v, const struct settings *s)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	*v = (struct voice){ .level = s->loudness, .log_fd = -1 };
	if (s->color == COLOR_AUTO)
		v->color = isatty(2) && !(no_color && *no_color) &&
			   !(term && strcmp(term, "dumb") == 0);
	else
		v->color = s->color == COLOR_ALWAYS;
	if (!s->log_file)
		return 0;
	v->log_fd = open(s->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (v->log_fd < 0) {
		say_error("--log-file: '%s' cannot be written: %s", s->log_file,
			  strerror(errno));
		return EXIT_USAGE;
	}
	return 0;
}

/* What was ignored when we were started stays ignored: nohup, and & in scripts. */
static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

static int is_ignored(int signum)
{
	struct sigaction old;

	return sigaction(signum, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

static void end_well(int signum)
{
	(void)signum;
	_exit(0);
}

int stage_open(struct stage *st, const struct settings *s)
{
	int r = voice_open(&st->voice, s);

	if (r)
		return r;
	if ((r = loop_open(&st->loop)) < 0) {
		say_error("the event loop: %s", uv_strerror(r));
		return EXIT_FAILED;
	}
	st->outlet = (struct outlet){ .loop = &st->loop };
	st->voice.outlet = &st->outlet;
	/* A write to a closed pipe is an error that is handled where it occurs. */
	signal(SIGPIPE, SIG_IGN);
	st->guardian = sh_guardian_new();
	for (int i = 0; st->ends_well && i < 3; i++)
		if (!is_ignored(signals[i]))
			signal(signals[i], end_well);
	return 0;
}

static void on_signal(uv_signal_t *h, int signum)
{
	struct stage *st = h->data;

	st->on_signal(signum, st->arg);
}

void stage_listen(struct stage *st)
{
	for (int i = 0; i < 3; i++) {
		uv_signal_init(&st->loop, &st->signals[i]);
		st->signals[i].data = st;
		if (signals[i] != SIGTERM && is_ignored(signals[i]))
			continue;
		uv_signal_start(&st->signals[i], on_signal, signals[i]);
		uv_unref((uv_handle_t *)&st->signals[i]);
	}
}

static void stay(uv_async_t *h)
{
	(void)h;
}

void stage_run(struct stage *st)
{
	/* Some verbs have nothing on the loop but what does not keep it turning. */
	uv_async_init(&st->loop, &st->alive, stay);
	uv_run(&st->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&st->alive, NULL);
}

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void stage_close(struct stage *st)
{
	for (int i = 0; i < 3; i++)
		if (st->signals[i].data)
			close_handle((uv_handle_t *)&st->signals[i], NULL);
	outlet_close(&st->outlet);
	st->voice.outlet = NULL;
	uv_run(&st->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&st->loop) == UV_EBUSY) {
		uv_walk(&st->loop, close_handle, NULL);
		uv_run(&st->loop, UV_RUN_DEFAULT);
		uv_loop_close(&st->loop);
	}
	sh_guardian_free(st->guardian);
	if (st->voice.log_fd >= 0)
		close(st->voice.log_fd);
}
