/*
 * bytes: eight bytes of text looked at in one machine word. Pure arithmetic, any byte order; internal to proto/.
 *
 * A mask has the high bit of each byte that was found; the first byte of the text is the lowest of the word.
 */
#ifndef PROTO_BYTES_H
#define PROTO_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_ALL(b) (UINT64_C(0x0101010101010101) * (b))
#define BYTES_HIGH   BYTES_ALL(0x80)
#define BYTES_LOW    BYTES_ALL(0x7f)

static inline uint64_t
bytes_load(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return le64toh(word);
}

/* Bytes equal to b. */
static inline uint64_t
bytes_equal(uint64_t word, unsigned char b)
{
	word ^= BYTES_ALL(b);
	return ~(((word & BYTES_LOW) + BYTES_LOW) | word) & BYTES_HIGH;
}

/* Bytes that may not stand in a string as they are, or need a closer look: control, quote, backslash, above ASCII. */
static inline uint64_t
bytes_special(uint64_t word)
{
	uint64_t control = ~((word & BYTES_LOW) + BYTES_ALL(0x60)) & BYTES_HIGH;

	return control | bytes_equal(word, '"') | bytes_equal(word, '\\') | (word & BYTES_HIGH);
}

/* Bytes that are no decimal digit. */
static inline uint64_t
bytes_no_digit(uint64_t word)
{
	word ^= BYTES_ALL('0');
	return (((word & BYTES_LOW) + BYTES_ALL(0x76)) | word) & BYTES_HIGH;
}

/* Where the first byte of a mask stands, 0 to 7; mask is not 0. */
static inline unsigned
bytes_first(uint64_t mask)
{
	return (unsigned)__builtin_ctzll(mask) / 8;
}

#endif
