/*
 * put: new jobs, from a batch, into the tables.
 *
 * Two passes. The first goes over the submissions one by one: names become integers, keys are compared, so that each
 * has its answer. The second inserts all that were accepted, a table at a time, through feed: one statement whether it
 * is one job or a map of a million. A key that was given earlier in the same batch is found like any other, for it
 * stands in its table by then; and for a job that comes after one of the same batch the rows before it are inserted
 * first.
 */
#include "db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

/* ---- keys ------------------------------------------------------------------------------------------------- */

static void
put_bind_key(struct sq_db *db, enum sq_statement which, int64_t owner, const struct store_put *put)
{
	sq_bind(db, which, 1, owner);
	sq_bind_text(db, which, 2, put->spec->key);
	sq_bind(db, which, 3, put->spec->id);
	sq_bind(db, which, 4, put->count);
	sqlite3_bind_blob(db->statements[which], 5, put->spec->digest, SPEC_DIGEST, SQLITE_STATIC);
	sq_bind(db, which, 6, put->key_until_ms);
}

/* Compares with the submission that the key stands for. *ret_over: its time is over, and its jobs may be gone. */
static int
put_compare_key(struct sq_db *db, int64_t owner, struct store_put *put, bool *ret_over)
{
	sqlite3_stmt *row = db->statements[SQ_KEY_GET];
	int found;

	sq_bind(db, SQ_KEY_GET, 1, owner);
	sq_bind_text(db, SQ_KEY_GET, 2, put->spec->key);
	found = sq_row(db, SQ_KEY_GET);
	if (found < 0)
		return -1;
	if (found == 0)
		return sq_fail_corrupt(db, "a key is there and is not");
	put->existing_id = sqlite3_column_int64(row, 0);
	put->existing_count = sqlite3_column_int64(row, 1);
	if (sqlite3_column_bytes(row, 2) == SPEC_DIGEST &&
	    memcmp(sqlite3_column_blob(row, 2), put->spec->digest, SPEC_DIGEST) == 0)
		put->answer = STORE_DUPLICATE;
	else
		put->answer = STORE_KEY_CONFLICT;
	*ret_over = sqlite3_column_int64(row, 3) <= put->spec->submitted_ms;
	sq_reset(db, SQ_KEY_GET);
	return 0;
}

/* A key whose time is over holds while one of its jobs is known. */
static int
put_replace_key(struct sq_db *db, int64_t owner, struct store_put *put)
{
	int known;

	sq_bind(db, SQ_JOB_ANY, 1, put->existing_id);
	sq_bind(db, SQ_JOB_ANY, 2, put->existing_id + put->existing_count - 1);
	known = sq_row(db, SQ_JOB_ANY);
	sq_reset(db, SQ_JOB_ANY);
	if (known != 0)
		return known < 0 ? -1 : 0;
	put->answer = STORE_OK;
	put_bind_key(db, SQ_KEY_REPLACE, owner, put);
	return sq_run(db, SQ_KEY_REPLACE);
}

static int
put_take_key(struct sq_db *db, struct store_put *put)
{
	bool over = false;
	int64_t owner;

	if (sq_names_text(db, put->spec->owner, &owner) < 0)
		return -1;
	put_bind_key(db, SQ_KEY_PUT, owner, put);
	if (sq_run(db, SQ_KEY_PUT) < 0)
		return -1;
	if (sqlite3_changes(db->sqlite) == 1)
		return 0;
	if (put_compare_key(db, owner, put, &over) < 0)
		return -1;
	return over ? put_replace_key(db, owner, put) : 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* Walks the jobs of the accepted submissions of one kind. */
struct put_feed {
	struct sq_feed feed;
	const struct store_put *puts;
	const struct sq_put *rows;
	size_t n;
	bool by_place; /* those of place; else those that are plain or not */
	bool expiring; /* with by_place: those that may expire, wherever they wait */
	bool plain;
	enum store_place place;
	size_t at;   /* where next() goes on */
	int64_t nth; /* … at this job of it; in ready: jobs of the row */
	struct jsonspan_iter items;
	const struct store_put *put; /* the row */
	const struct sq_put *row;
	int64_t id;
	struct span args;
};

static bool
put_may_expire(const struct store_put *put)
{
	return put->spec->expires_ms != SPEC_NONE && put->place != STORE_RUNNING && put->place != STORE_DONE;
}

static bool
put_feed_takes(const struct put_feed *feed, size_t at)
{
	const struct store_put *put = &feed->puts[at];

	if (put->answer != STORE_OK)
		return false;
	if (feed->expiring)
		return put_may_expire(put);
	return feed->by_place ? put->place == feed->place : feed->rows[at].plain == feed->plain;
}

static bool
put_feed_next(struct sq_feed *base)
{
	struct put_feed *feed = (struct put_feed *)base;
	bool has_item;

	while (feed->at < feed->n && (!put_feed_takes(feed, feed->at) || feed->nth == feed->puts[feed->at].count)) {
		feed->at++;
		feed->nth = 0;
	}
	if (feed->at == feed->n)
		return false;
	feed->put = &feed->puts[feed->at];
	feed->row = &feed->rows[feed->at];
	feed->id = feed->put->spec->id + feed->nth;
	feed->args = feed->put->spec->args;
	if (feed->put->items.len > 0 && !feed->by_place) {
		if (feed->nth == 0)
			jsonspan_iter_init(&feed->items, feed->put->items);
		has_item = jsonspan_next(&feed->items, &feed->args);
		assert(has_item); /* count is the number of items */
		(void)has_item;
	}
	feed->nth++;
	return true;
}

/* NULL when it is 0, which stands for "not given". */
static void
put_number(sqlite3_context *context, int64_t number)
{
	sq_feed_time(context, number == 0 ? SPEC_NONE : number);
}

static int64_t
put_flags(const struct spec *spec)
{
	return (spec->idempotent ? SQ_IDEMPOTENT : 0) | (spec->pure ? SQ_PURE : 0) |
	    (spec->attempts_given ? SQ_ATTEMPTS_GIVEN : 0) | (spec->restricted ? SQ_RESTRICTED : 0) |
	    (spec->after_policy == AFTER_FINISHED ? SQ_AFTER_FINISHED : 0) |
	    (spec->after_policy == AFTER_FAILED ? SQ_AFTER_FAILED : 0);
}

static void
put_job_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct put_feed *feed = (const struct put_feed *)base;
	const struct spec *spec = feed->put->spec;

	switch (column) {
	case 0: sqlite3_result_int64(context, feed->id); break;
	case 1: sqlite3_result_int64(context, feed->row->line); break;
	case 2: sqlite3_result_int64(context, feed->row->task); break;
	case 3: sqlite3_result_int64(context, put_flags(spec)); break;
	case 4: sqlite3_result_int(context, spec->priority); break;
	case 5: sqlite3_result_int(context, spec->max_attempts); break;
	case 6: sqlite3_result_int64(context, spec->submitted_ms); break;
	case 7: sq_feed_span(context, feed->args); break;
	case 8: sq_feed_time(context, spec->backoff_ms == SQ_BACKOFF_USUAL ? SPEC_NONE : spec->backoff_ms); break;
	case 9: sq_feed_time(context, spec->not_before_ms); break;
	case 10: sq_feed_time(context, spec->timeout_ms); break;
	case 11: sq_feed_time(context, spec->retain_ms); break;
	case 12: sq_feed_text(context, spec->label); break;
	case 13: sq_feed_text(context, spec->key); break;
	case 14: sq_feed_time(context, spec->expires_ms); break;
	case 15: put_number(context, spec->retry_of); break;
	case 16: put_number(context, spec->limits.memory_mib); break;
	case 17: put_number(context, spec->limits.cpu_s); break;
	case 18: put_number(context, spec->limits.files); break;
	case 19: sq_feed_text(context, spec->webhook); break;
	case 20: sq_feed_span(context, spec->after); break;
	}
}

/* Neighbours of one line and priority are one row. */
static bool
put_ready_next(struct sq_feed *base)
{
	struct put_feed *feed = (struct put_feed *)base;
	const struct store_put *put;

	while (feed->at < feed->n && !put_feed_takes(feed, feed->at))
		feed->at++;
	if (feed->at == feed->n)
		return false;
	feed->put = &feed->puts[feed->at];
	feed->row = &feed->rows[feed->at];
	feed->id = feed->put->spec->id;
	for (feed->nth = 0; feed->at < feed->n && put_feed_takes(feed, feed->at); feed->at++) {
		put = &feed->puts[feed->at];
		if (put->spec->id != feed->id + feed->nth || put->spec->priority != feed->put->spec->priority ||
		    feed->rows[feed->at].line != feed->row->line)
			break;
		feed->nth += put->count;
	}
	return true;
}

static void
put_ready_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct put_feed *feed = (const struct put_feed *)base;

	switch (column) {
	case 0: sqlite3_result_int64(context, feed->row->line); break;
	case 1: sqlite3_result_int(context, -feed->put->spec->priority); break;
	case 2: sqlite3_result_int64(context, feed->id); break;
	case 3: sqlite3_result_int64(context, feed->nth); break;
	}
}

static void
put_delayed_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct put_feed *feed = (const struct put_feed *)base;

	switch (column) {
	case 0: sqlite3_result_int64(context, feed->id); break;
	case 1: sqlite3_result_int64(context, feed->put->spec->not_before_ms); break;
	case 2: sqlite3_result_int64(context, feed->row->line); break;
	}
}

static void
put_expiring_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct put_feed *feed = (const struct put_feed *)base;

	sqlite3_result_int64(context, column == 0 ? feed->put->spec->expires_ms : feed->id);
}

static void
put_waiting_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct put_feed *feed = (const struct put_feed *)base;

	sqlite3_result_int64(context, column == 0 ? feed->id : feed->row->line);
}

static void
put_running_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct put_feed *feed = (const struct put_feed *)base;
	const struct store_put *put = feed->put;

	switch (column) {
	case 0: sqlite3_result_int64(context, feed->id); break;
	case 1: sqlite3_result_int64(context, (int64_t)put->token); break;
	case 2: sqlite3_result_int(context, put->end.attempt); break;
	case 3: sqlite3_result_int(context, put->end.worker); break;
	case 4: sq_feed_time(context, put->end.started_ms); break;
	}
}

/* ---- a batch ---------------------------------------------------------------------------------------------- */

static bool
put_is_plain(const struct spec *spec)
{
	return spec->backoff_ms == SQ_BACKOFF_USUAL && spec->not_before_ms == SPEC_NONE &&
	    spec->timeout_ms == SPEC_NONE && spec->retain_ms == SPEC_NONE && spec->label == NULL && spec->key == NULL &&
	    spec->expires_ms == SPEC_NONE && spec->retry_of == 0 && spec->limits.memory_mib == 0 &&
	    spec->limits.cpu_s == 0 && spec->limits.files == 0 && spec->webhook == NULL && spec->after.len == 0;
}

/* A key that it has just taken is given back when they are not there. */
static int
put_find_parents(struct sq_db *db, struct store_put *put)
{
	if (sq_gate_put(db, put) < 0)
		return -1;
	if (put->answer == STORE_OK || put->spec->key == NULL)
		return 0;
	sq_bind(db, SQ_KEY_DROP, 1, sq_names_find_text(&db->names, put->spec->owner));
	sq_bind_text(db, SQ_KEY_DROP, 2, put->spec->key);
	return sq_run(db, SQ_KEY_DROP);
}

static int
put_answer(struct sq_db *db, struct store_put *put, struct sq_put *row)
{
	const struct spec *spec = put->spec;

	put->answer = STORE_OK;
	put->existing_id = put->existing_count = put->seq = 0;
	put->unknown = NULL;
	row->plain = put_is_plain(spec);
	if (sq_names_spec(db, spec, &row->task, &row->line) < 0)
		return -1;
	if (spec->key != NULL && put_take_key(db, put) < 0)
		return -1;
	if (put->answer == STORE_OK && put->place == STORE_WAITING && put_find_parents(db, put) < 0)
		return -1;
	if (put->answer != STORE_OK)
		return 0;
	assert(put->place != STORE_DONE || put->count == 1);
	if (put->place == STORE_DONE)
		put->seq = sq_ends_note(db, spec->id, spec->webhook != NULL, &put->end);
	if (put->place == STORE_DELAYED || put_may_expire(put))
		db->due_changed = true;
	if (db->top < spec->id + put->count - 1)
		db->top = spec->id + put->count - 1;
	return 0;
}

static int
put_run(struct sq_db *db, enum sq_statement which, struct put_feed feed,
    void (*column)(const struct sq_feed *feed, sqlite3_context *context, int column))
{
	feed.feed = (struct sq_feed){which == SQ_READY_PUT ? put_ready_next : put_feed_next, column};
	return sq_feed_run(db, which, &feed.feed);
}

/* Those from … to - 1. */
static int
put_insert(struct sq_db *db, const struct store_batch *batch, size_t from, size_t to)
{
	struct put_feed jobs = {.puts = batch->put + from, .rows = db->puts + from, .n = to - from};
	struct put_feed places = jobs;
	bool has_plain[2] = {false}, has_place[5] = {false}, has_expiring = false;

	for (size_t i = from; i < to; i++) {
		if (batch->put[i].answer != STORE_OK)
			continue;
		has_plain[db->puts[i].plain] = has_place[batch->put[i].place] = true;
		has_expiring = has_expiring || put_may_expire(&batch->put[i]);
	}
	if (has_plain[false] && put_run(db, SQ_JOB_PUT, jobs, put_job_column) < 0)
		return -1;
	jobs.plain = true;
	if (has_plain[true] && put_run(db, SQ_JOB_PUT_PLAIN, jobs, put_job_column) < 0)
		return -1;
	places.by_place = true;
	places.place = STORE_READY;
	if (has_place[STORE_READY] && put_run(db, SQ_READY_PUT, places, put_ready_column) < 0)
		return -1;
	places.place = STORE_DELAYED;
	if (has_place[STORE_DELAYED] && put_run(db, SQ_DELAYED_PUT, places, put_delayed_column) < 0)
		return -1;
	places.place = STORE_WAITING;
	if (has_place[STORE_WAITING] && put_run(db, SQ_WAITING_PUT, places, put_waiting_column) < 0)
		return -1;
	places.place = STORE_RUNNING;
	if (has_place[STORE_RUNNING] && put_run(db, SQ_RUNNING_PUT, places, put_running_column) < 0)
		return -1;
	places.expiring = true;
	if (has_expiring && put_run(db, SQ_EXPIRING_PUT, places, put_expiring_column) < 0)
		return -1;
	return sq_ends_write(db);
}

/* Whether one of its parents may be among the puts from the id first on. */
static bool
put_comes_after(const struct store_put *put, int64_t first)
{
	struct jsonspan_iter iter;
	struct span value;
	int64_t parent;

	if (put->place != STORE_WAITING)
		return false;
	jsonspan_iter_init(&iter, put->spec->after);
	while (jsonspan_next(&iter, &value)) {
		if (jsonspan_integer(value, &parent) == 0 && parent >= first)
			return true;
	}
	return false;
}

int
sq_put(struct sq_db *db, struct store_batch *batch)
{
	size_t from = 0;

	if (batch->n_put == 0)
		return 0;
	if (batch->n_put > db->puts_capacity) {
		db->puts_capacity = batch->put_capacity > batch->n_put ? batch->put_capacity : batch->n_put;
		db->puts = mem_grow(db->puts, db->puts_capacity, sizeof(*db->puts));
	}
	for (size_t i = 0; i < batch->n_put; i++) {
		if (i > from && put_comes_after(&batch->put[i], batch->put[from].spec->id)) {
			if (put_insert(db, batch, from, i) < 0)
				return -1;
			from = i;
		}
		if (put_answer(db, &batch->put[i], &db->puts[i]) < 0)
			return -1;
	}
	return put_insert(db, batch, from, batch->n_put);
}

/* ---- keys that are over ----------------------------------------------------------------------------------- */

#define SWEEP_PER_JOB 4
#define SWEEP_MAX     256

/*
 * Each submission with a key looks at a few more, in a circle through the table, so that there are never many more than
 * those that still hold; and so does each job that is forgotten.
 */
static int
keys_sweep(struct sq_db *db, int64_t n, int64_t now_ms)
{
	sqlite3_stmt *row = db->statements[SQ_KEY_SWEEP];
	const char *from = db->sweep_key != NULL ? db->sweep_key : "";
	char *last = NULL;
	int found;

	sq_bind(db, SQ_KEY_SWEEP, 1, db->sweep_owner);
	sq_bind_text(db, SQ_KEY_SWEEP, 2, from);
	sq_bind(db, SQ_KEY_SWEEP, 3, now_ms);
	sq_bind(db, SQ_KEY_SWEEP, 4, n);
	db->sweep_owner = 0;
	while ((found = sq_row(db, SQ_KEY_SWEEP)) == 1) {
		struct span key = sq_column_span(row, 1);

		db->sweep_owner = sqlite3_column_int64(row, 0);
		free(last);
		last = mem_copy(key.at, key.len);
		if (sqlite3_column_int(row, 2) == 0)
			continue;
		sq_bind(db, SQ_KEY_DROP, 1, db->sweep_owner);
		sq_bind_text(db, SQ_KEY_DROP, 2, last);
		if (sq_run(db, SQ_KEY_DROP) < 0) {
			sq_reset(db, SQ_KEY_SWEEP);
			found = -1;
			break;
		}
	}
	free(db->sweep_key);
	db->sweep_key = last;
	return found;
}

int
sq_keys_sweep(struct sq_db *db, struct store_batch *batch)
{
	int64_t n = (int64_t)batch->n_forget;

	for (size_t i = 0; i < batch->n_put; i++)
		n += batch->put[i].spec->key != NULL ? SWEEP_PER_JOB : 0;
	if (n == 0)
		return 0;
	return keys_sweep(db, n < SWEEP_MAX ? n : SWEEP_MAX, loop_wall_ms());
}
