/*
 * jsonscan: the validating half of jsonspan.h. One pass over the text, a stack of the open containers in place of
 * recursion.
 *
 * Each step takes the position it begins at and returns the one behind what it read, or NULL once the error is noted. A
 * position is never read before it was compared with the end. This is the hot path of the daemon, so strings and digits
 * go by eights.
 */
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "jsonkeys.h"
#include "jsonspan.h"
#include "jsontext.h"
#include "utf8.h"

#define TEXT_MAX INT32_MAX /* jsonkeys counts offsets in 31 bits */

struct frame {
	size_t first_key; /* of this object, in scan.keys */
	bool is_object;
};

struct scan {
	const char *start;
	const char *end;
	struct jsonspan_error error;
	unsigned depth;
	unsigned max_depth;
	struct frame frames[JSONSPAN_REPLY_DEPTH]; /* the open containers; depth of them */
	struct jsonkeys keys;
};

static const char *
scan_fail(struct scan *scan, const char *at, const char *what)
{
	scan->error.what = at < scan->end ? what : "the text ends too early";
	scan->error.offset = (size_t)(at - scan->start);
	return NULL;
}

static const char *
scan_fail_key(struct scan *scan, enum jsonkeys_result result, size_t offset)
{
	const char *what = result == JSONKEYS_DUPLICATE ? "a key stands twice in one object" : "out of memory";

	return scan_fail(scan, scan->start + offset, what);
}

/* The position of the four digits behind \u; *ret_unit is their value. */
static const char *
scan_unit(struct scan *scan, const char *at, uint32_t *ret_unit)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++, at++) {
		int digit = at < scan->end ? jsontext_hex(*at) : -1;

		if (digit < 0)
			return scan_fail(scan, at, "four hexadecimal digits must follow \\u");
		unit = unit * 16 + (uint32_t)digit;
	}
	*ret_unit = unit;
	return at;
}

/* At a backslash. */
static const char *
scan_escape(struct scan *scan, const char *at)
{
	const char *begin = at++;
	uint32_t unit;

	if (at == scan->end)
		return scan_fail(scan, at, NULL);
	if (*at != 'u') {
		if (*at == '\0' || strchr("\"\\/bfnrt", *at) == NULL)
			return scan_fail(scan, at, "no such escape");
		return at + 1;
	}
	at = scan_unit(scan, at + 1, &unit);
	if (at == NULL)
		return NULL;
	if (unit == 0)
		return scan_fail(scan, begin, "NUL may not stand in a string");
	if (unit < 0xd800 || unit > 0xdfff)
		return at;
	if (unit > 0xdbff || scan->end - at < 2 || at[0] != '\\' || at[1] != 'u')
		return scan_fail(scan, begin, "half of a surrogate pair");
	at = scan_unit(scan, at + 2, &unit);
	if (at != NULL && (unit < 0xdc00 || unit > 0xdfff))
		return scan_fail(scan, begin, "half of a surrogate pair");
	return at;
}

/* Skips what may stand in a string as it is and is ASCII. */
static inline const char *
scan_plain(const char *at, const char *end)
{
	uint64_t special;

	for (; end - at >= 8; at += 8) {
		special = bytes_special(bytes_load(at));
		if (special != 0)
			return at + bytes_first(special);
	}
	while (at < end && (unsigned char)*at >= ' ' && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
		at++;
	return at;
}

static const char *
scan_utf8(struct scan *scan, const char *at)
{
	size_t len;

	while (at < scan->end && (unsigned char)*at >= 0x80) {
		len = utf8_length(at, scan->end);
		if (len == 0)
			return scan_fail(scan, at, "invalid UTF-8");
		at += len;
	}
	return at;
}

/* At the opening quote. *ret_escaped: whether an escape stands in it. */
static const char *
scan_string(struct scan *scan, const char *at, bool *ret_escaped)
{
	*ret_escaped = false;
	at++;
	for (;;) {
		at = scan_plain(at, scan->end);
		if (at == scan->end)
			return scan_fail(scan, at, NULL);
		if (*at == '"')
			return at + 1;
		if (*at == '\\') {
			*ret_escaped = true;
			at = scan_escape(scan, at);
		} else if ((unsigned char)*at >= 0x80) {
			at = scan_utf8(scan, at);
		} else {
			return scan_fail(scan, at, "a control character must be escaped");
		}
		if (at == NULL)
			return NULL;
	}
}

static inline const char *
scan_digits(const char *at, const char *end)
{
	uint64_t others;

	for (; end - at >= 8; at += 8) {
		others = bytes_no_digit(bytes_load(at));
		if (others != 0)
			return at + bytes_first(others);
	}
	while (at < end && jsontext_is_digit(*at))
		at++;
	return at;
}

static bool
integer_fits(const char *digits, size_t n, bool negative)
{
	const char *limit = negative ? "9223372036854775808" : "9223372036854775807";

	return n < 19 || (n == 19 && memcmp(digits, limit, 19) <= 0);
}

/* Behind the digits of a number: its fraction and exponent. begin is where the number begins. */
static const char *
scan_real(struct scan *scan, const char *begin, const char *at)
{
	const char *from;
	size_t n_exponent = 0;

	if (*at == '.') {
		from = at + 1;
		at = scan_digits(from, scan->end);
		if (at == from)
			return scan_fail(scan, at, "a digit must follow the point");
	}
	if (at < scan->end && (*at == 'e' || *at == 'E')) {
		from = at + 1;
		if (from < scan->end && (*from == '+' || *from == '-'))
			from++;
		at = scan_digits(from, scan->end);
		n_exponent = (size_t)(at - from);
		if (n_exponent == 0)
			return scan_fail(scan, at, "a digit is missing in the exponent");
	}
	/* So few digits and an exponent below 100 stay far from the limit of 1.8e308. */
	if (at - begin < 200 && n_exponent <= 2)
		return at;
	if (!jsontext_number_fits((struct span){begin, (size_t)(at - begin)}))
		return scan_fail(scan, begin, "the number is out of range");
	return at;
}

static const char *
scan_number(struct scan *scan, const char *at)
{
	const char *begin = at, *digits = at + (*at == '-');
	size_t n;

	/* One digit is common enough, and eight bytes at once are slow for it. */
	if (scan->end - digits > 1 && jsontext_is_digit(digits[0]) && (digits[1] == ',' || digits[1] == ']'))
		return digits + 1;
	at = scan_digits(digits, scan->end);
	n = (size_t)(at - digits);
	if (n == 0)
		return scan_fail(scan, at, "a digit must follow the minus");
	if (*digits == '0' && n > 1)
		return scan_fail(scan, digits, "a number may not begin with 0");
	if (at < scan->end && (*at == '.' || *at == 'e' || *at == 'E'))
		return scan_real(scan, begin, at);
	if (n >= 19 && !integer_fits(digits, n, begin != digits))
		return scan_fail(scan, begin, "the integer is out of range");
	return at;
}

static const char *
scan_word(struct scan *scan, const char *at, const char *word, size_t len)
{
	size_t left = (size_t)(scan->end - at);

	if (left >= len && memcmp(at, word, len) == 0)
		return at + len;
	return scan_fail(scan, left < len && memcmp(at, word, left) == 0 ? scan->end : at, "no such word in JSON");
}

/* Any value but a container. */
static inline const char *
scan_scalar(struct scan *scan, const char *at)
{
	bool escaped;

	if (jsontext_is_digit(*at) || *at == '-')
		return scan_number(scan, at);
	switch (*at) {
	case '"': return scan_string(scan, at, &escaped);
	case 't': return scan_word(scan, at, "true", 4);
	case 'f': return scan_word(scan, at, "false", 5);
	case 'n': return scan_word(scan, at, "null", 4);
	default: return scan_fail(scan, at, "a value is missing");
	}
}

/* A key and its colon. */
static const char *
scan_key(struct scan *scan, const char *at)
{
	const struct frame *frame = &scan->frames[scan->depth - 1];
	const char *begin;
	bool escaped;
	size_t offset = 0;
	enum jsonkeys_result result;
	struct span key;

	begin = jsontext_space(at, scan->end);
	if (begin == scan->end || *begin != '"')
		return scan_fail(scan, begin, "a key is missing");
	at = scan_string(scan, begin, &escaped);
	if (at == NULL)
		return NULL;
	key = (struct span){begin + 1, (size_t)(at - begin) - 2};
	result = jsonkeys_add(&scan->keys, frame->first_key, key, escaped, &offset);
	if (result != JSONKEYS_OK)
		return scan_fail_key(scan, result, offset);
	at = jsontext_space(at, scan->end);
	if (at == scan->end || *at != ':')
		return scan_fail(scan, at, "a colon must follow the key");
	return at + 1;
}

/* At the opening bracket; ends at the first value, behind the first key, or, *ret_empty, at the closing bracket. */
static const char *
scan_open(struct scan *scan, const char *at, bool *ret_empty)
{
	struct frame *frame;

	if (scan->depth == scan->max_depth)
		return scan_fail(scan, at, "nested too deep");
	frame = &scan->frames[scan->depth++];
	frame->is_object = *at == '{';
	frame->first_key = scan->keys.n;
	at = jsontext_space(at + 1, scan->end);
	if (at == scan->end)
		return scan_fail(scan, at, NULL);
	*ret_empty = *at == (frame->is_object ? '}' : ']');
	return frame->is_object && !*ret_empty ? scan_key(scan, at) : at;
}

/* Behind a value: closes what ends here; ends at the next value, or behind the last bracket with depth 0. */
static inline const char *
scan_after(struct scan *scan, const char *at)
{
	const struct frame *frame;
	enum jsonkeys_result result;
	size_t offset = 0;

	while (scan->depth > 0) {
		frame = &scan->frames[scan->depth - 1];
		at = jsontext_space(at, scan->end);
		if (at == scan->end)
			return scan_fail(scan, at, NULL);
		if (*at == ',')
			return frame->is_object ? scan_key(scan, at + 1) : at + 1;
		if (*at != (frame->is_object ? '}' : ']'))
			return scan_fail(
			    scan, at, frame->is_object ? "a comma or } is missing" : "a comma or ] is missing");
		if (frame->is_object) {
			result = jsonkeys_close(&scan->keys, frame->first_key, &offset);
			if (result != JSONKEYS_OK)
				return scan_fail_key(scan, result, offset);
		}
		scan->depth--;
		at++;
	}
	return at;
}

/* One whole value, at is its first byte. */
static const char *
scan_value(struct scan *scan, const char *at)
{
	bool empty;

	for (;;) {
		at = jsontext_space(at, scan->end);
		if (at == scan->end)
			return scan_fail(scan, at, NULL);
		if (*at == '{' || *at == '[') {
			at = scan_open(scan, at, &empty);
			if (at != NULL && !empty)
				continue;
		} else {
			at = scan_scalar(scan, at);
		}
		if (at != NULL)
			at = scan_after(scan, at);
		if (at == NULL || scan->depth == 0)
			return at;
	}
}

static int
validate(struct span text, unsigned max_depth, struct span *ret_value, struct jsonspan_error *ret_error)
{
	struct scan scan;
	const char *begin, *end = NULL, *rest;

	if (text.len == 0)
		text = SPAN_LIT("");
	scan.start = text.at;
	scan.end = text.at + text.len;
	scan.depth = 0;
	scan.max_depth = max_depth;
	jsonkeys_init(&scan.keys, text.at);
	begin = jsontext_space(text.at, scan.end);
	if (text.len > TEXT_MAX)
		scan_fail(&scan, text.at, "longer than 2 GiB");
	else if (begin == scan.end)
		scan_fail(&scan, begin, NULL);
	else
		end = scan_value(&scan, begin);
	jsonkeys_done(&scan.keys);
	if (end != NULL) {
		rest = jsontext_space(end, scan.end);
		if (rest != scan.end)
			end = scan_fail(&scan, rest, "something follows the value");
	}
	if (end == NULL) {
		if (ret_error != NULL)
			*ret_error = scan.error;
		return -1;
	}
	if (ret_value != NULL)
		*ret_value = (struct span){begin, (size_t)(end - begin)};
	return 0;
}

int
jsonspan_validate(struct span text, struct span *ret_value, struct jsonspan_error *ret_error)
{
	return validate(text, JSONSPAN_DEPTH, ret_value, ret_error);
}

int
jsonspan_validate_reply(struct span text, struct span *ret_value, struct jsonspan_error *ret_error)
{
	return validate(text, JSONSPAN_REPLY_DEPTH, ret_value, ret_error);
}
