/*
 * fuzz: what the fuzz targets share: an input that is eaten byte by byte, checks that end the process, a folder.
 *
 * A target is one file with LLVMFuzzerTestOneInput(), which must do the same each time for the same bytes and leave
 * nothing behind in memory. libFuzzer calls it where the build is configured with --enable-fuzzing; else replay.c
 * calls it once for each file of the corpus. What is found wrong ends the process by abort(), so both of them see it.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/jsonspan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Once, before the first input; targets that need none leave it out. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

void fuzz_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
#define FUZZ_CHECK(condition, ...) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, __VA_ARGS__))

/* What is left of an input; past its end come zeros. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};
uint8_t fuzz_byte(struct fuzz_input *input);
/* At most n bytes, fewer at the end. They are the input's. */
struct span fuzz_take(struct fuzz_input *input, size_t n);
/* Up to the next '\n', which is eaten; false at the end of the input. */
bool fuzz_line(struct fuzz_input *input, struct span *ret_line);

/* A copy in a block of just its size, so that a sanitizer sees a single byte read too far. To free by fuzz_release(). */
struct span fuzz_tight(struct span bytes);
void fuzz_release(struct span bytes);

/* A folder of this process's own below $TMPDIR; it goes at exit() with all that is in it. */
const char *fuzz_folder(void);
void fuzz_empty_folder(void);
/* Writes a file whole; bytes.at NULL: removes it. */
void fuzz_spill(const char *path, struct span bytes);

#endif
