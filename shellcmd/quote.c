/*
 * Quotes words for a shell and for the eye.
 */
#include "shellcmd/quote.h"

#include <stdint.h>

#include "whendo/shellcmd.h"

/* What means nothing to a shell, except at the start of a line. */
static const char safe_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789_@%+=:,./-";

static int is_shown(uint32_t c)
{
	return c >= 0xa0 && c != 0xad && c != 0x61c && c != 0xfeff &&
	       !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
	       !(c >= 0x2060 && c <= 0x206f) && !(c >= 0xd800 && c <= 0xdfff) &&
	       !(c >= 0xfff9 && c <= 0xfffb) && (c & 0xfffe) != 0xfffe &&
	       !(c >= 0xe0000 && c <= 0xe0fff) && c <= 0x10ffff;
}

size_t sh__printable(const char *text, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text;
	uint32_t c;
	size_t n;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n > len)
		return 0;
	c = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c >= least[n] && is_shown(c) ? n : 0;
}

static int is_visible(const char *word)
{
	size_t len = strlen(word), n = 1;

	for (size_t i = 0; i < len && n; i += n)
		n = sh__printable(word + i, len - i);
	return n > 0;
}

static int is_keyword(const char *word)
{
	static const char *const words[] = { "case",  "coproc", "do",	  "done", "elif",
					     "else",  "esac",	"fi",	  "for",  "function",
					     "if",    "in",	"select", "then", "time",
					     "until", "while" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(word, words[i]) == 0)
			return 1;
	return 0;
}

static int is_bare(const char *word, enum sh__place place)
{
	if (!*word || word[strspn(word, safe_bytes)] || *word == '=')
		return 0;
	return place != SH__FIRST_WORD || (!strpbrk(word, "=%") && !is_keyword(word));
}

static int quote_visible(struct bytes *out, const char *word)
{
	int r = bytes_addc(out, '\'');

	for (; r == 0 && *word; word++)
		r = *word == '\'' ? bytes_adds(out, "'\\''") : bytes_addc(out, *word);
	return r < 0 ? r : bytes_addc(out, '\'');
}

static int quote_escaped(struct bytes *out, const char *word)
{
	static const char bytes[] = "\a\b\033\f\n\r\t\v\\'";
	static const char names[] = "abefnrtv\\'";
	size_t len = strlen(word), n = 1;
	int r = bytes_adds(out, "$'");

	for (size_t i = 0; r == 0 && i < len; i += n) {
		const char *named = strchr(bytes, word[i]);

		if (named) {
			n = 1;
			r = bytes_addf(out, "\\%c", names[named - bytes]);
		} else if ((n = sh__printable(word + i, len - i))) {
			r = bytes_add(out, word + i, n);
		} else {
			n = 1;
			r = bytes_addf(out, "\\%03o", (unsigned char)word[i]);
		}
	}
	return r < 0 ? r : bytes_addc(out, '\'');
}

int sh__quote_word(struct bytes *out, const char *word, enum sh__place place)
{
	size_t len = out->len;
	int r;

	if (is_bare(word, place))
		return bytes_adds(out, word);
	r = is_visible(word) ? quote_visible(out, word) : quote_escaped(out, word);
	if (r < 0)
		bytes_cut(out, len);
	return r;
}

/* Each after the first place with a space before it. After a failure `out` is cut to `len`. */
static int add_words(struct bytes *out, size_t len, const char *const *argv,
		     enum sh__place place)
{
	int r = bytes_adds(out, "");

	for (; r == 0 && *argv; argv++) {
		if (*argv == SH_SKIP)
			continue;
		if (place == SH__LATER_WORD)
			r = bytes_addc(out, ' ');
		if (r == 0)
			r = sh__quote_word(out, *argv, place);
		place = SH__LATER_WORD;
	}
	if (r < 0)
		bytes_cut(out, len);
	return r;
}

static int quote_words(struct bytes *out, const char *const *argv)
{
	return add_words(out, out->len, argv, SH__FIRST_WORD);
}

/* The length of "~/" or "~user/" at the start of a program's name. */
static size_t home_prefix(const char *word)
{
	size_t n;

	if (!word || *word != '~')
		return 0;
	n = strcspn(word, "/");
	return word[n] && strspn(word + 1, safe_bytes) >= n ? n + 1 : 0;
}

int sh__quote_command(struct bytes *out, const char *const *argv)
{
	size_t home = home_prefix(argv[0]), len = out->len;
	int r;

	if (!home)
		return quote_words(out, argv);
	r = bytes_add(out, argv[0], home);
	if (r == 0 && argv[0][home])
		r = sh__quote_word(out, argv[0] + home, SH__LATER_WORD);
	if (r == 0)
		return add_words(out, len, argv + 1, SH__LATER_WORD);
	bytes_cut(out, len);
	return r;
}

char *sh_quote(const char *const *argv)
{
	struct bytes out = { 0 };

	if (!argv)
		return NULL;
	if (quote_words(&out, argv) < 0)
		bytes_free(&out);
	return bytes_take(&out);
}
