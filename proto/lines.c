/*
 * lines: see lines.h. Never looks at more than max + 1 bytes of a line: one that is too long is known at its first
 * excess byte.
 */
#include "lines.h"

#include <string.h>

void
lines_init(struct lines *lines, size_t max)
{
	lines->scanned = 0;
	lines->max = max;
}

enum lines_verdict
lines_scan(struct lines *lines, const char *chunk, size_t len, size_t *ret_len)
{
	size_t room = lines->max - lines->scanned; /* bytes that may stand before the '\n' */
	size_t look = len > room ? room + 1 : len;
	const char *newline = look > 0 ? memchr(chunk, '\n', look) : NULL;

	if (newline != NULL) {
		*ret_len = lines->scanned + (size_t)(newline - chunk);
		lines->scanned = 0;
		return LINES_LINE;
	}
	if (look > room)
		return LINES_TOO_LONG;
	lines->scanned += len;
	return LINES_MORE;
}

bool
lines_may_begin(unsigned char byte)
{
	/* The NUL that strchr would find is excluded by the first test. */
	return byte != '\0' && strchr(" \t\r\n{[\"-0123456789tfn", byte) != NULL;
}
