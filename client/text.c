/*
 * A growing buffer of bytes. Pure but for its memory; without memory it keeps what it had and says so in failed.
 */
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/jsonspan.h"

#define TEXT_FIRST 256
#define TEXT_KEPT  65536

void text_done(struct text *text)
{
	free(text->at);
	*text = (struct text){0};
}

void text_clear(struct text *text)
{
	if (text->room > TEXT_KEPT || text->failed) {
		text_done(text);
		return;
	}
	text->len = 0;
	if (text->at != NULL)
		text->at[0] = '\0';
}

const char *text_string(const struct text *text)
{
	return text->at != NULL ? text->at : "";
}

char *text_take(struct text *text)
{
	char *taken = NULL;

	text_add(text, "", 0);
	if (!text->failed) {
		taken = text->at;
		text->at = NULL;
	}
	text_done(text);
	return taken;
}

char *text_reserve(struct text *text, size_t len)
{
	size_t room = text->room < TEXT_FIRST ? TEXT_FIRST : text->room;
	char *at;

	if (text->failed)
		return NULL;
	if (len > SIZE_MAX / 4 || text->len > SIZE_MAX / 4) {
		text->failed = true;
		return NULL;
	}
	while (room < text->len + len + 1)
		room *= 2;
	if (room != text->room) {
		at = realloc(text->at, room);
		if (at == NULL) {
			text->failed = true;
			return NULL;
		}
		text->at = at;
		text->room = room;
	}
	return text->at + text->len;
}

void text_add(struct text *text, const char *bytes, size_t len)
{
	char *at = text_reserve(text, len);

	if (at == NULL)
		return;
	if (len > 0)
		memcpy(at, bytes, len);
	at[len] = '\0';
	text->len += len;
}

void text_add_string(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_add_format(struct text *text, const char *format, ...)
{
	va_list args;
	char *at;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	at = len < 0 ? NULL : text_reserve(text, (size_t)len);
	if (at == NULL) {
		text->failed = true;
		return;
	}
	va_start(args, format);
	vsnprintf(at, (size_t)len + 1, format, args);
	va_end(args);
	text->len += (size_t)len;
}

void text_add_number(struct text *text, double number)
{
	char digits[64];
	const char *at;
	bool point = false;

	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, number);
		if (strtod(digits, NULL) == number)
			break;
	}
	/* The locale's decimal point may be any character, of several bytes too. */
	for (at = digits; *at != '\0'; at++) {
		if (strchr("0123456789+-e", *at) != NULL) {
			text_add(text, at, 1);
		} else if (!point) {
			text_add(text, ".", 1);
			point = true;
		}
	}
}

int text_add_quoted(struct text *text, const char *bytes, size_t len)
{
	char *at;
	size_t written;

	if (!jsonspan_is_text(bytes, len))
		return -1;
	if (len > SIZE_MAX / 8) {
		text->failed = true;
		return 0;
	}
	at = text_reserve(text, JSONSPAN_QUOTED_MAX(len));
	if (at == NULL)
		return 0;
	written = jsonspan_quote(bytes, len, at);
	at[written] = '\0';
	text->len += written;
	return 0;
}

void text_add_base64(struct text *text, const char *bytes, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *)bytes;
	char *at = text_reserve(text, len / 3 * 4 + 4);
	uint32_t group;
	size_t left;

	if (at == NULL)
		return;
	for (left = len; left > 0; at += 4) {
		group = (uint32_t)in[0] << 16 | (left > 1 ? (uint32_t)in[1] << 8 : 0) | (left > 2 ? in[2] : 0);
		at[0] = alphabet[group >> 18];
		at[1] = alphabet[group >> 12 & 63];
		at[2] = left > 1 ? alphabet[group >> 6 & 63] : '=';
		at[3] = left > 2 ? alphabet[group & 63] : '=';
		in += left > 3 ? 3 : left;
		left -= left > 3 ? 3 : left;
	}
	*at = '\0';
	text->len = (size_t)(at - text->at);
}

static int text_base64_digit(char digit)
{
	if (digit >= 'A' && digit <= 'Z')
		return digit - 'A';
	if (digit >= 'a' && digit <= 'z')
		return digit - 'a' + 26;
	if (digit >= '0' && digit <= '9')
		return digit - '0' + 52;
	if (digit == '+')
		return 62;
	return digit == '/' ? 63 : -1;
}

long text_unbase64(char *text, size_t len)
{
	uint32_t group = 0;
	size_t out = 0, padding = 0;
	int digit;

	if (len % 4 != 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		digit = text_base64_digit(text[i]);
		if (text[i] == '=' && i + 2 >= len)
			padding++;
		else if (digit < 0 || padding > 0)
			return -1;
		group = group << 6 | (uint32_t)(digit < 0 ? 0 : digit);
		if (i % 4 != 3)
			continue;
		text[out++] = (char)(group >> 16 & 0xff);
		text[out++] = (char)(group >> 8 & 0xff);
		text[out++] = (char)(group & 0xff);
	}
	return (long)(out - padding);
}
