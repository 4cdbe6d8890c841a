/*
 * Any calls in any order, rehearsed (dry_run): each gives a result that is either what was
 * asked for or an invalid call with a printable message; nothing is started, nothing is left.
 * Bytes are choices: of fields, their values, and what is done with the handle.
 */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shellcmd/quote.h"
#include "whendo/shellcmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_STAGES = 3, FIELDS = 40 };

struct choices {
	const uint8_t *p, *end;
};

static unsigned next(struct choices *c)
{
	return c->p < c->end ? *c->p++ : 0;
}

static int on_data(sh_proc *p, const char *data, size_t len, void *arg)
{
	(void)p, (void)data, (void)len, (void)arg;
	return 0;
}

static int on_pull(sh_proc *p, char *buf, size_t cap, void *arg)
{
	(void)p, (void)buf, (void)cap, (void)arg;
	return 0;
}

static void on_done(sh_proc *p, const sh_result *r, void *arg)
{
	(void)p;
	if (!r)
		abort();
	++*(int *)arg;
}

static void on_stopped(sh_proc *p, int signum, void *arg)
{
	(void)p, (void)signum, (void)arg;
	abort();
}

static sh_io any_io(struct choices *c)
{
	static const sh_io inner = { .kind = SH_IO_FILE, .ptr = "/dev/null" };
	static const sh_io wrong = { .kind = SH_IO_TEE, .to = &inner };

	switch (next(c) % 16) {
	case 0:
		return SH_FILE(next(c) & 1 ? "/dev/null" : NULL);
	case 1:
		return SH_BYTES("x", 1);
	case 2:
		return SH_LINES(next(c) & 1 ? on_data : NULL, NULL);
	case 3:
		return SH_PULL(next(c) & 1 ? on_pull : NULL, NULL);
	case 4:
		return (sh_io){ .kind = SH_IO_TEE, .to = next(c) & 1 ? &inner : &wrong };
	case 5:
		return (sh_io){ .kind = SH_IO_TEE };
	case 6:
		return SH_FD((int)next(c) - 100);
	default:
		return (sh_io){ .kind = (int)next(c) % 20 - 2 };
	}
}

static void set_number(sh_call *c, unsigned field, int v)
{
	switch (field) {
	case 0:
		c->timeout_ms = v;
		break;
	case 1:
		c->idle_ms = v;
		break;
	case 2:
		c->grace_ms = v;
		break;
	case 3:
		c->drain_ms = v;
		break;
	case 4:
		c->stop_signal = v;
		break;
	case 5:
		c->overflow = v;
		break;
	case 6:
		c->umask = v & 1 ? SH_UMASK(v & 0777) : v;
		break;
	case 7:
		c->nice = v;
		break;
	case 8:
		c->max_out = (size_t)(unsigned)v;
		break;
	case 9:
		c->rows = (unsigned short)v;
		break;
	case 10:
		c->cols = (unsigned short)v;
		break;
	default:
		break;
	}
}

static void set_flag(sh_call *c, unsigned field, bool on)
{
	switch (field) {
	case 0:
		c->pty = on;
		break;
	case 1:
		c->session = on;
		break;
	case 2:
		c->keep_group = on;
		break;
	case 3:
		c->detach = on;
		break;
	case 4:
		c->die_with_parent = on;
		break;
	case 5:
		c->guard = on;
		break;
	case 6:
		c->foreground_tty = on;
		break;
	case 7:
		c->env_clear = on;
		break;
	case 8:
		c->held = on;
		break;
	case 9:
		c->stopped = on ? on_stopped : NULL;
		break;
	default:
		break;
	}
}

static void set_list(sh_call *c, unsigned field, struct choices *from)
{
	static const char *const names[] = { "A=1", "B", "=", "A=2", NULL };
	static const sh_fd_map fds[] = { { 3, 0 }, { 4, 1 }, { 3, 2 }, { 1, 1 } };
	static const sh_rlimit limits[] = { { RLIMIT_CORE, 0, 0 }, { 999, 9, 8 } };
	static const int codes[] = { 0, 3, -15 };
	unsigned n = next(from);

	switch (field) {
	case 0:
		c->env = names + n % 5;
		break;
	case 1:
		c->unset = names + n % 5;
		break;
	case 2:
		c->args = names + n % 5;
		break;
	case 3:
		c->fds = (sh_fds){ n & 64 ? NULL : fds, n % 5 };
		break;
	case 4:
		c->rlimits = (sh_rlimits){ n & 64 ? NULL : limits, n % 3 };
		break;
	case 5:
		c->ok = (sh_codes){ n & 64 ? NULL : codes, n % 4 };
		break;
	case 6:
		c->cwd = n & 1 ? "" : "/nowhere";
		break;
	case 7:
		c->user = n & 1 ? "" : "nobody";
		break;
	case 8:
		c->in = any_io(from);
		break;
	case 9:
		c->out = any_io(from);
		break;
	case 10:
		c->err = any_io(from);
		break;
	default:
		break;
	}
}

static sh_call any_call(struct choices *from, int *done)
{
	sh_call c = { .size = sizeof c, .argv = { "echo", "a\x1b" }, .dry_run = true };

	for (unsigned n = next(from) % 8; n > 0; n--) {
		unsigned field = next(from) % FIELDS;

		if (field < 11)
			set_number(&c, field, (int)next(from) - 20);
		else if (field < 21)
			set_flag(&c, field - 11, true);
		else if (field < 32)
			set_list(&c, field - 21, from);
		else if (field == 32)
			c.argv[next(from) % SH_ARGV_MAX] = next(from) & 1 ? SH_SKIP : NULL;
		else if (field == 33)
			c.size = 0;
		else if (field == 34) {
			c.done = on_done;
			c.arg = done;
		} else if (field == 35) {
			c.stop_left = true;
		}
	}
	c.dry_run = true;
	return c;
}

static void check(const sh_result *r)
{
	const char *m = r ? r->message : NULL;
	size_t n;

	if (!m || (r->status != SH_DONE && r->status != SH_INVALID && r->status != SH_CANCELED))
		abort();
	if (!*m != (r->status == SH_DONE))
		abort();
	for (size_t len = strlen(m); len; m += n, len -= n)
		if (!(n = sh__printable(m, len)))
			abort();
	for (size_t i = 0; i < r->n_stages; i++)
		if (r->stages[i].pid)
			abort();
}

static void use(sh_proc *p, struct choices *from, int *done)
{
	sh_line line;
	int before = *done;

	for (unsigned n = next(from) % 6; n > 0; n--) {
		switch (next(from) % 9) {
		case 0:
			sh_release(p);
			break;
		case 1:
			sh_stop(p);
			break;
		case 2:
			sh_signal(p, (int)next(from) - 5);
			break;
		case 3:
			sh_write(p, "x", 1);
			break;
		case 4:
			sh_eof(p);
			break;
		case 5:
			sh_try_next(p, &line);
			break;
		case 6:
			sh_expect(p, "x", 0);
			break;
		case 7:
			sh_resize(p, 1, 1);
			break;
		default:
			sh_left(p, NULL, 0);
		}
	}
	if (sh_wait(p, -1))
		check(sh_wait(p, 0));
	if (*done > before + 1)
		abort();
	sh_proc_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices from = { data, data + size };
	int done = 0;

	while (from.p < from.end) {
		sh_call calls[MOST_STAGES];
		const sh_call *stages[MOST_STAGES];
		size_t n = next(&from) % (MOST_STAGES + 1);
		unsigned how = next(&from);
		sh_result *r;
		sh_cmd *cmd;

		for (size_t i = 0; i < n; i++) {
			calls[i] = any_call(&from, &done);
			stages[i] = how & 128 && i == 1 ? NULL : &calls[i];
		}
		switch (how % 3) {
		case 0:
			r = sh_run_stages(stages, n);
			check(r);
			sh_free(r);
			break;
		case 1:
			use(sh_start_stages(stages, n), &from, &done);
			break;
		default:
			if (!n || !(cmd = sh_bake(&calls[0])))
				break;
			r = sh_call(cmd, "more", .dry_run = true);
			check(r);
			sh_free(r);
			sh_cmd_free(cmd);
		}
	}
	return 0;
}
