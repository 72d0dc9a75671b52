/*
 * text: see text.h.
 */
#include "daemon/text.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/mem.h"

void
text_done(struct text *text)
{
	free(text->at);
	*text = (struct text){0};
}

void
text_clear(struct text *text)
{
	text->len = 0;
}

struct span
text_span(const struct text *text)
{
	return (struct span){text->at, text->len};
}

char *
text_steal(struct text *text, size_t *ret_len)
{
	char *at = text->at != NULL ? text->at : mem_copy("", 0);

	*ret_len = text->len;
	*text = (struct text){0};
	return at;
}

char *
text_room(struct text *text, size_t len)
{
	if (text->capacity - text->len < len) {
		size_t capacity = text->capacity ? text->capacity : 256;

		while (capacity - text->len < len)
			capacity *= 2;
		text->at = mem_grow(text->at, capacity, 1);
		text->capacity = capacity;
	}
	return text->at + text->len;
}

void
text_add(struct text *text, const char *bytes, size_t len)
{
	char *at = text_room(text, len);

	if (len > 0)
		memcpy(at, bytes, len);
	text->len += len;
}

void
text_add_span(struct text *text, struct span span)
{
	text_add(text, span.at, span.len);
}

void
text_add_cstr(struct text *text, const char *cstr)
{
	text_add(text, cstr, strlen(cstr));
}

void
text_add_char(struct text *text, char c)
{
	*text_room(text, 1) = c;
	text->len++;
}

void
text_add_integer(struct text *text, int64_t value)
{
	char digits[24];
	char *at = digits + sizeof(digits);
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do {
		*--at = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (value < 0)
		*--at = '-';
	text_add(text, at, (size_t)(digits + sizeof(digits) - at));
}

void
text_add_seconds_us(struct text *text, int64_t us)
{
	char fraction[8];
	size_t len = 6;

	text_add_integer(text, us / 1000000);
	snprintf(fraction, sizeof(fraction), "%06d", (int)(us % 1000000));
	while (len > 0 && fraction[len - 1] == '0')
		len--;
	if (len == 0)
		return;
	text_add_char(text, '.');
	text_add(text, fraction, len);
}

void
text_add_seconds_ms(struct text *text, int64_t ms)
{
	text_add_seconds_us(text, ms * 1000);
}

void
text_add_time(struct text *text, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (ms < 0) {
		text_add_lit(text, "null");
		return;
	}
	gmtime_r(&seconds, &tm);
	text_printf(text, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, (int)(ms % 1000));
}

void
text_add_quoted_n(struct text *text, const char *bytes, size_t len)
{
	text->len += jsonspan_quote(bytes, len, text_room(text, JSONSPAN_QUOTED_MAX(len)));
}

void
text_add_quoted(struct text *text, const char *cstr)
{
	if (cstr == NULL)
		text_add_lit(text, "null");
	else
		text_add_quoted_n(text, cstr, strlen(cstr));
}

void
text_printf(struct text *text, const char *format, ...)
{
	char buf[512];
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(buf, sizeof(buf), format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(buf)) {
		text_add(text, buf, (size_t)n);
	} else if (n >= 0) {
		char *at = text_room(text, (size_t)n + 1);

		vsnprintf(at, (size_t)n + 1, format, again);
		text->len += (size_t)n;
	}
	va_end(again);
}

void
text_add_bytes(struct text *text, const char *name, const char *encoding_name, const char *bytes, size_t len)
{
	bool plain = jsonspan_is_text(bytes, len);
	char *at;

	text_printf(text, "\"%s\":", name);
	if (plain) {
		text_add_quoted_n(text, bytes, len);
	} else {
		text_add_char(text, '"');
		at = text_room(text, (len + 2) / 3 * 4 + 1);
		text->len += (size_t)EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)bytes, (int)len);
		text_add_char(text, '"');
	}
	text_printf(text, ",\"%s\":\"%s\"", encoding_name, plain ? "utf-8" : "base64");
}
