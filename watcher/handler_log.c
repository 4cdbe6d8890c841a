/* A handler that writes a line about every event. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "watcher/backend.h"
#include "watcher/options.h"

struct watcher_log_handler {
	watcher_log_options o;
	struct bytes text;
	int error;
};

int watcher_log_handler_new(watcher_log_handler **out, const watcher_log_options *options,
			    watcher_error *err)
{
	static const watcher_log_options none = { .size = sizeof none };
	watcher_log_handler *h = calloc(1, sizeof *h);
	int r;

	if (!h)
		return watcher__fail(err, UV_ENOMEM, "log handler: out of memory");
	if (!options)
		options = &none;
	r = options_copy(&h->o, sizeof h->o, options, options->size);
	if (r == UV_E2BIG)
		watcher__fail(err, r, "log handler: options of a newer version of the library");
	else if (r < 0 || h->o.fd < 0)
		r = watcher__fail(err, UV_EINVAL, "log handler: %s",
				  r < 0 ? "size is not set" : "a negative descriptor");
	if (!h->o.fd)
		h->o.fd = STDERR_FILENO;
	if (r < 0)
		free(h);
	else
		*out = h;
	return r;
}

static int add_shown(struct bytes *b, const char *s, size_t len, bool is_dir)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		r = c < 0x20 || c == 0x7f || c == '\\' ? bytes_addf(b, "\\x%02x", c) :
							 bytes_addc(b, (char)c);
	}
	if (r == 0 && is_dir && len && s[len - 1] != '/')
		r = bytes_addc(b, '/');
	return r;
}

static int add_time(struct bytes *b, int64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	return bytes_addf(b, "%s.%06dZ ", text, (int)(ns % 1000000000 / 1000));
}

static int add_line(watcher_log_handler *h, const watcher_event *e)
{
	bool is_dir = e->type == WATCHER_TYPE_DIR && !(e->kind & WATCHER_CONTROL);
	struct bytes *b = &h->text;
	int r = h->o.with_time ? add_time(b, e->time_ns) : 0;

	if (r == 0)
		r = bytes_addf(b, "%s ", watcher_kind_name(e->kind));
	if (r == 0)
		r = add_shown(b, e->path, e->path_len, is_dir);
	if (r == 0 && e->dest)
		r = bytes_adds(b, " -> ");
	if (r == 0 && e->dest)
		r = add_shown(b, e->dest, e->dest_len, is_dir);
	return r;
}

static int write_text(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EAGAIN) { /* the host's descriptor does not wait: we do */
			struct pollfd wait = { .fd = fd, .events = POLLOUT };

			if (poll(&wait, 1, -1) < 0 && errno != EINTR)
				return -errno;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

void watcher_log_handler_batch(watcher_watch *watch, watcher_batch *batch, void *handler)
{
	watcher_log_handler *h = handler;
	watcher_event e;
	int r = h->error;

	(void)watch;
	bytes_clear(&h->text);
	while (r == 0 && watcher_batch_next(batch, &e)) {
		if (h->o.line)
			bytes_clear(&h->text);
		r = add_line(h, &e);
		if (r == 0 && h->o.line)
			h->o.line(h->text.data, h->text.len, h->o.arg);
		else if (r == 0)
			r = bytes_addc(&h->text, '\n');
	}
	if (r == 0 && !h->o.line)
		r = write_text(h->o.fd, h->text.data, h->text.len);
	h->error = r;
}

int watcher_log_handler_error(const watcher_log_handler *h)
{
	return h->error;
}

void watcher_log_handler_free(watcher_log_handler *h)
{
	if (!h)
		return;
	bytes_free(&h->text);
	free(h);
}
