/*
 * What the rest of the code takes for granted, on Windows. This is included before all else by
 * the Makefile when the compiler makes programs for Windows, so that no other file asks which
 * system it is for; posix.c has the functions, and paths.c what they make of paths.
 *
 * Paths are UTF-8 with "/" between names, inside and in events. An absolute one is /C:/dir/name
 * inside, so that "/" is where every way begins; C:\dir\name is understood wherever a path comes
 * from a user. Directories can be open, as descriptors from DIRECTORY_FDS on, and are then followed
 * when they are moved. Errors are libuv's numbers: -errno is one of UV_E..., as elsewhere.
 * Not there: users and rights, the change time of a directory, network paths (\\server\share).
 */
#ifndef WINDOWS_POSIX_H
#define WINDOWS_POSIX_H

#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>

#include <direct.h>
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <limits.h>
#include <process.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#undef small
#undef near
#undef far
#undef interface
#undef environ
#undef TEXT

/* ---- errors ---- */

int *windows_errno(void);
#undef errno
#define errno (*windows_errno())

#undef E2BIG
#undef EACCES
#undef EAGAIN
#undef EWOULDBLOCK
#undef EBADF
#undef EBUSY
#undef ECHILD
#undef EEXIST
#undef EFAULT
#undef EFBIG
#undef EINTR
#undef EINVAL
#undef EIO
#undef EISDIR
#undef ELOOP
#undef EMFILE
#undef ENAMETOOLONG
#undef ENFILE
#undef ENODEV
#undef ENOENT
#undef ENOEXEC
#undef ENOMEM
#undef ENOSPC
#undef ENOSYS
#undef ENOTDIR
#undef ENOTEMPTY
#undef ENOTSUP
#undef EOPNOTSUPP
#undef ENOTTY
#undef ENXIO
#undef EPERM
#undef EPIPE
#undef ERANGE
#undef EROFS
#undef ESRCH
#undef ESTALE
#undef EXDEV
#define E2BIG	     (-UV_E2BIG)
#define EACCES	     (-UV_EACCES)
#define EAGAIN	     (-UV_EAGAIN)
#define EWOULDBLOCK  (-UV_EAGAIN)
#define EBADF	     (-UV_EBADF)
#define EBUSY	     (-UV_EBUSY)
#define ECHILD	     4900
#define EEXIST	     (-UV_EEXIST)
#define EFAULT	     (-UV_EFAULT)
#define EFBIG	     (-UV_EFBIG)
#define EINTR	     (-UV_EINTR)
#define EINVAL	     (-UV_EINVAL)
#define EIO	     (-UV_EIO)
#define EISDIR	     (-UV_EISDIR)
#define ELOOP	     (-UV_ELOOP)
#define EMFILE	     (-UV_EMFILE)
#define ENAMETOOLONG (-UV_ENAMETOOLONG)
#define ENFILE	     (-UV_ENFILE)
#define ENODEV	     (-UV_ENODEV)
#define ENOENT	     (-UV_ENOENT)
#define ENOEXEC	     4901
#define ENOMEM	     (-UV_ENOMEM)
#define ENOSPC	     (-UV_ENOSPC)
#define ENOSYS	     (-UV_ENOSYS)
#define ENOTDIR	     (-UV_ENOTDIR)
#define ENOTEMPTY    (-UV_ENOTEMPTY)
#define ENOTSUP	     (-UV_ENOTSUP)
#define EOPNOTSUPP   (-UV_ENOTSUP)
#define ENOTTY	     (-UV_ENOTTY)
#define ENXIO	     (-UV_ENXIO)
#define EPERM	     (-UV_EPERM)
#define EPIPE	     (-UV_EPIPE)
#define ERANGE	     (-UV_ERANGE)
#define EROFS	     (-UV_EROFS)
#define ESRCH	     (-UV_ESRCH)
#define ESTALE	     4902
#define EXDEV	     (-UV_EXDEV)

/* ---- what files are ---- */

#undef S_IFLNK
#undef S_ISLNK
#define S_IFLNK	   0120000
#define S_ISLNK(m) (((m) & S_IFMT) == S_IFLNK)
#ifndef NAME_MAX
#define NAME_MAX 255
#endif
#undef PATH_MAX
#define PATH_MAX 4096

typedef uint64_t windows_ino;
typedef unsigned windows_uid;
#define ino_t windows_ino
#define uid_t windows_uid
#define gid_t windows_uid

struct windows_stat {
	uint64_t st_dev;
	uint64_t st_ino;
	unsigned st_mode;
	unsigned st_nlink, st_uid, st_gid;
	int64_t st_size;
	struct timespec st_mtim, st_ctim, st_birthtim;
};

#undef stat
#undef fstat
#undef lstat
#define stat		    windows_stat
#define fstat		    windows_fstat
#define lstat		    windows_lstat
#define fstatat		    windows_fstatat
int windows_stat(const char *path, struct windows_stat *st);
int windows_lstat(const char *path, struct windows_stat *st);
int windows_fstat(int fd, struct windows_stat *st);
int windows_fstatat(int dir, const char *name, struct windows_stat *st, int flags);

/* ---- opening ---- */

#define O_CLOEXEC   0x01000000
#define O_DIRECTORY 0x02000000
#define O_NOFOLLOW  0x04000000
#define O_NONBLOCK  0x08000000
#define O_NOCTTY    0
#define AT_FDCWD	    (-100)
#define AT_SYMLINK_NOFOLLOW 0x100
#define DIRECTORY_FDS	    0x100000 /* the first number of a directory */

#undef open
#undef close
#undef dup
#undef read
#undef write
#undef rename
#undef unlink
#undef mkdir
#undef rmdir
#undef access
#undef getcwd
#define open		  windows_open
#define openat		  windows_openat
#define close		  windows_close
#define dup		  windows_dup
#define read		  windows_read
#define write		  windows_write
#define rename		  windows_rename
#define unlink		  windows_unlink
#define fsync		  windows_fsync
#define realpath	  windows_realpath
#define readlinkat	  windows_readlinkat
#define fchdir		  windows_fchdir
#define getcwd		  windows_getcwd
#define access		  windows_access
int windows_open(const char *path, int flags, ...);
int windows_openat(int dir, const char *path, int flags, ...);
int windows_close(int fd);
int windows_dup(int fd);
ssize_t windows_read(int fd, void *to, size_t size);
ssize_t windows_write(int fd, const void *from, size_t size);
int windows_rename(const char *from, const char *to);
int windows_unlink(const char *path);
int windows_fsync(int fd);
char *windows_realpath(const char *path, char *to);
ssize_t windows_readlinkat(int dir, const char *name, char *to, size_t size);
int windows_fchdir(int fd);
char *windows_getcwd(char *to, size_t size);
int windows_access(const char *path, int how);

/* ---- paths ---- */

/* A path from a user, as an absolute one. NULL: without memory. To be freed. */
char *windows_absolute(const char *given);
/* As the system wants it, in UTF-8 (for libuv). NULL: without memory. To be freed. */
char *windows_native(const char *path);

/* ---- what C libraries have elsewhere ---- */

#define tell	   whendo_tell /* <io.h> has one */
#define strndup	   windows_strndup
#define memrchr	   windows_memrchr
#define gmtime_r(t, tm)	   (gmtime_s(tm, t) ? NULL : (tm))
#define localtime_r(t, tm) (localtime_s(tm, t) ? NULL : (tm))
char *windows_strndup(const char *s, size_t n);
void *windows_memrchr(const void *in, int c, size_t n);

#define _SC_NPROCESSORS_ONLN 1
static inline long sysconf(int what)
{
	SYSTEM_INFO info;

	(void)what;
	GetSystemInfo(&info);
	return (long)info.dwNumberOfProcessors;
}

/* Nobody has other rights than somebody else. */
static inline unsigned windows_nobody(void)
{
	return 0;
}
#define getuid	windows_nobody
#define geteuid windows_nobody
#define getgid	windows_nobody
#define getegid windows_nobody

#endif
