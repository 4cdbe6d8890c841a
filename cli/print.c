/* Writing to stdout, once, completely. */
#include "print.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "say.h"
#include "verbs.h"

/* Whoever shares it with us (Node.js, ssh) may have made it non-blocking. */
static int wait_for_room(void)
{
	struct pollfd p = { .fd = 1, .events = POLLOUT };

	return poll(&p, 1, -1) < 0 && errno != EINTR ? EXIT_FAILED : 0;
}

int print_out(struct bytes *text)
{
	size_t done = 0;
	int r = 0;

	signal(SIGPIPE, SIG_IGN);
	while (done < text->len && r == 0) {
		ssize_t n = write(1, text->data + done, text->len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EPIPE)
			r = EXIT_SIGNAL + SIGPIPE;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			r = wait_for_room();
		else if (errno != EINTR)
			r = EXIT_FAILED;
	}
	if (r == EXIT_FAILED)
		say_error("stdout: %s", strerror(errno));
	bytes_free(text);
	return r;
}
