/*
 * jsontext: the small steps that reading JSON text is made of. Pure; internal to proto/.
 *
 * Everything but jsontext_space takes text that was validated, and so needs no end to be told.
 */
#ifndef PROTO_JSONTEXT_H
#define PROTO_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "jsonspan.h"

static inline bool
jsontext_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static inline bool
jsontext_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Skips white space; the result is end where nothing else comes. */
static inline const char *
jsontext_space(const char *at, const char *end)
{
	while (at < end && jsontext_is_space(*at))
		at++;
	return at;
}

/* The value of a hexadecimal digit, -1 for any other byte. */
int jsontext_hex(char c);

/*
 * Reads the escape at `at` (a backslash; a surrogate pair is one escape): what it means goes to out, *ret_len bytes of
 * it. Returns where the text goes on.
 */
const char *jsontext_unescape(const char *at, char out[4], size_t *ret_len);

/* Compares what two strings (without their quotes) mean, byte by byte: negative, 0 or positive as memcmp. */
int jsontext_compare(struct span a, struct span b);

/*
 * The number as a double, correctly rounded whatever its length and the locale; plus or minus HUGE_VAL beyond a
 * double's range.
 */
double jsontext_number(struct span number);

/* Whether a double can hold the number. Quick, but for what is within 1e-15 of the limit. */
bool jsontext_number_fits(struct span number);

#endif
