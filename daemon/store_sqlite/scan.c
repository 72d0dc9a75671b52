/*
 * scan: jobs by id, through ranges and a filter, for a bounded time.
 *
 * One statement walks the table that names the fewest candidates (ended jobs: done; running ones: running; else job)
 * and joins the rest only for rows that fit. Three functions of ours stand in it: look(id) holds it to the ranges,
 * notes where it is and looks at the clock; fits(…) is the filter, on the numbers of names, so that nothing is compared
 * twice in a row; stopped() lets the rest through when look() has had enough. A gap between ranges that is long is
 * jumped by starting anew behind it. In the order of finishing the walk is along done's index of that, look_end() stands
 * for look(), and nothing is jumped.
 *
 * The answer's texts are copied into an arena, since the next commit may change what the row pointed to.
 */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/mem.h"

#define SCAN_US	    2000
#define SCAN_STRIDE 64 /* rows between looks at the clock */
#define SCAN_MISSES 4  /* rows outside the ranges before it jumps */
/* Thousands of reads may wait for the loop with a row each, so the first block is small. */
#define ARENA_BLOCK	(1 << 10)
#define ARENA_BLOCK_MAX (32 << 10)

enum scan_stop { SCAN_GOES_ON, SCAN_TIME, SCAN_GAP, SCAN_LARGE, SCAN_FULL, SCAN_CORRUPT };

struct sq_scan {
	struct sq_db *db;
	struct store_read *read;
	enum scan_stop stop;
	int64_t at;   /* the id (by_end: the place) that look() saw last */
	size_t range; /* rising: the first range not behind us; falling: as many ranges are left */
	unsigned looked, stride, misses;
	int64_t deadline_us;
	int64_t line, task; /* what fits() judged last, 0 at first */
	bool line_fits, task_fits;

	size_t capacity; /* of read->rows */
	size_t bytes;
	size_t block_size, block_left;	  /* of the arena's first block */
	int64_t copied_line, copied_task; /* whose texts stand in the arena already */
	const char *owner, *queue, *task_name;
};

/* ---- the functions in the statement ----------------------------------------------------------------------- */

/* Whether id is in a range; goes forward through them. */
static bool
scan_in_range(struct sq_scan *scan, int64_t id)
{
	const struct store_read *read = scan->read;
	const struct id_range *ranges = read->ranges;

	if (read->desc) {
		while (scan->range > 0 && ranges[scan->range - 1].first > id)
			scan->range--;
		return scan->range > 0 && ranges[scan->range - 1].last >= id;
	}
	while (scan->range < read->n_ranges && ranges[scan->range].last < id)
		scan->range++;
	return scan->range < read->n_ranges && ranges[scan->range].first <= id;
}

static bool
scan_look(struct sq_scan *scan, int64_t id)
{
	if (scan->stop != SCAN_GOES_ON)
		return true;
	scan->at = id;
	if (++scan->looked % scan->stride == 0 && clock_mono_us() > scan->deadline_us) {
		scan->stop = SCAN_TIME;
		return true;
	}
	if (scan_in_range(scan, id)) {
		scan->misses = 0;
		return true;
	}
	if (++scan->misses < SCAN_MISSES)
		return false;
	scan->misses = 0;
	scan->stop = SCAN_GAP;
	return true;
}

static size_t scan_ranges_before(const struct store_read *read, int64_t id);

/* Ids come in any order here. */
static bool
scan_look_end(struct sq_scan *scan, int64_t id, int64_t seq)
{
	const struct store_read *read = scan->read;
	size_t range;

	if (scan->stop != SCAN_GOES_ON)
		return true;
	scan->at = seq;
	if (++scan->looked % scan->stride == 0 && clock_mono_us() > scan->deadline_us) {
		scan->stop = SCAN_TIME;
		return true;
	}
	range = scan_ranges_before(read, id);
	return range < read->n_ranges && read->ranges[range].first <= id;
}

static bool
scan_one_of(char *const *texts, size_t n, const char *text)
{
	if (texts == NULL)
		return true;
	for (size_t i = 0; text != NULL && i < n; i++) {
		if (strcmp(texts[i], text) == 0)
			return true;
	}
	return false;
}

static bool
scan_line_fits(struct sq_scan *scan, int64_t id)
{
	const struct selection_filter *filter = scan->read->filter;
	const struct sq_names *names = &scan->db->names;
	const struct sq_line *line = sq_names_get_line(names, id);
	const char *owner;

	if (line == NULL) {
		sq_fail_corrupt(scan->db, "job %lld is in no line", (long long)scan->at);
		scan->stop = SCAN_CORRUPT;
		return true;
	}
	owner = sq_names_get_text(names, line->owner);
	if (scan->read->owner != NULL && strcmp(scan->read->owner, owner) != 0)
		return false;
	return filter == NULL ||
	    (scan_one_of(filter->owners, filter->n_owners, owner) &&
		scan_one_of(filter->queues, filter->n_queues, sq_names_get_text(names, line->queue)));
}

static bool
scan_fits(struct sq_scan *scan, sqlite3_value **argv)
{
	const struct selection_filter *filter = scan->read->filter;
	int64_t line = sqlite3_value_int64(argv[0]), task;

	if (scan->stop != SCAN_GOES_ON)
		return true;
	if (scan->line != line) {
		scan->line_fits = scan_line_fits(scan, line);
		scan->line = line;
	}
	if (!scan->line_fits || filter == NULL)
		return scan->line_fits;
	task = sqlite3_value_int64(argv[1]);
	if (scan->task != task) {
		scan->task_fits =
		    scan_one_of(filter->tasks, filter->n_tasks, sq_names_get_text(&scan->db->names, task));
		scan->task = task;
	}
	if (!scan->task_fits || filter->labels == NULL)
		return scan->task_fits;
	return scan_one_of(filter->labels, filter->n_labels, (const char *)sqlite3_value_text(argv[2]));
}

static void
scan_sql_look(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	struct sq_db *db = sqlite3_user_data(context);

	(void)argc;
	sqlite3_result_int(context, scan_look(db->scan, sqlite3_value_int64(argv[0])));
}

static void
scan_sql_look_end(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	struct sq_db *db = sqlite3_user_data(context);

	(void)argc;
	sqlite3_result_int(context, scan_look_end(db->scan, sqlite3_value_int64(argv[0]), sqlite3_value_int64(argv[1])));
}

static void
scan_sql_fits(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	struct sq_db *db = sqlite3_user_data(context);

	(void)argc;
	sqlite3_result_int(context, scan_fits(db->scan, argv));
}

static void
scan_sql_stopped(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	struct sq_db *db = sqlite3_user_data(context);

	(void)argc;
	(void)argv;
	sqlite3_result_int(context, db->scan->stop != SCAN_GOES_ON);
}

int
sq_scan_register(struct sq_db *db)
{
	int rc = sqlite3_create_function(db->sqlite, "look", 1, SQLITE_UTF8, db, scan_sql_look, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(db->sqlite, "look_end", 2, SQLITE_UTF8, db, scan_sql_look_end, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(db->sqlite, "fits", 3, SQLITE_UTF8, db, scan_sql_fits, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(db->sqlite, "stopped", 0, SQLITE_UTF8, db, scan_sql_stopped, NULL, NULL);
	return rc == SQLITE_OK ? 0 : sq_fail(db, rc);
}

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* Columns of a scan behind those of the job. */
enum scan_column {
	COLUMN_SEQ = SQ_JOB_COLUMNS,
	COLUMN_STATE,
	COLUMN_DONE_ATTEMPT,
	COLUMN_DONE_STARTED,
	COLUMN_FINISHED,
	COLUMN_DONE_WORKER,
	COLUMN_OUTPUT,
	COLUMN_USER_US,
	COLUMN_SYSTEM_US,
	COLUMN_MAX_RSS_KIB,
	COLUMN_JSON,
	COLUMN_RUNNING_ATTEMPT,
	COLUMN_RUNNING_WORKER,
	COLUMN_RUNNING_STARTED,
	COLUMN_CANCEL,
	COLUMN_RUN_AT,
	COLUMN_DELAYED_ATTEMPTS,
	COLUMN_READY_ATTEMPTS,
	COLUMN_WAITING,
};

/* A copy of len bytes and a NUL. */
static const char *
scan_copy(struct sq_scan *scan, const char *bytes, size_t len)
{
	struct store_read *read = scan->read;
	char *copy;

	if (scan->block_left < len + 1) {
		size_t usual = scan->block_size == 0 ? ARENA_BLOCK : scan->block_size * 2;
		size_t size = len + 1 > usual / 4 ? len + 1 : usual;
		void **block = mem_grow(NULL, 1, sizeof(void *) + size);

		scan->block_size = usual < ARENA_BLOCK_MAX ? usual : ARENA_BLOCK_MAX / 2;
		*block = read->arena;
		read->arena = block;
		scan->block_left = size;
	}
	/* A block is filled from its end, so its start and what is left tell where. */
	scan->block_left -= len + 1;
	copy = (char *)read->arena + sizeof(void *) + scan->block_left;
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	scan->bytes += len;
	return copy;
}

static const char *
scan_copy_text(struct sq_scan *scan, const char *text)
{
	return text != NULL ? scan_copy(scan, text, strlen(text)) : NULL;
}

static struct span
scan_copy_span(struct sq_scan *scan, struct span span)
{
	return span.at != NULL ? (struct span){scan_copy(scan, span.at, span.len), span.len} : SPAN_NONE;
}

/* Pool and owner always, the rest where asked for. */
static int
scan_read_spec(struct sq_scan *scan, sqlite3_stmt *row, struct spec *spec)
{
	int64_t line_id = sqlite3_column_int64(row, 1), task_id = sqlite3_column_int64(row, 2);
	const struct sq_names *names = &scan->db->names;
	const struct sq_line *line = sq_names_get_line(names, line_id);

	if (line == NULL)
		return sq_fail_corrupt(scan->db, "job %lld is in no line", (long long)sqlite3_column_int64(row, 0));
	if (scan->copied_line != line_id) {
		scan->owner = scan_copy_text(scan, sq_names_get_text(names, line->owner));
		scan->queue = scan_copy_text(scan, sq_names_get_text(names, line->queue));
		scan->copied_line = line_id;
	}
	if ((scan->read->fields & STORE_FIELD_SPEC) == 0) {
		*spec = (struct spec){.id = sqlite3_column_int64(row, 0), .pool = line->pool};
		spec->args = scan_copy_span(scan, sq_column_span(row, SQ_JOB_COLUMNS - 1));
		spec->owner = scan->owner;
		if (spec->args.at != NULL && !sq_sound_json(spec->args))
			return sq_fail_corrupt(scan->db, "job %lld is not sound: its args", (long long)spec->id);
		return 0;
	}
	if (sq_spec_read(scan->db, row, 0, spec) < 0)
		return -1;
	if (scan->copied_task != task_id) {
		scan->task_name = scan_copy_text(scan, spec->task);
		scan->copied_task = task_id;
	}
	spec->owner = scan->owner;
	spec->queue = scan->queue;
	spec->task = scan->task_name;
	spec->label = scan_copy_text(scan, spec->label);
	spec->key = scan_copy_text(scan, spec->key);
	spec->webhook = scan_copy_text(scan, spec->webhook);
	spec->after = scan_copy_span(scan, spec->after);
	spec->args = scan_copy_span(scan, spec->args);
	return 0;
}

static void
scan_read_done(sqlite3_stmt *row, struct store_row *ret)
{
	ret->place = STORE_DONE;
	ret->state = (enum job_state)sqlite3_column_int(row, COLUMN_STATE);
	ret->seq = sqlite3_column_int64(row, COLUMN_SEQ);
	ret->attempt = sqlite3_column_int(row, COLUMN_DONE_ATTEMPT);
	ret->started_ms = sq_column_time(row, COLUMN_DONE_STARTED);
	ret->finished_ms = sq_column_time(row, COLUMN_FINISHED);
	ret->worker = sqlite3_column_int(row, COLUMN_DONE_WORKER);
	ret->output = sqlite3_column_int(row, COLUMN_OUTPUT) != 0;
	ret->usage.known = sqlite3_column_type(row, COLUMN_USER_US) != SQLITE_NULL;
	ret->usage.user_us = sqlite3_column_int64(row, COLUMN_USER_US);
	ret->usage.system_us = sqlite3_column_int64(row, COLUMN_SYSTEM_US);
	ret->usage.max_rss_kib = sqlite3_column_int64(row, COLUMN_MAX_RSS_KIB);
}

/* Where the job is: what of the row is not NULL tells. */
static int
scan_read_place(sqlite3_stmt *row, struct store_row *ret)
{
	if (sqlite3_column_type(row, COLUMN_SEQ) != SQLITE_NULL) {
		scan_read_done(row, ret);
		return ret->state >= JOB_SUCCEEDED && ret->state < JOB_STATE_COUNT ? 0 : -1;
	}
	if (sqlite3_column_type(row, COLUMN_RUNNING_ATTEMPT) != SQLITE_NULL) {
		ret->place = STORE_RUNNING;
		ret->state = JOB_RUNNING;
		ret->attempt = sqlite3_column_int(row, COLUMN_RUNNING_ATTEMPT);
		ret->worker = sqlite3_column_int(row, COLUMN_RUNNING_WORKER);
		ret->started_ms = sq_column_time(row, COLUMN_RUNNING_STARTED);
		ret->cancel_requested = sqlite3_column_int(row, COLUMN_CANCEL) != 0;
		return 0;
	}
	ret->state = JOB_PENDING;
	if (sqlite3_column_type(row, COLUMN_RUN_AT) != SQLITE_NULL) {
		ret->place = STORE_DELAYED;
		ret->run_at_ms = sqlite3_column_int64(row, COLUMN_RUN_AT);
		ret->attempt = sqlite3_column_int(row, COLUMN_DELAYED_ATTEMPTS);
		return 0;
	}
	if (sqlite3_column_type(row, COLUMN_WAITING) != SQLITE_NULL) {
		ret->place = STORE_WAITING;
		return 0;
	}
	ret->place = STORE_READY;
	ret->attempt = sqlite3_column_int(row, COLUMN_READY_ATTEMPTS);
	return sqlite3_column_type(row, COLUMN_READY_ATTEMPTS) != SQLITE_NULL ? 0 : -1;
}

static bool
scan_wants(const struct sq_scan *scan, enum job_state state)
{
	const struct selection_filter *filter = scan->read->filter;

	return filter == NULL || filter->states == 0 || (filter->states & (1u << state)) != 0;
}

/* Whether a strict read stops before this row. */
static bool
scan_is_too_large(struct sq_scan *scan, sqlite3_stmt *row)
{
	struct store_read *read = scan->read;
	size_t bytes = sq_column_span(row, SQ_JOB_COLUMNS - 1).len + sq_column_span(row, COLUMN_JSON).len;

	if (!read->strict || scan->bytes + bytes <= read->max_bytes)
		return false;
	read->large = bytes;
	scan->stop = SCAN_LARGE;
	return true;
}

static int
scan_add(struct sq_scan *scan, sqlite3_stmt *row)
{
	struct store_read *read = scan->read;
	struct store_row *ret;

	if (read->rows == NULL) { /* most are of one job */
		read->rows = mem_new(sizeof(*read->rows));
		scan->capacity = 1;
	}
	read->rows = mem_room(read->rows, read->n_rows, &scan->capacity, sizeof(*read->rows));
	ret = &read->rows[read->n_rows];
	*ret = (struct store_row){.id = sqlite3_column_int64(row, 0),
	    .started_ms = SPEC_NONE,
	    .finished_ms = SPEC_NONE,
	    .run_at_ms = SPEC_NONE};
	if (scan_read_place(row, ret) < 0)
		return sq_fail_corrupt(scan->db, "job %lld has no state", (long long)ret->id);
	if (!scan_wants(scan, ret->state) || scan_is_too_large(scan, row))
		return 0;
	if (scan_read_spec(scan, row, &ret->spec) < 0)
		return -1;
	if ((read->fields & STORE_FIELD_ARGS) != 0 && ret->spec.args.at == NULL)
		return sq_fail_corrupt(scan->db, "job %lld has no args", (long long)ret->id);
	ret->json = scan_copy_span(scan, sq_column_span(row, COLUMN_JSON));
	if (ret->json.at != NULL && !sq_sound_json(ret->json))
		return sq_fail_corrupt(scan->db, "job %lld is not sound: its result or error", (long long)ret->id);
	read->n_rows++;
	if (read->n_rows >= read->max_rows || scan->bytes >= read->max_bytes)
		scan->stop = SCAN_FULL;
	return 0;
}

/* ---- the walk --------------------------------------------------------------------------------------------- */

static enum sq_statement
scan_statement(const struct store_read *read)
{
	const unsigned ended = 1u << JOB_SUCCEEDED | 1u << JOB_FAILED | 1u << JOB_CANCELLED;
	unsigned states = read->filter != NULL ? read->filter->states : 0;
	int by = 0;

	if (read->by_end)
		return SQ_SCAN_LAST;
	if (states != 0 && (states & ~ended) == 0)
		by = 2;
	else if (states == 1u << JOB_RUNNING)
		by = 4;
	return (enum sq_statement)(SQ_SCAN + by + (read->desc ? 1 : 0));
}

/* How many of the ranges lie wholly before id. */
static size_t
scan_ranges_before(const struct store_read *read, int64_t id)
{
	size_t low = 0, high = read->n_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (read->ranges[middle].last < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Binds what is left behind `next`; false when nothing is. */
static bool
scan_bind(struct sq_scan *scan, enum sq_statement which)
{
	const struct store_read *read = scan->read;
	const struct id_range *ranges = read->ranges;
	int64_t low, high;

	if (read->n_ranges == 0)
		return false;
	if (read->by_end) {
		sq_bind(scan->db, which, 1, read->next);
		return true;
	}
	if (read->desc) {
		high = read->next > 0 ? read->next - 1 : ranges[read->n_ranges - 1].last;
		scan->range = scan_ranges_before(read, high + 1);
		if (scan->range < read->n_ranges && ranges[scan->range].first <= high)
			scan->range++;
		if (scan->range == 0)
			return false;
		high = high < ranges[scan->range - 1].last ? high : ranges[scan->range - 1].last;
		low = ranges[0].first;
	} else {
		low = read->next + 1;
		scan->range = scan_ranges_before(read, low);
		if (scan->range == read->n_ranges)
			return false;
		low = low > ranges[scan->range].first ? low : ranges[scan->range].first;
		high = ranges[read->n_ranges - 1].last;
	}
	sq_bind(scan->db, which, 1, low);
	sq_bind(scan->db, which, 2, high);
	return low <= high;
}

/* Until look() or a full answer stops it: 1, or 0 at the end, -1. */
static int
scan_run(struct sq_scan *scan, enum sq_statement which)
{
	sqlite3_stmt *row = scan->db->statements[which];
	int found;

	scan->stop = SCAN_GOES_ON;
	while ((found = sq_row(scan->db, which)) == 1 && scan->stop == SCAN_GOES_ON) {
		if (scan_add(scan, row) < 0) {
			found = -1;
			break;
		}
		if (scan->stop != SCAN_GOES_ON)
			break;
	}
	sq_reset(scan->db, which);
	return scan->stop == SCAN_CORRUPT ? -1 : found;
}

static int
scan_walk(struct sq_scan *scan)
{
	struct store_read *read = scan->read;
	enum sq_statement which = scan_statement(read);

	sq_bind(scan->db, which, 3, (int64_t)read->fields);
	sq_bind(
	    scan->db, which, 4, read->filter != NULL && read->filter->states != 0 ? (int64_t)read->filter->states : -1);
	while (scan_bind(scan, which)) {
		int found = scan_run(scan, which);

		if (found <= 0)
			return found;
		/* The row at which it stopped is still to come; one that filled the answer is not. */
		read->next = scan->stop == SCAN_FULL ? scan->at : read->desc ? scan->at + 1 : scan->at - 1;
		if (scan->stop != SCAN_GAP) {
			read->more = scan_bind(scan, which);
			return 0;
		}
	}
	return 0;
}

void
sq_scan(struct sq_db *db, struct store_read *read)
{
	const struct selection_filter *filter = read->filter;
	bool heavy =
	    filter != NULL && filter->n_tasks + filter->n_queues + filter->n_labels + filter->n_owners > SCAN_STRIDE;
	struct sq_scan scan = {
	    .db = db, .read = read, .stride = heavy ? 2 : SCAN_STRIDE, .deadline_us = clock_mono_us() + SCAN_US};

	read->rows = NULL;
	read->n_rows = 0;
	read->arena = NULL;
	read->error = 0;
	read->reason[0] = '\0';
	read->more = false;
	read->large = 0;
	read->next = read->cursor;
	db->scan = &scan;
	if (scan_walk(&scan) < 0) {
		read->error = -1;
		snprintf(read->reason, sizeof(read->reason), "%s", db->failure.text);
		store_read_done(read);
	}
	db->scan = NULL;
}
