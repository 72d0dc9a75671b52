/*
 * utf8: see utf8.h. The ranges are those of table 3-7 of the Unicode standard.
 */
#include "utf8.h"

#include <stdbool.h>

static bool
utf8_is_tail(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

size_t
utf8_length(const char *at, const char *end)
{
	unsigned char lead = (unsigned char)*at, low = 0x80, high = 0xbf, second;
	size_t len;

	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	if ((size_t)(end - at) < len)
		return 0;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	second = (unsigned char)at[1];
	if (second < low || second > high)
		return 0;
	if (len > 2 && !utf8_is_tail(at[2]))
		return 0;
	if (len > 3 && !utf8_is_tail(at[3]))
		return 0;
	return len;
}

size_t
utf8_write(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | (code >> 6));
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | (code >> 12));
		out[1] = (char)(0x80 | ((code >> 6) & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | (code >> 18));
	out[1] = (char)(0x80 | ((code >> 12) & 0x3f));
	out[2] = (char)(0x80 | ((code >> 6) & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}
