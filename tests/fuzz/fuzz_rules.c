/*
 * Any bytes as a rules file: it is read, or refused with complaints of the form
 * `file:line:column: message`, one line each and fit for a terminal; and reading it twice
 * gives rules that mean the same.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/rules_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];
static int said = -1; /* what is written to stderr */

static const char *skip_number(const char *s)
{
	if (!isdigit((unsigned char)*s))
		abort();
	while (isdigit((unsigned char)*s))
		s++;
	return s;
}

/* `whendo: PATH:LINE:COLUMN: text`; returns the start of the next line. */
static const char *check_line(const char *line)
{
	size_t n = strlen("whendo: ");
	const char *end = strchr(line, '\n');

	if (!end || strncmp(line, "whendo: ", n) != 0 ||
	    strncmp(line + n, path, strlen(path)) != 0)
		abort();
	line += n + strlen(path);
	for (int i = 0; i < 2; i++)
		if (*line++ != ':')
			abort();
		else
			line = skip_number(line);
	if (line[0] != ':' || line[1] != ' ' || line + 2 == end)
		abort();
	for (; line < end; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			abort();
	return end + 1;
}

static int load(struct rules *rules, const struct settings *base)
{
	int r, err = dup(2);

	if (ftruncate(said, 0) < 0 || lseek(said, 0, SEEK_SET) < 0 || err < 0)
		abort();
	dup2(said, 2);
	r = rules_load(rules, path, path, base);
	dup2(err, 2);
	close(err);
	return r;
}

static void check_said(int r)
{
	static char text[1 << 18];
	ssize_t n = pread(said, text, sizeof text - 1, 0);

	if (n < 0 || (r < 0) != (n > 0))
		abort();
	text[n] = '\0';
	for (const char *p = text; *p && n < (ssize_t)sizeof text - 1;)
		p = check_line(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings base;
	struct rules rules, again;
	int fd = memfd_create("rules", MFD_CLOEXEC), r;

	if (said < 0)
		said = memfd_create("said", MFD_CLOEXEC);
	if (fd < 0 || said < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	settings_init(&base, verb_find("rules"), 0);
	base.trust = 1;
	r = load(&rules, &base);
	check_said(r);
	if (load(&again, &base) != r)
		abort();
	if (r < 0 && (rules.n || again.n))
		abort();
	for (size_t i = 0; i < rules.n; i++)
		if (i >= again.n || strcmp(rules.v[i].meaning, again.v[i].meaning) != 0)
			abort();
	rules_free(&rules);
	rules_free(&again);
	settings_free(&base);
	close(fd);
	return 0;
}
