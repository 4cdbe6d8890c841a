/* Directories read by their handle, with inode numbers: see watcher/windows/posix.h. */
#ifndef WINDOWS_DIRENT_H
#define WINDOWS_DIRENT_H

enum { DT_UNKNOWN = 0, DT_DIR = 4, DT_REG = 8, DT_LNK = 10 };

struct dirent {
	unsigned long long d_ino;
	unsigned char d_type;
	char d_name[3 * 255 + 1];
};
typedef struct windows_dir DIR;

DIR *opendir(const char *path);
DIR *fdopendir(int fd);
struct dirent *readdir(DIR *dir);
void rewinddir(DIR *dir);
int closedir(DIR *dir);

#endif
