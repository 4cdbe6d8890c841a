/* Which numbers a user is: "name", "uid", "name:group", "uid:gid", with all their groups. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shellcmd/proc.h"

enum { FIRST_BUFFER = 2048, MOST_BUFFER = 1 << 20, MOST_GROUPS = 65536 };

static bool is_number(const char *s, unsigned *n)
{
	char *end;
	unsigned long v;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	v = strtoul(s, &end, 10);
	*n = (unsigned)v;
	return !*end && !errno && v < (unsigned)-1;
}

/* Calls `find` with growing buffers; what it found points into *buffer. */
struct found {
	struct passwd user;
	struct group group;
	char *buffer;
};

typedef int (*find_fn)(const char *name, struct found *f, size_t size);

static int find_user(const char *name, struct found *f, size_t size)
{
	struct passwd *pw = NULL;
	unsigned uid;
	int r = is_number(name, &uid) ? getpwuid_r(uid, &f->user, f->buffer, size, &pw)
				      : getpwnam_r(name, &f->user, f->buffer, size, &pw);

	return r ? -r : pw ? 0 : UV_ENOENT;
}

static int find_group(const char *name, struct found *f, size_t size)
{
	struct group *gr = NULL;
	int r = getgrnam_r(name, &f->group, f->buffer, size, &gr);

	return r ? -r : gr ? 0 : UV_ENOENT;
}

static int find(find_fn fn, const char *name, struct found *f)
{
	for (size_t size = FIRST_BUFFER; size <= MOST_BUFFER; size *= 4) {
		int r;

		free(f->buffer);
		if (!(f->buffer = malloc(size)))
			return UV_ENOMEM;
		if ((r = fn(name, f, size)) != -ERANGE)
			return r;
	}
	return UV_ENOMEM;
}

static int find_groups(const char *name, struct sh__user *u)
{
	int n = 32;

	for (;;) {
		int room = n;

		free(u->groups);
		if (!(u->groups = malloc((size_t)room * sizeof *u->groups)))
			return UV_ENOMEM;
		if (getgrouplist(name, u->gid, (void *)u->groups, &n) >= 0)
			break;
		if (n <= room)
			n = room * 2;
		if (n > MOST_GROUPS)
			return UV_ENOMEM;
	}
	u->n_groups = (size_t)n;
	return 0;
}

/* A number that no account has is a user too, with no further groups. */
static int set_user(const char *name, struct sh__user *u)
{
	struct found f = { .buffer = NULL };
	unsigned uid;
	int r = find(find_user, name, &f);

	if (r == 0) {
		u->uid = f.user.pw_uid;
		u->gid = f.user.pw_gid;
		r = find_groups(f.user.pw_name, u);
	} else if (r == UV_ENOENT && is_number(name, &uid)) {
		u->uid = uid;
		u->gid = uid;
		r = 0;
	}
	free(f.buffer);
	return r;
}

static int set_group(const char *name, struct sh__user *u)
{
	struct found f = { .buffer = NULL };
	unsigned gid;
	int r = 0;

	if (is_number(name, &gid))
		u->gid = gid;
	else if ((r = find(find_group, name, &f)) == 0)
		u->gid = f.group.gr_gid;
	free(f.buffer);
	return r;
}

int sh__user_find(const char *text, struct sh__user *u)
{
	const char *colon = strchr(text, ':');
	char *name = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
	int r;

	if (!name)
		return UV_ENOMEM;
	r = set_user(name, u);
	if (r == 0 && colon)
		r = set_group(colon + 1, u);
	free(name);
	return r;
}
