/* Reading ignore files. Where git's own lie is found in git_paths.c. */
#include "ignore_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git_paths.h"

static int read_all(struct bytes *text, int fd)
{
	ssize_t n;
	int r;

	do {
		if ((r = bytes_reserve(text, 4096)) < 0)
			return r;
		while ((n = read(fd, text->data + text->len, 4096)) < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text->len += (size_t)n;
		text->data[text->len] = '\0';
	} while (n > 0);
	return 0;
}

int watcher__read_small_file(struct bytes *text, const char *path, unsigned flags)
{
	/* O_NONBLOCK: somebody may have put a fifo there. */
	int how = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, fd, r;
	bool asked = flags & IGNORE_FILE_ASKED;
	struct stat st;

	fd = open(path, how | (flags & IGNORE_FILE_NO_LINK ? O_NOFOLLOW : 0));
	if (fd < 0)
		return !asked && (errno == ELOOP || errno == ENOTDIR) ? UV_ENOENT : -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = !asked ? UV_ENOENT : S_ISDIR(st.st_mode) ? UV_EISDIR : UV_EINVAL;
	else
		r = read_all(text, fd);
	close(fd);
	return r;
}

/* FNV-1a: to tell whether a file that was written says the same as before. */
static uint64_t hash_of(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
	return h;
}

/* Length without trailing blanks; one behind a backslash stays. */
static size_t trimmed(const char *line, size_t len)
{
	size_t end = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == ' ')
			continue;
		if (line[i] == '\\' && ++i == len)
			return len;
		end = i + 1;
	}
	return end;
}

static int add_line(struct rule_set *set, const char *line, size_t len, uint32_t number)
{
	/* As git: a NUL ends the line. */
	size_t n = strnlen(line, len);

	if (n == 0 || line[0] == '#')
		return 0;
	n = trimmed(line, n);
	return n ? watcher__rules_add(set, RULE_SYNTAX_GLOB, line, n, number, 0, NULL) : 0;
}

int watcher__ignore_text(struct rule_set *set, const char *text, size_t len)
{
	size_t at = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	uint32_t number = 0;
	int r = 0;

	while (at < len && r == 0) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t next = end ? (size_t)(end - text) + 1 : len;
		size_t n = end ? next - 1 - at : len - at;

		if (n && text[at + n - 1] == '\r')
			n--;
		r = add_line(set, text + at, n, ++number);
		at = next;
	}
	return r < 0 ? r : watcher__rules_compile(set, NULL);
}

const char *watcher__ignore_file_error(int code)
{
	switch (code) {
	case UV_E2BIG:
		return "larger than 1 MiB";
	case UV_EINVAL:
		return "not a regular file";
	default:
		return uv_strerror(code);
	}
}

int watcher__ignore_file_read(struct rule_set **set, const char *path, const char *shown,
			      const char *base, unsigned flags)
{
	struct bytes text = { .max = IGNORE_FILE_MAX + 4096 };
	struct rule_set *s = NULL;
	int r = watcher__read_small_file(&text, path, flags);

	if (r == 0)
		r = watcher__rules_new(&s, shown, base);
	if (r == 0)
		r = watcher__ignore_text(s, text.data, text.len);
	if (r == 0) {
		s->content = hash_of(text.data, text.len);
		*set = s;
		s = NULL;
	}
	watcher__rules_unref(s);
	bytes_free(&text);
	return r;
}
