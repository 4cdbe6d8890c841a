/*
 * This program's descendants, and what /proc says of them. Where there is no /proc nothing
 * is found.
 */
#ifndef CLI_PROCESSES_H
#define CLI_PROCESSES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define MAX_PROCESSES 4096

/* Process groups; a zeroed one is empty. */
struct groups {
	pid_t *v;
	size_t n, cap;
};
void groups_add(struct groups *g, pid_t group);
void groups_remove(struct groups *g, pid_t group);
void groups_free(struct groups *g);

/* The children in these groups, and those that have a child in them (guardians), with all
 * their descendants. For looking often: one may be missed while others end, which sh_left()
 * does not, at the price of reading all of /proc. */
size_t processes_family(const struct groups *g, pid_t *pids, size_t max);

/* A number that stays the same as long as none of them gets a processor; 0: not known. */
uint64_t processes_activity(const pid_t *pids, size_t n);

/* How many times they, and descendants that were waited for, have written (as write(2) does;
 * not through mappings) so far. Returns 0, or -1 if it is not known. */
int processes_written(uint64_t *times, const pid_t *pids, size_t n);

/* Whether the process has this file open for writing. */
int processes_holds(pid_t pid, const struct stat *file);

/* The processes that a lease of ours on the file with this inode number keeps waiting; 0 is
 * one that cannot be seen from here. Returns how many of them are in pids. */
size_t processes_kept(ino_t file, pid_t *pids, size_t max);

#endif
