/*
 * text: a growing buffer of bytes, for building JSON and tables.
 *
 * Running out of memory is remembered in failed and makes all later additions do nothing, so that a caller may check
 * once at the end. What stands in it is always followed by a NUL. Zeroes are an empty text.
 */
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *at; /* NULL until something was added: use text_string() */
	size_t len;
	size_t room;
	bool failed;
};

void text_done(struct text *text);
/* Empties it and keeps its memory, or gives it back where it is over 64 KiB. failed is forgotten. */
void text_clear(struct text *text);
const char *text_string(const struct text *text);
/* The bytes as a string of the caller's own (free()), or NULL without memory; the text is empty after it either way. */
char *text_take(struct text *text);

/* Room for len more bytes behind the end, or NULL; the caller writes them and adds to text->len itself. */
char *text_reserve(struct text *text, size_t len);
void text_add(struct text *text, const char *bytes, size_t len);
void text_add_string(struct text *text, const char *string);
void text_add_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A number as JSON has it, whatever the locale; the shortest that means the same. It must be finite. */
void text_add_number(struct text *text, double number);
/* A JSON string with its quotes. -1 and nothing added when the bytes are not UTF-8 or hold a NUL. */
int text_add_quoted(struct text *text, const char *bytes, size_t len);
/* Base64 (RFC 4648, padded), without quotes. */
void text_add_base64(struct text *text, const char *bytes, size_t len);

/* Decodes base64 in place (text of len characters becomes the returned number of bytes), or -1 where it is none. */
long text_unbase64(char *text, size_t len);

#endif
