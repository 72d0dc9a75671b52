/*
 * text: a growing run of bytes in which replies are written by hand. No threads of its own.
 */
#ifndef DAEMON_TEXT_H
#define DAEMON_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/jsonspan.h"

/* Zeroed at first; at is not NUL-terminated. */
struct text {
	char *at;
	size_t len, capacity;
};

void text_done(struct text *text);
void text_clear(struct text *text); /* keeps the memory */
struct span text_span(const struct text *text);
/* Hands the bytes over: the caller frees them. text is empty then. */
char *text_steal(struct text *text, size_t *ret_len);

/* Room for len more bytes: where to write them; the caller adds to len what it wrote. */
char *text_room(struct text *text, size_t len);

void text_add(struct text *text, const char *bytes, size_t len);
#define text_add_lit(text, lit) text_add((text), (lit), sizeof(lit) - 1)
void text_add_span(struct text *text, struct span span);
void text_add_cstr(struct text *text, const char *cstr);
void text_add_char(struct text *text, char c);
void text_add_integer(struct text *text, int64_t value);
/* Seconds with up to three (six for _us) digits, no trailing zeros: 1500 → 1.5. */
void text_add_seconds_ms(struct text *text, int64_t ms);
void text_add_seconds_us(struct text *text, int64_t us);
/* "2026-11-21T02:30:00.123Z" with quotes; null when ms is negative. */
void text_add_time(struct text *text, int64_t ms);
/* As a JSON string with quotes; text must be UTF-8. null for NULL. */
void text_add_quoted(struct text *text, const char *cstr);
void text_add_quoted_n(struct text *text, const char *bytes, size_t len);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The contract's Bytes: "NAME":…,"ENCODING_NAME":"utf-8" or "base64" (no comma before or behind). */
void text_add_bytes(struct text *text, const char *name, const char *encoding_name, const char *bytes, size_t len);

#endif
