/*
 * recover: what an earlier daemon left, brought in order before anything else happens.
 *
 * Nothing that stood in `running` runs any more (the caller has made sure that no process of an old job lives): each of
 * those jobs ends as cancelled if that was asked, goes back in line if it may run again, and else ends as Lost. One
 * transaction with the new incarnation, by whose tokens late results of old attempts would be refused. Then the lines
 * are counted for the loop.
 *
 * A disk without room does not keep the store from opening while nothing was running: the new incarnation is then
 * written with the first commit that there is room for.
 */
#include "db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"
#include "daemon/outcome.h"

#define RECOVER_NAMES_MANY 4096

/* ---- what was running ------------------------------------------------------------------------------------- */

struct recover {
	struct sq_db *db;
	const struct store_open_config *config;
	struct store_opened *opened;
};

static int
recover_end(struct recover *recover, const struct spec *spec, struct store_end *end, struct span error)
{
	end->finished_ms = recover->config->now_ms;
	end->until_ms = sq_ends_until(spec->retain_ms, end->finished_ms);
	end->json = error;
	sq_ends_note(recover->db, spec->id, spec->webhook != NULL, end);
	return sq_ends_write(recover->db);
}

static int
recover_end_lost(struct recover *recover, const struct spec *spec, struct store_end *end)
{
	char *error = sq_error_text(recover->config->lost_error, end->attempt);
	int result;

	end->state = JOB_FAILED;
	recover->opened->recovered_lost++;
	result = recover_end(recover, spec, end, (struct span){error, strlen(error)});
	free(error);
	return result;
}

static int
recover_end_cancelled(struct recover *recover, const struct spec *spec, struct store_end *end, struct span asked)
{
	struct outcome outcome = {.error = JOB_ERROR_CANCELLED};
	int result;

	if (asked.len > 0) { /* what its cancel was answered with: who, and why */
		outcome.json = mem_copy(asked.at, asked.len);
		outcome.len = asked.len;
		outcome_add_integer(&outcome, "attempt", end->attempt);
	} else {
		outcome.json = sq_error_text(recover->config->cancelled_error, end->attempt);
		outcome.len = strlen(outcome.json);
	}
	end->state = JOB_CANCELLED;
	recover->opened->recovered_cancelled++;
	result = recover_end(recover, spec, end, (struct span){outcome.json, outcome.len});
	outcome_done(&outcome);
	return result;
}

static int
recover_again(struct recover *recover, const struct spec *spec, int attempt)
{
	struct sq_db *db = recover->db;
	int64_t task, line;

	recover->opened->recovered_again++;
	db->due_changed = true;
	if (sq_names_spec(db, spec, &task, &line) < 0)
		return -1;
	sq_bind(db, SQ_DELAYED_ADD, 1, spec->id);
	sq_bind(
	    db, SQ_DELAYED_ADD, 2, recover->config->now_ms + recover->config->backoff_ms(spec->backoff_ms, attempt));
	sq_bind(db, SQ_DELAYED_ADD, 3, attempt);
	sq_bind(db, SQ_DELAYED_ADD, 4, line);
	return sq_run(db, SQ_DELAYED_ADD);
}

/* A row of SQ_RUNNING_ALL: attempt, worker, started, cancel, the job. */
static int
recover_one(struct recover *recover, sqlite3_stmt *row)
{
	struct store_end end = {
	    .attempt = sqlite3_column_int(row, 0),
	    .worker = sqlite3_column_int(row, 1),
	    .started_ms = sq_column_time(row, 2),
	    .output = true, /* nobody knows: there may be files */
	};
	struct spec spec;

	if (sq_spec_read(recover->db, row, 4, &spec) < 0)
		return -1;
	if (sqlite3_column_bytes(row, 3) > 0 && !sq_sound_json(sq_column_span(row, 3)))
		return sq_fail_corrupt(recover->db, "job %lld is not sound: the cancel that was asked", (long long)spec.id);
	if (sqlite3_column_type(row, 3) != SQLITE_NULL)
		return recover_end_cancelled(recover, &spec, &end, sq_column_span(row, 3));
	if (spec.idempotent && end.attempt < spec.max_attempts)
		return recover_again(recover, &spec, end.attempt);
	return recover_end_lost(recover, &spec, &end);
}

static int
recover_running(struct recover *recover)
{
	sqlite3_stmt *row = recover->db->statements[SQ_RUNNING_ALL];
	int found;

	while ((found = sq_row(recover->db, SQ_RUNNING_ALL)) == 1) {
		if (recover_one(recover, row) < 0) {
			sq_reset(recover->db, SQ_RUNNING_ALL);
			return -1;
		}
	}
	return found < 0 ? -1 : sq_run(recover->db, SQ_RUNNING_CLEAR);
}

/* ---- names that nobody has any more ----------------------------------------------------------------------- */

static int
recover_names(struct sq_db *db)
{
	static const char sql[] = "DELETE FROM line WHERE id NOT IN (SELECT line FROM job);"
				  "DELETE FROM name WHERE id NOT IN (SELECT task FROM job UNION SELECT queue FROM line "
				  "UNION SELECT owner FROM line "
				  "UNION SELECT owner FROM key UNION SELECT id FROM queue);";
	int rc;

	if (db->names.text_count + db->names.line_count < RECOVER_NAMES_MANY)
		return 0;
	rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return sq_fail(db, rc);
	if (sq_names_load(db) < 0)
		return -1;
	db->names.added = true; /* a rollback changes them, too */
	return 0;
}

/* ---- what is there ---------------------------------------------------------------------------------------- */

static int
recover_count_lines(struct sq_db *db, struct store_opened *opened)
{
	sqlite3_stmt *row = db->statements[SQ_READY_LINES];
	size_t capacity = 0;
	int found;

	while ((found = sq_row(db, SQ_READY_LINES)) == 1) {
		const struct sq_line *line = sq_names_get_line(&db->names, sqlite3_column_int64(row, 0));

		if (line == NULL) {
			sq_reset(db, SQ_READY_LINES);
			return sq_fail_corrupt(db, "ready jobs are in no line");
		}
		opened->lines = mem_room(opened->lines, opened->n_lines, &capacity, sizeof(*opened->lines));
		opened->lines[opened->n_lines++] = (struct store_line){
		    .pool = line->pool,
		    .queue = mem_text(sq_names_get_text(&db->names, line->queue)),
		    .owner = mem_text(sq_names_get_text(&db->names, line->owner)),
		    .ready = sqlite3_column_int64(row, 1),
		};
	}
	return found;
}

/* The lines of all pools of a queue and owner are one count. */
static int64_t
recover_take_counts(const struct sq_names *names, int64_t *counts, const char *queue, const char *owner)
{
	int64_t sum = 0;

	for (unsigned pool = 0; pool < POOL_COUNT; pool++) {
		int64_t line = sq_names_find_line(names, pool, queue, owner);

		sum += counts[line];
		counts[line] = 0;
	}
	return sum;
}

static void
recover_tell_unready(const struct sq_names *names, int64_t *counts, struct store_opened *opened)
{
	size_t capacity = 0;

	for (size_t i = 1; i < names->n_lines; i++) {
		const char *queue, *owner;

		if (counts[i] == 0)
			continue;
		queue = sq_names_get_text(names, names->lines[i].queue);
		owner = sq_names_get_text(names, names->lines[i].owner);
		opened->delayed = mem_room(opened->delayed, opened->n_delayed, &capacity, sizeof(*opened->delayed));
		opened->delayed[opened->n_delayed++] = (struct store_delayed_count){
		    .queue = mem_text(queue),
		    .owner = mem_text(owner),
		    .delayed = recover_take_counts(names, counts, queue, owner),
		};
	}
}

static int
recover_count_unready(struct sq_db *db, struct store_opened *opened)
{
	int64_t *counts = mem_new_array(db->names.n_lines, sizeof(*counts));
	int found;

	while ((found = sq_row(db, SQ_UNREADY_ALL)) == 1) {
		int64_t line = sqlite3_column_int64(db->statements[SQ_UNREADY_ALL], 0);

		if (sq_names_get_line(&db->names, line) == NULL) {
			sq_reset(db, SQ_UNREADY_ALL);
			found = sq_fail_corrupt(db, "a delayed or waiting job is in no line");
			break;
		}
		counts[line]++;
	}
	if (found == 0)
		recover_tell_unready(&db->names, counts, opened);
	free(counts);
	return found;
}

/* ---- the transaction -------------------------------------------------------------------------------------- */

/* All that is read is read before COMMIT: a damage that shows here leaves the file as it was. */
static int
recover_transact(struct recover *recover)
{
	struct sq_db *db = recover->db;

	store_opened_done(recover->opened);
	if (sq_begin(db) < 0)
		return -1;
	db->meta.incarnation++;
	db->meta.high_water = db->top;
	db->meta_owed = true;
	db->due_changed = true;
	if (recover_running(recover) < 0 || recover_names(db) < 0 || recover_count_lines(db, recover->opened) < 0 ||
	    recover_count_unready(db, recover->opened) < 0 || sq_settings_tell(db, recover->opened) < 0 || sq_next_due(db) < 0)
		return -1;
	return sq_end(db);
}

/* Keeps the failure, whatever the rollback says. */
static bool
recover_give_up(struct recover *recover)
{
	bool full = sq_failure_is_full(&recover->db->failure);

	return sq_rollback(recover->db) == 0 && full;
}

/* Only the log is copied into pages that are there, for which no room is needed; then the log itself is room. */
static int
recover_with_less_room(struct recover *recover)
{
	struct sq_db *db = recover->db;
	int found;

	sq_checkpoint(db);
	if (db->broken)
		return -1;
	if (recover_transact(recover) == 0)
		return 0;
	if (!recover_give_up(recover))
		return -1;
	found = sq_row(db, SQ_RUNNING_ALL);
	sq_reset(db, SQ_RUNNING_ALL);
	if (found != 0)
		return found < 0 ? -1 : sq_fail(db, SQLITE_FULL);
	db->saved.incarnation++;
	db->saved_behind = true;
	return sq_next_due(db);
}

int
sq_recover(struct sq_db *db, const struct store_open_config *config, struct store_opened *ret_opened)
{
	struct recover recover = {.db = db, .config = config, .opened = ret_opened};

	*ret_opened = (struct store_opened){0};
	if (recover_transact(&recover) < 0 && (!recover_give_up(&recover) || recover_with_less_room(&recover) < 0)) {
		store_opened_done(ret_opened);
		return -1;
	}
	if (db->top < db->saved.high_water)
		db->top = db->saved.high_water;
	snprintf(ret_opened->store_id, sizeof(ret_opened->store_id), "%s", db->store_id);
	ret_opened->next_id = db->top + 1;
	ret_opened->incarnation = (uint64_t)db->saved.incarnation;
	ret_opened->next_due_ms = db->next_due_ms;
	return 0;
}
