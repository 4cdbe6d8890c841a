/*
 * supervised_server COMMAND [ARGUMENT...]: keeps a server running on a libuv loop. When it
 * dies it is started again, at most five times, a little later each time; SIGTERM and ^C
 * stop it with everything it has started, and SIGKILL follows for what does not listen.
 */
#include <signal.h>
#include <stdio.h>
#include <uv.h>

#include <whendo/shellcmd.h>

struct server {
	const char *const *command;
	uv_timer_t restart;
	uv_signal_t term, interrupt;
	sh_proc *process;
	int starts, is_stopping;
};

static int on_output(sh_proc *p, const char *line, size_t len, void *arg)
{
	(void)p;
	(void)arg;
	printf("server: %.*s\n", (int)len, line);
	fflush(stdout);
	return 0;
}

static void finish(struct server *s)
{
	uv_close((uv_handle_t *)&s->restart, NULL);
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->interrupt, NULL);
}

static void on_done(sh_proc *p, const sh_result *r, void *arg);

static void start(uv_timer_t *timer)
{
	struct server *s = timer->data;

	s->starts++;
	s->process = sh_start(SH_OPTS(.args = s->command, .loop = timer->loop, .done = on_done,
				      .arg = s, .out = SH_LINES(on_output, s), .err = SH_MERGE,
				      .grace_ms = 1000, .guard = true));
	if (!s->process)
		finish(s);
}

static void on_done(sh_proc *p, const sh_result *r, void *arg)
{
	struct server *s = arg;

	printf("%s\n", s->is_stopping ? "stopped" : r->status ? r->message : "ended by itself");
	fflush(stdout);
	if (s->is_stopping || s->starts == 5 || r->status == SH_NOTFOUND)
		finish(s);
	else
		uv_timer_start(&s->restart, start, 10u << s->starts, 0);
	sh_proc_free(p);
	s->process = NULL;
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct server *s = handle->data;

	(void)signum;
	s->is_stopping = 1;
	if (s->process)
		sh_stop(s->process);
	else
		finish(s);
}

int main(int argc, char **argv)
{
	struct server s = { .command = (const char *const *)argv + 1 };
	uv_loop_t loop;

	if (argc < 2 || uv_loop_init(&loop) < 0)
		return 2;
	uv_timer_init(&loop, &s.restart);
	uv_signal_init(&loop, &s.term);
	uv_signal_init(&loop, &s.interrupt);
	s.restart.data = s.term.data = s.interrupt.data = &s;
	uv_signal_start(&s.term, on_signal, SIGTERM);
	uv_signal_start(&s.interrupt, on_signal, SIGINT);
	start(&s.restart);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) != 0;
}
