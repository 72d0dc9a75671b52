/*
 * jsonspan: JSON as a validated span of bytes.
 *
 * The daemon never builds a tree of what users hand it (16 MiB of "{}," would become a gigabyte); it checks the bytes
 * once, cuts them where it needs to, and passes them on untouched.  What counts as JSON here is the contract's: nesting
 * up to JSONSPAN_DEPTH, no duplicate keys, no NUL in strings (nor as \u0000), valid UTF-8, no lone surrogates, integers
 * within int64, reals that a double can hold.
 *
 * Pure: no I/O, no globals.  Memory is allocated only for the keys of large objects while they are checked, and by
 * jsonspan_string.
 */
#ifndef PROTO_JSONSPAN_H
#define PROTO_JSONSPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONSPAN_DEPTH       64
#define JSONSPAN_REPLY_DEPTH 72

/* Bytes that somebody else owns; they live as long as their owner says. */
struct span {
	const char *at;
	size_t len;
};

#define SPAN_LIT(s) ((struct span){(s), sizeof(s) - 1})
#define SPAN_NONE   ((struct span){NULL, 0})

enum jsonspan_type {
	JSONSPAN_NULL,
	JSONSPAN_FALSE,
	JSONSPAN_TRUE,
	JSONSPAN_INTEGER,
	JSONSPAN_REAL,
	JSONSPAN_STRING,
	JSONSPAN_ARRAY,
	JSONSPAN_OBJECT,
};

/* What was wrong, for the message a user sees: a static English phrase and the offset of the byte. */
struct jsonspan_error {
	const char *what;
	size_t offset;
};

/*
 * Validates that text is exactly one JSON value, white space around it allowed.  Returns 0 and, where ret_value is not
 * NULL, the value without the white space, or -1 with *ret_error filled (may be NULL).  Time is linear (n log n in the
 * members of one object).  2 GiB and more are refused; so is (as "out of memory") an object whose keys there is no
 * memory to compare.
 */
int jsonspan_validate(struct span text, struct span *ret_value, struct jsonspan_error *ret_error);
/* The same for what a server sends: there a job's args and result may stand a few levels deeper than in the request. */
int jsonspan_validate_reply(struct span text, struct span *ret_value, struct jsonspan_error *ret_error);

/*
 * The functions below take only spans of values that were accepted above (the whole, or cut out of it by these
 * functions); they do not check again.
 */

enum jsonspan_type jsonspan_type(struct span value);

/*
 * How many values stand in value, itself included (each array element and member value is one). Never more than len / 2
 * + 1, so that short ones need not be counted to be known as few.
 */
size_t jsonspan_count(struct span value);

/* Elements of an array, or members of an object, in order; a cursor lives on the stack and owns nothing. */
struct jsonspan_iter {
	const char *at;
	const char *end;
};
/* A container that is a scalar has no elements. */
void jsonspan_iter_init(struct jsonspan_iter *iter, struct span container);
/* Next element of an array: true and *ret_value, or false at the end. */
bool jsonspan_next(struct jsonspan_iter *iter, struct span *ret_value);
/* Next member of an object: the key span includes its quotes.  false at the end. */
bool jsonspan_next_member(struct jsonspan_iter *iter, struct span *ret_key, struct span *ret_value);
/* Number of direct elements or members. */
size_t jsonspan_length(struct span container);

/* The value of a member by its name; false when object has none, or is no object. */
bool jsonspan_get(struct span object, const char *name, struct span *ret_value);

/* Whether value is a string (with its quotes, as a key span too) that means exactly text, compared after unescaping. */
bool jsonspan_is(struct span value, const char *text);

/* Scalars: 0 and *ret, or -1 when the value has another type. An integer is a number too; 1.0 and 1e3 are no integers.
 */
int jsonspan_integer(struct span value, int64_t *ret);
int jsonspan_number(struct span value, double *ret);
int jsonspan_bool(struct span value, bool *ret);
/*
 * Unescapes a string into a new NUL-terminated buffer that the caller frees with free(); *ret_len (may be NULL) its
 * length. -1 when value is no string; memory failure returns -2.
 */
int jsonspan_string(struct span value, char **ret_text, size_t *ret_len);
/* The same into buf of size bytes, with its NUL; -1 when value is no string, -2 when it does not fit (buf is untouched
 * then). */
int jsonspan_string_copy(struct span value, char *buf, size_t size);

/*
 * Writes text as a JSON string with quotes (text must be valid UTF-8 without NUL) to out, which has room for
 * JSONSPAN_QUOTED_MAX(len) bytes; returns how many were written. No NUL is added.
 */
#define JSONSPAN_QUOTED_MAX(len) ((len)*6 + 2)
size_t jsonspan_quote(const char *text, size_t len, char *out);

/* Whether the bytes are valid UTF-8 without NUL: then they travel as text, else as base64 (the contract's "Bytes"). */
bool jsonspan_is_text(const char *bytes, size_t len);

#endif
