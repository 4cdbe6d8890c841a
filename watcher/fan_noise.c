/* Ignore marks on noisy foreign directories: see fan_noise.h. */
#ifdef __linux__

#include "watcher/fan_noise.h"

#include <errno.h>
#include <string.h>
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
}

#ifdef FAN_MARK_EVICTABLE
static void silence(struct fan_noise *n, int fan, const struct fan_places *places,
		    const struct fan_key *key)
{
	int fd = fan_open(places, key, NULL, O_PATH);

	if (fd < 0)
		return;
	if (fanotify_mark(fan, FAN_MARK_ADD | MARK_SILENT, SILENT, fd, ".") < 0)
		n->unable |= errno == EINVAL;
	else if (keys_find(&n->silenced, key, fan_key_len(key)) < 0)
		keys_add(&n->silenced, key, fan_key_len(key));
	close(fd);
}

void fan_noise_heard(struct fan_noise *n, int fan, const struct fan_places *places,
		     const struct fan_key *key)
{
	uint32_t hash = name_hash((const char *)key, fan_key_len(key)), i = hash % FAN_NOISE_SLOTS;

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
	silence(n, fan, places, key);
}

void fan_noise_listen(struct fan_noise *n, int fan, int fd, const struct fan_key *key)
{
	int32_t i = n->silenced.count ? keys_find(&n->silenced, key, fan_key_len(key)) : -1;

	if (i < 0)
		return;
	keys_remove(&n->silenced, i);
	fanotify_mark(fan, FAN_MARK_REMOVE | FAN_MARK_IGNORE, SILENT, fd, ".");
}
#else
void fan_noise_heard(struct fan_noise *n, int fan, const struct fan_places *places,
		     const struct fan_key *key)
{
	(void)n;
	(void)fan;
	(void)places;
	(void)key;
}

void fan_noise_listen(struct fan_noise *n, int fan, int fd, const struct fan_key *key)
{
	(void)n;
	(void)fan;
	(void)fd;
	(void)key;
}
#endif

#endif
