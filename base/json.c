/* See json.h. */
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the character at s if it is well-formed UTF-8 (RFC 3629: no longer than needed, no surrogates), else 0. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++) /* stops at the end of the text, too */
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void json_string(FILE *f, const char *s)
{
	const unsigned char *at = (const unsigned char *)s;

	fputc('"', f);
	while (*at) {
		size_t n = utf8_length(at);

		if (*at == '"' || *at == '\\')
			fprintf(f, "\\%c", *at);
		else if (*at < 0x20)
			fprintf(f, "\\u%04x", *at);
		else if (n)
			fwrite(at, 1, n, f);
		else
			fputs("\\ufffd", f);
		at += n ? n : 1;
	}
	fputc('"', f);
}
