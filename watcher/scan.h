/*
 * Reading one directory: its names, and what tells it from others; and looking for a name in what was
 * read (listing.c).
 */
#ifndef WATCHER_SCAN_H
#define WATCHER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What was read of a directory. */
struct listing {
	int error;       /* negative errno: nothing else is filled in */
	uint64_t ino;
	uint32_t dev;
	int64_t ctime_ns; /* 0 if too young to be trusted */
	int64_t read_ns;  /* the clock of change times before it was read */
	char *packed;    /* see tree.h; owned by the listing */
	size_t len, cap;
	uint32_t count;
	uint64_t mount;  /* what is mounted there, as watcher__scan_mount(); 0: nothing */
	bool names_only; /* asked for: types and inodes need not be right */
};

/* Opens a directory for reading: follow == false refuses a symbolic link. fd or -errno. */
int watcher__scan_open(const char *path, bool follow);
/* Fills `l` from an open directory; reuses its memory. */
void watcher__scan_read(int fd, struct listing *l);
/* The same, but no more than about `most` names, which may be there twice, and of a type that is
 * UNKNOWN where the directory does not tell it. */
void watcher__scan_names(int fd, struct listing *l, uint32_t most);
/* The number of what is mounted at a directory open as fd, or, with fd -1, at a path: no other
 * mount ever has it. 0: it is no mount point. MOUNT_UNSURE: it is, but the kernel (before Linux
 * 6.8) gives numbers out again. */
#define MOUNT_UNSURE UINT64_MAX
uint64_t watcher__scan_mount(int fd, const char *path);
/* inode, device, mount and change time only. */
void watcher__scan_stat(int fd, struct listing *l);
/* Appends a name; "." and "..", and names too long for the index, are left out. UV_ENOMEM. */
int watcher__listing_add(struct listing *l, const char *name, int type, uint64_t ino);
/* What tells a directory from all others, also from one that gets its inode number later. */
struct identity {
	uint64_t dev, ino;
	uint64_t birth; /* of when it was made, and its number among those that had the inode */
};
/* Of the directory that is open as fd, or, with fd -1, at path. */
int watcher__scan_identity(int fd, const char *path, struct identity *id);
int watcher__type_of_mode(unsigned mode);
uint32_t watcher__dev32(dev_t dev);

/* ---- listing.c ---- */
/* Keeps the last of entries that have the same name. UV_ENOMEM. */
int watcher__listing_unrepeat(struct listing *l);
/* A table of where the names are, as long as the listing does not change: the caller's to free.
 * Earlier entries of the same name lose their type. NULL without memory. */
uint32_t *watcher__listing_slots(struct listing *l, uint32_t *size);
/* The packed entry of that name, or NULL. */
const char *watcher__listing_find(const struct listing *l, uint32_t *slots, uint32_t size,
				  const char *name, size_t len);

#endif
