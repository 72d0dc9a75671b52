/*
 * sound: whether what stands in a row can be what was written there. SQLite notices damage to its own structure; a bit that has turned in
 * a text, a number or a NULL it hands on. The rest of the daemon relies on values that are JSON and texts that are UTF-8, and looks into
 * them without checking again: so they are looked at as they come out of the file.
 */
#include "db.h"

#include <string.h>

#include "daemon/clock.h"

#define SOUND_ROWS 256	  /* at a time */
#define SOUND_US   100000 /* some 100,000 jobs; those behind show when they are read */

bool
sq_sound_json(struct span value)
{
	return value.at != NULL && jsonspan_validate_reply(value, NULL, NULL) == 0;
}

bool
sq_sound_text(const char *text)
{
	return text == NULL || jsonspan_is_text(text, strlen(text));
}

const char *
sq_unsound_spec(const struct spec *spec)
{
	if (spec->id < 1 || spec->id > SELECTION_ID_MAX)
		return "its id";
	if (spec->task == NULL)
		return "its task";
	if (!sq_sound_text(spec->label))
		return "its label";
	if (!sq_sound_text(spec->key))
		return "its key";
	if (!sq_sound_text(spec->webhook))
		return "its webhook";
	if (spec->after.at != NULL && (!sq_sound_json(spec->after) || jsonspan_type(spec->after) != JSONSPAN_ARRAY))
		return "its parents";
	if (spec->args.at != NULL && !sq_sound_json(spec->args))
		return "its args";
	return NULL;
}

/* As many rows stand in the five places as in job; that each job has one the scan has seen. */
static int
sound_count(struct sq_db *db, const char *sql, int64_t *ret_count)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*ret_count = sqlite3_column_int64(statement, 0);
	else
		sq_fail(db, rc);
	sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? 0 : -1;
}

static int
sound_places(struct sq_db *db)
{
	static const char jobs_sql[] = "SELECT count(*) FROM job";
	static const char places_sql[] = "SELECT (SELECT total(count) FROM ready) + (SELECT count(*) FROM delayed) + "
					 "(SELECT count(*) FROM waiting) + (SELECT count(*) FROM running) + (SELECT count(*) FROM done)";
	int64_t jobs, places;

	if (sound_count(db, jobs_sql, &jobs) < 0 || sound_count(db, places_sql, &places) < 0)
		return -1;
	if (jobs != places)
		return sq_fail_corrupt(db, "%lld jobs stand in %lld places", (long long)jobs, (long long)places);
	return 0;
}

/* Whoever reads in the order of finishing would miss the second of two that have ended at one place. */
static int
sound_order(struct sq_db *db)
{
	int64_t twice;

	if (sound_count(db, "SELECT count(*) - count(DISTINCT seq) FROM done", &twice) < 0)
		return -1;
	if (twice != 0)
		return sq_fail_corrupt(db, "%lld ended jobs stand in the place of another in the order of finishing", (long long)twice);
	return 0;
}

int
sq_sound_jobs(struct sq_db *db)
{
	static const struct id_range all = {1, SELECTION_ID_MAX};
	int64_t deadline_us = clock_mono_us() + SOUND_US;
	struct store_read read = {.ranges = &all, .n_ranges = 1, .max_rows = SOUND_ROWS, .max_bytes = 1 << 20};

	read.fields = STORE_FIELD_SPEC | STORE_FIELD_ARGS | STORE_FIELD_RESULT | STORE_FIELD_ERROR;
	do {
		sq_scan(db, &read);
		if (read.error != 0)
			return -1; /* db->failure is the scan's */
		store_read_done(&read);
		read.cursor = read.next;
	} while (read.more && clock_mono_us() < deadline_us);
	return sound_places(db) < 0 || sound_order(db) < 0 ? -1 : 0;
}
