/*
 * Which file a program's name means: the search that execvp would do, done before a process
 * exists, so that "not there", "there but not executable" and near names can be told apart.
 */
#ifndef SHELLCMD_LOOKUP_H
#define SHELLCMD_LOOKUP_H

/*
 * Finds the file to execute for `name`. With a slash the name is a path; a leading ~ or ~user
 * is expanded; any other name is looked for in the directories of env's PATH (the system's
 * default when env has none; an empty entry is the present directory). `env` NULL is this
 * process's environment. *path becomes an absolute path for free(), also where the name or
 * the PATH entry was relative, so that it means the same after a change of directory.
 *
 * UV_ENOENT: there is none; UV_EACCES: what is there is a directory or may not be executed;
 * UV_EINVAL: the empty name; UV_ENOMEM; other errno of a path that cannot be looked at.
 */
int sh__lookup(char **path, const char *name, const char *const *env);

/*
 * The executable name in PATH (or in the directory part of `name`) that was probably meant
 * by `name`, for free(); NULL when none is near or on any failure: it is advice. Looks at
 * a bounded number of entries.
 */
char *sh__near_name(const char *name, const char *const *env);

#endif
