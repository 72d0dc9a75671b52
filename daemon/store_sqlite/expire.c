/*
 * expire: jobs that may not begin any more, because the time that their submitter gave them is over.
 *
 * Invariant: `expiring` holds exactly the jobs that have such a time and have not begun; whoever begins or ends one takes it out there, and
 * a start that did not count puts it back. So the next time is the first of an index, and nobody looks at what cannot expire.
 */
#include "db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/mem.h"

#define EXPIRE_MAX 1000 /* that end in one commit */

/* ---- what waits ------------------------------------------------------------------------------------------- */

static int
expiring_change(struct sq_db *db, enum sq_statement statement, int64_t expires_ms, int64_t id)
{
	if (expires_ms == SPEC_NONE)
		return 0;
	db->due_changed = true;
	sq_bind(db, statement, 1, expires_ms);
	sq_bind(db, statement, 2, id);
	return sq_run(db, statement);
}

int
sq_expiring_drop(struct sq_db *db, int64_t expires_ms, int64_t id)
{
	return expiring_change(db, SQ_EXPIRING_DROP, expires_ms, id);
}

int
sq_expiring_add(struct sq_db *db, int64_t expires_ms, int64_t id)
{
	return expiring_change(db, SQ_EXPIRING_ADD, expires_ms, id);
}

/* The attempts it has had when it is found there: 1; 0 when it is not. It is taken out. */
static int
pending_take(struct sq_db *db, enum sq_statement get, enum sq_statement drop, int32_t *ret_attempts)
{
	int found = sq_row(db, get);

	if (found <= 0)
		return found;
	*ret_attempts = sqlite3_column_int(db->statements[get], 0);
	sq_reset(db, get);
	return sq_drop(db, drop);
}

static int
pending_take_anywhere(struct sq_db *db, const struct sq_pending *job, enum store_place *ret_was, int32_t *ret_attempts)
{
	int found, attempts;

	*ret_was = STORE_READY;
	found = sq_ready_take(db, job->line, job->priority, job->id, job->id, &attempts);
	if (found > 0)
		*ret_attempts = attempts;
	if (found != 0)
		return found;
	sq_bind(db, SQ_DELAYED_GET, 1, job->id);
	sq_bind(db, SQ_DELAYED_DROP, 1, job->id);
	*ret_was = STORE_DELAYED;
	found = pending_take(db, SQ_DELAYED_GET, SQ_DELAYED_DROP, ret_attempts);
	db->due_changed = db->due_changed || found > 0;
	if (found != 0)
		return found;
	*ret_was = STORE_WAITING;
	*ret_attempts = 0;
	return sq_gate_take_out(db, job->id);
}

int
sq_pending_take(struct sq_db *db, const struct sq_pending *job, enum store_place *ret_was, int32_t *ret_attempts)
{
	int found = pending_take_anywhere(db, job, ret_was, ret_attempts);

	if (found > 0 && *ret_attempts == 0 && sq_expiring_drop(db, job->expires_ms, job->id) < 0)
		return -1;
	return found;
}

/* ---- what the store ends ---------------------------------------------------------------------------------- */

void
sq_gone_note(struct sq_db *db, struct store_batch *batch, const struct sq_pending *job, struct store_end *end)
{
	const struct sq_line *line = sq_names_get_line(&db->names, job->line);
	struct store_gone *gone;

	assert(line != NULL);
	end->started_ms = SPEC_NONE;
	end->until_ms = sq_ends_until(job->retain_ms, end->finished_ms);
	batch->gone = mem_room(batch->gone, batch->n_gone, &batch->gone_capacity, sizeof(*batch->gone));
	gone = &batch->gone[batch->n_gone++];
	*gone = (struct store_gone){.id = job->id, .finished_ms = end->finished_ms, .retain_ms = job->retain_ms};
	gone->seq = sq_ends_note(db, job->id, job->webhook, end);
	snprintf(gone->queue, sizeof(gone->queue), "%s", sq_names_get_text(&db->names, line->queue));
	snprintf(gone->owner, sizeof(gone->owner), "%s", sq_names_get_text(&db->names, line->owner));
}

static int
expire_note(struct sq_db *db, struct store_batch *batch, const struct sq_pending *job, int64_t now_ms, struct store_end *end)
{
	enum store_place was;
	int found;

	*end = (struct store_end){.state = JOB_FAILED, .finished_ms = now_ms};
	end->json = (struct span){db->expired_error, strlen(db->expired_error)};
	found = sq_pending_take(db, job, &was, &end->attempt);
	if (found > 0)
		sq_gone_note(db, batch, job, end);
	return found;
}

int
sq_expire_one(struct sq_db *db, struct store_batch *batch, const struct sq_pending *job, int64_t now_ms)
{
	struct store_end end;

	return expire_note(db, batch, job, now_ms, &end) < 0 ? -1 : sq_ends_write(db);
}

/* ---- a step ----------------------------------------------------------------------------------------------- */

static int
expire_collect(struct sq_db *db, int64_t now_ms, struct sq_pending **jobs, size_t *n)
{
	sqlite3_stmt *row = db->statements[SQ_EXPIRING_DUE];
	size_t capacity = 0;
	int found;

	sq_bind(db, SQ_EXPIRING_DUE, 1, now_ms);
	sq_bind(db, SQ_EXPIRING_DUE, 2, EXPIRE_MAX);
	while ((found = sq_row(db, SQ_EXPIRING_DUE)) == 1) {
		struct sq_pending *job;

		*jobs = mem_room(*jobs, *n, &capacity, sizeof(**jobs));
		job = &(*jobs)[(*n)++];
		job->expires_ms = sqlite3_column_int64(row, 0);
		job->id = sqlite3_column_int64(row, 1);
		job->line = sqlite3_column_int64(row, 2);
		job->priority = sqlite3_column_int(row, 3);
		job->retain_ms = sq_column_time(row, 4);
		job->webhook = sqlite3_column_int(row, 5) != 0;
		if (sq_names_get_line(&db->names, job->line) == NULL) {
			sq_reset(db, SQ_EXPIRING_DUE);
			return sq_fail_corrupt(db, "job %lld, which expires, has no sound row in job", (long long)job->id);
		}
	}
	return found;
}

int
sq_expire(struct sq_db *db, struct store_batch *batch)
{
	struct sq_pending *jobs = NULL;
	struct store_end *ends = NULL;
	int result = -1;
	size_t n = 0;

	if (!batch->promote.wanted)
		return 0;
	if (expire_collect(db, batch->promote.now_ms, &jobs, &n) < 0)
		goto out;
	if (n > 0)
		ends = mem_new_array(n, sizeof(*ends));
	for (size_t i = 0; i < n; i++) {
		int found = expire_note(db, batch, &jobs[i], batch->promote.now_ms, &ends[i]);

		if (found == 0)
			sq_fail_corrupt(db, "job %lld expires and is not pending", (long long)jobs[i].id);
		if (found <= 0)
			goto out;
	}
	result = sq_ends_write(db);
out:
	free(jobs);
	free(ends);
	return result;
}
