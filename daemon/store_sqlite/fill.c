/*
 * fill: ready jobs on their way to the loop's windows, those whose time has come among them, with their specs made anew
 * from the rows.
 *
 * The specs are made here, on the journal thread, each with one reference that the loop takes over with the answer.
 */
#include "db.h"

#include <stdlib.h>

#include "daemon/mem.h"

/* What promote hands over at once at most: the loop asks again when more is due. */
#define FILL_PROMOTE_BYTES (16 << 20)

int
sq_spec_read(struct sq_db *db, sqlite3_stmt *row, int first, struct spec *spec)
{
	const struct sq_line *line = sq_names_get_line(&db->names, sqlite3_column_int64(row, first + 1));
	int64_t flags = sqlite3_column_int64(row, first + 3);
	const char *unsound;

	if (line == NULL)
		return sq_fail_corrupt(db, "job %lld is in no line", (long long)sqlite3_column_int64(row, first));
	*spec = (struct spec){
	    .id = sqlite3_column_int64(row, first),
	    .task = sq_names_get_text(&db->names, sqlite3_column_int64(row, first + 2)),
	    .queue = sq_names_get_text(&db->names, line->queue),
	    .owner = sq_names_get_text(&db->names, line->owner),
	    .pool = line->pool,
	    .idempotent = (flags & SQ_IDEMPOTENT) != 0,
	    .pure = (flags & SQ_PURE) != 0,
	    .attempts_given = (flags & SQ_ATTEMPTS_GIVEN) != 0,
	    .restricted = (flags & SQ_RESTRICTED) != 0,
	    .after_policy = flags & SQ_AFTER_FINISHED ? AFTER_FINISHED
		: flags & SQ_AFTER_FAILED	      ? AFTER_FAILED
						      : AFTER_SUCCEEDED,
	    .priority = (int16_t)sqlite3_column_int(row, first + 4),
	    .max_attempts = sqlite3_column_int(row, first + 5),
	    .submitted_ms = sqlite3_column_int64(row, first + 6),
	    .backoff_ms = sq_column_time(row, first + 7),
	    .not_before_ms = sq_column_time(row, first + 8),
	    .timeout_ms = sq_column_time(row, first + 9),
	    .retain_ms = sq_column_time(row, first + 10),
	    .label = (const char *)sqlite3_column_text(row, first + 11),
	    .key = (const char *)sqlite3_column_text(row, first + 12),
	    .expires_ms = sq_column_time(row, first + 13),
	    .retry_of = sqlite3_column_int64(row, first + 14),
	    .limits.memory_mib = sqlite3_column_int64(row, first + 15),
	    .limits.cpu_s = sqlite3_column_int64(row, first + 16),
	    .limits.files = sqlite3_column_int64(row, first + 17),
	    .webhook = (const char *)sqlite3_column_text(row, first + 18),
	    .after = sq_column_span(row, first + 19),
	    .args = sq_column_span(row, first + 20),
	};
	if (sq_texts_came(db) < 0)
		return -1;
	if (spec->backoff_ms == SPEC_NONE)
		spec->backoff_ms = SQ_BACKOFF_USUAL;
	unsound = sq_unsound_spec(spec);
	if (unsound != NULL)
		return sq_fail_corrupt(db, "job %lld is not sound: %s", (long long)spec->id, unsound);
	return 0;
}

struct spec *
sq_spec(struct sq_db *db, sqlite3_stmt *row, int first)
{
	struct spec spec;

	return sq_spec_read(db, row, first, &spec) < 0 ? NULL : spec_new(&spec);
}

/* Attempts and job, as SQ_READY_FILL and SQ_DELAYED_TIMELY bring them. */
static int
fill_read(struct sq_db *db, sqlite3_stmt *row, struct store_ready *ret_row)
{
	struct spec *spec = sq_spec(db, row, 1);

	if (spec == NULL)
		return -1;
	*ret_row = (struct store_ready){.spec = spec, .attempts = sqlite3_column_int(row, 0)};
	return 0;
}

int
sq_promote_collect(struct sq_db *db, enum sq_statement which, struct store_promote *promote, size_t n, size_t max_bytes)
{
	sqlite3_stmt *row = db->statements[which];
	size_t from = promote->n_rows, bytes = 0;
	int found;

	while ((found = sq_row(db, which)) == 1) {
		if (promote->n_rows - from == n || (promote->n_rows > from && bytes >= max_bytes))
			break;
		promote->rows =
		    mem_room(promote->rows, promote->n_rows, &promote->rows_capacity, sizeof(*promote->rows));
		if (fill_read(db, row, &promote->rows[promote->n_rows]) < 0) {
			found = -1;
			break;
		}
		bytes += promote->rows[promote->n_rows++].spec->args.len;
	}
	sq_reset(db, which);
	return found;
}

static int
fill_one(struct sq_db *db, struct store_fill *fill)
{
	int64_t line = sq_names_find_line(&db->names, fill->pool, fill->queue, fill->owner);
	struct store_promote rows = {0};
	int64_t run = 0;
	int more;

	fill->end = true;
	if (line == 0)
		return 0;
	if (!fill->from_start && sq_ready_behind(db, line, fill->mark.priority, fill->mark.id, &run) < 0)
		return -1;
	sq_bind(db, SQ_READY_FILL, 1, line);
	sq_bind(db, SQ_READY_FILL, 2, fill->from_start ? INT64_MIN : -fill->mark.priority);
	sq_bind(db, SQ_READY_FILL, 3, run);
	sq_bind(db, SQ_READY_FILL, 4, (int64_t)fill->n + 1);
	sq_bind(db, SQ_READY_FILL, 5, fill->from_start ? 0 : fill->mark.id + 1);
	more = sq_promote_collect(db, SQ_READY_FILL, &rows, fill->n, fill->max_bytes);
	fill->rows = rows.rows;
	fill->n_rows = rows.n_rows;
	fill->end = more == 0;
	return more < 0 ? -1 : 0;
}

int
sq_fill(struct sq_db *db, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_fill; i++) {
		batch->fill[i].rows = NULL;
		batch->fill[i].n_rows = 0;
	}
	for (size_t i = 0; i < batch->n_fill; i++) {
		if (fill_one(db, &batch->fill[i]) < 0)
			return -1;
	}
	return 0;
}

static int
promote_one(struct sq_db *db, const struct store_ready *row)
{
	int64_t task, line;

	sq_bind(db, SQ_DELAYED_DROP, 1, row->spec->id);
	if (sq_run(db, SQ_DELAYED_DROP) < 0 || sq_names_spec(db, row->spec, &task, &line) < 0)
		return -1;
	return sq_ready_add(db, line, row->spec->priority, row->spec->id, row->attempts);
}

int
sq_promote(struct sq_db *db, struct store_batch *batch)
{
	struct store_promote *promote = &batch->promote;
	size_t from = promote->n_rows; /* sq_fan() has brought the first */

	if (!promote->wanted)
		return 0;
	sq_bind(db, SQ_DELAYED_TIMELY, 1, promote->now_ms);
	sq_bind(db, SQ_DELAYED_TIMELY, 2, (int64_t)promote->n + 1);
	if (sq_promote_collect(db, SQ_DELAYED_TIMELY, promote, promote->n, FILL_PROMOTE_BYTES) < 0)
		return -1;
	db->due_changed = db->due_changed || promote->n_rows > from;
	for (size_t i = from; i < promote->n_rows; i++) {
		if (promote_one(db, &promote->rows[i]) < 0)
			return -1;
	}
	return 0;
}

static int
next_due_of(struct sq_db *db, enum sq_statement which)
{
	int64_t at_ms;

	if (sq_row(db, which) < 0)
		return -1;
	at_ms = sq_column_time(db->statements[which], 0);
	sq_reset(db, which);
	if (at_ms != SPEC_NONE && (db->next_due_ms == SPEC_NONE || at_ms < db->next_due_ms))
		db->next_due_ms = at_ms;
	return 0;
}

int
sq_next_due(struct sq_db *db)
{
	if (!db->due_changed)
		return 0;
	db->next_due_ms = db->has_todo ? 0 : SPEC_NONE;
	if (next_due_of(db, SQ_DELAYED_NEXT) < 0 || next_due_of(db, SQ_EXPIRING_NEXT) < 0)
		return -1;
	db->due_changed = false;
	return 0;
}
