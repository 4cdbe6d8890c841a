/*
 * The calls of posix.h over those of Windows. What a directory's descriptor stands for is its
 * handle, shared for all uses, so that nobody is kept from moving or removing it.
 */
#include "watcher/windows/posix.h"

#include <dirent.h>
#include <wchar.h>
#include <winioctl.h>

#include "watcher/windows/paths.h"

/* These are the C library's own here. */
#undef read
#undef write
#undef dup
#undef close

int *windows_errno(void)
{
	static _Thread_local int number;

	return &number;
}

static int fail(void)
{
	DWORD error = GetLastError();
	int r = uv_translate_sys_error((int)error);

	if (error == ERROR_DIRECTORY)
		r = UV_ENOTDIR;
	if (error == ERROR_DELETE_PENDING)
		r = UV_ENOENT;
	errno = r < 0 && r != UV_UNKNOWN ? -r : EIO;
	return -1;
}

static int fail_as(int number)
{
	errno = number;
	return -1;
}

static bool is_top(const char *path)
{
	return path[strspn(path, "/")] == '\0' && path[0];
}

/* ---- directories that are open ---- */

static struct {
	SRWLOCK lock;
	HANDLE *handles; /* NULL: free; INVALID_HANDLE_VALUE: "/" */
	int n;
} dirs = { .lock = SRWLOCK_INIT };

static int add_dir(HANDLE h)
{
	HANDLE *more;
	int i;

	AcquireSRWLockExclusive(&dirs.lock);
	for (i = 0; i < dirs.n && dirs.handles[i]; i++)
		;
	if (i == dirs.n) {
		more = realloc(dirs.handles, (size_t)(dirs.n + 32) * sizeof *more);
		if (more) {
			memset(more + dirs.n, 0, 32 * sizeof *more);
			dirs.handles = more;
			dirs.n += 32;
		}
	}
	if (i < dirs.n)
		dirs.handles[i] = h;
	ReleaseSRWLockExclusive(&dirs.lock);
	if (i < dirs.n)
		return DIRECTORY_FDS + i;
	if (h != INVALID_HANDLE_VALUE)
		CloseHandle(h);
	return fail_as(ENOMEM);
}

/* NULL: not open. */
static HANDLE dir_handle(int fd)
{
	HANDLE h = NULL;

	AcquireSRWLockShared(&dirs.lock);
	if (fd >= DIRECTORY_FDS && fd - DIRECTORY_FDS < dirs.n)
		h = dirs.handles[fd - DIRECTORY_FDS];
	ReleaseSRWLockShared(&dirs.lock);
	return h;
}

static char *path_of_handle(HANDLE h)
{
	wchar_t path[PATH_MAX];
	DWORD n;

	if (h == INVALID_HANDLE_VALUE)
		return strdup("/");
	n = GetFinalPathNameByHandleW(h, path, PATH_MAX, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
	if (!n || n >= PATH_MAX) {
		fail();
		return NULL;
	}
	return windows_narrow(path);
}

/* Of a name in an open directory, or of a path. */
static char *path_in(int dir, const char *name)
{
	char *at, *out;
	HANDLE h;

	if (dir == AT_FDCWD || name[0] == '/' || windows_has_drive(name))
		return strdup(name);
	if (!(h = dir_handle(dir))) {
		errno = EBADF;
		return NULL;
	}
	if (!(at = path_of_handle(h)))
		return NULL;
	if ((out = malloc(strlen(at) + strlen(name) + 2)))
		sprintf(out, "%s%s%s", at, at[1] ? "/" : "", name);
	else
		errno = ENOMEM;
	free(at);
	return out;
}

/* ---- what files are ---- */

static struct timespec time_of(int64_t since_1601)
{
	int64_t t = since_1601 - INT64_C(116444736000000000);

	if (!since_1601)
		t = 0;
	return (struct timespec){ .tv_sec = (time_t)(t / 10000000),
				  .tv_nsec = (long)(t % 10000000 * 100) };
}

static bool is_link_tag(DWORD tag)
{
	return tag == IO_REPARSE_TAG_SYMLINK || tag == IO_REPARSE_TAG_MOUNT_POINT;
}

static int stat_handle(HANDLE h, struct windows_stat *st)
{
	BY_HANDLE_FILE_INFORMATION info;
	FILE_ATTRIBUTE_TAG_INFO tag = { 0 };
	FILE_BASIC_INFO basic = { 0 };

	if (!GetFileInformationByHandle(h, &info))
		return fail();
	if (info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT)
		GetFileInformationByHandleEx(h, FileAttributeTagInfo, &tag, sizeof tag);
	*st = (struct windows_stat){
		.st_dev = info.dwVolumeSerialNumber,
		.st_ino = (uint64_t)info.nFileIndexHigh << 32 | info.nFileIndexLow,
		.st_nlink = info.nNumberOfLinks,
		.st_size = (int64_t)((uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow),
		.st_mtim = time_of((int64_t)((uint64_t)info.ftLastWriteTime.dwHighDateTime << 32 |
					     info.ftLastWriteTime.dwLowDateTime)),
		.st_birthtim = time_of((int64_t)((uint64_t)info.ftCreationTime.dwHighDateTime << 32 |
						 info.ftCreationTime.dwLowDateTime)),
	};
	if (is_link_tag(tag.ReparseTag)) {
		st->st_mode = S_IFLNK | 0777;
	} else if (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
		st->st_mode = S_IFDIR | 0777; /* its change time proves nothing */
		return 0;
	} else {
		st->st_mode = S_IFREG | (info.dwFileAttributes & FILE_ATTRIBUTE_READONLY ? 0444 : 0666);
	}
	if (GetFileInformationByHandleEx(h, FileBasicInfo, &basic, sizeof basic))
		st->st_ctim = time_of(basic.ChangeTime.QuadPart);
	if (!st->st_ctim.tv_sec)
		st->st_ctim = st->st_mtim;
	return 0;
}

static int stat_top(struct windows_stat *st)
{
	*st = (struct windows_stat){ .st_mode = S_IFDIR | 0777, .st_ino = 1, .st_nlink = 1 };
	return 0;
}

static HANDLE open_path(const char *path, DWORD rights, bool follow)
{
	wchar_t *w = windows_wide(path);
	HANDLE h;

	if (!w)
		return INVALID_HANDLE_VALUE;
	h = CreateFileW(w, rights, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
			OPEN_EXISTING,
			FILE_FLAG_BACKUP_SEMANTICS | (follow ? 0 : FILE_FLAG_OPEN_REPARSE_POINT), NULL);
	if (h == INVALID_HANDLE_VALUE)
		fail();
	free(w);
	return h;
}

static int stat_path(const char *path, struct windows_stat *st, bool follow)
{
	HANDLE h;
	int r;

	if (is_top(path))
		return stat_top(st);
	h = open_path(path, FILE_READ_ATTRIBUTES, follow);
	if (h == INVALID_HANDLE_VALUE)
		return -1;
	r = stat_handle(h, st);
	CloseHandle(h);
	return r;
}

int windows_stat(const char *path, struct windows_stat *st)
{
	return stat_path(path, st, true);
}

int windows_lstat(const char *path, struct windows_stat *st)
{
	return stat_path(path, st, false);
}

int windows_fstat(int fd, struct windows_stat *st)
{
	HANDLE h;

	if (fd < DIRECTORY_FDS) {
		if ((h = (HANDLE)_get_osfhandle(fd)) == INVALID_HANDLE_VALUE)
			return fail_as(EBADF);
		if (GetFileType(h) != FILE_TYPE_DISK) {
			*st = (struct windows_stat){ .st_mode = S_IFIFO | 0666 };
			return 0;
		}
		return stat_handle(h, st);
	}
	if (!(h = dir_handle(fd)))
		return fail_as(EBADF);
	return h == INVALID_HANDLE_VALUE ? stat_top(st) : stat_handle(h, st);
}

int windows_fstatat(int dir, const char *name, struct windows_stat *st, int flags)
{
	char *path = path_in(dir, name);
	int r = path ? stat_path(path, st, !(flags & AT_SYMLINK_NOFOLLOW)) : -1;

	free(path);
	return r;
}

/* ---- opening ---- */

static int open_dir(const char *path)
{
	HANDLE h = open_path(path, FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES | SYNCHRONIZE, true);

	return h == INVALID_HANDLE_VALUE ? -1 : add_dir(h);
}

static int open_file(const char *path, int flags)
{
	int how = flags & (O_RDONLY | O_WRONLY | O_RDWR), fd;
	DWORD rights = how == O_RDONLY ? GENERIC_READ :
		       how == O_WRONLY ? GENERIC_WRITE : GENERIC_READ | GENERIC_WRITE;
	DWORD make = flags & O_CREAT ? (flags & O_EXCL	? CREATE_NEW :
					flags & O_TRUNC ? CREATE_ALWAYS : OPEN_ALWAYS) :
		     flags & O_TRUNC ? TRUNCATE_EXISTING : OPEN_EXISTING;
	wchar_t *w = windows_wide(strcmp(path, "/dev/null") == 0 ? "NUL" : path);
	HANDLE h;

	if (!w)
		return -1;
	if (flags & O_APPEND)
		rights = FILE_APPEND_DATA | SYNCHRONIZE;
	h = CreateFileW(w, rights, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, make,
			FILE_ATTRIBUTE_NORMAL, NULL);
	free(w);
	if (h == INVALID_HANDLE_VALUE)
		return fail();
	fd = _open_osfhandle((intptr_t)h, how | (flags & O_APPEND) | _O_BINARY | _O_NOINHERIT);
	if (fd < 0) {
		CloseHandle(h);
		return fail_as(EMFILE);
	}
	return fd;
}

static int open_at_path(const char *path, int flags)
{
	struct windows_stat st;
	bool is_there;

	if (is_top(path))
		return add_dir(INVALID_HANDLE_VALUE);
	if (strcmp(path, "/dev/null") == 0)
		return open_file(path, flags);
	is_there = windows_lstat(path, &st) == 0;
	if (is_there && S_ISLNK(st.st_mode)) {
		if (flags & O_NOFOLLOW)
			return fail_as(ELOOP);
		is_there = windows_stat(path, &st) == 0;
	}
	if (is_there && S_ISDIR(st.st_mode))
		return open_dir(path);
	if (flags & O_DIRECTORY)
		return is_there ? fail_as(ENOTDIR) : -1;
	return open_file(path, flags);
}

int windows_openat(int dir, const char *name, int flags, ...)
{
	char *path = path_in(dir, name);
	int fd = path ? open_at_path(path, flags) : -1;

	free(path);
	return fd;
}

int windows_open(const char *path, int flags, ...)
{
	return open_at_path(path, flags);
}

int windows_close(int fd)
{
	HANDLE h = dir_handle(fd);

	if (fd < DIRECTORY_FDS)
		return close(fd) < 0 ? fail_as(EBADF) : 0;
	if (!h)
		return fail_as(EBADF);
	AcquireSRWLockExclusive(&dirs.lock);
	dirs.handles[fd - DIRECTORY_FDS] = NULL;
	ReleaseSRWLockExclusive(&dirs.lock);
	if (h != INVALID_HANDLE_VALUE)
		CloseHandle(h);
	return 0;
}

int windows_dup(int fd)
{
	HANDLE h = dir_handle(fd), copy = h;

	if (fd < DIRECTORY_FDS)
		return (fd = dup(fd)) < 0 ? fail_as(EMFILE) : fd;
	if (!h)
		return fail_as(EBADF);
	if (h != INVALID_HANDLE_VALUE &&
	    !DuplicateHandle(GetCurrentProcess(), h, GetCurrentProcess(), &copy, 0, FALSE,
			     DUPLICATE_SAME_ACCESS))
		return fail();
	return add_dir(copy);
}

static int fail_of_c(void)
{
	DWORD error = _doserrno;

	if (!error)
		return fail_as(EINVAL);
	SetLastError(error);
	return fail();
}

ssize_t windows_read(int fd, void *to, size_t size)
{
	int n = read(fd, to, size > INT_MAX ? INT_MAX : (unsigned)size);

	return n < 0 ? fail_of_c() : n;
}

ssize_t windows_write(int fd, const void *from, size_t size)
{
	int n = write(fd, from, size > INT_MAX ? INT_MAX : (unsigned)size);

	return n < 0 ? fail_of_c() : n;
}

int windows_fsync(int fd)
{
	if (fd >= DIRECTORY_FDS)
		return 0;
	return _commit(fd) < 0 ? fail_of_c() : 0;
}

int windows_rename(const char *from, const char *to)
{
	wchar_t *a = windows_wide(from), *b = a ? windows_wide(to) : NULL;
	int r = -1;

	if (a && b)
		r = MoveFileExW(a, b, MOVEFILE_REPLACE_EXISTING) ? 0 : fail();
	free(a);
	free(b);
	return r;
}

int windows_unlink(const char *path)
{
	wchar_t *w = windows_wide(path);
	int r = w ? DeleteFileW(w) ? 0 : fail() : -1;

	free(w);
	return r;
}

int windows_access(const char *path, int how)
{
	struct windows_stat st;

	(void)how;
	return windows_stat(path, &st);
}

int windows_fchdir(int fd)
{
	(void)fd;
	return fail_as(ENOSYS);
}

char *windows_getcwd(char *to, size_t size)
{
	char *path = windows_absolute(".");

	if (path && strlen(path) < size)
		strcpy(to, path);
	else
		to = NULL;
	free(path);
	return to;
}

char *windows_realpath(const char *path, char *to)
{
	HANDLE h;
	char *real;

	(void)to; /* always NULL */
	if (is_top(path))
		return strdup("/");
	h = open_path(path, FILE_READ_ATTRIBUTES, true);
	if (h == INVALID_HANDLE_VALUE)
		return NULL;
	real = path_of_handle(h);
	CloseHandle(h);
	return real;
}

/* Where a link leads, as it is at its end: those in between are not told apart. */
ssize_t windows_readlinkat(int dir, const char *name, char *to, size_t size)
{
	char *path = path_in(dir, name), *real = path ? windows_realpath(path, NULL) : NULL;
	size_t len = real ? strlen(real) : 0;

	if (len > size)
		len = size;
	if (real)
		memcpy(to, real, len);
	free(path);
	free(real);
	return real ? (ssize_t)len : -1;
}

/* ---- reading directories ---- */

struct windows_dir {
	int fd;
	bool begun;
	const FILE_ID_BOTH_DIR_INFO *next;
	struct dirent entry;
	_Alignas(8) char buf[32768];
};

DIR *fdopendir(int fd)
{
	DIR *dir = dir_handle(fd) ? malloc(sizeof *dir) : NULL;

	if (!dir) {
		errno = dir_handle(fd) ? ENOMEM : EBADF;
		return NULL;
	}
	dir->fd = fd;
	rewinddir(dir);
	return dir;
}

DIR *opendir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		windows_close(fd);
	return dir;
}

void rewinddir(DIR *dir)
{
	dir->begun = false;
	dir->next = NULL;
}

static bool fill(DIR *dir)
{
	HANDLE h = dir_handle(dir->fd);
	FILE_INFO_BY_HANDLE_CLASS how =
		dir->begun ? FileIdBothDirectoryInfo : FileIdBothDirectoryRestartInfo;

	if (!h || h == INVALID_HANDLE_VALUE ||
	    !GetFileInformationByHandleEx(h, how, dir->buf, sizeof dir->buf))
		return false;
	dir->begun = true;
	dir->next = (const void *)dir->buf;
	return true;
}

static void take(struct dirent *e, const FILE_ID_BOTH_DIR_INFO *i)
{
	int n = WideCharToMultiByte(CP_UTF8, 0, i->FileName, (int)(i->FileNameLength / sizeof(WCHAR)),
				    e->d_name, sizeof e->d_name - 1, NULL, NULL);

	e->d_name[n > 0 ? n : 0] = '\0';
	e->d_ino = (uint64_t)i->FileId.QuadPart;
	/* In this listing a link has its tag where others have the size of extended attributes. */
	if (i->FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT && is_link_tag(i->EaSize))
		e->d_type = DT_LNK;
	else
		e->d_type = i->FileAttributes & FILE_ATTRIBUTE_DIRECTORY ? DT_DIR : DT_REG;
}

struct dirent *readdir(DIR *dir)
{
	const FILE_ID_BOTH_DIR_INFO *i;

	if (!dir->next && !fill(dir))
		return NULL;
	i = dir->next;
	dir->next = i->NextEntryOffset ? (const void *)((const char *)i + i->NextEntryOffset) : NULL;
	take(&dir->entry, i);
	return &dir->entry;
}

int closedir(DIR *dir)
{
	windows_close(dir->fd);
	free(dir);
	return 0;
}

/* ---- strings ---- */

char *windows_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *out = malloc(len + 1);

	if (!out)
		return NULL;
	memcpy(out, s, len);
	out[len] = '\0';
	return out;
}

void *windows_memrchr(const void *in, int c, size_t n)
{
	const unsigned char *p = in;

	while (n--)
		if (p[n] == (unsigned char)c)
			return (void *)(uintptr_t)(p + n);
	return NULL;
}
