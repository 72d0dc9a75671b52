/*
 * fuzz_store: a store of ours that somebody else has had in hands: it is opened, recovered and used (tests/fault/full_store.h
 * says how, and what is asserted of what it shows).
 *
 * The first byte chooses what it was: 0 at rest, 1 with much in its log, 2 nothing at all, the input being the file; 3, and
 * the input is SQL that another program has carried out in it. For 0 and 1 the rest are damages, six bytes each: whether of
 * the log, how, where (two bytes in 1/65536 of the file), and what with.
 *
 * Besides: what was refused is left as it was, and what was opened is opened a second time.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"
#include "tests/fault/full_store.h"
#include "tests/fuzz/fuzz.h"

#define JOBS	  80
#define PAGE	  4096
#define SQL_STEPS 20000 /* of SQLite's machine: nothing takes for ever */
#define SQL_BYTES 100000

static struct store_image images[2];
static char *path;

/* ---- damages ---------------------------------------------------------------------------------------------------- */

static void
damage(char *bytes, size_t *len, struct fuzz_input *input)
{
	unsigned how = fuzz_byte(input), high = fuzz_byte(input), low = fuzz_byte(input), what = fuzz_byte(input);
	size_t at, n;

	if (*len == 0)
		return;
	at = (size_t)((high << 8 | low) * (uint64_t)*len >> 16);
	switch (how % 6) {
	case 0: bytes[at] = (char)(bytes[at] ^ 1 << what % 8); break;
	case 1: bytes[at] = (char)what; break;
	case 2: *len = at; break;
	case 3: /* the rest of a page is one byte */
		for (n = at; n < *len && (n == at || n % PAGE != 0); n++)
			bytes[n] = (char)what;
		break;
	case 4: /* a page is another one */
		at -= at % PAGE;
		n = what * (size_t)PAGE;
		if (at + PAGE <= *len && n + PAGE <= *len)
			memmove(bytes + at, bytes + n, PAGE);
		break;
	default: /* near the beginning: the header and the schema */
		bytes[(high << 8 | low) % (*len < PAGE ? *len : PAGE)] = (char)what;
		break;
	}
}

static void
write_damaged(const struct store_image *image, struct fuzz_input *input)
{
	struct store_image damaged = *image;

	damaged.db = mem_copy(image->db, image->db_len);
	damaged.wal = image->wal != NULL ? mem_copy(image->wal, image->wal_len) : NULL;
	while (input->left > 0) {
		bool of_log = fuzz_byte(input) % 2 != 0;

		if (of_log && damaged.wal != NULL)
			damage(damaged.wal, &damaged.wal_len, input);
		else
			damage(damaged.db, &damaged.db_len, input);
	}
	full_store_write(path, &damaged);
	full_store_free_image(&damaged);
}

/* ---- SQL -------------------------------------------------------------------------------------------------------- */

static int
stop(void *arg)
{
	(void)arg;
	return 1;
}

/* It stays in this file. */
static int
authorize(void *arg, int action, const char *first, const char *second, const char *database, const char *trigger)
{
	(void)arg;
	(void)second;
	(void)database;
	(void)trigger;
	if (action == SQLITE_ATTACH || (action == SQLITE_PRAGMA && first != NULL && strstr(first, "directory") != NULL))
		return SQLITE_DENY;
	return SQLITE_OK;
}

static void
write_changed(struct span sql)
{
	char *text = mem_copy(sql.at, sql.len);
	sqlite3 *sqlite;

	full_store_write(path, &images[0]);
	FUZZ_CHECK(sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK, "it cannot be opened");
	sqlite3_limit(sqlite, SQLITE_LIMIT_LENGTH, SQL_BYTES);
	sqlite3_set_authorizer(sqlite, authorize, NULL);
	sqlite3_progress_handler(sqlite, SQL_STEPS, stop, NULL);
	sqlite3_exec(sqlite, text, NULL, NULL, NULL); /* whatever comes of it */
	sqlite3_close(sqlite);
	free(text);
}

/* ---- play ------------------------------------------------------------------------------------------------------- */

static enum full_store_came
try(bool desc)
{
	struct full_store_wrong wrong;
	enum full_store_came came = full_store_try(path, JOBS, desc, &wrong);

	FUZZ_CHECK(came != FULL_STORE_WRONG, "%s (job %lld)", wrong.what, (long long)wrong.job);
	return came;
}

static bool
is_same(const struct store_image *a, const struct store_image *b)
{
	return a->db_len == b->db_len && a->wal_len == b->wal_len && (a->db_len == 0 || memcmp(a->db, b->db, a->db_len) == 0) &&
	    (a->wal_len == 0 || memcmp(a->wal, b->wal, a->wal_len) == 0);
}

static void
play(bool desc)
{
	struct store_image before = full_store_read(path), after;

	if (try(desc) == FULL_STORE_REFUSED) {
		after = full_store_read(path);
		FUZZ_CHECK(is_same(&before, &after), "what was refused is not as it was: %zu, %zu bytes, then %zu, %zu", before.db_len,
		    before.wal_len, after.db_len, after.wal_len);
		full_store_free_image(&after);
	} else {
		try(!desc);
	}
	full_store_free_image(&before);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	path = mem_format("%s/db", fuzz_folder());
	full_store_make(path, JOBS, images);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	unsigned what = fuzz_byte(&input);
	struct store_image image = {NULL, NULL, 0, 0};
	struct span rest;

	fuzz_empty_folder();
	switch (what % 4) {
	case 0:
	case 1: write_damaged(&images[what % 4], &input); break;
	case 2:
		rest = fuzz_take(&input, SIZE_MAX);
		image.db = mem_copy(rest.at, rest.len);
		image.db_len = rest.len;
		full_store_write(path, &image);
		full_store_free_image(&image);
		break;
	default: write_changed(fuzz_take(&input, SIZE_MAX)); break;
	}
	play(size % 2);
	return 0;
}
