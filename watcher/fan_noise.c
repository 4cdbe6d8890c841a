/* Ignore marks on noisy foreign directories: see fan_noise.h. */
#include "watcher/fan_noise.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "watcher/tree.h"

#define NOISY        256  /* events of a directory, before it is silenced */
#define SILENCED_MAX 4096

#ifdef FAN_MARK_EVICTABLE
#define SILENT \
	(FAN_CREATE | FAN_DELETE | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN | FAN_CLOSE_WRITE | \
	 FAN_CLOSE_NOWRITE | FAN_EVENT_ON_CHILD)
#define MARK_SILENT (FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE)
#endif

void fan_noise_init(struct fan_noise *n)
{
	memset(n, 0, sizeof *n);
	keys_init(&n->silenced);
#ifndef FAN_MARK_EVICTABLE
	n->unable = true;
#endif
}

void fan_noise_fini(struct fan_noise *n)
{
	keys_fini(&n->silenced);
	for (int i = 0; i < n->nplaces; i++)
		free(n->places[i].path);
	free(n->places);
}

static struct fan_place *place_of(const struct fan_noise *n, const void *fsid)
{
	for (int i = 0; i < n->nplaces; i++)
		if (memcmp(n->places[i].fsid, fsid, sizeof n->places[i].fsid) == 0)
			return &n->places[i];
	return NULL;
}

const char *fan_noise_path(const struct fan_noise *n, const void *fsid)
{
	const struct fan_place *p = place_of(n, fsid);

	return p ? p->path : NULL;
}

void fan_noise_place(struct fan_noise *n, const void *fsid, const char *path)
{
	struct fan_place *p;
	char *copy;

	if (place_of(n, fsid) || !(copy = strdup(path)))
		return;
	if (!(p = realloc(n->places, (size_t)(n->nplaces + 1) * sizeof *p))) {
		free(copy);
		return;
	}
	n->places = p;
	memcpy(p[n->nplaces].fsid, fsid, sizeof p->fsid);
	p[n->nplaces++].path = copy;
}

#ifdef FAN_MARK_EVICTABLE
/* Opens the directory of a key; only its path: nothing is read. */
static int open_key(struct fan_noise *n, const void *key, size_t len)
{
	union {
		struct file_handle fh;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	const struct fan_place *p = place_of(n, key);
	int mount, fd;

	if (!p || len - 8 > sizeof u)
		return -1;
	memcpy(&u, (const char *)key + 8, len - 8);
	mount = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		return -1;
	fd = open_by_handle_at(mount, &u.fh, O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(mount);
	return fd;
}

static void silence(struct fan_noise *n, int fan, const void *key, size_t len)
{
	int fd = open_key(n, key, len);

	if (fd < 0)
		return;
	if (fanotify_mark(fan, FAN_MARK_ADD | MARK_SILENT, SILENT, fd, ".") < 0)
		n->unable |= errno == EINVAL;
	else if (keys_find(&n->silenced, key, len) < 0)
		keys_add(&n->silenced, key, len);
	close(fd);
}

void fan_noise_heard(struct fan_noise *n, int fan, const void *key, size_t len)
{
	uint32_t hash = name_hash(key, len), i = hash % FAN_NOISE_SLOTS;

	if (n->unable || n->silenced.count >= SILENCED_MAX)
		return;
	if (n->slots[i].hash != hash) {
		/* Two that share a slot: the one that is heard more stays. */
		if (n->slots[i].heard && --n->slots[i].heard)
			return;
		n->slots[i].hash = hash;
	}
	if (++n->slots[i].heard < NOISY)
		return;
	n->slots[i].heard = 0;
	silence(n, fan, key, len);
}

void fan_noise_listen(struct fan_noise *n, int fan, int fd, const void *key, size_t len)
{
	int32_t i = n->silenced.count ? keys_find(&n->silenced, key, len) : -1;

	if (i < 0)
		return;
	keys_remove(&n->silenced, i);
	fanotify_mark(fan, FAN_MARK_REMOVE | FAN_MARK_IGNORE, SILENT, fd, ".");
}
#else
void fan_noise_heard(struct fan_noise *n, int fan, const void *key, size_t len)
{
	(void)n;
	(void)fan;
	(void)key;
	(void)len;
}

void fan_noise_listen(struct fan_noise *n, int fan, int fd, const void *key, size_t len)
{
	(void)n;
	(void)fan;
	(void)fd;
	(void)key;
	(void)len;
}
#endif

#endif
