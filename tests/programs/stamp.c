/* stamp FILE: appends the time (CLOCK_MONOTONIC, ns) at which it was started. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec t;
	char line[32];
	int n, fd;

	clock_gettime(CLOCK_MONOTONIC, &t);
	fd = argc > 1 ? open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0666) : -1;
	n = snprintf(line, sizeof line, "%lld\n", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
	return fd < 0 || write(fd, line, (size_t)n) != n;
}
