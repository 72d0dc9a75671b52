/*
 * cancel: a job is told to end, wherever it stands.
 *
 * What waits ends here and now; into the row of what runs goes the error object with which it shall end, once: the
 * first request stands. From then on the job cannot go back in line (see release in change), and a crash ends it by
 * that request (see recover).
 */
#include "db.h"

#include <stdio.h>
#include <string.h>

/* 1 and *ret_job, or 0 when it is unknown or not to be touched by this owner. */
static int
cancel_find(struct sq_db *db, struct store_cancel *cancel, struct sq_pending *ret_job)
{
	sqlite3_stmt *row = db->statements[SQ_JOB_GET];
	const struct sq_line *line;
	const char *owner;
	int found;

	sq_bind(db, SQ_JOB_GET, 1, cancel->id);
	found = sq_row(db, SQ_JOB_GET);
	if (found <= 0)
		return found;
	ret_job->line = sqlite3_column_int64(row, 0);
	ret_job->priority = sqlite3_column_int(row, 1);
	ret_job->retain_ms = sq_column_time(row, 2);
	ret_job->expires_ms = sq_column_time(row, 4);
	ret_job->webhook = sqlite3_column_int(row, 5) != 0;
	sq_reset(db, SQ_JOB_GET);
	line = sq_names_get_line(&db->names, ret_job->line);
	if (line == NULL)
		return sq_fail_corrupt(db, "job %lld is in no line", (long long)cancel->id);
	owner = sq_names_get_text(&db->names, line->owner);
	if (cancel->owner != NULL && strcmp(cancel->owner, owner) != 0)
		return 0;
	cancel->pool = line->pool;
	snprintf(cancel->queue, sizeof(cancel->queue), "%s", sq_names_get_text(&db->names, line->queue));
	snprintf(cancel->job_owner, sizeof(cancel->job_owner), "%s", owner);
	return 1;
}

static int
cancel_request(struct sq_db *db, struct store_cancel *cancel)
{
	sq_bind(db, SQ_RUNNING_CANCEL, 1, cancel->id);
	sq_bind_span(db, SQ_RUNNING_CANCEL, 2, cancel->error.at != NULL ? cancel->error : SPAN_LIT(""));
	cancel->was = STORE_RUNNING;
	return sq_drop(db, SQ_RUNNING_CANCEL);
}

static int
cancel_one(struct sq_db *db, struct store_cancel *cancel)
{
	struct store_end end = {
	    .state = JOB_CANCELLED, .json = cancel->error, .started_ms = SPEC_NONE, .finished_ms = cancel->now_ms};
	struct sq_pending job = {.id = cancel->id};
	int found = cancel_find(db, cancel, &job);

	cancel->answer = STORE_NOT_FOUND;
	cancel->seq = 0;
	if (found <= 0)
		return found;
	cancel->answer = STORE_REQUESTED;
	found = cancel_request(db, cancel);
	if (found != 0)
		return found < 0 ? -1 : 0;
	cancel->answer = STORE_CANCELLED;
	found = sq_pending_take(db, &job, &cancel->was, &end.attempt);
	if (found != 0) {
		end.until_ms = sq_ends_until(job.retain_ms, cancel->now_ms);
		return found < 0 ? -1 : sq_ends_put(db, cancel->id, job.webhook, &end, &cancel->seq);
	}
	cancel->answer = STORE_ENDED;
	cancel->was = STORE_DONE;
	sq_bind(db, SQ_DONE_HAS, 1, cancel->id);
	found = sq_row(db, SQ_DONE_HAS);
	sq_reset(db, SQ_DONE_HAS);
	return found == 0 ? sq_fail_corrupt(db, "job %lld has no state", (long long)cancel->id) : found < 0 ? -1 : 0;
}

int
sq_cancel(struct sq_db *db, struct store_batch *batch)
{
	for (size_t i = 0; i < batch->n_cancel; i++) {
		if (cancel_one(db, &batch->cancel[i]) < 0)
			return -1;
	}
	return 0;
}
