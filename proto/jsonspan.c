/*
 * jsonspan: the reading half of jsonspan.h. (The validating half is jsonscan.c.)
 *
 * All of it trusts that the span was validated: a string has its closing quote, a bracket its fellow. The end is looked
 * at all the same where eight bytes are loaded at once.
 */
#include "jsonspan.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "jsontext.h"
#include "utf8.h"

/* At the opening quote; returns what is behind the closing one. */
static inline const char *
skip_string(const char *at, const char *end)
{
	uint64_t word, found;

	at++;
	for (;;) {
		while (end - at >= 8) {
			word = bytes_load(at);
			found = bytes_equal(word, '"') | bytes_equal(word, '\\');
			if (found != 0) {
				at += bytes_first(found);
				break;
			}
			at += 8;
		}
		while (*at != '"' && *at != '\\')
			at++;
		if (*at == '"')
			return at + 1;
		at += 2;
	}
}

/* The next quote or bracket, outside of strings: there [ and ] alone are { and } but for the bit 0x20. */
static inline const char *
skip_to_structure(const char *at, const char *end)
{
	uint64_t word, found;

	while (end - at >= 8) {
		word = bytes_load(at);
		found = bytes_equal(word, '"');
		word |= BYTES_ALL(0x20);
		found |= bytes_equal(word, '{') | bytes_equal(word, '}');
		if (found != 0)
			return at + bytes_first(found);
		at += 8;
	}
	while (*at != '"' && (*at | 0x20) != '{' && (*at | 0x20) != '}')
		at++;
	return at;
}

/* At an opening bracket; returns what is behind its fellow. */
static const char *
skip_container(const char *at, const char *end)
{
	size_t depth = 0;

	for (;;) {
		at = skip_to_structure(at, end);
		if (*at == '"') {
			at = skip_string(at, end);
			continue;
		}
		depth += (*at | 0x20) == '{' ? 1 : (size_t)-1;
		at++;
		if (depth == 0)
			return at;
	}
}

/* At the first byte of a value; returns what is behind its last. */
static const char *
skip_value(const char *at, const char *end)
{
	if (*at == '"')
		return skip_string(at, end);
	if (*at == '{' || *at == '[')
		return skip_container(at, end);
	while (at < end && *at != ',' && *at != ']' && *at != '}' && !jsontext_is_space(*at))
		at++;
	return at;
}

enum jsonspan_type
jsonspan_type(struct span value)
{
	switch (*value.at) {
	case 'n': return JSONSPAN_NULL;
	case 'f': return JSONSPAN_FALSE;
	case 't': return JSONSPAN_TRUE;
	case '"': return JSONSPAN_STRING;
	case '[': return JSONSPAN_ARRAY;
	case '{': return JSONSPAN_OBJECT;
	default: break;
	}
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] == '.' || value.at[i] == 'e' || value.at[i] == 'E')
			return JSONSPAN_REAL;
	}
	return JSONSPAN_INTEGER;
}

size_t
jsonspan_count(struct span value)
{
	const char *at = value.at, *end = value.at + value.len, *inside;
	size_t n = 1;

	/* Each comma stands before one more value, and each container that is not empty has one without a comma. */
	while (at < end) {
		switch (*at) {
		case '"': at = skip_string(at, end); continue;
		case '[':
		case '{':
			inside = jsontext_space(at + 1, end);
			n += *inside != ']' && *inside != '}';
			break;
		case ',': n++; break;
		}
		at++;
	}
	return n;
}

void
jsonspan_iter_init(struct jsonspan_iter *iter, struct span container)
{
	iter->at = iter->end = container.at;
	if (container.len > 0 && (*container.at == '[' || *container.at == '{')) {
		iter->at = container.at + 1;
		iter->end = container.at + container.len - 1;
	}
}

/* Cuts the value at iter->at and goes on behind the comma that may follow. */
static struct span
iter_cut(struct jsonspan_iter *iter)
{
	const char *begin = iter->at, *end = skip_value(begin, iter->end);

	iter->at = jsontext_space(end, iter->end);
	if (iter->at < iter->end)
		iter->at++;
	return (struct span){begin, (size_t)(end - begin)};
}

bool
jsonspan_next(struct jsonspan_iter *iter, struct span *ret_value)
{
	iter->at = jsontext_space(iter->at, iter->end);
	if (iter->at == iter->end)
		return false;
	*ret_value = iter_cut(iter);
	return true;
}

bool
jsonspan_next_member(struct jsonspan_iter *iter, struct span *ret_key, struct span *ret_value)
{
	const char *begin, *end;

	begin = jsontext_space(iter->at, iter->end);
	if (begin == iter->end)
		return false;
	end = skip_string(begin, iter->end);
	*ret_key = (struct span){begin, (size_t)(end - begin)};
	iter->at = jsontext_space(jsontext_space(end, iter->end) + 1, iter->end);
	*ret_value = iter_cut(iter);
	return true;
}

size_t
jsonspan_length(struct span container)
{
	struct jsonspan_iter iter;
	struct span key, value;
	size_t n = 0;

	jsonspan_iter_init(&iter, container);
	if (*container.at == '{') {
		while (jsonspan_next_member(&iter, &key, &value))
			n++;
	} else {
		while (jsonspan_next(&iter, &value))
			n++;
	}
	return n;
}

bool
jsonspan_get(struct span object, const char *name, struct span *ret_value)
{
	struct jsonspan_iter iter;
	struct span key, value;

	if (object.len == 0 || *object.at != '{')
		return false;
	jsonspan_iter_init(&iter, object);
	while (jsonspan_next_member(&iter, &key, &value)) {
		if (jsonspan_is(key, name)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

bool
jsonspan_is(struct span value, const char *text)
{
	const char *at, *end, *piece;
	char held[4];
	size_t n;

	if (value.len < 2 || *value.at != '"')
		return false;
	end = value.at + value.len - 1;
	for (at = value.at + 1; at < end;) {
		piece = at++;
		n = 1;
		if (*piece == '\\') {
			at = jsontext_unescape(piece, held, &n);
			piece = held;
		}
		/* No piece holds a NUL, so the end of text differs from all. */
		for (size_t i = 0; i < n; i++) {
			if (*text++ != piece[i])
				return false;
		}
	}
	return *text == '\0';
}

int
jsonspan_integer(struct span value, int64_t *ret)
{
	const char *at = value.at, *end = value.at + value.len;
	bool negative = *at == '-';
	uint64_t magnitude = 0;

	for (at += negative; at < end; at++) {
		if (!jsontext_is_digit(*at))
			return -1;
		magnitude = magnitude * 10 + (uint64_t)(*at - '0');
	}
	*ret = negative ? (int64_t)-magnitude : (int64_t)magnitude;
	return 0;
}

int
jsonspan_number(struct span value, double *ret)
{
	if (*value.at != '-' && !jsontext_is_digit(*value.at))
		return -1;
	*ret = jsontext_number(value);
	return 0;
}

int
jsonspan_bool(struct span value, bool *ret)
{
	if (*value.at != 't' && *value.at != 'f')
		return -1;
	*ret = *value.at == 't';
	return 0;
}

/* Unescapes the inside of a string to out, which has room for as many bytes as it has; returns how many came. */
static size_t
unescape(struct span inside, char *out)
{
	const char *at = inside.at, *end = inside.at + inside.len, *backslash;
	char *to = out, held[4];
	size_t n;

	for (;;) {
		backslash = memchr(at, '\\', (size_t)(end - at));
		n = (size_t)((backslash != NULL ? backslash : end) - at);
		memcpy(to, at, n);
		to += n;
		if (backslash == NULL)
			return (size_t)(to - out);
		/* No escape means more bytes than it is written with. */
		at = jsontext_unescape(backslash, held, &n);
		memcpy(to, held, n);
		to += n;
	}
}

/* How many bytes the inside of a string means. */
static size_t
unescaped_length(struct span inside)
{
	const char *at = inside.at, *end = inside.at + inside.len;
	char held[4];
	size_t len = inside.len, n;

	while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
		const char *behind = jsontext_unescape(at, held, &n);

		len -= (size_t)(behind - at) - n;
		at = behind;
	}
	return len;
}

int
jsonspan_string(struct span value, char **ret_text, size_t *ret_len)
{
	char *text;
	size_t len;

	if (*value.at != '"')
		return -1;
	text = malloc(value.len - 1);
	if (text == NULL)
		return -2;
	len = unescape((struct span){value.at + 1, value.len - 2}, text);
	text[len] = '\0';
	*ret_text = text;
	if (ret_len != NULL)
		*ret_len = len;
	return 0;
}

int
jsonspan_string_copy(struct span value, char *buf, size_t size)
{
	struct span inside;

	if (*value.at != '"')
		return -1;
	inside = (struct span){value.at + 1, value.len - 2};
	if (unescaped_length(inside) >= size)
		return -2;
	buf[unescape(inside, buf)] = '\0';
	return 0;
}

/* What a byte is written as behind a backslash, 0 where it has no short escape. */
static char
short_escape(unsigned char byte)
{
	switch (byte) {
	case '"': return '"';
	case '\\': return '\\';
	case '\b': return 'b';
	case '\f': return 'f';
	case '\n': return 'n';
	case '\r': return 'r';
	case '\t': return 't';
	default: return '\0';
	}
}

size_t
jsonspan_quote(const char *text, size_t len, char *out)
{
	static const char hex[] = "0123456789abcdef";
	char *to = out, escape;

	*to++ = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte >= ' ' && byte != '"' && byte != '\\') {
			*to++ = (char)byte;
			continue;
		}
		*to++ = '\\';
		escape = short_escape(byte);
		if (escape != '\0') {
			*to++ = escape;
			continue;
		}
		memcpy(to, "u00", 3); /* NOLINT(bugprone-not-null-terminated-result): more follows */
		to[3] = hex[byte >> 4];
		to[4] = hex[byte & 15];
		to += 5;
	}
	*to++ = '"';
	return (size_t)(to - out);
}

bool
jsonspan_is_text(const char *bytes, size_t len)
{
	const char *at = bytes, *end = bytes + len;
	size_t n;

	while (at < end) {
		if (end - at >= 8) {
			uint64_t word = bytes_load(at);

			if ((word & BYTES_HIGH) == 0 && bytes_equal(word, '\0') == 0) {
				at += 8;
				continue;
			}
		}
		n = (unsigned char)*at < 0x80 ? *at != '\0' : utf8_length(at, end);
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}
