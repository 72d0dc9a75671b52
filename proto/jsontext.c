/*
 * jsontext: see jsontext.h. Numbers are read by strtod, but as digits and a power of ten, so that neither their length
 * nor the locale matters.
 */
#include "jsontext.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

int
jsontext_hex(char c)
{
	if (jsontext_is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static uint32_t
jsontext_hex4(const char *at)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++)
		unit = unit * 16 + (uint32_t)jsontext_hex(at[i]);
	return unit;
}

const char *
jsontext_unescape(const char *at, char out[4], size_t *ret_len)
{
	uint32_t code;

	*ret_len = 1;
	switch (at[1]) {
	case 'b': out[0] = '\b'; return at + 2;
	case 'f': out[0] = '\f'; return at + 2;
	case 'n': out[0] = '\n'; return at + 2;
	case 'r': out[0] = '\r'; return at + 2;
	case 't': out[0] = '\t'; return at + 2;
	case 'u': break;
	default: out[0] = at[1]; return at + 2; /* quote, backslash, slash */
	}
	code = jsontext_hex4(at + 2);
	at += 6;
	if (code >= 0xd800 && code <= 0xdbff) {
		code = 0x10000 + ((code - 0xd800) << 10) + (jsontext_hex4(at + 2) - 0xdc00);
		at += 6;
	}
	*ret_len = utf8_write(code, out);
	return at;
}

/* Reads a string a byte at a time. */
struct jsontext_reader {
	const char *at;
	const char *end;
	char held[4]; /* what the last escape meant, from `next` on */
	size_t next;
	size_t n_held;
};

/* The next byte, -1 at the end. */
static int
jsontext_reader_next(struct jsontext_reader *reader)
{
	if (reader->next < reader->n_held)
		return (unsigned char)reader->held[reader->next++];
	if (reader->at == reader->end)
		return -1;
	if (*reader->at != '\\')
		return (unsigned char)*reader->at++;
	reader->at = jsontext_unescape(reader->at, reader->held, &reader->n_held);
	reader->next = 1;
	return (unsigned char)reader->held[0];
}

int
jsontext_compare(struct span a, struct span b)
{
	struct jsontext_reader left = {.at = a.at, .end = a.at + a.len};
	struct jsontext_reader right = {.at = b.at, .end = b.at + b.len};

	for (;;) {
		int from_left = jsontext_reader_next(&left), from_right = jsontext_reader_next(&right);

		if (from_left != from_right || from_left < 0)
			return from_left - from_right;
	}
}

/*
 * A number as digits and a power of ten. No double needs more than 767 digits to be told from its neighbours; what is
 * cut off behind them leaves one more digit, so that what is above a tie is not taken for one.
 */
#define JSONTEXT_DIGITS 767

struct jsontext_decimal {
	char digits[JSONTEXT_DIGITS + 1]; /* without leading zeros */
	size_t n;
	int64_t exponent; /* of the last digit */
	bool more;        /* something other than 0 was cut off */
};

static void
jsontext_decimal_add(struct jsontext_decimal *decimal, char digit, bool is_fraction)
{
	if (decimal->n < JSONTEXT_DIGITS) {
		if (digit != '0' || decimal->n > 0)
			decimal->digits[decimal->n++] = digit;
		decimal->exponent -= is_fraction;
		return;
	}
	decimal->more |= digit != '0';
	decimal->exponent += !is_fraction;
}

/* An exponent as written, but kept small enough to add to: no text has digits enough to bring such a number back. */
static int64_t
jsontext_exponent(const char *at, const char *end)
{
	const int64_t limit = INT64_C(1000000000000000);
	bool negative = *at == '-';
	int64_t value = 0;

	if (*at == '-' || *at == '+')
		at++;
	for (; at < end && value < limit; at++)
		value = value * 10 + (*at - '0');
	return negative ? -value : value;
}

double
jsontext_number(struct span number)
{
	const char *at = number.at, *end = number.at + number.len;
	struct jsontext_decimal decimal = {.n = 0};
	char text[JSONTEXT_DIGITS + 32];
	bool negative = *at == '-', is_fraction = false;

	for (at += negative; at < end && *at != 'e' && *at != 'E'; at++) {
		if (*at == '.')
			is_fraction = true;
		else
			jsontext_decimal_add(&decimal, *at, is_fraction);
	}
	if (at < end)
		decimal.exponent += jsontext_exponent(at + 1, end);
	if (decimal.n == 0)
		return negative ? -0.0 : 0.0;
	if (decimal.more) {
		decimal.digits[decimal.n++] = '1';
		decimal.exponent--;
	}
	snprintf(text, sizeof(text), "%s%.*se%" PRId64, negative ? "-" : "", (int)decimal.n, decimal.digits,
	    decimal.exponent);
	return strtod(text, NULL);
}

bool
jsontext_number_fits(struct span number)
{
	static const char largest[] = "1797693134862315"; /* 7...e308 */
	const char *at = number.at + (*number.at == '-'), *end = number.at + number.len, *first, *mark;
	int64_t power = -1; /* of ten, of the first digit that is not 0 */
	size_t n = 0;

	for (mark = at; mark < end && jsontext_is_digit(*mark); mark++)
		power++;
	for (first = at; first < end && (*first == '0' || *first == '.'); first++)
		power -= *first == '0';
	if (first == end || !jsontext_is_digit(*first))
		return true;
	for (mark = first; mark < end && *mark != 'e' && *mark != 'E'; mark++)
		continue;
	if (mark < end)
		power += jsontext_exponent(mark + 1, end);
	if (power != 308)
		return power < 308;
	for (; first < mark; first++) {
		if (*first == '.')
			continue;
		if (n == sizeof(largest) - 1)
			return !isinf(jsontext_number(number));
		if (*first != largest[n])
			return *first < largest[n];
		n++;
	}
	return true;
}
