/*
 * utf8: what is a character above ASCII. Pure; internal to proto/.
 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * How long the character of two to four bytes at `at` is, 0 when there is none: cut off by end, overlong, a surrogate,
 * above U+10FFFF.  at < end.
 */
size_t utf8_length(const char *at, const char *end);

/* Writes a code point (not above U+10FFFF) as one to four bytes to out; returns how many. */
size_t utf8_write(uint32_t code, char out[4]);

#endif
