/*
 * survey: the reads that look at no single job: what the queues hold, and which ended jobs retention may delete.
 *
 * They are bounded by time or by the caller's number, and what they say is as of the last commit.
 */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/clock.h"
#include "daemon/mem.h"

#define SURVEY_US     5000
#define SURVEY_STRIDE 32

/* ---- the oldest pending job of each queue ----------------------------------------------------------------- */

struct survey {
	struct sq_db *db;
	size_t
	    *of_queue; /* by the id of the queue's name: its place in the answer plus one, 0 for those not asked for */
	int64_t *oldest; /* by place: the lowest id of a pending job */
	int64_t deadline_us;
	unsigned looked;
};

static bool
survey_time_is_over(struct survey *survey)
{
	return ++survey->looked % SURVEY_STRIDE == 0 && clock_mono_us() > survey->deadline_us;
}

static void
survey_note(struct survey *survey, int64_t line_id, int64_t id)
{
	const struct sq_line *line = sq_names_get_line(&survey->db->names, line_id);
	size_t place = line != NULL ? survey->of_queue[line->queue] : 0;

	if (place > 0 && (survey->oldest[place - 1] == 0 || survey->oldest[place - 1] > id))
		survey->oldest[place - 1] = id;
}

/* The first of each line and priority: one step of the index for each, however many jobs there are. */
static int
survey_ready(struct survey *survey)
{
	sqlite3_stmt *row = survey->db->statements[SQ_READY_GROUP];
	int64_t line = 0, rank = 0;
	int found = 1;

	while (found == 1 && !survey_time_is_over(survey)) {
		sq_bind(survey->db, SQ_READY_GROUP, 1, line);
		sq_bind(survey->db, SQ_READY_GROUP, 2, rank);
		found = sq_row(survey->db, SQ_READY_GROUP);
		if (found == 1) {
			line = sqlite3_column_int64(row, 0);
			rank = sqlite3_column_int64(row, 1);
			survey_note(survey, line, sqlite3_column_int64(row, 2));
		}
		sq_reset(survey->db, SQ_READY_GROUP);
	}
	return found < 0 ? -1 : 0;
}

static int
survey_unready(struct survey *survey)
{
	sqlite3_stmt *row = survey->db->statements[SQ_UNREADY_ALL];
	int found;

	while ((found = sq_row(survey->db, SQ_UNREADY_ALL)) == 1 && !survey_time_is_over(survey))
		survey_note(survey, sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1));
	sq_reset(survey->db, SQ_UNREADY_ALL);
	return found < 0 ? -1 : 0;
}

static int
survey_submitted(struct survey *survey, struct store_survey *answer)
{
	sqlite3_stmt *row = survey->db->statements[SQ_JOB_GET];

	for (size_t i = 0; i < answer->n_queues; i++) {
		int found;

		answer->queues[i].submitted_ms = SPEC_NONE;
		if (survey->oldest[i] == 0)
			continue;
		sq_bind(survey->db, SQ_JOB_GET, 1, survey->oldest[i]);
		found = sq_row(survey->db, SQ_JOB_GET);
		if (found == 1)
			answer->queues[i].submitted_ms = sqlite3_column_int64(row, 3);
		sq_reset(survey->db, SQ_JOB_GET);
		if (found < 0)
			return -1;
	}
	return 0;
}

static int
survey_queues(struct sq_db *db, struct store_survey *answer)
{
	struct survey survey = {.db = db, .deadline_us = clock_mono_us() + SURVEY_US};
	int result = -1;

	survey.of_queue = mem_new_array(db->names.n_texts, sizeof(*survey.of_queue));
	survey.oldest = mem_new_array(answer->n_queues, sizeof(*survey.oldest));
	for (size_t i = 0; i < answer->n_queues; i++)
		survey.of_queue[sq_names_find_text(&db->names, answer->queues[i].queue)] = i + 1;
	if (survey_ready(&survey) == 0 && survey_unready(&survey) == 0 && survey_submitted(&survey, answer) == 0)
		result = 0;
	free(survey.of_queue);
	free(survey.oldest);
	return result;
}

/* ---- survey ----------------------------------------------------------------------------------------------- */

static int64_t
survey_file_bytes(const struct sq_db *db)
{
	static const char *const suffixes[] = {"", "-wal"};
	int64_t bytes = 0;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char *path = mem_format("%s%s", db->path, suffixes[i]);
		struct stat st;

		if (stat(path, &st) == 0)
			bytes += st.st_size;
		free(path);
	}
	return bytes;
}

/* Counted once, by the smallest index, and kept up by each commit from then on. */
static int
survey_done_rows(struct sq_db *db)
{
	if (db->done_rows >= 0)
		return 0;
	if (sq_row(db, SQ_DONE_COUNT) < 0)
		return -1;
	db->done_rows = sqlite3_column_int64(db->statements[SQ_DONE_COUNT], 0);
	sq_reset(db, SQ_DONE_COUNT);
	return 0;
}

void
sq_survey(struct sq_db *db, struct store_survey *survey)
{
	survey->error = survey_queues(db, survey) < 0 || survey_done_rows(db) < 0 ? -1 : 0;
	survey->done_rows = db->done_rows;
	survey->file_bytes = survey_file_bytes(db);
	survey->webhooks = db->webhooks;
}

/* ---- expired ---------------------------------------------------------------------------------------------- */

struct expired_room {
	size_t ids, output, spared;
};

/* A row of either statement: id, whether there may be files, whether it is a parent. */
static void
expired_add(struct store_expired *expired, struct expired_room *room, sqlite3_stmt *row)
{
	if (sqlite3_column_int(row, 2) != 0) {
		expired->spared = mem_room(expired->spared, expired->n_spared, &room->spared, sizeof(*expired->spared));
		expired->spared[expired->n_spared++] = sqlite3_column_int64(row, 0);
		return;
	}
	expired->ids = mem_room(expired->ids, expired->n, &room->ids, sizeof(*expired->ids));
	expired->has_output = mem_room(expired->has_output, expired->n, &room->output, sizeof(*expired->has_output));
	expired->ids[expired->n] = sqlite3_column_int64(row, 0);
	expired->has_output[expired->n++] = sqlite3_column_int(row, 1) != 0;
}

static void
expired_note_next(struct store_expired *expired, int64_t at_ms)
{
	if (expired->next_ms == SPEC_NONE || at_ms < expired->next_ms)
		expired->next_ms = at_ms;
}

/*
 * Most jobs are kept as long as [retention] says: they have no time of their own, and no place in an index of times. They
 * end in the order in which they have finished, and so their time is over in that order. What has a time of its own is passed over, and
 * not looked at again while it is at the front.
 */
static int
expired_usual(struct sq_db *db, struct store_expired *expired, struct expired_room *room)
{
	sqlite3_stmt *row = db->statements[SQ_DONE_USUAL];
	int64_t deadline_us = clock_mono_us() + SURVEY_US, over_ms;
	bool passed = true;
	unsigned looked = 0;
	int found;

	sq_bind(db, SQ_DONE_USUAL, 1, db->usual_seq);
	while ((found = sq_row(db, SQ_DONE_USUAL)) == 1 && expired->n + expired->n_spared < expired->max) {
		if (sqlite3_column_int(row, 5) == 0) {
			if (passed)
				db->usual_seq = sqlite3_column_int64(row, 3);
		} else {
			passed = false;
			over_ms = sqlite3_column_int64(row, 4) + db->retention_ms;
			if (over_ms <= expired->now_ms)
				expired_add(expired, room, row);
			else
				expired_note_next(expired, over_ms);
			if (over_ms > expired->now_ms && over_ms - db->retention_ms <= expired->now_ms)
				break; /* what is behind has finished later still; one that has in the future holds up nobody */
		}
		if (++looked % SURVEY_STRIDE == 0 && clock_mono_us() > deadline_us) {
			expired->next_ms = expired->now_ms;
			break;
		}
	}
	sq_reset(db, SQ_DONE_USUAL);
	return found < 0 ? -1 : 0;
}

static int
expired_ids(struct sq_db *db, struct store_expired *expired, struct expired_room *room)
{
	sqlite3_stmt *row = db->statements[SQ_DONE_EXPIRED];
	int found;

	sq_bind(db, SQ_DONE_EXPIRED, 1, expired->now_ms);
	sq_bind(db, SQ_DONE_EXPIRED, 2, (int64_t)expired->max);
	while ((found = sq_row(db, SQ_DONE_EXPIRED)) == 1)
		expired_add(expired, room, row);
	return found;
}

/* There may be more that are due now, when as many were found as were asked for. */
static int
expired_next(struct sq_db *db, struct store_expired *expired)
{
	int64_t next_ms;

	if (expired->n + expired->n_spared == expired->max) {
		expired->next_ms = expired->now_ms;
		return 0;
	}
	sq_bind(db, SQ_DONE_NEXT, 1, expired->now_ms);
	if (sq_row(db, SQ_DONE_NEXT) < 0)
		return -1;
	next_ms = sq_column_time(db->statements[SQ_DONE_NEXT], 0);
	sq_reset(db, SQ_DONE_NEXT);
	if (next_ms != SPEC_NONE)
		expired_note_next(expired, next_ms);
	return 0;
}

static void
expired_clear(struct store_expired *expired)
{
	expired->ids = expired->spared = NULL;
	expired->has_output = NULL;
	expired->n = expired->n_spared = 0;
}

void
sq_expired(struct sq_db *db, struct store_expired *expired)
{
	struct expired_room room = {0};

	expired_clear(expired);
	expired->next_ms = SPEC_NONE;
	expired->error = 0;
	if (expired_ids(db, expired, &room) == 0 && expired_usual(db, expired, &room) == 0 && expired_next(db, expired) == 0)
		return;
	expired->error = -1;
	free(expired->ids);
	free(expired->has_output);
	free(expired->spared);
	expired_clear(expired);
}
