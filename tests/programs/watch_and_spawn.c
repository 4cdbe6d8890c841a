/*
 * watch_and_spawn DIR COMMAND [ARG...]: the least a program can do that runs a command when
 * something in a directory was written; what whendo's latency is measured against.
 */
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
	char events[4096];
	int fd = inotify_init1(IN_CLOEXEC), status;
	pid_t pid;

	if (argc < 3 || fd < 0 ||
	    inotify_add_watch(fd, argv[1], IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0)
		return 1;
	while (read(fd, events, sizeof events) > 0)
		if (posix_spawn(&pid, argv[2], NULL, NULL, argv + 2, environ) == 0)
			waitpid(pid, &status, 0);
	return 1;
}
