/*
 * fuzz: see fuzz.h.
 */
#include "tests/fuzz/fuzz.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/mem.h"

#define FUZZ_DESCRIPTORS 16 /* of nftw(3) */

void
fuzz_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s:%d: ", file, line);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

/* ---- input ------------------------------------------------------------------------------------------------------ */

uint8_t
fuzz_byte(struct fuzz_input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

struct span
fuzz_take(struct fuzz_input *input, size_t n)
{
	struct span bytes = {(const char *)input->at, n < input->left ? n : input->left};

	input->at += bytes.len;
	input->left -= bytes.len;
	return bytes;
}

bool
fuzz_line(struct fuzz_input *input, struct span *ret_line)
{
	const uint8_t *end;

	if (input->left == 0)
		return false;
	end = memchr(input->at, '\n', input->left);
	*ret_line = fuzz_take(input, end != NULL ? (size_t)(end - input->at) : input->left);
	fuzz_byte(input);
	return true;
}

struct span
fuzz_tight(struct span bytes)
{
	char *block = malloc(bytes.len > 0 ? bytes.len : 1);

	FUZZ_CHECK(block != NULL, "out of memory");
	if (bytes.len > 0)
		memcpy(block, bytes.at, bytes.len);
	return (struct span){block, bytes.len};
}

void
fuzz_release(struct span bytes)
{
	free((char *)(uintptr_t)bytes.at);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static char *fuzz_place;

static int
fuzz_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	if (at->level > 0)
		return kind == FTW_DP ? rmdir(path) : unlink(path);
	return 0;
}

void
fuzz_empty_folder(void)
{
	FUZZ_CHECK(nftw(fuzz_folder(), fuzz_remove, FUZZ_DESCRIPTORS, FTW_DEPTH | FTW_PHYS) == 0,
	    "%s cannot be emptied", fuzz_folder());
}

static void
fuzz_remove_folder(void)
{
	nftw(fuzz_place, fuzz_remove, FUZZ_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
	rmdir(fuzz_place);
	free(fuzz_place);
	fuzz_place = NULL;
}

const char *
fuzz_folder(void)
{
	const char *below = getenv("TMPDIR");

	if (fuzz_place != NULL)
		return fuzz_place;
	fuzz_place = mem_format("%s/fuzz.XXXXXX", below != NULL ? below : "/tmp");
	FUZZ_CHECK(mkdtemp(fuzz_place) != NULL, "no folder can be made: %s", fuzz_place);
	atexit(fuzz_remove_folder);
	return fuzz_place;
}

void
fuzz_spill(const char *path, struct span bytes)
{
	FILE *file;

	unlink(path);
	if (bytes.at == NULL)
		return;
	file = fopen(path, "we");
	FUZZ_CHECK(file != NULL && fwrite(bytes.at, 1, bytes.len, file) == bytes.len && fclose(file) == 0,
	    "%s cannot be written", path);
}
