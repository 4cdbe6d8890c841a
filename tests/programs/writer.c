/*
 * writer TOTAL BLOCK [lines]: writes TOTAL bytes to standard output in blocks of BLOCK
 * bytes; with `lines`, as lines of 10 bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned long long total = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	size_t block = argc > 2 ? strtoull(argv[2], NULL, 10) : 65536, at = 0;
	char *p = malloc(block * 10); /* a whole number of blocks and of lines */

	if (!p || !block)
		return 2;
	memset(p, 'x', block * 10);
	for (size_t i = 0; argc > 3 && i < block * 10; i += 10)
		memcpy(p + i, "some text\n", 10);
	while (total > 0) {
		ssize_t n = write(1, p + at, total < block ? (size_t)total : block);

		if (n < 0)
			return 1;
		total -= (unsigned long long)n;
		at = (at + (size_t)n) % (block * 10);
		if (at > block * 9) /* after a short write */
			at %= 10;
	}
	return 0;
}
