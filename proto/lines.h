/*
 * lines: cuts a byte stream into lines that end in '\n', without ever scanning a byte twice.
 *
 * The caller keeps the bytes (an evbuffer, a ring, a plain array); a struct lines only remembers how far it has looked.
 * Pure.
 */
#ifndef PROTO_LINES_H
#define PROTO_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
	size_t scanned; /* bytes from the start of the current line that hold no '\n' */
	size_t max;     /* longest line accepted, its '\n' not counted */
};

enum lines_verdict {
	LINES_MORE,     /* no whole line yet */
	LINES_LINE,     /* *ret_len bytes are one line, its '\n' follows */
	LINES_TOO_LONG, /* the line is longer than max */
};

void lines_init(struct lines *lines, size_t max);
/*
 * Looks at chunk, which continues exactly where the last call stopped (the caller skips lines->scanned bytes of the
 * current line). LINES_LINE: the line's whole length from its start is *ret_len and scanning starts anew behind its
 * '\n'.
 */
enum lines_verdict lines_scan(struct lines *lines, const char *chunk, size_t len, size_t *ret_len);

/* Whether a connection may begin with this byte: white space or the start of a JSON value. */
bool lines_may_begin(unsigned char byte);

#endif
