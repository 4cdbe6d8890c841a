/* Messages that quote what came from outside stay one line that does a terminal no harm. */
#ifndef BASE_ONE_LINE_H
#define BASE_ONE_LINE_H

/* Puts a '?' in the place of every control character; other bytes stay. */
static inline void one_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

#endif
