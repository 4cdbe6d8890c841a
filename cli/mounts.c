/* The kernel's table of mounts: proc_pid_mountinfo(5). */
#include "mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* Space, tab, newline and backslash are written as three octal digits there. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* A later mount on the same point hides the earlier one. */
static void add(struct mounts *m, const char *point, const char *type)
{
	size_t i = 0;

	while (i < m->n && strcmp(m->v[i].point, point) != 0)
		i++;
	if (i < m->n) {
		free(m->v[i].type);
		m->v[i].type = alloc_copy(type);
		return;
	}
	m->v = alloc_again(m->v, m->n + 1, sizeof *m->v);
	m->v[m->n++] = (struct mount){ alloc_copy(point), alloc_copy(type) };
}

/* 36 35 98:0 /root /point opts [tag...] - type source opts */
static void read_line(struct mounts *m, char *line)
{
	char *dash = strstr(line, " - "), *point = line;

	if (!dash)
		return;
	for (int field = 1; field < 5; field++)
		if (!(point = strchr(point, ' ')) || !*++point)
			return;
	if (point >= dash)
		return;
	point[strcspn(point, " ")] = '\0';
	dash[3 + strcspn(dash + 3, " \n")] = '\0';
	unescape(point);
	add(m, point, dash + 3);
}

void mounts_read(struct mounts *m)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;

	*m = (struct mounts){ 0 };
	while (f && getline(&line, &size, f) > 0)
		read_line(m, line);
	free(line);
	if (f)
		fclose(f);
	/* After chroot(2) the root need not be a mount, and the table begins below it. */
	if (!mounts_of(m, "/"))
		add(m, "/", "unknown");
}

void mounts_free(struct mounts *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].point);
		free(m->v[i].type);
	}
	free(m->v);
	*m = (struct mounts){ 0 };
}

const char *mounts_below(const char *top, const char *path)
{
	size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);

	if (strncmp(top, path, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path[n] ? path + n + 1 : path + n;
}

const struct mount *mounts_of(const struct mounts *m, const char *path)
{
	const struct mount *best = NULL;

	for (size_t i = 0; i < m->n; i++)
		if (mounts_below(m->v[i].point, path) &&
		    (!best || strlen(m->v[i].point) > strlen(best->point)))
			best = &m->v[i];
	return best;
}
