/*
 * change: what happens to jobs that are there: they begin, end, go back, are forgotten.
 *
 * Whether a row is where the batch believes it to be is asked by deleting it there: the number of rows that went is the
 * answer, and what raced with it (a cancel, a late result, a second start) finds nothing. Invariant: a job leaves one
 * of waiting, ready, delayed, running, done and enters another within the same call.
 */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

static int
change_drop_running(struct sq_db *db, enum sq_statement which, int64_t id, uint64_t token)
{
	sq_bind(db, which, 1, id);
	sq_bind(db, which, 2, (int64_t)token);
	return sq_drop(db, which);
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

#define SEQ_BLOCK (1 << 20)

int64_t
sq_ends_note(struct sq_db *db, int64_t id, bool webhook, const struct store_end *end)
{
	if (db->seq >= db->meta.seq_reserved) { /* beyond: a commit that was refused has taken its reservation back */
		db->meta.seq_reserved += SEQ_BLOCK;
		db->meta_owed = true;
	}
	db->ends = mem_room(db->ends, db->n_ends, &db->ends_capacity, sizeof(*db->ends));
	db->ends[db->n_ends++] = (struct sq_end){.id = id, .seq = ++db->seq, .webhook = webhook, .end = end};
	return db->seq;
}

struct end_feed {
	struct sq_feed feed;
	int64_t retention_ms;
	const struct sq_end *ends;
	size_t n, at;
};

static bool
end_feed_next(struct sq_feed *base)
{
	struct end_feed *feed = (struct end_feed *)base;

	return feed->at++ < feed->n;
}

/* Of one that has a webhook to be sent it is written down, so that it holds up no other (see survey). */
static int64_t
end_feed_until(const struct end_feed *feed, const struct sq_end *row)
{
	if (row->end->until_ms == SPEC_NONE && row->webhook)
		return row->end->finished_ms + feed->retention_ms;
	return row->end->until_ms;
}

static void
end_feed_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct end_feed *feed = (const struct end_feed *)base;
	const struct sq_end *row = &feed->ends[feed->at - 1];
	const struct store_end *end = row->end;

	switch (column) {
	case 0: sqlite3_result_int64(context, row->id); break;
	case 1: sqlite3_result_int64(context, row->seq); break;
	case 2: sqlite3_result_int(context, (int)end->state); break;
	case 3: sqlite3_result_int(context, end->attempt); break;
	case 4: sq_feed_time(context, end->started_ms); break;
	case 5: sq_feed_time(context, end->finished_ms); break;
	case 6: sq_feed_time(context, end_feed_until(feed, row)); break;
	case 7: sqlite3_result_int(context, end->worker); break;
	case 8: sqlite3_result_int(context, end->output); break;
	case 9: sq_feed_time(context, end->usage.known ? end->usage.user_us : SPEC_NONE); break;
	case 10: sq_feed_time(context, end->usage.known ? end->usage.system_us : SPEC_NONE); break;
	case 11: sq_feed_time(context, end->usage.known ? end->usage.max_rss_kib : SPEC_NONE); break;
	case 12: sq_feed_span(context, end->json); break;
	}
}

int
sq_ends_write(struct sq_db *db)
{
	struct end_feed feed = {
	    .feed = {end_feed_next, end_feed_column}, .retention_ms = db->retention_ms, .ends = db->ends, .n = db->n_ends};

	if (db->n_ends == 0)
		return 0;
	db->done_change += (int64_t)db->n_ends;
	db->n_ends = 0;
	if (sq_feed_run(db, SQ_DONE_PUT, &feed.feed) < 0)
		return -1;
	for (size_t i = 0; i < feed.n; i++) {
		if (db->ends[i].webhook && sq_webhook_add(db, db->ends[i].id, db->ends[i].end->finished_ms) < 0)
			return -1;
	}
	if (!db->has_edges)
		return 0;
	feed.at = 0;
	if (sq_feed_run(db, SQ_TODO_ENDED, &feed.feed) < 0)
		return -1;
	db->has_todo = db->has_todo || sqlite3_changes(db->sqlite) > 0;
	return 0;
}

int
sq_ends_put(struct sq_db *db, int64_t id, bool webhook, const struct store_end *end, int64_t *ret_seq)
{
	*ret_seq = sq_ends_note(db, id, webhook, end);
	return sq_ends_write(db);
}

char *
sq_error_text(const char *format, int attempt)
{
	const char *place = strstr(format, "%d");

	if (place == NULL)
		return mem_text(format);
	return mem_format("%.*s%d%s", (int)(place - format), format, attempt, place + 2);
}

int64_t
sq_ends_until(int64_t retain_ms, int64_t finished_ms)
{
	return retain_ms != SPEC_NONE ? finished_ms + retain_ms : SPEC_NONE;
}

/* ---- finish ----------------------------------------------------------------------------------------------- */

/* Out of running here and now, out of ready with the others. */
static int
finish_take(struct sq_db *db, struct store_finish *finish, bool *ret_found)
{
	int found;

	if (finish->from_ready)
		return sq_takes_add(db, db->takes, finish->spec, ret_found);
	found = change_drop_running(db, SQ_RUNNING_DROP, finish->spec->id, finish->token);
	*ret_found = found > 0;
	return found < 0 ? -1 : 0;
}

int
sq_finish(struct sq_db *db, struct store_batch *batch)
{
	bool *found = sq_takes_begin(db, batch->n_finish);

	for (size_t i = 0; i < batch->n_finish; i++) {
		if (finish_take(db, &batch->finish[i], &found[i]) < 0)
			return -1;
	}
	if (sq_takes_run(db, db->takes) < 0)
		return -1;
	for (size_t i = 0; i < batch->n_finish; i++) {
		struct store_finish *finish = &batch->finish[i];
		const struct spec *spec = finish->spec;

		if (found[i] && finish->from_ready && sq_expiring_drop(db, spec->expires_ms, spec->id) < 0)
			return -1;
		finish->answer = found[i] ? STORE_OK : STORE_FENCED;
		finish->seq = found[i] ? sq_ends_note(db, spec->id, spec->webhook != NULL, &finish->end) : 0;
	}
	return sq_ends_write(db);
}

/* ---- release ---------------------------------------------------------------------------------------------- */

static int
release_to(struct sq_db *db, const struct store_release *release)
{
	const struct spec *spec = release->spec;
	int64_t task, line;

	if (sq_names_spec(db, spec, &task, &line) < 0)
		return -1;
	if (release->attempt == 0 && sq_expiring_add(db, spec->expires_ms, spec->id) < 0)
		return -1;
	if (release->run_at_ms == SPEC_NONE)
		return sq_ready_add(db, line, spec->priority, spec->id, release->attempt);
	db->due_changed = true;
	sq_bind(db, SQ_DELAYED_ADD, 1, spec->id);
	sq_bind(db, SQ_DELAYED_ADD, 2, release->run_at_ms);
	sq_bind(db, SQ_DELAYED_ADD, 3, release->attempt);
	sq_bind(db, SQ_DELAYED_ADD, 4, line);
	return sq_run(db, SQ_DELAYED_ADD);
}

/* It runs by that token still, so a cancel request stands in the row: it ends by it. */
static int
release_cancelled(struct sq_db *db, struct store_release *release)
{
	sqlite3_stmt *row = db->statements[SQ_RUNNING_GET];
	char *error = sq_error_text(db->cancelled_error, release->attempt);
	int64_t now_ms = loop_wall_ms();
	bool begun = release->attempt > 0; /* else it was sent, and has not begun */
	struct store_end end = {
	    .state = JOB_CANCELLED,
	    .attempt = release->attempt,
	    .worker = begun ? sqlite3_column_int(row, 0) : 0,
	    .started_ms = begun ? sq_column_time(row, 1) : SPEC_NONE,
	    .finished_ms = now_ms,
	    .until_ms = sq_ends_until(release->spec->retain_ms, now_ms),
	    .json = sq_column_span(row, 2),
	};
	int result;

	if (end.json.len == 0)
		end.json = (struct span){error, strlen(error)};
	result = sq_ends_put(db, release->spec->id, release->spec->webhook != NULL, &end, &release->seq);
	free(error);
	return result;
}

static int
release_one(struct sq_db *db, struct store_release *release)
{
	int64_t id = release->spec->id;
	int found = change_drop_running(db, SQ_RUNNING_TAKE, id, release->token), result;

	release->answer = STORE_OK;
	if (found != 0)
		return found < 0 ? -1 : release_to(db, release);
	sq_bind(db, SQ_RUNNING_GET, 1, id);
	sq_bind(db, SQ_RUNNING_GET, 2, (int64_t)release->token);
	found = sq_row(db, SQ_RUNNING_GET);
	release->answer = found > 0 ? STORE_CANCELLED : STORE_FENCED;
	if (found <= 0)
		return found;
	result = release_cancelled(db, release);
	sq_reset(db, SQ_RUNNING_GET);
	return result < 0 || change_drop_running(db, SQ_RUNNING_DROP, id, release->token) < 0 ? -1 : 0;
}

int
sq_release(struct sq_db *db, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_release; i++) {
		if (release_one(db, &batch->release[i]) < 0)
			return -1;
	}
	return 0;
}

/* ---- start ------------------------------------------------------------------------------------------------ */

struct start_feed {
	struct sq_feed feed;
	const struct store_start *starts;
	size_t n, at;
};

static bool
start_feed_next(struct sq_feed *base)
{
	struct start_feed *feed = (struct start_feed *)base;

	while (feed->at < feed->n && feed->starts[feed->at].answer != STORE_OK)
		feed->at++;
	return feed->at++ < feed->n;
}

static void
start_feed_column(const struct sq_feed *base, sqlite3_context *context, int column)
{
	const struct start_feed *feed = (const struct start_feed *)base;
	const struct store_start *start = &feed->starts[feed->at - 1];

	switch (column) {
	case 0: sqlite3_result_int64(context, start->spec->id); break;
	case 1: sqlite3_result_int64(context, (int64_t)start->token); break;
	case 2: sqlite3_result_int(context, start->attempt); break;
	case 4: sqlite3_result_int64(context, start->now_ms); break;
	}
}

/* Those that may not begin any more; the loop has seen them before their time was over. */
static void
start_find_late(struct store_batch *batch, int64_t *ret_now_ms)
{
	*ret_now_ms = SPEC_NONE;
	for (size_t i = 0; i < batch->n_start; i++) {
		struct store_start *start = &batch->start[i];

		start->answer = STORE_OK;
		if (start->spec->expires_ms == SPEC_NONE || start->attempt > 1)
			continue;
		if (*ret_now_ms == SPEC_NONE)
			*ret_now_ms = loop_wall_ms();
		if (start->spec->expires_ms <= *ret_now_ms)
			start->answer = STORE_ENDED;
	}
}

static int
start_expire(struct sq_db *db, struct store_batch *batch, const struct spec *spec, int64_t now_ms)
{
	struct sq_pending job = {.id = spec->id,
	    .priority = spec->priority,
	    .retain_ms = spec->retain_ms,
	    .expires_ms = spec->expires_ms,
	    .webhook = spec->webhook != NULL};
	int64_t task;

	return sq_names_spec(db, spec, &task, &job.line) < 0 ? -1 : sq_expire_one(db, batch, &job, now_ms);
}

static int
start_settle(struct sq_db *db, struct store_start *start, bool found)
{
	start->answer = found ? STORE_OK : STORE_ENDED;
	return found && start->attempt == 1 ? sq_expiring_drop(db, start->spec->expires_ms, start->spec->id) : 0;
}

int
sq_start(struct sq_db *db, struct store_batch *batch)
{
	struct start_feed feed = {
	    .feed = {start_feed_next, start_feed_column}, .starts = batch->start, .n = batch->n_start};
	bool *found = sq_takes_begin(db, batch->n_start), some = false;
	int64_t now_ms;

	start_find_late(batch, &now_ms);
	for (size_t i = 0; i < batch->n_start; i++) {
		if (batch->start[i].answer == STORE_OK && sq_takes_add(db, db->takes, batch->start[i].spec, &found[i]) < 0)
			return -1;
	}
	if (sq_takes_run(db, db->takes) < 0)
		return -1;
	for (size_t i = 0; i < batch->n_start; i++) {
		struct store_start *start = &batch->start[i];

		if (start->answer != STORE_OK ? start_expire(db, batch, start->spec, now_ms) < 0
					      : start_settle(db, start, found[i]) < 0)
			return -1;
		some = some || start->answer == STORE_OK;
	}
	return some ? sq_feed_run(db, SQ_RUNNING_PUT, &feed.feed) : 0;
}

/* ---- forget ----------------------------------------------------------------------------------------------- */

#define FORGET_RUN_MIN	  8
#define FORGET_PUT_OFF_MS (3600 * INT64_C(1000)) /* a parent of a waiting job is looked at again then */

static int
forget_one(struct sq_db *db, int64_t id)
{
	int found = sq_gate_is_parent(db, id, id);

	if (found != 0) {
		sq_bind(db, SQ_DONE_PUT_OFF, 1, id);
		sq_bind(db, SQ_DONE_PUT_OFF, 2, loop_wall_ms() + FORGET_PUT_OFF_MS);
		sq_bind(db, SQ_DONE_PUT_OFF, 3, db->retention_ms);
		return found < 0 ? -1 : sq_run(db, SQ_DONE_PUT_OFF);
	}
	sq_bind(db, SQ_DONE_DROP, 1, id);
	found = sq_drop(db, SQ_DONE_DROP);
	if (found <= 0)
		return found;
	db->done_change--;
	sq_bind(db, SQ_JOB_DROP, 1, id);
	return sq_run(db, SQ_JOB_DROP) < 0 ? -1 : sq_webhooks_forget(db, id, id);
}

/* Retention brings long runs: 1 when all of first … last had ended and are gone, else 0, and none of them is. */
static int
forget_range(struct sq_db *db, int64_t first, int64_t last)
{
	static const enum sq_statement statements[] = {SQ_DONE_COUNT_RANGE, SQ_DONE_DROP_RANGE, SQ_JOB_DROP_RANGE};
	int64_t count;

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		sq_bind(db, statements[i], 1, first);
		sq_bind(db, statements[i], 2, last);
	}
	if (sq_row(db, SQ_DONE_COUNT_RANGE) < 0)
		return -1;
	count = sqlite3_column_int64(db->statements[SQ_DONE_COUNT_RANGE], 0);
	sq_reset(db, SQ_DONE_COUNT_RANGE);
	if (count != last - first + 1)
		return 0;
	count = sq_gate_is_parent(db, first, last);
	if (count != 0)
		return count < 0 ? -1 : 0;
	db->done_change -= last - first + 1;
	if (sq_run(db, SQ_DONE_DROP_RANGE) < 0 || sq_run(db, SQ_JOB_DROP_RANGE) < 0 ||
	    sq_webhooks_forget(db, first, last) < 0)
		return -1;
	return 1;
}

int
sq_forget(struct sq_db *db, struct store_batch *batch)
{
	size_t n;

	for (size_t i = 0; i < batch->n_forget; i += n) {
		const int64_t *ids = &batch->forget[i];
		int found = 0;

		for (n = 1; i + n < batch->n_forget && ids[n] == ids[0] + (int64_t)n;)
			n++;
		if (n >= FORGET_RUN_MIN)
			found = forget_range(db, ids[0], ids[n - 1]);
		for (size_t k = 0; found == 0 && k < n; k++) {
			if (forget_one(db, ids[k]) < 0)
				return -1;
		}
		if (found < 0)
			return -1;
	}
	return 0;
}
