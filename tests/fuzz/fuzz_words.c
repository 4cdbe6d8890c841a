/*
 * Any text: what sh_split makes of it, sh_quote writes so that sh_split reads it back, in
 * printable characters only; an error lies within the text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shellcmd/quote.h"
#include "whendo/shellcmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *line)
{
	size_t len = strlen(line), n;

	for (size_t i = 0; i < len; i += n)
		if (!(n = sh__printable(line + i, len - i)))
			abort();
}

static void check_same(char **a, char **b)
{
	size_t i;

	for (i = 0; a[i] && b[i]; i++)
		if (strcmp(a[i], b[i]) != 0)
			abort();
	if (a[i] || b[i])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *line, **words, **again;
	size_t where = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (sh_split(&words, text, &where) < 0) {
		if (where >= strlen(text))
			abort();
		free(text);
		return 0;
	}
	line = sh_quote((const char *const *)words);
	check_line(line);
	if (sh_split(&again, line, NULL) < 0)
		abort();
	check_same(words, again);
	sh_words_free(again);
	sh_words_free(words);
	free(line);
	free(text);
	return 0;
}
